"""What people do with the app, in Chromium; the results are compared with the packages' own."""

import json

import cv2
import numpy as np
import pytest

from fusion import load_network, read_infrared, read_visible, write_image
from fusion.commands.scene import street_pair
from fusion.evaluation.metrics import evaluate
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


def test_visitors_are_apart_and_leave_nothing(app, page, pair):
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
