"""Distillation: teachers of any kind, losses that agree where networks do, a run that learns."""

from pathlib import Path

import lightning as L
import pytest
import torch
from torch.utils.data import DataLoader

from fusion.base.errors import UserError
from tracker.commands.cli import main
from tracker.model.joint import JOINT_PRESETS, JointTracker
from tracker.model.presets import build_network
from tracker.model.reading import Reading, cell_centres
from tracker.model.weights import load_tracker, save_tracker
from tracker.synthetic import random_spec, write_sequence
from tracker.training.dense_losses import (
    box_loss,
    label_cells,
    label_loss,
    resample,
    score_loss,
)
from tracker.training.distillation import Distillation

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "tracker"
CONFIGURATIONS = sorted(path.stem for path in EXPERIMENTS.glob("distill*.yaml"))

# A network of a few thousand parameters, on crops of a quarter of the area.
TINY = {
    "exemplar_size": 63,
    "search_size": 127,
    "depth": 1,
    "backbone_args": {
        "blocks": [[3, 8, 8, 2], [3, 16, 8, 2], [3, 16, 16, 2], [3, 24, 16]],
        "stem": 8,
    },
}


def make_batch(count=2, exemplar=63, search=127, seed=0):
    """What `VideoPairs` gives: a bright square on noise, at the box."""
    generator = torch.Generator().manual_seed(seed)
    batch = {}
    for crop, size in (("template", exemplar), ("search", search)):
        picture = torch.randint(0, 100, (count, 3, size, size), generator=generator).byte()
        middle = slice(size // 2 - 10, size // 2 + 10)
        picture[:, :, middle, middle] += 120
        for prefix in ("", "clean_"):
            batch[f"{prefix}{crop}_rgb"] = picture
            batch[f"{prefix}{crop}_ir"] = picture[:, :1]
    box = torch.tensor([[search // 2 - 10.0, search // 2 - 10, 20, 20]]).expand(count, -1)
    yes, no = torch.ones(count, dtype=torch.bool), torch.zeros(count, dtype=torch.bool)
    batch |= {"box": box, "template_box": box, "positive": yes, "labelled": yes}
    for m in ("rgb", "ir"):
        batch |= {f"usable_{m}": yes, f"shows_{m}": yes, f"failed_{m}": no}
    return batch


@pytest.fixture
def teacher(tmp_path):
    torch.manual_seed(1)
    path = tmp_path / "teacher.safetensors"
    save_tracker(JointTracker(**TINY), path)
    return str(path)


class Batches(L.LightningDataModule):
    def train_dataloader(self):
        return DataLoader([make_batch()] * 30, batch_size=None)


# --- Losses -------------------------------------------------------------------------------------


def test_score_loss_is_least_at_the_teachers_scores():
    torch.manual_seed(0)
    teacher = torch.randn(3, 5, 5) * 3
    weight = torch.ones(3)
    student = teacher.clone().requires_grad_()
    loss = score_loss(student, teacher, weight)
    (gradient,) = torch.autograd.grad(loss, student)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), atol=1e-6, rtol=0)
    assert score_loss(torch.randn(3, 5, 5), teacher, weight) > 0.01
    assert score_loss(torch.randn(3, 5, 5), teacher, torch.zeros(3)) == 0


def test_box_loss_counts_weighted_cells_alone():
    boxes = torch.tensor([0.0, 0, 10, 10]).view(1, 4, 1, 1).repeat(1, 1, 2, 2)
    other = boxes.clone()
    other[0, :, 0, 0] = torch.tensor([0.0, 0, 20, 10])
    other[0, 2, 1, 1] = float("inf")
    weights = torch.zeros(1, 2, 2)
    weights[0, 0, 0] = 1
    assert box_loss(other, boxes, weights) == pytest.approx(0.5, abs=1e-5)
    weights[0, 0, 0], weights[0, 0, 1] = 0, 1
    assert box_loss(other, boxes, weights) == pytest.approx(0, abs=1e-5)


def test_cells_of_a_label():
    boxes = torch.tensor([[16.0, 0, 64, 96], [0, 0, 2, 2], [0, 0, 64, 64]])
    positive = torch.tensor([True, True, False])
    target, background = label_cells(boxes, positive, 15, 16)
    x, y = cell_centres(15, 16)
    inside = ((x - 16) / 16) ** 2 + (y / 24) ** 2 < 1
    outside = ((x - 16) / 32) ** 2 + (y / 48) ** 2 > 1
    assert torch.equal(target[0], inside)
    assert torch.equal(background[0], outside)
    assert target[1].nonzero().tolist() == [[7, 7]]  # too small to have a cell of its own
    assert not target[2].any()
    assert background[2].all()


def test_label_loss_prefers_the_label():
    target, background = label_cells(torch.tensor([[0.0, 0, 64, 64]]), torch.tensor([True]), 7, 16)
    right = torch.where(target, 5.0, -5.0)
    assert label_loss(right, target, background, torch.ones(1)) < 0.05
    assert label_loss(-right, target, background, torch.ones(1)) > 2


def test_resampling_reads_a_linear_map_at_other_cells():
    # A map linear in x and y is read exactly, whatever the two grids.
    x, y = cell_centres(31, 8)
    logits = (0.1 * x - 0.2 * y)[None]
    reading = Reading(logits, torch.stack((x, y, x, y))[None])
    found = resample(reading, 15, 16, 8)
    x, y = cell_centres(15, 16)
    torch.testing.assert_close(found.logits[0], 0.1 * x - 0.2 * y, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.boxes[0, 1], y, atol=1e-4, rtol=1e-4)
    assert resample(reading, 31, 8, 8) is reading


# --- The procedure ------------------------------------------------------------------------------


def test_a_student_equal_to_its_teacher_has_nothing_to_learn(teacher):
    module = Distillation(
        JointTracker(**TINY),
        start=teacher,
        teacher=teacher,
        features=["backbone.blocks.3"],
        w_cls=0,
        w_loc=0,
    ).eval()
    batch = make_batch()
    batch["labelled"] = ~batch["labelled"]  # what an untrained teacher says is no label's
    terms, _ = module.terms(batch)
    for name, term in terms.items():
        assert term.item() == pytest.approx(0, abs=1e-4), name


def test_a_run_learns_and_is_forced_at_first(teacher, tmp_path):
    torch.manual_seed(0)
    module = Distillation(
        JointTracker(**TINY),
        teacher=teacher,
        features=["backbone.blocks.1", "backbone.blocks.3", "head.correlations.cls"],
        forcing=0.3,
        learning_rate=5e-3,
    )
    before = {name: float(term.detach()) for name, term in module.terms(make_batch())[0].items()}
    trainer = L.Trainer(
        max_steps=30,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, Batches())
    module.train()
    after = {name: float(term.detach()) for name, term in module.terms(make_batch())[0].items()}
    assert set(before) == {"feature", "score", "box", "cls", "loc"}
    assert sum(after.values()) < 0.6 * sum(before.values())
    assert after["feature"] < before["feature"]
    assert module._forcing_share() == 0


def test_labels_alone_train_without_a_teacher():
    module = Distillation(JointTracker(**TINY), w_score=0, w_box=0)
    terms, reading = module.terms(make_batch())
    assert set(terms) == {"cls", "loc"}
    assert reading.logits.shape == (2, module.network.response_size, module.network.response_size)


@pytest.mark.parametrize("student", ["joint", "compact"])
def test_teachers_and_students_of_other_kinds(student, tmp_path):
    """A network with anchors, of another stride and scale, teaches a joint one, and reversed."""
    torch.manual_seed(0)
    path = tmp_path / "teacher.safetensors"
    small = {"search_size": 111}
    if student == "joint":
        save_tracker(build_network("compact_dfat", **small), path)
        module = Distillation(JointTracker(**TINY), teacher=str(path))
        batch = make_batch()
    else:
        save_tracker(JointTracker(**TINY), path)
        module = Distillation(
            build_network("compact_dfat", **small),
            teacher=str(path),
        )
        batch = make_batch(exemplar=63, search=111)
    terms, _ = module.terms(batch)
    loss = sum(terms.values())
    assert torch.isfinite(loss)
    loss.backward()
    gradients = [p.grad for p in module.network.parameters() if p.grad is not None]
    assert gradients
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_features_of_other_sizes_are_compared_through_an_adapter(teacher):
    wide = TINY | {"backbone_args": TINY["backbone_args"] | {"stem": 12}}
    module = Distillation(
        JointTracker(**wide),
        teacher=teacher,
        features=["backbone.stem=backbone.blocks.1"],
        w_score=0,
        w_box=0,
    )
    (adapter,) = module.adapters
    assert (adapter.in_channels, adapter.out_channels) == (12, 8)
    terms, _ = module.terms(make_batch())
    assert torch.isfinite(terms["feature"])


def test_frozen_parts_keep_weights_and_statistics(teacher):
    module = Distillation(JointTracker(**TINY), teacher=teacher, frozen=["backbone"])
    assert not any(p.requires_grad for p in module.network.backbone.parameters())
    statistics = module.network.backbone.stem[1].running_mean.clone()
    module.terms(make_batch())
    torch.testing.assert_close(module.network.backbone.stem[1].running_mean, statistics)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "model.teacher"),
        ({"w_score": 0, "w_box": 0, "w_cls": 0, "w_loc": 0}, "all losses"),
        ({"start": "nowhere.safetensors"}, "nowhere.safetensors"),
        ({"teacher": "nowhere.pth"}, "nowhere.pth"),
        ({"forcing": -1}, "model.forcing"),
    ],
)
def test_wrong_arguments_are_named(arguments, said):
    with pytest.raises(UserError, match=said):
        Distillation(JointTracker(**TINY), **arguments)


def test_unknown_modules_are_named(teacher):
    for wrong, said in (
        ({"features": ["backbone.block"]}, "backbone.block"),
        ({"frozen": ["trunk"]}, "trunk"),
    ):
        with pytest.raises(UserError, match=said):
            Distillation(JointTracker(**TINY), teacher=teacher, **wrong)


# --- The command --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Two generated sequences of three frames."""
    folder = tmp_path_factory.mktemp("synthetic")
    for seed in range(2):
        spec = random_spec(seed, length=3, size=(160, 120), split="train")
        write_sequence(spec, folder / f"s{seed}")
    return folder


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configurations_run(name, footage, tmp_path):
    """One step from the command line, with an untrained teacher of the kind each is for."""
    torch.manual_seed(0)
    teacher, start = tmp_path / "teacher.safetensors", tmp_path / "start.safetensors"
    of_dfat = name == "distill_dfat"
    save_tracker(build_network("compact_dfat") if of_dfat else JointTracker(), teacher)
    options = {
        "model.init_args.teacher": teacher,
        "data.sequences.synthetic": footage,
        "data.weights": "null",
        "data.batch_size": 1,
        "trainer.max_steps": 1,
        "trainer.accelerator": "cpu",
        "trainer.enable_progress_bar": "false",
        "trainer.logger.init_args.save_dir": tmp_path / "runs",
    }
    if name not in ("distill", "distill_dfat"):
        save_tracker(JointTracker(**JOINT_PRESETS["small"]), start)
        options["model.init_args.start"] = start
    arguments = ["distill", "fit", "--config", str(EXPERIMENTS / f"{name}.yaml")]
    arguments += [text for key, value in options.items() for text in (f"--{key}", str(value))]
    assert main(arguments) == 0
    (weights,) = (tmp_path / "runs").rglob("weights.safetensors")
    expected = build_network("compact_dfat") if of_dfat else JointTracker(**JOINT_PRESETS["small"])
    assert load_tracker(weights).architecture == expected.architecture
