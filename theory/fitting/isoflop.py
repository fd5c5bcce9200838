r"""The compute-optimal size from runs of equal compute (IsoFLOP curves), and how it scales.

At each compute level the loss against $\log N$ has a minimum $N^*$. `isoflop_minima` finds it by
a parabola (Hoffmann et al., arXiv:2203.15556, approach 2) or by Akima interpolation (Porian et
al., arXiv:2406.19146); `optimum_scaling` fits $N^* \propto C^a$ to what was found.
"""

import enum
from typing import Literal, get_args

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Bool, Float64, Int, PRNGKeyArray
from scipy.interpolate import Akima1DInterpolator

from scalinglab.theory.prediction import require_float64

from .crossover import Parabola, fit_parabola
from .power_law import Values, checked_positive, fit_power_law

Method = Literal["quadratic", "akima"]
_Column = Float64[np.ndarray, " points"]
_Curves = Float64[np.ndarray, "points curves"]
_Found = tuple[
    Float64[np.ndarray, " curves"], Float64[np.ndarray, " curves"], Int[np.ndarray, " curves"]
]
_GRID_A_GAP = 25


class MinimumStatus(enum.IntEnum):
    """Why a compute level has a minimum, or has none."""

    OK = 0
    TOO_FEW = 1
    NOT_CONVEX = 2
    AT_EDGE = 3
    UNSTABLE = 4

    @property
    def sentence(self) -> str:
        """What happened, and what to change."""
        return _SENTENCES[self]


_SENTENCES = {
    MinimumStatus.OK: "ok",
    MinimumStatus.TOO_FEW: "fewer than 3 sizes at this compute: train more sizes",
    MinimumStatus.NOT_CONVEX: "the parabola opens downwards: train sizes further apart",
    MinimumStatus.AT_EDGE: "the minimum lies at the smallest or largest size, or beyond: "
    "train sizes on both sides of it",
    MinimumStatus.UNSTABLE: "fewer than half of the resamples have a minimum inside the sizes: "
    "train more sizes, or more seeds",
}


class IsoFlopMinima(eqx.Module):
    r"""The least loss at every compute level, in ascending order of compute.

    **Fields:** numbers are NaN where `status` is not `OK`.

    - `compute`: of the level.
    - `size`: $N^*$, in the unit of the sizes.
    - `log_size_error`: standard error of $\log N^*$.
    - `loss`, `loss_error`: at the minimum, and its standard error.
    - `status`: a `MinimumStatus` a level.
    - `num_points`: runs at the level.
    - `draws`: $N^*$ of resampled losses, NaN where one has no minimum; None without resamples.
    """

    compute: Float64[np.ndarray, " levels"]
    size: Float64[np.ndarray, " levels"]
    log_size_error: Float64[np.ndarray, " levels"]
    loss: Float64[np.ndarray, " levels"]
    loss_error: Float64[np.ndarray, " levels"]
    status: Int[np.ndarray, " levels"]
    num_points: Int[np.ndarray, " levels"]
    draws: Float64[np.ndarray, "resamples levels"] | None


def isoflop_minima(
    compute: Values,
    size: Values,
    loss: Values,
    *,
    standard_error: Values | None = None,
    method: Method = "quadratic",
    resamples: int = 0,
    key: PRNGKeyArray | None = None,
) -> IsoFlopMinima:
    r"""Finds the size of least loss at every compute level.

    `quadratic` fits, with weights $1/s^2$ where standard errors s are given,

    $$L = q_0 + q_1 \ell + q_2 \ell^2, \quad \ell = \log N, \qquad
    N^* = e^{-q_1 / 2 q_2}, \quad q_2 > 0,$$

    with errors by the delta method, from s or else from the residuals of the level. `akima`
    takes the argmin of the Akima interpolant of $\log L$ against $\log N$ on a grid of 25
    points a gap between sizes; its errors are the spread of the resamples.

    **Arguments:**

    - `compute`, `size`, `loss`: positive, one value a run. Runs whose compute is equal to the
      last bit share a level.
    - `standard_error`: of the loss, in its unit, positive.
    - `resamples`: number of resampled losses a level: `loss` plus normal noise of
      `standard_error`; without it, for `quadratic`, the parabola plus residuals drawn from those
      of all levels, each inflated by $\sqrt{n/(n-3)}$, which takes the noise for the same
      everywhere.
    - `key`: for the resamples.

    **Returns:** `IsoFlopMinima`. A level without a minimum inside its range of sizes has a status
    and NaN, as has one of which less than half the resamples have a minimum.

    **Raises:** `ValueError` for values that are not positive and finite, for shapes that differ,
    when no level has 3 sizes, when `akima` meets a size twice at one compute, and for resamples
    without a key or without anything that tells the noise.

    **Source:** arXiv:2203.15556, approach 2; arXiv:2406.19146, section 3 and its published code.

    **Limits:** a parabola is biased where the curve is lopsided: by a constant factor of $N^*$,
    which leaves the exponent alone, when the sizes move with the optimum, and by a drifting one
    when they do not.
    """
    require_float64()
    if method not in get_args(Method):
        raise ValueError(f"method: {method!r} is not known; choose one of {get_args(Method)}")
    levels = _levels(compute, size, loss, standard_error)
    if method == "akima":
        _check_interpolable(levels, resamples=resamples)
    noisy = _resampled(levels, resamples=resamples, key=key) if resamples else None
    found = [
        _minimum(level, None if noisy is None else noisy[index], method=method)
        for index, level in enumerate(levels)
    ]
    numbers = np.array([row for row, _, _ in found])
    return IsoFlopMinima(
        compute=np.array([level.compute for level in levels]),
        size=numbers[:, 0],
        log_size_error=numbers[:, 1],
        loss=numbers[:, 2],
        loss_error=numbers[:, 3],
        status=np.array([int(status) for _, status, _ in found]),
        num_points=np.array([level.loss.size for level in levels]),
        draws=np.stack([draws for _, _, draws in found], 1) if resamples else None,
    )


class _Level(eqx.Module):
    """The runs of one compute level, in ascending order of size."""

    compute: float
    log_size: _Column
    loss: _Column
    error: _Column | None

    @property
    def num_sizes(self) -> int:
        return np.unique(self.log_size).size

    def parabola(self, curves: _Curves) -> Parabola:
        weights = np.ones_like(self.loss) if self.error is None else self.error**-2.0
        return fit_parabola(self.log_size, curves, weights)


def _levels(
    compute: Values, size: Values, loss: Values, standard_error: Values | None
) -> list[_Level]:
    given = {"compute": compute, "size": size, "loss": loss}
    if standard_error is not None:
        given["standard_error"] = standard_error
    columns = {name: checked_positive(name, values) for name, values in given.items()}
    for name, column in columns.items():
        if column.shape != columns["compute"].shape:
            raise ValueError(
                f"{name}: shape {column.shape} differs from the shape {columns['compute'].shape} "
                "of compute; give one value a run"
            )
    levels = []
    for value in np.unique(columns["compute"]):
        at = np.flatnonzero(columns["compute"] == value)
        at = at[np.argsort(columns["size"][at], kind="stable")]
        error = columns["standard_error"][at] if standard_error is not None else None
        levels.append(_Level(float(value), np.log(columns["size"][at]), columns["loss"][at], error))
    if not any(level.num_sizes >= 3 for level in levels):
        raise ValueError(
            f"compute: none of {len(levels)} levels has 3 sizes; "
            "give the runs that belong together one value of compute"
        )
    return levels


def _check_interpolable(levels: list[_Level], *, resamples: int) -> None:
    for level in levels:
        if level.num_sizes < level.log_size.size:
            repeated = level.log_size[1:][np.diff(level.log_size) == 0.0]
            raise ValueError(
                f"size: {np.exp(repeated[0]):.6g} is there more than once at compute "
                f"{level.compute:.6g}; average those runs or keep the best for method='akima'"
            )
    if resamples and levels[0].error is None:
        raise ValueError(
            f"resamples: {resamples} without standard_error; an interpolant leaves no residuals, "
            "so give standard_error, or resamples=0"
        )


def _resampled(levels: list[_Level], *, resamples: int, key: PRNGKeyArray | None) -> list[_Curves]:
    """Losses of every level, resampled: shape (points, resamples) each."""
    if key is None:
        raise ValueError(f"key: None for {resamples} resamples; give jax.random.key(seed)")
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    shapes = [(level.loss.size, resamples) for level in levels]
    if levels[0].error is not None:
        scales = [np.ones(0) if level.error is None else level.error for level in levels]
        return [
            level.loss[:, None] + scale[:, None] * rng.standard_normal(shape)
            for level, scale, shape in zip(levels, scales, shapes, strict=True)
        ]
    lines, pool = [], []
    for level in levels:
        excess = level.loss.size - 3
        fit = level.parabola(level.loss[:, None]) if level.num_sizes >= 3 else None
        lines.append(level.loss if fit is None else fit.predict(level.log_size)[:, 0])
        if fit is not None and excess > 0:
            pool.append((level.loss - lines[-1]) * np.sqrt(level.loss.size / excess))
    if not pool:
        raise ValueError(
            f"resamples: {resamples} without standard_error, and no level has the 4 runs that "
            "leave residuals; give standard_error, or resamples=0"
        )
    residuals = np.concatenate(pool)
    return [
        line[:, None] + rng.choice(residuals, shape)
        for line, shape in zip(lines, shapes, strict=True)
    ]


def _minimum(
    level: _Level, noisy: _Curves | None, *, method: Method
) -> tuple[list[float], MinimumStatus, Float64[np.ndarray, " resamples"]]:
    """(N*, error of log N*, loss, its error), the status, and N* of every resample."""
    curves = level.loss[:, None] if noisy is None else np.column_stack([level.loss, noisy])
    if level.num_sizes < 3:
        return [np.nan] * 4, MinimumStatus.TOO_FEW, np.full(curves.shape[1] - 1, np.nan)
    find = _by_parabola if method == "quadratic" else _by_akima
    log_size, loss, status = find(level, curves)
    draws, drawn_loss = log_size[1:], loss[1:]
    verdict = MinimumStatus(int(status[0]))
    if verdict == MinimumStatus.OK and np.sum(np.isfinite(draws)) < draws.size / 2:
        verdict = MinimumStatus.UNSTABLE
    if verdict != MinimumStatus.OK:
        return [np.nan] * 4, verdict, np.full(draws.size, np.nan)
    if method == "quadratic":
        errors = _delta_errors(level)
    else:
        errors = [
            float(np.nanstd(d, ddof=1)) if d.size > 1 else np.nan for d in (draws, drawn_loss)
        ]
    row = [float(np.exp(log_size[0])), errors[0], float(loss[0]), errors[1]]
    return row, verdict, np.exp(draws)


def _by_parabola(level: _Level, curves: _Curves) -> _Found:
    fit = level.parabola(curves)
    vertex, depth = fit.vertex, fit.depth
    inside = (vertex > level.log_size[0]) & (vertex < level.log_size[-1])
    status = np.where(inside, int(MinimumStatus.OK), int(MinimumStatus.AT_EDGE))
    status = np.where(fit.coefficients[2] > 0.0, status, int(MinimumStatus.NOT_CONVEX))
    ok = status == MinimumStatus.OK
    return np.where(ok, vertex, np.nan), np.where(ok, depth, np.nan), status


def _delta_errors(level: _Level) -> list[float]:
    """Of the vertex and the depth of the parabola; NaN for 3 points without errors."""
    fit = level.parabola(level.loss[:, None])
    if level.error is not None:
        variance = 1.0
    else:
        excess = level.loss.size - 3
        variance = float(fit.chi_squared[0]) / excess if excess else np.nan
    return [float(np.sqrt(variance * v)) for v in (fit.vertex_variance[0], fit.depth_variance[0])]


def _by_akima(level: _Level, curves: _Curves) -> _Found:
    num = (level.log_size.size - 1) * _GRID_A_GAP
    grid = np.linspace(level.log_size[0], level.log_size[-1], num)
    # A resample with a loss below 0 has no log: a flat curve in its place has no minimum.
    positive = np.where(np.all(curves > 0.0, axis=0), curves, 1.0)
    log_loss = Akima1DInterpolator(level.log_size, np.log(positive))(grid)
    least = np.argmin(log_loss, axis=0)
    ok = (least > 0) & (least < num - 1)
    status = np.where(ok, int(MinimumStatus.OK), int(MinimumStatus.AT_EDGE))
    loss = np.exp(np.take_along_axis(log_loss, least[None, :], 0)[0])
    return np.where(ok, grid[least], np.nan), np.where(ok, loss, np.nan), status


class OptimumScaling(eqx.Module):
    r"""A fitted $N^* = k C^a$.

    **Fields:**

    - `exponent`, `exponent_error`: a, positive when the optimum grows, and its standard error.
    - `interval`: 95 % interval of the exponent.
    - `log_coefficient`: natural $\log k$.
    - `used`: which levels had a minimum.
    - `draws`: the exponent of every resample with two levels or more; None without draws.
    """

    exponent: float
    exponent_error: float
    interval: Float64[np.ndarray, "2"]
    log_coefficient: float
    used: Bool[np.ndarray, " levels"]
    draws: Float64[np.ndarray, " resamples"] | None


def optimum_scaling(
    compute: Values,
    size: Values,
    *,
    draws: Float64[np.ndarray, "resamples levels"] | None = None,
) -> OptimumScaling:
    r"""Fits $\log N^* = \log k + a \log C$ by least squares, levels without a minimum left out.

    **Arguments:**

    - `compute`, `size`: positive, one value a level; NaN in `size` where there is no minimum.
    - `draws`: resampled sizes, `IsoFlopMinima.draws`; each leaves out the levels where it, or
      `size`, has no minimum.

    **Returns:** an `OptimumScaling`. With draws the error is their standard deviation and the
    interval their percentiles; without, both come from the residuals, by Student's t.

    **Raises:** `ValueError` for fewer than 3 levels with a minimum, and for shapes that differ.

    **Source:** arXiv:2203.15556, section 3; arXiv:2406.19146.
    """
    sizes = np.asarray(size, np.float64)
    used = ~np.isnan(sizes)
    levels = checked_positive("compute", compute)
    if sizes.shape != levels.shape or (draws is not None and draws.shape[1:] != levels.shape):
        raise ValueError(
            f"size: shape {sizes.shape} (draws {None if draws is None else draws.shape}) does not "
            f"go with the shape {levels.shape} of compute; give one value a level"
        )
    if used.sum() < 3:
        raise ValueError(
            f"size: {used.sum()} levels with a minimum, and at least 3 are needed; "
            "add levels of compute"
        )
    fit = fit_power_law(levels[used], sizes[used])
    exponent, error, interval = -float(fit.exponent), float(fit.exponent_error), -fit.interval[::-1]
    exponents = None
    if draws is not None:
        exponents = _slopes(np.log(levels[used]), np.log(draws[:, used]))
        error, interval = np.std(exponents, ddof=1), np.quantile(exponents, [0.025, 0.975])
    return OptimumScaling(
        exponent=exponent,
        exponent_error=float(error),
        interval=np.asarray(interval),
        log_coefficient=float(fit.log_amplitude),
        used=used,
        draws=exponents,
    )


def _slopes(
    x: Float64[np.ndarray, " levels"], y: Float64[np.ndarray, "resamples levels"]
) -> Float64[np.ndarray, " kept"]:
    """Least-squares slopes of every row over its finite entries, of which it needs two."""
    there = np.isfinite(y)
    y, there = y[there.sum(1) >= 2], there[there.sum(1) >= 2]
    count = there.sum(1, keepdims=True)
    u = np.where(there, x - np.sum(np.where(there, x, 0.0), 1, keepdims=True) / count, 0.0)
    return np.sum(u * np.where(there, y, 0.0), 1) / np.sum(u**2, 1)
