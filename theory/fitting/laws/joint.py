"""Laws of model size and data together."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from scipy.optimize import nnls

from scalinglab.theory.fitting.law import Law, Parameter

_TERMS = (
    Parameter("A", unit={"L": 1, "N": "alpha"}, linear=True, meaning="amplitude in size"),
    Parameter("B", unit={"L": 1, "D": "beta"}, linear=True, meaning="amplitude in data"),
    Parameter("E", unit={"L": 1}, linear=True, meaning="irreducible loss"),
    Parameter("alpha", meaning="exponent of size"),
    Parameter("beta", meaning="exponent of data"),
)
_SMALLEST = 1e-4  # for an amplitude projected to zero, so that it can grow again

CHINCHILLA = Law(
    name="chinchilla",
    parameters=_TERMS,
    inputs=("N", "D"),
    log_predict=lambda t, x: jnp.log(
        t["E"]
        + t["A"] * jnp.exp(-t["alpha"] * x["log N"])
        + t["B"] * jnp.exp(-t["beta"] * x["log D"])
    ),
    columns=lambda t, x: (
        jnp.exp(-t["alpha"] * x["log N"]),
        jnp.exp(-t["beta"] * x["log D"]),
        1.0,
    ),
    formula="L = E + A N^-alpha + B D^-beta",
    source="arXiv 2203.15556, eq. (2); the fit as corrected by arXiv 2404.10102",
    constant="E",
    example={
        "A": 480.0,
        "B": 2100.0,
        "E": 1.8,
        "alpha": 0.35,
        "beta": 0.37,
        "N": (1e7, 1e10),
        "D": (1e9, 1e12),
    },
)

# With C = 6 N D and M = D/N the paper's (a M^eta + b M^-eta) C^-eta is a sum of one power of N
# and one of D with the same exponent 2 eta, so that the columns here are N and D.
OVER_TRAINING = Law(
    name="over-training",
    parameters=(
        Parameter("a", unit={"L": 1, "N": lambda t: 2.0 * t["eta"]}, linear=True),
        Parameter("b", unit={"L": 1, "D": lambda t: 2.0 * t["eta"]}, linear=True),
        Parameter("E", unit={"L": 1}, linear=True, meaning="irreducible loss"),
        Parameter("eta", start=(0.03, 0.8), meaning="exponent of compute"),
    ),
    inputs=("N", "D"),
    log_predict=lambda t, x: jnp.log(
        t["E"]
        + t["a"] * jnp.exp(-t["eta"] * (np.log(6.0) + 2.0 * x["log N"]))
        + t["b"] * jnp.exp(-t["eta"] * (np.log(6.0) + 2.0 * x["log D"]))
    ),
    columns=lambda t, x: (
        jnp.exp(-t["eta"] * (np.log(6.0) + 2.0 * x["log N"])),
        jnp.exp(-t["eta"] * (np.log(6.0) + 2.0 * x["log D"])),
        1.0,
    ),
    formula="L = E + (a M^eta + b M^-eta) C^-eta, with M = D/N and C = 6 N D",
    source="arXiv 2403.08540, eq. (4); github.com/mlfoundations/scaling, scaling/laws.py",
    constant="E",
    example={
        "a": 140.0,
        "b": 190.0,
        "E": 1.5,
        "eta": 0.12,
        "N": (1e7, 1e10),
        "D": (1e8, 1e12),
    },
)


def _log_amplitude_unit(exponent: str) -> Callable[[Mapping[str, Any]], Any]:
    """The power of the loss in N_c of (N_c/N)^alpha."""
    return lambda theta: 1.0 / theta[exponent]


def _limit_law(name: str, symbol: str, equation: str) -> Law:
    """Kaplan's law of one input alone, the other being unlimited."""
    scale, exponent = f"{symbol}_c", f"alpha_{symbol}"
    return Law(
        name=name,
        parameters=(
            Parameter(
                scale,
                unit={symbol: 1, "L": _log_amplitude_unit(exponent)},
                start=(1e-6, 1e6),
                meaning=f"where the loss would be 1, in {symbol}",
            ),
            Parameter(exponent, meaning=f"exponent of {symbol}"),
        ),
        inputs=(symbol,),
        log_predict=lambda t, x: t[exponent] * (jnp.log(t[scale]) - x[f"log {symbol}"]),
        formula=f"L = ({scale}/{symbol})^{exponent}",
        source=f"arXiv 2001.08361, eq. ({equation})",
        example={scale: 9e13, exponent: 0.08, symbol: (1e5, 1e9)},
    )


def _ranked(
    found: Sequence[tuple[float, Sequence[float]]], keep: int = 4
) -> Float64[np.ndarray, "starts parameters"]:
    """The starts with the smallest misfits."""
    return np.array([theta for _, theta in sorted(found, key=lambda pair: pair[0])[:keep]])


def _kaplan_starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """L^(1/alpha_D) is linear in D_c and in N_c^(alpha_N/alpha_D): exponents need a grid."""
    found = []
    for size, data in itertools.product(np.geomspace(0.02, 1.0, 10), repeat=2):
        logs = np.stack([-size / data * x["log N"], -x["log D"]], axis=1)
        design = np.exp(np.clip(logs - np.log(y)[:, None] / data, -200.0, 200.0))
        value, misfit = nnls(design, np.ones(len(y)))
        amplitude, scale = np.maximum(value, _SMALLEST)
        found.append((misfit * data, (amplitude ** (data / size), scale, size, data)))
    return _ranked(found)


def _kaplan_steps_starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """Linear in N_c^alpha_N and S_c^alpha_S."""
    found = []
    for size, steps in itertools.product(np.geomspace(0.02, 1.5, 10), repeat=2):
        design = np.exp(np.stack([-size * x["log N"], -steps * x["log S"]], axis=1))
        value, misfit = nnls(design / y[:, None], np.ones(len(y)))
        first, second = np.maximum(value, _SMALLEST)
        found.append((misfit, (first ** (1.0 / size), second ** (1.0 / steps), size, steps)))
    return _ranked(found)


_SIZE = (
    Parameter(
        "N_c",
        unit={"N": 1, "L": _log_amplitude_unit("alpha_N")},
        start=(1e-6, 1e6),
        meaning="critical size",
    ),
    Parameter("alpha_N", meaning="exponent of size"),
)

# The loss has no amplitude of its own: its unit is carried by N_c and D_c.
KAPLAN = Law(
    name="kaplan",
    parameters=(
        _SIZE[0],
        Parameter(
            "D_c",
            unit={"D": 1, "L": _log_amplitude_unit("alpha_D")},
            start=(1e-6, 1e6),
            meaning="critical data",
        ),
        _SIZE[1],
        Parameter("alpha_D", meaning="exponent of data"),
    ),
    inputs=("N", "D"),
    log_predict=lambda t, x: (
        t["alpha_D"]
        * jnp.logaddexp(
            t["alpha_N"] / t["alpha_D"] * (jnp.log(t["N_c"]) - x["log N"]),
            jnp.log(t["D_c"]) - x["log D"],
        )
    ),
    starts=_kaplan_starts,
    formula="L = ((N_c/N)^(alpha_N/alpha_D) + D_c/D)^alpha_D",
    source="arXiv 2001.08361, eq. (1.5); limits (1.1) and (1.2) as D or N grows",
    example={
        "N_c": 6.4e13,
        "D_c": 1.8e13,
        "alpha_N": 0.076,
        "alpha_D": 0.103,
        "N": (1e5, 1e9),
        "D": (1e7, 1e11),
    },
)

KAPLAN_STEPS = Law(
    name="kaplan-steps",
    parameters=(
        _SIZE[0],
        Parameter(
            "S_c",
            unit={"S": 1, "L": _log_amplitude_unit("alpha_S")},
            start=(1e-6, 1e6),
            meaning="critical steps",
        ),
        _SIZE[1],
        Parameter("alpha_S", meaning="exponent of steps"),
    ),
    inputs=("N", "S"),
    log_predict=lambda t, x: jnp.logaddexp(
        t["alpha_N"] * (jnp.log(t["N_c"]) - x["log N"]),
        t["alpha_S"] * (jnp.log(t["S_c"]) - x["log S"]),
    ),
    starts=_kaplan_steps_starts,
    formula="L = (N_c/N)^alpha_N + (S_c/S)^alpha_S, S the steps at large batch",
    source="arXiv 2001.08361, eq. (1.6); S = S_min of batch.minimum_steps",
    example={
        "N_c": 6.5e13,
        "S_c": 2.1e3,
        "alpha_N": 0.077,
        "alpha_S": 0.76,
        "N": (1e5, 1e9),
        "S": (1e3, 1e6),
    },
)


def _saturated(unique: Any, excess: Any, scale: Any) -> Any:
    """The effective amount of `unique` used 1 + `excess` times."""
    return unique * (1.0 - scale * jnp.expm1(-excess / scale))


def _data_constrained(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    # The size that is compute optimal for U tokens: alpha A N^-alpha = beta B U^-beta. The paper's
    # code, as here, lets a model have no excess below it, and a run no repetition below U.
    ratio = jnp.log(t["alpha"] * t["A"] / (t["beta"] * t["B"]))
    matched = jnp.exp((ratio + t["beta"] * x["log U"]) / t["alpha"])
    size = jnp.minimum(x["N"], matched)
    data = jnp.minimum(x["D"], x["U"])
    n = _saturated(size, x["N"] / size - 1.0, t["R_N"])
    d = _saturated(data, x["D"] / data - 1.0, t["R_D"])
    return jnp.log(t["E"] + t["A"] * n ** -t["alpha"] + t["B"] * d ** -t["beta"])


def _data_constrained_starts(
    x: Mapping[str, Any], y: Any
) -> Float64[np.ndarray, "starts parameters"]:
    """Linear in A, B and E once the excess size is left out, which they set."""
    found = []
    exponents = np.geomspace(0.1, 1.2, 6)
    excess = np.maximum(x["D"] / x["U"] - 1.0, 0.0)
    for alpha, beta, repeats in itertools.product(exponents, exponents, (3.0, 15.0)):
        data = np.log(np.minimum(x["D"], x["U"]) * (1.0 - repeats * np.expm1(-excess / repeats)))
        columns = [np.exp(-alpha * x["log N"]), np.exp(-beta * data), np.ones_like(y)]
        value, misfit = nnls(np.stack(columns, axis=1) / y[:, None], np.ones(len(y)))
        amplitudes = np.maximum(value, _SMALLEST)
        found.extend((misfit, (*amplitudes, alpha, beta, sizes, repeats)) for sizes in (2.0, 8.0))
    return _ranked(found, keep=8)


DATA_CONSTRAINED = Law(
    name="data-constrained",
    parameters=(
        *(
            Parameter(one.name, unit=one.unit, start=one.start, meaning=one.meaning)
            for one in _TERMS
        ),
        Parameter("R_N", start=(1.0, 30.0), limits=(0.01, 1e4), meaning="scale of excess size"),
        Parameter("R_D", start=(1.0, 30.0), limits=(0.01, 1e4), meaning="scale of repetition"),
    ),
    inputs=("N", "D", "U"),
    same_unit={"U": "D"},
    log_predict=_data_constrained,
    starts=_data_constrained_starts,
    formula=(
        "L = E + A N'^-alpha + B D'^-beta, D' = U + U R_D (1 - exp(-(D/U - 1)/R_D)), "
        "N' likewise from the optimal size for U"
    ),
    source="arXiv 2305.16264, section 3; github.com/huggingface/datablations, README",
    constant="E",
    example={
        "A": 520.0,
        "B": 1500.0,
        "E": 1.87,
        "alpha": 0.353,
        "beta": 0.353,
        "R_N": 5.3,
        "R_D": 15.4,
        "N": (1e7, 1e10),
        "D": (1e9, 1e12),
        "U": (1e8, 1e10),
    },
)

LAWS = (
    CHINCHILLA,
    KAPLAN,
    _limit_law("kaplan-size", "N", "1.1"),
    _limit_law("kaplan-data", "D", "1.2"),
    KAPLAN_STEPS,
    OVER_TRAINING,
    DATA_CONSTRAINED,
)
