"""The loss along a learning-rate schedule: area under it, and area of its annealing."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scalinglab.theory.fitting.data import Data
from scalinglab.theory.fitting.fit import Fit
from scalinglab.theory.fitting.law import Law, Parameter
from scalinglab.theory.fitting.loss import Huber, Loss
from scalinglab.theory.fitting.search import fit_many

DECAYS = (0.99, 0.995, 0.999)


@partial(jax.jit, static_argnames="warmup")
def annealing_areas(
    learning_rates: Float[Any, " steps"], *, decay: float | Float[Array, ""], warmup: int = 0
) -> tuple[Float[Array, " steps"], Float[Array, " steps"]]:
    r"""Both areas of a learning-rate schedule, after each of its steps.

    $$S_1(s) = \sum_{i \le s} \eta_i, \qquad S_2(s) = \sum_{i \le s} m_i, \qquad
      m_i = \lambda m_{i-1} + (\eta_{i-1} - \eta_i)$$

    **Arguments:**

    - `learning_rates`: $\eta_i$ of every step, the warm-up included.
    - `decay`: $\lambda$ in [0, 1), the memory of the annealing momentum; one of `DECAYS`.
    - `warmup`: steps before the learning rate reaches its peak. They count in $S_1$, but their
      rise does not count as negative annealing in $S_2$.

    **Returns:** $S_1$ and $S_2$, in the unit of the learning rate.

    **Source:** arXiv 2408.11029, eq. (1) and section 3.
    """
    rates = jnp.asarray(learning_rates, jnp.float64)
    fall = jnp.concatenate([jnp.zeros(1), rates[:-1] - rates[1:]])
    fall = jnp.where(jnp.arange(len(rates)) <= warmup, 0.0, fall)

    def step(momentum: Any, change: Any) -> tuple[Any, Any]:
        momentum = decay * momentum + change
        return momentum, momentum

    _, momenta = jax.lax.scan(step, jnp.zeros(()), fall)
    return jnp.cumsum(rates), jnp.cumsum(momenta)


LR_ANNEALING = Law(
    name="annealing",
    parameters=(
        Parameter("L0", unit={"L": 1}, linear=True, meaning="irreducible loss"),
        Parameter("A", unit={"L": 1, "S1": "alpha"}, linear=True, meaning="amplitude"),
        Parameter("C", unit={"L": 1, "S2": -1}, linear=True, meaning="gain by annealing"),
        Parameter("alpha", meaning="exponent of the area"),
    ),
    inputs=("S1", "S2"),
    log_predict=lambda t, x: jnp.log(
        t["L0"] + t["A"] * jnp.exp(-t["alpha"] * x["log S1"]) - t["C"] * x["S2"]
    ),
    columns=lambda t, x: (1.0, jnp.exp(-t["alpha"] * x["log S1"]), -x["S2"]),
    formula="L = L0 + A S1^-alpha - C S2",
    source="arXiv 2408.11029, eq. (1); S1 and S2 by annealing_areas",
    constant="L0",
    example={
        "L0": 2.6,
        "A": 0.6,
        "C": 0.5,
        "alpha": 0.5,
        "S1": (0.1, 40.0),
        "S2": (0.01, 1.0),
    },
)


def fit_decay(
    datas: Mapping[float, Data], *, loss: Loss | None = None, **options: Any
) -> tuple[float, dict[float, Fit]]:
    """Fits the annealing law at each decay of a grid, and says which has the lowest objective.

    The decay is weakly identified: `0.995` and `0.999` differ by 1 to 14 % in objective on
    published curves, so look at every fit before the value of the decay is believed.

    **Arguments:**

    - `datas`: decay to data with the columns `S1` and `S2` of `annealing_areas` at that decay.
    - `loss`: with a fixed scale, so that objectives can be compared; `Huber(1e-3)` by default,
      as in the paper. `options` go to `fit`.

    **Returns:** the best decay, and the fit at every decay.

    **Raises:** `ValueError` for a loss with an automatic scale.
    """
    loss = Huber(1e-3) if loss is None else loss
    if loss.is_automatic:
        raise ValueError(
            f"loss: {loss} has another scale at each decay, so that objectives cannot be compared; "
            "give a delta"
        )
    fits = fit_many(LR_ANNEALING, list(datas.values()), loss=loss, **options)
    by_decay = dict(zip(datas, fits, strict=True))
    return min(by_decay, key=lambda decay: by_decay[decay].objective), by_decay


LAWS = (LR_ANNEALING,)
