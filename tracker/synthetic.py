"""Procedural RGBT sequences: seeded, endless, with exact boxes and known challenges.

Everything is drawn from geometry and noise; no picture is read. A pinhole camera at height ``h``
with focal length ``f`` (pixels) and an upright image plane sees the world point (X right, Y up,
Z away, metres) at

    u = f (X - Xc) / Z,        v = f (h - Y) / Z,

the horizon at ``v = 0``; pan, zoom, roll and shake are one affine map from (u, v) to the frame.
With this projection a sideways step ``Xc`` of the camera moves an upright plane at depth Z by
``-f Xc / Z`` and shears the ground by ``-v Xc / h``, so that every static layer is painted once and
then moved by an affine warp, with true parallax.

A picture has four channels, red, green, blue and temperature, and is painted in one go: the two
modalities are registered by construction and differ in what they show. Each then passes a camera of
its own (exposure, glow and noise; optics, gain control, lag, fixed pattern and drift).

A sequence is a `SequenceSpec`, drawn by `random_spec` from named `CHALLENGES`:

    spec = random_spec(seed=3, challenge="night")
    for rgb, ir, box, visible in render(spec):
        ...

`write_dataset` writes a set in the layout of the VOT toolkit. The splits "train" and "test" share
no place, and differ in kinds of target, in challenges and in the ways a camera fails.
"""

import dataclasses
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from fusion.errors import UserError
from fusion.files import make_folder, whole_file
from fusion.images import tile, write_image

__all__ = [
    "CHALLENGES",
    "FAILURE_MODES",
    "LOOKS",
    "SPLITS",
    "Challenge",
    "Failure",
    "Frame",
    "Look",
    "SequenceSpec",
    "challenge_names",
    "contact_sheet",
    "dataset_specs",
    "random_spec",
    "render",
    "render_still",
    "silhouettes",
    "write_dataset",
    "write_sequence",
]

SPLITS = ("train", "test")

# --------------------------------------------------------------------------------------------------
# What a sequence is
# --------------------------------------------------------------------------------------------------

#: Ways a camera fails, by modality and split. "dark": the exposure collapses. "blank": one constant
#: value. "washout": all contrast gone, noise stays. "frozen": the last good frame again and again.
#: "glare": light into the lens. "stripes": a read-out fault.
FAILURE_MODES = {
    ("rgb", "train"): ("dark", "blank"),
    ("ir", "train"): ("washout", "blank"),
    ("rgb", "test"): ("glare", "frozen"),
    ("ir", "test"): ("stripes", "frozen"),
}


@dataclass(frozen=True)
class Failure:
    """One modality fails in one stretch.

    Attributes:
        modality: "rgb" or "ir".
        mode: one of `FAILURE_MODES`.
        start: first failing frame as a fraction of the length, above 0: the first frame is good.
        stop: end of the stretch (exclusive), as a fraction.
    """

    modality: str
    mode: str
    start: float
    stop: float

    def __post_init__(self):
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
    """All that decides a sequence. Equal specs render byte-identical frames.

    Attributes:
        seed: of everything not named here: colours, paths, textures, noise.
        length: frames.
        size: (width, height) in pixels, at least 64 each.
        look: the place, a key of `LOOKS`.
        target: kind of target, one of the look's.
        challenges: names of the presets it was drawn from; for the record.
        distractors: moving look-alikes that cross the target.
        twins: what they share with it: "both", "rgb" (same paint, other heat) or "ir" (reverse).
        occlusion: share of the target hidden at the peak of each planned occlusion; 0 for none.
        scale_change: largest over smallest apparent size of the target, at least 1.
        speed: multiple of the usual speed of its kind.
        shake: standard deviation of the hand-held camera, in pixels at width 320.
        exposure: share of the frame time the visible shutter is open; blur follows motion.
        rgb_noise: standard deviation in grey levels.
        ir_noise: noise equivalent temperature difference in kelvin.
        night: 0 day to 1 no ambient light.
        fog: optical depth of 10 m of air for visible light; a third of it for thermal.
        camouflage: share of the target's visible contrast to its surroundings that is lost.
        crossover: share of its thermal contrast that is lost.
        drift: flat-field error of the thermal camera in kelvin, growing over the sequence.
        failures: stretches in which a modality fails.
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
    failures: tuple[Failure, ...] = ()

    def __post_init__(self):
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
        """The spec as one line of JSON, the record kept beside written frames."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


class Frame(NamedTuple):
    """One rendered moment.

    Attributes:
        rgb: visible image, HxWx3 uint8, RGB.
        ir: thermal image, HxW uint8, white hot.
        box: (x, y, w, h) of the target's whole silhouette, hidden and out-of-frame parts included.
        visible: share of the silhouette that is in the frame and not behind something, whatever
            the light, the temperature and the state of the cameras; 0 to 1.
    """

    rgb: np.ndarray
    ir: np.ndarray
    box: tuple[float, float, float, float]
    visible: float


@dataclass(frozen=True)
class Look:
    """A kind of place.

    Attributes:
        split: the split it belongs to.
        ground: name of the ground painter.
        backdrop: name of the backdrop painter.
        backdrop_z: its distance in metres.
        props: static objects that stand between the ground in use and the backdrop.
        targets: kinds of target that fit.
        land: nearest and farthest distance of what walks, rides or drives, in metres.
        water: the same of what floats.
        air: range of air temperatures in degrees Celsius.
        indoor: no sky, no sun.
        height: of the camera, in metres.
    """

    split: str
    ground: str
    backdrop: str
    backdrop_z: float
    props: tuple[str, ...]
    targets: tuple[str, ...]
    land: tuple[float, float]
    air: tuple[float, float]
    water: tuple[float, float] = (0.0, 0.0)
    indoor: bool = False
    height: float = 2.4


LOOKS = {
    "street": Look(
        "train", "street", "facades", 27, ("tree", "lamp", "car", "sign"),
        ("person", "cyclist", "dog", "car"), (6, 19), (4, 30),
    ),
    "park": Look(
        "train", "lawn", "treeline", 40, ("tree", "bush", "lamp", "conifer"),
        ("person", "cyclist", "dog", "drone"), (6, 18), (2, 27),
    ),
    "hall": Look(
        "train", "tiles", "wall", 21, ("pillar", "bin", "sign"),
        ("person", "dog", "drone"), (5, 15), (16, 23), indoor=True,
    ),
    "lake": Look(
        "train", "quay", "hills", 90, ("bollard", "lamp"),
        ("person", "cyclist", "dog", "drone"), (5, 10), (6, 24), water=(14, 26), height=2.8,
    ),
    "snow": Look(
        "test", "snow", "mountains", 70, ("conifer", "rock"),
        ("person", "deer", "bird"), (6, 18), (-6, 4),
    ),
    "desert": Look(
        "test", "sand", "dunes", 80, ("rock", "bush", "palm"),
        ("person", "van", "deer", "bird"), (7, 20), (16, 34),
    ),
    "warehouse": Look(
        "test", "concrete", "shelves", 22, ("crate", "pillar", "bin"),
        ("person", "cyclist", "van"), (6, 16), (12, 24), indoor=True, height=3.2,
    ),
    "harbour": Look(
        "test", "quay", "containers", 60, ("bollard", "crate", "lamp"),
        ("person", "boat", "bird", "van"), (6, 12), (4, 24), water=(15, 26), height=3.4,
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Challenge:
    """A named difficulty: which parameters of `SequenceSpec` it draws, and from where.

    Attributes:
        about: what is hard, in one line.
        ranges: parameter to (low, high), drawn uniformly; integers stay integers, inclusive.
        twins: value of `SequenceSpec.twins`.
        fails: modalities that fail, one after another.
        splits: where it occurs.
    """

    about: str
    ranges: dict[str, tuple[float, float]] = dataclasses.field(default_factory=dict)
    twins: str | None = None
    fails: tuple[str, ...] = ()
    splits: tuple[str, ...] = SPLITS


CHALLENGES = {
    "plain": Challenge("daylight, nothing in the way"),
    "distractors": Challenge(
        "look-alikes in both modalities cross the target", {"distractors": (2, 4)}, twins="both"
    ),
    "rgb_twins": Challenge(
        "same colours, other temperature; only the thermal image tells them apart",
        {"distractors": (2, 3)}, twins="rgb",
    ),
    "ir_twins": Challenge(
        "same temperature, other colours; only the visible image tells them apart",
        {"distractors": (2, 4)}, twins="ir",
    ),
    "occlusion": Challenge("passes behind narrow or low things", {"occlusion": (0.35, 0.6)}),
    "full_occlusion": Challenge("disappears behind wide things", {"occlusion": (1.0, 1.0)}),
    "scale": Challenge("comes near and goes away", {"scale_change": (2.2, 2.8)}),
    "fast": Challenge(
        "fast target, jerky camera",
        {"speed": (2.2, 3.0), "shake": (2.0, 3.5), "exposure": (0.3, 0.6)},
    ),
    "blur": Challenge(
        "long exposure", {"exposure": (0.9, 1.0), "shake": (3.0, 4.5), "speed": (1.3, 1.8)}
    ),
    "noise": Challenge("high gain", {"rgb_noise": (16, 26), "ir_noise": (0.8, 1.4)}),
    "night": Challenge("little visible light", {"night": (0.86, 0.94), "rgb_noise": (5, 8)}),
    "camouflage": Challenge("wears the colours of the place", {"camouflage": (0.85, 0.95)}),
    "crossover": Challenge("target at the temperature of the place", {"crossover": (0.93, 0.99)}),
    "fog": Challenge("thick air", {"fog": (1.6, 2.4)}),
    "drift": Challenge("uncorrected thermal flat field", {"drift": (5, 9), "ir_noise": (0.2, 0.4)}),
    "rgb_failure": Challenge("the visible camera fails for a stretch", fails=("rgb",)),
    "ir_failure": Challenge("the thermal camera fails for a stretch", fails=("ir",)),
    "alternating": Challenge(
        "the cameras fail in turn", fails=("rgb", "ir", "rgb", "ir"), splits=("test",)
    ),
    "night_twins": Challenge(
        "look-alikes by night, where only temperature differs",
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
    """Draw a sequence.

    Args:
        seed: same seed and arguments, same spec.
        length: frames.
        size: (width, height) in pixels.
        split: "train" or "test".
        challenge: a name in `CHALLENGES`, several to combine, or None for one to three at random.
        look: a place of the split, or None for any.
        target: a kind of target, or None for any that fits the look.

    Raises:
        UserError: a name that does not exist, or not in this split.
    """
    _check_choice("split", split, SPLITS)
    names = challenge_names(split)
    rng = _rng(seed, "spec", split)
    if challenge is None:
        picked = tuple(str(n) for n in rng.choice(names, rng.integers(1, 4), replace=False))
    else:
        picked = (challenge,) if isinstance(challenge, str) else tuple(challenge)
    for name in picked:
        _check_choice(f"challenge of split {split}", name, names)
    looks = [n for n, place in LOOKS.items() if place.split == split]
    if look is not None:
        _check_choice(f"look of split {split}", look, looks)
    elif target is not None:
        kinds = dict.fromkeys(kind for n in looks for kind in LOOKS[n].targets)
        _check_choice(f"target of split {split}", target, kinds)
        looks = [n for n in looks if target in LOOKS[n].targets]
    look = look or str(rng.choice(looks))
    if target is not None:
        _check_choice(f"target of look {look}", target, LOOKS[look].targets)
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
                values[key] = int(rng.integers(low, high + 1))
            else:
                values[key] = float(rng.uniform(low, high))
        if chosen.twins:
            values["twins"] = chosen.twins
        fails += chosen.fails
    return SequenceSpec(
        seed=seed,
        length=length,
        size=tuple(size),
        look=look,
        target=target,
        challenges=picked,
        failures=_place_failures(rng, fails, split),
        **values,
    )


def _place_failures(rng: np.random.Generator, fails: list[str], split: str) -> tuple[Failure, ...]:
    """Stretches one after another, so that one modality is always left."""
    if not fails:
        return ()
    slot = 0.8 / len(fails)
    failures = []
    for i, modality in enumerate(fails):
        start = 0.15 + slot * i + rng.uniform(0.0, 0.2) * slot
        stop = start + rng.uniform(0.55, 0.75) * slot
        mode = str(rng.choice(FAILURE_MODES[modality, split]))
        failures.append(Failure(modality, mode, round(start, 4), round(stop, 4)))
    return tuple(failures)


def _check_choice(what: str, name: str, names: Iterable[str]) -> None:
    names = list(names)
    if name not in names:
        raise UserError(f"no {what} called {name!r}; choose from {', '.join(names)}")


def _rng(seed: int, *purpose: str | int) -> np.random.Generator:
    """A generator of its own for each purpose: drawing more of one thing changes no other."""
    words = [int(seed) & 0xFFFFFFFFFFFFFFFF]
    for word in purpose:
        words.append(int.from_bytes(word.encode(), "little") if isinstance(word, str) else word)
    return np.random.default_rng(words)


# --------------------------------------------------------------------------------------------------
# Paint: colours, temperatures, noise
# --------------------------------------------------------------------------------------------------

_KELVIN = 4.0  # levels of the temperature channel a kelvin
_COLDEST = -15.0  # degrees Celsius at level 0, so that level 255 is 48.75


def _level(celsius):
    """Temperature channel of a temperature."""
    return (np.asarray(celsius) - _COLDEST) * _KELVIN


def _paint(colour, celsius) -> np.ndarray:
    """A four-channel paint of a colour (0-255) and a temperature."""
    return np.array([*colour, _level(celsius)], np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, int], grain: float, octaves: int = 4):
    """Fractal noise of about unit deviation; ``grain`` is its largest structure in pixels."""
    height, width = shape
    total = np.zeros(shape, np.float32)
    amplitude, norm = 1.0, 0.0
    for _ in range(octaves):
        rows, columns = (max(2, round(n / grain) + 2) for n in shape)
        grid = rng.standard_normal((min(rows, height), min(columns, width)), np.float32)
        total += amplitude * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        norm += amplitude**2
        amplitude *= 0.6
        grain /= 2.1
        if grain < 1:
            break
    return total * (1.4 / math.sqrt(norm))


def _ridge(rng: np.random.Generator, width: int, grain: float, octaves: int = 5) -> np.ndarray:
    """One row of fractal noise: a skyline."""
    return _noise(rng, (2, width), grain, octaves)[0]


def _mix(a, b, share):
    return a + (b - a) * share


def _put(rgbt: np.ndarray, mask: np.ndarray, paint) -> None:
    """Lay ``paint`` over ``rgbt`` where ``mask`` (0-1) says, in place."""
    rgbt += (paint - rgbt) * mask[..., None]


# --------------------------------------------------------------------------------------------------
# Places: light, ground, backdrop and props
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Place:
    """What all painters of one scene share: geometry, weather and light.

    Lengths are metres, except the focal length ``f`` in frame pixels. ``sun`` is 0 (none) to 1,
    ``sun_side`` -1 (left) or 1. ``lamps`` rows are X, Z, radius and strength.
    """

    look: Look
    f: float
    air: float
    sun: float
    sun_side: float
    night: float
    fog: float
    haze: np.ndarray
    sky: tuple[np.ndarray, np.ndarray]
    ambient: np.ndarray
    lamps: np.ndarray

    def light(self, x, z) -> np.ndarray:
        """Visible light at a point of the ground, (..., 3) or (3,), 1 for full daylight."""
        if not len(self.lamps):
            return self.ambient
        warm = np.array([1.0, 0.86, 0.62], np.float32)
        x, z = np.asarray(x, np.float32), np.asarray(z, np.float32)
        pool = np.zeros(np.broadcast(x, z).shape, np.float32)
        for lamp_x, lamp_z, radius, strength in self.lamps:
            d2 = ((x - lamp_x) ** 2 + (z - lamp_z) ** 2) / radius**2
            pool += strength / (1 + d2) ** 2
        return self.ambient + pool[..., None] * warm

    def clear(self, z) -> tuple[np.ndarray, np.ndarray]:
        """Transmission of the air up to distance z: visible and thermal."""
        depth = np.asarray(z, np.float32) * (self.fog / 10.0)
        return np.exp(-depth), np.exp(-depth / 3.0)

    def shine(self, rgbt: np.ndarray, x, z, glow: np.ndarray | None = None) -> np.ndarray:
        """Light, glow and haze applied to paint at ground position (x, z); in place."""
        rgbt[..., :3] *= self.light(x, z)
        if glow is not None and self.night > 0:
            rgbt[..., :3] += glow * self.night
        if self.fog == 0:
            return rgbt
        visible, thermal = self.clear(z)
        rgbt[..., :3] += (self.haze - rgbt[..., :3]) * (1 - visible)[..., None]
        rgbt[..., 3] += (_level(self.air) - rgbt[..., 3]) * (1 - thermal)
        return rgbt


def _make_place(spec: SequenceSpec) -> _Place:
    look = LOOKS[spec.look]
    rng = _rng(spec.seed, "place")
    f = 0.9 * spec.size[0]
    air = rng.uniform(*look.air)
    skies = (
        ((96, 140, 196), (196, 212, 226), (1.0, 1.0, 0.98), 1.0),  # clear
        ((150, 160, 172), (206, 208, 208), (0.9, 0.91, 0.93), 0.1),  # overcast
        ((112, 128, 170), (236, 196, 150), (1.0, 0.9, 0.76), 0.7),  # evening
    )
    top, bottom, tint, sun = skies[rng.integers(len(skies))]
    if look.indoor:
        top = bottom = (90, 90, 88)
        tint, sun = (0.96, 0.95, 0.9), 0.0
    night = spec.night
    sun *= 1 - min(1.0, night / 0.35)
    blue = np.array([0.72, 0.84, 1.15], np.float32)
    ambient = np.array(tint, np.float32) * (1 - night) * _mix(1.0, blue, min(1.0, 1.2 * night))
    lamps = []
    if night > 0 and (look.indoor or "lamp" in look.props):
        for x in np.arange(-24, 25, 12.0) + rng.uniform(-4, 4):
            z = rng.uniform(look.land[1] * 0.7, look.land[1] + 3)
            lamps.append((x + rng.uniform(-2, 2), z, rng.uniform(2.2, 3.6), 0.6 * night))
    elif look.indoor:
        for x in np.arange(-20, 21, 8.0) + rng.uniform(-3, 3):
            for z in (6.0, 12.0, 18.0):
                lamps.append((x, z, 3.5, 0.22))
    shade = np.float32((1 - night) ** 1.3)
    haze = (np.array(bottom, np.float32) * 0.55 + 88) * max(0.06, 1 - night)
    return _Place(
        look=look,
        f=f,
        air=air,
        sun=sun,
        sun_side=float(rng.choice((-1, 1))),
        night=night,
        fog=spec.fog,
        haze=haze.astype(np.float32),
        sky=(np.array(top, np.float32) * shade, np.array(bottom, np.float32) * shade),
        ambient=ambient,
        lamps=np.array(lamps, np.float32).reshape(-1, 4),
    )


@dataclass(frozen=True)
class _Plate:
    """A painted layer and how it moves.

    Attributes:
        rgbt: premultiplied uint8 (h, w, 4).
        alpha: uint8 (h, w), or None where the plate is opaque and fills the frame.
        origin: (u, v) of its pixel (0, 0) with the camera at Xc = 0.
        scale: plate pixels a unit of (u, v).
        shift: change of u for one metre of Xc.
        shear: the same, times v.
        z: distance, for the order of drawing.
    """

    rgbt: np.ndarray
    alpha: np.ndarray | None
    origin: tuple[float, float]
    scale: float
    shift: float
    shear: float
    z: float

    def matrix(self, camera_x: float) -> np.ndarray:
        """3x3: plate pixels to (u, v)."""
        (u, v), s = self.origin, 1.0 / self.scale
        shear, shift = self.shear * camera_x, self.shift * camera_x
        return np.array([[s, shear * s, u + shift + shear * v], [0, s, v], [0, 0, 1]])


def _plate(rgbt, alpha, origin, scale, shift, shear, z) -> _Plate:
    if alpha is None:
        ready = np.clip(rgbt + 0.5, 0, 255).astype(np.uint8)
    else:
        ready = np.clip(rgbt * alpha[..., None] + 0.5, 0, 255).astype(np.uint8)
        alpha = np.clip(alpha * 255 + 0.5, 0, 255).astype(np.uint8)
    return _Plate(ready, alpha, origin, scale, shift, shear, z)


_PLATE_SCALE = 1.2  # plate pixels a frame pixel, for zooming in a little
_PLATE_REACH = 1.75  # half width of what is painted, in frame widths


def _stripe(d, half, foot):
    """Coverage of the band |d| < half by a pixel of size ``foot``."""
    return np.clip((half - np.abs(d)) / np.maximum(foot, 1e-3) + 0.5, 0, 1)


def _comb(x, period, half, foot):
    """Coverage of lines of half width ``half`` every ``period``."""
    d = np.abs((x / period + 0.5) % 1.0 - 0.5) * period
    faded = np.clip(1.5 - foot / period, 0, 1)
    return _stripe(d, half, foot) * faded


class _Ground:
    """World coordinates of every pixel of the ground plate, and textures to paint it with."""

    def __init__(self, place: _Place, size: tuple[int, int], rng: np.random.Generator):
        width, height = size
        k = _PLATE_SCALE
        self.place, self.rng = place, rng
        self.v0 = place.f * place.look.height / place.look.backdrop_z
        rows = int((1.45 * height - self.v0) * k)
        columns = int(2 * _PLATE_REACH * width * k)
        v = (self.v0 + (np.arange(rows, dtype=np.float32) + 0.5) / k)[:, None]
        u = ((np.arange(columns, dtype=np.float32) + 0.5) / k - _PLATE_REACH * width)[None]
        self.z = np.broadcast_to(place.f * place.look.height / v, (rows, columns))
        self.x = np.ascontiguousarray(u * self.z / place.f)
        self.foot_x = self.z / (place.f * k)
        self.foot_z = self.z**2 / (place.f * place.look.height * k)
        self.shape = (rows, columns)
        self._turn = rng.uniform(-0.5, 0.5)

    def texture(self, grain: float, stretch: float = 1.0) -> np.ndarray:
        """Noise fixed to the ground with structures of ``grain`` metres, fading where too fine."""
        tile = _noise(self.rng, (256, 256), 24.0, 4)
        c, s = math.cos(self._turn), math.sin(self._turn)
        step = 24.0 / grain
        mx = ((c * self.x + s * self.z) * np.float32(step / stretch) + 64).astype(np.float32)
        my = ((c * self.z - s * self.x) * np.float32(step) + 64).astype(np.float32)
        sampled = cv2.remap(tile, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return sampled / (1 + (self.foot_z / (0.5 * grain)) ** 2)

    def grit(self, strength: float) -> np.ndarray:
        """The finest texture, two pixels in size near the camera and fading away from it."""
        near = np.clip(1.5 - self.z / 16, 0.15, 1)
        return strength * near * _noise(self.rng, self.shape, 3.2, 2)

    def paint(self, colour, celsius) -> np.ndarray:
        """The whole plate in one paint."""
        return np.broadcast_to(_paint(colour, celsius), (*self.shape, 4)).copy()


def _ground_street(g: _Ground) -> np.ndarray:
    air, sun, rng = g.place.air, g.place.sun, g.rng
    near, far = g.place.look.land
    kerb, far_kerb = near + rng.uniform(0.5, 2.0), far - rng.uniform(1.0, 2.5)
    rough, fine, patches = g.texture(2.5), g.texture(0.25), g.texture(9.0)
    grey = rng.uniform(82, 108)
    out = g.paint((grey, grey, grey + 3), air + 2.5 + 7 * sun)
    tone = 6 * rough + 7 * fine + 7 * patches + g.grit(4)
    worn = np.clip(patches * 3 - 2.2, 0, 1)
    out[..., :3] += (tone - 20 * worn)[..., None]
    out[..., 3] += _KELVIN * (0.5 * patches + 0.25 * rough)
    walk = np.clip((kerb - g.z) / g.foot_z + 0.5, 0, 1)
    walk = np.maximum(walk, np.clip((g.z - far_kerb) / g.foot_z + 0.5, 0, 1))
    joints = np.maximum(_comb(g.x, 1.5, 0.03, g.foot_x), _comb(g.z, 1.5, 0.03, g.foot_z) * walk)
    slab = g.paint((158, 152, 142), air + 1.5 + 6 * sun)
    slab[..., :3] += (5 * fine + 8 * rough - 34 * joints)[..., None]
    slab[..., 3] += _KELVIN * (0.4 * rough - 0.8 * joints)
    _put(out, walk, slab)
    edge = np.maximum(_stripe(g.z - kerb, 0.14, g.foot_z), _stripe(g.z - far_kerb, 0.14, g.foot_z))
    _put(out, edge, _paint((186, 184, 178), air + 1 + 4 * sun))
    middle = (kerb + far_kerb) / 2
    dashes = _stripe((g.x + 1) % 5.0 - 2.5, 1.4, g.foot_x)
    white = _paint((226, 224, 214), air + 1.5 + 4 * sun)
    _put(out, _stripe(g.z - middle, 0.1, g.foot_z) * dashes * 0.85, white)
    at = rng.uniform(-9, 9)
    bars = _comb(g.z, 1.1, 0.28, g.foot_z) * _stripe(g.x - at, 1.7, g.foot_x)
    _put(out, bars * (1 - walk) * 0.8, white)
    return out


def _ground_lawn(g: _Ground) -> np.ndarray:
    air, sun, rng = g.place.air, g.place.sun, g.rng
    rough, fine, patches = g.texture(1.6), g.texture(0.22), g.texture(7.0)
    dry = rng.uniform(0, 1)
    out = g.paint((84 + 50 * dry, 112 + 12 * dry, 54 + 18 * dry), air - 1 + 2.5 * sun)
    out[..., :3] += (7 * rough + 12 * fine + g.grit(11))[..., None] + patches[..., None] * (
        13.0,
        5.0,
        1.0,
    )
    out[..., 3] += _KELVIN * (0.8 * patches + 0.5 * rough)
    bend = 1.6 * np.sin(g.x / rng.uniform(5, 9) + rng.uniform(0, 6)) + rng.uniform(9, 13)
    path = _stripe(g.z - bend - 0.3 * rough, rng.uniform(0.8, 1.5), g.foot_z + 0.3)
    gravel = g.paint((172, 158, 130), air + 2 + 6 * sun)
    gravel[..., :3] += (9 * fine + 6 * rough + g.grit(8))[..., None]
    _put(out, path, gravel)
    return out


def _ground_tiles(g: _Ground) -> np.ndarray:
    air, rng = g.place.air, g.rng
    fine, patches = g.texture(0.3), g.texture(4.0)
    warm = rng.uniform(-14, 14)
    base = rng.uniform(128, 170)
    out = g.paint((base + warm, base, base - warm), air + 0.5)
    period = rng.choice((0.8, 1.2, 1.6))
    checks = np.sign(np.sin(np.pi * g.x / period) * np.sin(np.pi * g.z / period))
    checks = checks / (1 + (g.foot_z / 0.35) ** 2) * rng.uniform(0, 12)
    joints = np.maximum(_comb(g.x, period, 0.02, g.foot_x), _comb(g.z, period, 0.02, g.foot_z))
    shine = 24 * np.exp(-(((g.x / g.z - rng.uniform(-0.6, 0.6)) / 0.12) ** 2))
    shine += 20 * np.exp(-(((g.x / g.z - rng.uniform(-0.6, 0.6)) / 0.2) ** 2))
    out[..., :3] += (checks + 4 * fine + 5 * patches - 30 * joints + shine)[..., None]
    # A polished floor mirrors the warm and cool things above it, blurred.
    out[..., 3] += _KELVIN * (0.5 * patches + 0.02 * shine)
    return out


def _ground_quay(g: _Ground) -> np.ndarray:
    air, sun, rng = g.place.air, g.place.sun, g.rng
    edge = g.place.look.land[1] + 1.0
    rough, fine = g.texture(1.8), g.texture(0.25)
    stone = g.paint((150, 142, 128), air + 1.5 + 6 * sun)
    joints = np.maximum(_comb(g.x, 2.2, 0.03, g.foot_x), _comb(g.z, 1.1, 0.03, g.foot_z))
    stone[..., :3] += (9 * rough + 8 * fine + g.grit(5) - 36 * joints)[..., None]
    stone[..., 3] += _KELVIN * (0.5 * rough - 0.6 * joints)
    curb = _stripe(g.z - edge + 0.3, 0.3, g.foot_z)
    _put(stone, curb, _paint((188, 182, 170), air + 1 + 5 * sun))
    # Ripples have about one size on the picture, since far ones are foreshortened more.
    ripples = cv2.resize(
        _noise(rng, (g.shape[0], g.shape[1] // 6), 9, 3),
        g.shape[::-1],
        interpolation=cv2.INTER_CUBIC,
    )
    swell = g.texture(6.0, 3.0)
    top, bottom = g.place.sky[0], g.place.sky[1]
    day = 1 / max(0.05, 1 - g.place.night) ** 1.3
    mirror = np.clip((g.z - edge) / 40, 0, 1)[..., None]
    colour = _mix(top * 0.62 * day + 10, bottom * 0.8 * day, mirror)
    water = np.empty((*g.shape, 4), np.float32)
    water[..., :3] = np.minimum(colour, 190) + (9 * ripples + 6 * swell)[..., None]
    water[..., 3] = _level(air - 3) + _KELVIN * (0.35 * ripples + 0.3 * swell)
    _put(stone, np.clip((g.z - edge) / g.foot_z + 0.5, 0, 1), water)
    return stone


def _ground_snow(g: _Ground) -> np.ndarray:
    air, sun = g.place.air, g.place.sun
    rough, drifts, fine = g.texture(2.2, 2.0), g.texture(8.0, 2.5), g.texture(0.3)
    out = g.paint((206, 212, 222), air - 2)
    relief = 7 * rough + 9 * drifts + 3 * fine + g.grit(2.5)
    out[..., :3] += relief[..., None] * (1.0, 0.9, 0.7)
    out[..., 3] += _KELVIN * (0.7 * drifts + 0.4 * rough + sun)
    for _ in range(3):
        slope, at = g.rng.uniform(-0.25, 0.25), g.rng.uniform(7, 17)
        track = _comb(g.x, 0.7, 0.12, g.foot_x) * _stripe(g.z - at - slope * g.x, 0.16, g.foot_z)
        _put(out, 0.7 * track, _paint((158, 168, 186), air - 3))
    return out


def _ground_sand(g: _Ground) -> np.ndarray:
    air, sun = g.place.air, g.place.sun
    rough, dunes, fine = g.texture(1.5, 3.0), g.texture(10.0), g.texture(0.25)
    out = g.paint((198, 168, 122), air + 3 + 10 * sun)
    waves = np.sin(g.z * 5 + 2.2 * dunes + rough) / (1 + (g.foot_z / 0.25) ** 2)
    out[..., :3] += (7 * rough + 9 * dunes + 5 * fine + 6 * waves + g.grit(6))[..., None]
    out[..., 3] += _KELVIN * (1.0 * dunes + 0.5 * rough + 0.5 * waves)
    return out


def _ground_concrete(g: _Ground) -> np.ndarray:
    air, rng = g.place.air, g.rng
    rough, fine, stains = g.texture(2.5), g.texture(0.3), g.texture(5.0)
    out = g.paint((124, 124, 120), air - 0.5)
    spill = np.clip(stains * 2.5 - 1.8, 0, 1)
    joints = np.maximum(_comb(g.x, 5.0, 0.03, g.foot_x), _comb(g.z, 5.0, 0.03, g.foot_z))
    out[..., :3] += (6 * rough + 5 * fine + g.grit(3) - 28 * spill - 26 * joints)[..., None]
    out[..., 3] += _KELVIN * (0.5 * stains + 0.3 * rough)
    yellow = _paint((206, 170, 52), air - 0.3)
    for at in (rng.uniform(6, 8), rng.uniform(13, 16)):
        _put(out, 0.85 * _stripe(g.z - at, 0.09, g.foot_z), yellow)
    for at in rng.uniform(-14, 14, 2):
        _put(out, 0.85 * _stripe(g.x - at, 0.09, g.foot_x), yellow)
    return out


_GROUNDS = {
    "street": _ground_street,
    "lawn": _ground_lawn,
    "tiles": _ground_tiles,
    "quay": _ground_quay,
    "snow": _ground_snow,
    "sand": _ground_sand,
    "concrete": _ground_concrete,
}


class _Backdrop:
    """The upright picture behind the ground: sky and whatever closes the view."""

    def __init__(self, place: _Place, size: tuple[int, int], rng: np.random.Generator):
        width, height = size
        k = _PLATE_SCALE
        self.place, self.rng = place, rng
        z = place.look.backdrop_z
        self.metre = k * place.f / z  # plate pixels
        self.v_top = -1.5 * height
        base = place.f * place.look.height / z
        self.base = int((base - self.v_top) * k)  # row of the ground
        self.horizon = int(-self.v_top * k)
        self.shape = (self.base + 4, int(2 * _PLATE_REACH * width * k))
        self.unit = height * k / 240  # pixels that look alike at every frame size
        self.rgbt = np.empty((*self.shape, 4), np.float32)
        self.glow = np.zeros((*self.shape, 3), np.float32)
        self.air_share = np.zeros(self.shape, np.float32)  # 1 where there is sky

    def sky(self) -> None:
        """Gradient and clouds; the clear sky is cold, clouds and the horizon are less so."""
        top, bottom = self.place.sky
        rows = np.linspace(-0.25, 1, self.shape[0], dtype=np.float32).clip(0, 1)[:, None] ** 1.5
        self.rgbt[..., :3] = (top + (bottom - top) * rows[..., None])[:, None].reshape(-1, 1, 3)
        cold = self.place.air - self.rng.uniform(14, 24)
        self.rgbt[..., 3] = _level(cold + (self.place.air - 6 - cold) * rows**2)
        clouds = _noise(self.rng, self.shape, 150 * self.unit, 5)
        clouds = cv2.resize(clouds, self.shape[::-1])
        cover = np.clip((clouds + self.rng.uniform(-0.9, 0.5)) * 0.8, 0, 1)
        lit = np.minimum(bottom * 1.12 + 12 * (1 - self.place.night), 250)
        shade = 1 - 0.14 * np.clip(clouds - 0.6, 0, 1)
        self.rgbt[..., :3] += (lit * shade[..., None] - self.rgbt[..., :3]) * (0.75 * cover)[
            ..., None
        ]
        self.rgbt[..., 3] += (_level(self.place.air - 7) - self.rgbt[..., 3]) * 0.7 * cover
        self.air_share[:] = 1
        self.open_sky = self.rgbt.copy()

    def fill(self, rows: slice, columns: slice, paint) -> None:
        """A rectangle of paint."""
        self.rgbt[rows, columns] = paint
        self.air_share[rows, columns] = 0
        self.glow[rows, columns] = 0

    def below(self, line: np.ndarray, paint, soft: float = 1.0) -> np.ndarray:
        """Paint below a row for each column; returns the mask."""
        rows = np.arange(self.shape[0], dtype=np.float32)[:, None]
        mask = np.clip((rows - line[None]) / soft + 0.5, 0, 1)
        _put(self.rgbt, mask, paint)
        self.air_share *= 1 - mask
        return mask

    def row(self, metres_up: float) -> int:
        """Row of a height above the ground."""
        return int(self.base - metres_up * self.metre)


def _backdrop_facades(b: _Backdrop) -> None:
    b.sky()
    rng, air, sun, m = b.rng, b.place.air, b.place.sun, b.metre
    walls = (
        (176, 112, 88), (196, 182, 156), (150, 146, 142), (206, 196, 176), (140, 92, 78),
        (122, 130, 138), (188, 160, 122), (164, 172, 176),
    )  # fmt: skip
    grain, stain = _noise(rng, b.shape, 4, 2), _noise(rng, b.shape, 60 * b.unit, 4)
    left = 0
    while left < b.shape[1]:
        right = min(b.shape[1], left + int(m * rng.uniform(6, 14)))
        floors = int(rng.integers(2, 6))
        storey = rng.uniform(2.9, 3.5)
        top = b.row(floors * storey + 0.8)
        colour = np.array(walls[rng.integers(len(walls))]) + rng.uniform(-12, 12)
        warm = air + rng.uniform(0.5, 2.5) + rng.uniform(2, 6) * sun
        b.fill(slice(max(0, top), b.base + 4), slice(left, right), _paint(colour, warm))
        area = (slice(max(0, top), b.base + 4), slice(left, right))
        b.rgbt[area][..., :3] += (4 * grain[area] + 7 * stain[area])[..., None]
        b.rgbt[area][..., 3] += _KELVIN * 0.6 * stain[area]
        cornice = slice(max(0, top), max(0, top) + max(2, int(0.35 * m)))
        b.fill(cornice, slice(left, right), _paint(colour * 0.72, warm - 1))
        pitch, wide, tall = rng.uniform(2.0, 2.8), rng.uniform(0.9, 1.4), rng.uniform(1.3, 1.8)
        frame = _paint(_mix(colour, 235, 0.55), warm - 0.5)
        for floor in range(floors):
            shop = floor == 0 and rng.random() < 0.6
            sill = b.row(floor * storey + (0.4 if shop else 1.0))
            head = b.row(floor * storey + (2.5 if shop else 1.0 + tall))
            if sill - head < 3 or sill < 0:
                continue
            step = m * (pitch * 1.7 if shop else pitch)
            w = int(m * (wide * 2.2 if shop else wide))
            for x in np.arange(left + 0.3 * step, right - w - 2, step).astype(int):
                glass = _paint(
                    rng.uniform(34, 74) * np.array([0.9, 1.0, 1.15]), air - rng.uniform(0, 4)
                )
                lit = rng.random() < (0.5 if shop else 0.25)
                if lit:
                    glass[3] += _KELVIN * rng.uniform(1, 5)
                y0, y1 = max(0, head), sill
                b.fill(slice(max(0, y0 - 1), y1 + 2), slice(x - 1, x + w + 1), frame)
                b.fill(slice(y0, y1), slice(x, x + w), glass)
                bright = np.linspace(30, 0, y1 - y0, dtype=np.float32)[:, None, None]
                b.rgbt[y0:y1, x : x + w, :3] += bright * (1 - b.place.night)
                b.fill(slice(y0, y1), slice(x + w // 2, x + w // 2 + 1), frame)
                if lit:
                    b.glow[y0:y1, x : x + w] = np.array([225, 180, 104]) * rng.uniform(0.3, 0.75)
        if rng.random() < 0.7:  # a machine on the wall, or a door
            x = left + int(rng.uniform(0.1, 0.8) * (right - left))
            b.fill(
                slice(b.row(2.2), b.base + 4), slice(x, x + int(m)), _paint((70, 54, 44), warm + 1)
            )
        left = right


def _foliage(b: _Backdrop, line: np.ndarray, colour, celsius: float) -> None:
    """Leaves below a ragged line: dark gaps, lit tops, nearly one temperature."""
    rng, u = b.rng, b.unit
    clumps, leaves = _noise(rng, b.shape, 24 * u, 3), _noise(rng, b.shape, 3.5 * u, 2)
    ragged = line + 1.5 * u * _ridge(rng, b.shape[1], 5 * u, 2)
    paint = np.empty_like(b.rgbt)
    rows = np.arange(b.shape[0], dtype=np.float32)[:, None]
    lit = np.clip(1.12 - (rows - ragged[None]) / (110 * u), 0.55, 1.15)
    tone = lit * (1 + 0.15 * clumps + 0.2 * leaves)
    paint[..., :3] = np.asarray(colour, np.float32) * tone[..., None]
    paint[..., 3] = _level(celsius) + _KELVIN * (0.7 * clumps + 0.35 * leaves)
    b.below(ragged, paint, 1.5)


def _backdrop_treeline(b: _Backdrop) -> None:
    b.sky()
    rng, m, air = b.rng, b.metre, b.place.air
    autumn = rng.uniform(0, 1) ** 2
    for height, depth, shift in ((11, 0.45, 0.0), (7, 0.2, 0.6), (3.2, 0.0, 1.0)):
        line = b.row(height) + 1.6 * m * _ridge(rng, b.shape[1], (30 + 40 * depth) * b.unit, 3)
        green = _mix(
            np.array([58.0, 84, 44]), np.array([128.0, 92, 44]), autumn * rng.uniform(0.2, 1)
        )
        _foliage(b, line, _mix(green, np.array([150.0, 164, 172]), depth), air - 1 + shift)


def _backdrop_wall(b: _Backdrop) -> None:
    rng, m, air = b.rng, b.metre, b.place.air
    tint = np.array([rng.uniform(168, 204), rng.uniform(168, 196), rng.uniform(150, 190)])
    b.fill(slice(None), slice(None), _paint(tint, air + 0.5))
    shade = _noise(rng, b.shape, 90 * b.unit, 3)
    b.rgbt[..., :3] += (5 * shade)[..., None]
    b.rgbt[..., 3] += _KELVIN * 0.35 * shade
    ceiling = b.row(4.6)
    b.fill(slice(0, max(0, ceiling)), slice(None), _paint((120, 120, 118), air + 2))
    beams = np.arange(0, max(0, ceiling), max(6, int(14 * b.unit)))
    for y in beams:
        b.fill(slice(y, y + 2), slice(None), _paint((92, 92, 92), air + 2))
    for x in np.arange(rng.uniform(0, 4) * m, b.shape[1], 5 * m).astype(int):  # lights
        y = b.row(4.9)
        area = (slice(max(0, y), max(0, y) + max(2, int(0.2 * m))), slice(x, x + int(1.8 * m)))
        b.fill(*area, _paint((250, 248, 236), air + 9))
        b.glow[area] = (255, 246, 220)
    b.fill(slice(b.row(1.1), b.base + 4), slice(None), _paint(tint * 0.8, air + 0.3))
    b.fill(slice(b.row(0.15), b.base + 4), slice(None), _paint((72, 66, 60), air))
    x = int(rng.uniform(0, 3) * m)
    vivid = ((188, 52, 46), (40, 92, 160), (222, 178, 44), (52, 128, 84), (120, 60, 130))
    while x < b.shape[1] - 4 * m:
        kind = rng.choice(("door", "poster", "window", "radiator", "plain"))
        w = int(m * {"door": 1.1, "poster": 1.6, "window": 3.0, "radiator": 1.8, "plain": 1}[kind])
        across = slice(x, x + w)
        if kind == "door":
            b.fill(
                slice(b.row(2.3), b.base + 4), slice(x - 2, x + w + 2), _paint((210, 208, 200), air)
            )
            b.fill(slice(b.row(2.2), b.base + 4), across, _paint((112, 80, 54), air - 0.3))
        elif kind == "poster":
            colour = np.array(vivid[rng.integers(len(vivid))])
            b.fill(slice(b.row(2.9), b.row(1.5)), across, _paint(colour, air + 0.4))
            for y in range(b.row(2.6), b.row(1.7), max(3, int(0.25 * m))):
                b.fill(
                    slice(y, y + 1),
                    slice(x + 3, x + w - 3),
                    _paint(_mix(colour, 255, 0.7), air + 0.4),
                )
        elif kind == "window":
            b.fill(slice(b.row(3.5), b.row(1.2)), across, _paint((226, 228, 226), air - 1))
            day = max(0.08, 1 - b.place.night)
            for half in (slice(x + 2, x + w // 2 - 1), slice(x + w // 2 + 1, x + w - 2)):
                sky = _paint(np.array([168, 196, 220]) * day, air - 5)
                b.fill(slice(b.row(3.4), b.row(1.3)), half, sky)
        elif kind == "radiator":
            b.fill(slice(b.row(0.95), b.row(0.2)), across, _paint((222, 220, 214), air + 11))
            for c in range(x, x + w, max(3, int(0.12 * m))):
                b.fill(
                    slice(b.row(0.95), b.row(0.2)),
                    slice(c, c + 1),
                    _paint((176, 174, 170), air + 8),
                )
        x += w + int(m * rng.uniform(0.8, 2.4))


def _backdrop_hills(b: _Backdrop) -> None:
    b.sky()
    rng, m, air = b.rng, b.metre, b.place.air
    haze = b.place.sky[1] / max(0.05, (1 - b.place.night) ** 1.3)
    for height, share, grain in ((24, 0.62, 260), (14, 0.35, 170)):
        line = b.row(height) + 5 * m * _ridge(rng, b.shape[1], grain * b.unit)
        colour = _mix(np.array([70.0, 88, 74]), haze, share)
        b.below(line, _paint(np.minimum(colour, 225), air - 3), 1.5)
    line = b.row(5) + 1.6 * m * _ridge(rng, b.shape[1], 40 * b.unit)
    _foliage(b, line, (74, 92, 62), air - 1)
    for _ in range(7):  # houses on the far shore
        x, w = int(rng.uniform(0, b.shape[1])), int(m * rng.uniform(5, 9))
        wall = slice(b.row(rng.uniform(3, 4.5)), b.base - int(0.5 * m))
        b.fill(wall, slice(x, x + w), _paint((212, 204, 190), air + 2 + 5 * b.place.sun))
        roof = slice(wall.start - int(1.4 * m), wall.start)
        b.fill(
            roof, slice(max(0, x - 2), x + w + 2), _paint((150, 78, 58), air + 1 + 7 * b.place.sun)
        )
        for c in range(x + 3, x + w - 4, max(5, int(1.6 * m))):
            pane = (slice(wall.start + int(0.9 * m), wall.start + int(1.9 * m)), slice(c, c + 3))
            b.fill(*pane, _paint((66, 72, 82), air + 3))
            b.glow[pane] = np.array([235, 190, 110]) * rng.uniform(0, 0.9)


def _backdrop_mountains(b: _Backdrop) -> None:
    b.sky()
    rng, m, air = b.rng, b.metre, b.place.air
    for height, rough, share in ((30, 9, 0.35), (17, 6, 0.12)):
        line = b.row(height) + rough * m * _ridge(rng, b.shape[1], 230 * b.unit, 6)
        slope = _noise(rng, b.shape, 60 * b.unit, 5)
        rows = np.arange(b.shape[0], dtype=np.float32)[:, None]
        snow = np.clip((line[None] + 16 * m - rows) / (9 * m) + 0.6 * slope, 0, 1)
        rock = _mix(np.array([96.0, 98, 108]), np.array([182.0, 194, 210]), share)
        paint = np.empty_like(b.rgbt)
        paint[..., :3] = rock + (np.array([226.0, 232, 240]) - rock) * snow[..., None]
        paint[..., :3] += (9 * slope)[..., None]
        paint[..., 3] = _level(air - 1) + _KELVIN * (0.9 * slope - 4 * snow)
        b.below(line, paint, 1.5)
    line = b.row(5.0) + 1.8 * m * _ridge(rng, b.shape[1], 12 * b.unit, 3)
    _foliage(b, line, (62, 78, 70), air - 0.5)


def _backdrop_dunes(b: _Backdrop) -> None:
    b.sky()
    rng, m, air, sun = b.rng, b.metre, b.place.air, b.place.sun
    for height, share in ((15, 0.55), (8, 0.3), (3, 0.0)):
        line = b.row(height) + 3.5 * m * _ridge(rng, b.shape[1], 260 * b.unit, 4)
        relief = _noise(rng, b.shape, 110 * b.unit, 4)
        paint = np.empty_like(b.rgbt)
        paint[..., :3] = _mix(np.array([200.0, 164, 114]), np.array([216.0, 202, 182]), share)
        paint[..., :3] += (11 * relief)[..., None]
        paint[..., 3] = _level(air + 2 + 8 * sun) + _KELVIN * 1.6 * relief
        b.below(line, paint, 2.0)


def _boxes(b: _Backdrop, bottom: float, tall: float, colours, celsius: float) -> None:
    """A row of boxes of one height on a shelf or on each other."""
    rng, m = b.rng, b.metre
    x = int(rng.uniform(0, 1) * m)
    while x < b.shape[1]:
        w = max(4, int(m * rng.uniform(0.7, 1.4) * tall))
        if rng.random() < 0.88:
            colour = np.array(colours[rng.integers(len(colours))]) + rng.uniform(-14, 14)
            top = b.row(bottom + tall * rng.uniform(0.75, 1.0))
            warm = celsius + rng.uniform(-1.2, 1.8)
            b.fill(slice(max(0, top), b.row(bottom)), slice(x, x + w), _paint(colour, warm))
            edge = _paint(colour * 0.68, warm)
            b.fill(slice(max(0, top), b.row(bottom)), slice(x + w - 1, x + w), edge)
            label = slice(x + w // 4, x + w // 2)
            b.fill(
                slice(top + 2, top + 2 + max(1, int(0.2 * m))),
                label,
                _paint(_mix(colour, 250, 0.6), warm),
            )
        x += w + int(rng.uniform(0.05, 0.5) * m)


def _backdrop_shelves(b: _Backdrop) -> None:
    rng, m, air = b.rng, b.metre, b.place.air
    b.fill(slice(None), slice(None), _paint((98, 102, 104), air + 2))
    shade = _noise(rng, b.shape, 60 * b.unit, 3)
    b.rgbt[..., :3] += (6 * shade)[..., None]
    b.rgbt[..., 3] += _KELVIN * 0.5 * shade
    cardboard = ((176, 138, 96), (196, 160, 116), (150, 118, 84), (120, 132, 150), (170, 170, 164))
    for level in range(4):
        _boxes(b, 0.15 + 1.9 * level, 1.6, cardboard, air + 0.5 * level)
        beam = slice(b.row(0.15 + 1.9 * level), b.row(0.15 + 1.9 * level) + max(2, int(0.14 * m)))
        b.fill(beam, slice(None), _paint((206, 104, 34), air + 0.5))
    for x in np.arange(rng.uniform(0, 2) * m, b.shape[1], 2.9 * m).astype(int):
        b.fill(
            slice(b.row(8), b.base + 4),
            slice(x, x + max(2, int(0.12 * m))),
            _paint((44, 74, 128), air),
        )
    for x in np.arange(0, b.shape[1], 6 * m).astype(int):
        area = (slice(max(0, b.row(9.4)), max(2, b.row(9.1))), slice(x, x + int(2 * m)))
        b.fill(*area, _paint((250, 250, 244), air + 10))
        b.glow[area] = (250, 250, 236)


def _backdrop_containers(b: _Backdrop) -> None:
    b.sky()
    rng, m, air, sun = b.rng, b.metre, b.place.air, b.place.sun
    steel = _paint((196, 88, 52), air + 1)
    for x in rng.uniform(0, b.shape[1], 4).astype(int):  # cranes
        for leg in (0, int(7 * m)):
            b.fill(
                slice(max(0, b.row(24)), b.base),
                slice(x + leg, x + leg + max(2, int(0.7 * m))),
                steel,
            )
        b.fill(
            slice(b.row(24), b.row(22.8)), slice(max(0, x - int(12 * m)), x + int(14 * m)), steel
        )
    colours = (
        (168, 62, 48),
        (52, 96, 146),
        (60, 118, 86),
        (198, 148, 52),
        (146, 146, 142),
        (104, 70, 60),
    )
    for level in range(3):
        _boxes(b, 1.2 + 2.6 * level, 2.6, colours, air + 1 + 5 * sun)
    ribs = _comb(np.arange(b.shape[1], dtype=np.float32)[None], 4.0, 0.8, 1.0) * (1 - b.air_share)
    b.rgbt[..., :3] -= (14 * ribs)[..., None]
    b.fill(slice(b.row(1.2), b.base + 4), slice(None), _paint((92, 90, 86), air + 1 + 2 * sun))


_BACKDROPS = {
    "facades": _backdrop_facades,
    "treeline": _backdrop_treeline,
    "wall": _backdrop_wall,
    "hills": _backdrop_hills,
    "mountains": _backdrop_mountains,
    "dunes": _backdrop_dunes,
    "shelves": _backdrop_shelves,
    "containers": _backdrop_containers,
}


class _Sketch:
    """An upright thing, drawn in metres: x from its middle, y up from its foot."""

    _FINE = 3  # drawn this much larger, then averaged

    def __init__(
        self, place: _Place, rng: np.random.Generator, z: float, width: float, height: float
    ):
        self.place, self.rng, self.z = place, rng, z
        self.width, self.height = width, height
        self.scale = place.f * _PLATE_SCALE / z
        self._metre = self.scale * self._FINE
        shape = (max(4, int(height * self._metre)), max(4, int(width * self._metre)))
        self.rgbt = np.zeros((*shape, 4), np.float32)
        self.cover = np.zeros(shape, np.uint8)
        self.glow = np.zeros((*shape, 3), np.float32)

    def _pixels(self, points) -> np.ndarray:
        p = np.asarray(points, np.float32)
        x = (p[:, 0] + self.width / 2) * self._metre
        return np.stack([x, self.rgbt.shape[0] - p[:, 1] * self._metre], 1).astype(np.int32)

    def poly(self, points, paint, glow=None) -> None:
        """A filled polygon."""
        pixels = self._pixels(points)
        cv2.fillPoly(self.rgbt, [pixels], [float(c) for c in paint])
        cv2.fillPoly(self.cover, [pixels], 255)
        if glow is not None:
            cv2.fillPoly(self.glow, [pixels], [float(c) for c in glow])

    def rect(self, x0, y0, x1, y1, paint, glow=None) -> None:
        """A filled rectangle."""
        self.poly(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), paint, glow)

    def blob(self, x, y, rx, ry, paint, turn: float = 0.0) -> None:
        """A filled ellipse."""
        centre = tuple(int(v) for v in self._pixels([(x, y)])[0])
        axes = (max(1, int(rx * self._metre)), max(1, int(ry * self._metre)))
        cv2.ellipse(self.rgbt, centre, axes, turn, 0, 360, [float(c) for c in paint], -1)
        cv2.ellipse(self.cover, centre, axes, turn, 0, 360, 255, -1)

    def leaves(self, x, y, rx, ry, colour, celsius, count: int = 130) -> None:
        """A crown: leaf clumps in an ellipse, dark below and lit above, drawn back to front."""
        rng = self.rng
        angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
        px, py = np.cos(angle) * reach, np.sin(angle) * reach
        light = 0.78 + 0.26 * py + 0.1 * px * self.place.sun_side + rng.normal(0, 0.12, count)
        for i in np.argsort(-reach + rng.normal(0, 0.25, count)):
            size = rng.uniform(0.1, 0.2) * min(rx, ry)
            paint = _paint(
                np.asarray(colour) * light[i], celsius + rng.normal(0, 0.5) - 0.3 * py[i]
            )
            self.blob(x + px[i] * rx, y + py[i] * ry, size * 1.25, size, paint, rng.uniform(0, 180))

    def rough(self, colour: float, kelvin: float, grain: float = 0.25) -> None:
        """Noise over everything drawn so far: grey levels and kelvin, structures in metres."""
        noise = _noise(self.rng, self.cover.shape, max(2.0, grain * self._metre), 3)
        self.rgbt[..., :3] += (colour * noise)[..., None]
        self.rgbt[..., 3] += _KELVIN * kelvin * noise

    def plate(self, x: float, foot: float = 0.0) -> _Plate:
        """The finished layer, standing with its middle at world x."""
        shape = (self.rgbt.shape[1] // self._FINE, self.rgbt.shape[0] // self._FINE)
        alpha = self.cover.astype(np.float32) / 255
        small = cv2.resize(alpha, shape, interpolation=cv2.INTER_AREA)
        solid = np.maximum(small, 1e-3)[..., None]
        rgbt = cv2.resize(self.rgbt * alpha[..., None], shape, interpolation=cv2.INTER_AREA) / solid
        glow = cv2.resize(self.glow, shape, interpolation=cv2.INTER_AREA)
        place = self.place
        place.shine(rgbt, np.float32(x), np.float32(self.z), glow)
        u = place.f * (x - self.width / 2) / self.z
        v = place.f * (place.look.height - foot - self.height) / self.z
        return _plate(rgbt, small, (u, v), _PLATE_SCALE, -place.f / self.z, 0.0, self.z)


def _prop_tree(place, rng, z):
    s = _Sketch(place, rng, z, 4.8, 6.6)
    lean = rng.uniform(-0.2, 0.2)
    bark = _paint((84, 66, 50), place.air + 0.8)
    s.poly(((-0.2, 0), (0.2, 0), (0.1 + lean, 3.4), (-0.1 + lean, 3.4)), bark)
    s.poly(((0, 1.9), (0.14, 1.9), (1.0, 3.4), (0.9, 3.5)), bark)
    s.rough(12, 0.4, 0.15)
    green = _mix(np.array([86.0, 116, 56]), np.array([160.0, 112, 48]), rng.uniform(0, 1) ** 3)
    for _ in range(3):
        x, y = rng.uniform(-0.8, 0.8) + lean, rng.uniform(3.6, 4.8)
        s.leaves(x, y, rng.uniform(1.1, 1.6), rng.uniform(0.9, 1.4), green, place.air - 0.8, 90)
    return s


def _prop_conifer(place, rng, z):
    s = _Sketch(place, rng, z, 3.2, 7.0)
    s.rect(-0.12, 0, 0.12, 1.2, _paint((74, 58, 46), place.air + 0.5))
    frost = np.clip((5 - place.air) / 8, 0, 0.55)
    for y in np.arange(0.7, 6.6, 0.28):
        half = 1.45 * (1 - y / 7.0)
        for x in np.arange(-half, half, 0.24):
            green = _mix(
                np.array([44.0, 70, 50]), np.array([214.0, 222, 230]), frost * rng.random()
            )
            tone = rng.uniform(0.75, 1.15) * (1 + 0.12 * place.sun_side * x / max(half, 0.1))
            tip = (x + rng.uniform(-0.1, 0.3), y - rng.uniform(0.15, 0.35))
            paint = _paint(green * tone, place.air - 0.6 + rng.normal(0, 0.4))
            s.poly(((x, y + 0.3), tip, (x + 0.3, y)), paint)
    return s


def _prop_palm(place, rng, z):
    s = _Sketch(place, rng, z, 4.4, 6.4)
    s.poly(((-0.17, 0), (0.17, 0), (0.3, 5), (0.08, 5)), _paint((126, 104, 78), place.air + 2))
    s.rough(12, 0.5, 0.12)
    for a in np.linspace(-0.3, math.pi + 0.3, 15):
        bow = rng.uniform(1.4, 2.0)
        x, y = 0.19 + bow * math.cos(a), 5 + 0.75 * bow * math.sin(a) - 0.2
        paint = _paint(np.array([88, 112, 58]) * rng.uniform(0.75, 1.15), place.air)
        mid = (0.19 + 0.55 * (x - 0.19), 5.25 + 0.6 * (y - 5))
        s.poly(((0.19, 5), mid, (x, y - 0.35), (mid[0], mid[1] - 0.3)), paint)
    return s


def _prop_bush(place, rng, z):
    s = _Sketch(place, rng, z, 2.6, 1.7)
    green = np.array([92.0, 112, 62]) * rng.uniform(0.8, 1.1)
    s.leaves(0, 0.65, 1.1, 0.75, green, place.air - 0.5, 120)
    return s


def _prop_rock(place, rng, z):
    s = _Sketch(place, rng, z, 3.0, 1.6)
    angle = np.sort(rng.uniform(0, math.pi, 9))
    points = np.stack([1.3 * np.cos(angle), rng.uniform(0.8, 1.4, 9) * np.sin(angle)], 1)
    warm = place.air + 1 + 7 * place.sun
    s.poly([(-1.3, 0), *points[::-1], (1.3, 0)], _paint((136, 124, 112), warm))
    side = [(p[0] * 0.8 + 0.25 * place.sun_side, p[1] * 0.8) for p in points[::-1]]
    s.poly(side, _paint((166, 154, 140), warm + 1.5))
    s.rough(11, 0.8, 0.3)
    return s


def _prop_lamp(place, rng, z):
    s = _Sketch(place, rng, z, 1.6, 5.4)
    grey = _paint((92, 94, 98), place.air + 1)
    s.rect(-0.07, 0, 0.07, 5.2, grey)
    s.rect(-0.05, 5.1, 0.7, 5.22, grey)
    s.rect(0.35, 4.98, 0.75, 5.14, _paint((224, 220, 204), place.air + 4), glow=(700, 600, 420))
    return s


def _prop_sign(place, rng, z):
    s = _Sketch(place, rng, z, 1.0, 2.8)
    colours = ((40, 80, 170), (196, 40, 40), (230, 190, 40), (40, 130, 80))
    s.rect(-0.05, 0, 0.05, 2.6, _paint((130, 132, 136), place.air + 1))
    s.rect(-0.42, 1.9, 0.42, 2.7, _paint((236, 236, 232), place.air + 1.5))
    s.rect(-0.36, 1.96, 0.36, 2.64, _paint(colours[rng.integers(4)], place.air + 1.5))
    return s


def _prop_pillar(place, rng, z):
    s = _Sketch(place, rng, z, 1.0, 7.5)
    shade = rng.uniform(150, 196)
    for i, x in enumerate(np.linspace(-0.4, 0.32, 10)):
        tone = shade * (0.72 + 0.36 * math.sin(math.pi * (i + 1.2) / 11))
        s.rect(x, 0, x + 0.09, 7.5, _paint((tone, tone, tone * 0.96), place.air + 0.3))
    s.rect(-0.46, 0, 0.46, 0.25, _paint((84, 82, 80), place.air))
    s.rough(4, 0.3, 0.6)
    return s


def _prop_bin(place, rng, z):
    s = _Sketch(place, rng, z, 0.9, 1.2)
    colour = np.array([(60, 96, 70), (66, 70, 80), (150, 120, 50)][rng.integers(3)])
    s.poly(((-0.3, 0), (0.3, 0), (0.36, 1), (-0.36, 1)), _paint(colour, place.air + 0.5))
    s.rect(-0.4, 0.98, 0.4, 1.1, _paint(colour * 0.7, place.air + 0.5))
    s.rough(6, 0.3)
    return s


def _prop_crate(place, rng, z):
    s = _Sketch(place, rng, z, 2.6, 2.6)
    for x, y, w in ((-1.15, 0, 1.15), (0.05, 0, 1.1), (-0.6, 1.1, 1.2)):
        tone = rng.uniform(0.85, 1.1)
        warm = place.air + rng.uniform(-1, 1.5) + 3 * place.sun
        s.rect(x, y, x + w, y + 1.08, _paint(np.array([162, 126, 84]) * tone, warm))
        for k in range(4):
            s.rect(x, y + 0.27 * k, x + w, y + 0.27 * k + 0.03, _paint((98, 74, 50), warm - 0.5))
    s.rough(6, 0.3)
    return s


def _prop_bollard(place, rng, z):
    s = _Sketch(place, rng, z, 0.8, 0.9)
    s.poly(((-0.22, 0), (0.22, 0), (0.14, 0.5), (-0.14, 0.5)), _paint((60, 60, 64), place.air + 2))
    s.blob(0, 0.6, 0.28, 0.16, _paint((80, 80, 84), place.air + 2.5))
    return s


def _prop_car(place, rng, z):
    s = _Sketch(place, rng, z, 4.6, 1.7)
    colour = np.array(_CAR_COLOURS[rng.integers(len(_CAR_COLOURS))], np.float32)
    warm = place.air + 1 + 6 * place.sun
    glass = _paint((48, 56, 64), place.air - 2)
    s.poly(((-2.1, 0.35), (2.1, 0.35), (2.15, 0.8), (1.2, 0.95), (-2.1, 1.0)), _paint(colour, warm))
    s.poly(((-1.7, 0.95), (1.2, 0.95), (0.5, 1.5), (-1.2, 1.5)), _paint(colour * 0.9, warm))
    s.poly(((-1.45, 0.98), (-0.3, 0.98), (-0.3, 1.42), (-1.1, 1.42)), glass)
    s.poly(((-0.2, 0.98), (0.95, 0.98), (0.42, 1.42), (-0.2, 1.42)), glass)
    for x in (-1.35, 1.35):
        s.blob(x, 0.33, 0.34, 0.34, _paint((30, 30, 32), place.air + 3))
        s.blob(x, 0.33, 0.18, 0.18, _paint((140, 142, 146), place.air + 2))
    s.rough(3, 0.3)
    return s


_PROPS = {
    "tree": _prop_tree,
    "conifer": _prop_conifer,
    "palm": _prop_palm,
    "bush": _prop_bush,
    "rock": _prop_rock,
    "lamp": _prop_lamp,
    "sign": _prop_sign,
    "pillar": _prop_pillar,
    "bin": _prop_bin,
    "crate": _prop_crate,
    "bollard": _prop_bollard,
    "car": _prop_car,
}


def _occluder(place: _Place, rng, z: float, width: float, height: float, wild: bool) -> _Sketch:
    """Something to pass behind that covers ``width`` by ``height``: leaves or a solid thing."""
    air, sun = place.air, place.sun
    if wild:
        s = _Sketch(place, rng, z, width * 1.5, height * 1.15)
        green = np.array([84.0, 108, 60]) * rng.uniform(0.7, 1.05)
        if place.look.air[1] < 10:
            green = _mix(green, np.array([150.0, 160, 164]), 0.4)
        inner = _paint(green * 0.5, air - 0.6)
        s.rect(-width / 2, 0, width / 2, height * 0.98, inner)
        size = min(width, height)
        for y in np.arange(0.15 * size, height, 0.3 * size):
            for x in np.arange(-width / 2, width / 2 + 0.01, max(0.3 * size, width / 4)):
                s.leaves(x, y, 0.32 * size, 0.3 * size, green, air - 0.6, 26)
        return s
    s = _Sketch(place, rng, z, width, height)
    walls = ((168, 150, 128), (120, 128, 134), (150, 84, 66), (86, 100, 112), (190, 186, 176))
    colour = np.array(walls[rng.integers(len(walls))]) * rng.uniform(0.85, 1.1)
    warm = air + rng.uniform(-0.5, 1.5) + rng.uniform(1, 5) * sun
    s.rect(-width / 2, 0, width / 2, height, _paint(colour, warm))
    if width > 0.8:
        step = width / round(width / 0.6 + 0.5)
        for x in np.arange(-width / 2, width / 2, step):
            s.rect(x, 0, x + 0.04, height, _paint(colour * 0.75, warm - 0.4))
        s.rect(-width / 2, height - 0.12, width / 2, height, _paint(colour * 0.62, warm + 0.5))
        if height > 1.4:
            poster = np.array(_VIVID[rng.integers(len(_VIVID))])
            y = 0.45 * height
            s.rect(-0.3 * width, y, 0.1 * width, y + 0.3 * height, _paint(poster, warm + 0.3))
    else:
        s.rect(-width / 2, 0, -width / 4, height, _paint(colour * 0.8, warm - 0.3))
    s.rough(6, 0.4, 0.3)
    return s


_VIVID = (
    (188, 52, 46),
    (40, 92, 160),
    (222, 178, 44),
    (52, 128, 84),
    (120, 60, 130),
    (224, 120, 40),
)
_CAR_COLOURS = (
    (178, 34, 32), (36, 62, 112), (206, 208, 210), (44, 46, 50), (120, 124, 128), (60, 92, 76),
    (196, 160, 60), (232, 232, 228), (92, 36, 40),
)  # fmt: skip


# --------------------------------------------------------------------------------------------------
# Actors: articulated bodies in three dimensions
# --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Individual:
    """How one individual looks: its paints (colour and temperature) by name, and its size."""

    paints: dict[str, np.ndarray]
    size: float


class _Body:
    """Parts of a body at one moment.

    A part is the hull of balls (points with radii) in one paint: a ball, a limb, a box, a disc.
    Body coordinates are metres: forward, left, up. `line` makes a closed thin tube instead.
    """

    def __init__(self):
        self.points: list[tuple[float, float, float]] = []
        self.radii: list[float] = []
        self.parts: list[tuple[int, int, str, bool, float]] = []

    def hull(self, paint: str, points, radius, bias: float = 0.0) -> None:
        """The convex hull of balls; ``bias`` (metres) moves it nearer in the order of drawing."""
        start = len(self.points)
        self.points.extend(points)
        self.radii.extend(radius if isinstance(radius, tuple) else (radius,) * len(points))
        self.parts.append((start, len(self.points), paint, False, bias))

    def ball(self, paint: str, point, radius: float, bias: float = 0.0) -> None:
        """One ball."""
        self.hull(paint, (point,), radius, bias)

    def line(self, paint: str, points, radius: float, bias: float = 0.0) -> None:
        """A closed tube through the points."""
        start = len(self.points)
        self.points.extend(points)
        self.radii.extend((radius,) * len(points))
        self.parts.append((start, len(self.points), paint, True, bias))


def _limb(root, lengths, angles, side: float):
    """Joints of a chain in a plane of constant ``side``; angles from straight down, forward > 0."""
    joints = [root]
    x, _, up = root
    for length, angle in zip(lengths, angles, strict=True):
        x, up = x + length * math.sin(angle), up - length * math.cos(angle)
        joints.append((x, side, up))
    return joints


def _pose_person(phase: float, pace: float, look: _Individual) -> _Body:
    b, h = _Body(), 1.74 * look.size
    swing = 0.5 * pace
    hips = []
    for s in (1, -1):
        p = phase if s > 0 else phase + math.pi
        thigh = swing * math.sin(p) + 0.04
        knee = 0.08 + (0.75 * max(0.0, math.cos(p)) ** 1.5) * pace
        hips.append((s, thigh, knee))
    # The lower of the two feet stands on the ground: this lifts and drops the hips at each step.
    up = max(0.255 * h * math.cos(t) + 0.235 * h * math.cos(t - k) for _, t, k in hips) + 0.035 * h
    for s, thigh, knee in hips:
        side = 0.052 * h * s
        hip, kn, ankle = _limb((0.0, side, up), (0.255 * h, 0.235 * h), (thigh, thigh - knee), side)
        b.hull("trousers", (hip, kn), (0.052 * h, 0.038 * h))
        b.hull("trousers", (kn, ankle), (0.037 * h, 0.026 * h))
        toe = (ankle[0] + 0.095 * h, side, ankle[2] - 0.012 * h)
        b.hull("shoes", (ankle, toe), (0.026 * h, 0.02 * h), 0.01)
    neck = (0.025 * h, 0.0, up + 0.305 * h)
    waist = (0.0, 0.0, up + 0.02 * h)
    chest = (0.012 * h, 0.0, up + 0.24 * h)
    b.hull(
        "top",
        ((0, 0.05 * h, waist[2]), (0, -0.05 * h, waist[2]), (chest[0], 0.075 * h, chest[2]),
         (chest[0], -0.075 * h, chest[2]), neck),
        (0.05 * h, 0.05 * h, 0.052 * h, 0.052 * h, 0.03 * h),
    )  # fmt: skip
    b.hull(
        "band", ((0.01 * h, 0.08 * h, up + 0.16 * h), (0.01 * h, -0.08 * h, up + 0.16 * h)),
        0.046 * h, 0.005,
    )  # fmt: skip
    if "bag" in look.paints:
        b.hull("bag", ((-0.085 * h, 0, up + 0.11 * h), (-0.085 * h, 0, up + 0.23 * h)), 0.058 * h)
    for s in (1, -1):
        p = phase + (math.pi if s > 0 else 0)
        arm = 0.75 * swing * math.sin(p)
        side = 0.125 * h * s
        shoulder = (0.012 * h, side, up + 0.262 * h)
        joints = _limb(shoulder, (0.165 * h, 0.14 * h), (arm, arm + 0.22 + 0.3 * pace), side)
        b.hull("sleeve", joints[:2], (0.034 * h, 0.027 * h), 0.02)
        b.hull("forearm", joints[1:], (0.025 * h, 0.019 * h), 0.02)
        b.ball("skin", joints[2], 0.024 * h, 0.02)
    head = (neck[0] + 0.012 * h, 0.0, neck[2] + 0.1 * h)
    b.hull("skin", (neck, head), (0.03 * h, 0.042 * h), -0.01)
    b.hull("skin", (head, (head[0] + 0.012 * h, 0, head[2] + 0.03 * h)), (0.05 * h, 0.047 * h))
    b.hull(
        "hair", ((head[0] - 0.014 * h, 0, head[2] + 0.03 * h), (head[0], 0, head[2] + 0.044 * h)),
        0.05 * h, -0.02,
    )  # fmt: skip
    return b


def _wheel(b: _Body, paint: str, x: float, side: float, up: float, radius: float, tube: float):
    around = np.linspace(0, 2 * np.pi, 15)[:-1]
    ring = [(x + radius * math.cos(a), side, up + radius * math.sin(a)) for a in around]
    b.line(paint, ring, tube)


def _pose_cyclist(phase: float, pace: float, look: _Individual) -> _Body:
    b, s = _Body(), look.size
    r = 0.335 * s
    for x in (-0.52 * s, 0.52 * s):
        _wheel(b, "tyre", x, 0.0, r + 0.02 * s, r, 0.022 * s)
        b.ball("metal", (x, 0, r), 0.04 * s)
    crank, seat, bar = (-0.05 * s, 0, 0.29 * s), (-0.2 * s, 0, 0.92 * s), (0.4 * s, 0, 0.98 * s)
    rear, front = (-0.52 * s, 0, r), (0.52 * s, 0, r)
    for a, c in (
        (rear, crank),
        (crank, seat),
        (rear, seat),
        (crank, bar),
        (seat, bar),
        (bar, front),
    ):
        b.hull("frame", (a, c), 0.022 * s)
    hip, shoulder = (-0.2 * s, 0, 1.0 * s), (0.13 * s, 0, 1.45 * s)
    for k in (1, -1):
        p = phase * 1.4 + (0 if k > 0 else math.pi)
        side = 0.1 * s * k
        foot = (crank[0] + 0.17 * s * math.cos(p), side, crank[2] - 0.17 * s * math.sin(p))
        dx, dz = foot[0] - hip[0], foot[2] - hip[2]
        reach = math.hypot(dx, dz)
        thigh = 0.44 * s
        bend = math.sqrt(max(0.0, thigh**2 - (reach / 2) ** 2))
        knee = (hip[0] + dx / 2 - dz / reach * bend, side, hip[2] + dz / 2 + dx / reach * bend)
        b.hull("trousers", ((hip[0], side, hip[2]), knee), (0.085 * s, 0.06 * s))
        b.hull("trousers", (knee, foot), (0.058 * s, 0.042 * s))
        b.hull("shoes", (foot, (foot[0] + 0.13 * s, side, foot[2] - 0.02 * s)), 0.042 * s)
        elbow = (0.27 * s, 0.2 * s * k, 1.17 * s)
        hand = (0.42 * s, 0.2 * s * k, 1.02 * s)
        b.hull(
            "sleeve",
            ((shoulder[0], 0.17 * s * k, shoulder[2]), elbow),
            (0.058 * s, 0.045 * s),
            0.02,
        )
        b.hull("forearm", (elbow, hand), (0.042 * s, 0.034 * s), 0.02)
    b.hull(
        "top",
        ((hip[0], 0.07 * s, hip[2]), (hip[0], -0.07 * s, hip[2]),
         (shoulder[0], 0.11 * s, shoulder[2]), (shoulder[0], -0.11 * s, shoulder[2])),
        0.1 * s,
    )  # fmt: skip
    head = (0.24 * s, 0, 1.68 * s)
    b.hull("skin", (shoulder, head), (0.05 * s, 0.075 * s))
    b.ball("skin", head, 0.09 * s)
    b.hull("helmet", ((0.2 * s, 0, 1.74 * s), (0.27 * s, 0, 1.75 * s)), 0.085 * s)
    return b


def _quadruped(
    phase: float, pace: float, s: float, tall: float, head_up: float, horned: bool
) -> _Body:
    b = _Body()
    long = 0.62 * s
    back = tall + 0.12 * s
    for x, offset in ((0.24 * s, 0.0), (-0.26 * s, 1.9)):
        for k in (1, -1):
            p = phase * 1.6 + offset + (0 if k > 0 else math.pi)
            angle = 0.5 * pace * math.sin(p)
            knee = 0.15 + 0.7 * pace * max(0.0, math.cos(p))
            bend = -knee if x > 0 else knee
            side = 0.075 * s * k
            joints = _limb(
                (x, side, back), (0.5 * back, 0.48 * back), (angle, angle - bend * 0.6), side
            )
            b.hull("coat", joints[:2], (0.085 * s, 0.045 * s))
            b.hull("leg", joints[1:], (0.04 * s, 0.03 * s))
    chest, rump = (0.26 * s, 0, back), (-0.28 * s, 0, back + 0.01 * s)
    b.hull("coat", (chest, rump), (0.155 * s, 0.135 * s))
    b.hull(
        "belly", ((0.15 * s, 0, back - 0.08 * s), (-0.15 * s, 0, back - 0.06 * s)), 0.1 * s, -0.01
    )
    nod = 0.02 * s * math.sin(phase * 2)
    head = (long - 0.08 * s, 0, back + head_up + nod)
    b.hull("coat", (chest, head), (0.11 * s, 0.075 * s))
    b.ball("coat", head, 0.095 * s)
    nose = (head[0] + 0.17 * s, 0, head[2] - 0.045 * s)
    b.hull("face", (head, nose), (0.07 * s, 0.04 * s), 0.005)
    for k in (1, -1):
        ear = (head[0] - 0.07 * s, 0.06 * s * k, head[2] + 0.14 * s)
        b.hull(
            "leg",
            ((head[0] - 0.03 * s, 0.05 * s * k, head[2] + 0.05 * s), ear),
            (0.035 * s, 0.015 * s),
        )
        if horned:
            tip = (head[0] - 0.1 * s, 0.16 * s * k, head[2] + 0.42 * s)
            fork = (head[0] + 0.12 * s, 0.14 * s * k, head[2] + 0.34 * s)
            root = (head[0], 0.04 * s * k, head[2] + 0.08 * s)
            mid = (head[0] - 0.06 * s, 0.12 * s * k, head[2] + 0.25 * s)
            for a, c in ((root, mid), (mid, tip), (mid, fork)):
                b.hull("horn", (a, c), 0.016 * s)
    wag = 0.08 * s * math.sin(phase * 2.3)
    tail = 0.06 * s if horned else 0.24 * s
    end = (-0.28 * s - 0.13 * s - tail * 0.4, wag, back + tail)
    b.hull("coat", ((-0.36 * s, 0, back + 0.06 * s), end), (0.04 * s, 0.022 * s))
    return b


def _pose_dog(phase: float, pace: float, look: _Individual) -> _Body:
    return _quadruped(phase, pace, 1.15 * look.size, 0.42 * look.size, 0.24 * look.size, False)


def _pose_deer(phase: float, pace: float, look: _Individual) -> _Body:
    return _quadruped(phase, pace, 1.5 * look.size, 0.8 * look.size, 0.52 * look.size, True)


def _box(b: _Body, paint: str, x0, x1, half, z0, z1, radius: float, inset=0.0, slant=0.0) -> None:
    """A box with rounded edges and its lit faces; the top may be narrower and slanted."""
    low = [(x, y, z0) for x in (x0, x1) for y in (-half, half)]
    top = [
        (x, y, z1)
        for x in (x0 + inset, x1 - inset - slant)
        for y in (-half + inset / 3, half - inset / 3)
    ]
    b.hull(paint, low + top, radius)
    b.hull(paint + "+", top, radius, 0.02)


def _vehicle(look: _Individual, van: bool) -> _Body:
    b, s = _Body(), look.size
    long, half = (2.5 * s, 0.95 * s) if van else (2.1 * s, 0.82 * s)
    r = 0.06 * s
    for x in (-0.62 * long, 0.62 * long):
        for k in (1, -1):
            around = np.linspace(0, 2 * np.pi, 11)[:-1]
            side = k * (half - 0.02 * s)
            ring = [
                (x + 0.3 * s * math.cos(a), side, 0.34 * s + 0.3 * s * math.sin(a)) for a in around
            ]
            b.hull("tyre", ring, 0.04 * s, 0.3)
            out = side + 0.05 * k * s
            hub = [
                (x + 0.14 * s * math.cos(a), out, (0.34 + 0.14 * math.sin(a)) * s)
                for a in around[::2]
            ]
            b.hull("hub", hub, 0.03 * s, 0.32)
    if van:
        _box(b, "body", -long, 0.62 * long, half, 0.42 * s, 2.15 * s, r)
        _box(b, "bonnet", 0.5 * long, long, half, 0.42 * s, 1.05 * s, r, 0.0, 0.1 * s)
        wind, roof = (0.62 * long, 1.15 * s), (0.45 * long, 2.05 * s)
        for k in (1, -1):
            side = k * (half + 0.03 * s)
            glass = [(0.3 * long, side, 1.3 * s), (0.6 * long, side, 1.3 * s),
                     (0.5 * long, side, 1.95 * s), (0.3 * long, side, 1.95 * s)]  # fmt: skip
            b.hull("glass", glass, 0.01, 0.12)
            b.hull(
                "stripe", [(-long, side, 0.95 * s), (0.25 * long, side, 0.95 * s)], 0.12 * s, 0.1
            )
    else:
        _box(b, "body", -long, 0.45 * long, half, 0.36 * s, 0.86 * s, r)
        _box(b, "bonnet", 0.38 * long, long, half, 0.36 * s, 0.8 * s, r)
        _box(
            b,
            "cabin",
            -0.72 * long,
            0.42 * long,
            half * 0.93,
            0.86 * s,
            1.4 * s,
            r,
            0.22 * s,
            0.3 * s,
        )
        wind, roof = (0.38 * long, 0.92 * s), (0.2 * long, 1.38 * s)
        for k in (1, -1):
            side, upper = k * (half * 0.93 + 0.04 * s), k * (half * 0.85 + 0.04 * s)
            for x0, x1, t0, t1 in ((-0.58, -0.12, -0.5, -0.12), (-0.06, 0.34, -0.06, 0.16)):
                glass = [(x0 * long, side, 0.93 * s), (x1 * long, side, 0.93 * s),
                         (t1 * long, upper, 1.36 * s), (t0 * long, upper, 1.36 * s)]  # fmt: skip
                b.hull("glass", glass, 0.01, 0.12)
    front = half * 0.8
    b.hull(
        "glass", [(wind[0] + 0.03, -front, wind[1]), (wind[0] + 0.03, front, wind[1]),
                  (roof[0], -front * 0.9, roof[1]), (roof[0], front * 0.9, roof[1])], 0.01, 0.1,
    )  # fmt: skip
    for k in (1, -1):
        b.ball("lamp", (long + 0.02, 0.68 * half * k, 0.64 * s), 0.1 * s, 0.15)
        b.ball("tail", (-long - 0.02, 0.75 * half * k, 0.72 * s), 0.09 * s, 0.15)
    b.ball("exhaust", (-long - 0.05, 0.4 * half, 0.33 * s), 0.07 * s, 0.1)
    return b


def _pose_car(phase: float, pace: float, look: _Individual) -> _Body:
    return _vehicle(look, van=False)


def _pose_van(phase: float, pace: float, look: _Individual) -> _Body:
    return _vehicle(look, van=True)


def _pose_boat(phase: float, pace: float, look: _Individual) -> _Body:
    b, s = _Body(), look.size
    rock = 0.05 * s * math.sin(phase * 0.8)
    deck = 0.75 * s + rock
    low = [(-2.3 * s, -0.6 * s, 0.05), (-2.3 * s, 0.6 * s, 0.05), (1.6 * s, 0.0, 0.05)]
    rim = [(-2.5 * s, -0.9 * s, deck), (-2.5 * s, 0.9 * s, deck), (1.0 * s, -0.85 * s, deck + 0.05),
           (1.0 * s, 0.85 * s, deck + 0.05), (2.7 * s, 0.0, deck + 0.25 * s)]  # fmt: skip
    b.hull("hull", low + rim, 0.04 * s)
    b.hull("deck", rim, 0.03 * s, 0.01)
    b.line("stripe", rim[:2] + [rim[3], rim[4], rim[2]], 0.05 * s, 0.4)
    _box(b, "cabin", -1.2 * s, 0.6 * s, 0.6 * s, deck, deck + 1.15 * s, 0.05 * s, 0.12 * s, 0.2 * s)
    for k in (1, -1):
        side = 0.62 * s * k
        glass = [(-0.9 * s, side, deck + 0.6 * s), (0.25 * s, side, deck + 0.6 * s),
                 (0.15 * s, side, deck + 0.98 * s), (-0.9 * s, side, deck + 0.98 * s)]  # fmt: skip
        b.hull("glass", glass, 0.02, 0.2)
    b.hull("engine", [(-2.6 * s, 0, 0.3 * s), (-2.65 * s, 0, deck + 0.25 * s)], 0.18 * s, 0.05)
    b.hull("mast", [(-0.5 * s, 0, deck + 1.1 * s), (-0.55 * s, 0, deck + 2.2 * s)], 0.035 * s)
    b.hull("skin", [(-1.75 * s, 0, deck + 0.8 * s)], 0.13 * s, 0.05)
    b.hull("top", [(-1.75 * s, 0, deck + 0.1 * s), (-1.75 * s, 0, deck + 0.5 * s)], 0.2 * s, 0.05)
    return b


def _pose_drone(phase: float, pace: float, look: _Individual) -> _Body:
    b, s = _Body(), 1.25 * look.size
    tilt = -0.12 * pace
    b.hull("body", [(-0.2 * s, 0, 0.0), (0.2 * s, 0, tilt * 0.2)], 0.1 * s)
    b.hull("battery", [(-0.12 * s, 0, 0.1 * s), (0.1 * s, 0, 0.1 * s)], 0.06 * s, 0.01)
    b.ball("camera", (0.16 * s, 0, -0.13 * s), 0.06 * s, 0.02)
    for i in range(4):
        a = math.pi / 4 + i * math.pi / 2
        x, y = 0.42 * s * math.cos(a), 0.42 * s * math.sin(a)
        up = 0.06 * s + tilt * x
        b.hull("arm", [(x * 0.2, y * 0.2, 0.02), (x, y, up)], 0.03 * s)
        b.hull("motor", [(x, y, up), (x, y, up + 0.06 * s)], 0.055 * s, 0.01)
        spin = phase * 37 + i
        dx, dy = 0.2 * s * math.cos(spin), 0.2 * s * math.sin(spin)
        blade = [(x - dx, y - dy, up + 0.09 * s), (x + dx, y + dy, up + 0.09 * s)]
        b.hull("blade", blade, 0.016 * s, 0.02)
        if i % 2:
            b.hull("leg", [(x * 0.4, y * 0.4, 0), (x * 0.55, y * 0.55, -0.22 * s)], 0.018 * s)
    return b


def _pose_bird(phase: float, pace: float, look: _Individual) -> _Body:
    b, s = _Body(), 1.5 * look.size
    beat = 0.75 * math.sin(phase * 2.2)
    b.hull("body", [(-0.2 * s, 0, 0), (0.16 * s, 0, 0.02 * s)], (0.06 * s, 0.085 * s))
    b.hull("belly", [(-0.12 * s, 0, -0.03 * s), (0.12 * s, 0, -0.025 * s)], 0.06 * s, 0.005)
    b.ball("head", (0.27 * s, 0, 0.06 * s), 0.06 * s)
    b.hull("beak", [(0.31 * s, 0, 0.055 * s), (0.4 * s, 0, 0.04 * s)], (0.025 * s, 0.008 * s))
    b.hull(
        "wing", [(-0.2 * s, 0, 0), (-0.42 * s, 0.07 * s, 0), (-0.42 * s, -0.07 * s, 0)], 0.02 * s
    )
    for k in (1, -1):
        y1, z1 = 0.28 * s * k * math.cos(beat), 0.28 * s * math.sin(beat)
        lag = 0.7 * math.sin(phase * 2.2 - 0.7)
        y2, z2 = y1 + 0.34 * s * k * math.cos(lag), z1 + 0.34 * s * math.sin(lag)
        b.hull("wing", [(0.13 * s, 0, 0.03 * s), (-0.14 * s, 0, 0.03 * s), (0.12 * s, y1, z1),
                        (-0.12 * s, y1, z1)], 0.018 * s)  # fmt: skip
        b.hull("tip", [(0.12 * s, y1, z1), (-0.12 * s, y1, z1), (-0.08 * s, y2, z2)], 0.015 * s)
    return b


@dataclass(frozen=True)
class _Kind:
    """A kind of actor: how it poses, how fast it goes (m/s), how tightly it turns and where."""

    pose: object
    speed: float
    turn: float  # radians a second
    stride: float  # metres for one cycle of the limbs
    extent: float  # larger side in metres, for framing
    middle: float  # height of its middle
    altitude: tuple[float, float] = (0.0, 0.0)
    floats: bool = False


_KINDS = {
    "person": _Kind(_pose_person, 1.5, 1.8, 1.45, 1.75, 0.9),
    "cyclist": _Kind(_pose_cyclist, 4.0, 1.2, 4.0, 1.85, 0.9),
    "dog": _Kind(_pose_dog, 2.2, 2.2, 1.6, 1.2, 0.4),
    "deer": _Kind(_pose_deer, 2.6, 1.6, 2.6, 1.9, 0.9),
    "car": _Kind(_pose_car, 5.5, 0.8, 2.0, 4.2, 0.7),
    "van": _Kind(_pose_van, 5.0, 0.7, 2.0, 5.0, 1.1),
    "boat": _Kind(_pose_boat, 3.5, 0.5, 5.0, 5.0, 0.9, floats=True),
    "drone": _Kind(_pose_drone, 3.0, 1.6, 5.0, 1.1, 0.0, (1.4, 3.6)),
    "bird": _Kind(_pose_bird, 5.0, 1.4, 5.5, 1.6, 0.0, (1.2, 4.0)),
}


def _skin(rng) -> np.ndarray:
    return _mix(np.array([232.0, 190, 160]), np.array([104.0, 70, 50]), rng.uniform(0, 1))


def _cloth(rng) -> np.ndarray:
    """A colour that people wear: mostly muted, sometimes vivid."""
    if rng.random() < 0.45:
        return np.array(_VIVID[rng.integers(len(_VIVID))], float) * rng.uniform(0.8, 1.1)
    base = rng.uniform(36, 210)
    return np.clip(base + rng.normal(0, 16, 3), 16, 235)


def _individual(kind: str, place: _Place, rng: np.random.Generator) -> _Individual:
    """Colours and temperatures of a new individual of a kind."""
    air, sun = place.air, place.sun
    skin_heat = 33.5 + rng.uniform(-1, 1)
    cloth = _mix(air, skin_heat, 0.42) + 2 * sun
    size = rng.uniform(0.94, 1.06)
    if kind in ("person", "cyclist"):
        skin, top, legs = _skin(rng), _cloth(rng), _cloth(rng) * 0.8
        short = air > 20
        paints = {
            "skin": _paint(skin, skin_heat),
            "hair": _paint(
                np.array([46, 36, 28]) * rng.uniform(0.6, 3.2), _mix(air, skin_heat, 0.6)
            ),
            "top": _paint(top, cloth + 0.8),
            "band": _paint(_cloth(rng) if rng.random() < 0.5 else top, cloth + 0.4),
            "sleeve": _paint(top * 0.94, cloth),
            "forearm": _paint(skin, skin_heat - 1.5) if short else _paint(top * 0.92, cloth - 0.5),
            "trousers": _paint(legs, _mix(air, skin_heat, 0.36) + 2 * sun),
            "shoes": _paint(rng.uniform(24, 220) * np.ones(3), _mix(air, skin_heat, 0.12)),
            "tyre": _paint((34, 34, 36), air + 4),
            "metal": _paint((170, 172, 176), air + 1),
            "frame": _paint(_cloth(rng), air + 0.5),
            "helmet": _paint(_VIVID[rng.integers(len(_VIVID))], air + 3),
        }
        if kind == "person" and rng.random() < 0.35:
            paints["bag"] = _paint(_cloth(rng), air + 1.5)
        return _Individual(paints, size)
    if kind in ("dog", "deer"):
        coats = ((118, 82, 50), (60, 50, 44), (206, 190, 164), (150, 140, 128), (160, 104, 58))
        coat = np.array(coats[rng.integers(5)]) * rng.uniform(0.85, 1.15)
        fur = _mix(air, 36.0, 0.5)
        paints = {
            "coat": _paint(coat, fur),
            "belly": _paint(_mix(coat, 220, 0.35), fur + 2.5),
            "face": _paint(_mix(coat, 40, 0.3), fur + 5),
            "leg": _paint(coat * 0.7, fur - 2),
            "horn": _paint((150, 128, 98), air + 1),
        }
        return _Individual(paints, size * (rng.uniform(0.8, 1.15) if kind == "dog" else 1.0))
    if kind in ("car", "van"):
        colour = np.array(_CAR_COLOURS[rng.integers(len(_CAR_COLOURS))], float)
        body = air + 1.5 + 6 * sun
        paints = {
            "body": _paint(colour, body),
            "bonnet": _paint(colour * 0.97, body + rng.uniform(7, 13)),
            "cabin": _paint(colour * 0.9, body + 0.5),
            "stripe": _paint(_VIVID[rng.integers(len(_VIVID))], body),
            "glass": _paint((44, 52, 62), air - 2),
            "tyre": _paint((28, 28, 30), air + 9),
            "hub": _paint((150, 152, 156), air + 12),
            "lamp": _paint((250, 244, 214), air + 8),
            "tail": _paint((214, 30, 24), air + 4),
            "exhaust": _paint((60, 58, 56), air + 28),
        }
        return _Individual(paints, size)
    if kind == "boat":
        colour = np.array(_CAR_COLOURS[rng.integers(len(_CAR_COLOURS))], float)
        paints = {
            "hull": _paint(colour, air + 1 + 4 * sun),
            "deck": _paint((196, 176, 140), air + 2 + 5 * sun),
            "stripe": _paint((236, 234, 226), air + 1 + 4 * sun),
            "cabin": _paint((232, 230, 222), air + 2 + 4 * sun),
            "glass": _paint((50, 60, 70), air - 2),
            "engine": _paint((40, 42, 46), air + 20),
            "mast": _paint((210, 210, 206), air),
            "skin": _paint(_skin(rng), skin_heat),
            "top": _paint(_cloth(rng), cloth),
        }
        return _Individual(paints, size)
    if kind == "drone":
        shade = np.array(((40, 42, 46), (222, 222, 224), (150, 60, 40))[rng.integers(3)], float)
        paints = {
            "body": _paint(shade, air + 5),
            "battery": _paint(shade * 0.8, air + 13),
            "camera": _paint((30, 30, 34), air + 9),
            "arm": _paint(shade * 0.85, air + 1),
            "motor": _paint((60, 60, 64), air + 17),
            "blade": _paint((70, 72, 76), air + 0.5),
            "leg": _paint(shade * 0.7, air),
        }
        return _Individual(paints, size)
    tone = np.array(((52, 50, 52), (206, 206, 204), (124, 94, 66))[rng.integers(3)], float)
    paints = {
        "body": _paint(tone, _mix(air, 39.0, 0.5)),
        "belly": _paint(_mix(tone, 230, 0.5), _mix(air, 39.0, 0.55)),
        "head": _paint(tone * 0.9, _mix(air, 39.0, 0.62)),
        "beak": _paint((214, 160, 54), _mix(air, 39.0, 0.3)),
        "wing": _paint(tone * 0.86, _mix(air, 39.0, 0.2)),
        "tip": _paint(tone * 0.6, _mix(air, 39.0, 0.08)),
    }
    return _Individual(paints, size)


def _twin(
    target: _Individual, kind: str, place: _Place, twins: str, rng: np.random.Generator
) -> _Individual:
    """A look-alike: what it shares with the target says ``twins`` (see `SequenceSpec`)."""
    other = _individual(kind, place, rng)
    paints = {}
    cold = rng.random() < 0.5
    for name, paint in target.paints.items():
        new = paint.copy()
        if twins == "ir":
            new[:3] = other.paints.get(name, paint)[:3]
        else:
            new[:3] = np.clip(paint[:3] + rng.normal(0, 4, 3), 0, 255)
        if twins == "rgb":
            # Cold: at rest for hours, well insulated. Hot: just arrived, at work.
            excess = paint[3] - _level(place.air)
            new[3] = _level(place.air) + (0.12 * excess if cold else 1.3 * excess + _KELVIN * 5)
        else:
            new[3] += rng.normal(0, 0.3 * _KELVIN)
        paints[name] = new
    return _Individual(paints, target.size * rng.uniform(0.97, 1.03))


# --------------------------------------------------------------------------------------------------
# Motion: where everybody is, and where the camera looks
# --------------------------------------------------------------------------------------------------

_FPS = 25


@dataclass
class _Track:
    """Positions over time, one value a frame: metres, radians, limb phase and pace 0-1."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    heading: np.ndarray
    phase: np.ndarray
    pace: np.ndarray


def _sway(rng: np.random.Generator, length: int, tau: float) -> np.ndarray:
    """Smooth random motion of about unit deviation that changes over ``tau`` frames."""
    reach = int(3 * tau)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / tau) ** 2)
    return np.convolve(
        rng.standard_normal(length + 2 * reach), window / np.linalg.norm(window), "valid"
    )


def _wander(
    kind: _Kind, rng: np.random.Generator, length: int, zone: tuple[float, float], speed: float
) -> _Track:
    """Walk from goal to goal, to and fro across the view, with bounded turning."""
    near, far = zone
    step = kind.speed * speed * rng.uniform(0.85, 1.15) / _FPS
    side = rng.choice((-1.0, 1.0))
    ratio = rng.uniform(0.1, 0.3)
    z = rng.uniform(near, far)
    x, goal = -side * ratio * z, None
    heading = 0.0 if side > 0 else math.pi
    turn = kind.turn * max(1.0, speed) / _FPS
    track = np.empty((3, length))
    for t in range(length):
        if goal is None or math.hypot(goal[0] - x, goal[1] - z) < max(1.0, 12 * step):
            goal_z = rng.uniform(near, far)
            goal = (side * rng.uniform(0.3, 0.55) * goal_z, goal_z)
            side = -side
        wish = math.atan2(goal[1] - z, goal[0] - x)
        error = (wish - heading + math.pi) % (2 * math.pi) - math.pi
        heading += float(np.clip(error, -turn, turn))
        x, z = x + step * math.cos(heading), z + step * math.sin(heading)
        z = min(max(z, 0.9 * near), 1.1 * far)
        track[:, t] = x, z, heading
    altitude = np.zeros(length)
    if kind.altitude[1] > 0:
        low, high = kind.altitude
        share = 0.5 + 0.35 * _sway(rng, length, 22)
        altitude = low + (high - low) * np.clip(share, 0, 1)
    return _finish(kind, rng, track[0], altitude, track[1], track[2])


def _finish(kind: _Kind, rng, x, y, z, heading=None) -> _Track:
    """Add limb phase and pace, and a heading along the motion where none is given."""
    dx, dz = (
        np.gradient(x) if len(x) > 1 else np.zeros(1),
        np.gradient(z) if len(x) > 1 else np.zeros(1),
    )
    way = np.hypot(dx, dz)
    if heading is None:
        heading = np.unwrap(np.arctan2(dz, dx))
        if len(x) > 8:
            kernel = np.ones(9) / 9
            heading = np.convolve(np.pad(heading, 4, mode="edge"), kernel, "valid")
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(way) * (2 * np.pi / kind.stride)
    if kind.altitude[1] > 0:  # wings and rotors turn whatever the speed
        phase = rng.uniform(0, 2 * np.pi) + np.arange(len(x)) * (2 * np.pi * 3.0 / _FPS / 2.2)
    usual = kind.speed / _FPS
    return _Track(x, y, z, heading, phase, np.clip(way / usual, 0.0, 1.1) ** 0.5)


def _orbit(
    kind: _Kind, target: _Track, rng: np.random.Generator, order: int, count: int, speed: float
) -> _Track:
    """Around the target: across its line of sight twice a round, once before and once behind it."""
    length = len(target.x)
    period = rng.uniform(70, 110)
    wide = max(0.75 * kind.extent, 1.25 * kind.speed * speed * period / (2 * math.pi * _FPS))
    deep = rng.uniform(0.45, 0.7) * max(1.0, 0.45 * kind.extent)
    # In the first frame it stands aside.
    start = (1 if order % 2 else -1) * math.pi / 2 + rng.uniform(-0.35, 0.35)
    angle = start + 2 * math.pi * np.arange(length) / period * rng.choice((-1, 1))
    wide *= 1 + 0.25 * (order // 2) + 0.1 * count
    x = target.x + wide * np.sin(angle)
    z = np.maximum(target.z + deep * (1 + 0.3 * order) * np.cos(angle), 2.5)
    y = target.y.copy()
    if kind.altitude[1] > 0:
        y = y + 0.15 * _sway(rng, length, 15)
    return _finish(kind, rng, x, y, z)


@dataclass
class _Path:
    """The camera over time: where it stands, looks (u, v), its zoom and roll."""

    x: np.ndarray
    u: np.ndarray
    v: np.ndarray
    zoom: np.ndarray
    roll: np.ndarray

    def matrix(self, t: int, size: tuple[int, int]) -> np.ndarray:
        """3x3: (u, v) to pixels of the frame."""
        c = self.zoom[t] * math.cos(self.roll[t])
        s = self.zoom[t] * math.sin(self.roll[t])
        u, v = self.u[t], self.v[t]
        width, height = size
        return np.array(
            [[c, -s, width / 2 - c * u + s * v], [s, c, height / 2 - s * u - c * v], [0, 0, 1]]
        )


def _follow(spec: SequenceSpec, place: _Place, kind: _Kind, target: _Track) -> _Path:
    """A cameraman: a little late, never centred, hand-held."""
    rng = _rng(spec.seed, "camera")
    n = spec.length
    width, height = spec.size
    f, unit = place.f, width / 320
    x = 0.5 * _sway(rng, n, 40) * rng.uniform(0.5, 1.5)
    u = f * (target.x - x) / target.z
    v = f * (place.look.height - target.y - kind.middle) / target.z

    # The apparent size follows the distance, stretched or compressed by the zoom (with a little
    # of its own) to change as much as it shall.
    own = _sway(rng, n, max(4.0, n / 5))
    curve = 0.15 * own - np.log(target.z)
    curve = (curve - curve.mean()) / max(np.ptp(curve), 1e-6)
    log_size = curve * math.log(max(spec.scale_change, 1.0))
    wanted = rng.uniform(46, 66) * unit * (0.8 if kind.extent < 1.5 else 1.0)
    zoom = wanted / (f * kind.extent) * target.z * np.exp(log_size)
    zoom = np.clip(zoom, 0.5, 3.0)

    def late(a: np.ndarray, rate: float) -> np.ndarray:
        out, at = np.empty_like(a), a[0]
        for i, value in enumerate(a):
            at += rate * (value - at)
            out[i] = at
        return out

    shake = spec.shake * unit
    look_u = late(u, 0.10) + 0.13 * width / zoom * _sway(rng, n, 28)
    look_v = late(v, 0.08) * 0.85 + 0.02 * height + 0.07 * height / zoom * _sway(rng, n, 32)
    look_u += shake / zoom * (0.8 * _sway(rng, n, 1.2) + 2.2 * _sway(rng, n, 6))
    look_v += shake / zoom * (0.8 * _sway(rng, n, 1.2) + 1.6 * _sway(rng, n, 6))
    if spec.shake > 1.8:  # jerks
        for at in rng.integers(4, max(5, n), max(1, n // 25)):
            fade = np.exp(-np.maximum(np.arange(n) - at, 0) / 9.0) * (np.arange(n) >= at)
            look_u += rng.normal(0, 24) * unit / zoom * fade
            look_v += rng.normal(0, 12) * unit / zoom * fade
    side, updown = 0.38 * width / zoom, 0.36 * height / zoom
    return _Path(
        x=x,
        u=np.clip(look_u, u - side, u + side),
        v=np.clip(look_v, v - updown, v + updown),
        zoom=zoom,
        roll=np.deg2rad(0.25 * spec.shake * _sway(rng, n, 7) + 0.4 * _sway(rng, n, 60)),
    )


# --------------------------------------------------------------------------------------------------
# Drawing a frame
# --------------------------------------------------------------------------------------------------

_CIRCLE = np.stack(
    [np.cos(np.linspace(0, 2 * np.pi, 13)[:-1]), np.sin(np.linspace(0, 2 * np.pi, 13)[:-1])], 1
)


class _Actor:
    """An individual of a kind on its track."""

    def __init__(self, kind: str, look: _Individual, track: _Track, rng: np.random.Generator):
        self.kind, self.look, self.track = _KINDS[kind], look, track
        self.fabric = 1 + 0.055 * _noise(rng, (24, 24), 5, 2)
        self.name = kind

    def outline(self, t: int, place: _Place, path: _Path, camera: np.ndarray):
        """Hulls of the parts in pixels, far to near: [(polygon (n, 2), paint name, tube width)]."""
        track = self.track
        body = self.kind.pose(track.phase[t], track.pace[t], self.look)
        p = np.array(body.points, float)
        c, s = math.cos(track.heading[t]), math.sin(track.heading[t])
        x = track.x[t] + c * p[:, 0] - s * p[:, 1] - path.x[t]
        z = np.maximum(track.z[t] + s * p[:, 0] + c * p[:, 1], 0.4)
        y = track.y[t] + p[:, 2]
        uv = np.stack([place.f * x / z, place.f * (place.look.height - y) / z], 1)
        centre = uv @ camera[:2, :2].T + camera[:2, 2]
        radius = np.array(body.radii) * (place.f * path.zoom[t]) / z
        rings = centre[:, None] + radius[:, None, None] * _CIRCLE
        parts = []
        for start, stop, paint, tube, bias in body.parts:
            depth = float(z[start:stop].mean()) - bias
            if tube:
                parts.append((depth, centre[start:stop], paint, float(radius[start:stop].mean())))
            else:
                hull = cv2.convexHull(rings[start:stop].reshape(-1, 2).astype(np.float32))
                parts.append((depth, hull[:, 0], paint, 0.0))
        parts.sort(key=lambda part: -part[0])
        low, high = rings.min((0, 1)), rings.max((0, 1))
        box = (float(low[0]), float(low[1]), float(high[0] - low[0]), float(high[1] - low[1]))
        return parts, box


class _Stamp(NamedTuple):
    """A drawn actor: premultiplied RGBT and cover (float32), and where its pixel (0, 0) lies."""

    rgbt: np.ndarray
    cover: np.ndarray
    x: int
    y: int
    box: tuple[float, float, float, float]
    foot: tuple[float, float]
    inside: float  # area of the whole silhouette, in pixels


def _line_kernel(dx: float, dy: float) -> np.ndarray | None:
    """A normalised segment as a filter, or None where it is shorter than a pixel and a half."""
    length = math.hypot(dx, dy)
    if length < 1.5:
        return None
    limit = 31.0
    if length > limit:
        dx, dy = dx * limit / length, dy * limit / length
    half = math.ceil(max(abs(dx), abs(dy)) / 2)
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    ends = [(int((half + k * dx / 2) * 256), int((half + k * dy / 2) * 256)) for k in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_8, 8)
    return kernel / kernel.sum()


def _over(canvas: np.ndarray, rgbt: np.ndarray, alpha: np.ndarray, x: int, y: int) -> tuple | None:
    """Lay premultiplied paint over the canvas at (x, y), in place; returns the region and alpha."""
    height, width = canvas.shape[:2]
    x0, y0 = max(0, x), max(0, y)
    x1, y1 = min(width, x + alpha.shape[1]), min(height, y + alpha.shape[0])
    if x0 >= x1 or y0 >= y1:
        return None
    inner = (slice(y0 - y, y1 - y), slice(x0 - x, x1 - x))
    region = (slice(y0, y1), slice(x0, x1))
    part = canvas[region]
    part *= 1 - alpha[inner][..., None]
    part += rgbt[inner]
    return region, alpha[inner]


@dataclass(frozen=True)
class _Scene:
    """The static part of a sequence: place and painted layers."""

    place: _Place
    backdrop: _Plate
    ground: _Plate
    props: tuple[_Plate, ...]


def _make_scene(spec: SequenceSpec) -> _Scene:
    place = _make_place(spec)
    look, rng = place.look, _rng(spec.seed, "scene")
    width = spec.size[0]
    reach = _PLATE_REACH * width

    b = _Backdrop(place, spec.size, rng)
    _BACKDROPS[look.backdrop](b)
    metres = (
        (np.arange(b.shape[1], dtype=np.float32) / _PLATE_SCALE - reach) * look.backdrop_z / place.f
    )
    place.shine(b.rgbt, metres[None].repeat(b.shape[0], 0), np.float32(look.backdrop_z), b.glow)
    if not look.indoor:
        share = b.air_share * place.clear(look.backdrop_z)[0]
        # The sky was painted as it shines: it is not lit, and hazed by fog alone.
        b.rgbt += (b.open_sky - b.rgbt) * share[..., None]
    backdrop = _plate(
        b.rgbt,
        None,
        (-reach, b.v_top),
        _PLATE_SCALE,
        -place.f / look.backdrop_z,
        0.0,
        look.backdrop_z,
    )

    g = _Ground(place, spec.size, rng)
    painted = _GROUNDS[look.ground](g)
    place.shine(painted, g.x, g.z)
    ground = _plate(
        painted, None, (-reach, g.v0), _PLATE_SCALE, 0.0, -1 / look.height, look.backdrop_z
    )

    props = []
    wet = look.water[1] > 0
    for _ in range(int(rng.integers(5, 9))):
        kind = str(rng.choice(look.props))
        low, high = (look.land[1] - 0.5, look.land[1] + 0.8) if wet else (
            look.land[1] + 1.5, min(look.backdrop_z - 1, look.land[1] * 1.7)
        )  # fmt: skip
        z = float(rng.uniform(low, high))
        x = float(rng.uniform(-1.25, 1.25) * z)
        props.append(_PROPS[kind](place, rng, z).plate(x))
    for x, z, _, _ in place.lamps:
        if "lamp" in look.props and not look.indoor:
            props.append(_prop_lamp(place, rng, float(z) + 0.4).plate(float(x)))
    return _Scene(place, backdrop, ground, tuple(props))


class _Renderer:
    """Draws the frames of one sequence."""

    def __init__(self, spec: SequenceSpec):
        self.spec = spec
        self.scene = _make_scene(spec)
        self.place = place = self.scene.place
        look, kind = place.look, _KINDS[spec.target]
        rng = _rng(spec.seed, "target")
        zone = self._zone(spec.target)
        track = _wander(kind, rng, spec.length, zone, spec.speed)
        self.target = _Actor(spec.target, _individual(spec.target, place, rng), track, rng)
        self.path = _follow(spec, place, kind, track)
        self.cameras = [self.path.matrix(t, spec.size) for t in range(spec.length)]
        rng = _rng(spec.seed, "others")
        self.others: list[_Actor] = []
        for i in range(spec.distractors):
            twin = _twin(self.target.look, spec.target, place, spec.twins, rng)
            orbit = _orbit(kind, track, rng, i, spec.distractors, spec.speed)
            self.others.append(_Actor(spec.target, twin, orbit, rng))
        for _ in range(int(rng.integers(1, 4))):  # passers-by
            name = str(rng.choice(look.targets))
            walk = _wander(_KINDS[name], rng, spec.length, self._zone(name), 1.0)
            # They pass behind: what hides the target is planned, not chance.
            apart = 0.4 * (kind.extent + _KINDS[name].extent)
            walk.z = np.maximum(walk.z, track.z + apart)
            if look.water[1] > 0 and not self._zone(name)[0] <= walk.z.max() <= self._zone(name)[1]:
                continue  # would walk on water
            self.others.append(_Actor(name, _individual(name, place, rng), walk, rng))
        self.others = [actor for actor in self.others if not self._covers_start(actor)]
        self.plates = list(self.scene.props) + self._occluders()
        self.leans = _rng(spec.seed, "sun").uniform(0.5, 1.0) * place.sun_side
        self._surroundings: np.ndarray | None = None

    def _zone(self, name: str) -> tuple[float, float]:
        look, kind = self.place.look, _KINDS[name]
        near, far = look.water if kind.floats else look.land
        if kind.extent > 3 and not kind.floats:  # vehicles keep their distance
            near = min(near + 4.0, 0.7 * far)
        if kind.altitude[1] > 0:
            near, far = max(4.5, near), min(far, 14.0)
        return near, far

    def _covers_start(self, actor: _Actor) -> bool:
        """Whether it stands in front of the target in the first frame."""
        if actor.track.z[0] > self.target.track.z[0]:
            return False
        a = actor.outline(0, self.place, self.path, self.cameras[0])[1]
        b = self.target.outline(0, self.place, self.path, self.cameras[0])[1]
        return a[0] < b[0] + b[2] and b[0] < a[0] + a[2]

    def _occluders(self) -> list[_Plate]:
        """Things on the line of sight at planned moments, as large as the occlusion asks for."""
        spec, place = self.spec, self.place
        if spec.occlusion <= 0 or spec.length < 12:
            return []
        rng = _rng(spec.seed, "occluders")
        wild = place.look.ground in ("lawn", "snow", "sand") and rng.random() < 0.75
        h, f = place.look.height, place.f
        track = self.target.track
        plates = []
        count = max(1, round(spec.length / 60))
        for i in range(count):
            t = int(spec.length * (0.3 + 0.55 * (i + rng.uniform(0.2, 0.8)) / count))
            zt = track.z[t]
            _parts, (bx, by, bw, bh) = self.target.outline(t, place, self.path, self.cameras[t])
            back = np.linalg.inv(self.cameras[t])
            u0, v0 = (back @ (bx, by, 1))[:2]
            u1, v1 = (back @ (bx + bw, by + bh, 1))[:2]
            z = max(2.6, zt * rng.uniform(0.72, 0.85))
            metre = z / f
            top = h - v0 * metre  # height of the line of sight over the target's head
            bottom = h - v1 * metre
            middle = self.path.x[t] + 0.5 * (u0 + u1) * metre
            width = (u1 - u0) * metre
            if spec.occlusion >= 0.95:
                width, top = 1.45 * width + 0.25, top + 0.35
            elif rng.random() < 0.6 or top - bottom < 0.3 or bottom > 1.2:
                width, top = max(0.12, spec.occlusion * width), top + rng.uniform(0.3, 2.0)
            else:
                width, top = 1.9 * width, bottom + spec.occlusion * (top - bottom)
            top = float(np.clip(top, 0.3, 9.0))
            plate = _occluder(place, rng, z, float(width), top, wild).plate(float(middle))
            if not self._plate_covers_start(plate):
                plates.append(plate)
        return plates

    def _plate_covers_start(self, plate: _Plate) -> bool:
        m = self.cameras[0] @ plate.matrix(self.path.x[0])
        left = (m @ (0, 0, 1))[0]
        right = (m @ (plate.rgbt.shape[1], 0, 1))[0]
        box = self.target.outline(0, self.place, self.path, self.cameras[0])[1]
        return left < box[0] + box[2] + 2 and box[0] - 2 < right

    # -- layers ------------------------------------------------------------------------------------

    def _stage(self, t: int) -> np.ndarray:
        """Backdrop and ground, float32 RGBT."""
        spec, scene, camera = self.spec, self.scene, self.cameras[t]
        border = cv2.BORDER_REFLECT_101
        m = camera @ scene.backdrop.matrix(self.path.x[t])
        stage = cv2.warpAffine(scene.backdrop.rgbt, m[:2], spec.size, borderMode=border)
        m = camera @ scene.ground.matrix(self.path.x[t])
        ground = cv2.warpAffine(scene.ground.rgbt, m[:2], spec.size, borderMode=border)
        to_uv = np.linalg.inv(camera)[1]
        rows = np.arange(spec.size[1], dtype=np.float32)[:, None] * np.float32(to_uv[1])
        columns = np.arange(spec.size[0], dtype=np.float32)[None] * np.float32(to_uv[0])
        below = (rows + columns > scene.ground.origin[1] + 0.5 - to_uv[2]).view(np.uint8)
        cv2.copyTo(ground, below, stage)
        return stage.astype(np.float32)

    def _draw_plate(self, canvas: np.ndarray, plate: _Plate, t: int, kernel) -> tuple | None:
        m = self.cameras[t] @ plate.matrix(self.path.x[t])
        height, width = plate.alpha.shape
        corners = m[:2] @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
        x0, y0 = np.maximum(np.floor(corners.min(1)).astype(int) - 1, 0)
        x1, y1 = np.minimum(np.ceil(corners.max(1)).astype(int) + 1, self.spec.size)
        if x1 <= x0 or y1 <= y0:
            return None
        m = m[:2].copy()
        m[:, 2] -= (x0, y0)
        size = (int(x1 - x0), int(y1 - y0))
        rgbt = cv2.warpAffine(plate.rgbt, m, size).astype(np.float32)
        alpha = cv2.warpAffine(plate.alpha, m, size).astype(np.float32) * np.float32(1 / 255)
        if kernel is not None:
            rgbt, alpha = cv2.filter2D(rgbt, -1, kernel), cv2.filter2D(alpha, -1, kernel)
        return _over(canvas, rgbt, alpha, int(x0), int(y0))

    def _stamp(self, actor: _Actor, t: int, stage: np.ndarray) -> _Stamp | None:
        """Draw an actor for itself; None where it is out of sight."""
        spec, place, camera = self.spec, self.place, self.cameras[t]
        width, height = spec.size
        parts, box = actor.outline(t, place, self.path, camera)
        pad = 2
        x0, y0 = math.floor(box[0]) - pad, math.floor(box[1]) - pad
        x1, y1 = math.ceil(box[0] + box[2]) + pad, math.ceil(box[1] + box[3]) + pad
        if x1 <= 0 or y1 <= 0 or x0 >= width or y0 >= height:
            return None
        x0, y0 = max(x0, -width // 2), max(y0, -height // 2)
        x1, y1 = min(x1, width * 3 // 2), min(y1, height * 3 // 2)
        w, h = x1 - x0, y1 - y0
        fine = 4 if max(w, h) < 56 else 3 if max(w, h) < 120 else 2 if max(w, h) < 300 else 1
        label = np.zeros((h * fine, w * fine), np.uint8)
        paints = np.zeros((len(parts) + 1, 4), np.float32)
        for i, (_, polygon, name, tube) in enumerate(parts, 1):
            pixels = np.round(((polygon - (x0, y0)) * fine - 0.5) * 16).astype(np.int32)
            if tube:
                thick = max(1, int(2 * tube * fine))
                cv2.polylines(label, [pixels], True, i, thick, cv2.LINE_8, 4)
            else:
                cv2.fillConvexPoly(label, pixels, i, cv2.LINE_8, 4)
            if name.endswith("+"):
                paints[i] = actor.look.paints[name[:-1]] * (1.16, 1.16, 1.16, 1.0)
            else:
                paints[i] = actor.look.paints[name]
        mask = (label > 0).view(np.uint8) * np.uint8(255)
        cover = cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        colour = cv2.resize(paints[label], (w, h), interpolation=cv2.INTER_AREA)

        # Round bodies: the blurred silhouette is taken for height, its slope turns from the light.
        spread = max(1.0, 0.07 * min(max(w, h), 2.2 * min(w, h)))
        relief = cv2.GaussianBlur(cover, (0, 0), spread)
        side = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3) * np.float32(0.28 * spread)
        lift = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3) * np.float32(0.28 * spread)
        sun = 0.35 + 0.65 * place.sun
        shade = 0.8 + 0.24 * relief + sun * (0.42 * lift - 0.5 * place.sun_side * side)
        fabric = cv2.resize(actor.fabric, (w, h), interpolation=cv2.INTER_LINEAR)
        x, z = actor.track.x[t], actor.track.z[t]
        light = place.light(x, z)
        emits = np.float32(place.night)
        colour[..., :3] *= (shade * fabric)[..., None] * light
        if emits > 0.3 and actor.name in ("car", "van"):
            self._lamps(colour, parts, (x0, y0), emits)
        # Edges see the cool surroundings at a grazing angle.
        air = _level(place.air)
        colour[..., 3] += (air - colour[..., 3] / np.maximum(cover, 1e-3)) * cover * (
            0.42 * (1 - np.clip(1.6 * relief, 0, 1))
        ) + cover * _KELVIN * 10 * (fabric - 1)  # fmt: skip

        clear_rgb, clear_ir = place.clear(z)
        colour[..., :3] = _mix(place.haze * cover[..., None], colour[..., :3], float(clear_rgb))
        colour[..., 3] = _mix(air * cover, colour[..., 3], float(clear_ir))
        if actor is self.target and (spec.camouflage > 0 or spec.crossover > 0):
            self._blend_in(colour, cover, stage, box, t)
        foot = camera @ (
            place.f * (x - self.path.x[t]) / z, place.f * place.look.height / z, 1
        )  # fmt: skip
        return _Stamp(colour, cover, x0, y0, box, (foot[0], foot[1]), float(cover.sum()))

    @staticmethod
    def _lamps(colour: np.ndarray, parts, origin, night: float) -> None:
        """Head and tail lights by night: far brighter than white, so that they glow."""
        for _, polygon, name, _ in parts:
            if name in ("lamp", "tail"):
                tint = np.array((900, 840, 640) if name == "lamp" else (420, 40, 20), np.float32)
                x, y = (polygon.mean(0) - origin).astype(int)
                reach = max(1, int(np.ptp(polygon[:, 1]) / 2))
                across = slice(max(0, x - reach), max(0, x + reach + 1))
                colour[max(0, y - reach) : max(0, y + reach + 1), across, :3] += tint * night

    def _blend_in(self, colour, cover, stage, box, t: int) -> None:
        """Camouflage and crossover: draw the target towards the mean of what is around it."""
        spec = self.spec
        width, height = spec.size
        x, y, w, h = box
        x0, x1 = np.clip((int(x - 0.25 * w), int(x + 1.25 * w) + 1), 0, width)
        y0, y1 = np.clip((int(y - 0.1 * h), int(y + 1.1 * h) + 1), 0, height)
        if x1 - x0 < 2 or y1 - y0 < 2:
            return
        around = stage[y0:y1, x0:x1].mean((0, 1))
        if self._surroundings is None:
            self._surroundings = around
        self._surroundings = around = _mix(self._surroundings, around, 0.25)
        colour[..., :3] = _mix(colour[..., :3], around[:3] * cover[..., None], spec.camouflage)
        colour[..., 3] = _mix(colour[..., 3], around[3] * cover, spec.crossover)

    def _shadow(self, canvas: np.ndarray, stamp: _Stamp, actor: _Actor) -> None:
        """Dark where the body keeps light from the ground; visible light only."""
        place = self.place
        if actor.track.y[0] > 0 or actor.kind.floats:
            return
        _, _, w, h = stamp.box
        fx, fy = stamp.foot
        reach = int(1.0 * h + w) + 4
        x0, y0 = int(fx) - reach, int(fy - 0.3 * h) - 2
        size = (2 * reach, int(0.55 * h) + 6)
        shadow = np.zeros(size[::-1], np.float32)
        centre = (int((fx - x0) * 16), int((fy - y0) * 16))
        axes = (int(max(2.0, 0.42 * w) * 16), int(max(1.0, min(0.07 * h, 0.12 * w)) * 16))
        cv2.ellipse(shadow, centre, axes, 0, 0, 360, 0.42, -1, cv2.LINE_8, 4)
        if place.sun > 0.3:
            lean, flat = 0.75 * self.leans, 0.26 * abs(self.leans)
            m = np.array(
                [[1, lean, stamp.x - x0 - lean * (fy - stamp.y)],
                 [0, flat, fy - y0 - flat * (fy - stamp.y)]]
            )  # fmt: skip
            cast = cv2.warpAffine(stamp.cover, m, size)
            shadow = np.maximum(shadow, np.float32(0.5 * place.sun) * cast)
        shadow = cv2.blur(shadow, (3, 3)) * np.float32(place.clear(actor.track.z[0])[0])
        height, width = canvas.shape[:2]
        a, b = max(0, x0), min(width, x0 + size[0])
        c, d = max(0, y0), min(height, y0 + size[1])
        if a < b and c < d:
            canvas[c:d, a:b, :3] *= 1 - shadow[c - y0 : d - y0, a - x0 : b - x0, None]

    def draw(self, t: int) -> tuple[np.ndarray, tuple[float, float, float, float], float]:
        """RGBT picture (float32) of a moment, the target's box and visible share."""
        spec, path = self.spec, self.path
        before = self.cameras[max(0, t - 1)]
        unit = spec.exposure

        def moved(x: float, z: float, y: float, x_: float, z_: float, y_: float):
            """Motion over the exposure of a world point that was elsewhere a frame ago."""
            f, h = self.place.f, self.place.look.height
            now = self.cameras[t] @ (f * (x - path.x[t]) / z, f * (h - y) / z, 1)
            old = before @ (f * (x_ - path.x[max(0, t - 1)]) / z_, f * (h - y_) / z_, 1)
            return _line_kernel(*(unit * (now - old)[:2]))

        middle = self.target.track.z[t]
        still = (path.x[t] + path.u[t] * middle / self.place.f, middle, 0.0)
        camera_blur = moved(*still, *still) if t > 0 else None
        canvas = self._stage(t)
        if camera_blur is not None:
            canvas = cv2.filter2D(canvas, -1, camera_blur)
        layers: list[tuple[float, object, _Stamp | None]] = [(p.z, p, None) for p in self.plates]
        for actor in (self.target, *self.others):
            stamp = self._stamp(actor, t, canvas)
            if stamp is not None:
                layers.append((float(actor.track.z[t]), actor, stamp))
                self._shadow(canvas, stamp, actor)
        layers.sort(key=lambda layer: -layer[0])
        box, seen, whole = None, None, 0.0
        for _, item, stamp in layers:
            if stamp is None:
                laid = self._draw_plate(canvas, item, t, camera_blur)
            else:
                track, s = item.track, max(0, t - 1)
                kernel = moved(
                    track.x[t], track.z[t], track.y[t], track.x[s], track.z[s], track.y[s]
                )
                rgbt, cover, x, y = stamp.rgbt, stamp.cover, stamp.x, stamp.y
                if kernel is not None:
                    pad = kernel.shape[0] // 2
                    edge = (pad, pad, pad, pad, cv2.BORDER_CONSTANT)
                    rgbt = cv2.filter2D(cv2.copyMakeBorder(rgbt, *edge), -1, kernel)
                    cover = cv2.filter2D(cv2.copyMakeBorder(cover, *edge), -1, kernel)
                    x, y = x - pad, y - pad
                laid = _over(canvas, rgbt, cover, x, y)
                if item is self.target:
                    box, whole = stamp.box, stamp.inside
                    seen = np.zeros(canvas.shape[:2], np.float32)
                    _over(seen[..., None], stamp.cover[..., None], stamp.cover, stamp.x, stamp.y)
                    continue
            if seen is not None and laid is not None:
                region, alpha = laid
                seen[region] *= 1 - alpha
        if box is None:
            box = self.target.outline(t, self.place, path, self.cameras[t])[1]
            return canvas, box, 0.0
        return canvas, box, float(min(1.0, seen.sum() / max(whole, 1e-6)))

    def silhouette(self, t: int) -> np.ndarray:
        """Cover of the target alone in frame t, uint8."""
        width, height = self.spec.size
        stamp = self._stamp(self.target, t, self._stage(t))
        full = np.zeros((height, width, 1), np.float32)
        if stamp is not None:
            _over(full, stamp.cover[..., None], stamp.cover, stamp.x, stamp.y)
        return np.round(full[..., 0] * 255).astype(np.uint8)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``start`` to ``stop`` (exclusive), the whole sequence by default."""
        visible, thermal = _VisibleCamera(self.spec, self.place), _ThermalCamera(self.spec)
        for t in range(start, self.spec.length if stop is None else stop):
            canvas, box, share = self.draw(t)
            yield Frame(visible.expose(canvas, t), thermal.expose(canvas, t), box, share)


# --------------------------------------------------------------------------------------------------
# The two cameras
# --------------------------------------------------------------------------------------------------


def _failing(spec: SequenceSpec, modality: str, t: int) -> str | None:
    """The failure mode of a modality in frame t."""
    for failure in spec.failures:
        first = max(1, round(failure.start * spec.length))
        if failure.modality == modality and first <= t < round(failure.stop * spec.length):
            return failure.mode
    return None


class _Grain:
    """Sensor noise: a large tile read from another corner for each frame."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, ...]):
        self._reach = 64
        tall = (shape[0] + self._reach, shape[1] + self._reach, *shape[2:])
        self._tile = rng.standard_normal(tall, np.float32)
        self._shape = shape

    def at(self, rng: np.random.Generator) -> np.ndarray:
        """Unit normal noise of one frame."""
        y, x = rng.integers(0, self._reach, 2)
        return self._tile[y : y + self._shape[0], x : x + self._shape[1]]


class _VisibleCamera:
    """Glow, flare, noise and failure of the visible image."""

    def __init__(self, spec: SequenceSpec, place: _Place):
        self.spec, self.place = spec, place
        width, height = spec.size
        self._grain = _Grain(_rng(spec.seed, "rgb grain"), (height, width, 3))
        self._last: np.ndarray | None = None
        rng = _rng(spec.seed, "flare")
        x, y = rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.7) * height
        d2 = (np.arange(width)[None] - x) ** 2 + (np.arange(height)[:, None] - y) ** 2
        self._flare = (255 * np.exp(-d2 / (0.45 * width) ** 2)).astype(np.float32)[..., None]

    def expose(self, canvas: np.ndarray, t: int) -> np.ndarray:
        """HxWx3 uint8 of an RGBT picture."""
        mode = _failing(self.spec, "rgb", t)
        if mode == "frozen" and self._last is not None:
            return self._last.copy()
        rng = _rng(self.spec.seed, "rgb noise", t)
        if mode == "blank":
            return np.full((*canvas.shape[:2], 3), 16, np.uint8)
        rgb = np.ascontiguousarray(canvas[..., :3])
        if self.place.night > 0.3 or self.place.look.indoor:
            rgb += self._glow(rgb)
        if mode == "dark":
            rgb *= np.float32(0.02)
        elif mode == "glare":
            rgb = rgb * np.float32(0.12) + np.float32(118) + self._flare
        noise = self._grain.at(rng)
        image = cv2.addWeighted(rgb, 1.0, noise, self.spec.rgb_noise, 0.0, dtype=cv2.CV_8U)
        self._last = image
        return image

    @staticmethod
    def _glow(rgb: np.ndarray) -> np.ndarray:
        """Light that bright spots spill in the lens."""
        size = rgb.shape[1::-1]
        small = cv2.resize(rgb, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
        bright = np.maximum(small - 190, 0)
        spill = cv2.GaussianBlur(bright, (0, 0), size[0] / 160)
        spill += cv2.GaussianBlur(bright, (0, 0), size[0] / 40)
        return cv2.resize(3.0 * spill, size, interpolation=cv2.INTER_LINEAR)


class _ThermalCamera:
    """Optics, lag, noise, fixed pattern, drift, gain control and failure of the thermal image."""

    def __init__(self, spec: SequenceSpec):
        self.spec = spec
        width, height = spec.size
        rng = _rng(spec.seed, "thermal")
        self._unit = width / 320
        self._grain = _Grain(_rng(spec.seed, "ir grain"), (height, width))
        columns = rng.standard_normal((1, width)).astype(np.float32)
        pixels = rng.standard_normal((height, width)).astype(np.float32)
        self._pattern = 0.06 * _KELVIN * (0.8 * columns + 0.7 * pixels)
        blotch = _noise(rng, (height, width), 0.5 * width, 3)
        y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
        ring = x**2 + y**2 - 0.66
        self._flat = _KELVIN * (0.55 * blotch + 0.7 * ring * rng.choice((-1, 1)) + 0.12 * columns)
        self._detail = rng.uniform(0.25, 0.6)
        self._range: tuple[float, float] | None = None
        self._lag: np.ndarray | None = None
        self._last: np.ndarray | None = None

    def expose(self, canvas: np.ndarray, t: int) -> np.ndarray:
        """HxW uint8 of an RGBT picture."""
        spec = self.spec
        mode = _failing(spec, "ir", t)
        if mode == "frozen" and self._last is not None:
            return self._last.copy()
        if mode == "blank":
            return np.full(canvas.shape[:2], 128, np.uint8)
        rng = _rng(spec.seed, "ir noise", t)
        heat = cv2.GaussianBlur(np.ascontiguousarray(canvas[..., 3]), (0, 0), 0.75 * self._unit)
        # A bolometer warms and cools slowly: a little of the last frame stays.
        if self._lag is not None:
            heat = cv2.addWeighted(heat, 0.8, self._lag, 0.2, 0.0)
        self._lag = heat
        grown = 0.35 + 0.65 * t / max(1, spec.length - 1)
        seen = heat + self._pattern
        if spec.drift > 0:
            seen += self._flat * np.float32(spec.drift * grown)
        low, high = self._gain(seen)
        if mode == "washout":
            seen = seen * np.float32(0.02) + np.float32(0.98 * 0.5 * (low + high))
        elif mode == "stripes":
            rows = rng.standard_normal((seen.shape[0], 1)).astype(np.float32)
            seen = seen * np.float32(0.1) + np.float32(0.9 * 0.5 * (low + high))
            seen = seen + (high - low) * np.float32(0.3) * rows
        gain = 205.0 / (high - low)
        grey = (seen - np.float32(low)) * np.float32(gain) + 22
        size = grey.shape[::-1]
        small = cv2.resize(grey, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
        smooth = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.5 * self._unit), size)
        grey = cv2.addWeighted(grey, 1 + self._detail, smooth, -self._detail, 0.0)
        strength = min(40.0, gain * _KELVIN * spec.ir_noise)
        image = cv2.addWeighted(grey, 1.0, self._grain.at(rng), strength, 0.0, dtype=cv2.CV_8U)
        self._last = image
        return image

    def _gain(self, heat: np.ndarray) -> tuple[float, float]:
        """Temperatures shown black and white, following the picture slowly."""
        levels = cv2.convertScaleAbs(np.maximum(heat[::2, ::2], 0))
        total = np.cumsum(cv2.calcHist([levels], [0], None, [256], [0, 256]))
        low = float(np.searchsorted(total, 0.015 * total[-1]))
        high = float(np.searchsorted(total, 0.993 * total[-1]))
        least = 11 * _KELVIN
        if high - low < least:
            middle = 0.5 * (low + high)
            low, high = middle - 0.5 * least, middle + 0.5 * least
        if self._range is not None:
            low, high = _mix(self._range[0], low, 0.12), _mix(self._range[1], high, 0.12)
        self._range = (low, high)
        return low, high


# --------------------------------------------------------------------------------------------------
# Public: frames, folders, pictures
# --------------------------------------------------------------------------------------------------


def render(spec: SequenceSpec) -> Iterator[Frame]:
    """Frames of a sequence, one at a time; only the painted scene is held in memory.

    Yields:
        `Frame`, which unpacks as ``rgb, ir, box, visible``.
    """
    return _Renderer(spec).frames()


def render_still(seed: int, *, size: tuple[int, int] = (320, 240), split: str = "train") -> Frame:
    """One frame of a random place and difficulty, as a registered pair with one labelled target.

    Equal to frame 0 of a two-frame sequence. The scene is painted anew each time, which is most of
    the cost; for many frames of one place use `render`.
    """
    return next(render(random_spec(seed, length=2, size=size, split=split)))


def silhouettes(spec: SequenceSpec) -> Iterator[np.ndarray]:
    """The target's whole silhouette in each frame, as if nothing stood before it.

    Yields:
        HxW uint8, the share of each pixel it covers (255 is all), cut at the frame.
    """
    renderer = _Renderer(spec)
    for t in range(spec.length):
        yield renderer.silhouette(t)


def contact_sheet(specs: Iterable[SequenceSpec], columns: int = 3, at: float = 0.5) -> np.ndarray:
    """Pictures of several sequences, visible and thermal side by side, the target's box in green.

    Args:
        specs: sequences of one size.
        columns: sequences a row.
        at: moment to show, as a fraction of each sequence.

    Returns:
        RGB uint8.
    """
    cells = []
    for spec in specs:
        t = min(int(at * spec.length), spec.length - 1)
        # Some frames earlier the thermal camera has found its range.
        for frame in _Renderer(spec).frames(max(0, t - 3), t + 1):
            shown = frame
        pair = np.hstack([shown.rgb, np.repeat(shown.ir[..., None], 3, axis=2)])
        x, y, w, h = shown.box
        for half in np.hsplit(pair, 2):  # views: each is cut at its own border
            drawn = np.ascontiguousarray(half)
            corners = (round(x), round(y)), (round(x + w), round(y + h))
            cv2.rectangle(drawn, *corners, (60, 255, 60), max(1, spec.size[0] // 320))
            half[:] = drawn
        names = ", ".join(spec.challenges)
        cells.append((f"{names}: {spec.target}, {spec.look}".replace("_", " "), pair))
    if not cells:
        raise ValueError("a contact sheet needs at least one sequence")
    return tile([cells[i : i + columns] for i in range(0, len(cells), columns)])


_ANCHOR_SPACING = 50  # frames, as in VOT2020


def write_sequence(spec: SequenceSpec, folder: str | Path) -> Path:
    """Render a sequence into a folder in VOT layout; the folder appears when it is complete.

    Written are ``sequence``, ``color/%08d.jpg``, ``ir/%08d.jpg``, ``groundtruth.txt`` (x,y,w,h with
    full precision), ``visibility.value``, ``anchor.value`` (starts every 50 frames, forward in the
    first half and backward in the second, moved to frames that show the target in both modalities),
    ``spec.json``, and tags, 1 or 0 a frame: ``occlusion`` (less than 0.9 visible),
    ``camera_motion``, ``motion_change`` (target fast for its size), ``size_change``,
    ``illum_change``, ``rgb_failure``, ``ir_failure``.

    Args:
        spec: what to render.
        folder: where; a folder with this very spec is kept as it is.

    Returns:
        The folder.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    folder = Path(folder)
    record = spec.to_json() + "\n"
    if folder.exists():
        try:
            same = (folder / "spec.json").read_text() == record
        except OSError:
            same = False
        if same:
            return folder
        raise UserError(f"{folder}: holds another sequence; give another folder or remove this one")
    make_folder(folder.parent)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _write_frames(spec, partial)
        (partial / "spec.json").write_text(record)
        os.replace(partial, folder)
    except OSError as error:
        raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _write_frames(spec: SequenceSpec, folder: Path) -> None:
    for channel in ("color", "ir"):
        make_folder(folder / channel)
    renderer = _Renderer(spec)
    boxes, visible = [], []
    for number, frame in enumerate(renderer.frames(), start=1):
        write_image(folder / "color" / f"{number:08d}.jpg", frame.rgb)
        write_image(folder / "ir" / f"{number:08d}.jpg", frame.ir)
        boxes.append(frame.box)
        visible.append(frame.visible)
    width, height = spec.size
    properties = {
        "name": folder.name.strip(".").split(".")[0],
        "fps": _FPS,
        "format": "default",
        "channel.default": "color",
        "channels.color": "color/%08d.jpg",
        "channels.ir": "ir/%08d.jpg",
        "width": width,
        "height": height,
        "length": spec.length,
    }
    lines = "".join(f"{key}={value}\n" for key, value in properties.items())
    (folder / "sequence").write_text(lines)
    rows = "".join(",".join(repr(float(v)) for v in box) + "\n" for box in boxes)
    (folder / "groundtruth.txt").write_text(rows)
    failed = {
        m: [_failing(spec, m, t) is not None for t in range(spec.length)] for m in ("rgb", "ir")
    }
    good = [v > 0.9 and not failed["rgb"][t] and not failed["ir"][t] for t, v in enumerate(visible)]
    columns = {f"{name}.tag": flags for name, flags in _tags(spec, renderer.path, boxes).items()}
    columns["occlusion.tag"] = [v < 0.9 for v in visible]
    for modality, flags in failed.items():
        columns[f"{modality}_failure.tag"] = flags
    columns["visibility.value"] = visible
    columns["anchor.value"] = _anchors(good)
    for name, values in columns.items():
        form = repr if name == "visibility.value" else int
        (folder / name).write_text("".join(f"{form(value)}\n" for value in values))


def _tags(spec: SequenceSpec, path: "_Path", boxes: list) -> dict[str, list[bool]]:
    """Attributes that geometry decides, one flag a frame."""
    box = np.array(boxes)
    area = np.sqrt(box[:, 2] * box[:, 3])
    centre = box[:, :2] + box[:, 2:] / 2
    jump = np.zeros(spec.length)
    pan = np.zeros(spec.length)
    if spec.length > 1:
        jump[1:] = np.hypot(*np.diff(centre, axis=0).T) / area[1:]
        pan[1:] = np.hypot(np.diff(path.u), np.diff(path.v)) * path.zoom[1:] / spec.size[0]
    return {
        "camera_motion": list(pan > 0.01),
        "motion_change": list(jump > 0.12),
        "size_change": list(np.abs(np.log2(area / area[0])) > 0.6),
        "illum_change": [spec.night > 0.5] * spec.length,
    }


def _anchors(good: list[bool]) -> list[int]:
    """VOT anchors: 1 starts a run to the end, -1 one to the beginning."""
    length = len(good)
    anchors = [0] * length
    usable = [t for t in range(length) if good[t]] or [0]
    for wanted in range(0, length, _ANCHOR_SPACING):
        t = min(usable, key=lambda t: abs(t - wanted))
        anchors[t] = 1 if t < length / 2 else -1
    last = min(usable, key=lambda t: length - 1 - t)
    anchors[last] = anchors[last] or (-1 if last else 1)
    return anchors


def dataset_specs(
    count: int,
    *,
    length: int = 120,
    seed: int = 0,
    size: tuple[int, int] = (320, 240),
    split: str = "test",
    challenges: Sequence[str] | None = None,
) -> dict[str, SequenceSpec]:
    """Names and specs of a set: the challenges in turn, so that each occurs equally often."""
    _check_choice("split", split, SPLITS)
    names = tuple(challenges) if challenges else challenge_names(split)
    return {
        f"{split}_{i:03d}_{names[i % len(names)]}": random_spec(
            seed + i, length=length, size=size, split=split, challenge=names[i % len(names)]
        )
        for i in range(count)
    }


def write_dataset(
    root: str | Path,
    *,
    count: int = 20,
    length: int = 120,
    seed: int = 0,
    size: tuple[int, int] = (320, 240),
    split: str = "test",
    challenges: Sequence[str] | None = None,
    progress: bool = False,
) -> list[Path]:
    """Write a set of sequences and ``list.txt``: the ``sequences`` folder of a VOT workspace.

    Each sequence appears whole or not at all. Called again after an interruption it goes on where
    it was; complete sequences are kept.

    Args:
        root: the folder to write into.
        count: sequences.
        length: frames of each.
        seed: of the first sequence; the following count up.
        size: (width, height) in pixels.
        split: "train" or "test".
        challenges: names to go through in turn; all of the split by default.
        progress: show a progress bar on stderr.

    Returns:
        The folders, in the order of ``list.txt``.

    Raises:
        UserError: an unknown name, or a folder that holds something else or cannot be written.
    """
    root = Path(root)
    specs = dataset_specs(
        count, length=length, seed=seed, size=size, split=split, challenges=challenges
    )
    folders = []
    for name, spec in tqdm(specs.items(), disable=not progress, desc="sequences", unit="sequence"):
        folders.append(write_sequence(spec, root / name))
    with whole_file(root / "list.txt") as temporary:
        temporary.write_text("".join(f"{name}\n" for name in specs))
    return folders
