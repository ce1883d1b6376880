"""One-pass evaluation: PR, NPR and SR as GTOT, RGBT210, RGBT234 and LasHeR define them.

A tracker starts on the first frame of each sequence and runs to its end. The figures:

- PR, precision rate: the share of frames whose centre error is within a number of pixels.
- NPR, normalised precision rate: the centre error is divided by the annotated width and height,
  axis by axis, and is to be within 0.2.
- SR, success rate: the area under the share of frames whose overlap (IoU) is above t, over t.
- MPR and MSR: PR and SR where both modalities have an annotation of their own: the smaller error
  and the larger overlap of the two count, frame by frame.

The benchmarks agree on these words and on little else, and their figures cannot be compared:

=================  ==============  ===================  ===================  ===================
 .                 gtot            rgbt210              rgbt234              lasher
=================  ==============  ===================  ===================  ===================
annotations        visible, ir     one                  visible, ir          one
frames             pooled          a rate a sequence,   a rate a sequence,   a rate a sequence,
                                   then the mean        then the mean        then the mean
PR within          < 5 px          <= 20 px             <= 20 px             <= 20 px
SR over t =        0, 0.02, .., 1  0, 0.05, .., 1       0, 0.05, .., 1       0, 0.05, .., 1
area               trapezoids      mean of 21 rates     mean of 21 rates     mean of 21 rates
NPR                --              --                   --                   <= 0.2
8-number results   rounded         as they are          as they are          as they are
first frame        counts          counts               counts               set to annotation
=================  ==============  ===================  ===================  ===================

Traps, all of them the benchmarks' own:

- Success is strict everywhere, ``IoU > t``: at t = 1 no frame succeeds, and the SR of a perfect
  tracker is 20/21 with the mean of 21 rates and 0.99 with GTOT's trapezoids.
- GTOT counts all frames of all sequences alike, so long sequences weigh more. The others do not.
- GTOT rounds results of 8 numbers, half away from zero, and leaves those of 4 numbers alone; the
  same boxes score differently in the two forms.
- LasHeR counts a frame whose annotation is not all positive (an absent target, but also a box that
  starts at x = 0) as precise and as a failed overlap. A result without width or height is replaced
  by the one before.
- LasHeR has annotations for both modalities; its evaluation uses one.

Sources: Li et al., TIP 2016 (GTOT), ACM MM 2017 (RGBT210), PR 2019 (RGBT234), TIP 2021 (LasHeR) and
the evaluation programs published with them. With the published raw results GTOT's published
figures are met to three decimals and LasHeR's within 0.0006 (DFAT's SR: 0.334 against 0.336);
RGBT234's only within 0.003, above for one tracker and below for another, which no change of the
protocol explains. RGBT210's protocol is RGBT234's with its one annotation, as in OTB; there were no
raw results to compare with.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from tracker.data.boxes import box_iou, xywh_to_cxcywh
from tracker.data.layouts import LAYOUTS

# --- Protocols ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Protocol:
    """How a benchmark turns boxes into figures; see the module's table.

    Attributes:
        name: as on the command line.
        title: as in a plot's heading.
        annotations: a tuple for each annotation, of the files that may hold it, best first.
        precision_at: centre error in pixels at which PR is read.
        precision_thresholds: of the precision plot, in pixels.
        success_thresholds: of the success plot.
        corners: annotations are ``x1 y1 x2 y2`` with ``w = x2 - x1``.
        strict: precise means an error below the threshold, not equal to it.
        pooled: frames of all sequences count alike.
        trapezoids: SR is the area by the trapezoid rule, not the mean of the rates.
        rounds_polygons: results of 8 numbers are rounded to whole pixels.
        normalized: NPR is defined.
        repairs: LasHeR's treatment of the first frame, invalid results and absent targets.
    """

    name: str
    title: str
    annotations: tuple[tuple[str, ...], ...]
    precision_at: float
    precision_thresholds: np.ndarray = field(repr=False)
    success_thresholds: np.ndarray = field(repr=False)
    corners: bool = False
    strict: bool = False
    pooled: bool = False
    trapezoids: bool = False
    rounds_polygons: bool = False
    normalized: bool = False
    repairs: bool = False

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
        Protocol(
            "rgbt210",
            "RGBT210",
            (LAYOUTS["rgbt210"].annotations["rgb"],),
            precision_at=20,
            precision_thresholds=np.linspace(0, 50, 51),
            success_thresholds=np.linspace(0, 1, 21),
        ),
        Protocol(
            "rgbt234",
            "RGBT234",
            tuple(LAYOUTS["rgbt234"].annotations.values()),
            precision_at=20,
            precision_thresholds=np.linspace(0, 50, 51),
            success_thresholds=np.linspace(0, 1, 21),
        ),
        Protocol(
            "lasher",
            "LasHeR",
            (("init.txt", *LAYOUTS["lasher"].annotations["rgb"]),),
            precision_at=20,
            precision_thresholds=np.linspace(0, 50, 51),
            success_thresholds=np.linspace(0, 1, 21),
            normalized=True,
            repairs=True,
        ),
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
        ``(N,)``, in pixels or in target sizes; NaN where a box is.
    """
    offset = xywh_to_cxcywh(result)[:, :2] - xywh_to_cxcywh(annotation)[:, :2]
    if normalized:
        with np.errstate(divide="ignore", invalid="ignore"):
            offset = offset / annotation[:, 2:]
    return np.hypot(*offset.T)


def _repaired(result: np.ndarray, annotation: np.ndarray) -> np.ndarray:
    """LasHeR's results: the first is the annotation, an invalid one the last valid before it."""
    valid = np.isfinite(result).all(1) & (result[:, 2] > 0) & (result[:, 3] > 0)
    valid[0] = True
    result = np.concatenate([annotation[:1], result[1:]])
    return result[np.maximum.accumulate(np.where(valid, np.arange(len(result)), 0))]


@dataclass(frozen=True, eq=False)
class Rates:
    """Shares of a sequence's frames, in 0..1.

    Attributes:
        frames: how many were compared.
        precision: ``(P,)``, one for each of the protocol's `precision_thresholds`.
        success: ``(S,)``, for each of its `success_thresholds`.
        normalized: ``(51,)``, for `NORMALIZED_THRESHOLDS`; None where the benchmark has no NPR.
    """

    frames: int
    precision: np.ndarray
    success: np.ndarray
    normalized: np.ndarray | None = None


def sequence_rates(
    protocol: Protocol, result: np.ndarray, annotations: tuple[np.ndarray, ...]
) -> Rates:
    """Compare a tracker's boxes with the annotations of a sequence.

    Frames beyond the shorter of result and annotation are not compared. A NaN result is neither
    precise nor a success (LasHeR replaces it).

    Args:
        result: ``(N, 4)`` boxes ``x, y, w, h``.
        annotations: one or more ``(M, 4)``; the best of them counts in each frame.

    Raises:
        ValueError: other shapes, or no frame in common.
    """
    boxes = [np.asarray(array, float) for array in (result, *annotations)]
    if len(boxes) < 2 or any(array.ndim != 2 or array.shape[1] != 4 for array in boxes):
        raise ValueError(
            "sequence_rates takes (N, 4) boxes and one or more (M, 4) annotations, got shapes "
            f"{[array.shape for array in boxes]}"
        )
    frames = min(map(len, boxes))
    if frames == 0:
        raise ValueError("sequence_rates needs a frame to compare")
    result, annotations = boxes[0][:frames], tuple(array[:frames] for array in boxes[1:])

    # In each frame the annotation counts that fits better; one that is NaN does not.
    error = np.full(frames, np.nan)
    distance = np.full(frames, np.nan)
    overlap = np.full(frames, np.nan)
    for annotation in annotations:
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
    )


# --- A benchmark ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Scores:
    """A tracker's figures over sequences.

    Attributes:
        protocol: the benchmark's.
        rates: by sequence.
    """

    protocol: Protocol
    rates: Mapping[str, Rates]

    def subset(self, names: Iterable[str]) -> "Scores":
        """The figures over some of the sequences (those with an attribute, or a single one)."""
        return Scores(self.protocol, {name: self.rates[name] for name in names})

    def curve(self, plot: str) -> np.ndarray:
        """Rates of ``precision``, ``normalized`` or ``success`` over all sequences; NaN of none."""
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
        """Precision rate at the protocol's `precision_at`; MPR where there are two annotations."""
        return self._at("precision", self.protocol.precision_at)

    @property
    def NPR(self) -> float | None:
        """Normalised precision rate at 0.2; None where the benchmark does not define it."""
        return self._at("normalized", NORMALIZED_AT) if self.protocol.normalized else None

    @property
    def SR(self) -> float:
        """Area under the success plot; MSR where there are two annotations."""
        curve = self.curve("success")
        if self.protocol.trapezoids:
            steps = np.diff(self.protocol.success_thresholds)
            return float(np.sum((curve[1:] + curve[:-1]) / 2 * steps))
        return float(curve.mean())

    def figures(self) -> dict[str, float | None]:
        """PR, NPR and SR by name."""
        return {"PR": self.PR, "NPR": self.NPR, "SR": self.SR}


def evaluate(
    protocol: Protocol,
    results: Mapping[str, np.ndarray],
    annotations: Mapping[str, tuple[np.ndarray, ...]],
) -> Scores:
    """A tracker's figures on a benchmark.

        protocol = PROTOCOLS["rgbt234"]
        annotations = ope_files.read_annotations("RGBT234", protocol)
        results, _ = ope_files.read_results("results/DFAT", protocol, annotations)
        print(evaluate(protocol, results, annotations).figures())

    For PR and SR on one modality of a benchmark with two, give the annotations of that one alone.

    Args:
        results: ``(N, 4)`` boxes by sequence; every annotated sequence is needed.
        annotations: by sequence, an ``(M, 4)`` array for each annotation.

    Raises:
        ValueError: a sequence without result.
    """
    lacking = [name for name in annotations if name not in results]
    if lacking:
        raise ValueError(f"no result for {', '.join(lacking)}")
    return Scores(
        protocol,
        {
            name: sequence_rates(protocol, results[name], boxes)
            for name, boxes in annotations.items()
        },
    )
