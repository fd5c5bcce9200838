"""Fits again: the same law and data with other weights, outputs, starts or fixed parameters.

Bootstraps, profiles and leave-one-out are each one call of `resolve`.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int

from .fit import Fit
from .lanes import LOOSE, Jobs, Solutions, as_lanes, solve, tabulate

Columns = Float64[np.ndarray, "points jobs"]


def resolve(
    fits: Fit | Sequence[Fit],
    *,
    phi: Float64[np.ndarray, "parameters jobs"] | None = None,
    which: Int[np.ndarray, " jobs"] | None = None,
    free: Float64[np.ndarray, "parameters jobs"] | None = None,
    weight: Columns | None = None,
    y: Columns | None = None,
    jobs: int | None = None,
    tolerance: float = LOOSE,
) -> Solutions:
    """Solves many variants of one fit, or of several fits of one law, in one batch.

    The scale of the loss stays that of each fit, so that objectives can be compared.

    **Arguments:**

    - `fits`: with the same law, loss kind and space.
    - `phi`: starts in working coordinates; the optimum of each fit by default.
    - `which`: the fit that each job varies; all the first by default.
    - `free`: 1 for a parameter that moves, 0 for one held at its start; as in the fit by default.
      A held parameter with a unit is held in the unit of the data, so its coordinate is then its
      natural logarithm there (`coordinates.working`).
    - `weight`, `y`: of the points of the data, in their order; those of the data by default.
    - `jobs`: their number, where no argument says it.
    - `tolerance`: predicted further decrease, relative, at which a job is done.
    """
    fits = [fits] if isinstance(fits, Fit) else list(fits)
    first = fits[0]
    given = [one.shape[-1] for one in (phi, which, free, weight, y) if one is not None]
    if which is not None:
        given.append(len(which))
    total = given[0] if given else (1 if jobs is None else jobs)
    which = np.zeros(total, np.int64) if which is None else which
    table = tabulate(first.law, [one.data for one in fits], linear=first.space == "linear")
    optimum = np.stack([one.phi for one in fits], axis=1)[:, which]
    start = optimum if phi is None else phi
    for delta in np.array([_stages(one) for one in fits]).T:
        problem = Jobs(
            phi=start,
            which=which,
            free=np.stack([one.free for one in fits], axis=1)[:, which] if free is None else free,
            delta=delta[which],
            weight=None if weight is None else _laid(weight, fits, which, table.target.shape[0]),
            target=None if y is None else _targets(y, fits, which, table.target.shape[0]),
        )
        ends = solve(table, problem, shape=first.loss.shape, tolerance=tolerance)
        start = np.where(np.isfinite(ends.phi), ends.phi, start)
    return ends


def _stages(fit: Fit) -> tuple[float, ...]:
    """The scales of the loss at which the fit was solved in turn."""
    if fit.loss.kind != "l1":
        return (fit.delta,)
    stages = fit.loss.deltas(fit.delta / fit.loss.deltas(1.0)[-1])
    return tuple(one for one in stages if one >= 0.99 * fit.variant_delta)


def _laid(
    values: Columns, fits: Sequence[Fit], which: Int[np.ndarray, " jobs"], points: int
) -> Float64[np.ndarray, "padded jobs"]:
    """Columns in the order of the data, in the order and length of the table."""
    laid = np.zeros((points, values.shape[1]))
    for index, one in enumerate(fits):
        mine = which == index
        laid[:, mine] = as_lanes(values[: len(one.data.y), mine], one.data, points)
    return laid


def _targets(
    y: Columns, fits: Sequence[Fit], which: Int[np.ndarray, " jobs"], points: int
) -> Float64[np.ndarray, "padded jobs"]:
    """Outputs as the table holds them: centred, and in log space their logarithms."""
    output = np.array([one.table.shift.get(one.law.output, np.zeros(1))[0] for one in fits])[which]
    if fits[0].space == "linear":
        return _laid(y / np.exp(output), fits, which, points)
    return _laid(np.log(y) - output, fits, which, points)
