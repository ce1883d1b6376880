import itertools
import json
import os
import runpy
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from fusion.images.reading import read_image, write_image
from tracker.commands.cli import main
from tracker.data.annotations import read_regions
from tracker.evaluation.ope import commands as ope_commands
from tracker.evaluation.ope.figures import PROTOCOLS

BOX = "20,30,24,20"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """An untrained compact network: its boxes are meaningless, but everything else is real."""
    import torch

    from tracker.model.presets import build_network
    from tracker.model.weights import save_tracker

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "compact.safetensors"
    save_tracker(build_network("compact_dfat"), path)
    return str(path)


@pytest.fixture
def folders(tmp_path, make_scene):
    return [str(path) for path in make_scene(8).write_folders(tmp_path)]


def run(capsys, *arguments):
    """Exit code, standard output and standard error of ``tracker`` with these arguments."""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as exit_:  # argparse's own way out
        code = exit_.code
    return code, *capsys.readouterr()


def assert_refused(result, *words):
    code, out, err = result
    assert code == 2 and out == "" and err.count("\n") == 1 and err.startswith("tracker")
    assert "Traceback" not in err
    for word in words:
        assert word in err


# --- tracker track --------------------------------------------------------------------------------


def test_presets_of_published_weights_are_networks():
    from tracker.model.presets import ALL_PRESETS
    from tracker.model.pretrained import PUBLISHED_PRESETS

    assert set(PUBLISHED_PRESETS) <= set(ALL_PRESETS)


def test_track_two_folders(capsys, tmp_path, folders, weights):
    out = tmp_path / "out"
    video = tmp_path / "seen.mp4"
    code, text, _ = run(
        capsys, "track", *folders, "--box", BOX, "-o", out, "--weights", weights,
        "--device", "cpu", "--video", video,
    )  # fmt: skip
    assert code == 0
    boxes = read_regions(out / "boxes.txt")
    assert boxes.shape == (8, 4) and (out / "boxes.txt").read_text().startswith(BOX + "\n")
    assert np.isfinite(boxes).all() and (boxes[:, 2:] > 0).all()
    scores = np.loadtxt(out / "scores.txt")
    assert len(scores) == 8 and ((scores >= 0) & (scores <= 1)).all()
    assert "8 frames in" in text and "frames/s" in text and str(video) in text
    assert video.stat().st_size > 1000


def test_track_asks_whether_modalities_are_swapped(capsys, tmp_path, folders, weights):
    options = ["--box", BOX, "--weights", weights, "--device", "cpu", "-o", tmp_path / "out"]
    code, _, said = run(capsys, "track", *folders, *options)
    assert code == 0 and "swapped" not in said
    code, _, said = run(capsys, "track", *reversed(folders), *options)
    assert code == 0 and said.count("the visible comes first: are they swapped?") == 1


def test_track_says_which_frames_lack_a_modality(capsys, tmp_path, make_scene, weights):
    rgb, ir = make_scene(8).write_folders(tmp_path)
    (ir / "003.png").unlink()
    write_image(ir / "005.png", np.zeros((96, 120), np.uint8))
    (rgb / "006.png").write_bytes((rgb / "006.png").read_bytes()[:500])
    out = tmp_path / "out"
    code, text, _ = run(capsys, "track", rgb, ir, "--box", BOX, "-o", out, "--weights", weights)
    assert code == 0
    assert "infrared: no image for 1 of 8 frames: 3" in text
    assert "infrared blank in 1 frame: 5" in text
    assert "visible unreadable in 1 frame: 6" in text
    report = json.loads((out / "report.json").read_text())
    assert report["incidents"]["ir"] == {"missing": [3], "blank": [5]}
    assert "006.png" in report["reasons"][0]
    assert len(read_regions(out / "boxes.txt")) == 8


def test_track_a_sequence_folder_from_its_annotation(capsys, tmp_path, make_scene, weights):
    scene = make_scene(3)
    rgb, ir = scene.write_folders(tmp_path / "walk")
    rgb.rename(rgb.with_name("color"))
    ir.rename(ir.with_name("ir"))
    (tmp_path / "walk" / "groundtruth.txt").write_text(f"{BOX}\n" * 3)
    out = tmp_path / "out"
    assert run(capsys, "track", tmp_path / "walk", "-o", out, "--weights", weights)[0] == 0
    assert (out / "boxes.txt").read_text().startswith(BOX + "\n")


def test_track_from_a_polygon_over_the_border(capsys, tmp_path, folders, weights):
    out = tmp_path / "out"
    code, _, _ = run(
        capsys, "track", *folders, "--box", "-4,30,20,30,20,50,-4,50", "-o", out,
        "--weights", weights,
    )  # fmt: skip
    assert code == 0 and read_regions(out / "boxes.txt")[0].tolist() == [-4, 30, 24, 20]


def test_track_refuses_bad_input_in_one_line(capsys, tmp_path, folders, weights, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    out = tmp_path / "out"
    rgb, ir = folders
    (tmp_path / "empty").mkdir()
    bad_weights = tmp_path / "w.safetensors"
    bad_weights.write_bytes(b"not weights")

    def track(*arguments, start=("--box", BOX), given=("--weights", weights)):
        return run(capsys, "track", *arguments, *start, *given, "-o", out)

    assert_refused(track(rgb, ir, start=()), "no --box", "--select")
    assert_refused(track(rgb, ir, start=("--box", "1,2,3")), "'1,2,3' is not x,y,w,h")
    assert_refused(track(rgb, ir, start=("--box", "1,2,0,3")), "area")
    assert_refused(track(rgb, ir, start=("--box", "500,2,9,3")), "outside the frame of 120x96")
    assert_refused(track(rgb, ir, start=("--select",)), "--select needs a window", "no display")
    assert_refused(track(rgb, ir, "--select"), "not allowed with")
    assert_refused(track(rgb, tmp_path / "nowhere"), "nowhere", "no such file")
    assert_refused(track(rgb, tmp_path / "empty"), "empty", "contains no images")
    assert_refused(track(tmp_path / "empty"), "empty", "not the folder of an RGBT sequence")
    assert_refused(track(rgb, f"{ir}/001.png"), "001.png", "not a video")
    assert_refused(track(rgb, ir, "--layout", "gtot"), "layout gtot")
    assert_refused(track(rgb, ir, "--video", "seen.gif"), "seen.gif", ".mp4")
    assert_refused(track(rgb, ir, "--device", "tpu"), "tpu", "cuda:N")
    assert_refused(track(rgb, ir, "--speed", "9"), "--speed")
    assert_refused(track(rgb, ir, "--preset", "dfta"), "'dfta'", "'dfat', 'rgb', 'ir'")
    assert_refused(track(rgb, ir, given=("--weights", tmp_path / "no.pth")), "no.pth")
    assert_refused(track(rgb, ir, given=("--weights", bad_weights)), "w.safetensors")
    assert_refused(run(capsys, "track", rgb, ir), "-o/--output")
    assert_refused(run(capsys), "COMMAND")
    assert_refused(run(capsys, "follow"), "follow")
    assert not out.exists()
    out.write_text("a file in the way")
    assert_refused(track(rgb, ir, given=()), "out: is a file; give a folder")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
def test_select_takes_the_drawn_box(capsys, tmp_path, folders, weights, monkeypatch):
    import cv2

    monkeypatch.setattr("fusion.live.window.why_no_window", lambda: None)
    monkeypatch.setattr(cv2, "destroyWindow", lambda title: None)
    shown = []

    def draw(box):
        return lambda title, image, **_: shown.append(image) or box

    out = tmp_path / "out"
    arguments = ("track", *folders, "--select", "-o", out, "--weights", weights)
    monkeypatch.setattr(cv2, "selectROI", draw((20, 30, 24, 20)))
    code, text, _ = run(capsys, *arguments)
    assert code == 0 and f"--box {BOX}" in text
    assert (out / "boxes.txt").read_text().startswith(BOX + "\n")
    first = cv2.imread(f"{folders[0]}/001.png")
    np.testing.assert_array_equal(shown[0], first)  # OpenCV's windows want BGR

    monkeypatch.setattr(cv2, "selectROI", draw((0, 0, 0, 0)))
    assert_refused(run(capsys, *arguments), "no box was drawn")

    monkeypatch.setattr("fusion.live.window.why_no_window", lambda: "this OpenCV has no windows")
    assert_refused(run(capsys, *arguments), "no windows")


def test_threads_of_an_own_tracker(capsys, tmp_path, folders, monkeypatch):
    """Its boxes are as wide as PyTorch has threads."""
    import torch

    (tmp_path / "counting.py").write_text(
        "import torch\n"
        "class Counter:\n"
        "    def init(self, rgb, ir, box): self.threads = torch.get_num_threads()\n"
        "    def track(self, rgb, ir):\n"
        "        return (5, 6, 10 * self.threads + torch.get_num_threads(), 8), 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    arguments = ("track", *folders, "--box", BOX, "--tracker", "counting:Counter")
    before = torch.get_num_threads()
    for options, threads in (((), before), (("--threads", before + 2), before + 2)):
        assert run(capsys, *arguments, "-o", tmp_path / "out", *options)[0] == 0
        boxes = read_regions(tmp_path / "out" / "boxes.txt")
        assert set(boxes[1:, 2]) == {11 * threads}
        assert torch.get_num_threads() == before


def test_sizes_that_differ(capsys, tmp_path, folders, weights, make_scene):
    _, small = make_scene(8, size=(80, 64)).write_folders(tmp_path / "small")
    arguments = ("track", folders[0], small, "--box", BOX, "-o", tmp_path / "out", "--weights")
    assert_refused(run(capsys, *arguments, weights), "120x96", "80x64", "--resize")
    assert run(capsys, *arguments, weights, "--resize")[0] == 0


def test_ctrl_c_keeps_what_was_tracked(tmp_path, make_scene, weights):
    """The program as a user runs it, interrupted as a user does it."""
    rgb, ir = make_scene(30, size=(160, 96)).write_folders(tmp_path)
    out = tmp_path / "out"
    # A terminal would pass SIGINT on; a test runner in the background may have it ignored.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "import sys, time; from tracker.online.rgbt_tracker import RGBTTracker;"
        "track = RGBTTracker.track;"
        "RGBTTracker.track = lambda *frames: (time.sleep(0.2), track(*frames))[1];"
        "from tracker.commands.cli import main; sys.exit(main())"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, "track", rgb, ir, "--box", BOX, "-o", out]
        + ["--weights", weights],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        partial = out / "boxes.partial.txt"
        while process.poll() is None and not (
            partial.exists() and partial.read_text().count("\n") >= 3
        ):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        text, errors = process.communicate(timeout=60)
    boxes = read_regions(partial)
    assert process.returncode == 130 and 3 <= len(boxes) < 30
    assert boxes[0].tolist() == [20, 30, 24, 20]
    assert f"{len(boxes)} of 30 frames are in {partial}" in text
    assert "interrupted" in errors and "Traceback" not in errors
    assert not (out / "boxes.txt").exists()


def test_the_published_tracker_through_the_command_line(capsys, tmp_path, shared):
    """The released DFAT code's recorded boxes: weights as a checkpoint, frames as files.

    The first six frames; ``tests/tracker/online/test_golden.py`` has all of them."""
    import torch

    count = 6
    golden = shared / "golden" / "dfat"
    inputs = runpy.run_path(str(golden / "inputs.py"))
    manifest = json.loads((golden / "manifest.json").read_text())
    state = {
        name: torch.from_numpy(np.asarray(value))
        for name, value in inputs["weights"](manifest).items()
    }
    torch.save(state, tmp_path / "dfat.pth")
    frames = itertools.islice(inputs["frames"](), count)
    for number, (bgr, ir, _) in enumerate(frames, start=1):
        write_image(tmp_path / "rgb" / f"{number:03d}.png", bgr[..., ::-1].copy())
        write_image(tmp_path / "ir" / f"{number:03d}.png", ir)
    recorded = np.load(golden / "outputs.npz")
    box = ",".join(map(str, recorded["boxes"][0]))
    out = tmp_path / "out"
    code, _, errors = run(
        capsys, "track", tmp_path / "rgb", tmp_path / "ir", "--box", box, "-o", out,
        "--weights", tmp_path / "dfat.pth", "--device", "cpu",
    )  # fmt: skip
    assert code == 0, errors
    boxes = read_regions(out / "boxes.txt")
    np.testing.assert_allclose(boxes, recorded["boxes"][:count], rtol=0, atol=0.02)
    scores = np.loadtxt(out / "scores.txt")
    np.testing.assert_allclose(scores[1:], recorded["scores"][1:count], atol=1e-4)


# --- tracker data ---------------------------------------------------------------------------------


@pytest.fixture
def dataset(tmp_path, make_scene):
    """RGBT234's layout: a good sequence, one with problems, one that cannot be read."""
    scene = make_scene(5)
    root = tmp_path / "RGBT234"
    for name in ("good", "odd", "broken"):
        _, ir = scene.write_folders(root / name)
        ir.rename(ir.with_name("infrared"))
        text = "".join(",".join(map(str, box)) + "\n" for box in scene.boxes)
        (root / name / "visible.txt").write_text(text)
        (root / name / "infrared.txt").write_text(text)
    (root / "odd" / "infrared" / "002.png").unlink()
    (root / "odd" / "infrared" / "004.png").write_bytes(b"x")
    (root / "odd" / "visible.txt").write_text("nan,nan,nan,nan\n900,900,5,5\n" + f"{BOX}\n" * 4)
    (root / "broken" / "infrared.txt").write_text("1,2,3\n")
    return root


def test_data_tells_everything(capsys, dataset):
    code, text, _ = run(capsys, "data", dataset, "--all-frames")
    assert code == 2
    assert "2 readable (2 rgbt234), 10 frames" in text
    for line in (
        "problem: odd: infrared: no image for 1 of 5 frames: 2",
        "problem: odd: visible.txt: 6 lines for 5 frames",
        "problem: odd: infrared: frames unreadable: 4",
        "problem: odd: visible: boxes outside the frame of 120x96: frames 2",
        "problem: odd: visible and infrared boxes do not overlap: frames 2",
        f"error: broken: {dataset / 'broken' / 'infrared.txt'}, line 1",
    ):
        assert line in text
    assert "problem: good" not in text
    assert text.strip().endswith("5 problems, 1 error; decoded: every frame")


def test_data_as_json(capsys, dataset):
    code, text, _ = run(capsys, "data", dataset / "odd", "--json")
    found = json.loads(text)
    assert code == 0  # problems, no errors
    (entry,) = found["sequences"]
    assert entry["layout"] == "rgbt234" and entry["frames"] == 5
    assert entry["rgb"] == {"pictures": 5, "size": [120, 96], "boxes": 4, "absent": 1}
    assert entry["ir"] == {"pictures": 4, "size": [120, 96], "boxes": 5, "absent": 0}
    # Without --all-frames the damaged fourth picture is not opened.
    assert not any("unreadable" in problem for problem in entry["problems"])


def test_data_of_two_folders_and_of_nothing(capsys, tmp_path, folders, make_scene):
    code, text, _ = run(capsys, "data", *folders)
    assert code == 0 and "1 readable (1 pair), 8 frames" in text and "nothing wrong" in text
    _, small = make_scene(8, size=(80, 64)).write_folders(tmp_path / "small")
    code, text, _ = run(capsys, "data", folders[0], small)
    assert code == 2 and "infrared 80x64, visible 120x96" in text
    assert_refused(run(capsys, "data", tmp_path / "nowhere"), "nowhere: no such folder")
    assert_refused(run(capsys, "data", tmp_path / "small"), "no RGBT sequence")
    assert_refused(run(capsys, "data", *folders, "--layout", "x"), "layout x")


# --- tracker bench --------------------------------------------------------------------------------


def test_bench(capsys):
    arguments = ("bench", "--preset", "compact_dfat", "--rounds", 1, "--device", "cpu")
    arguments += ("--threads", 1, "--runtimes", "eager")
    code, text, _ = run(capsys, *arguments, "--json")
    ways = json.loads(text)["threads"]["1"]
    assert code == 0 and list(ways) == ["published structure", "eager", "eager, bfloat16"]
    assert ways["eager"]["seconds"] > 0 and ways["eager"]["difference"] < 1e-3
    code, text, _ = run(capsys, *arguments)
    assert code == 0 and "published structure" in text
    assert_refused(run(capsys, "bench", "--preset", "rgb"), "preset rgb")


# --- The program itself ---------------------------------------------------------------------------


def test_names_that_are_written_out_are_the_modules():
    """Modules that load slowly are not imported for their names alone."""
    assert tuple(PROTOCOLS) == ope_commands.DATASETS


def test_help_answers_without_loading_torch(tmp_path):
    """Also with ``python -m``, and each command shows an example."""
    program = (
        "import sys, runpy; sys.argv = ['tracker', *sys.argv[1:]]\n"
        "try: runpy.run_module('tracker', run_name='__main__', alter_sys=False)\n"
        "except SystemExit as exit_: assert exit_.code == 0\n"
        "assert not {'torch', 'cv2', 'shapely'} & sys.modules.keys()"
    )
    for command in ("track", "train", "data", "bench"):
        result = subprocess.run(
            [sys.executable, "-c", program, command, "--help"], capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        assert f"usage: tracker {command}" in result.stdout
        assert f"examples:\n  tracker {command}" in result.stdout


def test_the_tracker_that_ships_is_the_default(capsys, tmp_path, folders):
    out = tmp_path / "out"
    assert run(capsys, "track", *folders, "--box", BOX, "-o", out)[0] == 0
    assert len((out / "boxes.txt").read_text().splitlines()) == 8


# --- tracker synthetic ----------------------------------------------------------------------------


def test_synthetic_sequences_are_written_and_shown(capsys, tmp_path):
    out, sheet = tmp_path / "out", tmp_path / "sheet.png"
    options = ("--challenges", "night", "--count", 2, "--length", 4, "--seed", 3)
    code, said, _ = run(capsys, "synthetic", out, *options, "--sheet", sheet)
    assert code == 0 and f"2 sequences: {out}" in said
    assert (out / "list.txt").read_text() == "test_000_night\ntest_001_night\n"
    assert len(list(out.glob("*/ir/*.jpg"))) == 8
    assert read_image(sheet).ndim == 3

    assert_refused(
        run(capsys, "synthetic", tmp_path / "b", "--challenges", "hail"), "hail", "night"
    )
    assert_refused(run(capsys, "synthetic", tmp_path / "b", "--split", "val"), "val", "train")
    assert_refused(run(capsys, "synthetic", tmp_path / "b", "--count", 0), "'0'")
    assert_refused(run(capsys, "synthetic", tmp_path / "b", "--sheet", tmp_path / "s.txt"), "s.txt")
    assert not (tmp_path / "b").exists()
