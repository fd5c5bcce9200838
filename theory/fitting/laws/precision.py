r"""Training in low floating-point precision: what exponent and mantissa bits cost.

$$L = \frac n{N^\alpha} + \frac d{D^\beta} + \epsilon
      + \frac{D^\beta}{N^\alpha} \frac{\log_2 B}{\gamma (E + 0.5)^\delta (M + 0.5)^\nu}$$

B values share one scale. Below infinite precision the loss has a minimum in D; wide formats leave
the Chinchilla law.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from scipy.optimize import nnls

from scalinglab.theory.fitting.law import Law, Parameter

_SMALLEST = 1e-4  # for an amplitude projected to zero, so that it can grow again
_STARTS = 6


def _log_predict(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    size, data = t["alpha"] * x["log N"], t["beta"] * x["log D"]
    bits = t["delta"] * jnp.log(x["E"] + 0.5) + t["nu"] * jnp.log(x["M"] + 0.5)
    coarse = jnp.log2(x["B"]) / t["gamma"] * jnp.exp(data - size - bits)
    return jnp.log(t["epsilon"] + t["n"] * jnp.exp(-size) + t["d"] * jnp.exp(-data) + coarse)


def _starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """Linear in n, d, epsilon and 1/gamma."""
    found = []
    grid = itertools.product((0.15, 0.3, 0.6), (0.15, 0.3, 0.6), (1.0, 3.0), (1.0, 3.0))
    for alpha, beta, delta, nu in grid:
        size, data = x["N"] ** -alpha, x["D"] ** -beta
        coarse = np.log2(x["B"]) * size / data * (x["E"] + 0.5) ** -delta * (x["M"] + 0.5) ** -nu
        design = np.stack([size, data, np.ones_like(y), coarse], axis=1)
        value, misfit = nnls(design / y[:, None], np.ones(len(y)))
        n, d, limit, inverse = np.maximum(value, _SMALLEST)
        found.append((misfit, (n, d, limit, 1.0 / inverse, alpha, beta, delta, nu)))
    best = sorted(found, key=lambda pair: pair[0])[:_STARTS]
    return np.array([theta for _, theta in best])


FLOATING_POINT = Law(
    name="floating-point",
    parameters=(
        Parameter("n", unit={"L": 1, "N": "alpha"}, meaning="amplitude in size"),
        Parameter("d", unit={"L": 1, "D": "beta"}, meaning="amplitude in data"),
        Parameter("epsilon", unit={"L": 1}, meaning="irreducible loss"),
        Parameter(
            "gamma",
            unit={"L": -1, "N": "-alpha", "D": "beta"},
            start=(0.1, 1e3),
            meaning="one over the amplitude of rounding",
        ),
        Parameter("alpha", meaning="exponent of size"),
        Parameter("beta", meaning="exponent of data"),
        Parameter("delta", start=(0.5, 4.0), limits=(1e-3, 30.0), meaning="worth of exponent bits"),
        Parameter("nu", start=(0.5, 4.0), limits=(1e-3, 30.0), meaning="worth of mantissa bits"),
    ),
    inputs=("N", "D", "E", "M", "B"),
    log_predict=_log_predict,
    starts=_starts,
    formula="L = n/N^alpha + d/D^beta + epsilon "
    "+ D^beta/N^alpha log2(B) / (gamma (E + 0.5)^delta (M + 0.5)^nu)",
    source="arXiv 2501.02423, eq. (26), values of Table 2",
    constant="epsilon",
    example={
        "n": 69.2343,
        "d": 68973.0621,
        "epsilon": 1.9061,
        "gamma": 11334.5197,
        "alpha": 0.2368,
        "beta": 0.5162,
        "delta": 3.1926,
        "nu": 2.9543,
        "N": (4e7, 7e8),
        "D": (1e9, 1e12),
        "E": (1.0, 5.0),
        "M": (1.0, 5.0),
        "B": (32.0, 512.0),
    },
)

LAWS = (FLOATING_POINT,)
