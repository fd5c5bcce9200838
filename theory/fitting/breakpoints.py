r"""Segmented power laws: where the exponent of a curve changes, and whether it does.

A continuous broken line in log-log coordinates,

$$\log y = a_0 - \alpha_1 u + \sum_j c_j (u - \tau_j)_+, \qquad u = \log x,$$

is linear but for its breaks $\tau_j$. `_Search` finds their global least-squares optimum exactly.
"""

import itertools

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float64, Int, PRNGKeyArray, Real

from scalinglab.theory.prediction import require_float64

from .local_slope import checked_curve
from .power_law import Values

_Curves = Float64[np.ndarray, "points curves"]
_Column = Float64[np.ndarray, " points"]
_CHUNK = 2048
_POLISHED = 32


class SegmentedFit(eqx.Module):
    r"""A continuous broken power law, with as many segments as the data call for.

    **Fields:**

    - `exponents`, `exponent_errors`: of each segment, positive where the curve decreases, and
      their standard errors, which include those of the breaks (delta method).
    - `breaks`: the x where the exponent changes, ascending.
    - `break_intervals`: 95 % interval of each, from a parametric bootstrap.
    - `log_amplitude`: natural log of the amplitude of the first segment.
    - `p_values`: of one segment against two, then of two against three; the first that is not
      significant is the last.
    - `chi_squared`: of the fits compared, by number of segments: weighted sums of squared
      residuals of log y, with weights 1 without standard errors.
    """

    exponents: Float64[np.ndarray, " segments"]
    exponent_errors: Float64[np.ndarray, " segments"]
    breaks: Float64[np.ndarray, " breaks"]
    break_intervals: Float64[np.ndarray, "breaks 2"]
    log_amplitude: float
    p_values: Float64[np.ndarray, " tests"]
    chi_squared: Float64[np.ndarray, " fits"]

    @property
    def num_segments(self) -> int:
        return self.exponents.size

    def predict(self, x: Real[np.ndarray, "..."] | float) -> Float64[np.ndarray, "..."]:
        """The fitted curve at positive `x` of any shape."""
        log_x = np.log(np.asarray(x, np.float64))
        log_y = self.log_amplitude - self.exponents[0] * log_x
        for change, at in zip(np.diff(self.exponents), np.log(self.breaks), strict=True):
            log_y = log_y - change * np.maximum(log_x - at, 0.0)
        return np.exp(log_y)


def breakpoints(
    x: Values,
    y: Values,
    *,
    key: PRNGKeyArray,
    standard_error: Values | None = None,
    max_segments: int = 3,
    min_points: int = 3,
    significance: float = 0.05,
    resamples: int = 499,
) -> SegmentedFit:
    r"""Fits broken power laws of one to three segments and keeps a break only if significant.

    One segment more is tested by

    $$F = \frac{(\chi^2_k - \chi^2_{k+1})/2}{\chi^2_{k+1}/(n - 2k - 2)},$$

    or by $\chi^2_k - \chi^2_{k+1}$ where standard errors are given. As the break is chosen for
    the largest F, its distribution is not Fisher's: it is simulated, with normal noise about the
    fit of k segments, each simulation refitted both ways (sup-F test).

    **Arguments:**

    - `x`, `y`, `standard_error`: as `fit_power_law`; all x different.
    - `key`: for the simulations.
    - `max_segments`: 1 to 3.
    - `min_points`: the fewest points of a segment, at least 2; a point at a break counts for
      both sides.
    - `significance`: the p-value below which a segment is added, in (0, 1).
    - `resamples`: simulations a test, at least 19; p-values are multiples of
      1/(`resamples` + 1).

    **Returns:** a `SegmentedFit`.

    **Raises:** `ValueError` for input that `fit_power_law` rejects, for repeated x, for options
    out of range and for fewer than $\max(\text{segments} \cdot \text{min_points},
    2\,\text{segments} + 1)$ points.

    **Source:** Hudson, J. Am. Stat. Assoc. 61 (1966) 1097 for the exact search; Andrews,
    Econometrica 61 (1993) 821 for the sup-F test.

    **Limits:** a smoothly bending curve is called broken once the noise is small enough: compare
    with a smooth law. The intervals are conditional on the number of segments. The search over
    two breaks takes of the order of $2 n^2$ solutions of 4 equations a simulation.
    """
    require_float64()
    x_values, y_values, errors = checked_curve(x, y, standard_error)
    _check_options(
        x_values.size,
        max_segments=max_segments,
        min_points=min_points,
        significance=significance,
        resamples=resamples,
    )
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    search = _Search(x_values, y_values, errors, min_points=min_points)
    fits, p_values = [search.fit(1)], []
    while len(fits) < max_segments and not search.exact(fits[-1]):
        fits.append(search.fit(len(fits) + 1))
        p_values.append(_sup_f(search, fits[-2], fits[-1], rng, resamples=resamples))
        if p_values[-1] > significance:
            break
    chosen = fits[-2] if p_values and p_values[-1] > significance else fits[-1]
    exponents, exponent_errors, log_amplitude = search.segments(chosen)
    num_breaks = chosen.breaks.size
    intervals = np.zeros((num_breaks, 2))
    if num_breaks:
        _, drawn = search.best(num_breaks, search.simulate(chosen, rng, resamples=resamples))
        intervals = np.quantile(drawn, [0.025, 0.975], axis=0).T
    return SegmentedFit(
        exponents=exponents,
        exponent_errors=exponent_errors,
        breaks=search.x_of(chosen.breaks),
        break_intervals=search.x_of(intervals),
        log_amplitude=log_amplitude,
        p_values=np.array(p_values),
        chi_squared=np.array([fit.chi_squared for fit in fits]),
    )


class _Fit(eqx.Module):
    """Breaks in scaled u, coefficients of 1, u and every (u - tau)_+, and chi-squared."""

    breaks: Float64[np.ndarray, " breaks"]
    coefficients: Float64[np.ndarray, " coefficients"]
    chi_squared: float


class _Search:
    """The exact least-squares search over breaks, for many curves on the same points.

    A break lies either between two neighbouring points or on one. Between points i and i + 1 the
    model is linear in c and e of $c (u - u_i)_+ + e\\, 1[u > u_i]$, and the break is
    $\\tau = u_i - e/c$: where this lies in the gap, it is the optimum there. Where it does not,
    the optimum of the gap is at one of its ends, as the curves with a break in the gap form two
    convex cones in (c, e) whose faces are breaks on the points. Trying every gap and every point
    is therefore exact, for two breaks as for one.

    All candidates are columns of one table, cleared of 1 and u; each solves at most 4 equations
    taken from the Gram matrix of that table, whatever the number of points.
    """

    def __init__(self, x: _Column, y: _Column, errors: _Column | None, *, min_points: int) -> None:
        log_x = np.log(x)
        self.centre, self.scale = float(log_x.mean()), float(np.ptp(log_x)) / 2.0
        self.u = (log_x - self.centre) / self.scale
        self.log_y = np.log(y)
        self.root = np.ones_like(y) if errors is None else y / errors
        self.known, self.min_points = errors is not None, min_points
        self.line = np.linalg.qr(self.root[:, None] * np.stack([np.ones_like(y), self.u], 1))[0]
        after = self.u[:, None] > self.u
        table = np.concatenate([np.maximum(self.u[:, None] - self.u, 0.0) * after, 1.0 * after], 1)
        table = self._cleared(self.root[:, None] * table)
        size = np.linalg.norm(table, axis=0)
        # The last columns are zero: no break can come after the last point.
        self.size = np.where(size > 0.0, size, 1.0)
        self.table = table / self.size
        self.gram = self.table.T @ self.table

    def x_of(self, u: Float64[np.ndarray, "*shape"]) -> Float64[np.ndarray, "*shape"]:
        return np.exp(self.centre + self.scale * u)

    def _cleared(self, weighted: _Curves) -> _Curves:
        return weighted - self.line @ (self.line.T @ weighted)

    def _solve(self, breaks: Float64[np.ndarray, " breaks"]) -> _Fit:
        design = self.root[:, None] * self._columns(breaks)
        coefficients = np.linalg.lstsq(design, self.root * self.log_y)[0]
        residual = self.root * self.log_y - design @ coefficients
        return _Fit(breaks, coefficients, float(residual @ residual))

    def _columns(
        self, breaks: Float64[np.ndarray, " breaks"]
    ) -> Float64[np.ndarray, "points columns"]:
        ones = np.ones((self.u.size, 1))
        return np.concatenate([ones, self.u[:, None], np.maximum(self.u[:, None] - breaks, 0.0)], 1)

    def fit(self, num_segments: int) -> _Fit:
        """The global optimum, its last digits from an orthogonal solution of the best few."""
        if num_segments == 1:
            return self._solve(np.zeros(0))
        curve = (self.root * self.log_y)[:, None]
        cost, breaks = self._candidates(num_segments - 1, curve)
        few = np.argsort(cost[:, 0])[:_POLISHED]
        fits = [self._solve(breaks[index, 0]) for index in few if np.isfinite(cost[index, 0])]
        return min(fits, key=lambda fit: fit.chi_squared)

    def exact(self, fit: _Fit) -> bool:
        """Whether the residuals are rounding, in which a test would look for breaks."""
        rounding = 64.0 * np.finfo(np.float64).eps * max(1.0, float(np.abs(self.log_y).max()))
        return bool(fit.chi_squared <= float(np.sum(self.root**2)) * rounding**2)

    def simulate(self, fit: _Fit, rng: np.random.Generator, *, resamples: int) -> _Curves:
        """Weighted curves: the fit with normal noise."""
        dof = self.u.size - 2 * (fit.breaks.size + 1)
        noise = 1.0 if self.known else np.sqrt(fit.chi_squared / dof)
        curve = self.root * (self._columns(fit.breaks) @ fit.coefficients)
        return curve[:, None] + noise * rng.standard_normal((self.u.size, resamples))

    def best(
        self, num_breaks: int, curves: _Curves
    ) -> tuple[Float64[np.ndarray, " curves"], Float64[np.ndarray, "curves breaks"]]:
        """The least chi-squared of every weighted curve, and the breaks that give it."""
        least = np.full(curves.shape[1], np.inf)
        breaks = np.zeros((curves.shape[1], num_breaks))
        if num_breaks == 0:
            return np.sum(self._cleared(curves) ** 2, axis=0), breaks
        for cost, at in self._chunks(num_breaks, curves):
            row = np.argmin(cost, axis=0)
            here = np.take_along_axis(cost, row[None, :], 0)[0]
            better = here < least
            least = np.where(better, here, least)
            chosen = at[row, np.arange(row.size)]
            breaks = np.where(better[:, None], chosen, breaks)
        return least, breaks

    def _candidates(
        self, num_breaks: int, curves: _Curves
    ) -> tuple[
        Float64[np.ndarray, "candidates curves"], Float64[np.ndarray, "candidates curves breaks"]
    ]:
        found = list(self._chunks(num_breaks, curves))
        return np.concatenate([c for c, _ in found]), np.concatenate([b for _, b in found])

    def _chunks(self, num_breaks, curves):
        """(chi-squared, breaks) of one part of the candidates after the other."""
        cleared = self._cleared(curves)
        total, target = np.sum(cleared**2, axis=0), self.table.T @ cleared
        for free, places in _faces(self.u.size, num_breaks, self.min_points):
            for start in range(0, len(places), _CHUNK):
                yield self._reduce(free, places[start : start + _CHUNK], total, target)

    def _reduce(self, free, places, total, target):
        """Solves the normal equations of every candidate: a column a break on a point, two else."""
        count = self.u.size
        columns = [places] + [places[:, [j]] + count for j in range(len(free)) if free[j]]
        chosen = np.concatenate(columns, 1)
        gram = self.gram[chosen[:, :, None], chosen[:, None, :]]
        right = target[chosen]
        solution = np.linalg.solve(gram, right)
        cost = np.maximum(total - np.sum(solution * right, axis=1), 0.0)
        breaks = np.repeat(self.u[places][:, None, :], total.size, 1)
        step = len(free)
        for j in np.flatnonzero(free):
            change = solution[:, j] / self.size[chosen[:, j], None]
            jump = solution[:, step] / self.size[chosen[:, step], None]
            step += 1
            gap = (self.u[places[:, j] + 1] - self.u[places[:, j]])[:, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                moved = -jump / change
            inside = (moved >= 0.0) & (moved <= gap)
            cost = np.where(inside, cost, np.inf)
            breaks[:, :, j] += np.where(inside, moved, 0.0)
        return cost, breaks

    def segments(
        self, fit: _Fit
    ) -> tuple[Float64[np.ndarray, " segments"], Float64[np.ndarray, " segments"], float]:
        """Exponents, their errors and the log amplitude, in the unit of log x."""
        count = fit.breaks.size
        change = fit.coefficients[2:]
        moved = -change * (self.u[:, None] > fit.breaks)
        design = self.root[:, None] * np.concatenate([self._columns(fit.breaks), moved], 1)
        inverse = np.linalg.pinv(design)
        dof = self.u.size - 2 * (count + 1)
        variance = 1.0 if self.known else fit.chi_squared / dof
        # A segment's slope is the sum of the changes before it.
        to_slope = np.zeros((count + 1, design.shape[1]))
        to_slope[:, 1 : count + 2] = np.tri(count + 1)
        errors = np.sqrt(variance) * np.linalg.norm(to_slope @ inverse, axis=1)
        exponents = -np.cumsum(fit.coefficients[1:]) / self.scale
        amplitude = float(fit.coefficients[0] + exponents[0] * self.centre)
        return exponents, errors / self.scale, amplitude


def _sup_f(
    search: _Search, less: _Fit, more: _Fit, rng: np.random.Generator, *, resamples: int
) -> float:
    """The p-value of `more` segments against `less`, by simulation of `less`."""
    dof = search.u.size - 2 * (more.breaks.size + 1)

    def statistic(low, high):
        return low - high if search.known else (low - high) / np.maximum(high, 1e-300) * (dof / 2.0)

    curves = search.simulate(less, rng, resamples=resamples)
    simulated = statistic(
        search.best(less.breaks.size, curves)[0], search.best(more.breaks.size, curves)[0]
    )
    exceeded = np.sum(simulated >= statistic(less.chi_squared, more.chi_squared))
    return float((1 + exceeded) / (resamples + 1))


def _faces(
    num_points: int, num_breaks: int, min_points: int
) -> list[tuple[tuple[bool, ...], Int[np.ndarray, "candidates breaks"]]]:
    """Candidates by which breaks are free in a gap; the rest lie on a point.

    A gap is named by the point before it. A break on a point is allowed when a gap beside it is.
    """
    first, last = min_points - 1, num_points - 1 - min_points
    gaps = np.array(
        [
            places
            for places in itertools.combinations(range(first, last + 1), num_breaks)
            if all(b - a >= min_points for a, b in itertools.pairwise(places))
        ]
    ).reshape(-1, num_breaks)
    faces = []
    for free in itertools.product((True, False), repeat=num_breaks):
        ends = [(0,) if is_free else (0, 1) for is_free in free]
        moved = [gaps + np.array(shift) for shift in itertools.product(*ends)]
        faces.append((free, np.unique(np.concatenate(moved), axis=0)))
    return faces


def _check_options(
    num_points: int, *, max_segments: int, min_points: int, significance: float, resamples: int
) -> None:
    if max_segments not in (1, 2, 3):
        raise ValueError(f"max_segments: {max_segments} is not 1, 2 or 3; choose one of them")
    if min_points < 2:
        raise ValueError(
            f"min_points: {min_points} is below 2, and leaves a segment free; raise it"
        )
    if not 0.0 < significance < 1.0:
        raise ValueError(f"significance: {significance} is not between 0 and 1; 0.05 is usual")
    if resamples < 19:
        raise ValueError(f"resamples: {resamples} cannot tell a p-value of 0.05; give at least 19")
    needed = max(max_segments * min_points, 2 * max_segments + 1)
    if num_points < needed:
        raise ValueError(
            f"x: {num_points} points, and {max_segments} segments need {needed}; "
            "lower max_segments or add points"
        )
