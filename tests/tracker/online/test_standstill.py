"""A modality whose picture is repeated while the other's changes counts as missing."""

import numpy as np
import pytest
import torch

from fusion.images.reading import write_image
from tracker.data.sequences import load_sequence
from tracker.model.presets import build_network
from tracker.model.settings import OnlineSettings
from tracker.online.rgbt_tracker import RGBTTracker
from tracker.online.running import track_to_folder
from tracker.online.standstill import Standstill


@pytest.fixture
def video(rng):
    """12 frames of noise, of which both modalities differ from frame to frame."""
    return [
        (
            rng.integers(0, 255, (60, 80, 3), dtype=np.uint8),
            rng.integers(0, 255, (60, 80), dtype=np.uint8),
        )
        for _ in range(12)
    ]


def names(standstill, pictures):
    return [sorted(standstill.still({"rgb": rgb, "ir": ir})) for rgb, ir in pictures]


def test_the_camera_that_repeats_is_named_from_the_third_repetition_until_it_moves(video):
    pictures = [(rgb, video[min(k, 4)][1] if k < 10 else ir) for k, (rgb, ir) in enumerate(video)]
    assert names(Standstill(3), pictures) == [[]] * 7 + [["ir"]] * 3 + [[]] * 2


def test_a_paused_recording_and_a_slow_camera_are_not_named(video):
    assert names(Standstill(3), [video[0]] * 9) == [[]] * 9
    slow = [(rgb, video[k // 3 * 3][1]) for k, (rgb, _) in enumerate(video)]
    assert names(Standstill(3), slow) == [[]] * 12


def test_one_modality_alone_and_disabled(video):
    alone = Standstill(1)
    assert [alone.still({"ir": video[0][1]}) for _ in range(4)] == [set()] * 4
    assert names(Standstill(0), [(rgb, video[0][1]) for rgb, _ in video]) == [[]] * 12


def test_a_reused_buffer_is_another_picture(video):
    buffer = np.empty_like(video[0][1])
    standstill = Standstill(1)
    for rgb, ir in video:
        np.copyto(buffer, ir)
        assert standstill.still({"rgb": rgb, "ir": buffer}) == set()


def test_the_tracker_goes_on_as_if_the_frozen_modality_were_missing(video):
    torch.manual_seed(0)
    network = build_network("small").eval()
    settings = OnlineSettings(update_interval=0, still_after=2)
    frozen, missing = (RGBTTracker(network, settings=settings) for _ in range(2))
    for tracker in (frozen, missing):
        tracker.init(*video[0], (30, 20, 20, 25))
    for k, (rgb, _) in enumerate(video[1:], start=1):
        late = k >= 5  # frame 3 is repeated from frame 4 on: the second repetition is frame 5
        box, score = frozen.track(rgb, video[min(k, 3)][1])
        expected = missing.track(rgb, None if late else video[min(k, 3)][1])
        assert (box, score) == expected
        assert frozen.last_branches == (("rgb",) if late else ("rgb", "ir"))
        assert frozen.repeated == ({"ir"} if late else set())


def test_the_report_lists_the_frames(tmp_path, video):
    for number, (rgb, _) in enumerate(video, start=1):
        write_image(tmp_path / "visible" / f"{number:03}.png", rgb)
        write_image(tmp_path / "infrared" / f"{number:03}.png", video[min(number - 1, 3)][1])
    torch.manual_seed(0)
    tracker = RGBTTracker(build_network("small"), settings=OnlineSettings(still_after=3))
    sequence = load_sequence(tmp_path)
    report = track_to_folder(tracker, sequence, (30, 20, 20, 25), tmp_path / "out")
    # Frame 4 is the first of its kind, 7 its third repetition.
    assert report.incidents == {"rgb": {}, "ir": {"repeated": [7, 8, 9, 10, 11, 12]}}
    assert "infrared repeated in 6 frames: 7-12" in report.lines()
