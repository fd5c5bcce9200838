"""The curves of a `try` with several values: their exponents, measured and predicted."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .arguments import UsageError
from .fields import FieldRow
from .trial import Point


@dataclass(frozen=True)
class Curve:
    """The points along one field, the other varied fields fixed."""

    field: str
    others: Mapping[str, Any]
    points: tuple[Point, ...]

    @property
    def x(self) -> list[float]:
        """The values of the field."""
        return [float(point.config[self.field]) for point in self.points]

    def simulated(self, name: str) -> list[float] | None:
        """The mean of an observable at each point; None when it is absent somewhere."""
        return _column([point.simulated.get(name) for point in self.points], "mean")

    def stderr(self, name: str) -> list[float] | None:
        """Its standard error; None for a single seed."""
        return _column([point.simulated.get(name) for point in self.points], "stderr")

    def predicted(self, name: str) -> list[float] | None:
        """The prediction of an observable at each point; None when one is missing."""
        made = [None if p.predicted is None else p.predicted.observables for p in self.points]
        if any(observables is None or name not in observables for observables in made):
            return None
        return [float(observables[name]) for observables in made if observables is not None]


@dataclass(frozen=True)
class Exponent:
    """One observable's exponent in one window, positive for a decreasing curve.

    **Fields:** None where there is no such number; `reason` says why.
    """

    observable: str
    window: tuple[float, float]
    points: int
    measured: float | None = None
    standard_error: float | None = None
    predicted: float | None = None
    margin: float | None = None
    verdict: str | None = None
    reason: str = ""

    def document(self) -> dict[str, Any]:
        """The exponent as one JSON object."""
        return {name: value for name, value in vars(self).items() if name != "reason" or value}


def _column(means: Sequence[Any], part: str) -> list[float] | None:
    values = [None if mean is None else getattr(mean, part) for mean in means]
    if any(value is None or getattr(value, "ndim", 0) for value in values):
        return None
    return [float(value) for value in values if value is not None]


def along(rows: Sequence[FieldRow], varied: Mapping[str, Sequence[Any]]) -> str:
    """The field that the curves run along: the first size that varies, else the first number."""
    kinds = {row.name: row for row in rows}
    sizes = [name for name in varied if kinds[name].takes_int]
    numbers = [name for name in varied if any(isinstance(v, float) for v in varied[name])]
    if not sizes and not numbers:
        raise UsageError(f"{next(iter(varied))}: several values, none of them a number: give one")
    return (sizes or numbers)[0]


def curves(points: Sequence[Point], varied: Mapping[str, Sequence[Any]], field: str) -> list[Curve]:
    """The points grouped by the other varied fields; those at None or 0 lie on no curve."""
    found: dict[tuple[Any, ...], list[Point]] = {}
    others = [name for name in varied if name != field]
    for point in points:
        value = point.config[field]
        if value is not None and value > 0:
            found.setdefault(tuple(point.config[name] for name in others), []).append(point)
    return [
        Curve(field, dict(zip(others, key, strict=True)), _ordered(group, field))
        for key, group in found.items()
    ]


def _ordered(points: Sequence[Point], field: str) -> tuple[Point, ...]:
    return tuple(sorted(points, key=lambda point: point.config[field]))


def observables_of(curve: Curve) -> list[str]:
    """The scalar observables that a curve can be drawn of, in the order of the prediction."""
    names: dict[str, None] = {}
    for point in curve.points:
        predicted = {} if point.predicted is None else point.predicted.observables
        names |= dict.fromkeys([*predicted, *point.simulated])
    shared = [n for n in names if curve.simulated(n) and curve.predicted(n)]
    return shared or [n for n in names if curve.simulated(n) or curve.predicted(n)]


def exponent(curve: Curve, name: str, window: tuple[float, float] | None) -> Exponent:
    """Fits the observable's means, and the theory at the same points with the same weights."""
    x = curve.x
    low, high = window or (min(x), max(x))
    inside = [low <= value <= high for value in x]
    empty = Exponent(name, (low, high), sum(inside))
    if sum(inside) < 2:
        return _because(empty, f"{sum(inside)} points in the window, 2 are needed")
    measured, errors, predicted = (
        curve.simulated(name),
        curve.stderr(name),
        curve.predicted(name),
    )
    for values, side in ((measured, "mean"), (predicted, "prediction")):
        if values is not None and not _positive(values, inside):
            return _because(empty, f"a {side} in the window is not positive")
    if measured is None:
        return _theory_only(empty, x, predicted, window)
    if errors is not None and not _positive(errors, inside):
        errors = None
    if errors is None and sum(inside) < 3:
        return _because(empty, "2 points without standard errors: give more seeds or points")
    return _compared(empty, x, measured, errors, predicted, window)


def _positive(values: Sequence[float], inside: Sequence[bool]) -> bool:
    return all(math.isfinite(v) and v > 0 for v, kept in zip(values, inside, strict=True) if kept)


def _because(found: Exponent, reason: str) -> Exponent:
    return Exponent(found.observable, found.window, found.points, reason=reason)


def _theory_only(empty: Exponent, x: Any, predicted: Any, window: Any) -> Exponent:
    from scalinglab.theory.fitting import fit_power_law

    # Equal relative errors: the same line as without any, and two points are enough for it.
    fit = fit_power_law(x, predicted, standard_error=predicted, window=window)
    return Exponent(empty.observable, empty.window, empty.points, predicted=float(fit.exponent))


def _compared(
    empty: Exponent, x: Any, measured: Any, errors: Any, predicted: Any, window: Any
) -> Exponent:
    from scalinglab.theory.fitting import agree, fit_power_law

    fit = fit_power_law(x, measured, standard_error=errors, window=window)
    numbers = (float(fit.exponent), float(fit.exponent_error))
    if predicted is None:
        return Exponent(empty.observable, empty.window, empty.points, *numbers)
    theory = float(fit.same_window(predicted).exponent)
    found = agree(*numbers, theory, dof=fit.t_dof, status=int(fit.status))
    return Exponent(
        empty.observable,
        empty.window,
        empty.points,
        *numbers,
        predicted=theory,
        margin=found.margin,
        verdict=found.verdict,
    )
