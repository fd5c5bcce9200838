r"""Broken neural scaling laws: power laws joined by smooth breaks.

$$L = a + b\, x^{-c_0} \prod_{i=1}^{n} \left(1 + (x/d_i)^{1/f_i}\right)^{-c_i f_i}$$

The product is evaluated as a sum of softplus functions of $\log x$, which neither overflows nor
loses digits for sharp breaks. Breaks are interchangeable, so that every optimum exists n! times;
starts have them in increasing order, and `sorted_breaks` puts fitted ones in that order.
"""

import itertools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from scalinglab.theory.fitting.law import Law, Parameter

_QUANTILES = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)  # of the points, where starts have breaks
_CONSTANTS = (1e-4, 0.5, 0.8, 0.95)  # of the lowest loss, where starts have the limit
_STARTS = 12


def sorted_breaks(parameters: Mapping[str, float]) -> dict[str, float]:
    """The same law with its breaks in increasing order.

    **Arguments:** `parameters`, of a fitted `bnsl` law, such as `Fit.parameters`.
    """
    count = sum(name.startswith("d") for name in parameters)
    order = sorted(range(1, count + 1), key=lambda index: parameters[f"d{index}"])
    moved = {
        f"{letter}{place}": float(parameters[f"{letter}{index}"])
        for place, index in enumerate(order, start=1)
        for letter in "cdf"
    }
    return {name: moved.get(name, float(value)) for name, value in parameters.items()}


def broken_law(breaks: int, *, example: Mapping[str, Any]) -> Law:
    """The law with this many breaks, at least 1."""
    numbers = range(1, breaks + 1)
    edges = np.geomspace(0.05, 20.0, breaks + 1)
    each = [
        (
            Parameter(f"c{i}", "real", meaning=f"change of exponent at break {i}"),
            Parameter(
                f"d{i}",
                unit={"x": 1},
                start=(float(edges[i - 1]), float(edges[i])),
                meaning=f"place of break {i}",
            ),
            Parameter(
                f"f{i}",
                start=(0.1, 1.0),
                limits=(0.02, 10.0),
                meaning=f"width of break {i}, in log x",
            ),
        )
        for i in numbers
    ]

    def log_term(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
        bends = [
            t[f"c{i}"]
            * t[f"f{i}"]
            * jax.nn.softplus((x["log x"] - jnp.log(t[f"d{i}"])) / t[f"f{i}"])
            for i in numbers
        ]
        return -t["c0"] * x["log x"] - sum(bends[1:], bends[0])

    return Law(
        name=f"bnsl-{breaks}",
        parameters=(
            Parameter("a", unit={"L": 1}, linear=True, meaning="limit"),
            Parameter("b", unit={"L": 1, "x": "c0"}, linear=True, meaning="amplitude"),
            Parameter("c0", "real", meaning="exponent before the first break"),
            *itertools.chain.from_iterable(each),
        ),
        inputs=("x",),
        log_predict=lambda t, x: jnp.log(t["a"] + t["b"] * jnp.exp(log_term(t, x))),
        columns=lambda t, x: (1.0, jnp.exp(log_term(t, x))),
        starts=lambda x, y: _starts(x["log x"], y, breaks),
        formula="L = a + b x^-c0 prod_i (1 + (x/d_i)^(1/f_i))^(-c_i f_i)",
        source="arXiv 2210.14891, eq. (1)",
        constant="a",
        example=example,
    )


def _starts(log_x: Any, y: Any, breaks: int) -> Float64[np.ndarray, "starts parameters"]:
    """Continuous segments in log-log coordinates, broken at quantiles: each is one regression."""
    places = np.unique(np.quantile(log_x, _QUANTILES))
    width = 0.1 * max(float(np.ptp(log_x)), 1e-6) / breaks
    found = []
    for chosen in itertools.combinations(places, min(breaks, len(places))):
        knots = np.array([*chosen, *[chosen[-1]] * (breaks - len(chosen))])
        hinges = np.maximum(log_x[:, None] - knots, 0.0)
        design = np.column_stack([np.ones_like(log_x), -log_x, -hinges])
        for share in _CONSTANTS:
            limit = share * y.min()
            log_excess = np.log(y - limit)
            value = np.linalg.lstsq(design, log_excess, rcond=None)[0]
            # Of log L, so that starts with different limits are compared by what is fitted.
            misfit = np.sum(np.log((limit + np.exp(design @ value)) / y) ** 2)
            bends = np.column_stack([value[2:], np.exp(knots), np.full(breaks, width)])
            found.append((misfit, [limit, np.exp(value[0]), value[1], *bends.ravel()]))
    best = sorted(found, key=lambda pair: pair[0])[:_STARTS]
    return np.array([theta for _, theta in best])


LAWS = (
    broken_law(
        1,
        example={
            "a": 0.05,
            "b": 3.0,
            "c0": 0.05,
            "c1": 0.5,
            "d1": 1e4,
            "f1": 0.5,
            "x": (1e1, 1e8),
        },
    ),
    broken_law(
        2,
        example={
            "a": 0.02,
            "b": 3.0,
            "c0": 0.4,
            "c1": -0.4,
            "d1": 1e3,
            "f1": 0.3,
            "c2": 0.7,
            "d2": 1e6,
            "f2": 0.3,
            "x": (1e0, 1e10),
        },
    ),
    broken_law(
        3,
        example={
            "a": 0.001,
            "b": 3.0,
            "c0": 0.4,
            "c1": -0.5,
            "d1": 1e3,
            "f1": 0.3,
            "c2": 0.8,
            "d2": 1e6,
            "f2": 0.3,
            "c3": -0.5,
            "d3": 1e10,
            "f3": 0.3,
            "x": (1e0, 1e15),
        },
    ),
)
