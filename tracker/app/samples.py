"""Generated pairs and videos, to try the app without data."""

from pathlib import Path

from fusion.commands.scene import street_pair
from fusion.images.reading import write_image
from fusion.images.video import VideoWriter
from tracker.app.jobs import Job
from tracker.synthetic import random_spec, render

#: Frames of a sample video, and its rate.
FRAMES, RATE = 60, 20


def picture_pair(folder: Path) -> tuple[Path, Path]:
    """Write the infrared and the visible picture of a street at dusk."""
    paths = folder / "street_infrared.png", folder / "street_visible.png"
    for path, image in zip(paths, street_pair(), strict=True):
        write_image(path, image)
    return paths


def video_pair(folder: Path, job: Job, seed: int = 3, frames: int = FRAMES) -> tuple[Path, Path]:
    """Write the infrared and the visible video of a generated sequence in fog."""
    paths = folder / "fog_infrared.mp4", folder / "fog_visible.mp4"
    spec = random_spec(seed, length=frames, challenge="fog")
    with VideoWriter(paths[0], RATE) as infrared, VideoWriter(paths[1], RATE) as visible:
        for number, frame in enumerate(render(spec), start=1):
            infrared.write(frame.ir)
            visible.write(frame.rgb)
            job.report(number, frames)
    return paths
