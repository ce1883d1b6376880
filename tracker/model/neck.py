"""Neck: maps every level of the backbone to the same number of channels; crops templates."""

from collections.abc import Sequence

from torch import Tensor, nn


def crop_centre(x: Tensor, size: int) -> Tensor:
    """The central ``size`` x ``size`` cells of a map ``(B, C, H, W)``.

    About three quarters of a template is context. The crop keeps the object and a margin, so that
    correlation is cheaper and matches less background.

    Raises:
        ValueError: the map is smaller than ``size``, or has no centre of that size.
    """
    height, width = x.shape[-2:]
    top, odd_rows = divmod(height - size, 2)
    left, odd_columns = divmod(width - size, 2)
    if min(top, left) < 0 or odd_rows or odd_columns:
        raise ValueError(f"a {height}x{width} map has no central {size}x{size} cells")
    return x[..., top : top + size, left : left + size]


class Neck(nn.Module):
    """A 1x1 convolution with batch normalisation for every level.

    Args:
        in_channels: channels of the backbone's levels.
        channels: channels of all output levels.
    """

    def __init__(self, in_channels: Sequence[int], channels: int = 256):
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(inputs, channels, 1, bias=False), nn.BatchNorm2d(channels))
            for inputs in in_channels
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Levels ``(B, in_channels[i], H, W)`` to levels ``(B, channels, H, W)``."""
        return [adjust(x) for adjust, x in zip(self.levels, levels, strict=True)]
