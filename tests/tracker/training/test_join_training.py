"""Trainings of joins on cached features: what is cached, what trains, and what does not."""

import pytest
import torch

from fusion.base.errors import UserError
from tracker.model.joint import JointTracker
from tracker.model.weights import load_tracker
from tracker.training.feature_cache import CachedPairs, cache_features
from tracker.training.join_training import JoinTraining, on_trunk, train_join, validate_join
from tracker.training.real_video import load_masked_video
from tracker.training.recipe import Recipe
from tracker.training.video_pairs import VideoPairs

TINY = {
    "exemplar_size": 63,
    "search_size": 127,
    "depth": 1,
    "backbone_args": {
        "blocks": [[3, 8, 8, 2], [3, 16, 8, 2], [3, 16, 16, 2], [3, 24, 16]],
        "stem": 8,
    },
}
STACKS = {"fusion": "llrr", "fusion_args": {"num_filters": 3, "num_blocks": 1}}


@pytest.fixture(scope="module")
def pairs(masked_root):
    recipe = Recipe(unlabelled=0.0, drop=0.3)
    return VideoPairs([load_masked_video(masked_root)], 63, 127, recipe, length=24, seed=3)


@pytest.fixture(scope="module")
def trunk():
    torch.manual_seed(0)
    network = JointTracker(**TINY)
    with torch.no_grad():  # statistics of images, or nothing would depend on the input
        network.train()
        for _ in range(3):
            crops = {m: torch.rand(8, 3, 127, 127) * 255 for m in ("rgb", "ir")}
            network.features(network.prepare(crops))
    network.online = {"window": 0.3}
    return network


@pytest.fixture(scope="module")
def cached(trunk, pairs, tmp_path_factory):
    path = tmp_path_factory.mktemp("cache") / "features.safetensors"
    cache_features(trunk, pairs, path)
    return CachedPairs(path)


def batch_of(data, count=24):
    items = [data[i, i] for i in range(count)]
    return {name: torch.stack([item[name] for item in items]) for name in items[0]}


def test_cached_features_give_the_response_of_the_whole_network(trunk, pairs, cached):
    whole = batch_of(pairs)
    network = on_trunk(trunk, {}).eval()
    usable = {m: whole[f"usable_{m}"] for m in ("rgb", "ir")}
    assert not usable["rgb"].all() and not usable["ir"].all()
    crops = {c: {m: whole[f"{c}_{m}"] for m in ("rgb", "ir")} for c in ("template", "search")}
    with torch.no_grad():
        expected = network.candidates(network(crops["template"], crops["search"], usable)).best()
        found = JoinTraining(network).eval().read(batch_of(cached))
    torch.testing.assert_close(found.logits, expected.logits, atol=2e-3, rtol=2e-2)
    torch.testing.assert_close(found.boxes, expected.boxes, atol=0.1, rtol=1e-2)
    torch.testing.assert_close(batch_of(cached)["box"], whole["box"])


def test_a_damaged_cache_is_named(tmp_path):
    (tmp_path / "f.safetensors").write_bytes(b"no features")
    with pytest.raises(UserError, match=r"f\.safetensors.*compute it again"):
        CachedPairs(tmp_path / "f.safetensors")


@pytest.mark.parametrize(("parts", "trains"), [("join", "head.joins."), ("head", "head.")])
def test_only_the_named_parts_train(trunk, cached, parts, trains):
    torch.manual_seed(1)
    network = on_trunk(trunk, STACKS)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    module = JoinTraining(network, parts, rate=1e-2)
    assert {name.startswith(trains) for name, _ in module.trained} == {True}
    train_join(module, cached, 4, 8, 0)
    changed = {n for n, value in network.state_dict().items() if (value != before[n]).any()}
    assert changed and all(name.startswith(trains) for name in changed)
    assert {name for name, _ in module.trained} - changed <= {
        name for name, _ in module.trained if name.endswith(("bias", "lam"))
    }


def test_training_lowers_the_loss(trunk, cached):
    torch.manual_seed(2)
    module = JoinTraining(on_trunk(trunk, STACKS), "head", rate=1e-2, head_rate=1.0)
    start = validate_join(module, cached)
    train_join(module, cached, 90, 8, seed=5)
    assert validate_join(module, cached)["loss"] < 0.95 * start["loss"]
    assert 0 <= start["iou"] <= 1


def test_the_same_seed_gives_the_same_weights(trunk, cached):
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(2)
        module = JoinTraining(on_trunk(trunk, {}), rate=1e-2)
        train_join(module, cached, 3, 8, seed)
        states.append(torch.cat([p.detach().flatten() for _, p in module.trained]))
    assert (states[0] == states[1]).all() and (states[0] != states[2]).any()


def test_a_mean_on_a_frozen_trunk_has_nothing_to_train(trunk, cached):
    module = JoinTraining(on_trunk(trunk, {"join": "mean"}))
    before = [parameter.clone() for parameter in module.parameters()]
    assert module.trained == []
    train_join(module, cached, 4, 8, 0)
    assert all((a == b).all() for a, b in zip(before, module.parameters(), strict=True))


@pytest.mark.parametrize("tap", ["features", "maps", "towers"])
@pytest.mark.parametrize("fusion", ["llrr", "rfn", "conv"])
def test_every_fusion_trains_at_every_tap(trunk, cached, fusion, tap):
    arguments = STACKS | {"fusion": fusion, "tap": tap}
    if fusion == "rfn":
        del arguments["fusion_args"]
    module = JoinTraining(on_trunk(trunk, arguments))
    terms, _ = module.terms(batch_of(cached, 8))
    sum(terms.values()).backward()
    scales = [p for n, p in module.trained if n.endswith("scale")]
    assert len(scales) == 2 and all(p.grad.abs().max() > 0 for p in scales)


def test_fixed_parameters_keep_their_value(trunk, cached):
    module = JoinTraining(on_trunk(trunk, STACKS), rate=0.1, fixed={"threshold": 0.0})
    train_join(module, cached, 3, 8, 0)
    thresholds = [p for n, p in module.network.named_parameters() if n.endswith("threshold")]
    assert len(thresholds) == 4 and all((p == 0).all() for p in thresholds)
    with pytest.raises(ValueError, match=r"fixed.*thresh0ld"):
        JoinTraining(on_trunk(trunk, STACKS), fixed={"thresh0ld": 0.0})


def test_initial_values_train(trunk, cached):
    module = JoinTraining(on_trunk(trunk, STACKS), rate=0.1, initial={"threshold": 0.25})
    thresholds = [p for n, p in module.network.named_parameters() if n.endswith("threshold")]
    assert len(thresholds) == 4 and all((p == 0.25).all() for p in thresholds)
    train_join(module, cached, 3, 8, 0)
    assert all((p != 0.25).any() for p in thresholds)


def test_bfloat16_is_near_float32(trunk, cached):
    states, start = [], None
    for precision in ("32-true", "bf16-mixed"):
        torch.manual_seed(2)
        module = JoinTraining(on_trunk(trunk, STACKS), rate=1e-2)
        start = torch.cat([p.detach().flatten().clone() for _, p in module.trained])
        train_join(module, cached, 3, 8, 0, precision)
        states.append(torch.cat([p.detach().flatten() for _, p in module.trained]))
        assert all(p.is_contiguous() for p in module.parameters())
    moved = [state - start for state in states]
    assert not torch.equal(*states) and torch.cosine_similarity(*moved, dim=0) > 0.9


def test_terms_of_eq_15_are_those_of_the_fused_maps(trunk, cached):
    gammas = (2.0, 0.0, 3.0)
    network = on_trunk(trunk, STACKS)
    module = JoinTraining(network, feature_loss="eq15", feature_loss_args={"gammas": gammas})
    batch = batch_of(cached, 8)
    terms, _ = module.terms(batch)
    maps = {}
    with torch.no_grad():
        of = {c: {m: batch[f"{c}_{m}"] for m in ("rgb", "ir")} for c in ("template", "search")}
        found = network.correlate(network.kernels(of["template"]), of["search"])
        both = batch["usable_rgb"] & batch["usable_ir"]
        for part, (index, name) in enumerate(((0, "cls"), (1, "loc"))):
            rgb, ir = found["rgb"][index][both], found["ir"][index][both]
            maps[part] = network.head.joins[name].fusion(rgb, ir), rgb, ir

        def gram(x):
            flat = x.flatten(2)
            return flat @ flat.mT / (x.shape[1] * x.shape[2] * x.shape[3])

    fused, rgb, _ = maps[0]
    assert terms["shallow"].item() == pytest.approx(
        2 * ((fused - 3 * rgb) ** 2).mean().item(), rel=1e-3
    )
    fused, rgb, ir = maps[1]
    error = (gram(fused) - 2 * gram(ir) - gram(rgb)).square().mean().item()
    assert terms["deep"].item() == pytest.approx(3 * error, rel=1e-3)


def test_a_trunk_is_taken_whole_or_refused(trunk):
    network = on_trunk(trunk, {"modalities": ["ir"]})
    assert network.online == {"window": 0.3} and not network.head.joins
    for name, value in network.state_dict().items():
        assert (value == trunk.state_dict()[name]).all()
    # Every join starts anew, also the one that the trunk was trained with.
    trained = load_tracker()
    gates = on_trunk(trained, {"join": "gate"}).head.joins["cls"].gates["rgb"].weight
    assert trained.head.joins["cls"].gates["rgb"].weight.abs().max() > 0 and (gates == 0).all()
    kept = on_trunk(trained, {"join": "gate", **STACKS}, keep_join=True).head.joins["cls"]
    assert (kept.gates["rgb"].weight == trained.head.joins["cls"].gates["rgb"].weight).all()
    assert (kept.scale == 0).all()
    with pytest.raises(ValueError, match="more than how"):
        on_trunk(trunk, {"depth": 2})
