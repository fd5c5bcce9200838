"""What a fit refuses before it starts."""

import contextlib
from collections.abc import Mapping, Sequence

import numpy as np

from .data import Data
from .law import Law


def check(
    law: Law,
    datas: Sequence[Data],
    *,
    fixed: Mapping[str, float],
    start: Mapping[str, float] | None,
    space: str,
    starts: int,
) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    if not datas:
        raise ValueError("datas: no data sets; give at least one")
    if space not in ("log", "linear"):
        raise ValueError(f"space: {space!r}; give 'log' or 'linear'")
    if starts < 0 or (starts == 0 and law.columns is None and law.starts is None and not start):
        raise ValueError(f"starts: {starts}; give at least 1")
    law.check_names("fix", fixed)
    if len(fixed) == len(law.parameters):
        raise ValueError(f"fix: every parameter of law {law.name} is fixed; leave one free")
    for name, value in fixed.items():
        _check_value(law, "fix", name, value)
    if start is not None:
        law.check_names("start", start)
        missing = [name for name in law.names if name not in start and name not in fixed]
        if missing:
            raise ValueError(f"start: {missing[0]} is missing; give every parameter")
        for name, value in start.items():
            _check_value(law, "start", name, value)
    for data in datas:
        _check_data(law, data, fixed=fixed, space=space)


def _check_value(law: Law, field_name: str, name: str, value: float) -> None:
    one = law.parameters[law.names.index(name)]
    good = np.isfinite(value)
    if one.constraint == "positive":
        good = good and value >= 0.0
    elif isinstance(one.constraint, tuple):
        good = good and one.constraint[0] <= value <= one.constraint[1]
    if not good:
        raise ValueError(
            f"{field_name}: {name} = {value} is outside its constraint {one.constraint!r} in law "
            f"{law.name}; give a value inside"
        )


def _check_data(law: Law, data: Data, *, fixed: Mapping[str, float], space: str) -> None:
    missing = [name for name in law.inputs if name not in data.x]
    if missing:
        raise ValueError(
            f"x: no column {missing[0]!r}, which law {law.name} reads; the data have "
            f"{', '.join(data.x)}"
        )
    free = len(law.parameters) - len(fixed)
    if data.num_points < free:
        raise ValueError(
            f"y: {data.num_points} points with a weight, and law {law.name} has {free} free "
            f"parameters; add points, fix or tie parameters, or choose a smaller law"
        )
    if space == "log" and not (data.y > 0.0).all():
        row = int(np.argmin(data.y > 0.0))
        raise ValueError(
            f"y: {data.y[row]} at row {row} is not positive, and has no logarithm; leave it out, "
            "or fit in linear space"
        )
    _check_zeros(law, data)
    used = data.weight > 0.0
    for unit in dict.fromkeys(law.unit_of(name) for name in law.inputs):
        columns = [data.x[name] for name in law.inputs if law.unit_of(name) == unit]
        if unit in law.scaled:
            _check_not_negative(law, unit, columns)
        flat = all(column.ndim == 1 and np.ptp(column[used]) == 0.0 for column in columns)
        if flat and not fixed:
            raise ValueError(
                f"x: every point has {unit} = {columns[0][used][0]:g}, a single scale; law "
                f"{law.name} needs different values, or some of its parameters fixed"
            )


def _reads_logarithm(law: Law, name: str) -> bool:
    """Whether `log_predict` asks for the logarithm of this input."""
    asked: set[str] = set()

    class Recording(dict[str, float]):
        def __getitem__(self, key: str) -> float:
            asked.add(key)
            return 1.0

    theta = dict.fromkeys(law.names, 1.0)
    with contextlib.suppress(TypeError, IndexError):  # a law of schedules wants arrays
        law.log_predict(theta, Recording())
    return f"log {name}" in asked


def _check_zeros(law: Law, data: Data) -> None:
    for name in law.inputs:
        zero = data.x[name] == 0.0
        if data.x[name].ndim == 1 and zero.any() and _reads_logarithm(law, name):
            raise ValueError(
                f"{name}: 0 at row {int(np.argmax(zero))}, and law {law.name} takes its logarithm; "
                "leave the row out, or choose a law with a shift"
            )


def _check_not_negative(law: Law, unit: str, columns: Sequence[np.ndarray]) -> None:
    for column in columns:
        if column.ndim == 1 and (column < 0.0).any():
            row = int(np.argmax(column < 0.0))
            raise ValueError(
                f"{unit}: {column[row]} at row {row} is negative, and law {law.name} scales it; "
                "correct it or leave the row out"
            )
