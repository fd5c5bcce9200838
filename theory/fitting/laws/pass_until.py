r"""Success rates far below one in a thousand: sampling until a task is passed.

$$-\log \mathrm{PU} = c\, N^{-\alpha}$$

PU, the chance that one sample passes, follows from a loss that falls as a power of the size. It
is measured by drawing samples until r of them pass: the number of draws K has the negative
binomial distribution, and r/K is the maximum of its likelihood.
"""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Float64, Int

from scalinglab.theory.fitting.law import Law, Parameter

Rates = Float64[np.ndarray, " tasks"]
Counts = Int[np.ndarray, " tasks"]


class PassRate(eqx.Module):
    r"""Success rates found by sampling until enough samples pass.

    **Fields** (tasks,): `rate`, r/K; `low` and `high`, an interval of at least the stated level
    whatever the rate; `standard_error` of the rate, $(r/K) \sqrt{(1 - r/K)/r}$ to leading order.
    """

    rate: Rates
    low: Rates
    high: Rates
    standard_error: Rates


def pass_rate(draws: Counts, passes: Counts, *, level: float = 0.95) -> PassRate:
    r"""The success rate of tasks that were sampled until some number of samples passed.

    The limits are the rates at which K draws or fewer, and K draws or more, would each have the
    probability $(1 - \text{level})/2$: since $P(\text{draws} \le K) = I_p(r, K - r + 1)$, quantiles
    of Beta(r, K - r + 1) and Beta(r, K - r).

    **Arguments:** `draws` (tasks,): K, the last of which passed; `passes` (tasks,): r, set before
    sampling; `level` in (0, 1).

    **Raises:** `ValueError` for fewer than one pass, fewer draws than passes, and a level outside
    (0, 1).

    **Source:** arXiv 2310.03262, section 4.1, for the sampling and r/K; the interval is that of
    Clopper and Pearson (1934) for the negative binomial distribution.
    """
    draws, passes = np.asarray(draws), np.asarray(passes)
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: {level}; give a coverage between 0 and 1, such as 0.95")
    if (passes < 1).any():
        raise ValueError("passes: a task was never passed; sample on, or leave it out")
    if (draws < passes).any():
        row = int(np.argmax(draws < passes))
        raise ValueError(
            f"draws: {draws[row]} at row {row} is below the {passes[row]} passes; give all draws"
        )
    tail, fails = 0.5 * (1.0 - level), (draws - passes).astype(np.float64)
    r, rate = passes.astype(np.float64), passes / draws
    some = np.maximum(fails, 1.0)
    return PassRate(
        rate=rate,
        low=scipy.special.betaincinv(r, fails + 1.0, tail),
        high=np.where(fails > 0.0, scipy.special.betainccinv(r, some, tail), 1.0),
        standard_error=rate * np.sqrt((1.0 - rate) / r),
    )


def _starts(x: Mapping[str, Any], y: Any) -> Float64[np.ndarray, "starts parameters"]:
    """log(-log PU) is linear in log N; rates of 1 are left out of the regression."""
    used = y < 1.0
    if np.ptp(x["log N"][used]) == 0.0 if used.any() else True:
        return np.array([[1.0, 0.3]])
    slope, level = np.polyfit(x["log N"][used], np.log(-np.log(y[used])), 1)
    return np.array([[np.exp(level), np.clip(-slope, 1e-3, 5.0)]])


PASS_UNTIL = Law(
    name="pass-until",
    parameters=(
        Parameter("c", unit={"N": "alpha"}, start=(0.05, 50.0), meaning="amplitude"),
        Parameter("alpha", meaning="exponent of size"),
    ),
    inputs=("N",),
    output="PU",
    log_predict=lambda t, x: -t["c"] * jnp.exp(-t["alpha"] * x["log N"]),
    starts=_starts,
    formula="-log PU = c N^-alpha",
    source="arXiv 2310.03262, the task scaling law, as quoted in a review of the paper",
    example={"c": 300.0, "alpha": 0.22, "N": (3e7, 3e9)},
)

LAWS = (PASS_UNTIL,)
