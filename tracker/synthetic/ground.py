"""The ground plane: world coordinates of its plate, and the painters of each kind of ground."""

import math
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import ArrayLike

from tracker.synthetic.noise import fractal_noise
from tracker.synthetic.paint import KELVIN, comb, heat_level, make_paint, mix, paint_over, stripe
from tracker.synthetic.places import Place
from tracker.synthetic.plates import PLATE_REACH, PLATE_SCALE


class Ground:
    """World coordinates of every pixel of the ground plate, and textures for painting it."""

    def __init__(self, place: Place, size: tuple[int, int], rng: np.random.Generator):
        width, height = size
        k = PLATE_SCALE
        self.place, self.rng = place, rng
        self.v0 = place.f * place.look.height / place.look.backdrop_z
        rows = int((1.45 * height - self.v0) * k)
        columns = int(2 * PLATE_REACH * width * k)
        v = (self.v0 + (np.arange(rows, dtype=np.float32) + 0.5) / k)[:, None]
        u = ((np.arange(columns, dtype=np.float32) + 0.5) / k - PLATE_REACH * width)[None]
        self.z = np.broadcast_to(place.f * place.look.height / v, (rows, columns))
        self.x = np.ascontiguousarray(u * self.z / place.f)
        self.foot_x = self.z / (place.f * k)
        self.foot_z = self.z**2 / (place.f * place.look.height * k)
        self.shape = (rows, columns)
        self._turn = rng.uniform(-0.5, 0.5)

    def texture(self, grain: float, stretch: float = 1.0) -> np.ndarray:
        """Noise fixed to the ground with structures of ``grain`` metres, fading where too fine."""
        tile = fractal_noise(self.rng, (256, 256), 24.0, 4)
        c, s = math.cos(self._turn), math.sin(self._turn)
        step = 24.0 / grain
        mx = ((c * self.x + s * self.z) * np.float32(step / stretch) + 64).astype(np.float32)
        my = ((c * self.z - s * self.x) * np.float32(step) + 64).astype(np.float32)
        sampled = cv2.remap(tile, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        return sampled / (1 + (self.foot_z / (0.5 * grain)) ** 2)

    def grit(self, strength: float) -> np.ndarray:
        """The finest texture, two pixels in size near the camera and fading away from it."""
        near = np.clip(1.5 - self.z / 16, 0.15, 1)
        return strength * near * fractal_noise(self.rng, self.shape, 3.2, 2)

    def paint(self, colour: Iterable[float], celsius: ArrayLike) -> np.ndarray:
        """The whole plate in one paint."""
        return np.broadcast_to(make_paint(colour, celsius), (*self.shape, 4)).copy()


def paint_street(g: Ground) -> np.ndarray:
    air, sun, rng = g.place.air, g.place.sun, g.rng
    near, far = g.place.look.land
    kerb, far_kerb = near + rng.uniform(0.5, 2.0), far - rng.uniform(1.0, 2.5)
    rough, fine, patches = g.texture(2.5), g.texture(0.25), g.texture(9.0)
    grey = rng.uniform(82, 108)
    out = g.paint((grey, grey, grey + 3), air + 2.5 + 7 * sun)
    tone = 6 * rough + 7 * fine + 7 * patches + g.grit(4)
    worn = np.clip(patches * 3 - 2.2, 0, 1)
    out[..., :3] += (tone - 20 * worn)[..., None]
    out[..., 3] += KELVIN * (0.5 * patches + 0.25 * rough)
    walk = np.clip((kerb - g.z) / g.foot_z + 0.5, 0, 1)
    walk = np.maximum(walk, np.clip((g.z - far_kerb) / g.foot_z + 0.5, 0, 1))
    joints = np.maximum(comb(g.x, 1.5, 0.03, g.foot_x), comb(g.z, 1.5, 0.03, g.foot_z) * walk)
    slab = g.paint((158, 152, 142), air + 1.5 + 6 * sun)
    slab[..., :3] += (5 * fine + 8 * rough - 34 * joints)[..., None]
    slab[..., 3] += KELVIN * (0.4 * rough - 0.8 * joints)
    paint_over(out, walk, slab)
    edge = np.maximum(stripe(g.z - kerb, 0.14, g.foot_z), stripe(g.z - far_kerb, 0.14, g.foot_z))
    paint_over(out, edge, make_paint((186, 184, 178), air + 1 + 4 * sun))
    middle = (kerb + far_kerb) / 2
    dashes = stripe((g.x + 1) % 5.0 - 2.5, 1.4, g.foot_x)
    white = make_paint((226, 224, 214), air + 1.5 + 4 * sun)
    paint_over(out, stripe(g.z - middle, 0.1, g.foot_z) * dashes * 0.85, white)
    at = rng.uniform(-9, 9)
    bars = comb(g.z, 1.1, 0.28, g.foot_z) * stripe(g.x - at, 1.7, g.foot_x)
    paint_over(out, bars * (1 - walk) * 0.8, white)
    return out


def paint_lawn(g: Ground) -> np.ndarray:
    air, sun, rng = g.place.air, g.place.sun, g.rng
    rough, fine, patches = g.texture(1.6), g.texture(0.22), g.texture(7.0)
    dry = rng.uniform(0, 1)
    out = g.paint((84 + 50 * dry, 112 + 12 * dry, 54 + 18 * dry), air - 1 + 2.5 * sun)
    tone = (7 * rough + 12 * fine + g.grit(11))[..., None]
    out[..., :3] += tone + patches[..., None] * (13.0, 5.0, 1.0)
    out[..., 3] += KELVIN * (0.8 * patches + 0.5 * rough)
    bend = 1.6 * np.sin(g.x / rng.uniform(5, 9) + rng.uniform(0, 6)) + rng.uniform(9, 13)
    path = stripe(g.z - bend - 0.3 * rough, rng.uniform(0.8, 1.5), g.foot_z + 0.3)
    gravel = g.paint((172, 158, 130), air + 2 + 6 * sun)
    gravel[..., :3] += (9 * fine + 6 * rough + g.grit(8))[..., None]
    paint_over(out, path, gravel)
    return out


def paint_tiles(g: Ground) -> np.ndarray:
    air, rng = g.place.air, g.rng
    fine, patches = g.texture(0.3), g.texture(4.0)
    warm = rng.uniform(-14, 14)
    base = rng.uniform(128, 170)
    out = g.paint((base + warm, base, base - warm), air + 0.5)
    period = rng.choice((0.8, 1.2, 1.6))
    checks = np.sign(np.sin(np.pi * g.x / period) * np.sin(np.pi * g.z / period))
    checks = checks / (1 + (g.foot_z / 0.35) ** 2) * rng.uniform(0, 12)
    joints = np.maximum(comb(g.x, period, 0.02, g.foot_x), comb(g.z, period, 0.02, g.foot_z))
    shine = 24 * np.exp(-(((g.x / g.z - rng.uniform(-0.6, 0.6)) / 0.12) ** 2))
    shine += 20 * np.exp(-(((g.x / g.z - rng.uniform(-0.6, 0.6)) / 0.2) ** 2))
    out[..., :3] += (checks + 4 * fine + 5 * patches - 30 * joints + shine)[..., None]
    # A polished floor reflects the warm and cool objects above it, blurred.
    out[..., 3] += KELVIN * (0.5 * patches + 0.02 * shine)
    return out


def paint_quay(g: Ground) -> np.ndarray:
    air, sun, rng = g.place.air, g.place.sun, g.rng
    edge = g.place.look.land[1] + 1.0
    rough, fine = g.texture(1.8), g.texture(0.25)
    stone = g.paint((150, 142, 128), air + 1.5 + 6 * sun)
    joints = np.maximum(comb(g.x, 2.2, 0.03, g.foot_x), comb(g.z, 1.1, 0.03, g.foot_z))
    stone[..., :3] += (9 * rough + 8 * fine + g.grit(5) - 36 * joints)[..., None]
    stone[..., 3] += KELVIN * (0.5 * rough - 0.6 * joints)
    curb = stripe(g.z - edge + 0.3, 0.3, g.foot_z)
    paint_over(stone, curb, make_paint((188, 182, 170), air + 1 + 5 * sun))
    # Ripples have a similar size in the image, since distant ones are foreshortened more.
    ripples = cv2.resize(
        fractal_noise(rng, (g.shape[0], g.shape[1] // 6), 9, 3),
        g.shape[::-1],
        interpolation=cv2.INTER_CUBIC,
    )
    swell = g.texture(6.0, 3.0)
    top, bottom = g.place.sky[0], g.place.sky[1]
    day = 1 / max(0.05, 1 - g.place.night) ** 1.3
    mirror = np.clip((g.z - edge) / 40, 0, 1)[..., None]
    colour = mix(top * 0.62 * day + 10, bottom * 0.8 * day, mirror)
    water = np.empty((*g.shape, 4), np.float32)
    water[..., :3] = np.minimum(colour, 190) + (9 * ripples + 6 * swell)[..., None]
    water[..., 3] = heat_level(air - 3) + KELVIN * (0.35 * ripples + 0.3 * swell)
    paint_over(stone, np.clip((g.z - edge) / g.foot_z + 0.5, 0, 1), water)
    return stone


def paint_snow(g: Ground) -> np.ndarray:
    air, sun = g.place.air, g.place.sun
    rough, drifts, fine = g.texture(2.2, 2.0), g.texture(8.0, 2.5), g.texture(0.3)
    out = g.paint((206, 212, 222), air - 2)
    relief = 7 * rough + 9 * drifts + 3 * fine + g.grit(2.5)
    out[..., :3] += relief[..., None] * (1.0, 0.9, 0.7)
    out[..., 3] += KELVIN * (0.7 * drifts + 0.4 * rough + sun)
    for _ in range(3):
        slope, at = g.rng.uniform(-0.25, 0.25), g.rng.uniform(7, 17)
        track = comb(g.x, 0.7, 0.12, g.foot_x) * stripe(g.z - at - slope * g.x, 0.16, g.foot_z)
        paint_over(out, 0.7 * track, make_paint((158, 168, 186), air - 3))
    return out


def paint_sand(g: Ground) -> np.ndarray:
    air, sun = g.place.air, g.place.sun
    rough, dunes, fine = g.texture(1.5, 3.0), g.texture(10.0), g.texture(0.25)
    out = g.paint((198, 168, 122), air + 3 + 10 * sun)
    waves = np.sin(g.z * 5 + 2.2 * dunes + rough) / (1 + (g.foot_z / 0.25) ** 2)
    out[..., :3] += (7 * rough + 9 * dunes + 5 * fine + 6 * waves + g.grit(6))[..., None]
    out[..., 3] += KELVIN * (1.0 * dunes + 0.5 * rough + 0.5 * waves)
    return out


def paint_concrete(g: Ground) -> np.ndarray:
    air, rng = g.place.air, g.rng
    rough, fine, stains = g.texture(2.5), g.texture(0.3), g.texture(5.0)
    out = g.paint((124, 124, 120), air - 0.5)
    spill = np.clip(stains * 2.5 - 1.8, 0, 1)
    joints = np.maximum(comb(g.x, 5.0, 0.03, g.foot_x), comb(g.z, 5.0, 0.03, g.foot_z))
    out[..., :3] += (6 * rough + 5 * fine + g.grit(3) - 28 * spill - 26 * joints)[..., None]
    out[..., 3] += KELVIN * (0.5 * stains + 0.3 * rough)
    yellow = make_paint((206, 170, 52), air - 0.3)
    for at in (rng.uniform(6, 8), rng.uniform(13, 16)):
        paint_over(out, 0.85 * stripe(g.z - at, 0.09, g.foot_z), yellow)
    for at in rng.uniform(-14, 14, 2):
        paint_over(out, 0.85 * stripe(g.x - at, 0.09, g.foot_x), yellow)
    return out


GROUNDS = {
    "street": paint_street,
    "lawn": paint_lawn,
    "tiles": paint_tiles,
    "quay": paint_quay,
    "snow": paint_snow,
    "sand": paint_sand,
    "concrete": paint_concrete,
}
