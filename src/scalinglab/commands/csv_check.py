"""The numbers behind a figure against the committed ones."""

import csv
import importlib.resources
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from .arguments import UsageError
from .output import count

RELATIVE = 1e-6

Table = Sequence[Mapping[str, str]]


def rows_of(drawing: Any) -> Table:
    """The numbers behind a drawing, as its CSV spells them."""
    from scalinglab.paper_figs.figure import table_text

    return list(csv.DictReader(io.StringIO(table_text(drawing.table))))


def committed(stem: str) -> Table:
    """The committed table of a figure.

    **Raises:** `UsageError` when there is none.
    """
    file = importlib.resources.files("scalinglab.paper_figs") / "expected" / f"{stem}.csv"
    if not file.is_file():
        raise UsageError(f"figure: {stem}: no numbers are committed: draw it and add its CSV")
    return list(csv.DictReader(file.read_text(encoding="utf-8").splitlines()))


def compare(table: Table, expected: Table) -> list[str]:
    """Row, column and both values of every difference; none when the table is as committed.

    Numbers may differ by 1e-6 of the largest of their column, which is what another order of
    summation can do to a fitted exponent; texts may not differ.
    """
    if len(table) != len(expected):
        return [f"{count(len(table), 'row')}, {len(expected)} committed"]
    names, wanted = ([*rows[0]] if rows else [] for rows in (table, expected))
    if names != wanted:
        return [f"columns {', '.join(names)}; committed {', '.join(wanted)}"]
    return [text for name in names for text in _column(name, table, expected)]


def _column(name: str, table: Table, expected: Table) -> list[str]:
    wanted = [_number(row[name]) for row in expected]
    scale = max((abs(v) for v in wanted if v is not None and math.isfinite(v)), default=0.0)
    found = []
    for index, (row, other, number) in enumerate(zip(table, expected, wanted, strict=True)):
        value = _number(row[name])
        same = _same(value, number, scale) if number is not None else row[name] == other[name]
        if not same:
            found.append(f"row {index + 1}, {name}: {row[name]}, committed {other[name]}")
    return found


def _same(value: float | None, number: float, scale: float) -> bool:
    if value is None:
        return False
    if not (math.isfinite(value) and math.isfinite(number)):
        return value == number or (math.isnan(value) and math.isnan(number))
    return abs(value - number) <= RELATIVE * scale


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
