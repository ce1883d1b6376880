"""Paired bootstrap: against a program that draws one by one, and a known variance."""

import numpy as np
import pytest

from tracker.evaluation.bootstrap import paired_difference


def one_by_one(first, second, level, replicates, seed):
    """The interval by drawing seeds and sequences, one after another, and taking plain means."""
    rng = np.random.default_rng(seed)
    seeds, sequences = first.shape
    means = []
    for _ in range(replicates):
        rows = rng.integers(0, seeds, seeds)
        columns = rng.integers(0, sequences, sequences)
        # The same draws for both: that is what makes it paired.
        mine = np.mean([first[row, column] for row in rows for column in columns])
        other = np.mean([second[row, column] for row in rows for column in columns])
        means.append(mine - other)
    tail = 100 * (1 - level) / 2
    return (
        np.percentile(means, tail),
        np.percentile(means, 100 - tail),
        np.mean(np.array(means) > 0),
    )


@pytest.mark.parametrize("level", [0.95, 0.8])
def test_intervals_are_those_of_an_independent_program(rng, level):
    hard = rng.uniform(0.2, 0.9, 12)  # sequences differ far more than trackers
    second = hard + rng.normal(0, 0.03, (3, 12))
    first = hard + 0.01 + rng.normal(0, 0.03, (3, 12))
    found = paired_difference(first, second, level, replicates=20_000)
    low, high, above = one_by_one(first, second, level, 6000, seed=7)
    width = high - low
    assert found.mean == pytest.approx((first - second).mean(), abs=1e-12)
    assert found.low == pytest.approx(low, abs=0.05 * width)
    assert found.high == pytest.approx(high, abs=0.05 * width)
    assert found.above == pytest.approx(above, abs=0.02)


def test_the_variance_is_that_of_two_way_data(rng):
    """Of effects a of seeds and b of sequences, drawn independently: var a / S + var b / Q."""
    a, b = rng.normal(0, 0.05, 5), rng.normal(0, 0.2, 40)
    found = paired_difference(a[:, None] + b, np.zeros((1, 40)), 0.6827, replicates=40_000)
    deviation = np.sqrt(a.var() / 5 + b.var() / 40)
    assert (found.high - found.low) / 2 == pytest.approx(deviation, rel=0.04)


def test_pairing_removes_what_sequences_have_in_common(rng):
    hard = rng.uniform(0, 1, 30)
    found = paired_difference(hard + 0.02, hard)
    assert found.low == pytest.approx(0.02) and found.high == pytest.approx(0.02)
    assert found.verdict == "+" and paired_difference(hard, hard + 0.02).verdict == "-"
    alone = paired_difference(rng.permutation(hard) + 0.02, hard)
    assert alone.high - alone.low > 0.1 and alone.verdict == "="


def test_a_tracker_without_training_is_compared_with_every_seed():
    seeds = np.array([[0.4, 0.6], [0.6, 0.8]])
    found = paired_difference(seeds, np.array([0.5, 0.5]))
    assert found.mean == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((-0.1, 0.3))


@pytest.mark.parametrize("shapes", [((3, 4), (3, 5)), ((2, 4), (3, 4)), ((1, 0), (1, 0))])
def test_what_cannot_be_paired_is_refused(shapes):
    with pytest.raises(ValueError, match=r"sequences|seeds"):
        paired_difference(*(np.zeros(shape) for shape in shapes))
