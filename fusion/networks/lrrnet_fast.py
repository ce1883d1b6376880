"""LRRNet with fewer filters and blocks, for video at a camera's rate on two processor cores."""

from typing import Literal

from fusion.images.pixels import PixelScaling
from fusion.networks.lrrnet import LRRNet
from fusion.networks.registry import NETWORKS

__all__ = ["LRRNetFast"]


@NETWORKS.register("lrrnet_fast")
class LRRNetFast(LRRNet):
    """`LRRNet` with 16 filters and 2 blocks instead of 128 and 4.

    The structure and the arguments are LRRNet's; only the defaults differ, and the name under which
    weights are saved. The included weights are distilled from LRRNet's
    (``experiments/fusion/lrrnet_fast.yaml``). Videos are made steady by default.
    """

    steady = True
    verified = ""  # the package's own
    video_threads = 1

    def __init__(
        self,
        num_filters: int = 16,
        num_blocks: int = 2,
        combine: Literal["concat", "add"] = "concat",
        extractor: Literal["llrr", "conv", "dense"] = "llrr",
        scaling: PixelScaling | None = None,
    ):
        super().__init__(num_filters, num_blocks, combine, extractor, scaling)
