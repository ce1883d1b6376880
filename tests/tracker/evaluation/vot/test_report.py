"""The report: complete, self-contained, and the figures that the evaluation gives."""

import base64
import re
import shutil
import subprocess
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from fusion.base.errors import UserError
from tracker.commands.cli import main
from tracker.data.drawing import RESULT_COLOR, TRUTH_COLOR
from tracker.evaluation.vot.report import UNTRAINED_NOTE, read_reported, write_report
from tracker.evaluation.vot.workspace import read_workspace

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture
def results(workspace):
    """A workspace with two trackers: one exact, one that stays behind from the 5th frame on."""
    plan = read_workspace(workspace)
    for name, lost_from in (("NCC", None), ("small@untrained", 5)):
        for sequence in plan.sequences:
            for run in sequence.runs:
                boxes = sequence.groundtruth.boxes[run.frames].copy()
                if lost_from is not None:
                    boxes[lost_from:] = [100, 70, 24, 20]
                path = plan.results(name) / sequence.name / f"{sequence.name}_{run.anchor:08d}.txt"
                path.parent.mkdir(parents=True, exist_ok=True)
                rows = [",".join(f"{value:g}" for value in box) for box in boxes]
                path.write_text("\n".join(["1", *rows[1:]]) + "\n")
                times = ["1.0", *["0.05"] * (len(rows) - 1)]
                path.with_name(f"{path.stem}_time.value").write_text("\n".join(times))
    return workspace


class Page(HTMLParser):
    """Everything a page refers to, and the texts of its table cells."""

    def __init__(self, text):
        super().__init__()
        self.references, self.cells, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.references += [
            value for name, value in attributes if name in ("src", "href", "data", "action")
        ]
        assert tag not in ("script", "link", "iframe", "object")
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


@pytest.fixture
def page(results, tmp_path):
    assert write_report(read_workspace(results), tmp_path / "report.html") == []
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_self_contained(page):
    parsed = Page(page)
    assert parsed.open == []
    assert len(parsed.references) > 2
    assert all(reference.startswith("data:image/") for reference in parsed.references)
    assert not re.search(r"url\(|@import", page)


def test_figures(page, results):
    rows, _ = read_reported(read_workspace(results))
    assert [row.reference for row in rows] == ["NCC", "small@untrained"]
    cells = Page(page).cells
    for row in rows:
        start = cells.index(row.title)
        expected = [f"{value:.3f}" for value in row.scores.figures().values()]
        assert cells[start + 1 : start + 4] == expected
        assert cells[start + 5] == "20.0"  # frames per second
    assert abs(rows[1].scores.R - 5 / 28) < 1e-9
    assert "small, the included tracker (untrained)" in page
    assert UNTRAINED_NOTE in page


def test_only_networks_without_weights_are_marked(results, tmp_path):
    trained = results / "results" / "DFAT@untrained_neck"
    (results / "results" / "small@untrained").rename(trained)
    write_report(read_workspace(results), tmp_path / "report.html")
    assert UNTRAINED_NOTE not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_failures_are_drawn_on_both_modalities(page):
    pictures = [
        reference for reference in Page(page).references if reference.startswith("data:image/jpeg")
    ]
    assert len(pictures) == 2  # of one tracker, in each of two sequences
    assert len(re.findall("<figcaption>[^<]*5 of 28 frames after the start", page)) == 2
    for picture in pictures:
        data = np.frombuffer(base64.b64decode(picture.split(",", 1)[1]), np.uint8)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].astype(int)
        for half in np.array_split(image, 2, axis=1):
            for color in (RESULT_COLOR, TRUTH_COLOR):
                assert (np.abs(half - color).max(axis=2) < 40).sum() > 50


def test_equal_labels_are_told_apart(results, tmp_path):
    registry = results / "trackers.ini"
    text = registry.read_text().replace(
        "correlation, RGB+IR", "small, the included tracker (untrained)"
    )
    registry.write_text(text)
    write_report(read_workspace(results), tmp_path / "report.html")
    cells = Page((tmp_path / "report.html").read_text(encoding="utf-8")).cells
    for reference in ("NCC", "small@untrained"):
        assert f"small, the included tracker (untrained) [{reference}]" in cells


def test_same_results_give_the_same_file(results, tmp_path):
    for name in ("a.html", "b.html"):
        write_report(read_workspace(results), tmp_path / name)
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_pictures_may_be_missing(results, tmp_path):
    """As in a workspace of published results."""
    for name in ("color", "ir"):
        for folder in (results / "sequences").glob(f"*/{name}"):
            shutil.rmtree(folder)
    write_report(read_workspace(results), tmp_path / "report.html")
    assert "No image." in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_incomplete_trackers_are_left_out(results, tmp_path):
    next((results / "results" / "NCC").rglob("*_00000000.txt")).unlink()
    (fault,) = write_report(read_workspace(results), tmp_path / "report.html")
    assert "anchor 0 (missing)" in fault
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Left out" in text and "anchor 0 (missing)" in text
    with pytest.raises(UserError, match="anchor 0"):
        write_report(read_workspace(results), tmp_path / "other.html", ["NCC"])
    with pytest.raises(UserError, match="DFAT"):
        write_report(read_workspace(results), tmp_path / "other.html", ["DFAT"])
    assert not (tmp_path / "other.html").exists()


def test_a_report_is_named_as_html(results, tmp_path, capsys):
    output = ["--workspace", str(results), "-o", str(tmp_path / "report.pdf")]
    assert main(["vot", "report", *output]) == 2
    assert "report.pdf: " in capsys.readouterr().err
    assert not list(tmp_path.glob("report*"))


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_opens_in_a_browser(page, tmp_path):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--disable-background-networking"]
    command += ["--disable-component-update", "--disable-sync", "--window-size=1200,1600"]
    address = (tmp_path / "report.html").as_uri()
    screenshot = tmp_path / "page.png"
    subprocess.run(
        [*command, f"--screenshot={screenshot}", address],
        check=True,
        capture_output=True,
        timeout=60,
    )
    image = cv2.imread(str(screenshot)).astype(int)
    assert image.shape == (1600, 1200, 3)
    # Both curves and both failures were decoded and painted: Okabe and Ito's blue is in the plots,
    # the annotation's colour in the pictures.
    for red, green, blue in ((0x00, 0x72, 0xB2), TRUTH_COLOR):
        near = np.abs(image - [blue, green, red]).max(axis=2) < 40
        assert near.sum() > 50
