"""What visitors upload: limits, archives, and what is shown of it."""

import zipfile

import cv2
import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import write_image
from tracker.app.inputs import check_file, first_picture, open_sequence, reduced
from tracker.app.jobs import Worker
from tracker.app.limits import Limits
from tracker.app.scores import score_svg
from tracker.app.visitors import Visitors

LIMITS = Limits(upload_bytes=200_000, pixels=20_000, frames=12)


@pytest.fixture
def visitor(tmp_path):
    worker = Worker()
    yield Visitors(tmp_path / "visitors", LIMITS, worker).enter()
    worker.close()


def zipped(path, folders):
    """An archive of folders by the names that they have in it."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, folder in folders.items():
            for file in folder.iterdir():
                archive.write(file, f"{name}/{file.name}")
    return path


def test_pictures_and_videos_within_the_limits_pass(make_scene, tmp_path):
    scene = make_scene(length=4)
    for path in (*scene.write_videos(tmp_path), next(scene.write_folders(tmp_path)[0].iterdir())):
        check_file(path, LIMITS)


def test_what_exceeds_a_limit_is_refused_before_it_is_decoded(make_scene, tmp_path, monkeypatch):
    write_image(tmp_path / "large.png", np.zeros((200, 101), np.uint8))
    visible, _ = make_scene(length=13).write_videos(tmp_path)
    (tmp_path / "notes.txt").write_text("no picture")
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    for path, why in (
        (tmp_path / "large.png", "101x200 pixels are more than 0.02 million"),
        (visible, "more than 12 frames"),
        (tmp_path / "notes.txt", "not a picture or video"),
    ):
        with pytest.raises(UserError, match=f"^{path.name}: .*{why}"):
            check_file(path, LIMITS)


def test_two_archives_of_pictures_are_a_sequence(make_scene, visitor, tmp_path):
    scene = make_scene(length=3)
    visible, thermal = scene.write_folders(tmp_path)
    archives = [
        zipped(tmp_path / f"{name}.zip", {"some/folder": folder})
        for name, folder in (("visible", visible), ("thermal", thermal))
    ]
    sequence = open_sequence(*archives, visitor)
    assert len(sequence) == 3
    assert np.array_equal(sequence.frame(2).rgb, scene.rgb[2])
    assert np.array_equal(sequence.frame(2).ir, scene.ir[2])


def test_one_archive_of_a_data_set_is_a_sequence_with_its_box(make_scene, visitor, tmp_path):
    scene = make_scene(length=3)
    visible, thermal = scene.write_folders(tmp_path)
    path = zipped(tmp_path / "set.zip", {"set/visible": visible, "set/infrared": thermal})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("set/init.txt", "\n".join(",".join(map(str, b)) for b in scene.boxes))
        archive.writestr("__MACOSX/set/._init.txt", "junk")
    sequence = open_sequence(path, None, visitor)
    assert tuple(sequence.first_box()) == scene.boxes[0]
    assert np.array_equal(sequence.frame(1).ir, scene.ir[1])


def test_an_archive_cannot_write_elsewhere(make_scene, visitor, tmp_path):
    visible, thermal = make_scene(length=2).write_folders(tmp_path)
    path = zipped(tmp_path / "evil.zip", {"../../../visible": visible, "/abs/infrared": thermal})
    before = {p for p in tmp_path.rglob("*") if "visitors" not in p.parts}
    with pytest.raises(UserError):
        open_sequence(path, None, visitor)
    assert {p for p in tmp_path.rglob("*") if "visitors" not in p.parts} == before


def test_archives_that_grow_or_are_damaged_are_refused(visitor, tmp_path, rng):
    bomb, many, damaged, empty = (tmp_path / f"{n}.zip" for n in ("bomb", "many", "cut", "none"))
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(300_000))
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(30):
            archive.writestr(f"{number}.png", b"x")
    _, data = cv2.imencode(".png", rng.integers(0, 255, (90, 90), np.uint8))
    with zipfile.ZipFile(damaged, "w") as archive:
        archive.writestr("0.png", data.tobytes())
    content = bytearray(damaged.read_bytes())
    content[200:260] = bytes(60)
    damaged.write_bytes(content)
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("readme.txt", "nothing")
    not_one = tmp_path / "text.zip"
    not_one.write_text("no archive")
    for path, why in (
        (bomb, "larger than 0 MB"),
        (many, "more than 12 frames"),
        (damaged, "not a readable ZIP archive"),
        (empty, "no pictures"),
        (not_one, "not a readable ZIP archive"),
    ):
        with pytest.raises(UserError, match=f"^{path.name}: .*{why}"):
            open_sequence(path, None, visitor)


def test_one_video_alone_is_refused(make_scene, visitor, tmp_path):
    visible, _ = make_scene(length=2).write_videos(tmp_path)
    with pytest.raises(UserError, match="infrared video too"):
        open_sequence(visible, None, visitor)


def test_first_picture_is_8_bit_of_any_depth(tmp_path, rng):
    counts = rng.integers(20_000, 21_000, (30, 40)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), counts)
    picture = first_picture(tmp_path / "deep.png", infrared=True)
    assert picture.dtype == np.uint8 and picture.shape == (30, 40)
    assert picture.min() == 0 and picture.max() == 255


def test_reduced_keeps_the_shape_and_small_pictures():
    assert reduced(np.zeros((300, 600, 3), np.uint8), 200).shape == (100, 200, 3)
    small = np.zeros((30, 60), np.uint8)
    assert reduced(small, 200) is small


def test_the_score_plot_has_a_point_per_frame():
    svg = score_svg(np.array([1.0, 0.5, np.nan, 0.0]))
    points = svg.partition('<polyline points="')[2].partition('"')[0].split()
    x, y = np.array([point.split(",") for point in points], float).T
    assert len(points) == 3 and np.all(np.diff(x) > 0) and np.all(np.diff(y) > 0)
    assert y[1] == pytest.approx((y[0] + y[2]) / 2)
    assert "frame 4" in svg
