"""OpenCV's trackers as baselines: what they see, and that they are OpenCV's own."""

import cv2
import numpy as np
import pytest

from fusion.base.errors import UserError
from tracker.evaluation.baselines.csrt import CREATE
from tracker.evaluation.baselines.nanotrack import NanoTracker, find_files
from tracker.evaluation.baselines.opencv import OpenCVTracker, picture_of
from tracker.evaluation.trackers import TRACKERS, make_tracker, tracker_files

needs_contrib = pytest.mark.skipif(not hasattr(cv2, CREATE), reason="OpenCV without contrib")


@pytest.fixture
def nanotrack(shared):
    return shared / "data" / "weights" / "nanotrack"


class TestViews:
    def test_a_mix_is_the_mean_of_both_pictures(self, rng):
        rgb = rng.integers(0, 256, (6, 8, 3), np.uint8)
        ir = rng.integers(0, 256, (6, 8), np.uint8)
        assert (picture_of("rgb", rgb, ir) == rgb[..., ::-1]).all()
        assert (picture_of("ir", rgb, ir) == ir[..., None]).all()
        mean = (rgb[..., ::-1].astype(float) + ir[..., None]) / 2
        assert np.abs(picture_of("mix", rgb, ir) - mean).max() <= 0.5

    def test_what_is_missing(self, rng):
        rgb = rng.integers(0, 256, (6, 8, 3), np.uint8)
        ir = rng.integers(0, 256, (6, 8), np.uint8)
        assert (picture_of("mix", None, ir) == picture_of("ir", None, ir)).all()
        assert (picture_of("mix", rgb, None) == picture_of("rgb", rgb, None)).all()
        assert picture_of("rgb", None, ir) is None and picture_of("ir", rgb, None) is None
        with pytest.raises(UserError, match="size"):
            picture_of("mix", rgb, ir[:4])
        with pytest.raises(ValueError, match="sonar"):
            OpenCVTracker(lambda: None, "sonar")

    def test_a_missing_frame_leaves_the_box(self, nanotrack, make_scene):
        scene = make_scene(length=2)
        tracker = make_tracker("nanotrack_ir", nanotrack)
        with pytest.raises(UserError, match="ir"):
            tracker.init(scene.rgb[0], None, scene.boxes[0])
        with pytest.raises(UserError, match="box"):
            tracker.init(None, scene.ir[0], (500, 500, 10, 10))
        tracker.init(None, scene.ir[0], scene.boxes[0])
        assert tracker.track(scene.rgb[1], None) == (scene.boxes[0], 0.0)


class TestNanoTrack:
    @pytest.mark.parametrize("view", ["rgb", "ir", "mix"])
    def test_boxes_are_those_of_a_plain_run(self, nanotrack, make_scene, view):
        """A loop over OpenCV's own object, as its documentation has it."""
        scene = make_scene(length=8)
        parameters = cv2.TrackerNano_Params()
        parameters.backbone = str(nanotrack / "v2_nanotrack_backbone_sim.onnx")
        parameters.neckhead = str(nanotrack / "v2_nanotrack_head_sim.onnx")
        plain = cv2.TrackerNano_create(parameters)
        ours = make_tracker(f"NANOTRACK_{view.upper()}", nanotrack)
        for number, (rgb, ir) in enumerate(zip(scene.rgb, scene.ir, strict=True)):
            visible, thermal = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), cv2.merge([ir] * 3)
            mean = cv2.addWeighted(visible, 0.5, thermal, 0.5, 0)
            picture = {"rgb": visible, "ir": thermal, "mix": mean}[view]
            if number == 0:
                box = tuple(round(v) for v in scene.boxes[0])
                plain.init(picture, box)
                ours.init(rgb, ir, scene.boxes[0])
                continue
            found, expected = plain.update(picture)
            box = expected if found else box
            assert ours.track(rgb, ir) == (tuple(map(float, box)), float(found))

    def test_a_second_start_forgets_the_first(self, nanotrack, make_scene):
        scene = make_scene(length=3)
        tracker = make_tracker("nanotrack_mix", nanotrack)
        boxes = []
        for _ in range(2):
            tracker.init(scene.rgb[0], scene.ir[0], scene.boxes[0])
            boxes.append([tracker.track(scene.rgb[i], scene.ir[i])[0] for i in (1, 2)])
        assert boxes[0] == boxes[1]

    def test_files(self, nanotrack, tmp_path):
        files = find_files(nanotrack)
        assert [path.name[:3] for path in files] == ["v2_", "v2_"]
        assert tracker_files("nanotrack_ir", nanotrack) == files
        with pytest.raises(UserError, match="RGBT_NANOTRACK"):
            tracker_files("nanotrack_ir")
        with pytest.raises(UserError, match=r"backbone_sim\.onnx"):
            find_files(tmp_path)
        for name in ("a_nanotrack_backbone_sim.onnx", "nanotrack_head_sim.onnx"):
            (tmp_path / name).write_bytes(b"no network")
        with pytest.raises(UserError, match=r"nanotrack_head_sim\.onnx") as caught:
            NanoTracker(*find_files(tmp_path), "rgb")
        assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
        (tmp_path / "b_nanotrack_backbone_sim.onnx").touch()
        with pytest.raises(UserError, match=r"backbone_sim\.onnx"):
            find_files(tmp_path)


class TestCSRT:
    @needs_contrib
    @pytest.mark.parametrize("view", ["rgb", "ir", "mix"])
    def test_follows_a_target(self, make_scene, view):
        scene = make_scene(length=6)
        tracker = make_tracker(f"csrt_{view}")
        tracker.init(scene.rgb[0], scene.ir[0], scene.boxes[0])
        for rgb, ir, truth in list(zip(scene.rgb, scene.ir, scene.boxes, strict=True))[1:]:
            box, _ = tracker.track(rgb, ir)
            assert np.abs(np.subtract(box, truth)).max() < 6

    def test_contrib_is_named_where_it_is_missing(self, monkeypatch):
        monkeypatch.delattr(cv2, CREATE, raising=False)
        for call in (make_tracker, tracker_files):
            with pytest.raises(UserError, match="opencv-contrib-python"):
                call("csrt_mix")


def test_every_name_makes_a_tracker(nanotrack):
    for name in TRACKERS:
        if name.startswith("csrt") and not hasattr(cv2, CREATE):
            continue
        tracker = make_tracker(name, nanotrack)
        assert callable(tracker.init) and callable(tracker.track)
    with pytest.raises(UserError, match="mosse"):
        make_tracker("mosse")
