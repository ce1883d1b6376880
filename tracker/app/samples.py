"""Generated pairs and videos, to try the app without data."""

from pathlib import Path

import cv2
import numpy as np

from fusion.commands.scene import street_pair
from fusion.images.alignment.geometry import similarity
from fusion.images.reading import write_image
from fusion.images.video import VideoWriter
from tracker.app.jobs import Job
from tracker.synthetic import random_spec, render

#: Frames of a sample video, its rate, and its seed.
FRAMES, RATE, VIDEO_SEED = 60, 20, 3


def picture_pair(folder: Path) -> tuple[Path, Path]:
    """Write the infrared and the visible picture of a street at dusk."""
    paths = folder / "street_infrared.png", folder / "street_visible.png"
    for path, image in zip(paths, street_pair(), strict=True):
        write_image(path, image)
    return paths


def unaligned_pair(folder: Path) -> tuple[Path, Path]:
    """Write the street as a smaller infrared camera beside the visible one sees it."""
    paths = folder / "street_infrared.png", folder / "street_visible.png"
    for path, image in zip(paths, unaligned()[:2], strict=True):
        write_image(path, image)
    return paths


def unaligned() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pictures of `unaligned_pair`, and the transform from infrared to visible pixels."""
    infrared, visible = street_pair(800, 600, seed=1)
    sees = similarity(0.9, 2.0, (-108.0, -96.0), (800, 600))
    infrared = cv2.warpAffine(infrared, sees[:2], (560, 420), flags=cv2.INTER_LINEAR)
    return infrared, visible, np.linalg.inv(sees)


def video_pair(folder: Path, job: Job, frames: int = FRAMES) -> tuple[Path, Path]:
    """Write the infrared and the visible video of a generated sequence in fog."""
    paths = folder / "fog_infrared.mp4", folder / "fog_visible.mp4"
    spec = random_spec(VIDEO_SEED, length=frames, challenge="fog")
    with VideoWriter(paths[0], RATE) as infrared, VideoWriter(paths[1], RATE) as visible:
        for number, frame in enumerate(render(spec), start=1):
            infrared.write(frame.ir)
            visible.write(frame.rgb)
            job.report(number, frames)
    return paths
