"""SwinFusion (Ma et al., IEEE/CAA JAS 2022): attention within and across modalities in windows.

The network has convolutions, shifted-window transformer blocks for each modality, then alternating
blocks within each modality and across modalities, then blocks on the fused features, and
convolutions to the image.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.registry import NETWORKS

__all__ = ["SwinFusion"]

DIM, HEADS, WINDOW, LEAK = 60, 6, 8, 0.2
#: Number of blocks per modality, of pairs of fusion stages and their blocks, and of fused blocks.
EXTRACT_DEPTH, FUSION_STAGES, FUSION_DEPTH, RECONSTRUCT_DEPTH = 4, 2, 2, 4


def to_windows(x: Tensor) -> Tensor:
    """``(B, H, W, C)`` to ``(windows, WINDOW^2, C)``, H and W multiples of the window."""
    b, h, w, c = x.shape
    x = x.view(b, h // WINDOW, WINDOW, w // WINDOW, WINDOW, c)
    return x.transpose(2, 3).reshape(-1, WINDOW**2, c)


def from_windows(windows: Tensor, like: Tensor) -> Tensor:
    """Inverse of `to_windows`, to the shape of ``like``."""
    b, h, w, c = like.shape
    x = windows.view(b, h // WINDOW, w // WINDOW, WINDOW, WINDOW, c)
    return x.transpose(2, 3).reshape(b, h, w, c)


def shift_mask(height: int, width: int, shift: int, like: Tensor) -> Tensor:
    """Mask of the positions of a shifted window that are neighbours in the image.

    ``(windows, WINDOW^2, WINDOW^2)``: 0 if they are, and -100 if the shift moved them there from
    opposite borders.
    """

    def regions(size: int) -> Tensor:
        place = torch.arange(size, device=like.device)
        return (place >= size - WINDOW).long() + (place >= size - shift).long()

    region = 3 * regions(height)[:, None] + regions(width)
    windows = to_windows(region[None, :, :, None]).squeeze(2)
    apart = windows[:, None] != windows[:, :, None]
    return torch.where(apart, -100.0, 0.0).to(like.dtype)


class WindowAttention(nn.Module):
    """Attention of a map's windows to another map's, or its own, with a learned position bias.

    Args:
        across: project queries separately from keys and values, which come from the other map.
    """

    def __init__(self, across: bool):
        super().__init__()
        parts = (1, 2) if across else (3,)
        self.inputs = nn.ModuleList(nn.Linear(DIM, n * DIM) for n in parts)
        self.bias = nn.Parameter(torch.empty((2 * WINDOW - 1) ** 2, HEADS))
        nn.init.trunc_normal_(self.bias, std=0.02)
        self.output = nn.Linear(DIM, DIM)

    def forward(self, x: Tensor, other: Tensor, mask: Tensor | None) -> Tensor:
        """Both ``(windows, WINDOW^2, DIM)``; ``mask`` is the `shift_mask` of one image."""
        projected = torch.cat(
            [layer(y) for layer, y in zip(self.inputs, (x, other), strict=False)], dim=2
        )
        count, places, _ = x.shape
        q, k, v = projected.view(count, places, 3, HEADS, -1).permute(2, 0, 3, 1, 4)
        bias = self.bias[self._displacements(x.device)].permute(2, 0, 1)[None]
        if mask is not None:
            bias = bias + mask.repeat(count // len(mask), 1, 1)[:, None]
        attended = F.scaled_dot_product_attention(q, k, v, bias.expand(count, -1, -1, -1))
        return self.output(attended.transpose(1, 2).reshape(x.shape))

    @staticmethod
    def _displacements(device: torch.device) -> Tensor:
        """Index of the displacement between any two positions of a window."""
        place = torch.arange(WINDOW, device=device)
        row, column = (axis.flatten() for axis in torch.meshgrid(place, place, indexing="ij"))
        rows, columns = (axis[:, None] - axis + WINDOW - 1 for axis in (row, column))
        return rows * (2 * WINDOW - 1) + columns


class Block(nn.Module):
    """Transformer block on windows, optionally shifted by half a window.

    Args:
        shift: number of pixels by which the windows are shifted.
        drop: probability with which training leaves out each of the two residuals of an image.
        across: attend to the other map.
    """

    def __init__(self, shift: int, drop: float, across: bool = False):
        super().__init__()
        self.shift, self.drop = shift, drop
        self.norm = nn.LayerNorm(DIM)
        self.attention = WindowAttention(across)
        self.mlp = nn.Sequential(
            nn.LayerNorm(DIM), nn.Linear(DIM, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM)
        )

    def normed(self, x: Tensor) -> Tensor:
        """Normalised windows of a map ``(B, H, W, DIM)``, the input of the attention."""
        x = self.norm(x)
        return to_windows(x.roll((-self.shift, -self.shift), (1, 2)) if self.shift else x)

    def forward(self, x: Tensor, own: Tensor, other: Tensor) -> Tensor:
        """Apply the block to a map ``(B, H, W, DIM)``, given its windows and those attended to."""
        mask = shift_mask(x.shape[1], x.shape[2], self.shift, x) if self.shift else None
        attended = from_windows(self.attention(own, other, mask), x)
        if self.shift:
            attended = attended.roll((self.shift, self.shift), (1, 2))
        x = x + self._perhaps(attended)
        return x + self._perhaps(self.mlp(x))

    def _perhaps(self, residual: Tensor) -> Tensor:
        """Stochastic depth: 0 for some images of a batch, the others scaled to the same mean."""
        if not self.training or self.drop == 0:
            return residual
        kept = torch.rand(len(residual), 1, 1, 1, device=residual.device) >= self.drop
        return residual * kept / (1 - self.drop)


class WithinStage(nn.Module):
    """Blocks within one map, with the probability of `Block` for each."""

    def __init__(self, drops: Sequence[float]):
        super().__init__()
        self.blocks: Any = nn.ModuleList(
            Block(WINDOW // 2 * (i % 2), drop) for i, drop in enumerate(drops)
        )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, H, W, DIM)``."""
        for block in self.blocks:
            windows = block.normed(x)
            x = block(x, windows, windows)
        return x


def _across_blocks(drops: Sequence[float]) -> nn.ModuleList:
    return nn.ModuleList(Block(WINDOW // 2 * (i % 2), p, across=True) for i, p in enumerate(drops))


class AcrossStage(nn.Module):
    """Blocks on two maps, each of which attends to the other."""

    def __init__(self, drops: Sequence[float]):
        super().__init__()
        self.ir: Any = _across_blocks(drops)
        self.vis: Any = _across_blocks(drops)

    def forward(self, ir: Tensor, vis: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, H, W, DIM)`` each."""
        for ir_block, vis_block in zip(self.ir, self.vis, strict=True):
            ir_windows, vis_windows = ir_block.normed(ir), vis_block.normed(vis)
            ir = ir_block(ir, ir_windows, vis_windows)
            vis = vis_block(vis, vis_windows, ir_windows)
        return ir, vis


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


@NETWORKS.register("swinfusion")
class SwinFusion(FusionNetwork):
    """Fuses an infrared and a visible image; 965 251 parameters.

    The .97368 M of Table 7 are the 973 681 of the released program. It has two more convolutions
    with 8 430 parameters, meant for the second image, that it never uses: both images pass through
    those of the first. In evaluation, images are extended by one to eight mirrored pixels at the
    right and at the bottom, as the released program does, also if they have whole windows.

    Args:
        stochastic_depth: probability in training of leaving out the residuals of the last block of
            each part; it grows linearly from 0 over the part's blocks.
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"
    min_side = WINDOW

    def __init__(self, stochastic_depth: float = 0.1, scaling: PixelScaling | None = None):
        super().__init__()
        if not 0 <= stochastic_depth < 1:
            raise ValueError(f"stochastic_depth is at least 0, below 1, got {stochastic_depth}")
        self.architecture = {"stochastic_depth": stochastic_depth}

        def drops(count: int) -> list[float]:
            return [stochastic_depth * i / (count - 1) for i in range(count)]

        self.scaling = scaling or UNIT_SCALING
        self.first = nn.ModuleList((_conv(1, DIM // 2), _conv(DIM // 2, DIM)))
        self.embed = nn.LayerNorm(DIM)  # used wherever maps become tokens
        self.extract_ir, self.extract_vis = (WithinStage(drops(EXTRACT_DEPTH)) for _ in range(2))
        self.extracted_ir, self.extracted_vis = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        fusing = drops(FUSION_STAGES * FUSION_DEPTH)
        stages = [fusing[i : i + FUSION_DEPTH] for i in range(0, len(fusing), FUSION_DEPTH)]
        self.within_ir = nn.ModuleList(map(WithinStage, stages))
        self.within_vis = nn.ModuleList(map(WithinStage, stages))
        self.across = nn.ModuleList(map(AcrossStage, stages))
        self.fused_ir, self.fused_vis = nn.LayerNorm(DIM), nn.LayerNorm(DIM)
        self.join = _conv(2 * DIM, DIM)
        self.reconstruct = WithinStage(drops(RECONSTRUCT_DEPTH))
        self.reconstructed = nn.LayerNorm(DIM)
        self.last = nn.ModuleList(
            (_conv(DIM, DIM // 2), _conv(DIM // 2, DIM // 4), _conv(DIM // 4, 1))
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1; the output has no fixed range."""
        height, width = ir.shape[2:]
        ir, vis = (self._shallow(self._to_whole_windows(image)) for image in (ir, vis))
        ir = self.embed(self.extracted_ir(self.extract_ir(ir)))
        vis = self.embed(self.extracted_vis(self.extract_vis(vis)))
        for within_ir, within_vis, across in zip(
            self.within_ir, self.within_vis, self.across, strict=True
        ):
            ir, vis = across(within_ir(ir), within_vis(vis))
        both = torch.cat([self.fused_ir(ir), self.fused_vis(vis)], dim=3)
        x = F.leaky_relu(self.join(both.permute(0, 3, 1, 2)), LEAK)
        x = self.reconstructed(self.reconstruct(self.embed(x.permute(0, 2, 3, 1))))
        x = x.permute(0, 3, 1, 2)
        *hidden, last = self.last
        for layer in hidden:
            x = F.leaky_relu(layer(x), LEAK)
        return last(x)[..., :height, :width]

    def _to_whole_windows(self, image: Tensor) -> Tensor:
        height, width = image.shape[2:]
        if self.training:
            return F.pad(image, (0, -width % WINDOW, 0, -height % WINDOW), mode="reflect")
        image = torch.cat([image, image[:, :, -(WINDOW - height % WINDOW) :].flip(2)], dim=2)
        return torch.cat([image, image[..., -(WINDOW - width % WINDOW) :].flip(3)], dim=3)

    def _shallow(self, image: Tensor) -> Tensor:
        """Image ``(B, 1, H, W)`` to tokens ``(B, H, W, DIM)``."""
        for layer in self.first:
            image = F.leaky_relu(layer(image), LEAK)
        return self.embed(image.permute(0, 2, 3, 1))
