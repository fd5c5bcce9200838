"""A loss that turns: a parabola in the logarithm of the scale."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from scalinglab.theory.fitting.law import Law, Parameter


def _starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """The regression of L on log x, and both signs of it turned at the middle of the data."""
    scale = x["log x"]
    curved, slope, level = np.polyfit(scale, y, 2)
    reach = max(float(np.ptp(scale)), 1e-3)
    turn = np.clip(-0.5 * slope / curved if curved else 0.0, -5.0 * reach, 5.0 * reach)
    value = max(float(level + slope * turn + curved * turn**2), 0.05)
    middle = [[1.0, sign / reach**2, float(np.exp(scale.mean()))] for sign in (1.0, -1.0)]
    return np.array([[value, curved, float(np.exp(turn))], *middle])


# A curvature of either sign: for a score that falls and then rises it is the loss that rises and
# then falls. Where L would be negative the law has no value.
U_SHAPE = Law(
    name="u-shape",
    parameters=(
        Parameter("E", unit={"L": 1}, meaning="loss where it turns"),
        Parameter("k", "real", unit={"L": 1}, meaning="curvature, negative for a maximum"),
        Parameter("x_turn", unit={"x": 1}, start=(0.01, 100.0), meaning="where the loss turns"),
    ),
    inputs=("x",),
    log_predict=lambda t, x: jnp.log(t["E"] + t["k"] * (x["log x"] - jnp.log(t["x_turn"])) ** 2),
    starts=_starts,
    formula="L = E + k (ln x - ln x_turn)^2",
    source="the lowest order in ln x with a turning point; for inverse and U-shaped scaling see "
    "arXiv 2211.02011, which fits no formula",
    example={"E": 0.8, "k": 0.02, "x_turn": 3e21, "x": (1e19, 1e24)},
)

LAWS = (U_SHAPE,)
