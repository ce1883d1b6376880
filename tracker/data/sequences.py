"""RGBT sequences from dataset layouts, two folders or two videos, all as a `Sequence`.

`load_sequence` reads one sequence and `load_dataset` a folder of sequences. Images are opened when
a frame is requested. Folders are listed and annotations are read immediately, so that their errors
are known at the start: recoverable ones are collected in `Sequence.problems`, others raise
`UserError`.

    =======  =================  =====================================  =============================
    layout   folders            annotation                             numbers
    =======  =================  =====================================  =============================
    gtot     v, i               groundTruth_v.txt, groundTruth_i.txt   x1 y1 x2 y2
    rgbt210  visible, infrared  init.txt                               x,y,w,h for both modalities
    rgbt234  visible, infrared  visible.txt, infrared.txt              x,y,w,h
    lasher   visible, infrared  visible.txt, infrared.txt              x,y,w,h; w = h = 0: absent
    vtuav    rgb, ir            rgb.txt, ir.txt                        x y w h, every tenth frame
    vot      color, ir          groundtruth.txt, `sequence`, *.tag     x,y,w,h or polygon
    vt       RGB, T, GT         GT: one mask per image                 still pairs, by `mask_to_box`
    =======  =================  =====================================  =============================

``vt`` is VT821, VT1000 and VT5000. `tracker.data.annotations` describes the lines of an annotation.
If ``visible.txt`` or ``infrared.txt`` is missing, ``init.txt`` is used instead.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Sequence as AbstractSequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import natural_key, require_no_stream
from fusion.images.alignment import Calibration
from fusion.images.pairing import list_images
from fusion.images.pixels import is_color, require_same_shape, resize_to
from fusion.images.reading import read_image, turned_by_exif
from fusion.images.timing import pair_videos
from fusion.images.video import Video
from tracker.data.annotations import mask_to_box
from tracker.data.frames import (
    MODALITIES,
    MODALITY_NAMES,
    Frame,
    FrameProblem,
    FrameSource,
    ImageFrames,
    NoPicture,
    VideoFrames,
    align_frames,
    as_ir,
    as_rgb,
    open_numbered,
    picture_names,
    shortage,
    video_path,
)
from tracker.data.layouts import (
    LAYOUTS,
    STILL_FOLDERS,
    STILL_LAYOUT,
    find_sequences,
    guess_layout,
    layout_of,
)
from tracker.data.numbering import place_annotations, read_sequence_annotations
from tracker.data.vot_files import other_length, read_rate, read_vot_attributes, read_vot_meta

# --- Sequences ------------------------------------------------------------------------------------


@dataclass
class Sequence:
    """The frames of both modalities of one scene, with the target's boxes if they are known.

    The length is that of the longer modality. Images deeper than 8 bits are stretched to 8 bits by
    their own range; a grey visible image is repeated to three channels; a colour infrared image is
    converted to its luminance.

    Attributes:
        name: the sequence's name, unique in its dataset.
        layout: a layout from the module's table, or ``pair`` for two folders or videos.
        rgb: source of the visible frames.
        ir: source of the infrared frames.
        boxes_rgb: ``(N, 4)`` boxes ``x, y, w, h`` on the visible frames, NaN if the target is
            absent or the frame has no annotation.
        boxes_ir: the same on the infrared frames.
        annotated: ``(N,)`` bool: the annotated frames; on these, a NaN box means an absent target.
        attributes: per-frame numbers by name, from VOT's ``*.tag`` and ``*.value`` files.
        fps: frames per second, if a video or a ``sequence`` file states them.
        problems: one line per problem that does not prevent the use of the sequence.
        resize: whether infrared frames and `boxes_ir` are scaled to the size of the visible
            frames; set by `resized`.
        stretch: whether this is also allowed if it changes their aspect ratio.
        percentiles: stretch the infrared from these, see `fusion.images.pixels.scale_to_255`.
        calibration: brings infrared frames onto the visible ones; set by `aligned`.
    """

    name: str
    layout: str
    rgb: FrameSource
    ir: FrameSource
    boxes_rgb: np.ndarray
    boxes_ir: np.ndarray
    annotated: np.ndarray
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    fps: float | None = None
    problems: list[str] = field(default_factory=list)
    resize: bool = False
    stretch: bool = False
    percentiles: tuple[float, float] | None = None
    calibration: Calibration | None = None

    @classmethod
    def unannotated(
        cls, name: str, layout: str, rgb: FrameSource, ir: FrameSource, problems: Iterable[str] = ()
    ) -> "Sequence":
        """A sequence without boxes, at the rate of the first source that states one."""
        length = max(len(rgb), len(ir))
        boxes_rgb, boxes_ir = np.full((2, length, 4), np.nan)
        annotated = np.zeros(length, bool)
        fps = rgb.fps or ir.fps
        return cls(
            name, layout, rgb, ir, boxes_rgb, boxes_ir, annotated, fps=fps, problems=list(problems)
        )

    def __len__(self) -> int:
        """Number of frames; an estimate for videos until their end has been read."""
        return max(len(self.rgb), len(self.ir))

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while index < len(self):
            frame = self.frame(index)
            if index >= len(self):  # beyond the end of the videos
                return
            yield frame
            index += 1

    def resized(self, stretch: bool = False) -> "Sequence":
        """A copy of the sequence whose infrared frames and boxes are scaled to the visible size.

        Args:
            stretch: whether this is also allowed if it changes their aspect ratio.

        An `aligned` sequence has the visible size already.
        """
        if self.calibration is not None:
            return self
        if self.resize:
            return replace(self, stretch=stretch)
        rgb, ir = self.size("rgb"), self.size("ir")
        factors = np.ones(4)
        if rgb is not None and ir is not None:
            factors = np.tile(np.divide(rgb, ir), 2)
        return replace(self, resize=True, stretch=stretch, boxes_ir=self.boxes_ir * factors)

    def aligned(self, calibration: Calibration) -> "Sequence":
        """A copy whose infrared frames and boxes are on the visible frames' grid.

        Coordinates are those of the visible frames, without lens distortion where the calibration
        states it. Where no infrared covers a visible pixel, `Calibration.align` says what is there.

        Raises:
            UserError: the frames have other sizes than the calibration's, or are resized already.
        """
        if self.resize or self.calibration is not None:
            raise UserError(f"{self.name}: give either a calibration or --resize, not both")
        calibration.require_sizes(self.size("ir"), self.size("rgb"), self.name)
        return replace(
            self,
            calibration=calibration,
            boxes_rgb=calibration.undistort_boxes(self.boxes_rgb),
            boxes_ir=calibration.align_boxes(self.boxes_ir),
        )

    def frame(self, index: int) -> Frame:
        """Read frame ``index``, counted from 0.

        An unreadable image does not raise an error: its modality is None and `Frame.problems` gives
        the reason.

        Raises:
            IndexError: the frame does not exist.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)} in {self.name}")
        problems: dict[str, FrameProblem] = {}
        images: dict[str, np.ndarray | None] = {}
        for modality in MODALITIES:
            images[modality] = None
            try:
                image = self._read(modality, index)
            except NoPicture as no_picture:
                problems[modality] = no_picture.problem
                continue
            if image.min() == image.max():
                problems[modality] = FrameProblem(
                    "blank", f"{MODALITY_NAMES[modality]} frame {index + 1}: all {image.flat[0]}"
                )
            images[modality] = image
        return Frame(index + 1, images["rgb"], images["ir"], problems)

    def _read(self, modality: str, index: int) -> np.ndarray:
        if modality == "rgb":
            image = as_rgb(self.rgb.read(index))
        else:
            image = as_ir(self.ir.read(index), self.percentiles)
        size, visible = self._sizes[modality], self._sizes["rgb"]
        assert size is not None  # this very frame is readable
        width, height = size
        if image.shape[:2] != (height, width):
            raise NoPicture(
                "size",
                f"{MODALITY_NAMES[modality]} frame {index + 1}: {image.shape[1]}x{image.shape[0]} "
                f"instead of {width}x{height}",
            )
        if self.calibration is not None:
            moved = self.calibration.align if modality == "ir" else self.calibration.undistort
            image = moved(image)
        elif modality == "ir" and self.resize and visible and visible != size:
            image = resize_to(image, np.empty(visible[::-1], np.uint8))
        return image

    def size(self, modality: str = "rgb") -> tuple[int, int] | None:
        """``(width, height)`` of the first readable frame as stored; None if none is readable."""
        return self._sizes[modality]

    @cached_property
    def _sizes(self) -> dict[str, tuple[int, int] | None]:
        return {"rgb": _size(_first_picture(self.rgb)), "ir": _size(_first_picture(self.ir))}

    def frame_size(self) -> tuple[int, int]:
        """``(width, height)`` of the images from `frame`: visible, or infrared without visible.

        Raises:
            UserError: no frame is readable.
        """
        size = self.size("rgb") or self.size("ir")
        if size is None:
            raise UserError(f"{self.name}: no frame of either modality is readable")
        return size if self.calibration is None else self.calibration.visible.size

    def check_sizes(self) -> None:
        """Check that a box has the same meaning in both modalities.

        Raises:
            UserError: the modalities' sizes differ and `resize` is off, their shapes differ and
                `stretch` is off, or no frame is readable.
        """
        self.frame_size()
        rgb, ir = self.size("rgb"), self.size("ir")
        if rgb and ir and rgb != ir and self.calibration is None:
            require_same_shape(
                self.name, ir, rgb, self.resize, self.stretch, self._turned("ir", "rgb")
            )

    def _turned(self, *modalities: str) -> list[str]:
        """The modalities whose first image is rotated by 90 degrees by its EXIF orientation."""
        turned = []
        for modality in modalities:
            source = self.rgb if modality == "rgb" else self.ir
            path = source.path(0) if isinstance(source, ImageFrames) else None
            if path is not None and turned_by_exif(path):
                turned.append(MODALITY_NAMES[modality])
        return turned

    def seems_swapped(self) -> bool:
        """Whether the first infrared image has colour and the first visible image is grey."""
        rgb, ir = _first_picture(self.rgb), _first_picture(self.ir)
        return rgb is not None and ir is not None and is_color(ir) and not is_color(rgb)

    def first_box(self) -> np.ndarray | None:
        """The annotated box of the first frame, preferably the visible one; None without any."""
        for boxes in (self.boxes_rgb, self.boxes_ir):
            if len(boxes) and np.isfinite(boxes[0]).all():
                return boxes[0]
        return None


def _first_picture(source: FrameSource) -> np.ndarray | None:
    """The first readable image, as stored."""
    for index in range(len(source)):
        try:
            return source.read(index)
        except NoPicture:
            continue
    return None


def _size(picture: np.ndarray | None) -> tuple[int, int] | None:
    return None if picture is None else (picture.shape[1], picture.shape[0])


# --- Loading a sequence ---------------------------------------------------------------------------


def load_sequence(
    path: str | Path | Iterable[str | Path],
    layout: str | None = None,
    resize: bool = False,
    *,
    stretch: bool = False,
    pair: str | None = None,
    percentiles: tuple[float, float] | None = None,
    needs_boxes: bool = True,
    calibration: Calibration | None = None,
) -> Sequence:
    """Read a sequence.

    Args:
        path: a sequence folder of a dataset; or two paths, visible and infrared, each a folder of
            images or a video.
        layout: a name from `LAYOUTS`; None detects the layout of a folder.
        resize, stretch: see `Sequence.resized`.
        pair: how frames are matched: ``time`` or ``index`` for videos (`fusion.images.timing`),
            ``name`` or ``index`` for folders (`fusion.images.pairing`). None applies the rules of
            these modules.
        percentiles: see `Sequence`.
        needs_boxes: whether it is an error if an annotation cannot be read or its lines cannot be
            assigned to frames. Otherwise this is reported as a problem, and its boxes are omitted.
        calibration: see `Sequence.aligned`.

    Raises:
        UserError: the path does not exist, the layout is unknown, an annotation is unreadable, or
            frames or boxes cannot be matched unambiguously.
    """
    parts = [path] if isinstance(path, (str, Path)) else list(path)
    for part in parts:
        require_no_stream(part)
    paths = [Path(part) for part in parts]
    if len(paths) == 2:
        if layout is not None:
            raise UserError(
                f"layout {layout}: works for one sequence folder, not for two paths; leave it out"
            )
        sequence = _load_pair(paths[0], paths[1], pair)
    elif len(paths) == 1:
        sequence = _load_folder(paths[0], layout, pair, needs_boxes)
    else:
        raise ValueError(f"a sequence is one path or two, got {len(paths)}")
    sequence.percentiles = percentiles
    if calibration is not None:
        sequence = sequence.aligned(calibration)
    return sequence.resized(stretch) if resize else sequence


def _load_pair(rgb: Path, ir: Path, pair: str | None) -> Sequence:
    problems: list[str] = []
    sources: tuple[FrameSource, FrameSource]
    if rgb.is_dir() and ir.is_dir():
        try:
            aligned = align_frames(picture_names(rgb), picture_names(ir), pair=pair)
        except UserError as error:
            raise UserError(f"{rgb} and {ir}: {error}") from None
        problems += aligned.problems
        sources = (ImageFrames(rgb, aligned.rgb), ImageFrames(ir, aligned.ir))
    else:
        if not rgb.is_dir() and not ir.is_dir():
            visible, infrared = Video(video_path(rgb)), Video(video_path(ir), deep=True)
            pairing = pair_videos(infrared, visible, pair)
            problems += pairing.notes
            first = VideoFrames(visible)
            clock = first if pairing.by_time else None
            sources = (first, VideoFrames(infrared, clock, pairing.delay, pairing.reach))
        else:
            if pair not in (None, "index"):
                raise UserError(
                    f"--pair {pair}: a folder and a video are matched by number; leave it out"
                )
            sources = (open_numbered(rgb, pair), open_numbered(ir, pair, deep=True))
        for modality, source, other in zip(MODALITIES, sources, sources[::-1], strict=True):
            if len(source) < len(other):
                problems.append(shortage(modality, len(source), len(other)))
    return Sequence.unannotated(f"{rgb.stem}+{ir.stem}", "pair", *sources, problems)


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        what = "a file; give two videos, or a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {what}")


def _load_folder(
    folder: Path, name: str | None, pair: str | None = None, needs_boxes: bool = True
) -> Sequence:
    _require_folder(folder)
    if name is None:
        name = guess_layout(folder)
        if name is None:
            inside = next(find_sequences(folder, None, depth=2), None)
            if inside is not None:
                raise UserError(
                    f"{folder}: a folder of sequences; give one of them, such as {inside}"
                )
            raise UserError(
                f"{folder}: not the folder of an RGBT sequence; it should contain the folders of "
                + ", ".join(sorted({f"{entry.rgb}/{entry.ir}" for entry in LAYOUTS.values()}))
                + "; or give two paths, visible and infrared"
            )
    if name == STILL_LAYOUT:
        raise UserError(f"{folder}: holds still pairs, not a sequence; it can be read as a dataset")
    layout = LAYOUTS[name]
    problems: list[str] = []
    meta = read_vot_meta(folder) if name == "vot" else {}
    folders = {}
    for modality, default in (("rgb", layout.rgb), ("ir", layout.ir)):
        channel = {"rgb": "color", "ir": "ir"}[modality]
        relative = Path(meta.get(f"channels.{channel}", f"{default}/%08d.jpg")).parent
        folders[modality] = folder / relative
        if not folders[modality].is_dir():
            raise UserError(f"{folders[modality]}: no such folder; the {name} layout needs it")
    annotations = read_sequence_annotations(folder, layout, problems, needs_boxes)
    # Sparse annotations, or only a first box, do not determine the number of frames.
    longest = max(map(len, annotations.values()), default=0) if layout.step == 1 else 0
    start = layout.start if meta else None  # only a `sequence` file guarantees it
    names = (picture_names(folders["rgb"]), picture_names(folders["ir"]))
    try:
        aligned = align_frames(*names, longest if longest > 1 else None, start, pair)
        sources = {
            "rgb": ImageFrames(folders["rgb"], aligned.rgb),
            "ir": ImageFrames(folders["ir"], aligned.ir),
        }
        problems += aligned.problems
        boxes, annotated = place_annotations(
            annotations, layout, sources, aligned.numbers, start, problems, needs_boxes
        )
    except UserError as error:
        raise UserError(f"{folder}: {error}") from None
    length = len(aligned.rgb)
    if stated := other_length(meta, length):
        problems.append(f"sequence: states length={stated}, there are {length} frames")
    return Sequence(
        name=folder.resolve().name,
        layout=name,
        rgb=sources["rgb"],
        ir=sources["ir"],
        boxes_rgb=boxes["rgb"],
        boxes_ir=boxes["ir"],
        annotated=annotated,
        attributes=read_vot_attributes(folder, length, problems) if name == "vot" else {},
        fps=read_rate(meta),
        problems=problems,
    )


# --- Loading a dataset ----------------------------------------------------------------------------


class Dataset(AbstractSequence):
    """The sequences below a folder; each is loaded on first use and then kept.

    Attributes:
        names: names of the sequences: folder names, or paths below the root if folder names repeat.
        problems: files below the root that belong to no sequence (a still image without mask).
    """

    def __init__(
        self,
        root: Path,
        loaders: dict[str, Callable[[], Sequence]],
        problems: Iterable[str] = (),
        calibration: Calibration | None = None,
    ):
        self.root = root
        self.names = list(loaders)
        self.problems = list(problems)
        self._loaders, self._calibration = loaders, calibration
        self._loaded: dict[str, Sequence] = {}

    def __len__(self) -> int:
        return len(self.names)

    # Also accepts names, but not slices.
    def __getitem__(self, key: int | str) -> Sequence:  # type: ignore[override]
        """A sequence by index or name.

        Raises:
            UserError: the sequence cannot be read.
        """
        name = key if isinstance(key, str) else self.names[key]
        if name not in self._loaded:
            sequence = self._loaders[name]()
            if self._calibration is not None:
                sequence = sequence.aligned(self._calibration)
            sequence.name = name
            self._loaded[name] = sequence
        return self._loaded[name]


def load_dataset(
    root: str | Path,
    name: str | None = None,
    depth: int = 3,
    calibration: Calibration | None = None,
) -> Dataset:
    """Find the sequences below a folder.

    In most datasets, splits are subfolders (``train``, ``testingset``, ``train_ST_001``). Give the
    folder of one split, or its parent for all splits.

    Args:
        root: the dataset's folder.
        name: a name from `tracker.data.layouts.dataset_names`; None detects the layout of each
            sequence.
        depth: maximum depth of the sequences' folders below ``root``.
        calibration: of all sequences, see `Sequence.aligned`.

    Raises:
        UserError: the folder does not exist, the name is unknown, or there is no sequence.
    """
    root = Path(root)
    wanted = None if name is None else layout_of(name)
    _require_folder(root)
    found = list(find_sequences(root, wanted, depth))
    if not found:
        raise UserError(
            f"{root}: no {name or 'RGBT'} sequence in it or up to {depth} folders below"
            + (f"; its layout may not be {name}" if name else "")
        )
    loaders: dict[str, Callable[[], Sequence]] = {}
    problems: list[str] = []
    for folder in found:
        relative = "" if folder == root else folder.relative_to(root).as_posix()
        if (wanted or guess_layout(folder)) == STILL_LAYOUT:
            loaders |= _still_pairs(folder, relative, problems)
        else:
            loaders[relative or root.resolve().name] = partial(_load_folder, folder, wanted)
    short = [key.rsplit("/", 1)[-1] for key in loaders]
    if len(set(short)) == len(short):
        loaders = dict(zip(short, loaders.values(), strict=True))
    return Dataset(root, loaders, problems, calibration)


def _still_pairs(
    folder: Path, prefix: str, problems: list[str]
) -> dict[str, Callable[[], Sequence]]:
    """One loader per still pair with a mask: a sequence of one frame."""
    stems = [
        {path.stem: path.name for path in list_images(folder / part)} for part in STILL_FOLDERS
    ]
    loaders: dict[str, Callable[[], Sequence]] = {}
    for stem in sorted({*stems[0], *stems[1], *stems[2]}, key=lambda stem: natural_key(Path(stem))):
        lacking = [
            part for part, names in zip(STILL_FOLDERS, stems, strict=True) if stem not in names
        ]
        if lacking:
            problems.append(f"{folder}: {stem} has no image in {', '.join(lacking)}; ignored")
            continue
        names = tuple(names[stem] for names in stems)
        loaders[f"{prefix}/{stem}".lstrip("/")] = partial(_load_still, folder, *names)
    return loaders


def _load_still(folder: Path, rgb: str, ir: str, mask: str) -> Sequence:
    rgb_folder, ir_folder, mask_folder = (folder / part for part in STILL_FOLDERS)
    box = mask_to_box(read_image(mask_folder / mask))
    return Sequence(
        name=Path(rgb).stem,
        layout="vt",
        rgb=ImageFrames(rgb_folder, [rgb]),
        ir=ImageFrames(ir_folder, [ir]),
        boxes_rgb=box[None],
        boxes_ir=box[None].copy(),
        annotated=np.ones(1, bool),
        problems=[] if np.isfinite(box).all() else [f"{mask_folder / mask}: the mask is empty"],
    )
