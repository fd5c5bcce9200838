"""Local exponents of a curve: slopes of log y against log x, by differences or by smoothers.

`difference_slopes` is the pure core of the differences, safe under `jit`, `vmap` and `grad`;
`local_slopes` checks its input first and raises.
"""

from typing import Literal, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64

from scalinglab.theory.prediction import require_float64

from .power_law import Curve, Values, checked_positive
from .smooth_slope import savgol_slope_map, spline_slope_map

Method = Literal["difference", "spline", "savgol"]


class LocalSlopes(eqx.Module):
    """The local exponents of one curve, in ascending order of x.

    **Fields:**

    - `x`: where the slopes are taken, in the unit of x: geometric midpoints of neighbouring
      points for differences, the points for splines, and the points with a full window about them
      for Savitzky-Golay filters.
    - `exponent`: positive where the curve decreases.
    - `standard_error`: of the exponent; None when none was given. Neighbouring slopes share
      points, and are correlated by them: for differences over lengths h and h' in log x the
      covariance is $-(s/y)^2 / (h h')$.
    """

    x: Float64[Array, " slopes"]
    exponent: Float64[Array, " slopes"]
    standard_error: Float64[Array, " slopes"] | None


def local_slopes(
    x: Values,
    y: Values,
    *,
    standard_error: Values | None = None,
    method: Method = "difference",
    smoothing: float | None = None,
    window_length: int | None = None,
    degree: int | None = None,
) -> LocalSlopes:
    r"""The local exponents $-\mathrm{d} \log y / \mathrm{d} \log x$.

    - `difference`: $-\Delta \log y / \Delta \log x$ between neighbouring points.
    - `spline`: the slope of the natural cubic smoothing spline f that minimises
      $\sum_i w_i (\log y_i - f(\log x_i))^2 + \lambda \int f''^2$, $w_i = (y_i/s_i)^2$ or 1.
    - `savgol`: the slope of a polynomial fitted to the points of a window, at its centre.

    Each is linear in $\log y$, and the errors pass through that linear map exactly.

    **Arguments:**

    - `x`: positive and all different, in any order and any unit, one value a point.
    - `y`: positive, one value a point.
    - `standard_error`: of `y`, in its unit, positive; errors of different points are taken as
      independent, and pass to $\log y$ by the delta method.
    - `smoothing`: $\lambda \ge 0$ of the spline, of the unit $w \log(x)^3$; by default the one of
      the least generalised cross-validation score, taken as given by the errors.
    - `window_length`: odd number of points of a Savitzky-Golay window, 5 by default.
    - `degree`: of its polynomial, 2 by default.

    **Returns:** `LocalSlopes`, in float64 on the CPU device: one value fewer than points for
    differences, one a point for splines, one a full window for Savitzky-Golay filters.

    **Raises:** `ValueError` for values that are not positive and finite, for shapes that differ,
    for repeated `x`, for fewer than two points, five for splines, for options out of range or of
    another method, and for `savgol` when the points are not spaced evenly in log x.

    **Limits:** the errors say nothing about smoothing bias: a spline tends to straight lines at
    its ends. $\lambda = 0$ interpolates; a large one gives the straight line of `fit_power_law`.
    """
    require_float64()
    x_values, y_values, errors = checked_curve(x, y, standard_error)
    _check_options(
        x_values.size,
        method=method,
        smoothing=smoothing,
        window_length=window_length,
        degree=degree,
    )
    if method == "difference":
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            return _difference(x_values, y_values, standard_error=errors)
    log_x, log_y = np.log(x_values), np.log(y_values)
    relative = None if errors is None else errors / y_values
    if method == "spline":
        weights = np.ones_like(log_x) if relative is None else relative**-2.0
        to_slope, at = spline_slope_map(log_x, log_y, weights, smoothing=smoothing), x_values
    else:
        length = 5 if window_length is None else window_length
        order = 2 if degree is None else degree
        to_slope = savgol_slope_map(log_x, window_length=length, degree=order)
        at = x_values[length // 2 : x_values.size - length // 2]
    variance = None if relative is None else to_slope**2 @ relative**2
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return LocalSlopes(
            x=jnp.asarray(at),
            exponent=jnp.asarray(-to_slope @ log_y),
            standard_error=None if variance is None else jnp.asarray(np.sqrt(variance)),
        )


def _check_options(
    num_points: int,
    *,
    method: Method,
    smoothing: float | None,
    window_length: int | None,
    degree: int | None,
) -> None:
    if method not in get_args(Method):
        raise ValueError(f"method: {method!r} is not known; choose one of {get_args(Method)}")
    options = {
        "smoothing": (smoothing, "spline"),
        "window_length": (window_length, "savgol"),
        "degree": (degree, "savgol"),
    }
    for name, (value, owner) in options.items():
        if value is not None and method != owner:
            raise ValueError(
                f"{name}: {value} is for method='{owner}', and the method is '{method}'; "
                "leave it out"
            )
    if smoothing is not None and not 0.0 <= smoothing < float("inf"):
        raise ValueError(
            f"smoothing: {smoothing} is not at least 0 and finite; leave it out to choose it by "
            "cross-validation"
        )
    if method == "spline" and num_points < 5:
        raise ValueError(f"x: {num_points} points, and a spline needs at least 5; add points")


def difference_slopes(x: Curve, y: Curve, *, standard_error: Curve | None = None) -> LocalSlopes:
    """The differences of `local_slopes`, unchecked: pure, for use under `jit`, `vmap` and `grad`.

    **Arguments:** as `local_slopes`.

    **Returns:** `LocalSlopes`; a slope from values that `local_slopes` rejects is not finite.
    """
    x_values, y_values = jnp.asarray(x, jnp.float64), jnp.asarray(y, jnp.float64)
    order = jnp.argsort(x_values)
    log_x = jnp.log(x_values[order])
    step = jnp.diff(log_x)
    error = None
    if standard_error is not None:
        relative = (jnp.asarray(standard_error, jnp.float64) / y_values)[order]
        error = jnp.hypot(relative[1:], relative[:-1]) / step
    return LocalSlopes(
        x=jnp.exp(log_x[:-1] + step / 2),
        exponent=-jnp.diff(jnp.log(y_values[order])) / step,
        standard_error=error,
    )


_difference = jax.jit(difference_slopes)


def checked_curve(
    x: Values, y: Values, standard_error: Values | None = None
) -> tuple[
    Float64[np.ndarray, " points"],
    Float64[np.ndarray, " points"],
    Float64[np.ndarray, " points"] | None,
]:
    """The three columns in float64 and in ascending order of x, each value positive and finite.

    **Raises:** `ValueError` for values that are not, for shapes that differ, for repeated `x` and
    for fewer than two points.
    """
    x_values = checked_positive("x", x)
    curves = {"y": y} if standard_error is None else {"y": y, "standard_error": standard_error}
    checked = {name: checked_positive(name, values) for name, values in curves.items()}
    for name, values in checked.items():
        if values.shape != x_values.shape:
            raise ValueError(
                f"{name}: shape {values.shape} differs from the shape {x_values.shape} of x; "
                "give one value a point"
            )
    if x_values.size < 2:
        raise ValueError(f"x: {x_values.size} points, and at least 2 are needed; add points")
    order = np.argsort(x_values)
    ordered = x_values[order]
    repeated = ordered[1:][np.diff(ordered) == 0.0]
    if repeated.size:
        raise ValueError(
            f"x: {repeated[0]} is there more than once; average the points that share it"
        )
    errors = checked.get("standard_error")
    return ordered, checked["y"][order], None if errors is None else errors[order]
