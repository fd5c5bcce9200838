"""What is read off trained weights: rows, dead rows, overlaps, dimensionality."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from .config import Config
from .data import largest_value, probabilities
from .train import Parameters, importance

_BLOCK = 256


class Overlaps(NamedTuple):
    """Over the pairs i != j of each of some sets of rows, of rho_ij = W_i.W_j / (|W_i| |W_j|).

    All are 0 with fewer than two rows, and the skewness also where nothing varies.
    """

    mean: Float[Array, " sets"]
    skew: Float[Array, " sets"]
    mean_squared: Float[Array, " sets"]
    squared_variance: Float[Array, " sets"]
    squared_skew: Float[Array, " sets"]
    largest: Float[Array, " sets"]


def row_norms(weights: Float[Array, "features padded"]) -> Float[Array, " features"]:
    """|W_i|."""
    return jnp.sqrt(jnp.sum(weights**2, axis=1))


def live_rows(parameters: Parameters, largest: float) -> Bool[Array, " features"]:
    """Whether a feature can switch its own output on: |W_i|^2 v_max + b_i > 0."""
    return jnp.sum(parameters.weights**2, axis=1) * largest + parameters.bias > 0


def unrepresented_loss(config: Config, norms: Float[Array, " features"]) -> Float[Array, ""]:
    """The loss of the features with norms below 1/2, if each output were its best constant.

        U = sum_{|W_i| < 1/2} I_i (p_i E[v^2] - p_i^2 E[v]^2)

    **Source:** the constant p_i E[v] left out, this is the weak law of Liu et al. 2505.10465.
    """
    probability, top = probabilities(config), largest_value(config)
    variance = probability * top**2 / 3 - (probability * top / 2) ** 2
    return jnp.sum(jnp.where(norms < 0.5, importance(config) * variance, 0.0))


@jax.default_matmul_precision("highest")
def feature_dimensionality(
    weights: Float[Array, "features padded"],
) -> Float[Array, " features"]:
    """D_i = |W_i|^2 / sum_j (W_i.W_j / |W_i|)^2, j = i included; 0 for a row of zeros.

    The denominator is the quadratic form of W^T W in the unit row.

    **Source:** Elhage et al. 2022, Toy Models of Superposition, section on feature dimensionality.
    """
    norms = row_norms(weights)
    unit = _unit_rows(weights)
    moment = weights.T @ weights
    shared = jnp.sum((unit @ moment) * unit, axis=1)
    return jnp.where(norms > 0, norms**2 / jnp.where(norms > 0, shared, 1.0), 0.0)


@jax.default_matmul_precision("highest")
def overlaps(
    weights: Float[Array, "features padded"], counted: Bool[Array, "sets features"]
) -> Overlaps:
    """Moments of the overlaps of each set of rows, in blocks of rows."""
    features = len(weights)
    unit = _unit_rows(weights)
    block = min(_BLOCK, features)
    blocks = -(-features // block)
    # Rows beyond the last are the last again, and belong to no set.
    rows = jnp.arange(blocks * block).reshape(blocks, block)

    def one(rows: Int[Array, " block"]) -> tuple[Array, Array]:
        taken = jnp.minimum(rows, features - 1)
        rho = unit[taken] @ unit.T
        other = (rows < features)[:, None] & (rows[:, None] != jnp.arange(features)[None, :])
        pairs = counted[:, taken][:, :, None] & counted[:, None, :] & other[None]
        rho = jnp.where(pairs, rho[None], 0.0)
        powers = jnp.stack([jnp.sum(rho**k, axis=(1, 2)) for k in (1, 2, 3, 4, 6)])
        return powers, jnp.max(jnp.abs(rho), axis=(1, 2))

    powers, largest = lax.map(one, rows)
    count = jnp.sum(counted, axis=1).astype(unit.dtype)
    pairs = jnp.maximum(count * (count - 1), 1.0)
    first, second, third, fourth, sixth = jnp.sum(powers, axis=0) / pairs[None]
    return Overlaps(
        mean=first,
        skew=_skew(first, second, third),
        mean_squared=second,
        squared_variance=jnp.maximum(fourth - second**2, 0.0),
        squared_skew=_skew(second, fourth, sixth),
        largest=jnp.max(largest, axis=0),
    )


def _skew(first: Array, second: Array, third: Array) -> Array:
    """The skewness from the raw moments; 0 where the variance is lost in their rounding."""
    variance = second - first**2
    floor = 1e3 * jnp.finfo(second.dtype).eps * second
    central = third - 3 * first * second + 2 * first**3
    safe = jnp.where(variance > floor, variance, 1.0)
    return jnp.where(variance > floor, central / safe**1.5, 0.0)


def _unit_rows(weights: Float[Array, "features padded"]) -> Float[Array, "features padded"]:
    norms = row_norms(weights)[:, None]
    return jnp.where(norms > 0, weights / jnp.where(norms > 0, norms, 1.0), 0.0)
