"""The exponent of a power law, by weighted regression of log y on log x.

`regress_power_law` is the pure core, safe under `jit`, `vmap` and `grad`; `fit_power_law` checks
its input first and raises.
"""

from collections.abc import Sequence
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Bool, Float64, Int, Real

from scalinglab.models import Status
from scalinglab.theory.prediction import require_float64

Number = float | int | np.number | Real[Array | np.ndarray, ""]
Curve = Real[Array | np.ndarray, " points"]
Values = Real[Array | np.ndarray, "..."] | Sequence[float | int]
Errors = Literal["known", "residual", "none"]

# Log x carries an absolute rounding error of eps * |log x|. A spread below this multiple of it
# leaves fewer than three digits of the slope.
_MIN_SPREAD = 1e3 * float(np.finfo(np.float64).eps)


class PowerLawFit(eqx.Module):
    r"""A fitted power law $y = A x^{-\alpha}$.

    **Fields:** numbers are NaN where `status` is not `OK`.

    - `exponent`, `exponent_error`: $\alpha$, positive for a decreasing curve, and its standard
      error.
    - `log_amplitude`, `log_amplitude_error`: natural $\log A$, and its standard error.
    - `interval`: 95 % interval of the exponent.
    - `dof`: number of points less two.
    - `chi_squared`: $\sum_i w_i r_i^2$ over the residuals of $\log y$; without standard errors
      $w_i = 1$, so that it is their sum of squares.
    - `num_points`: points inside the window.
    - `window`: `(low, high)` in x, inclusive.
    - `status`: a `scalinglab.models.Status`.
    - `x`, `weights`: the points given, and their weights in the regression, 0 outside the window.
    - `errors`: `"known"` when standard errors were given, `"residual"` when the scatter about
      the line sets them, `"none"` for the fit of a curve without noise.
    """

    exponent: Float64[Array, ""]
    exponent_error: Float64[Array, ""]
    log_amplitude: Float64[Array, ""]
    log_amplitude_error: Float64[Array, ""]
    interval: Float64[Array, "2"]
    dof: Int[Array, ""]
    chi_squared: Float64[Array, ""]
    num_points: Int[Array, ""]
    window: Float64[Array, "2"]
    status: Int[Array, ""]
    x: Float64[Array, " points"]
    weights: Float64[Array, " points"]
    errors: Errors = eqx.field(static=True)

    @property
    def t_dof(self) -> int | None:
        """What `agree` takes as `dof`: None where the errors are known and quantiles normal."""
        return int(self.dof) if self.errors == "residual" and self.dof > 0 else None

    def predict(self, x: Number | Real[Array | np.ndarray, "..."]) -> Float64[Array, "..."]:
        r"""The fitted $A x^{-\alpha}$ at positive `x` of any shape."""
        log_x = jnp.log(jnp.asarray(x, jnp.float64))
        return jnp.exp(self.log_amplitude - self.exponent * log_x)

    def same_window(self, y: Values) -> "PowerLawFit":
        r"""Fits a curve without noise with the points and the weights of this fit.

        A prediction curved in log-log coordinates is thereby compared by the same functional of
        the curve as the measurement, never by its asymptote.

        **Arguments:**

        - `y`: the predicted curve at every point of `x`, those outside the window included,
          where any value is ignored.

        **Returns:** a `PowerLawFit` whose errors are 0. Its `chi_squared` says how far the
        prediction is from straight, in the weights of the measurement. A `y` that is not
        positive and finite inside the window gives a status, as this is safe under `jit`,
        `vmap` and `grad`.

        **Raises:** `ValueError` when `y` has another shape than `x`.
        """
        curve = jnp.asarray(y, jnp.float64)
        if curve.shape != self.x.shape:
            raise ValueError(
                f"y: shape {curve.shape} differs from the shape {self.x.shape} of the fitted x; "
                "predict at every x of the fit"
            )
        return _fit(self.x, curve, self.weights, self.window, errors="none")


def fit_power_law(
    x: Values,
    y: Values,
    *,
    standard_error: Values | None = None,
    window: tuple[Number, Number] | None = None,
) -> PowerLawFit:
    r"""Fits $y = A x^{-\alpha}$ by weighted least squares on $\log y = \log A - \alpha \log x$.

    With `standard_error` $s_i$ of $y_i$, the error of $\log y_i$ is $s_i / y_i$ (delta method),
    the weights are $w_i = (y_i / s_i)^2$, and the covariance is the known
    $(X^\top W X)^{-1}$: absolute, never rescaled by $\chi^2$, with normal quantiles. Without it
    all weights are 1, the residuals set the variance, and the quantile is Student's t with
    `dof` degrees of freedom.

    **Arguments:**

    - `x`: positive, in any order and any unit, one value a point.
    - `y`: positive inside the window, one value a point; ignored outside it.
    - `standard_error`: of `y`, in its unit, positive inside the window; errors of different
      points are taken as independent.
    - `window`: `(low, high)` in the unit of `x`, inclusive; every point by default.

    **Returns:** a `PowerLawFit`, computed in float64 on the CPU device.

    **Raises:** `ValueError` for values that are not positive and finite, for shapes that differ,
    for an empty window, and for too few points: 2 are needed, and 3 without `standard_error`.

    **Limits:** the delta method shifts $\log y_i$ by $-(s_i/y_i)^2/2$, so relative errors should
    be well below 1. A $\chi^2$ far above `dof` means that the curve is not a power law in this
    window: the errors then cover noise but not curvature; compare with
    `PowerLawFit.same_window`.
    """
    require_float64()
    x_values = checked_positive("x", x)
    y_values = _checked_shape("y", y, x_values.shape)
    inside = _checked_window(x_values, window)
    checked_positive("y", y_values, inside=inside)
    errors = None
    if standard_error is not None:
        errors = _checked_shape("standard_error", standard_error, x_values.shape)
        checked_positive("standard_error", errors, inside=inside)
    _check_enough(x_values[inside], needed=3 if errors is None else 2)
    limits = None if window is None else (float(window[0]), float(window[1]))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return _regress(x_values, y_values, standard_error=errors, window=limits)


def regress_power_law(
    x: Curve,
    y: Curve,
    *,
    standard_error: Curve | None = None,
    window: tuple[Number, Number] | None = None,
) -> PowerLawFit:
    """`fit_power_law` without its checks: pure, for use under `jit`, `vmap` and `grad`.

    **Arguments:** as `fit_power_law`; the limits of the window may be traced.

    **Returns:** a `PowerLawFit`; input that `fit_power_law` rejects gives NaN and a status here.
    """
    x_values, y_values = jnp.asarray(x, jnp.float64), jnp.asarray(y, jnp.float64)
    if window is None:
        limits = jnp.stack([jnp.min(x_values), jnp.max(x_values)])
    else:
        limits = jnp.stack([jnp.asarray(limit, jnp.float64) for limit in window])
    inside = (x_values >= limits[0]) & (x_values <= limits[1])
    if standard_error is None:
        weights = jnp.where(inside, jnp.ones_like(y_values), 0.0)
        return _fit(x_values, y_values, weights, limits, errors="residual")
    # The inner `where` keeps a zero or NaN outside the window out of the gradient.
    error = jnp.where(inside, jnp.asarray(standard_error, jnp.float64), 1.0)
    weights = jnp.where(inside, (jnp.where(inside, y_values, 1.0) / error) ** 2, 0.0)
    return _fit(x_values, y_values, weights, limits, errors="known")


_regress = jax.jit(regress_power_law)


def _fit(
    x: Float64[Array, " points"],
    y: Float64[Array, " points"],
    weights: Float64[Array, " points"],
    window: Float64[Array, "2"],
    *,
    errors: Errors,
) -> PowerLawFit:
    """The regression itself, on log x centred at its weighted mean.

    With u = log x - centre, slope and mean of log y are uncorrelated with variances s²/Σwu² and
    s²/Σw, whatever the unit of x; log A = mean + exponent * centre adds them.
    """
    inside = weights != 0.0  # true for a NaN weight, which must reach the status
    log_x = jnp.log(jnp.where(inside, x, 1.0))
    log_y = jnp.log(jnp.where(inside, y, 1.0))
    num_points = jnp.sum(inside)
    dof = num_points - 2

    total = _or_one(jnp.sum(weights))
    centre = jnp.sum(weights * log_x) / total
    mean = jnp.sum(weights * log_y) / total
    u = jnp.where(inside, log_x - centre, 0.0)
    spread = jnp.sum(weights * u**2)
    resolved = _MIN_SPREAD * jnp.max(jnp.abs(log_x))
    singular = (num_points < 2) | (spread / total <= resolved**2)
    spread = jnp.where(singular, 1.0, spread)

    exponent = -jnp.sum(weights * u * (log_y - mean)) / spread
    residual = jnp.where(inside, log_y - mean + exponent * u, 0.0)
    chi_squared = jnp.sum(weights * residual**2)
    log_amplitude = mean + exponent * centre

    exponent_error = jnp.zeros(())
    log_amplitude_error = jnp.zeros(())
    quantile = _quantile(dof, x.size, errors=errors)
    if errors != "none":
        scale = jnp.ones(()) if errors == "known" else chi_squared / dof.astype(jnp.float64)
        exponent_error = jnp.sqrt(scale / spread)
        log_amplitude_error = jnp.sqrt(scale * (1.0 / total + centre**2 / spread))

    finite = jnp.isfinite(exponent) & jnp.isfinite(log_amplitude)
    finite &= jnp.isfinite(exponent_error) & jnp.isfinite(log_amplitude_error)
    ok = finite & ~singular
    failed = jnp.where(singular, int(Status.ILL_CONDITIONED), int(Status.NOT_FINITE))

    def or_nan(value: Float64[Array, "..."]) -> Float64[Array, "..."]:
        return jnp.where(ok, value, jnp.nan)

    half_width = quantile * exponent_error
    return PowerLawFit(
        exponent=or_nan(exponent),
        exponent_error=or_nan(exponent_error),
        log_amplitude=or_nan(log_amplitude),
        log_amplitude_error=or_nan(log_amplitude_error),
        interval=or_nan(jnp.stack([exponent - half_width, exponent + half_width])),
        dof=dof,
        chi_squared=or_nan(chi_squared),
        num_points=num_points,
        window=window,
        status=jnp.where(ok, int(Status.OK), failed).astype(jnp.int32),
        x=x,
        weights=weights,
        errors=errors,
    )


def _quantile(dof: Int[Array, ""], size: int, *, errors: Errors) -> Float64[Array, ""]:
    """The 97.5 % quantile: normal, or Student's t read from a table over all possible dof."""
    if errors != "residual":
        return jnp.asarray(scipy.special.ndtri(0.975))
    table = scipy.special.stdtrit(np.arange(1.0, max(size - 1, 2)), 0.975)
    return jnp.asarray(table)[jnp.clip(dof - 1, 0, len(table) - 1)]


def _or_one(value: Float64[Array, ""]) -> Float64[Array, ""]:
    return jnp.where(value == 0.0, 1.0, value)


def checked_positive(
    name: str, values: Values, *, inside: Bool[np.ndarray, "..."] | None = None
) -> Float64[np.ndarray, " points"]:
    """The values in float64 when they are one-dimensional, and positive and finite `inside`.

    **Raises:** `ValueError` that names the field, the first bad value and the remedy.
    """
    array = np.asarray(values, np.float64)
    if array.ndim != 1:
        raise ValueError(
            f"{name}: shape {array.shape} is not one-dimensional; give one value a point, "
            "or use vmap over regress_power_law for many curves"
        )
    bad = ~(np.isfinite(array) & (array > 0.0))
    if inside is not None:
        bad &= inside
    if bad.any():
        index = int(np.argmax(bad))
        raise ValueError(
            f"{name}: {array[index]} at index {index} is not positive and finite; "
            "leave that point out, or narrow the window"
        )
    return array


def _checked_shape(
    name: str, values: Values, shape: tuple[int, ...]
) -> Float64[np.ndarray, " points"]:
    array = np.asarray(values, np.float64)
    if array.shape != shape:
        raise ValueError(
            f"{name}: shape {array.shape} differs from the shape {shape} of x; "
            "give one value a point"
        )
    return array


def _checked_window(
    x: Float64[np.ndarray, " points"], window: tuple[Number, Number] | None
) -> Bool[np.ndarray, " points"]:
    if window is None:
        return np.ones(x.shape, bool)
    low, high = float(window[0]), float(window[1])
    if not low <= high:
        raise ValueError(f"window: ({low}, {high}) is reversed or NaN; give (low, high)")
    inside = (x >= low) & (x <= high)
    if x.size and not inside.any():
        raise ValueError(
            f"window: ({low}, {high}) holds no point, as x runs from {x.min()} to {x.max()}; "
            "widen or move it"
        )
    return inside


def _check_enough(x: Float64[np.ndarray, " points"], *, needed: int) -> None:
    if x.size < needed:
        remedy = "give standard_error, or " if needed == 3 and x.size == 2 else ""
        raise ValueError(
            f"x: {x.size} points in the window, and at least {needed} are needed; "
            f"{remedy}add points or widen the window"
        )
    if np.ptp(np.log(x)) <= _MIN_SPREAD * np.abs(np.log(x)).max():
        raise ValueError(
            f"x: every point in the window lies at {x[0]}; a slope needs two different values"
        )
