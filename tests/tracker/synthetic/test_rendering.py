"""Frames: the same for the same spec, of every look and target, with exact boxes."""

import dataclasses

import numpy as np
import pytest

from tracker.data.boxes import clip_box, xywh_to_xyxy
from tracker.synthetic import LOOKS, SPLITS, random_spec, render, render_still, silhouettes
from tracker.synthetic.rendering import Renderer

SMALL = (96, 72)


def small_spec(seed, challenge="plain", length=30, **more):
    return random_spec(seed, length=length, size=SMALL, challenge=challenge, **more)


def bounds(mask):
    """(left, top, right, bottom) of the pixels of a mask, right and bottom exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


def clipped(box):
    """(left, top, right, bottom) of the part of a box inside the frame."""
    return xywh_to_xyxy(clip_box(box, *SMALL))


def test_same_spec_gives_identical_bytes_and_other_seeds_do_not():
    spec = small_spec(3, ("distractors", "noise"), length=6)
    first, second = list(render(spec)), list(render(dataclasses.replace(spec)))
    for a, b in zip(first, second, strict=True):
        assert a.rgb.tobytes() == b.rgb.tobytes()
        assert a.ir.tobytes() == b.ir.tobytes()
        assert a.box == b.box and a.visible == b.visible
    other = next(render(dataclasses.replace(spec, seed=4)))
    assert np.mean(other.rgb != first[0].rgb) > 0.5


def test_frames_of_two_sequences_may_be_drawn_alternately():
    specs = [small_spec(seed, length=4) for seed in (1, 2)]
    alone = [[f.rgb.copy() for f in render(spec)] for spec in specs]
    for i, frames in enumerate(zip(render(specs[0]), render(specs[1]), strict=True)):
        for which, frame in enumerate(frames):
            np.testing.assert_array_equal(frame.rgb, alone[which][i])


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_random_specs_start_with_a_visible_target(seed):
    frame = render_still(seed, size=SMALL, split=SPLITS[seed % 2])
    x, y, w, h = frame.box
    assert 0 < x + w / 2 < SMALL[0] and 0 < y + h / 2 < SMALL[1]
    assert frame.visible > 0.5


@pytest.mark.parametrize(
    ("look", "target"), [(look, target) for look in LOOKS for target in LOOKS[look].targets]
)
def test_every_target_is_seen_in_every_look_with_boxes_tight_to_its_silhouette(look, target):
    spec = small_spec(5, length=6, split=LOOKS[look].split, look=look, target=target)
    frames = list(render(spec))
    assert len(frames) == 6
    for frame, mask in zip(frames, silhouettes(spec), strict=True):
        assert frame.rgb.shape == (*SMALL[::-1], 3) and frame.rgb.dtype == np.uint8
        assert frame.ir.shape == SMALL[::-1] and frame.ir.dtype == np.uint8
        assert frame.rgb.std() > 8 and frame.ir.std() > 4
        assert min(frame.box[2:]) > 3 and 0 <= frame.visible <= 1
        if mask.any():
            # Whole pixels hold the exact box: up to a pixel more, never less, but for what the
            # drawing itself rounds, a part of a pixel.
            grown = (bounds(mask > 0) - clipped(frame.box)) * (-1, -1, 1, 1)
            assert grown.min() > -0.35 and grown.max() < 1.2


def test_boxes_hold_all_that_the_target_changes_in_the_picture():
    """Against the picture itself: what differs when the target is taken out of the scene."""
    for seed in range(4):
        spec = small_spec(seed, length=20, look="park", target="person")
        with_it, without = Renderer(spec), Renderer(spec)
        stamp = without.stamp
        without.stamp = lambda actor, *rest, gone=without.target, stamp=stamp: (
            None if actor is gone else stamp(actor, *rest)
        )
        for t in (0, 9, 19):
            canvas, box, _ = with_it.draw(t)
            # Temperature alone: the shadow changes colours outside the box.
            changed = np.abs(canvas[..., 3] - without.draw(t)[0][..., 3]) > 2
            error = bounds(changed) - clipped(box)
            assert np.abs(error).max() <= 2.0
            assert 0.25 < changed.sum() / (box[2] * box[3]) <= 1.0
