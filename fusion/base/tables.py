"""Tables for terminals and files: aligned columns with the best two values marked, CSV, JSON."""

import csv
import json
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusion.base.files import whole_file

MARKS = "* best, + second"


def format_table(
    header: Sequence[str],
    rows: Sequence[Sequence],
    marked: bool = False,
    lower_is_better: Collection[str] = (),
) -> str:
    """Format a table for a terminal: first column left-aligned, three decimals, None as ``-``.

    Args:
        header: column names; line breaks in a name distribute it over several lines.
        marked: mark the best fractional value of each column with ``*`` and the second best with
            ``+``; values that print alike share a mark. Requires at least two rows.
        lower_is_better: names of the columns in which the smallest value is best.
    """
    cells = [[_cell(value) for value in row] for row in rows]
    if marked and len(rows) > 1:
        for column in range(1, len(header)):
            marks = _marks([row[column] for row in rows], header[column] in lower_is_better)
            for row, mark in zip(cells, marks, strict=True):
                row[column] += mark
    else:
        marked = False
    names = [name.split("\n") for name in header]
    padding = [" " if marked and column else "" for column in range(len(header))]
    head = [
        [
            name[line] + pad if line < len(name) else ""
            for name, pad in zip(names, padding, strict=True)
        ]
        for line in range(max(map(len, names)))
    ]
    head = [line for line in head if any(text.strip() for text in line)]
    widths = [max(map(len, column)) for column in zip(*head, *cells, strict=True)]
    return "\n".join(
        "  ".join(
            [f"{row[0]:<{widths[0]}}"]
            + [f"{text:>{width}}" for text, width in zip(row[1:], widths[1:], strict=True)]
        ).rstrip()
        for row in (*head, *cells)
    )


def _marks(column: Sequence, lower_is_better: bool) -> list[str]:
    shown = [_cell(value) if isinstance(value, float) else "-" for value in column]
    ranked = sorted(set(shown) - {"-"}, key=float, reverse=not lower_is_better)
    marks = dict(zip(ranked, "*+", strict=False))
    return [marks.get(text, " ") for text in shown]


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def counted(number: int, thing: str) -> str:
    """``1 sequence``, ``2 sequences``."""
    return f"{number} {thing}{'' if number == 1 else 's'}"


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence]) -> None:
    """Write a header and rows, completely or not at all."""
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def show_or_write(result: Any, report: str, json: str | None) -> None:
    """Print a report and write the figures, as selected by ``--json``."""
    if json != "-":
        print(report)
    if json:
        write_json(json, result)


def write_json(target: str, content: Any) -> None:
    """Write JSON to a file, completely or not at all, or to stdout if ``target`` is ``-``.

    JSON has no NaN and no infinity: they are written as null.
    """
    text = json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    with whole_file(Path(target)) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _finite(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return content
