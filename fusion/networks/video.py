"""Fuse the frames of a video, one after the other, with a result that is steady in time."""

import numpy as np

from fusion.base.threads import limited_threads, requested_threads
from fusion.images.arrays import as_picture
from fusion.images.pixels import is_color, luminance, with_luminance
from fusion.images.steady import HeldRange, SteadyPixels
from fusion.networks.base import FusionNetwork

__all__ = ["FrameFusion"]


class FrameFusion:
    """A network that fuses the frames of one video in order.

    >>> fusion = FrameFusion(network)  # doctest: +SKIP
    >>> for ir, vis in frames:  # doctest: +SKIP
    ...     show(fusion.fuse(ir, vis))

    Args:
        network: any network, in evaluation mode.
        steady: hold the range of levels and average still pixels (`fusion.images.steady`); if not,
            each frame is fused as a single image. None: as the network's class asks for
            (`FusionNetwork.steady`).
    """

    def __init__(self, network: FusionNetwork, steady: bool | None = None):
        self.network = network
        self.steady = network.steady if steady is None else steady
        self._ranges = HeldRange(), HeldRange()
        self._still = SteadyPixels()

    def fuse_luminance(self, ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
        """The fused luminance of the next frame.

        Args:
            ir, vis: of any form that `FusionNetwork.fuse` takes; of colour, the luminance counts.

        Returns:
            uint8 ``HxW``.

        Raises:
            ValueError: as `FusionNetwork.fuse`.
        """
        any_range = self.network.scaling.input == "min-max"
        # What the held ranges refer to: uint16 and 0..1 become 0..255 here.
        ir = luminance(as_picture(ir, "infrared", any_range))
        vis = luminance(as_picture(vis, "visible", any_range))
        with limited_threads(requested_threads() or self.network.video_threads):
            if not self.steady:
                return self.network.fuse(ir, vis, color=False)
            ranges = self._ranges[0](ir), self._ranges[1](vis)
            return self._still(self.network.fuse(ir, vis, color=False, ranges=ranges))

    def fuse(self, ir: np.ndarray, vis: np.ndarray, color: bool = True) -> np.ndarray:
        """Fuse the next frame.

        Args:
            ir, vis: see `FusionNetwork.fuse`.
            color: keep the chroma of a coloured visible frame.

        Returns:
            uint8, RGB ``HxWx3`` if the visible frame has colour and ``color`` is set, else ``HxW``.

        Raises:
            ValueError: as `FusionNetwork.fuse`.
        """
        if color:
            vis = as_picture(vis, "visible")
        fused = self.fuse_luminance(ir, vis)
        return with_luminance(vis, fused) if color and is_color(vis) else fused
