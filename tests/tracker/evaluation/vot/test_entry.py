"""What the entries of a workspace run: correlation baselines and networks with their weights."""

import numpy as np
import pytest

from fusion.base.errors import UserError
from tracker.evaluation.baselines.correlation import CorrelationTracker
from tracker.evaluation.vot.entries import find_weights, make_tracker
from tracker.model.network import build
from tracker.model.weights import load_tracker, save_tracker
from tracker.online.rgbt_tracker import RGBTTracker


class TestCorrelation:
    @pytest.mark.parametrize("modalities", [("rgb",), ("ir",), ("rgb", "ir")])
    def test_follows_a_patch(self, make_scene, modalities):
        scene = make_scene(length=20)
        tracker = CorrelationTracker(modalities)
        tracker.init(scene.rgb[0], scene.ir[0], scene.boxes[0])
        for rgb, ir, truth in list(zip(scene.rgb, scene.ir, scene.boxes, strict=True))[1:]:
            box, score = tracker.track(rgb, ir)
            assert box == truth
            assert score > 0.99

    def test_fractional_boxes_and_borders(self, make_scene):
        scene = make_scene(length=3)
        tracker = CorrelationTracker()
        tracker.init(scene.rgb[0], scene.ir[0], (-7.5, -4.25, 30.0, 20.0))
        box, _ = tracker.track(scene.rgb[0], scene.ir[0])
        assert box == (-7.5, -4.25, 30.0, 20.0)

    def test_missing_modalities(self, make_scene):
        scene = make_scene(length=12)
        tracker = CorrelationTracker()
        tracker.init(scene.rgb[0], scene.ir[0], scene.boxes[0])
        for index in range(1, 12):
            rgb = None if index % 3 == 0 else scene.rgb[index]
            ir = None if index % 3 == 1 else scene.ir[index]
            box, _ = tracker.track(rgb, ir)
            assert box == scene.boxes[index]
        assert tracker.track(None, None) == (box, 0.0)

    def test_blank_frames_leave_the_box_in_reach(self, make_scene):
        scene = make_scene(length=2)
        blank = np.zeros_like(scene.ir[0])
        tracker = CorrelationTracker(("ir",))
        tracker.init(None, scene.ir[0], scene.boxes[0])
        box, score = tracker.track(None, blank)
        assert score == 0 and np.isfinite(box).all()
        tracker.init(None, blank, scene.boxes[0])
        assert np.isfinite(tracker.track(None, scene.ir[1])[0]).all()

    def test_unusable_starts(self, make_scene):
        scene = make_scene(length=1)
        tracker = CorrelationTracker(("ir",))
        with pytest.raises(UserError, match="outside the frame"):
            tracker.init(None, scene.ir[0], (500, 500, 10, 10))
        with pytest.raises(UserError, match="no picture of ir"):
            tracker.init(scene.rgb[0], None, scene.boxes[0])


class TestWeights:
    def test_places(self, tmp_path):
        (tmp_path / "weights").mkdir()
        (tmp_path / "other").mkdir()
        default = tmp_path / "weights" / "dfat.pth"
        other = tmp_path / "other" / "dfat.safetensors"
        default.touch()
        other.touch()
        assert find_weights("dfat", tmp_path, {}) == default
        assert find_weights("dfat", tmp_path, {"RGBT_WEIGHTS": "other"}) == other
        assert find_weights("dfat", tmp_path, {"RGBT_WEIGHTS": str(other)}) == other
        with pytest.raises(UserError, match=r"rgb\.safetensors.*weights.*--untrained"):
            find_weights("rgb", tmp_path, {})

    def test_weights_of_another_network_are_refused(self, tmp_path):
        save_tracker(build("compact_ir"), tmp_path / "weights" / "rgb.safetensors")
        with pytest.raises(UserError, match=r"rgb\.safetensors: not a network for rgb.*\['ir'\]"):
            make_tracker("rgb", tmp_path, {})

    def test_a_dark_camera(self, tmp_path, make_scene):
        """As if the frames lacked the modality."""
        scene = make_scene(length=3)
        boxes = {}
        for modality in ("rgb", "ir"):
            environment = {"RGBT_MODALITY": modality, "RGBT_DEVICE": "cpu"}
            entry, plain = (
                make_tracker("compact", tmp_path, environment),
                RGBTTracker(load_tracker()),
            )
            for tracker, blind in ((entry, False), (plain, True)):
                frames = [
                    (
                        None if blind and modality == "ir" else rgb,
                        None if blind and modality == "rgb" else ir,
                    )
                    for rgb, ir in zip(scene.rgb, scene.ir, strict=True)
                ]
                tracker.init(*frames[0], scene.boxes[0])
                boxes[modality, blind] = [tracker.track(*frame)[0] for frame in frames[1:]]
            assert boxes[modality, False] == boxes[modality, True]
        assert boxes["rgb", True] != boxes["ir", True]
        with pytest.raises(UserError, match="RGBT_MODALITY sonar"):
            make_tracker("compact", tmp_path, {"RGBT_MODALITY": "sonar"})

    def test_unknown_entry(self, tmp_path):
        with pytest.raises(UserError, match=r"dfat_llrr.*ncc_ir"):
            make_tracker("mdnet", tmp_path, {})

    def test_untrained_networks_are_the_same_every_time(self, tmp_path, make_scene):
        scene = make_scene(length=3)
        boxes = []
        for _ in range(2):
            environment = {"RGBT_UNTRAINED": "1", "RGBT_DEVICE": "cpu"}
            tracker = make_tracker("compact_ir", tmp_path, environment)
            tracker.init(scene.rgb[0], scene.ir[0], scene.boxes[0])
            boxes.append([tracker.track(scene.rgb[i], scene.ir[i])[0] for i in (1, 2)])
        assert boxes[0] == boxes[1]
