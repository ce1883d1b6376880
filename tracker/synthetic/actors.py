"""An individual on its track, as seen by the camera."""

import math

import cv2
import numpy as np

from tracker.synthetic.bodies import KINDS
from tracker.synthetic.individuals import Individual
from tracker.synthetic.motion import CameraPath, Trajectory
from tracker.synthetic.noise import fractal_noise
from tracker.synthetic.places import Place

DIRECTIONS = np.linspace(0, 2 * np.pi, 13)[:-1]
CIRCLE = np.stack([np.cos(DIRECTIONS), np.sin(DIRECTIONS)], 1)


#: Depth, polygon ``(n, 2)``, name of the paint, and radius of the tube, or 0 for a filled polygon.
BodyPart = tuple[float, np.ndarray, str, float]


class Actor:
    """An individual on its track."""

    def __init__(
        self, kind: str, individual: Individual, track: Trajectory, rng: np.random.Generator
    ):
        self.kind, self.individual, self.track = KINDS[kind], individual, track
        self.fabric = 1 + 0.055 * fractal_noise(rng, (24, 24), 5, 2)
        self.name = kind

    def outline(
        self, t: int, place: Place, path: CameraPath, camera: np.ndarray
    ) -> tuple[list[BodyPart], tuple[float, float, float, float]]:
        """Positions of the parts in frame t, in pixels.

        Returns:
            The parts from far to near, and the exact box (x, y, w, h) around them.
        """
        track = self.track
        body = self.kind.pose(track.phase[t], track.pace[t], self.individual)
        p = np.array(body.points, float)
        c, s = math.cos(track.heading[t]), math.sin(track.heading[t])
        x = track.x[t] + c * p[:, 0] - s * p[:, 1] - path.x[t]
        z = np.maximum(track.z[t] + s * p[:, 0] + c * p[:, 1], 0.4)
        y = track.y[t] + p[:, 2]
        uv = np.stack([place.f * x / z, place.f * (place.look.height - y) / z], 1)
        centre = uv @ camera[:2, :2].T + camera[:2, 2]
        radius = np.array(body.radii) * (place.f * path.zoom[t]) / z
        rings = centre[:, None] + radius[:, None, None] * CIRCLE
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
