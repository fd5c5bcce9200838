"""Parallel scaling: the loss of a model run P times on one input, the outputs aggregated."""

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


def _starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """Linear in E and A^alpha."""
    found = []
    for k, alpha in itertools.product((0.03, 0.1, 0.3, 1.0, 3.0), np.geomspace(0.05, 1.5, 10)):
        size = x["N"] * (k * np.log(x["P"]) + 1.0)
        design = np.stack([np.ones_like(y), size**-alpha], axis=1)
        value, misfit = nnls(design / y[:, None], np.ones(len(y)))
        limit, amplitude = np.maximum(value, _SMALLEST)
        found.append((misfit, (limit, amplitude ** (1.0 / alpha), k, alpha)))
    best = sorted(found, key=lambda pair: pair[0])[:_STARTS]
    return np.array([theta for _, theta in best])


PARALLEL = Law(
    name="parallel",
    parameters=(
        Parameter("E", unit={"L": 1}, meaning="irreducible loss"),
        Parameter(
            "A",
            unit={"N": 1, "L": lambda theta: 1.0 / theta["alpha"]},
            start=(1e-6, 1e6),
            meaning="size at which the reducible loss would be 1",
        ),
        Parameter("k", start=(0.03, 3.0), meaning="worth of a stream"),
        Parameter("alpha", meaning="exponent of size"),
    ),
    inputs=("N", "P"),
    log_predict=lambda t, x: jnp.log(
        t["E"] + (t["A"] / (x["N"] * (t["k"] * jnp.log(x["P"]) + 1.0))) ** t["alpha"]
    ),
    starts=_starts,
    formula="L = E + (A / (N (k log P + 1)))^alpha",
    source="arXiv 2505.10475, eq. (5), as quoted with the fitted values",
    constant="E",
    example={"E": 0.69, "A": 1.13e7, "k": 0.39, "alpha": 0.35, "N": (1e7, 1e11), "P": (1.0, 64.0)},
)

LAWS = (PARALLEL,)
