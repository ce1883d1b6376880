"""What all parts of a scene share: geometry, weather and light."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from tracker.synthetic.looks import LOOKS, Look
from tracker.synthetic.noise import generator
from tracker.synthetic.paint import heat_level, mix
from tracker.synthetic.specs import SequenceSpec


@dataclass(frozen=True)
class Place:
    """Geometry, weather and light, shared by all painters of a scene.

    Lengths are in metres, except the focal length ``f`` in frame pixels. ``sun`` is 0 (none) to 1,
    ``sun_side`` is -1 (left) or 1. The rows of ``lamps`` are X, Z, radius and strength.
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

    def light(self, x: ArrayLike, z: ArrayLike) -> np.ndarray:
        """Visible light at a point of the ground, (..., 3) or (3,); 1 for full daylight."""
        if not len(self.lamps):
            return self.ambient
        warm = np.array([1.0, 0.86, 0.62], np.float32)
        x, z = np.asarray(x, np.float32), np.asarray(z, np.float32)
        pool = np.zeros(np.broadcast(x, z).shape, np.float32)
        for lamp_x, lamp_z, radius, strength in self.lamps:
            d2 = ((x - lamp_x) ** 2 + (z - lamp_z) ** 2) / radius**2
            pool += strength / (1 + d2) ** 2
        return self.ambient + pool[..., None] * warm

    def clear(self, z: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Transmission of the air up to distance z, visible and thermal."""
        depth = np.asarray(z, np.float32) * (self.fog / 10.0)
        return np.exp(-depth), np.exp(-depth / 3.0)

    def shine(
        self, rgbt: np.ndarray, x: ArrayLike, z: ArrayLike, glow: np.ndarray | None = None
    ) -> np.ndarray:
        """Apply light, glow and haze to paint at ground position (x, z), in place."""
        rgbt[..., :3] *= self.light(x, z)
        if glow is not None and self.night > 0:
            rgbt[..., :3] += glow * self.night
        if self.fog == 0:
            return rgbt
        visible, thermal = self.clear(z)
        rgbt[..., :3] += (self.haze - rgbt[..., :3]) * (1 - visible)[..., None]
        rgbt[..., 3] += (heat_level(self.air) - rgbt[..., 3]) * (1 - thermal)
        return rgbt


def make_place(spec: SequenceSpec) -> Place:
    """Draw the weather and light of a sequence."""
    look = LOOKS[spec.look]
    rng = generator(spec.seed, "place")
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
    ambient = np.array(tint, np.float32) * (1 - night) * mix(1.0, blue, min(1.0, 1.2 * night))
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
    return Place(
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
