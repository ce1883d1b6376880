"""Branches, presets, pixels and decision-level fusion."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from fusion.base.errors import UserError
from fusion.llrr.registry import FUSIONS
from tracker.model.backbone import Backbone
from tracker.model.decision import fuse_decisions
from tracker.model.head import Head, Response, depthwise_correlation
from tracker.model.neck import crop_centre
from tracker.model.network import PRESETS, TrackerNetwork, fold_batch_norm, infrared_shift
from tracker.model.presets import build_network
from tracker.model.registry import BACKBONES, HEADS

# --- Decision-level fusion ------------------------------------------------------------------------


def random_responses(count, batch=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [
        Response(
            torch.randn(batch, 10, 5, 5, generator=generator),
            torch.randn(batch, 20, 5, 5, generator=generator),
        )
        for _ in range(count)
    ]


def without_target(response):
    """The response with no positive target logit."""
    cls = response.cls.clone()
    cls[:, 5:] = -cls[:, 5:].abs()
    return Response(cls, response.loc)


def test_two_branches_follow_the_published_rule():
    rgb, ir = random_responses(2)
    w_rgb, w_ir = 0.5, 0.5
    joint = fuse_decisions([rgb, ir])
    cls = 0.5 * (w_rgb * rgb.cls + w_ir * ir.cls) / (w_rgb + w_ir)
    torch.testing.assert_close(joint.cls, cls)
    torch.testing.assert_close(joint.loc, (rgb.loc + ir.loc) / 2)


def test_a_branch_without_target_is_dropped_from_the_classification():
    rgb, ir = random_responses(2)
    blind = without_target(ir)
    joint = fuse_decisions([rgb, blind])
    torch.testing.assert_close(joint.cls, 0.5 * rgb.cls)  # weights 1 and 0 in the published rule
    torch.testing.assert_close(joint.loc, (rgb.loc + blind.loc) / 2)
    joint = fuse_decisions([rgb, blind], drop=False)
    torch.testing.assert_close(joint.cls, 0.25 * (rgb.cls + blind.cls))
    # No branch sees a target: none is dropped.
    both = [without_target(rgb), blind]
    torch.testing.assert_close(fuse_decisions(both).cls, 0.25 * (both[0].cls + both[1].cls))


def test_dropping_is_decided_item_by_item():
    rgb, ir = random_responses(2)
    cls = torch.cat([ir.cls[:1], without_target(ir).cls[1:]])
    joint = fuse_decisions([rgb, Response(cls, ir.loc)])
    torch.testing.assert_close(joint.cls[0], 0.25 * (rgb.cls[0] + ir.cls[0]))
    torch.testing.assert_close(joint.cls[1], 0.5 * rgb.cls[1])


def test_three_branches():
    responses = random_responses(3)
    cls, loc = (torch.stack(parts) for parts in zip(*responses, strict=True))
    joint = fuse_decisions(responses)
    torch.testing.assert_close(joint.cls, cls.mean(0) / 3)
    torch.testing.assert_close(joint.loc, loc.mean(0))
    weights = torch.tensor([1.0, 2.0, 5.0])
    joint = fuse_decisions(responses, weights.tolist())
    torch.testing.assert_close(joint.cls, torch.einsum("n,nbchw->bchw", weights / 24, cls))
    torch.testing.assert_close(joint.loc, torch.einsum("n,nbchw->bchw", weights / 8, loc))


def test_one_branch_is_left_as_it_is():
    (only,) = random_responses(1)
    for response in (only, without_target(only)):
        joint = fuse_decisions([response])
        torch.testing.assert_close(joint.cls, response.cls)
        torch.testing.assert_close(joint.loc, response.loc)


def test_a_branch_that_is_not_available_is_as_if_absent():
    responses = random_responses(3)
    available = torch.tensor([[True, True], [False, True], [True, False]])
    joint = fuse_decisions(responses, available=available)
    for item, names in enumerate([[0, 2], [0, 1]]):
        present = [Response(*(part[item : item + 1] for part in responses[n])) for n in names]
        alone = fuse_decisions(present)
        torch.testing.assert_close(joint.cls[item], alone.cls[0])
        torch.testing.assert_close(joint.loc[item], alone.loc[0])


def test_an_item_whose_branches_have_no_weight_takes_them_as_equal():
    """Every choice of available branches and of weights gives numbers, item by item."""
    responses = random_responses(3)
    choices = [c for c in itertools.product((False, True), repeat=3) if any(c)]
    for weights in itertools.product((0.0, 2.0), repeat=3):
        for available in itertools.product(choices, repeat=2):
            mask = torch.tensor(available).T
            joint = fuse_decisions(responses, weights, available=mask)
            for item, there in enumerate(available):
                present = [n for n in range(3) if there[n]]
                kept = [weights[n] for n in present]
                alone = fuse_decisions(
                    [Response(*(part[item : item + 1] for part in responses[n])) for n in present],
                    kept if any(kept) else None,
                )
                torch.testing.assert_close(joint.cls[item], alone.cls[0])
                torch.testing.assert_close(joint.loc[item], alone.loc[0])


def test_gates_weigh_cells_and_leave_out_the_unavailable():
    torch.manual_seed(0)
    network = build_network("compact_dfat_llrr")
    named = dict(zip(network.branches, random_responses(3), strict=True))
    joint = network.decide(named)
    stacked = torch.stack([response.cls for response in named.values()])
    assert (joint.cls <= stacked.amax(0) + 1e-6).all()
    assert (joint.cls >= stacked.amin(0) - 1e-6).all()
    everywhere, nowhere = torch.tensor([True, True]), torch.tensor([False, False])
    only_ir = network.decide(named, {"rgb": nowhere, "ir": everywhere, "fused": nowhere})
    torch.testing.assert_close(only_ir.cls, named["ir"].cls)
    torch.testing.assert_close(only_ir.loc, named["ir"].loc)


# --- Pixels ---------------------------------------------------------------------------------------


def random_images(size, batch=2, modalities=("rgb", "ir")):
    generator = torch.Generator().manual_seed(3)
    channels = {"rgb": 3, "ir": 1}
    return {
        m: torch.randint(
            0, 256, (batch, channels[m], size, size), dtype=torch.uint8, generator=generator
        )
        for m in modalities
    }


def test_published_pixels():
    network = build_network("compact_dfat", pixels="bgr255")
    images = random_images(63)
    inputs = network.prepare(images)
    rgb, ir = (images[m].numpy().astype(np.float64) for m in ("rgb", "ir"))
    np.testing.assert_array_equal(inputs["rgb"].numpy(), rgb[:, ::-1])
    shift = rgb.mean((1, 2, 3)) - ir.mean((1, 2, 3))
    expected = np.repeat(ir + shift[:, None, None, None], 3, axis=1)
    np.testing.assert_allclose(inputs["ir"].numpy(), expected, atol=1e-3)
    np.testing.assert_allclose(infrared_shift(**images).flatten(), shift, atol=1e-4)
    # Infrared alone is left as it is.
    alone = network.prepare({"ir": images["ir"]})["ir"]
    np.testing.assert_array_equal(alone.numpy(), np.repeat(ir, 3, axis=1))


def test_standardized_pixels_forget_gain_and_offset():
    network = build_network("compact_dfat")
    images = {m: x.float() for m, x in random_images(63).items()}
    inputs = network.prepare(images)
    for x in inputs.values():
        torch.testing.assert_close(x.mean((1, 2, 3)), torch.zeros(2), atol=1e-4, rtol=0)
        torch.testing.assert_close(x.square().mean((1, 2, 3)), torch.ones(2))
    dark = network.prepare({"rgb": images["rgb"] * 0.2 + 7, "ir": 255 - images["ir"]})
    torch.testing.assert_close(dark["rgb"], inputs["rgb"], atol=1e-4, rtol=0)
    torch.testing.assert_close(dark["ir"], -inputs["ir"], atol=1e-4, rtol=0)
    flat = network.prepare({"ir": torch.full((1, 1, 63, 63), 90)})["ir"]
    assert (flat == 0).all()


# --- Networks -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("compact")])
def test_compact_presets_are_small_and_respond(name):
    torch.manual_seed(0)
    network = build_network(name).eval()
    assert sum(parameter.numel() for parameter in network.parameters()) <= 3_000_000
    modalities = network.modalities
    with torch.inference_mode():
        responses = network(random_images(63, 2, modalities), random_images(159, 2, modalities))
    assert tuple(responses) == network.branches
    for cls, loc in responses.values():
        assert cls.shape == (2, 10, 15, 15) and loc.shape == (2, 20, 15, 15)
    assert network.anchors().shape == (4, 5, 15, 15)


def test_published_presets_have_their_branches():
    with torch.device("meta"):
        networks = {name: build_network(name) for name in PRESETS if not name.startswith("compact")}
    branches = {name: network.branches for name, network in networks.items()}
    fused = ("rgb", "ir", "fused")
    assert branches == {
        "rgb": ("rgb",), "ir": ("ir",), "dfat": ("rgb", "ir"), "dfat_rfn": fused, "dfat_llrr": fused
    }  # fmt: skip
    assert all(network.response_size == 25 for network in networks.values())


def test_shared_parts_are_one_batch_or_two_alike():
    torch.manual_seed(0)
    shared = build_network("compact_dfat", gate=False).eval()
    own = build_network("compact_dfat", gate=False, shared_backbone=False).eval()
    state = own.state_dict()
    for name in state:
        state[name] = shared.state_dict()[
            name.replace("s.rgb.", "s.shared.").replace("s.ir.", "s.shared.")
            if not name.startswith("stems")
            else name
        ]
    own.load_state_dict(state)
    images = random_images(63), random_images(159)
    with torch.inference_mode():
        for branch, response in shared(*images).items():
            for a, b in zip(response, own(*images)[branch], strict=True):
                torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fusion", ["llrr", "rfn"])
@pytest.mark.parametrize("tap", ["after_neck", "before_neck"])
def test_a_fused_branch_learns_at_either_tap(fusion, tap):
    torch.manual_seed(0)
    name = {"llrr": "compact_dfat_llrr", "rfn": "compact_dfat_rfn"}[fusion]
    network = build_network(name, fusion_tap=tap)
    responses = network(random_images(63), random_images(159))
    (responses["fused"].cls.square().mean() + responses["fused"].loc.square().mean()).backward()
    for part in ("fusions", "heads.fused", "necks.fused", "backbones.shared", "stems.ir"):
        gradients = [
            parameter.grad.abs().sum()
            for name, parameter in network.named_parameters()
            if name.startswith(part) and parameter.grad is not None
        ]
        if part == "necks.fused" and tap == "after_neck":
            assert not gradients
        else:
            assert sum(gradients) > 0, part
    assert all(p.grad is None for p in network.heads["shared"].parameters())


def test_a_missing_modality_leaves_its_branches_out():
    torch.manual_seed(0)
    network = build_network("compact_dfat_llrr").eval()
    template, search = random_images(63), random_images(159)
    with torch.inference_mode():
        full = network(template, search)
        partial = network(template, {"ir": search["ir"]})
    assert tuple(full) == ("rgb", "ir", "fused") and tuple(partial) == ("ir",)
    torch.testing.assert_close(partial["ir"].cls, full["ir"].cls, rtol=1e-4, atol=1e-6)


def test_branch_weights():
    torch.manual_seed(0)
    network = build_network("compact_dfat", gate=False, branch_weights=[0, 1])
    rgb, ir = random_responses(2)
    torch.testing.assert_close(network.decide({"rgb": rgb, "ir": ir}).cls, ir.cls)
    torch.testing.assert_close(network.decide({"rgb": rgb, "ir": ir}).loc, ir.loc)
    # A branch of weight 0 is still better than none.
    torch.testing.assert_close(network.decide({"rgb": rgb}).cls, rgb.cls)


def test_inference_copy_gives_the_same():
    torch.manual_seed(0)
    network = build_network("compact_dfat_rfn")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    network.eval()
    copy = network.for_inference()
    assert not any(isinstance(module, nn.BatchNorm2d) for module in copy.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    images = random_images(63), random_images(159)
    with torch.inference_mode():
        expected = network(*images)
        for branch, response in copy(*images).items():
            for a, b in zip(response, expected[branch], strict=True):
                torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4 * float(b.abs().max()))


def test_folding_keeps_lone_layers():
    layers = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.ReLU(), nn.BatchNorm2d(3))
    kinds = [type(layer) for layer in layers]
    assert [type(layer) for layer in fold_batch_norm(layers.eval())] == kinds


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"branches": []}, "branches must be some of"),
        ({"branches": ["rgb", "depth"]}, "branches must be some of"),
        ({"branches": ["rgb"], "fusion": "llrr"}, "needs both modalities"),
        ({"pixels": "rgb"}, "pixels must be one of"),
        ({"exemplar_size": 128}, "16 k .* got 128"),
        ({"search_size": 111}, "is less than exemplar_size"),
        ({"template_cells": 6}, "template_cells must be one of"),
        ({"branch_weights": [1, 1, 1]}, "branch_weights must be 2 numbers"),
        ({"branch_weights": [1, -1]}, "none negative"),
    ],
)
def test_arguments_that_do_not_go_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        TrackerNetwork(**({"backbone": "compact"} | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "resnet5"}, "backbone 'resnet5'; did you mean 'resnet50'"),
        ({"fusion": "lrrr"}, "fusion module 'lrrr'; did you mean 'llrr'"),
        ({"head": "fcos"}, "unknown head 'fcos'.*rpn"),
    ],
)
def test_unknown_parts(arguments, message):
    with pytest.raises(UserError, match=message):
        TrackerNetwork(**({"backbone": "compact"} | arguments))


def test_unknown_preset():
    with pytest.raises(UserError, match="preset 'dfat_lrr'; did you mean 'dfat_llrr'"):
        build_network("dfat_lrr")


# --- Parts of one's own ---------------------------------------------------------------------------


@pytest.fixture
def strided():
    """A backbone with padding and one level, of stride 4."""

    @BACKBONES.register("strided")
    class Strided(Backbone):
        channels = (12,)
        stride = 4

        def __init__(self, width: int = 12, padding: int = 1):
            super().__init__()
            self.channels = (width,)
            self.layers = nn.Sequential(
                nn.Conv2d(3, 8, 3, 2, padding), nn.ReLU(), nn.Conv2d(8, width, 3, 2, padding)
            )

        def forward(self, x):
            return [self.layers(x)]

    yield Strided
    BACKBONES.unregister("strided")


SIZES = {"exemplar_size": 61, "search_size": 125, "template_cells": 6, "anchor_ratios": [1]}


def test_an_own_backbone_says_its_stride_and_cells(strided):
    torch.manual_seed(0)
    network = TrackerNetwork(backbone="strided", channels=16, **SIZES)
    assert network.stride == 4 and network.num_levels == 1 and not network.stems
    responses = network(random_images(61), random_images(125))
    assert responses["rgb"].cls.shape == (2, 2, 27, 27) and network.response_size == 27
    shifts = network.anchors()[0, 0, 0].numpy()  # 4 pixels apart, about the centre
    np.testing.assert_allclose(shifts, (np.arange(27) - 13) * 4)


def test_the_response_of_an_own_backbone_is_centred(strided):
    """Search crops that hold the template at their centre: the correlation peaks in the middle."""
    torch.manual_seed(0)
    layers = strided().eval()
    search = torch.randn(1, 3, 125, 125)
    template = search[..., 32:93, 32:93]
    with torch.no_grad():
        kernel = crop_centre(layers(template)[0], 6)
        response = depthwise_correlation(layers(search)[0], kernel).sum(1)[0]
    assert divmod(int(response.argmax()), 27) == (13, 13)


def test_arguments_reach_an_own_backbone(strided):
    network = TrackerNetwork(backbone="strided", backbone_args={"width": 20}, **SIZES)
    assert network.backbones["shared"].channels == (20,)
    assert network.necks["shared"].levels[0][0].in_channels == 20


def test_crops_whose_centres_do_not_meet_are_refused(strided):
    for sizes in ({"exemplar_size": 62}, {"search_size": 128}):
        with pytest.raises(ValueError, match="centres do not meet"):
            TrackerNetwork(backbone="strided", **(SIZES | {"template_cells": 8} | sizes))


def test_levels_that_are_not_as_declared_are_refused(strided):
    strided.forward = lambda self, x: [self.layers(x)] * 2
    with pytest.raises(ValueError, match="channels are"):
        TrackerNetwork(backbone="strided", **SIZES)


def test_an_own_head_and_fusion_module():
    @HEADS.register("plain")
    class Plain(Head):
        def __init__(self, num_levels, channels, num_anchors, gain=1.0):
            super().__init__()
            self.gain = gain
            self.cls = nn.Conv2d(channels, 2 * num_anchors, 1)
            self.loc = nn.Conv2d(channels, 4 * num_anchors, 1)

        def kernels(self, template):
            return [(level, level * self.gain) for level in template]

        def forward(self, kernels, search):
            maps = [
                [depthwise_correlation(x, kernel) for kernel in pair]
                for pair, x in zip(kernels, search, strict=True)
            ]
            cls, loc = (torch.stack(part).mean(0) for part in zip(*maps, strict=True))
            return Response(self.cls(cls), self.loc(loc))

    @FUSIONS.register("sum")
    class Sum(nn.Module):
        def __init__(self, channels, weight=0.5):
            super().__init__()
            self.weight = nn.Parameter(torch.full((channels, 1, 1), weight))

        def forward(self, rgb, ir):
            return self.weight * rgb + (1 - self.weight) * ir

    try:
        network = build_network(
            "compact_dfat", head="plain", head_args={"gain": 2.0}, fusion="sum",
            fusion_args={"weight": 0.25},
        )  # fmt: skip
        assert network.heads["fused"].gain == 2 and network.fusions[0].weight.mean() == 0.25
        responses = network(random_images(63), random_images(159))
        assert responses["fused"].cls.shape == (2, 10, 15, 15)
    finally:
        HEADS.unregister("plain")
        FUSIONS.unregister("sum")
