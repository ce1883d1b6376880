"""Sequences of a dataset as a test of robustness: thinned out, or with a failing modality.

    Trial(dataset, failing="ir")["car"].frame(40)   # in the middle third: without contrast, ...

In the middle third of each sequence the modality fails in one way, which depends on the sequence's
name alone (`tracker.training.degradation.FAILURES`), and differently in every frame.
"""

import zlib
from dataclasses import dataclass, fields, replace

import numpy as np

from fusion.base.errors import UserError
from tracker.data.frames import MODALITIES, Frame, ImageFrames
from tracker.data.sequences import Dataset, Sequence
from tracker.training.degradation import draw_failure, fail


def failing_frames(frames: int) -> range:
    """The middle third of a sequence."""
    return range(frames // 3, frames - frames // 3)


@dataclass
class FailingSequence(Sequence):
    """A sequence whose modality fails in the middle third.

    Attributes:
        modality: the one that fails, "rgb" or "ir".
        length: number of frames, of which the middle third fails.
    """

    modality: str = "rgb"
    length: int = 0

    @property
    def failure(self) -> str:
        """How it fails: a name of `FAILURES`."""
        return draw_failure(self.modality == "rgb", np.random.default_rng(self._seed))

    @property
    def _seed(self) -> tuple[int, int]:
        return zlib.crc32(self.name.encode()), MODALITIES.index(self.modality)

    def frame(self, index: int) -> Frame:
        frame = super().frame(index)
        image = getattr(frame, self.modality)
        if index not in failing_frames(self.length) or image is None:
            return frame
        spoiled = fail(image, self.failure, np.random.default_rng((*self._seed, index)))
        if self.modality == "rgb":
            return replace(frame, rgb=spoiled)
        return replace(frame, ir=spoiled)


def thinned(sequence: Sequence, frames: int | None = None, every: int = 1) -> Sequence:
    """Some frames of a sequence.

    Args:
        frames: number of frames to keep at most, from the first on; None for no limit.
        every: step between them. With 2, targets move twice as far from one frame to the next.

    Raises:
        UserError: it is a video, whose length is not known in advance.
    """
    if not isinstance(sequence.rgb, ImageFrames) or not isinstance(sequence.ir, ImageFrames):
        raise UserError(f"{sequence.name}: a video; give sequences as folders of images")
    kept = slice(None, None if frames is None else frames * every, every)
    return replace(
        sequence,
        rgb=ImageFrames(sequence.rgb.folder, sequence.rgb.names[kept]),
        ir=ImageFrames(sequence.ir.folder, sequence.ir.names[kept]),
        boxes_rgb=sequence.boxes_rgb[kept],
        boxes_ir=sequence.boxes_ir[kept],
        annotated=sequence.annotated[kept],
        attributes={name: values[kept] for name, values in sequence.attributes.items()},
    )


class Trial(Dataset):
    """A dataset whose sequences are thinned out, or have a failing modality.

    Args:
        dataset: the whole one.
        frames, every: see `thinned`.
        failing: the modality that fails; None for none.
    """

    def __init__(
        self,
        dataset: Dataset,
        frames: int | None = None,
        failing: str | None = None,
        every: int = 1,
    ):
        super().__init__(dataset.root, dict.fromkeys(dataset.names, None))  # type: ignore[arg-type]
        self._dataset, self._failing = dataset, failing
        self._frames, self._every = frames, every

    def __getitem__(self, key: int | str) -> Sequence:  # type: ignore[override]
        sequence = self._dataset[key]
        if self._frames is not None or self._every > 1:
            sequence = thinned(sequence, self._frames, self._every)
        if self._failing is None:
            return sequence
        own = {field.name: getattr(sequence, field.name) for field in fields(Sequence)}
        return FailingSequence(**own, modality=self._failing, length=len(sequence))

    def annotations(self) -> dict[str, tuple[np.ndarray, ...]]:
        """Boxes ``(N, 4)`` of every sequence, for `tracker.evaluation.ope.figures.evaluate`."""
        found: dict[str, tuple[np.ndarray, ...]] = {}
        for name in self.names:
            sequence = self[name]
            boxes = sequence.boxes_rgb
            if not np.isfinite(boxes).all(axis=1).any():
                boxes = sequence.boxes_ir
            found[name] = (boxes,)
        return found
