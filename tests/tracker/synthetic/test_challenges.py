"""Every challenge has the effect of its name, and no modality makes it trivial."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest

from tracker.data.boxes import box_iou, clip_box, xywh_to_xyxy
from tracker.evaluation.baselines.correlation import CorrelationTracker
from tracker.synthetic import FAILURE_MODES, SPLITS, SensorFailure, random_spec, render
from tracker.synthetic.rendering import Renderer

SMALL = (96, 72)


def small_spec(seed, challenge="plain", length=30, **more):
    return random_spec(seed, length=length, size=SMALL, challenge=challenge, **more)


def clipped(box, size=SMALL):
    """(left, top, right, bottom) of the part of a box inside the frame."""
    return xywh_to_xyxy(clip_box(box, *size))


def boxes_of(spec):
    """Ground truth without drawing."""
    r = Renderer(spec)
    return [r.target.outline(t, r.place, r.path, r.cameras[t])[1] for t in range(spec.length)]


def contrast(image, box):
    """Difference of the mean grey level in the middle of a box and around it."""
    image = image if image.ndim == 2 else image @ np.float32([0.299, 0.587, 0.114])
    x0, y0, x1, y1 = clipped(box, image.shape[::-1]).astype(int)
    w, h = x1 - x0, y1 - y0
    inner = image[y0 + h // 5 : y1 - h // 5, x0 + w // 4 : x1 - w // 4].astype(float)
    ring = image[max(0, y0 - h // 4) : y1 + h // 4, max(0, x0 - w // 2) : x1 + w // 2].astype(float)
    return abs(inner.mean() - ring.mean())


@functools.cache
def contrasts(**changes):
    """Mean contrast of the target over some sequences, (visible, thermal)."""
    values = []
    for seed in range(5):
        # Large enough for the middle of a person to be clear of the edges.
        spec = random_spec(seed, length=3, size=(160, 120), challenge="plain", target="person")
        spec = dataclasses.replace(spec, **changes)
        for frame in render(spec):
            values.append((contrast(frame.rgb, frame.box), contrast(frame.ir, frame.box)))
    return np.mean(values, axis=0)


def test_night_takes_visible_contrast_and_leaves_the_thermal_image():
    visible, thermal = contrasts(night=0.95) / contrasts()
    assert visible < 0.35 and thermal > 0.5


def test_crossover_takes_thermal_contrast_and_leaves_the_visible_image():
    visible, thermal = contrasts(crossover=0.98) / contrasts()
    assert thermal < 0.4 and visible == 1


def test_camouflage_takes_visible_contrast_and_leaves_the_thermal_image():
    visible, thermal = contrasts(camouflage=0.95) / contrasts()
    assert visible < 0.6 and thermal == 1


def test_fog_takes_more_from_the_visible_image():
    visible, thermal = contrasts(fog=1.6) / contrasts()
    assert visible < 0.5 and visible < 0.75 * thermal


def high_frequencies(image):
    return np.abs(cv2.Laplacian(image, cv2.CV_32F)).mean()


def test_noise_and_drift_show():
    spec = small_spec(2, length=8)
    last = {}
    changes = {
        "plain": {},
        "noise": {"rgb_noise": 20.0, "ir_noise": 1.2},
        "drift": {"drift": 8.0},
    }
    for name, change in changes.items():
        *_, last[name] = render(dataclasses.replace(spec, **change))
    assert high_frequencies(last["noise"].rgb) > 2 * high_frequencies(last["plain"].rgb)
    assert high_frequencies(last["noise"].ir) > 2 * high_frequencies(last["plain"].ir)
    np.testing.assert_array_equal(last["drift"].rgb, last["plain"].rgb)

    def shading(image):  # what is left after all that is small has been averaged away
        return cv2.GaussianBlur(image.astype(np.float32), (0, 0), 25)

    change = shading(last["drift"].ir) - shading(last["plain"].ir)
    assert change.std() > 8


def test_a_long_exposure_blurs_what_moves_in_the_visible_image():
    detail = {}
    for exposure in (0.01, 1.0):
        values = []
        for seed in range(3):
            spec = small_spec(seed, length=10, look="street")
            spec = dataclasses.replace(spec, exposure=exposure, shake=8.0, rgb_noise=0.0)
            values += [high_frequencies(frame.rgb) for frame in render(spec)]
        detail[exposure] = np.mean(values)
    assert detail[1.0] < 0.8 * detail[0.01]


def visible_shares(challenge, seed, **more):
    return np.array([f.visible for f in render(small_spec(seed, challenge, length=60, **more))])


def test_full_occlusion_hides_the_target_and_lets_it_go():
    hidden = 0
    for seed in range(4):
        shares = visible_shares("full_occlusion", seed, target="person")
        assert shares[0] > 0.85
        hidden += shares.min() < 0.05
    assert hidden >= 3


def test_partial_occlusion_leaves_something():
    lowest = [visible_shares("occlusion", seed, target="person").min() for seed in range(4)]
    assert sum(0.05 < low < 0.9 for low in lowest) >= 3


def test_plain_sequences_hide_nothing():
    for seed in range(3):
        spec = small_spec(seed, length=30)
        for frame in render(spec):
            inside = clipped(frame.box)
            if np.allclose(inside[2:] - inside[:2], frame.box[2:]):
                assert frame.visible > 0.9


@pytest.mark.parametrize(("challenge", "same"), [("rgb_twins", "rgb"), ("ir_twins", "ir")])
def test_twins_share_one_modality_and_cross_the_target(challenge, same):
    for seed in range(4):
        spec = small_spec(seed, challenge, length=110, target="person")
        renderer = Renderer(spec)
        twins = [a for a in renderer.others[: spec.distractors] if a.kind is renderer.target.kind]
        assert twins
        own = renderer.target.individual.paints
        target = np.array(list(own.values()))
        for twin in twins:
            paints = np.array(
                [twin.individual.paints[k] for k in renderer.target.individual.paints]
            )
            colour = np.abs(paints[:, :3] - target[:, :3]).mean()
            heat = np.abs(paints[:, 3] - target[:, 3]).max() / 4  # kelvin
            assert (colour < 8) == (same == "rgb")
            assert (heat < 1.5) == (same == "ir")

        def box(actor, t, r=renderer):
            return actor.outline(t, r.place, r.path, r.cameras[t])[1]

        met = [
            any(box_iou(box(twin, t), box(renderer.target, t)) > 0.15 for twin in twins)
            for t in range(0, spec.length, 2)
        ]
        assert any(met) and not met[0]


@pytest.mark.parametrize("asked", [1.0, 1.3, 2.5])
def test_the_apparent_size_changes_as_much_as_asked_for(asked):
    for seed in range(5):
        spec = dataclasses.replace(
            small_spec(seed, length=100, target="person"), scale_change=asked
        )
        heights = np.array([box[3] for box in boxes_of(spec)])
        # Strides and nearness to the camera change a walker's height by themselves.
        assert heights.max() / heights.min() == pytest.approx(asked, rel=0.2)


def test_fast_targets_move_far_between_frames():
    def jump(challenge):
        steps = []
        for seed in range(4):
            b = np.array(boxes_of(small_spec(seed, challenge, target="person")))
            centre = b[:, :2] + b[:, 2:] / 2
            steps.append(
                np.median(np.hypot(*np.diff(centre, axis=0).T) / np.sqrt(b[1:, 2] * b[1:, 3]))
            )
        return np.mean(steps)

    assert jump("fast") > 1.8 * jump("plain")


@pytest.mark.parametrize(
    ("modality", "mode"), sorted({(m, f) for (m, _), names in FAILURE_MODES.items() for f in names})
)
def test_failures_take_away_one_modality_for_a_stretch(modality, mode):
    spec = small_spec(1, length=10)
    failing = dataclasses.replace(spec, failures=(SensorFailure(modality, mode, 0.4, 0.7),))
    other = {"rgb": "ir", "ir": "rgb"}[modality]
    good = list(render(spec))
    for t, frame in enumerate(render(failing)):
        image, untouched = getattr(frame, modality), getattr(good[t], modality)
        np.testing.assert_array_equal(getattr(frame, other), getattr(good[t], other))
        if t < 4:
            np.testing.assert_array_equal(image, untouched)
        elif t < 7:
            if mode == "frozen":
                np.testing.assert_array_equal(image, getattr(good[3], modality))
            else:
                constant = image.std() == 0
                assert constant or abs(np.corrcoef(image.ravel(), untouched.ravel())[0, 1]) < 0.6


def test_the_target_is_not_simply_the_hottest_the_brightest_or_the_middle():
    hottest = brightest = coldest = 0
    offsets = []
    specs = [
        random_spec(s, length=3, size=SMALL, split=SPLITS[s % 2], challenge="plain")
        for s in range(24)
    ]
    for spec in specs:
        *_, frame = render(spec)
        x0, y0, x1, y1 = clipped(frame.box)
        for image, sign in ((frame.ir, 1), (frame.rgb.mean(2), 1), (frame.ir, -1)):
            smooth = cv2.GaussianBlur(sign * image.astype(np.float32), (0, 0), 2)
            y, x = np.unravel_index(smooth.argmax(), smooth.shape)
            inside = x0 <= x < x1 and y0 <= y < y1
            if image is frame.ir and sign > 0:
                hottest += inside
            elif sign > 0:
                brightest += inside
            else:
                coldest += inside
    for spec in specs[::5]:
        b = np.array(boxes_of(dataclasses.replace(spec, length=60)))
        offsets.extend((b[:, 0] + b[:, 2] / 2) / SMALL[0] - 0.5)
    assert hottest < 0.7 * len(specs)
    assert brightest < 0.3 * len(specs) and coldest < 0.3 * len(specs)
    assert np.std(offsets) > 0.06 and np.mean(np.abs(offsets) > 0.1) > 0.2


def held(spec):
    """Mean overlap of the second half for the visible, the thermal and both images."""
    trackers = {
        "rgb": CorrelationTracker(("rgb",)),
        "ir": CorrelationTracker(("ir",)),
        "both": CorrelationTracker(),
    }
    frames = list(render(spec))
    boxes = {name: [] for name in trackers}
    for name, tracker in trackers.items():
        tracker.init(frames[0].rgb, frames[0].ir, frames[0].box)
        boxes[name] = [tracker.track(frame.rgb, frame.ir)[0] for frame in frames[1:]]
    half = spec.length // 2
    truth = [frame.box for frame in frames[half:]]
    return {name: box_iou(found[half - 1 :], truth).mean() for name, found in boxes.items()}


def test_neither_modality_alone_is_enough():
    cases = {"night": [], "camouflage": [], "crossover": [], "plain": []}
    for challenge, results in cases.items():
        for seed in (1, 2, 3):
            results.append(held(small_spec(seed, challenge, length=40, target="person")))
    mean = {c: {k: np.mean([r[k] for r in rows]) for k in rows[0]} for c, rows in cases.items()}
    for dark in ("night", "camouflage"):
        assert mean[dark]["ir"] > mean[dark]["rgb"] + 0.1, mean
    assert mean["crossover"]["rgb"] > mean["crossover"]["ir"] + 0.1, mean
    every = [r for rows in cases.values() for r in rows]
    assert sum(r["rgb"] < 0.2 and r["ir"] > 0.35 for r in every) >= 2
    assert sum(r["ir"] < 0.2 and r["rgb"] > 0.35 for r in every) >= 1
