"""``fusion align`` on the command line, and its file in ``fusion fuse``."""

import cv2
import numpy as np
import pytest
import yaml

from fusion.commands.align_benchmark import _ecc, _phase, benchmark, report
from fusion.commands.cli import main
from fusion.commands.scene import street_pair
from fusion.images.alignment import Calibration, Camera
from fusion.images.alignment.geometry import corner_error, map_points, similarity
from fusion.images.reading import read_image, write_image
from fusion.images.video import VideoWriter

SIZE = (320, 240)
# From the street to the infrared camera, which sees less of it, so that its picture has no borders.
VIEW = similarity(1.13, 3, (6, -5), SIZE)


@pytest.fixture(scope="module")
def street():
    """An infrared picture of another view than the visible one."""
    ir, vis = street_pair(*SIZE, seed=2)
    return cv2.warpPerspective(ir, VIEW, SIZE, flags=cv2.INTER_CUBIC), vis


@pytest.fixture
def files(tmp_path, street):
    write_image(tmp_path / "ir.png", street[0])
    write_image(tmp_path / "vis.png", street[1])
    return tmp_path


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_pair_gives_a_calibration_and_a_preview(files, capsys):
    out = files / "rig.yaml"
    code, said, _ = run(capsys, "align", files / "ir.png", files / "vis.png", "-o", out)
    assert code == 0 and "confidence" in said and str(out) in said
    found = Calibration.load(out)
    assert corner_error(found.transform @ VIEW, np.eye(3), SIZE) < 1.5
    assert found.confidence > 0.9 and found.source == "1 pair of ir.png and vis.png"
    assert read_image(files / "rig.png").ndim == 3
    # Fused without it, the set is reported; with it, it is not.
    for extra, doubted in (((), True), (("--align", out), False)):
        for name in ("ir", "vis"):
            write_image(files / name / "1.png", read_image(files / f"{name}.png"))
        arguments = ("fuse", files / "ir", files / "vis", "-o", files / "out")
        code, _, warned = run(capsys, *arguments, "--method", "average", *extra)
        assert code == 0 and ("misaligned" in warned) == doubted
    fused = read_image(files / "out" / "1.png")
    _, _, width, height = found.common
    assert fused.shape[:2] == (height, width) and (width, height) < SIZE


def test_pictures_that_do_not_tell_leave_nothing_behind(files, capsys, rng):
    write_image(files / "noise.png", rng.integers(0, 255, SIZE[::-1]).astype(np.uint8))
    out = files / "rig.yaml"
    code, _, error = run(capsys, "align", files / "noise.png", files / "vis.png", "-o", out)
    assert code == 2 and error.count("\n") == 1 and "not sure" in error and "noise.png" in error
    assert not out.exists() and not out.with_suffix(".png").exists()


def test_points_and_lens(files, capsys):
    rng = np.random.default_rng(3)
    infrared = rng.uniform((10, 10), (300, 230), (9, 2))
    visible = map_points(np.linalg.inv(VIEW), infrared)
    rows = np.column_stack([infrared, visible])
    np.savetxt(files / "points.csv", rows, delimiter=",")
    arguments = ("align", files / "ir.png", files / "vis.png", "-o", files / "rig.yaml")
    code, said, _ = run(capsys, *arguments, "--points", files / "points.csv")
    assert code == 0 and "homography" in said
    found = Calibration.load(files / "rig.yaml")
    assert corner_error(found.transform @ VIEW, np.eye(3), SIZE) < 0.1
    # Points of distorted pictures belong to the transform of straight ones.
    lens = Camera(SIZE, np.array([[300.0, 0, 160], [0, 300, 120], [0, 0, 1]]), np.zeros(5))
    lens.distortion[:2] = -0.25, 0.05
    Calibration(Camera(SIZE), lens, np.eye(3)).save(files / "lens.yaml")
    keys = yaml.safe_load((files / "lens.yaml").read_text())
    del keys["transform"]
    (files / "lens.yaml").write_text(yaml.safe_dump(keys))
    rows[:, 2:] = lens.distort(visible)
    np.savetxt(files / "points.csv", rows, delimiter=",")
    code, _, _ = run(
        capsys, *arguments, "--points", files / "points.csv", "--lens", files / "lens.yaml"
    )
    assert code == 0
    found = Calibration.load(files / "rig.yaml")
    assert corner_error(found.transform @ VIEW, np.eye(3), SIZE) < 0.1
    np.testing.assert_array_equal(found.visible.distortion, lens.distortion)


def test_videos_are_read_evenly(tmp_path, street, capsys):
    """The first frames are black, as of a camera that starts: the others tell."""
    for name, picture in zip(("ir", "vis"), street, strict=True):
        with VideoWriter(tmp_path / f"{name}.mp4", 10) as video:
            for index in range(8):
                video.write(picture if index > 1 else np.zeros_like(picture))
    out = tmp_path / "rig.yaml"
    arguments = ("align", tmp_path / "ir.mp4", tmp_path / "vis.mp4", "-o", out, "--frames", 2)
    code, _, error = run(capsys, *arguments)
    assert code == 0, error
    assert Calibration.load(out).source == "2 pairs of ir.mp4 and vis.mp4"
    assert corner_error(Calibration.load(out).transform @ VIEW, np.eye(3), SIZE) < 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("ir.png", "nowhere.png", "-o", "rig.yaml"), "nowhere.png: no such file"),
        (("ir.png", ".", "-o", "rig.yaml"), "not of one kind"),
        (("ir.png", "vis.png"), "-o OUT"),
        (("ir.png", "vis.png", "-o", "rig.png"), "rig.png: a calibration is a YAML file"),
        (("ir.png", "vis.png", "-o", "rig.yaml", "--points", "ir.png"), "ir.png: "),
        (("ir.png", "vis.png", "-o", "rig.yaml", "--checkerboard", "7x5"), "no checkerboard"),
        (("ir.png", "vis.png", "-o", "rig.yaml", "--lens", "gone.yaml"), "gone.yaml: "),
        (("ir.png", "vis.png", "--benchmark"), "ir.png: no folder"),
    ],
)
def test_bad_input_is_refused_in_one_line(files, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(files)
    code, _, error = run(capsys, "align", *arguments)
    assert code == 2 and error.count("\n") == 1 and words in error
    assert not (files / "rig.yaml").exists()


def test_fuse_refuses_a_calibration_of_other_cameras(files, capsys):
    Calibration(Camera((160, 120)), Camera(SIZE), np.eye(3)).save(files / "rig.yaml")
    arguments = ("fuse", files / "ir.png", files / "vis.png", "-o", files / "f.png")
    arguments = (*arguments, "--method", "average", "--align", files / "rig.yaml")
    code, _, error = run(capsys, *arguments)
    assert code == 2 and "rig.yaml is for 160x120" in error
    code, _, error = run(capsys, *arguments, "--resize")
    assert code == 2 and "--resize" in error


def test_the_benchmark_tells_good_from_bad(tmp_path):
    for index in (2, 5):
        ir, vis = street_pair(*SIZE, seed=index)
        write_image(tmp_path / "ir" / f"{index}.png", ir)
        write_image(tmp_path / "vis" / f"{index}.png", vis)
    result = benchmark(tmp_path / "ir", tmp_path / "vis")
    ours, shifts = result["methods"]["fusion align"], result["methods"]["phase correlation"]
    assert np.nanmedian(ours.relative) < 1.5
    assert np.nanmedian(shifts.relative) > np.nanmedian(ours.relative)
    assert result["pairs"] == 2 and result["alarms"] == 0 and result["noticed"] == 2
    text = report(result)
    assert all(name in text for name in ("fusion align", "ECC", "phase correlation", "of 2"))


def test_the_peers_of_the_benchmark_solve_what_they_are_made_for(rng):
    """Pictures of one modality: ECC finds a small warp, phase correlation a shift."""
    noise = rng.normal(0, 1, SIZE[::-1]).astype(np.float32)
    scene = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 4), None, 0, 255, cv2.NORM_MINMAX)
    small = similarity(1.02, 1, (3, -2), SIZE)
    shift = similarity(1, 0, (7, -5), SIZE)
    for method, warp in ((_ecc, small), (_phase, shift)):
        moved = cv2.warpPerspective(scene, warp, SIZE, flags=cv2.INTER_CUBIC)
        mask = cv2.warpPerspective(np.ones(SIZE[::-1], np.uint8), warp, SIZE)
        found = method(moved.astype(np.float32), mask, scene)
        assert corner_error(found @ warp, np.eye(3), SIZE) < 1.2
