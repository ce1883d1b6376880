"""What LRRNet sees, as pictures: the parts L_f and S_f and the coefficients of both modalities."""

import numpy as np
from torch import Tensor

from fusion.images.pixels import tile
from fusion.networks.lrrnet import LRRParts

#: Coefficient maps shown of each stack, the strongest first.
MAPS_SHOWN = 4


def parts_sheet(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray, parts: LRRParts) -> np.ndarray:
    """One contact sheet of a fusion.

    First row: the sources, the fused parts and the fused picture. Then a row for each of the four
    coefficient stacks: the mean magnitude over channels, and the channels of most energy. Parts
    and single channels are signed, so zero is mid-grey; magnitudes begin at black.

    Args:
        ir, vis, fused: uint8, ``HxW`` or RGB ``HxWx3``.
        parts: of one pair.

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
    """Grey with zero in the middle, scaled to the 99.5th percentile of the magnitude.

    A part may sit far from zero, so its median is taken out first: contrast shows, not level.
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
