r"""The estimators M3 and M4 of "Revisiting neural scaling laws in language and vision".

M1 and M2 of that paper are `power-law` and `power-law-constant`. M4 goes from the loss of random
guessing, $\varepsilon_0$, to the irreducible $\varepsilon_\infty$, as a power law in between:

$$\frac{L - \varepsilon_\infty}{(\varepsilon_0 - L)^\alpha} = \beta x^{-c}$$

With $s = \varepsilon_0 - \varepsilon_\infty$ and $L = \varepsilon_\infty + s\, \sigma(u)$ this is
$u + (\alpha - 1) \log(1 + e^u) = \log \beta - c \log x + (\alpha - 1) \log s$, one increasing
function of one number; the law is exact to rounding, with implicit derivatives.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from scalinglab.theory.fitting.law import Law, Parameter

_STEPS = 6  # reach rounding for every alpha in [1e-4, 10] and |r| up to 80, where the test looks
_STARTS = 8
Scalar = Float[Array, ""]


@jax.custom_jvp
def logit_excess(right: Scalar, alpha: Scalar) -> Scalar:
    r"""The root u of $u + (\alpha - 1) \log(1 + e^u) = r$.

    **Arguments:** `right` r; `alpha`, positive.

    **Returns:** u, the logit of the excess loss as a fraction of its range.
    """
    # The left side bends once, about u = 0, between the slopes 1 and alpha. The start is the root
    # of its asymptotes; Halley's step, which knows the curvature, is cubic from there.
    u = jnp.where(right < 0.0, right, right / alpha)
    for _ in range(_STEPS):
        share, rest = jax.nn.sigmoid(u), jax.nn.sigmoid(-u)
        value = alpha * jax.nn.softplus(u) - jax.nn.softplus(-u) - right
        slope = rest + alpha * share
        curved = (alpha - 1.0) * share * rest
        u = u - 2.0 * value * slope / (2.0 * slope**2 - value * curved)
    return u


@logit_excess.defjvp
def _logit_excess_jvp(primals: Any, tangents: Any) -> Any:
    right, alpha = primals
    moved_right, moved_alpha = tangents
    u = logit_excess(right, alpha)
    slope = jax.nn.sigmoid(-u) + alpha * jax.nn.sigmoid(u)
    return u, (moved_right - jax.nn.softplus(u) * moved_alpha) / slope


def _log_m4(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    log_span = jnp.log(t["span"])
    right = jnp.log(t["beta"]) - t["c"] * x["log x"] + (t["alpha"] - 1.0) * log_span
    return jnp.log(
        t["E"] + t["span"] * jax.nn.sigmoid(logit_excess(right, jnp.asarray(t["alpha"])))
    )


def _m4_starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """At given limits log(L - E) is linear in log beta, c and alpha: limits need a grid."""
    found = []
    lows, highs = (1e-3, 0.3, 0.6, 0.8, 0.9, 0.97), (1.02, 1.1, 1.3, 2.0, 5.0)
    for low, high in itertools.product(lows, highs):
        limit, top = low * y.min(), high * y.max()
        design = np.column_stack([np.ones_like(y), -x["log x"], np.log(top - y)])
        target = np.log(y - limit)
        # An error of log L counts (L - E)/L times in the logarithm of the excess.
        weight = (y - limit) / y
        value = np.linalg.lstsq(design * weight[:, None], target * weight, rcond=None)[0]
        value[1:] = np.clip(value[1:], 0.02, 3.0)
        misfit = np.sum((weight * (design @ value - target)) ** 2)
        beta = np.exp(np.clip(value[0], -50.0, 50.0))
        found.append((misfit, [limit, top - limit, beta, value[1], value[2]]))
    best = sorted(found, key=lambda pair: pair[0])[:_STARTS]
    return np.array([theta for _, theta in best])


M3 = Law(
    name="m3",
    parameters=(
        Parameter("A", unit={"L": 1, "x": "c"}, linear=True, meaning="amplitude"),
        Parameter("c", meaning="exponent"),
        Parameter("gamma", unit={"x": -1}, start=(1e-3, 3.0), meaning="one over the largest x"),
    ),
    inputs=("x",),
    log_predict=lambda t, x: jnp.log(t["A"]) + t["c"] * jnp.log(1.0 / x["x"] + t["gamma"]),
    columns=lambda t, x: ((1.0 / x["x"] + t["gamma"]) ** t["c"],),
    formula="L = A (1/x + gamma)^c",
    source="arXiv 2209.06640, M3; google-research, revisiting_neural_scaling_laws/methods/m3.py",
    example={"A": 50.0, "c": 0.4, "gamma": 1e-5, "x": (1e2, 1e7)},
)

# The paper's epsilon_0 is E + span, so that L < epsilon_0 needs no constraint.
M4 = Law(
    name="m4",
    parameters=(
        Parameter("E", unit={"L": 1}, meaning="irreducible loss"),
        Parameter("span", unit={"L": 1}, meaning="loss of guessing less the irreducible loss"),
        Parameter(
            "beta",
            unit={"L": lambda theta: 1.0 - theta["alpha"], "x": "c"},
            meaning="amplitude",
        ),
        Parameter("c", meaning="exponent"),
        Parameter("alpha", meaning="exponent of the approach to guessing"),
    ),
    inputs=("x",),
    log_predict=_log_m4,
    starts=_m4_starts,
    formula="(L - E) / (E + span - L)^alpha = beta x^-c",
    source="arXiv 2209.06640, M4; google-research, revisiting_neural_scaling_laws/methods/m4.py",
    constant="E",
    example={"E": 0.05, "span": 0.9, "beta": 300.0, "c": 0.6, "alpha": 0.7, "x": (1e1, 1e9)},
)

LAWS = (M3, M4)
