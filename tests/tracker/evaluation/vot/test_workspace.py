"""A VOT workspace, read once: what is missing or damaged is named in a line."""

import io
import shutil

import numpy as np
import pytest

from fusion.base.errors import UserError
from tracker.evaluation.vot.stack import Experiment
from tracker.evaluation.vot.workspace import read_workspace


@pytest.fixture
def workspace(tmp_path):
    """Two sequences, a tracker that repeats the annotation."""
    for name, length in (("a", 30), ("b", 20)):
        folder = tmp_path / "sequences" / name
        folder.mkdir(parents=True)
        (folder / "sequence").write_text("width=64\nheight=48\n")
        (folder / "groundtruth.txt").write_text("10,10,20,20\n" * length)
        (folder / "anchor.value").write_text("1\n" + "0\n" * (length - 2) + "-1\n")
        results = tmp_path / "results" / "T" / "baseline" / name
        results.mkdir(parents=True)
        for anchor in (0, length - 1):
            text = "1\n" + "10,10,20,20\n" * (length - 1)
            (results / f"{name}_{anchor:08d}.txt").write_text(text)
    (tmp_path / "sequences/list.txt").write_text("a\nb\n")
    (tmp_path / "config.yaml").write_text("stack: vot2020/rgbtir\nregistry: [./trackers.ini]\n")
    return tmp_path


def read_all(folder, **options):
    found = read_workspace(folder, **options)
    return found.read_runs(found.trackers()[0])


def error(folder, **options):
    with pytest.raises(UserError) as caught:
        read_all(folder, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_small_workspace(workspace):
    assert {name: len(runs) for name, runs in read_all(workspace).items()} == {"a": 2, "b": 2}


def test_the_size_of_a_picture_stands_in_for_a_missing_one(workspace):
    from fusion.images.reading import write_image

    (workspace / "sequences/a/sequence").write_text("channels.color=color/%08d.png\n")
    assert "00000001.png" in error(workspace)
    write_image(workspace / "sequences/a/color/00000001.png", np.zeros((30, 40, 3), np.uint8))
    assert read_workspace(workspace).sequences[0].size == (40, 30)


def test_results_that_are_missing_or_cut_off_are_all_named(workspace):
    results = workspace / "results/T/baseline"
    (results / "a/a_00000000.txt").unlink()
    (results / "b/b_00000000.txt").write_text("1\n10,10,20,20\n")
    (results / "b/b_00000019.txt").write_text("1\n10,10,20\n")
    message = error(workspace)
    assert "3 of 4 runs" in message and "a anchor 0 (missing)" in message
    assert "b anchor 0 (2 of 20 frames)" in message
    assert "b_00000019.txt, line 2" in message


def test_damaged_binary_results(workspace, tmp_path):
    from vot.region import Rectangle, Special
    from vot.region.io import write_trajectory_binary

    stream = io.BytesIO()
    write_trajectory_binary(stream, [Special(1)] + [Rectangle(1, 2, 3, 4)] * 29)
    path = workspace / "results/T/baseline/a/a_00000000.bin"
    path.with_suffix(".txt").unlink()
    path.write_bytes(stream.getvalue())
    read_all(workspace)
    for cut in (0, 4, 9, 30, len(stream.getvalue()) - 1):
        path.write_bytes(stream.getvalue()[:cut])
        assert "a anchor 0 (" in error(workspace)
    path.write_bytes(b"\2\0" + stream.getvalue()[2:])
    assert "a anchor 0 (" in error(workspace)
    path.write_bytes(stream.getvalue()[:6] + b"\7" + stream.getvalue()[7:])
    assert "type 7" in error(workspace)


DIGITS = "9" * 5000


@pytest.mark.parametrize(
    ("name", "text", "facts"),
    [
        ("config.yaml", "stack: [", "YAML"),
        ("config.yaml", "a\n", ""),
        ("config.yaml", "registry: []\n", "stack"),
        ("config.yaml", "stack: ./stack.yaml\n", "stack.yaml"),
        ("sequences/list.txt", None, "tracker vot init"),
        ("sequences/list.txt", "\n", ""),
        ("sequences/list.txt", "a\nnone\n", "sequences/none"),
        ("sequences/a/anchor.value", None, ""),
        ("sequences/a/anchor.value", "0\n", "no anchor"),
        ("sequences/a/anchor.value", "x\n", ""),
        ("sequences/a/anchor.value", "1\n" * 31, "31 lines for 30"),
        ("sequences/a/sequence", "length=3\n", "length=3, groundtruth.txt has 30"),
        ("sequences/a/sequence", f"length={DIGITS}\n", f"length={DIGITS[:20]},"),
        ("sequences/a/sequence", f"width={DIGITS}\nheight=9\n", f" {DIGITS[:20]}x9 "),
        ("sequences/a/groundtruth.txt", None, ""),
        ("sequences/a/groundtruth.txt", "1,2,3,4\n1,2\n", "line 2: '1,2'"),
        ("sequences/a/groundtruth.txt", "m0,0,2,2,1,9\n", "2x2"),
    ],
)
def test_faults_of_a_workspace(workspace, name, text, facts):
    path = workspace / name
    path.unlink() if text is None else path.write_text(text)
    message = error(workspace)
    assert facts in message
    # A file that names another, which is missing, is not itself at fault.
    assert str(path) in message or str(path.parent) in message or str(workspace / facts) in message


def test_a_folder_that_is_no_workspace_and_one_without_results(workspace):
    assert "none/config.yaml" in error(workspace / "none")
    shutil.rmtree(workspace / "results/T")
    assert str(workspace / "results") in error(workspace)


def test_stacks_of_several_experiments(workspace):
    (workspace / "config.yaml").write_text("stack: stack.yaml\n")
    (workspace / "stack.yaml").write_text(
        "experiments:\n"
        "  baseline:\n"
        "    type: multistart\n"
        "    analyses: [{type: multistart_eao_score, low: 5, high: 9}]\n"
        "  again: {type: multistart}\n"
        "  other: {type: unsupervised}\n"
    )
    assert "baseline, again;" in error(workspace)
    assert "no other" in error(workspace, experiment="other")
    found = read_workspace(workspace, "baseline")
    assert found.experiment == Experiment("baseline", 5, 9)
    found = read_workspace(workspace, "again")
    assert found.experiment == Experiment("again", 115, 755)
    text = (workspace / "stack.yaml").read_text()
    (workspace / "stack.yaml").write_text(text.replace("low: 5", "low: 5, grace: 3"))
    message = error(workspace, experiment="baseline")
    assert "stack.yaml" in message and "grace" in message
