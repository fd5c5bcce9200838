"""`fit` and `fit_many`: every start to its optimum, and the best of them to the last digit."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float64, Int

from scalinglab.models import Status
from scalinglab.theory.prediction import require_float64

from . import checks, evaluate
from .coordinates import working
from .data import Data
from .fit import Fit, Space
from .lanes import LOOSE, TIGHT, Jobs, Solutions, Table, canonical_order, solve, tabulate
from .law import Law, tied
from .loss import MAD_TO_SD, Huber, Loss
from .starts import starts as law_starts

SAME_OPTIMUM = 1e-4  # relative difference in objective of starts that count as equal
# Below this the residuals of noise-free data are rounding, and no scale can be read from them.
_SMALLEST_SCALE = 1e-13


def fit(
    law: Law,
    data: Data,
    *,
    loss: Loss | None = None,
    starts: int = 32,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    start: Mapping[str, float] | None = None,
    space: Space | None = None,
) -> Fit:
    r"""Fits a law: $\min_\theta \sum_i w_i\, \rho(z_i)$, from many starts.

    $z_i = \log L(x_i; \theta) - \log y_i$, or $L(x_i; \theta) - y_i$ in linear space, divided by
    the standard deviation of $\log y_i$ or of $y_i$ where the data have one.

    **Arguments:**

    - `law`, `data`: the data hold every input of the law.
    - `loss`: `Huber()` with an automatic scale by default. `Huber(1e-3)` is the field's habit;
      on the Chinchilla points five residuals of six lie outside it, so that it is nearly `L1`.
    - `starts`: points of a Sobol sequence, beside those by variable projection.
    - `fix`: parameters held at these values, such as those of a theory. `tie`: parameters held
      equal to others.
    - `start`: one more start, every parameter by name.
    - `space`: the law's own by default.

    **Returns:** a `Fit`; one that failed has a status.

    **Raises:** `ValueError` for an unknown name, a missing column, an output that is not positive
    in log space, an input that never changes, and fewer points than fitted parameters.
    `RuntimeError` without float64.

    **Source:** arXiv 2203.15556, appendix D, for the Huber loss of log residuals.
    """
    return fit_many(
        law, [data], loss=loss, starts=starts, fix=fix, tie=tie, start=start, space=space
    )[0]


def fit_many(
    law: Law,
    datas: Sequence[Data],
    *,
    loss: Loss | None = None,
    starts: int = 32,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    start: Mapping[str, float] | None = None,
    space: Space | None = None,
) -> tuple[Fit, ...]:
    """`fit` of many data sets at once, which may differ in length. Arguments as `fit`."""
    require_float64()
    loss = Huber() if loss is None else loss
    law = tied(law, tie) if tie else law
    fixed = {str(name): float(value) for name, value in (fix or {}).items()}
    space = law.space if space is None else space
    checks.check(law, datas, fixed=fixed, start=start, space=space, starts=starts)
    table = tabulate(law, datas, linear=space == "linear")
    free = np.array([float(name not in fixed) for name in law.names])
    found = [_starts(table, index, starts, free, fixed, start) for index in range(len(datas))]
    which = np.repeat(np.arange(len(datas)), [one.shape[1] for one in found])

    deltas = _deltas(loss, table, np.concatenate(found, axis=1), which, free)
    ends = _descend(loss, table, np.concatenate(found, axis=1), which, free, deltas)
    best = _best(ends.objective, which, len(datas))
    polished = solve(
        table,
        Jobs(np.nan_to_num(ends.phi[:, best]), which[best], free[:, None], deltas[:, -1]),
        shape=loss.shape,
        tolerance=TIGHT,
    )
    shares = _shares(ends.objective, which, best)
    z, columns = evaluate.residuals(table, free, np.nan_to_num(polished.phi))
    return tuple(
        _assemble(
            law,
            data,
            loss=loss,
            space=space,
            fixed=fixed,
            delta=float(deltas[index, -1]),
            solution=_one(polished, index),
            iterations=int(ends.iterations[best[index]]),
            num_starts=int(np.sum(which == index)),
            share=float(shares[index]),
            z=z[:, index],
            columns=columns[:, :, index],
        )
        for index, data in enumerate(datas)
    )


def _starts(
    table: Table,
    index: int,
    count: int,
    free: Float64[np.ndarray, " parameters"],
    fixed: Mapping[str, float],
    start: Mapping[str, float] | None,
) -> Float64[np.ndarray, "parameters starts"]:
    """Starts of one data set, with the fixed parameters where they are held."""
    law = table.law
    shift = {name: values[index] for name, values in table.shift.items()}
    found = law_starts(table, index, count)
    if start is not None:
        own = working(law, {**start, **fixed}, free, shift)
        found = np.concatenate([own[:, None], found], axis=1)
    if fixed:
        any_values = dict.fromkeys(law.names, 1.0)
        held = working(law, {**any_values, **fixed}, free, shift)
        found = np.where(free[:, None] > 0.0, found, held[:, None])
    return found


def _deltas(
    loss: Loss,
    table: Table,
    phi: Float64[np.ndarray, "parameters jobs"],
    which: Int[np.ndarray, " jobs"],
    free: Float64[np.ndarray, " parameters"],
) -> Float64[np.ndarray, "sets stages"]:
    """The scales at which each data set is solved in turn.

    An automatic scale is 1.4826 times the median absolute residual of a least-squares fit.
    """
    sets = table.target.shape[1]
    if not (loss.is_automatic or loss.kind == "l1"):
        return np.array([loss.deltas(1.0)] * sets)
    jobs = Jobs(phi, which, free[:, None], np.full(phi.shape[1], np.inf))
    ends = solve(table, jobs, shape="huber")
    best = _best(ends.objective, which, sets)
    jobs = Jobs(np.nan_to_num(ends.phi[:, best]), which[best], free[:, None], jobs.delta[best])
    polished = solve(table, jobs, shape="huber", tolerance=TIGHT)
    z, _ = evaluate.residuals(table, free, np.nan_to_num(polished.phi))
    spread = [
        MAD_TO_SD * float(np.median(np.abs(column[weight > 0.0])))
        for column, weight in zip(z.T, table.weight.T, strict=True)
    ]
    usable = [max(one, _SMALLEST_SCALE) if np.isfinite(one) else 1.0 for one in spread]
    return np.array([loss.deltas(one) for one in usable])


def _descend(
    loss: Loss,
    table: Table,
    phi: Float64[np.ndarray, "parameters jobs"],
    which: Int[np.ndarray, " jobs"],
    free: Float64[np.ndarray, " parameters"],
    deltas: Float64[np.ndarray, "sets stages"],
) -> Solutions:
    """Every start through every stage of the loss."""
    for stage in deltas.T:
        ends = solve(
            table, Jobs(phi, which, free[:, None], stage[which]), shape=loss.shape, tolerance=LOOSE
        )
        phi = np.where(np.isfinite(ends.phi), ends.phi, phi)
    return ends


def _best(
    objective: Float64[np.ndarray, " jobs"], which: Int[np.ndarray, " jobs"], sets: int
) -> Int[np.ndarray, " sets"]:
    """The job with the lowest objective of each data set; the first where none is finite."""
    value = np.where(np.isfinite(objective), objective, np.inf)
    order = np.lexsort([value, which])
    return order[np.searchsorted(which[order], np.arange(sets))]


def _shares(
    objective: Float64[np.ndarray, " jobs"],
    which: Int[np.ndarray, " jobs"],
    best: Int[np.ndarray, " sets"],
) -> Float64[np.ndarray, " sets"]:
    """The share of starts of each data set that ended as low as the best."""
    limit = objective[best][which] * (1.0 + SAME_OPTIMUM) + 1e-28
    low = (objective <= limit).astype(float)
    return np.bincount(which, low, len(best)) / np.bincount(which, minlength=len(best))


def _one(ends: Solutions, index: int) -> Solutions:
    """One job of several."""
    at = slice(index, index + 1)
    return Solutions(
        ends.phi[:, at],
        ends.objective[at],
        ends.decrement[at],
        ends.iterations[at],
        ends.status[at],
    )


def _assemble(
    law: Law,
    data: Data,
    *,
    loss: Loss,
    space: Space,
    fixed: dict[str, float],
    delta: float,
    solution: Solutions,
    iterations: int,
    num_starts: int,
    share: float,
    z: Float64[np.ndarray, " padded"],
    columns: Float64[np.ndarray, "parameters padded"],
) -> Fit:
    """The fit of one data set, its points in the order of the data again."""
    table = tabulate(law, [data], linear=space == "linear")
    free = np.array([float(name not in fixed) for name in law.names])
    order = canonical_order(data)
    ok = np.isfinite(solution.objective[0])
    residuals, slopes = np.full(len(data.y), np.nan), np.full((len(free), len(data.y)), np.nan)
    if ok:
        residuals[order] = z[: len(order)]
        slopes[:, order] = columns[:, : len(order)] * free[:, None]
    values = evaluate.naturals(table, free, solution.phi)
    objective = float(solution.objective[0])
    if loss.kind == "l1":
        objective = float(np.sum(data.weight * np.abs(residuals)))
    return Fit(
        law=law,
        data=data,
        loss=loss,
        space=space,
        delta=delta,
        fixed=fixed,
        parameters={name: float(value[0]) for name, value in values.items()},
        objective=objective,
        status=Status(int(solution.status[0])),
        gradient=float(solution.decrement[0] / max(solution.objective[0], 1e-300)),
        iterations=iterations,
        num_starts=num_starts,
        share_of_starts=share,
        phi=solution.phi[:, 0],
        residuals=residuals,
        columns=slopes,
    )
