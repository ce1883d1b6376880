"""Training of trackers: losses against plain computations, stages, resume, configurations."""

import csv
import math
import re
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import shapely
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from skimage.metrics import structural_similarity
from torch.utils.data import default_collate

from fusion.configuration import read_config
from fusion.errors import UserError
from fusion.losses import FeatureFusionLoss, gram_matrix
from tracker.anchors import anchor_grid
from tracker.cli import main
from tracker.head import Response
from tracker.network import PRESETS, build
from tracker.sampling import IGNORED, NEGATIVE, POSITIVE, Augmentation, PairGeometry
from tracker.synthetic import random_spec, write_sequence
from tracker.training import (
    FewLevelsFusionLoss,
    KeepTracker,
    RFNLoss,
    TargetData,
    TrackerTraining,
    best_boxes,
    cross_entropy_loss,
    expect_background,
    focal_loss,
    initialise,
    localisation_loss,
)
from tracker.weights import load_tracker, save_tracker

EXPERIMENTS = Path(__file__).parents[2] / "experiments" / "tracker"
CONFIGURATIONS = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))

# Small enough for tests: a quarter of the compact network's search region.
SMALL = {"search_size": 111, "fusion_filters": 4, "fusion_blocks": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three procedural sequences of three frames."""
    folder = tmp_path_factory.mktemp("synthetic")
    for seed in range(3):
        spec = random_spec(seed, length=3, size=(160, 120), split="train")
        write_sequence(spec, folder / f"s{seed}")
    return folder


def small_data(root, **arguments):
    augmentation = Augmentation(search_shift=24, blur=0, grey=0)
    arguments = {
        "batch_size": 2,
        "workers": 0,
        "pairs": 6,
        "augmentation": augmentation,
    } | arguments
    return TargetData({"synthetic": str(root)}, **arguments)


def small_training(preset="compact_dfat_llrr", **arguments):
    torch.manual_seed(0)
    changes = SMALL if "dfat_" in preset else {"search_size": 111}
    defaults = {"optimizer": "adamw", "learning_rate": 2e-3, "w_decision": 1.0}
    return TrackerTraining(preset, changes=changes, **(defaults | arguments))


def batch_of(module, root, draws=range(3), **arguments):
    data = small_data(root, **arguments)
    data.prepare_pairs(PairGeometry.of(module.network))
    return default_collate([data.train_set[0, draw] for draw in draws])


# --- Losses on responses ------------------------------------------------------------------------


@pytest.fixture
def responses():
    """Three pairs of two anchors on 3x3 cells; the last has no positive anchor."""
    generator = torch.Generator().manual_seed(0)
    response = Response(
        torch.randn(3, 4, 3, 3, generator=generator),
        torch.randn(3, 8, 3, 3, generator=generator) * 0.3,
    )
    labels = torch.randint(-1, 2, (3, 2, 3, 3), generator=generator)
    labels[2][labels[2] == POSITIVE] = IGNORED
    return response, labels


def anchors_of(labels):
    """Pair, anchor, row, column and label of everything that is not ignored."""
    for place in np.ndindex(*labels.shape):
        if labels[place] != IGNORED:
            yield *place, labels[place].item()


def test_cross_entropy_is_the_plain_sum(responses):
    response, labels = responses
    parts = {POSITIVE: [], NEGATIVE: []}
    for b, a, y, x, label in anchors_of(labels):
        background, target = response.cls[b, a, y, x].item(), response.cls[b, 2 + a, y, x].item()
        p = math.exp(target) / (math.exp(target) + math.exp(background))
        parts[label].append(-math.log(p if label == POSITIVE else 1 - p))
    expected = np.mean(parts[POSITIVE]) / 2 + np.mean(parts[NEGATIVE]) / 2
    assert cross_entropy_loss(response, labels).item() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_is_the_plain_sum(responses):
    response, labels = responses
    total = positives = 0
    for b, a, y, x, label in anchors_of(labels):
        logit = (response.cls[b, 2 + a, y, x] - response.cls[b, a, y, x]).item()
        p = 1 / (1 + math.exp(-logit))
        if label == POSITIVE:
            total += -0.25 * (1 - p) ** 2 * math.log(p)
            positives += 1
        else:
            total += -0.75 * p**2 * math.log(1 - p)
    assert focal_loss(response, labels).item() == pytest.approx(total / positives, rel=1e-5)


def box_of(cx, cy, w, h):
    return shapely.box(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)


@pytest.mark.parametrize("kind", ["l1", "smooth_l1", "giou"])
def test_localisation_is_the_plain_mean(responses, kind):
    response, labels = responses
    anchors = anchor_grid(3, scale=4, ratios=[1, 2])
    boxes = [[3.0, -4, 30, 25], [-5, 2, 40, 20], [0, 0, 20, 50]]
    errors = {0: [], 1: [], 2: []}
    for b, a, y, x, label in anchors_of(labels):
        if label != POSITIVE:
            continue
        ax, ay, aw, ah = anchors[:, a, y, x].tolist()
        dx, dy, dw, dh = (response.loc[b, 2 * k + a, y, x].item() for k in range(4))
        cx, cy, w, h = boxes[b]
        if kind == "giou":
            found = box_of(ax + dx * aw, ay + dy * ah, aw * math.exp(dw), ah * math.exp(dh))
            truth = box_of(cx, cy, w, h)
            union, hull = found.union(truth).area, shapely.box(*found.union(truth).bounds).area
            iou = found.intersection(truth).area / union
            errors[b].append(1 - iou + (hull - union) / hull)
        else:
            target = ((cx - ax) / aw, (cy - ay) / ah, math.log(w / aw), math.log(h / ah))
            differences = [abs(d - t) for d, t in zip((dx, dy, dw, dh), target, strict=True)]
            if kind == "smooth_l1":
                differences = [d * d / 2 if d < 1 else d - 0.5 for d in differences]
            errors[b].append(sum(differences))
    expected = sum(np.mean(of_pair) for of_pair in errors.values() if of_pair) / 3
    assert not errors[2]
    loss = localisation_loss(response, labels, torch.tensor(boxes), torch.from_numpy(anchors), kind)
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_losses_without_any_anchor_are_zero_and_have_gradients(responses):
    response = Response(*(part.clone().requires_grad_() for part in responses[0]))
    nothing = torch.full_like(responses[1], IGNORED)
    anchors = torch.from_numpy(anchor_grid(3, scale=4, ratios=[1, 2]))
    for loss in (
        cross_entropy_loss(response, nothing),
        focal_loss(response, nothing),
        localisation_loss(response, nothing, torch.ones(3, 4), anchors, "giou"),
    ):
        assert loss.item() == 0
        loss.backward()
    assert response.loc.grad.isfinite().all() and response.cls.grad.abs().sum() == 0


def test_the_best_box_is_the_highest_anchors(responses):
    response, _ = responses
    anchors = anchor_grid(3, scale=4, ratios=[1, 2])
    found = best_boxes(response, torch.from_numpy(anchors))
    for b in range(3):
        score = (response.cls[b, 2:] - response.cls[b, :2]).numpy()
        a, y, x = np.unravel_index(score.argmax(), score.shape)
        ax, ay, aw, ah = anchors[:, a, y, x]
        dx, dy, dw, dh = response.loc[b, a::2, y, x].numpy()
        expected = (ax + dx * aw, ay + dy * ah, aw * math.exp(dw), ah * math.exp(dh))
        assert found[b].tolist() == pytest.approx(expected, rel=1e-5)


def test_focal_loss_starts_from_rare_targets():
    network = build("compact_rgb")
    expect_background(network, prior=0.02)
    bias = network.heads["shared"].rpns[0].cls.head[-1].bias.detach()
    torch.testing.assert_close((bias[5:] - bias[:5]).sigmoid(), torch.full((5,), 0.02))


# --- Losses on fused features -------------------------------------------------------------------


def levels(count, seed):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 6, 13, 13, generator=generator) for _ in range(count)]


def test_eq_15_on_three_levels_and_on_two():
    fused, rgb, ir = (levels(3, seed) for seed in range(3))
    expected = FeatureFusionLoss()(fused, rgb, ir)
    torch.testing.assert_close(FewLevelsFusionLoss()(fused, rgb, ir), expected)

    terms = FewLevelsFusionLoss()(fused[:2], rgb[:2], ir[:2])
    shallow = 10 * ((fused[0] - 3 * rgb[0]) ** 2).mean()
    target = 2 * gram_matrix(ir[1]) + gram_matrix(rgb[1])
    deep = 2000 * ((gram_matrix(fused[1]) - target) ** 2).mean()
    torch.testing.assert_close(terms, {"shallow": shallow, "deep": deep})


def test_feature_losses_leave_their_targets_alone():
    for loss in (FewLevelsFusionLoss(), RFNLoss()):
        fused, rgb, ir = ([x.requires_grad_() for x in levels(2, seed)] for seed in range(3))
        sum(loss(fused, rgb, ir).values()).backward()
        assert all(x.grad.abs().sum() > 0 for x in fused)
        assert all(x.grad is None for x in rgb + ir)


def test_rfn_loss_is_the_plain_computation():
    fused, rgb, ir = (levels(2, seed) for seed in range(3))
    terms = RFNLoss()(fused, rgb, ir)
    intensity = structure = 0
    for f, r, i in zip(fused, rgb, ir, strict=True):
        squares = (f - (4 * i + 0.5 * r)) ** 2
        intensity += squares.mean().item() / (6 * 13 * 13)
        similarities = []
        for a, b in zip(f.flatten(0, 1).numpy(), r.flatten(0, 1).numpy(), strict=True):
            _, whole = structural_similarity(
                a, b, gaussian_weights=True, use_sample_covariance=False, data_range=1, full=True
            )
            similarities.append(whole[5:-5, 5:-5].mean())
        structure += 1 - np.mean(similarities)
    assert terms["intensity"].item() == pytest.approx(intensity, rel=1e-5)
    assert terms["structure"].item() == pytest.approx(structure, rel=1e-4)


# --- Terms and stages ---------------------------------------------------------------------------


def test_terms_carry_their_weights_and_skip_missing_modalities(root):
    module = small_training(
        feature_loss="eq15", w_cls=2.0, w_loc=3.0, w_branches=0.5, w_feature=0.1
    )
    module.eval()
    batch = batch_of(module, root)
    batch["usable_ir"] = torch.tensor([True, False, True])
    terms, responses = module.terms(batch)
    names = [f"{b}_{t}" for b in ("rgb", "ir", "fused", "decision") for t in ("cls", "loc")]
    assert list(terms) == [*names, "feature_shallow", "feature_deep"]
    labels = torch.where(batch["chosen"], batch["labels"], IGNORED)
    expected = 2 * 0.5 * cross_entropy_loss(responses["rgb"], labels)
    torch.testing.assert_close(terms["rgb_cls"], expected)
    expected = 3 * localisation_loss(responses["decision"], labels, batch["box"], module.anchors)
    torch.testing.assert_close(terms["decision_loc"], expected)
    # Infrared and fused see pairs 0 and 2, the decision of pair 1 is the visible's.
    kept = [0, 2]
    for branch in ("ir", "fused"):
        part = Response(*(x[kept] for x in responses[branch]))
        expected = 2 * 0.5 * cross_entropy_loss(part, labels[kept])
        torch.testing.assert_close(terms[f"{branch}_cls"], expected)
    torch.testing.assert_close(responses["decision"].cls[1], responses["rgb"].cls[1])
    features = module.respond(batch)[1]
    expected = FewLevelsFusionLoss()(features["fused"], features["rgb"], features["ir"])
    torch.testing.assert_close(terms["feature_deep"], 0.1 * expected["deep"])


def step(module, batch):
    module.train()
    terms, _ = module.terms(batch)
    sum(terms.values()).backward()
    return terms


@pytest.mark.parametrize("preset", [name for name in PRESETS if name.startswith("compact")])
def test_gradients_reach_every_parameter(root, preset):
    feature_loss = {"compact_dfat_llrr": "eq15", "compact_dfat_rfn": "rfn"}.get(preset)
    module = small_training(preset, cls_loss="focal", loc_loss="giou", feature_loss=feature_loss)
    step(module, batch_of(module, root))
    for name, parameter in module.network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("fusion", "loss"), [("llrr", "eq15"), ("rfn", "rfn")])
def test_feature_losses_are_of_full_precision_under_autocast(root, fusion, loss):
    """SSIM's variances are differences: in half precision they may be negative, the loss NaN."""
    module = small_training(f"compact_dfat_{fusion}", feature_loss=loss)
    batch = batch_of(module, root)
    with torch.autocast("cpu", torch.bfloat16):
        terms, _ = module.terms(batch)
    features = {name: term for name, term in terms.items() if name.startswith("feature")}
    assert len(features) == 2 and all(t.dtype == torch.float32 for t in features.values())
    sum(terms.values()).backward()
    assert all(p.grad.isfinite().all() for p in module.parameters())


def test_frozen_parts_keep_weights_and_statistics(root):
    module = small_training(trained=["fusions", "heads.fused"], feature_loss="eq15", copy_head=True)
    before = {name: tensor.clone() for name, tensor in module.network.state_dict().items()}
    shared, fused = module.network.heads["shared"], module.network.heads["fused"]
    for a, b in zip(shared.parameters(), fused.parameters(), strict=True):
        assert torch.equal(a, b)
    terms = step(module, batch_of(module, root))
    assert {name.split("_")[0] for name in terms} == {"fused", "decision", "feature"}
    changed = {n for n, t in module.network.state_dict().items() if not torch.equal(t, before[n])}
    assert changed and all(name.startswith("heads.fused") for name in changed)
    for name, parameter in module.network.named_parameters():
        if name.startswith(("fusions", "heads.fused")):
            assert parameter.grad.abs().sum() > 0, name
        else:
            assert not parameter.requires_grad and parameter.grad is None, name


def test_the_second_stage_starts_from_the_first(tmp_path):
    torch.manual_seed(1)
    first = build("compact_dfat")
    save_tracker(first, tmp_path / "first.safetensors")
    second = build("compact_dfat_llrr")
    fused = second.heads["fused"].cls_weight.clone()
    initialise(second, str(tmp_path / "first.safetensors"))
    tensors = second.state_dict()
    assert all(torch.equal(tensors[name], t) for name, t in first.state_dict().items())
    assert torch.equal(tensors["heads.fused.cls_weight"], fused)
    with pytest.raises(UserError, match=r"first\.safetensors: of another network"):
        initialise(build("compact_rgb"), str(tmp_path / "first.safetensors"))
    with pytest.raises(UserError, match="imagenet: ImageNet weights fit a resnet50"):
        initialise(second, "imagenet")
    with pytest.raises(UserError, match="no such file; train the stage that leaves it first"):
        initialise(second, str(tmp_path / "runs" / "weights.safetensors"))


@pytest.mark.parametrize(
    ("schedule", "expected"), [("log", [1, 5**-0.5, 0.2]), ("cosine", [1, 0.6, 0.2])]
)
def test_rates_warm_up_and_decay(schedule, expected):
    module = small_training(
        "compact_rgb", schedule=schedule, final_rate=2e-3 / 5, warmup=0.5, backbone_rate=0.1
    )
    module._trainer = SimpleNamespace(estimated_stepping_batches=20)
    configured = module.configure_optimizers()
    (factor, _) = configured["lr_scheduler"]["scheduler"].lr_lambdas
    assert [factor(0), factor(5)] == pytest.approx([0.2, 0.6])
    assert [factor(10), factor(15), factor(20)] == pytest.approx(expected)
    rest, backbone = configured["optimizer"].param_groups
    assert backbone["initial_lr"] == pytest.approx(rest["initial_lr"] / 10)
    count = sum(p.numel() for group in (rest, backbone) for p in group["params"])
    assert count == sum(p.numel() for p in module.network.parameters())


# --- Runs ---------------------------------------------------------------------------------------


def test_a_few_pairs_are_learned(root):
    """Without Eq. 15, which falls slower: its targets are features that are learning themselves."""
    module = small_training(cls_loss="focal", loc_loss="giou", w_loc=1.5, w_branches=0.5)
    module.train()
    batch = batch_of(module, root, draws=range(4), negatives=0.0, seed=1)
    optimizer = torch.optim.AdamW(module.parameters(), 2e-3)
    first = None
    for _ in range(120):
        loss = sum(module.terms(batch)[0].values())
        first = first or loss.item()
        if loss.item() < first / 15:
            break
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    terms, responses = module.terms(batch)
    assert sum(terms.values()).item() < first / 10
    assert module.overlaps(batch, responses).min() > 0.7


def fit(root, folder, steps, resume=None, rate=2e-3):
    """Train the visible's branch; the logged rows, the module, and the folder of its record."""
    module = small_training(
        "compact_rgb", warmup=0.0, schedule="log", final_rate=rate, learning_rate=rate
    )
    data = small_data(root, pairs=5, holdout=0.34, val_pairs=2)
    run = L.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=CSVLogger(folder, "run", "v"),
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        callbacks=[
            EMAWeightAveraging(decay=0.8),
            KeepTracker(every_n_steps=100, samples=2),
            ModelCheckpoint(folder, "at_{step}", every_n_train_steps=3, save_top_k=-1),
        ],
    )
    run.fit(module, data, ckpt_path=resume)
    with (folder / "run/v/metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return rows, module, folder / "run/v"


def test_a_resumed_run_is_the_uninterrupted_one_and_leaves_its_record(root, tmp_path):
    """Stopped in the middle of a pass (5 pairs in batches of 2: two steps a pass)."""
    rows, whole, record = fit(root, tmp_path / "whole", 6)
    fit(root, tmp_path / "cut", 3)
    again, resumed, _ = fit(root, tmp_path / "again", 6, tmp_path / "cut" / "at_step=3.ckpt")

    def losses(rows):
        return {int(r["step"]): float(r["train/loss"]) for r in rows if r["train/loss"]}

    expected, after = losses(rows), losses(again)
    assert sorted(expected) == list(range(6)) and sorted(after) == [3, 4, 5]
    for number, loss in after.items():
        assert loss == pytest.approx(expected[number], rel=1e-6)
    state = whole.network.state_dict()
    for name, tensor in resumed.network.state_dict().items():
        torch.testing.assert_close(tensor, state[name])

    assert (record / "losses.png").is_file() and list((record / "samples").glob("*6.png"))
    kept = load_tracker(record / "weights.safetensors")
    assert all(torch.equal(tensor, state[name]) for name, tensor in kept.state_dict().items())
    assert {"train/rgb_cls", "train/rgb_loc", "val/iou", "val/loss"} <= rows[0].keys()
    assert 0 <= float(next(r["val/iou"] for r in rows if r["val/iou"])) <= 1


def test_a_run_that_went_to_nan_ends_in_one_line(root, tmp_path):
    with pytest.raises(UserError, match=r"step \d: train/\w+ is (nan|inf).*learning_rate"):
        fit(root, tmp_path, 6, rate=1e18)


# --- Command line -------------------------------------------------------------------------------


def arguments_for(name, root, folder):
    """``train fit`` on a configuration, for a small CPU run."""
    arguments = ["train", "fit", "--config", str(EXPERIMENTS / f"{name}.yaml")]
    arguments += ["--data.roots", f"{{synthetic: {root}}}", "--data.workers", "0"]
    arguments += ["--data.batch_size", "2", "--data.pairs", "4", "--data.val_pairs", "2"]
    arguments += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(folder)]
    arguments += ["--trainer.accelerator", "cpu", "--trainer.enable_progress_bar", "false"]
    return arguments


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_run(root, tmp_path, name, capfd):
    """Two steps of the compact ones; the large ones are set up and stopped before the first."""
    arguments = arguments_for(name, root, tmp_path)
    compact = name.startswith("compact")
    arguments += ["--trainer.max_steps", "2" if compact else "0"]
    if compact:
        arguments += ["--data.holdout", "0.34"]
    # Neither ImageNet's weights nor the first stage's of the large ones are at hand.
    start = "null"
    if name in ("compact_dfat_rfn", "compact_dfat_llrr"):
        torch.manual_seed(0)
        start = str(tmp_path / "stage1.safetensors")
        save_tracker(build("compact_dfat"), start)
    arguments += ["--model.init_args.start", start]
    assert main(arguments) == 0
    if compact:
        (path,) = tmp_path.rglob("weights.safetensors")
        trained = load_tracker(path)
        assert trained.architecture == build(name).architecture
        if start != "null":  # what both stages have is as the first left it
            for part, tensor in load_tracker(start).state_dict().items():
                if not part.startswith("gates"):
                    torch.testing.assert_close(tensor, trained.state_dict()[part])
        errors = capfd.readouterr().err
        assert "pairs a second" in errors and "reading alone" in errors


def test_configurations_are_the_presets():
    assert set(CONFIGURATIONS) == set(PRESETS)
    for name in CONFIGURATIONS:
        path = EXPERIMENTS / f"{name}.yaml"
        keys = read_config(path)
        assert keys["model"]["init_args"]["preset"] == name
        assert {logger["init_args"]["name"] for logger in keys["trainer"]["logger"]} == {name}


@pytest.mark.parametrize("path", sorted(EXPERIMENTS.glob("*.yaml")), ids=lambda path: path.stem)
def test_no_documented_command_trains_on_a_test_set(path):
    """A dataset's folder holds its splits, and all sequences below a root are trained on."""
    roots = re.findall(r"roots\.lasher (\S+)", path.read_text())
    assert set(roots) <= {"LasHeR/trainingset"}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--data.sise", "3"], "--data.sise"),
        (["--data.augmentation.blurr", "3"], "--data.augmentation.blurr"),
        (["--data.augmentation.blur", "3"], "augmentation.blur: a probability is from 0 to 1"),
        (["--model.init_args.gama", "3"], "gama: no argument of tracker.training.Tracker"),
        (["--model.init_args.preset", "x"], "model.preset: no preset 'x'"),
        (["--model.init_args.changes", "{chanels: 3}"], "model.changes: "),
        (["--model.init_args.changes", "{preset: 3}"], "model.changes: "),
        (["--model.init_args.trained", "[necks.x]"], "model.trained: no parameter's name begins"),
        (["--model.init_args.start", "nowhere.pth"], "nowhere.pth: no such file"),
        (
            ["--model.init_args.feature_loss", "rfn"],
            "model.feature_loss: preset compact_rgb has no",
        ),
        (["--data.roots", "{synthetic: nowhere}"], "data.roots.synthetic: nowhere: no such folder"),
        (["--data.roots", "{synthetic: EMPTY}"], "EMPTY: no vot sequence in it"),
        (["--data.roots", "{}"], "data.roots: no folder"),
        (["--data.weights.sintetic", "2"], "data.weights.sintetic: no such source"),
        (["--model.init_args.w_decision", "0", "--model.init_args.w_branches", "0"], "model.w_br"),
        (["--data.holdout", "2"], "data.holdout: a share"),
        (["--data.pairs", "1", "--data.holdout", "0"], "fewer than the 2 of a step"),
    ],
)
def test_wrong_configurations_are_named_in_one_line(root, tmp_path, arguments, complaint, capfd):
    (tmp_path / "EMPTY").mkdir()
    arguments = [a.replace("EMPTY", str(tmp_path / "EMPTY")) for a in arguments]
    base = arguments_for("compact_rgb", root, tmp_path) + ["--trainer.max_steps", "1"]
    assert main(base + arguments) == 2
    last = capfd.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("tracker train: ") and complaint in last


def test_roots_may_be_given_one_by_one(root, tmp_path, capfd):
    arguments = arguments_for("compact_rgb", root, tmp_path)
    place = arguments.index("--data.roots")
    arguments[place : place + 2] = ["--data.roots.gtot", "nowhere"]
    assert main(arguments) == 2
    assert "data.roots.gtot: nowhere: no such folder" in capfd.readouterr().err
