r"""The exponent that a curve tends to, when corrections bend it in log-log coordinates.

Three tools for $y = A x^{-\alpha}(1 + c x^{-\omega} + \dots)$: a window whose lower end moves up
until the exponent is flat, and two extrapolations of local exponents for curves without noise. An
explicit fit of the correction is unbiased where these are not, and is to be preferred.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64, Int

from scalinglab.theory.prediction import require_float64

from .local_slope import checked_curve
from .power_law import Curve, Number, PowerLawFit, Values, regress_power_law

_Windows = Float64[Array | np.ndarray, " windows"]


class WindowedExponent(eqx.Module):
    r"""The exponent over $x \ge x_\mathrm{min}$ for every $x_\mathrm{min}$, and the one chosen.

    **Fields:** arrays have one value a window, in ascending order of `x_min`.

    - `x_min`: the smallest x inside the window.
    - `exponent`, `standard_error`: of the regression in that window.
    - `num_points`: in the window.
    - `systematic`: $|\alpha(x_\mathrm{min}) - \alpha(2 x_\mathrm{min})|$, what is left of the
      finite size; NaN where $x \ge 2 x_\mathrm{min}$ holds fewer than `min_points` points.
    - `chosen`: index of the chosen window.
    - `flat`: whether the exponent is flat from there on. Where it is false, no window is, and the
      chosen one is the last that has a `systematic`.
    - `known_errors`: whether standard errors were given.
    """

    x_min: Float64[np.ndarray, " windows"]
    exponent: Float64[np.ndarray, " windows"]
    standard_error: Float64[np.ndarray, " windows"]
    num_points: Int[np.ndarray, " windows"]
    systematic: Float64[np.ndarray, " windows"]
    chosen: int = eqx.field(static=True)
    flat: bool = eqx.field(static=True)
    known_errors: bool = eqx.field(static=True)

    @property
    def choice(self) -> tuple[float, float, float]:
        """Exponent, standard error and systematic of the chosen window, as `agree` takes them."""
        columns = (self.exponent, self.standard_error, self.systematic)
        exponent, error, systematic = (float(column[self.chosen]) for column in columns)
        return exponent, error, systematic

    @property
    def t_dof(self) -> int | None:
        """What `agree` takes as `dof`: None where the errors are known."""
        return None if self.known_errors else int(self.num_points[self.chosen]) - 2


def windowed_exponent(
    x: Values, y: Values, *, standard_error: Values | None = None, min_points: int = 6
) -> WindowedExponent:
    r"""Fits $y = A x^{-\alpha}$ on $x \ge x_\mathrm{min}$ for every $x_\mathrm{min}$.

    The chosen window is the largest one from which on the exponent is flat within one standard
    error: the smallest $x_\mathrm{min} = x_i$ with

    $$|\alpha(x_j) - \alpha(x_i)| \le s(x_j) \quad \text{for every } j > i,$$

    $s$ the standard error, among the windows whose double, $x \ge 2 x_i$, still holds
    `min_points` points.

    **Arguments:**

    - `x`, `y`, `standard_error`: as `fit_power_law`; all x different.
    - `min_points`: the fewest points of a window, at least 3.

    **Returns:** a `WindowedExponent`. The error to report is `standard_error` and `systematic` in
    quadrature.

    **Raises:** `ValueError` for input that `fit_power_law` rejects, for repeated x, for
    `min_points` below 3, and when no window has `min_points` points above twice its lower end.

    **Limits:** flatness within noise is no proof of an asymptote: a correction smaller than the
    noise passes, and `systematic` is less than the bias that is left, as both windows end at the
    same x: for $x^{-1/2}(1 + 2 x^{-0.3})$ over the last 8 of 25 points from 10 to 1e6 it is
    0.0021 where the bias is 0.0154. Without standard errors the scatter about the line stands for
    the noise, and a curved line without noise is never flat.
    """
    require_float64()
    if min_points < 3:
        raise ValueError(f"min_points: {min_points} is below 3, and leaves no residual; raise it")
    x_values, y_values, errors = checked_curve(x, y, standard_error)
    num_windows = x_values.size - min_points + 1
    doubled = np.searchsorted(x_values, 2.0 * x_values[: max(num_windows, 0)])
    candidates = np.flatnonzero(doubled < num_windows)
    if candidates.size == 0:
        raise ValueError(
            f"min_points: {min_points} points at twice the smallest x and above are not there, as "
            f"x has {x_values.size} points; add points, or lower min_points"
        )
    lows = x_values[:num_windows]
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        fits = _every_window(x_values, y_values, errors, lows)
    exponent, error, num_points = (
        np.asarray(column) for column in (fits.exponent, fits.exponent_error, fits.num_points)
    )
    systematic = np.full(num_windows, np.nan)
    systematic[candidates] = np.abs(exponent[candidates] - exponent[doubled[candidates]])
    away = np.triu(np.abs(exponent[None, :] - exponent[:, None]) > error[None, :], 1)
    flat = candidates[~np.any(away[candidates], axis=1)]
    return WindowedExponent(
        x_min=lows,
        exponent=exponent,
        standard_error=error,
        num_points=num_points,
        systematic=systematic,
        chosen=int(flat[0]) if flat.size else int(candidates[-1]),
        flat=bool(flat.size),
        known_errors=standard_error is not None,
    )


@jax.jit
def _every_window(x: Curve, y: Curve, errors: Curve | None, lows: _Windows) -> PowerLawFit:
    def fit(low: Float64[Array, ""]) -> PowerLawFit:
        return regress_power_law(x, y, standard_error=errors, window=(low, x[-1]))

    return jax.vmap(fit)(jnp.asarray(lows))


def richardson(
    scale: Values, slopes: Values, omega: Number
) -> Float64[np.ndarray, "*curves pairs"]:
    r"""Removes the leading correction $k x^{-\omega}$ from neighbouring local exponents.

    From $s(x) = \alpha + k x^{-\omega} + O(x^{-2\omega})$ at $x_i < x_{i+1}$,

    $$\alpha_i = \frac{r s_{i+1} - s_i}{r - 1}, \qquad r = (x_{i+1}/x_i)^\omega,$$

    whose remainder is of order $x^{-2\omega}$.

    **Arguments:**

    - `scale`: positive, ascending, the x of the slopes: the geometric midpoints of `LocalSlopes`.
    - `slopes`: local exponents, one curve or many.
    - `omega`: the exponent of the correction, positive, and known from theory.

    **Returns:** one value fewer than slopes; the last is the estimate.

    **Raises:** `ValueError` for fewer than two slopes, shapes that differ, a scale that does not
    ascend and an omega that is not positive and finite.

    **Limits:** exact for one correction, at any omega, and for $k = 0$. The noise of a slope is
    multiplied by about $\sqrt{r^2 + 1}/(r - 1)$.
    """
    if not 0.0 < float(omega) < np.inf:
        raise ValueError(f"omega: {omega} is not positive and finite; give the known correction")
    at, values = np.asarray(scale, np.float64), _checked_slopes(slopes, needed=2)
    if at.ndim != 1 or at.shape != values.shape[-1:]:
        raise ValueError(
            f"slopes: shape {values.shape} does not end with the shape {at.shape} of scale; "
            "give one slope a scale"
        )
    if not (at[0] > 0.0 and np.all(np.diff(at) > 0.0)):
        raise ValueError("scale: not positive and ascending; sort the slopes by their x")
    # r - 1 by expm1: for a small omega the subtraction would cancel.
    growth = np.expm1(float(omega) * np.diff(np.log(at)))
    step = np.diff(values, axis=-1)
    return values[..., 1:] + step / np.broadcast_to(growth, step.shape)


def aitken(slopes: Values) -> Float64[np.ndarray, "*curves triples"]:
    r"""Aitken's delta-squared extrapolation of local exponents, for noise-free curves only.

    $$\alpha_n = s_{n+2} - \frac{(\Delta s_{n+1})^2}{\Delta s_{n+1} - \Delta s_n},
    \qquad \Delta s_n = s_{n+1} - s_n.$$

    On x spaced evenly in log x a correction $k x^{-\omega}$ is a geometric sequence, which this
    removes without knowing omega.

    **Arguments:**

    - `slopes`: local exponents at x spaced evenly in log x, one curve or many.

    **Returns:** two values fewer than slopes; the last is the estimate. A slope that no longer
    changes is its own limit; NaN where the slopes change by equal steps and have no limit.

    **Raises:** `ValueError` for fewer than three slopes.

    **Limits:** for theory curves only. Noise in the second difference biases it like the windowed
    fit: for $x^{-1/2}(1 + 2 x^{-0.3})$ at 25 points from 10 to 1e6, the median of the last three
    values lies 0.0006 below 1/2 without noise, 0.011 ± 0.004 above it with 0.01 % of noise, and
    0.013 ± 0.002 with 0.1 % (median, and half the central 68 % interval). As the second difference
    may vanish, the last value alone has no mean.
    """
    values = _checked_slopes(slopes, needed=3)
    step = np.diff(values, axis=-1)
    last, change = step[..., 1:], np.diff(step, axis=-1)
    settled = last == 0.0
    change = np.where(settled, 1.0, np.where(change == 0.0, np.nan, change))
    return values[..., 2:] - last**2 / change


def _checked_slopes(slopes: Values, *, needed: int) -> Float64[np.ndarray, "*curves slopes"]:
    values = np.asarray(slopes, np.float64)
    if values.ndim == 0 or values.shape[-1] < needed:
        raise ValueError(
            f"slopes: shape {values.shape} holds fewer than {needed} a curve; add points"
        )
    return values
