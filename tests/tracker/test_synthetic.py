"""Procedural sequences: exact boxes, real challenges, no give-away, and files others can read."""

import dataclasses
import functools
import json

import cv2
import numpy as np
import pytest

from fusion.errors import UserError
from fusion.images import read_image
from tracker import synthetic
from tracker.sequences import load_dataset
from tracker.synthetic import (
    CHALLENGES,
    FAILURE_MODES,
    LOOKS,
    SPLITS,
    Failure,
    challenge_names,
    contact_sheet,
    dataset_specs,
    random_spec,
    render,
    render_still,
    silhouettes,
    write_dataset,
    write_sequence,
)

SMALL = (160, 120)


def small_spec(seed, challenge="plain", length=30, **more):
    return random_spec(seed, length=length, size=SMALL, challenge=challenge, **more)


def overlap(a, b):
    w = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    h = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inter = max(0.0, w) * max(0.0, h)
    return inter / (a[2] * a[3] + b[2] * b[3] - inter)


def bounds(mask):
    """(left, top, right, bottom) of the pixels of a mask, right and bottom exclusive."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], float)


def clipped(box, size):
    x, y, w, h = box
    return np.array(
        [max(x, 0), max(y, 0), min(x + w, size[0]), min(y + h, size[1])],
    )


# --- The same seed, the same sequence -------------------------------------------------------------


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


def test_every_look_and_target_renders_in_its_types():
    for name, look in LOOKS.items():
        for kind in look.targets:
            spec = small_spec(7, length=2, split=look.split, look=name, target=kind)
            frames = list(render(spec))
            assert len(frames) == 2
            for frame in frames:
                assert frame.rgb.shape == (120, 160, 3) and frame.rgb.dtype == np.uint8
                assert frame.ir.shape == (120, 160) and frame.ir.dtype == np.uint8
                assert frame.rgb.std() > 8 and frame.ir.std() > 4
                assert min(frame.box[2:]) > 3 and 0 <= frame.visible <= 1


@pytest.mark.parametrize("seed", range(0, 60, 5))
def test_random_specs_start_with_a_visible_target(seed):
    frame = render_still(seed, size=SMALL, split=SPLITS[seed % 2])
    x, y, w, h = frame.box
    assert 0 < x + w / 2 < 160 and 0 < y + h / 2 < 120
    assert frame.visible > 0.5


# --- Boxes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("look", LOOKS)
def test_boxes_are_tight_to_the_silhouette(look):
    for target in LOOKS[look].targets:
        spec = small_spec(5, length=12, split=LOOKS[look].split, look=look, target=target)
        for frame, mask in zip(render(spec), silhouettes(spec), strict=True):
            if mask.any():
                # Whole pixels hold the exact box: up to a pixel more, never less, but for what the
                # drawing itself rounds, a part of a pixel.
                grown = (bounds(mask > 0) - clipped(frame.box, SMALL)) * (-1, -1, 1, 1)
                assert grown.min() > -0.35 and grown.max() < 1.2, (target, grown)


def test_boxes_hold_all_that_the_target_changes_in_the_picture():
    """Against the picture itself: what differs when the target is taken out of the scene."""
    for seed in range(4):
        spec = small_spec(seed, length=20, look="park", target="person")
        with_it, without = synthetic._Renderer(spec), synthetic._Renderer(spec)
        stamp = without._stamp
        without._stamp = lambda actor, *rest, gone=without.target, stamp=stamp: (
            None if actor is gone else stamp(actor, *rest)
        )
        for t in (0, 9, 19):
            canvas, box, _ = with_it.draw(t)
            # Temperature alone: the shadow changes colours outside the box.
            changed = np.abs(canvas[..., 3] - without.draw(t)[0][..., 3]) > 2
            error = bounds(changed) - clipped(box, SMALL)
            assert np.abs(error).max() <= 2.0
            assert 0.25 < changed.sum() / (box[2] * box[3]) <= 1.0


# --- Every challenge does what its name says ------------------------------------------------------


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
        spec = dataclasses.replace(small_spec(seed, length=3, target="person"), **changes)
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
            inside = clipped(frame.box, SMALL)
            if np.allclose(inside[2:] - inside[:2], frame.box[2:]):
                assert frame.visible > 0.9


@pytest.mark.parametrize(("challenge", "same"), [("rgb_twins", "rgb"), ("ir_twins", "ir")])
def test_twins_share_one_modality_and_cross_the_target(challenge, same):
    for seed in range(4):
        spec = small_spec(seed, challenge, length=110, target="person")
        renderer = synthetic._Renderer(spec)
        twins = [a for a in renderer.others[: spec.distractors] if a.kind is renderer.target.kind]
        assert twins
        target = np.array(list(renderer.target.look.paints.values()))
        for twin in twins:
            paints = np.array([twin.look.paints[k] for k in renderer.target.look.paints])
            colour = np.abs(paints[:, :3] - target[:, :3]).mean()
            heat = np.abs(paints[:, 3] - target[:, 3]).max() / 4  # kelvin
            assert (colour < 8) == (same == "rgb")
            assert (heat < 1.5) == (same == "ir")

        def box(actor, t, r=renderer):
            return actor.outline(t, r.place, r.path, r.cameras[t])[1]

        met = [
            any(overlap(box(twin, t), box(renderer.target, t)) > 0.15 for twin in twins)
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


def boxes_of(spec):
    """Ground truth without drawing."""
    r = synthetic._Renderer(spec)
    return [r.target.outline(t, r.place, r.path, r.cameras[t])[1] for t in range(spec.length)]


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
    failing = dataclasses.replace(spec, failures=(Failure(modality, mode, 0.4, 0.7),))
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


# --- No modality gives the answer away, none is enough --------------------------------------------


def test_the_target_is_not_simply_the_hottest_the_brightest_or_the_middle():
    hottest = brightest = coldest = 0
    offsets = []
    specs = [
        random_spec(s, length=3, size=SMALL, split=SPLITS[s % 2], challenge="plain")
        for s in range(24)
    ]
    for spec in specs:
        *_, frame = render(spec)
        x0, y0, x1, y1 = clipped(frame.box, SMALL)
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


class CorrelationTracker:
    """Normalised cross-correlation in a window around the last place, template slowly renewed."""

    def __init__(self, images, box):
        self.box = [round(v) for v in box]
        x, y, w, h = self.box
        self.box[2:] = w, h = max(w, 4), max(h, 4)
        self.box[:2] = x, y = max(x, 0), max(y, 0)
        self.templates = [image[y : y + h, x : x + w].copy() for image in images]

    def track(self, images):
        h, w = self.templates[0].shape[:2]
        x, y = self.box[:2]
        reach = int(0.6 * max(w, h))
        x0, y0 = max(0, x - reach), max(0, y - reach)
        window = (slice(y0, y + h + reach), slice(x0, x + w + reach))
        if images[0][window].shape[0] <= h or images[0][window].shape[1] <= w:
            return self.box
        scores = 0.0
        for image, template in zip(images, self.templates, strict=True):
            score = cv2.matchTemplate(image[window], template, cv2.TM_CCOEFF_NORMED)
            scores = scores + np.where(np.abs(score) <= 1, score, 0)  # undefined where constant
        _, best, _, (i, j) = cv2.minMaxLoc(scores / len(images))
        if best > 0.2:
            self.box = [x0 + i, y0 + j, w, h]
        if best > 0.5:
            for k, image in enumerate(images):
                new = image[y0 + j : y0 + j + h, x0 + i : x0 + i + w]
                self.templates[k] = cv2.addWeighted(self.templates[k], 0.9, new, 0.1, 0)
        return self.box


def held(spec):
    """Mean overlap of the second half for the visible, the thermal and both images."""
    choices = {"rgb": lambda f: (f.rgb,), "ir": lambda f: (f.ir,), "both": lambda f: (f.rgb, f.ir)}
    trackers, overlaps = {}, {name: [] for name in choices}
    for t, frame in enumerate(render(spec)):
        for name, of in choices.items():
            if t == 0:
                trackers[name] = CorrelationTracker(of(frame), frame.box)
            elif t > spec.length / 2:
                overlaps[name].append(overlap(trackers[name].track(of(frame)), frame.box))
            else:
                trackers[name].track(of(frame))
    return {name: np.mean(values) for name, values in overlaps.items()}


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


# --- Splits and names -----------------------------------------------------------------------------


def test_splits_share_no_look_and_no_failure_mode_and_each_holds_challenges_back():
    looks = {split: {n for n, place in LOOKS.items() if place.split == split} for split in SPLITS}
    assert looks["train"] and looks["test"] and not looks["train"] & looks["test"]
    for modality in ("rgb", "ir"):
        train, test = (set(FAILURE_MODES[modality, split]) for split in SPLITS)
        assert not train & test
    assert set(challenge_names("test")) - set(challenge_names("train"))
    for seed in range(40):
        for split in SPLITS:
            spec = random_spec(seed, split=split)
            assert spec.look in looks[split]
            assert set(spec.challenges) <= set(challenge_names(split))
            for failure in spec.failures:
                assert failure.mode in FAILURE_MODES[failure.modality, split]


def test_failures_never_take_both_modalities_at_once():
    for seed in range(30):
        for challenge in ("alternating", ("rgb_failure", "ir_failure")):
            spec = random_spec(seed, split="test", challenge=challenge, length=200)
            assert spec.failures
            for t in range(200):
                failing = [synthetic._failing(spec, m, t) for m in ("rgb", "ir")]
                assert None in failing
            assert synthetic._failing(spec, "rgb", 0) is None


def test_wrong_names_are_reported_with_the_right_ones():
    with pytest.raises(UserError, match=r"no challenge of split train called 'nigth'.*night"):
        random_spec(0, challenge="nigth")
    with pytest.raises(UserError, match=r"split train called 'alternating'"):
        random_spec(0, challenge="alternating")
    with pytest.raises(UserError, match="look"):
        random_spec(0, look="snow", split="train")
    with pytest.raises(UserError, match="target of look hall"):
        random_spec(0, look="hall", target="car")
    with pytest.raises(UserError, match="split"):
        random_spec(0, split="validation")
    spec = small_spec(0)
    for wrong in (
        {"look": "moon"},
        {"target": "cat"},
        {"size": (20, 20)},
        {"length": 0},
        {"twins": "x"},
    ):
        with pytest.raises(ValueError):
            dataclasses.replace(spec, **wrong)
    with pytest.raises(ValueError, match="start"):
        Failure("rgb", "dark", 0.0, 0.5)
    with pytest.raises(ValueError, match="washout"):
        Failure("rgb", "washout", 0.1, 0.5)


def test_a_set_goes_through_the_challenges_in_turn():
    names = [spec.challenges for spec in dataset_specs(2 * len(challenge_names("test"))).values()]
    for challenge in challenge_names("test"):
        assert names.count((challenge,)) == 2
    assert set(CHALLENGES) == set(challenge_names("train")) | set(challenge_names("test"))


# --- On disk --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequences")
    write_dataset(
        root, count=2, length=9, seed=5, size=SMALL, challenges=("full_occlusion", "rgb_failure")
    )
    return root


def test_written_sequences_are_complete(written):
    names = (written / "list.txt").read_text().split()
    assert names == ["test_000_full_occlusion", "test_001_rgb_failure"]
    assert sorted(p.name for p in written.iterdir()) == sorted([*names, "list.txt"])
    for name, spec in zip(names, specs_of(written), strict=True):
        folder = written / name
        frames = list(render(spec))
        expected = [f"{i:08d}.jpg" for i in range(1, 10)]
        for channel in ("color", "ir"):
            assert sorted(p.name for p in (folder / channel).iterdir()) == expected
        rows = [tuple(map(float, r.split(","))) for r in (folder / "groundtruth.txt").open()]
        assert rows == [frame.box for frame in frames]
        visible = [float(v) for v in (folder / "visibility.value").open()]
        assert visible == [frame.visible for frame in frames]
        for path in [*folder.glob("*.tag"), *folder.glob("*.value")]:
            assert len(path.read_text().split()) == 9
        colour, thermal = (
            read_image(folder / "color/00000004.jpg"),
            read_image(folder / "ir/00000004.jpg"),
        )
        assert thermal.ndim == 2
        assert np.abs(colour.astype(int) - frames[3].rgb).mean() < 6
        assert np.abs(thermal.astype(int) - frames[3].ir).mean() < 6
    tags = (written / names[1] / "rgb_failure.tag").read_text().split()
    failing = [synthetic._failing(specs_of(written)[1], "rgb", t) for t in range(9)]
    assert tags == [str(int(mode is not None)) for mode in failing] and "1" in tags


def specs_of(root):
    """Specs as the records beside the frames say."""
    specs = []
    for name in (root / "list.txt").read_text().split():
        values = json.loads((root / name / "spec.json").read_text())
        values["failures"] = tuple(Failure(**f) for f in values["failures"])
        for key in ("size", "challenges"):
            values[key] = tuple(values[key])
        specs.append(synthetic.SequenceSpec(**values))
    return specs


def test_the_vot_toolkit_reads_them(written):
    from vot.dataset import common

    for name, spec in zip(common.list_sequences(str(written)), specs_of(written), strict=True):
        sequence = common.read_sequence(str(written / name))
        assert len(sequence) == 9 and tuple(sequence.size) == SMALL
        assert set(sequence.channels()) == {"color", "ir"}
        boxes = [frame.box for frame in render(spec)]
        for t in range(9):
            region = sequence.groundtruth(t)
            found = (region.x, region.y, region.width, region.height)
            np.testing.assert_allclose(found, boxes[t], atol=1e-4)
        frame = sequence.frame(3)
        assert frame.channel("color").shape == (120, 160, 3)
        assert frame.channel("ir").shape[:2] == (120, 160)
        assert sequence.values(0)["anchor"] == 1
        assert 0 <= sequence.values(4)["visibility"] <= 1
        assert "rgb_failure" in sequence.tags()


def test_our_own_reader_reads_them(written):
    found, errors = load_dataset(written).load()
    assert not errors and [s.name for s in found] == [
        "test_000_full_occlusion",
        "test_001_rgb_failure",
    ]
    for sequence, spec in zip(found, specs_of(written), strict=True):
        assert not sequence.problems
        boxes = [frame.box for frame in render(spec)]
        np.testing.assert_allclose(sequence.boxes_rgb, boxes, atol=1e-9)
        np.testing.assert_allclose(sequence.boxes_ir, boxes, atol=1e-9)


def test_writing_again_keeps_what_is_complete_and_goes_on(written, monkeypatch):
    before = {p: p.stat().st_mtime_ns for p in written.rglob("*.jpg")}
    challenges = ("full_occlusion", "rgb_failure", "night")
    options = {"length": 9, "seed": 5, "size": SMALL}
    specs = dataset_specs(3, challenges=challenges, **options)
    monkeypatch.setattr(synthetic, "dataset_specs", lambda *a, **k: specs)
    write_dataset(written, count=3, challenges=challenges, **options)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len((written / "list.txt").read_text().split()) == 3
    # leave the folder as the other tests know it
    (written / "list.txt").write_text("".join(f"{name}\n" for name in list(specs)[:2]))
    for path in sorted((written / list(specs)[2]).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (written / list(specs)[2]).rmdir()


def test_an_interruption_leaves_no_half_sequence(tmp_path, monkeypatch):
    def broken(path, image, write=synthetic.write_image):
        if path.name == "00000003.jpg":
            raise KeyboardInterrupt
        write(path, image)

    monkeypatch.setattr(synthetic, "write_image", broken)
    with pytest.raises(KeyboardInterrupt):
        write_sequence(small_spec(0, length=5), tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_another_sequence_in_the_way_is_not_overwritten(tmp_path):
    write_sequence(small_spec(0, length=2), tmp_path / "one")
    with pytest.raises(UserError, match=r"one: holds another sequence"):
        write_sequence(small_spec(1, length=2), tmp_path / "one")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file: holds another sequence"):
        write_sequence(small_spec(0, length=2), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_anchors_start_where_the_target_can_be_seen():
    good = [True] * 200
    for t in (0, 1, 50, 51, 199):
        good[t] = False
    anchors = np.array(synthetic._anchors(good))
    assert set(np.flatnonzero(anchors)) == {2, 49, 100, 150, 198}
    assert [anchors[t] for t in (2, 49, 100, 150, 198)] == [1, 1, -1, -1, -1]
    assert synthetic._anchors([True]) == [1]


def test_a_contact_sheet_shows_both_modalities_of_each(tmp_path):
    specs = [small_spec(seed, length=4) for seed in range(3)]
    sheet = contact_sheet(specs, columns=2)
    assert sheet.ndim == 3 and sheet.shape[1] > 2 * 2 * 160
    green = np.all(np.abs(sheet.astype(int) - (60, 255, 60)) < 3, axis=2)
    assert green.sum() > 3 * 2 * 20
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
