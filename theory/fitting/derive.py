"""Quantities derived from fitted parameters, with errors: the delta method."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .coordinates import natural
from .covariance import CovarianceKind, check_level, covariance, scale
from .fit import Fit


class Derived(eqx.Module):
    """A derived number. **Fields:** `value`, `standard_error`, and its interval `low`, `high`."""

    value: float
    standard_error: float
    low: float
    high: float


def derive(
    fit: Fit,
    function: Callable[[Mapping[str, Any]], Any],
    *,
    kind: CovarianceKind = "wald",
    level: float = 0.95,
) -> Derived:
    r"""A function $f(\theta)$ of the parameters, with $s^2 = \nabla f^\top C\, \nabla f$.

    **Arguments:**

    - `function`: pure, from a mapping of parameters in the units of the data to one number;
      written with `jax.numpy`. For a positive number with a large error take its logarithm.
    - `kind`: of the covariance. `level`: coverage of the interval, with t quantiles.

    **Returns:** a `Derived`.

    **Raises:** `ValueError` where the function does not return one number, and as `covariance`.
    """
    check_level(level)
    shift = {name: jnp.asarray(values[0]) for name, values in fit.table.shift.items()}
    free = tuple(jnp.asarray(one) for one in fit.free)

    def of(phi: Any) -> Any:
        value = jnp.asarray(function(natural(fit.law, tuple(phi), free, shift)))
        if value.shape != ():
            raise ValueError(f"function: returned the shape {value.shape}; return one number")
        return value

    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        value, gradient = jax.value_and_grad(of)(jnp.asarray(fit.phi))
    slope = np.where(fit.free > 0.0, np.asarray(gradient), 0.0)
    error = float(np.sqrt(slope @ covariance(fit, kind=kind) @ slope))
    half = scale(fit).quantile(level) * error
    return Derived(float(value), error, float(value) - half, float(value) + half)
