"""From files to files: fuse a pair of images, two folders or two videos."""

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from fusion.base.errors import UserError
from fusion.base.files import check_apart, make_folder
from fusion.base.tables import counted
from fusion.images.alignment import Calibration
from fusion.images.alignment.watch import Watch
from fusion.images.pairing import pair_folders
from fusion.images.pixels import (
    is_color,
    luminance,
    require_same_shape,
    resize_to,
    scale_to_255,
    tile,
    to_8bit,
    with_luminance,
)
from fusion.images.reading import (
    IMAGE_SUFFIXES,
    read_image,
    read_visible,
    require_image_suffix,
    turned_by_exif,
    write_image,
)
from fusion.images.timing import Nearest, VideoPairing, pair_videos
from fusion.images.video import VIDEO_SUFFIXES, Video, VideoDamaged, VideoFrame, VideoWriter
from fusion.networks.base import FusionNetwork
from fusion.networks.lrrnet import LRRNet
from fusion.networks.video import FrameFusion

Item = TypeVar("Item")
Arrays = TypeVar("Arrays", bound=tuple[np.ndarray, ...])
Result = TypeVar("Result")


@dataclass(frozen=True)
class Options:
    """How pairs are read, and what is written.

    Attributes:
        color: keep the chroma of a coloured visible picture.
        resize: bring an infrared picture of another size to the visible's; else that is an error.
        stretch: also where that changes its aspect ratio; else that is an error too.
        calibration: bring the infrared onto the visible picture by it, and crop both to the area
            that they share, whatever their sizes.
        pair: how frames or files are matched, where it is not to be found out: ``time`` or
            ``index`` for videos, ``name`` or ``index`` for folders.
        percentiles: stretch the infrared from these percentiles, see
            `fusion.images.pixels.scale_to_255`.
        compare: also write infrared, visible and fused image side by side.
        parts: also write the contact sheet of `fusion.commands.parts` (LRRNet, images only).
        skip_existing: skip pairs whose outputs all exist.
        steady: make videos steady, see `fusion.networks.video.FrameFusion`.
    """

    color: bool = True
    resize: bool = False
    stretch: bool = False
    calibration: Calibration | None = None
    pair: str | None = None
    percentiles: tuple[float, float] | None = None
    compare: bool = False
    parts: bool = False
    skip_existing: bool = False
    steady: bool | None = None


@dataclass
class FusionReport:
    """The outcome of a run, counted in ``unit``: ``pair`` for images, or ``frame``.

    ``notes`` lists inputs without a partner, failures and differences; ``doubt`` describes what was
    done but may not be intended; ``by`` names the method and its weights.
    """

    unit: str = "pair"
    fused: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    doubt: str = ""
    by: str = ""

    def summary(self, out: Path) -> str:
        """The final line: counts, speed, method, and the output."""
        counts = [f"{counted(self.fused, self.unit)} fused"]
        counts += [f"{self.skipped} skipped, there already"] * bool(self.skipped)
        counts += [f"{self.failed} failed"] * bool(self.failed)
        by = f" by {self.by}" if self.by else ""
        speed = f", {self.fused / self.seconds:.2f} {self.unit}s/s{by}" if self.fused else ""
        return f"{', '.join(counts)}{speed}: {out}"


def fuse(network: FusionNetwork, ir: Path, vis: Path, out: Path, options: Options) -> FusionReport:
    """Fuse two images, two folders or two videos, depending on the paths.

    Args:
        network: in evaluation mode.
        ir, vis: both files or both folders.
        out: image file or folder for images, folder for folders, video file for videos.

    Returns:
        The outcome; its notes list inputs without a partner, failures and differences.

    Raises:
        UserError: the inputs are missing, of different kinds, or unusable. A pair of a folder that
            cannot be fused is counted as failed instead.
    """
    for path in (ir, vis):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    if options.parts and not isinstance(network, LRRNet):
        raise UserError(f"--parts: {type(network).__name__} has no low-rank and sparse parts")
    if ir.is_dir() != vis.is_dir():
        raise UserError(f"{ir} and {vis}: one is a folder, the other a file; give two of a kind")
    if ir.is_dir():
        return fuse_folders(network, ir, vis, out, options)
    if _are_videos(ir, vis):
        return fuse_videos(network, ir, vis, out, options)
    if _are_videos(ir) or _are_videos(vis):
        raise UserError(f"{ir} and {vis}: one is a video, the other is not; give two of a kind")
    if options.pair is not None:
        raise UserError(f"--pair {options.pair}: goes with two folders or videos; leave it out")
    return fuse_files(network, ir, vis, out, options)


def _are_videos(*paths: Path) -> bool:
    return all(path.suffix.lower() in VIDEO_SUFFIXES for path in paths)


# --- Reading, fusing and writing at once ----------------------------------------------------------

# Pairs with more bytes are processed alone: the next pair is not read at the same time.
_LARGE = 1 << 26


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Arrays],
    work: Callable[[Item, Arrays], Result],
    write: Callable[[Item, Result], None],
) -> Iterator[tuple[Item, UserError | None]]:
    """Read, process and write items in order: while one is processed, one is read and one written.

    Reading and writing each have a thread; processing runs in the caller's. At most one item waits
    before each step, so that memory does not grow with the number of items.

    Yields:
        Each item when it is written or has failed, in order, with its `UserError` or None. Other
        exceptions are raised.
    """
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        iterator = iter(items)

        def read_next() -> tuple[Item, Arrays | UserError] | None:
            for item in iterator:
                try:
                    return item, read(item)
                except UserError as error:
                    return item, error
            return None

        written: tuple[Item, Future] | None = None
        coming: Future[tuple[Item, Arrays | UserError] | None] | None = reader.submit(read_next)
        while coming and (current := coming.result()):
            item, arrays = current
            fits = isinstance(arrays, UserError) or sum(a.nbytes for a in arrays) <= _LARGE
            coming = reader.submit(read_next) if fits else None
            outcome: Result | UserError
            try:
                if isinstance(arrays, UserError):
                    raise arrays
                outcome = work(item, arrays)
            except UserError as error:
                outcome = error
            del current, arrays  # before a large image is written, or the next one is read
            if written:
                yield written[0], _error_of(written[1])
            written = item, writer.submit(_write, write, item, outcome)
            del outcome
            if coming is None:
                wait([written[1]])
                coming = reader.submit(read_next)
        if written:
            yield written[0], _error_of(written[1])


def _write(write: Callable[[Item, Result], None], item: Item, outcome: Result | UserError) -> None:
    if isinstance(outcome, UserError):
        raise outcome
    write(item, outcome)


def _error_of(future: Future) -> UserError | None:
    try:
        future.result()
    except UserError as error:
        return error
    return None


# --- Images -------------------------------------------------------------------------------------


def fuse_files(
    network: FusionNetwork, ir: Path, vis: Path, out: Path, options: Options
) -> FusionReport:
    """Fuse one pair. ``out`` is an image file, or a folder that gets ``<visible's stem>.png``."""
    if out.is_dir() or not out.suffix:
        out = out / f"{vis.stem}.png"
    else:
        require_image_suffix(out)
    job = _Job(
        ir,
        vis,
        out,
        compare=out.with_name(f"{out.stem}_compare.png") if options.compare else None,
        parts=out.with_name(f"{out.stem}_parts.png") if options.parts else None,
    )
    _refuse_overwriting(job.outputs(), ir, vis)
    account = FusionReport()
    started = time.perf_counter()
    if options.skip_existing and job.is_done():
        account.skipped = 1
    else:
        # Without a name here, the pair is released before a large image is written.
        job.write(job.fuse(job.read(network, options, account), network, options))
        account.fused = 1
    account.seconds = time.perf_counter() - started
    return account


def fuse_folders(
    network: FusionNetwork, ir: Path, vis: Path, out: Path, options: Options
) -> FusionReport:
    """Fuse all pairs of two folders to ``out/<stem>.png``, with a few pairs in memory at a time.

    Side-by-side images are written to ``out/compare``, contact sheets to ``out/parts``.
    """
    pairing = pair_folders(ir, vis, options.pair)
    if out.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES and not out.is_dir():
        raise UserError(f"{out}: not a folder; the output for two folders is a folder of images")
    compare_out = out / "compare" if options.compare else None
    parts_out = out / "parts" if options.parts else None
    for written in filter(None, (out, compare_out, parts_out)):
        check_apart(written, (ir, vis))
    make_folder(out)
    account = FusionReport()
    for folder, lonely in ((ir, pairing.only_infrared), (vis, pairing.only_visible)):
        if lonely:
            names = ", ".join(path.name for path in lonely[:5])
            more = f" and {len(lonely) - 5} more" if len(lonely) > 5 else ""
            account.notes.append(f"{folder}: {len(lonely)} without a partner: {names}{more}")
    jobs = []
    for ir_path, vis_path in pairing.pairs:
        name = f"{vis_path.stem}.png"
        job = _Job(
            ir_path,
            vis_path,
            out / name,
            compare=compare_out / name if compare_out else None,
            parts=parts_out / name if parts_out else None,
        )
        jobs.append(job)
    started = time.perf_counter()
    todo = [job for job in jobs if not (options.skip_existing and job.is_done())]
    account.skipped = len(jobs) - len(todo)

    progress = tqdm(total=len(todo), unit="pair", disable=None, leave=False)
    offsets = Watch(len(todo))

    def read(job: _Job) -> _Pair:
        pair = job.read(network, options, account)
        offsets.see(*pair)
        return pair

    work = partial(_Job.fuse, network=network, options=options)
    for job, error in overlapped(todo, read, work, _Job.write):
        progress.set_postfix_str(job.vis.name, refresh=False)
        progress.update()
        if error is None:
            account.fused += 1
        else:
            account.failed += 1
            account.notes.append(f"{error}")
    progress.close()
    account.seconds = time.perf_counter() - started
    account.doubt = account.doubt or offsets.doubt()
    return account


_Pair = tuple[np.ndarray, np.ndarray]  # infrared and visible
_Pictures = dict[Path, np.ndarray]  # by output path


@dataclass(frozen=True)
class _Job:
    """One pair of image files and its output files."""

    ir: Path
    vis: Path
    out: Path
    compare: Path | None
    parts: Path | None

    def outputs(self) -> list[Path]:
        return [path for path in (self.out, self.compare, self.parts) if path is not None]

    def is_done(self) -> bool:
        return all(path.is_file() for path in self.outputs())

    def read(self, network: FusionNetwork, options: Options, account: FusionReport) -> _Pair:
        ir, vis, doubt = read_pair(self.ir, self.vis, options, network.min_side)
        account.doubt = account.doubt or doubt
        return ir, vis

    def fuse(self, pair: _Pair, network: FusionNetwork, options: Options) -> _Pictures:
        """The images to write."""
        ir, vis = pair
        pictures = {}
        fused = network.fuse(ir, vis, options.color)
        if self.parts is not None:
            from fusion.commands.parts import parts_sheet

            assert isinstance(network, LRRNet)  # `fuse` has seen to it
            pictures[self.parts] = parts_sheet(network, ir, vis, fused)
        if self.compare is not None:
            pictures[self.compare] = side_by_side(ir, vis, fused)
        # Last, so that the existence of this image implies that of the others.
        pictures[self.out] = fused
        return pictures

    def write(self, pictures: _Pictures) -> None:
        for path, picture in pictures.items():
            write_image(path, picture)


def read_pair(
    ir_path: Path, vis_path: Path, options: Options, min_side: int = 2
) -> tuple[np.ndarray, np.ndarray, str]:
    """Read one pair of image files as `FusionNetwork.fuse` takes it.

    Args:
        min_side: minimum length of the shorter side, in pixels.

    Returns:
        Infrared ``HxW`` and visible ``HxW`` or RGB ``HxWx3`` of the same size, 0..255 (uint8 or
        float32); and a line about what may not be intended, or an empty one.

    Raises:
        UserError: a file cannot be read, or the sizes differ and the options do not allow it.
    """
    picture = read_image(ir_path)
    colored = is_color(picture)
    ir = scale_to_255(luminance(picture), options.percentiles)
    del picture
    vis = read_visible(vis_path)
    doubt = ""
    if colored and not is_color(vis):
        doubt = (
            f"{ir_path} is in colour and {vis_path} grey; the infrared comes first: are they "
            "swapped?"
        )
    names = f"{ir_path} and {vis_path}"
    files = {"infrared": ir_path, "visible": vis_path}
    return *_registered(ir, vis, names, options, min_side, files), doubt


def side_by_side(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """Infrared, visible and fused image side by side, RGB uint8."""
    return tile([[("infrared", to_8bit(ir)), ("visible", to_8bit(vis)), ("fused", fused)]])


def _registered(
    ir: np.ndarray,
    vis: np.ndarray,
    names: str,
    options: Options,
    min_side: int,
    files: Mapping[str, Path] | None = None,
) -> _Pair:
    """Infrared and visible picture of one size: aligned, or the infrared resized.

    Args:
        names: of both, for messages.
        files: picture files by modality, in which an EXIF rotation may be to blame.
    """
    if options.calibration is not None:
        sizes = [(image.shape[1], image.shape[0]) for image in (ir, vis)]
        options.calibration.require_sizes(sizes[0], sizes[1], names)
        ir, vis = options.calibration.pair(ir, vis)
    elif ir.shape[:2] != vis.shape[:2]:
        turned = [name for name, path in (files or {}).items() if turned_by_exif(path)]
        sizes = [(image.shape[1], image.shape[0]) for image in (ir, vis)]
        resize = options.resize or options.stretch
        require_same_shape(names, sizes[0], sizes[1], resize, options.stretch, turned)
        ir = resize_to(ir, vis)
    if min(ir.shape[:2]) < min_side:
        raise UserError(f"{names}: at least {min_side}x{min_side} pixels are needed")
    return ir, vis


def _refuse_overwriting(outputs: Iterable[Path], ir: Path, vis: Path) -> None:
    for out in outputs:
        if out.resolve() in (ir.resolve(), vis.resolve()):
            raise UserError(f"{out}: is also an input; give another name for the output")


# --- Videos -------------------------------------------------------------------------------------


def fuse_videos(
    network: FusionNetwork,
    ir: Path,
    vis: Path,
    out: Path,
    options: Options,
    watch: Callable[[int, int, np.ndarray], object] | None = None,
) -> FusionReport:
    """Fuse two videos frame by frame, with a few pairs of frames in memory at a time.

    Frames are paired as `fusion.images.timing` says and written at the visible's rate. ``out`` is a
    video file, or a folder that gets ``<visible's stem>.mp4``. It appears when it is complete.

    Args:
        watch: called with the number of each frame, counted from 1, the estimated number of frames
            and the fused frame. An exception that it raises ends the run and leaves no file.
    """
    if options.parts:
        raise UserError("--parts: not available for videos; give two images or folders")
    if out.is_dir() or not out.suffix:
        out = out / f"{vis.stem}.mp4"
    compare_out = out.with_name(f"{out.stem}_compare{out.suffix}") if options.compare else None
    _refuse_overwriting(filter(None, (out, compare_out)), ir, vis)
    account = FusionReport(unit="frame")
    if options.skip_existing and out.is_file() and (not compare_out or compare_out.is_file()):
        account.skipped = 1
        return account
    started = time.perf_counter()
    with Video(ir, deep=True) as ir_video, Video(vis) as vis_video, ExitStack() as writers:
        pairing = pair_videos(ir_video, vis_video, options.pair)
        account.notes += pairing.notes
        writer = writers.enter_context(VideoWriter(out, vis_video.rate))
        compare_writer = (
            writers.enter_context(VideoWriter(compare_out, vis_video.rate)) if compare_out else None
        )
        total = vis_video.frame_count
        if not pairing.by_time:
            total = min(total, ir_video.frame_count)
        numbers = itertools.count(1)
        progress = tqdm(unit="frame", total=total, disable=None, leave=False)
        fusion = FrameFusion(network, options.steady)
        offsets = Watch(total)

        # The network's own thread does nothing that reading and writing can do beside it.
        def read(frames: _Frames) -> _Read:
            grey = scale_to_255(luminance(frames[0].image()), options.percentiles)
            visible = frames[1].image()
            grey, visible = _registered(grey, visible, f"{ir} and {vis}", options, network.min_side)
            offsets.see(grey, visible)
            return grey, visible, luminance(visible)

        def work(_: _Frames, frames: _Read) -> _Read:
            grey, visible, visible_grey = frames
            return grey, visible, fusion.fuse_luminance(grey, visible_grey)

        def write(_: _Frames, frames: _Read) -> None:
            grey, visible, fused = frames
            if options.color and is_color(visible):
                fused = with_luminance(visible, fused)
            writer.write(fused)
            if watch is not None:
                watch(next(numbers), total, fused)
            if compare_writer:
                compare_writer.write(side_by_side(grey, visible, fused))

        frames = paired_frames(ir_video, vis_video, pairing, account)
        for _, error in overlapped(frames, read, work, write):
            if error is not None:
                raise error
            account.fused += 1
            progress.update()
        progress.close()
    account.seconds = time.perf_counter() - started
    account.doubt = offsets.doubt()
    return account


_Frames = tuple[VideoFrame, VideoFrame]  # infrared and visible
_Read = tuple[np.ndarray, np.ndarray, np.ndarray]  # infrared, visible, visible or fused luminance


def paired_frames(
    ir: Video, vis: Video, pairing: VideoPairing, account: FusionReport
) -> Iterator[_Frames]:
    """Frames of both videos that belong together; what has no partner, or is damaged, is noted."""
    paired = (
        _by_time(ir, vis, pairing, account) if pairing.by_time else _by_number(ir, vis, account)
    )
    try:
        yield from paired
    except VideoDamaged as damage:
        account.failed += max(1, damage.stated - damage.frames)
        account.notes.append(str(damage))


def _by_number(ir: Video, vis: Video, account: FusionReport) -> Iterator[_Frames]:
    ir_frames, vis_frames = ir.frames(), vis.frames()
    count = 0
    while True:
        ir_frame, vis_frame = next(ir_frames, None), next(vis_frames, None)
        if ir_frame is None or vis_frame is None:
            break
        yield ir_frame, vis_frame
        count += 1
    for video, frame in ((ir, ir_frame), (vis, vis_frame)):
        if frame is not None:
            other = vis if video is ir else ir
            account.notes.append(_longer(video, other, count))


def _longer(video: Video, other: Video, count: int) -> str:
    return f"{video.path}: longer than {other.path}, fused up to frame {count}"


def _by_time(
    ir: Video, vis: Video, pairing: VideoPairing, account: FusionReport
) -> Iterator[_Frames]:
    nearest = Nearest(ir.frames(), pairing.delay, ir.fps, pairing.reach)
    count = before = lost = 0
    for frame in vis.frames():
        partner = nearest.at(frame.time)
        if partner is not None:
            yield partner, frame
            count += 1
        elif not nearest.is_over:
            before, lost = (before, lost + 1) if count else (before + 1, lost)
        else:
            account.notes.append(_longer(vis, ir, before + count + lost))
            break
    else:
        if not nearest.is_over and nearest.at(frame.time + 1 / vis.fps + 0.5 / ir.fps) is not None:
            account.notes.append(_longer(ir, vis, before + count + lost))
    if before:
        account.notes.append(f"{ir.path}: starts later, {before} frames of {vis.path} left out")
    if lost:
        account.notes.append(
            f"{ir.path}: has gaps, left out {counted(lost, 'frame')} of {vis.path}"
        )


def print_report(account: FusionReport, out: Path) -> None:
    """Print the notes and the doubt on stderr, and the final line on stdout."""
    for line in filter(None, (*account.notes, account.doubt)):
        print(line, file=sys.stderr)
    print(account.summary(out))
