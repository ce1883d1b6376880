"""Which frame belongs to which: thousands of folders whose pictures say which moment they show.

Every picture's grey level is the number of its moment, and so is the x of its annotated box. A
folder is right if no frame shows two moments and no box lies on another one than its own, or if it
is refused. This oracle knows nothing of names or numbers: it looks at the pixels.
"""

import itertools
import random
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from malformed import FULL, counts, figures

from fusion.base.errors import UserError
from fusion.images.pairing import pair_folders
from fusion.images.reading import read_image
from tracker.data.sequences import load_sequence

LENGTH = 24
FOLDERS = 1000 if FULL else 120
HASHES = [f"{a}{b}{c}" for a, b, c in itertools.product("zQx7", "mA3", "kB9")]
WORDS = [f"{a}{b}" for a, b in itertools.product("admnz", "beimrt")]


def _dates(i):
    return f"2023-01-01_12-{i // 7:02d}-{8 * (i % 7):02d}"


#: A moment's file name in the visible and in the infrared folder.
SCHEMES = {
    "from 1": (lambda i: f"{i + 1}", lambda i: f"{i + 1}"),
    "from 0": (lambda i: f"{i}", lambda i: f"{i}"),
    "padded from 1": (lambda i: f"{i + 1:06d}", lambda i: f"{i + 1:06d}"),
    "padded from 0": (lambda i: f"{i:08d}", lambda i: f"{i:08d}"),
    "one side padded": (lambda i: f"{i + 1}", lambda i: f"{i + 1:05d}"),
    "RGBT234": (lambda i: f"{i + 1:05d}v", lambda i: f"{i + 1:05d}i"),
    "LasHeR": (lambda i: f"v{i:03d}", lambda i: f"i{i:03d}"),
    "KAIST": (lambda i: f"I{i:05d}", lambda i: f"I{i:05d}"),
    "constant number behind": (lambda i: f"{i:06d}_rgb8", lambda i: f"{i:06d}_mono16"),
    "size behind": (lambda i: f"frame_{i:04d}_1920x1080", lambda i: f"frame_{i:04d}_640x512"),
    "camera in front": (lambda i: f"cam1_{i:04d}", lambda i: f"cam2_{i:04d}"),
    "suffixes": (lambda i: f"FLIR_{i + 1:04d}_co", lambda i: f"FLIR_{i + 1:04d}_ir"),
    "hashes": (
        lambda i: f"video-7cJx-frame-{i:06d}-{HASHES[i]}",
        lambda i: f"video-msNE-frame-{i:06d}-{HASHES[-1 - i]}",
    ),
    "every tenth number": (lambda i: f"{10 * i}", lambda i: f"{10 * i}"),
    "dates": (_dates, _dates),
    "dates with a word": (lambda i: f"{_dates(i)}_W", lambda i: f"{_dates(i)}_T"),
    "bursts": (lambda i: f"S{i // 3}_{i % 3}_vis", lambda i: f"S{i // 3}_{i % 3}_ir"),
    "two scenes": (lambda i: f"s{i // 12}_{i % 12}", lambda i: f"s{i // 12}_{i % 12}"),
    "words": (lambda i: WORDS[i], lambda i: WORDS[i]),
    "words with a word": (lambda i: f"rgb {WORDS[i]}", lambda i: f"th {WORDS[i]}"),
    "one counts from 0": (lambda i: f"{i + 1:04d}", lambda i: f"{i:04d}"),
    "other range": (lambda i: f"{i + 1:05d}", lambda i: f"{i + 5001:05d}"),
    "overlapping range": (lambda i: f"{i + 1:05d}", lambda i: f"{i + 12:05d}"),
    "interleaved": (lambda i: f"DJI_{2 * i + 2:04d}", lambda i: f"DJI_{2 * i + 1:04d}"),
    "milliseconds": (lambda i: f"{33 * i + 1000}", lambda i: f"{33 * i + 1000 + i % 4}"),
    "another hash each": (lambda i: HASHES[i], lambda i: HASHES[-1 - i] + "x"),
}

FROM_0 = {
    *("from 0", "padded from 0", "LasHeR", "KAIST", "constant number behind", "size behind"),
    *("camera in front", "hashes"),
}

GAPS = {
    "nothing": set(),
    "the first": {0},
    "the first three": {0, 1, 2},
    "one": {9},
    "some": {4, 5, 6, 15},
    "the last": {LENGTH - 1},
    "the last four": set(range(LENGTH - 4, LENGTH)),
    "both ends": {0, LENGTH - 1},
}

#: Folders, files of boxes by modality, and from one line to the next.
LAYOUTS = {
    "pair": ("a", "b", (), 1),
    "gtot": ("v", "i", ("groundTruth_v.txt", "groundTruth_i.txt"), 1),
    "rgbt210": ("visible", "infrared", ("init.txt",), 1),
    "rgbt234": ("visible", "infrared", ("visible.txt", "infrared.txt"), 1),
    "lasher": ("visible", "infrared", ("visible.txt", "infrared.txt", "init.txt"), 1),
    "vtuav": ("rgb", "ir", ("rgb.txt", "ir.txt"), 10),
    "vot": ("color", "ir", ("groundtruth.txt",), 1),
    "stills": ("vis", "ir", (), 1),
}


def picture(moment):
    image = np.full((12, 16), 8 * moment + 4, np.uint8)
    image[:, 8:] += 3
    return cv2.imencode(".png", image)[1].tobytes()


PICTURES = [picture(moment) for moment in range(LENGTH)]


def moment_of(image):
    return None if image is None else round((float(image[0, 0].mean()) - 4) / 8)


def write_case(root, scheme, gap_vis, gap_ir, layout):
    folders = LAYOUTS[layout]
    for folder, name, gap in zip(folders, SCHEMES[scheme], (gap_vis, gap_ir), strict=False):
        (root / folder).mkdir(parents=True)
        for moment in range(LENGTH):
            if moment not in GAPS[gap]:
                (root / folder / f"{name(moment)}.png").write_bytes(PICTURES[moment])
    for name in folders[2]:
        corners = layout == "gtot"
        step = 1 if name == "init.txt" and layout == "vtuav" else folders[3]
        rows = [
            (moment, 2, moment + 5, 8) if corners else (moment, 2, 5, 6)
            for moment in range(0, LENGTH, step)
        ]
        (root / name).write_text("".join(f"{','.join(map(str, row))}\n" for row in rows))


def names_lie(scheme, gap_vis, gap_ir, layout):
    """Whether the names say something else than what is true, which no reader can see.

    A folder counted from 0 without its first picture looks like one counted from 1 without its
    last; of an annotated sequence only if both folders lost the first.
    """
    if scheme == "one counts from 0":
        there = [set(range(LENGTH)) - GAPS[gap] for gap in (gap_vis, gap_ir)]
        (low, high), (other_low, other_high) = ((min(t), max(t)) for t in there)
        low, high = low + 1, high + 1
        return (low - other_low) * (high - other_high) <= 0
    both = GAPS[gap_vis] & GAPS[gap_ir]
    return bool(LAYOUTS[layout][2]) and scheme in FROM_0 and 0 in both and 1 not in both


def check_sequence(root, layout):
    """What is wrong with a sequence as it is read; UserError where it is refused."""
    if layout == "pair":
        sequence = load_sequence((root / "a", root / "b"))
    else:
        sequence = load_sequence(root, layout)
    wrong = []
    for index, frame in enumerate(sequence):
        moments = {moment_of(image) for image in (frame.rgb, frame.ir)} - {None}
        if len(moments) > 1:
            wrong.append(f"frame {index + 1} shows {moments}")
        boxes = [sequence.boxes_rgb[index][0], sequence.boxes_ir[index][0]]
        boxes = {int(x) for x in boxes if np.isfinite(x)}
        if moments and boxes and boxes != moments:
            wrong.append(f"frame {index + 1} shows {moments}, its boxes {boxes}")
    return wrong


def check_stills(root):
    pairing = pair_folders(root / "ir", root / "vis")
    return [
        f"{ir.name} with {vis.name}"
        for ir, vis in pairing.pairs
        if moment_of(read_image(ir)) != moment_of(read_image(vis))
    ]


def test_no_frame_box_or_pair_is_silently_out_of_place():
    everything = list(itertools.product(SCHEMES, GAPS, GAPS, LAYOUTS))
    chosen = random.Random(None if FULL else 0).sample(everything, FOLDERS)
    refused, wrong, tried = 0, [], 0
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(chosen):
            if names_lie(*case):
                continue
            root = Path(folder) / str(number)
            write_case(root, *case)
            counts["orders"] += 1
            tried += 1
            try:
                faults = (
                    check_stills(root) if case[3] == "stills" else check_sequence(root, case[3])
                )
            except UserError as error:
                assert "\n" not in str(error)
                refused += 1
                continue
            if faults:
                wrong.append(f"{case}: {faults[0]} and {len(faults) - 1} more")
    figures.append(f"orders: {tried} folders, {refused} refused, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)
    assert refused < 0.6 * tried


TELLING = [
    name
    for name in SCHEMES
    if name
    not in ("one counts from 0", "other range", "overlapping range", "interleaved", "milliseconds",
            "another hash each")
]  # fmt: skip


@pytest.mark.parametrize("scheme", TELLING)
@pytest.mark.parametrize("gap", ["nothing", "one", "the last"])
def test_names_that_tell_are_read(tmp_path, scheme, gap):
    """What can be decided is not refused: a picture missing in one modality of two folders."""
    write_case(tmp_path, scheme, "nothing", gap, "pair")
    assert not check_sequence(tmp_path, "pair")
    sequence = load_sequence((tmp_path / "a", tmp_path / "b"))
    assert len(sequence) == LENGTH
    assert sum(name is None for name in sequence.ir.names) == len(GAPS[gap])


@pytest.mark.parametrize("layout", ["gtot", "rgbt234", "lasher", "rgbt210", "vtuav"])
@pytest.mark.parametrize("scheme", ["padded from 1", "RGBT234", "LasHeR", "padded from 0"])
@pytest.mark.parametrize("gap", ["nothing", "one", "some", "the last four"])
def test_annotations_with_pictures_missing_on_both_sides_are_read(tmp_path, layout, scheme, gap):
    write_case(tmp_path, scheme, gap, gap, layout)
    assert not check_sequence(tmp_path, layout)
    sequence = load_sequence(tmp_path, layout)
    expected = [m for m in range(0, LENGTH, LAYOUTS[layout][3]) if m not in GAPS[gap]]
    boxes = sequence.boxes_rgb[[name is not None for name in sequence.rgb.names]]
    assert boxes[np.isfinite(boxes[:, 0]), 0].astype(int).tolist() == expected
