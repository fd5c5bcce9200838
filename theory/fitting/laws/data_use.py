r"""What data are worth: samples seen again, pools mixed, and tasks that share one model.

Utility of repeated samples: each epoch continues the power law with a smaller exponent,

$$L = d + A\, n_1^{-b_1} \prod_{k \ge 2} (n_k / n_{k-1})^{-b_k}, \qquad b_k = b\, 2^{-(k-1)/\tau}$$

with $n_k$ the samples seen by the end of epoch k, or by now. The exponents halve every $\tau$
epochs; $\tau \to \infty$ leaves $d + A n^{-b}$.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64

from scalinglab.theory.fitting.law import Law, Parameter

Samples = Float64[np.ndarray, " points"]
Pools = Float64[np.ndarray, " pools"]
Number = float | Float[Array | np.ndarray, "..."]


def epoch_columns(
    samples: Samples, unique: Samples, *, width: int | None = None
) -> dict[str, np.ndarray]:
    r"""What the utility law reads of runs that pass over their data again.

    **Arguments:** `samples` (points,), seen in all, and `unique` (points,), in one epoch, both
    positive; `width`, length of the arrays: the largest number of epochs less 1 by default.

    **Returns:** `n1` (points,), samples of the first epoch, and `growth` (points, width),
    $\log (n_k / n_{k-1})$ of epochs 2, 3, ...; 0 for those that were not begun.

    **Raises:** `ValueError` for numbers that are not positive, and a width below the epochs.
    """
    samples, unique = np.asarray(samples, np.float64), np.asarray(unique, np.float64)
    for name, column in (("samples", samples), ("unique", unique)):
        if not (np.isfinite(column) & (column > 0.0)).all():
            raise ValueError(f"{name}: not every entry is positive; leave those points out")
    needed = max(int(np.ceil(np.max(samples / unique))) - 1, 1)
    width = needed if width is None else width
    if width < needed:
        raise ValueError(f"width: {width}; there are runs of {needed + 1} epochs, give {needed}")
    ends = np.minimum(unique[:, None] * np.arange(1, width + 2), samples[:, None])
    return {"n1": ends[:, 0], "growth": np.diff(np.log(ends), axis=1)}


def mixture_loss(
    samples: Samples, unique: Samples, *, A: float, d: float, b: Pools, half_life: Pools
) -> Samples:
    r"""The loss on a mixture of pools of equal size, from the laws of the single pools.

    $$b_k = \frac 1M \sum_{i=1}^{M} b_i\, 2^{-(k-1)/(M \tau_i)}$$

    A pool is met 1/M as often, so that its half-life is M times as long.

    **Arguments:** `samples`, `unique` (points,): of the whole mixture; `A`, `d`: as in the law,
    the same for every pool; `b`, `half_life` (pools,): $b_i$ and $\tau_i$ in epochs.

    **Returns:** the loss (points,). **Raises:** as `epoch_columns`.

    **Source:** arXiv 2404.07177; github.com/locuslab/scaling_laws_data_filtering, objective.py
    and estimate_best_pool.py. Limits: one pool gives the utility law.
    """
    columns = epoch_columns(samples, unique)
    b, half_life = np.asarray(b, np.float64), np.asarray(half_life, np.float64)
    epochs = np.arange(columns["growth"].shape[1] + 1)
    exponents = np.mean(b[:, None] * 2.0 ** (-epochs / (len(b) * half_life[:, None])), axis=0)
    log_gain = exponents[0] * np.log(columns["n1"]) + columns["growth"] @ exponents[1:]
    return d + A * np.exp(-log_gain)


def _utility(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    growth = jnp.reshape(x["growth"], -1)  # one number where there are at most two epochs
    epochs = jnp.arange(1.0, growth.size + 1.0)
    repeated = jnp.sum(growth * jnp.exp2(-epochs / t["tau"]))
    return jnp.exp(-t["b"] * (x["log n1"] + repeated))


def _example_epochs() -> dict[str, np.ndarray]:
    """Five pool sizes, sixteen lengths from forty epochs to a quarter of one."""
    unique = np.repeat(np.geomspace(1e4, 1e8, 5), 16)
    return epoch_columns(unique * np.tile(np.geomspace(40.0, 0.25, 16), 5), unique)


UTILITY = Law(
    name="utility",
    parameters=(
        Parameter("A", unit={"L": 1, "n1": "b"}, linear=True, meaning="amplitude"),
        Parameter("d", unit={"L": 1}, linear=True, meaning="irreducible loss"),
        Parameter("b", meaning="utility: exponent of fresh samples"),
        Parameter(
            "tau", start=(0.5, 30.0), limits=(0.01, 1e4), meaning="half-life of utility in epochs"
        ),
    ),
    inputs=("n1", "growth"),
    log_predict=lambda t, x: jnp.log(t["d"] + t["A"] * _utility(t, x)),
    columns=lambda t, x: (_utility(t, x), 1.0),
    formula="L = d + A n_1^-b prod_k (n_k/n_(k-1))^(-b 2^(-(k-1)/tau))",
    source="arXiv 2404.07177; github.com/locuslab/scaling_laws_data_filtering, objective.py, whose "
    "b is negative, whose A is a^b, and which multiplies d by the repeated epochs too; columns by "
    "epoch_columns",
    constant="d",
    example={"A": 5.0, "d": 0.1, "b": 0.16, "tau": 6.0, **_example_epochs()},
)


def effective_fraction(beta_p: Number, beta_1: Number, alpha: Number) -> Array:
    r"""The share of a model that works for a task, from the amplitudes of its power laws.

    $$f(p) = N_{\rm eff}/N = (\beta_1 / \beta_p)^{1/\alpha}$$

    **Arguments:** `beta_p` and `beta_1`, amplitudes in $L = \beta N^{-\alpha} + L_\infty$ at
    weight p and alone; `alpha`, the exponent that they share; all positive.

    **Source:** arXiv 2302.09650, eq. (10).
    """
    return jnp.exp((jnp.log(beta_1) - jnp.log(beta_p)) / alpha)


def fitted_fraction(p: Number, *, c1: Number, c2: Number, c3: Number) -> Array:
    r"""The share of a model that works for a task of weight p: $p + c_1 p^{c_2} (1 - p)^{c_3}$.

    **Arguments:** `p` in (0, 1]; `c1`, positive where tasks help each other; `c2`, `c3` positive.

    **Source:** arXiv 2302.09650, eq. (12). Limits: p for c1 = 0, 1 for p = 1.
    """
    p, rest = jnp.asarray(p), 1.0 - jnp.asarray(p)
    alone = rest <= 0.0
    log_rest = jnp.log(jnp.where(alone, 1.0, rest))  # its derivative in c3 is 0 at p = 1
    return p + jnp.where(alone, 0.0, c1 * jnp.exp(c2 * jnp.log(p) + c3 * log_rest))


def _shared(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    fraction = fitted_fraction(x["p"], c1=t["c1"], c2=t["c2"], c3=t["c3"])
    valid = fraction > 0.0
    log_fraction = jnp.where(valid, jnp.log(jnp.where(valid, fraction, 1.0)), jnp.nan)
    return jnp.exp(-t["alpha"] * (log_fraction + x["log N"]))


MIXTURE_WEIGHT = Law(
    name="mixture-weight",
    parameters=(
        Parameter("beta", unit={"L": 1, "N": "alpha"}, linear=True, meaning="amplitude alone"),
        Parameter("L_inf", unit={"L": 1}, linear=True, meaning="irreducible loss"),
        Parameter("alpha", meaning="exponent of size, at any weight"),
        Parameter("c1", "real", meaning="synergy of tasks, negative for interference"),
        Parameter("c2", start=(0.1, 2.0), meaning="exponent of the weight"),
        Parameter("c3", start=(0.1, 2.0), meaning="exponent of the others' weight"),
    ),
    inputs=("N", "p"),
    log_predict=lambda t, x: jnp.log(t["L_inf"] + t["beta"] * _shared(t, x)),
    columns=lambda t, x: (_shared(t, x), 1.0),
    formula="L = beta (f(p) N)^-alpha + L_inf, f(p) = p + c1 p^c2 (1 - p)^c3",
    source="arXiv 2302.09650, eqs. (11) and (12); at one weight eq. (7)",
    constant="L_inf",
    example={
        "beta": 800.0,
        "L_inf": 0.8,
        "alpha": 0.4,
        "c1": 0.6,
        "c2": 0.8,
        "c3": 1.2,
        "N": (2e7, 1e9),
        "p": (0.02, 1.0),
    },
)

LAWS = (UTILITY, MIXTURE_WEIGHT)
