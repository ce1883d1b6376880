"""Compare fusion methods on a video by its steadiness and by means of image metrics."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fusion.base.errors import UserError
from fusion.base.tables import MARKS, format_table, write_csv
from fusion.evaluation.comparison import on_lines
from fusion.evaluation.metrics import DEFAULT, Metric, create_all, evaluate_levels
from fusion.evaluation.metrics.inputs import require_one_size
from fusion.evaluation.video import (
    INFRARED,
    MOTION_MEASURES,
    VISIBLE,
    MotionMeasure,
    VideoMeter,
)
from fusion.images.pairing import list_images
from fusion.images.pixels import to_8bit
from fusion.images.reading import read_image
from fusion.images.video import VIDEO_SUFFIXES, Video


@dataclass(frozen=True)
class VideoComparison:
    """Measures of several fused videos and of their sources.

    Attributes:
        frames: number of frames.
        motion: measures of `fusion.evaluation.video` by name of the video; the sources are
            "infrared" and "visible".
        metrics: metrics of single images, if any.
        means: means of these metrics over the frames, by method and metric.
    """

    frames: int
    motion: dict[str, dict[str, float]]
    metrics: tuple[Metric, ...]
    means: dict[str, dict[str, float]]

    def _rows(self) -> list[list[Any]]:
        return [
            [name, *values.values(), *(self.means[name][m.name] for m in self.metrics)]
            for name, values in self.motion.items()
            if name not in (INFRARED, VISIBLE)
        ]

    def _source_rows(self) -> list[list[Any]]:
        return [
            [name, *self.motion[name].values(), *[None] * len(self.metrics)]
            for name in (INFRARED, VISIBLE)
        ]

    def table(self) -> str:
        """One row per method, then the sources; the best two methods of a column are marked."""
        columns: tuple[MotionMeasure | Metric, ...] = (*MOTION_MEASURES, *self.metrics)
        header = ["video"] + [on_lines(column.title, column.unit) for column in columns]
        first = 1 + len(MOTION_MEASURES)
        falling = set(header[1:first]) | {
            name
            for name, metric in zip(header[first:], self.metrics, strict=True)
            if not metric.higher_is_better
        }
        rows = self._rows() + self._source_rows()
        # The table ranks numbers only, so the sources' values are passed as text.
        shown = [
            [row[0], *(f"{v:.3f}" if isinstance(v, float) else v for v in row[1:])]
            if row[0] in (INFRARED, VISIBLE)
            else row
            for row in rows
        ]
        names = ", ".join(name.replace("\n", " ").strip() for name in header if name in falling)
        table = format_table(header, shown, marked=True, lower_is_better=falling)
        return f"{table}\n{MARKS} of the methods; lower is better: {names}"

    def content(self) -> dict[str, Any]:
        """Definitions and all figures as a dictionary for JSON."""
        return {
            "frames": self.frames,
            "measures": {m.name: {"title": m.title, "unit": m.unit} for m in MOTION_MEASURES},
            "motion": self.motion,
            "convention": self.metrics[0].convention.name if self.metrics else None,
            "metrics": {metric.name: metric.describe() for metric in self.metrics},
            "means": self.means,
        }

    def write(self, folder: Path) -> None:
        """Write ``video.csv`` with one row per video, including the sources."""
        columns: tuple[MotionMeasure | Metric, ...] = (*MOTION_MEASURES, *self.metrics)
        header = ["video", *(column.heading for column in columns)]
        write_csv(folder / "video.csv", header, self._rows() + self._source_rows())


def is_video(path: Path) -> bool:
    """Whether a path names a video file."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def compare_videos(
    ir: Path,
    vis: Path,
    methods: Mapping[str, Path],
    metrics: Sequence[str] = (),
    convention: str = DEFAULT,
) -> VideoComparison:
    """Measure fused videos frame by frame.

    Args:
        ir, vis: the sources: a video file, or a folder of frames in natural order of their names.
        methods: the fused video, or a folder of frames, by the method's name.
        metrics: names of image metrics to average over the frames.
        convention: the convention whose definitions are used.

    Raises:
        UserError: a file cannot be read, videos have different numbers of frames or sizes, or a
            name is unknown.
    """
    for name in methods:
        if name in (INFRARED, VISIBLE):
            raise UserError(f"--fused {name}: the name of a source; give another name by NAME=PATH")
    columns = create_all(metrics, convention)
    paths = {INFRARED: ir, VISIBLE: vis, **methods}
    meter = VideoMeter()
    sums = {name: dict.fromkeys((m.name for m in columns), 0.0) for name in methods}
    count = 0
    with ExitStack() as stack:
        streams = {name: _frames(path, stack) for name, path in paths.items()}
        bar = stack.enter_context(tqdm(unit="frame", disable=None, leave=False))
        while True:
            frames = {name: next(stream, None) for name, stream in streams.items()}
            ended = [name for name, frame in frames.items() if frame is None]
            if len(ended) == len(frames):
                break
            if ended:
                longer = next(name for name in frames if name not in ended)
                raise UserError(
                    f"{paths[ended[0]]}: {count} frames, but {paths[longer]} has more; "
                    "all videos need the same number of frames"
                )
            whole = {name: frame for name, frame in frames.items() if frame is not None}
            try:
                _measure(meter, columns, whole, sums)
            except ValueError as error:
                raise UserError(f"{ir}, frame {count + 1}: {error}") from error
            count += 1
            bar.update()
    if not count:
        raise UserError(f"{ir}: no frame")
    means = {name: {key: s / count for key, s in row.items()} for name, row in sums.items()}
    motion = meter.compute()
    order = (*methods, INFRARED, VISIBLE)
    return VideoComparison(count, {name: motion[name] for name in order}, columns, means)


def _measure(
    meter: VideoMeter,
    metrics: tuple[Metric, ...],
    frames: dict[str, np.ndarray],
    sums: dict[str, dict[str, float]],
) -> None:
    ir, vis = frames.pop(INFRARED), frames.pop(VISIBLE)
    meter.update(ir, vis, frames)
    for name, fused in frames.items():
        require_one_size(fused, ir, vis)
        for key, value in evaluate_levels(metrics, fused, ir, vis).items():
            sums[name][key] += value


def _frames(path: Path, stack: ExitStack) -> Iterator[np.ndarray]:
    if is_video(path):
        return iter(stack.enter_context(Video(path)))
    return (to_8bit(read_image(image)) for image in list_images(path))
