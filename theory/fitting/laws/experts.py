r"""Mixtures of experts: the loss against active size, data and the number of experts.

$$L = a \hat E^\delta N^{-\alpha + \gamma \ln \hat E}
      + b \hat E^\omega D^{-\beta + \zeta \ln \hat E} + c, \qquad
  \frac 1{\hat E} = \frac 1{E - 1 + (1/E_{\rm start} - 1/E_{\max})^{-1}} + \frac 1{E_{\max}}$$

At any one number of experts this is the Chinchilla law. Counting N in another unit changes
$\delta$ by a multiple of $\gamma$, which no power of the unit does: N and D are not centred, and
the fit starts from regressions of its own.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64
from scipy.optimize import nnls

from scalinglab.theory.fitting.law import Law, Parameter

_SMALLEST = 1e-4  # for an amplitude projected to zero, so that it can grow again
_STARTS = 8
Number = float | Float[Array | np.ndarray, "..."]


def log_effective_experts(experts: Number, start: Number, most: Number) -> Array:
    r"""The logarithm of the effective number of experts; NaN unless start < most.

    **Arguments:** `experts` E, at least 1; `start`, their effective number at E = 1, and `most`,
    at E without limit; positive.

    **Source:** arXiv 2502.05172, eq. (4), after arXiv 2202.01169.
    """
    valid = jnp.asarray(start) < jnp.asarray(most)
    gap = jnp.where(valid, 1.0 / start - 1.0 / most, 1.0)
    inverse = 1.0 / (experts - 1.0 + 1.0 / gap) + 1.0 / most
    return jnp.where(valid, -jnp.log(inverse), jnp.nan)


def _terms(t: Mapping[str, Any], x: Mapping[str, Any]) -> tuple[Any, Any]:
    experts = log_effective_experts(x["E"], t["E_start"], t["E_max"])
    size = experts * t["delta"] + (experts * t["gamma"] - t["alpha"]) * jnp.log(x["N"])
    data = experts * t["omega"] + (experts * t["zeta"] - t["beta"]) * jnp.log(x["D"])
    return jnp.exp(size), jnp.exp(data)


def _log_predict(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    size, data = _terms(t, x)
    return jnp.log(t["c"] + t["a"] * size + t["b"] * data)


def _starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """A grid of exponents, linear in a, b and c, without interaction at the middle of the data."""
    sizes, data = np.log(x["N"]), np.log(x["D"])
    middle_n, middle_d = sizes.mean(), data.mean()
    experts = np.asarray(log_effective_experts(x["E"], 2.0, 300.0))
    found = []
    exponents, tilts = (0.1, 0.2, 0.4), (-0.02, 0.0, 0.02)
    for alpha, beta, gamma, zeta in itertools.product(exponents, exponents, tilts, tilts):
        for at_n, at_d in itertools.product((-0.1, 0.0), (-0.1, 0.0, 0.1)):
            # The exponent of the experts at the middle size, and what delta is there.
            delta, omega = at_n - gamma * middle_n, at_d - zeta * middle_d
            columns = [
                np.exp(delta * experts + (gamma * experts - alpha) * sizes),
                np.exp(omega * experts + (zeta * experts - beta) * data),
                np.ones_like(y),
            ]
            value, misfit = nnls(np.stack(columns, axis=1) / y[:, None], np.ones(len(y)))
            rest = (alpha, beta, delta, omega, gamma, zeta, 2.0, 300.0)
            found.append((misfit, (*np.maximum(value, _SMALLEST), *rest)))
    best = sorted(found, key=lambda pair: pair[0])[:_STARTS]
    return np.array([theta for _, theta in best])


JOINT_EXPERTS = Law(
    name="joint-experts",
    parameters=(
        Parameter("a", unit={"L": 1}, start=(1.0, 100.0), meaning="amplitude in size"),
        Parameter("b", unit={"L": 1}, start=(1.0, 100.0), meaning="amplitude in data"),
        Parameter("c", unit={"L": 1}, meaning="irreducible loss"),
        Parameter("alpha", meaning="exponent of size at one effective expert"),
        Parameter("beta", meaning="exponent of data at one effective expert"),
        Parameter("delta", "real", meaning="exponent of experts beside size"),
        Parameter("omega", "real", meaning="exponent of experts beside data"),
        Parameter("gamma", "real", start=(-0.05, 0.05), meaning="experts by size"),
        Parameter("zeta", "real", start=(-0.05, 0.05), meaning="experts by data"),
        Parameter("E_start", start=(1.2, 4.0), limits=(1.0, 1e3), meaning="experts at E = 1"),
        Parameter("E_max", start=(30.0, 1e3), limits=(1.0, 1e8), meaning="where experts saturate"),
    ),
    inputs=("N", "D", "E"),
    log_predict=_log_predict,
    starts=_starts,
    formula="L = a E'^delta N^(-alpha + gamma ln E') + b E'^omega D^(-beta + zeta ln E') + c, "
    "1/E' = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max",
    source="arXiv 2502.05172, eqs. (4) and (6), whose alpha and beta are negative; values of "
    "Table 3",
    constant="c",
    example={
        "a": 35.91,
        "b": 35.98,
        "c": 1.3637,
        "alpha": 0.1889,
        "beta": 0.1775,
        "delta": -0.2285,
        "omega": 0.5529,
        "gamma": 0.0098,
        "zeta": -0.0259,
        "E_start": 2.0732,
        "E_max": 290.4521,
        "N": (1e6, 1e12),
        "D": (1e7, 1e13),
        "E": (1.0, 1e3),
    },
)

LAWS = (JOINT_EXPERTS,)
