"""Named challenges, and specs drawn from them."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fusion.base.errors import UserError
from tracker.synthetic.looks import LOOKS
from tracker.synthetic.noise import generator
from tracker.synthetic.specs import FAILURE_MODES, SPLITS, SensorFailure, SequenceSpec


@dataclass(frozen=True)
class Challenge:
    """A named challenge: the parameters of `SequenceSpec` that it sets, and their ranges.

    Attributes:
        about: a one-line description of the difficulty.
        ranges: parameter to (low, high), drawn uniformly; integer ranges are inclusive.
        twins: value of `SequenceSpec.twins`.
        fails: modalities that fail, one after another.
        splits: the splits in which it occurs.
    """

    about: str
    ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    twins: str | None = None
    fails: tuple[str, ...] = ()
    splits: tuple[str, ...] = SPLITS


CHALLENGES = {
    "plain": Challenge("daylight, nothing in the way"),
    "distractors": Challenge(
        "distractors in both modalities cross the target", {"distractors": (2, 4)}, twins="both"
    ),
    "rgb_twins": Challenge(
        "same colours, other temperature; only the thermal image distinguishes them",
        {"distractors": (2, 3)}, twins="rgb",
    ),
    "ir_twins": Challenge(
        "same temperature, other colours; only the visible image distinguishes them",
        {"distractors": (2, 4)}, twins="ir",
    ),
    "occlusion": Challenge("passes behind narrow or low things", {"occlusion": (0.35, 0.6)}),
    "full_occlusion": Challenge("disappears behind wide things", {"occlusion": (1.0, 1.0)}),
    "scale": Challenge("approaches and recedes", {"scale_change": (2.2, 2.8)}),
    "fast": Challenge(
        "fast target, jerky camera",
        {"speed": (2.2, 3.0), "shake": (2.0, 3.5), "exposure": (0.3, 0.6)},
    ),
    "blur": Challenge(
        "long exposure", {"exposure": (0.9, 1.0), "shake": (3.0, 4.5), "speed": (1.3, 1.8)}
    ),
    "noise": Challenge("high gain", {"rgb_noise": (16, 26), "ir_noise": (0.8, 1.4)}),
    "night": Challenge("little visible light", {"night": (0.86, 0.94), "rgb_noise": (5, 8)}),
    "camouflage": Challenge("has the colours of its surroundings", {"camouflage": (0.85, 0.95)}),
    "crossover": Challenge("has the surroundings' temperature", {"crossover": (0.93, 0.99)}),
    "fog": Challenge("dense fog", {"fog": (1.6, 2.4)}),
    "drift": Challenge("uncorrected thermal flat field", {"drift": (5, 9), "ir_noise": (0.2, 0.4)}),
    "rgb_failure": Challenge("the visible camera fails for a while", fails=("rgb",)),
    "ir_failure": Challenge("the thermal camera fails for a while", fails=("ir",)),
    "alternating": Challenge(
        "the cameras fail in turn", fails=("rgb", "ir", "rgb", "ir"), splits=("test",)
    ),
    "night_twins": Challenge(
        "distractors at night, where only temperature differs",
        {"night": (0.7, 0.82), "distractors": (2, 3), "rgb_noise": (5, 8)},
        twins="rgb", splits=("test",),
    ),
    "crossover_twins": Challenge(
        "thermal crossover among people of other colours",
        {"crossover": (0.85, 0.95), "distractors": (2, 3)},
        twins="ir", splits=("test",),
    ),
}  # fmt: skip


def challenge_names(split: str = "train") -> tuple[str, ...]:
    """Names in `CHALLENGES` that occur in ``split``."""
    if split not in SPLITS:
        raise ValueError(f"split is one of {SPLITS}, got {split!r}")
    return tuple(name for name, challenge in CHALLENGES.items() if split in challenge.splits)


def random_spec(
    seed: int,
    *,
    length: int = 120,
    size: tuple[int, int] = (320, 240),
    split: str = "train",
    challenge: str | Sequence[str] | None = None,
    look: str | None = None,
    target: str | None = None,
) -> SequenceSpec:
    """Draw a random spec.

    Args:
        seed: the same seed and arguments give the same spec.
        length: number of frames.
        size: (width, height) in pixels.
        split: "train" or "test".
        challenge: a name in `CHALLENGES`, several to combine, or None for one to three at random.
        look: a look of the split, or None for any.
        target: a kind of target, or None for any that fits the look.

    Raises:
        UserError: a name does not exist, or not in this split.
    """
    check_choice("split", split, SPLITS)
    names = challenge_names(split)
    rng = generator(seed, "spec", split)
    if challenge is None:
        picked = tuple(str(n) for n in rng.choice(names, rng.integers(1, 4), replace=False))
    else:
        picked = (challenge,) if isinstance(challenge, str) else tuple(challenge)
    for name in picked:
        check_choice(f"challenge of split {split}", name, names)
    looks = [n for n, place in LOOKS.items() if place.split == split]
    if look is not None:
        check_choice(f"look of split {split}", look, looks)
    elif target is not None:
        kinds = dict.fromkeys(kind for n in looks for kind in LOOKS[n].targets)
        check_choice(f"target of split {split}", target, kinds)
        looks = [n for n in looks if target in LOOKS[n].targets]
    look = look or str(rng.choice(looks))
    if target is not None:
        check_choice(f"target of look {look}", target, LOOKS[look].targets)
    target = target or str(rng.choice(LOOKS[look].targets))

    values: dict = {
        "scale_change": rng.uniform(1.2, 1.7),
        "shake": rng.uniform(0.2, 1.0),
        "rgb_noise": rng.uniform(1.5, 3.5),
        "ir_noise": rng.uniform(0.05, 0.15),
        "drift": rng.uniform(0.0, 0.8),
    }
    fails: list[str] = []
    for name in picked:
        chosen = CHALLENGES[name]
        for key, (low, high) in chosen.ranges.items():
            if key == "distractors":
                values[key] = int(rng.integers(int(low), int(high) + 1))
            else:
                values[key] = float(rng.uniform(low, high))
        if chosen.twins:
            values["twins"] = chosen.twins
        fails += chosen.fails
    return SequenceSpec(
        seed=seed,
        length=length,
        size=(size[0], size[1]),
        look=look,
        target=target,
        challenges=picked,
        failures=place_failures(rng, fails, split),
        **values,
    )


def place_failures(
    rng: np.random.Generator, fails: list[str], split: str
) -> tuple[SensorFailure, ...]:
    """Consecutive failures, so that one modality is always available."""
    if not fails:
        return ()
    slot = 0.8 / len(fails)
    failures = []
    for i, modality in enumerate(fails):
        start = 0.15 + slot * i + rng.uniform(0.0, 0.2) * slot
        stop = start + rng.uniform(0.55, 0.75) * slot
        mode = str(rng.choice(FAILURE_MODES[modality, split]))
        failures.append(SensorFailure(modality, mode, round(start, 4), round(stop, 4)))
    return tuple(failures)


def check_choice(what: str, name: str, names: Iterable[str]) -> None:
    """Check that a name is known."""
    names = list(names)
    if name not in names:
        raise UserError(f"unknown {what}: {name!r}; choose from {', '.join(names)}")
