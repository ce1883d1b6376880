"""A generated infrared/visible pair, for the demo and for trials without data.

A street at dusk: the visible camera sees colour, texture, signs and lit windows, but hardly the
people in the shade and behind the smoke; the thermal camera sees warm objects and little else.
"""

import itertools

import cv2
import numpy as np
from numpy.typing import ArrayLike


def street_pair(
    width: int = 640, height: int = 480, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Render one registered pair.

    Args:
        width, height: size in pixels, at least 64.
        seed: seed of people, cars, windows and texture; the same seed gives the same pair.

    Returns:
        Infrared, uint8 ``HxW``, and visible, RGB uint8 ``HxWx3``.
    """
    if min(width, height) < 64:
        raise ValueError(f"a scene needs at least 64x64 pixels, got {width}x{height}")
    canvas = _Canvas(width, height, np.random.default_rng(seed))
    _sky(canvas)
    _houses(canvas)
    _road(canvas)
    _trees(canvas)
    _people(canvas, [(0.06, 0.74, 0.30), (0.37, 0.73, 0.27), (0.80, 0.725, 0.26)])
    _car(canvas)
    _people(canvas, [(0.475, 0.80, 0.33)])
    _smoke(canvas)
    return canvas.finish()


class _Canvas:
    """Reflected light (0..1, RGB) and heat (0..1) of one scene, drawn together.

    Coordinates are fractions of the width and the height, so that a scene can have any size.
    """

    def __init__(self, width: int, height: int, rng: np.random.Generator):
        self.width, self.height, self.rng = width, height, rng
        self.light = np.zeros((height, width, 3), np.float32)
        self.heat = np.zeros((height, width), np.float32)

    def noise(self, cells: int) -> np.ndarray:
        """Smooth noise with mean 0 and standard deviation 1, ``cells`` blobs across the width."""
        rows = max(2, round(cells * self.height / self.width))
        coarse = self.rng.standard_normal((rows, cells)).astype(np.float32)
        fine = cv2.resize(coarse, (self.width, self.height), interpolation=cv2.INTER_CUBIC)
        return fine / fine.std()

    def points(self, xy: ArrayLike) -> np.ndarray:
        scale = np.array([self.width, self.height]) * 16
        return np.rint(np.asarray(xy, np.float64).reshape(-1, 2) * scale).astype(np.int32)

    def polygon(
        self, xy: ArrayLike, color: ArrayLike, heat: float, texture: float = 0.0
    ) -> np.ndarray:
        """Fill a polygon in both images and return its mask."""
        mask = np.zeros((self.height, self.width), np.uint8)
        cv2.fillPoly(mask, [self.points(xy)], 1, cv2.LINE_8, 4)
        self.paint(mask > 0, color, heat, texture)
        return mask > 0

    def rectangle(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        color: ArrayLike,
        heat: float,
        texture: float = 0.0,
    ) -> np.ndarray:
        return self.polygon([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], color, heat, texture)

    def ellipse(
        self,
        x: float,
        y: float,
        rx: float,
        ry: float,
        color: ArrayLike,
        heat: float,
        angle: float = 0.0,
    ) -> None:
        """``rx`` and ``ry`` are fractions of the height, so that circles remain circular."""
        t = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        px, py = rx * np.cos(t), ry * np.sin(t)
        c, s = np.cos(angle), np.sin(angle)
        ratio = self.height / self.width
        self.polygon(np.stack([x + (c * px - s * py) * ratio, y + s * px + c * py], 1), color, heat)

    def paint(self, mask: np.ndarray, color: ArrayLike, heat: float, texture: float = 0.0) -> None:
        value = np.asarray(color, np.float32)
        if texture:
            grain = 1 + texture * (self.noise(self.width // 5) + self.noise(self.width // 16)) / 2
            self.light[mask] = value * grain[mask, None]
        else:
            self.light[mask] = value
        self.heat[mask] = heat

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """Apply the camera models: a dim, noisy colour sensor and a soft, drifting thermal one."""
        blur = max(0.6, self.height / 600)
        light = cv2.GaussianBlur(self.light, (0, 0), blur)
        light = light + self.rng.normal(0, 0.008, light.shape)
        visible = np.clip(light, 0, 1) ** (1 / 2.2) * 255
        heat = cv2.GaussianBlur(self.heat, (0, 0), 2 * blur)
        columns = self.rng.normal(0, 0.004, (1, self.width))
        heat = heat + columns + 0.006 * self.noise(4) + self.rng.normal(0, 0.006, heat.shape)
        infrared = np.clip(heat, 0, 1) * 255
        return np.rint(infrared).astype(np.uint8), np.rint(visible).astype(np.uint8)


def _sky(canvas: _Canvas) -> None:
    y = np.linspace(0, 1, canvas.height, dtype=np.float32)[:, None]
    top, low = np.array([(0.05, 0.08, 0.17), (0.42, 0.24, 0.17)], np.float32)
    blend = np.clip(y / 0.45, 0, 1)[..., None] ** 1.5
    canvas.light[:] = top + (low - top) * blend
    clouds = np.clip(canvas.noise(5) * 0.6 + canvas.noise(11) * 0.4, 0, 2)
    canvas.light *= 1 + 0.12 * clouds[..., None]
    canvas.heat[:] = 0.05 + 0.06 * y


def _houses(canvas: _Canvas) -> None:
    rng = canvas.rng
    x = -0.02
    while x < 1.0:
        w = rng.uniform(0.16, 0.26)
        top = rng.uniform(0.08, 0.26)
        wall = np.array([0.15, 0.11, 0.09]) * rng.uniform(0.7, 1.3) * rng.uniform(0.85, 1.15, 3)
        warmth = rng.uniform(0.24, 0.32)
        canvas.rectangle(x, top, x + w, 0.62, wall, warmth, texture=0.18)
        for y in np.arange(top + 0.05, 0.60, 0.014):  # courses of brick
            canvas.rectangle(x, y, x + w, y + 0.0018, wall * 0.75, warmth)
        roof = [(x - 0.01, top), (x + w / 2, top - 0.07), (x + w + 0.01, top)]
        canvas.polygon(roof, wall * 0.5, 0.2, texture=0.1)
        columns = int(rng.integers(2, 4))
        for row in np.arange(top + 0.06, 0.5, 0.13):
            for i in range(columns):
                left = x + (i + 0.5) * w / columns - 0.018
                lit = rng.random() < 0.3
                glass = (0.85, 0.62, 0.28) if lit else (0.03, 0.04, 0.06)
                # Glass is opaque to thermal cameras and shows the cold sky.
                canvas.rectangle(left, row, left + 0.036, row + 0.075, glass, 0.36 if lit else 0.17)
                canvas.rectangle(left + 0.016, row, left + 0.02, row + 0.075, wall * 0.6, 0.28)
        x += w + rng.uniform(0.0, 0.03)
    sign = canvas.rectangle(0.11, 0.47, 0.33, 0.535, (0.02, 0.12, 0.3), 0.30)
    _text(canvas, "LOW RANK CAFE", 0.122, 0.52, (0.75, 0.8, 0.85), sign)


def _text(
    canvas: _Canvas, text: str, x: float, y: float, color: ArrayLike, mask: np.ndarray
) -> None:
    letters = np.zeros((canvas.height, canvas.width), np.uint8)
    scale = canvas.width / 640 * 0.52
    origin = (int(x * canvas.width), int(y * canvas.height))
    cv2.putText(letters, text, origin, cv2.FONT_HERSHEY_SIMPLEX, scale, 1, 1, cv2.LINE_8)
    # Paint only reflects light: to the thermal camera, a sign is a blank board.
    canvas.light[(letters > 0) & mask] = color


def _road(canvas: _Canvas) -> None:
    canvas.rectangle(0, 0.62, 1, 0.70, (0.10, 0.095, 0.09), 0.27, texture=0.12)
    canvas.rectangle(0, 0.70, 1, 1, (0.055, 0.055, 0.06), 0.35, texture=0.16)
    canvas.rectangle(0, 0.695, 1, 0.705, (0.16, 0.16, 0.15), 0.29)
    for x in np.arange(0.02, 1, 0.17):
        dash = [(x, 0.855), (x + 0.09, 0.855), (x + 0.085, 0.868), (x - 0.008, 0.868)]
        canvas.polygon(dash, (0.4, 0.4, 0.36), 0.34)


def _trees(canvas: _Canvas) -> None:
    rng = canvas.rng
    for x in (rng.uniform(0.38, 0.45), rng.uniform(0.9, 0.97)):
        canvas.rectangle(x - 0.009, 0.36, x + 0.009, 0.66, (0.035, 0.025, 0.02), 0.24, texture=0.2)
        for _ in range(70):
            angle, radius = rng.uniform(0, 2 * np.pi), 0.13 * np.sqrt(rng.random())
            shade = rng.uniform(0.5, 1.3)
            canvas.ellipse(
                x + radius * np.cos(angle) * 0.75,
                0.28 + radius * np.sin(angle),
                rng.uniform(0.012, 0.03),
                rng.uniform(0.01, 0.02),
                np.array([0.03, 0.065, 0.025]) * shade,
                0.19 + 0.02 * shade,
                rng.uniform(0, np.pi),
            )


def _car(canvas: _Canvas) -> None:
    x, y = canvas.rng.uniform(0.52, 0.58), 0.80
    paint = (0.20, 0.035, 0.03)
    body = [(0, 0), (0.01, -0.06), (0.06, -0.07), (0.10, -0.125), (0.2, -0.125), (0.25, -0.07)]
    body += [(0.31, -0.055), (0.32, 0)]
    shadow = np.array([(-0.01, 0.0), (0.33, 0.0), (0.31, 0.035), (0.02, 0.035)])
    canvas.polygon(shadow + (x, y), (0.02, 0.02, 0.022), 0.33)
    canvas.polygon(np.array(body) + (x, y), paint, 0.40, texture=0.05)
    glass = np.array([(0.075, -0.07), (0.108, -0.115), (0.195, -0.115), (0.235, -0.07)])
    canvas.polygon(glass + (x, y), (0.05, 0.06, 0.075), 0.24)
    hood = np.array([(0.25, -0.068), (0.305, -0.055), (0.312, -0.015), (0.255, -0.015)])
    canvas.polygon(hood + (x, y), np.array(paint) * 1.15, 0.78)  # the engine is still warm
    for wheel in (0.07, 0.25):
        canvas.ellipse(x + wheel, y, 0.04, 0.04, (0.015, 0.015, 0.015), 0.58)
        canvas.ellipse(x + wheel, y, 0.019, 0.019, (0.2, 0.2, 0.2), 0.5)
    canvas.ellipse(x + 0.312, y - 0.035, 0.012, 0.01, (0.9, 0.85, 0.6), 0.6)


def _people(canvas: _Canvas, spots: list[tuple[float, float, float]]) -> None:
    """Pedestrians at ``(x, y of the feet, height)``."""
    rng = canvas.rng
    for x, foot, tall in spots:
        x += rng.uniform(-0.015, 0.015)
        cloth = np.array([0.05, 0.045, 0.05]) * rng.uniform(0.5, 1.2) * rng.uniform(0.8, 1.2, 3)
        _person(canvas, x, foot, tall, cloth, rng.uniform(0.4, 1.0) * rng.choice([-1, 1]))


def _person(
    canvas: _Canvas, x: float, foot: float, tall: float, cloth: np.ndarray, stride: float
) -> None:
    """A pedestrian: clothes warmer than the street, hot skin, dark cloth on dark ground."""
    ratio = canvas.height / canvas.width * tall

    def limb(
        points: list[tuple[float, float]], thick: float, color: ArrayLike, heat: float
    ) -> None:
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            a = np.array([x + x0 * ratio, foot - y0 * tall])
            b = np.array([x + x1 * ratio, foot - y1 * tall])
            side = np.array([-(b - a)[1] * canvas.height, (b - a)[0] * canvas.width])
            side = side / (np.linalg.norm(side) + 1e-9) * thick * tall * canvas.height / 2
            side = side / (canvas.width, canvas.height)
            canvas.polygon([a - side, a + side, b + side, b - side], color, heat)
            for end_x, end_y in (a, b):
                canvas.ellipse(end_x, end_y, thick * tall / 2, thick * tall / 2, color, heat)

    swing = 0.13 * stride
    limb([(0, 0.5), (swing * 0.6, 0.26), (swing, 0.02)], 0.09, cloth * 0.8, 0.66)
    limb([(0, 0.5), (-swing * 0.4, 0.26), (-swing, 0.03)], 0.09, cloth * 0.7, 0.64)
    limb([(0, 0.78), (-swing * 0.9, 0.6)], 0.065, cloth, 0.66)
    limb([(0, 0.52), (0, 0.76)], 0.19, cloth, 0.72)
    limb([(0, 0.78), (swing * 0.8, 0.61), (swing * 1.4, 0.5)], 0.065, cloth * 1.1, 0.7)
    limb([(swing * 1.4, 0.49), (swing * 1.45, 0.47)], 0.05, (0.12, 0.075, 0.055), 0.9)
    limb([(0, 0.89), (0, 0.92)], 0.115, (0.13, 0.08, 0.06), 0.96)


def _smoke(canvas: _Canvas) -> None:
    """Drifting smoke: opaque in visible light, transparent to long-wave infrared."""
    x, y = np.meshgrid(np.linspace(0, 1, canvas.width), np.linspace(0, 1, canvas.height))
    centre = 0.83
    plume = np.exp(-(((x - centre) / 0.10) ** 2) - ((y - 0.57) / 0.19) ** 2)
    density = np.clip(plume * (1.0 + 0.3 * canvas.noise(9) + 0.15 * canvas.noise(25)), 0, 0.93)
    grey = np.array((0.24, 0.235, 0.24), np.float32)
    canvas.light += (grey - canvas.light) * density[..., None].astype(np.float32)
