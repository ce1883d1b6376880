"""Draw the images of README.md and docs/ from generated scenes.

    python docs/gallery.py                    # all: make gallery
    python docs/gallery.py street tracking    # some
    python docs/gallery.py samples DAVIS M3SVD    # from the folders of these two datasets

They use the included weights and have to be drawn again when these change. ``samples`` shows real
video, whose licences are in NOTICE.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch

from fusion import load_network, write_image
from fusion.commands.align import preview
from fusion.commands.parts import parts_sheet
from fusion.commands.pipeline import side_by_side
from fusion.commands.scene import street_pair
from fusion.images.alignment.estimation import estimate_alignment, require_sure
from fusion.images.alignment.geometry import similarity
from fusion.images.pixels import luminance, narrowed, tile
from fusion.networks.registry import CLASSICAL
from tracker import RGBTTracker, load_tracker
from tracker.data.drawing import draw_frame
from tracker.data.frames import Frame, FrameProblem
from tracker.synthetic import contact_sheet, dataset_specs, random_spec, render, render_still
from tracker.training.real_video import load_clips, load_masked_video
from tracker.training.sample_sheet import sample_sheet
from tracker.training.video_pairs import VideoPairs

FOLDER = Path(__file__).parent
MOMENTS = (2, 32, 63)
WIDEST = 1280  # pixels that the pages show


def street() -> np.ndarray:
    """Infrared, visible and fused image: what ``fusion demo`` shows."""
    ir, vis = street_pair()
    return side_by_side(ir, vis, load_network().fuse(ir, vis))


def align() -> np.ndarray:
    """The street seen by two cameras that are not aligned: what ``fusion align`` writes."""
    ir, vis = street_pair(seed=2)
    view = similarity(1.13, 3, (18, -12), (640, 480))
    ir = cv2.warpPerspective(ir, view, (640, 480), flags=cv2.INTER_CUBIC)
    found = require_sure(estimate_alignment([(ir, vis)]), "street")
    return preview(found.calibration(), (ir, vis))


def parts() -> np.ndarray:
    """Low-rank and sparse parts of the street: what ``fusion fuse --parts`` writes."""
    network = load_network()
    ir, vis = street_pair(320, 240)
    with torch.inference_mode():
        found = network.parts(network.to_input(ir), network.to_input(luminance(vis)))
    return parts_sheet(ir, vis, network.to_picture(found.fused, vis), found)


def methods() -> np.ndarray:
    """LRRNet beside methods without learned parameters, on scenes where the modalities differ."""
    networks = {name: build().eval() for name, build in CLASSICAL.items()}
    networks["LRRNet"] = load_network()
    rows = []
    for seed in (3, 11, 20):
        frame = render_still(seed)
        row = [("infrared", frame.ir), ("visible", frame.rgb)]
        row += [(name, network.fuse(frame.ir, frame.rgb)) for name, network in networks.items()]
        rows.append(row)
    return tile(rows)


def synthetic() -> np.ndarray:
    """Sequences of six challenges with the target's box."""
    names = ["night", "fog", "distractors", "occlusion", "crossover", "camouflage"]
    return contact_sheet(dataset_specs(len(names), seed=7, challenges=names).values())


def tracking() -> np.ndarray:
    """The included tracker at three moments of three sequences, one row per sequence.

    The sequences are not cherry-picked.
    """
    tracker = RGBTTracker(load_tracker())
    rows = []
    for seed, challenge in ((1, "night"), (2, "alternating"), (3, "fog")):
        spec = random_spec(seed, length=64, split="test", challenge=challenge)
        row = []
        for number, (rgb, ir, truth, _) in enumerate(render(spec), start=1):
            if number == 1:
                tracker.init(rgb, ir, truth)
                continue
            box, _ = tracker.track(rgb, ir)
            if number in MOMENTS:
                frame = Frame(number, rgb, ir, _problems(rgb, ir))
                picture = draw_frame(frame, box, truth={"rgb": truth, "ir": truth})
                row.append((challenge, picture))
        rows.append(row)
    return tile(rows)


def _problems(rgb: np.ndarray, ir: np.ndarray) -> dict[str, FrameProblem]:
    return {
        modality: FrameProblem("blank", "")
        for modality, picture in (("rgb", rgb), ("ir", ir))
        if picture.min() == picture.max()
    }


def samples(davis: str, m3svd: str) -> np.ndarray:
    """Training pairs of real video: what ``tracker samples`` writes."""
    sources = [load_masked_video(davis, weight=4), load_clips(m3svd, weight=1.5)]
    return sample_sheet(VideoPairs(sources, seed=2), count=8, columns=2, first=11)


PICTURES = {make.__name__: make for make in (street, align, methods, parts, synthetic, tracking)}


def main(names: list[str]) -> int:
    if names[:1] == ["samples"] and len(names) == 3:
        path = FOLDER / "samples.jpg"
        picture = cv2.cvtColor(narrowed(samples(*names[1:]), 1000), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 72])  # half of it is noise
        print(path)
        return 0
    unknown = set(names) - set(PICTURES)
    if unknown:
        print(f"unknown {unknown.pop()!r}; choose from {', '.join(PICTURES)}", file=sys.stderr)
        return 2
    for name in names or PICTURES:
        path = FOLDER / f"{name}.jpg"
        write_image(path, narrowed(PICTURES[name](), WIDEST))
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
