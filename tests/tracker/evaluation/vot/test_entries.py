"""What the entries of a workspace run: correlation baselines and networks with their weights."""

import os

import numpy as np
import pytest

from fusion.base.errors import UserError
from tracker.evaluation.baselines.correlation import CorrelationTracker
from tracker.evaluation.vot.entries import entry_origin, find_weights, make_tracker
from tracker.evaluation.vot.trackers_ini import parse_reference, read_trackers
from tracker.model.presets import build_network
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
        with pytest.raises(UserError, match="box"):
            tracker.init(None, scene.ir[0], (500, 500, 10, 10))
        with pytest.raises(UserError, match="ir"):
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
        save_tracker(build_network("compact_ir"), tmp_path / "weights" / "rgb.safetensors")
        with pytest.raises(UserError, match=r"rgb\.safetensors: .*\['ir'\]"):
            make_tracker("rgb", tmp_path, {})

    def test_a_dark_camera(self, tmp_path, make_scene):
        """As if the frames lacked the modality."""
        scene = make_scene(length=3)
        boxes = {}
        for modality in ("rgb", "ir"):
            environment = {"RGBT_MODALITY": modality, "RGBT_DEVICE": "cpu"}
            entry, plain = (
                make_tracker("small", tmp_path, environment),
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
            make_tracker("small", tmp_path, {"RGBT_MODALITY": "sonar"})

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


class TestOrigin:
    """What results depend on: other weights or settings give another note."""

    def test_each_setting_has_its_own(self, tmp_path):
        weights = tmp_path / "dfat.safetensors"
        settings = [
            {},
            {"RGBT_MODALITY": "rgb"},
            {"RGBT_MODALITY": "ir"},
            {"RGBT_RUNTIME": "onnx"},
            {"RGBT_PRECISION": "bfloat16"},
            {"RGBT_RUNTIME": "compile", "RGBT_PRECISION": "bfloat16"},
            {"RGBT_UNTRAINED": "1"},
        ]
        origins = set()
        for content in ("first", "second"):
            weights.write_text(content)
            for setting in settings:
                environment = {"RGBT_WEIGHTS": str(weights), **setting}
                origins.add(entry_origin("dfat", tmp_path, environment))
        assert len(origins) == 2 * len(settings) - 1  # random weights are of no file

    def test_defaults_are_the_same_as_nothing(self, tmp_path):
        defaults = {"RGBT_MODALITY": "", "RGBT_RUNTIME": "eager", "RGBT_PRECISION": "float32"}
        origin = entry_origin("small", tmp_path, {})
        assert entry_origin("small", tmp_path, defaults) == origin and "\n" not in origin

    def test_baselines(self, shared, tmp_path):
        environment = {"RGBT_NANOTRACK": str(shared / "data" / "weights" / "nanotrack")}
        assert len(entry_origin("nanotrack_mix", tmp_path, environment).split()) == 2
        assert entry_origin("ncc", tmp_path, {}) == "ncc"
        with pytest.raises(UserError, match="weights"):
            entry_origin("nanotrack_mix", tmp_path, {})


class TestEntries:
    """``trackers.ini`` as the toolkit reads it."""

    @pytest.fixture
    def entries(self, tmp_path):
        (tmp_path / "more").mkdir()
        (tmp_path / "more" / "trackers.ini").write_text("[B]\ncommand = b\nversion = 2\n")
        (tmp_path / "trackers.ini").write_text(
            "[not valid]\ncommand = x\n"
            "[C]\nlabel = see\ncommand = c\nenv_rgbt_weights = $PLACE/${NAME}$NONE\nENV_X = %%1\n"
            "[B]\ncommand = b\n"
        )
        registry = ["./more", "trackers.ini", "nowhere.ini"]
        (tmp_path / "config.yaml").write_text(f"registry: {registry}\nstack: vot2020/rgbtir\n")
        return read_trackers(tmp_path, registry)

    def test_agree_with_the_toolkit(self, entries, tmp_path, monkeypatch):
        from vot.tracker import Registry

        for name, value in {"PLACE": "here", "NAME": "w"}.items():
            monkeypatch.setenv(name, value)
        theirs = {t.identifier: t for t in Registry(["./more", "trackers.ini"], root=str(tmp_path))}
        assert list(entries) == list(theirs) == ["B", "C"]
        for name, tracker in theirs.items():
            assert entries[name].reference == tracker.reference
            assert entries[name].title == tracker.label
            seen = entries[name].environment(os.environ)
            assert seen == {**os.environ, **tracker.describe()["env"]}
        assert entries["C"].environment(os.environ)["RGBT_WEIGHTS"] == "here/w$NONE"

    def test_versions(self, entries):
        assert entries["C"].at("new").reference == "C@new"
        assert entries["C"].at("new").title == "see (new)"
        assert entries["B"].at(None).reference == "B@2"
        assert parse_reference("DFAT@untrained") == ("DFAT", "untrained")
        for reference in ("", "a b", "DFAT@", "DFAT@a@b", "../DFAT"):
            with pytest.raises(UserError, match="NAME"):
                parse_reference(reference)
