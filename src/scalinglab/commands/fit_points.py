"""The points of a fit from the columns of a CSV."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from . import fit_csv
from .arguments import UsageError
from .fit_csv import Limit, Table
from .output import count

_SHOWN = 5  # lines named in a warning


@dataclass(frozen=True)
class Points:
    """The columns of a fit: `inputs` (input to column name), numbers, labels and their lines."""

    path: str
    loss_column: str
    inputs: Mapping[str, str]
    lines: tuple[int, ...]
    x: Mapping[str, list[float]]
    y: list[float]
    weight: list[float] | None
    sd: list[float] | None
    group: list[str] | None

    def repeated(self) -> list[int]:
        """Places of the rows whose inputs, loss and group are those of an earlier row."""
        seen: set[Any] = set()
        found = []
        labels = self.group or [""] * len(self.y)
        for place, row in enumerate(zip(*self.x.values(), self.y, labels, strict=True)):
            if row in seen:
                found.append(place)
            seen.add(row)
        return found

    def without(self, places: Iterable[int]) -> "Points":
        """The points but for these."""
        gone = set(places)

        def kept(values: Any) -> Any:
            if values is None:
                return None
            return type(values)(one for i, one in enumerate(values) if i not in gone)

        return replace(
            self,
            x={name: kept(values) for name, values in self.x.items()},
            **{name: kept(getattr(self, name)) for name in ("lines", "y", "weight", "sd", "group")},
        )

    def unscorable(self) -> str | None:
        """Why the extrapolation has no score, if so: the line and the column."""
        columns = {self.loss_column: self.y}
        if len(self.x) > 1:  # points are ordered by the product
            columns |= {self.inputs[name]: values for name, values in self.x.items()}
        for column, values in columns.items():
            for line, value in zip(self.lines, values, strict=True):
                if value <= 0.0:
                    return f"line {line}, column {column}: {value:g} is not positive"
        return None

    def repeats_text(self, places: list[int]) -> str:
        """Which rows repeat an earlier one."""
        lines = ", ".join(str(self.lines[place]) for place in places[:_SHOWN])
        more = ", ..." if len(places) > _SHOWN else ""
        verb = "repeats" if len(places) == 1 else "repeat"
        word = "line" if len(places) == 1 else "lines"
        return f"{count(len(places), 'row')} {verb} an earlier one ({word} {lines}{more})"


@dataclass(frozen=True)
class Columns:
    """Which column is what; `inputs` from the law's input to the column, where they differ."""

    loss: str
    inputs: Mapping[str, str]
    weight: str | None = None
    sd: str | None = None
    group: str | None = None


def read_points(table: Table, law: Any, columns: Columns, *, log_loss: bool) -> Points:
    """The columns that the law reads, checked.

    **Arguments:** `log_loss`, whether residuals are of the logarithm of the loss.

    **Raises:** `UsageError` that names the line and the column, or the option.
    """
    inputs = _input_columns(table, law, columns)
    y = table.numbers("loss-column", columns.loss, fit_csv.LOSS if log_loss else fit_csv.ANY)
    x = {
        name: table.numbers("inputs", column, _limit(law, name)) for name, column in inputs.items()
    }
    weight = columns.weight and table.numbers("weight-column", columns.weight, fit_csv.WEIGHT)
    if weight and not any(weight):
        raise UsageError(f"weight-column: {columns.weight}: every weight is 0: leave it out")
    return Points(
        path=table.path,
        loss_column=columns.loss,
        inputs=inputs,
        lines=table.lines,
        x=x,
        y=y,
        weight=weight or None,
        sd=table.numbers("sd-column", columns.sd, fit_csv.DEVIATION) if columns.sd else None,
        group=table.labels("group", columns.group) if columns.group else None,
    )


def check_enough(points: Points, law: Any, fixed: Mapping[str, float]) -> None:
    """**Raises:** `UsageError` for fewer points than free parameters, and for a single scale."""
    free = len(law.parameters) - len(fixed)
    used = [i for i in range(len(points.y)) if points.weight is None or points.weight[i] > 0.0]
    if len(used) < free:
        kind = "rows" if points.weight is None else "rows with a weight"
        free_text = count(free, "free parameter")
        raise UsageError(
            f"{points.path}: {len(used)} {kind}, and law {law.name} has {free_text}"
            ": add runs, --fix or --tie parameters, or choose a smaller law"
        )
    if points.group is not None and len({points.group[i] for i in used}) < 2:
        raise UsageError(
            f"group: {points.path}: every row has {points.group[used[0]]!r}: at least two groups "
            "are needed, or leave --group out"
        )
    for name, column in points.inputs.items():
        same = [other for other in law.inputs if law.unit_of(other) == law.unit_of(name)]
        if not fixed and all(_is_flat(points.x[other], used) for other in same):
            raise UsageError(
                f"{points.path}: column {column}: every row has {points.x[name][used[0]]:g}, a "
                f"single scale: law {law.name} needs several, or --fix of some of its parameters"
            )


def _is_flat(values: list[float], used: list[int]) -> bool:
    return len({values[i] for i in used}) == 1


def _input_columns(table: Table, law: Any, columns: Columns) -> dict[str, str]:
    """Every input of the law to its column."""
    from scalinglab.registry import nearest

    for name in columns.inputs:
        if name not in law.inputs:
            remedy = nearest(name, list(law.inputs))
            raise UsageError(f"inputs: law {law.name} has no input {name!r}: {remedy}")
    found = {}
    for name in law.inputs:
        if name not in columns.inputs and name not in table.header:
            others = [column for column in table.header if column and column != columns.loss]
            raise UsageError(
                f"inputs: law {law.name} reads {name}: give --inputs {name}=COLUMN, one of "
                f"{', '.join(others)}"
            )
        found[name] = columns.inputs.get(name, name)
        if found[name] == columns.loss:
            raise UsageError(
                f"inputs: {name}={columns.loss}: that is the loss: give another column"
            )
    return found


def _limit(law: Any, name: str) -> Limit:
    if law.unit_of(name) not in law.scaled:
        return fit_csv.ANY
    return fit_csv.POSITIVE if _takes_logarithm(law, name) else fit_csv.NOT_NEGATIVE


def _takes_logarithm(law: Any, name: str) -> bool:
    """Whether the law reads the logarithm of the input, which is absent where it is 0."""
    import numpy as np

    x = {}
    for other in law.inputs:
        x[other] = float(np.ravel(law.example[other])[0]) if other in law.example else 1.0
        if other != name:
            x[f"log {other}"] = float(np.log(x[other]))
    try:
        law.log_predict({key: law.example.get(key, 1.0) for key in law.names}, x)
    except KeyError:
        return True
    return False
