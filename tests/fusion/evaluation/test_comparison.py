"""``fusion evaluate``: means over the same pictures, marks, files, and what is left out."""

import csv
import json

import numpy as np
import pytest

from fusion.commands.cli import main
from fusion.commands.scene import street_pair
from fusion.evaluation.metrics import evaluate
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
    assert table.startswith("3 pictures") and "lower is better: Nabf" in table
    with (root / "out" / "pictures.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + 2 * 3
    assert (root / "out" / "means.csv").is_file() and (root / "out" / "means.png").is_file()


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
    assert said.out.startswith("2 pictures")
    assert "2.png: without a partner in" in said.err


def test_metrics_twice_and_folders_with_equals_signs(root, capsys):
    (root / "average").rename(root / "gamma1=0.0,gamma4=1.5")
    fused = root / "gamma1=0.0,gamma4=1.5"
    assert run(root, "--fused", fused, "--metrics", "en,sd,en", "--json", "-") == 0
    means = json.loads(capsys.readouterr().out)["means"]
    assert list(means) == ["gamma1=0.0,gamma4=1.5"]
    assert list(means["gamma1=0.0,gamma4=1.5"]) == ["en", "sd"]


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
        (["--fused", average, "--metrics", "niqe"], "'niqe' is unknown"),
        (["--fused", average, average], "average is there already"),
        (["--fused", root / "small", "--metrics", "en"], "no picture of all methods"),
    ):
        assert run(root, *arguments) == 2
        said = capsys.readouterr()
        assert complaint in said.err and said.err.count("\n") == 1 and said.out == ""
    with pytest.raises(SystemExit, match="2"):
        run(root, "--fused", average, "--workers", "0")
    assert "--workers: '0'" in capsys.readouterr().err
