"""Reference-then-supervision: the best of other methods' results, enhanced, as training targets.

For every pair, references are selected from the results of several fusion methods, weighted and
enhanced; a network is then trained to regress to them (`fusion.training.losses.ReferenceLoss`,
`fusion.training.procedures.ReferenceTraining`).

Published about this framework: five references per pair, each with one scalar weight, normalised
over the five; one text file per rank with lines ``name,weight``; every reference is enhanced; the
losses over the references are weighted. The filter is described as automatic and as selecting
favourable references, the enhancement as adaptive and as balancing detail and brightness; neither
is public.

Specific to this package are therefore:

- the guards: an exposure outside the sources' range (`exposure_is_sound`), and spurious edges, i.e.
  Nabf above `MAX_NABF`;
- the ranking (`fusion.evaluation.ranking.mean_ranks`): a candidate's rank averaged over entropy,
  standard deviation, average gradient, SSIM, VIFm and Qabf. Mutual information and Nabf are
  excluded, because copying a source maximises the former and minimises the latter: with them, the
  plain maximum wins half of all pairs. Nabf is used as a guard only;
- the weights (`rank_weights`): the mean number of candidates that one surpasses, over the sum;
- the enhancement (`enhance`): a gamma, a contrast-limited equalisation and an unsharp mask, each
  only as strong as the image's distance from a range, and inactive within it.
"""

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from fusion.base.errors import UserError
from fusion.base.files import check_apart, read_text, whole_file
from fusion.base.tables import write_csv
from fusion.base.workers import outcomes
from fusion.evaluation.metrics import evaluate
from fusion.evaluation.metrics.contrast import average_gradient
from fusion.evaluation.ranking import mean_ranks
from fusion.images.pairing import images_by_stem, pair_folders
from fusion.images.pixels import luminance, tile, to_8bit
from fusion.images.reading import read_image, read_infrared, read_visible, write_image
from fusion.training.composition import regional, strongest

__all__ = [
    "KEEP",
    "Enhancement",
    "Reference",
    "choose",
    "draw_sheet",
    "draw_sheets",
    "enhance",
    "exposure_is_sound",
    "make_references",
    "rank_weights",
    "read_references",
]

#: Number of references per pair, as published.
KEEP = 5

# --- The filter -----------------------------------------------------------------------------------

#: Metrics for ranking candidates; higher is better.
RANKED = ("en", "sd_sqrt_n", "ag", "ssim", "vif", "qabf")
#: Largest accepted share of spurious edges (Nabf).
MAX_NABF = 0.3


@dataclass(frozen=True)
class Reference:
    """A selected candidate.

    Attributes:
        method: the method that produced it.
        weight: weight of its losses; the weights of a pair sum to 1.
        mean_rank: mean rank over the metrics; 1 if it is the best in all of them.
    """

    method: str
    weight: float
    mean_rank: float


def choose(
    candidates: Mapping[str, np.ndarray], ir: np.ndarray, vis: np.ndarray, keep: int = KEEP
) -> list[Reference]:
    """The automatic filter: apply the guards, average ranks over metrics, keep and weight the best.

    Args:
        candidates: fused images by method, uint8 ``HxW``.
        ir, vis: their sources, uint8 ``HxW``.
        keep: the largest number to select.

    Returns:
        The selection, best first; fewer than ``keep``, or none, if fewer pass the guards.
    """
    values = {
        method: evaluate(fused, ir, vis, (*RANKED, "nabf"))
        for method, fused in candidates.items()
        if exposure_is_sound(fused, ir, vis)
    }
    values = {method: v for method, v in values.items() if v["nabf"] <= MAX_NABF}
    ranks = mean_ranks({method: [v[name] for name in RANKED] for method, v in values.items()})
    best = sorted(ranks, key=lambda method: (ranks[method], method))[:keep]
    weights = rank_weights([ranks[method] for method in best], len(ranks))
    return [Reference(m, w, ranks[m]) for m, w in zip(best, weights, strict=True)]


def exposure_is_sound(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> bool:
    """Whether the mean lies less than halfway from the darker source's to black, and from the
    brighter source's to white."""
    means = ir.mean(), vis.mean()
    return bool(min(means) / 2 <= fused.mean() <= (255 + max(means)) / 2)


def rank_weights(ranks: Sequence[float], count: int) -> list[float]:
    """Weights proportional to ``count + 1 - rank`` that sum to 1."""
    ahead = [count + 1 - rank for rank in ranks]
    return [value / sum(ahead) for value in ahead]


# --- The enhancement ------------------------------------------------------------------------------

#: Range of the mean luminance that is left unchanged.
BRIGHTNESS = (0.35, 0.6)
MAX_GAMMA, MAX_CLIP, MAX_SHARPENING = 1.5, 2.5, 1.0
_WINDOW = (15, 15)


@dataclass(frozen=True)
class Enhancement:
    """The enhancement applied to an image.

    Attributes:
        gamma: exponent applied to brightness in 0..1; 1 for none.
        clip: limit of the contrast-limited equalisation; 0 for none.
        sharpening: factor of the unsharp mask; 0 for none.
    """

    gamma: float = 1.0
    clip: float = 0.0
    sharpening: float = 0.0


def enhance(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> tuple[np.ndarray, Enhancement]:
    """Adaptive enhancement: brightness into its range, contrast and detail up to the sources'.

    Args:
        fused, ir, vis: uint8 ``HxW``.

    Returns:
        The image, uint8 ``HxW``, and the applied enhancement; the same image if none was needed.
    """
    gamma = _gamma(fused.mean() / 255)
    result = fused if gamma == 1 else _power(fused, gamma)
    lack = _lack(local_contrast, result, ir, vis)
    # An equalisation with clip limit 1 is the identity up to rounding.
    clip = min(MAX_CLIP, 1 + lack) if lack > 0 else 0.0
    if clip:
        result = cv2.createCLAHE(clip, (4, 4)).apply(result)
    sharpening = min(MAX_SHARPENING, _lack(average_gradient, result, ir, vis))
    if sharpening:
        picture = result.astype(np.float32)
        detail = picture - cv2.GaussianBlur(picture, (0, 0), 1.5)
        result = np.clip(np.rint(picture + sharpening * detail), 0, 255).astype(np.uint8)
    return result, Enhancement(gamma, clip, sharpening)


def _gamma(mean: float) -> float:
    """Exponent that maps ``mean`` in 0..1 to the nearer end of `BRIGHTNESS`, within limits."""
    target = float(np.clip(mean, *BRIGHTNESS))
    if target == mean:
        return 1.0
    mean = min(max(mean, 1e-3), 1 - 1e-3)
    return float(np.clip(np.log(target) / np.log(mean), 1 / MAX_GAMMA, MAX_GAMMA))


def _power(image: np.ndarray, gamma: float) -> np.ndarray:
    levels = np.rint(255 * (np.arange(256) / 255) ** gamma).astype(np.uint8)
    return levels[image]


def _lack(
    measure: Callable[[np.ndarray], float], fused: np.ndarray, ir: np.ndarray, vis: np.ndarray
) -> float:
    """Relative excess of the stronger source's measure over the image's; 0 if there is none."""
    wanted = max(measure(ir), measure(vis))
    return max(0.0, float(wanted / max(measure(fused), 1e-6)) - 1)


def local_contrast(image: np.ndarray) -> float:
    """Standard deviation within 15x15 pixels, averaged over the image, 0..255."""
    x = image.astype(np.float64)
    mean, square = cv2.blur(x, _WINDOW), cv2.blur(x * x, _WINDOW)
    return float(np.sqrt(np.maximum(square - mean**2, 0)).mean())


# --- Folders --------------------------------------------------------------------------------------

#: Number of pairs after which results are listed, to limit the loss if a run is killed.
LISTED_EVERY = 100

HEADER = ("picture", "rank", "method", "weight", "mean rank", "gamma", "clip", "sharpening")


def make_references(
    ir: Path,
    vis: Path,
    results: Mapping[str, Path],
    out: Path,
    keep: int = KEEP,
    workers: int = 1,
    skip_existing: bool = False,
    regions: int | None = None,
    detail: bool = False,
    enhanced: bool = True,
) -> list[str]:
    """Select, weight and enhance the references of all pairs of two folders.

    Writes, for each rank K (1 is best), the folder ``rank_K`` of enhanced images and ``rank_K.txt``
    with lines ``name,weight``; and ``references.csv``, which lists the method and the enhancement
    of each. The lists are written every `LISTED_EVERY` pairs, and on interruption.

    Args:
        ir, vis: folders of the sources, matched by stem.
        results: folder of fused images by method; a missing image is not a candidate.
        out: output folder.
        keep: the largest number of ranks.
        workers: number of processes.
        skip_existing: skip pairs that are listed in ``references.csv``.
        regions: choose by region of this side in pixels, not by picture, see
            `fusion.training.composition.regional`; the guards remain.
        detail: compose a single reference of the strongest details of the enhanced ones, see
            `fusion.training.composition.strongest`.
        enhanced: enhance the references, see `enhance`.

    Returns:
        One line for each pair without references.

    Raises:
        UserError: a folder is unusable, ``out`` is an input folder, or no pair has references.
    """
    pairs = pair_folders(ir, vis).pairs
    check_apart(out, (ir, vis, *results.values()))
    found = {name: images_by_stem(folder) for name, folder in results.items()}
    known = _read_table(out / "references.csv") if skip_existing else {}
    jobs = [
        (*pair, {m: p[pair[0].stem] for m, p in found.items() if pair[0].stem in p}, out)
        + (keep, regions, detail, enhanced)
        for pair in pairs
        if pair[1].stem not in known
    ]
    rows = [row for chosen in known.values() for row in chosen]
    failures: list[str] = []
    try:
        for number, outcome in enumerate(outcomes(_make, jobs, workers, "pair"), 1):
            if isinstance(outcome, str):
                failures.append(outcome)
            else:
                rows += outcome
            if rows and number % LISTED_EVERY == 0:
                _write_lists(out, rows, keep)
    finally:
        if rows:
            _write_lists(out, rows, keep)
    if not rows:
        raise UserError(f"{ir}, {vis}: no pair has references; {failures[0]}")
    return failures


def _write_lists(out: Path, rows: Sequence[tuple], keep: int) -> None:
    """Write the lists of all ranks and the table; remove lists of further ranks of earlier runs."""
    most = max(keep, *(row[1] for row in rows))
    for rank in range(1, 1 + most):
        lines = [f"{row[0]},{row[3]:.6f}\n" for row in rows if row[1] == rank]
        with whole_file(out / f"rank_{rank}.txt") as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")
    for path in _rank_lists(out):
        if _rank(path) > most:
            path.unlink()
    write_csv(out / "references.csv", HEADER, rows)


def _rank_lists(folder: Path) -> list[Path]:
    """The ``rank_K.txt`` files of a folder, by K."""
    found = [path for path in folder.glob("rank_*.txt") if re.fullmatch(r"rank_\d+", path.stem)]
    return sorted(found, key=_rank)


def _all_rank_lists(folder: Path) -> list[Path]:
    """The ``rank_K.txt`` of a folder and of those below it, each folder's by K."""
    folders = sorted({path.parent for path in folder.rglob("rank_*.txt")})
    return [path for each in folders for path in _rank_lists(each)]


def _rank(path: Path) -> int:
    return int(path.stem[5:])


def _make(job: tuple) -> list[tuple] | str:
    """Write one pair's references and return their rows, or a line that explains their absence."""
    ir_path, vis_path, paths, out, keep, regions, detail, enhanced = job
    name = f"{vis_path.stem}.png"
    try:
        ir, vis, candidates = _read(ir_path, vis_path, paths)
        if regions is None:
            chosen = choose(candidates, ir, vis, keep)
            images = [candidates[reference.method] for reference in chosen]
        else:
            chosen, images = _by_region(candidates, ir, vis, keep, regions)
    except UserError as error:
        return str(error)
    except ValueError as error:
        return f"{vis_path}: {error}"
    if not chosen:
        return f"{vis_path}: none of {len(candidates)} candidates passes the guards"
    made = [enhance(image, ir, vis) if enhanced else (image, Enhancement()) for image in images]
    if detail:
        composed = strongest([image for image, _ in made], [each.weight for each in chosen])
        chosen, made = [Reference(DETAIL, 1.0, 1.0)], [(composed, Enhancement())]
    rows = []
    for rank, (reference, (picture, done)) in enumerate(zip(chosen, made, strict=True), 1):
        write_image(out / f"rank_{rank}" / name, picture)
        rows.append(
            (name, rank, reference.method, reference.weight, reference.mean_rank)
            + (done.gamma, done.clip, done.sharpening)
        )
    return rows


#: What stands for the method of a composed reference.
REGIONS, DETAIL = "by region", "strongest detail"


def _by_region(
    candidates: Mapping[str, np.ndarray], ir: np.ndarray, vis: np.ndarray, keep: int, side: int
) -> tuple[list[Reference], list[np.ndarray]]:
    """The references composed by region of the candidates that pass the guards."""
    sound = {
        method: fused
        for method, fused in candidates.items()
        if exposure_is_sound(fused, ir, vis) and _artefacts(fused, ir, vis) <= MAX_NABF
    }
    if not sound:
        return [], []
    made = regional(sound, ir, vis, side, keep)
    weights = rank_weights([rank for _, rank in made], len(sound))
    chosen = [Reference(REGIONS, w, rank) for w, (_, rank) in zip(weights, made, strict=True)]
    return chosen, [image for image, _ in made]


def _artefacts(fused: np.ndarray, ir: np.ndarray, vis: np.ndarray) -> float:
    return evaluate(fused, ir, vis, ("nabf",))["nabf"]


def _read_table(path: Path) -> dict[str, list[tuple]]:
    """Rows of a ``references.csv`` by the stem of their pair; empty if the file is missing.

    Raises:
        UserError: the file is not such a table.
    """
    if not path.is_file():
        return {}
    rows: dict[str, list[tuple]] = {}
    lines = read_text(path, "remove it").splitlines()
    try:
        header, *table = csv.reader(lines)
        for name, rank, method, *numbers in table:
            row = (name, int(rank), method, *map(float, numbers))
            rows.setdefault(Path(name).stem, []).append(row)
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path}: damaged ({error}); remove it") from error
    if tuple(header) != HEADER:
        raise UserError(f"{path}: its columns are not {', '.join(HEADER)}; remove it")
    return rows


def _read(
    ir_path: Path, vis_path: Path, paths: Mapping[str, Path]
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Sources and candidates of a pair, greyscale, uint8.

    Raises:
        UserError: an image is unreadable.
    """
    ir, vis = to_8bit(read_infrared(ir_path)), to_8bit(luminance(read_visible(vis_path)))
    return ir, vis, {m: to_8bit(luminance(read_image(p))) for m, p in paths.items()}


def read_references(folder: Path) -> dict[str, list[tuple[Path, float]]]:
    """References and weights by the name of their pair, best first, written by `make_references`.

    The name is the path of the image below ``rank_K`` without its suffix, after the path of
    ``rank_K.txt`` below ``folder``: ``7``, or ``set00/V000/I00007`` where the references of each
    video are in a folder of their own.

    Raises:
        UserError: the folder does not exist or has no ranks, a line is not ``name,weight``, or a
            list names an image twice.
    """
    folder = Path(folder)
    lists = _all_rank_lists(folder)
    if not lists:
        raise UserError(f"{folder}: contains no rank_1.txt; create it with fusion reference")
    references: dict[str, list[tuple[Path, float]]] = {}
    for path in lists:
        named = set()
        for number, line in enumerate(read_text(path).splitlines(), 1):
            name, comma, weight = line.rpartition(",")
            try:
                value = float(weight)
            except ValueError:
                value = -1.0
            if not comma or not Path(name).name or not value >= 0:
                raise UserError(f"{path}: line {number} is not name,weight: {line!r}")
            picture = path.with_suffix("") / name
            key = (path.parent.relative_to(folder) / name).with_suffix("").as_posix()
            if key in named:
                raise UserError(f"{path}: line {number} names {key} again; remove one of the two")
            named.add(key)
            references.setdefault(key, []).append((picture, value))
    return references


# --- Pictures -------------------------------------------------------------------------------------


def draw_sheets(
    ir: Path,
    vis: Path,
    results: Mapping[str, Path],
    references: Path,
    count: int,
    fused: Path | None = None,
) -> None:
    """Write `draw_sheet` of ``count`` evenly spaced pairs to ``references/sheets``.

    Raises:
        UserError: a folder or image is missing or unreadable.
    """
    pairs = pair_folders(ir, vis).pairs
    places = np.unique(np.linspace(0, len(pairs) - 1, min(count, len(pairs)) + 2)[1:-1].round())
    for ir_path, vis_path in (pairs[int(place)] for place in places):
        sheet = draw_sheet(ir_path, vis_path, results, references, fused)
        write_image(references / "sheets" / f"{vis_path.stem}.png", sheet)


def draw_sheet(
    ir_path: Path,
    vis_path: Path,
    results: Mapping[str, Path],
    references: Path,
    fused: Path | None = None,
) -> np.ndarray:
    """Draw sources and result, candidates, selected candidates with their weights, and these
    enhanced.

    A candidate whose size differs from its sources' is not used and not shown.

    Args:
        ir_path, vis_path: a pair.
        results: folder of fused images by method.
        references: folder written by `make_references`.
        fused: folder of the images of a network trained with them.

    Returns:
        RGB uint8, one row each.

    Raises:
        UserError: an image is missing, unreadable, or of a different size than its pair.
    """
    stem = vis_path.stem
    found = {m: images_by_stem(folder).get(stem) for m, folder in results.items()}
    ir, vis, candidates = _read(ir_path, vis_path, {m: p for m, p in found.items() if p})
    candidates = {m: picture for m, picture in candidates.items() if picture.shape == vis.shape}
    if ir.shape != vis.shape:
        raise UserError(f"{ir_path} and {vis_path}: sizes differ; register them")
    chosen, enhanced = [], []
    for row in _read_table(references / "references.csv").get(stem, []):
        name, rank, method, weight, _, gamma, clip, sharpening = row
        if method not in (*candidates, REGIONS, DETAIL):
            raise UserError(f"{references}: {name} was chosen from {method}, which is not given")
        if method in candidates:
            chosen.append((f"{method} {weight:.2f}", candidates[method]))
        done = f"gamma {gamma:.2f} clip {clip:.2f} sharp {sharpening:.2f}"
        enhanced.append((done, read_image(references / f"rank_{rank}" / name)))
    first = [("infrared", ir), ("visible", vis)]
    if fused is not None:
        result = images_by_stem(fused).get(stem)
        if result is None:
            raise UserError(f"{fused}: contains no image {stem}")
        picture = to_8bit(luminance(read_image(result)))
        if picture.shape != vis.shape:
            raise UserError(f"{result}: its size differs from {vis_path}; fuse this pair again")
        first.append(("result", picture))
    return tile([first, list(candidates.items()), *filter(None, (chosen, enhanced))])
