"""The rule by which plain and treated networks are compared."""

import pytest

from fusion.evaluation.comparison import Comparison
from fusion.evaluation.metrics import create_all
from fusion.evaluation.treatments import LEDGER, Judgement, judge


def comparison(**values):
    """Methods with the same value in two pairs for En, SSIM and Nabf, of which less is better."""
    metrics = create_all(("en", "ssim", "nabf"))
    names = [metric.name for metric in metrics]
    rows = {m: dict(zip(names, v, strict=True)) for m, v in values.items()}
    return Comparison(metrics, {m: {"1": row, "2": row} for m, row in rows.items()}, [])


def test_the_columns_are_those_of_the_ledger():
    assert [metric.name for metric in create_all(LEDGER)] == list(LEDGER)
    assert len(LEDGER) == 10


def test_ranks_are_among_plain_networks_and_those_treated_alike():
    values = {"a": (5, 0.5, 0.2), "b": (4, 0.4, 0.1), "a2": (6, 0.3, 0.3), "b2": (7, 0.7, 0.05)}
    # A treatment that is not judged changes nothing.
    table = comparison(**values, other=(9, 0.9, 0.0))
    plain, treated = {"a": "a", "b": "b"}, {"a": "a2", "b": "b2"}
    found = judge(table, plain, treated)
    # By column, a: ranks 3, 2, 3 and treated 2, 4, 4; b: 4, 3, 2 and treated 1, 1, 1.
    assert found["a"].plain == {"en": 3, "ssim": 2, "nabf": 3}
    assert found["a"].treated == {"en": 2, "ssim": 4, "nabf": 4}
    assert found["a"].gain == pytest.approx((1 - 2 - 1) / 3)
    assert found["a"].better == ["en"]
    assert found["b"].plain_rank == 3 and found["b"].treated_rank == 1
    assert found["b"].least == pytest.approx((2 + 1) / 2)
    only_a = judge(table, plain, {"a": "a2"})
    assert only_a.keys() == {"a"} and only_a["a"].plain == {"en": 2, "ssim": 1, "nabf": 2}


def test_a_gain_in_one_column_alone_is_not_even():
    judged = Judgement({"en": 5, "ssim": 2, "nabf": 2}, {"en": 1, "ssim": 2, "nabf": 3})
    assert judged.gain == 1 and judged.least == pytest.approx(-0.5)
