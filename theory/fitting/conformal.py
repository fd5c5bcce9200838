"""Bands for new measurements that assume no distribution of the residuals.

Scaling laws are used beyond the largest run, so that the residuals that matter are those of
predictions upward. Both methods take their residuals from the largest scales of the data only. They
cover a new point with the stated probability where it is exchangeable with those calibration
points; beyond the largest scale they are an honest minimum, not a guarantee.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64, Int

from .covariance import check_level
from .fit import Fit
from .resolve import resolve

Band = tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]


def conformal_band(
    fit: Fit,
    x: Mapping[str, Any],
    *,
    level: float = 0.9,
    calibration: float = 0.25,
    along: str | None = None,
    method: Literal["split", "jackknife+"] = "split",
) -> Band:
    r"""A band for new measurements at `x`, calibrated on the largest scales.

    `split` fits the smaller scales and takes the $\lceil (m+1)\,\mathrm{level} \rceil$-th smallest
    of the m absolute residuals at the larger ones; `jackknife+` leaves out each of the larger
    points in turn, and keeps every point for the centre.

    **Arguments:**

    - `x`: inputs (points,) in the units of the data. `level`: coverage.
    - `calibration`: fraction of the points, the largest in `along`, whose residuals are used.
    - `along`: an input; the product of all inputs by default.

    **Returns:** lower and upper ends (points,), in the unit of the output.

    **Raises:** `ValueError` for too few calibration points for the level ($m + 1 \ge 1/(1 -
    \mathrm{level})$ are needed) or too few left to fit.

    **Source:** Vovk, Gammerman and Shafer 2005; Barber et al. 2021 (arXiv 1905.02928) for the
    jackknife+.
    """
    check_level(level)
    if method not in ("split", "jackknife+"):
        raise ValueError(f"method: {method!r}; give 'split' or 'jackknife+'")
    held = _largest(fit, calibration, along)
    rank = math.ceil((len(held) + 1) * level)
    if rank > len(held):
        raise ValueError(
            f"calibration: {len(held)} points cannot hold a level of {level}; "
            f"{math.ceil(1.0 / (1.0 - level)) - 1} are needed, so raise it or lower the level"
        )
    jobs = np.zeros(1, int) if method == "split" else np.arange(len(held))
    weight = np.repeat(fit.data.weight[:, None], len(jobs), axis=1)
    if method == "split":
        weight[held] = 0.0
        if np.count_nonzero(weight) < len(fit.free_names):
            raise ValueError(
                f"calibration: {calibration} leaves {np.count_nonzero(weight)} points for "
                f"{len(fit.free_names)} parameters; lower it"
            )
    else:
        weight[held, jobs] = 0.0
    ends = resolve(fit, weight=weight)
    at_held = _line(fit, fit.predict_draws(ends.phi, _rows(fit, held)))
    columns = np.zeros(len(held), int) if method == "split" else jobs
    misses = np.abs(at_held[np.arange(len(held)), columns] - _line(fit, fit.data.y[held]))
    centres = _line(fit, fit.predict_draws(ends.phi, x))
    low = np.sort(centres - misses[None, :], axis=1)[:, len(held) - rank]
    high = np.sort(centres + misses[None, :], axis=1)[:, rank - 1]
    return _back(fit, low), _back(fit, high)


def _largest(fit: Fit, calibration: float, along: str | None) -> Int[np.ndarray, " held"]:
    if not 0.0 < calibration < 1.0:
        raise ValueError(f"calibration: {calibration}; give a fraction between 0 and 1")
    inputs = [along] if along is not None else list(fit.law.inputs)
    if along is not None and along not in fit.data.x:
        raise ValueError(f"along: {along!r} is no input; give one of {', '.join(fit.data.x)}")
    columns = [fit.data.x[name] for name in inputs if fit.data.x[name].ndim == 1]
    size = np.sum([np.log(np.maximum(column, 1e-300)) for column in columns], axis=0)
    used = np.flatnonzero(fit.data.weight > 0.0)
    count = max(round(calibration * len(used)), 1)
    return used[np.argsort(size[used], kind="stable")[-count:]]


def _rows(fit: Fit, rows: Int[np.ndarray, " held"]) -> dict[str, np.ndarray]:
    return {name: fit.data.x[name][rows] for name in fit.law.inputs}


def _line(fit: Fit, values: np.ndarray) -> np.ndarray:
    return np.log(values) if fit.space == "log" else values


def _back(fit: Fit, values: np.ndarray) -> np.ndarray:
    return np.exp(values) if fit.space == "log" else values
