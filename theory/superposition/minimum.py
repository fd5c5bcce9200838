"""Minima of functions of one number, with types."""

from collections.abc import Callable
from typing import Any, NamedTuple

from scipy.optimize import minimize_scalar


class Minimum(NamedTuple):
    """The least `value` and where it is."""

    value: float
    at: float


def least(
    function: Callable[[float], float], ends: tuple[float, float], tolerance: float
) -> Minimum:
    """A minimum of `function` between `ends`, by Brent's bounded search."""
    found: Any = minimize_scalar(
        lambda at: function(float(at)),
        bounds=ends,
        method="bounded",
        options={"xatol": tolerance},
    )
    return Minimum(float(found.fun), float(found.x))
