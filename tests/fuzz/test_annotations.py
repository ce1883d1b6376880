"""Damaged annotation, result and value files: refused by name, or counted with finite figures."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from malformed import DAMAGES, assert_refused, counts, damaged, examples, run, scratch, tree

from fusion.images.reading import write_image
from tracker.commands.cli import main

FRAMES = 6
BOXES = [(4 + 2 * i, 5 + i, 12, 9) for i in range(FRAMES)]

# --- Lines ----------------------------------------------------------------------------------------

NUMBER = st.one_of(
    st.integers(-50, 400).map(str),
    st.floats(allow_nan=True, allow_infinity=True).map(repr),
    st.sampled_from(
        [
            "0",
            "-0",
            "nan",
            "NaN",
            "inf",
            "-inf",
            "1e400",
            "1e-400",
            "0x10",
            "1_0",
            "٣",
            "1,5",
            "1.",
            ".5",
            "+3",
            "--",
            "e",
        ]
    ),
    st.text(max_size=6),
)
LINE = st.one_of(
    st.builds(
        lambda numbers, separator: separator.join(numbers),
        st.lists(NUMBER, max_size=9),
        st.sampled_from([",", " ", "\t", ", ", ";", ",,"]),
    ),
    st.text(max_size=20),
    st.just("m0,0,4,4,-3,5"),
    st.just("m0,0,40000,40000,1,1"),
    st.just("m1e30,0,4,4,1,2"),
)
ENDS = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\x85"])
CODING = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])


@st.composite
def annotations(draw, rows):
    """Bytes of a damaged annotation: modified bytes, or invalid lines."""
    lines = [",".join(map(str, row)) for row in rows]
    if draw(st.booleans()):
        return damaged(("\n".join(lines) + "\n").encode(), draw(DAMAGES))
    for line in draw(st.lists(LINE, min_size=1, max_size=3)):
        place = draw(st.integers(0, len(lines)))
        lines[place : place + draw(st.integers(0, 1))] = [line]
    return draw(ENDS).join(lines).encode(draw(CODING), "replace")


# --- Sequences ------------------------------------------------------------------------------------

LAYOUTS = {
    "gtot": ("v", "i", ("groundTruth_v.txt", "groundTruth_i.txt")),
    "rgbt234": ("visible", "infrared", ("visible.txt", "infrared.txt")),
    "lasher": ("visible", "infrared", ("visible.txt", "infrared.txt")),
    "vot": ("color", "ir", ("groundtruth.txt", "sequence", "occlusion.tag", "x.value")),
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(1, FRAMES + 1):
        write_image(folder / f"{number:08d}.jpg", rng.integers(0, 256, (24, 32), np.uint8))
    return folder


def rows_of(layout):
    if layout == "gtot":
        return [(x, y, x + w, y + h) for x, y, w, h in BOXES]
    return BOXES


SEQUENCE = b"name=s\nfps=20\nchannels.color=color/%08d.jpg\nchannels.ir=ir/%08d.jpg\n" + (
    b"width=32\nheight=24\nlength=6\n"
)


def lay_out(folder, layout, pictures):
    """A whole sequence of a layout; returns the files that may be damaged."""
    rgb, ir, files = LAYOUTS[layout]
    folder.mkdir()
    for name in (rgb, ir):
        (folder / name).symlink_to(pictures)
    text = "".join(",".join(map(str, row)) + "\n" for row in rows_of(layout))
    for name in files:
        (folder / name).write_text(text)
    if layout == "vot":
        (folder / "sequence").write_bytes(SEQUENCE)
        for name in files[2:]:
            (folder / name).write_text("1\n" * FRAMES)
    return files


@pytest.mark.parametrize("layout", LAYOUTS)
def test_whole_sequences_have_nothing_wrong(layout, pictures):
    """Negative control: the undamaged files are readable."""
    with scratch() as folder:
        lay_out(folder / "s", layout, pictures)
        outcome = run(main, "data", folder / "s", "--layout", layout, "--json")
    assert outcome.code == 0 and not json.loads(outcome.out)["sequences"][0]["problems"]


@examples(25, 250)
@given(st.data(), st.sampled_from(sorted(LAYOUTS)))
def test_damaged_sequences(pictures, data, layout):
    counts["annotations"] += 1
    with scratch() as folder:
        files = lay_out(folder / "s", layout, pictures)
        victim = data.draw(st.sampled_from(files))
        base = rows_of(layout)
        if victim == "sequence":
            base = [(line,) for line in SEQUENCE.decode().split()]
        elif not victim.endswith("truth.txt") and layout == "vot":
            base = [(1,)] * FRAMES
        (folder / "s" / victim).write_bytes(data.draw(annotations(base)))
        outcome = run(main, "data", folder / "s", "--layout", layout, "--json")
        outcome_of_text = run(main, "data", folder / "s", "--layout", layout)
    assert outcome.code in (0, 2) and outcome_of_text.code == outcome.code
    if not outcome.out:
        assert_refused(outcome, victim, "/s")
        return
    found = json.loads(outcome.out)
    assert (outcome.code == 2) == bool(
        found["errors"] or [s for s in found["sequences"] if s["errors"]]
    )
    if outcome.code == 0:
        assert found["frames"] >= FRAMES
        assert all(0 <= found["boxes"][m] <= found["frames"] for m in ("rgb", "ir"))
    else:
        assert "Traceback" not in outcome.err


# --- Raw results ----------------------------------------------------------------------------------

PROTOCOLS = ("gtot", "rgbt210", "rgbt234", "lasher")
ANNOTATION_FILES = {
    "gtot": LAYOUTS["gtot"][2],
    "rgbt210": ("init.txt",),
    "rgbt234": LAYOUTS["rgbt234"][2],
    "lasher": ("init.txt",),
}


@examples(20, 200)
@given(st.data(), st.sampled_from(PROTOCOLS), st.booleans())
def test_damaged_raw_results(data, protocol, is_result):
    """Of benchmarks' annotations and trackers' results, by ``tracker evaluate``."""
    counts["annotations"] += 1
    with scratch() as folder:
        rows, files = rows_of(protocol), ANNOTATION_FILES[protocol]
        (folder / "annotations/s").mkdir(parents=True)
        (folder / "results").mkdir()
        for name in files:
            lines = "".join(",".join(map(str, row)) + "\n" for row in rows)
            (folder / "annotations/s" / name).write_text(lines)
        result = folder / "results/s.txt"
        result.write_text("".join(",".join(map(str, box)) + "\n" for box in BOXES))
        victim = (
            result if is_result else folder / "annotations/s" / data.draw(st.sampled_from(files))
        )
        victim.write_bytes(data.draw(annotations(BOXES if is_result else rows)))
        before = tree(folder)
        outcome = run(
            main, "evaluate", "--dataset", protocol, "--annotations", folder / "annotations",
            "--results", folder / "results", "--json", folder / "figures.json", "--per-sequence",
        )  # fmt: skip
        after = tree(folder)
    assert outcome.code in (0, 2) and "Traceback" not in outcome.err
    if outcome.code == 2:
        assert after == before and outcome.out == ""
        assert all(line.startswith("tracker: ") for line in outcome.err.splitlines())
        assert any(name in outcome.err for name in ("results", "annotations"))
        return
    figures = json.loads(after["figures.json"])["results"]
    for key in ("PR", "SR", "NPR"):
        value = figures.get(key)
        assert value is None or (math.isfinite(value) and 0 <= value <= 1), (key, value)


# --- Workspaces -----------------------------------------------------------------------------------

STACK = b"""experiments:
  baseline:
    type: multistart
    analyses:
      - type: multistart_eao_score
        low: 2
        high: 6
"""
TRAJECTORY = b"1\n" + "".join(",".join(map(str, box)) + "\n" for box in BOXES[1:]).encode()
BINARY = struct.pack("<hI", 1, FRAMES) + struct.pack("<BI", 0, 1)
BINARY += b"".join(struct.pack("<B4f", 1, *box) for box in BOXES[1:])
POLYGONS = (
    b"1\n"
    + "".join(
        f"{x},{y},{x + w},{y},{x + w},{y + h + 1},{x},{y + h}\n" for x, y, w, h in BOXES[1:]
    ).encode()
)
RUN = "results/T/baseline/s/s_00000000"

WORKSPACE = {
    "config.yaml": b"stack: stack.yaml\n",
    "stack.yaml": STACK,
    "sequences/list.txt": b"s\n",
    "sequences/s/sequence": SEQUENCE,
    "sequences/s/groundtruth.txt": "".join(f"{','.join(map(str, b))}\n" for b in BOXES).encode(),
    "sequences/s/anchor.value": b"1\n0\n0\n0\n0\n0\n",
    f"{RUN}.txt": TRAJECTORY,
}


def analyze(files):
    counts["annotations"] += 1
    with scratch() as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        before = tree(folder)
        outcome = run(main, "vot", "analyze", "--workspace", folder, "--json", "-")
        assert tree(folder) == before
    assert outcome.code in (0, 2) and "Traceback" not in outcome.err
    if outcome.code == 0:
        figures = json.loads(outcome.out)["T"]
        assert all(0 <= figures[key] <= 1 for key in ("EAO", "A", "R")), figures
    else:
        assert outcome.out == "" and str(folder) in outcome.err
        assert all(line.startswith("tracker: ") for line in outcome.err.splitlines())
    return outcome


def test_the_whole_workspace_is_analysed():
    """Negative control; results in each of the three forms."""
    boxes = analyze(WORKSPACE)
    binary = {name: content for name, content in WORKSPACE.items() if name != f"{RUN}.txt"}
    assert boxes.code == 0 and analyze(binary | {f"{RUN}.bin": BINARY}).out == boxes.out
    assert analyze(WORKSPACE | {f"{RUN}.txt": POLYGONS}).code == 0


@examples(25, 250)
@given(st.data(), st.sampled_from([*WORKSPACE, f"{RUN}.bin", "polygons"]))
def test_damaged_workspaces(data, victim):
    files = dict(WORKSPACE)
    if victim == f"{RUN}.bin":
        del files[f"{RUN}.txt"]
        files[victim] = damaged(BINARY, data.draw(DAMAGES))
    elif victim == "polygons":
        rows = [line.split(",") for line in POLYGONS.decode().split()]
        files[f"{RUN}.txt"] = data.draw(annotations(rows))
    else:
        rows = [(line,) for line in files[victim].decode().splitlines()]
        files[victim] = data.draw(annotations(rows))
    analyze(files)
