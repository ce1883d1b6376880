"""Times of frames from irregular arrivals."""

import numpy as np
import pytest

from fusion.live.clock import SETTLED, SETTLING, StreamClock


def times(stamps, arrivals):
    clock = StreamClock()
    return [clock.time(stamp, arrived) for stamp, arrived in zip(stamps, arrivals, strict=True)]


def test_jitter_is_removed(rng):
    taken = 100 + np.arange(300) / 30
    arrivals = np.maximum.accumulate(taken + rng.exponential(0.02, 300))
    found = times(taken + 1234.5, arrivals)
    settled = [k for k, time in enumerate(found) if time is not None]
    errors = [found[k] - taken[k] for k in settled[60:]]
    assert max(errors) < 0.005 and min(errors) >= -1e-6
    assert max(np.diff([found[k] - taken[k] for k in settled[60:]])) < 1e-3


def test_a_backlog_is_not_used():
    """Two seconds of frames that waited in a buffer arrive at once, then the stream is live."""
    taken = np.arange(200) / 25
    arrivals = np.maximum(taken, 2 + np.arange(200) / 2000)
    found = times(taken, arrivals)
    used = [k for k, time in enumerate(found) if time is not None]
    assert taken[used[0]] >= 2 and max(abs(found[k] - taken[k]) for k in used) < 0.06
    assert arrivals[used[0]] - arrivals[0] <= SETTLED + 0.05


def test_clocks_that_drift_apart_are_followed(rng):
    """A camera's clock that loses 3 ms in ten seconds."""
    taken = np.arange(3000) / 25
    found = times(taken * (1 - 3e-4), taken + rng.uniform(0, 0.004, 3000))
    errors = [time - truth for time, truth in zip(found, taken, strict=True) if time is not None]
    assert max(map(abs, errors)) < 0.012


def test_stamps_that_start_anew():
    stamps = [*(k / 25 for k in range(100)), *(k / 25 for k in range(100))]
    arrivals = [50 + k / 25 for k in range(200)]
    found = times(stamps, arrivals)
    again = found[100:]
    assert again[0] is None
    assert all(
        time == pytest.approx(arrived)
        for time, arrived in zip(again, arrivals[100:], strict=True)
        if time is not None
    )
    assert sum(time is None for time in again) == pytest.approx(SETTLING * 25, abs=2)


def test_without_stamps_the_arrival_counts():
    assert times([None] * 40, [k / 25 for k in range(40)])[20:] == [k / 25 for k in range(20, 40)]
