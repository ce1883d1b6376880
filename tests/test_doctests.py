"""Examples in docstrings are correct: every module is run as a doctest."""

import doctest
import importlib
from pathlib import Path

import pytest

import fusion

ROOT = Path(fusion.__file__).parents[1]
MODULES = sorted(
    path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
    for package in ("fusion", "tracker")
    for path in (ROOT / package).rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


def test_there_are_examples():
    assert "fusion.evaluation.metrics.modules" in MODULES


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings_run(name):
    outcome = doctest.testmod(importlib.import_module(name))
    assert outcome.failed == 0
