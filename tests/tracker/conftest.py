"""A small RGBT scene with a known answer, and a simple tracker that can follow it."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from fusion.images.reading import write_image
from fusion.images.video import VideoWriter


@dataclass
class Scene:
    """A textured patch that moves over a textured background; boxes are exact."""

    rgb: list[np.ndarray]
    ir: list[np.ndarray]
    boxes: list[tuple[int, int, int, int]]

    def write_folders(self, root, suffix=".png"):
        for name, frames in (("visible", self.rgb), ("thermal", self.ir)):
            for number, frame in enumerate(frames, start=1):
                write_image(root / name / f"{number:03d}{suffix}", frame)
        return root / "visible", root / "thermal"

    def write_videos(self, root):
        for name, frames in (("visible", self.rgb), ("thermal", self.ir)):
            with VideoWriter(root / f"{name}.mp4", 20) as video:
                for frame in frames:
                    video.write(frame)
        return root / "visible.mp4", root / "thermal.mp4"


@pytest.fixture(scope="session")
def texture():
    """Makes smooth grey noise of a height and width, uint8."""

    def make(rng, height, width):
        noise = cv2.GaussianBlur(rng.uniform(0, 255, (height, width)).astype(np.float32), (0, 0), 2)
        return cv2.normalize(noise, None, 20, 230, cv2.NORM_MINMAX).astype(np.uint8)

    return make


@pytest.fixture
def make_scene():
    def make(length=12, size=(120, 96), seed=0):
        rng = np.random.default_rng(seed)

        def texture(height, width, *channels):
            noise = rng.uniform(0, 255, (height, width, *channels)).astype(np.float32)
            blurred = cv2.GaussianBlur(noise, (0, 0), 1.5)
            return cv2.normalize(blurred, None, 30, 220, cv2.NORM_MINMAX).astype(np.uint8)

        width, height = size
        backgrounds = texture(height, width, 3), texture(height, width)
        targets = texture(20, 24, 3), texture(20, 24)
        scene = Scene([], [], [])
        for index in range(length):
            x, y = 20 + 3 * index, 30 + 2 * (index % 6)
            for frames, background, target in zip(
                (scene.rgb, scene.ir), backgrounds, targets, strict=True
            ):
                frame = background.copy()
                frame[y : y + 20, x : x + 24] = target
                frames.append(frame)
            scene.boxes.append((x, y, 24, 20))
        return scene

    return make


class TemplateTracker:
    """Normalised cross-correlation with the first frame's patch, over the modalities there are."""

    def init(self, rgb, ir, box):
        self.box = tuple(round(value) for value in box)
        self.templates = {"rgb": self._patch(rgb), "ir": self._patch(ir)}

    def _patch(self, image):
        x, y, w, h = self.box
        return None if image is None else image[y : y + h, x : x + w]

    def track(self, rgb, ir):
        responses = [
            cv2.matchTemplate(image, self.templates[modality], cv2.TM_CCOEFF_NORMED)
            for modality, image in (("rgb", rgb), ("ir", ir))
            if image is not None and self.templates[modality] is not None
        ]
        if not responses:
            return self.box, 0.0
        _, score, _, place = cv2.minMaxLoc(np.mean(responses, axis=0))
        self.box = (*place, *self.box[2:])
        return self.box, score


@pytest.fixture
def template_tracker():
    return TemplateTracker()
