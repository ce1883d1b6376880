"""Metrics as `torchmetrics.Metric` classes, for validation during training.

Each class computes the mean over all images of one metric of `fusion.evaluation.metrics.create`,
with any convention, and gives the same values as ``fusion evaluate``. States are sums in double
precision, which add up over processes. Images are measured on the CPU and without gradients, so
the metrics cannot be used as losses.

>>> import torch
>>> generator = torch.Generator().manual_seed(0)
>>> fused, ir, vis = torch.rand(3, 2, 1, 48, 64, generator=generator)
>>> metrics = collection(("en", "qabf"))
>>> metrics.update(fused, ir, vis)
>>> {name: round(value.item(), 3) for name, value in metrics.compute().items()}
{'en': 7.945, 'qabf': 0.137}
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric as TorchMetric
from torchmetrics import MetricCollection

from fusion.evaluation.metrics.conventions import Convention
from fusion.evaluation.metrics.metric import DEFAULT, create, list_metrics

__all__ = [
    "VIFF",
    "AverageGradient",
    "CorrelationCoefficient",
    "Entropy",
    "FusionMetric",
    "FusionMultiScaleSSIM",
    "FusionMutualInformation",
    "FusionPSNR",
    "FusionSSIM",
    "FusionVIF",
    "Nabf",
    "Qabf",
    "SpatialFrequency",
    "StandardDeviation",
    "SumOfCorrelationsOfDifferences",
    "collection",
]


class FusionMetric(TorchMetric):
    """Mean over images of any metric by name.

    >>> import torch
    >>> generator = torch.Generator().manual_seed(0)
    >>> fused, ir, vis = torch.rand(3, 2, 1, 48, 64, generator=generator)
    >>> metric = FusionMetric("vif", convention="cddfuse")
    >>> metric.update(fused, ir, vis)
    >>> round(metric.compute().item(), 4)
    0.0028

    Args:
        name: a name from the convention.
        convention: name of the convention, or a `Convention`.
        **arguments: arguments of `torchmetrics.Metric`.

    Raises:
        UserError: the name or the convention is unknown.
    """

    is_differentiable: bool = False
    full_state_update: bool = False
    total: Tensor
    count: Tensor

    def __init__(self, name: str, convention: str | Convention = DEFAULT, **arguments: Any):
        super().__init__(**arguments)
        self.name = name
        # Stored by name if possible, so that the metric can be pickled and sent to processes.
        self.convention = convention
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        create(name, convention)  # reports an unknown name immediately

    @property
    def heading(self) -> str:
        """Title with unit, unique to the definition."""
        return create(self.name, self.convention).heading

    @property
    def higher_is_better(self) -> bool:  # type: ignore[override]
        """Direction of the metric."""
        return create(self.name, self.convention).higher_is_better

    def update(self, fused: Tensor, ir: Tensor, vis: Tensor) -> None:
        """Add images.

        Args:
            fused, ir, vis: ``NxCxHxW`` with 1 or 3 channels (or one image, ``CxHxW`` or ``HxW``),
                uint8 or floating point on 0..1.

        Raises:
            ValueError: a shape or range is not supported, or sizes differ.
        """
        value = create(self.name, self.convention)(fused, ir, vis)
        values = torch.as_tensor(value, dtype=torch.float64)
        self.total += values.sum().to(self.total.device)
        self.count += values.numel()

    def compute(self) -> Tensor:
        """The mean over all images, float64; NaN without images."""
        return self.total / self.count

    def plot(self, val: Any = None, ax: Any = None) -> Any:
        """Plot one value, several values, or the current one if ``val`` is None.

        Args:
            val: results of `compute` or `forward`.
            ax: Matplotlib axes to draw on.

        Returns:
            The figure and its axes.
        """
        figure, axes = self._plot(val, ax)
        if hasattr(axes, "set_ylabel"):  # one pair of axes, not an array of them
            axes.set_ylabel(self.heading)
        return figure, axes


class _Named(FusionMetric):
    """A class for one metric."""

    metric_name: ClassVar[str]

    def __init__(self, convention: str | Convention = DEFAULT, **arguments: Any):
        super().__init__(self.metric_name, convention, **arguments)


def collection(
    names: Sequence[str] | None = None, convention: str | Convention = DEFAULT, prefix: str = ""
) -> MetricCollection:
    """Several metrics of a convention, updated together.

    Args:
        names: names of the convention's metrics; None selects all.
        convention: name of the convention, or a `Convention`.
        prefix: prefix of the names in results, such as "val/".

    Raises:
        UserError: a name or the convention is unknown.
    """
    names = list_metrics(convention) if names is None else names
    metrics: dict[str, Any] = {name: FusionMetric(name, convention) for name in names}
    return MetricCollection(metrics, prefix=prefix or None, compute_groups=False)


class Entropy(_Named):
    """Entropy of the fused images' histograms, bits."""

    metric_name = "en"


class StandardDeviation(_Named):
    """Standard deviation of the fused images, levels."""

    metric_name = "sd"

    def __init__(self, convention: str | Convention = "cddfuse", **arguments: Any):
        super().__init__(convention, **arguments)


class SpatialFrequency(_Named):
    """Spatial frequency of the fused images, levels."""

    metric_name = "sf"


class AverageGradient(_Named):
    """Average gradient of the fused images, levels."""

    metric_name = "ag"


class FusionMutualInformation(_Named):
    """Mutual information with both sources."""

    metric_name = "mi"


class CorrelationCoefficient(_Named):
    """Mean correlation with both sources."""

    metric_name = "cc"


class SumOfCorrelationsOfDifferences(_Named):
    """SCD: correlations of differences and sources."""

    metric_name = "scd"


class FusionPSNR(_Named):
    """PSNR of the error averaged over both sources, dB."""

    metric_name = "psnr"


class FusionSSIM(_Named):
    """SSIM with both sources."""

    metric_name = "ssim"


class FusionMultiScaleSSIM(_Named):
    """MS-SSIM with both sources; needs images of 161 pixels a side."""

    metric_name = "ms_ssim"


class FusionVIF(_Named):
    """Visual information fidelity with both sources as references."""

    metric_name = "vif"


class VIFF(_Named):
    """Visual information fidelity for fusion; needs images of 41 pixels a side."""

    metric_name = "viff"


class Qabf(_Named):
    """Share of the sources' edges that is kept."""

    metric_name = "qabf"


class Nabf(_Named):
    """Share of artificial edges that the fusion added; lower is better."""

    metric_name = "nabf"
