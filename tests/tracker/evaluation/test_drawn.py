"""Trackers' results on frames: what is read, what counts as a failure, and what is drawn."""

import base64
import json
import re
import struct

import cv2
import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.base.files import named_paths
from fusion.images.reading import read_image, write_image
from fusion.images.video import Video
from tracker.commands.cli import main
from tracker.commands.cli.draw import tracker_of
from tracker.data.drawing import FAILED, colors_of
from tracker.evaluation.drawn import page, pictures, runs
from tracker.evaluation.drawn.dataset import draw_dataset

LENGTH = 30


def call(*arguments):
    return main(["draw", *(str(argument) for argument in arguments)])


def write_boxes(path, boxes):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, boxes, "%.6g", ",")
    return path


@pytest.fixture
def sequence(tmp_path, make_scene):
    """A sequence in VOT's layout; its target is absent in frame 16."""
    scene = make_scene(length=LENGTH, size=(160, 96))
    root = tmp_path / "data" / "car"
    for folder, frames in (("color", scene.rgb), ("ir", scene.ir)):
        for number, frame in enumerate(frames, start=1):
            write_image(root / folder / f"{number:08d}.png", frame)
    truth = np.array(scene.boxes, float)
    truth[15] = np.nan
    write_boxes(root / "groundtruth.txt", truth)
    return root


@pytest.fixture
def results(sequence, tmp_path):
    """A tracker that keeps the target, and one that is lost from frame 21 on."""
    truth = np.loadtxt(sequence / "groundtruth.txt", delimiter=",")
    good = np.nan_to_num(truth, nan=9) + [1, 0, 0, 0]
    bad = good.copy()
    bad[5:8, 0] += 200  # three frames are no loss
    bad[20:, 0] += 200
    return {
        "good": write_boxes(tmp_path / "results/good/car.txt", good),
        "bad": write_boxes(tmp_path / "results/bad/car.txt", bad),
    }


def footage_of(sequence, results):
    opened = runs.open_sequence(sequence)
    truth = runs.annotation(opened, LENGTH)
    boxes = {n: runs.read_run(p, n, LENGTH, "car", truth)[0] for n, p in results.items()}
    return runs.Footage(opened, LENGTH, truth, runs.compare(boxes, truth, LENGTH))


# --- Failures -------------------------------------------------------------------------------------


def test_overlap_misses_and_first_loss(sequence, results):
    good, bad = footage_of(sequence, results).runs
    # A box of 24 pixels shifted by one: 23 / 25.
    assert good.overlaps[[3, 29]] == pytest.approx(23 / 25)
    assert np.isnan(good.overlaps[15]) and np.isnan(bad.overlaps[15])
    assert not good.missed.any() and good.lost is None and good.mean == pytest.approx(23 / 25)
    assert np.flatnonzero(bad.missed).tolist() == [5, 6, 7, *range(20, 30)]
    assert bad.lost == 20
    assert bad.mean == pytest.approx(23 / 25 * (28 - 13) / 28)


def test_a_tracker_without_a_box_misses_and_frames_without_target_do_not_count():
    truth = np.tile([10.0, 10, 20, 20], (12, 1))
    truth[3:9] = np.nan
    boxes = truth.copy()
    boxes[0] += 99  # the first frame is given
    boxes[2] = np.nan
    boxes[9:] = np.nan
    (run,) = runs.compare({"a": boxes}, {"rgb": truth}, 12)
    # Counted are frames 1, 2 and 9 ... 11; the loss goes on across the absence, to the end.
    assert np.flatnonzero(run.missed).tolist() == [2, 9, 10, 11]
    assert run.lost == 2


def test_the_better_of_two_annotations_counts():
    rgb = np.tile([0.0, 0, 10, 10], (3, 1))
    ir = rgb + [5, 0, 0, 0]
    ir[2] = np.nan
    (run,) = runs.compare({"a": rgb + [5, 0, 0, 0]}, {"rgb": rgb, "ir": ir}, 3)
    assert run.overlaps == pytest.approx([1, 1, 1 / 3])


def test_every_tracker_has_its_own_color():
    assert len(set(colors_of(40))) == 40 and colors_of(3) == colors_of(9)[:3]


# --- Reading --------------------------------------------------------------------------------------

TRUTH = {"rgb": np.array([[10.0, 20, 30, 40], [12, 20, 30, 40], [14, 20, 30, 40]])}


@pytest.mark.parametrize(
    "text",
    [
        "10,20,30,40\n12,20,30,40\n14,20,30,40\n",
        "10 20 40 60\n12 20 42 60\n14 20 44 60\n",  # corners
        "10,20,40,20,40,60,10,60\n12,20,42,20,42,60,12,60\n14,20,44,20,44,60,14,60\n",
        "1\n12,20,30,40\n14,20,30,40\n",  # a VOT run, whose first line is a code
        "1,7,10,20,30,40,1,-1,-1,-1\n2,7,12,20,30,40,1,-1,-1,-1\n3,7,14,20,30,40,1,-1,-1,-1\n",
        "m10,20,30,40,0,1200\nm12,20,30,40,0,1200\nm14,20,30,40,0,1200\n",
    ],
    ids=["boxes", "corners", "polygons", "code", "mot", "masks"],
)
def test_all_formats_of_results_are_the_same_boxes(tmp_path, text):
    (tmp_path / "r.txt").write_text(text)
    boxes, remarks = runs.read_run(tmp_path / "r.txt", "T", 3, "car", TRUTH)
    np.testing.assert_allclose(boxes, TRUTH["rgb"], atol=1e-9)
    assert bool(remarks) == text.startswith("10 20")


def test_a_binary_trajectory_of_the_toolkit_is_read(tmp_path):
    # Version 1, three regions: a code, a box, and a polygon of four corners.
    data = struct.pack("<hI", 1, 3) + struct.pack("<BI", 0, 1)
    data += struct.pack("<B4f", 1, 12, 20, 30, 40)
    data += struct.pack("<BH8f", 2, 4, 14, 20, 44, 20, 44, 60, 14, 60)
    (tmp_path / "r.bin").write_bytes(data)
    boxes, _ = runs.read_run(tmp_path / "r.bin", "T", 3, "car", TRUTH)
    np.testing.assert_allclose(boxes, TRUTH["rgb"], atol=1e-5)


def test_only_a_mot_file_may_end_before_the_frames(tmp_path):
    (tmp_path / "mot.txt").write_text("1,7,10,20,30,40,1\n2,7,12,20,30,40,1\n")
    boxes, _ = runs.read_run(tmp_path / "mot.txt", "T", 3, "car", TRUTH)
    np.testing.assert_array_equal(boxes[:2], TRUTH["rgb"][:2])
    assert np.isnan(boxes[2]).all()


@pytest.mark.parametrize("lines", [LENGTH - 1, LENGTH + 1])
@pytest.mark.parametrize("option", ["--results", "--truth"])
def test_another_number_of_boxes_is_refused(sequence, results, tmp_path, capsys, lines, option):
    wrong = write_boxes(tmp_path / "wrong.txt", np.full((lines, 4), 9))
    given = ["--results", wrong] if option == "--results" else ["--truth", wrong]
    given = given if option == "--results" else ["--results", results["good"], *given]
    assert call(sequence, *given, "-o", tmp_path / "x.html") == 2
    error = capsys.readouterr().err
    assert f"wrong.txt: {lines} boxes for the {LENGTH} frames of car" in error
    assert len(error.splitlines()) == 1 and not (tmp_path / "x.html").exists()


def test_a_given_truth_replaces_the_sequences_own(sequence, results, tmp_path, capsys):
    boxes = np.nan_to_num(np.loadtxt(sequence / "groundtruth.txt", delimiter=","), nan=9)
    truth = write_boxes(tmp_path / "truth.txt", boxes + [1, 0, 0, 0])
    (sequence / "groundtruth.txt").write_text("no boxes\n")
    options = ("--results", results["good"], "-o", tmp_path / "x.png")
    assert call(sequence, *options) == 2
    assert "groundtruth.txt" in capsys.readouterr().err
    assert call(sequence, *options, "--truth", truth) == 0
    assert "mean IoU 1.000, never lost" in capsys.readouterr().out


def test_trackers_are_named(tmp_path):
    (tmp_path / "a=b.txt").write_text("")
    files = ["x=r.txt", "out/boxes.txt", "deep/T.txt", str(tmp_path / "a=b.txt")]
    assert list(named_paths(files, "--results", tracker_of)) == ["x", "out", "T", "a=b"]
    for words in (["x=1.txt", "x=2.txt"], ["=1.txt"]):
        with pytest.raises(UserError, match="NAME=PATH"):
            named_paths(words, "--results", tracker_of)


# --- Video and sheet ------------------------------------------------------------------------------


def test_the_video_has_every_frame_and_marks_misses(sequence, results, tmp_path, capsys):
    out = tmp_path / "seen.mp4"
    files = [f"{name}={path}" for name, path in results.items()]
    assert call(sequence, "--results", *files, "-o", out, "--fps", "12") == 0
    video = Video(out)
    assert sum(1 for _ in video) == LENGTH and video.fps == pytest.approx(12)
    assert "bad: mean IoU 0.493, lost at frame 21" in capsys.readouterr().out

    footage = footage_of(sequence, results)

    def marks(index):
        picture = pictures.draw(footage, footage.sequence.frame(index))
        return (picture == FAILED).all(axis=-1).any()

    assert [marks(index) for index in (0, 4, 5, 15, 25)] == [False, False, True, False, True]


def test_a_missed_box_is_crossed_out_in_its_color(sequence, results):
    footage = footage_of(sequence, results)
    run = footage.runs[1]
    run.boxes[25] = [100, 20, 40, 60]
    picture = pictures.draw(footage, footage.sequence.frame(25))
    scale = 480 / 160
    panel = picture[-round(96 * scale) :, : round(160 * scale)]
    x, y = round(120 * scale), round(50 * scale)  # its centre
    near = panel[y - 2 : y + 3, x - 2 : x + 3].reshape(-1, 3).astype(int)
    assert (np.abs(near - run.color).max(axis=1) < 40).any()


def test_a_single_video_is_one_panel(tmp_path, make_scene):
    scene = make_scene(length=5)
    visible, _ = scene.write_videos(tmp_path)
    result = write_boxes(tmp_path / "r.txt", scene.boxes)
    assert call(visible, "--results", result, "-o", tmp_path / "o.mp4") == 0
    width, height = Video(tmp_path / "o.mp4").size
    assert width == 480 and height > 384  # a caption above
    wrong = write_boxes(tmp_path / "w.txt", scene.boxes[:4])
    assert call(visible, "--results", wrong, "-o", tmp_path / "w.mp4") == 2
    assert not (tmp_path / "w.mp4").exists()


def test_chosen_frames_are_at_equal_distances_and_the_first_losses(sequence, results):
    footage = footage_of(sequence, results)
    chosen = pictures.chosen_frames(footage, 4)
    assert chosen == {0: [], 10: [], 19: [], 20: ["bad"], 29: []}
    height, width = pictures.sheet(footage, 4).shape[:2]
    assert (height, width) == pictures.sheet(footage, 5).shape[:2]  # two rows of three


def test_an_overview_shows_fixed_parts_and_the_worst_frame(sequence, results):
    footage = footage_of(sequence, results)
    good, bad = footage.runs
    good.overlaps[:] = np.where(np.isfinite(good.overlaps), 0.9, np.nan)
    good.overlaps[17] = 0.5
    assert pictures.overview_frames(good) == [7, 14, 22, 29, 17]
    picture = pictures.overview([footage, footage])
    assert picture.shape[1] > 5 * 640
    for run in (good, bad):  # a box in the colour of each
        assert (picture == run.color).all(axis=-1).any()


@pytest.mark.parametrize("size", [(640, 480), (100, 40)])
def test_a_view_holds_the_boxes_within_the_frame(rng, size):
    for _ in range(50):
        boxes = np.concatenate([rng.uniform(0, 0.7, (3, 2)), rng.uniform(0.05, 0.3, (3, 2))], 1)
        boxes *= [*size, *size]
        left, top, right, bottom = pictures.view(boxes, size)
        assert 0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]
        assert left <= boxes[:, 0].min() and boxes[:, :2].max(axis=0)[1] <= bottom
        assert right >= (boxes[:, 0] + boxes[:, 2]).max()
    assert pictures.view(np.full((2, 4), np.nan), size) == (0, 0, *size)


def test_the_sheet_is_written(sequence, results, tmp_path):
    out = tmp_path / "sheet.png"
    assert call(sequence, "--results", *results.values(), "-o", out, "--frames", 3) == 2
    named = [f"{name}={path}" for name, path in results.items()]
    assert call(sequence, "--results", *named, "-o", out, "--frames", 3) == 0
    assert read_image(out).std() > 10


# --- The page -------------------------------------------------------------------------------------


def content(path):
    text = path.read_text()
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.S)
    return text, json.loads(found[1])


def test_the_page_holds_images_boxes_and_overlaps(sequence, results, tmp_path):
    out = tmp_path / "seen.html"
    named = [f"{name}={path}" for name, path in results.items()]
    assert call(sequence, "--results", *named, "-o", out) == 0
    _, data = content(out)
    assert data["frames"] == LENGTH and data["shown"] == list(range(LENGTH))
    assert data["size"] == [160, 96] and [p["key"] for p in data["panels"]] == ["rgb", "ir"]
    image = base64.b64decode(data["panels"][0]["images"][7].partition(",")[2])
    image = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    errors = [
        np.abs(image.astype(int) - read_image(sequence / f"color/{number:08d}.png")).mean()
        for number in (7, 8, 9)
    ]
    assert errors[1] < 10 and np.argmin(errors) == 1
    good, bad = data["trackers"]
    assert good["iou"][1] == 0.92 and good["iou"][15] is None and good["lost"] is None
    assert bad["lost"] == 20 and bad["missed"][:3] == [5, 6, 7]
    assert data["truth"]["rgb"][15] is None and data["truth"]["rgb"][1] == [23, 32, 24, 20]


def test_the_page_loads_nothing(sequence, results, tmp_path):
    text, _ = content_of(sequence, results, tmp_path)
    assert "default-src 'none'" in text
    addresses = set(re.findall(r"https?://[^\s\"']+", text))
    assert addresses == {"http://www.w3.org/2000/svg"}  # a name of a language, never loaded


def content_of(sequence, results, tmp_path, limit=40):
    page.write_page(footage_of(sequence, results), tmp_path / "p.html", limit)
    return content(tmp_path / "p.html")


def test_images_stay_within_the_limit_and_losses_are_kept(sequence, results, tmp_path):
    _, whole = content_of(sequence, results, tmp_path)
    size = sum(len(a) for panel in whole["panels"] for a in panel["images"])
    _, part = content_of(sequence, results, tmp_path, size / 3e6)
    assert sum(len(a) for panel in part["panels"] for a in panel["images"]) <= size / 3
    assert 5 < len(part["shown"]) < LENGTH / 2 and 20 in part["shown"]
    assert len(part["trackers"][0]["iou"]) == LENGTH and "all are plotted" in part["note"]
    with pytest.raises(UserError, match="--limit"):
        content_of(sequence, results, tmp_path, 0.0001)


def test_names_cannot_become_a_part_of_the_page(sequence, results, tmp_path):
    name = "</script><b>{{data}}"
    out = tmp_path / "x.html"
    assert call(sequence, "--results", f"{name}={results['good']}", "-o", out) == 0
    text, data = content(out)
    assert data["trackers"][0]["name"] == name and "<b>{{" not in text


# --- Datasets -------------------------------------------------------------------------------------


def test_all_sequences_of_a_dataset(sequence, results, tmp_path, capsys):
    out = tmp_path / "seen"
    options = ("--dataset", "vot", "--root", tmp_path / "data", "--results", tmp_path / "results")
    assert call(*options, "-o", out) == 0
    assert {path.name for path in out.iterdir()} == {"car.html", "index.html"}
    index = (out / "index.html").read_text()
    assert 'href="car.html"' in index and "<td>0.49</td>\n<td>21</td>" in index
    assert [t["name"] for t in content(out / "car.html")[1]["trackers"]] == ["bad", "good"]


def test_a_bad_result_leaves_only_its_sequence_out(sequence, results, tmp_path, capsys):
    second = tmp_path / "data" / "dog"
    second.mkdir()
    for part in ("color", "ir", "groundtruth.txt"):
        (second / part).symlink_to(sequence / part)
    for tracker, lines in (("good", LENGTH), ("bad", 7)):
        write_boxes(tmp_path / f"results/{tracker}/dog.txt", np.full((lines, 4), 9))
    out = tmp_path / "seen"
    options = ("--dataset", "vot", "--root", tmp_path / "data", "--results", tmp_path / "results")
    assert call(*options, "-o", out, "--format", "png") == 2
    assert f"dog.txt: 7 boxes for the {LENGTH} frames of dog" in capsys.readouterr().err
    assert {path.name for path in out.iterdir()} == {"car.png", "index.html"}


def test_corners_are_decided_by_all_results_of_a_tracker(sequence, tmp_path):
    from tracker.data.sequences import load_dataset

    truth = np.loadtxt(sequence / "groundtruth.txt", delimiter=",")
    corners = np.nan_to_num(truth, nan=9).copy()
    corners[:, 2:] += corners[:, :2]
    write_boxes(tmp_path / "r/T/car.txt", corners)
    written = {}
    drawn, notes = draw_dataset(
        load_dataset(tmp_path / "data"),
        [tmp_path / "r"],
        None,
        tmp_path / "o",
        ".x",
        lambda footage, path: written.update({path.name: footage}),
    )
    assert written["car.x"].runs[0].mean == pytest.approx(1) and len(drawn) == 1
    assert "corners" in notes[0]


@pytest.mark.parametrize(
    "options, message",
    [
        (["--results", "r.txt", "-o", "x.html"], "--dataset and --root"),
        (["seq", "--results", "r.txt", "-o", "x.gif"], "unknown format .gif"),
        (["seq", "--results", "r.txt", "-o", "x"], "unknown format"),
        (["--dataset", "vot", "--results", "r", "-o", "x"], "--root is missing"),
        (["--root", "d", "--results", "r", "-o", "x"], "--dataset is missing"),
        (["seq", "--dataset", "vot", "--root", "d", "--results", "r", "-o", "x"], "RGB seq"),
    ],
)
def test_options_that_do_not_go_together(options, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert call(*options) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.splitlines()) == 1
