"""Pairs of frames as they arrive, against a rule that knows all of them."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusion.images.timing import REACH
from fusion.live.pairing import KEPT, Pairer

QUIET = settings(max_examples=60, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Moment:
    time: float


def rule(ir, vis, reach):
    """The infrared time of each visible time, by looking at all distances: the nearest one, of
    equally near ones (to a millisecond) the earlier one; None beyond the reach."""
    found = {}
    for time in vis:
        distances = [abs(time - other) for other in ir]
        least = min(distances, default=np.inf)
        if distances:
            choice = next(i for i, d in enumerate(distances) if d <= least + 0.001)
            found[time] = ir[choice] if distances[choice] <= reach else None
        else:
            found[time] = None
    return found


def run(pairer, arrivals, missing=frozenset(), step=0.004, after=1.0):
    """All pairs of frames ``(arrival, side, time)``, asked for in short steps."""
    arrivals = sorted(arrivals)
    pairs, now, place = [], 0.0, 0
    while now < arrivals[-1][0] + after:
        while place < len(arrivals) and arrivals[place][0] <= now:
            _, side, time = arrivals[place]
            pairer.add(side, Moment(time), now)
            place += 1
        pairs += pairer.decided(now, missing)
        now += step
    return [(pair.ir and pair.ir.time, pair.vis and pair.vis.time) for pair in pairs]


@st.composite
def cameras(draw):
    """Frame times of two cameras with constant intervals, any phases and lost frames."""
    times = {}
    intervals = {}
    for side in ("ir", "vis"):
        interval = draw(st.sampled_from([1 / 9, 0.04, 1 / 30, 1 / 60]))
        phase = draw(st.floats(0.1, 0.3))
        kept = draw(st.lists(st.sampled_from([True, True, True, False]), min_size=4, max_size=40))
        times[side] = [phase + k * interval for k, is_kept in enumerate(kept) if is_kept]
        intervals[side] = interval
    return times, intervals


@QUIET
@given(cameras())
def test_frames_that_arrive_at_once_pair_by_the_rule(drawn):
    times, intervals = drawn
    pairer = Pairer(intervals["ir"], intervals["vis"])
    arrivals = [(time, side, time) for side, all_times in times.items() for time in all_times]
    if not arrivals:
        return
    found = run(pairer, arrivals)
    reach = REACH * max(intervals.values())
    # The steps of `run` are the precision of what is known when.
    expected = rule(times["ir"], times["vis"], reach)
    assert [vis for _, vis in found] == sorted(vis for _, vis in found)
    for ir, vis in found:
        assert ir == expected[vis]
    left_out = set(times["vis"]) - {vis for _, vis in found}
    assert all(expected[vis] is None for vis in left_out)
    assert pairer.unpaired == len(left_out)


@QUIET
@given(cameras(), st.randoms(use_true_random=False), st.floats(0, 0.2))
def test_late_frames_never_pair_beyond_the_reach(drawn, random, late):
    times, intervals = drawn
    pairer = Pairer(intervals["ir"], intervals["vis"])
    arrivals = []
    for side, all_times in times.items():
        latest = 0.0
        for time in all_times:
            latest = max(latest, time + random.uniform(0, late))
            arrivals.append((latest, side, time))
    if not arrivals:
        return
    found = run(pairer, arrivals)
    reach = REACH * max(intervals.values()) + 1e-9
    assert all(abs(ir - vis) <= reach for ir, vis in found)
    vis_times = [vis for _, vis in found]
    assert vis_times == sorted(set(vis_times))
    assert len(found) + pairer.unpaired == len(times["vis"])


@pytest.mark.parametrize("seed", range(8))
def test_rates_are_found_from_the_frames(seed):
    """30 and 25 frames a second, one in eight lost, up to 30 ms late."""
    rng = np.random.default_rng(seed)
    arrivals, times = [], {}
    for side, interval in (("ir", 0.04), ("vis", 1 / 30)):
        all_times = rng.uniform(0, 0.05) + interval * np.arange(200)
        times[side] = all_times[rng.uniform(size=200) > 1 / 8].tolist()
        late = np.maximum.accumulate(times[side] + rng.uniform(0, 0.03, len(times[side])))
        arrivals += [(at, side, time) for at, time in zip(late, times[side], strict=True)]
    pairer = Pairer()
    found = run(pairer, arrivals)
    assert pairer.reach == pytest.approx(0.03, abs=1e-6)
    expected = rule(times["ir"], times["vis"], 0.03 + 1e-9)
    nearest = sum(ir == expected[vis] for ir, vis in found)
    assert all(abs(ir - vis) <= 0.03 + 1e-6 for ir, vis in found)
    assert len(found) > 0.9 * len(times["vis"]) * 150 / 200 and nearest > 0.98 * len(found)


def test_a_camera_alone_is_passed_on():
    arrivals = [(k / 30, "vis", k / 30) for k in range(1, 30)]
    found = run(Pairer(), arrivals, missing=frozenset({"ir"}))
    assert found == [(None, k / 30) for k in range(1, 30)]
    arrivals = [(k / 30, "ir", k / 30) for k in range(1, 30)]
    found = run(Pairer(), arrivals, missing=frozenset({"vis"}))
    assert found == [(k / 30, None) for k in range(1, 30)]


def test_only_the_newest_pair_is_taken_and_nothing_piles_up():
    pairer = Pairer(0.04, 0.04)
    for k in range(1, 1000):
        pairer.add("ir", Moment(0.04 * k), 0.04 * k)
        pairer.add("vis", Moment(0.04 * k), 0.04 * k)
    pair = pairer.newest(40.0)
    assert pair.vis.time == pair.ir.time == 0.04 * 999
    assert pairer.outdated == KEPT - 1 and pairer.newest(40.0) is None


def test_frames_that_go_back_in_time_are_ignored():
    pairer = Pairer(0.04, 0.04)
    for time in (0.1, 0.14, 0.12, 0.18):
        pairer.add("ir", Moment(time), 1.0)
        pairer.add("vis", Moment(time), 1.0)
    assert [pair.vis.time for pair in pairer.decided(2.0)] == [0.1, 0.14, 0.18]
