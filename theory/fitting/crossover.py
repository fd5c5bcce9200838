r"""Where two curves cross, and where one turns.

`crossover` solves $L_1(x) = L_2(x)$ for two fitted laws; `turning_point` finds the extremum of a
curve by a parabola in log-log coordinates, as inverse and U-shaped scaling need.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
import scipy.optimize
import scipy.special
from jaxtyping import Float64
from scipy.linalg import solve_triangular

from scalinglab.theory.prediction import require_float64

from .local_slope import checked_curve
from .power_law import Number, Values

_Column = Float64[np.ndarray, " points"]
_Curves = Float64[np.ndarray, "points curves"]
_Draws = Float64[np.ndarray, "draws parameters"]

# Bisections that bring a bracket of 100 in log x below the rounding of log x.
_BISECTIONS = 64


class Parabola(eqx.Module):
    r"""Weighted least-squares parabolas $v = q_0 + q_1 z + q_2 z^2$, $z = (u - c)/h$.

    **Fields:**

    - `centre`, `scale`: c and h, which bring z to [-1, 1].
    - `coefficients`: $(q_0, q_1, q_2)$ of every curve.
    - `covariance`: $(X^\top W X)^{-1}$, for residuals of unit variance.
    - `chi_squared`: the weighted sum of squared residuals of every curve.
    """

    centre: float
    scale: float
    coefficients: Float64[np.ndarray, "3 curves"]
    covariance: Float64[np.ndarray, "3 3"]
    chi_squared: Float64[np.ndarray, " curves"]

    @property
    def vertex(self) -> Float64[np.ndarray, " curves"]:
        """u at the vertex; infinite or NaN for a straight line."""
        _, linear, curved = self.coefficients
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.centre - self.scale * linear / (2.0 * curved)

    @property
    def vertex_variance(self) -> Float64[np.ndarray, " curves"]:
        """Of the vertex by the delta method, for residuals of unit variance."""
        _, linear, curved = self.coefficients
        with np.errstate(divide="ignore", invalid="ignore"):
            slope = np.stack([0.0 * linear, -0.5 / curved, linear / (2.0 * curved**2)])
        return self.scale**2 * np.einsum("ic,ij,jc->c", slope, self.covariance, slope)

    @property
    def depth_variance(self) -> Float64[np.ndarray, " curves"]:
        """Of v at the vertex: that of the parabola there, as its slope is 0."""
        powers = ((self.vertex - self.centre) / self.scale) ** np.arange(3.0)[:, None]
        return np.einsum("ic,ij,jc->c", powers, self.covariance, powers)

    def predict(self, u: _Column) -> _Curves:
        """v at every u, for every curve."""
        z = (u - self.centre) / self.scale
        return np.vander(z, 3, increasing=True) @ self.coefficients

    @property
    def depth(self) -> Float64[np.ndarray, " curves"]:
        """v at the vertex."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.coefficients[0] - self.coefficients[1] ** 2 / (4.0 * self.coefficients[2])


def fit_parabola(u: _Column, curves: _Curves, weights: _Column) -> Parabola:
    """Fits one parabola to every column of `curves`, with weights of the squared residuals.

    **Arguments:** `u`, at least 3 different values; `curves`; `weights`, positive.

    **Returns:** a `Parabola`.
    """
    centre = float(np.mean(u))
    scale = float(np.abs(u - centre).max())
    root = np.sqrt(weights)[:, None]
    q, r = np.linalg.qr(root * np.vander((u - centre) / scale, 3, increasing=True))
    target = root * curves
    coordinates = q.T @ target
    inverse = solve_triangular(r, np.eye(3))
    return Parabola(
        centre=centre,
        scale=scale,
        coefficients=solve_triangular(r, coordinates),
        covariance=inverse @ inverse.T,
        chi_squared=np.sum((target - q @ coordinates) ** 2, axis=0),
    )


class Crossover(eqx.Module):
    r"""Where two curves are equal.

    **Fields:**

    - `x`: the crossing, in the unit of the bracket.
    - `interval`: 95 % interval, the percentiles of the draws; NaN without draws, and when fewer
      than 95 % of them cross inside the bracket.
    - `log_x_error`: standard deviation of log x over the draws that cross.
    - `share`: of the draws that cross inside the bracket; 1 without draws.
    - `draws`: the crossing of every draw, NaN where there is none; None without draws.
    """

    x: float
    interval: Float64[np.ndarray, "2"]
    log_x_error: float
    share: float
    draws: Float64[np.ndarray, " draws"] | None


def crossover(
    first: Callable[..., Any],
    second: Callable[..., Any],
    bracket: tuple[Number, Number],
    *,
    parameters: tuple[Any, Any] | None = None,
    draws: tuple[_Draws, _Draws] | None = None,
) -> Crossover:
    r"""Solves $\log L_1(\log x) = \log L_2(\log x)$ inside a bracket.

    **Arguments:**

    - `first`, `second`: functions `log_x -> log L`, or `(log_x, parameters) -> log L` when
      parameters are given. With draws they are called with `log_x` of shape (draws,) and
      parameters of shape (parameters, draws), and return shape (draws,): index parameters by the
      first axis.
    - `bracket`: `(low, high)` in x, positive, where the sign of $L_1 - L_2$ differs.
    - `parameters`: one vector a function.
    - `draws`: parameters of resampled fits, shape (draws, parameters) for each function; row i of
      both is one resample.

    **Returns:** a `Crossover`.

    **Raises:** `ValueError` for a bracket that is not positive and ascending, for equal signs at
    its ends, and for draws without parameters or of different number.

    **Limits:** of several crossings one is found; a draw that crosses twice inside the bracket
    counts as one that does not cross.
    """
    require_float64()
    low, high = float(bracket[0]), float(bracket[1])
    if not 0.0 < low < high < np.inf:
        raise ValueError(
            f"bracket: ({low}, {high}) is not positive and ascending; give (low, high)"
        )
    if draws is not None and (parameters is None or len(draws[0]) != len(draws[1])):
        raise ValueError(
            f"draws: {len(draws[0])} and {len(draws[1])} rows, parameters "
            f"{'missing' if parameters is None else 'given'}; "
            "give parameters, and the same resamples for both curves"
        )

    def gap(log_x: Any, own: tuple[Any, ...]) -> Any:
        return np.asarray(first(log_x, *own[:1])) - np.asarray(second(log_x, *own[1:]))

    own = () if parameters is None else tuple(np.asarray(p, np.float64) for p in parameters)
    ends = np.log([low, high])
    at_ends = [float(gap(end, own)) for end in ends]
    if not at_ends[0] * at_ends[1] <= 0.0:
        raise ValueError(
            f"bracket: log L1 - log L2 is {at_ends[0]:.6g} at {low:.6g} and {at_ends[1]:.6g} at "
            f"{high:.6g}, of one sign; widen or move it to where the curves cross"
        )
    root = np.asarray(scipy.optimize.brentq(lambda at: float(gap(at, own)), *ends, xtol=1e-14))
    if draws is None:
        return Crossover(np.exp(root).item(), np.full(2, np.nan), np.nan, 1.0, None)
    crossings = _bisected(lambda at: gap(at, (draws[0].T, draws[1].T)), ends, len(draws[0]))
    there = crossings[np.isfinite(crossings)]
    share = there.size / max(crossings.size, 1)
    interval = np.full(2, np.nan)
    if share >= 0.95:
        interval = np.exp(np.quantile(there, [0.025, 0.975]))
    error = float(np.std(there, ddof=1)) if there.size > 1 else np.nan
    return Crossover(np.exp(root).item(), interval, error, share, np.exp(crossings))


def _bisected(
    gap: Callable[[Any], Any], ends: Float64[np.ndarray, "2"], count: int
) -> Float64[np.ndarray, " draws"]:
    """The roots of many functions at once, NaN where the signs at the ends are equal."""
    low, high = np.full(count, ends[0]), np.full(count, ends[1])
    sign = np.sign(gap(low))
    crosses = sign * np.sign(gap(high)) <= 0.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        beyond = np.sign(gap(middle)) * sign <= 0.0
        low, high = np.where(beyond, low, middle), np.where(beyond, middle, high)
    return np.where(crosses, (low + high) / 2.0, np.nan)


class TurningPoint(eqx.Module):
    r"""The extremum of a curve.

    **Fields:**

    - `x`, `y`: of the extremum.
    - `log_x_error`: standard error of log x by the delta method.
    - `interval`: 95 % interval of x by Fieller's theorem: all x at which the slope may be 0. From
      0 or to infinity where the curvature is not significant.
    - `curvature`, `curvature_error`: $q_2$ and its standard error; positive for a minimum.
    - `inside`: whether the extremum lies between the smallest and the largest x given.
    """

    x: float
    y: float
    log_x_error: float
    interval: Float64[np.ndarray, "2"]
    curvature: float
    curvature_error: float
    inside: bool = eqx.field(static=True)


def turning_point(x: Values, y: Values, *, standard_error: Values | None = None) -> TurningPoint:
    r"""Fits $\log y = q_0 + q_1 \log x + q_2 (\log x)^2$ and finds $x^* = e^{-q_1/2q_2}$.

    Fieller's interval is the set of all $u = \log x$ with

    $$(q_1 + 2 q_2 u)^2 \le t^2 \, \mathrm{Var}(q_1 + 2 q_2 u),$$

    which, unlike the delta method's, holds at any noise: it is bounded exactly when $q_2$ differs
    significantly from 0, and else the whole line or all but a gap of it, here given as
    $(0, \infty)$.

    **Arguments:**

    - `x`, `y`, `standard_error`: as `fit_power_law`; all x different.

    **Returns:** a `TurningPoint`. With standard errors the quantile t is normal, and else
    Student's with three degrees of freedom fewer than points.

    **Raises:** `ValueError` for input that `fit_power_law` rejects, for repeated x, and for fewer
    than 3 points, or 4 without standard errors.

    **Source:** Fieller, J. R. Stat. Soc. B 16 (1954) 175.

    **Limits:** the parabola is a local form: where the two branches are lopsided, narrow the range.
    """
    require_float64()
    x_values, y_values, errors = checked_curve(x, y, standard_error)
    needed = 4 if errors is None else 3
    if x_values.size < needed:
        raise ValueError(f"x: {x_values.size} points, and at least {needed} are needed; add points")
    weights = np.ones_like(y_values) if errors is None else (y_values / errors) ** 2
    fit = fit_parabola(np.log(x_values), np.log(y_values)[:, None], weights)
    dof = x_values.size - 3
    variance = 1.0 if errors is not None else float(fit.chi_squared[0]) / dof
    quantile = (
        scipy.special.ndtri(0.975) if errors is not None else scipy.special.stdtrit(dof, 0.975)
    )
    vertex = float(fit.vertex[0])
    with np.errstate(over="ignore"):
        at, height = np.exp(vertex), np.exp(fit.depth[0])
    return TurningPoint(
        x=float(at),
        y=float(height),
        log_x_error=float(np.sqrt(variance * fit.vertex_variance[0])),
        interval=_fieller(fit, float(quantile**2) * variance),
        curvature=float(fit.coefficients[2, 0]) / fit.scale**2,
        curvature_error=float(np.sqrt(variance * fit.covariance[2, 2])) / fit.scale**2,
        inside=bool(np.log(x_values[0]) < vertex < np.log(x_values[-1])),
    )


def _fieller(fit: Parabola, squared: float) -> Float64[np.ndarray, "2"]:
    """The roots in z of (q1 + 2 q2 z)² = squared (V11 + 4 V12 z + 4 V22 z²), as x."""
    _, linear, curved = fit.coefficients[:, 0]
    cov = squared * fit.covariance
    leading = 4.0 * (curved**2 - cov[2, 2])
    if leading <= 0.0:
        return np.array([0.0, np.inf])
    middle, last = 4.0 * (linear * curved - cov[1, 2]), linear**2 - cov[1, 1]
    # Not negative where the leading term is positive: the vertex itself satisfies the inequality.
    spread = np.sqrt(max(middle**2 - 4.0 * leading * last, 0.0))
    roots = (-middle + np.array([-spread, spread])) / (2.0 * leading)
    with np.errstate(over="ignore"):
        return np.exp(fit.centre + fit.scale * roots)
