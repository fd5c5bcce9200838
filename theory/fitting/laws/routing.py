r"""Routed language models: loss against dense size and number of experts.

$$\log_{10} L = a \log_{10} N + b \log_{10} \hat E + c \log_{10} N \log_{10} \hat E + d, \qquad
  \frac{1}{\hat E} = \frac{1}{E - 1 + (1/E_{\rm start} - 1/E_{\max})^{-1}} + \frac{1}{E_{\max}}$$

The effective number of experts goes from $E_{\rm start}$ at E = 1 to $E_{\max}$. Logarithms are
decimal, as in the paper, which decides the values of c and d. The law is linear in a, b, c and d;
they are not amplitudes, so that starts come from the law's own regressions.
"""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from scalinglab.theory.fitting.law import Law, Parameter

_LN10 = math.log(10.0)
_STARTS = 6


def _log10_effective(experts: Any, start: Any, most: Any) -> Any:
    """log10 of the effective number of experts; NaN unless start < most."""
    inner = 1.0 / (experts - 1.0 + 1.0 / (1.0 / start - 1.0 / most)) + 1.0 / most
    valid = start < most
    return jnp.where(valid, -jnp.log(jnp.where(valid, inner, 1.0)) / _LN10, jnp.nan)


def _log_predict(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    size = x["log N"] / _LN10
    experts = _log10_effective(x["E"], t["E_start"], t["E_max"])
    return _LN10 * (t["a"] * size + (t["b"] + t["c"] * size) * experts + t["d"])


def _starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """At given E_start and E_max the law is a linear regression of log L."""
    size, found = x["log N"] / _LN10, []
    for start, most in itertools.product((1.2, 1.8, 3.0), (30.0, 100.0, 300.0, 1000.0)):
        inner = 1.0 / (x["E"] - 1.0 + 1.0 / (1.0 / start - 1.0 / most)) + 1.0 / most
        experts = -np.log10(inner)
        design = np.column_stack([size, experts, size * experts, np.ones_like(size)])
        value = np.linalg.lstsq(design, np.log10(y), rcond=None)[0]
        misfit = np.sum((design @ value - np.log10(y)) ** 2)
        found.append((misfit, [*value, start, most]))
    best = sorted(found, key=lambda pair: pair[0])[:_STARTS]
    return np.array([theta for _, theta in best])


ROUTED_BILINEAR = Law(
    name="routed-bilinear",
    parameters=(
        Parameter("a", "real", meaning="exponent of size, negative"),
        Parameter("b", "real", meaning="exponent of experts, negative"),
        Parameter("c", "real", meaning="interaction"),
        Parameter("d", "real", limits=(-100.0, 100.0), meaning="log10 of the amplitude"),
        Parameter("E_start", start=(1.2, 4.0), limits=(1.0, 1e3), meaning="experts at E = 1"),
        Parameter("E_max", start=(30.0, 1e3), limits=(1.0, 1e8), meaning="where experts saturate"),
    ),
    inputs=("N", "E"),
    log_predict=_log_predict,
    starts=_starts,
    formula="log10 L = a log10 N + b log10 E' + c log10 N log10 E' + d, "
    "1/E' = 1/(E - 1 + 1/(1/E_start - 1/E_max)) + 1/E_max",
    source="arXiv 2202.01169, eq. (1)",
    example={
        "a": -0.082,
        "b": -0.108,
        "c": 0.009,
        "d": 1.104,
        "E_start": 3.0,
        "E_max": 300.0,
        "N": (1e7, 1e10),
        "E": (1.0, 1e4),
    },
)

LAWS = (ROUTED_BILINEAR,)
