"""The included tracker, on synthetic sequences of unseen looks and locations."""

import numpy as np
import pytest
import torch

from tracker.data.boxes import box_iou
from tracker.model.pretrained import INCLUDED_WEIGHTS
from tracker.model.weights import load_tracker
from tracker.online.rgbt_tracker import RGBTTracker
from tracker.synthetic import random_spec, render


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Small layers would lose more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def overlaps(tracker, challenge, blind=None, length=40):
    """IoU in every frame after the first; the modality ``blind`` goes dark half way."""
    spec = random_spec(11, length=length, split="test", challenge=challenge)
    found = []
    for number, (rgb, ir, box, visible) in enumerate(render(spec)):
        frame = {"rgb": rgb, "ir": ir}
        if blind and number >= length // 2:
            frame[blind] = np.zeros_like(frame[blind])
        if number == 0:
            tracker.init(**frame, box=box)
            continue
        result, _ = tracker.track(**frame)
        if visible > 0.25:
            found.append(box_iou(np.array(result), np.array(box)))
    return np.array(found)


def test_it_is_small():
    assert INCLUDED_WEIGHTS.stat().st_size < 8_000_000


@pytest.mark.parametrize("challenge", ["plain", "night", "crossover", "distractors"])
def test_it_follows_what_it_never_saw(challenge):
    assert overlaps(RGBTTracker(load_tracker()), challenge).mean() > 0.5


@pytest.mark.parametrize("blind", ["rgb", "ir"])
def test_it_keeps_the_target_when_a_camera_goes_dark(blind):
    found = overlaps(RGBTTracker(load_tracker()), "plain", blind)
    assert found[len(found) // 2 :].mean() > 0.5
