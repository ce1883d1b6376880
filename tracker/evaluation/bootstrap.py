"""Paired bootstrap intervals of differences between trackers, over sequences and seeds.

Sequences differ far more from each other than trackers do, so that the difference of two means has
to be judged sequence by sequence. Training again with another seed changes a tracker too. Both are
samples of what could have been: each replicate draws sequences with replacement, and seeds with
replacement, and takes the mean difference over what it drew (a crossed two-way bootstrap).
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """The mean difference of two trackers, with a percentile interval.

    Attributes:
        mean: positive if the first is better.
        low, high: ends of the interval.
        above: share of replicates above 0.
    """

    mean: float
    low: float
    high: float
    above: float

    @property
    def verdict(self) -> str:
        """``+`` or ``-`` if the interval excludes 0, else ``=``."""
        return "+" if self.low > 0 else "-" if self.high < 0 else "="


def paired_difference(
    first: np.ndarray,
    second: np.ndarray,
    level: float = 0.95,
    replicates: int = 10_000,
    seed: int = 0,
) -> Difference:
    """Compare two trackers on the same sequences.

    Args:
        first, second: ``(S, Q)``, a figure by seed and sequence; a tracker without training, whose
            seeds would all be the same, has one row. Row k of both was trained on the same data in
            the same order.
        level: of the interval.
        replicates: number of draws.
        seed: of the draws.

    Raises:
        ValueError: the sequences differ in number; or both have several seeds, but not equally
            many.
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    if first.shape[1] != second.shape[1] or not first.size or not second.size:
        raise ValueError(f"figures of the same sequences are needed: {first.shape}, {second.shape}")
    if len(first) != len(second) and 1 not in (len(first), len(second)):
        raise ValueError(f"different numbers of seeds: {len(first)} and {len(second)}")
    difference = first - second
    seeds, sequences = difference.shape
    rng = np.random.default_rng(seed)
    # Drawing n of n with replacement is a multinomial count of each.
    of_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), replicates) / seeds
    of_sequence = rng.multinomial(sequences, np.full(sequences, 1 / sequences), replicates)
    means = np.einsum("rs,sq,rq->r", of_seed, difference, of_sequence / sequences)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Difference(float(difference.mean()), float(low), float(high), float((means > 0).mean()))
