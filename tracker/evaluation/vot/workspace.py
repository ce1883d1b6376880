"""VOT workspaces as folders: the template, the sequences and their anchors, and their checks.

A workspace holds ``config.yaml``, ``stack.yaml`` and ``trackers.ini`` (see ``vot_workspace/``, the
template), ``sequences/`` and, as it is used, ``results/``. Everything here is about files; what
runs the VOT toolkit is in `tracker.evaluation.vot.run`.
"""

import configparser
import os
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import yaml
from tqdm import tqdm

from fusion.base.configuration import read_yaml
from fusion.base.errors import UserError
from fusion.base.files import make_folder, read_text, whole_file
from tracker.data.frames import MODALITY_NAMES, ImageFrames, number_ranges
from tracker.data.sequences import Sequence as RGBTSequence
from tracker.data.sequences import load_dataset, load_sequence
from tracker.evaluation.vot.files import named_sequences_folder, read_anchored_sequence

__all__ = [
    "UNTRAINED",
    "VOT2020_RGBT",
    "anchor_directions",
    "check_free_for_official",
    "check_sequences",
    "choose_stack",
    "copy_template",
    "import_sequences",
    "is_vot_dataset",
    "link_sequences",
    "make_synthetic",
    "remove_template",
    "sequences_folder",
    "take_dataset",
    "take_rgbt234",
    "tracker_labels",
]

VOT2020_RGBT = tuple(
    """afterrain aftertree baby baginhand baketballwaliking balancebike basketball2 bicyclecity bike
    bikeman bikemove1 biketwo blueCar bluebike bus6 car car10 car20 car3 car37 car4 car41 car66
    carLight caraftertree carnotfar carred child child1 crossroad crouch cycle1 cycle3 diamond dog
    dog11 elecbike elecbikechange2 face1 floor-1 flower2 fog fog6 green greyman greywoman hotkettle
    man4 man88 mandrivecar maninblack manwithbasketball redcar supbus takeout tricycle twoelecbike1
    twowoman walkingnight woman89""".split()  # noqa: SIM905
)
"""The benchmark's 60 sequences, all from RGBT234 under its names."""

# --- Template -------------------------------------------------------------------------------------

TEMPLATE_FILES = ("config.yaml", "stack.yaml", "trackers.ini", "rgbt_trax.py", ".gitignore")


def template_folder() -> Path:
    """The template: ``vot_workspace`` beside the package in a clone, inside it when installed."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package.parent / "vot_workspace", package / "vot_workspace"):
        if (folder / "trackers.ini").is_file():
            return folder
    raise UserError(
        f"{package.parent / 'vot_workspace'}: the workspace template is missing; reinstall the "
        "package, or work from a clone of the repository"
    )


def copy_template(workspace: Path) -> list[Path]:
    """Put the template's files into a workspace; files that are there already stay as they are.

    Returns:
        What was not there, for `remove_template`: files, and the folder itself, first.
    """
    source = template_folder()
    made = [] if workspace.exists() else [workspace]
    make_folder(workspace)
    for name in TEMPLATE_FILES:
        if (source / name).is_file() and not (workspace / name).exists():
            made.append(Path(shutil.copy(source / name, workspace / name)))
    return made


def remove_template(workspace: Path, made: Sequence[Path]) -> None:
    """Undo a `copy_template` that was of no use.

    Args:
        made: what it returned. It stays where the workspace has something else, such as a part of a
            download, which goes on later.
    """
    if set(workspace.iterdir()) <= set(made):
        for path in reversed(made):
            path.rmdir() if path == workspace else path.unlink()


def _refuse_template(workspace: Path, names: Iterable[str] = ()) -> None:
    """Keep sequences other than the benchmark's, with their stack, out of the template."""
    if set(names) != set(VOT2020_RGBT) and workspace.resolve() == template_folder():
        raise UserError(
            f"--workspace {workspace}: this is the template, for VOT2020-RGBT alone; name another "
            "folder for other sequences, such as --workspace try"
        )


# --- Anchors --------------------------------------------------------------------------------------


ANCHOR_SPACING = 50  # frames


def anchor_directions(length: int) -> np.ndarray:
    """Where the runs of a sequence start and which way they go, by the rule of VOT2020.

    Anchors are every `ANCHOR_SPACING` frames from the first, and the last frame; one closer than
    half of that to the last is left out. Those whose number, from 1, is below half the length run
    forward, the others backward.

    Returns:
        ``(length,)`` int: 1 forward, -1 backward, 0 no anchor.
    """
    anchors = np.arange(0, length, ANCHOR_SPACING)
    anchors = np.append(anchors[length - 1 - anchors >= ANCHOR_SPACING / 2], length - 1)
    directions = np.zeros(length, int)
    directions[anchors] = np.where(anchors + 1 < length // 2, 1, -1)
    return directions


# --- Sequences ------------------------------------------------------------------------------------


def _claim_sequences(workspace: Path) -> Path:
    """The place of the sequences, which must be free."""
    folder = workspace / "sequences"
    if folder.is_symlink() or (folder.exists() and any(folder.iterdir())):
        raise UserError(
            f"{folder}: there are sequences already; remove them (and results/ and cache/, which "
            "belong to them), or give another --workspace"
        )
    if folder.exists():
        folder.rmdir()
    return folder


def check_free_for_official(workspace: Path) -> None:
    """Make sure that a download goes beside nothing but an earlier one's sequences.

    Raises:
        UserError: the workspace has other sequences, or a link to some.
    """
    folder = workspace / "sequences"
    names = _listed(folder) if (folder / "list.txt").is_file() else []
    if folder.is_symlink() or set(names) - set(VOT2020_RGBT):
        _claim_sequences(workspace)


def link_sequences(workspace: Path, dataset: Path) -> None:
    """Take a dataset in VOT layout, with its list and anchors, by a link: nothing is copied.

    The link, and not the toolkit's ``sequences`` setting, keeps the machine's path out of
    ``config.yaml``. Where the file system has no links, the setting is written all the same.

    Raises:
        UserError: the workspace has sequences already.
    """
    folder = _claim_sequences(workspace)
    try:
        folder.symlink_to(dataset.resolve(), target_is_directory=True)
    except OSError:
        with (workspace / "config.yaml").open("a") as config:
            config.write(f"sequences: {dataset.resolve()}\n")


def is_vot_dataset(folder: Path) -> bool:
    """Whether the toolkit can use a folder of sequences as it is."""
    if not (folder / "list.txt").is_file():
        return False
    return all((folder / name / "anchor.value").is_file() for name in _listed(folder))


def take_dataset(workspace: Path, dataset: Path) -> list[str]:
    """Take a local dataset: linked where it is complete in VOT layout, else laid out anew.

    Returns:
        The names of its sequences.

    Raises:
        UserError: as `link_sequences` and `import_sequences`.
    """
    if is_vot_dataset(dataset):
        names = _listed(dataset)
        _refuse_template(workspace, names)
        check_sequences(dataset, names)
        _read_stack(workspace, names)
        link_sequences(workspace, dataset)
    else:
        _refuse_template(workspace)
        names = import_sequences(workspace, dataset)
    choose_stack(workspace, names, dataset.resolve().name)
    return names


def take_rgbt234(workspace: Path, dataset: Path) -> list[str]:
    """Lay the benchmark's 60 sequences out from a local RGBT234.

    Returns:
        Their names.

    Raises:
        UserError: as `import_sequences`.
    """
    names = import_sequences(workspace, dataset, "rgbt234", VOT2020_RGBT)
    choose_stack(workspace, names)
    return names


def make_synthetic(workspace: Path, count: int = 12, length: int = 120) -> list[str]:
    """Fill a workspace with sequences of `tracker.synthetic`, the embedded default.

    Interrupted, it goes on where it was.

    Args:
        count: sequences, of the test split.
        length: frames of each.

    Returns:
        Their names.

    Raises:
        UserError: the workspace has sequences already, or is the template.
    """
    from tracker.synthetic import write_dataset

    _refuse_template(workspace)
    target = _claim_sequences(workspace)
    _read_stack(workspace)
    partial = workspace / "sequences.partial"
    folders = write_dataset(partial, count=count, length=length, progress=True)
    partial.rename(target)
    names = [folder.name for folder in folders]
    choose_stack(workspace, names, "Synthetic RGBT sequences")
    return names


def import_sequences(
    workspace: Path, dataset: Path, layout: str | None = None, names: Sequence[str] | None = None
) -> list[str]:
    """Lay sequences of any dataset out for the toolkit: pictures by links, annotations as files.

    The ground truth is the infrared annotation, as in VOT2020-RGBT. Anchors follow
    `anchor_directions`, unless the dataset has its own.

    Args:
        workspace: gets ``sequences/``, whole or not at all.
        dataset: a folder with sequences of a layout that `tracker.data.sequences` knows.
        layout: its name, where it is not to be guessed.
        names: those to take, in this order; all where None.

    Returns:
        The names.

    Raises:
        UserError: a sequence is missing or unusable; the line names it.
    """
    target = _claim_sequences(workspace)
    found = load_dataset(dataset, layout)
    if names is not None:
        # Copies of RGBT234 differ in the case of some names.
        spelling = {name.lower(): name for name in found.names}
        missing = [name for name in names if name.lower() not in spelling]
        if missing:
            raise UserError(
                f"{dataset}: {len(missing)} of {len(names)} sequences are missing "
                f"({', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}); "
                "give the folder that holds them all"
            )
        sources = {name: spelling[name.lower()] for name in names}
    else:
        sources = {name.replace("/", "-"): name for name in found.names}
    _read_stack(workspace, sources)
    partial = workspace / "sequences.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for name, source in tqdm(sources.items(), unit="sequence", disable=None):
            _write_sequence(partial / name, found[source])
        (partial / "list.txt").write_text("".join(f"{name}\n" for name in sources))
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return list(sources)


def _write_sequence(folder: Path, sequence: RGBTSequence) -> None:
    """One sequence in VOT layout."""
    length = len(sequence)
    faults = _faults(sequence)
    if faults:
        raise UserError(f"{sequence.name}: {faults[0]}; mend it, or leave the sequence out")
    sequence.check_sizes()
    size = sequence.size("rgb")
    if size is None:
        raise UserError(f"{sequence.name}: no visible frame is readable; leave the sequence out")
    meta: dict[str, object] = {
        "name": folder.name,
        "fps": round(sequence.fps or 30),
        "format": "default",
        "channel.default": "color",
        "width": size[0],
        "height": size[1],
        "length": length,
    }
    for channel, frames in (("color", sequence.rgb), ("ir", sequence.ir)):
        assert isinstance(frames, ImageFrames)  # by `_faults`
        meta[f"channels.{channel}"] = f"{channel}/%08d{_link_pictures(folder / channel, frames)}"
    (folder / "sequence").write_text("".join(f"{key}={value}\n" for key, value in meta.items()))

    boxes = sequence.boxes_ir
    present = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    rows = [
        ",".join(f"{number:g}" for number in box) if is_present else "0"  # 0: no region
        for box, is_present in zip(boxes, present, strict=True)
    ]
    (folder / "groundtruth.txt").write_text("".join(f"{row}\n" for row in rows))
    anchors = sequence.attributes.get("anchor")
    if anchors is None:
        anchors = np.where(present, anchor_directions(length), 0)
    if not np.any(anchors):
        raise UserError(f"{sequence.name}: the target is in none of the anchor frames")
    (folder / "anchor.value").write_text("".join(f"{int(value)}\n" for value in anchors))


def _link_pictures(folder: Path, frames: ImageFrames) -> str:
    """Number a modality's pictures from 1, by links or else copies; returns their suffix."""
    paths = [frames.path(index) for index in range(len(frames))]
    pictures = [path for path in paths if path is not None]  # all, by `_faults`
    suffixes = {path.suffix.lower() for path in pictures}
    if len(suffixes) > 1 or suffixes - {".jpg", ".png"}:
        raise UserError(
            f"{frames.folder}: {', '.join(sorted(suffixes))} pictures; the toolkit reads folders "
            "of either .jpg or .png"
        )
    folder.mkdir(parents=True)
    (suffix,) = suffixes
    for number, picture in enumerate(pictures, start=1):
        source = picture.resolve()
        place = folder / f"{number:08d}{suffix}"
        try:
            os.symlink(source, place)
        except OSError:
            shutil.copy(source, place)
    return suffix


def _faults(sequence: RGBTSequence) -> list[str]:
    """What keeps the toolkit from running a sequence."""
    faults = []
    for name, frames in zip(MODALITY_NAMES.values(), (sequence.rgb, sequence.ir), strict=True):
        if not isinstance(frames, ImageFrames):
            faults.append(f"the {name} frames are a video, not pictures")
        elif frames.missing():
            numbers = number_ranges(index + 1 for index in frames.missing())
            faults.append(f"no {name} picture for frame {numbers} of {len(sequence)}")
    if not sequence.annotated.all():
        lines = int(sequence.annotated.sum())
        faults.append(f"{lines} annotation lines for {len(sequence)} frames")
    return faults


# --- Stack ----------------------------------------------------------------------------------------


FITTED = "# Not VOT2020-RGBT: EAO is over other lengths here, and cannot be compared with it.\n"


def _read_stack(workspace: Path, names: Iterable[str] = ()) -> dict | None:
    """The stack that `choose_stack` is to fit to sequences; None where they are the benchmark's.

    Raises:
        UserError: it has no experiment whose lengths can be fitted. Before sequences are laid out
            this changes nothing.
    """
    if set(names) == set(VOT2020_RGBT):
        return None
    path, mend = workspace / "stack.yaml", "start from the stack.yaml of another tracker vot init"
    stack = read_yaml(path, mend)
    place: object = stack
    for key in ("experiments", "baseline", "analyses"):
        place = place.get(key) if isinstance(place, dict) else None
    if not isinstance(place, list) or not all(isinstance(entry, dict) for entry in place):
        raise UserError(f"{path}: has no experiment baseline with analyses; {mend}")
    return stack


def choose_stack(workspace: Path, names: Iterable[str], title: str = "") -> None:
    """Give a workspace the benchmark's stack, or one for sequences that are not the benchmark's.

    The benchmark's EAO is a mean over 115 to 755 frames, which belongs to its 60 sequences. Other
    sequences may have no runs of that length. Runs from anchors are between half as long as their
    sequence and as long: the bounds for others are half the median length, and the median length.

    Args:
        names: of the sequences. The benchmark's stack, where it is there, stays as it is.
        title: of the other stack.
    """
    path = workspace / "stack.yaml"
    stack = _read_stack(workspace, names)
    if stack is None:
        if read_text(path).startswith(FITTED):
            shutil.copy(template_folder() / "stack.yaml", path)
        return
    folder = sequences_folder(workspace)
    lengths = [len(read_anchored_sequence(folder / name)) for name in _listed(folder)]
    bounds = {"low": int(np.median(lengths)) // 2, "high": int(np.median(lengths))}
    stack["title"] = title
    stack.pop("url", None)
    for analysis in stack["experiments"]["baseline"]["analyses"]:
        analysis.update({key: bounds[key] for key in analysis.keys() & bounds.keys()})
    with whole_file(path) as temporary:
        temporary.write_text(
            FITTED + yaml.safe_dump(stack, sort_keys=False),
            encoding="utf-8",
        )


# --- Trackers -------------------------------------------------------------------------------------

UNTRAINED = "untrained"
"""Version of an entry that runs without weights: ``DFAT@untrained`` has results of its own."""


def tracker_labels(workspace: Path) -> Callable[[str], str]:
    """Names for people, by a tracker's reference; the reference itself where there is none.

    Raises:
        UserError: trackers.ini is there and cannot be read.
    """
    registry = configparser.ConfigParser()
    try:
        registry.read(workspace / "trackers.ini", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise UserError(
            f"{workspace / 'trackers.ini'}: cannot be read ({' '.join(str(error).split())})"
        ) from error

    def label(reference: str) -> str:
        identifier, _, version = reference.partition("@")
        name = registry.get(identifier, "label", raw=True, fallback=identifier)
        return f"{name} ({version})" if version else name

    return label


# --- Checks ---------------------------------------------------------------------------------------


def _listed(sequences: Path) -> list[str]:
    lines = read_text(sequences / "list.txt").splitlines()
    return [line.strip() for line in lines if line.strip()]


def sequences_folder(workspace: Path) -> Path:
    """The folder of a workspace's sequences: ``sequences``, or what config.yaml sets.

    Raises:
        UserError: no workspace, or none with sequences.
    """
    config = workspace / "config.yaml"
    if not config.is_file():
        raise UserError(f"{workspace}: not a VOT workspace (no config.yaml); run tracker vot init")
    settings = read_yaml(config, "give the toolkit's settings, such as stack: stack.yaml")
    folder = named_sequences_folder(workspace, settings)
    if not (folder / "list.txt").is_file():
        raise UserError(f"{folder}: no sequences (no list.txt); run tracker vot init")
    return folder


def check_sequences(folder: Path, names: Iterable[str]) -> None:
    """Make sure that the toolkit can run every sequence: both channels, annotation, anchors.

    Args:
        folder: of the sequences.
        names: of those to check.

    Raises:
        UserError: the first fault found, with the number of further sequences that have one.
    """
    faults = _sequence_faults(folder, names)
    if faults:
        more = f" ({len(faults) - 1} more sequences have faults)" if len(faults) > 1 else ""
        raise UserError(f"{next(iter(faults.values()))}{more}; mend it, or run tracker vot init")


def _sequence_faults(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """What is wrong with sequences in VOT layout, a line each by name."""
    faults = {}
    for name in names:
        try:
            anchored = read_anchored_sequence(folder / name)
            sequence = load_sequence(folder / name, "vot")
        except UserError as error:
            faults[name] = str(error)
            continue
        found = _faults(sequence)
        if not found and not anchored.groundtruth.present()[anchored.anchors != 0].all():
            found = ["an anchor is on a frame without the target"]
        if found:
            faults[name] = f"{folder / name}: {found[0]}"
    return faults
