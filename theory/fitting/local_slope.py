"""Local exponents of a curve: finite differences in log-log coordinates.

`difference_slopes` is the pure core, safe under `jit`, `vmap` and `grad`; `local_slopes` checks
its input first and raises.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float64

from scalinglab.theory.prediction import require_float64

from .power_law import Curve, Values, checked_positive


class LocalSlopes(eqx.Module):
    """The local exponents of one curve, in ascending order of x.

    **Fields:**

    - `x`: geometric midpoints of neighbouring points, in the unit of x.
    - `exponent`: positive where the curve decreases.
    - `standard_error`: of the exponent; None when none was given. Neighbouring slopes share a
      point, and are anticorrelated by it: for pieces of lengths h and h' in log x the covariance
      is $-(s/y)^2 / (h h')$.
    """

    x: Float64[Array, " slopes"]
    exponent: Float64[Array, " slopes"]
    standard_error: Float64[Array, " slopes"] | None


def local_slopes(x: Values, y: Values, *, standard_error: Values | None = None) -> LocalSlopes:
    r"""The exponents $-\Delta \log y / \Delta \log x$ between neighbouring points.

    **Arguments:**

    - `x`: positive and all different, in any order and any unit, one value a point.
    - `y`: positive, one value a point.
    - `standard_error`: of `y`, in its unit, positive; errors of different points are taken as
      independent, and pass to $\log y$ by the delta method.

    **Returns:** `LocalSlopes`, one value fewer than points, in float64 on the CPU device.

    **Raises:** `ValueError` for values that are not positive and finite, for shapes that differ,
    for repeated `x` and for fewer than two points.
    """
    require_float64()
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
    ordered = np.sort(x_values)
    repeated = ordered[1:][np.diff(ordered) == 0.0]
    if repeated.size:
        raise ValueError(
            f"x: {repeated[0]} is there more than once; average the points that share it"
        )
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return _difference(x_values, checked["y"], standard_error=checked.get("standard_error"))


def difference_slopes(x: Curve, y: Curve, *, standard_error: Curve | None = None) -> LocalSlopes:
    """`local_slopes` without its checks: pure, for use under `jit`, `vmap` and `grad`.

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
