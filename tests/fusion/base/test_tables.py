"""Tables: alignment, marks in either direction, files."""

import csv
import json

from fusion.base.tables import counted, format_table, write_csv, write_json


def test_tables_align_and_mark_the_best_two():
    rows = [["T", 0.5, None, 7], ["Longer", 0.75, 0.2, 8], ["Same", 0.7501, float("nan"), 9]]
    rows.append(["Last", 0.1, 0.3, 1])
    assert format_table(["tracker", "A", "B", "n"], rows, marked=True).split("\n") == [
        "tracker      A       B   n",
        "T        0.500+      -   7",
        "Longer   0.750*  0.200+  8",
        "Same     0.750*      -   9",
        "Last     0.100   0.300*  1",
    ]
    # A single tracker is not the best of anything.
    assert format_table(["t", "A"], [["T", 0.5]], marked=True) == "t      A\nT  0.500"


def test_the_best_may_be_the_smallest():
    rows = [["one", 0.3, 0.3], ["two", 0.2, 0.2]]
    table = format_table(["m", "up", "down"], rows, marked=True, lower_is_better={"down"})
    assert table.split("\n")[1:] == ["one  0.300*  0.300+", "two  0.200+  0.200*"]


def test_files(tmp_path, capsys):
    write_csv(tmp_path / "a.csv", ["x", "y"], [["1,5", 2], [3, None]])
    with (tmp_path / "a.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["x", "y"], ["1,5", "2"], ["3", ""]]
    write_json(str(tmp_path / "a.json"), {"a": [1]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1]}
    write_json("-", [2])
    assert json.loads(capsys.readouterr().out) == [2]


def test_one_thing_is_not_several():
    assert [counted(n, "sequence") for n in (0, 1, 2)] == [
        "0 sequences",
        "1 sequence",
        "2 sequences",
    ]


def test_headers_of_several_lines():
    rows = [["one", 0.3, 0.3], ["two", 0.2, 0.2]]
    table = format_table(["m", "SSIM\nsum\n[x]", "EN\n\n[bit]"], rows, marked=True)
    assert table.split("\n")[:4] == [
        "m     SSIM      EN",
        "       sum",
        "       [x]   [bit]",
        "one  0.300*  0.300*",
    ]
    # A line that is empty in every column is left out.
    assert format_table(["m", "EN\n\n[bit]"], [["one", 0.3]]).split("\n") == [
        "m       EN",
        "     [bit]",
        "one  0.300",
    ]
