"""From a loss to what a benchmark measures: error or accuracy as a function of the loss."""

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from scalinglab.theory.fitting.law import Law, Parameter

DOWNSTREAM_EXPONENTIAL = Law(
    name="downstream-exponential",
    parameters=(
        Parameter("epsilon", unit={"error": 1}, linear=True, meaning="error of guessing"),
        Parameter("k", unit={"error": 1}, linear=True, start=(0.05, 50.0), meaning="amplitude"),
        Parameter("gamma", unit={"L": -1}, start=(0.1, 10.0), meaning="rate"),
    ),
    inputs=("L",),
    output="error",
    log_predict=lambda t, x: jnp.log(t["epsilon"] - t["k"] * jnp.exp(-t["gamma"] * x["L"])),
    columns=lambda t, x: (1.0, -jnp.exp(-t["gamma"] * x["L"])),
    space="linear",
    formula="error = epsilon - k exp(-gamma L)",
    source="arXiv 2403.08540, eq. (5); github.com/mlfoundations/scaling, scaling/laws.py",
    example={"epsilon": 0.85, "k": 2.2, "gamma": 0.9, "L": (1.5, 6.0)},
)


def _sigmoid_starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """Both directions and several places and widths, between levels about those of the data."""
    z = x["z"]
    reach = max(float(np.ptp(z)), 1e-6)
    low = min(max(0.9 * float(y.min()), 0.01), 0.9)
    high = max(min(1.02 * float(y.max()), 0.99), low + 0.05)
    places = np.quantile(z, (0.2, 0.5, 0.8))
    grid = itertools.product(places, (4.0, 12.0), (1.0, -1.0))
    return np.array([[low, high, sign * width / reach, place] for place, width, sign in grid])


def _log_accuracy(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    # Exchanging the levels and turning the slope around would be the same curve once more, so that
    # the law has a value only for low < high.
    rise = jnp.where(t["low"] < t["high"], t["high"] - t["low"], jnp.nan)
    return jnp.log(t["low"] + rise * jax.nn.sigmoid(t["k"] * (x["z"] - t["z0"])))


SIGMOID_LINK = Law(
    name="sigmoid-link",
    parameters=(
        Parameter("low", (0.0, 1.0), start=(0.02, 0.4), meaning="level of guessing"),
        Parameter("high", (0.0, 1.0), start=(0.5, 0.98), meaning="highest level"),
        Parameter(
            "k",
            "real",
            start=(-5.0, 5.0),
            limits=(-1e3, 1e3),
            meaning="slope, negative where z is a loss",
        ),
        Parameter("z0", "real", start=(0.0, 5.0), limits=(-1e3, 1e3), meaning="midpoint"),
    ),
    inputs=("z",),
    output="accuracy",
    log_predict=_log_accuracy,
    starts=_sigmoid_starts,
    space="linear",
    formula="accuracy = low + (high - low) sigmoid(k (z - z0)), z a loss or a log of compute",
    source="arXiv 2412.04403, step 2",
    example={"low": 0.25, "high": 0.9, "k": -6.0, "z0": 1.1, "z": (0.3, 2.2)},
)

LAWS = (DOWNSTREAM_EXPONENTIAL, SIGMOID_LINK)
