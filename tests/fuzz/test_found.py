"""Inputs found by the fuzz tests that caused a traceback, a hang or worse."""

import numpy as np
import pytest
import torch

from fusion.base.configuration import read_config
from fusion.base.errors import UserError
from fusion.base.files import natural_key
from fusion.images.reading import read_image
from fusion.training.reference import read_references
from tracker.data.vot_files import read_vot_meta
from tracker.evaluation.baselines.correlation import CorrelationTracker
from tracker.evaluation.ope.figures import PROTOCOLS
from tracker.evaluation.ope.files import read_annotations
from tracker.evaluation.vot.sequences import read_sequence
from tracker.evaluation.vot.trajectories import read_trajectory
from tracker.evaluation.vot.workspace import read_workspace
from tracker.model.presets import build_network
from tracker.online.rgbt_tracker import RGBTTracker


def test_digits_that_are_no_numbers(tmp_path):
    """``²`` is a digit for Python, but not a number."""
    names = ["a²", "a10", "a2"]
    assert [p.name for p in sorted(map(tmp_path.joinpath, names), key=natural_key)] == [
        "a2",
        "a10",
        "a²",
    ]


@pytest.mark.parametrize(
    "text",
    ["a: 2001-99-99", "[" * 1200, "a: 1", "\ufeff- a", "a: \udce4"],
    ids=["date", "depth", "no stack", "list", "latin-1"],
)
def test_settings_of_a_workspace(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, errors="surrogateescape")
    with pytest.raises(UserError, match=r"config\.yaml"):
        read_workspace(tmp_path)


@pytest.mark.parametrize("sequences", ["3", "[a]", "{}"])
def test_a_folder_of_sequences_that_is_no_name(tmp_path, sequences):
    (tmp_path / "config.yaml").write_text(f"stack: vot2020/rgbtir\nsequences: {sequences}\n")
    with pytest.raises(UserError, match=r"config\.yaml: sequences"):
        read_workspace(tmp_path)


@pytest.mark.parametrize(
    "analysis",
    [
        "low: 5",
        "low: x\nhigh: y",
        "low: 9\nhigh: 9",
        f"low: 1\nhigh: {10**30}",
        "low: 1.5\nhigh: 3",
    ],
)
def test_bounds_of_the_eao_that_are_none(tmp_path, analysis):
    lines = "".join(f"        {line}\n" for line in analysis.splitlines())
    (tmp_path / "config.yaml").write_text("stack: s.yaml\n")
    (tmp_path / "s.yaml").write_text(
        "experiments:\n  baseline:\n    type: multistart\n    analyses:\n"
        f"      - type: multistart_eao_score\n{lines}"
    )
    with pytest.raises(UserError, match=r"s\.yaml: low: "):
        read_workspace(tmp_path)


def test_a_list_of_sequences_that_is_no_text(tmp_path):
    (tmp_path / "config.yaml").write_text("stack: vot2020/rgbtir\n")
    (tmp_path / "sequences").mkdir()
    (tmp_path / "sequences/list.txt").write_bytes(b"\xf3\n")
    with pytest.raises(UserError, match=r"list\.txt: not a text file"):
        read_workspace(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("width", "1000000000000", "states frames of"),
        ("width", "0", "states frames of"),
        ("channels.color", "color/first.jpg", "no pattern of names"),
        ("channels.color", "color/%08x%d.jpg", "no pattern of names"),
        ("groundtruth", "a\0b", "cannot be read"),
    ],
)
def test_sequence_files(tmp_path, key, value, message):
    meta = {"width": "32", "height": "24"} | {key: value}
    if key.startswith("channels"):
        del meta["width"]
    (tmp_path / "sequence").write_text("".join(f"{k}={v}\n" for k, v in meta.items()))
    (tmp_path / "groundtruth.txt").write_text("1,2,3,4\n")
    (tmp_path / "anchor.value").write_text("1\n")
    assert read_vot_meta(tmp_path)[key] == value
    with pytest.raises(UserError, match=message):
        read_sequence(tmp_path)


@pytest.mark.parametrize("anchor", ["nan", "inf", "x"])
def test_anchors_that_are_no_numbers(tmp_path, anchor):
    (tmp_path / "sequence").write_text("width=32\nheight=24\n")
    (tmp_path / "groundtruth.txt").write_text("1,2,3,4\n")
    (tmp_path / "anchor.value").write_text(f"{anchor}\n")
    with pytest.raises(UserError, match=r"anchor\.value"):
        read_sequence(tmp_path)


@pytest.mark.parametrize(
    "mask", ["m0,0,40000,40000,1,1", "m0,0,4,4,99999999999", "m1e30,0,4,4,1,2", "m0,0,4,4,-3,5"]
)
def test_masks_that_would_take_all_memory(tmp_path, mask):
    path = tmp_path / "t.txt"
    path.write_text(f"1\n{mask}\n")
    with pytest.raises(UserError, match=r"t\.txt, frame 2: the mask's runs do not fit"):
        read_trajectory(path)


def test_a_folder_named_like_an_annotation(tmp_path):
    (tmp_path / "a.txt").mkdir()
    (tmp_path / "s.txt").write_text("1,2,3,4\n")
    assert list(read_annotations(tmp_path, PROTOCOLS["lasher"])) == ["s"]


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"a,b\n"])
def test_tables_of_references(tmp_path, content):
    (tmp_path / "rank_1.txt").write_bytes(content or b"x")
    with pytest.raises(UserError, match=r"rank_1\.txt"):
        read_references(tmp_path)


def test_names_no_file_can_have(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_image(f"{tmp_path}/a\0.png")
    with pytest.raises(UserError, match="cannot be read"):
        read_config(tmp_path)


# --- Frames ---------------------------------------------------------------------------------------


def test_a_camera_that_turns_grey():
    """The fill colour was measured with three channels and then used for one."""
    torch.manual_seed(0)
    small = {"search_size": 63, "exemplar_size": 31, "channels": 8, "template_cells": 3}
    tracker = RGBTTracker(build_network("compact_dfat", **small).eval())
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (48, 64, 3), np.uint8)
    tracker.init(color, color[..., 0], (20, 14, 16, 12))
    for rgb, ir in ((color[..., 1], None), (color, color), (None, color[..., 0])):
        box, _ = tracker.track(rgb, ir)
        assert np.isfinite(box).all()


def test_pictures_whose_size_changes_are_left_out():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 64), np.uint8)
    tracker = CorrelationTracker(("ir",))
    tracker.init(None, image, (20, 14, 16, 12))
    assert tracker.track(None, image[:5, :5]) == ((20, 14, 16, 12), 0)
    box, score = tracker.track(None, image)
    assert box == (20, 14, 16, 12) and score > 0.99
    with pytest.raises(UserError, match="sizes differ"):
        CorrelationTracker().init(np.stack([image[:9]] * 3, 2), image, (2, 2, 5, 5))
    for box in ((np.nan, 1, 5, 5), (1, 1, np.inf, 5), (1e308, 1, 1e308, 5), (1, 1, 0, 0)):
        with pytest.raises(UserError, match="box"):
            tracker.init(None, image, box)
