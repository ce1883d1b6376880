"""Fuse the pictures of two cameras live."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fusion.images.pixels import narrowed, to_8bit
from fusion.live.pipeline import Live, Registration, ShotPair
from fusion.networks.base import FusionNetwork
from fusion.networks.video import FrameFusion


class LiveFusion(Live):
    """The fused picture of two cameras, see `fusion.live.pipeline.Live`.

    If a camera is missing, the other one's picture is shown.

    Args:
        network: in evaluation mode.
        ir, vis: see `fusion.live.pipeline.Live`.
        color: keep the visible picture's colour.
        width: visible pictures that are wider, in pixels, are scaled down before they are fused.
        steady: see `fusion.networks.video.FrameFusion`.
    """

    title = "Live fusion"
    views: ClassVar = {
        "fused": ("fused",),
        "visible": ("visible",),
        "infrared": ("infrared",),
        "side by side": ("infrared", "visible", "fused"),
    }

    def __init__(
        self,
        network: FusionNetwork,
        ir: str | int | Path,
        vis: str | int | Path,
        *,
        color: bool = True,
        width: int | None = None,
        steady: bool | None = None,
        registration: Registration | None = None,
        delay: float = 0.0,
        recordings: str | Path = "recordings",
        report: Callable[[str], None] = lambda line: None,
    ):
        super().__init__(
            ir, vis, registration=registration, delay=delay, recordings=recordings, report=report
        )
        self.network, self.color, self.width = network, color, width
        self._fusion = FrameFusion(network, steady)

    def scaled(self, vis: np.ndarray) -> np.ndarray:
        """The visible picture in the size that is fused."""
        return vis if self.width is None else narrowed(vis, self.width)

    def compute(self, pair: ShotPair) -> tuple[Mapping[str, np.ndarray | None], dict[str, Any]]:
        """Fuse a pair; see the base class."""
        ir, vis = self.inputs(pair)
        if ir is None or vis is None:
            fused = vis if ir is None else to_8bit(ir)
        else:
            fused = self._fusion.fuse(ir, vis, self.color)
        grey = None if ir is None else to_8bit(ir)
        return {"fused": fused, "visible": vis, "infrared": grey}, {}
