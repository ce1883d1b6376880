"""Trials: sequences cut short, and modalities that fail in the middle third."""

import pickle

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import write_image
from tracker.data.sequences import load_dataset, load_sequence
from tracker.evaluation.failing import Trial, failing_frames, thinned
from tracker.training.degradation import FAILURES


@pytest.fixture
def dataset(tmp_path, make_scene):
    for seed, name in enumerate("abcdefgh"):
        scene = make_scene(length=9, size=(80, 64), seed=seed)
        for folder, frames in (("color", scene.rgb), ("ir", scene.ir)):
            for number, frame in enumerate(frames, start=1):
                write_image(tmp_path / "data" / name / folder / f"{number:08d}.png", frame)
        np.savetxt(tmp_path / "data" / name / "groundtruth.txt", scene.boxes, "%g", ",")
    return load_dataset(tmp_path / "data")


@pytest.mark.parametrize("frames", [3, 9, 10, 11, 100])
def test_the_middle_third(frames):
    middle = failing_frames(frames)
    assert middle.start == frames - middle.stop == frames // 3


@pytest.mark.parametrize("modality", ["rgb", "ir"])
def test_one_modality_fails_and_nothing_else_changes(dataset, modality):
    trial = Trial(dataset, failing=modality)
    kinds = set()
    for name in trial.names:
        plain, failing = dataset[name], trial[name]
        assert len(failing) == len(plain) == 9
        kinds.add(failing.failure)
        for index in range(9):
            was, now = plain.frame(index), failing.frame(index)
            other = "ir" if modality == "rgb" else "rgb"
            np.testing.assert_array_equal(getattr(now, other), getattr(was, other))
            changed = (getattr(now, modality) != getattr(was, modality)).mean()
            assert changed > 0.5 if 3 <= index < 6 else changed == 0
    assert kinds <= set(FAILURES) and len(kinds) > 2


def test_failures_are_the_same_in_every_process(dataset):
    first = Trial(dataset, failing="ir")
    again = pickle.loads(pickle.dumps(Trial(dataset, failing="ir")))
    for name in "ab":
        np.testing.assert_array_equal(first[name].frame(4).ir, again[name].frame(4).ir)
    assert (first["a"].frame(4).ir != first["a"].frame(5).ir).any()  # noise of each frame


def test_sequences_are_cut_short_before_their_middle_third_fails(dataset):
    trial = Trial(dataset, frames=6, failing="rgb")
    sequence = trial["c"]
    assert len(sequence) == 6 and trial.annotations()["c"][0].shape == (6, 4)
    spoiled = [
        (sequence.frame(i).rgb != dataset["c"].frame(i).rgb).any() for i in range(len(sequence))
    ]
    assert spoiled == [False, False, True, True, False, False]
    assert len(Trial(dataset, frames=50)["c"]) == 9


def test_videos_are_not_cut(tmp_path, make_scene):
    sequence = load_sequence(make_scene(length=4).write_videos(tmp_path))
    with pytest.raises(UserError, match="folders of images"):
        thinned(sequence, 2)


def test_every_third_frame(dataset):
    trial, whole = Trial(dataset, every=3), dataset["d"]
    assert len(trial["d"]) == 3
    np.testing.assert_array_equal(trial.annotations()["d"][0], whole.boxes_rgb[::3])
    for index in range(3):
        np.testing.assert_array_equal(trial["d"].frame(index).ir, whole.frame(3 * index).ir)
    assert len(Trial(dataset, frames=2, every=3)["d"]) == 2
    assert len(Trial(dataset, frames=9, every=3)["d"]) == 3
