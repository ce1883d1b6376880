"""One-pass evaluation: PR, NPR and SR as defined by GTOT, RGBT210, RGBT234 and LasHeR, and AUC, P20
and kept on sequences in VOT's layout.

A tracker starts on the first frame of each sequence and runs to its end. The figures are:

- PR, precision rate: the share of frames whose centre error is within a number of pixels.
- NPR, normalised precision rate: the centre error is divided by the annotated width and height,
  axis by axis, and must be within 0.2.
- SR, success rate: the area under the share of frames whose overlap (IoU) is above t, over t.
- MPR and MSR: PR and SR if each modality has its own annotation: the smaller error and the larger
  overlap of the two count, frame by frame.
- kept: the share of frames before the first loss, which is the first frame from which the overlap
  stays at .1 or less for 5 frames, or up to the end of the sequence.

The benchmarks share these terms but differ in the details, so their figures are not comparable:

    =================  ==============  ===================  ===================  ===================
     .                 gtot            rgbt210              rgbt234              lasher
    =================  ==============  ===================  ===================  ===================
    annotations        visible, ir     one                  visible, ir          one
    frames             pooled          one rate per         one rate per         one rate per
                                       sequence, averaged   sequence, averaged   sequence, averaged
    PR within          < 5 px          <= 20 px             <= 20 px             <= 20 px
    SR over t =        0, 0.02, .., 1  0, 0.05, .., 1       0, 0.05, .., 1       0, 0.05, .., 1
    area               trapezoids      mean of 21 rates     mean of 21 rates     mean of 21 rates
    NPR                --              --                   --                   <= 0.2
    8-number results   rounded         unchanged            unchanged            unchanged
    first frame        counts          counts               counts               set to annotation
    =================  ==============  ===================  ===================  ===================

``vot`` is for sequences in VOT's layout, which have no one-pass benchmark: RGBT234's thresholds
with one annotation (SR is called AUC, and PR at 20 px P20), without the first frame, which is
given, and without frames that do not show the target; and `kept`.

Pitfalls, all of them due to the benchmarks:

- Success is strict everywhere, ``IoU > t``: at t = 1 no frame succeeds, and the SR of a perfect
  tracker is 20/21 for the mean of 21 rates and 0.99 for GTOT's trapezoids.
- GTOT gives all frames of all sequences equal weight, so long sequences have more influence.
- GTOT rounds results of 8 numbers, half away from zero, but not those of 4 numbers; the same boxes
  have different scores in the two forms.
- LasHeR counts a frame whose annotation is not all positive (an absent target, but also a box that
  starts at x = 0) as precise and as a failed overlap. A result without width or height is replaced
  by the one before.
- LasHeR has annotations for both modalities; its evaluation uses one.

Sources: Li et al., TIP 2016 (GTOT), ACM MM 2017 (RGBT210), PR 2019 (RGBT234), TIP 2021 (LasHeR) and
the evaluation programs published with them. From the published raw results, GTOT's published
figures are reproduced to three decimals and LasHeR's within 0.0006 (except DFAT's SR: 0.334 instead
of 0.336); RGBT234's only within 0.003, above for one tracker and below for another, which no change
of the protocol explains. RGBT210's protocol is RGBT234's with a single annotation, as in OTB; there
were no raw results to compare with.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tracker.data.boxes import box_iou, xywh_to_cxcywh
from tracker.data.layouts import LAYOUTS

# --- Protocols ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Protocol:
    """How a benchmark computes figures from boxes; see the module's table.

    Attributes:
        name: name on the command line.
        title: title for plots.
        annotations: for each annotation, the names of files that may contain it, best first.
        precision_at: centre error in pixels at which PR is read.
        precision_thresholds: thresholds of the precision plot, in pixels.
        success_thresholds: thresholds of the success plot.
        corners: annotations are ``x1 y1 x2 y2`` with ``w = x2 - x1``.
        strict: precise means an error below the threshold, not equal to it.
        pooled: frames of all sequences have equal weight.
        trapezoids: SR is the area by the trapezoid rule, not the mean of the rates.
        rounds_polygons: results of 8 numbers are rounded to whole pixels.
        normalized: NPR is defined.
        repairs: LasHeR's treatment of the first frame, invalid results and absent targets.
        tracked_only: the first frame, and frames without the target, do not count; `kept` is
            defined.
    """

    name: str
    title: str
    annotations: tuple[tuple[str, ...], ...]
    precision_at: float = 20
    precision_thresholds: np.ndarray = field(
        default_factory=lambda: np.linspace(0, 50, 51), repr=False
    )
    success_thresholds: np.ndarray = field(
        default_factory=lambda: np.linspace(0, 1, 21), repr=False
    )
    corners: bool = False
    strict: bool = False
    pooled: bool = False
    trapezoids: bool = False
    rounds_polygons: bool = False
    normalized: bool = False
    repairs: bool = False
    tracked_only: bool = False

    @property
    def is_maximum(self) -> bool:
        """Whether PR and SR are MPR and MSR, of two annotations."""
        return len(self.annotations) == 2

    def thresholds(self, plot: str) -> np.ndarray:
        """Thresholds of a plot: ``precision``, ``normalized`` or ``success``."""
        return {
            "precision": self.precision_thresholds,
            "normalized": NORMALIZED_THRESHOLDS,
            "success": self.success_thresholds,
        }[plot]


NORMALIZED_THRESHOLDS = np.linspace(0, 0.5, 51)
NORMALIZED_AT = 0.2

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "gtot",
            "GTOT",
            tuple(LAYOUTS["gtot"].annotations.values()),
            precision_at=5,
            precision_thresholds=np.linspace(0, 25, 51),
            success_thresholds=np.linspace(0, 1, 51),
            corners=True,
            strict=True,
            pooled=True,
            trapezoids=True,
            rounds_polygons=True,
        ),
        Protocol("rgbt210", "RGBT210", (LAYOUTS["rgbt210"].annotations["rgb"],)),
        Protocol("rgbt234", "RGBT234", tuple(LAYOUTS["rgbt234"].annotations.values())),
        Protocol(
            "lasher",
            "LasHeR",
            (("init.txt", *LAYOUTS["lasher"].annotations["rgb"]),),
            normalized=True,
            repairs=True,
        ),
        Protocol("vot", "One pass", (LAYOUTS["vot"].annotations["rgb"],), tracked_only=True),
    )
}

# --- One sequence ---------------------------------------------------------------------------------


def centre_error(
    result: np.ndarray, annotation: np.ndarray, normalized: bool = False
) -> np.ndarray:
    """Distance of box centres.

    Args:
        result, annotation: ``(N, 4)`` boxes ``x, y, w, h``.
        normalized: divide by the annotated width and height, axis by axis; infinite or NaN where
            they are 0.

    Returns:
        ``(N,)``, in pixels or in target sizes; NaN if a box is NaN.
    """
    offset = xywh_to_cxcywh(result)[:, :2] - xywh_to_cxcywh(annotation)[:, :2]
    if normalized:
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = offset / annotation[:, 2:]
    return np.hypot(*offset.T)


def _repaired(result: np.ndarray, annotation: np.ndarray) -> np.ndarray:
    """LasHeR's results: the first is the annotation; invalid ones repeat the last valid one."""
    valid = np.isfinite(result).all(1) & (result[:, 2] > 0) & (result[:, 3] > 0)
    valid[0] = True
    result = np.concatenate([annotation[:1], result[1:]])
    return result[np.maximum.accumulate(np.where(valid, np.arange(len(result)), 0))]


@dataclass(frozen=True, eq=False)
class Rates:
    """Shares of a sequence's frames, in 0..1.

    Attributes:
        frames: number of frames compared.
        precision: ``(P,)``, one for each of the protocol's `precision_thresholds`.
        success: ``(S,)``, one for each of its `success_thresholds`.
        normalized: ``(51,)``, for `NORMALIZED_THRESHOLDS`; None if the benchmark has no NPR.
        kept: share of frames before the first loss, see `kept_share`; None if it is not defined.
    """

    frames: int
    precision: np.ndarray
    success: np.ndarray
    normalized: np.ndarray | None = None
    kept: float | None = None


LOST_OVERLAP = 0.1
LOST_FRAMES = 5


def first_loss(overlaps: np.ndarray) -> int | None:
    """Where the target is first lost; None if it is never lost.

    The target is lost at the first frame from which the overlap is at most `LOST_OVERLAP`, or
    undefined, for `LOST_FRAMES` frames or up to the end.

    Args:
        overlaps: ``(N,)`` IoU.
    """
    if not len(overlaps):
        return None
    missed = ~(overlaps > LOST_OVERLAP)
    padded = np.append(missed, np.ones(LOST_FRAMES - 1, bool))
    lost = np.lib.stride_tricks.sliding_window_view(padded, LOST_FRAMES).all(axis=1)
    return int(np.argmax(lost)) if lost.any() else None


def kept_share(overlaps: np.ndarray) -> float:
    """The share of a sequence's frames before its target is first lost, see `first_loss`, in 0..1.

    Args:
        overlaps: ``(N,)`` IoU, N > 0.
    """
    lost = first_loss(overlaps)
    return (len(overlaps) if lost is None else lost) / len(overlaps)


def sequence_rates(
    protocol: Protocol, result: np.ndarray, annotations: tuple[np.ndarray, ...]
) -> Rates:
    """Compare a tracker's boxes with the annotations of a sequence.

    Frames beyond the shorter of result and annotation are ignored. A NaN result is neither precise
    nor a success (LasHeR replaces it).

    Args:
        result: ``(N, 4)`` boxes ``x, y, w, h``.
        annotations: one or more ``(M, 4)``; the best of them counts in each frame.

    Raises:
        ValueError: the shapes are different, or there is no common frame.
    """
    boxes = [np.asarray(array, float) for array in (result, *annotations)]
    if len(boxes) < 2 or any(array.ndim != 2 or array.shape[1] != 4 for array in boxes):
        raise ValueError(
            "sequence_rates takes (N, 4) boxes and one or more (M, 4) annotations, got shapes "
            f"{[array.shape for array in boxes]}"
        )
    frames = min(map(len, boxes))
    counts = np.ones(frames, bool)
    if protocol.tracked_only:
        counts = np.isfinite(boxes[1][:frames]).all(axis=1)
        counts[:1] = False
    frames = int(counts.sum())
    if frames == 0:
        raise ValueError("sequence_rates needs a frame to compare")
    result, *truths = (array[: len(counts)][counts] for array in boxes)

    # In each frame, the annotation with the better value counts; NaN annotations do not.
    error = np.full(frames, np.nan)
    distance = np.full(frames, np.nan)
    overlap = np.full(frames, np.nan)
    for annotation in truths:
        placed = _repaired(result, annotation) if protocol.repairs else result
        measures = [
            centre_error(placed, annotation),
            box_iou(placed, annotation),
            centre_error(placed, annotation, normalized=True),
        ]
        if protocol.repairs:
            absent = ~(annotation > 0).all(axis=1)
            measures = [np.where(absent, -1, values) for values in measures]
        error = np.fmin(error, measures[0])
        overlap = np.fmax(overlap, measures[1])
        distance = np.fmin(distance, measures[2])

    within: Callable = np.less if protocol.strict else np.less_equal
    return Rates(
        frames,
        precision=within(error[:, None], protocol.precision_thresholds).mean(axis=0),
        success=(overlap[:, None] > protocol.success_thresholds).mean(axis=0),
        normalized=(
            within(distance[:, None], NORMALIZED_THRESHOLDS).mean(axis=0)
            if protocol.normalized
            else None
        ),
        kept=kept_share(overlap) if protocol.tracked_only else None,
    )


# --- A benchmark ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class OPEScores:
    """A tracker's figures over several sequences.

    Attributes:
        protocol: the benchmark's protocol.
        rates: rates by sequence.
    """

    protocol: Protocol
    rates: Mapping[str, Rates]

    def subset(self, names: Iterable[str]) -> "OPEScores":
        """The figures over a subset of sequences, such as those with an attribute."""
        return OPEScores(self.protocol, {name: self.rates[name] for name in names})

    def curve(self, plot: str) -> np.ndarray:
        """Rates of ``precision``, ``normalized`` or ``success`` over all sequences; NaN if none."""
        table = [getattr(rates, plot) for rates in self.rates.values()]
        if not table or table[0] is None:
            return np.full(len(self.protocol.thresholds(plot)), np.nan)
        weights = [rates.frames if self.protocol.pooled else 1 for rates in self.rates.values()]
        return np.average(table, axis=0, weights=weights)

    def _at(self, plot: str, threshold: float) -> float:
        place = int(np.argmin(np.abs(self.protocol.thresholds(plot) - threshold)))
        return float(self.curve(plot)[place])

    @property
    def PR(self) -> float:
        """Precision rate at the protocol's `precision_at`; MPR if there are two annotations."""
        return self._at("precision", self.protocol.precision_at)

    @property
    def NPR(self) -> float | None:
        """Normalised precision rate at 0.2; None if the benchmark does not define it."""
        return self._at("normalized", NORMALIZED_AT) if self.protocol.normalized else None

    @property
    def SR(self) -> float:
        """Area under the success plot; MSR if there are two annotations."""
        curve = self.curve("success")
        if self.protocol.trapezoids:
            steps = np.diff(self.protocol.success_thresholds)
            return float(np.sum((curve[1:] + curve[:-1]) / 2 * steps))
        return float(curve.mean())

    @property
    def kept(self) -> float | None:
        """Mean share of frames before the first loss; None if it is not defined."""
        shares = [rates.kept for rates in self.rates.values() if rates.kept is not None]
        return float(np.mean(shares)) if shares else None

    def figures(self) -> dict[str, float | None]:
        """PR, NPR and SR by name, and kept if it is defined."""
        figures = {"PR": self.PR, "NPR": self.NPR, "SR": self.SR}
        return figures | ({"kept": self.kept} if self.protocol.tracked_only else {})


def score_results(
    protocol: Protocol,
    results: Mapping[str, np.ndarray],
    annotations: Mapping[str, tuple[np.ndarray, ...]],
) -> OPEScores:
    """Compute a tracker's figures on a benchmark.

        protocol = PROTOCOLS["rgbt234"]
        annotations = ope_files.read_annotations("RGBT234", protocol)
        results, _ = ope_files.read_results("results/DFAT", protocol, annotations)
        print(score_results(protocol, results, annotations).figures())

    For PR and SR of one modality of a benchmark with two, pass the annotations of that one alone.

    Args:
        results: ``(N, 4)`` boxes by sequence; every annotated sequence is required.
        annotations: by sequence, one ``(M, 4)`` array for each annotation.

    Raises:
        ValueError: a sequence has no result.
    """
    lacking = [name for name in annotations if name not in results]
    if lacking:
        raise ValueError(f"no result for {', '.join(lacking)}")
    return OPEScores(
        protocol,
        {
            name: sequence_rates(protocol, results[name], boxes)
            for name, boxes in annotations.items()
        },
    )
