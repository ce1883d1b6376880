"""Real footage from folders: masked video, RGBT clips, still pairs, annotated sequences.

    sources = [load_masked_video("DAVIS", weight=4), load_stills("RoadScene")]
    footage = sources[0].footage[3]
    image, track = footage.picture(17), footage.tracks[0]

Folders are listed immediately, so that missing or unmatched files are reported at the start. Images
are decoded on first use and kept in memory, or in a folder (`FrameStore`).
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import natural_key, read_text
from fusion.images.alignment import Calibration
from fusion.images.pairing import list_images
from fusion.images.pixels import luminance, to_8bit
from fusion.images.reading import read_image
from fusion.images.video import Video
from fusion.training.pairs import find_pairs
from tracker.data.frames import as_ir, as_rgb
from tracker.data.sequences import Dataset
from tracker.training.footage import Content, Footage, LocalMask, Picture, Source, Track
from tracker.training.frame_store import FrameStore
from tracker.training.salient_tracks import blob_track, carried_tracks
from tracker.training.sources import load_source, salient_boxes

# --- Masked video (DAVIS) -------------------------------------------------------------------------

#: Kinds of the targets in DAVIS-2016. In other videos, a target is only a look-alike of itself.
DAVIS_KINDS = {
    "person": "boat breakdance breakdance-flare dance-jump dance-twirl hike hockey kite-surf "
    "kite-walk lucia paragliding paragliding-launch parkour rollerblade stroller surf swing tennis",
    "rider": "bmx-bumps bmx-trees horsejump-high horsejump-low motocross-bumps motocross-jump "
    "motorbike scooter-black scooter-gray soapbox",
    "vehicle": "bus car-roundabout car-shadow car-turn drift-chicane drift-straight drift-turn "
    "train",
    "animal": "bear blackswan camel cows dog dog-agility elephant flamingo goat libby mallard-fly "
    "mallard-water rhino",
}
_KIND_OF = {name: kind for kind, names in DAVIS_KINDS.items() for name in names.split()}


def load_masked_video(
    root: str | Path,
    weight: float = 1.0,
    reach: int = 40,
    cache: str | Path | None = None,
    name: str = "masked_video",
) -> Source:
    """Visible videos with a mask in every frame, such as DAVIS-2016: ``SEQ/color``, ``SEQ/mask``.

    The infrared modality is made from image and mask when a pair is drawn
    (`tracker.training.pseudo_thermal`).

    Args:
        root: folder of the sequences. ``color`` and ``mask`` have images with the same stems; a
            mask is 0 outside the target.
        weight, reach: see `Source`.
        cache: folder for decoded frames, see `FrameStore`.
        name: of the source.

    Raises:
        UserError: the folder does not exist, has no sequence, or a frame has no mask.
    """
    root, store = _folder(root), FrameStore(cache)
    footage = []
    for folder in sorted((p for p in root.iterdir() if p.is_dir()), key=natural_key):
        if not ((folder / "color").is_dir() and (folder / "mask").is_dir()):
            continue
        pictures, masks = list_images(folder / "color"), list_images(folder / "mask")
        _require_same_stems(folder, pictures, masks)
        kind = _KIND_OF.get(folder.name, folder.name)
        load = partial(_load_masked, store, folder, pictures, masks, kind)
        footage.append(Footage(folder.name, frozenset([kind]), load, thermal=False))
    if not footage:
        raise UserError(f"{root}: no folder in it contains color/ and mask/, as in DAVIS")
    return Source(name, footage, weight, reach)


def _require_same_stems(folder: Path, pictures: list[Path], masks: list[Path]) -> None:
    stems = {path.stem for path in pictures} ^ {path.stem for path in masks}
    if stems:
        which = min(stems)
        have = "color" if any(p.stem == which for p in pictures) else "mask"
        raise UserError(
            f"{folder}: frame {which} is only in {have}/; every image needs a mask of the same name"
        )


def _load_masked(
    store: FrameStore, folder: Path, pictures: list[Path], masks: list[Path], kind: str
) -> Content:
    def decode() -> dict[str, np.ndarray]:
        return {
            "rgb": _stack([as_rgb(read_image(path)) for path in pictures], pictures),
            "mask": _stack([_read_mask(path) for path in masks], masks),
        }

    arrays = store.arrays(f"masked-{folder.name}", pictures + masks, decode)
    rgb, mask = arrays["rgb"], arrays["mask"]
    if rgb.shape[:3] != mask.shape:
        raise UserError(f"{folder}: the masks and the images differ in size")
    boxes = np.array([_trunk_box(frame) for frame in mask])

    def silhouette(index: int) -> LocalMask | None:
        x, y, w, h = boxes[index].astype(int)
        return LocalMask(x, y, np.asarray(mask[index, y : y + h, x : x + w]))

    track = Track(kind, boxes, silhouette=silhouette)
    return Content(len(rgb), lambda index: Picture(np.asarray(rgb[index]), None), [track])


def _read_mask(path: Path) -> np.ndarray:
    return np.where(luminance(read_image(path)) > 0, np.uint8(255), np.uint8(0))


def _trunk_box(mask: np.ndarray) -> np.ndarray:
    """The bounding box of a mask without its thin parts, such as the lines of a kite."""
    area = cv2.countNonZero(np.ascontiguousarray(mask))
    if not area:
        return np.full(4, np.nan)
    width = max(1, int(area**0.5 / 12)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    opened = cv2.morphologyEx(np.asarray(mask), cv2.MORPH_OPEN, kernel)
    return np.array(cv2.boundingRect(opened if opened.any() else np.asarray(mask)), float)


# --- RGBT clips (M3SVD) ---------------------------------------------------------------------------


def load_clips(
    root: str | Path,
    weight: float = 1.0,
    reach: int = 20,
    cache: str | Path | None = None,
    margin: int = 8,
    name: str = "clips",
    calibration: Calibration | None = None,
) -> Source:
    """Registered RGBT videos without boxes, such as M3SVD; annotated frames are excluded.

    The folder has ``visible/NAME.mp4`` with ``infrared/NAME.mp4``, or folders of images
    ``clips/visible/NAME`` with ``clips/infrared/NAME``. If it has an ``annotations`` folder, the
    files ``*/source.txt`` there (``NAME first last`` or ``clip NAME first last``, counted from 0,
    inclusive) name frames that are reserved for choosing between trackers: these, and ``margin``
    frames on either side, are never used. Targets are found by `salient_boxes` and propagated to
    neighbouring frames by correlation. These boxes are not ground truth: `Track.labelled` is False.

    Args:
        root: the folder.
        weight, reach: see `Source`.
        cache: folder for decoded frames, see `FrameStore`.
        margin: number of frames excluded on either side of annotated ones.
        name: of the source.
        calibration: brings infrared onto visible frames; both are cropped to what they share.

    Raises:
        UserError: the folder does not exist or has no clip, a clip lacks a modality, a
            ``source.txt`` has another format, or every frame is excluded.
    """
    root, store = _folder(root), FrameStore(cache)
    taken = _annotated_spans(root / "annotations")
    footage: list[Footage] = []
    for clip, visible, infrared in _find_clips(root):
        spans = taken.get(clip, [])
        if visible.is_dir():
            pairs = _paired_frames(visible, infrared)
            free = _free_stretches(len(pairs), spans, margin)
            load: Callable[..., Content] = partial(_load_clip_pictures, store, clip, pairs)
        else:
            with Video(visible) as video, Video(infrared) as other:
                length = video.frame_count
                if length != other.frame_count:
                    raise UserError(
                        f"{infrared}: {other.frame_count} frames, {length} in {visible}; "
                        "give videos with the same frames"
                    )
            free = _free_stretches(length, spans, margin)
            load = partial(_load_clip_videos, store, visible, infrared)
        kinds = frozenset(["person", "thing"])
        footage += [
            Footage(f"{clip}[{span.start}:{span.stop}]", kinds, partial(load, span, calibration))
            for span in free
        ]
    if not footage:
        raise UserError(
            f"{root}: no RGBT video in visible/ and infrared/ or in clips/ has frames that "
            "annotations/ does not reserve; give a folder with the layout of M3SVD"
        )
    return Source(name, footage, weight, reach)


def _find_clips(root: Path) -> list[tuple[str, Path, Path]]:
    """Name, visible path and infrared path of every video and every folder of images."""
    found = []
    for base, wanted in ((root, Path.is_file), (root / "clips", Path.is_dir)):
        visible, infrared = base / "visible", base / "infrared"
        if not visible.is_dir():
            continue
        for path in sorted(filter(wanted, visible.iterdir()), key=natural_key):
            if path.name.startswith("."):
                continue
            if not (infrared / path.name).exists():
                raise UserError(
                    f"{path}: its infrared file is missing; put it at {infrared / path.name}"
                )
            found.append((path.stem, path, infrared / path.name))
    return found


def _paired_frames(visible: Path, infrared: Path) -> list[tuple[Path, Path]]:
    first, second = list_images(visible), list_images(infrared)
    if [path.stem for path in first] != [path.stem for path in second]:
        raise UserError(
            f"{visible} and {infrared}: not the same frames in both; give images with equal names"
        )
    return list(zip(first, second, strict=True))


def _annotated_spans(folder: Path) -> dict[str, list[range]]:
    """Annotated frames of each clip."""
    spans: dict[str, list[range]] = {}
    for path in sorted(folder.glob("*/source.txt")):
        words = read_text(path).split()
        words = words[1:] if words[:1] == ["clip"] else words
        try:
            name, first, last = words[0], int(words[1]), int(words[2])
        except (IndexError, ValueError):
            raise UserError(f"{path}: give NAME first last, or clip NAME first last") from None
        spans.setdefault(name, []).append(range(first, last + 1))
    return spans


def _free_stretches(length: int, taken: Sequence[range], margin: int) -> list[range]:
    """Runs of at least two frames outside all spans and their margins."""
    free = np.ones(length, bool)
    for span in taken:
        free[max(0, span.start - margin) : span.stop + margin] = False
    edges = np.flatnonzero(np.diff(np.concatenate(([False], free, [False])).astype(int)))
    return [range(a, b) for a, b in edges.reshape(-1, 2) if b - a >= 2]


def _load_clip_pictures(
    store: FrameStore,
    clip: str,
    pairs: list[tuple[Path, Path]],
    span: range,
    calibration: Calibration | None,
) -> Content:
    pairs = pairs[span.start : span.stop]
    rgb, ir = zip(*pairs, strict=True)

    def decode() -> dict[str, np.ndarray]:
        return _registered(
            rgb[0].parent,
            _stack([as_ir(read_image(path)) for path in ir], ir),
            _stack([as_rgb(read_image(path)) for path in rgb], rgb),
            calibration,
        )

    files = _decoded_from([*rgb, *ir], calibration)
    return _clip_content(store.arrays(f"clip-{clip}", files, decode), rgb[0].parent)


def _load_clip_videos(
    store: FrameStore,
    visible: Path,
    infrared: Path,
    span: range,
    calibration: Calibration | None,
) -> Content:
    def decode() -> dict[str, np.ndarray]:
        ir = np.stack([as_ir(frame) for frame in _video_frames(infrared, span)])
        return _registered(visible, ir, _video_frames(visible, span), calibration)

    key = f"clip-{visible.stem}-{span.start}-{span.stop}"
    files = _decoded_from([visible, infrared], calibration)
    return _clip_content(store.arrays(key, files, decode), visible)


def _video_frames(path: Path, span: range) -> np.ndarray:
    frames = []
    with Video(path) as video:
        for number, frame in enumerate(video):
            if number >= span.stop:
                break
            if number >= span.start:
                frames.append(frame)
    if len(frames) < len(span):
        raise UserError(f"{path}: ends before frame {span.stop}; copy it again")
    return np.stack(frames)


def _clip_content(arrays: dict[str, np.ndarray], where: Path) -> Content:
    rgb, ir = arrays["rgb"], arrays["ir"]
    if rgb.shape[:3] != ir.shape:
        raise UserError(f"{where}: visible and infrared differ in size; register them first")
    return Content(
        len(rgb),
        lambda index: Picture(np.asarray(rgb[index]), np.asarray(ir[index])),
        carried_tracks(rgb, ir),
    )


# --- Still pairs ----------------------------------------------------------------------------------


def load_stills(
    root: str | Path,
    weight: float = 1.0,
    cache: str | Path | None = None,
    name: str = "stills",
    calibration: Calibration | None = None,
) -> Source:
    """Registered still pairs, such as RoadScene: ``ir`` and ``vis``, or KAIST as distributed.

    Targets are found by `salient_boxes`. Template and search are crops of the same image, so that
    the box is exact.

    Args:
        root: the folder, see `fusion.training.pairs.find_pairs`.
        weight: see `Source`.
        cache: folder for decoded frames, see `FrameStore`.
        name: of the source.
        calibration: brings infrared onto visible images; both are cropped to what they share.

    Raises:
        UserError: the folder does not exist or has no pair.
    """
    root, store = _folder(root), FrameStore(cache)
    kinds = frozenset(["person", "thing"])
    footage = [
        Footage(
            ir.relative_to(root).as_posix(),
            kinds,
            partial(_load_still, store, ir, vis, calibration),
        )
        for ir, vis in find_pairs(root)
    ]
    return Source(name, footage, weight, reach=0)


def _load_still(store: FrameStore, ir: Path, vis: Path, calibration: Calibration | None) -> Content:
    def decode() -> dict[str, np.ndarray]:
        heat, light = as_ir(read_image(ir)), as_rgb(read_image(vis))
        if calibration is not None:
            return _registered(ir, heat[None], light[None], calibration, alone=True)
        if heat.shape != light.shape[:2]:
            raise UserError(f"{ir} and {vis}: differ in size; register them first")
        return {"rgb": light, "ir": heat}

    arrays = store.arrays(f"still-{ir.stem}", _decoded_from([ir, vis], calibration), decode)
    rgb, heat = np.asarray(arrays["rgb"]), np.asarray(arrays["ir"])
    light = to_8bit(luminance(rgb))
    tracks = [blob_track([heat], box[None]) for box in salient_boxes(light, heat)]
    return Content(1, lambda index: Picture(rgb, heat), tracks)


# --- Annotated sequences --------------------------------------------------------------------------


def load_sequences(
    layout: str,
    root: str | Path,
    weight: float = 1.0,
    reach: int = 40,
    cache: str | Path | None = None,
    kind: str = "thing",
    calibration: Calibration | None = None,
) -> Source:
    """Annotated RGBT sequences in any layout of `tracker.training.sources.load_source`.

    Args:
        layout: name of a dataset, or "synthetic".
        root: its folder.
        weight, reach: see `Source`.
        cache: folder for decoded frames, see `FrameStore` (1.2 MB for a pair of 640x480). If None,
            frames are decoded every time they are drawn, because such datasets exceed the memory.
        kind: kind of the targets, see `Track`.
        calibration: brings infrared onto visible frames, boxes included, see `Sequence.aligned`.

    Raises:
        UserError: the layout is unknown, or the folder has no sequence.
    """
    targets = load_source(layout, root, weight, reach, calibration)
    dataset, store = targets.dataset, None if cache is None else FrameStore(cache)
    footage = [
        Footage(name, frozenset([kind]), partial(_load_sequence, dataset, number, kind, store))
        for number, name in enumerate(dataset.names)
    ]
    return Source(layout, footage, weight, targets.reach, silhouettes=False)


def _load_sequence(dataset: Dataset, number: int, kind: str, store: FrameStore | None) -> Content:
    # Crops need one frame of reference for both modalities, boxes included.
    sequence = dataset[number].resized(stretch=True)
    boxes = np.where(np.isnan(sequence.boxes_rgb), sequence.boxes_ir, sequence.boxes_rgb)
    track = Track(kind, boxes, shown=sequence.attributes.get("visibility"))

    def read(index: int) -> Picture:
        frame = sequence.frame(index)
        bad = frame.problems
        return Picture(None if "rgb" in bad else frame.rgb, None if "ir" in bad else frame.ir)

    if store is None:
        return Content(len(sequence), read, [track])

    def decode() -> dict[str, np.ndarray]:
        width, height = sequence.frame_size()
        rgb = np.zeros((len(sequence), height, width, 3), np.uint8)
        ir = np.zeros(rgb.shape[:3], np.uint8)
        there = np.zeros((len(sequence), 2), bool)
        for index in range(len(sequence)):
            for m, (kept, picture) in enumerate(zip((rgb, ir), read(index), strict=True)):
                if picture is not None:
                    kept[index], there[index, m] = picture, True
        return {"rgb": rgb, "ir": ir, "there": there}

    files = sorted(path for path in (dataset.root / dataset.names[number]).rglob("*.*"))
    files = _decoded_from(files, sequence.calibration)
    arrays = store.arrays(f"sequence-{sequence.name}", files, decode)

    def picture(index: int) -> Picture:
        has_rgb, has_ir = arrays["there"][index]
        return Picture(
            np.asarray(arrays["rgb"][index]) if has_rgb else None,
            np.asarray(arrays["ir"][index]) if has_ir else None,
        )

    return Content(len(sequence), picture, [track])


# --- Helpers --------------------------------------------------------------------------------------


def _folder(root: str | Path) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder of the training images")
    return root


def _registered(
    where: Path,
    ir: np.ndarray,
    rgb: np.ndarray,
    calibration: Calibration | None,
    alone: bool = False,
) -> dict[str, np.ndarray]:
    """Stacks of infrared and visible frames, aligned and cropped to what both cameras show.

    Args:
        alone: give a single frame instead of stacks of one.
    """
    if calibration is not None:
        sizes = [(frames.shape[2], frames.shape[1]) for frames in (ir, rgb)]
        calibration.require_sizes(sizes[0], sizes[1], where)
        pairs = [calibration.pair(*frames) for frames in zip(ir, rgb, strict=False)]
        ir, rgb = (np.stack(frames) for frames in zip(*pairs, strict=True))
    return {"rgb": rgb[0], "ir": ir[0]} if alone else {"rgb": rgb, "ir": ir}


def _decoded_from(files: Sequence[Path], calibration: Calibration | None) -> list[Path]:
    """The files on which decoded frames depend."""
    return [*files, *([calibration.path] if calibration and calibration.path else [])]


def _stack(pictures: Sequence[np.ndarray], files: Sequence[Path]) -> np.ndarray:
    """Stack images of equal size into one array."""
    for picture, path in zip(pictures, files, strict=True):
        if picture.shape != pictures[0].shape:
            raise UserError(f"{path}: differs in size from {files[0].name} in the same folder")
    return np.stack(pictures)
