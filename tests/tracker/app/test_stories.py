"""What people do with the app, in Chromium; the results are compared with the packages' own."""

import json

import cv2
import numpy as np
import pytest

from fusion import load_network, read_infrared, read_visible, write_image
from fusion.commands.scene import street_pair
from fusion.evaluation.metrics import evaluate
from fusion.images.alignment import Calibration
from fusion.images.video import Video
from tracker import RGBTTracker, load_tracker
from tracker.data.sequences import load_sequence
from tracker.online.running import track_to_folder


@pytest.fixture
def pair(tmp_path):
    """Infrared and visible picture of the generated street."""
    paths = tmp_path / "ir.png", tmp_path / "vis.png"
    for path, image in zip(paths, street_pair(240, 200), strict=True):
        write_image(path, image)
    return paths


@pytest.fixture
def videos(make_scene, tmp_path):
    """Infrared, visible, and the scene."""
    scene = make_scene(length=10, size=(160, 128))
    visible, infrared = scene.write_videos(tmp_path)
    return infrared, visible, scene


def test_fuse_two_pictures(app, page, pair):
    page.open("fuse")
    page.upload_pair("fuse", *pair)
    page.find(".fuse-run").click()
    page.find(".fused-compare")

    fused = cv2.imdecode(np.frombuffer(page.download(app, "Fused"), np.uint8), cv2.IMREAD_COLOR)
    ir, vis = read_infrared(pair[0]), read_visible(pair[1])
    expected = load_network().fuse(ir, vis)
    assert np.array_equal(fused[..., ::-1], expected)

    shown = page.find(".metrics table").text
    for value in evaluate(expected, ir, vis).values():
        assert f"{value:.3f}" in shown

    slider = page.find(".fused-compare input", shown=False)
    page.drag(slider, (0.5, 0.5), (0.25, 0.5))
    place = page.driver.execute_script("return arguments[0].value", slider)
    assert 20 <= float(place) <= 30
    page.find(".parts-run").click()
    assert page.download(app, "Parts")[:4] == b"\x89PNG"
    assert not page.complaints()


def test_fuse_two_videos(app, page, videos, tmp_path):
    infrared, visible, _ = videos
    page.open("fuse")
    page.upload_pair("fuse", infrared, visible)
    page.find(".fuse-run").click()
    player = page.find(".fused-video")
    page.until(
        lambda driver: driver.execute_script("return arguments[0].readyState > 1", player),
        "a video that plays",
    )
    path = tmp_path / "fused.mp4"
    path.write_bytes(page.download(app, "Fused video"))
    network, pairs = load_network(), zip(Video(infrared), Video(visible), strict=True)
    for frame, (ir, vis) in zip(Video(path), pairs, strict=True):
        expected = network.fuse(ir[..., 0] if ir.ndim == 3 else ir, vis)
        assert np.abs(frame.astype(int) - expected).mean() < 8  # the codec's loss


@pytest.fixture
def cameras(tmp_path):
    """Infrared and visible picture of two cameras, and the transform between their pixels."""
    infrared, visible = street_pair(480, 360, seed=2)
    sees = np.vstack([cv2.getRotationMatrix2D((240, 180), 2.5, 0.92), [0, 0, 1]])
    sees[:2, 2] -= 70, 52
    paths = tmp_path / "ir.png", tmp_path / "vis.png"
    write_image(paths[0], cv2.warpAffine(infrared, sees[:2], (340, 256)))
    write_image(paths[1], visible)
    return *paths, np.linalg.inv(sees)


def corners_apart(calibration, transform):
    """Distances in visible pixels of the corners by a calibration from where they belong."""
    corners = np.float64([[0, 0], [339, 0], [0, 255], [339, 255]])[:, None]
    found, true = (cv2.perspectiveTransform(corners, m) for m in (calibration.transform, transform))
    return np.hypot(*(found - true)[:, 0].T)


def test_align_two_cameras_and_fuse_them(app, page, cameras, tmp_path):
    infrared, visible, transform = cameras
    page.open("align")
    page.upload_pair("align", infrared, visible)
    spots = np.float64([[40, 40], [300, 50], [60, 210], [280, 200]])
    others = cv2.perspectiveTransform(spots[:, None], transform)[:, 0]
    for spot, other in zip(spots, others, strict=True):
        for name, (x, y), (width, height) in (
            ("infrared", spot, (340, 256)),
            ("visible", other, (480, 360)),
        ):
            share = (x + 0.5) / width, (y + 0.5) / height
            page.drag(page.find(f".match-{name} svg"), share, share)
    page.find(".matches", "4")
    page.find(".fit-run:not([disabled])").click()
    page.find(".matches", "px off")
    path = tmp_path / "clicked.yaml"
    path.write_bytes(page.download(app, "Calibration"))
    assert corners_apart(Calibration.load(path), transform).max() < 3  # as exact as clicks are

    page.find(".estimate-run:not([disabled])").click()
    page.find(".outcome", "Confidence")
    path = tmp_path / "found.yaml"
    page.until(
        lambda _: (
            path.write_bytes(page.download(app, "Calibration")) and "points" not in path.read_text()
        ),
        "another calibration",
    )
    calibration = Calibration.load(path)
    assert corners_apart(calibration, transform).max() < 3

    page.go_to("fuse")
    page.upload_pair("fuse", infrared, visible)
    page.find(".fuse-run").click()
    fused = cv2.imdecode(np.frombuffer(page.download(app, "Fused"), np.uint8), cv2.IMREAD_COLOR)
    pair = calibration.pair(read_infrared(infrared), read_visible(visible))
    assert np.array_equal(fused[..., ::-1], load_network().fuse(*pair))
    assert not page.complaints()


def test_draw_a_box_and_track_it(app, page, videos, tmp_path):
    infrared, visible, scene = videos
    x, y, w, h = scene.boxes[0]
    page.open("track")
    page.upload_pair("track", infrared, visible)
    picture = page.find(".first-frame svg")
    page.drag(picture, (x / 160, y / 128), ((x + w) / 160, (y + h) / 128))
    page.find(".track .hint", "Box x, y, width, height:")
    page.find(".track-run:not([disabled])").click()
    page.find(".tracked-video")

    boxes = np.loadtxt(page.download(app, "Boxes").decode().splitlines(), delimiter=",")
    scores = np.loadtxt(page.download(app, "Scores").decode().splitlines())
    assert boxes.shape == (10, 4) and scores.shape == (10,)
    assert np.abs(boxes[0] - scene.boxes[0]).max() < 1  # as exact as the mouse is
    sequence = load_sequence((visible, infrared), needs_boxes=False)
    track_to_folder(RGBTTracker(load_tracker()), sequence, boxes[0], tmp_path / "own")
    expected = np.loadtxt(tmp_path / "own" / "boxes.txt", delimiter=",")
    assert np.allclose(boxes, expected, atol=0.05)
    assert np.loadtxt(tmp_path / "own" / "scores.txt") == pytest.approx(scores, abs=1e-3)
    assert page.download(app, "Video")[4:8] == b"ftyp"
    assert not page.complaints()


def test_watch_two_cameras_live(app, page, make_scene, tmp_path):
    """Two videos stand for cameras; they play at their own speed."""
    scene = make_scene(length=38, size=(160, 128))
    scene.rgb, scene.ir = scene.rgb * 5, scene.ir * 5
    visible, infrared = scene.write_videos(tmp_path)
    page.open("live")
    for name, path in (("infrared", infrared), ("visible", visible)):
        page.find(f"input[data-camera={name}]").send_keys(str(path))
    page.find(".live-run").click()
    frame = page.find(".live-page")
    address = frame.get_attribute("src")

    def status(_):
        shown = json.loads(app.get(f"{address}status"))
        return shown["picture"]["number"] > 2 and not shown["error"] and shown

    assert page.until(status, "live pictures")["title"] == "Live fusion"
    picture = cv2.imdecode(np.frombuffer(app.get(f"{address}picture"), np.uint8), cv2.IMREAD_COLOR)
    assert picture.shape == (128, 160, 3)
    with pytest.raises(FileNotFoundError, match="404"):
        app.get("/live/another/status")
    page.driver.switch_to.frame(frame)
    page.find("#cameras", "Infrared")
    page.driver.switch_to.default_content()
    page.find(".live-stop").click()
    page.find(".live .empty")
    with pytest.raises(FileNotFoundError, match="404"):
        app.get(f"{address}status")


def test_what_is_wrong_is_said_on_the_page(app, page, pair, tmp_path):
    damaged, large = tmp_path / "damaged.png", tmp_path / "large.png"
    damaged.write_bytes(pair[0].read_bytes()[:500])
    cv2.imwrite(str(large), np.zeros((1001, 1000), np.uint8))
    heavy = tmp_path / "heavy.png"
    heavy.write_bytes(bytes(3_000_001))
    page.open("fuse")
    for path, text in (
        (damaged, "damaged.png: the picture is truncated or damaged"),
        (large, "large.png: 1000x1001 pixels are more than 1 million"),
        (heavy, "heavy.png: larger than 3 MB"),
    ):
        page.upload("fuse-infrared", path)
        message = page.find(".q-notification", text)
        assert "Traceback" not in message.text and str(app.folder) not in message.text
    page.find(".fuse-run").click()
    page.find(".q-notification", "Give an infrared and a visible file first")


def test_visitors_are_apart_and_leave_nothing(start_app, visit, pair):
    app = start_app(patience=1)
    page = visit(app)
    page.open("fuse")
    page.upload_pair("fuse", *pair)
    mine = page.find(".fuse-infrared img").get_attribute("src")
    assert app.get(mine)
    number, name = mine.split("/")[-2:]
    with pytest.raises(FileNotFoundError):
        app.get(f"/files/another/{number}/{name}")

    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open("fuse")
    assert "ir.png" not in page.find(".fuse-infrared").text
    other = page.driver.current_window_handle
    page.driver.switch_to.window(first)
    page.driver.close()
    page.driver.switch_to.window(other)

    def is_gone(_):
        try:
            app.get(mine)
        except FileNotFoundError:
            return not app.files()
        return False

    page.until(is_gone, "no file of a page that was closed")


def test_nothing_is_loaded_from_elsewhere(app, page):
    page.driver.get_log("performance")
    page.open("fuse")
    messages = [json.loads(entry["message"]) for entry in page.driver.get_log("performance")]
    asked = [
        message["message"]["params"]["request"]["url"]
        for message in messages
        if message["message"]["method"] == "Network.requestWillBeSent"
    ]
    assert any(address.startswith(app.address) for address in asked)
    assert [a for a in asked if not a.startswith((app.address, "data:", "blob:"))] == []
