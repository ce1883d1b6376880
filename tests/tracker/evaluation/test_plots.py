from pathlib import Path

import numpy as np
import pytest

from fusion.base.errors import UserError
from fusion.images.reading import read_image
from tracker.evaluation import plots
from tracker.evaluation.ope import figures as ope
from tracker.evaluation.vot.figures import score_runs
from tracker.evaluation.vot.regions import Regions
from tracker.evaluation.vot.sequences import AnchoredSequence


def ope_scores(rng, name, spread):
    protocol = ope.PROTOCOLS[name]
    boxes = rng.uniform(20, 60, (40, 4))
    return ope.score_results(
        protocol,
        {"a": boxes + rng.normal(0, spread, boxes.shape)},
        {"a": (boxes,) * len(protocol.annotations)},
    )


def vot_scores(rng, lost):
    anchors = np.zeros(90)
    anchors[0] = 1
    boxes = np.tile(np.float32([20, 20, 30, 30]), (90, 1))
    sequence = AnchoredSequence(Path("a"), Regions(boxes), anchors, (200, 200))
    found = boxes + rng.normal(0, 2, boxes.shape).astype(np.float32)
    found[lost:, 0] += 150
    return score_runs([sequence], {"a": [Regions(found)]}, 20, 60)


@pytest.mark.parametrize("plot", ["precision", "normalized", "success"])
def test_rate_plots_draw_the_curves_best_first(rng, plot):
    scores = {"worse": ope_scores(rng, "lasher", 9), "better": ope_scores(rng, "lasher", 2)}
    (axes,) = plots.rate_plot(scores, plot).axes
    lines = {line.get_label(): line for line in axes.lines if "[" in line.get_label()}
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    key = {"precision": "PR", "normalized": "NPR", "success": "SR"}[plot]
    assert labels == [f"{name} [{getattr(scores[name], key):.3f}]" for name in ("better", "worse")]
    for label, name in zip(labels, ("better", "worse"), strict=True):
        x, y = lines[label].get_data()
        np.testing.assert_array_equal(y, scores[name].curve(plot))
        np.testing.assert_array_equal(x, scores[name].protocol.thresholds(plot))
    assert axes.get_title() == "LasHeR"


def test_a_tracker_has_one_style_in_all_plots(rng):
    scores = {f"T{i:02d}": ope_scores(rng, "lasher", 1 + i % 5) for i in range(12)}
    styles = []
    for plot in ("precision", "success"):
        (axes,) = plots.rate_plot(scores, plot).axes
        lines = [line for line in axes.lines if "[" in line.get_label()]
        styles.append(
            {line.get_label()[:3]: (line.get_color(), line.get_linestyle()) for line in lines}
        )
    assert styles[0] == styles[1] and len(set(styles[0].values())) == 12


def test_two_annotations_make_maximum_rates(rng):
    (axes,) = plots.rate_plot({"T": ope_scores(rng, "rgbt234", 3)}, "success").axes
    assert axes.get_ylabel() == "maximum success rate" and axes.get_title() == "RGBT234"


def test_rate_plots_refuse_what_they_cannot_compare(rng):
    gtot, lasher = ope_scores(rng, "gtot", 3), ope_scores(rng, "lasher", 3)
    with pytest.raises(ValueError, match="one benchmark"):
        plots.rate_plot({"a": gtot, "b": lasher}, "success")
    with pytest.raises(ValueError, match="one benchmark"):
        plots.rate_plot({}, "success")
    with pytest.raises(ValueError, match="'area'"):
        plots.rate_plot({"a": gtot}, "area")
    with pytest.raises(ValueError, match="GTOT has no normalised"):
        plots.rate_plot({"a": gtot}, "normalized")


def test_the_radar_plot_draws_each_attributes_mean_over_its_sequences():
    protocol = ope.PROTOCOLS["rgbt210"]
    truth = np.tile([10.0, 10, 20, 20], (8, 1))
    found = {name: truth + [shift, 0, 0, 0] for name, shift in (("a", 0), ("b", 5), ("c", 10))}
    truths = dict.fromkeys(found, (truth,))
    scores = {
        "worse": ope.score_results(
            protocol, {name: boxes + 3 for name, boxes in found.items()}, truths
        ),
        "better": ope.score_results(protocol, found, truths),
    }
    attributes = {"NO": ["a"], "LI": ["b", "c"], "TC": ["a", "b", "c"], "FM": ["c"]}
    (axes,) = plots.radar_plot(scores, attributes, "title").axes
    better, worse = axes.lines  # best first
    # The share of 21 thresholds below an overlap of 1, 15 / 25 and 10 / 30.
    a, b, c = 20 / 21, 12 / 21, 7 / 21
    expected = [a, (b + c) / 2, (a + b + c) / 3, c, a]
    np.testing.assert_allclose(better.get_ydata(), expected)
    assert (np.array(worse.get_ydata()) < expected).all()
    assert better.get_label() == f"better [{(a + b + c) / 3:.3f}]"
    names = [label.get_text().split("\n")[0] for label in axes.get_xticklabels()]
    assert names == ["NO (1)", "LI (2)", "TC (3)", "FM (1)"]
    for wrong in ({"NO": ["a"], "LI": ["b"]}, attributes | {"NO": []}):
        with pytest.raises(ValueError, match="three or more"):
            plots.radar_plot(scores, wrong)


def test_the_eao_plot_shows_curve_and_interval(rng):
    scores = {"lost": vot_scores(rng, 30), "kept": vot_scores(rng, 90)}
    (axes,) = plots.eao_plot(scores).axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [f"{name} [{scores[name].EAO:.3f}]" for name in ("kept", "lost")]
    x, y = axes.lines[1].get_data()
    np.testing.assert_array_equal(y, scores["lost"].curve[1:])
    assert x[0] == 1 and len(x) == 59
    (band,) = axes.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == (20, 60)


def test_the_ar_plot_marks_each_tracker_at_its_place(rng):
    scores = {"lost": vot_scores(rng, 30), "kept": vot_scores(rng, 90)}
    (axes,) = plots.ar_plot(scores).axes
    places = {line.get_label().split()[0]: line.get_data() for line in axes.lines}
    for name, (x, y) in places.items():
        assert (x[0], y[0]) == (scores[name].R, scores[name].A)
    assert len({line.get_marker() for line in axes.lines}) == 2
    for plot in (plots.ar_plot, plots.eao_plot):
        with pytest.raises(ValueError, match="scores of a tracker"):
            plot({})


def test_figures_are_written_whole_in_the_format_of_their_name(rng, tmp_path):
    figure = plots.eao_plot({"T": vot_scores(rng, 40)})
    plots.save_figure(figure, tmp_path / "new" / "eao.png")
    picture = read_image(tmp_path / "new" / "eao.png")
    assert picture.shape[:2] == (675, 900) and picture.min() < 100 < picture.max()
    for name, start in (("eao.pdf", b"%PDF"), ("eao.svg", b"<?xml")):
        plots.save_figure(figure, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["eao.pdf", "eao.svg", "new"]
    with pytest.raises(UserError, match="unknown image format"):
        plots.save_figure(figure, tmp_path / "eao.docx")
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot create this folder"):
        plots.save_figure(figure, tmp_path / "file" / "eao.png")
