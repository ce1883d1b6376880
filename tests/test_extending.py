"""Parts of a user's own, in a folder outside the repository, as the page on extending has them."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from pages import write_files

from fusion import write_image
from fusion.base.commandline import IMPORTS, SEARCHED
from tracker import build_network, load_tracker, save_tracker
from tracker.commands.cli import main
from tracker.evaluation.vot.entries import entry_origin, make_tracker
from tracker.synthetic import random_spec, write_sequence

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path, monkeypatch, registries):
    """A user's folder: the files of the page, and two sequences of four frames."""
    write_files((ROOT / "docs/extending.md").read_text(encoding="utf-8"), tmp_path)
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    for seed in range(2):
        spec = random_spec(seed, length=4, size=(160, 120), split="train")
        write_sequence(spec, tmp_path / "sequences" / f"s{seed}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in (IMPORTS, SEARCHED):  # commands set them for the programs they start
        monkeypatch.setenv(name, "")
    return tmp_path


def train(*arguments):
    small = ["--data.roots", "{synthetic: sequences}", "--data.workers", "0"]
    small += ["--data.batch_size", "2", "--data.pairs", "2", "--data.holdout", "0"]
    small += ["--trainer.max_steps", "1", "--trainer.enable_progress_bar", "false"]
    small += ["--trainer.log_every_n_steps", "1"]
    small += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", "run"]
    return main(["train", "fit", *arguments, *small, "--trainer.accelerator", "cpu"])


def track(weights, *arguments):
    return main(["track", "sequences/s0", "-o", "out", "--weights", str(weights), *arguments])


def tracked():
    return len(Path("out/boxes.txt").read_text().splitlines())


@pytest.mark.filterwarnings("ignore")
def test_a_backbone_trains_and_tracks(folder, forget, capfd):
    assert train("--config", "plain.yaml") == 0
    (weights,) = folder.glob("run/**/weights.safetensors")
    network = load_tracker(weights)
    assert type(network.backbones["shared"]).__name__ == "Plain"
    assert network.necks["shared"].levels[0][0].in_channels == 16
    kept = yaml.safe_load(next(folder.glob("run/**/config.yaml")).read_text())
    assert kept["import"] == ["my_backbone"]

    forget()  # as in another process
    capfd.readouterr()
    assert track(weights) == 2
    complaint = capfd.readouterr().err
    assert "weights.safetensors: unknown backbone 'plain'" in complaint and "--import" in complaint
    assert track(weights, "--import", "my_backbone") == 0 and tracked() == 4


@pytest.mark.filterwarnings("ignore")
def test_a_fusion_module_and_its_loss_train_and_track(folder, forget):
    torch.manual_seed(0)
    save_tracker(build_network("compact_dfat"), "stage1.safetensors")
    start = ["--model.init_args.start", "stage1.safetensors"]
    assert train("--config", "gated.yaml", *start) == 0
    metrics = next(folder.glob("run/**/metrics.csv"))
    assert "train/feature_strongest" in metrics.read_text().splitlines()[0]
    (weights,) = folder.glob("run/**/weights.safetensors")
    network = load_tracker(weights)
    assert network.fusions[0].gate.kernel_size == (3, 3)
    before, after = build_network("compact_dfat").state_dict(), network.state_dict()
    assert before.keys() < after.keys()
    forget()
    assert track(weights, "--import", "my_fusion") == 0 and tracked() == 4


@pytest.mark.parametrize("registered", [False, True])
def test_a_tracker_tracks(folder, registered):
    name, options = "my_tracker:BrightestBlob", []
    if registered:
        source = Path("my_tracker.py").read_text()
        decorator = '@TRACKERS.register("blob")\nclass BrightestBlob'
        source = source.replace("class BrightestBlob", decorator)
        source = "from tracker.evaluation.trackers import TRACKERS\n" + source
        Path("my_tracker.py").write_text(source)
        name, options = "blob", ["--import", "my_tracker"]
    assert main(["track", "sequences/s0", "-o", "out", "--tracker", name, *options]) == 0
    assert tracked() == 4


def test_a_tracker_is_evaluated_in_several_processes(folder, capsys):
    for name in ("a", "b"):  # GTOT's layout: a warm square that moves by two pixels per frame
        for number in range(1, 5):
            ir = np.zeros((60, 80), np.uint8)
            ir[20:30, 2 * number + 10 : 2 * number + 20] = 250
            write_image(f"gtot/{name}/v/{number:04d}.png", ir)
            write_image(f"gtot/{name}/i/{number:04d}.png", ir)
        corners = "".join(f"{2 * n + 10} 20 {2 * n + 20} 30\n" for n in range(1, 5))
        for modality in "vi":
            Path(f"gtot/{name}/groundTruth_{modality}.txt").write_text(corners)
    evaluate = ["evaluate", "--dataset", "gtot", "--root", "gtot", "--workers", "2"]
    evaluate += ["--tracker", "my_tracker:BrightestBlob"]
    assert main(evaluate) == 0
    assert "BrightestBlob" in capsys.readouterr().out
    assert len(list(folder.glob("results/gtot/BrightestBlob/*.txt"))) >= 2
    # Results of another version of the file are not taken for this one's.
    with open("my_tracker.py", "a") as file:
        file.write("# changed\n")
    assert main(evaluate) == 2
    assert "BrightestBlob" in capsys.readouterr().err


def test_a_tracker_in_the_workspace_is_an_entry(folder, tmp_path_factory, monkeypatch, forget):
    """The toolkit puts the workspace on the path of the tracker's process; the commands do too."""
    workspace = tmp_path_factory.mktemp("workspace")
    (folder / "my_tracker.py").rename(workspace / "my_tracker.py")
    monkeypatch.setattr("sys.path", list(sys.path))
    origin = entry_origin("my_tracker:BrightestBlob", workspace, {})
    tracker = make_tracker("my_tracker:BrightestBlob", workspace, {})
    tracker.init(None, np.zeros((40, 40), np.uint8), (5, 5, 10, 10))
    assert tracker.track(None, None) == ((5, 5, 10, 10), 0.0)
    with open(workspace / "my_tracker.py", "a") as file:
        file.write("# changed\n")
    assert entry_origin("my_tracker:BrightestBlob", workspace, {}) != origin
    (workspace / "my_parts.py").write_text(
        "from my_tracker import BrightestBlob\nfrom tracker.evaluation.trackers import TRACKERS\n"
        "TRACKERS.register('blob')(BrightestBlob)\n"
    )
    assert make_tracker("blob", workspace, {IMPORTS: "my_parts"}).track


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("my_tracker:Nobody", "my_tracker:Nobody"),
        ("no_such_module:make", "no_such_module"),
        ("blob", "unknown tracker 'blob'"),
        ("my_tracker:BrightestBlob.init", "missing a required argument: 'self'"),
        ("my_tracker:np.__name__", "my_tracker:np.__name__"),
        ("builtins:dict", "builtins:dict: returns a dict without init"),
    ],
)
def test_what_is_no_tracker_is_refused(folder, name, complaint, capsys):
    assert main(["track", "sequences/s0", "-o", "out", "--tracker", name]) == 2
    assert complaint in capsys.readouterr().err
    assert not Path("out").exists()


def test_a_layout_is_recognised_and_listed(folder, rng, capsys):
    for number in range(1, 3):
        image = rng.integers(0, 256, (40, 50), "uint8")
        write_image(f"set/walk/left/{number:04d}.png", image)
        write_image(f"set/walk/right/{number:04d}.png", image)
    Path("set/walk/boxes.txt").write_text("10,12,8,9\n" * 2)
    assert main(["--import", "my_layout", "data", "set", "--json"]) == 0
    assert '"walk"' in capsys.readouterr().out
    assert main(["parts"]) == 0
    assert "stereo        Two cameras side by side" in capsys.readouterr().out


def test_an_import_that_fails_is_named_once(folder, capsys):
    for arguments in (["--import", "nobody_wrote_this"], ["data", "set", "--import"]):
        assert main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("tracker: ") and ("nobody_wrote_this" in line or "--import" in line)
