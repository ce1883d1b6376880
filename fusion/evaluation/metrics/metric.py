"""Create, list and evaluate metrics on arrays and tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fusion.base.errors import UserError
from fusion.base.registry import unknown
from fusion.evaluation.metrics.catalogue import METRICS, Family
from fusion.evaluation.metrics.conventions import (
    CONVENTIONS,
    Column,
    Convention,
    find_convention,
)
from fusion.evaluation.metrics.inputs import require_one_size, to_levels

__all__ = ["DEFAULT", "Metric", "create", "create_all", "evaluate", "list_metrics"]

#: The default convention.
DEFAULT = "lrrnet"


@dataclass(frozen=True)
class Metric:
    """One metric under one convention. Call it with fused, infrared and visible images.

    Attributes:
        name: name in the convention.
        title: column title, unique to the definition.
        unit: unit of the values; empty for dimensionless values.
        higher_is_better: direction that the field assumes for ranking.
        convention: the convention, whose grey conversion is used.
        family: the function and its description.
        variant: the function's keyword arguments.
        fault: the mistake in a published program that the value reproduces, if any.
    """

    name: str
    title: str
    unit: str
    higher_is_better: bool
    convention: Convention
    family: Family
    variant: Mapping[str, Any] = field(default_factory=dict)
    fault: str = ""

    @property
    def heading(self) -> str:
        """Title with unit: ``EN [bit]``."""
        return f"{self.title} [{self.unit}]" if self.unit else self.title

    def __call__(self, fused: Any, ir: Any, vis: Any) -> Any:
        """Compute the metric of one image, or of each image of a batch.

        Args:
            fused, ir, vis: arrays or tensors; `fusion.evaluation.metrics.inputs` lists the shapes
                and ranges. Tensors are measured on the CPU, without gradients.

        Returns:
            A float for one image. For a batch, float64 values of shape ``N``, as a tensor if
            ``fused`` is one, otherwise as an array.

        Raises:
            ValueError: a shape or range is not supported, or sizes differ.
        """
        trios, is_batch = _trios(fused, ir, vis)
        values = [self.of_levels(*trio) for trio in trios]
        if not is_batch:
            return values[0]
        result = np.array(values)
        return result if isinstance(fused, np.ndarray) else _tensor(result)

    def of_levels(self, fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
        """The metric of one image, uint8 ``HxW`` or RGB ``HxWx3`` each, of one size."""
        function = self.family(**self.variant)
        if self.family.channels == "together":
            return float(function(fused, ir, vis))
        grey = self.convention.grey
        if grey is not None:
            return float(function(*(grey(image) for image in (fused, ir, vis))))
        trios = _channel_trios(fused, ir, vis)
        return float(np.mean([function(*trio) for trio in trios]))

    def describe(self) -> dict[str, Any]:
        """Everything that defines the value, as a dictionary for JSON."""
        return {
            "title": self.title,
            "unit": self.unit,
            "higher_is_better": self.higher_is_better,
            "metric": self.family.name,
            "variant": dict(self.variant),
            "fault": self.fault,
        }


def _trios(fused: Any, ir: Any, vis: Any) -> tuple[list[tuple[np.ndarray, ...]], bool]:
    """The matching uint8 images of all three inputs, and whether the inputs were batches."""
    lists, are_batches = zip(
        *(
            to_levels(title, pictures)
            for title, pictures in (("fused", fused), ("infrared", ir), ("visible", vis))
        ),
        strict=True,
    )
    counts = [len(pictures) for pictures in lists]
    if len(set(counts)) > 1 or len(set(are_batches)) > 1:
        raise ValueError(
            f"{counts[0]} fused, {counts[1]} infrared and {counts[2]} visible images; "
            "give one of each, or batches of one length"
        )
    trios = list(zip(*lists, strict=True))
    for trio in trios:
        require_one_size(*trio)
    return trios, are_batches[0]


def _channel_trios(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> list[tuple]:
    """The channels of the fused image with the same channels of the sources.

    A grey source is used for every channel. A grey fused image with a colour source is treated as
    three equal channels.
    """
    images = (fused, ir, vis)
    if all(image.ndim == 2 for image in images):
        return [images]
    return [
        tuple(
            image if image.ndim == 2 else np.ascontiguousarray(image[..., channel])
            for image in images
        )
        for channel in range(3)
    ]


def _tensor(values: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(values)


def _convention(convention: str | Convention) -> Convention:
    return find_convention(convention) if isinstance(convention, str) else convention


def create(name: str, convention: str | Convention = DEFAULT, **variant: Any) -> Metric:
    """Create a metric as a convention defines it.

    >>> import numpy as np
    >>> vif = create("vif", convention="cddfuse")
    >>> vif.heading
    'VIFP sum'
    >>> image = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    >>> round(vif(image, image, image), 6)
    2.0

    Args:
        name: a name from the convention (`list_metrics`), or the name of a metric registered
            outside this package, which every convention contains.
        convention: name of the convention, or your own `Convention`.
        **variant: arguments of the metric's function that replace the convention's, such as
            ``base=2``. The title then states them, and the unit is empty.

    Raises:
        UserError: the name or the convention is unknown.
        TypeError: the function has no such argument.
    """
    convention = _convention(convention)
    column = convention.columns.get(name)
    if column is None:
        family = METRICS.get(name)
        if family is None or not family.own:
            raise UserError(_unknown(name, convention))
        column = Column(name, family.title, family.unit)
    family = METRICS[column.metric]
    title = column.title
    if variant:
        _require_arguments(family, variant)
        title += " (" + ", ".join(f"{key}={value}" for key, value in variant.items()) + ")"
    return Metric(
        name,
        title,
        "" if variant else column.unit,  # another variant may have another unit
        family.higher_is_better,
        convention,
        family,
        {**column.variant, **variant},
        column.fault,
    )


def _require_arguments(family: Family, variant: Mapping[str, Any]) -> None:
    from inspect import signature

    known = signature(family.function).parameters
    for key in variant:
        if key not in known or key in ("fused", "ir", "vis"):
            raise TypeError(f"metric {family.name!r} has no variant {key!r}")


def _unknown(name: str, convention: Convention) -> str:
    known = list_metrics(convention)
    longer = [other for other in known if other.startswith(f"{name}_")]
    message = unknown("metric", name, known)
    if longer:  # such as sd_sqrt_n for sd, which is more alike than scd
        message = f"unknown metric {name!r}; did you mean {longer[0]!r}? Known: {', '.join(known)}"
    elsewhere = [other for other, found in CONVENTIONS.items() if name in found.columns]
    where = f"; {name!r} is in {', '.join(elsewhere)}" if elsewhere else ""
    return f"{message} (convention {convention.name}{where})"


def list_metrics(convention: str | Convention = DEFAULT) -> tuple[str, ...]:
    """Names of a convention's metrics in the order of its table, then those registered outside.

    >>> list_metrics("vifb")[:4]
    ('ce', 'en', 'mi', 'psnr')

    Raises:
        UserError: the convention is unknown.
    """
    columns = _convention(convention).columns
    own = [name for name in METRICS if METRICS[name].own and name not in columns]
    return (*columns, *own)


def create_all(
    names: Sequence[str] | None = None, convention: str | Convention = DEFAULT
) -> tuple[Metric, ...]:
    """Create metrics by name, without repetition; None selects all columns of the convention.

    Raises:
        UserError: a name or the convention is unknown.
    """
    convention = _convention(convention)
    names = tuple(convention.columns) if names is None else tuple(dict.fromkeys(names))
    return tuple(create(name, convention) for name in names)


def evaluate(
    fused: Any,
    ir: Any,
    vis: Any,
    metrics: Sequence[str] | None = None,
    convention: str | Convention = DEFAULT,
) -> dict[str, Any]:
    """Compute several metrics of one image, or of each image of a batch.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> fused, ir, vis = rng.integers(0, 256, (3, 48, 64), np.uint8)
    >>> {name: round(value, 3) for name, value in evaluate(fused, ir, vis, ("en", "sd"),
    ...     convention="cddfuse").items()}
    {'en': 7.934, 'sd': 75.42}

    Args:
        fused, ir, vis: see `Metric.__call__`.
        metrics: names of the convention's metrics; None selects all.
        convention: the convention whose definitions are used.

    Returns:
        Values by name, in the given order.

    Raises:
        UserError: a name or the convention is unknown.
        ValueError: the images cannot be measured.
    """
    chosen = create_all(metrics, convention)
    trios, is_batch = _trios(fused, ir, vis)
    values = [evaluate_levels(chosen, *trio) for trio in trios]
    if not is_batch:
        return values[0]
    columns = {m.name: np.array([value[m.name] for value in values]) for m in chosen}
    if isinstance(fused, np.ndarray):
        return dict(columns)
    return {name: _tensor(column) for name, column in columns.items()}


def evaluate_levels(
    metrics: Sequence[Metric], fused: np.ndarray, ir: np.ndarray, vis: np.ndarray
) -> dict[str, float]:
    """Metrics of one image, uint8 ``HxW`` or RGB ``HxWx3`` each, of one size."""
    grey: dict[str, tuple[np.ndarray, ...]] = {}  # by convention, converted once
    values = {}
    for metric in metrics:
        images: tuple[np.ndarray, ...] = (fused, ir, vis)
        convert = metric.convention.grey
        if convert is not None and metric.family.channels == "each":
            if metric.convention.name not in grey:
                grey[metric.convention.name] = tuple(convert(image) for image in images)
            images = grey[metric.convention.name]
        values[metric.name] = metric.of_levels(*images)
    return values
