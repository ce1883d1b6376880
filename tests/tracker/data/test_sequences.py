import pickle
import shutil
import tracemalloc

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import write_image
from tracker.data.annotations import read_regions, regions_to_boxes
from tracker.data.frames import align_frames, number_ranges
from tracker.data.layouts import LAYOUTS, guess_layout, list_folder
from tracker.data.sequences import load_dataset, load_sequence

SIZE = (40, 30)


def picture(value, color=False, size=SIZE):
    """Not blank; its brightness says which frame it is."""
    image = np.full((size[1], size[0]), value, np.uint8)
    image[:, size[0] // 2 :] += 8
    return np.repeat(image[..., None], 3, axis=2) if color else image


def write_frames(folder, names, color=False):
    for index, name in enumerate(names):
        write_image(folder / name, picture(10 * index, color))


def brightness(image):
    """The frame's index, back from its pixels (JPEG moves them by a grey level or so)."""
    return None if image is None else round(float(np.median(image[:, : SIZE[0] // 2])) / 10)


def write_lines(path, rows, separator=","):
    path.write_text("".join(separator.join(f"{v:g}" for v in row) + "\n" for row in rows))


BOXES_RGB = [(5 + i, 6, 10, 8) for i in range(6)]
BOXES_IR = [(6 + i, 7, 11, 9) for i in range(6)]
NUMBERS = range(1, 7)


def write_gtot(folder):
    write_frames(folder / "v", [f"{n:05d}v.png" for n in NUMBERS], color=True)
    write_frames(folder / "i", [f"{n:05d}i.png" for n in NUMBERS])
    for name, boxes in (("v", BOXES_RGB), ("i", BOXES_IR)):
        corners = [(x, y, x + w, y + h) for x, y, w, h in boxes]
        write_lines(folder / f"groundTruth_{name}.txt", corners, " ")


def write_rgbt234(folder):
    write_frames(folder / "visible", [f"{n:05d}v.jpg" for n in NUMBERS], color=True)
    write_frames(folder / "infrared", [f"{n:05d}i.jpg" for n in NUMBERS])
    write_lines(folder / "visible.txt", BOXES_RGB)
    write_lines(folder / "infrared.txt", BOXES_IR)


def write_rgbt210(folder):
    write_rgbt234(folder)
    (folder / "infrared.txt").unlink()
    (folder / "visible.txt").rename(folder / "init.txt")


def write_lasher(folder):
    write_frames(folder / "visible", [f"v{n - 1:03d}.jpg" for n in NUMBERS], color=True)
    write_frames(folder / "infrared", [f"i{n - 1:03d}.jpg" for n in NUMBERS])
    write_lines(folder / "visible.txt", BOXES_RGB)
    write_lines(folder / "infrared.txt", BOXES_IR)
    write_lines(folder / "init.txt", BOXES_RGB)


def write_vtuav(folder):
    write_frames(folder / "rgb", [f"{n - 1:06d}.jpg" for n in NUMBERS], color=True)
    write_frames(folder / "ir", [f"{n - 1:06d}.jpg" for n in NUMBERS])
    write_lines(folder / "rgb.txt", BOXES_RGB[:1], " ")
    write_lines(folder / "ir.txt", BOXES_IR[:1], " ")


def write_vot(folder):
    write_frames(folder / "color", [f"{n:08d}.jpg" for n in NUMBERS], color=True)
    write_frames(folder / "ir", [f"{n:08d}.jpg" for n in NUMBERS])
    write_lines(folder / "groundtruth.txt", BOXES_RGB)
    (folder / "occlusion.tag").write_text("0\n0\n1\n1\n0\n0\n")
    (folder / "sequence").write_text(
        "name=x\nfps=30\nformat=default\nlength=6\n"
        "channels.color=color/%08d.jpg\nchannels.ir=ir/%08d.jpg\n"
    )


WRITERS = {
    "gtot": write_gtot,
    "rgbt210": write_rgbt210,
    "rgbt234": write_rgbt234,
    "lasher": write_lasher,
    "vtuav": write_vtuav,
    "vot": write_vot,
}


def test_every_layout_has_a_miniature():
    assert WRITERS.keys() == LAYOUTS.keys()


# --- Layouts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", WRITERS)
def test_layout_is_guessed_and_read(tmp_path, layout):
    WRITERS[layout](tmp_path / "walk")
    sequence = load_sequence(tmp_path / "walk")
    assert (sequence.name, sequence.layout, len(sequence)) == ("walk", layout, 6)
    assert sequence.problems == []
    shared_annotation = layout in ("rgbt210", "vot")
    rows = 1 if layout == "vtuav" else 6
    np.testing.assert_array_equal(sequence.boxes_rgb[:rows], BOXES_RGB[:rows])
    np.testing.assert_array_equal(
        sequence.boxes_ir[:rows], (BOXES_RGB if shared_annotation else BOXES_IR)[:rows]
    )
    assert sequence.annotated.tolist() == [True] * rows + [False] * (6 - rows)
    assert np.isnan(sequence.boxes_rgb[rows:]).all()
    for index, frame in enumerate(sequence):
        assert frame.rgb.shape == (30, 40, 3) and frame.ir.shape == (30, 40)
        assert brightness(frame.rgb[..., 0]) == brightness(frame.ir) == index
        assert frame.number == index + 1 and frame.problems == {}
    assert sequence.size("rgb") == sequence.size("ir") == SIZE


def test_vot_attributes_and_rate(tmp_path):
    write_vot(tmp_path)
    sequence = load_sequence(tmp_path)
    assert sequence.fps == 30 and sequence.attributes["occlusion"].tolist() == [0, 0, 1, 1, 0, 0]


def test_layout_can_be_given(tmp_path):
    write_lasher(tmp_path)
    assert guess_layout(tmp_path) == "lasher"
    assert load_sequence(tmp_path, "rgbt234").layout == "rgbt234"


def test_init_stands_for_a_missing_annotation(tmp_path):
    write_lasher(tmp_path)
    (tmp_path / "infrared.txt").unlink()
    np.testing.assert_array_equal(load_sequence(tmp_path).boxes_ir, BOXES_RGB)


def test_missing_annotation_is_a_problem_only(tmp_path):
    write_gtot(tmp_path)
    (tmp_path / "groundTruth_i.txt").unlink()
    sequence = load_sequence(tmp_path)
    assert np.isnan(sequence.boxes_ir).all() and np.isfinite(sequence.boxes_rgb).all()
    assert sequence.problems == [
        "groundTruth_i.txt: missing, so the boxes on infrared frames are unknown"
    ]


def test_one_missing_annotation_of_both_modalities_is_one_problem(tmp_path):
    write_rgbt210(tmp_path)
    (tmp_path / "init.txt").unlink()
    assert load_sequence(tmp_path, "rgbt210").problems == [
        "init.txt: missing, so the boxes on visible and infrared frames are unknown"
    ]


def test_vtuav_annotates_every_tenth_frame(tmp_path):
    names = [f"{n:06d}.png" for n in range(25)]
    for folder in ("rgb", "ir"):
        write_frames(tmp_path / folder, names)
        write_lines(tmp_path / f"{folder}.txt", [(1, 2, 3, 4), (0, 0, 0, 0), (5, 6, 7, 8)], " ")
    sequence = load_sequence(tmp_path)
    assert sequence.problems == []
    assert np.flatnonzero(sequence.annotated).tolist() == [0, 10, 20]
    assert np.flatnonzero(np.isfinite(sequence.boxes_rgb).all(1)).tolist() == [0, 20]
    assert sequence.boxes_ir[20].tolist() == [5, 6, 7, 8]
    write_lines(tmp_path / "rgb.txt", [(1, 2, 3, 4)] * 4, " ")
    assert load_sequence(tmp_path).problems == [
        "rgb.txt: 4 lines for 25 frames (one every 10 frames expected); no image for lines 4"
    ]


def test_copies_with_changed_case_are_read(tmp_path):
    write_gtot(tmp_path)
    (tmp_path / "groundTruth_v.txt").rename(tmp_path / "groundtruth_V.TXT")
    np.testing.assert_array_equal(load_sequence(tmp_path).boxes_rgb, BOXES_RGB)


@pytest.mark.parametrize(
    "prepare, message",
    [
        (lambda root: None, "no such folder"),
        (lambda root: root.mkdir(), "not the folder of an RGBT sequence"),
        (lambda root: root.write_text("x"), "a file"),
        (lambda root: write_gtot(root / "a"), r"a folder of sequences; give one.*walk.a"),
        (lambda root: [(root / part).mkdir(parents=True) for part in "vi"], "contains no images"),
        (lambda root: write_frames(root / "color", ["1.png"]) or (root / "sequence").touch(), "ir"),
    ],
)
def test_unusable_folders_are_refused_in_one_line(tmp_path, prepare, message):
    root = tmp_path / "walk"
    prepare(root)
    with pytest.raises(UserError, match=message) as error:
        load_sequence(root)
    assert str(root) in str(error.value) and "\n" not in str(error.value)


def test_unknown_layout_is_refused(tmp_path):
    with pytest.raises(UserError, match="unknown layout 'otb'"):
        load_sequence(tmp_path, "otb")


# --- Frames that are not there --------------------------------------------------------------------


def test_a_missing_file_does_not_shift_the_others(tmp_path):
    write_rgbt234(tmp_path)
    (tmp_path / "infrared" / "00003i.jpg").unlink()
    sequence = load_sequence(tmp_path)
    assert sequence.problems == ["infrared: no image for 1 of 6 frames: 3"]
    assert [brightness(frame.ir) for frame in sequence] == [0, 1, None, 3, 4, 5]
    assert [brightness(frame.rgb[..., 0]) for frame in sequence] == [0, 1, 2, 3, 4, 5]
    assert sequence.frame(2).problems["ir"].kind == "missing"
    np.testing.assert_array_equal(sequence.boxes_ir, BOXES_IR)


def test_annotation_without_the_missing_frame_is_placed_on_the_others(tmp_path):
    write_rgbt234(tmp_path)
    (tmp_path / "infrared" / "00003i.jpg").unlink()
    write_lines(tmp_path / "infrared.txt", BOXES_IR[:2] + BOXES_IR[3:])
    boxes = load_sequence(tmp_path).boxes_ir
    assert np.isnan(boxes[2]).all()
    np.testing.assert_array_equal(np.delete(boxes, 2, 0), BOXES_IR[:2] + BOXES_IR[3:])


def test_a_frame_missing_in_both_keeps_its_place_when_annotated(tmp_path):
    write_vot(tmp_path)
    for folder in ("color", "ir"):
        (tmp_path / folder / "00000004.jpg").unlink()
    sequence = load_sequence(tmp_path)
    assert len(sequence) == 6 and sequence.frame(3).rgb is sequence.frame(3).ir is None
    assert [brightness(frame.ir) for frame in sequence] == [0, 1, 2, None, 4, 5]
    assert sequence.problems == [
        "visible: no image for 1 of 6 frames: 4",
        "infrared: no image for 1 of 6 frames: 4",
    ]


@pytest.mark.parametrize("number", [1, 6])
def test_vot_numbers_its_pictures_from_one(tmp_path, number):
    """Also a first or last frame that is missing in both modalities keeps its place."""
    write_vot(tmp_path)
    for folder in ("color", "ir"):
        (tmp_path / folder / f"{number:08d}.jpg").unlink()
    sequence = load_sequence(tmp_path)
    expected = [None if index == number - 1 else index for index in range(6)]
    assert [brightness(frame.ir) for frame in sequence] == expected
    np.testing.assert_array_equal(sequence.boxes_rgb, BOXES_RGB)


@pytest.mark.parametrize(
    "rgb, ir, pairs, problem",
    [
        ("v7 v8", "i007 i008", "v7-i007 v8-i008", None),
        ("1 2 3 4", "1 2", "1-1 2-2 3- 4-", "infrared: no image for 2 of 4 frames: 3-4"),
        ("a b c", "c d", "a- b- c-c -d", "infrared: no image for 2 of 4 frames: 1-2"),
        ("10 20 30", "10 30", "10-10 20- 30-30", "infrared: no image for 1 of 3 frames: 2"),
        ("1 2 3 9", "1 2 3 9", "1-1 2-2 3-3 9-9", "numbers skip 4-8: 4 frames are left"),
    ],
)
def test_align_frames(rgb, ir, pairs, problem):
    aligned = align_frames(as_files(rgb), as_files(ir))
    found = [
        f"{a or ''}-{b or ''}".replace(".png", "")
        for a, b in zip(aligned.rgb, aligned.ir, strict=True)
    ]
    assert found == pairs.split()
    if problem:
        assert any(problem in line for line in aligned.problems)
    else:
        assert aligned.problems == []


def as_files(text):
    return [f"{name}.png" for name in text.split()]


@pytest.mark.parametrize(
    "rgb, ir",
    [
        ("0 1 2", "1 2 3"),  # counted from 0 and from 1, or the first and the last lost
        ("a b", "c d"),
        ("1 2 3", "901 902 903"),
        ("2 4 6", "1 3 5"),  # a camera that counts both modalities in turn
    ],
)
def test_frames_that_names_do_not_tell_apart(rgb, ir):
    with pytest.raises(UserError, match=f"{as_files(rgb)[0]} and {as_files(ir)[0]}"):
        align_frames(as_files(rgb), as_files(ir))
    counted = rgb[0].isdigit()
    for told in ({"pair": "index"}, {"expected": len(rgb.split())})[: 1 + counted]:
        aligned = align_frames(as_files(rgb), as_files(ir), **told)
        assert (aligned.rgb, aligned.ir) == (as_files(rgb), as_files(ir))
        assert any("in order" in problem for problem in aligned.problems)


@pytest.mark.parametrize("number", [300_000_000, 10**20])
def test_a_slip_in_a_number_is_a_gap_and_takes_no_memory(number):
    names = [f"{n}.png" for n in (1, 2, 3, 4, number)]
    tracemalloc.start()
    aligned = align_frames(names, names, expected=5)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert aligned.rgb == aligned.ir == names and most < 100_000
    assert aligned.problems == [f"the image numbers skip 5-{number - 1}: 5 frames are left"]


def test_a_slip_in_a_number_where_the_layout_counts_is_refused(tmp_path):
    write_vot(tmp_path)
    (tmp_path / "ir" / "00000006.jpg").rename(tmp_path / "ir" / "300000006.jpg")
    with pytest.raises(UserError, match=r"from 1 to 300000006, .* 1000000 frames") as error:
        load_sequence(tmp_path)
    assert str(error.value).startswith(f"{tmp_path}: ")


def test_files_that_cannot_be_read_are_problems_or_one_line(tmp_path):
    write_vot(tmp_path)
    (tmp_path / "fog.tag").mkdir()
    meta = tmp_path / "sequence"
    meta.write_text(meta.read_text().replace("length=6", "length=" + "9" * 5000))
    assert load_sequence(tmp_path).problems == [
        "sequence: states length=99999999999999999999, there are 6 frames",
        f"{tmp_path / 'fog.tag'}: cannot be read (Is a directory); ignored",
    ]
    meta.write_text("length=006\n")
    (tmp_path / "fog.tag").rmdir()
    assert load_sequence(tmp_path).problems == []
    meta.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="sequence: not a text file"):
        load_sequence(tmp_path)


def test_unreadable_odd_and_blank_frames_are_named(tmp_path):
    write_gtot(tmp_path)
    data = (tmp_path / "i" / "00002i.png").read_bytes()
    (tmp_path / "i" / "00002i.png").write_bytes(data[: len(data) // 2])
    write_image(tmp_path / "i" / "00003i.png", np.zeros((30, 40), np.uint8))
    write_image(tmp_path / "v" / "00004v.png", picture(9, size=(20, 20)))
    frames = list(load_sequence(tmp_path))
    kinds = [{m: p.kind for m, p in frame.problems.items()} for frame in frames]
    assert kinds == [{}, {"ir": "unreadable"}, {"ir": "blank"}, {"rgb": "size"}, {}, {}]
    assert frames[1].ir is None and "00002i.png" in frames[1].problems["ir"].reason
    assert frames[2].ir is not None and frames[3].rgb is None
    assert frames[3].problems["rgb"].reason == "visible frame 4: 20x20 instead of 40x30"


def test_first_frame_unreadable_does_not_hide_the_size(tmp_path):
    write_gtot(tmp_path)
    (tmp_path / "v" / "00001v.png").write_bytes(b"no picture")
    sequence = load_sequence(tmp_path)
    assert sequence.size("rgb") == SIZE
    assert sequence.frame(0).problems["rgb"].kind == "unreadable" and sequence.frame(1).rgb.any()


def test_frame_counts_that_do_not_fit_the_annotation_are_reported(tmp_path):
    write_rgbt234(tmp_path)
    write_lines(tmp_path / "visible.txt", [*BOXES_RGB, (1, 1, 1, 1)])
    write_lines(tmp_path / "infrared.txt", BOXES_IR[:4])
    sequence = load_sequence(tmp_path)
    assert sequence.problems == [
        "visible.txt: 7 lines for 6 frames; no image for lines 7",
        "infrared.txt: 4 lines for 6 frames",
    ]
    assert sequence.boxes_rgb.shape == sequence.boxes_ir.shape == (6, 4)
    assert np.isnan(sequence.boxes_ir[4:]).all()


# --- Pixels ---------------------------------------------------------------------------------------


def test_pictures_of_every_kind_become_rgb_and_grey_bytes(tmp_path):
    ramp = np.linspace(20000, 21000, 1200).reshape(30, 40).astype(np.uint16)
    write_image(tmp_path / "a" / "1.png", picture(50))
    color = np.dstack([picture(200), picture(20), picture(100)])
    write_image(tmp_path / "b" / "1.png", color)
    frame = load_sequence((tmp_path / "a", tmp_path / "b")).frame(0)
    assert frame.rgb.shape == (30, 40, 3) and (frame.rgb[..., 0] == frame.rgb[..., 2]).all()
    luma = np.rint(color @ [0.299, 0.587, 0.114])
    assert np.abs(frame.ir - luma).max() <= 1
    frame = load_sequence((tmp_path / "b", tmp_path / "a")).frame(0)
    np.testing.assert_array_equal(frame.rgb, color)

    import cv2

    cv2.imwrite(str(tmp_path / "a" / "1.png"), ramp)
    thermal = load_sequence((tmp_path / "b", tmp_path / "a")).frame(0).ir
    assert thermal.dtype == np.uint8 and thermal.min() == 0 and thermal.max() == 255
    assert np.all(np.diff(thermal.ravel().astype(int)) >= 0)


def test_sizes_that_differ_need_resize(tmp_path):
    write_frames(tmp_path / "a", ["1.png", "2.png"])
    for name in ("1.png", "2.png"):
        write_image(tmp_path / "b" / name, picture(10, size=(20, 15)))
    sequence = load_sequence((tmp_path / "a", tmp_path / "b"))
    with pytest.raises(UserError, match=r"infrared 20x15, visible 40x30; .*--resize"):
        sequence.check_sizes()
    sequence = load_sequence((tmp_path / "a", tmp_path / "b"), resize=True)
    sequence.check_sizes()
    assert sequence.frame(1).ir.shape == (30, 40)


def test_infrared_boxes_are_scaled_with_their_pictures(tmp_path):
    write_rgbt234(tmp_path)
    for n in NUMBERS:
        write_image(tmp_path / "infrared" / f"{n:05d}i.jpg", picture(10, size=(20, 15)))
    plain = load_sequence(tmp_path)
    sequence = load_sequence(tmp_path, resize=True)
    np.testing.assert_allclose(sequence.boxes_ir, 2 * np.array(BOXES_IR))
    np.testing.assert_array_equal(plain.boxes_ir, BOXES_IR)
    np.testing.assert_array_equal(plain.resized().boxes_ir, sequence.boxes_ir)
    assert not plain.resize  # others may be using it
    (tmp_path / "visible.txt").unlink()
    (tmp_path / "init.txt").write_text("nothing")
    found = load_sequence(tmp_path, resize=True, needs_boxes=False)
    np.testing.assert_allclose(found.first_box(), 2 * np.array(BOXES_IR[0]))


def test_annotations_of_other_tools(tmp_path):
    write_rgbt234(tmp_path)
    (tmp_path / "visible.txt").write_text(
        "".join(f"{i},1,{x},{y},{w},{h},1,1,1.0\n" for i, (x, y, w, h) in enumerate(BOXES_RGB, 1))
    )
    (tmp_path / "infrared.txt").write_text(
        "".join(f"m{x},{y},{w},{h},0,{w * h}\n" for x, y, w, h in BOXES_IR)
    )
    sequence = load_sequence(tmp_path)
    np.testing.assert_array_equal(sequence.boxes_rgb, BOXES_RGB)
    np.testing.assert_array_equal(sequence.boxes_ir, BOXES_IR)
    for text, named in (
        ("0 0.5 0.5 0.1 0.2\n", "YOLO"),
        ("<?xml version='1.0'?><annotations/>", "CVAT"),
        ("1,1,1,1,5,5,1,1,1\n1,2,1,1,5,5,1,1,1\n", "2 objects"),
    ):
        (tmp_path / "visible.txt").write_text(text)
        with pytest.raises(UserError, match=named):
            load_sequence(tmp_path)
        assert any(
            named in problem for problem in load_sequence(tmp_path, needs_boxes=False).problems
        )


# --- Datasets -------------------------------------------------------------------------------------


def test_dataset_is_found_below_its_splits(tmp_path):
    write_lasher(tmp_path / "train" / "man2")
    write_lasher(tmp_path / "train" / "man10")
    write_lasher(tmp_path / "testingset" / "dog")
    dataset = load_dataset(tmp_path, "lasher")
    assert dataset.names == ["dog", "man2", "man10"] and len(dataset) == 3
    assert dataset["man10"] is dataset[2] and dataset[2].name == "man10"
    assert [len(sequence) for sequence in dataset] == [6, 6, 6]
    # Loader processes that do not fork get a copy.
    assert len(pickle.loads(pickle.dumps(dataset))["man2"]) == 6


def test_dataset_names_that_repeat_are_paths(tmp_path):
    write_vtuav(tmp_path / "train_ST_004" / "pedestrian_042")
    write_vtuav(tmp_path / "train_ST_006" / "pedestrian_042")
    assert load_dataset(tmp_path).names == [
        "train_ST_004/pedestrian_042",
        "train_ST_006/pedestrian_042",
    ]


def test_a_folder_that_cannot_be_listed_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere: cannot be listed \(No such file"):
        list_folder(tmp_path / "nowhere")


def test_hidden_folders_are_no_sequences(tmp_path):
    write_lasher(tmp_path / "man2")
    write_lasher(tmp_path / ".man3.123.partial")
    assert load_dataset(tmp_path).names == ["man2"]


def test_a_bad_sequence_does_not_hide_the_good_ones(tmp_path):
    write_gtot(tmp_path / "a")
    write_gtot(tmp_path / "b")
    (tmp_path / "b" / "groundTruth_v.txt").write_text("1 2 3\n")
    dataset = load_dataset(tmp_path, "gtot")
    assert dataset.names == ["a", "b"] and len(dataset["a"]) == 6
    with pytest.raises(UserError, match="line 1"):
        dataset["b"]


@pytest.mark.parametrize("name", ["vt821", None])
def test_still_pairs(tmp_path, name):
    root = tmp_path / "VT5000" / "Train"
    for stem in ("2", "10", "11"):
        write_image(root / "RGB" / f"{stem}.jpg", picture(50, color=True))
        write_image(root / "T" / f"{stem}.jpg", picture(90))
    mask = np.zeros((30, 40), np.uint8)
    mask[5:20, 3:11] = 255
    mask[25:27, 30:33] = 255
    write_image(root / "GT" / "2.png", mask)
    write_image(root / "GT" / "10.png", np.zeros_like(mask))
    dataset = load_dataset(tmp_path, name)
    assert dataset.names == ["2", "10"]
    assert dataset.problems == [f"{root}: 11 has no image in GT; ignored"]
    assert dataset[0].boxes_rgb.tolist() == dataset[0].boxes_ir.tolist() == [[3, 5, 8, 15]]
    assert brightness(dataset[0].frame(0).ir) == 9 and len(dataset[0]) == 1
    assert np.isnan(dataset["10"].boxes_rgb).all() and "empty" in dataset["10"].problems[0]
    with pytest.raises(UserError, match="still pairs"):
        load_sequence(root)


def test_datasets_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        load_dataset(tmp_path / "x", "gtot")
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(UserError, match=r"clip\.mp4: a file; give two videos, or a folder"):
        load_dataset(tmp_path / "clip.mp4")
    with pytest.raises(UserError, match="unknown dataset 'otb'"):
        load_dataset(tmp_path, "otb")
    with pytest.raises(UserError, match="no gtot sequence"):
        load_dataset(tmp_path, "gtot")


# --- Real annotations -----------------------------------------------------------------------------


def pair_of_pictures(folder, layout):
    """A visible and an infrared picture for a real annotation that comes without any."""
    write_frames(folder / LAYOUTS[layout].rgb, ["00001v.png"])
    write_frames(folder / LAYOUTS[layout].ir, ["00001i.png"])


@pytest.mark.parametrize(
    "layout, names",
    [("gtot", ("GTOT", "BlackCar")), ("rgbt234", ("RGBT234", "kite2"))],
)
def test_a_real_annotation_as_part_of_a_sequence(shared, tmp_path, layout, names):
    dataset, name = names
    shutil.copytree(shared / "data" / "ope" / dataset / "gt" / name, tmp_path / name)
    (tmp_path / name).chmod(0o755)
    pair_of_pictures(tmp_path / name, layout)
    sequence = load_sequence(tmp_path / name)
    assert sequence.layout == layout and sequence.first_box() is not None
    result = shared / "data" / "ope" / dataset / "results" / "DFAT" / f"{name}.txt"
    start = regions_to_boxes(read_regions(result)[:1])[0]  # trackers start on the true box
    np.testing.assert_allclose(sequence.first_box(), start, atol=1)
    assert any("lines for 1 frames" in problem for problem in sequence.problems)


# --- Words ----------------------------------------------------------------------------------------


def test_number_ranges():
    assert number_ranges([]) == ""
    assert number_ranges([3, 1, 2, 7, 9, 10]) == "1-3, 7, 9-10"
    assert number_ranges(range(0, 40, 2), limit=3) == "0, 2, 4 and 17 more"
