"""The catalogue of metrics: every function of the package, and a user's own, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from fusion.base.registry import Registry

#: ``(fused, ir, vis, **variants) -> float`` on uint8 images of one size.
Function = Callable[..., float]

#: "each": the function sees grey images ``HxW``, and a convention that does not convert colour to
#: grey calls it once per channel. "together": it sees images with all their channels.
Channels = Literal["each", "together"]


@dataclass(frozen=True)
class Family:
    """A metric with all its variants. Calling it selects a variant.

    Attributes:
        name: name in the catalogue.
        function: the function, with the variants as keyword arguments.
        title: column title of the default variant.
        unit: unit of the default variant; empty for dimensionless values.
        higher_is_better: direction that the field assumes for ranking.
        channels: what the function does with colour.
        own: registered from outside this package.
    """

    name: str
    function: Function
    title: str
    unit: str = ""
    higher_is_better: bool = True
    channels: Channels = "each"
    own: bool = False

    def __call__(self, **variant: Any) -> Function:
        """The function ``(fused, ir, vis) -> float`` of one variant."""
        return partial(self.function, **variant)


#: All metrics by name.
METRICS = Registry("metric")


def register(
    name: str,
    *,
    title: str | None = None,
    unit: str = "",
    higher_is_better: bool = True,
    channels: Channels = "each",
) -> Callable[[Function], Function]:
    """Decorator that adds a function ``(fused, ir, vis) -> float`` to the catalogue.

    A metric registered outside this package can be computed under every convention.

    Args:
        name: name for `create`, `evaluate` and ``--metrics``.
        title: column title; None uses the name.
        unit: unit of its values, for table headings; empty for dimensionless values.
        higher_is_better: direction for marks and ranks.
        channels: "each" for a function of grey images ``HxW``, "together" for one that takes
            images with all their channels, ``HxW`` or RGB ``HxWx3``.

    Raises:
        ValueError: the name is taken by another function. One of the same module and name replaces
            it, so that a module can be reloaded.
    """

    def add(function: Function) -> Function:
        own = not function.__module__.startswith(__package__ or "")
        family = Family(name, function, title or name, unit, higher_is_better, channels, own)
        known = METRICS.get(name)
        if known is not None and _origin(known.function) != _origin(function):
            raise ValueError(f"metric {name!r} is already registered by {_origin(known.function)}")
        METRICS.register(name)(family)
        return function

    return add


def _origin(function: Function) -> str:
    return f"{function.__module__}.{function.__qualname__}"
