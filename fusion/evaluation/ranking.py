"""Rank the methods of a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.stats import rankdata


def ranks(values: Sequence[float], higher_is_better: bool = True) -> list[float]:
    """The rank of each value; 1 is the best. Equal values share the mean of their ranks.

    A missing value (NaN) has the rank NaN and does not change the other ranks.
    """
    column = np.asarray(values, np.float64)
    return rankdata(-column if higher_is_better else column, nan_policy="omit").tolist()


def mean_ranks(values: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Ranks averaged over the columns of a table in which higher values are better.

    Args:
        values: the rows of the table, by name.

    Returns:
        The mean rank of each name, from 1 (best in every column) to the number of names.
    """
    if not values:
        return {}
    columns = zip(*values.values(), strict=True)
    means = np.mean([ranks(column) for column in columns], axis=0)
    return dict(zip(values, means.tolist(), strict=True))
