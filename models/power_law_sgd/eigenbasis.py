"""The features of one lane, and the modes in which SGD on them decouples.

With D = diag(j^(-2 alpha)) and features W (v x d), the parameters enter the risk through
A = D^(1/2) W alone:

    risk(theta) = |A theta - D^(1/2) b|^2 + noise_variance

The eigenpairs of the feature kernel A A' are the squared singular values l_j and the left singular
vectors w_j of A. They are taken from the triangle of a QR factorisation of [A, D^(1/2) b], never
from A'A, which would square the condition number d^alpha: a relative error of eps d^alpha is left
in l_j, and the last column gives the least risk as a norm, without a difference of large numbers.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from .config import Config

_FEATURES = 1


class Draw(NamedTuple):
    """The random objects of one lane: `features` W (v, d), or None where they are the identity.

    Rows beyond v and columns beyond d, of a padded configuration, are zero.
    """

    features: Float[Array, "dimension parameters"] | None


class Modes(NamedTuple):
    """The problem in the eigenbasis of the feature kernel, in descending order of eigenvalues.

    `eigenvalues` l_j (d,), zero in padded modes; `targets` (d,), w_j . D^(1/2) b, zero there too;
    `least_risk` F_0, of the best parameters, without the label noise; `rotation` (d, d), whose
    column j is mode j in terms of the parameters, None for the identity.
    """

    eigenvalues: Float[Array, " modes"]
    targets: Float[Array, " modes"]
    least_risk: Float[Array, ""]
    rotation: Float[Array, "parameters modes"] | None


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """The features of one lane, iid N(0, 1/d), column i from `fold_in(i)`.

    With one v, the columns for a small d are those for a larger one but for their scale.

    **Raises:** `ValueError` for an infinite dimension.
    """
    if config.ambient_dimension is None:
        raise ValueError("ambient_dimension: None is infinite and cannot be drawn; give a number")
    if config.features == "identity":
        return Draw(None)
    stream = jr.fold_in(key, _FEATURES)
    rows, columns = config.padded_dimension, config.padded_parameters

    def column(index: Array) -> Array:
        return jr.normal(jr.fold_in(stream, index), (rows,), config.dtype)

    normal = jax.vmap(column, out_axes=1)(jnp.arange(columns))
    inside = _below(rows, config.ambient_dimension)[:, None]
    present = inside & _below(columns, config.num_parameters)[None, :]
    scale = jnp.asarray(config.num_parameters).astype(config.dtype) ** -0.5
    return Draw(jnp.where(present, normal * scale, 0))


def _below(size: int, count: int | Shaped[Array, ""] | None) -> Array:
    return jnp.arange(size) < jnp.asarray(count, jnp.arange(0).dtype)


def as_scalar(value: int | float | Shaped[Array, ""], dtype: jnp.dtype) -> Shaped[Array, ""]:
    """A number of a configuration, traced or not, as an array of that dtype."""
    return jnp.asarray(value).astype(dtype)


def wide_dtype() -> jnp.dtype:
    """float64 where JAX has it enabled, float32 otherwise: the arithmetic of factorisations."""
    return jax.dtypes.canonicalize_dtype(jnp.float64)


def data_vectors(config: Config) -> tuple[Array, Array]:
    """The standard deviations j^-alpha of the data and D^(1/2) b: v entries, padded by zero."""

    rows = config.padded_dimension
    log_index = jnp.log(jnp.arange(1, rows + 1, dtype=wide_dtype()))
    present = _below(rows, config.ambient_dimension)
    alpha, beta = (as_scalar(value, wide_dtype()) for value in (config.alpha, config.beta))
    scales = jnp.where(present, jnp.exp(-alpha * log_index), 0)
    return scales, jnp.where(present, jnp.exp(-(alpha + beta) * log_index), 0)


# Full precision on accelerators: the default there may round products to ten bits.
@jax.default_matmul_precision("highest")
def modes_of(config: Config, sample: Draw) -> Modes:
    """The eigenvalues, the target in each mode, and the least risk, of one draw.

        l_j = s_j^2,  rho_j(0) = targets_j^2,  least risk = |D^(1/2) b|^2 - sum_j targets_j^2

    **Arguments:** `sample`, of `draw`.

    **Returns:** `Modes` in float64 where that is enabled, whatever the dtype of the configuration.
    """
    size = config.padded_parameters
    scales, target = data_vectors(config)
    kept = _below(size, config.num_parameters)
    if sample.features is None:
        inside = _below(config.padded_dimension, config.num_parameters)
        return Modes(
            jnp.where(kept, scales[:size] ** 2, 0),
            jnp.where(kept, target[:size], 0),
            jnp.sum(jnp.where(inside, 0, target) ** 2),
            None,
        )
    design = scales[:, None] * sample.features.astype(wide_dtype())
    triangle = jnp.linalg.qr(jnp.concatenate([design, target[:, None]], axis=1), mode="r")
    # Zero columns of padding leave the rows from d on to the residual of the target.
    column = triangle[:, size]
    outside = ~_below(column.size, config.num_parameters)
    left, singular, right = jnp.linalg.svd(triangle[:size, :size])
    targets = left.T @ jnp.where(kept, column[:size], 0)
    return Modes(
        jnp.where(kept, singular**2, 0),
        jnp.where(kept, targets, 0),
        jnp.sum(jnp.where(outside, column, 0) ** 2),
        right.T,
    )
