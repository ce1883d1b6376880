"""The joint network: NanoTrack's published checkpoint, modalities joined and masked, both crops."""

import numpy as np
import onnxruntime
import pytest
import torch

from fusion.base.checkpoints import read_tensors
from fusion.base.errors import UserError
from tracker.model.decision import fuse_decisions
from tracker.model.head import Response
from tracker.model.joins import ContextJoin, ModalityJoin
from tracker.model.joint import JOINT_PRESETS, JointTracker
from tracker.model.joint_head import TAPS
from tracker.model.mobile import BLOCKS, MobileBackbone
from tracker.model.weights import blend_trackers, load_tracker, save_tracker

MODALITIES = ("rgb", "ir")


@pytest.fixture(scope="module")
def published(shared):
    return shared / "data" / "weights" / "nanotrack"


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)

    def make(size, count=1):
        shape = (2, count, 3, size, size)
        rgb, ir = torch.randint(0, 256, shape, generator=generator).float()
        return {"rgb": rgb, "ir": ir[:, :1]}

    return make


# --- The published checkpoint -------------------------------------------------------------------


def test_backbone_and_head_are_the_published_ones(published):
    # The published ONNX files are the same network, exported by its authors.
    network = load_tracker(published / "nanotrackv3.pth", preset="nanotrack_rgb")
    backbone, head = (
        onnxruntime.InferenceSession(published / f"v3_nanotrack_{part}.onnx")
        for part in ("backbone", "head")
    )
    rng = np.random.default_rng(0)
    crop = rng.integers(0, 256, (1, 3, 255, 255)).astype(np.float32)
    (features,) = backbone.run(None, {"input": crop})
    template = np.ascontiguousarray(features[:, :, 4:12, 4:12])
    cls, distances = head.run(None, {"input1": template, "input2": features})
    with torch.inference_mode():
        # Published crops are BGR; `prepare` reorders.
        inputs = network.prepare({"rgb": torch.from_numpy(crop).flip(1)})
        ours = network.features(inputs)
        np.testing.assert_allclose(ours["rgb"], features, atol=1e-3)
        kernels = network.kernels({"rgb": torch.from_numpy(template)})
        response = network.joint_response(kernels, {"rgb": torch.from_numpy(features)})
    np.testing.assert_allclose(response.cls, cls, atol=1e-3)
    np.testing.assert_allclose(response.loc.exp(), distances, rtol=1e-4)


@pytest.mark.parametrize("preset", [p for p in JOINT_PRESETS if p.startswith("nanotrack")])
def test_published_checkpoint_fills_every_input(published, preset):
    network = load_tracker(published / "nanotrackv3.pth", preset=preset)
    expected = "rounded" if len(network.branches) == 1 else "replicate"
    assert network.online["border"] == expected
    assert network.architecture == JointTracker(**JOINT_PRESETS[preset]).architecture


def test_a_tensor_that_is_missing_is_named(published, tmp_path):
    tensors, _ = read_tensors(published / "nanotrackv3.pth")
    del tensors["ban_head.cls_tower.0.weight"]
    path = tmp_path / "cut.pth"
    torch.save({"state_dict": tensors}, path)
    with pytest.raises(UserError, match=r"cut\.pth.*towers\.cls\.0\.weight"):
        load_tracker(path)


# --- Joining ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [ModalityJoin, ContextJoin])
@pytest.mark.parametrize("fusion", [None, "llrr"])
def test_an_untrained_join_is_the_mean(kind, fusion):
    join = kind(MODALITIES, 8, fusion, {"num_filters": 4, "num_blocks": 1} if fusion else {})
    maps = dict(zip(MODALITIES, torch.randn(2, 3, 8, 5, 5), strict=True))
    torch.testing.assert_close(join(maps), (maps["rgb"] + maps["ir"]) / 2)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", [ModalityJoin, ContextJoin])
@pytest.mark.parametrize("fusion", [None, "llrr"])
def test_a_modality_that_is_missing_has_no_influence(kind, fusion, seed):
    torch.manual_seed(seed)
    join = kind(MODALITIES, 8, fusion, {"num_filters": 4, "num_blocks": 1} if fusion else {})
    for parameter in join.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    maps = dict(zip(MODALITIES, torch.randn(2, 4, 8, 5, 5), strict=True))
    available = {"rgb": torch.tensor([1, 1, 0, 0]).bool(), "ir": torch.tensor([1, 0, 1, 1]).bool()}
    expected = join(maps, available)
    # Item by item it is the other modality's map, or what both give without a mask.
    both = join({m: x[:1] for m, x in maps.items()})
    torch.testing.assert_close(expected[:1], both, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(expected[1], maps["rgb"][1])
    torch.testing.assert_close(expected[2:], maps["ir"][2:])
    for m, x in maps.items():
        x[~available[m]] = float("inf")
    torch.testing.assert_close(join(maps, available), expected, atol=1e-4, rtol=1e-3)


def test_a_context_weight_depends_on_both_maps_and_on_neighbours():
    torch.manual_seed(0)
    join = ContextJoin(MODALITIES, 8)
    torch.nn.init.normal_(join.gate[2].weight)
    maps = dict(zip(MODALITIES, torch.randn(2, 1, 8, 9, 9), strict=True))
    weights = join.weights(maps)
    torch.testing.assert_close(weights.sum(0), torch.ones(1, 1, 9, 9))
    for m in MODALITIES:
        moved = {n: x.clone() for n, x in maps.items()}
        moved[m][..., 4, 4] += 5
        changed = (join.weights(moved) - weights).abs()[0, 0, 0] > 0
        assert changed.any() and not changed[:2].any() and not changed[7:].any()
        assert changed[2:7, 2:7].sum() > 9  # further than one convolution reaches


def test_a_missing_modality_equals_a_network_without_it(images):
    network = JointTracker(**JOINT_PRESETS["small"]).eval()
    template, search = images(127), images(255)
    with torch.inference_mode():
        masked = network(
            template, search, {"rgb": torch.tensor([False]), "ir": torch.tensor([True])}
        )
        alone = network({"ir": template["ir"]}, {"ir": search["ir"]})
    torch.testing.assert_close(masked, alone, atol=1e-4, rtol=1e-4)


JOINED = [
    {"join": "mean"},
    {"join": "context"},
    {"join": "decision"},
    {"join": "decision", "fusion": "conv", "fusion_args": {"num_filters": 4, "num_blocks": 1}},
    {"join": "mean", "fusion": "rfn"},
    *({"fusion": "llrr", "fusion_args": {"num_filters": 4}, "tap": tap} for tap in TAPS),
    {"join": "decision", "fusion": "rfn", "tap": "features"},
]


def on_the_included_trunk(**arguments):
    """An untrained network's response hardly depends on its input; that of the trained one does."""
    network = JointTracker(**JOINT_PRESETS["small"] | arguments)
    network.load_state_dict(load_tracker().state_dict(), strict=False)
    return network.eval()


@pytest.mark.parametrize("arguments", JOINED, ids=lambda a: "-".join(map(str, a.values())))
def test_every_join_ignores_what_is_missing_and_comes_back_from_a_file(arguments, images, tmp_path):
    torch.manual_seed(0)
    network = on_the_included_trunk(**arguments)
    for name, parameter in network.named_parameters():
        if name.endswith("scale"):
            torch.nn.init.normal_(parameter, std=0.1)  # zero at the start
    save_tracker(network, tmp_path / "n.safetensors")
    template, search = images(127, 2), images(255, 2)
    with torch.inference_mode():
        whole = network(template, search)
        again = load_tracker(tmp_path / "n.safetensors")
        torch.testing.assert_close(again(template, search), whole)
        available = {"rgb": torch.tensor([True, False]), "ir": torch.tensor([True, True])}
        masked = network(template, search, available)
        alone = network({"ir": template["ir"]}, {"ir": search["ir"]})
    for a, b, c in zip(masked, whole, alone, strict=True):
        torch.testing.assert_close(a[0], b[0], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(a[1], c[1], atol=1e-4, rtol=1e-3)
    assert (whole.cls[1] - alone.cls[1]).abs().max() > 1e-3


@pytest.mark.parametrize("tap", TAPS)
def test_a_fusion_module_changes_nothing_at_the_start(tap, images):
    # With "towers", the gates too come after the towers.
    network = on_the_included_trunk(tap=tap)
    fused = on_the_included_trunk(**JOINT_PRESETS["small_llrr"], tap=tap)
    template, search = images(127), images(255)
    with torch.inference_mode():
        expected, found = network(template, search), fused(template, search)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_decisions_are_those_of_the_modalities_alone(images):
    network = on_the_included_trunk(join="decision")
    template, search = images(127, 2), images(255, 2)
    with torch.inference_mode():
        found = network(template, search)
        alone = [network({m: template[m]}, {m: search[m]}) for m in MODALITIES]
    torch.testing.assert_close(found, fuse_decisions(alone), atol=1e-4, rtol=1e-4)


# --- The network --------------------------------------------------------------------------------


@pytest.mark.parametrize("preset", [p for p in JOINT_PRESETS if p.startswith("small")])
def test_presets_are_small_and_come_back_from_a_file(preset, images, tmp_path):
    network = JointTracker(**JOINT_PRESETS[preset]).eval()
    assert sum(p.numel() for p in network.parameters()) <= 2_000_000
    path = tmp_path / "network.safetensors"
    save_tracker(network, path)
    assert path.stat().st_size <= 8_000_000
    again = load_tracker(path)
    template, search = images(127), images(255)
    with torch.inference_mode():
        expected = network(template, search)
        torch.testing.assert_close(again(template, search), expected)
        fast = network.for_inference()
        folded = fast.joint_response(
            fast.kernels(fast.template(fast.prepare(template))),
            fast.features(fast.prepare(search)),
        )
    torch.testing.assert_close(folded, expected, atol=1e-3, rtol=1e-3)


def test_a_box_is_read_from_the_distances_to_its_sides():
    network = JointTracker(("rgb",))
    size = network.response_size
    loc = torch.tensor([10.0, 20, 30, 40]).log().view(1, 4, 1, 1).expand(-1, -1, size, size)
    cls = torch.zeros(1, 2, size, size)
    cls[0, 1, 2, 5] = 3
    candidates = network.candidates(Response(cls, loc))
    assert candidates.logits[0, 0].argmax() == 2 * size + 5
    # The cell lies (5 - 7) 16 and (2 - 7) 16 pixels from the middle.
    assert candidates.boxes[0, :, 0, 2, 5].tolist() == pytest.approx([-22, -70, 40, 60])


def test_the_mean_picture_is_read_as_one(images):
    network = JointTracker(**JOINT_PRESETS["nanotrack_mean"]).eval()
    crops = images(127)
    prepared = network.prepare(crops)
    expected = (crops["rgb"].flip(1) + crops["ir"]) / 2
    torch.testing.assert_close(prepared["mean"], expected)
    torch.testing.assert_close(
        network.prepare({"ir": crops["ir"]})["mean"], crops["ir"].expand(-1, 3, -1, -1)
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"modalities": ["uv"]},
        {"join": "sum"},
        {"join": "pixels", "fusion": "llrr"},
        {"tap": "pixels"},
        {"exemplar_size": 111},
        {"backbone": "compact"},
        {"backbone_args": {"blocks": "large"}},
    ],
)
def test_what_cannot_be_built_is_said(arguments):
    with pytest.raises((ValueError, UserError)):
        JointTracker(**arguments)


@pytest.mark.parametrize("name", BLOCKS)
def test_cells_of_the_backbone(name):
    backbone = MobileBackbone(name)
    assert backbone.stride == 16
    assert [backbone.cells(size) for size in (63, 127, 255)] == [4, 8, 16]


def test_weights_are_blended():
    networks = [JointTracker(("rgb",)) for _ in range(2)]
    networks[0].online = {"window": 0.3}
    blended = blend_trackers(networks, (3, 1))
    states = [network.state_dict() for network in networks]
    for name, tensor in blended.state_dict().items():
        expected = 0.75 * states[0][name] + 0.25 * states[1][name]
        torch.testing.assert_close(tensor, expected.to(tensor.dtype))
    assert blended.online == {"window": 0.3}
    for wrong in ((1,), (0, 0), (2, -1)):
        with pytest.raises(ValueError, match="shares"):
            blend_trackers(networks, wrong)
    with pytest.raises(ValueError, match="architectures"):
        blend_trackers([networks[0], JointTracker()], (1, 1))
