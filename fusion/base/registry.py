"""Registries: parts of the project by name, from inside the package or from a user's own file.

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
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Generic, TypeVar, cast

from fusion.base.errors import UserError

Kind = TypeVar("Kind")
Part = TypeVar("Part")


class Registry(Mapping[str, Kind], Generic[Kind]):
    """Classes, functions or other parts of one kind by name, in the order of registration.

    It reads as a mapping. Parts are added by `register` beside their definition; nothing else has
    to list them.

    Args:
        kind: what the parts are, in the singular, for messages.
    """

    def __init__(self, kind: str):
        self.kind = kind
        self._parts: dict[str, Kind] = {}

    def register(self, name: str) -> Callable[[Part], Part]:
        """Decorator that registers a part under ``name`` and returns it unchanged.

        Raises:
            ValueError: the name is taken by another part. A class or function of the same module
                and name replaces it, so that a module can be reloaded.
        """

        def add(part: Part) -> Part:
            known = self._parts.get(name)
            if known is not None and known is not part and not _is_same(known, part):
                raise ValueError(f"{self.kind} {name!r} is registered already, by {_origin(known)}")
            self._parts[name] = cast(Kind, part)
            return part

        return add

    def unregister(self, name: str) -> None:
        """Remove a part; a name that is not there is ignored."""
        self._parts.pop(name, None)

    def __getitem__(self, name: str) -> Kind:
        """The part itself.

        Raises:
            UserError: no part has this name. The message suggests a similar name and lists all.
        """
        if name not in self._parts:
            raise UserError(unknown(self.kind, name, self._parts))
        return self._parts[name]

    def get(self, name: str, default: Any = None) -> Any:
        """The part, or ``default`` where no part has this name."""
        return self._parts.get(name, default)

    def __contains__(self, name: object) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self._parts)

    def __len__(self) -> int:
        return len(self._parts)

    def create(self, name: str, /, **arguments: Any) -> Any:
        """Call the part of this name with keyword arguments.

        Raises:
            UserError: no part has this name.
        """
        return cast(Callable[..., Any], self[name])(**arguments)

    def names(self) -> tuple[str, ...]:
        """All names, in the order in which they were registered."""
        return tuple(self._parts)


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The message about a name that is not known, with a suggestion where one is similar."""
    known = list(known)
    close = get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"unknown {kind} {name!r}{hint} Known: {', '.join(known)}"


def _origin(part: Any) -> str:
    """Where a class or function is defined; a wrapper is what it wraps."""
    part = getattr(part, "__wrapped__", part)
    name = getattr(part, "__qualname__", type(part).__qualname__)
    return f"{getattr(part, '__module__', '?')}.{name}"


def _is_same(one: Any, other: Any) -> bool:
    """Whether two parts are definitions of one name, as after a reload."""
    parts = [getattr(part, "__wrapped__", part) for part in (one, other)]
    return all(hasattr(part, "__qualname__") for part in parts) and _origin(one) == _origin(other)
