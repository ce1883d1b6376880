"""LRRNet, the image-level fusion network (Li et al., TPAMI 2023, Sec. 4.1).

Two `LLRR` stacks with separate parameters separate the infrared and the visible image into low-rank
and sparse coefficients. A decoder of single convolutions fuses each kind and adds the two fused
parts. The other extractors of the paper's ablations (Tables 1 to 4) can replace the stacks.
"""

import itertools
from typing import Literal, NamedTuple

import cv2
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.llrr.block import LLRR, conv3x3, has_hooks, is_as_built, is_recorded
from fusion.llrr.fast.branches import Branch, GPUKernel, branch_maps
from fusion.llrr.fast.windows import windows
from fusion.networks.base import FusionNetwork
from fusion.networks.registry import NETWORKS

__all__ = ["ConvExtractor", "DenseExtractor", "LRRNet", "LRRParts"]


class LRRParts(NamedTuple):
    """All intermediate results of a fusion, and the fused image."""

    low_rank_ir: Tensor  #: L of the infrared image, ``(B, num_filters, H, W)``
    sparse_ir: Tensor  #: S of the infrared image, ``(B, num_filters, H, W)``
    low_rank_vis: Tensor  #: L of the visible image, ``(B, num_filters, H, W)``
    sparse_vis: Tensor  #: S of the visible image, ``(B, num_filters, H, W)``
    low_rank: Tensor  #: fused low-rank part L_f, ``(B, 1, H, W)``
    sparse: Tensor  #: fused sparse part S_f, ``(B, 1, H, W)``
    fused: Tensor  #: the fused image, L_f + S_f


class ConvExtractor(nn.Module):
    """Plain 3x3 convolutions instead of the LLRR stack, as in the ablation.

    The paper has eight layers of 256 maps, two for each of the four blocks that they replace. The
    ReLU after each layer is our choice.
    """

    def __init__(self, num_filters: int = 128, num_layers: int = 8):
        super().__init__()
        if num_layers < 1:
            raise ValueError("the convolutional extractor needs num_blocks >= 1")
        channels = [1] + [2 * num_filters] * num_layers
        self.layers = nn.ModuleList(
            conv3x3(c_in, c_out) for c_in, c_out in itertools.pairwise(channels)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 1, H, W)`` to two halves of the last layer's maps, ``(B, num_filters, H, W)``."""
        for layer in self.layers:
            x = F.relu(layer(x))
        low_rank, sparse = x.chunk(2, dim=1)
        return low_rank, sparse


class DenseExtractor(nn.Module):
    """Dense blocks instead of the LLRR stack, as in the ablation.

    The paper gives only the number of blocks, four. This implementation follows DenseFuse: a first
    convolution to ``num_filters / 2`` maps, then blocks of three convolutions, each of which takes
    all preceding maps and adds ``num_filters / (2 num_blocks)``. For 128 filters and 4 blocks this
    gives 64 + 4 x 3 x 16 = 256 maps, with DenseFuse's growth of 16.
    """

    LAYERS_PER_BLOCK = 3

    def __init__(self, num_filters: int = 128, num_blocks: int = 4):
        super().__init__()
        if num_blocks < 1 or num_filters % (2 * num_blocks):
            raise ValueError(
                "the dense extractor needs num_filters to be a multiple of 2 num_blocks, got "
                f"{num_filters} filters and {num_blocks} blocks"
            )
        growth = num_filters // (2 * num_blocks)
        first = num_filters // 2
        self.encode = conv3x3(1, first)
        self.layers = nn.ModuleList(
            conv3x3(first + i * growth, growth) for i in range(self.LAYERS_PER_BLOCK * num_blocks)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, 1, H, W)`` to two halves of all maps, ``(B, num_filters, H, W)``."""
        x = F.relu(self.encode(x))
        for layer in self.layers:
            x = torch.cat([x, F.relu(layer(x))], dim=1)
        low_rank, sparse = x.chunk(2, dim=1)
        return low_rank, sparse


class Decoder(nn.Module):
    """Combines the coefficients of both modalities into the fused image.

    Each of the four sets of coefficients is reduced to one map. The two low-rank maps are
    concatenated (or added) and convolved to L_f, the two sparse maps to S_f.
    """

    _STRIP = 64  # rows convolved at a time without gradients

    def __init__(self, num_filters: int, combine: Literal["concat", "add"]):
        super().__init__()
        self.combine = combine
        joined = 2 if combine == "concat" else 1
        self.low_rank_ir = conv3x3(num_filters, 1)
        self.sparse_ir = conv3x3(num_filters, 1)
        self.low_rank_vis = conv3x3(num_filters, 1)
        self.sparse_vis = conv3x3(num_filters, 1)
        self.low_rank = conv3x3(joined, 1)
        self.sparse = conv3x3(joined, 1)

    def reduce_ir(self, low_rank: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Infrared coefficients ``(B, num_filters, H, W)`` to one map each, ``(B, 1, H, W)``."""
        return self.low_rank_ir(low_rank), self.sparse_ir(sparse)

    def reduce_vis(self, low_rank: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Visible coefficients to one map each; see `reduce_ir`."""
        return self.low_rank_vis(low_rank), self.sparse_vis(sparse)

    def forward(
        self, ir: tuple[Tensor, Tensor], vis: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Reduced (low-rank, sparse) maps of both modalities to the fused parts L_f and S_f."""
        return (
            self._fuse(self.low_rank, ir[0], vis[0]),
            self._fuse(self.sparse, ir[1], vis[1]),
        )

    def _fuse(self, conv: nn.Conv2d, ir: Tensor, vis: Tensor) -> Tensor:
        """Combine two maps and convolve them to one."""

        def join(rows: slice) -> Tensor:
            parts = ir[..., rows, :], vis[..., rows, :]
            return torch.cat(parts, dim=1) if self.combine == "concat" else parts[0] + parts[1]

        def fuse(rows: slice) -> Tensor:
            return conv(join(rows))

        if torch.is_grad_enabled() or ir.device.type != "cpu" or is_recorded(ir) or has_hooks(conv):
            return fuse(slice(None))
        if is_as_built(conv) and ir.dtype == conv.weight.dtype == torch.float32:
            return _filtered(join(slice(None)), conv)
        # PyTorch pads these two channels to 8 or 16. For the whole image at once, that would be
        # most of the memory that fusing it takes.
        strips = windows(ir.shape[2], self._STRIP, reach=1)
        return torch.cat([fuse(rows.read)[..., rows.inner, :] for rows in strips], dim=2)


def _filtered(maps: Tensor, conv: nn.Conv2d) -> Tensor:
    """A 3x3 convolution of one or two maps ``(B, C, H, W)`` to one, by OpenCV.

    PyTorch pads so few channels to 8 or 16, which takes seven times as long.
    """
    kernels = conv.weight[0].detach().numpy()
    fused = torch.empty_like(maps[:, :1])
    for image, out in zip(maps.numpy(), fused[:, 0].numpy(), strict=True):
        parts = (
            cv2.filter2D(channel, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
            for channel, kernel in zip(image, kernels, strict=True)
        )
        out[:] = next(parts) if conv.bias is None else next(parts) + conv.bias.item()
        for part in parts:
            out += part
    return fused


@NETWORKS.register("lrrnet")
class LRRNet(FusionNetwork):
    """Fuses an infrared and a visible image; 49 204 parameters as published.

    Args:
        num_filters: number of low-rank maps per modality, and of sparse ones (n = 128).
        num_blocks: number of LLRR blocks (T = 4; 2 to 8 in the ablation). The convolutional
            extractor has two layers per block, the dense extractor one dense block.
        combine: how the decoder combines the modalities: ``concat`` as published, or ``add``.
        extractor: ``llrr``, or the ablation's ``conv`` or ``dense``.
        scaling: pixel convention of the weights; defaults to LRRNet's published one.

    Attributes:
        fast: let `forward` use the implementations of `fusion.llrr.fast` instead of the modules one
            by one. This is many times faster and equal up to rounding. Second derivatives require
            False.
        gpu_kernel: on a GPU and without gradients, use the Triton kernels of
            `fusion.llrr.fast.gpu`, with coefficients stored in "float32" or "bfloat16". Not
            measured yet, and therefore "off".
    """

    verified = "21 published images"
    fast: bool = True
    gpu_kernel: GPUKernel = "off"

    def __init__(
        self,
        num_filters: int = 128,
        num_blocks: int = 4,
        combine: Literal["concat", "add"] = "concat",
        extractor: Literal["llrr", "conv", "dense"] = "llrr",
        scaling: PixelScaling | None = None,
    ):
        super().__init__()
        if combine not in ("concat", "add"):
            raise ValueError(f"combine is 'concat' or 'add', got {combine!r}")
        if extractor not in ("llrr", "conv", "dense"):
            raise ValueError(f"extractor is 'llrr', 'conv' or 'dense', got {extractor!r}")
        self.architecture = {
            "num_filters": num_filters,
            "num_blocks": num_blocks,
            "combine": combine,
            "extractor": extractor,
        }
        self.scaling = scaling or PixelScaling()

        def make_extractor() -> nn.Module:
            if extractor == "llrr":
                return LLRR(1, num_filters, num_blocks)
            if extractor == "conv":
                return ConvExtractor(num_filters, 2 * num_blocks)
            return DenseExtractor(num_filters, num_blocks)

        self.infrared = make_extractor()
        self.visible = make_extractor()
        self.decoder = Decoder(num_filters, combine)

    @property
    def reach(self) -> int:
        """One pixel for each 3x3 convolution between the images and the fused image."""
        num_blocks = self.architecture["num_blocks"]
        extractor = {
            "llrr": 2 * num_blocks + 1,
            "conv": 2 * num_blocks,
            "dense": DenseExtractor.LAYERS_PER_BLOCK * num_blocks + 1,
        }[self.architecture["extractor"]]
        return extractor + 2  # the reduction to single maps and their combination

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Compute the fused image before it is scaled to pixels.

        Args:
            ir: infrared image, ``(B, 1, H, W)``, scaled according to `scaling` (0..1); H and W at
                least 2.
            vis: visible image, of the same shape and scaling.

        Returns:
            ``(B, 1, H, W)``, without a fixed range; `scaling` converts it to pixels.
        """
        branches = (
            Branch(self.infrared, self.decoder.low_rank_ir, self.decoder.sparse_ir),
            Branch(self.visible, self.decoder.low_rank_vis, self.decoder.sparse_vis),
        )
        maps = branch_maps((ir, vis), branches, self.gpu_kernel) if self.fast else None
        if maps is None:
            # One modality after the other: without gradients, the first one's coefficients, by far
            # the largest arrays, are released before the second one's are computed.
            ir_maps = self.decoder.reduce_ir(*self.infrared(ir))
            vis_maps = self.decoder.reduce_vis(*self.visible(vis))
        else:
            ir_maps, vis_maps = maps
        low_rank, sparse = self.decoder(ir_maps, vis_maps)
        return low_rank + sparse

    def parts(self, ir: Tensor, vis: Tensor) -> LRRParts:
        """`forward` with all intermediate results; holds all coefficients in memory at once."""
        low_rank_ir, sparse_ir = self.infrared(ir)
        low_rank_vis, sparse_vis = self.visible(vis)
        low_rank, sparse = self.decoder(
            self.decoder.reduce_ir(low_rank_ir, sparse_ir),
            self.decoder.reduce_vis(low_rank_vis, sparse_vis),
        )
        return LRRParts(
            low_rank_ir,
            sparse_ir,
            low_rank_vis,
            sparse_vis,
            low_rank,
            sparse,
            low_rank + sparse,
        )
