"""Whether the mean risk of SGD stays finite on given features."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from .schedules import Update

# Per mode: the second moments of (error, momentum), both times sqrt(l).
_SIZE = 3


def kernel_norm(
    eigenvalues: Float[Array, " modes"], rate: Float[Array, ""], batch_size: int | Shaped[Array, ""]
) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """The norm of the noise kernel of plain SGD, and whether the mean risk stays finite.

        |K| = sum_j g l_j / (2 - g (B+1) l_j);  stable iff g (B+1) max l < 2 and |K| < 1

    **Arguments:** `eigenvalues` l_j >= 0; `rate` g, of the gradient summed over the batch;
    `batch_size` B.

    **Returns:** the norm, meaningful where every denominator is positive, and the verdict.

    **Source:** 2405.15074, with Gaussian data at any batch size.
    """
    room = 2 - rate * (jnp.asarray(batch_size, rate.dtype) + 1) * eigenvalues
    norm = jnp.sum(rate * eigenvalues / jnp.where(room > 0, room, jnp.nan))
    return norm, (jnp.min(room) > 0) & (norm < 1)


def momentum_matrices(
    eigenvalues: Float[Array, " modes"], update: Update, batch_size: int | Shaped[Array, ""]
) -> tuple[Float[Array, "modes 3 3"], Float[Array, "modes 3"]]:
    """One step of the second moments of each mode: x <- M x + s R.

    x = (E y^2, E y u, E u^2) of the error y and the momentum u, both times sqrt(l); R the risk.
    With G the gradient in the mode, E G = B l y, E G^2 = B (B+1) l^2 y^2 + B l^2 R. Put
    keep = 1 - forget, c = direct + lookback, k = lookback keep; then u' = keep u + G and
    y' = y - c G - k u, and

        E y'^2  = y^2 - 2 c B l y^2 - 2 k y u + 2 c k B l y u + c^2 G^2 + k^2 u^2
        E y' u' = keep y u + B l y^2 - c keep B l y u - c G^2 - k keep u^2 - k B l y u
        E u'^2  = keep^2 u^2 + 2 keep B l y u + G^2
    """
    batch = jnp.asarray(batch_size, eigenvalues.dtype)
    keep = 1 - update.forget
    c, k = update.direct + update.lookback, update.lookback * keep
    drift = batch * eigenvalues
    square = batch * (batch + 1) * eigenvalues**2
    one = jnp.ones_like(eigenvalues)
    rows = [
        [one - 2 * c * drift + c**2 * square, 2 * k * (c * drift - 1), k**2 * one],
        [drift - c * square, keep * (1 - c * drift) - k * drift, -k * keep * one],
        [square, 2 * keep * drift, keep**2 * one],
    ]
    matrices = jnp.stack([jnp.stack(row, axis=-1) for row in rows], axis=-2)
    noise = batch * eigenvalues**2
    sources = jnp.stack([c**2 * noise, -c * noise, noise], axis=-1)
    return matrices, sources


def momentum_kernel_norm(
    eigenvalues: Float[Array, " modes"], update: Update, batch_size: int | Shaped[Array, ""]
) -> tuple[Float[Array, ""], Bool[Array, ""]]:
    """The norm of the noise kernel with constant momentum, and whether the mean risk stays finite.

        |K| = sum_j [(1 - M_j)^-1 s_j]_1;  stable iff every M_j contracts and |K| < 1

    M_j maps positive semi-definite second moments to such, so it contracts exactly where
    X = M_j X + 1 has a positive definite solution.

    **Arguments:** as of `momentum_matrices`, with coefficients that do not change.

    **Limits:** without momentum, `kernel_norm`.
    """
    present = eigenvalues > 0
    matrices, sources = momentum_matrices(jnp.where(present, eigenvalues, 1), update, batch_size)
    deficit = jnp.eye(_SIZE, dtype=eigenvalues.dtype)[None] - matrices
    unit = jnp.broadcast_to(jnp.asarray([1, 0, 1], eigenvalues.dtype), sources.shape)
    solved = jnp.linalg.solve(deficit, jnp.stack([sources, unit], axis=-1))
    risk, cross, square = (solved[:, row, 1] for row in range(_SIZE))
    definite = (risk > 0) & (square > 0) & (risk * square > cross**2)
    norm = jnp.sum(jnp.where(present, solved[:, 0, 0], 0))
    return norm, jnp.all(definite | ~present) & (norm < 1)
