"""Sequences of two videos, or of a video and a folder."""

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import write_image
from fusion.images.video import VideoWriter
from tracker.data.sequences import load_sequence


def test_two_videos(tmp_path, make_scene):
    scene = make_scene(8)
    scene.ir = scene.ir[:6]
    sequence = load_sequence(scene.write_videos(tmp_path))
    assert (len(sequence), sequence.layout, sequence.fps) == (8, "pair", 20)
    assert sequence.problems == ["infrared: 6 frames instead of 8; none for 7-8"]
    # Any order, also backwards and the same frame twice.
    for index in (0, 3, 3, 1, 5, 0):
        frame = sequence.frame(index)
        assert np.abs(frame.rgb.astype(int) - scene.rgb[index]).mean() < 12  # lossy codec
        assert np.abs(frame.ir.astype(int) - scene.ir[index]).mean() < 12
    assert sequence.frame(7).ir is None and sequence.frame(7).problems["ir"].kind == "missing"
    assert sequence.size() == (120, 96)


def test_videos_of_two_rates_are_paired_by_time(tmp_path, make_scene):
    scene = make_scene(12)
    scene_ir = scene.ir
    scene.ir = scene_ir[::2]
    rgb, ir = scene.write_videos(tmp_path)
    with VideoWriter(ir, 10) as video:
        for frame in scene.ir:
            video.write(frame)
    sequence = load_sequence((rgb, ir))
    assert any("20: frames are paired by time" in problem for problem in sequence.problems)
    for index in (0, 1, 2, 7, 11, 4):  # backwards too
        shown = sequence.frame(index).ir.astype(int)
        errors = [np.abs(shown - frame).mean() for frame in scene_ir]
        assert np.argmin(errors) == index // 2 * 2  # of two as near, the earlier one
    assert len(list(sequence)) == 12
    by_number = load_sequence((rgb, ir), pair="index")
    assert any("by number" in problem for problem in by_number.problems)
    assert by_number.frame(6).ir is None and by_number.frame(5).ir is not None


def test_a_video_ends_where_decoding_ends(tmp_path, make_scene):
    """Whatever a header states: the duration of a sound track, or nothing."""
    rgb, ir = make_scene(6).write_videos(tmp_path)
    sequence = load_sequence((rgb, ir), pair="index")
    sequence.rgb._length = sequence.ir._length = 9
    assert len(list(sequence)) == 6 == len(sequence)


def test_a_video_cut_off_is_named_at_its_frame(tmp_path, make_scene):
    """AVI and MP4 list their frames: what is not there was cut off."""
    path = tmp_path / "visible.avi"
    with VideoWriter(path, 20) as video:
        for frame in make_scene(16).rgb:
            video.write(frame)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames = list(load_sequence((path, path)))
    kinds = [frame.problems["rgb"].kind if frame.rgb is None else "" for frame in frames]
    assert len(kinds) == 16 and kinds[0] == "" and kinds[-1] == "unreadable"
    assert "visible.avi: damaged after frame" in frames[-1].problems["rgb"].reason


def test_a_folder_with_gaps_and_a_video_are_refused(tmp_path, make_scene):
    scene = make_scene(6)
    folder, _ = scene.write_folders(tmp_path)
    _, video = scene.write_videos(tmp_path)
    assert len(load_sequence((folder, video))) == 6
    (folder / "003.png").unlink()
    with pytest.raises(UserError, match="--pair index"):
        load_sequence((folder, video))
    assert len(load_sequence((folder, video), pair="index")) == 6


def test_a_file_that_is_no_video_is_refused(tmp_path):
    write_image(tmp_path / "a.png", np.full((30, 40), 3, np.uint8))
    with pytest.raises(UserError, match=r"a\.png: not a video"):
        load_sequence((tmp_path / "a.png", tmp_path / "a.png"))
    with pytest.raises(UserError, match="no such file"):
        load_sequence((tmp_path / "b.mp4", tmp_path / "b.mp4"))
