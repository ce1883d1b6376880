"""Training of trackers: terms and stages, resume, configurations."""

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import default_collate

from fusion.base.configuration import read_config
from fusion.base.errors import UserError
from tracker.commands.cli import main
from tracker.model.head import Response
from tracker.model.network import PRESETS, TrackerNetwork
from tracker.model.presets import build_network
from tracker.model.weights import load_tracker, save_tracker
from tracker.synthetic import random_spec, write_sequence
from tracker.training.augmentation import Augmentation
from tracker.training.labels import IGNORED, PairGeometry
from tracker.training.losses import FewLevelsFusionLoss, cross_entropy_loss, localisation_loss
from tracker.training.module import KeepTracker, TargetData, TrackerTraining, load_initial_weights

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "tracker"
CONFIGURATIONS = sorted(
    path.stem
    for path in EXPERIMENTS.glob("*.yaml")
    if not path.stem.startswith(("distill", "ablation", "llrr"))
)

# Small enough for tests: a quarter of the compact network's search region.
SMALL = {"search_size": 111, "fusion_args": {"num_filters": 4, "num_blocks": 1}}


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
    changes = SMALL if preset.endswith("llrr") else {"search_size": 111}
    defaults = {"optimizer": "adamw", "learning_rate": 2e-3, "w_decision": 1.0}
    return TrackerTraining(build_network(preset, **changes), **(defaults | arguments))


def batch_of(module, root, draws=range(3), **arguments):
    data = small_data(root, **arguments)
    data.prepare_pairs(PairGeometry.of(module.network))
    return default_collate([data.train_set[0, draw] for draw in draws])


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
    first = build_network("compact_dfat")
    save_tracker(first, tmp_path / "first.safetensors")
    second = build_network("compact_dfat_llrr")
    fused = second.heads["fused"].cls_weight.clone()
    load_initial_weights(second, str(tmp_path / "first.safetensors"))
    tensors = second.state_dict()
    assert all(torch.equal(tensors[name], t) for name, t in first.state_dict().items())
    assert torch.equal(tensors["heads.fused.cls_weight"], fused)
    with pytest.raises(UserError, match=r"first\.safetensors: of another network"):
        load_initial_weights(build_network("compact_rgb"), str(tmp_path / "first.safetensors"))
    with pytest.raises(UserError, match="imagenet: ImageNet weights fit the backbones resnet50"):
        load_initial_weights(second, "imagenet")
    with pytest.raises(UserError, match="no such file; train the stage that leaves it first"):
        load_initial_weights(second, str(tmp_path / "runs" / "weights.safetensors"))


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
    """Without Eq. 15, which decreases more slowly, because its targets are trained as well."""
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
    """Interrupted in the middle of a pass (5 pairs in batches of 2: two steps per pass)."""
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
    else:
        # The record tracks its samples with the network: seconds for each.
        arguments += ["--trainer.callbacks", "tracker.training.module.KeepTracker"]
        arguments += ["--trainer.callbacks.samples", "1"]
    # Neither ImageNet's weights nor the first stage's of the large ones are at hand.
    start = "null"
    if name in ("compact_dfat_rfn", "compact_dfat_llrr"):
        torch.manual_seed(0)
        start = str(tmp_path / "stage1.safetensors")
        save_tracker(build_network("compact_dfat"), start)
    arguments += ["--model.init_args.start", start]
    assert main(arguments) == 0
    if compact:
        (path,) = tmp_path.rglob("weights.safetensors")
        trained = load_tracker(path)
        assert trained.architecture == build_network(name).architecture
        if start != "null":  # what both stages have is as the first left it
            for part, tensor in load_tracker(start).state_dict().items():
                if not part.startswith("gates"):
                    torch.testing.assert_close(tensor, trained.state_dict()[part])


def test_configurations_are_the_presets():
    assert set(CONFIGURATIONS) == set(PRESETS)
    for name in CONFIGURATIONS:
        path = EXPERIMENTS / f"{name}.yaml"
        keys = read_config(path)
        network = keys["model"]["init_args"]["network"]
        assert network["class_path"] == "tracker.model.network.TrackerNetwork"
        with torch.device("meta"):
            configured = TrackerNetwork(**network["init_args"])
            assert configured.architecture == build_network(name).architecture
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
        (["--model.init_args.gama", "3"], "gama: not an argument of tracker.training.module.Track"),
        (["--model.init_args.network", "mine.Net"], "mine.Net: cannot be imported"),
        (
            ["--model.init_args.network", "torch.nn.Conv2d"],
            "torch.nn.Conv2d: not a subclass of Tra",
        ),
        (
            ["--model.init_args.network.init_args.chanels", "3"],
            "chanels: not an argument of tracker.",
        ),
        (["--model.init_args.network.init_args.backbone", "compat"], "did you mean 'compact'"),
        (["--model.init_args.network.init_args.channels", "0"], "channels and anchor_ratios must"),
        (["--import", "no_such_module_of_mine"], "no_such_module_of_mine: no such module"),
        (["--model.init_args.trained", "[necks.x]"], "model.trained: no parameter's name begins"),
        (["--model.init_args.start", "nowhere.pth"], "nowhere.pth: no such file"),
        (
            ["--model.init_args.feature_loss", "rfn"],
            "model.feature_loss: the network has no fused branch",
        ),
        (["--data.roots", "{synthetic: nowhere}"], "data.roots.synthetic: nowhere: no such folder"),
        (["--data.roots", "{synthetic: EMPTY}"], "EMPTY: no vot sequence in it"),
        (["--data.roots", "{}"], "data.roots: no folder"),
        (["--data.weights.sintetic", "2"], "data.weights.sintetic: unknown source"),
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
    assert last.startswith(("tracker train: ", "tracker: ")) and complaint in last


def test_roots_may_be_given_one_by_one(root, tmp_path, capfd):
    arguments = arguments_for("compact_rgb", root, tmp_path)
    place = arguments.index("--data.roots")
    arguments[place : place + 2] = ["--data.roots.gtot", "nowhere"]
    assert main(arguments) == 2
    assert "data.roots.gtot: nowhere: no such folder" in capfd.readouterr().err
