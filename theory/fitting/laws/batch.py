"""Steps and examples against batch size, and the critical batch size against the loss."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scalinglab.theory.fitting.law import Law, Parameter

Number = float | Float[Array | np.ndarray, "..."]


def minimum_steps(steps: Number, batch: Number, critical_batch: Number) -> Float[Array, "..."]:
    r"""The steps that a run would need at infinite batch size.

    $$S_{\min} = S / (1 + B_{\rm crit} / B)$$

    **Arguments:** `steps` S, `batch` B and `critical_batch`, positive; the last two in one unit.

    **Returns:** $S_{\min}$, between 0 (B far below critical) and S (far above).

    **Source:** arXiv 2001.08361, eq. (5.4); arXiv 1812.06162.
    """
    return jnp.asarray(steps / (1.0 + critical_batch / batch))


def minimum_compute(compute: Number, batch: Number, critical_batch: Number) -> Float[Array, "..."]:
    r"""The compute that a run would need at batch size far below critical.

    $$C_{\min} = C / (1 + B / B_{\rm crit})$$

    **Arguments:** `compute` C, `batch` B and `critical_batch`, positive; the last two in one unit.

    **Source:** arXiv 2001.08361, eq. (5.5).
    """
    return jnp.asarray(compute / (1.0 + batch / critical_batch))


CRITICAL_BATCH = Law(
    name="critical-batch",
    parameters=(
        Parameter("S_min", unit={"S": 1}, linear=True, meaning="steps at infinite batch"),
        Parameter("B_crit", unit={"B": 1}, start=(0.01, 100.0), meaning="critical batch size"),
    ),
    inputs=("B",),
    output="S",
    log_predict=lambda t, x: jnp.log(t["S_min"]) + jnp.log1p(t["B_crit"] / x["B"]),
    columns=lambda t, x: (1.0 + t["B_crit"] / x["B"],),
    formula="S = S_min (1 + B_crit/B), steps to a given loss",
    source="arXiv 1812.06162, section 2.3",
    example={"S_min": 4000.0, "B_crit": 500.0, "B": (8.0, 3e4)},
)

CRITICAL_BATCH_EXAMPLES = Law(
    name="critical-batch-examples",
    parameters=(
        Parameter("E_min", unit={"examples": 1}, linear=True, meaning="examples at batch 0"),
        Parameter("B_crit", unit={"B": 1}, start=(0.01, 100.0), meaning="critical batch size"),
    ),
    inputs=("B",),
    output="examples",
    log_predict=lambda t, x: jnp.log(t["E_min"]) + jnp.log1p(x["B"] / t["B_crit"]),
    columns=lambda t, x: (1.0 + x["B"] / t["B_crit"],),
    formula="examples = E_min (1 + B/B_crit), to a given loss; E_min = S_min B_crit",
    source="arXiv 1812.06162, section 2.3",
    example={"E_min": 2e6, "B_crit": 500.0, "B": (8.0, 3e4)},
)

CRITICAL_BATCH_LOSS = Law(
    name="critical-batch-loss",
    parameters=(
        Parameter(
            "B_star",
            unit={"B": 1, "L": lambda theta: 1.0 / theta["alpha_B"]},
            linear=True,
            meaning="critical batch size at loss 1",
        ),
        Parameter("alpha_B", meaning="exponent"),
    ),
    inputs=("L",),
    output="B",
    log_predict=lambda t, x: jnp.log(t["B_star"]) - x["log L"] / t["alpha_B"],
    columns=lambda t, x: (jnp.exp(-x["log L"] / t["alpha_B"]),),
    formula="B_crit = B_star L^(-1/alpha_B)",
    source="arXiv 2001.08361, eq. (1.4)",
    example={"B_star": 2e8, "alpha_B": 0.21, "L": (2.0, 8.0)},
)

LAWS = (CRITICAL_BATCH, CRITICAL_BATCH_EXAMPLES, CRITICAL_BATCH_LOSS)
