"""Curves of an observable against one size, measured and predicted at the same points."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from scalinglab.theory import Kind, Theory
from scalinglab.theory.fitting import PowerLawFit, fit_power_law

from .claims import Claim, claim
from .comparison import compare


@dataclass(frozen=True)
class Curve:
    """One observable along one field, everything else fixed.

    **Fields:** `fixed`, the other swept fields; `x` (points,), increasing; `mean`, `stderr` over
    the seeds and `predicted` at the same points; `kind` of the prediction; `seeds`.
    """

    fixed: Mapping[str, Any]
    x: np.ndarray
    mean: np.ndarray
    stderr: np.ndarray
    predicted: np.ndarray
    kind: Kind
    seeds: int

    def within(self, low: float, high: float = math.inf) -> np.ndarray:
        """Which points lie in the closed window."""
        return (self.x >= low) & (self.x <= high)


def curves(
    dataset: xr.Dataset,
    observable: str,
    along: str,
    theory: ModuleType | Sequence[Theory],
    *,
    name: str | None = None,
) -> tuple[Curve, ...]:
    """The curves of `observable` along one field, one for each setting of the others.

    **Arguments:** `dataset`, of a sweep; `along`, a swept field; `theory`, a module or table, of
    which the first theory that applies is used, or the one called `name`.

    **Raises:** `ValueError` where a point has no finite mean, so that no curve loses it silently.
    """
    grouped: dict[tuple[tuple[str, Any], ...], list[Any]] = {}
    for row in compare(dataset, theory, name=name).rows:
        if row.observable != observable:
            continue
        if not (math.isfinite(row.mean) and math.isfinite(row.stderr)):
            raise ValueError(
                f"{observable}: no mean and standard error at {dict(row.point)}; "
                f"{row.failed} of its lanes failed"
            )
        fixed = tuple((key, value) for key, value in row.point.items() if key != along)
        grouped.setdefault(fixed, []).append(row)
    return tuple(_curve(dict(fixed), rows, along) for fixed, rows in grouped.items())


def _curve(fixed: Mapping[str, Any], rows: list[Any], along: str) -> Curve:
    rows = sorted(rows, key=lambda row: row.point[along])
    columns = {
        name: np.array([float(getattr(row, name)) for row in rows])
        for name in ("mean", "stderr", "predicted")
    }
    x = np.array([float(row.point[along]) for row in rows])
    return Curve(fixed, x, **columns, kind=rows[0].kind, seeds=rows[0].seeds)


def mean_and_error(values: np.ndarray) -> tuple[Any, Any]:
    """Mean and standard error over the last axis, the seeds; one that is NaN makes both NaN."""
    return values.mean(axis=-1), values.std(axis=-1, ddof=1) / math.sqrt(values.shape[-1])


def fit_window(curve: Curve, low: float, high: float = math.inf) -> PowerLawFit:
    """The power law through the measured points of a window, weighted by their standard errors."""
    inside = curve.within(low, high)
    window = (float(curve.x[inside][0]), float(curve.x[inside][-1]))
    return fit_power_law(curve.x, curve.mean, standard_error=curve.stderr, window=window)


def window_text(fit: PowerLawFit, symbol: str) -> str:
    """The window of a fit in words, such as `D = 32..256`."""
    low, high = (float(end) for end in fit.window)
    return f"{symbol} = {low:g}..{high:g}"


@dataclass(frozen=True)
class Statement:
    """What a paper says of the exponent of a family of curves.

    **Fields:** `sentence`, `source` and `quantity` as in `Claim`; `symbol`, the size's;
    `asymptotic(fixed)`, the exponent that the paper states as sizes grow.
    """

    sentence: str
    source: str
    quantity: str
    symbol: str
    asymptotic: Callable[[Mapping[str, Any]], float]


def exponent_claims(
    curve: Curve, statement: Statement, low: float, high: float = math.inf
) -> tuple[Claim, Claim]:
    """Two claims on one curve: against the theory in the same window, and against the limit.

    The first is a strict one, with the same points and weights on both sides; its default margin
    is that of `agree`. The second holds the stated limit against a finite window: a finding, not a
    test of the code.
    """
    fit = fit_window(curve, low, high)
    predicted = fit.same_window(curve.predicted).exponent
    shared = {
        "sentence": statement.sentence,
        "source": statement.source,
        "measured": fit.exponent,
        "standard_error": fit.exponent_error,
        "window": window_text(fit, statement.symbol),
    }
    same = claim(
        **shared, quantity=statement.quantity, predicted=predicted, kind=curve.kind, dof=fit.t_dof
    )
    limit = claim(
        **shared,
        quantity=statement.quantity,
        predicted=statement.asymptotic(curve.fixed),
        kind="asymptotic",
        dof=fit.t_dof,
    )
    return same, limit


def worst_deviation(curve: Curve, low: float) -> tuple[float, float]:
    """The largest |measured/predicted - 1| from `low` on, and its own relative standard error."""
    inside = curve.within(low)
    ratio = curve.mean[inside] / curve.predicted[inside] - 1
    worst = int(np.argmax(np.abs(ratio)))
    return float(ratio[worst]), float((curve.stderr / curve.predicted)[inside][worst])
