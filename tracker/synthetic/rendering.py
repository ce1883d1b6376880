"""Rendering the frames of a sequence, with the target's box and visible share."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np

from tracker.synthetic.actors import Actor, BodyPart
from tracker.synthetic.bodies import KINDS
from tracker.synthetic.cameras import ThermalCamera, VisibleCamera
from tracker.synthetic.challenges import random_spec
from tracker.synthetic.individuals import make_individual, make_twin
from tracker.synthetic.motion import follow_target, orbit_target, wander
from tracker.synthetic.noise import generator
from tracker.synthetic.paint import KELVIN, heat_level, mix
from tracker.synthetic.plates import Plate
from tracker.synthetic.props import draw_occluder
from tracker.synthetic.scenery import make_scenery
from tracker.synthetic.specs import SequenceSpec


class RenderedFrame(NamedTuple):
    """One rendered frame.

    Attributes:
        rgb: visible image, HxWx3 uint8, RGB.
        ir: thermal image, HxW uint8, hot is white.
        box: (x, y, w, h) of the target's whole silhouette, including hidden and out-of-frame parts.
        visible: share of the silhouette, 0 to 1, that is in the frame and not occluded, regardless
            of light, temperature and camera failures.
    """

    rgb: np.ndarray
    ir: np.ndarray
    box: tuple[float, float, float, float]
    visible: float


class Stamp(NamedTuple):
    """A drawn actor.

    Attributes:
        rgbt: premultiplied image, (h, w, 4) float32.
        cover: share of each pixel that it covers, (h, w) float32.
        x: column of the frame of its pixel (0, 0); may be outside.
        y: row of the frame of its pixel (0, 0); may be outside.
        box: (x, y, w, h) of the whole silhouette in the frame.
        foot: position of its foot point in the frame.
        area: area of the whole silhouette, in pixels.
    """

    rgbt: np.ndarray
    cover: np.ndarray
    x: int
    y: int
    box: tuple[float, float, float, float]
    foot: tuple[float, float]
    area: float


def line_kernel(dx: float, dy: float) -> np.ndarray | None:
    """A normalised line segment as a filter, or None if it is shorter than 1.5 pixels."""
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


def composite(
    canvas: np.ndarray, rgbt: np.ndarray, alpha: np.ndarray, x: int, y: int
) -> tuple | None:
    """Blend premultiplied paint over the canvas at (x, y), in place; return region and alpha."""
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


class Renderer:
    """Renders the frames of one sequence."""

    def __init__(self, spec: SequenceSpec):
        self.spec = spec
        self.scenery = make_scenery(spec)
        self.place = place = self.scenery.place
        look, kind = place.look, KINDS[spec.target]
        rng = generator(spec.seed, "target")
        zone = self._zone(spec.target)
        track = wander(kind, rng, spec.length, zone, spec.speed)
        self.target = Actor(spec.target, make_individual(spec.target, place, rng), track, rng)
        self.path = follow_target(spec, place, kind, track)
        self.cameras = [self.path.matrix(t, spec.size) for t in range(spec.length)]
        rng = generator(spec.seed, "others")
        self.others: list[Actor] = []
        for i in range(spec.distractors):
            twin = make_twin(self.target.individual, spec.target, place, spec.twins, rng)
            orbit = orbit_target(kind, track, rng, i, spec.distractors, spec.speed)
            self.others.append(Actor(spec.target, twin, orbit, rng))
        for _ in range(int(rng.integers(1, 4))):  # passers-by
            name = str(rng.choice(look.targets))
            walk = wander(KINDS[name], rng, spec.length, self._zone(name), 1.0)
            # They pass behind the target: occlusions are planned, not left to chance.
            apart = 0.4 * (kind.extent + KINDS[name].extent)
            walk.z = np.maximum(walk.z, track.z + apart)
            if look.water[1] > 0 and not self._zone(name)[0] <= walk.z.max() <= self._zone(name)[1]:
                continue  # would walk on water
            self.others.append(Actor(name, make_individual(name, place, rng), walk, rng))
        self.others = [actor for actor in self.others if not self._covers_start(actor)]
        self.plates = list(self.scenery.props) + self._occluders()
        self.leans = generator(spec.seed, "sun").uniform(0.5, 1.0) * place.sun_side
        self._surroundings: np.ndarray | None = None

    def _zone(self, name: str) -> tuple[float, float]:
        """Nearest and farthest distance at which a kind of actor moves here."""
        look, kind = self.place.look, KINDS[name]
        near, far = look.water if kind.floats else look.land
        if kind.extent > 3 and not kind.floats:  # vehicles keep their distance
            near = min(near + 4.0, 0.7 * far)
        if kind.altitude[1] > 0:
            near, far = max(4.5, near), min(far, 14.0)
        return near, far

    def _covers_start(self, actor: Actor) -> bool:
        """Whether the actor occludes the target in the first frame."""
        if actor.track.z[0] > self.target.track.z[0]:
            return False
        a = actor.outline(0, self.place, self.path, self.cameras[0])[1]
        b = self.target.outline(0, self.place, self.path, self.cameras[0])[1]
        return a[0] < b[0] + b[2] and b[0] < a[0] + a[2]

    def _occluders(self) -> list[Plate]:
        """Occluders on the line of sight at planned moments, sized for the requested occlusion."""
        spec, place = self.spec, self.place
        if spec.occlusion <= 0 or spec.length < 12:
            return []
        rng = generator(spec.seed, "occluders")
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
            plate = draw_occluder(place, rng, z, float(width), top, wild).plate(float(middle))
            if not self._plate_covers_start(plate):
                plates.append(plate)
        return plates

    def _plate_covers_start(self, plate: Plate) -> bool:
        """Whether the plate covers the target's columns in the first frame."""
        m = self.cameras[0] @ plate.matrix(self.path.x[0])
        left = (m @ (0, 0, 1))[0]
        right = (m @ (plate.rgbt.shape[1], 0, 1))[0]
        box = self.target.outline(0, self.place, self.path, self.cameras[0])[1]
        return left < box[0] + box[2] + 2 and box[0] - 2 < right

    # -- layers ------------------------------------------------------------------------------------

    def _stage(self, t: int) -> np.ndarray:
        """Backdrop and ground, float32 RGBT."""
        spec, scenery, camera = self.spec, self.scenery, self.cameras[t]
        border = cv2.BORDER_REFLECT_101
        m = camera @ scenery.backdrop.matrix(self.path.x[t])
        stage = cv2.warpAffine(scenery.backdrop.rgbt, m[:2], spec.size, borderMode=border)
        m = camera @ scenery.ground.matrix(self.path.x[t])
        ground = cv2.warpAffine(scenery.ground.rgbt, m[:2], spec.size, borderMode=border)
        to_uv = np.linalg.inv(camera)[1]
        rows = np.arange(spec.size[1], dtype=np.float32)[:, None] * np.float32(to_uv[1])
        columns = np.arange(spec.size[0], dtype=np.float32)[None] * np.float32(to_uv[0])
        below = (rows + columns > scenery.ground.origin[1] + 0.5 - to_uv[2]).view(np.uint8)
        cv2.copyTo(ground, below, stage)
        return stage.astype(np.float32)

    def _draw_plate(
        self, canvas: np.ndarray, plate: Plate, t: int, kernel: np.ndarray | None
    ) -> tuple | None:
        assert plate.alpha is not None  # the backdrop and the ground alone fill the frame
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
        rgbt: np.ndarray = cv2.warpAffine(plate.rgbt, m, size).astype(np.float32)
        alpha: np.ndarray = cv2.warpAffine(plate.alpha, m, size).astype(np.float32)
        alpha = alpha * np.float32(1 / 255)
        if kernel is not None:
            rgbt, alpha = cv2.filter2D(rgbt, -1, kernel), cv2.filter2D(alpha, -1, kernel)
        return composite(canvas, rgbt, alpha, int(x0), int(y0))

    def stamp(self, actor: Actor, t: int, stage: np.ndarray) -> Stamp | None:
        """Draw an actor by itself; None if it is out of sight."""
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
                paints[i] = actor.individual.paints[name[:-1]] * (1.16, 1.16, 1.16, 1.0)
            else:
                paints[i] = actor.individual.paints[name]
        mask = (label > 0).view(np.uint8) * np.uint8(255)
        cover = cv2.resize(mask, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        colour = cv2.resize(paints[label], (w, h), interpolation=cv2.INTER_AREA)

        # Bodies are rounded: the blurred silhouette serves as height, and its slope sets the light.
        spread = max(1.0, 0.07 * min(max(w, h), 2.2 * min(w, h)))
        relief = cv2.GaussianBlur(cover, (0, 0), spread)
        side = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3) * np.float32(0.28 * spread)
        lift = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3) * np.float32(0.28 * spread)
        sun = 0.35 + 0.65 * place.sun
        shade = 0.8 + 0.24 * relief + sun * (0.42 * lift - 0.5 * place.sun_side * side)
        fabric = cv2.resize(actor.fabric, (w, h), interpolation=cv2.INTER_LINEAR)
        x, z = actor.track.x[t], actor.track.z[t]
        light = place.light(x, z)
        colour[..., :3] *= (shade * fabric)[..., None] * light
        if place.night > 0.3 and actor.name in ("car", "van"):
            self._lamps(colour, parts, (x0, y0), float(place.night))
        # At grazing angles, edges reflect the cool surroundings.
        air = heat_level(place.air)
        colour[..., 3] += (air - colour[..., 3] / np.maximum(cover, 1e-3)) * cover * (
            0.42 * (1 - np.clip(1.6 * relief, 0, 1))
        ) + cover * KELVIN * 10 * (fabric - 1)  # fmt: skip

        clear_rgb, clear_ir = place.clear(z)
        colour[..., :3] = mix(place.haze * cover[..., None], colour[..., :3], float(clear_rgb))
        colour[..., 3] = mix(air * cover, colour[..., 3], float(clear_ir))
        if actor is self.target and (spec.camouflage > 0 or spec.crossover > 0):
            self._blend_in(colour, cover, stage, box, t)
        foot = camera @ (
            place.f * (x - self.path.x[t]) / z, place.f * place.look.height / z, 1
        )  # fmt: skip
        return Stamp(colour, cover, x0, y0, box, (foot[0], foot[1]), float(cover.sum()))

    @staticmethod
    def _lamps(
        colour: np.ndarray, parts: list[BodyPart], origin: tuple[int, int], night: float
    ) -> None:
        """Headlights and tail lights at night, far brighter than white, so that they glow."""
        for _, polygon, name, _ in parts:
            if name in ("lamp", "tail"):
                tint = np.array((900, 840, 640) if name == "lamp" else (420, 40, 20), np.float32)
                x, y = (polygon.mean(0) - origin).astype(int)
                reach = max(1, int(np.ptp(polygon[:, 1]) / 2))
                across = slice(max(0, x - reach), max(0, x + reach + 1))
                colour[max(0, y - reach) : max(0, y + reach + 1), across, :3] += tint * night

    def _blend_in(
        self,
        colour: np.ndarray,
        cover: np.ndarray,
        stage: np.ndarray,
        box: tuple[float, float, float, float],
        t: int,
    ) -> None:
        """Camouflage and crossover: shift the target towards the mean of its surroundings."""
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
        self._surroundings = around = mix(self._surroundings, around, 0.25)
        colour[..., :3] = mix(colour[..., :3], around[:3] * cover[..., None], spec.camouflage)
        colour[..., 3] = mix(colour[..., 3], around[3] * cover, spec.crossover)

    def _shadow(self, canvas: np.ndarray, stamp: Stamp, actor: Actor) -> None:
        """Darken the ground where the body blocks the light; visible light only."""
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
        """The RGBT image (float32) of frame t, the target's box and its visible share."""
        spec, path = self.spec, self.path
        before = self.cameras[max(0, t - 1)]
        unit = spec.exposure

        def moved(
            x: float, z: float, y: float, x_: float, z_: float, y_: float
        ) -> np.ndarray | None:
            """Motion during the exposure of a world point that has moved since the last frame."""
            f, h = self.place.f, self.place.look.height
            now = self.cameras[t] @ (f * (x - path.x[t]) / z, f * (h - y) / z, 1)
            old = before @ (f * (x_ - path.x[max(0, t - 1)]) / z_, f * (h - y_) / z_, 1)
            return line_kernel(*(unit * (now - old)[:2]))

        middle = self.target.track.z[t]
        still = (path.x[t] + path.u[t] * middle / self.place.f, middle, 0.0)
        camera_blur = moved(*still, *still) if t > 0 else None
        canvas = self._stage(t)
        if camera_blur is not None:
            canvas = cv2.filter2D(canvas, -1, camera_blur)
        layers: list[tuple[float, Any, Stamp | None]] = [(p.z, p, None) for p in self.plates]
        for actor in (self.target, *self.others):
            stamp = self.stamp(actor, t, canvas)
            if stamp is not None:
                layers.append((float(actor.track.z[t]), actor, stamp))
                self._shadow(canvas, stamp, actor)
        layers.sort(key=lambda layer: -layer[0])
        box, whole = None, 0.0
        seen: np.ndarray | None = None
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
                laid = composite(canvas, rgbt, cover, x, y)
                if item is self.target:
                    box, whole = stamp.box, stamp.area
                    seen = np.zeros(canvas.shape[:2], np.float32)
                    composite(
                        seen[..., None], stamp.cover[..., None], stamp.cover, stamp.x, stamp.y
                    )
                    continue
            if seen is not None and laid is not None:
                region, alpha = laid
                seen[region] *= 1 - alpha
        if box is None or seen is None:
            box = self.target.outline(t, self.place, path, self.cameras[t])[1]
            return canvas, box, 0.0
        return canvas, box, float(min(1.0, seen.sum() / max(whole, 1e-6)))

    def silhouette(self, t: int) -> np.ndarray:
        """Cover of the target alone in frame t, uint8."""
        width, height = self.spec.size
        stamp = self.stamp(self.target, t, self._stage(t))
        full = np.zeros((height, width, 1), np.float32)
        if stamp is not None:
            composite(full, stamp.cover[..., None], stamp.cover, stamp.x, stamp.y)
        return np.round(full[..., 0] * 255).astype(np.uint8)

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[RenderedFrame]:
        """Frames ``start`` to ``stop`` (exclusive); by default the whole sequence."""
        visible, thermal = VisibleCamera(self.spec, self.place), ThermalCamera(self.spec)
        for t in range(start, self.spec.length if stop is None else stop):
            canvas, box, share = self.draw(t)
            yield RenderedFrame(visible.expose(canvas, t), thermal.expose(canvas, t), box, share)


def render(spec: SequenceSpec) -> Iterator[RenderedFrame]:
    """Render a sequence frame by frame; only the painted scene is held in memory.

    Yields:
        `RenderedFrame`, which unpacks as ``rgb, ir, box, visible``.
    """
    return Renderer(spec).frames()


def render_still(
    seed: int, *, size: tuple[int, int] = (320, 240), split: str = "train"
) -> RenderedFrame:
    """Render one frame of a random location and challenge: a registered pair with a target.

    It equals frame 0 of a two-frame sequence. The scene is painted for each call, which takes most
    of the time; for many frames of one location use `render`.
    """
    return next(render(random_spec(seed, length=2, size=size, split=split)))


def silhouettes(spec: SequenceSpec) -> Iterator[np.ndarray]:
    """The target's whole silhouette in each frame, as if nothing occluded it.

    Yields:
        HxW uint8, the share of each pixel that it covers (255 is all), clipped to the frame.
    """
    renderer = Renderer(spec)
    for t in range(spec.length):
        yield renderer.silhouette(t)
