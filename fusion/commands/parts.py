"""Images of LRRNet's intermediate results: L_f, S_f and the coefficients of both modalities."""

import numpy as np
from torch import Tensor

from fusion.images.pixels import tile
from fusion.networks.lrrnet import LRRParts

#: Number of coefficient maps shown for each stack, the strongest first.
MAPS_SHOWN = 4


def parts_sheet(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray, parts: LRRParts) -> np.ndarray:
    """Draw a contact sheet of one fusion.

    The first row shows the sources, the fused parts and the fused image. Then there is one row for
    each of the four coefficient stacks: the mean magnitude over channels, and the channels with the
    most energy. Parts and single channels are signed, so zero is mid-grey; magnitudes start at
    black.

    Args:
        ir, vis, fused: uint8, ``HxW`` or RGB ``HxWx3``.
        parts: the parts of one pair.

    Returns:
        RGB uint8.
    """
    rows = [
        [
            ("infrared", ir),
            ("visible", vis),
            ("low-rank part L_f", _signed(parts.low_rank[0, 0])),
            ("sparse part S_f", _signed(parts.sparse[0, 0])),
            ("fused", fused),
        ]
    ]
    for title, stack in (
        ("L infrared", parts.low_rank_ir[0]),
        ("S infrared", parts.sparse_ir[0]),
        ("L visible", parts.low_rank_vis[0]),
        ("S visible", parts.sparse_vis[0]),
    ):
        magnitude = stack.abs().mean(0)
        energy = stack.square().mean((1, 2))
        strongest = energy.argsort(descending=True, stable=True)[:MAPS_SHOWN]
        rows.append(
            [(f"{title}: mean magnitude", _unsigned(magnitude))]
            + [(f"{title}, map {int(channel)}", _signed(stack[channel])) for channel in strongest]
        )
    return tile(rows)


def _signed(values: Tensor) -> np.ndarray:
    """Greyscale with zero in the middle, scaled to the 99.5th percentile of the magnitude.

    The values of a part may be far from zero, so the median is subtracted first to show contrast.
    """
    array = values.float().cpu().numpy()
    array = array - np.median(array)
    top = max(float(np.percentile(np.abs(array), 99.5)), 1e-12)
    return np.clip(np.rint(127.5 + array * (127.5 / top)), 0, 255).astype(np.uint8)


def _unsigned(values: Tensor) -> np.ndarray:
    array = values.float().cpu().numpy()
    low, top = (float(v) for v in np.percentile(array, (0.5, 99.5)))
    scaled = (array - low) * (255 / max(top - low, 1e-12))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)
