"""``fusion realtime``: what its table holds. No time is checked."""

import json

import numpy as np
import pytest

from fusion.commands.cli import main
from fusion.commands.realtime import measure, report
from fusion.commands.scene import street_pair
from fusion.evaluation.comparison import compare_methods
from fusion.images.video import VideoWriter
from fusion.networks.weights import load_network


@pytest.fixture
def videos(tmp_path):
    """A scene in which the visible alternates by 2 levels and the infrared does not."""
    ir, vis = street_pair(96, 64)
    for name, frame in (("ir.avi", ir), ("vis.avi", vis)):
        with VideoWriter(tmp_path / name, 25) as writer:
            for t in range(6):
                writer.write(np.minimum(frame, 250) + 2 * (t % 2) * (name == "vis.avi"))
    return tmp_path / "ir.avi", tmp_path / "vis.avi"


def test_every_figure_is_in_the_table(videos, street_pairs):
    root = street_pairs(2, 96, 72)
    pictures = root / "ir", root / "vis"
    result = measure(["maximum", "lrrnet_fast"], pictures, [videos], size=(96, 64), frames=3)
    rows = result["methods"]
    count = sum(p.numel() for p in load_network(method="lrrnet_fast").parameters())
    assert [row["parameters"] for row in rows.values()] == [0, count]
    for row in rows.values():
        assert min(row["frame_seconds"], row["video_seconds"], row["frames_per_second"]) > 0
        assert row["metrics"].keys() == {"ssim", "vif", "qabf", "scd", "mi"}
    still = result["still"]["vis"]
    assert still["infrared"] < 0.3 and 1.5 < still["visible"] < 2.5
    assert still["lrrnet_fast"] < still["visible"]  # averaged over time
    table = report(result)
    assert "of maximum" in table and "still change vis" in table
    assert f"{(still['infrared'] + still['visible']) / 2:.3f}" in table
    assert report(measure(["average"], size=(96, 64), frames=2)).count("\n") == 6


def test_metrics_are_those_of_evaluate(street_pairs, tmp_path):
    root = street_pairs(2, 96, 72)
    run = ["realtime", "laplacian", "--frames", "1", "--ir", f"{root}/ir", "--vis", f"{root}/vis"]
    assert main([*run, "--json", f"{tmp_path}/all.json"]) == 0
    found = json.loads((tmp_path / "all.json").read_text())["methods"]["laplacian"]["metrics"]
    fuse = ["fuse", f"{root}/ir", f"{root}/vis", "-o", f"{tmp_path}/out", "--method", "laplacian"]
    assert main(fuse) == 0
    fused = {"laplacian": tmp_path / "out"}
    expected = compare_methods(root / "ir", root / "vis", fused, list(found)).means()["laplacian"]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["lrrnet_fats"], "did you mean 'lrrnet_fast'"),
        (["maximum", "maximum"], "two methods"),
        (["maximum", "--ir", "somewhere"], "--vis"),
    ],
)
def test_bad_input_is_one_line(arguments, complaint, capsys):
    assert main(["realtime", *arguments]) == 2
    said = capsys.readouterr()
    assert complaint in said.err and said.err.count("\n") == 1 and said.out == ""
