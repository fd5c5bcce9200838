"""Weights rounded to b bits, by the largest of them (absmax)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .eigenbasis import Modes


def rounded(weights: Float[Array, "*runs parameters"], bits: int) -> Float[Array, "..."]:
    """Each weight rounded to the nearest of 2^b - 1 levels between plus and minus the largest.

        s = max |w| / (2^(b-1) - 1),  w -> s round(w / s)

    **Arguments:** `weights`, one set for each entry of the leading axes; `bits` b >= 2.
    """
    largest = jnp.max(jnp.abs(weights), axis=-1, keepdims=True)
    step = largest / (2 ** (bits - 1) - 1)
    safe = jnp.where(step > 0, step, 1)
    return step * jnp.round(weights / safe)


# Full precision on accelerators: the default there may round products to ten bits.
@jax.default_matmul_precision("highest")
def rounded_errors(
    errors: Float[Array, "runs modes"], problem: Modes, bits: int
) -> Float[Array, "runs modes"]:
    """The errors y of the parameters rounded to b bits, from those of the parameters themselves.

        y_j = sqrt(l_j) (mode j of theta) - targets_j

    The parameters are rounded as they are stored, one for each feature: `problem.rotation` takes
    modes to parameters. Padded modes, of eigenvalue 0, stay at 0.
    """
    roots, targets = jnp.sqrt(problem.eigenvalues), problem.targets
    inverse = jnp.where(roots > 0, 1 / jnp.where(roots > 0, roots, 1), 0)
    modes = (errors + targets[None, :]) * inverse[None, :]
    if problem.rotation is None:
        return roots[None, :] * rounded(modes, bits) - targets[None, :]
    parameters = rounded(modes @ problem.rotation.T, bits)
    return roots[None, :] * (parameters @ problem.rotation) - targets[None, :]
