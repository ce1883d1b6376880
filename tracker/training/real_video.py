"""Real footage as a source of training pairs: masked video, RGBT clips, still pairs, sequences.

    sources = [load_masked_video("DAVIS", weight=4), load_stills("RoadScene")]
    footage = sources[0].footage[3]
    picture, track = footage.picture(17), footage.tracks[0]

A `Source` is a list of `Footage`; a `Footage` is consecutive frames of one place (a still is one
frame) and the `Track` of each target in it. Folders are listed at once, so that what is missing or
does not match is known at the start; pictures are decoded when they are first drawn, and kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import natural_key
from fusion.images.pairing import list_images
from fusion.images.pixels import luminance, to_8bit
from fusion.images.reading import read_image
from fusion.images.video import Video
from fusion.training.pairs import find_pairs
from tracker.data.boxes import box_iou
from tracker.data.frames import as_ir, as_rgb
from tracker.training.frame_store import FrameStore
from tracker.training.sources import load_source, salient_boxes

__all__ = [
    "Footage",
    "LocalMask",
    "Picture",
    "Source",
    "Track",
    "load_clips",
    "load_masked_video",
    "load_sequences",
    "load_stills",
]

# --- Footage --------------------------------------------------------------------------------------


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


# --- Masked video (DAVIS) -------------------------------------------------------------------------

#: What the targets of DAVIS-2016 are; those of other videos are look-alikes of themselves alone.
DAVIS_KINDS = {
    "person": "bmx-bumps bmx-trees boat breakdance breakdance-flare dance-jump dance-twirl hike "
    "hockey kite-surf kite-walk lucia paragliding paragliding-launch parkour rollerblade "
    "stroller surf swing tennis",
    "rider": "horsejump-high horsejump-low mallard-fly motocross-bumps motocross-jump motorbike "
    "scooter-black scooter-gray soapbox soccerball",
    "vehicle": "bus car-roundabout car-shadow car-turn drift-chicane drift-straight drift-turn train",
    "animal": "bear blackswan camel cows dog dog-agility elephant flamingo goat libby mallard-water "
    "rhino",
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

    Their infrared is made from the picture and the mask when a pair is drawn
    (`tracker.training.pseudo_thermal`).

    Args:
        root: folder of the sequences. ``color`` and ``mask`` hold pictures of the same stems; a mask
            is 0 outside the target.
        weight, reach: see `Source`.
        cache: folder for decoded frames, see `FrameStore`.
        name: the source's.

    Raises:
        UserError: no such folder, no sequence in it, or frames without a mask.
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
        raise UserError(f"{root}: no folder in it holds color/ and mask/, as DAVIS does")
    return Source(name, footage, weight, reach)


def _require_same_stems(folder: Path, pictures: list[Path], masks: list[Path]) -> None:
    stems = {path.stem for path in pictures} ^ {path.stem for path in masks}
    if stems:
        which = min(stems)
        have = "color" if any(p.stem == which for p in pictures) else "mask"
        raise UserError(
            f"{folder}: frame {which} is in {have}/ alone; every picture needs a mask of its name"
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
        raise UserError(f"{folder}: masks of another size than the pictures")
    boxes = np.array([_trunk_box(frame) for frame in mask])

    def silhouette(index: int) -> LocalMask | None:
        x, y, w, h = boxes[index].astype(int)
        return LocalMask(x, y, np.asarray(mask[index, y : y + h, x : x + w]))

    track = Track(kind, boxes, silhouette=silhouette)
    return Content(len(rgb), lambda index: Picture(np.asarray(rgb[index]), None), [track])


def _read_mask(path: Path) -> np.ndarray:
    return np.where(luminance(read_image(path)) > 0, np.uint8(255), np.uint8(0))


def _trunk_box(mask: np.ndarray) -> np.ndarray:
    """The box about a mask without what is thin in it: a kite's lines belong to no person's box."""
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
) -> Source:
    """Registered RGBT video without boxes, such as M3SVD's; annotated frames are left out.

    ``visible/NAME.mp4`` with ``infrared/NAME.mp4``, and ``clips/visible/NAME`` with
    ``clips/infrared/NAME``, folders of pictures. Where there is an ``annotations`` folder, its
    ``*/source.txt`` (``NAME first last`` or ``clip NAME first last``, counted from 0, inclusive)
    name the frames that choose between trackers: these do not train, nor do ``margin`` frames
    next to them. Targets are what `salient_boxes` finds, carried through neighbouring frames by
    correlation (their boxes are no truth: `Track.labelled` is False).

    Args:
        root: the folder.
        weight, reach: see `Source`.
        cache: folder for decoded frames, see `FrameStore`.
        margin: frames beside annotated ones that are left out too.
        name: the source's.

    Raises:
        UserError: no such folder, no clip in it, a clip without its other modality, a line of a
            ``source.txt`` that is not as above, or nothing left.
    """
    root, store = _folder(root), FrameStore(cache)
    taken = _annotated_spans(root / "annotations")
    footage: list[Footage] = []
    for clip, visible, infrared in _find_clips(root):
        spans = taken.get(clip, [])
        if visible.is_dir():
            pairs = _paired_frames(visible, infrared)
            free = _free_stretches(len(pairs), spans, margin)
            loads = [partial(_load_clip_pictures, store, clip, pairs, span) for span in free]
        else:
            with Video(visible) as video, Video(infrared) as other:
                length = video.frame_count
                if length != other.frame_count:
                    raise UserError(
                        f"{infrared}: {other.frame_count} frames, {length} in {visible}; "
                        "give videos of the same frames"
                    )
            free = _free_stretches(length, spans, margin)
            loads = [partial(_load_clip_videos, store, visible, infrared, span) for span in free]
        footage += [
            Footage(f"{clip}[{span.start}:{span.stop}]", frozenset(["person", "thing"]), load)
            for span, load in zip(free, loads, strict=True)
        ]
    if not footage:
        raise UserError(
            f"{root}: no RGBT video in visible/ and infrared/ or clips/ that annotations/ leaves "
            "to train on"
        )
    return Source(name, footage, weight, reach)


def _find_clips(root: Path) -> list[tuple[str, Path, Path]]:
    """Name, visible and infrared of every video and folder of pictures."""
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
                    f"{path}: its infrared is missing; put it at {infrared / path.name}"
                )
            found.append((path.stem, path, infrared / path.name))
    return found


def _paired_frames(visible: Path, infrared: Path) -> list[tuple[Path, Path]]:
    first, second = list_images(visible), list_images(infrared)
    if [path.stem for path in first] != [path.stem for path in second]:
        raise UserError(
            f"{visible} and {infrared}: not the same frames in both; give pictures of equal names"
        )
    return list(zip(first, second, strict=True))


def _annotated_spans(folder: Path) -> dict[str, list[range]]:
    """Frames that annotations speak of, by clip."""
    spans: dict[str, list[range]] = {}
    for path in sorted(folder.glob("*/source.txt")):
        words = path.read_text().split()
        words = words[1:] if words[:1] == ["clip"] else words
        try:
            name, first, last = words[0], int(words[1]), int(words[2])
        except (IndexError, ValueError):
            raise UserError(f"{path}: give NAME first last, or clip NAME first last") from None
        spans.setdefault(name, []).append(range(first, last + 1))
    return spans


def _free_stretches(length: int, taken: Sequence[range], margin: int) -> list[range]:
    """Stretches of two frames or more that no span nor its margin touches."""
    free = np.ones(length, bool)
    for span in taken:
        free[max(0, span.start - margin) : span.stop + margin] = False
    edges = np.flatnonzero(np.diff(np.concatenate(([False], free, [False])).astype(int)))
    return [range(a, b) for a, b in edges.reshape(-1, 2) if b - a >= 2]


def _load_clip_pictures(
    store: FrameStore, clip: str, pairs: list[tuple[Path, Path]], span: range
) -> Content:
    pairs = pairs[span.start : span.stop]
    rgb, ir = zip(*pairs, strict=True)

    def decode() -> dict[str, np.ndarray]:
        return {
            "rgb": _stack([as_rgb(read_image(path)) for path in rgb], rgb),
            "ir": _stack([as_ir(read_image(path)) for path in ir], ir),
        }

    return _clip_content(store.arrays(f"clip-{clip}", [*rgb, *ir], decode), rgb[0].parent)


def _load_clip_videos(store: FrameStore, visible: Path, infrared: Path, span: range) -> Content:
    def decode() -> dict[str, np.ndarray]:
        return {
            "rgb": _video_frames(visible, span),
            "ir": np.stack([as_ir(frame) for frame in _video_frames(infrared, span)]),
        }

    key = f"clip-{visible.stem}-{span.start}-{span.stop}"
    return _clip_content(store.arrays(key, [visible, infrared], decode), visible)


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
        _carried_tracks(rgb, ir),
    )


# --- Targets nobody annotated ---------------------------------------------------------------------

#: Every so many frames, salient targets are looked for; each is carried so far either way.
CARRY_FROM, CARRY = 10, 12


def _carried_tracks(rgb: np.ndarray, ir: np.ndarray) -> list[Track]:
    """Salient targets, carried to neighbouring frames by correlation in both modalities."""
    light = [cv2.cvtColor(np.asarray(frame), cv2.COLOR_RGB2GRAY) for frame in rgb]
    heat = [np.asarray(frame) for frame in ir]
    tracks = []
    for start in range(0, len(heat), CARRY_FROM):
        for box in salient_boxes(light[start], heat[start]):
            boxes = np.full((len(heat), 4), np.nan)
            boxes[start] = box
            for step in (1, -1):
                for index in range(start + step, start + step * (CARRY + 1), step):
                    if not 0 <= index < len(heat):
                        break
                    moved = _carry(light, heat, index - step, index, boxes[index - step])
                    if moved is None:
                        break
                    boxes[index] = moved
            tracks.append(_blob_track(heat, boxes, labelled=False))
    return tracks


def _carry(
    light: list[np.ndarray], heat: list[np.ndarray], old: int, new: int, box: np.ndarray
) -> np.ndarray | None:
    """The box of frame ``old`` in frame ``new``, None where there and back is not the same place."""
    moved, score = _match(light, heat, old, new, box)
    back, _ = _match(light, heat, new, old, moved)
    return moved if score > 0.6 and box_iou(back, box) > 0.8 else None


def _match(
    light: list[np.ndarray], heat: list[np.ndarray], old: int, new: int, box: np.ndarray
) -> tuple[np.ndarray, float]:
    x, y, w, h = (int(v) for v in box)
    height, width = heat[new].shape
    reach = max(6, round(0.3 * max(w, h)))
    left, top = max(0, x - reach), max(0, y - reach)
    window = slice(top, min(height, y + h + reach)), slice(left, min(width, x + w + reach))
    patch = slice(y, y + h), slice(x, x + w)
    response = sum(
        cv2.matchTemplate(frames[new][window], frames[old][patch], cv2.TM_CCOEFF_NORMED)
        for frames in (light, heat)
    )
    _, score, _, (dx, dy) = cv2.minMaxLoc(np.asarray(response) / 2)
    return np.array([left + dx, top + dy, w, h], float), score


def _blob_track(heat: Sequence[np.ndarray], boxes: np.ndarray, labelled: bool = True) -> Track:
    """A track about something salient, with the hot silhouette where there is one."""
    found: dict[int, LocalMask | None] = {}

    def silhouette(index: int) -> LocalMask | None:
        if index not in found:
            found[index] = hot_silhouette(heat[index], boxes[index])
        return found[index]

    first = int(np.flatnonzero(np.isfinite(boxes[:, 0]))[0])
    shape = silhouette(first)
    width, height = boxes[first, 2:]
    upright = shape is not None and 1.5 <= height / width <= 4.5
    return Track("person" if upright else "thing", boxes, labelled, silhouette=silhouette)


def hot_silhouette(heat: np.ndarray, box: np.ndarray) -> LocalMask | None:
    """The silhouette of what is hotter than its surroundings in a box, None where nothing is.

    Otsu's threshold (1979) of the box and its surroundings; the largest connected part, which has to
    fill a quarter to nine tenths of its own box and to stand out by 20 grey levels.

    Args:
        heat: ``HxW`` uint8.
        box: ``x, y, w, h``.
    """
    x, y, w, h = box
    height, width = heat.shape
    left, top = max(0, int(x - 0.3 * w)), max(0, int(y - 0.2 * h))
    right, bottom = min(width, int(np.ceil(x + 1.3 * w))), min(height, int(np.ceil(y + 1.2 * h)))
    patch = cv2.GaussianBlur(heat[top:bottom, left:right], (0, 0), 0.8)
    level, mask = cv2.threshold(patch, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    if count < 2:
        return None
    part = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    px, py, pw, ph, area = stats[part]
    inside = parts == part
    contrast = (
        float(patch[inside].mean()) - float(patch[mask == 0].mean()) if (mask == 0).any() else 0
    )
    at_rim = pw >= patch.shape[1] or ph >= patch.shape[0]
    if at_rim or min(pw, ph) < 5 or not 0.25 <= area / (pw * ph) <= 0.9 or contrast < 20:
        return None
    if box_iou(np.array([left + px, top + py, pw, ph], float), box) < 0.4:
        return None
    shape = np.ascontiguousarray(inside[py : py + ph, px : px + pw]).astype(np.uint8) * 255
    return LocalMask(left + px, top + py, shape)


# --- Still pairs ----------------------------------------------------------------------------------


def load_stills(
    root: str | Path,
    weight: float = 1.0,
    cache: str | Path | None = None,
    name: str = "stills",
) -> Source:
    """Registered still pairs, such as RoadScene's: ``ir`` and ``vis``, or KAIST as distributed.

    Targets are what `salient_boxes` finds. Template and search are of the same picture, so that the
    box is where geometry puts it.

    Args:
        root: the folder, see `fusion.training.pairs.find_pairs`.
        weight: see `Source`.
        cache: folder for decoded frames, see `FrameStore`.
        name: the source's.

    Raises:
        UserError: no such folder, or no pair in it.
    """
    root, store = _folder(root), FrameStore(cache)
    kinds = frozenset(["person", "thing"])
    footage = [
        Footage(ir.relative_to(root).as_posix(), kinds, partial(_load_still, store, ir, vis))
        for ir, vis in find_pairs(root)
    ]
    return Source(name, footage, weight, reach=0)


def _load_still(store: FrameStore, ir: Path, vis: Path) -> Content:
    def decode() -> dict[str, np.ndarray]:
        heat, light = as_ir(read_image(ir)), as_rgb(read_image(vis))
        if heat.shape != light.shape[:2]:
            raise UserError(f"{ir} and {vis}: differ in size; register them first")
        return {"rgb": light, "ir": heat}

    arrays = store.arrays(f"still-{ir.stem}", [ir, vis], decode)
    rgb, heat = np.asarray(arrays["rgb"]), np.asarray(arrays["ir"])
    light = to_8bit(luminance(rgb))
    tracks = [_blob_track([heat], box[None]) for box in salient_boxes(light, heat)]
    return Content(1, lambda index: Picture(rgb, heat), tracks)


# --- Annotated sequences --------------------------------------------------------------------------


def load_sequences(
    layout: str, root: str | Path, weight: float = 1.0, reach: int = 40, kind: str = "thing"
) -> Source:
    """Annotated RGBT sequences of any layout that `tracker.training.sources.load_source` knows.

    Frames are decoded each time they are drawn: such datasets do not fit in memory.

    Args:
        layout: a dataset's name, or "synthetic".
        root: its folder.
        weight, reach: see `Source`.
        kind: of its targets, see `Track`.

    Raises:
        UserError: no such layout, or no sequence in the folder.
    """
    targets = load_source(layout, root, weight, reach)
    dataset = targets.dataset
    footage = [
        Footage(name, frozenset([kind]), partial(_load_sequence, dataset, number, kind))
        for number, name in enumerate(dataset.names)
    ]
    return Source(layout, footage, weight, targets.reach, silhouettes=False)


def _load_sequence(dataset: Sequence, number: int, kind: str) -> Content:
    sequence = dataset[number]
    sequence.resize = True  # crops need one frame of reference for both modalities
    boxes = np.where(np.isnan(sequence.boxes_rgb), sequence.boxes_ir, sequence.boxes_rgb)
    shown = sequence.attributes.get("visibility")

    def picture(index: int) -> Picture:
        frame = sequence.frame(index)
        problems = frame.problems
        return Picture(
            None if "rgb" in problems else frame.rgb, None if "ir" in problems else frame.ir
        )

    return Content(len(sequence), picture, [Track(kind, boxes, shown=shown)])


# --- Helpers --------------------------------------------------------------------------------------


def _folder(root: str | Path) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; give the folder of the training pictures")
    return root


def _stack(pictures: Sequence[np.ndarray], files: Sequence[Path]) -> np.ndarray:
    """Pictures of one size as one array."""
    for picture, path in zip(pictures, files, strict=True):
        if picture.shape != pictures[0].shape:
            raise UserError(f"{path}: another size than {files[0].name} beside it")
    return np.stack(pictures)
