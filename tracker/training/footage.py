"""Real footage: consecutive frames of one scene, and the targets in them.

A `Source` is a list of `Footage`. A `Footage` has consecutive frames (a still has one) and a
`Track` for each target. `tracker.training.real_video` reads them from folders.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fusion.base.errors import UserError


class Picture(NamedTuple):
    """One frame: RGB ``HxWx3`` and infrared ``HxW``, uint8; None if the modality is missing."""

    rgb: np.ndarray | None
    ir: np.ndarray | None

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)``."""
        shown = self.rgb if self.rgb is not None else self.ir
        assert shown is not None
        return shown.shape[1], shown.shape[0]


class LocalMask(NamedTuple):
    """The silhouette of a target: its top-left corner in the frame, and ``hxw`` uint8, 0 or 255."""

    x: int
    y: int
    mask: np.ndarray


@dataclass(eq=False)
class Track:
    """One target in all frames of its footage.

    Attributes:
        kind: targets of the same kind are look-alikes: "person", "vehicle", "animal" or another
            name.
        boxes: ``(T, 4)`` boxes ``x, y, w, h``; NaN in frames without the target.
        labelled: whether the boxes are ground truth; False if they were propagated by correlation.
        shown: ``(T,)`` visible share of the target, 0 to 1; None if not known.
        silhouette: returns the mask of a frame; None if there are no masks.
    """

    kind: str
    boxes: np.ndarray
    labelled: bool = True
    shown: np.ndarray | None = None
    silhouette: Callable[[int], LocalMask | None] | None = None

    def mask(self, index: int) -> LocalMask | None:
        """The silhouette in frame ``index``, or None if it is not known."""
        if self.silhouette is None or not np.isfinite(self.boxes[index]).all():
            return None
        return self.silhouette(index)

    @cached_property
    def frames(self) -> np.ndarray:
        """Frames with a box of at least 2x2 pixels and at least a quarter of the target visible."""
        good = np.isfinite(self.boxes).all(axis=1) & (self.boxes[:, 2:] >= 2).all(axis=1)
        return np.flatnonzero(good if self.shown is None else good & (self.shown > 0.25))


@dataclass
class Content:
    """Loaded footage: a function that reads a frame, and the tracks."""

    length: int
    picture: Callable[[int], Picture]
    tracks: list[Track]


@dataclass(eq=False)
class Footage:
    """Consecutive frames of one scene, loaded on first use.

    Attributes:
        name: name in messages, unique in its source.
        kinds: kinds of targets that may occur in it.
        load: reads the footage.
        thermal: whether it has an infrared modality; otherwise one is made from the visible images.
    """

    name: str
    kinds: frozenset[str]
    load: Callable[[], Content] = field(repr=False)
    thermal: bool = True

    @cached_property
    def _content(self) -> Content:
        return self.load()

    def __len__(self) -> int:
        return self._content.length

    def picture(self, index: int) -> Picture:
        """Frame ``index``, counted from 0."""
        return self._content.picture(index)

    @property
    def tracks(self) -> list[Track]:
        """The targets; empty if nothing stands out."""
        return self._content.tracks


@dataclass
class Source:
    """Footage of one dataset.

    Attributes:
        name: name in messages and tables.
        footage: its videos or stills.
        weight: relative probability of the source.
        reach: maximum distance in frames between template and search.
        silhouettes: whether its targets may have silhouettes, so that they can be cut out.
    """

    name: str
    footage: list[Footage]
    weight: float = 1.0
    reach: int = 40
    silhouettes: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise UserError(
                f"data.weights.{self.name}: a weight must be above 0, got {self.weight}"
            )
        if self.reach < 0:
            raise UserError(f"data.reach: must be at least 0 frames, got {self.reach}")
