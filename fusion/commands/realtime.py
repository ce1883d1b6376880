"""Methods for video side by side: size, speed from file to file, quality of images, steadiness.

**Speed** is measured on a generated colour video in H.264 that is fused from file to file, reading
and writing included: CPU time per frame of the whole process, and frames per second by the clock.
The latter depends on what else the machine does.

**Quality** is the mean of image metrics over pairs of pictures, each fused as a single image.

**Steadiness** is the still change (`fusion.evaluation.stillness`) of the frames as they are fused
for a video, before they are encoded, beside the average of the two sources'.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from tqdm import tqdm

from fusion.base.errors import UserError
from fusion.base.tables import format_table
from fusion.commands.bench import least_seconds, machine
from fusion.commands.pipeline import Options, fuse_folders, fuse_videos
from fusion.commands.scene import street_pair
from fusion.evaluation.comparison import compare_methods
from fusion.evaluation.metrics import create_all
from fusion.evaluation.stillness import StillMeter
from fusion.images.pixels import luminance, to_8bit
from fusion.images.video import Video, VideoWriter
from fusion.networks.base import FusionNetwork
from fusion.networks.video import FrameFusion
from fusion.networks.weights import load_named

#: The metrics of the table, under the convention "lrrnet".
METRICS = ("ssim", "vif", "qabf", "scd", "mi")

_SOURCES = "infrared", "visible"


def measure(
    methods: Sequence[str],
    pictures: tuple[Path, Path] | None = None,
    videos: Sequence[tuple[Path, Path]] = (),
    size: tuple[int, int] = (640, 480),
    frames: int = 100,
) -> dict[str, Any]:
    """Measure methods.

    Args:
        methods: names of methods with included weights or without any, or weights files.
        pictures: folders of infrared and visible pictures for the metrics; None leaves them out.
        videos: infrared and visible files for the still change, frame by frame in order.
        size, frames: of the generated video, width and height.

    Returns:
        "machine", "size", "frames"; "methods": by method "parameters", "frame_seconds" (CPU, for
        the network and what makes its output steady), "video_seconds" (CPU per frame, whole video),
        "frames_per_second" and "metrics"; "still": by video and by method, "infrared" or "visible".

    Raises:
        UserError: a method or a file cannot be loaded, or a pair cannot be fused.
    """
    networks = {Path(method).stem: load_named(method) for method in methods}
    if len(networks) < len(methods):
        raise UserError("two methods have the same name; rename one of the weights files")
    rows: dict[str, dict[str, Any]] = {}
    with TemporaryDirectory() as folder:
        sources = _generated(Path(folder), size, frames)
        frame_seconds = _frame_seconds(networks, size)
        for name, network in networks.items():
            rows[name] = {
                "parameters": sum(parameter.numel() for parameter in network.parameters()),
                "frame_seconds": frame_seconds[name],
                **_video_seconds(network, sources, Path(folder) / f"{name}.mp4"),
            }
        if pictures is not None:
            for name, means in _metrics(networks, pictures, Path(folder)).items():
                rows[name]["metrics"] = means
    return {
        "machine": machine(),
        "size": list(size),
        "frames": frames,
        "methods": rows,
        "still": {visible.stem: _still(networks, ir, visible) for ir, visible in videos},
    }


# --- Speed ----------------------------------------------------------------------------------------


def _generated(folder: Path, size: tuple[int, int], frames: int) -> tuple[Path, Path]:
    """A pan over a generated street with the noise of a camera, as two H.264 videos."""
    width, height = size
    street = street_pair(width + frames, height)
    rng = np.random.default_rng(0)
    paths = folder / "infrared.mp4", folder / "visible.mp4"
    for path, image in zip(paths, street, strict=True):
        with VideoWriter(path, 25) as writer:
            for t in range(frames):
                frame = image[:, t : t + width]
                noisy = np.rint(frame + rng.normal(0, 1.5, frame.shape))
                writer.write(np.clip(noisy, 0, 255).astype(np.uint8))
    return paths


def _frame_seconds(networks: dict[str, FusionNetwork], size: tuple[int, int]) -> dict[str, float]:
    ir, visible = street_pair(*size)
    frame = ir, luminance(visible)
    runs = {
        name: partial(FrameFusion(network).fuse_luminance, *frame)
        for name, network in networks.items()
    }
    return least_seconds(runs, rounds=5)


def _video_seconds(
    network: FusionNetwork, sources: tuple[Path, Path], out: Path
) -> dict[str, float]:
    begin = time.process_time()
    account = fuse_videos(network, *sources, out, Options())
    return {
        "video_seconds": (time.process_time() - begin) / account.fused,
        "frames_per_second": account.fused / account.seconds,
    }


# --- Quality and steadiness -----------------------------------------------------------------------


def _metrics(
    networks: dict[str, FusionNetwork], pictures: tuple[Path, Path], folder: Path
) -> dict[str, dict[str, float]]:
    for name, network in networks.items():
        account = fuse_folders(network, *pictures, folder / name, Options())
        if account.failed:
            raise UserError(account.notes[0])
    comparison = compare_methods(*pictures, {name: folder / name for name in networks}, METRICS)
    if comparison.failures:
        raise UserError(comparison.failures[0])
    return comparison.means()


def _still(networks: dict[str, FusionNetwork], ir: Path, visible: Path) -> dict[str, float]:
    """Still change of the methods and of the sources."""
    fusions = {name: FrameFusion(network) for name, network in networks.items()}
    meter = StillMeter()
    with Video(ir, deep=True) as ir_video, Video(visible) as visible_video:
        total = min(ir_video.frame_count, visible_video.frame_count)
        pairs = zip(ir_video.frames(), visible_video.frames(), strict=False)
        for pair in tqdm(pairs, total=total, unit="frame", disable=None, leave=False):
            ir_grey, grey = (to_8bit(luminance(frame.image())) for frame in pair)
            frames = {name: each.fuse_luminance(ir_grey, grey) for name, each in fusions.items()}
            frames |= dict(zip(_SOURCES, (ir_grey, grey), strict=True))
            meter.update(ir_grey, grey, frames)
    return meter.compute()


# --- Report ---------------------------------------------------------------------------------------


def report(result: dict[str, Any]) -> str:
    """`measure`'s result as a table: methods across, each beside its share of the first one."""
    methods = result["methods"]
    first, *others = methods
    header = ["", first]
    for name in others:
        header += [name, f"of {first}"]
    rows: list[list[str]] = []

    def add(title: str, values: Sequence[float], shown: Callable[[float], str]) -> None:
        row = [title, shown(values[0])]
        for value in values[1:]:
            row += [shown(value), f"{value / values[0]:.1%}" if values[0] else "-"]
        rows.append([*row, ""])

    def each(key: str) -> list[float]:
        return [row[key] for row in methods.values()]

    add("parameters", each("parameters"), lambda n: f"{n:,.0f}")
    for title, key in (("frame, CPU ms", "frame_seconds"), ("video, CPU ms", "video_seconds")):
        add(title, each(key), lambda seconds: f"{1e3 * seconds:.1f}")
    add("video, frames/s", each("frames_per_second"), lambda rate: f"{rate:.1f}")
    if "metrics" in methods[first]:
        for metric in create_all(METRICS):
            values = [row["metrics"][metric.name] for row in methods.values()]
            add(metric.heading, values, lambda value: f"{value:.3f}")
    for video, changes in result["still"].items():
        values = [changes[name] for name in methods]
        add(f"still change {video} [level]", values, lambda value: f"{value:.3f}")
        rows[-1][-1] = f"{np.mean([changes[source] for source in _SOURCES]):.3f}"
    if result["still"]:
        header.append("sources")
    else:
        rows = [row[:-1] for row in rows]
    width, height = result["size"]
    return (
        f"{result['machine']}; {width}x{height} in colour, per frame, {result['frames']} frames\n\n"
        + format_table(header, rows)
    )
