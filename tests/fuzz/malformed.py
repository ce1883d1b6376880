"""Shared by the fuzz tests: damaging inputs, running commands, and the expected outcome."""

import contextlib
import io
import json
import os
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

FULL = os.environ.get("RGBT_FUZZ") == "1"
"""Whether this is ``make fuzz``, with all inputs, rather than ``make test``, with a few."""

LEAST = 2000
"""Minimum number of malformed inputs in ``make fuzz``."""

PATIENCE = 900
"""Seconds after which a program is considered to hang: far more than any input takes."""

EFFORT = 120
"""The same limit in CPU seconds, which do not pass while other processes run."""

counts: Counter[str] = Counter()
"""Malformed inputs tried, by kind."""

figures: list[str] = []
"""Further lines for the report of ``make fuzz``."""


def examples(small: int, full: int) -> settings:
    """Settings of a property: numbers of inputs in ``make test`` (fixed ones) and ``make fuzz``.

    A failure prints its smallest input and a line that reproduces it; ``make fuzz`` stores it
    and tries it first in its next run.
    """
    quiet = set(Phase) - {Phase.explain}
    return settings(
        max_examples=full if FULL else small,
        derandomize=not FULL,
        deadline=None,
        print_blob=True,
        phases=[phase for phase in Phase if phase in quiet],
        suppress_health_check=list(HealthCheck),
    )


# --- Damage -------------------------------------------------------------------------------------

_SHARE = st.floats(0, 1, width=16)

DAMAGE = st.one_of(
    st.tuples(st.just("cut"), _SHARE),
    st.tuples(st.just("flip"), _SHARE, st.integers(0, 7)),
    st.tuples(st.just("fill"), _SHARE, st.integers(1, 64), st.integers(0, 255)),
    st.tuples(st.just("drop"), _SHARE, st.integers(1, 64)),
    st.tuples(st.just("repeat"), _SHARE, st.integers(1, 64)),
    st.tuples(st.just("insert"), _SHARE, st.binary(min_size=1, max_size=16)),
)
"""One modification of bytes: kind, position as a share of their length, and amount."""

DAMAGES = st.lists(DAMAGE, min_size=1, max_size=3)


def damaged(data: bytes, damages: list[tuple]) -> bytes:
    """Bytes after several modifications of `DAMAGE`."""
    for what, share, *rest in damages:
        place = int(share * max(0, len(data) - 1))
        before, after = data[:place], data[place:]
        if what == "cut":
            data = before
        elif what == "flip" and after:
            data = before + bytes([after[0] ^ 1 << rest[0]]) + after[1:]
        elif what == "fill":
            count = min(rest[0], len(after))
            data = before + bytes([rest[1]]) * count + after[count:]
        elif what == "drop":
            data = before + after[rest[0] :]
        elif what == "repeat":
            data = before + after[: rest[0]] + after
        elif what == "insert":
            data = before + rest[0] + after
    return data


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, -1, 2, 10**30, 1.5, -0.0, float("nan"), float("inf")]),
    st.sampled_from(["", " ", "nan", "-", "../..", "a" * 300, "ä\u2028\x07", "1e999", "null"]),
    st.sampled_from([[], {}, [[]], [None], {"x": 1}, [1, "a"], {"class_path": "os.system"}]),
)
"""A JSON or YAML value that is probably not expected."""


def places(tree, path: tuple = ()) -> Iterator[tuple]:
    """Paths to everything inside a tree of dictionaries and lists."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def replaced(tree, path: tuple, value):
    """The tree with a different value at a path, or without that path if it is `REMOVED`."""
    key, *rest = path
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    if rest:
        copy[key] = replaced(copy[key], rest, value)
    elif value is REMOVED:
        del copy[key]
    else:
        copy[key] = value
    return copy


class _Removed:
    def __repr__(self) -> str:
        return "REMOVED"


REMOVED = _Removed()


# --- Running --------------------------------------------------------------------------------------


class Hang(BaseException):
    """Raised if an input takes too long; not caught by ``except Exception``."""


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Turn a hang into a failure."""

    def ring(*_) -> None:
        raise Hang

    timers = (
        (signal.SIGALRM, signal.ITIMER_REAL, PATIENCE),
        (signal.SIGPROF, signal.ITIMER_PROF, EFFORT),
    )
    before = [signal.signal(number, ring) for number, *_ in timers]
    try:
        for _, timer, seconds in timers:
            signal.setitimer(timer, seconds)
        yield
    except Hang:
        raise AssertionError(f"no answer in {PATIENCE} seconds, {EFFORT} of computing") from None
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


def run(main: Callable[[list[str]], int], *arguments: object) -> Outcome:
    """Run a command line in this process. What it raises beyond its exit is a failure."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), patience():
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as exit_:  # argparse's own way out
            code = exit_.code
    return Outcome(code, out.getvalue(), err.getvalue())


def assert_refused(outcome: Outcome, *names: str) -> None:
    """Exit code 2, nothing on stdout, and one line on stderr that contains one of the names."""
    assert outcome.code == 2, outcome
    assert outcome.out == "", outcome
    assert "Traceback" not in outcome.err, outcome
    assert outcome.err.count("\n") == 1 and outcome.err.endswith("\n"), outcome
    assert not names or any(name in outcome.err for name in names), outcome


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: contents of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """An empty folder for one input."""
    with tempfile.TemporaryDirectory(prefix="rgbt-fuzz-") as folder:
        yield Path(folder)


def to_json(value) -> str:
    """JSON with Python's NaN and Infinity, as a careless program writes it."""
    return json.dumps(value, allow_nan=True)
