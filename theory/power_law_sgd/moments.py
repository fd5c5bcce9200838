"""The mean risk of SGD given the features: exact second moments, mode by mode.

With rho_j = E y_j^2 the mean square error of mode j, and R = sum_j rho_j + F the mean risk, F the
least risk with the label noise in it,

    rho_j(r+1) = q_j rho_j(r) + k_j R(r)
    q_j = 1 - 2 g B l_j + g^2 B (B+1) l_j^2,  k_j = g^2 B l_j^2

is an identity for Gaussian data, whatever the batch size and the learning rate of each step: the
fourth moments of the samples are those of pairs, E z z'Rz z' = 2R + tr R, and samples of one batch
are independent. At a constant rate it is solved by one eigendecomposition.

| here | symbol | Paquette 2405.15074 |
|---|---|---|
| eigenvalues | l_j | eigenvalues of the kernel D^(1/2) W W' D^(1/2) |
| targets^2 | rho_j(0) | squared projections of D^(1/2) b |
| least_risk | F | the limit of the forcing function F(r), sigma^2 added |
| rate | g | gamma |
| kernel_norm | norm of K | the same |
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Shaped

from scalinglab.models.power_law_sgd.eigenbasis import Modes
from scalinglab.theory.prediction import require_float64

Count = int | Shaped[Array, ""]
Rates = Callable[[Shaped[Array, ""]], Float[Array, ""]]


class Coefficients(NamedTuple):
    """`deficit` 1 - q_j and `source` k_j of each mode. 1 - q_j is formed as such, since q_j itself
    rounds to 1 in the modes that decide late times."""

    deficit: Float[Array, " modes"]
    source: Float[Array, " modes"]


def coefficients(
    eigenvalues: Float[Array, " modes"], rate: Float[Array, ""], batch_size: Count
) -> Coefficients:
    """The coefficients of one step: 1 - q_j = g B l_j (2 - g (B+1) l_j), k_j = g^2 B l_j^2.

    **Arguments:** `eigenvalues` l_j >= 0; `rate` g of the gradient summed over the batch;
    `batch_size` B >= 1.
    """
    batch = jnp.asarray(batch_size, eigenvalues.dtype)
    drift = rate * batch * eigenvalues
    return Coefficients(drift * (2 - rate * (batch + 1) * eigenvalues), rate * drift * eigenvalues)


def risk_by_recursion(
    modes: Modes, rates: Rates, num_steps: int, batch_size: Count
) -> Float[Array, " times"]:
    """The mean risk after 0, 1, ..., `num_steps` steps, for any learning-rate schedule.

    **Arguments:** `modes`, with the label noise in `least_risk`; `rates`, the rate g_t of step
    t = 0, 1, ... as a function of t; `num_steps` >= 0; `batch_size` B.

    **Returns:** (num_steps + 1,) risks, label noise included, in d operations each.

    **Source:** derived here; 2405.15074 for B = 1 and a constant rate.

    **Limits:** a constant rate is `risk_in_closed_form`; B g held fixed with B large is the descent
    of the population risk.
    """
    require_float64()

    def one(squares: Array, step: Array) -> tuple[Array, Array]:
        risk = jnp.sum(squares) + modes.least_risk
        rate = jnp.asarray(rates(step), squares.dtype)
        deficit, source = coefficients(modes.eigenvalues, rate, batch_size)
        return squares - deficit * squares + source * risk, risk

    last, risks = lax.scan(one, modes.targets**2, jnp.arange(num_steps))
    return jnp.append(risks, jnp.sum(last) + modes.least_risk)


class Exponentials(NamedTuple):
    """R(r) = limit + sum_i weights_i (1 + changes_i)^r."""

    limit: Float[Array, ""]
    weights: Float[Array, " modes"]
    changes: Float[Array, " modes"]

    def at(self, steps: Float[Array, " times"]) -> Float[Array, " times"]:
        """The risk after each number of steps, real or whole, at no cost that grows with it."""
        powers = jnp.exp(steps[:, None] * jnp.log1p(self.changes)[None, :])
        return self.limit + powers @ self.weights


def risk_in_closed_form(modes: Modes, rate: Float[Array, ""], batch_size: Count) -> Exponentials:
    """The mean risk after any number of steps at a constant rate, a sum of d exponentials.

        R(r) = R_inf + sum_i c_i (1 + mu_i)^r,  R_inf = F / (1 - |K|)

    In s_j = rho_j / sqrt(k_j) a step is the symmetric matrix 1 + N, N = -diag(1 - q) + sqrt(k)
    sqrt(k)', and mu_i are the eigenvalues of N, so that no digit is lost to the 1. What is left is
    a relative error of eps l_max/l_min in the slowest rates.

    **Arguments:** `modes`, with the label noise in `least_risk`; `rate` g; `batch_size` B.

    **Returns:** `Exponentials`, of use where the rate is stable (`models` tells); NaN where
    g (B+1) l_max >= 2.

    **Source:** the Volterra equation of 2405.15074, diagonalised.
    """
    require_float64()
    deficit, source = coefficients(modes.eigenvalues, rate, batch_size)
    root = jnp.sqrt(source)
    present = root > 0
    safe = jnp.where(present, root, 1)
    room = jnp.where(present, deficit, 1)
    norm = jnp.sum(jnp.where(present, source / room, 0))
    limit = modes.least_risk / (1 - norm)
    # Of padded modes nothing is left in s, and nothing of them reaches the risk.
    start = jnp.where(present, modes.targets**2 / safe - root / room * limit, 0)
    generator = root[:, None] * root[None, :] - jnp.diag(deficit)
    changes, basis = jnp.linalg.eigh(generator)
    changes = jnp.where(jnp.min(room) > 0, changes, jnp.nan)
    return Exponentials(limit, (basis.T @ root) * (basis.T @ start), changes)
