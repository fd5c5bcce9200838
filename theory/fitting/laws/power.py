"""Power laws in one input, with a constant, a shift or a correction."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from scalinglab.theory.fitting.law import Law, Parameter

_LIMIT = Parameter("E", unit={"L": 1}, linear=True, meaning="irreducible loss")
_AMPLITUDE = Parameter("A", unit={"L": 1, "x": "alpha"}, linear=True, meaning="amplitude")
_EXPONENT = Parameter("alpha", meaning="exponent")

POWER_LAW = Law(
    name="power-law",
    parameters=(
        _AMPLITUDE,
        Parameter("alpha", "real", meaning="exponent, negative for a growing curve"),
    ),
    inputs=("x",),
    log_predict=lambda t, x: jnp.log(t["A"]) - t["alpha"] * x["log x"],
    columns=lambda t, x: (jnp.exp(-t["alpha"] * x["log x"]),),
    formula="L = A x^-alpha",
    source="arXiv 1712.00409, section 2, the power-law region of a learning curve",
    example={"A": 30.0, "alpha": 0.3, "x": (1e3, 1e6)},
)

POWER_LAW_CONSTANT = Law(
    name="power-law-constant",
    parameters=(_AMPLITUDE, _EXPONENT, _LIMIT),
    inputs=("x",),
    log_predict=lambda t, x: jnp.log(t["E"] + t["A"] * jnp.exp(-t["alpha"] * x["log x"])),
    columns=lambda t, x: (jnp.exp(-t["alpha"] * x["log x"]), 1.0),
    formula="L = E + A x^-alpha",
    source="arXiv 2010.14701, eq. (1.1), with A = x0^alpha",
    constant="E",
    example={"A": 60.0, "alpha": 0.5, "E": 0.5, "x": (1e2, 1e6)},
)

# The sum with the shift is taken of x itself, so that x = 0 is a point like any other.
SHIFTED_POWER_LAW = Law(
    name="shifted-power-law",
    parameters=(
        _AMPLITUDE,
        _EXPONENT,
        _LIMIT,
        Parameter("x1", unit={"x": 1}, start=(1e-3, 3.0), meaning="shift: what x starts from"),
    ),
    inputs=("x",),
    log_predict=lambda t, x: jnp.log(t["E"] + t["A"] * (x["x"] + t["x1"]) ** -t["alpha"]),
    columns=lambda t, x: ((x["x"] + t["x1"]) ** -t["alpha"], 1.0),
    formula="L = E + A (x + x1)^-alpha",
    source="M3 of arXiv 2209.06640 with the shift in x instead of 1/x, and a limit",
    constant="E",
    example={"A": 100.0, "alpha": 0.6, "E": 0.3, "x1": 100.0, "x": (3.0, 1e6)},
)


def _corrected(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    """The term of A: a power and its leading correction."""
    correction = 1.0 + t["c"] * jnp.exp(-t["omega"] * x["log x"])
    return correction * jnp.exp(-t["alpha"] * x["log x"])


CORRECTED_POWER_LAW = Law(
    name="corrected-power-law",
    parameters=(
        _AMPLITUDE,
        _EXPONENT,
        _LIMIT,
        Parameter(
            "c",
            "real",
            unit={"x": "omega"},
            start=(-0.9, 3.0),
            limits=(-1e3, 1e3),
            meaning="amplitude of the correction, of either sign",
        ),
        Parameter("omega", meaning="exponent of the correction"),
    ),
    inputs=("x",),
    log_predict=lambda t, x: jnp.log(t["E"] + t["A"] * _corrected(t, x)),
    columns=lambda t, x: (_corrected(t, x), 1.0),
    formula="L = E + A x^-alpha (1 + c x^-omega)",
    source="corrections to scaling: F. J. Wegner, Phys. Rev. B 5, 4529 (1972)",
    constant="E",
    example={
        "A": 10.0,
        "alpha": 0.4,
        "E": 0.01,
        "c": 300.0,
        "omega": 1.2,
        "x": (1.0, 1e8),
    },
)

RECTIFIED = Law(
    name="rectified",
    parameters=(
        Parameter("B", unit={"L": 1, "D": "beta"}, linear=True, meaning="amplitude"),
        Parameter(
            "D_l",
            unit={"D": "beta"},
            start=(0.01, 10.0),
            meaning="data size learned in pre-training, to the power beta",
        ),
        Parameter("beta", meaning="exponent"),
        _LIMIT,
    ),
    inputs=("D",),
    log_predict=lambda t, x: jnp.log(
        t["E"] + t["B"] / (t["D_l"] + jnp.exp(t["beta"] * x["log D"]))
    ),
    columns=lambda t, x: (1.0 / (t["D_l"] + jnp.exp(t["beta"] * x["log D"])), 1.0),
    formula="L = B / (D_l + D^beta) + E",
    source="arXiv 2402.02314, the rectified scaling law of fine-tuning",
    constant="E",
    example={"B": 2000.0, "D_l": 500.0, "beta": 0.8, "E": 0.2, "D": (20.0, 1e7)},
)

LAWS = (
    POWER_LAW,
    POWER_LAW_CONSTANT,
    SHIFTED_POWER_LAW,
    CORRECTED_POWER_LAW,
    RECTIFIED,
)
