"""Sequences whose infrared camera is brought onto the visible one, and their boxes."""

import cv2
import numpy as np
import pytest

from fusion import UserError
from fusion.commands.scene import street_pair
from fusion.images.alignment import Calibration, Camera
from fusion.images.alignment.geometry import similarity
from fusion.images.reading import write_image
from tracker.commands.cli import main
from tracker.data.sequences import load_dataset, load_sequence

IR, VIS = (80, 60), (160, 120)
# To the visible grid: twice as large, turned, shifted.
TO_VISIBLE = np.diag([2.0, 2, 1]) @ similarity(1.0, 4, (3, -2), IR)
BOX = (30, 22, 16, 12)


@pytest.fixture
def rig(tmp_path):
    Calibration(Camera(IR), Camera(VIS), TO_VISIBLE, "similarity").save(tmp_path / "rig.yaml")
    return Calibration.load(tmp_path / "rig.yaml")


@pytest.fixture
def dataset(tmp_path):
    """A sequence of one frame in RGBT234's layout: a bright box on a dark infrared picture."""
    x, y, w, h = BOX
    ir = np.full(IR[::-1], 20, np.uint8)
    ir[y : y + h, x : x + w] = 250
    for folder, picture in (("infrared", ir), ("visible", np.full((*VIS[::-1], 3), 90, np.uint8))):
        write_image(tmp_path / "set" / "seq" / folder / "1.png", picture)
        (tmp_path / "set" / "seq" / f"{folder}.txt").write_text(",".join(map(str, BOX)) + "\n")
    return tmp_path / "set"


def test_boxes_are_carried_to_where_their_pictures_go(dataset, rig):
    for sequence in (
        load_dataset(dataset, calibration=rig)[0],
        load_sequence(dataset / "seq", calibration=rig),
    ):
        frame = sequence.frame(0)
        assert frame.ir.shape == frame.rgb.shape[:2] == VIS[::-1]
        assert sequence.frame_size() == VIS
        sequence.check_sizes()
        bright = cv2.boundingRect((frame.ir > 135).astype(np.uint8))
        # The corners of a turned box reach further than the box that is carried along.
        x, y, w, h = sequence.boxes_ir[0]
        centre = np.array([x + w / 2, y + h / 2])
        np.testing.assert_allclose(
            centre, [bright[0] + bright[2] / 2, bright[1] + bright[3] / 2], atol=0.6
        )
        assert 0 <= bright[2] - w < 3 and 0 <= bright[3] - h < 4
        np.testing.assert_array_equal(sequence.boxes_rgb[0], BOX)
        assert sequence.resized(stretch=True) is sequence


def test_other_cameras_and_a_second_scaling_are_refused(dataset, rig, tmp_path):
    other = Calibration(Camera((64, 48)), Camera(VIS), np.eye(3))
    with pytest.raises(UserError, match=r"infrared pictures are 80x60, .* is for 64x48"):
        load_sequence(dataset / "seq", calibration=other)
    with pytest.raises(UserError, match="not both"):
        load_sequence(dataset / "seq", resize=True).aligned(rig)


def test_track_and_data_take_the_file(dataset, rig, tmp_path, capsys):
    out, file = tmp_path / "out", str(tmp_path / "rig.yaml")
    start = ["track", str(dataset / "seq"), "-o", str(out), "--tracker", "ncc"]
    assert main([*start, "--align", file]) == 0
    assert (out / "boxes.txt").read_text().startswith("30")
    capsys.readouterr()
    assert main([*start, "--align", file, "--resize"]) == 2
    assert "--resize" in capsys.readouterr().err
    assert main(["data", str(dataset)]) == 2  # sizes differ
    assert main(["data", str(dataset), "--align", file]) == 0


def test_data_reports_a_misaligned_sequence(tmp_path, capsys):
    ir, vis = street_pair(320, 240, seed=2)
    for name, shift in (("good", 0), ("bad", 20)):
        write_image(tmp_path / name / "infrared" / "1.png", ir[:, shift:])
        write_image(tmp_path / name / "visible" / "1.png", vis[:, : 320 - shift])
        for side in ("infrared", "visible"):
            (tmp_path / name / f"{side}.txt").write_text("10,10,20,20\n")
    assert main(["data", str(tmp_path)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "look misaligned" in line]
    assert len(lines) == 1 and "bad" in lines[0] and "--align" in lines[0]
