"""Trainings on cameras that are not registered, with a calibration for each source."""

import cv2
import numpy as np
import pytest

from fusion import UserError
from fusion.images.alignment import Calibration, Camera
from fusion.images.alignment.geometry import scaling
from fusion.images.reading import write_image
from fusion.training.pairs import PairData, PairDataset
from tracker.training.real_video import load_clips, load_sequences, load_stills
from tracker.training.sources import load_calibrations, load_source
from tracker.training.video_data import VideoPairData

SIZE = (160, 120)
SHIFT = 20  # the infrared camera is half as large and looks 20 visible pixels to the left
TO_VISIBLE = np.array([[1.0, 0, -SHIFT], [0, 1, 0], [0, 0, 1]]) @ scaling((80, 60), SIZE)


@pytest.fixture
def rig(tmp_path):
    Calibration(Camera((80, 60)), Camera(SIZE), TO_VISIBLE).save(tmp_path / "rig.yaml")
    return Calibration.load(tmp_path / "rig.yaml")


@pytest.fixture
def pictures(rng, texture):
    """Infrared and visible pictures of one plane: equal, once they are aligned."""
    scene = texture(rng, 120, 160 + SHIFT) // 4 + 60
    scene[40:80, 80:112] = 250
    visible = scene[:, SHIFT:]
    infrared = cv2.resize(scene[:, :160], (80, 60), interpolation=cv2.INTER_AREA)
    return infrared, np.repeat(visible[..., None], 3, axis=2)


def apart(ir, rgb):
    return np.abs(ir.astype(float) - rgb[..., 0])[8:-8, 8:-8].mean()


def test_fusion_pairs_are_aligned_and_cropped(tmp_path, pictures, rig):
    for side, picture in zip(("ir", "vis"), pictures, strict=True):
        write_image(tmp_path / "pairs" / side / "1.png", picture)
    data = PairData(str(tmp_path / "pairs"), align=str(tmp_path / "rig.yaml"), size=96)
    data.setup()
    assert data.train_set.calibration.common == (0, 0, 140, 120)
    item = data.train_set[0, 0]
    assert item["ir"].shape == (1, 96, 96)
    assert float((item["ir"] - item["vis"]).abs().mean()) < 0.05
    pairs = data.train_set.pairs
    with pytest.raises(UserError, match="sizes differ"):
        PairDataset(pairs, size=96)[0, 0]
    other = Calibration(Camera((64, 48)), Camera(SIZE), np.eye(3))
    with pytest.raises(UserError, match=r"1\.png.* is for 64x48"):
        PairDataset(pairs, size=96, calibration=other)[0, 0]


def test_clips_and_stills_are_aligned_and_cropped(tmp_path, pictures, rig):
    for number in range(3):
        for side, picture in zip(("infrared", "visible"), pictures, strict=True):
            write_image(tmp_path / "clips" / "clips" / side / "a" / f"{number}.png", picture)
    for side, picture in zip(("ir", "vis"), pictures, strict=True):
        write_image(tmp_path / "stills" / side / "1.png", picture)
    for load, root in ((load_clips, "clips"), (load_stills, "stills")):
        (footage,) = load(tmp_path / root, calibration=rig, cache=tmp_path / "cache").footage
        rgb, ir = footage.picture(0)
        assert rgb.shape == (120, 140, 3) and ir.shape == (120, 140)
        assert apart(ir, rgb) < 4
        assert footage.tracks
        with pytest.raises(UserError, match="differ in size"):
            load(tmp_path / root).footage[0].picture(0)


def test_annotated_sequences_keep_the_visible_coordinates(tmp_path, pictures, rig):
    folder = tmp_path / "set" / "seq"
    for side, picture in zip(("infrared", "visible"), pictures, strict=True):
        write_image(folder / side / "1.png", picture)
    (folder / "visible.txt").write_text("0,0,0,0\n")  # absent: only the infrared box is known
    (folder / "infrared.txt").write_text("40,20,16,20\n")
    (footage,) = load_sequences("lasher", tmp_path / "set", calibration=rig).footage
    rgb, ir = footage.picture(0)
    assert rgb.shape[:2] == ir.shape == (120, 160)
    np.testing.assert_allclose(footage.tracks[0].boxes[0], [60, 40, 32, 40], atol=1e-6)
    x, y, w, h = footage.tracks[0].boxes[0].astype(int)
    assert rgb[y : y + h, x : x + w].min() > 200 and ir[y + 2 : y + h - 2, x + 2].min() > 200


def test_targets_of_stills_are_found_after_aligning(tmp_path, pictures, rig):
    for side, picture in zip(("ir", "vis"), pictures, strict=True):
        write_image(tmp_path / "stills" / side / "1.png", picture)
    sequence = load_source("pairs", tmp_path / "stills", calibration=rig).dataset[0]
    box = sequence.boxes_ir[0]
    np.testing.assert_allclose(box, [60, 40, 32, 40], atol=9)
    frame = sequence.frame(0)
    assert frame.ir.shape == (120, 160)


def test_files_of_unknown_sources_are_refused(tmp_path, pictures, rig):
    with pytest.raises(UserError, match=r"data\.align\.lashe: .*lasher"):
        load_calibrations({"lashe": str(tmp_path / "rig.yaml")}, ["lasher"])
    with pytest.raises(UserError, match=r"gone\.yaml"):
        load_calibrations({"lasher": str(tmp_path / "gone.yaml")}, ["lasher"])
    for side, picture in zip(("ir", "vis"), pictures, strict=True):
        write_image(tmp_path / "stills" / side / "1.png", picture)
    file = str(tmp_path / "rig.yaml")
    data = VideoPairData(stills=str(tmp_path / "stills"), align={"stills": file})
    rgb, ir = data.load_sources()[0].footage[0].picture(0)
    assert apart(ir, rgb) < 4
    with pytest.raises(UserError, match=r"data\.align\.clips"):
        VideoPairData(stills=str(tmp_path / "stills"), align={"clips": file}).load_sources()
