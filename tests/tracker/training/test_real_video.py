"""Footage from folders: what is found, what is left out, what is refused."""

import shutil

import cv2
import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import write_image
from fusion.images.video import VideoWriter
from tracker.data.boxes import box_iou
from tracker.training.real_video import (
    load_clips,
    load_masked_video,
    load_sequences,
    load_stills,
)
from tracker.training.salient_tracks import hot_silhouette

# --- Masked video -------------------------------------------------------------------------------


def test_boxes_are_the_masks(tmp_path, write_masked_video):
    boxes = write_masked_video(tmp_path, "bear", (250, 0, 0))
    (footage,) = load_masked_video(tmp_path).footage
    (track,) = footage.tracks
    np.testing.assert_array_equal(track.boxes, boxes)
    assert track.kind == "animal" and not footage.thermal and len(footage) == 6
    x, y, mask = track.mask(2)
    assert (x, y) == tuple(boxes[2, :2]) and mask.shape == (36, 24) and (mask == 255).all()
    picture = footage.picture(2)
    assert picture.ir is None and (picture.rgb[y + 5, x + 5] == (250, 0, 0)).all()


def test_thin_lines_do_not_widen_a_box(tmp_path, write_masked_video):
    boxes = write_masked_video(tmp_path, "kite-surf", (250, 0, 0), length=2)
    path = tmp_path / "kite-surf" / "mask" / "00000.png"
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    cv2.line(mask, (60, 45), (155, 2), 255, 1)  # to a kite
    write_image(path, mask)
    track = load_masked_video(tmp_path).footage[0].tracks[0]
    assert box_iou(track.boxes[0], boxes[0]) > 0.85


def test_frames_without_the_target_are_left_out(tmp_path, write_masked_video):
    write_masked_video(tmp_path, "bear", (250, 0, 0), length=3)
    write_image(tmp_path / "bear" / "mask" / "00001.png", np.zeros((120, 160), np.uint8))
    track = load_masked_video(tmp_path).footage[0].tracks[0]
    assert track.frames.tolist() == [0, 2] and track.mask(1) is None


def test_missing_masks_are_refused(tmp_path, write_masked_video):
    write_masked_video(tmp_path, "bear", (250, 0, 0))
    (tmp_path / "bear" / "mask" / "00003.png").unlink()
    with pytest.raises(UserError, match=r"bear.*00003"):
        load_masked_video(tmp_path)


@pytest.mark.parametrize("load", [load_masked_video, load_clips, load_stills])
def test_missing_and_empty_folders_are_refused(tmp_path, load):
    with pytest.raises(UserError, match="nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(UserError, match=str(tmp_path)):
        load(tmp_path)


def test_damaged_and_unequal_pictures_are_named(tmp_path, write_masked_video):
    write_masked_video(tmp_path, "bear", (250, 0, 0), length=3)
    path = tmp_path / "bear" / "mask" / "00001.png"
    write_image(path, np.zeros((60, 60), np.uint8))
    with pytest.raises(UserError, match=r"00001\.png"):
        len(load_masked_video(tmp_path).footage[0])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match=r"00001\.png"):
        len(load_masked_video(tmp_path).footage[0])


# --- Clips --------------------------------------------------------------------------------------


def numbers_of(footage):
    """The frames' numbers, by their corner pixels; the same in both modalities."""
    numbers = []
    for index in range(len(footage)):
        picture = footage.picture(index)
        assert abs(int(picture.rgb[1, 1, 0]) - int(picture.ir[1, 1])) <= 4
        numbers.append(round(float(picture.ir[1, 1]) / 10))
    return numbers


def annotate(root, name, text):
    folder = root / "annotations" / name
    folder.mkdir(parents=True)
    (folder / "source.txt").write_text(text)


def test_annotated_frames_of_clips_are_left_out(tmp_path, write_clip):
    for name in ("a", "b", "c"):
        write_clip(tmp_path / "clips", name)
    annotate(tmp_path, "a_man", "clip a 4 5\n")
    annotate(tmp_path, "b_man", "clip b 0 11\n")
    footage = load_clips(tmp_path, margin=1).footage
    found = {f.name: numbers_of(f) for f in footage}
    assert found == {"a[0:3]": [0, 1, 2], "a[7:12]": [7, 8, 9, 10, 11], "c[0:12]": list(range(12))}


def write_video(path, frames):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, 10) as video:
        for frame in frames:
            video.write(frame)


def test_annotated_frames_of_videos_are_left_out(tmp_path):
    frames = [np.full((64, 96, 3), 10 * number, np.uint8) for number in range(12)]
    for side in ("visible", "infrared"):
        write_video(tmp_path / side / "v.mp4", frames)
    annotate(tmp_path, "v_man", "v 4 20\n")
    (footage,) = load_clips(tmp_path, margin=1).footage
    assert numbers_of(footage) == [0, 1, 2]


def test_clips_that_do_not_match_are_refused(tmp_path, write_clip):
    frames = [np.full((64, 96, 3), 10 * number, np.uint8) for number in range(6)]
    write_video(tmp_path / "visible" / "v.mp4", frames)
    with pytest.raises(UserError, match=r"v\.mp4.*infrared"):
        load_clips(tmp_path)
    write_video(tmp_path / "infrared" / "v.mp4", frames[:-1])
    with pytest.raises(UserError, match="5 frames"):
        load_clips(tmp_path)
    shutil.rmtree(tmp_path / "visible")
    write_clip(tmp_path / "clips", "a")
    (tmp_path / "clips" / "infrared" / "a" / "0003.png").unlink()
    with pytest.raises(UserError, match="same frames"):
        load_clips(tmp_path)


def test_annotations_that_cannot_be_read_are_refused(tmp_path, write_clip):
    write_clip(tmp_path / "clips", "a")
    annotate(tmp_path, "a_man", "clip a first last\n")
    with pytest.raises(UserError, match=r"source\.txt"):
        load_clips(tmp_path)


def test_salient_targets_are_carried_along(tmp_path, write_clip):
    write_clip(tmp_path / "clips", "a")
    (footage,) = load_clips(tmp_path).footage
    truth = np.array([[50 + 2 * t, 40, 18, 40] for t in range(12)], float)
    best = max(footage.tracks, key=lambda track: np.nanmean(box_iou(track.boxes, truth)))
    assert len(best.frames) == 12 and not best.labelled
    assert box_iou(best.boxes, truth).min() > 0.5
    assert best.kind == "person"
    moved = best.boxes[:, 0] - best.boxes[0, 0]
    np.testing.assert_allclose(moved, 2 * np.arange(12), atol=2)


# --- Stills, silhouettes, sequences -------------------------------------------------------------


def test_stills_have_targets_and_silhouettes(tmp_path, rng, texture):
    heat = texture(rng, 120, 160) // 3
    cv2.ellipse(heat, (60, 60), (8, 20), 0, 0, 360, 240, -1)
    write_image(tmp_path / "ir" / "1.png", heat)
    write_image(tmp_path / "vis" / "1.png", texture(rng, 120, 160))
    source = load_stills(tmp_path)
    (footage,) = source.footage
    truth = np.array([52, 40, 17, 41], float)
    track = max(footage.tracks, key=lambda track: box_iou(track.boxes[0], truth))
    assert source.reach == 0 and len(footage) == 1 and track.kind == "person"
    x, y, mask = track.mask(0)
    assert box_iou(np.array([x, y, mask.shape[1], mask.shape[0]], float), truth) > 0.8
    assert 0.6 < (mask > 0).mean() < 0.9  # an ellipse fills pi / 4 of its box


def test_nothing_hot_has_no_silhouette(rng, texture):
    box = np.array([50.0, 40, 20, 40])
    assert hot_silhouette(np.full((120, 160), 90, np.uint8), box) is None
    assert hot_silhouette(texture(rng, 120, 160) // 10, box) is None


def test_stills_of_two_sizes_are_refused(tmp_path, rng, texture):
    write_image(tmp_path / "ir" / "1.png", texture(rng, 60, 80))
    write_image(tmp_path / "vis" / "1.png", texture(rng, 120, 160))
    with pytest.raises(UserError, match=r"1\.png.*size"):
        len(load_stills(tmp_path).footage[0])


@pytest.mark.parametrize("cached", [False, True])
def test_annotated_sequences(tmp_path, rng, cached):
    folder = tmp_path / "rgbt" / "man"
    for number in range(1, 5):
        for side in ("visible", "infrared"):
            image = np.full((60, 80), 20 * number, np.uint8)
            image[20:40, 30:40] = 250
            if (side, number) == ("infrared", 3):
                image[:] = 7  # a camera that shows nothing
            write_image(folder / side / f"{number:03d}.png", image)
    for side in ("visible", "infrared"):
        (folder / f"{side}.txt").write_text("30,20,10,20\n" * 4)
    cache = tmp_path / "cache" if cached else None
    for _ in range(2):
        (footage,) = load_sequences("rgbt234", tmp_path / "rgbt", cache=cache).footage
        assert footage.tracks[0].boxes.tolist() == [[30, 20, 10, 20]] * 4
        assert footage.picture(1).rgb[0, 0].tolist() == [40, 40, 40]
        assert footage.picture(2).ir is None and footage.picture(3).ir[0, 0] == 80


# --- Kept frames --------------------------------------------------------------------------------


def test_decoded_frames_are_kept_until_a_file_changes(tmp_path, monkeypatch, write_masked_video):
    write_masked_video(tmp_path / "data", "bear", (250, 0, 0), length=3)
    cache = tmp_path / "cache"
    first = load_masked_video(tmp_path / "data", cache=cache).footage[0].picture(1).rgb.copy()
    monkeypatch.setattr("tracker.training.real_video.read_image", None)  # not to be called
    again = load_masked_video(tmp_path / "data", cache=cache).footage[0].picture(1).rgb
    np.testing.assert_array_equal(again, first)
    monkeypatch.undo()
    write_image(
        tmp_path / "data" / "bear" / "color" / "00001.png", np.zeros((120, 160, 3), np.uint8)
    )
    changed = load_masked_video(tmp_path / "data", cache=cache).footage[0].picture(1).rgb
    assert not changed.any()


def test_damaged_kept_frames_are_decoded_again(tmp_path, write_masked_video):
    write_masked_video(tmp_path / "data", "bear", (250, 0, 0), length=3)
    cache = tmp_path / "cache"
    first = load_masked_video(tmp_path / "data", cache=cache).footage[0].picture(1).rgb.copy()
    for path in cache.glob("*.npy"):
        path.write_bytes(path.read_bytes()[:200])
    again = load_masked_video(tmp_path / "data", cache=cache).footage[0].picture(1).rgb
    np.testing.assert_array_equal(again, first)
