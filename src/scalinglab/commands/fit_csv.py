"""A CSV of training runs, read and checked: every complaint names the line and the column."""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .arguments import UsageError
from .output import count


@dataclass(frozen=True)
class Table:
    """The file: `header`, and `rows` of text, each with the number of its line, from 1."""

    path: str
    header: tuple[str, ...]
    lines: tuple[int, ...]
    rows: tuple[tuple[str, ...], ...]

    def cells(self, option: str, column: str) -> list[str]:
        """One column as text.

        **Raises:** `UsageError` for a column that is missing, with the nearest name, or ambiguous.
        """
        if column not in self.header:
            from scalinglab.registry import nearest

            remedy = nearest(column, [name for name in self.header if name])
            raise UsageError(f"{option}: {self.path} has no column {column!r}: {remedy}")
        if self.header.count(column) > 1:
            raise UsageError(
                f"{option}: {self.path} has {self.header.count(column)} columns {column!r}: "
                "rename all but one"
            )
        place = self.header.index(column)
        return [row[place] for row in self.rows]

    def numbers(self, option: str, column: str, limit: "Limit") -> list[float]:
        """One column as numbers.

        **Raises:** `UsageError` for the first cell that is no number, or outside the limit.
        """
        return [
            self._number(line, column, text, limit)
            for line, text in zip(self.lines, self.cells(option, column), strict=True)
        ]

    def labels(self, option: str, column: str) -> list[str]:
        """One column of labels. **Raises:** `UsageError` for an empty one."""
        cells = self.cells(option, column)
        for line, text in zip(self.lines, cells, strict=True):
            if not text:
                self.refuse(line, column, "is empty: give every row a label")
        return cells

    def refuse(self, line: int, column: str, why: str) -> None:
        """**Raises:** `UsageError` that names the line and the column."""
        raise UsageError(f"{self.path}: line {line}, column {column}: {why}")

    def _number(self, line: int, column: str, text: str, limit: "Limit") -> float:
        if not text:
            self.refuse(line, column, "is empty: fill it in, or leave the row out")
        try:
            # Python reads 1_000 as a number; in a CSV it is more likely a mistake.
            value = math.inf if "_" in text else float(text)
        except ValueError:
            value = math.inf
        if math.isnan(value):
            self.refuse(line, column, "is NaN: leave the row out")
        if math.isinf(value):
            if text.lower().lstrip("+-") in ("inf", "infinity"):
                self.refuse(line, column, "is infinite: leave the row out")
            self.refuse(line, column, f"{text!r} is not a number: write it as 1234.5 or 1.2e9")
        if not limit.holds(value):
            self.refuse(line, column, f"{text} {limit.why}")
        return value


@dataclass(frozen=True)
class Limit:
    """What the numbers of a column obey, and what to say of one that does not."""

    holds: Callable[[float], bool]
    why: str


ANY = Limit(lambda value: True, "")
LOSS = Limit(
    lambda value: value > 0.0,
    "is not positive, and residuals are of its logarithm: correct it, or leave the row out",
)
NOT_NEGATIVE = Limit(lambda value: value >= 0.0, "is negative: correct it, or leave the row out")
POSITIVE = Limit(lambda value: value > 0.0, "is not positive: correct it, or leave the row out")
WEIGHT = Limit(lambda value: value >= 0.0, "is negative: a weight is at least 0")
DEVIATION = Limit(
    lambda value: value > 0.0, "is not positive: a standard deviation is; for counts use weights"
)


def read_table(path: str) -> Table:
    """The file as text.

    **Raises:** `UsageError` for a file that is missing, empty, not UTF-8, without a header, with
    another separator than the comma, or with rows of another length than the header.
    """
    numbered = _records(path)
    if not numbered:
        raise UsageError(f"{path}: is empty: give a header and one row a run")
    (first, names), *rest = numbered
    header = tuple(name.strip() for name in names)
    _check_header(path, first, header)
    for line, row in rest:
        if len(row) != len(header):
            raise UsageError(
                f"{path}: line {line} has {count(len(row), 'cell')}, and the header has "
                f"{len(header)}: correct the row, or quote cells that hold a comma"
            )
    if not rest:
        raise UsageError(f"{path}: has a header and no rows: give one row a run")
    return Table(
        path,
        header,
        tuple(line for line, _ in rest),
        tuple(tuple(cell.strip() for cell in row) for _, row in rest),
    )


def _records(path: str) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line on which it begins."""
    found = []
    try:
        # utf-8-sig also reads a file without the byte-order mark that spreadsheets put in front.
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            start = 1
            for row in reader:
                if any(cell.strip() for cell in row):
                    found.append((start, row))
                start = reader.line_num + 1
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file: check the path") from None
    except IsADirectoryError:
        raise UsageError(f"{path}: is a folder: give a CSV file") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text: save it as 'CSV UTF-8'") from None
    except csv.Error as error:
        raise UsageError(f"{path}: line {start}: {error}: correct the quotes") from None
    except OSError as error:
        raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}: check it") from None
    return found


def _check_header(path: str, line: int, header: tuple[str, ...]) -> None:
    for mark, name in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if len(header) == 1 and mark in header[0]:
            raise UsageError(
                f"{path}: line {line}: columns are separated by {name}: save it with commas, and "
                "with points in numbers"
            )
    if all(_is_number(name) for name in header):
        raise UsageError(
            f"{path}: line {line} holds only numbers: begin the file with the names of the columns"
        )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
