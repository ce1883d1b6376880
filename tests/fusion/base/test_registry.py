"""Registries: names, suggestions, what is refused, and reloading."""

import importlib
import sys

import pytest

from fusion.base.errors import UserError
from fusion.base.registry import Registry


@pytest.fixture
def shapes():
    registry = Registry("shape")

    @registry.register("square")
    def square(side=1.0):
        return side * side

    @registry.register("disc")
    class Disc:
        def __init__(self, radius):
            self.radius = radius

    return registry


def test_parts_are_created_by_name(shapes):
    assert shapes.create("square", side=3) == 9
    assert shapes.create("disc", radius=2).radius == 2
    assert shapes.names() == ("square", "disc") == tuple(shapes)
    assert "disc" in shapes and "cube" not in shapes and len(shapes) == 2
    assert shapes.get("cube") is None and dict(shapes)["square"] is shapes["square"]


@pytest.mark.parametrize(("name", "hint"), [("sqare", "did you mean 'square'"), ("xyz", "disc")])
def test_an_unknown_name_says_what_there_is(shapes, name, hint):
    with pytest.raises(UserError, match=hint) as error:
        shapes.create(name)
    assert f"unknown shape '{name}'" in str(error.value) and "\n" not in str(error.value)


def test_a_name_is_given_once(shapes):
    with pytest.raises(ValueError, match="square"):
        shapes.register("square")(lambda: 0)
    part = object()
    shapes.register("part")(part)
    shapes.register("part")(part)  # the same again
    with pytest.raises(ValueError, match="part"):
        shapes.register("part")(object())


def test_a_module_can_be_reloaded(tmp_path, monkeypatch):
    """As in a notebook: the new definition replaces the old one."""
    registry = Registry("part")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    code = "def part(): return {}\nREGISTRY.register('mine')(part)\n"
    file = tmp_path / "reloaded_part.py"
    file.write_text("REGISTRY = None\n")
    module = importlib.import_module("reloaded_part")
    for value in (1, 2):
        module.REGISTRY = registry
        exec(compile(code.format(value), str(file), "exec"), vars(module))
        assert registry.create("mine") == value


def test_a_part_can_be_removed(shapes):
    shapes.unregister("disc")
    shapes.unregister("disc")
    assert shapes.names() == ("square",)
