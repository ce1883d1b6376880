import json
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import write_image
from fusion.images.video import Video
from tracker.data.annotations import read_regions
from tracker.data.boxes import box_iou
from tracker.data.sequences import load_sequence
from tracker.online.running import Interrupted, check_start, track, track_to_folder


def test_boxes_follow_the_target(tmp_path, make_scene, template_tracker):
    scene = make_scene()
    sequence = load_sequence(scene.write_folders(tmp_path))
    steps = list(track(template_tracker, sequence, scene.boxes[0]))
    assert [step.box for step in steps] == scene.boxes
    assert [step.frame.number for step in steps] == list(range(1, 13))
    assert steps[0].score == 1 and all(step.score > 0.9 for step in steps)


def test_results_are_written(tmp_path, make_scene, template_tracker):
    scene = make_scene()
    sequence = load_sequence(scene.write_videos(tmp_path))
    account = track_to_folder(
        template_tracker, sequence, scene.boxes[0], tmp_path / "out", tmp_path / "seen.mp4"
    )
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "boxes.txt",
        "report.json",
        "scores.txt",
    ]
    boxes = read_regions(tmp_path / "out" / "boxes.txt")
    assert boxes[0].tolist() == list(scene.boxes[0])
    assert box_iou(boxes, np.array(scene.boxes)).min() > 0.9
    scores = np.loadtxt(tmp_path / "out" / "scores.txt")
    assert len(scores) == 12 and scores[0] == 1 and np.all(scores <= 1)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["tracked"] == report["frames"] == account.frames == 12 and report["complete"]
    assert account.lines()[-1].startswith("12 frames in ") and "frames/s" in account.lines()[-1]

    with Video(tmp_path / "seen.mp4") as video:
        frames = list(video)
        assert len(frames) == 12 and video.fps == pytest.approx(20)
    # The box is orange: red well above blue where its left edge is, in both panels.
    x, y, _, h = (value * 320 / 120 for value in scene.boxes[5])
    top = frames[5].shape[0] - round(96 * 320 / 120)
    for left in (0, 324):
        edge = frames[5][round(top + y + h / 2), round(left + x) : round(left + x) + 2].astype(int)
        assert (edge[:, 0] - edge[:, 2]).max() > 60


def test_a_box_reads_back_as_it_was_given(tmp_path, make_scene, template_tracker):
    scene = make_scene(2)
    box = (20.123456, 30.5, 24.000001, 19.9)
    track_to_folder(template_tracker, load_sequence(scene.write_folders(tmp_path)), box, tmp_path)
    np.testing.assert_allclose(read_regions(tmp_path / "boxes.txt")[0], box, rtol=1e-8)


def test_bad_frames_are_named_and_do_not_stop_the_run(tmp_path, make_scene, template_tracker):
    """One missing, one damaged, one black infrared frame; one damaged visible one."""
    scene = make_scene()
    rgb, ir = scene.write_folders(tmp_path)
    (ir / "004.png").unlink()
    (ir / "006.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    write_image(ir / "007.png", np.zeros((96, 120), np.uint8))
    (rgb / "009.png").write_bytes(b"nothing")
    account = track_to_folder(
        template_tracker, load_sequence((rgb, ir)), scene.boxes[0], tmp_path / "out"
    )
    incidents = {
        "rgb": {"unreadable": [9]},
        "ir": {"missing": [4], "unreadable": [6], "blank": [7]},
    }
    assert account.incidents == incidents
    assert json.loads((tmp_path / "out" / "report.json").read_text())["incidents"] == incidents
    text = "\n".join(account.lines())
    assert (
        "infrared unreadable in 1 frame: 6" in text and "visible unreadable in 1 frame: 9" in text
    )
    assert [reason.split(":")[0] for reason in account.reasons] == [
        str(ir / "006.png"),
        str(rgb / "009.png"),
    ]
    assert box_iou(read_regions(tmp_path / "out" / "boxes.txt"), np.array(scene.boxes)).min() > 0.9


def test_a_frame_missing_in_both_reaches_the_tracker_as_none(tmp_path, make_scene):
    scene = make_scene(4)
    rgb, ir = scene.write_folders(tmp_path)
    for folder in (rgb, ir):
        (folder / "003.png").write_bytes(b"")
    seen = []

    class Recorder:
        def init(self, rgb, ir, box):
            seen.append((rgb is None, ir is None, box))

        def track(self, rgb, ir):
            seen.append((rgb is None, ir is None))
            return (1, 2, 3, 4), 0.5

    list(track(Recorder(), load_sequence((rgb, ir)), (20, 30, 40, 30, 40, 50, 20, 50)))
    assert seen == [(False, False, (20, 30, 20, 20)), (False, False), (True, True), (False, False)]


@pytest.mark.parametrize(
    "region, message",
    [
        ((1, 2, np.nan, 4), "finite"),
        ((1, 2, 0, 4), "area"),
        ((1, 2, 3), "4 numbers"),
        ((120, 2, 10, 10), "box 120,2,10,10: outside the frame of 120x96"),
        ((-10, 2, 10, 10), "outside the frame"),
        ((0, 0, 9999, 9999), "more than twice the frame of 120x96"),
    ],
)
def test_unusable_start_boxes(tmp_path, make_scene, region, message):
    sequence = load_sequence(make_scene(2).write_folders(tmp_path))
    with pytest.raises(UserError, match=message) as error:
        check_start(sequence, region)
    assert "\n" not in str(error.value)


def test_a_start_box_over_the_border_is_fine(tmp_path, make_scene):
    sequence = load_sequence(make_scene(2).write_folders(tmp_path))
    assert check_start(sequence, (-5, 90, 20, 30)) == (-5, 90, 20, 30)


def test_a_run_that_fails_early_leaves_nothing(tmp_path, make_scene, template_tracker):
    rgb, ir = make_scene(3).write_folders(tmp_path)
    out = tmp_path / "out"
    for region, video in (((500, 1, 5, 5), None), ((20, 30, 24, 20), tmp_path / "seen.txt")):
        with pytest.raises(UserError):
            track_to_folder(template_tracker, load_sequence((rgb, ir)), region, out, video)
    for folder in (rgb, ir):
        (folder / "001.png").write_bytes(b"x")
    with pytest.raises(UserError, match=r"first frame has no picture to start on.*001"):
        track_to_folder(template_tracker, load_sequence((rgb, ir)), (20, 30, 24, 20), out)
    assert not out.exists()


class StopsAt:
    """A tracker during whose work on some frame the user presses Ctrl-C."""

    def __init__(self, number, error=KeyboardInterrupt):
        self.number, self.error = number, error

    def init(self, rgb, ir, box):
        self.box, self.count = box, 1

    def track(self, rgb, ir):
        self.count += 1
        if self.count == self.number:
            raise self.error
        return self.box, 0.5


def test_an_interrupted_run_keeps_what_it_had(tmp_path, make_scene):
    sequence = load_sequence(make_scene().write_folders(tmp_path))
    out = tmp_path / "out"
    with pytest.raises(Interrupted) as interrupted:
        track_to_folder(StopsAt(6), sequence, (20, 30, 24, 20), out, out / "seen.mp4")
    assert interrupted.value.report.tracked == 5 and not interrupted.value.report.complete
    assert sorted(path.name for path in out.iterdir()) == [
        "boxes.partial.txt",
        "report.partial.json",
        "scores.partial.txt",
        "seen.partial.mp4",
    ]
    assert len(read_regions(out / "boxes.partial.txt")) == 5
    assert json.loads((out / "report.partial.json").read_text())["tracked"] == 5
    with Video(out / "seen.partial.mp4") as video:
        assert sum(1 for _ in video) == 5


def test_a_place_that_cannot_be_written_is_named(tmp_path, make_scene):
    sequence = load_sequence(make_scene(3).write_folders(tmp_path))
    out = tmp_path / "out"
    (out / "scores.partial.txt").mkdir(parents=True)
    with pytest.raises(UserError, match=r"scores\.partial\.txt: cannot be written"):
        track_to_folder(StopsAt(None), sequence, (20, 30, 24, 20), out, tmp_path / "seen.mp4")
    # Nothing of the video either, not even its temporary file.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "thermal", "visible"]


def test_an_earlier_result_survives_until_the_next_is_complete(tmp_path, make_scene):
    sequence = load_sequence(make_scene().write_folders(tmp_path))
    out = tmp_path / "out"
    track_to_folder(StopsAt(None), sequence, (20, 30, 24, 20), out)
    with pytest.raises(RuntimeError):
        track_to_folder(StopsAt(4, RuntimeError), sequence, (1, 2, 30, 40), out)
    assert read_regions(out / "boxes.txt").tolist() == [[20, 30, 24, 20]] * 12
    assert read_regions(out / "boxes.partial.txt").tolist() == [[1, 2, 30, 40]] * 3
    track_to_folder(StopsAt(None), sequence, (1, 2, 30, 40), out)
    assert read_regions(out / "boxes.txt").tolist() == [[1, 2, 30, 40]] * 12
    assert not (out / "boxes.partial.txt").exists()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_killed_run_leaves_its_boxes(tmp_path, make_scene):
    """SIGKILL gives no chance to clean up: what is on disk must be enough."""
    rgb, ir = make_scene().write_folders(tmp_path)
    program = textwrap.dedent(
        """
        import sys, time
        from tracker.online.running import track_to_folder
        from tracker.data.sequences import load_sequence

        class Waits:
            count = 0
            def init(self, rgb, ir, box):
                self.box = box
            def track(self, rgb, ir):
                self.count += 1
                if self.count == 4:
                    print("here", flush=True)
                    time.sleep(60)
                return self.box, 0.5

        track_to_folder(Waits(), load_sequence(sys.argv[1:3]), (20, 30, 24, 20), sys.argv[3])
        """
    )
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(rgb), str(ir), str(out)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"here\n"
        os.kill(process.pid, signal.SIGKILL)
    assert read_regions(out / "boxes.partial.txt").tolist() == [[20, 30, 24, 20]] * 4
    assert not (out / "boxes.txt").exists()


def test_speed_is_of_the_frames_done(tmp_path, make_scene):
    class Slow(StopsAt):
        def track(self, rgb, ir):
            time.sleep(0.01)
            return super().track(rgb, ir)

    sequence = load_sequence(make_scene(5).write_folders(tmp_path))
    account = track_to_folder(Slow(None), sequence, (20, 30, 24, 20), tmp_path / "out")
    assert 0.04 <= account.tracker_seconds <= account.seconds
