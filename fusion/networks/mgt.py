"""MGT, Modality-Guided Transformer (Zhang et al., PRCV 2023): attention in windows of three sizes.

Blocks extract features of each modality and keep those after every block. Fused features are then
guided by them, block by block, and further blocks and convolutions make the image. This is the
network that reference-then-supervision calls MGT; the Image Fusion Transformer is
`fusion.networks.ift`.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fusion.images.pixels import PixelScaling
from fusion.networks.base import UNIT_SCALING, FusionNetwork
from fusion.networks.registry import NETWORKS

__all__ = ["MGT"]

DIM, LEAK, BLOCKS = 60, 0.2, 3
#: Sides of the windows; each has a third of the channels.
WINDOWS = (4, 8, 16)


def to_windows(x: Tensor, size: int) -> Tensor:
    """``(B, C, H, W)`` to ``(windows, size^2, C)``, H and W multiples of the window."""
    b, c, h, w = x.shape
    x = x.view(b, c, h // size, size, w // size, size)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(-1, size**2, c)


def from_windows(windows: Tensor, size: int, like: Tensor) -> Tensor:
    """Inverse of `to_windows`, to batch, height and width of ``like``."""
    b, _, h, w = like.shape
    x = windows.view(b, h // size, w // size, size, size, -1)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(b, -1, h, w)


class ShiftConv(nn.Module):
    """A 1x1 convolution of channels that are moved by a pixel: a fifth each takes its neighbour to
    the right, to the left, below, above, and itself. Beyond the border is 0."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        height, width = x.shape[2:]
        padded = F.pad(x, (1, 1, 1, 1)).chunk(5, dim=1)
        offsets = ((1, 2), (1, 0), (2, 1), (0, 1), (1, 1))
        moved = [
            part[:, :, top : top + height, left : left + width]
            for part, (top, left) in zip(padded, offsets, strict=True)
        ]
        return self.conv(torch.cat(moved, dim=1))


def _local() -> nn.Sequential:
    """Extraction of local features."""
    return nn.Sequential(ShiftConv(DIM, 2 * DIM), nn.ReLU(), ShiftConv(2 * DIM, DIM))


class Attention(nn.Module):
    """Attention ``softmax(q_p q_z^T) v_p`` in windows of `WINDOWS`, one head, not scaled.

    The same projection makes the queries of both maps, which serve as keys too.

    Args:
        rolled: shift the windows by half their side; places from opposite borders then meet.
        queries: compute the attention; False takes another one's and projects to values only.
    """

    def __init__(self, rolled: bool, queries: bool):
        super().__init__()
        self.rolled, self.queries = rolled, queries
        outputs = 2 * DIM if queries else DIM
        self.project = nn.Sequential(nn.Conv2d(DIM, outputs, 1), nn.BatchNorm2d(outputs))
        self.output = nn.Conv2d(DIM, DIM, 1)

    def forward(
        self, values: Tensor, guide: Tensor | None = None, maps: Sequence[Tensor] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """The attended features, and the attention of each size of windows.

        Args:
            values: the map p that is attended to, ``(B, DIM, H, W)``.
            guide: the map z whose places attend; None for p itself.
            maps: the attention to use, without ``queries``.
        """
        projected = self._split(values)
        if self.queries:
            asking = projected if guide is None else self._split(guide)
            maps = [
                (asked[..., : asked.shape[2] // 2] @ own[..., : own.shape[2] // 2].mT).softmax(2)
                for own, asked in zip(asking, projected, strict=True)
            ]
            projected = [part[..., part.shape[2] // 2 :] for part in projected]
        made = []
        for size, attention, part in zip(WINDOWS, maps, projected, strict=True):
            x = from_windows(attention @ part, size, values)
            made.append(x.roll((size // 2, size // 2), (2, 3)) if self.rolled else x)
        return self.output(torch.cat(made, dim=1)), list(maps)

    def _split(self, x: Tensor) -> list[Tensor]:
        """Projected windows of each size, ``(windows, size^2, channels)``."""
        parts = self.project(x).chunk(len(WINDOWS), dim=1)
        if self.rolled:
            parts = [
                part.roll((-(size // 2), -(size // 2)), (2, 3))
                for part, size in zip(parts, WINDOWS, strict=True)
            ]
        return [to_windows(part, size) for part, size in zip(parts, WINDOWS, strict=True)]


class Block(nn.Module):
    """Local features and attention, twice; the second attention is that of the first."""

    def __init__(self, rolled: bool):
        super().__init__()
        self.local = nn.ModuleList(_local() for _ in range(2))
        self.attention = nn.ModuleList(Attention(rolled, queries) for queries in (True, False))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, DIM, H, W)``."""
        maps: list[Tensor] = []
        for local, attention in zip(self.local, self.attention, strict=True):
            x = x + local(x)
            attended, maps = attention(x, maps=maps)
            x = x + attended
        return x


class GuidedBlock(nn.Module):
    """Fused features attend to both modalities' features, twice, with the same attention.

    As in the released program, the visible features receive local features of the fused ones.
    """

    def __init__(self, rolled: bool):
        super().__init__()
        self.own = nn.ModuleDict({name: Block(rolled) for name in ("ir", "vis", "fused")})
        self.local = nn.ModuleList(
            nn.ModuleDict({name: _local() for name in ("ir", "vis", "fused")}) for _ in range(2)
        )
        self.attention = nn.ModuleList(
            nn.ModuleDict({name: Attention(rolled, queries) for name in ("ir", "vis")})
            for queries in (True, False)
        )

    def forward(self, ir: Tensor, fused: Tensor, vis: Tensor) -> Tensor:
        """Each ``(B, DIM, H, W)``; returns the new fused features."""
        ir, fused, vis = self.own["ir"](ir), self.own["fused"](fused), self.own["vis"](vis)
        maps_ir: list[Tensor] = []
        maps_vis: list[Tensor] = []
        for local, attention in zip(self.local, self.attention, strict=True):
            ir = ir + local["ir"](ir)  # type: ignore[index]
            fused = fused + local["fused"](fused)  # type: ignore[index]
            vis = vis + local["vis"](fused)  # type: ignore[index]
            from_ir, maps_ir = attention["ir"](ir, fused, maps_ir)  # type: ignore[index]
            from_vis, maps_vis = attention["vis"](vis, fused, maps_vis)  # type: ignore[index]
            fused = fused + from_ir + from_vis
        return fused


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of ``(B, DIM, H, W)``."""

    def __init__(self) -> None:
        super().__init__(DIM)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _convs(*channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [_conv(inputs, outputs), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers)


def _blocks(kind: type[nn.Module]) -> nn.ModuleList:
    """`BLOCKS` blocks, of which every second has shifted windows."""
    return nn.ModuleList(kind(i % 2 == 1) for i in range(BLOCKS))


@NETWORKS.register("mgt")
class MGT(FusionNetwork):
    """Fuses an infrared and a visible image; 1 467 211 parameters.

    The released program reports 1 554 691: it stores the movements of `ShiftConv` as 87 480 fixed
    parameters. It is not in Table 7.

    Args:
        scaling: pixel convention of the weights.
    """

    verified = "parameter counts"
    min_side = 1 + max(WINDOWS) // 2  # shorter sides cannot be reflected to a multiple of 16

    def __init__(self, scaling: PixelScaling | None = None):
        super().__init__()
        self.architecture = {}
        self.scaling = scaling or UNIT_SCALING
        self.first = _convs(1, DIM // 2, DIM)
        self.extract_ir, self.extract_vis = _blocks(Block), _blocks(Block)
        self.extracted_ir, self.extracted_vis = ChannelNorm(), ChannelNorm()
        self.join = _convs(2 * DIM, 2 * DIM, DIM)
        self.guided, self.fused = _blocks(GuidedBlock), ChannelNorm()
        self.reconstruct, self.reconstructed = _blocks(Block), ChannelNorm()
        self.last = nn.Sequential(*_convs(DIM, DIM // 2, DIM // 4), _conv(DIM // 4, 1))

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Fuse two images ``(B, 1, H, W)`` in 0..1; the output has no fixed range."""
        height, width = ir.shape[2:]
        side = max(WINDOWS)
        missing = (0, -width % side, 0, -height % side)
        kept_ir, kept_vis = (
            _after_each(blocks, self.first(F.pad(image, missing, mode="reflect")))
            for blocks, image in ((self.extract_ir, ir), (self.extract_vis, vis))
        )
        x = torch.cat([self.extracted_ir(kept_ir[-1]), self.extracted_vis(kept_vis[-1])], dim=1)
        x = self.join(x)
        for guided, from_ir, from_vis in zip(self.guided, kept_ir, kept_vis, strict=True):
            x = x + guided(from_ir, x, from_vis)
        x = self.fused(x)
        for block in self.reconstruct:
            x = block(x)
        return self.last(self.reconstructed(x))[..., :height, :width]


def _after_each(blocks: nn.ModuleList, x: Tensor) -> list[Tensor]:
    made = []
    for block in blocks:
        x = block(x)
        made.append(x)
    return made
