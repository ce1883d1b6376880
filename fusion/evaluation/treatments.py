"""Judge what a treatment of training does to networks: mean ranks of treated against plain.

The rule: candidates are the plain images of all networks, and those of the networks that were
trained under the treatment. In each of the columns `LEDGER`, candidates are ranked by their means
over the pairs, 1 for the best (`fusion.evaluation.comparison.Comparison.ranks`). A candidate's mean
rank is the mean over the columns. A network gains if its treated images have a smaller mean rank
than its plain ones; the gain is even if that also holds without any single one of the columns. What
other treatments do has no effect on it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fusion.evaluation.comparison import Comparison

__all__ = ["LEDGER", "Judgement", "judge"]

#: The columns of the ledger's tables, by their names in the convention ``lrrnet``.
LEDGER = ("en", "sd_sqrt_n", "ssim", "vif", "nabf", "qabf", "scd", "mi", "sf", "ag")


@dataclass(frozen=True)
class Judgement:
    """A network's plain and treated images among the candidates.

    Attributes:
        plain, treated: ranks by column.
    """

    plain: Mapping[str, float]
    treated: Mapping[str, float]

    @property
    def gains(self) -> dict[str, float]:
        """By column, by how many ranks the treated images are better."""
        return {name: rank - self.treated[name] for name, rank in self.plain.items()}

    @property
    def plain_rank(self) -> float:
        """Mean rank of the plain images."""
        return float(np.mean(list(self.plain.values())))

    @property
    def treated_rank(self) -> float:
        """Mean rank of the treated images."""
        return float(np.mean(list(self.treated.values())))

    @property
    def gain(self) -> float:
        """By how much the mean rank of the treated images is better."""
        return self.plain_rank - self.treated_rank

    @property
    def better(self) -> list[str]:
        """The columns in which the treated images are better."""
        return [name for name, gain in self.gains.items() if gain > 0]

    @property
    def least(self) -> float:
        """The gain without the column that contributes most to it."""
        gains = sorted(self.gains.values())
        return float(np.mean(gains[:-1])) if len(gains) > 1 else 0.0


def judge(
    comparison: Comparison, plain: Mapping[str, str], treated: Mapping[str, str]
) -> dict[str, Judgement]:
    """Apply the rule of this module.

    Args:
        comparison: values of all methods.
        plain, treated: a network's method in the comparison, by the network; each network in
            ``treated`` is in ``plain``.

    Returns:
        A judgement for each network in ``treated``.
    """
    methods: Sequence[str] = [*plain.values(), *treated.values()]
    values = {method: comparison.values[method] for method in methods}
    ranks = Comparison(comparison.metrics, values, []).ranks()
    columns = [metric.name for metric in comparison.metrics]
    return {
        network: Judgement(
            {name: ranks[plain[network]][name] for name in columns},
            {name: ranks[method][name] for name in columns},
        )
        for network, method in treated.items()
    }
