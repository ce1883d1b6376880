"""The backdrop: the sky, and the painters of each kind of upright background."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import ArrayLike

from tracker.synthetic.noise import fractal_noise, skyline
from tracker.synthetic.paint import (
    KELVIN,
    comb,
    heat_level,
    make_paint,
    mix,
    paint_over,
    pick_colour,
)
from tracker.synthetic.places import Place
from tracker.synthetic.plates import PLATE_REACH, PLATE_SCALE


class Backdrop:
    """The upright image behind the ground: the sky and what closes the view."""

    def __init__(self, place: Place, size: tuple[int, int], rng: np.random.Generator):
        width, height = size
        k = PLATE_SCALE
        self.place, self.rng = place, rng
        z = place.look.backdrop_z
        self.metre = k * place.f / z  # plate pixels
        self.v_top = -1.5 * height
        base = place.f * place.look.height / z
        self.base = int((base - self.v_top) * k)  # row of the ground
        self.shape = (self.base + 4, int(2 * PLATE_REACH * width * k))
        self.unit = height * k / 240  # plate pixels of equal appearance at every frame size
        self.rgbt = np.empty((*self.shape, 4), np.float32)
        self.glow = np.zeros((*self.shape, 3), np.float32)
        self.air_share = np.zeros(self.shape, np.float32)  # 1 for sky

    def sky(self) -> None:
        """Gradient and clouds; the clear sky is cold, clouds and the horizon are less so."""
        top, bottom = self.place.sky
        rows = np.linspace(-0.25, 1, self.shape[0], dtype=np.float32).clip(0, 1)[:, None] ** 1.5
        self.rgbt[..., :3] = (top + (bottom - top) * rows[..., None])[:, None].reshape(-1, 1, 3)
        cold = self.place.air - self.rng.uniform(14, 24)
        self.rgbt[..., 3] = heat_level(cold + (self.place.air - 6 - cold) * rows**2)
        clouds = fractal_noise(self.rng, self.shape, 150 * self.unit, 5)
        clouds = cv2.resize(clouds, self.shape[::-1])
        cover = np.clip((clouds + self.rng.uniform(-0.9, 0.5)) * 0.8, 0, 1)
        lit = np.minimum(bottom * 1.12 + 12 * (1 - self.place.night), 250)
        shade = 1 - 0.14 * np.clip(clouds - 0.6, 0, 1)
        self.rgbt[..., :3] += (lit * shade[..., None] - self.rgbt[..., :3]) * (0.75 * cover)[
            ..., None
        ]
        self.rgbt[..., 3] += (heat_level(self.place.air - 7) - self.rgbt[..., 3]) * 0.7 * cover
        self.air_share[:] = 1
        self.open_sky = self.rgbt.copy()

    def fill(self, rows: slice, columns: slice, paint: np.ndarray) -> None:
        """Fill a rectangle with paint."""
        self.rgbt[rows, columns] = paint
        self.air_share[rows, columns] = 0
        self.glow[rows, columns] = 0

    def below(self, line: np.ndarray, paint: np.ndarray, soft: float = 1.0) -> np.ndarray:
        """Paint below the given row of each column and return the mask."""
        rows = np.arange(self.shape[0], dtype=np.float32)[:, None]
        mask = np.clip((rows - line[None]) / soft + 0.5, 0, 1)
        paint_over(self.rgbt, mask, paint)
        self.air_share *= 1 - mask
        return mask

    def row(self, metres_up: float) -> int:
        """The row of a height above the ground."""
        return int(self.base - metres_up * self.metre)


def paint_foliage(b: Backdrop, line: np.ndarray, colour: ArrayLike, celsius: float) -> None:
    """Leaves below a ragged line: dark gaps, lit tops, nearly uniform temperature."""
    rng, u = b.rng, b.unit
    clumps, leaves = fractal_noise(rng, b.shape, 24 * u, 3), fractal_noise(rng, b.shape, 3.5 * u, 2)
    ragged = line + 1.5 * u * skyline(rng, b.shape[1], 5 * u, 2)
    paint = np.empty_like(b.rgbt)
    rows = np.arange(b.shape[0], dtype=np.float32)[:, None]
    lit = np.clip(1.12 - (rows - ragged[None]) / (110 * u), 0.55, 1.15)
    tone = lit * (1 + 0.15 * clumps + 0.2 * leaves)
    paint[..., :3] = np.asarray(colour, np.float32) * tone[..., None]
    paint[..., 3] = heat_level(celsius) + KELVIN * (0.7 * clumps + 0.35 * leaves)
    b.below(ragged, paint, 1.5)


def paint_boxes(
    b: Backdrop, bottom: float, tall: float, colours: Sequence[ArrayLike], celsius: float
) -> None:
    """A row of boxes of equal height, on a shelf or on other boxes."""
    rng, m = b.rng, b.metre
    x = int(rng.uniform(0, 1) * m)
    while x < b.shape[1]:
        w = max(4, int(m * rng.uniform(0.7, 1.4) * tall))
        if rng.random() < 0.88:
            colour = pick_colour(rng, colours) + rng.uniform(-14, 14)
            top = b.row(bottom + tall * rng.uniform(0.75, 1.0))
            warm = celsius + rng.uniform(-1.2, 1.8)
            b.fill(slice(max(0, top), b.row(bottom)), slice(x, x + w), make_paint(colour, warm))
            edge = make_paint(colour * 0.68, warm)
            b.fill(slice(max(0, top), b.row(bottom)), slice(x + w - 1, x + w), edge)
            label = slice(x + w // 4, x + w // 2)
            b.fill(
                slice(top + 2, top + 2 + max(1, int(0.2 * m))),
                label,
                make_paint(mix(colour, 250, 0.6), warm),
            )
        x += w + int(rng.uniform(0.05, 0.5) * m)


def paint_facades(b: Backdrop) -> None:
    b.sky()
    rng, air, sun, m = b.rng, b.place.air, b.place.sun, b.metre
    walls = (
        (176, 112, 88), (196, 182, 156), (150, 146, 142), (206, 196, 176), (140, 92, 78),
        (122, 130, 138), (188, 160, 122), (164, 172, 176),
    )  # fmt: skip
    grain, stain = fractal_noise(rng, b.shape, 4, 2), fractal_noise(rng, b.shape, 60 * b.unit, 4)
    left = 0
    while left < b.shape[1]:
        right = min(b.shape[1], left + int(m * rng.uniform(6, 14)))
        floors = int(rng.integers(2, 6))
        storey = rng.uniform(2.9, 3.5)
        top = b.row(floors * storey + 0.8)
        colour = pick_colour(rng, walls) + rng.uniform(-12, 12)
        warm = air + rng.uniform(0.5, 2.5) + rng.uniform(2, 6) * sun
        b.fill(slice(max(0, top), b.base + 4), slice(left, right), make_paint(colour, warm))
        area = (slice(max(0, top), b.base + 4), slice(left, right))
        b.rgbt[area][..., :3] += (4 * grain[area] + 7 * stain[area])[..., None]
        b.rgbt[area][..., 3] += KELVIN * 0.6 * stain[area]
        cornice = slice(max(0, top), max(0, top) + max(2, int(0.35 * m)))
        b.fill(cornice, slice(left, right), make_paint(colour * 0.72, warm - 1))
        pitch, wide, tall = rng.uniform(2.0, 2.8), rng.uniform(0.9, 1.4), rng.uniform(1.3, 1.8)
        frame = make_paint(mix(colour, 235, 0.55), warm - 0.5)
        for floor in range(floors):
            shop = floor == 0 and rng.random() < 0.6
            sill = b.row(floor * storey + (0.4 if shop else 1.0))
            head = b.row(floor * storey + (2.5 if shop else 1.0 + tall))
            if sill - head < 3 or sill < 0:
                continue
            step = m * (pitch * 1.7 if shop else pitch)
            w = int(m * (wide * 2.2 if shop else wide))
            for x in np.arange(left + 0.3 * step, right - w - 2, step).astype(int):
                glass = make_paint(
                    rng.uniform(34, 74) * np.array([0.9, 1.0, 1.15]), air - rng.uniform(0, 4)
                )
                lit = rng.random() < (0.5 if shop else 0.25)
                if lit:
                    glass[3] += KELVIN * rng.uniform(1, 5)
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
                slice(b.row(2.2), b.base + 4),
                slice(x, x + int(m)),
                make_paint((70, 54, 44), warm + 1),
            )
        left = right


def paint_treeline(b: Backdrop) -> None:
    b.sky()
    rng, m, air = b.rng, b.metre, b.place.air
    autumn = rng.uniform(0, 1) ** 2
    for height, depth, shift in ((11, 0.45, 0.0), (7, 0.2, 0.6), (3.2, 0.0, 1.0)):
        line = b.row(height) + 1.6 * m * skyline(rng, b.shape[1], (30 + 40 * depth) * b.unit, 3)
        green = mix(
            np.array([58.0, 84, 44]), np.array([128.0, 92, 44]), autumn * rng.uniform(0.2, 1)
        )
        paint_foliage(b, line, mix(green, np.array([150.0, 164, 172]), depth), air - 1 + shift)


def paint_wall(b: Backdrop) -> None:
    rng, m, air = b.rng, b.metre, b.place.air
    tint = np.array([rng.uniform(168, 204), rng.uniform(168, 196), rng.uniform(150, 190)])
    b.fill(slice(None), slice(None), make_paint(tint, air + 0.5))
    shade = fractal_noise(rng, b.shape, 90 * b.unit, 3)
    b.rgbt[..., :3] += (5 * shade)[..., None]
    b.rgbt[..., 3] += KELVIN * 0.35 * shade
    ceiling = b.row(4.6)
    b.fill(slice(0, max(0, ceiling)), slice(None), make_paint((120, 120, 118), air + 2))
    beams = np.arange(0, max(0, ceiling), max(6, int(14 * b.unit)))
    for beam in beams:
        b.fill(slice(beam, beam + 2), slice(None), make_paint((92, 92, 92), air + 2))
    for x in np.arange(rng.uniform(0, 4) * m, b.shape[1], 5 * m).astype(int):  # lights
        y = b.row(4.9)
        area = (slice(max(0, y), max(0, y) + max(2, int(0.2 * m))), slice(x, x + int(1.8 * m)))
        b.fill(*area, make_paint((250, 248, 236), air + 9))
        b.glow[area] = (255, 246, 220)
    b.fill(slice(b.row(1.1), b.base + 4), slice(None), make_paint(tint * 0.8, air + 0.3))
    b.fill(slice(b.row(0.15), b.base + 4), slice(None), make_paint((72, 66, 60), air))
    x = int(rng.uniform(0, 3) * m)
    vivid = ((188, 52, 46), (40, 92, 160), (222, 178, 44), (52, 128, 84), (120, 60, 130))
    while x < b.shape[1] - 4 * m:
        kind = rng.choice(("door", "poster", "window", "radiator", "plain"))
        w = int(m * {"door": 1.1, "poster": 1.6, "window": 3.0, "radiator": 1.8, "plain": 1}[kind])
        across = slice(x, x + w)
        if kind == "door":
            b.fill(
                slice(b.row(2.3), b.base + 4),
                slice(x - 2, x + w + 2),
                make_paint((210, 208, 200), air),
            )
            b.fill(slice(b.row(2.2), b.base + 4), across, make_paint((112, 80, 54), air - 0.3))
        elif kind == "poster":
            colour = pick_colour(rng, vivid)
            b.fill(slice(b.row(2.9), b.row(1.5)), across, make_paint(colour, air + 0.4))
            for line in range(b.row(2.6), b.row(1.7), max(3, int(0.25 * m))):
                b.fill(
                    slice(line, line + 1),
                    slice(x + 3, x + w - 3),
                    make_paint(mix(colour, 255, 0.7), air + 0.4),
                )
        elif kind == "window":
            b.fill(slice(b.row(3.5), b.row(1.2)), across, make_paint((226, 228, 226), air - 1))
            day = max(0.08, 1 - b.place.night)
            for half in (slice(x + 2, x + w // 2 - 1), slice(x + w // 2 + 1, x + w - 2)):
                sky = make_paint(np.array([168, 196, 220]) * day, air - 5)
                b.fill(slice(b.row(3.4), b.row(1.3)), half, sky)
        elif kind == "radiator":
            b.fill(slice(b.row(0.95), b.row(0.2)), across, make_paint((222, 220, 214), air + 11))
            for c in range(x, x + w, max(3, int(0.12 * m))):
                b.fill(
                    slice(b.row(0.95), b.row(0.2)),
                    slice(c, c + 1),
                    make_paint((176, 174, 170), air + 8),
                )
        x += w + int(m * rng.uniform(0.8, 2.4))


def paint_hills(b: Backdrop) -> None:
    b.sky()
    rng, m, air = b.rng, b.metre, b.place.air
    haze = b.place.sky[1] / max(0.05, (1 - b.place.night) ** 1.3)
    for height, share, grain in ((24, 0.62, 260), (14, 0.35, 170)):
        line = b.row(height) + 5 * m * skyline(rng, b.shape[1], grain * b.unit)
        colour = mix(np.array([70.0, 88, 74]), haze, share)
        b.below(line, make_paint(np.minimum(colour, 225), air - 3), 1.5)
    line = b.row(5) + 1.6 * m * skyline(rng, b.shape[1], 40 * b.unit)
    paint_foliage(b, line, (74, 92, 62), air - 1)
    for _ in range(7):  # houses on the far shore
        x, w = int(rng.uniform(0, b.shape[1])), int(m * rng.uniform(5, 9))
        wall = slice(b.row(rng.uniform(3, 4.5)), b.base - int(0.5 * m))
        b.fill(wall, slice(x, x + w), make_paint((212, 204, 190), air + 2 + 5 * b.place.sun))
        roof = slice(wall.start - int(1.4 * m), wall.start)
        b.fill(
            roof,
            slice(max(0, x - 2), x + w + 2),
            make_paint((150, 78, 58), air + 1 + 7 * b.place.sun),
        )
        for c in range(x + 3, x + w - 4, max(5, int(1.6 * m))):
            pane = (slice(wall.start + int(0.9 * m), wall.start + int(1.9 * m)), slice(c, c + 3))
            b.fill(*pane, make_paint((66, 72, 82), air + 3))
            b.glow[pane] = np.array([235, 190, 110]) * rng.uniform(0, 0.9)


def paint_mountains(b: Backdrop) -> None:
    b.sky()
    rng, m, air = b.rng, b.metre, b.place.air
    for height, rough, share in ((30, 9, 0.35), (17, 6, 0.12)):
        line = b.row(height) + rough * m * skyline(rng, b.shape[1], 230 * b.unit, 6)
        slope = fractal_noise(rng, b.shape, 60 * b.unit, 5)
        rows = np.arange(b.shape[0], dtype=np.float32)[:, None]
        snow = np.clip((line[None] + 16 * m - rows) / (9 * m) + 0.6 * slope, 0, 1)
        rock = mix(np.array([96.0, 98, 108]), np.array([182.0, 194, 210]), share)
        paint = np.empty_like(b.rgbt)
        paint[..., :3] = rock + (np.array([226.0, 232, 240]) - rock) * snow[..., None]
        paint[..., :3] += (9 * slope)[..., None]
        paint[..., 3] = heat_level(air - 1) + KELVIN * (0.9 * slope - 4 * snow)
        b.below(line, paint, 1.5)
    line = b.row(5.0) + 1.8 * m * skyline(rng, b.shape[1], 12 * b.unit, 3)
    paint_foliage(b, line, (62, 78, 70), air - 0.5)


def paint_dunes(b: Backdrop) -> None:
    b.sky()
    rng, m, air, sun = b.rng, b.metre, b.place.air, b.place.sun
    for height, share in ((15, 0.55), (8, 0.3), (3, 0.0)):
        line = b.row(height) + 3.5 * m * skyline(rng, b.shape[1], 260 * b.unit, 4)
        relief = fractal_noise(rng, b.shape, 110 * b.unit, 4)
        paint = np.empty_like(b.rgbt)
        paint[..., :3] = mix(np.array([200.0, 164, 114]), np.array([216.0, 202, 182]), share)
        paint[..., :3] += (11 * relief)[..., None]
        paint[..., 3] = heat_level(air + 2 + 8 * sun) + KELVIN * 1.6 * relief
        b.below(line, paint, 2.0)


def paint_shelves(b: Backdrop) -> None:
    rng, m, air = b.rng, b.metre, b.place.air
    b.fill(slice(None), slice(None), make_paint((98, 102, 104), air + 2))
    shade = fractal_noise(rng, b.shape, 60 * b.unit, 3)
    b.rgbt[..., :3] += (6 * shade)[..., None]
    b.rgbt[..., 3] += KELVIN * 0.5 * shade
    cardboard = ((176, 138, 96), (196, 160, 116), (150, 118, 84), (120, 132, 150), (170, 170, 164))
    for level in range(4):
        paint_boxes(b, 0.15 + 1.9 * level, 1.6, cardboard, air + 0.5 * level)
        beam = slice(b.row(0.15 + 1.9 * level), b.row(0.15 + 1.9 * level) + max(2, int(0.14 * m)))
        b.fill(beam, slice(None), make_paint((206, 104, 34), air + 0.5))
    for x in np.arange(rng.uniform(0, 2) * m, b.shape[1], 2.9 * m).astype(int):
        b.fill(
            slice(b.row(8), b.base + 4),
            slice(x, x + max(2, int(0.12 * m))),
            make_paint((44, 74, 128), air),
        )
    for x in np.arange(0, b.shape[1], 6 * m).astype(int):
        area = (slice(max(0, b.row(9.4)), max(2, b.row(9.1))), slice(x, x + int(2 * m)))
        b.fill(*area, make_paint((250, 250, 244), air + 10))
        b.glow[area] = (250, 250, 236)


def paint_containers(b: Backdrop) -> None:
    b.sky()
    rng, m, air, sun = b.rng, b.metre, b.place.air, b.place.sun
    steel = make_paint((196, 88, 52), air + 1)
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
        paint_boxes(b, 1.2 + 2.6 * level, 2.6, colours, air + 1 + 5 * sun)
    ribs = comb(np.arange(b.shape[1], dtype=np.float32)[None], 4.0, 0.8, 1.0) * (1 - b.air_share)
    b.rgbt[..., :3] -= (14 * ribs)[..., None]
    b.fill(slice(b.row(1.2), b.base + 4), slice(None), make_paint((92, 90, 86), air + 1 + 2 * sun))


BACKDROPS = {
    "facades": paint_facades,
    "treeline": paint_treeline,
    "wall": paint_wall,
    "hills": paint_hills,
    "mountains": paint_mountains,
    "dunes": paint_dunes,
    "shelves": paint_shelves,
    "containers": paint_containers,
}
