"""Download of the toolkit's data sets, with a check of what arrived."""

from pathlib import Path

from vot.dataset import download_dataset
from vot.stack import Stack, resolve_stack

from fusion.base.errors import UserError
from fusion.base.files import read_text
from tracker.data.sequences import read_vot_meta
from tracker.evaluation.vot.toolkit import one_line

__all__ = ["download", "official_url"]


def official_url(stack: str) -> str:
    """Where the toolkit has the data of one of its own stacks.

    Raises:
        UserError: it has no such stack.
    """
    path = resolve_stack(stack)
    dataset = None if path is None else Stack.read(path).dataset
    if not dataset:
        raise UserError(f"--stack {stack}: not a stack of the toolkit with data to download")
    return dataset


def download(url: str, folder: Path, attempts: int = 3) -> list[str]:
    """Download a dataset through the toolkit, and check it.

    The toolkit resumes a broken connection, and skips sequences it has whole. It also takes one for
    whole whose pictures failed to arrive; such a sequence is found here, and fetched again.

    Args:
        url: of the dataset's ``description.json``.
        folder: gets the sequences and ``list.txt``.
        attempts: before it is given up.

    Returns:
        Names of the sequences.

    Raises:
        UserError: no connection, or sequences that are still not whole.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reason = ""
    for _ in range(attempts):
        try:
            download_dataset(url, str(folder))
        except Exception as error:  # requests', zipfile's, the toolkit's own
            reason = one_line(error)
        listing = folder / "list.txt"
        names = read_text(listing).split() if listing.is_file() else []
        # Without a list the toolkit missed some; what it has must be checked all the same.
        found = names or [path.parent.name for path in folder.glob("*/sequence")]
        faults = {name: fault for name in found if (fault := _lacking(folder / name))}
        if names and not faults:
            return names
        for name in faults:
            # Without this file the toolkit fetches the sequence again.
            (folder / name / "sequence").unlink(missing_ok=True)
        listing.unlink(missing_ok=True)
        reason = next(iter(faults.values()), reason) or "the server lacks some of its files"
    raise UserError(
        f"{url}: the download is not complete ({reason}); run the command again to go on, or give "
        "a local copy with --dataset or --rgbt234"
    )


def _lacking(folder: Path) -> str | None:
    """What did not arrive of a downloaded sequence; None if all did.

    Pictures are counted, and nothing else is judged: what arrived whole and is wrong would be the
    same when fetched again. `evaluate` looks closer.
    """
    truth = folder / "groundtruth.txt"
    try:
        meta = read_vot_meta(folder)
        lines = len(read_text(truth).split()) if truth.is_file() else 0
    except UserError as error:
        return str(error)
    places = [(folder / value).parent for key, value in meta.items() if key.startswith("channels.")]
    counts = {place.name: len(list(place.glob("*.*"))) for place in places}
    if len(counts) > 1 and min(counts.values()) == max(counts.values()) >= lines > 0:
        return None
    shown = ", ".join(f"{count} pictures in {name}" for name, count in counts.items())
    return f"{folder.name}: {shown or 'no pictures'} for {lines} annotation lines"
