"""Videos: flicker and warping error of known motion and known disturbances, and the command."""

import csv
import json
from itertools import pairwise

import cv2
import numpy as np
import pytest

from fusion.commands.cli import main
from fusion.evaluation.metrics import evaluate
from fusion.evaluation.video import VideoMeter, flicker, measure_video
from fusion.images.reading import write_image
from fusion.images.video import VideoWriter


def texture(seed, size=(120, 160)):
    """Smooth random texture, which optical flow can follow."""
    noise = np.random.default_rng(seed).normal(size=size)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    return np.clip(128 + 40 * smooth / smooth.std(), 0, 230).astype(np.uint8)


def panning(seed, frames=6, step=3):
    """A texture that moves ``step`` pixels per frame."""
    wide = texture(seed, (120, 160 + frames * step))
    return [wide[:, t * step : t * step + 160].copy() for t in range(frames)]


def test_flicker_is_what_leaves_the_neighbours_mean():
    assert flicker([10, 12, 14, 16]) == 0  # a steady change is none
    assert flicker([10, 13, 10, 13]) == pytest.approx(3)  # alternating by d is d
    assert flicker([10, 10, 16, 10, 10]) == pytest.approx(np.sqrt((3**2 + 6**2 + 3**2) / 3))
    assert np.isnan(flicker([1, 2]))


def test_motion_is_followed():
    """A moving texture differs much from frame to frame and little along its motion."""
    ir, vis = panning(1), panning(2)
    measures = measure_video(ir, vis, {"visible again": vis, "still": [vis[0]] * len(vis)})
    plain = np.mean([np.abs(a.astype(int) - b).mean() for a, b in pairwise(vis)])
    assert plain > 10
    assert measures["visible again"]["warping_error"] == measures["visible"]["warping_error"] < 1.5
    # What stands still while the scene moves is as inconsistent as what moves while it stands.
    assert measures["still"]["warping_error"] > 5


def test_motion_of_either_source_explains():
    """An object that only the infrared shows may move in the fused video."""
    still = [texture(3)] * 6
    moving = panning(4)
    measures = measure_video(moving, still, {"fused": moving})
    assert measures["fused"]["warping_error"] < 1.5


def test_disturbances_are_told_apart():
    rng = np.random.default_rng(0)
    ir, vis = panning(1, frames=8), panning(2, frames=8)
    noisy = [np.clip(f + rng.normal(0, 8, f.shape), 0, 255).astype(np.uint8) for f in vis]
    flashing = [
        np.clip(f.astype(int) + 12 * (t % 2), 0, 255).astype(np.uint8) for t, f in enumerate(vis)
    ]
    measures = measure_video(ir, vis, {"clean": vis, "noisy": noisy, "flashing": flashing})
    error = {name: row["warping_error"] for name, row in measures.items()}
    wave = {name: row["flicker"] for name, row in measures.items()}
    assert error["noisy"] > error["clean"] + 4 and abs(wave["noisy"] - wave["clean"]) < 0.5
    assert wave["flashing"] == pytest.approx(12, abs=1.5) and wave["clean"] < 1.5
    assert error["flashing"] > error["clean"] + 4


def test_noise_alone_in_the_fused_video_does_not_move_its_flow():
    """Flow comes from the sources, so one method's noise leaves another's value alone."""
    vis = panning(2)
    rng = np.random.default_rng(1)
    noise = [rng.integers(0, 256, f.shape, np.uint8) for f in vis]
    alone = measure_video(vis, vis, {"clean": vis})["clean"]
    beside = measure_video(vis, vis, {"noise": noise, "clean": vis})["clean"]
    assert beside == pytest.approx(alone, rel=0, abs=0, nan_ok=True)


def test_min_max_stretching_flickers():
    """The reason for the measure: each frame stretched by its own extremes."""
    vis = [np.clip(f, 60, 180) for f in panning(2, frames=8)]
    for t in (3, 6):
        vis[t][10:14, 10:14] = 255  # a lamp for one frame
    stretched = [cv2.normalize(f, None, 0, 255, cv2.NORM_MINMAX) for f in vis]
    measures = measure_video(vis, vis, {"stretched": stretched})
    assert measures["stretched"]["flicker"] > 10 * measures["visible"]["flicker"]


def test_few_frames_have_no_value():
    meter = VideoMeter()
    frame = texture(0)
    meter.update(frame, frame, {"fused": frame})
    assert all(np.isnan(value) for value in meter.compute()["fused"].values())


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [
        ([(20, 30), (20, 31), (20, 30)], "30|31"),
        ([(8, 9)] * 3, "16"),
    ],
)
def test_unusable_frames(frames, complaint):
    ir, vis, fused = (np.zeros(shape, np.uint8) for shape in frames)
    with pytest.raises(ValueError, match=complaint):
        VideoMeter().update(ir, vis, {"fused": fused})


# --- The command ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """Frames of sources, and of a steady and a flashing method."""
    ir, vis = panning(1), panning(2)
    videos = {
        "ir": ir,
        "vis": vis,
        "steady": vis,
        "flashing": [f + 10 * (t % 2) for t, f in enumerate(vis)],
    }
    for name, frames in videos.items():
        for t, frame in enumerate(frames):
            write_image(tmp_path / name / f"{t}.png", frame.astype(np.uint8))
        with VideoWriter(tmp_path / f"{name}.avi", 25) as writer:
            for frame in frames:
                writer.write(frame.astype(np.uint8))
    return tmp_path


def test_folders_of_frames_and_video_files(folder, capsys):
    command = ["evaluate", "--ir", f"{folder}/ir", "--vis", f"{folder}/vis", "--video"]
    command += ["--fused", f"{folder}/steady", f"{folder}/flashing", "--metrics", "en,psnr"]
    assert main([*command, "-o", f"{folder}/out", "--json", f"{folder}/all.json"]) == 0
    table = capsys.readouterr().out
    assert "6 frames" in table and "infrared" in table and "[level]" in table
    content = json.loads((folder / "all.json").read_text())
    assert content["motion"]["flashing"]["flicker"] > content["motion"]["steady"]["flicker"] + 8
    expected = np.mean(
        [
            evaluate(*frames, ("en",))["en"]
            for frames in zip(panning(2), panning(1), panning(2), strict=True)
        ]
    )
    assert content["means"]["steady"]["en"] == pytest.approx(expected)
    with (folder / "out/video.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    motion = ["Flicker [level]", "Warping error [level]", "Still change [level]"]
    assert rows[0] == ["video", *motion, "EN [bit]", "PSNR [dB]"]
    assert [row[0] for row in rows[1:]] == ["flashing", "steady", "infrared", "visible"]

    files = ["evaluate", "--ir", f"{folder}/ir.avi", "--vis", f"{folder}/vis.avi"]
    files += ["--fused", f"steady={folder}/steady.avi", f"flashing={folder}/flashing.avi"]
    assert main([*files, "--json", "-"]) == 0
    motion = json.loads(capsys.readouterr().out)["motion"]
    assert motion["flashing"]["flicker"] > motion["steady"]["flicker"] + 8


def test_bad_input_is_one_line(folder, capsys):
    (folder / "short").mkdir()
    (folder / "short/0.png").write_bytes((folder / "vis/0.png").read_bytes())
    sources = ["evaluate", "--ir", f"{folder}/ir", "--vis", f"{folder}/vis", "--video", "--fused"]
    for arguments, complaint in (
        ([f"{folder}/short"], "short: 1 frames"),
        ([f"infrared={folder}/vis"], "infrared"),
        ([f"{folder}/nowhere"], "nowhere"),
        ([f"{folder}/vis", "--ranks"], "--ranks"),
    ):
        assert main([*sources, *arguments]) == 2
        said = capsys.readouterr()
        assert complaint in said.err and said.err.count("\n") == 1 and said.out == ""
