"""What both packages show: every module loads, what it names is there and documented, and no
package reaches into another module's private names."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import fusion
import tracker

PACKAGES = (fusion, tracker)
ROOT = Path(fusion.__file__).parents[1]


def module_names() -> list[str]:
    names = [package.__name__ for package in PACKAGES]
    for package in PACKAGES:
        names += [m.name for m in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [name for name in names if not name.rpartition(".")[2].startswith("_")]


def load(name: str) -> ModuleType:
    if name == "fusion.llrr.fast.gpu":
        pytest.importorskip("triton")
    return importlib.import_module(name)


def public_names(module: ModuleType) -> list[str]:
    """``__all__``, or what is defined in the module itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == module.__name__
    ]


def undocumented(module: ModuleType) -> Iterator[str]:
    """Functions, classes and methods a user may call that say nothing of themselves.

    A method may leave that to the class it overrides one of, here or in a library.
    """
    for name in public_names(module):
        value = getattr(module, name)
        if not (inspect.isfunction(value) or inspect.isclass(value)):
            continue
        if not (value.__module__ or "").startswith(("fusion", "tracker")):
            continue
        if not inspect.getdoc(value) and not FAMILIES.match(name):
            yield name
        if inspect.isclass(value):
            for member, function in vars(value).items():
                is_method = inspect.isfunction(function) or isinstance(
                    function, property | classmethod | staticmethod
                )
                if member.startswith("_") or not is_method or member in TELLING:
                    continue
                if not inspect.getdoc(getattr(value, member)):
                    yield f"{name}.{member}"


#: What is drawn, by a function each; the modules of `tracker.synthetic` say how.
FAMILIES = re.compile(r"(draw|paint|pose)_")

#: Members whose names say it all, by the conventions of Python, PyTorch, Lightning and figures.
TELLING = frozenset({"forward", "close", "A", "R", "PR", "NPR", "SR"})


@pytest.mark.parametrize("name", module_names())
def test_public_names_are_there_and_documented(name):
    module = load(name)
    assert module.__doc__, f"{name} says nothing of itself"
    missing = [public for public in public_names(module) if not hasattr(module, public)]
    assert not missing
    assert not list(undocumented(module))


def private_uses(path: Path) -> Iterator[str]:
    """Private names of this project's other modules that a module imports or reaches for."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            ("fusion", "tracker")
        ):
            for alias in node.names:
                modules.add(alias.asname or alias.name)
                if alias.name.startswith("_") and not alias.name.startswith("__"):
                    yield f"{path.name}, line {node.lineno}: {alias.name} of {node.module}"
    modules = {name for name in modules if name.islower()}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in modules
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
        ):
            yield f"{path.name}, line {node.lineno}: {node.value.id}.{node.attr}"


def sources() -> list[Path]:
    return sorted([*(ROOT / "fusion").rglob("*.py"), *(ROOT / "tracker").rglob("*.py")])


def test_modules_keep_to_each_others_public_names():
    assert [use for path in sources() for use in private_uses(path)] == []


def test_fusion_knows_nothing_of_tracking():
    for path in sorted((ROOT / "fusion").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported = [node.module or ""]
            else:
                continue
            assert not any(name.split(".")[0] == "tracker" for name in imported), path


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_lazy_names_agree(package):
    """What a type checker is told of a package is what it gives."""
    tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    told = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {name: f"{package.__name__}.{home}" for name, home in package._HOMES.items()}
    # Submodules that are reached as attributes, such as `fusion.metrics`.
    submodules = {name: home for name, home in told.items() if home == package.__name__}
    for name in submodules:
        assert getattr(package, name) is importlib.import_module(f"{package.__name__}.{name}")
    homes |= submodules
    assert told == homes
    assert sorted(package.__all__) == sorted(homes)


# --- Help -----------------------------------------------------------------------------------------

HEAVY = (
    "torch",
    "lightning",
    "matplotlib",
    "vot",
    "onnx",
    "onnxruntime",
    "cv2",
    "numpy",
    "shapely",
)

WALK = """
import argparse, json, sys
from {package}.commands.cli import _parser

helps = {{}}

def walk(parser):
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    silent = [a.dest for a in parser._actions if not a.help and not groups]
    helps[parser.prog] = [bool(groups), silent, parser.format_help()]
    for group in groups:
        for command in group.choices.values():
            walk(command)

walk(_parser())
print(json.dumps([[m for m in {heavy!r} if m in sys.modules], helps]))
"""


@pytest.mark.parametrize("package", ["fusion", "tracker"])
def test_every_help_is_quick_and_shows_an_example(package):
    program = WALK.format(package=package, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded, helps = json.loads(done.stdout)
    assert loaded == []
    for command, (is_group, silent, text) in helps.items():
        assert silent == [], f"{command}: options without help"
        assert max(map(len, text.splitlines())) <= 100, f"{command}: lines run over"
        assert is_group or re.search(rf"^  {command}\b", text, re.M), f"{command}: no example"
