"""``fusion fuse`` on the command line, with valid and invalid input."""

import errno
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch

from fusion.commands.cli import main
from fusion.commands.scene import street_pair
from fusion.images.pixels import luminance
from fusion.images.reading import read_image, write_image
from fusion.images.video import Video, VideoWriter
from fusion.networks.lrrnet import LRRNet
from fusion.networks.weights import load_network, save_network


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """The weights file of a small, fast network."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_network(LRRNet(num_filters=4, num_blocks=1), path)
    return str(path)


@pytest.fixture
def folders(tmp_path):
    """Three pairs ``1, 2, 3`` in ``ir`` and ``vis``."""
    for i in range(1, 4):
        ir, vis = street_pair(80, 64, seed=i)
        write_image(tmp_path / "ir" / f"{i}.png", ir)
        write_image(tmp_path / "vis" / f"{i}.jpg", vis)
    return tmp_path


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def fuse(*arguments):
    return main(["fuse", *map(str, arguments)])


# --- Good input ---------------------------------------------------------------------------------


def test_a_pair_becomes_the_picture_the_network_makes(folders, weights, capsys):
    ir, vis, out = folders / "ir/1.png", folders / "vis/1.jpg", folders / "out.png"
    assert fuse(ir, vis, "-o", out, "--weights", weights) == 0
    expected = load_network(weights).fuse(read_image(ir), read_image(vis))
    np.testing.assert_array_equal(read_image(out), expected)
    assert expected.ndim == 3
    said = capsys.readouterr().out
    assert "1 pair fused" in said and f"by lrrnet ({weights})" in said
    assert fuse(ir, vis, "-o", out, "--weights", weights, "--no-color") == 0
    assert read_image(out).ndim == 2


def test_pictures_that_look_swapped_are_asked_about_once(folders, weights, capsys):
    run = ["-o", folders / "out", "--weights", weights]
    assert fuse(folders / "vis", folders / "ir", *run) == 0
    said = capsys.readouterr()
    assert "3 pairs fused" in said.out
    assert said.err.count("swapped?") == 1 and "vis/1.jpg is in colour and" in said.err
    assert fuse(folders / "ir", folders / "vis", *run) == 0
    assert fuse(folders / "ir", folders / "ir", *run) == 0
    assert fuse(folders / "vis", folders / "vis", *run) == 0
    assert "swapped?" not in capsys.readouterr().err


def test_the_output_of_a_pair_may_be_a_folder(folders, weights):
    fuse(folders / "ir/1.png", folders / "vis/1.jpg", "-o", folders / "new", "--weights", weights)
    assert names(folders / "new") == ["1.png"]


def test_folders_with_companions_and_resume(folders, weights, capsys):
    out = folders / "out"
    run = [folders / "ir", folders / "vis", "-o", out, "--weights", weights, "--compare", "--parts"]
    assert fuse(*run) == 0
    assert names(out) == sorted(
        f"{d}{i}.png" for d in ("", "compare/", "parts/") for i in (1, 2, 3)
    )
    assert "3 pairs fused" in capsys.readouterr().out
    compared = read_image(out / "compare/2.png")
    assert compared.shape[1] > 3 * 80

    (out / "2.png").unlink()
    times = {name: (out / name).stat().st_mtime_ns for name in names(out)}
    assert fuse(*run, "--skip-existing") == 0
    assert "1 pair fused, 2 skipped" in capsys.readouterr().out
    assert (out / "2.png").is_file()
    for name in ("1.png", "3.png", "parts/1.png"):
        assert (out / name).stat().st_mtime_ns == times[name]


def test_sizes_may_be_brought_together(folders, weights, capsys):
    write_image(folders / "small.png", street_pair(80, 64)[0][::2, ::2])
    run = [folders / "small.png", folders / "vis/1.jpg", "-o", folders / "o.png"]
    assert fuse(*run, "--weights", weights) == 2
    assert "40x32, visible 80x64" in capsys.readouterr().err
    assert fuse(*run, "--weights", weights, "--resize") == 0
    assert read_image(folders / "o.png").shape == (64, 80, 3)


@pytest.mark.parametrize(
    ("width", "height", "cause"), [(70, 64, "cropped"), (64, 80, "turned"), (48, 64, "turned")]
)
def test_another_shape_needs_stretch(folders, weights, capsys, width, height, cause):
    write_image(folders / "other.png", np.resize(street_pair(80, 64)[0], (height, width)))
    run = [folders / "other.png", folders / "vis/1.jpg", "-o", folders / "o.png"]
    assert fuse(*run, "--weights", weights, "--resize") == 2
    assert cause in capsys.readouterr().err
    assert fuse(*run, "--weights", weights, "--stretch") == 0
    assert read_image(folders / "o.png").shape == (64, 80, 3)


def test_an_exif_rotation_is_named(folders, weights, capsys):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(street_pair(80, 64)[1]).save(folders / "phone.jpg", exif=exif)
    run = [folders / "ir/1.png", folders / "phone.jpg", "-o", folders / "o.png"]
    assert fuse(*run, "--weights", weights, "--resize") == 2
    assert "visible turned by the EXIF rotation" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".webp", ".avif", ".jp2", ".pgm", ".gif", ".jfif"])
def test_formats_are_read_alone_and_in_folders(folders, weights, suffix):
    from PIL import Image

    (folders / "other").mkdir()
    for i in (1, 2, 3):
        picture = Image.fromarray(street_pair(80, 64, seed=i)[0])
        picture.save(folders / "other" / f"{i}{suffix}", "JPEG" if suffix == ".jfif" else None)
    run = ["-o", folders / "out", "--weights", weights]
    assert fuse(folders / "other", folders / "vis", *run) == 0
    assert names(folders / "out") == ["1.png", "2.png", "3.png"]
    single = fuse(folders / f"other/1{suffix}", folders / "vis/1.jpg", *run[:1], folders / "s.png")
    assert single == 0


def test_folders_that_do_not_tell_are_refused_or_told(folders, weights, capsys):
    for i in (1, 2, 3):
        (folders / "ir" / f"{i}.png").rename(folders / "ir" / f"{i + 100}.png")
    run = [folders / "ir", folders / "vis", "-o", folders / "out", "--weights", weights]
    assert fuse(*run) == 2
    assert "--pair index" in capsys.readouterr().err and not (folders / "out").exists()
    assert fuse(*run, "--pair", "index") == 0
    assert names(folders / "out") == ["1.png", "2.png", "3.png"]
    assert fuse(*run, "--pair", "time") == 2
    assert fuse(folders / "ir/101.png", folders / "vis/1.jpg", *run[2:], "--pair", "index") == 2


def test_a_stream_is_refused_with_its_address(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        fuse("rtsp://127.0.0.1/a", "rtsp://127.0.0.1/b", "-o", tmp_path / "o.mp4")
    assert stopped.value.code == 2 and "rtsp://127.0.0.1/a: a network" in capsys.readouterr().err


def test_16_bit_infrared_and_percentiles(folders, weights):
    ir = street_pair(80, 64, seed=1)[0].astype(np.uint16) * 8 + 7000
    ir[0, 0] = 65535
    cv2.imwrite(str(folders / "deep.png"), ir)
    outs = [folders / "range.png", folders / "percentiles.png"]
    run = [folders / "deep.png", folders / "vis/1.jpg", "--weights", weights, "-o"]
    assert fuse(*run, outs[0]) == fuse(*run, outs[1], "--percentiles", "1,99") == 0
    assert not np.array_equal(read_image(outs[0]), read_image(outs[1]))


@pytest.fixture
def videos(tmp_path):
    for name, count, fps in (("ir.mp4", 5, 10), ("vis.mp4", 5, 10), ("long.mp4", 7, 30)):
        with VideoWriter(tmp_path / name, fps) as writer:
            for i in range(count):
                ir, vis = street_pair(80, 64, seed=i)
                writer.write(ir if name == "ir.mp4" else vis)
    return tmp_path


def test_videos(videos, weights, capsys):
    out = videos / "out.mp4"
    run = [videos / "ir.mp4", videos / "vis.mp4", "-o", out, "--weights", weights, "--compare"]
    assert fuse(*run) == 0
    assert "5 frames fused" in capsys.readouterr().out
    with Video(out) as video, Video(videos / "out_compare.mp4") as compared:
        assert (video.fps, video.frame_count, video.size) == (10, 5, (80, 64))
        assert compared.frame_count == 5
        # The codec is lossy and the image noisy, so the comparison is coarse.
        with Video(videos / "ir.mp4") as a, Video(videos / "vis.mp4") as b:
            expected = load_network(weights).fuse(next(iter(a))[..., 0], next(iter(b)))
        assert np.abs(next(iter(video)).astype(int) - expected).mean() < 12
    assert fuse(*run, "--skip-existing") == 0
    assert "0 frames fused, 1 skipped" in capsys.readouterr().out


def test_videos_by_the_fast_network_are_steady_unless_refused(videos, capsys):
    run = ["fuse", f"{videos}/ir.mp4", f"{videos}/vis.mp4", "--method", "lrrnet_fast"]
    assert main([*run, "-o", f"{videos}/a.avi"]) == 0
    assert "by lrrnet_fast (included weights): " in capsys.readouterr().out
    assert main([*run, "-o", f"{videos}/b.avi", "--steady"]) == 0
    assert main([*run, "-o", f"{videos}/c.avi", "--no-steady"]) == 0
    default, steady, plain = (list(Video(videos / f"{name}.avi")) for name in "abc")
    np.testing.assert_array_equal(default, steady)
    np.testing.assert_array_equal(plain[0], steady[0])  # the first frame has none before it
    assert not np.array_equal(plain[1], steady[1])


def test_videos_of_other_rate_and_length_are_said(videos, weights, capsys):
    run = [videos / "ir.mp4", videos / "long.mp4", "-o", videos / "o.mp4", "--weights", weights]
    assert fuse(*run) == 0
    said = capsys.readouterr()
    assert "10 frames/s" in said.err and "30: frames are paired by time" in said.err
    assert "longer than" in said.err and "7 frames fused" in said.out
    assert fuse(*run, "--pair", "index") == 0
    said = capsys.readouterr()
    assert "paired by number" in said.err
    assert "longer than" in said.err and "5 frames fused" in said.out


def test_a_video_cut_short_is_said_and_fails(videos, weights, capsys):
    # AVI states its length first, so that a cut file still opens.
    with VideoWriter(videos / "cut.avi", 10) as writer:
        for i in range(40):
            writer.write(street_pair(80, 64, seed=i)[1])
    data = (videos / "cut.avi").read_bytes()
    (videos / "cut.avi").write_bytes(data[: len(data) // 2])
    run = [videos / "cut.avi", videos / "cut.avi", "-o", videos / "o.mp4", "--weights", weights]
    code = fuse(*run)
    said = capsys.readouterr()
    assert code == 2
    assert "cut.avi" in said.err and "Traceback" not in said.err


def test_demo_fuses_with_the_weights_that_ship(tmp_path, capsys):
    assert main(["demo", "-o", str(tmp_path / "demo")]) == 0
    assert "fused_compare.png" in capsys.readouterr().out
    ir, vis = street_pair()
    shown = read_image(tmp_path / "demo" / "fused.png")
    # The person behind the smoke, visible only in infrared, stands out more than anything visible.
    walker = (ir > 150) & (np.arange(ir.shape[1]) > 480) & (np.arange(ir.shape[0]) < 330)[:, None]
    smoke = ~walker & (luminance(vis) > 90) & (np.arange(ir.shape[1]) > 480)
    fused, seen = luminance(shown).astype(float), luminance(vis).astype(float)
    contrast = fused[walker].mean() - fused[smoke].mean()
    assert contrast > seen[walker].mean() - seen[smoke].mean() + 30


# --- Bad input: exit code 2, one line on stderr ---------------------------------------------------


def complaint(capsys, *arguments):
    try:
        code = fuse(*arguments)
    except SystemExit as stop:  # argparse's own errors
        code = stop.code
    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert said.err.count("\n") == 1 and "Traceback" not in said.err
    return said.err


def test_bad_paths(folders, weights, capsys):
    ir, vis = folders / "ir/1.png", folders / "vis/1.jpg"
    w = ["--weights", weights]
    out = ["-o", folders / "o.png"]
    before = names(folders)
    assert "nope.png: no such" in complaint(capsys, folders / "nope.png", vis, *out, *w)
    assert "one is a folder" in complaint(capsys, ir, folders, *out, *w)
    assert "is also an input" in complaint(capsys, ir, vis, "-o", ir, *w)
    # Files written beside the output may coincide with an input.
    companion = (folders / "ir/1.png").rename(folders / "ir/1_compare.png")
    said = complaint(capsys, companion, vis, "-o", folders / "ir/1.png", "--compare", *w)
    assert "1_compare.png: is also an input" in said
    companion.rename(ir)
    inner = (folders / "ir").rename(folders / "compare")
    said = complaint(capsys, inner, folders / "vis", "-o", folders, "--compare", *w)
    assert "compare: the output folder holds the inputs" in said
    inner.rename(folders / "ir")
    assert "unknown picture format" in complaint(capsys, ir, vis, "-o", folders / "o.gif", *w)
    assert "holds the inputs" in complaint(
        capsys, folders / "ir", folders / "vis", "-o", folders / "vis", *w
    )
    for name in ("o.png", "o.mp4"):  # of one picture, or a video
        said = complaint(capsys, folders / "ir", folders / "vis", "-o", folders / name, *w)
        assert f"{name}: not a folder" in said
    assert "cannot create" in complaint(capsys, ir, vis, "-o", folders / "ir/1.png/x.png", *w)
    assert "nope.model" in complaint(capsys, ir, vis, *out, "--weights", folders / "nope.model")
    assert "1.png: refused" in complaint(capsys, ir, vis, *out, "--weights", ir)
    assert names(folders) == before


def test_bad_options(folders, weights, capsys):
    run = [folders / "ir/1.png", folders / "vis/1.jpg", "-o", folders / "o.png"]
    run += ["--weights", weights]
    assert "--device tpu" in complaint(capsys, *run, "--device", "tpu")
    assert "--device cuda:99" in complaint(capsys, *run, "--device", "cuda:99")
    for value in ("5", "a,b", "60,40", "-1,50"):
        assert "LOW,HIGH" in complaint(capsys, *run, f"--percentiles={value}")
    assert "required: -o" in complaint(capsys, *run[:2])
    assert "--sise" in complaint(capsys, *run, "--sise")


def test_one_unreadable_picture_is_reported_and_the_rest_fused(folders, weights, capsys):
    path = folders / "ir/2.png"
    path.write_bytes(path.read_bytes()[:-40])
    write_image(folders / "vis/9.png", np.zeros((4, 4), np.uint8))
    code = fuse(folders / "ir", folders / "vis", "-o", folders / "out", "--weights", weights)
    said = capsys.readouterr()
    assert code == 2
    assert "2.png: the picture is truncated" in said.err
    assert "1 without a partner: 9.png" in said.err
    assert "2 pairs fused, 1 failed" in said.out
    assert names(folders / "out") == ["1.png", "3.png"]


def test_a_mixture_of_video_and_picture_is_refused(videos, weights, capsys):
    write_image(videos / "a.png", np.zeros((64, 80), np.uint8))
    w = ["--weights", weights]
    said = complaint(capsys, videos / "a.png", videos / "vis.mp4", "-o", videos / "o.mp4", *w)
    assert "one is a video" in said
    (videos / "bad.mp4").write_bytes(b"0" * 2000)
    said = complaint(capsys, videos / "bad.mp4", videos / "vis.mp4", "-o", videos / "o.mp4", *w)
    assert "bad.mp4: not a readable video" in said
    said = complaint(
        capsys, videos / "ir.mp4", videos / "vis.mp4", "-o", videos / "o.mp4", "--parts", *w
    )
    assert "--parts" in said
    assert not (videos / "o.mp4").exists()


# --- The program itself ---------------------------------------------------------------------------


def test_module_and_help_without_loading_torch():
    code = (
        "import sys, fusion, fusion.commands.cli;"
        "print('torch' in sys.modules, 'cv2' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    done = subprocess.run(
        [sys.executable, "-m", "fusion", "fuse", "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "fusion fuse thermal/ visible/" in done.stdout
    code = (
        "import sys, fusion.commands.cli\n"
        "try: fusion.commands.cli.main(['train', '--help'])\n"
        "finally: assert not {'torch', 'lightning'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "fusion train fit --config experiments/fusion/saliency.yaml" in done.stdout


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM])
def test_what_may_not_be_read_is_one_line(folders, weights, capsys, monkeypatch, code):
    def refused(path):
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr("fusion.commands.pipeline.pair_folders", lambda ir, *_: refused(ir))
    said = complaint(
        capsys, folders / "ir", folders / "vis", "-o", folders / "o", "--weights", weights
    )
    assert said.endswith(f"ir: cannot be used ({os.strerror(code)})\n")


def test_a_seed_below_0_is_refused(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "-o", str(tmp_path / "demo"), "--seed", "-1"])
    assert "--seed: '-1'" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
