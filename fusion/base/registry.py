"""Registries: parts of the project by name, from the package or from a user's own file.

>>> SHAPES = Registry("shape")
>>> @SHAPES.register("square")
... def square(side: float = 1.0) -> float:
...     return side * side
>>> SHAPES.create("square", side=3.0)
9.0
>>> SHAPES.names()
('square',)
>>> SHAPES.create("sqare")
Traceback (most recent call last):
...
fusion.base.errors.UserError: unknown shape 'sqare'; did you mean 'square'? Known: square

A registry of a package finds its built-in parts without importing them: it reads the decorators in
the package's sources. Listing names for a help text therefore does not import PyTorch, a part is
imported when it is requested, and adding a part takes one file with a decorator and no other list:

    BACKBONES = Registry("backbone", "tracker.model:BACKBONES")   # tracker/model/registry.py

    @BACKBONES.register("resnet50")                               # tracker/model/backbone.py
    class AtrousResNet50(nn.Module): ...

Users' own modules are imported by name with `import_modules` (``--import MODULE`` in every
command), which runs their decorators. A weights file contains registered names but never the name
of a module, so reading one never imports anything that the file selects.
"""

import ast
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from traceback import extract_tb
from types import ModuleType
from typing import Any, TypeVar

from fusion.base.errors import UserError

Part = TypeVar("Part", bound=Callable[..., Any])


class Registry(Mapping[str, Any]):
    """Classes or functions of one kind by name: first the built-in ones, then those added later.

    It can be used as a mapping.

    Args:
        kind: the kind of part, in the singular, for messages.
        home: ``package:NAME``, the package that contains the built-in parts, and the name by which
            their decorators refer to this registry (``@NAME.register("...")``, with a literal
            string, on a class or function at the module's top level). None if parts are registered
            only by importing their modules.
    """

    def __init__(self, kind: str, home: str | None = None):
        self.kind = kind
        self._home = home
        self._parts: dict[str, Any] = {}

    @cached_property
    def _modules(self) -> dict[str, str]:
        """Modules of the built-in parts by the parts' names."""
        if self._home is None:
            return {}
        package, _, variable = self._home.partition(":")
        return {
            name: module
            for module, source in _sources(package)
            for name in _registered(source, variable)
        }

    def register(self, name: str) -> Callable[[Part], Part]:
        """Decorator that registers a class or function under ``name`` and returns it unchanged.

        Raises:
            ValueError: the name is used by another part. A part with the same module and name
                replaces the old one, so that a module can be reloaded.
        """

        def add(part: Part) -> Part:
            known = self._parts.get(name)
            if known is not None and _origin(known) != _origin(part):
                raise ValueError(f"{self.kind} {name!r} is registered already, by {_origin(known)}")
            home = self._modules.get(name) if known is None else None
            if home is not None and home != getattr(part, "__module__", None):
                raise ValueError(f"{self.kind} {name!r} is registered already, in {home}")
            self._parts[name] = part
            return part

        return add

    def unregister(self, name: str) -> None:
        """Remove a registered part; unknown names are ignored."""
        self._parts.pop(name, None)

    def __getitem__(self, name: str) -> Any:
        """Return the part.

        Raises:
            UserError: the name is unknown; the message suggests a similar name and lists all.
        """
        if name not in self._parts and name in self._modules:
            import_module(self._modules[name])
        if name not in self._parts:
            raise UserError(unknown(self.kind, name, self.names()))
        return self._parts[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the part, or ``default`` if the name is unknown."""
        if name not in self:
            return default
        return self[name]

    def __contains__(self, name: object) -> bool:
        return name in self._parts or name in self._modules

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._modules, *self._parts]))

    def __len__(self) -> int:
        return len(self._modules.keys() | self._parts.keys())

    def create(self, name: str, /, *arguments: Any, **keywords: Any) -> Any:
        """Call the part of this name.

        Raises:
            UserError: the name is unknown, or the part does not accept these arguments.
        """
        return call(f"{self.kind} {name!r}", self[name], *arguments, **keywords)

    def names(self) -> tuple[str, ...]:
        """All names, the built-in ones first, without importing a part."""
        return tuple(self)

    def name_of(self, part: Any) -> str | None:
        """The name under which a class or function is registered, or None."""
        return next((name for name, known in self._parts.items() if known is part), None)

    def stored_name(self, kind: type) -> str:
        """The name of a class in weights files, which only registered classes have.

        Raises:
            UserError: the class is not registered.
        """
        name = self.name_of(kind)
        if name is None:
            package, _, variable = (self._home or "").partition(":")
            raise UserError(
                f"{kind.__module__}.{kind.__name__}: has no name for its weights file; give it one "
                f'by @{variable}.register("a-name") of {package}.registry above the class'
            )
        return name


def call(title: str, part: Callable[..., Any], /, *arguments: Any, **keywords: Any) -> Any:
    """``part(*arguments, **keywords)``.

    Args:
        title: title of the part, for the message.

    Raises:
        UserError: the part does not accept these arguments.
    """
    try:
        signature = inspect.signature(part)
    except ValueError:  # of a class written in C
        return part(*arguments, **keywords)
    try:
        signature.bind(*arguments, **keywords)
    except TypeError as error:
        raise UserError(f"{title}: {error}; it takes {signature}") from error
    return part(*arguments, **keywords)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message for an unknown name, with a suggestion if a similar name exists."""
    known = list(known)
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}"


# --- Built-in parts -------------------------------------------------------------------------------


def _sources(package: str) -> Iterator[tuple[str, str]]:
    """Names and sources of a package's modules and subpackages, without importing them.

    `find_spec` imports the parents of what it looks for. It is therefore used only for the first
    package of a dotted name, whose ``__init__`` is light.
    """
    top, *inner = package.split(".")
    spec = find_spec(top)
    folders = spec.submodule_search_locations if spec else None
    yield from _sources_below(package, [os.path.join(f, *inner) for f in folders or ()])


def _sources_below(package: str, folders: list[str]) -> Iterator[tuple[str, str]]:
    for info in pkgutil.iter_modules(folders, f"{package}."):
        spec = info.module_finder.find_spec(info.name, None)
        source = spec.loader.get_source(info.name) if spec and spec.loader else None  # type: ignore[attr-defined]
        if source is not None:  # None for a compiled module, which registers nothing
            yield info.name, source
        if info.ispkg and spec is not None:
            yield from _sources_below(info.name, list(spec.submodule_search_locations or ()))


def _registered(source: str, variable: str) -> Iterator[str]:
    """Names that decorators ``@variable.register("name")`` of a module register, in order."""
    if f"@{variable}.register(" not in source:
        return
    for statement in ast.parse(source).body:
        for decorator in getattr(statement, "decorator_list", ()):
            match decorator:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id=found), attr="register"),
                    args=[ast.Constant(value=str(name))],
                ) if found == variable:
                    yield name


def _origin(part: Any) -> str:
    module = getattr(part, "__module__", "?")
    return f"{module}.{getattr(part, '__qualname__', type(part).__name__)}"


# --- Users' own parts -----------------------------------------------------------------------------


def import_modules(names: Iterable[str]) -> None:
    """Import users' own modules, so that their parts are registered.

    They are found like any module (PYTHONPATH, installed packages), and finally in the current
    folder, which console scripts do not search by default.

    Args:
        names: dotted names.

    Raises:
        UserError: a module does not exist, or its import fails; the message says where.
    """
    for name in names:
        _import(name)


def import_object(path: str) -> Any:
    """Import the object that ``module:name`` or ``module:Class.name`` refers to.

    Raises:
        UserError: the path does not have this form, or the module or name cannot be found.
    """
    module_name, _, attribute = path.partition(":")
    if not module_name or not attribute:
        raise UserError(f"{path!r}: not of the form module:name, such as my_tracker:make")
    found: Any = _import(module_name)
    for part in attribute.split("."):
        if not hasattr(found, part):
            public = [name for name in vars(found) if not name.startswith("_")]
            raise UserError(f"{path}: {unknown('name', part, public)}")
        found = getattr(found, part)
    return found


def _import(name: str) -> ModuleType:
    here = os.getcwd()
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise _failed(name, error) from error
        raise UserError(
            f"{name}: no such module; give a dotted name that PYTHONPATH or the current folder has"
        ) from error
    except UserError:
        raise
    except Exception as error:
        raise _failed(name, error) from error


def _failed(name: str, error: Exception) -> UserError:
    """The error for an exception during a module's import, with the line that raised it."""
    if isinstance(error, SyntaxError):
        return UserError(f"{name}: {error.filename}, line {error.lineno}: {error.msg}")
    frames = [f for f in extract_tb(error.__traceback__) if "importlib" not in f.filename]
    where = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return UserError(f"{name}: cannot be imported: {type(error).__name__}: {error}{where}")
