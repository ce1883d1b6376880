"""Ranks of methods in a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata


def ranks(values: Sequence[float], higher_is_better: bool = True) -> list[float]:
    """Rank of each value, from 1 for the best; equal values share the mean of theirs.

    A value that is missing (NaN) has none (NaN) and does not move the others.
    """
    column = np.asarray(values, np.float64)
    return rankdata(-column if higher_is_better else column, nan_policy="omit").tolist()


def mean_ranks(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Ranks averaged over columns of values, the higher the better.

    Args:
        values: a row of the table by name.

    Returns:
        For each name 1 (best everywhere) to the number of names.
    """
    if not values:
        return {}
    columns = zip(*values.values(), strict=True)
    means = np.mean([ranks(column) for column in columns], axis=0)
    return dict(zip(values, means.tolist(), strict=True))
