"""A warning for sets of pairs that look misaligned, at little cost.

A few pairs of a set are looked at. Most registered pairs are recognised by a comparison of their
blocks where they are. Only others are searched, and they count only where the search is very sure;
a set is reported if most of its sure pairs agree that the pictures are further apart than 2 % of
their width. What the pictures do not tell is not reported.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np

from fusion.images.alignment.estimation import Estimate, estimate_alignment, estimate_nearby

#: Offset that is reported, as a share of the visible width.
LIMIT = 0.02

_PAIRS = 3
_SURE = 0.9
# Where nothing is searched, repeated windows or posts reach a clarity of 10 at a wrong place.
_NEARBY_CLARITY = 12.0
_SMALLEST = 96
_WIDTH = 640


@dataclass
class Watch:
    """Pairs of one set, seen one after another.

    Attributes:
        count: number of pairs in the set, as far as known; three of them are looked at.
    """

    count: int
    _pairs: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)
    _seen: int = 0

    def see(self, ir: np.ndarray, vis: np.ndarray) -> None:
        """Look at the next pair.

        Args:
            ir, vis: infrared and visible picture as they are used together.
        """
        places = {int((k + 0.5) * self.count / _PAIRS) for k in range(_PAIRS)}
        if self._seen in places and min(*ir.shape[:2], *vis.shape[:2]) >= _SMALLEST:
            self._pairs.append((_reduced(ir), _reduced(vis)))
        self._seen += 1

    def offset(self) -> float | None:
        """The offset of the set as a share of the width; None if it is small or unknown."""
        offsets: list[float] = []
        for pair in self._pairs:
            estimate = estimate_nearby(pair)
            if _is_near(estimate):
                return None
            estimate = estimate_alignment([pair])
            if estimate.confidence >= _SURE:
                offsets.append(estimate.shift() / estimate.visible[0])
        if 2 * len(offsets) <= len(self._pairs) or not offsets:
            return None
        found = float(np.median(offsets))
        return found if found > LIMIT else None

    def doubt(self) -> str:
        """The warning; empty if there is nothing to report."""
        offset = self.offset()
        if offset is None:
            return ""
        return (
            f"infrared and visible look misaligned, by about {100 * offset:.0f} % of the width: "
            "run 'fusion align' and give its file to --align"
        )


def _is_near(estimate: Estimate) -> bool:
    clear = estimate.confidence >= _SURE and estimate.clarity >= _NEARBY_CLARITY
    return clear and estimate.shift() <= LIMIT * estimate.visible[0]


def _reduced(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if width <= _WIDTH:
        return image
    size = _WIDTH, max(1, round(height * _WIDTH / width))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
