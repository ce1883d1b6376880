"""The definition of a sequence, `SequenceSpec`, and the modes of camera failure."""

import dataclasses
import json
from dataclasses import dataclass

from tracker.synthetic.looks import LOOKS

SPLITS = ("train", "test")

#: Camera failures by modality and split. "dark": the exposure collapses. "blank": one constant
#: value. "washout": no contrast, only noise. "frozen": the last good frame is repeated. "glare":
#: light enters the lens. "stripes": a read-out fault.
FAILURE_MODES = {
    ("rgb", "train"): ("dark", "blank"),
    ("ir", "train"): ("washout", "blank"),
    ("rgb", "test"): ("glare", "frozen"),
    ("ir", "test"): ("stripes", "frozen"),
}


@dataclass(frozen=True)
class SensorFailure:
    """A failure of one modality during one interval.

    Attributes:
        modality: "rgb" or "ir".
        mode: one of `FAILURE_MODES`.
        start: first failing frame as a fraction of the length, above 0: the first frame is good.
        stop: end of the interval (exclusive), as a fraction.
    """

    modality: str
    mode: str
    start: float
    stop: float

    def __post_init__(self) -> None:
        modes = {
            m for (name, _), names in FAILURE_MODES.items() if name == self.modality for m in names
        }
        if self.mode not in modes:
            raise ValueError(f"no failure {self.mode!r} of modality {self.modality!r}")
        if not 0 < self.start < self.stop <= 1:
            raise ValueError(
                f"a failure needs 0 < start < stop <= 1, got {self.start}, {self.stop}"
            )


@dataclass(frozen=True)
class SequenceSpec:
    """The complete definition of a sequence. Equal specs render byte-identical frames.

    Attributes:
        seed: seed of everything not named here: colours, paths, textures, noise.
        length: number of frames.
        size: (width, height) in pixels, at least 64 each.
        look: the kind of location, a key of `LOOKS`.
        target: kind of target, one of the look's.
        challenges: names of the challenges it was drawn from; informative only.
        distractors: number of moving distractors that cross the target.
        twins: what distractors share with the target: "both", "rgb" (same paint, different
            temperature) or "ir" (the reverse).
        occlusion: share of the target hidden at the peak of each planned occlusion; 0 for none.
        scale_change: largest over smallest apparent size of the target, at least 1.
        speed: multiple of the usual speed of its kind.
        shake: standard deviation of the hand-held camera, in pixels at width 320.
        exposure: share of the frame time for which the visible shutter is open, which causes motion
            blur.
        rgb_noise: standard deviation in grey levels.
        ir_noise: noise equivalent temperature difference in kelvin.
        night: 0 for day, to 1 for no ambient light.
        fog: optical depth of 10 m of air for visible light; thermal has a third of it.
        camouflage: share of the target's visible contrast to its surroundings that is lost.
        crossover: share of its thermal contrast that is lost.
        drift: flat-field error of the thermal camera in kelvin, growing over the sequence.
        failures: intervals in which a modality fails.
    """

    seed: int
    length: int = 120
    size: tuple[int, int] = (320, 240)
    look: str = "street"
    target: str = "person"
    challenges: tuple[str, ...] = ()
    distractors: int = 0
    twins: str = "both"
    occlusion: float = 0.0
    scale_change: float = 1.4
    speed: float = 1.0
    shake: float = 0.6
    exposure: float = 0.25
    rgb_noise: float = 2.0
    ir_noise: float = 0.08
    night: float = 0.0
    fog: float = 0.0
    camouflage: float = 0.0
    crossover: float = 0.0
    drift: float = 0.0
    failures: tuple[SensorFailure, ...] = ()

    def __post_init__(self) -> None:
        if self.look not in LOOKS:
            raise ValueError(f"no look {self.look!r}; there are {', '.join(LOOKS)}")
        if self.target not in LOOKS[self.look].targets:
            targets = ", ".join(LOOKS[self.look].targets)
            raise ValueError(
                f"no target {self.target!r} in look {self.look!r}; there are {targets}"
            )
        if self.twins not in ("both", "rgb", "ir"):
            raise ValueError(f"twins is 'both', 'rgb' or 'ir', got {self.twins!r}")
        if self.length < 1 or min(self.size) < 64:
            raise ValueError(f"needs a frame and 64 pixels a side, got {self.length}, {self.size}")

    def to_json(self) -> str:
        """The spec as one line of JSON, which is stored with written frames."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)
