"""Sequences on disk: complete, and readable by the VOT toolkit and our own reader."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import read_image
from tracker.data.sequences import load_dataset
from tracker.synthetic import (
    SensorFailure,
    SequenceSpec,
    contact_sheet,
    dataset,
    dataset_specs,
    random_spec,
    render,
    write_dataset,
    write_sequence,
)
from tracker.synthetic.cameras import failure_mode

SMALL = (160, 120)


def small_spec(seed, length):
    return random_spec(seed, length=length, size=SMALL, challenge="plain")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("sequences")
    write_dataset(
        root, count=2, length=9, seed=5, size=SMALL, challenges=("full_occlusion", "rgb_failure")
    )
    return root


def specs_of(root):
    """Specs as the records beside the frames say."""
    specs = []
    for name in (root / "list.txt").read_text().split():
        values = json.loads((root / name / "spec.json").read_text())
        values["failures"] = tuple(SensorFailure(**f) for f in values["failures"])
        for key in ("size", "challenges"):
            values[key] = tuple(values[key])
        specs.append(SequenceSpec(**values))
    return specs


def test_written_sequences_are_complete(written):
    names = (written / "list.txt").read_text().split()
    assert names == ["test_000_full_occlusion", "test_001_rgb_failure"]
    assert sorted(p.name for p in written.iterdir()) == sorted([*names, "list.txt"])
    for name, spec in zip(names, specs_of(written), strict=True):
        folder = written / name
        frames = list(render(spec))
        expected = [f"{i:08d}.jpg" for i in range(1, 10)]
        for channel in ("color", "ir"):
            assert sorted(p.name for p in (folder / channel).iterdir()) == expected
        rows = [tuple(map(float, r.split(","))) for r in (folder / "groundtruth.txt").open()]
        assert rows == [frame.box for frame in frames]
        visible = [float(v) for v in (folder / "visibility.value").open()]
        assert visible == [frame.visible for frame in frames]
        for path in [*folder.glob("*.tag"), *folder.glob("*.value")]:
            assert len(path.read_text().split()) == 9
        colour, thermal = (
            read_image(folder / "color/00000004.jpg"),
            read_image(folder / "ir/00000004.jpg"),
        )
        assert thermal.ndim == 2
        assert np.abs(colour.astype(int) - frames[3].rgb).mean() < 6
        assert np.abs(thermal.astype(int) - frames[3].ir).mean() < 6
    tags = (written / names[1] / "rgb_failure.tag").read_text().split()
    failing = [failure_mode(specs_of(written)[1], "rgb", t) for t in range(9)]
    assert tags == [str(int(mode is not None)) for mode in failing] and "1" in tags


def test_the_vot_toolkit_reads_them(written):
    from vot.dataset import common

    for name, spec in zip(common.list_sequences(str(written)), specs_of(written), strict=True):
        sequence = common.read_sequence(str(written / name))
        assert len(sequence) == 9 and tuple(sequence.size) == SMALL
        assert set(sequence.channels()) == {"color", "ir"}
        boxes = [frame.box for frame in render(spec)]
        for t in range(9):
            region = sequence.groundtruth(t)
            found = (region.x, region.y, region.width, region.height)
            np.testing.assert_allclose(found, boxes[t], atol=1e-4)
        frame = sequence.frame(3)
        assert frame.channel("color").shape == (120, 160, 3)
        assert frame.channel("ir").shape[:2] == (120, 160)
        assert sequence.values(0)["anchor"] == 1
        assert 0 <= sequence.values(4)["visibility"] <= 1
        assert "rgb_failure" in sequence.tags()


def test_our_own_reader_reads_them(written):
    found = list(load_dataset(written))
    assert [s.name for s in found] == [
        "test_000_full_occlusion",
        "test_001_rgb_failure",
    ]
    for sequence, spec in zip(found, specs_of(written), strict=True):
        assert not sequence.problems
        boxes = [frame.box for frame in render(spec)]
        np.testing.assert_allclose(sequence.boxes_rgb, boxes, atol=1e-9)
        np.testing.assert_allclose(sequence.boxes_ir, boxes, atol=1e-9)


def test_writing_again_keeps_what_is_complete_and_goes_on(written, monkeypatch):
    before = {p: p.stat().st_mtime_ns for p in written.rglob("*.jpg")}
    challenges = ("full_occlusion", "rgb_failure", "night")
    options = {"length": 9, "seed": 5, "size": SMALL}
    specs = dataset_specs(3, challenges=challenges, **options)
    monkeypatch.setattr(dataset, "dataset_specs", lambda *a, **k: specs)
    write_dataset(written, count=3, challenges=challenges, **options)
    assert {p: p.stat().st_mtime_ns for p in before} == before
    assert len((written / "list.txt").read_text().split()) == 3
    # leave the folder as the other tests know it
    (written / "list.txt").write_text("".join(f"{name}\n" for name in list(specs)[:2]))
    for path in sorted((written / list(specs)[2]).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (written / list(specs)[2]).rmdir()


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Files of a running process are kept."""
    finished = subprocess.Popen([sys.executable, "-c", ""])
    finished.wait()
    abandoned, busy = (
        tmp_path / f".night.v2.{process}.partial" for process in (finished.pid, os.getppid())
    )
    for folder in (abandoned, busy):
        (folder / "color").mkdir(parents=True)
    folder = write_sequence(small_spec(0, length=2), tmp_path / "night.v2")
    assert not abandoned.exists() and busy.exists()
    assert "name=night.v2\n" in (folder / "sequence").read_text()


def test_an_interruption_leaves_no_half_sequence(tmp_path, monkeypatch):
    def broken(path, image, write=dataset.write_image):
        if path.name == "00000003.jpg":
            raise KeyboardInterrupt
        write(path, image)

    monkeypatch.setattr(dataset, "write_image", broken)
    with pytest.raises(KeyboardInterrupt):
        write_sequence(small_spec(0, length=5), tmp_path / "one")
    assert list(tmp_path.iterdir()) == []


def test_another_sequence_in_the_way_is_not_overwritten(tmp_path):
    write_sequence(small_spec(0, length=2), tmp_path / "one")
    with pytest.raises(UserError, match=r"one: contains another sequence"):
        write_sequence(small_spec(1, length=2), tmp_path / "one")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match="file: contains another sequence"):
        write_sequence(small_spec(0, length=2), tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


def test_anchors_start_where_the_target_can_be_seen():
    good = [True] * 200
    for t in (0, 1, 50, 51, 199):
        good[t] = False
    anchors = np.array(dataset.vot_anchors(good))
    assert set(np.flatnonzero(anchors)) == {2, 49, 100, 150, 198}
    assert [anchors[t] for t in (2, 49, 100, 150, 198)] == [1, 1, -1, -1, -1]
    assert dataset.vot_anchors([True]) == [1]


def test_a_contact_sheet_shows_both_modalities_of_each(tmp_path):
    specs = [small_spec(seed, length=4) for seed in range(3)]
    sheet = contact_sheet(specs, columns=2)
    assert sheet.ndim == 3 and sheet.shape[1] > 2 * 2 * SMALL[0]
    green = np.all(np.abs(sheet.astype(int) - (60, 255, 60)) < 3, axis=2)
    assert green.sum() > 3 * 2 * 20
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
