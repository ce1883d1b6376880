"""Articulated three-dimensional bodies for each kind of target.

A pose function builds the `Body` of an individual at a limb phase (radians) and pace (0 at rest to
about 1), standing at the origin and facing along the first axis.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tracker.synthetic.individuals import Individual

#: Forward, left, up, in metres.
Point = tuple[float, float, float]


class Body:
    """The parts of a body at one moment.

    A part is the convex hull of balls (points with radii) in one paint: a ball, a limb, a box or a
    disc. Body coordinates are in metres: forward, left, up. `line` adds a closed thin tube instead.
    """

    def __init__(self) -> None:
        self.points: list[tuple[float, float, float]] = []
        self.radii: list[float] = []
        self.parts: list[tuple[int, int, str, bool, float]] = []

    def hull(
        self,
        paint: str,
        points: Sequence[Point],
        radius: float | tuple[float, ...],
        bias: float = 0.0,
    ) -> None:
        """Add the convex hull of balls; ``bias`` (metres) moves it nearer in the drawing order."""
        start = len(self.points)
        self.points.extend(points)
        self.radii.extend(radius if isinstance(radius, tuple) else (radius,) * len(points))
        self.parts.append((start, len(self.points), paint, False, bias))

    def ball(self, paint: str, point: Point, radius: float, bias: float = 0.0) -> None:
        """Add a ball."""
        self.hull(paint, (point,), radius, bias)

    def line(self, paint: str, points: Sequence[Point], radius: float, bias: float = 0.0) -> None:
        """Add a closed tube through the points."""
        start = len(self.points)
        self.points.extend(points)
        self.radii.extend((radius,) * len(points))
        self.parts.append((start, len(self.points), paint, True, bias))


def limb(
    root: Point, lengths: Sequence[float], angles: Sequence[float], side: float
) -> list[Point]:
    """Joints of a chain in the plane ``side``; angles are from straight down, forward positive."""
    joints = [root]
    x, _, up = root
    for length, angle in zip(lengths, angles, strict=True):
        x, up = x + length * math.sin(angle), up - length * math.cos(angle)
        joints.append((x, side, up))
    return joints


def pose_person(phase: float, pace: float, individual: Individual) -> Body:
    b, h = Body(), 1.74 * individual.size
    swing = 0.5 * pace
    hips = []
    for s in (1, -1):
        p = phase if s > 0 else phase + math.pi
        thigh = swing * math.sin(p) + 0.04
        knee = 0.08 + (0.75 * max(0.0, math.cos(p)) ** 1.5) * pace
        hips.append((s, thigh, knee))
    # The lower foot stands on the ground, which lifts and lowers the hips at each step.
    up = max(0.255 * h * math.cos(t) + 0.235 * h * math.cos(t - k) for _, t, k in hips) + 0.035 * h
    for s, thigh, knee in hips:
        side = 0.052 * h * s
        hip, kn, ankle = limb((0.0, side, up), (0.255 * h, 0.235 * h), (thigh, thigh - knee), side)
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
    if "bag" in individual.paints:
        b.hull("bag", ((-0.085 * h, 0, up + 0.11 * h), (-0.085 * h, 0, up + 0.23 * h)), 0.058 * h)
    for s in (1, -1):
        p = phase + (math.pi if s > 0 else 0)
        arm = 0.75 * swing * math.sin(p)
        side = 0.125 * h * s
        shoulder = (0.012 * h, side, up + 0.262 * h)
        joints = limb(shoulder, (0.165 * h, 0.14 * h), (arm, arm + 0.22 + 0.3 * pace), side)
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


def add_wheel(
    b: Body, paint: str, x: float, side: float, up: float, radius: float, tube: float
) -> None:
    """Add a wheel: a ring-shaped tube."""
    around = np.linspace(0, 2 * np.pi, 15)[:-1]
    ring = [(x + radius * math.cos(a), side, up + radius * math.sin(a)) for a in around]
    b.line(paint, ring, tube)


def pose_cyclist(phase: float, pace: float, individual: Individual) -> Body:
    b, s = Body(), individual.size
    r = 0.335 * s
    for x in (-0.52 * s, 0.52 * s):
        add_wheel(b, "tyre", x, 0.0, r + 0.02 * s, r, 0.022 * s)
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


def quadruped(
    phase: float, pace: float, s: float, tall: float, head_up: float, horned: bool
) -> Body:
    """A walking animal: ``s`` is its size, ``tall`` the length of its legs, in metres."""
    b = Body()
    long = 0.62 * s
    back = tall + 0.12 * s
    for x, offset in ((0.24 * s, 0.0), (-0.26 * s, 1.9)):
        for k in (1, -1):
            p = phase * 1.6 + offset + (0 if k > 0 else math.pi)
            angle = 0.5 * pace * math.sin(p)
            knee = 0.15 + 0.7 * pace * max(0.0, math.cos(p))
            bend = -knee if x > 0 else knee
            side = 0.075 * s * k
            joints = limb(
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


def pose_dog(phase: float, pace: float, individual: Individual) -> Body:
    s = individual.size
    return quadruped(phase, pace, 1.15 * s, 0.42 * s, 0.24 * s, horned=False)


def pose_deer(phase: float, pace: float, individual: Individual) -> Body:
    s = individual.size
    return quadruped(phase, pace, 1.5 * s, 0.8 * s, 0.52 * s, horned=True)


def add_box(
    b: Body,
    paint: str,
    x0: float,
    x1: float,
    half: float,
    z0: float,
    z1: float,
    radius: float,
    inset: float = 0.0,
    slant: float = 0.0,
) -> None:
    """Add a box with rounded edges and lit faces; the top may be narrower and slanted."""
    low = [(x, y, z0) for x in (x0, x1) for y in (-half, half)]
    top = [
        (x, y, z1)
        for x in (x0 + inset, x1 - inset - slant)
        for y in (-half + inset / 3, half - inset / 3)
    ]
    b.hull(paint, low + top, radius)
    b.hull(paint + "+", top, radius, 0.02)


def vehicle(individual: Individual, van: bool) -> Body:
    """A car or van: a box on wheels with windows."""
    b, s = Body(), individual.size
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
        add_box(b, "body", -long, 0.62 * long, half, 0.42 * s, 2.15 * s, r)
        add_box(b, "bonnet", 0.5 * long, long, half, 0.42 * s, 1.05 * s, r, 0.0, 0.1 * s)
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
        add_box(b, "body", -long, 0.45 * long, half, 0.36 * s, 0.86 * s, r)
        add_box(b, "bonnet", 0.38 * long, long, half, 0.36 * s, 0.8 * s, r)
        add_box(
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


def pose_car(phase: float, pace: float, individual: Individual) -> Body:
    return vehicle(individual, van=False)


def pose_van(phase: float, pace: float, individual: Individual) -> Body:
    return vehicle(individual, van=True)


def pose_boat(phase: float, pace: float, individual: Individual) -> Body:
    b, s = Body(), individual.size
    rock = 0.05 * s * math.sin(phase * 0.8)
    deck = 0.75 * s + rock
    low = [(-2.3 * s, -0.6 * s, 0.05), (-2.3 * s, 0.6 * s, 0.05), (1.6 * s, 0.0, 0.05)]
    rim = [(-2.5 * s, -0.9 * s, deck), (-2.5 * s, 0.9 * s, deck), (1.0 * s, -0.85 * s, deck + 0.05),
           (1.0 * s, 0.85 * s, deck + 0.05), (2.7 * s, 0.0, deck + 0.25 * s)]  # fmt: skip
    b.hull("hull", low + rim, 0.04 * s)
    b.hull("deck", rim, 0.03 * s, 0.01)
    b.line("stripe", rim[:2] + [rim[3], rim[4], rim[2]], 0.05 * s, 0.4)
    add_box(
        b, "cabin", -1.2 * s, 0.6 * s, 0.6 * s, deck, deck + 1.15 * s, 0.05 * s, 0.12 * s, 0.2 * s
    )
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


def pose_drone(phase: float, pace: float, individual: Individual) -> Body:
    b, s = Body(), 1.25 * individual.size
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


def pose_bird(phase: float, pace: float, individual: Individual) -> Body:
    b, s = Body(), 1.5 * individual.size
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
class Kind:
    """A kind of actor: its shape, and how and where it moves.

    Attributes:
        pose: builds the body at a limb phase (radians) and pace (0 at rest to about 1), with the
            size and belongings of an individual.
        speed: usual speed in metres per second.
        turn_rate: maximum turn rate in radians per second.
        stride: distance in metres for one cycle of the limbs.
        extent: larger side in metres, for framing.
        middle: height of its middle above its foot point, in metres.
        altitude: lowest and highest foot point of flying actors, in metres; zeros for others.
        floats: whether it moves on water.
    """

    pose: Callable[[float, float, Individual], Body]
    speed: float
    turn_rate: float
    stride: float
    extent: float
    middle: float
    altitude: tuple[float, float] = (0.0, 0.0)
    floats: bool = False


KINDS = {
    "person": Kind(pose_person, 1.5, 1.8, 1.45, 1.75, 0.9),
    "cyclist": Kind(pose_cyclist, 4.0, 1.2, 4.0, 1.85, 0.9),
    "dog": Kind(pose_dog, 2.2, 2.2, 1.6, 1.2, 0.4),
    "deer": Kind(pose_deer, 2.6, 1.6, 2.6, 1.9, 0.9),
    "car": Kind(pose_car, 5.5, 0.8, 2.0, 4.2, 0.7),
    "van": Kind(pose_van, 5.0, 0.7, 2.0, 5.0, 1.1),
    "boat": Kind(pose_boat, 3.5, 0.5, 5.0, 5.0, 0.9, floats=True),
    "drone": Kind(pose_drone, 3.0, 1.6, 5.0, 1.1, 0.0, (1.4, 3.6)),
    "bird": Kind(pose_bird, 5.0, 1.4, 5.5, 1.6, 0.0, (1.2, 4.0)),
}
