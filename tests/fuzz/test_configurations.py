"""Invalid configurations: refused in one line, or one training step with what remains valid.

Training and ablation, of both programs. (Those of workspaces are in test_annotations.py.)
"""

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from malformed import (
    DAMAGES,
    JUNK,
    REMOVED,
    assert_refused,
    counts,
    damaged,
    examples,
    places,
    replaced,
    run,
    scratch,
    tree,
)

from fusion.commands.cli import main as fusion
from fusion.images.reading import write_image
from tracker.commands.cli import main as tracker
from tracker.model.network import PRESETS
from tracker.synthetic import random_spec, write_sequence

pytestmark = pytest.mark.filterwarnings("ignore")

FUSION = {
    "seed_everything": 0,
    "trainer": {
        "gradient_clip_val": 1.0,
        "log_every_n_steps": 1,
        "callbacks": [
            {"class_path": "fusion.training.records.KeepRecord", "init_args": {"every_n_steps": 5}},
        ],
    },
    "model": {
        "class_path": "fusion.training.procedures.SaliencyTraining",
        "init_args": {
            "network": {
                "class_path": "fusion.networks.lrrnet.LRRNet",
                "init_args": {"num_filters": 2, "num_blocks": 1},
            },
            "w_hot": 2.0,
            "output_gain": 1.03,
            "learning_rate": 1.0e-3,
            "betas": [0.9, 0.99],
            "warmup_steps": 50,
            "start": None,
        },
    },
    "data": {
        "holdout": 1,
        "size": 24,
        "view": "crop",
        "saliency": True,
        "batch_size": 2,
        "subset": 3,
        "seed": 0,
        "references": None,
    },
}
AUTOENCODER = FUSION | {
    "model": {
        "class_path": "fusion.training.methods.ReconstructionTraining",
        "init_args": {
            "network": {
                "class_path": "fusion.networks.AUIF",
                "init_args": {"num_steps": 1, "num_filters": 4},
            },
            "window": 3,
            "learning_rates": {"detail": 1.0e-3},
            "milestones": [1],
            "decay": 0.1,
        },
    },
    "data": {"holdout": 1, "size": 24, "view": "center", "scaling": "unit", "batch_size": 2},
}
SMALL = {"search_size": 63, "exemplar_size": 31, "template_cells": 3, "channels": 8}
TRACKER = {
    "trainer": {"gradient_clip_val": 5.0},
    "model": {
        "class_path": "tracker.training.module.TrackerTraining",
        "init_args": {
            "network": {
                "class_path": "tracker.model.network.TrackerNetwork",
                "init_args": PRESETS["compact_rgb"] | SMALL,
            },
            "cls_loss": "focal",
            "optimizer": "adamw",
            "schedule": "cosine",
            "warmup": 0.03,
            "trained": None,
            "start": None,
        },
    },
    "data": {
        "weights": {"synthetic": 0.7},
        "pairs": 4,
        "reach": 60,
        "negatives": 0.1,
        "positive_iou": 0.55,
        "batch_size": 2,
        "augmentation": {"template_shift": 3, "flip": 0.5},
    },
}
ABLATION = {"base": "base.yaml", "tables": {"filters": {"data.size": [24, 32]}}}
BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
TEXTS = [
    "",
    "- a\n",
    "a: [",
    "\t",
    "a: 2001-99-99",
    "? [a, b]\n: c",
    "a: !!python/object/apply:os.mkdir [MARK]",
    "!!python/object/apply:os.mkdir [MARK]",
    "a: *b",
    "base: base.yaml\nbase: bad.yaml",
    "base: bad.yaml",
    "base: [1]",
    "base: /",
    "{" * 2000,
    BOMB,
    "model: 3\ndata: 3",
    "\ufeffseed_everything: x",
]


@st.composite
def texts(draw, base):
    """A configuration's bytes, with one to three errors."""
    kind = draw(st.sampled_from(["values", "values", "values", "bytes", "text"]))
    if kind == "text":
        return draw(st.sampled_from(TEXTS)).encode()
    if kind == "bytes":
        return damaged(yaml.safe_dump(base, sort_keys=False).encode(), draw(DAMAGES))
    for _ in range(draw(st.integers(1, 2))):
        known = list(places(base))
        path = draw(st.sampled_from(known))
        if draw(st.integers(0, 4)) == 0:
            path = (*path[:-1], draw(st.sampled_from(["unknown", "class_path"])))
            if isinstance(path[-2:-1] and _at(base, path[:-1]), list):
                continue
            base = replaced(base, path, draw(JUNK))
        else:
            base = replaced(base, path, draw(JUNK | st.just(REMOVED)))
    return yaml.safe_dump(base, sort_keys=False, allow_unicode=True).encode()


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    for number in range(5):
        for side in ("ir", "vis"):
            path = folder / "pairs" / side / f"{number}.png"
            write_image(path, rng.integers(0, 256, (32, 40), np.uint8))
    write_sequence(random_spec(0, length=3, size=(160, 120), split="train"), folder / "seqs/s")
    return folder


def fit(main, folder, content, *arguments):
    """One step on the CPU with a configuration; also checks what must always hold."""
    counts["configurations"] += 1
    config = folder / "bad.yaml"
    config.write_bytes(content.replace(b"MARK", str(folder / "mark").encode()))
    outcome = run(
        main, "train", "fit", "--config", config, *arguments, "--trainer.max_steps=1",
        "--trainer.max_epochs=-1", "--trainer.accelerator=cpu", "--trainer.devices=1",
        "--trainer.logger=false", "--trainer.enable_checkpointing=false", "--data.workers=0",
        "--trainer.enable_progress_bar=false", f"--trainer.default_root_dir={folder}",
        "--trainer.enable_model_summary=false", "--trainer.num_sanity_val_steps=0",
    )  # fmt: skip
    assert not (folder / "mark").exists()
    assert outcome.code in (0, 2) and "Traceback" not in outcome.err, outcome
    lines = [line for line in outcome.err.splitlines() if " train: " in line[:20]]
    if outcome.code == 2:
        assert len(lines) == 1 and outcome.err.splitlines()[-1] == lines[0], outcome
    else:
        assert not lines, outcome
    assert not [path for path in folder.rglob("*") if "partial" in path.name]
    return outcome


@pytest.mark.parametrize("program", ["fusion", "tracker"])
def test_whole_configurations_train(inputs, program):
    """Negative control."""
    with scratch() as folder:
        assert fit(*_command(program, folder, inputs)).code == 0


def _command(program, folder, inputs, content=None):
    if program == "fusion":
        content = content or yaml.safe_dump(FUSION, sort_keys=False).encode()
        return fusion, folder, content, "--data.root", inputs / "pairs"
    content = content or yaml.safe_dump(TRACKER, sort_keys=False).encode()
    return tracker, folder, content, "--data.roots", f"{{synthetic: {inputs / 'seqs'}}}"


@examples(8, 120)
@given(st.sampled_from([FUSION, AUTOENCODER]).flatmap(texts))
def test_fusion_training(inputs, content):
    with scratch() as folder:
        fit(*_command("fusion", folder, inputs, content))


@examples(4, 60)
@given(texts(TRACKER))
def test_tracker_training(inputs, content):
    with scratch() as folder:
        fit(*_command("tracker", folder, inputs, content))


@examples(25, 150)
@given(st.data(), st.booleans())
def test_ablations(data, is_base):
    """Their configurations alone are written; nothing is trained."""
    counts["configurations"] += 1
    whole = FUSION | {
        "trainer": {
            "logger": [{"class_path": "CSVLogger", "init_args": {"save_dir": "r", "name": "n"}}]
        }
    }
    content = data.draw(texts(whole if is_base else ABLATION))
    with scratch() as folder:
        files = {"bad.yaml": ABLATION, "base.yaml": whole}
        for name, keys in files.items():
            (folder / name).write_text(yaml.safe_dump(keys, sort_keys=False))
        content = content.replace(b"MARK", str(folder / "mark").encode())
        (folder / ("base.yaml" if is_base else "bad.yaml")).write_bytes(content)
        command = ["ablation", "--config", folder / "bad.yaml", "--configurations-only"]
        outcome = run(fusion, *command, "-o", folder / "out")
        written = [name for name in tree(folder) if name.startswith("out/configurations/")]
        assert not (folder / "mark").exists()
    if outcome.code == 0:
        assert written
    else:
        assert_refused(outcome, "bad.yaml", "base.yaml", "configurations")  # or a row of it


PLAN = {
    "baseline": "gate",
    "steps": 3,
    "rates": [0.001, 0.01],
    "seeds": [0, 1],
    "failing": ["ir"],
    "frames": 6,
    "data": {"holdout": 0.5, "recipe": {"pasted": 0.1}},
    "configurations": {
        "gate": {"network": {"join": "gate"}},
        "llrr": {
            "network": {"fusion": "llrr", "fusion_args": {"num_filters": 2}},
            "fixed": {"threshold": 0.0},
            "feature_loss": "eq15",
        },
    },
}


@examples(25, 150)
@given(st.data())
def test_plans_of_tracker_ablations(data):
    """A plan is read or refused; there is no data to train on, so that nothing ever begins."""
    counts["configurations"] += 1
    content = data.draw(texts(PLAN))
    with scratch() as folder:
        content = content.replace(b"MARK", str(folder / "mark").encode())
        (folder / "bad.yaml").write_bytes(content)
        outcome = run(tracker, "ablation", "--config", folder / "bad.yaml", "-o", folder / "out")
        assert not (folder / "mark").exists() and not (folder / "out").exists()
    assert_refused(outcome, "bad.yaml", "configurations", "data")
