"""The workspace template: the initial files of a new workspace, for VOT2020-RGBT."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from fusion.base.errors import UserError
from fusion.base.files import make_folder

VOT2020_RGBT = tuple(
    """afterrain aftertree baby baginhand baketballwaliking balancebike basketball2 bicyclecity bike
    bikeman bikemove1 biketwo blueCar bluebike bus6 car car10 car20 car3 car37 car4 car41 car66
    carLight caraftertree carnotfar carred child child1 crossroad crouch cycle1 cycle3 diamond dog
    dog11 elecbike elecbikechange2 face1 floor-1 flower2 fog fog6 green greyman greywoman hotkettle
    man4 man88 mandrivecar maninblack manwithbasketball redcar supbus takeout tricycle twoelecbike1
    twowoman walkingnight woman89""".split()  # noqa: SIM905
)
"""The benchmark's 60 sequences, all from RGBT234 under its names."""

TEMPLATE_FILES = ("config.yaml", "stack.yaml", "trackers.ini", "rgbt_trax.py", ".gitignore")


def template_folder() -> Path:
    """The template folder: ``vot_workspace`` next to the package in a clone, inside it if
    installed."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package.parent / "vot_workspace", package / "vot_workspace"):
        if (folder / "trackers.ini").is_file():
            return folder
    raise UserError(
        f"{package.parent / 'vot_workspace'}: the workspace template is missing; reinstall the "
        "package, or work from a clone of the repository"
    )


def require_trax_path(path: Path) -> None:
    """Refuse a folder that the toolkit's TraX library cannot pass to a tracker.

    Raises:
        UserError: the absolute path contains non-ASCII characters; the message lists them.
    """
    foreign = sorted({letter for letter in str(path.resolve()) if not letter.isascii()})
    if foreign:
        raise UserError(
            f"{path}: letters beyond ASCII in its path ({' '.join(foreign[:8])}), which the VOT "
            "toolkit's TraX library cannot handle; use a folder with another name"
        )


def copy_template(workspace: Path) -> list[Path]:
    """Copy the template's files into a workspace; existing files are not changed.

    Returns:
        The created paths for `remove_template`: the folder itself first, then the files.

    Raises:
        UserError: as `require_trax_path`.
    """
    require_trax_path(workspace)
    source = template_folder()
    made = [] if workspace.exists() else [workspace]
    make_folder(workspace)
    for name in TEMPLATE_FILES:
        if (source / name).is_file() and not (workspace / name).exists():
            made.append(Path(shutil.copy(source / name, workspace / name)))
    return made


def remove_template(workspace: Path, made: Sequence[Path]) -> None:
    """Undo `copy_template` after a failure.

    Args:
        made: the result of `copy_template`. Nothing is removed if the workspace contains anything
            else, such as a partial download, which resumes later.
    """
    if set(workspace.iterdir()) <= set(made):
        for path in reversed(made):
            path.rmdir() if path == workspace else path.unlink()


def refuse_template(workspace: Path, names: Iterable[str] = ()) -> None:
    """Refuse to put sequences other than the benchmark's, and their stack, into the template.

    Raises:
        UserError: the workspace is the template, and the sequences are not VOT2020-RGBT's.
    """
    if set(names) != set(VOT2020_RGBT) and workspace.resolve() == template_folder():
        raise UserError(
            f"--workspace {workspace}: this is the template, only for VOT2020-RGBT; give another "
            "folder for other sequences, such as --workspace try"
        )
