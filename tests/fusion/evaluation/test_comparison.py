"""``fusion evaluate``: means over the same pictures, marks, files, and what is left out."""

import csv
import json

import numpy as np
import pytest
import torch

from fusion.commands.cli import main
from fusion.commands.scene import street_pair
from fusion.evaluation.metrics import METRICS, evaluate, list_metrics, register
from fusion.evaluation.metrics.modules import collection
from fusion.images.pixels import luminance
from fusion.images.reading import read_image, write_image


@pytest.fixture
def root(tmp_path):
    """Sources 1..3, their average and their maximum, the latter in colour."""
    for i in range(1, 4):
        ir, vis = street_pair(96, 80, seed=i)
        grey = luminance(vis)
        write_image(tmp_path / "ir" / f"{i}.png", ir)
        write_image(tmp_path / "vis" / f"{i}.png", vis)
        write_image(
            tmp_path / "average" / f"{i}.png", ((ir.astype(int) + grey) // 2).astype(np.uint8)
        )
        write_image(tmp_path / "maximum" / f"{i}.png", np.maximum(ir[..., None], vis))
    return tmp_path


def run(root, *arguments):
    sources = ["--ir", str(root / "ir"), "--vis", str(root / "vis")]
    return main(["evaluate", *sources, *map(str, arguments)])


@pytest.mark.parametrize("workers", [1, 2])
def test_means_are_over_the_metrics_of_each_picture(root, capsys, workers):
    chosen = ("en", "ssim", "nabf")
    code = run(
        root, "--fused", root / "average", f"max={root / 'maximum'}",
        "--metrics", ",".join(chosen), "-o", root / "out", "--json", root / "all.json",
        "--workers", workers,
    )  # fmt: skip
    assert code == 0
    content = json.loads((root / "all.json").read_text())
    expected = []
    for i in range(1, 4):
        fused, ir, vis = (
            luminance(read_image(root / part / f"{i}.png")) for part in ("maximum", "ir", "vis")
        )
        expected.append(evaluate(fused, ir, vis, chosen))
        assert content["pictures"]["max"][str(i)] == expected[-1]
    for key in chosen:
        assert content["means"]["max"][key] == np.mean([value[key] for value in expected])
    table = capsys.readouterr().out
    assert table.startswith("3 images") and "lower is better: Nabf" in table
    assert "convention: lrrnet" in table and "[bit]" in table
    with (root / "out" / "pictures.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["convention", "method", "picture", "EN [bit]", "SSIM mean", "Nabf"]
    assert len(rows) == 1 + 2 * 3 and {row[0] for row in rows[1:]} == {"lrrnet"}
    assert (root / "out" / "means.csv").is_file() and (root / "out" / "means.png").is_file()


@pytest.mark.parametrize("convention", ["cddfuse", "vifb", "color"])
def test_command_arrays_and_tensors_agree(root, convention, capsys):
    """A folder from the command line, arrays in Python, and a torchmetrics object on tensors."""
    names = [name for name in list_metrics(convention) if name != "ssim"]
    arguments = ("--convention", convention, "--metrics", ",".join(names), "--json", "-")
    assert run(root, "--fused", root / "maximum", *arguments) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["convention"]["name"] == convention
    assert content["metrics"]["en"]["unit"] == "bit"
    trios = [
        [read_image(root / part / f"{i}.png") for part in ("maximum", "ir", "vis")]
        for i in range(1, 4)
    ]
    tensors = [torch.from_numpy(np.stack(pictures)) for pictures in zip(*trios, strict=True)]
    tensors = [t.movedim(-1, 1) if t.ndim == 4 else t[:, None] for t in tensors]
    metrics = collection(names, convention)
    for place in range(3):  # as batches of a validation
        metrics.update(*(t[place : place + 1].float() / 255 for t in tensors))
    of_tensors = metrics.compute()
    of_arrays = [evaluate(*trio, names, convention) for trio in trios]
    for name in names:
        mean = content["means"]["maximum"][name]
        assert mean == pytest.approx(np.mean([values[name] for values in of_arrays]), rel=1e-12)
        assert mean == pytest.approx(of_tensors[name].item(), rel=1e-12)


def test_ranks_and_their_mean(root, capsys):
    names = "en,nabf,psnr"
    arguments = ("--metrics", names, "--ranks", "-o", root / "out", "--json", root / "all.json")
    assert run(root, "--fused", root / "average", f"max={root / 'maximum'}", *arguments) == 0
    content = json.loads((root / "all.json").read_text())
    means, ranks = content["means"], content["ranks"]
    for name, better in (("en", max), ("nabf", min), ("psnr", max)):
        best = better(means, key=lambda method, name=name: means[method][name])
        assert ranks[best][name] == 1
    for row in ranks.values():
        assert row["mean rank"] == pytest.approx(np.mean([row[n] for n in names.split(",")]))
    assert "ranks of the means" in capsys.readouterr().out
    with (root / "out" / "ranks.csv").open(newline="") as file:
        assert next(csv.reader(file))[-1] == "mean rank"


def test_networks_fuse_the_pairs_first(root, capsys):
    out = root / "out"
    arguments = ("--network", "fast=average", "maximum", "--metrics", "en", "-o", out)
    assert run(root, "--fused", root / "average", *arguments, "--sheet", "2") == 0
    assert len(list((out / "fused" / "fast").iterdir())) == 3
    table = capsys.readouterr().out
    assert all(name in table for name in ("average", "fast", "maximum"))
    sheet = read_image(out / "sheet.jpg")
    assert sheet.shape[1] > 5 * 300 and sheet.shape[0] > 2 * 225
    fused = read_image(out / "fused" / "fast" / "1.png")
    assert abs(luminance(fused).astype(int) - read_image(root / "average/1.png")).max() <= 3
    # Without a folder to keep them, the networks' pictures are temporary.
    assert run(root, "--network", "average", "--metrics", "en") == 0
    with pytest.raises(SystemExit, match="2"):
        run(root, "--network", "average", "--sheet", "0")


def test_faults_that_a_convention_reproduces_are_said(root, capsys):
    assert run(root, "--fused", root / "average", "--convention", "tang") == 0
    table = capsys.readouterr().out
    assert "convention: tang2023" in table and "48.1308 dB too high" in table
    assert main(["metrics", "--convention", "tang"]) == 0
    assert "48.1308 dB too high" in capsys.readouterr().out
    assert main(["metrics"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in ("cddfuse", "ivif_zoo", "tang2022", "vifb", "color"))


def test_own_metrics_are_columns_of_every_convention(root, capsys):
    @register("michelson", title="Michelson", higher_is_better=False)
    def michelson(fused, ir, vis):
        low, high = float(fused.min()), float(fused.max())
        return (high - low) / (high + low)

    try:
        for convention in ("lrrnet", "vifb"):
            assert "michelson" in list_metrics(convention)
            arguments = ("--convention", convention, "--metrics", "en,michelson")
            assert run(root, "--fused", root / "average", *arguments) == 0
            assert "Michelson" in capsys.readouterr().out
        with pytest.raises(ValueError, match="michelson"):
            register("michelson")(lambda fused, ir, vis: 0.0)
    finally:
        METRICS.unregister("michelson")


def test_a_picture_one_method_lacks_counts_for_none(root, capsys):
    (root / "average" / "2.png").unlink()
    (root / "maximum" / "3.png").write_bytes(b"broken")
    code = run(
        root, "--fused", root / "average", root / "maximum", "--metrics", "en", "--json", "-"
    )
    said = capsys.readouterr()
    assert code == 2
    pictures = json.loads(said.out)["pictures"]
    assert [list(found) for found in pictures.values()] == [["1"], ["1"]]
    assert "average: no 2" in said.err and "3.png: not a readable picture" in said.err


def test_a_source_without_a_partner_is_said(root, capsys):
    (root / "vis/2.png").unlink()
    assert run(root, "--fused", root / "average", "--metrics", "en") == 2
    said = capsys.readouterr()
    assert said.out.startswith("2 images")
    assert "2.png: without a partner in" in said.err


def test_two_pictures_of_one_stem_are_refused(root, capsys):
    write_image(root / "average/2.jpg", np.zeros((80, 96), np.uint8))
    assert run(root, "--fused", root / "average") == 2
    assert "average/2." in capsys.readouterr().err


def test_metrics_twice_and_folders_with_equals_signs(root, capsys):
    (root / "average").rename(root / "gamma1=0.0,gamma4=1.5")
    fused = root / "gamma1=0.0,gamma4=1.5"
    assert run(root, "--fused", fused, "--metrics", "en,sd_sqrt_n,en", "--json", "-") == 0
    means = json.loads(capsys.readouterr().out)["means"]
    assert list(means) == ["gamma1=0.0,gamma4=1.5"]
    assert list(means["gamma1=0.0,gamma4=1.5"]) == ["en", "sd_sqrt_n"]


def test_json_has_no_nan(root, capsys):
    """MS-SSIM has no value for pictures as small as these."""
    assert run(root, "--fused", root / "average", "--metrics", "ms_ssim,en", "--json", "-") == 0
    text = capsys.readouterr().out
    assert json.loads(text, parse_constant=pytest.fail)["means"]["average"]["ms_ssim"] is None


def test_bad_input_is_named_in_one_line(root, capsys):
    write_image(root / "small" / "1.png", np.zeros((4, 4), np.uint8))
    average = root / "average"
    for arguments, complaint in (
        (["--fused", root / "nowhere"], "nowhere: no such folder"),
        (["--fused", average, "--metrics", "niqe"], "--metrics: unknown metric 'niqe'"),
        (["--fused", average, "--convention", "lrnet"], "did you mean 'lrrnet'"),
        (["--fused", average, "--metrics", "sd"], "did you mean 'sd_sqrt_n'"),
        ([], "--fused"),
        (["--fused", average, "--sheet", "2"], "--sheet: give -o"),
        (["--fused", average, "--network", "average"], "already named average"),
        (["--fused", average, average], "already named average"),
        (["--fused", root / "small", "--metrics", "en"], "no image of all methods"),
    ):
        assert run(root, *arguments) == 2
        said = capsys.readouterr()
        assert complaint in said.err and said.err.count("\n") == 1 and said.out == ""
    with pytest.raises(SystemExit, match="2"):
        run(root, "--fused", average, "--workers", "0")
    assert "--workers: '0'" in capsys.readouterr().err
