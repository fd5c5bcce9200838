"""Between a law's natural parameters and the unbounded, centred ones that the solver moves in.

A working coordinate phi is log theta for a positive parameter, theta for a real one, and the logit
of its place in an interval. It belongs to the *centred* problem, whose inputs and output are
divided by their geometric means e^s: a parameter with unit $\\prod_k u_k^{p_k(\\theta)}$ has
$\\theta = \\theta_c \\exp \\sum_k p_k s_k$, exactly. A parameter that is held fixed is fixed in the
user's units, so its centred value moves with the exponents in its unit; `free` (1 or 0 a
parameter) says which is which, a lane each, so that one compiled program serves every choice.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .law import Law, Parameter, power_of

Scalar = Float[Array, ""]
_SATURATED = 15.0  # the logit of 3e-7
_LOG_RANGE = 60.0


def centred(
    law: Law,
    phi: Sequence[Scalar],
    free: Sequence[Scalar],
    shift: Mapping[str, Scalar],
) -> dict[str, Scalar]:
    """The parameters of the centred problem: what `law.log_predict` is called with."""
    theta = {
        one.name: _from_working(one, value) for one, value in zip(law.parameters, phi, strict=True)
    }
    for one, is_free in zip(law.parameters, free, strict=True):
        if one.unit:
            theta[one.name] = theta[one.name] * jnp.exp(
                -(1.0 - is_free) * _log_unit(one, theta, shift)
            )
    return theta


def natural(
    law: Law,
    phi: Sequence[Scalar],
    free: Sequence[Scalar],
    shift: Mapping[str, Scalar],
) -> dict[str, Scalar]:
    """The parameters in the user's units."""
    theta = {
        one.name: _from_working(one, value) for one, value in zip(law.parameters, phi, strict=True)
    }
    for one, is_free in zip(law.parameters, free, strict=True):
        if one.unit:
            theta[one.name] = theta[one.name] * jnp.exp(is_free * _log_unit(one, theta, shift))
    return theta


def working(
    law: Law,
    theta: Mapping[str, Any],
    free: Float[np.ndarray, " parameters"],
    shift: Mapping[str, Any],
) -> Float[np.ndarray, "parameters"]:
    """The coordinates of natural parameters: the inverse of `natural`, on the host."""
    phi = np.empty(len(law.parameters))
    for index, one in enumerate(law.parameters):
        value = float(theta[one.name])
        log_unit = float(_log_unit(one, theta, shift)) * free[index] if one.unit else 0.0
        phi[index] = to_working(one, value, log_unit)
    return phi


def bounds(
    law: Law,
) -> tuple[Float[np.ndarray, "parameters"], Float[np.ndarray, "parameters"]]:
    """Lower and upper limits of the working coordinates."""
    pairs = [_limits(one) for one in law.parameters]
    return np.array([low for low, _ in pairs]), np.array([high for _, high in pairs])


def start_box(
    law: Law,
) -> tuple[Float[np.ndarray, "parameters"], Float[np.ndarray, "parameters"]]:
    """The box of working coordinates in which starts are drawn."""
    ends = [[to_working(one, value) for value in one.start_range] for one in law.parameters]
    low, high = np.array(ends).T
    return low, high


def _log_unit(one: Parameter, theta: Mapping[str, Any], shift: Mapping[str, Any]) -> Any:
    terms = [power_of(power, theta) * shift[what] for what, power in one.unit.items()]
    return sum(terms[1:], terms[0])


def _from_working(one: Parameter, phi: Scalar) -> Scalar:
    if one.constraint == "positive":
        return jnp.exp(phi)
    if one.constraint == "real":
        return phi
    low, high = one.constraint
    return low + (high - low) * jax.nn.sigmoid(phi)


def to_working(one: Parameter, value: float, log_unit: float = 0.0) -> float:
    """The coordinate of one value whose unit is e^log_unit, held inside its constraint."""
    if one.constraint == "positive":
        # A zero amplitude is a limit: it starts, or stays, at the smallest that can be held.
        return (math.log(value) if value > 0.0 else -10.0 * _LOG_RANGE) - log_unit
    if one.constraint == "real":
        return value * math.exp(-log_unit)
    low, high = one.constraint
    place = min(max((value - low) / (high - low), 1e-7), 1.0 - 1e-7)
    return math.log(place / (1.0 - place))


def _limits(one: Parameter) -> tuple[float, float]:
    if one.limits is not None:
        return to_working(one, one.limits[0]), to_working(one, one.limits[1])
    if one.constraint == "positive":
        if one.unit:
            return -_LOG_RANGE, _LOG_RANGE
        return math.log(1e-4), math.log(10.0)
    return (-10.0, 10.0) if one.constraint == "real" else (-_SATURATED, _SATURATED)
