"""The mean risk of SGD with momentum given the features: three second moments a mode.

    y <- (1 - forget_t) y + G,  theta <- theta - direct_t G - lookback_t y(new)

Error and momentum of a mode, both times sqrt(l_j), have second moments x = (rho, chi, eta) =
(E e^2, E e y, E y^2) that obey x_j(r+1) = M_j x_j(r) + s_j R(r) exactly, for any coefficients of
each step; `models.power_law_sgd.stability.momentum_matrices` derives M_j and s_j.

| here | symbol | Ferbach 2505.16098 |
|---|---|---|
| direct | g_2 | gamma_2 |
| lookback | g_3 | gamma_3 |
| forget | Dl | Delta(t) |
| gradient G | - | gamma_1 = 1 times it |
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from scalinglab.models.power_law_sgd.eigenbasis import Modes
from scalinglab.models.power_law_sgd.schedules import Update
from scalinglab.models.power_law_sgd.stability import momentum_matrices
from scalinglab.theory.prediction import require_float64

from .moments import Count

Updates = Callable[[Shaped[Array, ""]], Update]


def risk_with_momentum(
    modes: Modes, updates: Updates, num_steps: int, batch_size: Count
) -> Float[Array, " times"]:
    """The mean risk after 0, 1, ..., `num_steps` steps of SGD with momentum.

    **Arguments:** `modes`, with the label noise in `least_risk`; `updates`, the coefficients of
    step t = 0, 1, ... as a function of t (`models.power_law_sgd.update_of` makes those of a
    configuration); `num_steps` >= 0; `batch_size` B.

    **Returns:** (num_steps + 1,) risks, label noise included.

    **Source:** derived here for discrete steps; Ferbach et al. 2505.16098 treat the flow.

    **Limits:** lookback 0 is plain SGD, `moments.risk_by_recursion`.
    """
    require_float64()

    def one(moments: Array, step: Array) -> tuple[Array, Array]:
        risk = jnp.sum(moments[:, 0]) + modes.least_risk
        matrices, sources = momentum_matrices(modes.eigenvalues, updates(step), batch_size)
        moved = jnp.sum(matrices * moments[:, None, :], axis=2) + sources * risk
        return moved, risk

    squares = modes.targets**2
    start = jnp.stack([squares, jnp.zeros_like(squares), jnp.zeros_like(squares)], axis=1)
    last, risks = lax.scan(one, start, jnp.arange(num_steps))
    return jnp.append(risks, jnp.sum(last[:, 0]) + modes.least_risk)
