"""Writing sequences in the layout of the VOT toolkit, and contact sheets of several."""

import glob
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from fusion.base.errors import UserError
from fusion.base.files import make_folder, whole_file
from fusion.images.pixels import tile
from fusion.images.reading import write_image
from tracker.synthetic.cameras import failure_mode
from tracker.synthetic.challenges import challenge_names, check_choice, random_spec
from tracker.synthetic.motion import FPS, CameraPath
from tracker.synthetic.rendering import Renderer
from tracker.synthetic.specs import SPLITS, SequenceSpec


def dataset_specs(
    count: int,
    *,
    length: int = 120,
    seed: int = 0,
    size: tuple[int, int] = (320, 240),
    split: str = "test",
    challenges: Sequence[str] | None = None,
) -> dict[str, SequenceSpec]:
    """Names and specs of a dataset; the challenges alternate, so that each occurs equally often."""
    check_choice("split", split, SPLITS)
    names = tuple(challenges) if challenges else challenge_names(split)
    return {
        f"{split}_{i:03d}_{names[i % len(names)]}": random_spec(
            seed + i, length=length, size=size, split=split, challenge=names[i % len(names)]
        )
        for i in range(count)
    }


def write_dataset(
    root: str | Path,
    *,
    count: int = 20,
    length: int = 120,
    seed: int = 0,
    size: tuple[int, int] = (320, 240),
    split: str = "test",
    challenges: Sequence[str] | None = None,
    progress: bool = False,
) -> list[Path]:
    """Write a set of sequences and ``list.txt``: the ``sequences`` folder of a VOT workspace.

    Each sequence appears completely or not at all. A call after an interruption resumes; complete
    sequences are kept.

    Args:
        root: output folder.
        count: number of sequences.
        length: frames per sequence.
        seed: seed of the first sequence, incremented for each of the following.
        size: (width, height) in pixels.
        split: "train" or "test".
        challenges: names to use in turn; defaults to all of the split.
        progress: show a progress bar if stderr is a terminal.

    Returns:
        The folders, in the order of ``list.txt``.

    Raises:
        UserError: an unknown name, or a folder that contains something else or cannot be written.
    """
    root = Path(root)
    specs = dataset_specs(
        count, length=length, seed=seed, size=size, split=split, challenges=challenges
    )
    folders = []
    bar = tqdm(specs.items(), disable=None if progress else True, unit="sequence")
    for name, spec in bar:
        folders.append(write_sequence(spec, root / name))
    with whole_file(root / "list.txt") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in specs))
    return folders


def write_sequence(spec: SequenceSpec, folder: str | Path) -> Path:
    """Render a sequence to a folder in VOT layout; the folder appears when it is complete.

    The files are ``sequence``, ``color/%08d.jpg``, ``ir/%08d.jpg``, ``groundtruth.txt`` (x,y,w,h
    with full precision), ``visibility.value``, ``anchor.value`` (a start every 50 frames, forward
    in the first half and backward in the second, moved to frames that show the target in both
    modalities), ``spec.json``, and tags, 1 or 0 per frame: ``occlusion`` (less than 0.9 visible),
    ``camera_motion``, ``motion_change`` (target fast for its size), ``size_change``,
    ``illum_change``, ``rgb_failure``, ``ir_failure``.

    Args:
        spec: the sequence to render.
        folder: output folder; if it contains the same spec, it is kept.

    Returns:
        The folder.

    Raises:
        UserError: the folder contains something else, or cannot be written.
    """
    folder = Path(folder)
    record = spec.to_json() + "\n"
    if folder.exists():
        try:
            same = (folder / "spec.json").read_text() == record
        except OSError:
            same = False
        if same:
            return folder
        raise UserError(f"{folder}: contains another sequence; give another folder or remove it")
    make_folder(folder.parent)
    _remove_abandoned(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    try:
        write_frames(spec, partial, folder.name)
        (partial / "spec.json").write_text(record)
        os.replace(partial, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _remove_abandoned(folder: Path) -> None:
    """Remove incomplete sequences left by processes that were killed."""
    for partial in folder.parent.glob(f".{glob.escape(folder.name)}.*.partial"):
        process = partial.name.split(".")[-2]
        if process.isdecimal() and not _is_running(int(process)):
            shutil.rmtree(partial, ignore_errors=True)


def _is_running(process: int) -> bool:
    """Whether a different process with this number is running; assumed if it is unknown."""
    if process == os.getpid():
        return False  # the number was reused by this process, which has not started yet
    if hasattr(os, "killpg"):  # on Windows, signal 0 would end the process
        with suppress(PermissionError, OverflowError):
            try:
                os.kill(process, 0)
            except ProcessLookupError:
                return False
    return True


ANCHOR_SPACING = 50  # frames; not VOT2020's rule for the last anchor, see `vot_anchors`


def write_frames(spec: SequenceSpec, folder: Path, name: str) -> None:
    """Render a sequence to a folder: images, boxes, tags and anchors in VOT's layout.

    Args:
        name: the sequence's name, written to its ``sequence`` file.
    """
    for channel in ("color", "ir"):
        make_folder(folder / channel)
    renderer = Renderer(spec)
    boxes, visible = [], []
    for number, frame in enumerate(renderer.frames(), start=1):
        write_image(folder / "color" / f"{number:08d}.jpg", frame.rgb)
        write_image(folder / "ir" / f"{number:08d}.jpg", frame.ir)
        boxes.append(frame.box)
        visible.append(frame.visible)
    width, height = spec.size
    properties = {
        "name": name,
        "fps": FPS,
        "format": "default",
        "channel.default": "color",
        "channels.color": "color/%08d.jpg",
        "channels.ir": "ir/%08d.jpg",
        "width": width,
        "height": height,
        "length": spec.length,
    }
    lines = "".join(f"{key}={value}\n" for key, value in properties.items())
    (folder / "sequence").write_text(lines)
    rows = "".join(",".join(repr(float(v)) for v in box) + "\n" for box in boxes)
    (folder / "groundtruth.txt").write_text(rows)
    failed = {
        m: [failure_mode(spec, m, t) is not None for t in range(spec.length)] for m in ("rgb", "ir")
    }
    good = [v > 0.9 and not failed["rgb"][t] and not failed["ir"][t] for t, v in enumerate(visible)]
    columns: dict[str, Sequence[float]] = {
        f"{name}.tag": flags for name, flags in geometric_tags(spec, renderer.path, boxes).items()
    }
    columns["occlusion.tag"] = [v < 0.9 for v in visible]
    for modality, flags in failed.items():
        columns[f"{modality}_failure.tag"] = flags
    columns["visibility.value"] = visible
    columns["anchor.value"] = vot_anchors(good)
    for name, values in columns.items():
        form = repr if name == "visibility.value" else int
        (folder / name).write_text("".join(f"{form(value)}\n" for value in values))


def geometric_tags(spec: SequenceSpec, path: CameraPath, boxes: list) -> dict[str, list[bool]]:
    """Attributes determined by the geometry, one flag per frame."""
    box = np.array(boxes)
    area = np.sqrt(box[:, 2] * box[:, 3])
    centre = box[:, :2] + box[:, 2:] / 2
    jump = np.zeros(spec.length)
    pan = np.zeros(spec.length)
    if spec.length > 1:
        jump[1:] = np.hypot(*np.diff(centre, axis=0).T) / area[1:]
        pan[1:] = np.hypot(np.diff(path.u), np.diff(path.v)) * path.zoom[1:] / spec.size[0]
    return {
        "camera_motion": list(pan > 0.01),
        "motion_change": list(jump > 0.12),
        "size_change": list(np.abs(np.log2(area / area[0])) > 0.6),
        "illum_change": [spec.night > 0.5] * spec.length,
    }


def vot_anchors(good: list[bool]) -> list[int]:
    """VOT anchors: 1 starts a run to the end, -1 a run to the beginning.

    There is one about every `ANCHOR_SPACING` frames and one near the end, each moved to the nearest
    good frame. `tracker.evaluation.vot.sequences.anchor_directions` implements VOT2020's own rule,
    which omits an anchor that is close to the last one.
    """
    length = len(good)
    anchors = [0] * length
    usable = [t for t in range(length) if good[t]] or [0]
    for wanted in range(0, length, ANCHOR_SPACING):
        t = min(usable, key=lambda t: abs(t - wanted))
        anchors[t] = 1 if t < length / 2 else -1
    last = min(usable, key=lambda t: length - 1 - t)
    anchors[last] = anchors[last] or (-1 if last else 1)
    return anchors


def contact_sheet(specs: Iterable[SequenceSpec], columns: int = 3, at: float = 0.5) -> np.ndarray:
    """Frames of several sequences, visible and thermal side by side, with the target's box.

    Args:
        specs: sequences of equal size.
        columns: sequences per row.
        at: the moment to show, as a fraction of each sequence.

    Returns:
        RGB uint8.
    """
    cells = []
    for spec in specs:
        t = min(int(at * spec.length), spec.length - 1)
        # Start some frames earlier, so that the thermal camera has adapted its range.
        for frame in Renderer(spec).frames(max(0, t - 3), t + 1):
            shown = frame
        pair = np.hstack([shown.rgb, np.repeat(shown.ir[..., None], 3, axis=2)])
        x, y, w, h = shown.box
        for half in np.hsplit(pair, 2):  # views: drawing is clipped at each one's border
            drawn = np.ascontiguousarray(half)
            corners = (round(x), round(y)), (round(x + w), round(y + h))
            cv2.rectangle(drawn, *corners, (60, 255, 60), max(1, spec.size[0] // 320))
            half[:] = drawn
        names = ", ".join(spec.challenges)
        cells.append((f"{names}: {spec.target}, {spec.look}".replace("_", " "), pair))
    if not cells:
        raise ValueError("a contact sheet needs at least one sequence")
    return tile([cells[i : i + columns] for i in range(0, len(cells), columns)])
