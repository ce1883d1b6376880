"""The benchmark: both sides compute the same. What each costs is for `tracker bench` to say."""

import pytest

from fusion.errors import UserError
from tracker.bench import PlainNetwork, bench, report
from tracker.network import build


def test_both_sides_respond_alike():
    result = bench("compact_dfat", rounds=2, frame_size=(160, 120))
    assert result["difference"] < 1e-4
    assert result["ratio"] == result["ours"] / result["published"] > 0
    text = report(result)
    assert "compact_dfat on cpu, 1 threads" in text and f"{result['ratio']:.2f} of it" in text


def test_what_cannot_be_compared():
    with pytest.raises(UserError, match="name one of dfat, compact_dfat"):
        bench("dfat_llrr")
    with pytest.raises(UserError, match="at least 1"):
        bench("dfat", rounds=0)
    with pytest.raises(ValueError, match="branches rgb and ir"):
        PlainNetwork(build("compact_rgb"))
