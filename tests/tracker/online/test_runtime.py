"""Every runtime gives the same boxes as the eager one."""

import sys

import numpy as np
import pytest
import torch

from fusion.base.errors import UserError
from tracker.commands.cli import main
from tracker.data.boxes import box_iou
from tracker.evaluation.vot.entries import make_tracker
from tracker.model.presets import build_network
from tracker.model.settings import OnlineSettings
from tracker.model.weights import load_tracker
from tracker.online.rgbt_tracker import RGBTTracker
from tracker.online.runtime import PRECISIONS, RUNTIMES, Search, check_runtime
from tracker.synthetic import random_spec, render

# Each takes seconds to make, and serves all tests: `init` starts afresh.
_MADE = {}


def tracker_by(runtime: str, precision: str = "float32") -> RGBTTracker:
    if (runtime, precision) not in _MADE:
        settings = OnlineSettings(update_interval=4, update_rate=0.5)
        made = RGBTTracker(load_tracker(), "cpu", settings, runtime, precision)
        _MADE[runtime, precision] = made
    return _MADE[runtime, precision]


@pytest.fixture(scope="module", autouse=True)
def forget_trackers():
    yield
    _MADE.clear()


@pytest.fixture(scope="module")
def frames():
    return list(render(random_spec(3, length=13, split="test", challenge="plain")))


def follow(tracker, frames, missing=None):
    """Boxes, scores and branches; ``missing`` takes frames away by number and modality."""
    boxes, scores, branches = [], [], []
    for number, (rgb, ir, box, _) in enumerate(frames):
        lost = (missing or {}).get(number, ())
        pair = (None if "rgb" in lost else rgb, None if "ir" in lost else ir)
        if number == 0:
            tracker.init(*pair, box)
            continue
        box, score = tracker.track(*pair)
        boxes.append(box)
        scores.append(score)
        branches.append(tracker.last_branches)
    return np.array(boxes), np.array(scores), branches


OTHERS = [name for name in RUNTIMES if name != "eager"]


@pytest.mark.parametrize("runtime", OTHERS)
@pytest.mark.parametrize(
    "missing",
    [
        {},
        {2: ["rgb"], 3: ["ir"], 6: ["ir"], 7: ["rgb", "ir"]},
        {0: ["rgb"], 1: ["rgb"]},  # joins at an update
    ],
    ids=["all there", "gaps", "a late start"],
)
def test_boxes_are_those_of_the_eager_way(frames, runtime, missing):
    expected = follow(tracker_by("eager"), frames, missing)
    found = follow(tracker_by(runtime), frames, missing)
    np.testing.assert_allclose(found[0], expected[0], atol=0.01)
    np.testing.assert_allclose(found[1], expected[1], atol=1e-3)
    assert found[2] == expected[2]
    assert load_tracker().branches in found[2]
    assert not missing or len(set(found[2])) > 1


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_new_template_takes_effect(frames, runtime):
    """The same frame gives another response with other kernels, and the same with the first."""
    tracker, network = tracker_by(runtime), load_tracker()
    generator = torch.Generator().manual_seed(0)

    def inputs(size):
        crops = 255 * torch.rand(2, 1, 3, size, size, generator=generator)
        return network.prepare({"rgb": crops[0], "ir": crops[1]})

    with torch.inference_mode():
        first, second = (
            network.kernels(network.template(inputs(network.exemplar_size))) for _ in range(2)
        )
        search = inputs(network.search_size)
        features = network.features(search)
        for kernels in (first, second, first):
            tracker.search.learn(kernels)
            branches, response = tracker.search(search)
            assert branches == network.branches
            expected = network.joint_response(kernels, features)
            for ours, theirs in zip(response, expected, strict=True):
                atol = 1e-4 * float(theirs.abs().max())
                torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)
        other = network.joint_response(second, features)
    assert (other.cls - expected.cls).abs().max() > 0.01 * expected.cls.abs().max()


def test_nothing_is_compiled_twice(frames):
    """Frames, updates, new starts and eager frames do not cause a compilation."""
    tracker = tracker_by("compile")
    with torch.compiler.set_stance("fail_on_recompile"):
        follow(tracker, frames[:6], {3: ["ir"]})
        follow(tracker, frames[4:])
        small = [torch.zeros(x.shape[0], x.shape[1], 4, 4) for x in tracker.search._flat]
        with pytest.raises(RuntimeError), torch.inference_mode():  # it would be told
            tracker.search._run(*small, *[torch.zeros(1, 3, 159, 159)] * 2)


def test_boxes_in_bfloat16_are_near(frames):
    expected, scores, branches = follow(tracker_by("eager"), frames)
    found, found_scores, found_branches = follow(tracker_by("eager", "bfloat16"), frames)
    assert not np.array_equal(found, expected)
    assert box_iou(found, expected).min() > 0.85
    np.testing.assert_allclose(found_scores, scores, atol=0.1)
    assert found_branches == branches


# A network that is quick to record and to compile.
SMALL = {"channels": 8, "search_size": 95}


@pytest.mark.parametrize("runtime", ["eager", "compile"])
def test_responses_in_bfloat16_are_near_and_decided_in_float32(runtime):
    torch.manual_seed(0)
    network = build_network("compact_rgb", **SMALL).eval()
    tracker = RGBTTracker(network, runtime=runtime, precision="bfloat16")
    crops = [255 * torch.rand(1, 3, size, size) for size in (63, 95)]
    with torch.inference_mode():
        template, search = (network.prepare({"rgb": crop}) for crop in crops)
        kernels = network.kernels(network.template(template))
        tracker.search.learn(kernels)
        _, response = tracker.search(search)
        expected = network.decide(network.respond(kernels, network.features(search)))
    for ours, theirs in zip(response, expected, strict=True):
        assert ours.dtype == torch.float32 and not torch.equal(ours, theirs)
        atol = 0.05 * float(theirs.abs().max())
        torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)


def small_boxes(network, frames, runtime):
    """Boxes on (RGB, infrared) frames, a template update among them."""
    settings = OnlineSettings(update_interval=2)
    tracker = RGBTTracker(network, settings=settings, runtime=runtime)
    tracker.init(*frames[0], (60, 50, 30, 20))
    boxes = [tracker.track(*frames[1])[0] for _ in range(3)]
    assert tracker.last_branches == network.branches
    return boxes


def test_an_infrared_with_a_template_of_its_own_is_not_shifted(rng):
    """Published pixels: the infrared is brought to the RGB's mean only if its template was."""
    torch.manual_seed(0)
    network = build_network("compact_dfat", pixels="bgr255", gate=False, **SMALL).eval()
    frames = [(x, x[..., 0] // 2) for x in rng.integers(0, 256, (2, 120, 160, 3), np.uint8)]
    frames[0] = (None, frames[0][1])
    expected, found = (small_boxes(network, frames, runtime) for runtime in ("eager", "onnx"))
    np.testing.assert_allclose(found, expected, atol=0.01)


def test_recording_one_modality_leaves_no_file(rng, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    torch.manual_seed(0)
    network = build_network("compact_ir", **SMALL).eval()
    frames = [(None, x) for x in rng.integers(0, 256, (2, 120, 160), np.uint8)]
    expected, found = (small_boxes(network, frames, runtime) for runtime in ("eager", "onnx"))
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert not list(tmp_path.iterdir())


# --- What cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("runtime", "precision", "message"),
    [
        ("tensorrt", "float32", "runtime tensorrt: unknown; give one of eager, onnx, compile"),
        ("eager", "int8", "precision int8: unknown; give one of float32, bfloat16"),
        ("onnx", "bfloat16", "not with runtime onnx; give runtime eager or compile"),
    ],
)
def test_what_there_is_not(tmp_path, runtime, precision, message):
    network = build_network("compact_rgb")
    environment = {"RGBT_UNTRAINED": "1", "RGBT_RUNTIME": runtime, "RGBT_PRECISION": precision}
    for attempt in (
        lambda: check_runtime(runtime, precision),
        lambda: RGBTTracker(network, runtime=runtime, precision=precision),
        lambda: make_tracker("compact_rgb", tmp_path, environment),
    ):
        with pytest.raises(UserError, match=message) as caught:
            attempt()
        assert "\n" not in str(caught.value)


def test_a_gpu_is_nothing_for_onnx_runtime():
    with pytest.raises(UserError, match="give --device cpu"):
        check_runtime("onnx", "float32", torch.device("cuda"))


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UserError, match=r"onnx not installed; pip install 'rgbt-lrrnet\[export\]'"):
        RGBTTracker(build_network("compact_rgb"), runtime="onnx")


def test_a_machine_that_cannot_compile(monkeypatch):
    def compile_nothing(*arguments, **options):
        def run(*tensors):
            raise RuntimeError("\nno working C++ compiler\nand pages of reasons")

        return run

    monkeypatch.setattr(torch, "compile", compile_nothing)
    with pytest.raises(UserError, match=r"no working C.. compiler.; give runtime") as caught:
        RGBTTracker(build_network("compact_rgb"), runtime="compile")
    assert "\n" not in str(caught.value)


def test_options_and_environment(tmp_path, make_scene, capsys, monkeypatch):
    """All three commands that run networks have them, and so has an entry of a VOT workspace."""
    for command in (["track", "a", "b", "-o", "c"], ["demo"], ["evaluate", "--dataset", "gtot"]):
        with pytest.raises(SystemExit) as ended:
            main([*command, "--runtime", "tensorrt"])
        _, err = capsys.readouterr()
        assert ended.value.code == 2 and err.count("\n") == 1 and "eager" in err

    asked = []

    class Recorder(Search):
        def __init__(self, network, source, precision):
            super().__init__(network, source, precision)
            asked.append(precision)

    monkeypatch.setitem(RUNTIMES, "recorder", Recorder)
    scene = make_scene(length=3)
    visible, thermal = scene.write_folders(tmp_path)
    box = ",".join(map(str, scene.boxes[0]))
    options = ["--runtime", "recorder", "--precision", "bfloat16", "--device", "cpu"]
    out = tmp_path / "out"
    assert main(["track", str(visible), str(thermal), "--box", box, "-o", str(out), *options]) == 0
    environment = {"RGBT_RUNTIME": "recorder", "RGBT_DEVICE": "cpu"}
    entry = make_tracker("small", tmp_path, environment)
    entry.init(scene.rgb[0], scene.ir[0], scene.boxes[0])
    assert asked == ["bfloat16", "float32"] and set(asked) == set(PRECISIONS)
