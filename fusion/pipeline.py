"""From files to files: fuse a pair of pictures, two folders or two videos."""

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from fusion.errors import UserError
from fusion.files import make_folder
from fusion.images import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Video,
    VideoWriter,
    luminance,
    pair_folders,
    read_infrared,
    read_visible,
    resize_to,
    scale_to_255,
    tile,
    to_8bit,
    write_image,
)
from fusion.network import FusionNetwork


@dataclass(frozen=True)
class Options:
    """How pairs are read and what is written.

    Attributes:
        color: keep the chroma of a coloured visible picture.
        resize: bring an infrared picture of another size to the visible's; else that is an error.
        percentiles: stretch the infrared from these percentiles, see `fusion.images.scale_to_255`.
        compare: also write infrared, visible and fused side by side.
        parts: also write the contact sheet of `fusion.parts` (LRRNet, pictures only).
        skip_existing: leave pairs alone whose outputs all exist.
    """

    color: bool = True
    resize: bool = False
    percentiles: tuple[float, float] | None = None
    compare: bool = False
    parts: bool = False
    skip_existing: bool = False


@dataclass
class Account:
    """What a run did, in ``unit``s: ``pair`` of pictures, or ``frame``."""

    unit: str = "pair"
    fused: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)

    def summary(self, out: Path) -> str:
        """The closing line: counts, speed, and where to look."""
        counts = [f"{self.fused} {self.unit}{'' if self.fused == 1 else 's'} fused"]
        counts += [f"{self.skipped} skipped, there already"] * bool(self.skipped)
        counts += [f"{self.failed} failed"] * bool(self.failed)
        speed = f", {self.fused / self.seconds:.2f} {self.unit}s/s" if self.fused else ""
        return f"{', '.join(counts)}{speed}: {out}"


def fuse(network: FusionNetwork, ir: Path, vis: Path, out: Path, options: Options) -> Account:
    """Fuse two pictures, two folders or two videos, whichever the paths are.

    Args:
        network: in evaluation mode.
        ir, vis: both files or both folders.
        out: picture file or folder for pictures, folder for folders, video file for videos.

    Returns:
        The account, whose notes say what had no partner, failed or differed.

    Raises:
        UserError: the inputs are missing, of different kinds, or unusable; in a folder a pair that
            cannot be fused is a failure in the account instead.
    """
    for path in (ir, vis):
        if not path.exists():
            raise UserError(f"{path}: no such file or folder")
    if options.parts and not hasattr(network, "parts"):
        raise UserError(f"--parts: {type(network).__name__} has no low-rank and sparse parts")
    if ir.is_dir() != vis.is_dir():
        raise UserError(f"{ir} and {vis}: one is a folder, the other a file; give two of a kind")
    if ir.is_dir():
        return fuse_folders(network, ir, vis, out, options)
    videos = [path.suffix.lower() in VIDEO_SUFFIXES for path in (ir, vis)]
    if all(videos):
        return fuse_videos(network, ir, vis, out, options)
    if any(videos):
        raise UserError(f"{ir} and {vis}: one is a video, the other is not; give two of a kind")
    return fuse_files(network, ir, vis, out, options)


# --- Pictures -----------------------------------------------------------------------------------


def fuse_files(network: FusionNetwork, ir: Path, vis: Path, out: Path, options: Options) -> Account:
    """Fuse one pair. ``out`` is a picture file, or a folder that gets ``<visible's stem>.png``."""
    if out.is_dir() or not out.suffix:
        out = out / f"{vis.stem}.png"
    elif out.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"{out}: unknown picture format; end the name in .png, .jpg, .bmp or .tif")
    _refuse_overwriting(out, ir, vis)
    job = _Job(
        ir,
        vis,
        out,
        compare=out.with_name(f"{out.stem}_compare.png") if options.compare else None,
        parts=out.with_name(f"{out.stem}_parts.png") if options.parts else None,
    )
    account = Account()
    started = time.perf_counter()
    if options.skip_existing and job.is_done():
        account.skipped = 1
    else:
        job.run(network, options)
        account.fused = 1
    account.seconds = time.perf_counter() - started
    return account


def fuse_folders(
    network: FusionNetwork, ir: Path, vis: Path, out: Path, options: Options
) -> Account:
    """Fuse all pairs of two folders to ``out/<stem>.png``, one pair in memory at a time.

    Side-by-side pictures go to ``out/compare``, contact sheets to ``out/parts``.
    """
    pairing = pair_folders(ir, vis)
    for folder in (ir, vis):
        if out.resolve() == folder.resolve():
            raise UserError(f"{out}: the output folder holds the inputs; give another folder")
    make_folder(out)
    account = Account()
    for folder, lonely in ((ir, pairing.only_infrared), (vis, pairing.only_visible)):
        if lonely:
            names = ", ".join(path.name for path in lonely[:5])
            more = f" and {len(lonely) - 5} more" if len(lonely) > 5 else ""
            account.notes.append(f"{folder}: {len(lonely)} without a partner: {names}{more}")
    started = time.perf_counter()
    progress = tqdm(pairing.pairs, unit="pair", disable=None, leave=False)
    for ir_path, vis_path in progress:
        progress.set_postfix_str(vis_path.name, refresh=False)
        name = f"{vis_path.stem}.png"
        job = _Job(
            ir_path,
            vis_path,
            out / name,
            compare=out / "compare" / name if options.compare else None,
            parts=out / "parts" / name if options.parts else None,
        )
        if options.skip_existing and job.is_done():
            account.skipped += 1
            continue
        try:
            job.run(network, options)
            account.fused += 1
        except UserError as error:
            account.failed += 1
            account.notes.append(f"{error}")
    account.seconds = time.perf_counter() - started
    return account


@dataclass(frozen=True)
class _Job:
    """One pair of picture files and the files it becomes."""

    ir: Path
    vis: Path
    out: Path
    compare: Path | None
    parts: Path | None

    def is_done(self) -> bool:
        return all(path is None or path.is_file() for path in (self.out, self.compare, self.parts))

    def run(self, network: FusionNetwork, options: Options) -> None:
        ir = read_infrared(self.ir, options.percentiles)
        vis = read_visible(self.vis)
        ir = _same_size(ir, vis, f"{self.ir} and {self.vis}", options.resize, network.min_side)
        if self.parts is None:
            fused = network.fuse(ir, vis, options.color)
        else:
            fused = _fuse_with_parts(network, ir, vis, options.color, self.parts)
        if self.compare is not None:
            write_image(self.compare, compare(ir, vis, fused))
        # Last, so that the picture's presence says that its companions are there.
        write_image(self.out, fused)


def _fuse_with_parts(
    network: FusionNetwork, ir: np.ndarray, vis: np.ndarray, color: bool, path: Path
) -> np.ndarray:
    import torch

    from fusion.parts import parts_sheet

    with torch.inference_mode():
        parts = network.parts(network.to_input(luminance(ir)), network.to_input(luminance(vis)))
    fused = network.to_picture(parts.fused, vis if color else None)
    write_image(path, parts_sheet(to_8bit(ir), to_8bit(vis), fused, parts))
    return fused


def compare(ir: np.ndarray, vis: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """Infrared, visible and fused picture side by side, RGB uint8."""
    return tile([[("infrared", to_8bit(ir)), ("visible", to_8bit(vis)), ("fused", fused)]])


def _same_size(
    ir: np.ndarray, vis: np.ndarray, names: str, resize: bool, min_side: int
) -> np.ndarray:
    if ir.shape[:2] != vis.shape[:2]:
        if not resize:
            raise UserError(
                f"{names}: sizes differ, {ir.shape[1]}x{ir.shape[0]} and "
                f"{vis.shape[1]}x{vis.shape[0]}; register them, or give --resize if they show the "
                "same view"
            )
        ir = resize_to(ir, vis)
    if min(ir.shape[:2]) < min_side:
        raise UserError(f"{names}: at least {min_side}x{min_side} pixels are needed")
    return ir


def _refuse_overwriting(out: Path, ir: Path, vis: Path) -> None:
    for source in (ir, vis):
        if out.resolve() == source.resolve():
            raise UserError(f"{out}: is an input too; give another name for the output")


# --- Videos -------------------------------------------------------------------------------------


def fuse_videos(
    network: FusionNetwork, ir: Path, vis: Path, out: Path, options: Options
) -> Account:
    """Fuse two videos frame by frame, one pair of frames in memory at a time.

    Frames are paired by their number and written at the visible's rate. ``out`` is a video file, or
    a folder that gets ``<visible's stem>.mp4``. It appears when it is complete.
    """
    if options.parts:
        raise UserError("--parts: shows single pictures; give two pictures or folders")
    if out.is_dir() or not out.suffix:
        out = out / f"{vis.stem}.mp4"
    _refuse_overwriting(out, ir, vis)
    compare_out = out.with_name(f"{out.stem}_compare{out.suffix}") if options.compare else None
    account = Account(unit="frame")
    if options.skip_existing and out.is_file() and (not compare_out or compare_out.is_file()):
        account.skipped = 1
        return account
    started = time.perf_counter()
    with Video(ir) as ir_video, Video(vis) as vis_video, ExitStack() as writers:
        if abs(ir_video.fps - vis_video.fps) > 0.01:
            account.notes.append(
                f"{ir} has {ir_video.fps:g} frames/s, {vis} {vis_video.fps:g}: frames are paired "
                "by their number, at the visible's rate"
            )
        writer = writers.enter_context(VideoWriter(out, vis_video.fps))
        compare_writer = (
            writers.enter_context(VideoWriter(compare_out, vis_video.fps)) if compare_out else None
        )
        total = min(ir_video.frame_count, vis_video.frame_count) or None
        progress = tqdm(unit="frame", total=total, disable=None, leave=False)
        for ir_frame, vis_frame in _paired_frames(ir_video, vis_video, account):
            ir_grey = scale_to_255(luminance(ir_frame), options.percentiles)
            ir_grey = _same_size(
                ir_grey, vis_frame, f"{ir} and {vis}", options.resize, network.min_side
            )
            fused = network.fuse(ir_grey, vis_frame, options.color)
            writer.write(fused)
            if compare_writer is not None:
                compare_writer.write(compare(ir_grey, vis_frame, fused))
            account.fused += 1
            progress.update()
        progress.close()
    account.seconds = time.perf_counter() - started
    return account


def _paired_frames(
    ir: Video, vis: Video, account: Account
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frames of both videos by number; what one has beyond the other is noted."""
    ir_frames, vis_frames = iter(ir), iter(vis)
    count = 0
    while True:
        ir_frame, vis_frame = next(ir_frames, None), next(vis_frames, None)
        if ir_frame is None or vis_frame is None:
            break
        yield ir_frame, vis_frame
        count += 1
    for video, frame in ((ir, ir_frame), (vis, vis_frame)):
        if frame is None and video.frame_count > count:
            account.failed += video.frame_count - count
            account.notes.append(
                f"{video.path}: damaged after frame {count} of {video.frame_count}; copy it again"
            )
        elif frame is not None:
            other = vis if video is ir else ir
            account.notes.append(
                f"{video.path}: longer than {other.path}, fused up to frame {count}"
            )


def report(account: Account, out: Path) -> None:
    """Print the notes on stderr and the closing line on stdout."""
    for note in account.notes:
        print(note, file=sys.stderr)
    print(account.summary(out))
