"""Specs: splits that share nothing, failures that leave one modality, names that are checked."""

import dataclasses

import pytest

from fusion.base.errors import UserError
from tracker.synthetic import (
    CHALLENGES,
    FAILURE_MODES,
    LOOKS,
    SPLITS,
    SensorFailure,
    challenge_names,
    dataset_specs,
    random_spec,
)
from tracker.synthetic.cameras import failure_mode


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
                failing = [failure_mode(spec, m, t) for m in ("rgb", "ir")]
                assert None in failing
            assert failure_mode(spec, "rgb", 0) is None


def test_wrong_names_are_reported_with_the_right_ones():
    with pytest.raises(UserError, match=r"challenge of split train: 'nigth'.*night"):
        random_spec(0, challenge="nigth")
    with pytest.raises(UserError, match=r"split train: 'alternating'"):
        random_spec(0, challenge="alternating")
    with pytest.raises(UserError, match="look"):
        random_spec(0, look="snow", split="train")
    with pytest.raises(UserError, match="target of look hall"):
        random_spec(0, look="hall", target="car")
    with pytest.raises(UserError, match="split"):
        random_spec(0, split="validation")
    spec = random_spec(0)
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
        SensorFailure("rgb", "dark", 0.0, 0.5)
    with pytest.raises(ValueError, match="washout"):
        SensorFailure("rgb", "washout", 0.1, 0.5)


def test_a_set_goes_through_the_challenges_in_turn():
    names = [spec.challenges for spec in dataset_specs(2 * len(challenge_names("test"))).values()]
    for challenge in challenge_names("test"):
        assert names.count((challenge,)) == 2
    assert set(CHALLENGES) == set(challenge_names("train")) | set(challenge_names("test"))
