"""The inverse factor of a ridge system A^T A + shift I, for a tall design A.

Two static methods. `cholesky` of the Gram matrix is the cheap one (rows * cols^2 operations, and
batched LAPACK on every backend), with relative error eps * cond(A)^2. `qr` of the design stacked
on sqrt(shift) I never squares the condition number; it is for nearly square designs, whose
smallest singular value is 1/cols of the typical one.
"""

from collections.abc import Mapping
from typing import Literal

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, Shaped

from .interface import Status

Method = Literal["cholesky", "qr"]


def with_status(observables: Mapping[str, Array], headroom: Shaped[Array, ""]) -> dict[str, Array]:
    """The observables of one lane with its `Status`, NaN where that is not `OK`.

    **Arguments:** `headroom`, of `inverse_factor`: ill-conditioned unless it is above 1.
    """
    finite = jnp.all(jnp.stack([jnp.isfinite(value) for value in observables.values()]))
    # NaN (a matrix that is not positive definite) fails the comparison as it should.
    status = jnp.where(
        headroom > 1,
        jnp.where(finite, jnp.int32(Status.OK), jnp.int32(Status.NOT_FINITE)),
        jnp.int32(Status.ILL_CONDITIONED),
    )
    kept = {
        name: jnp.where(status == Status.OK, value, jnp.nan) for name, value in observables.items()
    }
    return {**kept, "status": status}


def method_for(rows: int, cols: int) -> Method:
    """QR where the design is nearly square: there the squared condition number costs digits."""
    return "qr" if abs(rows - cols) < 0.2 * max(rows, cols) else "cholesky"


def inverse_factor(
    design: Float[Array, "rows cols"], shift: Float[Array, ""]
) -> tuple[Float[Array, "cols cols"], Float[Array, ""]]:
    """V with V^T V = (A^T A + shift I)^-1, and the headroom, above 1 while a digit is left.

    V = R^-T for the upper factor R. min |R_ii| / max |R_ii| estimates 1/cond(R) from above. A
    Cholesky factor has lost every digit at sqrt(eps), a QR factor at eps; the headroom is the ratio
    over that. It is NaN where Cholesky met a matrix that is not positive definite to rounding.

    **Arguments:** `design` A with rows >= cols; `shift` >= 0.
    """
    rows, cols = design.shape
    identity = jnp.eye(cols, dtype=design.dtype)
    method = method_for(rows, cols)
    if method == "cholesky":
        triangle = jnp.linalg.cholesky(design.T @ design + shift * identity, upper=True)
    else:
        stacked = jnp.concatenate([design, jnp.sqrt(shift) * identity])
        triangle = jnp.linalg.qr(stacked, mode="r")
    diagonal = jnp.abs(jnp.diagonal(triangle))
    eps = jnp.finfo(design.dtype).eps
    floor = jnp.asarray(eps**0.5 if method == "cholesky" else eps, design.dtype)
    headroom = jnp.min(diagonal) / jnp.max(diagonal) / floor
    return solve_triangular(triangle, identity, trans=1), headroom
