r"""The lower envelope of loss curves of several sizes: the least loss at every compute.

Approach 1 of Hoffmann et al. (arXiv:2203.15556): at each compute the run of least loss gives the
compute-optimal size $N^*(C)$ and the frontier $L^*(C)$.
"""

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float64, Int
from scipy.interpolate import PchipInterpolator

from scalinglab.theory.prediction import require_float64

from .power_law import Number, Values, checked_positive, fit_power_law

_Table = Float64[np.ndarray, "sizes grid"]


class Envelope(eqx.Module):
    r"""The frontier, in ascending order of compute.

    **Fields:**

    - `compute`: the grid points where the best run is neither the smallest nor the largest.
    - `loss`, `size`: $L^*$ and $N^*$, refined between sizes.
    - `grid_size`: size of the best run itself.
    - `num_discarded`: grid points left out because the best run was the smallest or largest of
      those that reach that compute, or fewer than three do.
    """

    compute: Float64[np.ndarray, " kept"]
    loss: Float64[np.ndarray, " kept"]
    size: Float64[np.ndarray, " kept"]
    grid_size: Float64[np.ndarray, " kept"]
    num_discarded: int = eqx.field(static=True)


def lower_envelope(
    size: Values, compute: Values, loss: Values, *, grid: Values | None = None
) -> Envelope:
    r"""Finds the least loss over runs of several sizes at every compute.

    Each run is interpolated in $(\log C, \log L)$ by a monotone cubic (PCHIP), never beyond its
    ends. Where the best of the runs that reach C has a smaller and a larger neighbour, the parabola
    of $\log L$ against $\log N$ through the three has its vertex at $(\log N^*, \log L^*)$.

    **Arguments:**

    - `size`, `compute`, `loss`: positive, one value a point of a curve, in any order. Points of one
      size are one run, and each size at least two points at different compute.
    - `grid`: the compute values of the frontier, ascending; 200 spaced evenly in $\log C$ over
      all runs by default.

    **Returns:** an `Envelope`.

    **Raises:** `ValueError` for values that are not positive and finite, for shapes that differ,
    for fewer than three sizes, for a size with one point or with two at one compute, and when
    every grid point is discarded.

    **Limits:** without the refinement $N^*$ is a staircase on the sizes given. Neighbouring
    points share runs, and points of one curve their noise, so that a regression over the frontier
    says nothing about its own error; use `isoflop_minima` or a fitted law for intervals.
    """
    require_float64()
    given = {"size": size, "compute": compute, "loss": loss}
    columns = {name: checked_positive(name, values) for name, values in given.items()}
    for name, column in columns.items():
        if column.shape != columns["size"].shape:
            raise ValueError(
                f"{name}: shape {column.shape} differs from the shape {columns['size'].shape} of "
                "size; give one value a point"
            )
    sizes = np.unique(columns["size"])
    if sizes.size < 3:
        raise ValueError(f"size: {sizes.size} sizes, and a frontier needs 3; train more sizes")
    log_compute = _log_grid(columns["compute"], grid)
    table = np.full((sizes.size, log_compute.size), np.inf)
    for row, value in enumerate(sizes):
        at = columns["size"] == value
        table[row] = _interpolated(value, columns["compute"][at], columns["loss"][at], log_compute)
    best, below, above, inside = _neighbours(table)
    if not inside.any():
        raise ValueError(
            f"size: the best of {sizes.size} sizes is the smallest or largest at every compute; "
            "train sizes on both sides of the optimum"
        )
    kept = np.flatnonzero(inside)
    rows = np.stack([below, best, above])[:, kept]
    log_size, log_loss = _vertex(np.log(sizes)[rows], table[rows, kept])
    return Envelope(
        compute=np.exp(log_compute[kept]),
        loss=np.exp(log_loss),
        size=np.exp(log_size),
        grid_size=sizes[best[kept]],
        num_discarded=int(np.sum(~inside)),
    )


def envelope_exponents(envelope: Envelope, *, floor: Number = 0.0) -> tuple[float, float]:
    r"""The exponents of $L^* - E \propto C^{-k}$ and $N^* \propto C^a$ by least squares.

    **Arguments:**

    - `floor`: the irreducible loss E, below every loss of the frontier.

    **Returns:** k, positive when the loss falls, and a, positive when the size grows; numbers
    without errors, for the reason given at `lower_envelope`.

    **Raises:** `ValueError` for fewer than three points and a floor above the frontier.
    """
    excess = envelope.loss - float(floor)
    if not np.all(excess > 0.0):
        raise ValueError(
            f"floor: {floor} is not below the least loss {envelope.loss.min()}; lower it"
        )
    loss = fit_power_law(envelope.compute, excess)
    size = fit_power_law(envelope.compute, envelope.size)
    return float(loss.exponent), -float(size.exponent)


def _log_grid(
    compute: Float64[np.ndarray, " points"], grid: Values | None
) -> Float64[np.ndarray, " grid"]:
    if grid is None:
        return np.linspace(np.log(compute.min()), np.log(compute.max()), 200)
    values = np.log(checked_positive("grid", grid))
    if not np.all(np.diff(values) > 0.0):
        raise ValueError("grid: not ascending; sort it and drop repeated values")
    return values


def _interpolated(
    size: float,
    compute: Float64[np.ndarray, " run"],
    loss: Float64[np.ndarray, " run"],
    log_compute: Float64[np.ndarray, " grid"],
) -> Float64[np.ndarray, " grid"]:
    """Log loss of one run on the grid, infinite beyond its ends."""
    order = np.argsort(compute)
    at = np.log(compute[order])
    if at.size < 2 or np.any(np.diff(at) == 0.0):
        raise ValueError(
            f"compute: size {size:.6g} has {at.size} points, some at one compute or only one; "
            "give each size one curve of at least 2 points"
        )
    curve = PchipInterpolator(at, np.log(loss[order]), extrapolate=False)(log_compute)
    return np.where(np.isnan(curve), np.inf, curve)


_Rows = Int[np.ndarray, " grid"]


def _neighbours(table: _Table) -> tuple[_Rows, _Rows, _Rows, Bool[np.ndarray, " grid"]]:
    """Rows of the best run and of its neighbours among the runs that reach each compute."""
    there = np.isfinite(table)
    best = np.argmin(table, axis=0)
    rows = np.arange(table.shape[0])[:, None]
    below = np.max(np.where(there & (rows < best), rows, -1), axis=0)
    above = np.min(np.where(there & (rows > best), rows, table.shape[0]), axis=0)
    inside = (below >= 0) & (above < table.shape[0])
    return best, below, above, inside


def _vertex(
    u: Float64[np.ndarray, "3 kept"], v: Float64[np.ndarray, "3 kept"]
) -> tuple[Float64[np.ndarray, " kept"], Float64[np.ndarray, " kept"]]:
    """The vertex of the parabola through three points of which the middle one is the lowest.

    Newton's form v1 + s (u - u1) + c (u - u1)(u - u0). Of equal runs the smallest is the best, so
    that the slope is negative on the left and not on the right, and the curvature c positive.
    """
    left, right = u[1] - u[0], u[2] - u[1]
    slope, next_slope = (v[1] - v[0]) / left, (v[2] - v[1]) / right
    curvature = (next_slope - slope) / (left + right)
    at_middle = slope + curvature * left
    shift = -at_middle / (2.0 * curvature)
    return u[1] + shift, v[1] + shift * at_middle / 2.0
