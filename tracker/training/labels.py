"""Labels of anchors: positive, negative or ignored."""

from dataclasses import dataclass

import numpy as np

from tracker.data.boxes import box_iou, cxcywh_to_xywh
from tracker.model.network import TrackerNetwork


@dataclass(frozen=True)
class PairGeometry:
    """The properties of a network that determine its training pairs.

    Attributes:
        modalities: among "rgb" and "ir".
        exemplar_size, search_size: sides of the crops in pixels.
        anchors: ``(4, A, H, W)``, see `tracker.model.anchors.anchor_grid`.
    """

    modalities: tuple[str, ...]
    exemplar_size: int
    search_size: int
    anchors: np.ndarray

    @classmethod
    def of(cls, network: TrackerNetwork) -> "PairGeometry":
        """The geometry of a network."""
        return cls(
            network.modalities,
            network.exemplar_size,
            network.search_size,
            network.anchors().cpu().numpy(),
        )


POSITIVE, NEGATIVE, IGNORED = 1, 0, -1


def label_anchors(
    box: np.ndarray,
    anchors: np.ndarray,
    positive: float = 0.6,
    negative: float = 0.3,
    best: bool = False,
) -> np.ndarray:
    """Label anchors by their IoU with a box.

    Args:
        box: centre x, y relative to the centre of the search region, width, height, in pixels.
        anchors: ``(4, A, H, W)``, in the same coordinates.
        positive: anchors above this IoU are positive.
        negative: anchors below this IoU are negative; those between are `IGNORED`.
        best: if no anchor is above ``positive``, label the one with the highest IoU as positive, as
            in region proposal networks (Ren et al., 2015). Otherwise such a box has no positive
            anchor, as in SiamRPN.

    Returns:
        ``(A, H, W)`` int64 of `POSITIVE`, `NEGATIVE` and `IGNORED`.
    """
    boxes = cxcywh_to_xywh(np.moveaxis(anchors, 0, -1))
    iou = box_iou(boxes, cxcywh_to_xywh(box))
    labels = np.full(iou.shape, IGNORED)
    labels[iou > positive] = POSITIVE
    labels[iou < negative] = NEGATIVE
    if best and iou.max() <= positive:
        labels.flat[iou.argmax()] = POSITIVE
    return labels


def select_anchors(
    labels: np.ndarray, rng: np.random.Generator, positives: int = 16, total: int = 64
) -> np.ndarray:
    """Subsample anchors so that background does not dominate the cross entropy of a pair.

    Selects at most ``positives`` positive anchors, and negative ones up to ``total`` of both.

    Args:
        labels: labels from `label_anchors`.

    Returns:
        Booleans with the same shape.
    """
    chosen = np.zeros(labels.shape, bool)
    count = subsample(chosen, labels == POSITIVE, positives, rng)
    subsample(chosen, labels == NEGATIVE, total - count, rng)
    return chosen


def subsample(chosen: np.ndarray, among: np.ndarray, most: int, rng: np.random.Generator) -> int:
    """Mark up to ``most`` of ``among`` in ``chosen``, and return their number."""
    places = np.flatnonzero(among)
    places = rng.permutation(places)[:most]
    chosen.flat[places] = True
    return len(places)
