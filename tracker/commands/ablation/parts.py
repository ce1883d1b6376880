"""What the low-rank and sparse parts of a tracker's features look like, as an image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fusion.base.errors import UserError
from tracker.data.crops import context_side, crop_square
from tracker.data.frames import MODALITIES, MODALITY_NAMES
from tracker.data.sequences import Sequence as Frames

if TYPE_CHECKING:
    from tracker.model.joint import JointTracker


@dataclass(frozen=True, eq=False)
class Look:
    """A modality of a frame on its way through the fusion module of the score.

    Attributes:
        crop: the search region about the annotated box, uint8.
        stages: mean over channels of the absolute values, ``(H, W)`` each: the correlation map, its
            low-rank and its sparse coefficients.
        zeros: shares of coefficients that the threshold makes exactly 0, of both kinds.
    """

    crop: np.ndarray
    stages: dict[str, np.ndarray]
    zeros: tuple[float, float]


def look(network: "JointTracker", sequence: Frames, index: int) -> dict[str, Look]:
    """Follow a frame through the network, with the first frame as template.

    Args:
        network: with LLRR fusion of correlation maps.
        index: of the frame, from 0.

    Returns:
        By modality.

    Raises:
        UserError: a frame lacks its box or a modality, or the network has no such fusion.
    """
    import torch

    from fusion.llrr.feature import LLRRFusion

    network = network.eval()
    fusion = getattr(network.head.joins["cls"], "fusion", None) if network.head.joins else None
    if not isinstance(fusion, LLRRFusion) or network.head.tap != "maps":
        raise UserError("parts are those of LLRR fusion of correlation maps; name such a network")
    template = _crops(sequence, 0, network.exemplar_size, network.exemplar_size)
    search = _crops(sequence, index, network.search_size, network.exemplar_size)
    with torch.no_grad():
        kernels = network.kernels(network.template(network.prepare(_tensors(template))))
        maps = network.correlate(kernels, network.features(network.prepare(_tensors(search))))
        found = {}
        for modality, stack in zip(MODALITIES, (fusion.llrr_rgb, fusion.llrr_ir), strict=True):
            score = maps[modality][0]
            parts = dict(zip(("low-rank", "sparse"), stack(score), strict=True))
            zeros = [float((part == 0).float().mean()) for part in parts.values()]
            stages = {"correlation": score, **parts}
            shown = {name: x[0].abs().mean(0).numpy() for name, x in stages.items()}
            found[modality] = Look(search[modality], shown, (zeros[0], zeros[1]))
    return found


def _crops(sequence: Frames, index: int, size: int, exemplar: int) -> dict[str, np.ndarray]:
    """Crops of ``size`` pixels about a frame's box, at the scale of an exemplar."""
    frame = sequence.frame(index)
    box = sequence.boxes_rgb[index]
    if frame.rgb is None or frame.ir is None or not np.isfinite(box).all():
        raise UserError(f"{sequence.name}: frame {index + 1} lacks a box or a modality")
    x, y, w, h = box.tolist()
    side = context_side(w, h) * size / exemplar
    return {
        m: crop_square(getattr(frame, m), (x + w / 2, y + h / 2), side, size, None)
        for m in MODALITIES
    }


def _tensors(crops: Mapping[str, np.ndarray]) -> dict[str, Any]:
    import torch

    found = {}
    for modality, crop in crops.items():
        planes = crop[None] if crop.ndim == 2 else crop.transpose(2, 0, 1)
        found[modality] = torch.from_numpy(np.ascontiguousarray(planes))[None].float()
    return found


def parts_figure(looks: Sequence[tuple[str, Mapping[str, Look]]]) -> Figure:
    """Draw frames with their parts: two rows per frame, one per modality.

    Every map has its own grey scale from 0 to its maximum, which stands above it.

    Args:
        looks: a title and the result of `look` for every frame.
    """
    rows = len(MODALITIES) * len(looks)
    figure = Figure(figsize=(8.4, 2.1 * rows + 0.2), layout="constrained")
    grid = figure.subplots(rows, 4, squeeze=False)
    for place, (title, found) in enumerate(looks):
        for row, (modality, each) in enumerate(found.items()):
            axes = grid[len(MODALITIES) * place + row]
            _show(axes[0], each.crop, f"{title}\n{MODALITY_NAMES[modality]}")
            for cell, (name, values) in zip(axes[1:], each.stages.items(), strict=True):
                note = f"{name}, at most {values.max():.2g}"
                if name != "correlation":
                    share = each.zeros[0 if name == "low-rank" else 1]
                    note += f"\n{share:.0%} of coefficients are 0"
                _show(cell, values, note)
    return figure


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    is_map = image.dtype != np.uint8
    axes.imshow(image, cmap="magma" if is_map else "gray", vmin=0, vmax=None if is_map else 255)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=7, pad=3)
