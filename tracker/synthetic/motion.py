"""Motion over time: positions of the actors, and the direction of the camera."""

import math
from dataclasses import dataclass

import numpy as np

from tracker.synthetic.bodies import Kind
from tracker.synthetic.noise import generator
from tracker.synthetic.places import Place
from tracker.synthetic.specs import SequenceSpec

FPS = 25  # frames per second


@dataclass
class Trajectory:
    """Positions over time, one value per frame: metres, radians, limb phase, and pace 0-1."""

    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    heading: np.ndarray
    phase: np.ndarray
    pace: np.ndarray


def sway(rng: np.random.Generator, length: int, tau: float) -> np.ndarray:
    """Smooth random motion of about unit deviation that changes over ``tau`` frames."""
    reach = int(3 * tau)
    window = np.exp(-0.5 * (np.arange(-reach, reach + 1) / tau) ** 2)
    return np.convolve(
        rng.standard_normal(length + 2 * reach), window / np.linalg.norm(window), "valid"
    )


def wander(
    kind: Kind, rng: np.random.Generator, length: int, zone: tuple[float, float], speed: float
) -> Trajectory:
    """Walk from goal to goal, back and forth across the view, with a bounded turn rate."""
    near, far = zone
    step = kind.speed * speed * rng.uniform(0.85, 1.15) / FPS
    side = rng.choice((-1.0, 1.0))
    ratio = rng.uniform(0.1, 0.3)
    z = rng.uniform(near, far)
    x, goal = -side * ratio * z, None
    heading = 0.0 if side > 0 else math.pi
    turn = kind.turn_rate * max(1.0, speed) / FPS
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
        share = 0.5 + 0.35 * sway(rng, length, 22)
        altitude = low + (high - low) * np.clip(share, 0, 1)
    return complete_track(kind, rng, track[0], altitude, track[1], track[2])


def orbit_target(
    kind: Kind, target: Trajectory, rng: np.random.Generator, order: int, count: int, speed: float
) -> Trajectory:
    """Orbit the target: cross its line of sight twice per round, once in front and once behind."""
    length = len(target.x)
    period = rng.uniform(70, 110)
    wide = max(0.75 * kind.extent, 1.25 * kind.speed * speed * period / (2 * math.pi * FPS))
    deep = rng.uniform(0.45, 0.7) * max(1.0, 0.45 * kind.extent)
    # In the first frame, it is beside the target.
    start = (1 if order % 2 else -1) * math.pi / 2 + rng.uniform(-0.35, 0.35)
    angle = start + 2 * math.pi * np.arange(length) / period * rng.choice((-1, 1))
    wide *= 1 + 0.25 * (order // 2) + 0.1 * count
    x = target.x + wide * np.sin(angle)
    z = np.maximum(target.z + deep * (1 + 0.3 * order) * np.cos(angle), 2.5)
    y = target.y.copy()
    if kind.altitude[1] > 0:
        y = y + 0.15 * sway(rng, length, 15)
    return complete_track(kind, rng, x, y, z)


def complete_track(
    kind: Kind,
    rng: np.random.Generator,
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    heading: np.ndarray | None = None,
) -> Trajectory:
    """Add limb phase and pace, and a heading along the motion if none is given."""
    dx, dz = (np.gradient(a) if len(a) > 1 else np.zeros(1) for a in (x, z))
    way = np.hypot(dx, dz)
    phase: np.ndarray
    if heading is None:
        heading = np.unwrap(np.arctan2(dz, dx))
        if len(x) > 8:
            kernel = np.ones(9) / 9
            heading = np.convolve(np.pad(heading, 4, mode="edge"), kernel, "valid")
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(way) * (2 * np.pi / kind.stride)
    if kind.altitude[1] > 0:  # wings and rotors move at any speed
        phase = rng.uniform(0, 2 * np.pi) + np.arange(len(x)) * (2 * np.pi * 3.0 / FPS / 2.2)
    usual = kind.speed / FPS
    return Trajectory(x, y, z, heading, phase, np.clip(way / usual, 0.0, 1.1) ** 0.5)


@dataclass
class CameraPath:
    """The camera over time: its position, direction (u, v), zoom and roll."""

    x: np.ndarray
    u: np.ndarray
    v: np.ndarray
    zoom: np.ndarray
    roll: np.ndarray

    def matrix(self, t: int, size: tuple[int, int]) -> np.ndarray:
        """3x3 matrix from (u, v) to pixels of the frame."""
        c = self.zoom[t] * math.cos(self.roll[t])
        s = self.zoom[t] * math.sin(self.roll[t])
        u, v = self.u[t], self.v[t]
        width, height = size
        return np.array(
            [[c, -s, width / 2 - c * u + s * v], [s, c, height / 2 - s * u - c * v], [0, 0, 1]]
        )


def follow_target(spec: SequenceSpec, place: Place, kind: Kind, target: Trajectory) -> CameraPath:
    """A hand-held camera that follows the target with a delay and never centres it exactly."""
    rng = generator(spec.seed, "camera")
    n = spec.length
    width, height = spec.size
    f, unit = place.f, width / 320
    x = 0.5 * sway(rng, n, 40) * rng.uniform(0.5, 1.5)
    u = f * (target.x - x) / target.z
    v = f * (place.look.height - target.y - kind.middle) / target.z

    # The apparent size follows the distance. The zoom (which also varies slightly by itself)
    # stretches or compresses this change to the one that is specified.
    own = sway(rng, n, max(4.0, n / 5))
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
    look_u = late(u, 0.10) + 0.13 * width / zoom * sway(rng, n, 28)
    look_v = late(v, 0.08) * 0.85 + 0.02 * height + 0.07 * height / zoom * sway(rng, n, 32)
    look_u += shake / zoom * (0.8 * sway(rng, n, 1.2) + 2.2 * sway(rng, n, 6))
    look_v += shake / zoom * (0.8 * sway(rng, n, 1.2) + 1.6 * sway(rng, n, 6))
    if spec.shake > 1.8:  # jerks
        for at in rng.integers(4, max(5, n), max(1, n // 25)):
            fade = np.exp(-np.maximum(np.arange(n) - at, 0) / 9.0) * (np.arange(n) >= at)
            look_u += rng.normal(0, 24) * unit / zoom * fade
            look_v += rng.normal(0, 12) * unit / zoom * fade
    side, updown = 0.38 * width / zoom, 0.36 * height / zoom
    return CameraPath(
        x=x,
        u=np.clip(look_u, u - side, u + side),
        v=np.clip(look_v, v - updown, v + updown),
        zoom=zoom,
        roll=np.deg2rad(0.25 * spec.shake * sway(rng, n, 7) + 0.4 * sway(rng, n, 60)),
    )
