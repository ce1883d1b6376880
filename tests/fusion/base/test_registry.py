"""Registries: names, suggestions, built-in parts without imports, a user's own modules."""

import doctest
import subprocess
import sys
import textwrap

import pytest

from fusion.base import registry
from fusion.base.errors import UserError
from fusion.base.registry import Registry, import_modules, import_object


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `shelf` with two built-in parts, one of them in a subpackage."""
    files = {
        "__init__": "raise RuntimeError('the package must not be imported for names')",
        "registry": "from fusion.base.registry import Registry\n",
        "first": """
            raise RuntimeError('nor a module')
            @PARTS.register("one")
            @other
            class One: ...
            @OTHERS.register("not-here")
            class Other: ...
            """,
        "deep/__init__": "",
        "deep/second": """
            @PARTS.register("two")
            def two(): ...
            @PARTS.register("three")
            class Three: ...
            """,
    }
    for name, content in files.items():
        path = tmp_path / "outer" / "shelf" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))
    (tmp_path / "outer" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "outer" / "shelf"


def test_example():
    assert doctest.testmod(registry).failed == 0


def test_names_are_found_without_an_import(package):
    parts = Registry("part", "outer.shelf:PARTS")
    assert parts.names() == ("two", "three", "one")
    assert "one" in parts and "not-here" not in parts and len(parts) == 3
    assert not any(name.startswith("outer.shelf") for name in sys.modules)


def test_a_part_is_imported_when_it_is_asked_for(package, monkeypatch):
    (package / "__init__.py").write_text("")
    (package / "registry.py").write_text(
        'from fusion.base.registry import Registry\nPARTS = Registry("part", "outer.shelf:PARTS")\n'
    )
    deep = package / "deep" / "second.py"
    deep.write_text(f"from outer.shelf.registry import PARTS\n{deep.read_text()}")
    parts = import_object("outer.shelf.registry:PARTS")
    try:
        assert parts["two"].__module__ == "outer.shelf.deep.second"
        assert "outer.shelf.first" not in sys.modules
        with pytest.raises(ValueError, match=r"outer\.shelf\.first"):  # not imported, yet taken
            parts.register("one")(lambda: None)
    finally:
        for name in [name for name in sys.modules if name.startswith("outer")]:
            del sys.modules[name]


def test_duplicates_are_refused_and_reloads_are_not():
    parts = Registry("part")

    def make():
        class Part: ...

        return Part

    first = parts.register("a")(make())
    second = parts.register("a")(make())  # of the same module and name, as after a reload
    assert parts["a"] is second and parts.name_of(second) == "a" and parts.name_of(first) is None
    with pytest.raises(ValueError, match="registered already"):
        parts.register("a")(dict)
    parts.unregister("a")
    assert "a" not in parts and parts.get("a") is None


def test_unknown_names_get_a_suggestion():
    parts = Registry("backbone")
    parts.register("resnet50")(dict)
    parts.register("compact")(list)
    with pytest.raises(UserError, match=r"resnet5'.*mean 'resnet50'\?.*resnet50, compact"):
        parts.create("resnet5")
    with pytest.raises(UserError, match="unknown backbone 'xyz'"):
        parts["xyz"]


def test_arguments_that_a_part_does_not_take_are_named():
    parts = Registry("backbone")

    @parts.register("wide")
    def wide(channels: int, depth: int = 2):
        return channels * depth

    assert parts.create("wide", 3, depth=4) == 12
    with pytest.raises(UserError, match=r"backbone 'wide'.*'width'.*depth: int = 2"):
        parts.create("wide", 3, width=4)


# --- A user's own modules -------------------------------------------------------------------------


def test_own_modules_are_found_in_the_current_folder(tmp_path):
    (tmp_path / "my_own_parts.py").write_text("class Deep:\n    value = 7\n")
    code = (
        "from fusion.base.registry import import_object;"
        "print(import_object('my_own_parts:Deep.value'))"
    )
    # -P: as in a console script, the current folder is not searched by itself.
    flags = ["-P"] if sys.version_info >= (3, 11) else []
    done = subprocess.run(
        [sys.executable, *flags, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "7\n", done.stderr


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (None, "no such module"),
        ("import no_such_library_xyz", "cannot be imported.*no_such_library_xyz.*line 1"),
        ("x = 1\nraise RuntimeError('bad')", "RuntimeError: bad .*broken_parts.py, line 2"),
        ("x = = 1", "broken_parts.py, line 1"),
    ],
)
def test_modules_that_fail_are_named(content, complaint, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    if content is not None:
        (tmp_path / "broken_parts.py").write_text(content)
    with pytest.raises(UserError, match=rf"broken_parts.*{complaint}"):
        import_modules(["broken_parts"])


@pytest.mark.parametrize("path", ["json", ":dumps", "json:", "json:dumbs"])
def test_paths_that_name_nothing(path):
    with pytest.raises(UserError, match=r"json|dumps"):
        import_object(path)
