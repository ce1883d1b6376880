"""Upright static objects, and those that the target passes behind."""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from tracker.synthetic.noise import fractal_noise
from tracker.synthetic.paint import CAR_COLOURS, KELVIN, VIVID_COLOURS, make_paint, mix, pick_colour
from tracker.synthetic.places import Place
from tracker.synthetic.plates import PLATE_SCALE, Plate, make_plate


class Sketch:
    """An upright object, drawn in metres: x from its middle, y up from its foot."""

    _FINE = 3  # drawn at this scale, then averaged

    def __init__(
        self, place: Place, rng: np.random.Generator, z: float, width: float, height: float
    ):
        self.place, self.rng, self.z = place, rng, z
        self.width, self.height = width, height
        self.scale = place.f * PLATE_SCALE / z
        self._metre = self.scale * self._FINE
        shape = (max(4, int(height * self._metre)), max(4, int(width * self._metre)))
        self.rgbt = np.zeros((*shape, 4), np.float32)
        self.cover = np.zeros(shape, np.uint8)
        self.glow = np.zeros((*shape, 3), np.float32)

    def _pixels(self, points: ArrayLike) -> np.ndarray:
        p = np.asarray(points, np.float32)
        x = (p[:, 0] + self.width / 2) * self._metre
        return np.stack([x, self.rgbt.shape[0] - p[:, 1] * self._metre], 1).astype(np.int32)

    def poly(
        self, points: ArrayLike, paint: np.ndarray, glow: Sequence[float] | None = None
    ) -> None:
        """Draw a filled polygon."""
        pixels = self._pixels(points)
        cv2.fillPoly(self.rgbt, [pixels], [float(c) for c in paint])
        cv2.fillPoly(self.cover, [pixels], 255)
        if glow is not None:
            cv2.fillPoly(self.glow, [pixels], [float(c) for c in glow])

    def rect(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        paint: np.ndarray,
        glow: Sequence[float] | None = None,
    ) -> None:
        """Draw a filled rectangle."""
        self.poly(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), paint, glow)

    def blob(
        self, x: float, y: float, rx: float, ry: float, paint: np.ndarray, turn: float = 0.0
    ) -> None:
        """Draw a filled ellipse."""
        column, row = self._pixels([(x, y)])[0]
        centre = (int(column), int(row))
        axes = (max(1, int(rx * self._metre)), max(1, int(ry * self._metre)))
        cv2.ellipse(self.rgbt, centre, axes, turn, 0, 360, [float(c) for c in paint], -1)
        cv2.ellipse(self.cover, centre, axes, turn, 0, 360, 255, -1)

    def leaves(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        colour: ArrayLike,
        celsius: float,
        count: int = 130,
    ) -> None:
        """Draw a crown: clumps of leaves in an ellipse, dark below, lit above, back to front."""
        rng = self.rng
        angle, reach = rng.uniform(0, 2 * np.pi, count), np.sqrt(rng.uniform(0, 1, count))
        px, py = np.cos(angle) * reach, np.sin(angle) * reach
        light = 0.78 + 0.26 * py + 0.1 * px * self.place.sun_side + rng.normal(0, 0.12, count)
        for i in np.argsort(-reach + rng.normal(0, 0.25, count)):
            size = rng.uniform(0.1, 0.2) * min(rx, ry)
            paint = make_paint(
                np.asarray(colour) * light[i], celsius + rng.normal(0, 0.5) - 0.3 * py[i]
            )
            self.blob(x + px[i] * rx, y + py[i] * ry, size * 1.25, size, paint, rng.uniform(0, 180))

    def rough(self, colour: float, kelvin: float, grain: float = 0.25) -> None:
        """Add noise to everything drawn so far: in grey levels and kelvin, structures in metres."""
        noise = fractal_noise(self.rng, self.cover.shape, max(2.0, grain * self._metre), 3)
        self.rgbt[..., :3] += (colour * noise)[..., None]
        self.rgbt[..., 3] += KELVIN * kelvin * noise

    def plate(self, x: float, foot: float = 0.0) -> Plate:
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
        return make_plate(rgbt, small, (u, v), PLATE_SCALE, -place.f / self.z, 0.0, self.z)


def draw_tree(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 4.8, 6.6)
    lean = rng.uniform(-0.2, 0.2)
    bark = make_paint((84, 66, 50), place.air + 0.8)
    s.poly(((-0.2, 0), (0.2, 0), (0.1 + lean, 3.4), (-0.1 + lean, 3.4)), bark)
    s.poly(((0, 1.9), (0.14, 1.9), (1.0, 3.4), (0.9, 3.5)), bark)
    s.rough(12, 0.4, 0.15)
    green = mix(np.array([86.0, 116, 56]), np.array([160.0, 112, 48]), rng.uniform(0, 1) ** 3)
    for _ in range(3):
        x, y = rng.uniform(-0.8, 0.8) + lean, rng.uniform(3.6, 4.8)
        s.leaves(x, y, rng.uniform(1.1, 1.6), rng.uniform(0.9, 1.4), green, place.air - 0.8, 90)
    return s


def draw_conifer(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 3.2, 7.0)
    s.rect(-0.12, 0, 0.12, 1.2, make_paint((74, 58, 46), place.air + 0.5))
    frost = np.clip((5 - place.air) / 8, 0, 0.55)
    for y in np.arange(0.7, 6.6, 0.28):
        half = 1.45 * (1 - y / 7.0)
        for x in np.arange(-half, half, 0.24):
            green = mix(np.array([44.0, 70, 50]), np.array([214.0, 222, 230]), frost * rng.random())
            tone = rng.uniform(0.75, 1.15) * (1 + 0.12 * place.sun_side * x / max(half, 0.1))
            tip = (x + rng.uniform(-0.1, 0.3), y - rng.uniform(0.15, 0.35))
            paint = make_paint(green * tone, place.air - 0.6 + rng.normal(0, 0.4))
            s.poly(((x, y + 0.3), tip, (x + 0.3, y)), paint)
    return s


def draw_palm(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 4.4, 6.4)
    s.poly(((-0.17, 0), (0.17, 0), (0.3, 5), (0.08, 5)), make_paint((126, 104, 78), place.air + 2))
    s.rough(12, 0.5, 0.12)
    for a in np.linspace(-0.3, math.pi + 0.3, 15):
        bow = rng.uniform(1.4, 2.0)
        x, y = 0.19 + bow * math.cos(a), 5 + 0.75 * bow * math.sin(a) - 0.2
        paint = make_paint(np.array([88, 112, 58]) * rng.uniform(0.75, 1.15), place.air)
        mid = (0.19 + 0.55 * (x - 0.19), 5.25 + 0.6 * (y - 5))
        s.poly(((0.19, 5), mid, (x, y - 0.35), (mid[0], mid[1] - 0.3)), paint)
    return s


def draw_bush(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 2.6, 1.7)
    green = np.array([92.0, 112, 62]) * rng.uniform(0.8, 1.1)
    s.leaves(0, 0.65, 1.1, 0.75, green, place.air - 0.5, 120)
    return s


def draw_rock(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 3.0, 1.6)
    angle = np.sort(rng.uniform(0, math.pi, 9))
    points = np.stack([1.3 * np.cos(angle), rng.uniform(0.8, 1.4, 9) * np.sin(angle)], 1)
    warm = place.air + 1 + 7 * place.sun
    s.poly([(-1.3, 0), *points[::-1], (1.3, 0)], make_paint((136, 124, 112), warm))
    side = [(p[0] * 0.8 + 0.25 * place.sun_side, p[1] * 0.8) for p in points[::-1]]
    s.poly(side, make_paint((166, 154, 140), warm + 1.5))
    s.rough(11, 0.8, 0.3)
    return s


def draw_lamp(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 1.6, 5.4)
    grey = make_paint((92, 94, 98), place.air + 1)
    s.rect(-0.07, 0, 0.07, 5.2, grey)
    s.rect(-0.05, 5.1, 0.7, 5.22, grey)
    s.rect(0.35, 4.98, 0.75, 5.14, make_paint((224, 220, 204), place.air + 4), glow=(700, 600, 420))
    return s


def draw_sign(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 1.0, 2.8)
    colours = ((40, 80, 170), (196, 40, 40), (230, 190, 40), (40, 130, 80))
    s.rect(-0.05, 0, 0.05, 2.6, make_paint((130, 132, 136), place.air + 1))
    s.rect(-0.42, 1.9, 0.42, 2.7, make_paint((236, 236, 232), place.air + 1.5))
    s.rect(-0.36, 1.96, 0.36, 2.64, make_paint(colours[rng.integers(4)], place.air + 1.5))
    return s


def draw_pillar(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 1.0, 7.5)
    shade = rng.uniform(150, 196)
    for i, x in enumerate(np.linspace(-0.4, 0.32, 10)):
        tone = shade * (0.72 + 0.36 * math.sin(math.pi * (i + 1.2) / 11))
        s.rect(x, 0, x + 0.09, 7.5, make_paint((tone, tone, tone * 0.96), place.air + 0.3))
    s.rect(-0.46, 0, 0.46, 0.25, make_paint((84, 82, 80), place.air))
    s.rough(4, 0.3, 0.6)
    return s


def draw_bin(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 0.9, 1.2)
    colour = np.array([(60, 96, 70), (66, 70, 80), (150, 120, 50)][rng.integers(3)])
    s.poly(((-0.3, 0), (0.3, 0), (0.36, 1), (-0.36, 1)), make_paint(colour, place.air + 0.5))
    s.rect(-0.4, 0.98, 0.4, 1.1, make_paint(colour * 0.7, place.air + 0.5))
    s.rough(6, 0.3)
    return s


def draw_crate(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 2.6, 2.6)
    for x, y, w in ((-1.15, 0, 1.15), (0.05, 0, 1.1), (-0.6, 1.1, 1.2)):
        tone = rng.uniform(0.85, 1.1)
        warm = place.air + rng.uniform(-1, 1.5) + 3 * place.sun
        s.rect(x, y, x + w, y + 1.08, make_paint(np.array([162, 126, 84]) * tone, warm))
        for k in range(4):
            s.rect(
                x, y + 0.27 * k, x + w, y + 0.27 * k + 0.03, make_paint((98, 74, 50), warm - 0.5)
            )
    s.rough(6, 0.3)
    return s


def draw_bollard(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 0.8, 0.9)
    s.poly(
        ((-0.22, 0), (0.22, 0), (0.14, 0.5), (-0.14, 0.5)), make_paint((60, 60, 64), place.air + 2)
    )
    s.blob(0, 0.6, 0.28, 0.16, make_paint((80, 80, 84), place.air + 2.5))
    return s


def draw_car(place: Place, rng: np.random.Generator, z: float) -> Sketch:
    s = Sketch(place, rng, z, 4.6, 1.7)
    colour = pick_colour(rng, CAR_COLOURS).astype(np.float32)
    warm = place.air + 1 + 6 * place.sun
    glass = make_paint((48, 56, 64), place.air - 2)
    s.poly(
        ((-2.1, 0.35), (2.1, 0.35), (2.15, 0.8), (1.2, 0.95), (-2.1, 1.0)), make_paint(colour, warm)
    )
    s.poly(((-1.7, 0.95), (1.2, 0.95), (0.5, 1.5), (-1.2, 1.5)), make_paint(colour * 0.9, warm))
    s.poly(((-1.45, 0.98), (-0.3, 0.98), (-0.3, 1.42), (-1.1, 1.42)), glass)
    s.poly(((-0.2, 0.98), (0.95, 0.98), (0.42, 1.42), (-0.2, 1.42)), glass)
    for x in (-1.35, 1.35):
        s.blob(x, 0.33, 0.34, 0.34, make_paint((30, 30, 32), place.air + 3))
        s.blob(x, 0.33, 0.18, 0.18, make_paint((140, 142, 146), place.air + 2))
    s.rough(3, 0.3)
    return s


PROPS = {
    "tree": draw_tree,
    "conifer": draw_conifer,
    "palm": draw_palm,
    "bush": draw_bush,
    "rock": draw_rock,
    "lamp": draw_lamp,
    "sign": draw_sign,
    "pillar": draw_pillar,
    "bin": draw_bin,
    "crate": draw_crate,
    "bollard": draw_bollard,
    "car": draw_car,
}


def draw_occluder(
    place: Place, rng: np.random.Generator, z: float, width: float, height: float, wild: bool
) -> Sketch:
    """An occluder that covers ``width`` by ``height``: leaves or a solid object."""
    air, sun = place.air, place.sun
    if wild:
        s = Sketch(place, rng, z, width * 1.5, height * 1.15)
        green = np.array([84.0, 108, 60]) * rng.uniform(0.7, 1.05)
        if place.look.air[1] < 10:
            green = mix(green, np.array([150.0, 160, 164]), 0.4)
        inner = make_paint(green * 0.5, air - 0.6)
        s.rect(-width / 2, 0, width / 2, height * 0.98, inner)
        size = min(width, height)
        for y in np.arange(0.15 * size, height, 0.3 * size):
            for x in np.arange(-width / 2, width / 2 + 0.01, max(0.3 * size, width / 4)):
                s.leaves(x, y, 0.32 * size, 0.3 * size, green, air - 0.6, 26)
        return s
    s = Sketch(place, rng, z, width, height)
    walls = ((168, 150, 128), (120, 128, 134), (150, 84, 66), (86, 100, 112), (190, 186, 176))
    colour = pick_colour(rng, walls) * rng.uniform(0.85, 1.1)
    warm = air + rng.uniform(-0.5, 1.5) + rng.uniform(1, 5) * sun
    s.rect(-width / 2, 0, width / 2, height, make_paint(colour, warm))
    if width > 0.8:
        step = width / round(width / 0.6 + 0.5)
        for x in np.arange(-width / 2, width / 2, step):
            s.rect(x, 0, x + 0.04, height, make_paint(colour * 0.75, warm - 0.4))
        s.rect(-width / 2, height - 0.12, width / 2, height, make_paint(colour * 0.62, warm + 0.5))
        if height > 1.4:
            poster = pick_colour(rng, VIVID_COLOURS)
            y = 0.45 * height
            s.rect(-0.3 * width, y, 0.1 * width, y + 0.3 * height, make_paint(poster, warm + 0.3))
    else:
        s.rect(-width / 2, 0, -width / 4, height, make_paint(colour * 0.8, warm - 0.3))
    s.rough(6, 0.4, 0.3)
    return s
