"""Ridge systems (A^T A + shift I) x = b for a tall design A, and how far they are from singular.

Two static methods. `cholesky` of the Gram matrix is the cheap one (rows * cols^2 operations, and
batched LAPACK on every backend), with relative error eps * cond(A)^2. `qr` of the design stacked
on sqrt(shift) I never squares the condition number in the factor; it is for nearly square designs,
whose smallest singular value is 1/cols of the typical one.
"""

from typing import Literal

import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float

Method = Literal["cholesky", "qr"]


def solve_normal(
    design: Float[Array, "rows cols"],
    shift: Float[Array, ""],
    right: Float[Array, "cols rhs"],
    *,
    method: Method,
) -> tuple[Float[Array, "cols rhs"], Float[Array, ""]]:
    """(A^T A + shift I)^-1 right, and the headroom (see `factor`)."""
    triangle, headroom = factor(design, shift, method=method)
    return _back_substitute(triangle, right), headroom


def solve_ridge(
    design: Float[Array, "rows cols"],
    shift: Float[Array, ""],
    targets: Float[Array, "rows rhs"],
    *,
    method: Method,
) -> tuple[Float[Array, "cols rhs"], Float[Array, ""]]:
    """argmin |A x - targets|^2 + shift |x|^2, and the headroom.

    With `qr` the semi-normal equations get one step of refinement on the residual of the
    least-squares problem itself, which makes them as accurate as Q^T would (Bjorck 1987).
    """
    triangle, headroom = factor(design, shift, method=method)
    solution = _back_substitute(triangle, design.T @ targets)
    if method == "qr":
        gradient = design.T @ (targets - design @ solution) - shift * solution
        solution = solution + _back_substitute(triangle, gradient)
    return solution, headroom


def factor(
    design: Float[Array, "rows cols"], shift: Float[Array, ""], *, method: Method
) -> tuple[Float[Array, "cols cols"], Float[Array, ""]]:
    """Upper R with R^T R = A^T A + shift I, and the headroom, above 1 while a digit is left.

    min |R_ii| / max |R_ii| estimates 1/cond(R) from above. A Cholesky factor has lost every digit
    at sqrt(eps), a QR factor at eps; the headroom is the ratio over that. It is NaN where Cholesky
    met a matrix that is not positive definite to working precision.
    """
    cols = design.shape[1]
    identity = jnp.eye(cols, dtype=design.dtype)
    if method == "cholesky":
        gram = design.T @ design + shift * identity
        triangle = jnp.linalg.cholesky(gram, upper=True)
    else:
        stacked = jnp.concatenate([design, jnp.sqrt(shift) * identity])
        triangle = jnp.linalg.qr(stacked, mode="r")
    diagonal = jnp.abs(jnp.diagonal(triangle))
    eps = jnp.finfo(design.dtype).eps
    floor = jnp.asarray(eps**0.5 if method == "cholesky" else eps, design.dtype)
    return triangle, jnp.min(diagonal) / jnp.max(diagonal) / floor


def _back_substitute(
    triangle: Float[Array, "cols cols"], right: Float[Array, "cols rhs"]
) -> Float[Array, "cols rhs"]:
    lower = solve_triangular(triangle, right, trans=1)
    return solve_triangular(triangle, lower)
