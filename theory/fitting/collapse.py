r"""Data collapse: the exponents that bring curves of several sizes onto one master curve.

Finite-size scaling says that $(L - E)\, x^a = f(t / x^b)$ with one unknown f. No form of f is
assumed: each point is compared with a local fit to the points of the other sizes, as in Houdayer
and Hartmann, Phys. Rev. B 70 (2004) 014418, Appendix A.
"""

import equinox as eqx
import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float64
from scipy.ndimage import minimum_filter

from scalinglab.models import Status
from scalinglab.theory.prediction import require_float64

from .power_law import Number, Values, checked_positive

_Column = Float64[np.ndarray, " points"]
_Square = Float64[np.ndarray, "points points"]

_STARTS = 3
# The least ratio of the slope's variation to what noise feigns, at which b is told from a.
_RESOLVED = 4.0
_TIME_GRID = 61
# Values of kappa in E = min(L) (1 - exp(-kappa)): from no constant to 99 % of the least loss.
_CONSTANT_GRID = np.linspace(0.0, 4.6, 9)


class Collapse(eqx.Module):
    r"""The best collapse $(L - E)\, x^a = f(t / x^b)$.

    **Fields:**

    - `size_exponent`, `time_exponent`, `constant`: a, b and E.
    - `size_error`, `time_error`, `constant_error`: their standard errors; 0 for a constant that
      was given.
    - `quality`: mean squared residual in units of its variance, about 1 for a good collapse with
      known errors; without them, mean squared residual of $\log(L - E)$, as a variance of one
      point.
    - `overlap`: share of the points that lie between the ends of the curve of another size.
    - `scaled_time`, `scaled_loss`: $t / x^b$ and $(L - E)\, x^a$, in the order given.
    - `status`: `ILL_CONDITIONED` where the exponents cannot be told apart, as for a master curve
      whose slope varies by no more than its noise (a power law: only $a - \alpha b$ is then
      determined), or where b is at its bound; errors are then NaN.
    """

    size_exponent: float
    time_exponent: float
    constant: float
    size_error: float
    time_error: float
    constant_error: float
    quality: float
    overlap: float
    scaled_time: Float64[np.ndarray, " points"]
    scaled_loss: Float64[np.ndarray, " points"]
    status: Status = eqx.field(static=True)


def collapse(
    size: Values,
    time: Values,
    loss: Values,
    *,
    standard_error: Values | None = None,
    constant: Number | None = 0.0,
    bounds: tuple[Number, Number] = (-3.0, 3.0),
    neighbours: int = 12,
    min_overlap: float = 0.5,
) -> Collapse:
    r"""Finds a, b, and E if asked, for which $(L - E)\, x^a$ against $t / x^b$ is one curve.

    With $v = \log(L - E) + a \log x$ and $z = \log t - b \log x$, a parabola is fitted about each
    point to its nearest points of other sizes (tricube weights over their variance), giving the
    residual $r_p = v_p - \sum_q M_{pq} v_q$ with the variance $s_p^2 + \sum_q M_{pq}^2 s_q^2$. The
    mean of the squared residuals over their variances is minimised: over a in closed form, over b
    and E from a grid by Nelder and Mead.

    The errors are those of an estimating equation (sandwich): with $J$ the derivatives of r by
    the parameters and W the inverse variances, $H^{-1} J^\top W (1-M) \Sigma (1-M)^\top W J
    H^{-1}$, $H = J^\top W J$, as one point enters many residuals.

    **Arguments:**

    - `size`, `time`, `loss`: x, t and L, positive, one value a point; at least two sizes.
    - `standard_error`: of the loss, in its unit, positive; equal errors of $\log(L - E)$, taken
      from the residuals, by default.
    - `constant`: E, below every loss; None to fit it in [0, min L).
    - `bounds`: the range of b searched.
    - `neighbours`: points in a local fit, at least 5. They must lie close enough for a parabola.
    - `min_overlap`: the least share of points that others must reach, in (0, 1]: without it, curves
      moved apart agree where nothing is compared.

    **Returns:** a `Collapse`.

    **Raises:** `ValueError` for values that are not positive and finite, for shapes that differ,
    for one size, for a constant not below every loss, for options out of range, and when no b
    inside the bounds reaches the overlap.

    **Limits:** the errors cover noise, not the corrections to scaling that make small sizes
    collapse badly: leave the smallest out and compare. A constant found at 0 is at the edge of its
    range, where its error is one-sided.
    """
    require_float64()
    points = _checked_points(size, time, loss, standard_error, neighbours, min_overlap)
    least = float(points.loss.min())
    if constant is not None and not float(constant) < least:
        raise ValueError(f"constant: {constant} is not below the least loss {least}; lower it")
    low, high = float(bounds[0]), float(bounds[1])
    if not low < high:
        raise ValueError(f"bounds: ({low}, {high}) is not ascending; give (low, high)")

    def unpack(free: Float64[np.ndarray, " free"]) -> tuple[float, float]:
        return float(free[0]), least * -np.expm1(-free[1]) if constant is None else float(constant)

    box = [(low, high)] if constant is not None else [(low, high), (0.0, 12.0)]
    free = _minimised(lambda free: points.residuals(*unpack(free)).quality, box)
    time_exponent, floor = unpack(free)
    best = points.residuals(time_exponent, floor)
    if not np.isfinite(best.quality):
        raise ValueError(
            f"bounds: no exponent in ({low}, {high}) makes {min_overlap:.0%} of the points "
            "overlap; widen them, or lower min_overlap"
        )
    at_bound = min(time_exponent - low, high - time_exponent) < 1e-3 * (high - low)
    errors = points.errors(best, floor, fit_constant=constant is None)
    ok = not at_bound and bool(np.all(np.isfinite(errors)))
    if not ok:
        errors = np.full(3, np.nan)
    ratio = np.log(points.size)
    return Collapse(
        size_exponent=best.size_exponent,
        time_exponent=time_exponent,
        constant=floor,
        size_error=float(errors[0]),
        time_error=float(errors[1]),
        constant_error=float(errors[2]),
        quality=best.quality,
        overlap=float(np.mean(best.there)),
        scaled_time=np.exp(np.log(points.time) - time_exponent * ratio),
        scaled_loss=np.exp(np.log(points.loss - floor) + best.size_exponent * ratio),
        status=Status.OK if ok else Status.ILL_CONDITIONED,
    )


class _Residuals(eqx.Module):
    """Residuals at one b and E, with the best a; those that are not `there` count for nothing."""

    size_exponent: float
    quality: float
    there: Bool[np.ndarray, " points"]
    residual: _Column
    weight: _Column
    less_others: _Square
    slope: _Column
    slope_weights: _Square


class _Points(eqx.Module):
    size: _Column
    time: _Column
    loss: _Column
    error: _Column | None
    neighbours: int
    min_overlap: float

    def spread(self, constant: float) -> _Column:
        """Standard errors of log(L - E), or ones."""
        if self.error is None:
            return np.ones_like(self.loss)
        return self.error / (self.loss - constant)

    def residuals(self, time_exponent: float, constant: float) -> _Residuals:
        ratio = np.log(self.size)
        z = np.log(self.time) - time_exponent * ratio
        variance = self.spread(constant) ** 2
        value, slope, there = _local_fits(z, self.size, variance, self.neighbours)
        less_others = np.eye(z.size) - value
        excess = np.log(self.loss - constant)
        weight = there / (variance + value**2 @ variance)
        raw, per_exponent = less_others @ excess, less_others @ ratio
        stiffness = float(np.sum(weight * per_exponent**2))
        enough = np.mean(there) >= self.min_overlap and stiffness > 0.0
        exponent = -float(np.sum(weight * per_exponent * raw)) / (stiffness if enough else 1.0)
        residual = raw + exponent * per_exponent
        quality = float(np.sum(weight * residual**2) / max(np.sum(there), 1))
        return _Residuals(
            size_exponent=exponent,
            quality=quality if enough else np.inf,
            there=there,
            residual=residual,
            weight=weight,
            less_others=less_others,
            slope=slope @ (excess + exponent * ratio),
            slope_weights=slope,
        )

    def errors(
        self, best: _Residuals, constant: float, *, fit_constant: bool
    ) -> Float64[np.ndarray, "3"]:
        """Standard errors of a, b and E by the sandwich formula; NaN where it is singular, or
        only noise keeps it from being so.

        Moving b by db shifts the points of size x by -db log x along the master curve, and so
        their residuals by its slope times what a shift of a would do.
        """
        per_exponent = best.less_others @ np.log(self.size)
        columns = [per_exponent, best.slope * per_exponent]
        if fit_constant:
            columns.append(best.less_others @ (-1.0 / (self.loss - constant)))
        jacobian = np.stack(columns, 1)
        weighted = best.weight[:, None] * jacobian
        hessian = jacobian.T @ weighted
        scale = np.sqrt(np.diag(hessian))
        result = np.zeros(3)
        if not np.all(scale > 0.0) or np.linalg.cond(hessian / scale / scale[:, None]) > 1e12:
            return np.full(3, np.nan)
        noise = self.spread(constant) * (1.0 if self.error is not None else np.sqrt(best.quality))
        # b differs from a by what the slope varies. The noise of the slopes feigns some of that.
        feigned = np.sum(best.weight * per_exponent**2 * (best.slope_weights**2 @ noise**2))
        if 1.0 / np.linalg.inv(hessian)[1, 1] < _RESOLVED * feigned:
            return np.full(3, np.nan)
        influence = np.linalg.solve(hessian, weighted.T @ best.less_others) * noise
        result[: len(columns)] = np.linalg.norm(influence, axis=1)
        return result


def _local_fits(
    z: _Column, size: _Column, variance: _Column, neighbours: int
) -> tuple[_Square, _Square, Bool[np.ndarray, " points"]]:
    """Row p: the weights with which the points of other sizes give the value, and the slope, of
    the master curve at z_p; and whether z_p lies between the ends of one of those sizes.

    The reach of the tricube weights is the distance of the first neighbour that gets none.
    """
    distance = z - z[:, None]
    other = size != size[:, None]
    far = np.where(other, np.abs(distance), np.inf)
    count = min(neighbours, int(np.min(np.sum(other, 1))) - 1)
    reach = np.partition(far, count, axis=1)[:, count]
    low, high = (
        np.array([ends(z[size == value]) for value in np.unique(size)]) for ends in (np.min, np.max)
    )
    inside = (low <= z[:, None]) & (z[:, None] <= high) & (np.unique(size) != size[:, None])
    there = np.any(inside, axis=1) & (reach > 0.0)
    relative = distance / np.where(there, reach, 1.0)[:, None]
    bare = np.maximum(1.0 - np.abs(relative * relative * relative), 0.0)
    powers = [np.where(other, bare * bare * bare, 0.0) / variance]
    for _ in range(4):
        powers.append(powers[-1] * relative)
    moments = np.stack([np.sum(p, 1) for p in powers], 1)
    gram = np.stack([moments[:, i : i + 3] for i in range(3)], 1)
    gram = np.where(there[:, None, None], gram, np.eye(3))
    # Fewer than three neighbours with weight leave no parabola: the determinant is then rounding
    # of the product of the diagonal, which bounds it.
    diagonal = np.prod(np.diagonal(gram, axis1=1, axis2=2), axis=1)
    there = there & (np.linalg.det(gram) > 1e-12 * diagonal)
    gram = np.where(there[:, None, None], gram, np.eye(3))
    rows = np.linalg.solve(gram, np.broadcast_to(np.eye(3)[:, :2], (z.size, 3, 2)))
    value, slope = (
        sum(rows[:, power, [column]] * powers[power] for power in range(3)) for column in (0, 1)
    )
    keep = there[:, None]
    return np.where(keep, value, 0.0), np.where(keep, slope / reach[:, None], 0.0), there


def _minimised(objective, box: list[tuple[float, float]]) -> Float64[np.ndarray, " free"]:
    grids = [np.linspace(*box[0], _TIME_GRID), _CONSTANT_GRID][: len(box)]
    nodes = np.stack(np.meshgrid(*grids, indexing="ij"), -1).reshape(-1, len(box))
    values = np.array([objective(node) for node in nodes])
    steps = np.array([grid[1] - grid[0] for grid in grids])
    best, least = nodes[np.argmin(values)], float(values.min())
    # From the deepest valleys of the grid.
    table = values.reshape([grid.size for grid in grids])
    valleys = np.isfinite(values) & (values == minimum_filter(table, 3, mode="nearest").ravel())
    for index in np.argsort(np.where(valleys, values, np.inf))[: min(_STARTS, int(valleys.sum()))]:
        # Towards the inside, as a simplex on the bound is flat.
        inward = np.where(nodes[index] + steps < [high for _, high in box], 1.0, -1.0)
        simplex = nodes[index] + np.concatenate([[np.zeros(len(box))], np.diag(inward * steps)])
        found = scipy.optimize.minimize(
            objective,
            nodes[index],
            method="Nelder-Mead",
            bounds=box,
            options={"initial_simplex": simplex, "xatol": 1e-6, "fatol": 1e-13},
        )
        if found.fun < least:
            best, least = found.x, float(found.fun)
    return np.asarray(best)


def _checked_points(
    size: Values,
    time: Values,
    loss: Values,
    standard_error: Values | None,
    neighbours: int,
    min_overlap: float,
) -> _Points:
    given = {"size": size, "time": time, "loss": loss}
    if standard_error is not None:
        given["standard_error"] = standard_error
    columns = {name: checked_positive(name, values) for name, values in given.items()}
    for name, column in columns.items():
        if column.shape != columns["size"].shape:
            raise ValueError(
                f"{name}: shape {column.shape} differs from the shape {columns['size'].shape} of "
                "size; give one value a point"
            )
    if neighbours < 5:
        raise ValueError(f"neighbours: {neighbours} is below 5, too few for a parabola; raise it")
    if not 0.0 < min_overlap <= 1.0:
        raise ValueError(f"min_overlap: {min_overlap} is not in (0, 1]; 0.5 is usual")
    sizes, counts = np.unique(columns["size"], return_counts=True)
    if sizes.size < 2 or columns["size"].size - counts.max() < 6:
        raise ValueError(
            f"size: {sizes.size} sizes, {columns['size'].size} points; a collapse needs two sizes "
            "and 6 points of others beside each"
        )
    return _Points(
        size=columns["size"],
        time=columns["time"],
        loss=columns["loss"],
        error=columns.get("standard_error"),
        neighbours=neighbours,
        min_overlap=min_overlap,
    )
