"""Ranks: counted pair by pair, ties, missing values."""

import numpy as np
import pytest

from fusion.evaluation.ranking import mean_ranks, ranks


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_ranks_count_who_is_ahead(rng, higher_is_better):
    values = rng.integers(0, 5, 12).astype(float)  # with ties
    better = np.greater if higher_is_better else np.less
    for value, rank in zip(values, ranks(values.tolist(), higher_is_better), strict=True):
        ahead, equal = better(values, value).sum(), (values == value).sum()
        assert rank == ahead + (equal + 1) / 2


def test_a_missing_value_has_no_rank():
    found = ranks([3.0, float("nan"), 5.0])
    assert found[0] == 2 and np.isnan(found[1]) and found[2] == 1


def test_mean_ranks_average_over_columns():
    assert mean_ranks({"a": [1.0, 9.0], "b": [2.0, 8.0], "c": [3.0, 8.0]}) == {
        "a": 2.0,
        "b": 2.25,
        "c": 1.75,
    }
    assert mean_ranks({}) == {}
