"""NanoTrack v3 by the online tracker, against the boxes of its published implementation."""

import cv2
import numpy as np
import pytest

from tracker.model.weights import load_tracker
from tracker.online.rgbt_tracker import RGBTTracker

# Two development sequences of one video: source frames, first to last.
STAND, FRONT = "0117_1605_e_stand", "0117_1605_d_front"


@pytest.fixture(scope="module")
def frames(shared):
    """Frames of a sequence by modality, as its files have them: JPEG of quality 95."""
    data = shared / "data" / "m3svd_dev"

    def read(name, modality):
        video, first, last = (data / "annotations" / name / "source.txt").read_text().split()
        folder = {"rgb": "visible", "ir": "infrared"}[modality]
        capture = cv2.VideoCapture(str(data / folder / f"{video}.mp4"))
        for number in range(int(last) + 1):
            assert capture.grab()
            if number < int(first):
                continue
            _, frame = capture.retrieve()
            _, coded = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, 95])
            yield cv2.imdecode(coded, cv2.IMREAD_COLOR if modality == "rgb" else 0)

    return read


def _boxes(shared, modality, images, golden):
    preset = "nanotrack_ir" if modality == "ir" else "nanotrack_rgb"
    path = shared / "data" / "weights" / "nanotrack" / "nanotrackv3.pth"
    tracker = RGBTTracker(load_tracker(path, preset=preset))
    expected = np.loadtxt(golden, delimiter=",")
    found = [expected[0]]
    for number, image in enumerate(images):
        # The tracker takes RGB.
        pair = (None, image) if modality == "ir" else (image[..., ::-1], None)
        if number == 0:
            tracker.init(*pair, expected[0])
        else:
            found.append(tracker.track(*pair)[0])
    return np.array(found), expected


@pytest.mark.parametrize(
    ("name", "modality"), [(STAND, "rgb"), (STAND, "ir"), (FRONT, "ir"), (STAND, "mix")]
)
def test_recorded_boxes(shared, frames, name, modality):
    golden = shared / "golden" / "nanotrack" / f"v3-{modality}" / f"{name}.txt"
    if modality == "mix":
        pairs = zip(frames(name, "rgb"), frames(name, "ir"), strict=True)
        images = (cv2.addWeighted(rgb, 0.5, cv2.merge([ir] * 3), 0.5, 0) for rgb, ir in pairs)
    else:
        images = frames(name, modality)
    found, expected = _boxes(shared, modality, images, golden)
    assert len(found) == len(expected)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.5)
