"""Real footage: consecutive frames of one place, and the targets in it.

A `Source` is a list of `Footage`; a `Footage` is consecutive frames (a still is one frame) and the
`Track` of each target in them. `tracker.training.real_video` makes them from folders.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fusion.base.errors import UserError

__all__ = ["Content", "Footage", "LocalMask", "Picture", "Source", "Track"]


class Picture(NamedTuple):
    """A frame: ``HxWx3`` RGB and ``HxW`` infrared, uint8; None where the modality is missing."""

    rgb: np.ndarray | None
    ir: np.ndarray | None

    @property
    def size(self) -> tuple[int, int]:
        """``(width, height)``."""
        shown = self.rgb if self.rgb is not None else self.ir
        assert shown is not None
        return shown.shape[1], shown.shape[0]


class LocalMask(NamedTuple):
    """A target's silhouette in a frame: its top-left corner and ``hxw`` uint8, 0 or 255."""

    x: int
    y: int
    mask: np.ndarray


@dataclass(eq=False)
class Track:
    """One target through the frames of its footage.

    Attributes:
        kind: targets of one kind are look-alikes: "person", "vehicle", "animal", or any other name.
        boxes: ``(T, 4)`` boxes ``x, y, w, h``; NaN where the target is not to be seen.
        labelled: whether the boxes are true; False where they were carried from frame to frame by
            correlation.
        shown: ``(T,)`` share of the target that is not hidden.
        silhouette: gives the mask in a frame; None where there is none.
    """

    kind: str
    boxes: np.ndarray
    labelled: bool = True
    shown: np.ndarray | None = None
    silhouette: Callable[[int], LocalMask | None] | None = None

    def mask(self, index: int) -> LocalMask | None:
        """Its silhouette in frame ``index``, None where it is not known."""
        if self.silhouette is None or not np.isfinite(self.boxes[index]).all():
            return None
        return self.silhouette(index)

    @cached_property
    def frames(self) -> np.ndarray:
        """Frames that show at least a quarter of the target, on 2 pixels or more."""
        good = np.isfinite(self.boxes).all(axis=1) & (self.boxes[:, 2:] >= 2).all(axis=1)
        return np.flatnonzero(good if self.shown is None else good & (self.shown > 0.25))


@dataclass
class Content:
    """What footage holds once it is loaded: pictures by number, and tracks."""

    length: int
    picture: Callable[[int], Picture]
    tracks: list[Track]


@dataclass(eq=False)
class Footage:
    """Consecutive frames of one place; loaded when first used.

    Attributes:
        name: for messages, unique in its source.
        kinds: kinds of targets that it may hold.
        load: reads it.
        thermal: whether it has infrared; where not, it is made from the visible.
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
        return self._content.tracks


@dataclass
class Source:
    """Footage of one origin.

    Attributes:
        name: for messages and tables.
        footage: its videos or stills.
        weight: pairs are drawn from sources in proportion to it.
        reach: frames that may lie between template and search.
        silhouettes: whether its targets may have silhouettes to be cut out.
    """

    name: str
    footage: list[Footage]
    weight: float = 1.0
    reach: int = 40
    silhouettes: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.weight < float("inf"):
            raise UserError(f"data.weights.{self.name}: a weight is above 0, got {self.weight}")
        if self.reach < 0:
            raise UserError(f"data.reach: a number of frames from 0 up, got {self.reach}")
