"""Reference-then-supervision: filter, enhancement, folders, training."""

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from fusion.base.errors import UserError
from fusion.commands.cli import main
from fusion.commands.scene import street_pair
from fusion.evaluation.metrics.contrast import average_gradient
from fusion.images.reading import read_image, write_image
from fusion.networks.weights import load_network
from fusion.training import reference
from fusion.training.losses import ReferenceLoss
from fusion.training.pairs import PairData, PairDataset, find_pairs
from fusion.training.reference import (
    BRIGHTNESS,
    MAX_SHARPENING,
    Enhancement,
    choose,
    draw_sheet,
    enhance,
    exposure_is_sound,
    local_contrast,
    rank_weights,
    read_references,
)

EXPERIMENTS = Path(__file__).parents[3] / "experiments" / "fusion"


def grey_pair(seed=0, width=160, height=120):
    ir, vis = street_pair(width, height, seed=seed)
    return ir, vis.mean(2).astype(np.uint8)


def results_of(ir, vis):
    """Candidates of known quality; ``flicker`` has spurious edges, ``dark`` is out of range."""
    a, b = ir.astype(float), vis.astype(float)
    flicker = np.random.default_rng(0).integers(-90, 90, ir.shape)
    pictures = {
        "maximum": np.maximum(a, b),
        "average": (a + b) / 2,
        "laplacian": load_network(method="laplacian").fuse(ir, vis, color=False),
        "lrrnet": load_network().fuse(ir, vis, color=False),
        "faint": 90 + 0.15 * (a + b) / 2,
        "visible": b,
        "flicker": np.clip(b + flicker, 0, 255),
        "dark": (a + b) / 12,
    }
    return {name: np.rint(picture).astype(np.uint8) for name, picture in pictures.items()}


# --- Filter -------------------------------------------------------------------------------------


def test_weights_fall_with_the_rank_and_sum_to_1():
    weights = rank_weights([1.0, 2.5, 4.0], count=6)
    assert sum(weights) == pytest.approx(1)
    assert weights[0] / weights[2] == pytest.approx(6 / 3)
    assert weights == sorted(weights, reverse=True)


def test_the_filter_guards_ranks_and_keeps_five():
    ir, vis = grey_pair()
    candidates = results_of(ir, vis)
    chosen = choose(candidates, ir, vis)
    names = [reference.method for reference in chosen]
    assert len(names) == 5
    assert not {"flicker", "dark"} & set(names)
    assert "faint" not in names  # passes the guards, but has the lowest rank
    assert sum(reference.weight for reference in chosen) == pytest.approx(1)
    assert [r.mean_rank for r in chosen] == sorted(r.mean_rank for r in chosen)
    assert choose(dict(reversed(candidates.items())), ir, vis) == chosen
    assert choose({"dark": candidates["dark"]}, ir, vis) == []


def test_exposure_is_judged_against_the_sources():
    dim = np.full((8, 8), 20, np.uint8)
    assert exposure_is_sound(dim, dim, dim)
    assert exposure_is_sound(dim // 2, dim, dim) and not exposure_is_sound(dim // 3, dim, dim)
    assert not exposure_is_sound(np.full((8, 8), 200, np.uint8), dim, dim)


# --- Enhancement --------------------------------------------------------------------------------


def test_a_picture_in_range_is_left_alone():
    _, vis = grey_pair()
    vis = np.clip(vis.astype(float) - vis.mean() + 120, 0, 255).astype(np.uint8)
    picture, done = enhance(vis, vis // 2, vis)
    assert picture is vis and done == Enhancement()


@pytest.mark.parametrize("brightness", [25, 230])
def test_brightness_is_brought_towards_the_range(brightness):
    flat = np.full((32, 32), brightness, np.uint8)
    picture, done = enhance(flat, flat, flat)
    assert (done.gamma < 1) == (brightness < 128) and done.gamma != 1
    low, high = (255 * bound for bound in BRIGHTNESS)
    before = max(low - brightness, brightness - high)
    after = max(low - picture.mean(), picture.mean() - high)
    assert after < before


def test_a_dull_picture_gains_contrast_by_what_it_lacks():
    ir, vis = grey_pair()
    changes = []
    for share in (0.4, 0.9):
        centred = 120 + share * (vis.astype(float) - vis.mean())
        dull = np.rint(centred).clip(0, 255).astype(np.uint8)
        picture, done = enhance(dull, ir, vis)
        assert done.gamma == 1 and done.clip > 1
        assert local_contrast(picture) > local_contrast(dull)
        changes.append(done.clip)
    assert changes[0] > 1.2 * changes[1]


def test_a_picture_of_contrast_without_detail_is_sharpened_by_what_it_lacks(rng):
    """Broad stripes of more contrast than the source, without its fine texture."""
    stripes = 120 + 50 * np.sign(np.sin(np.arange(128) / 8)) * np.ones((96, 1))
    soft = np.rint(cv2.GaussianBlur(stripes, (0, 0), 2)).astype(np.uint8)
    strengths = []
    for amplitude in (14, 22):
        texture = rng.uniform(-amplitude, amplitude, stripes.shape)
        source = np.rint(120 + 0.3 * (stripes - 120) + texture).astype(np.uint8)
        assert local_contrast(soft) > local_contrast(source)
        picture, done = enhance(soft, soft, source)
        assert done.gamma == 1 and done.clip == 0
        assert average_gradient(soft) < average_gradient(picture)
        strengths.append(done.sharpening)
    assert 0 < strengths[0] <= strengths[1] <= MAX_SHARPENING


# --- Folders and command ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three pairs, results of all methods (``average`` lacks one), and their references."""
    folder = tmp_path_factory.mktemp("references")
    for i in range(3):
        ir, vis = grey_pair(i, 96, 80)
        write_image(folder / "ir" / f"{i}.png", ir)
        write_image(folder / "vis" / f"{i}.png", vis)
        for name, picture in results_of(ir, vis).items():
            if (name, i) != ("average", 2):
                write_image(folder / "results" / name / f"{i}.png", picture)
    assert run(folder, "out") == 0
    return folder


def run(root, out, *extra, methods=("maximum", "average", "laplacian", "lrrnet", "faint", "dark")):
    results = [f"{name}={root / 'results' / name}" for name in methods]
    sources = ["--ir", root / "ir", "--vis", root / "vis", "-o", root / out]
    return main(["reference", *map(str, sources), "--results", *results, *map(str, extra)])


def test_ranks_are_folders_and_lists(root):
    references = read_references(root / "out")
    with (root / "out/references.csv").open() as file:
        table = list(csv.DictReader(file))
    assert sorted(references) == ["0", "1", "2"]
    assert [len(references[stem]) for stem in "012"] == [5, 5, 4]
    for stem, ranked in references.items():
        assert sum(weight for _, weight in ranked) == pytest.approx(1, abs=1e-5)
        ir, vis = (read_image(root / kind / f"{stem}.png") for kind in ("ir", "vis"))
        for rank, (path, weight) in enumerate(ranked, 1):
            assert path == root / "out" / f"rank_{rank}" / f"{stem}.png"
            (row,) = [r for r in table if (r["picture"], r["rank"]) == (path.name, str(rank))]
            assert float(row["weight"]) == pytest.approx(weight, abs=1e-6)
            candidate = read_image(root / "results" / row["method"] / f"{stem}.png")
            np.testing.assert_array_equal(read_image(path), enhance(candidate, ir, vis)[0])
    lines = (root / "out/rank_1.txt").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["0.png", "1.png", "2.png"]


def test_processes_change_nothing_and_what_exists_is_left(root, capsys):
    assert run(root, "again", "--keep", 2, "--workers", 2) == 0
    for stem, ranked in read_references(root / "again").items():
        first = read_references(root / "out")[stem]
        for (path, _), (other, _) in zip(ranked, first, strict=False):
            np.testing.assert_array_equal(read_image(path), read_image(other))
    picture = root / "again/rank_1/1.png"
    before = picture.stat().st_mtime_ns, (root / "again/rank_2.txt").read_text()
    assert run(root, "again", "--keep", 2, "--skip-existing") == 0
    assert (picture.stat().st_mtime_ns, (root / "again/rank_2.txt").read_text()) == before


def test_lists_of_more_ranks_before_are_removed(root):
    assert run(root, "fewer", "--keep", 3) == 0
    (root / "fewer/rank_1 (copy).txt").write_text("not ours")
    assert run(root, "fewer", "--keep", 1) == 0
    assert [len(ranked) for ranked in read_references(root / "fewer").values()] == [1, 1, 1]
    lists = sorted(path.name for path in (root / "fewer").glob("*.txt"))
    assert lists == ["rank_1 (copy).txt", "rank_1.txt"]


def test_what_was_made_before_an_interruption_is_listed_and_left(root, monkeypatch):
    make, calls = reference._make, []

    def interrupted(job):
        calls.append(job)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return make(job)

    monkeypatch.setattr(reference, "_make", interrupted)
    assert run(root, "stopped") == 130
    assert sorted(read_references(root / "stopped")) == ["0", "1"]
    assert run(root, "stopped", "--skip-existing") == 0
    assert len(calls) == 4
    assert read_references(root / "stopped").keys() == read_references(root / "out").keys()


def test_sheets_leave_candidates_of_another_size_out(root, tmp_path):
    results = {"average": root / "results/average", "other": tmp_path / "other"}
    write_image(tmp_path / "other/1.png", np.zeros((8, 9), np.uint8))
    pair = root / "ir/1.png", root / "vis/1.png"
    height = draw_sheet(*pair, results, tmp_path / "none").shape[0]
    assert height == draw_sheet(*pair, {"average": results["average"]}, tmp_path / "none").shape[0]
    with pytest.raises(UserError, match=r"other/1\.png: "):
        draw_sheet(*pair, results, tmp_path / "none", fused=tmp_path / "other")


def test_sheets_show_candidates_chosen_enhanced_and_result(root):
    fused = root / "results/lrrnet"
    assert run(root, "out", "--skip-existing", "--sheets", 1, "--fused", fused) == 0
    (path,) = (root / "out/sheets").glob("*.png")
    height, width = read_image(path).shape[:2]
    assert path.stem == "1" and height > 4 * 80 and width > 6 * 96


def test_what_nothing_is_good_for_is_named(root, capsys):
    assert run(root, "none", methods=("dark",)) == 2
    assert "no pair has references" in capsys.readouterr().err
    assert not (root / "none").exists()


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [(["--keep", 0], "--keep: '0'"), (["--sheets", -1], "--sheets"), (["--workers", 0], "workers")],
)
def test_bad_options_are_one_line(root, extra, complaint, capsys):
    with pytest.raises(SystemExit, match="2"):
        run(root, "bad", *extra)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert complaint in line


def test_references_are_not_written_among_inputs(root, capsys):
    assert run(root, "ir") == 2 and run(root, "results/dark") == 2
    assert capsys.readouterr().err.count("the output folder holds the inputs") == 2
    assert not list((root / "ir").glob("rank_*"))


def test_damaged_references_are_named(tmp_path):
    with pytest.raises(UserError, match=r"contains no rank_1\.txt"):
        read_references(tmp_path)
    (tmp_path / "rank_1.txt").write_text("a.png,0.5\nb.png\n")
    with pytest.raises(UserError, match=r"rank_1\.txt: line 2 "):
        read_references(tmp_path)


# --- Training -----------------------------------------------------------------------------------


def test_views_of_references_are_those_of_their_pair(root):
    references = read_references(root / "out")
    # The visible images are the references, divided by 255: both views must agree.
    visible = [root / "vis" / f"{name}.png" for name in references]
    same = {path: [(path, 0.75)] for path in visible}
    same[visible[0]].append((root / "ir/0.png", 0.25))
    data = PairDataset(find_pairs(root), size=24, scaling="unit", references=same)
    for key in ((0, 3), (1, 4), (2, 9)):
        item = data[key]
        torch.testing.assert_close(item["references"][:1], item["vis"])
    assert data[0, 3]["weights"].tolist() == [0.75, 0.25]
    assert data[1, 4]["weights"].tolist() == [0.75, 0.0]
    torch.testing.assert_close(data[1, 4]["references"][1:], data[1, 4]["vis"])


def test_pairs_without_references_are_left_out(root, tmp_path):
    write_image(tmp_path / "rank_1" / "1.png", read_image(root / "vis/1.png"))
    (tmp_path / "rank_1.txt").write_text("1.png,1\n")
    data = PairData(str(root), size=24, batch_size=1, references=str(tmp_path))
    data.setup()
    assert [vis.stem for _, vis in data.train_set.pairs] == ["1"]
    write_image(tmp_path / "rank_1" / "1.png", np.zeros((9, 9), np.uint8))
    with pytest.raises(UserError, match=r"rank_1/1\.png: 9x9"):
        data.train_set[0, 0]


def test_pairs_of_one_file_name_have_references_of_their_own(tmp_path):
    """In KAIST's tree every video begins with a picture of the same name."""
    grey = {"set00/V000": 40, "set00/V001": 120, "set01/V000": 200}
    for video, value in grey.items():
        picture = np.full((24, 32), value, np.uint8)
        for side in ("lwir", "visible"):
            write_image(tmp_path / "kaist" / video / side / "I00000.png", picture)
        folder = tmp_path / "references" / video
        write_image(folder / "rank_1/I00000.png", picture)
        (folder / "rank_1.txt").write_text("I00000.png,1\n")
    data = PairData(str(tmp_path / "kaist"), size=16, references=str(tmp_path / "references"))
    data.setup()
    items = [data.train_set[index, 0] for index in range(3)]
    assert [round(255 * float(item["references"].mean())) for item in items] == [40, 120, 200]
    # The references of one video alone are of none of the tree's pairs by that name.
    data = PairData(
        str(tmp_path / "kaist"), size=16, references=str(tmp_path / "references/set00/V001")
    )
    with pytest.raises(UserError, match=r"set00/V001: .* no pair"):
        data.setup()


def test_names_of_a_list_may_have_folders_and_are_there_once(tmp_path):
    (tmp_path / "rank_1.txt").write_text("set00/V000/I0.png,0.5\nset00/V001/I0.png,0.25\n")
    assert read_references(tmp_path) == {
        "set00/V000/I0": [(tmp_path / "rank_1/set00/V000/I0.png", 0.5)],
        "set00/V001/I0": [(tmp_path / "rank_1/set00/V001/I0.png", 0.25)],
    }
    (tmp_path / "rank_1.txt").write_text("1.png,0.5\n1.jpg,0.25\n")
    with pytest.raises(UserError, match=r"rank_1\.txt: line 2 .* again"):
        read_references(tmp_path)


@pytest.mark.parametrize("aggregate", ["weighted", "mean", "max"])
def test_the_loss_is_its_definition(aggregate):
    """Computed pair by pair and reference by reference; weight 0 has no effect."""
    from skimage.metrics import structural_similarity

    torch.manual_seed(0)
    fused = torch.rand(2, 1, 20, 18, dtype=torch.float64) * 1.2 - 0.1
    references = torch.rand(2, 3, 20, 18, dtype=torch.float64)
    weights = torch.tensor([[0.5, 0.3, 0.2], [0.6, 0.4, 0.0]], dtype=torch.float64)
    terms = ReferenceLoss(aggregate, 1.0, 1.0, 1.0, 1.0)(fused, references, weights)
    expected = {"intensity": 0.0, "structure": 0.0}
    for f, several, w in zip(fused[:, 0].numpy(), references.numpy(), weights.numpy(), strict=True):
        targets, shares = several[w > 0], w[w > 0]
        if aggregate == "max":
            targets, shares = targets.max(0)[None], [1.0]
        elif aggregate == "mean":
            shares = [1 / len(targets)] * len(targets)
        for target, share in zip(targets, shares, strict=True):
            similarity = structural_similarity(
                f, target, data_range=1, gaussian_weights=True, sigma=1.5,
                use_sample_covariance=False, full=True,
            )[1][5:-5, 5:-5]  # fmt: skip
            expected["intensity"] += share * np.abs(f - target).mean() / 2
            expected["structure"] += share * (1 - similarity.mean()) / 2
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-6)
    assert terms["range"].item() == pytest.approx((fused - fused.clamp(0, 1)).abs().mean().item())
    # A picture equal to all of its references costs nothing.
    same = ReferenceLoss(aggregate)(
        fused.clamp(0, 1), fused.clamp(0, 1).repeat(1, 3, 1, 1), weights
    )
    assert all(term.item() == pytest.approx(0, abs=1e-9) for term in same.values())


def test_an_unknown_aggregate_is_refused():
    with pytest.raises(ValueError, match="'weighted', 'mean' or 'max', got 'median'"):
        ReferenceLoss("median")


@pytest.mark.filterwarnings("ignore")
def test_the_configuration_trains_any_network(root, tmp_path, capfd):
    """DenseFuse instead of LRRNet, for a few steps; and the error without references."""
    arguments = ["train", "fit", "--config", str(EXPERIMENTS / "reference.yaml")]
    arguments += ["--data.root", str(root), "--data.size", "32", "--data.batch_size", "2"]
    arguments += ["--data.holdout", "1", "--trainer.max_steps", "2", "--trainer.accelerator", "cpu"]
    arguments += ["--trainer.logger", "CSVLogger", "--trainer.logger.save_dir", str(tmp_path)]
    arguments += ["--trainer.enable_progress_bar", "false"]
    assert main(arguments) == 2
    assert "data.references: required" in capfd.readouterr().err
    arguments += ["--model.init_args.network", "fusion.networks.DenseFuse"]
    assert main([*arguments, "--data.references", str(root / "out")]) == 0
    (weights,) = tmp_path.rglob("weights.safetensors")
    network = load_network(weights)
    assert type(network).__name__ == "DenseFuse" and network.scaling.input == "min-max"


def test_training_regresses_to_the_references(root):
    """A tiny network on two views: the loss decreases by more than ten times."""
    from fusion.networks.lrrnet import LRRNet
    from fusion.training.procedures import ReferenceTraining

    torch.manual_seed(0)
    module = ReferenceTraining(LRRNet(num_filters=8, num_blocks=1), w_structure=0.0)
    visible = [root / "vis" / f"{stem}.png" for stem in "012"]
    references = {path: [(path, 1.0)] for path in visible}
    data = PairDataset(find_pairs(root), size=32, references=references)
    batch = torch.utils.data.default_collate([data[0, 0], data[1, 1]])
    optimizer = torch.optim.Adam(module.network.parameters(), 1e-2)
    losses = []
    for _ in range(200):
        terms, _ = module.terms(batch)
        loss = sum(terms.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-20:]) < losses[0] / 10
