"""What rounding the weights to b bits adds to the risk, where the features are the data.

After t steps of g B = eta the mean weights are theta_i = w_i (1 - (1 - eta l_i)^t), w_i = b_i the
best ones. Rounding to the levels s k, s = max|theta|/(2^(b-1) - 1), is treated mode by mode: a
weight above s/2 gets uniform noise of variance s^2/12, a smaller one is rounded to zero,

    penalty(t) = sum_i l_i { s^2/12 if |theta_i| > s/2, else w_i^2 - (w_i - theta_i)^2 }.

With l_i = i^-a and l_i w_i^2 = i^-(1 + b_s), modes up to i* = t^(1/a) are learnt. Where
a > 1 + b_s weights grow with i, so that max|theta| and the penalty grow along training,

    penalty ~ 4^-b t^((a-1-b_s)/a),   excess risk ~ t^(-b_s/a),

and more steps than t* ~ 4^(b a/(a-1)) do harm to the rounded model. For a <= 1 + b_s the largest
weight is the first, and there is no such t*.

| here | symbol | arXiv:2405.15074 |
|---|---|---|
| alpha | a/2 | alpha |
| beta | (1 + b_s - a)/2 | beta |
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Float

from scalinglab.theory.prediction import require_float64

Real = float | int


def rounding_penalty(
    eigenvalues: Float[Array, " modes"],
    weights: Float[Array, " modes"],
    progress: Float[Array, "times modes"],
    bits: int,
) -> Float[Array, " times"]:
    """The risk of the rounded weights less that of the weights themselves.

        sum_i l_i {s^2/12 if |theta_i| > s/2, else w_i^2 - (w_i - theta_i)^2}

    **Arguments:** `eigenvalues` l_i >= 0; `weights` w_i, the best; `progress`, theta_i/w_i at each
    time, in [0, 1] where the rate is stable; `bits` b >= 2.

    **Returns:** the penalty at each time; heuristic: rounding errors are taken as uniform and
    independent of the weights, and weights as their means.

    **Limits:** many bits give 0, as 4^-b.

    **Raises:** `ValueError` for `bits` below 2.
    """
    require_float64()
    if bits < 2:
        raise ValueError(f"bits: {bits}; give at least 2")
    theta = progress * weights[None, :]
    step = jnp.max(jnp.abs(theta), axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
    dead = weights[None, :] ** 2 - (weights[None, :] - theta) ** 2
    added = jnp.where(jnp.abs(theta) > step / 2, step**2 / 12, dead)
    return added @ eigenvalues


def mean_progress(
    eigenvalues: Float[Array, " modes"], rate: Float[Array, ""], steps: Float[Array, " times"]
) -> Float[Array, "times modes"]:
    """The mean weights of SGD from zero over the best ones, 1 - (1 - eta l_i)^t.

    **Arguments:** `eigenvalues` l_i; `rate` eta = g B, below 2/max l; `steps` t >= 0, whole numbers
    where eta l_i > 1.

    **Returns:** exact for SGD at a constant rate, whatever the batch size.
    """
    require_float64()
    factor = 1 - rate * eigenvalues
    forward = factor > 0
    drift = jnp.where(forward, rate * eigenvalues, 0.0)
    slow = -jnp.expm1(steps[:, None] * jnp.log1p(-drift)[None, :])
    # Beyond 1/l a mode changes its sign in every step.
    back = jnp.where(forward, 0.0, -factor)
    parity = 1 - 2 * jnp.mod(steps, 2)
    turned = 1 - parity[:, None] * back[None, :] ** steps[:, None]
    return jnp.where(forward[None, :], slow, turned)


def critical_steps_exponent(alpha: Real, beta: Real) -> float:
    """How log2 t* grows with a bit, 2 a/(a - 1) with a = 2 alpha; NaN where there is no t*.

    **Arguments:** `alpha` > 1/2; `beta`, below 0 for weights that grow, with alpha + beta > 1/2.

    **Returns:** 4 alpha/(2 alpha - 1), asymptotic in the bits; NaN for beta >= 0, a <= 1 + b_s.

    **Raises:** `ValueError` where alpha <= 1/2 or alpha + beta <= 1/2: the risk is no power law.
    """
    if not (alpha > 0.5 and alpha + beta > 0.5):
        raise ValueError(
            f"alpha, beta: {alpha!r}, {beta!r}; give alpha > 1/2 with alpha + beta > 1/2"
        )
    return 4 * alpha / (2 * alpha - 1) if beta < 0 else math.nan
