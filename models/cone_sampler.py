"""Gibbs sampling of a standard normal vector inside a convex cone.

    w ~ N(0, I_N) on {w : w . a_i >= 0 for i = 1..P}

The direction of w is uniform on the part of the sphere inside the cone and independent of its
length. Coordinates are drawn one after another: each has a normal conditional law on the interval
that the constraints leave, so that no step is rejected and none has a size to be tuned.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax.scipy.special import ndtr, ndtri
from jaxtyping import Array, Bool, Float, PRNGKeyArray

# Sweeps between records: less than the correlation time of all but the widest cones.
THINNING = 4

Vector = Float[Array, " dimension"]
Columns = Float[Array, "dimension rows"]


class Cone(NamedTuple):
    """{w : w . column >= 0 for every column}; columns of zeros constrain nothing.

    `inverses` has 1 over each element, and 0 for 0.
    """

    columns: Columns
    inverses: Columns


def cone(columns: Columns) -> Cone:
    """The cone of these constraints."""
    return Cone(columns, jnp.where(columns == 0, 0.0, 1 / columns))


def sweep(within: Cone, weights: Vector, *, key: PRNGKeyArray) -> Vector:
    """All coordinates once, then the length anew, chi distributed with N degrees of freedom.

    **Arguments:** `within`, the cone; `weights`, a point in it.
    """
    uniform_key, length_key = jr.split(key)
    dtype = weights.dtype
    # Never 0, of which the quantile is infinite.
    smallest = float(jnp.finfo(dtype).tiny)
    shares = jr.uniform(uniform_key, weights.shape, dtype, minval=smallest)

    def update(fields: Array, step: tuple[Array, ...]) -> tuple[Array, Array]:
        old, column, inverse, share = step
        # The value of this coordinate at which a field is 0.
        ends = old - fields * inverse
        low = jnp.minimum(jnp.max(jnp.where(column > 0, ends, -jnp.inf)), old)
        high = jnp.maximum(jnp.min(jnp.where(column < 0, ends, jnp.inf)), old)
        new = truncated_normal(low, high, share)
        # By rounding alone a field could fall below 0.
        return jnp.maximum(fields + column * (new - old), 0.0), new

    steps = (weights, within.columns, within.inverses, shares)
    _, weights = jax.lax.scan(update, weights @ within.columns, steps)
    length = jnp.linalg.norm(jr.normal(length_key, weights.shape, dtype))
    return weights * (length / jnp.linalg.norm(weights))


def truncated_normal(
    low: Float[Array, ""], high: Float[Array, ""], share: Float[Array, ""]
) -> Float[Array, ""]:
    """The quantile `share` of a standard normal variable on [low, high].

    Both ends are reflected to where the distribution function is small, and so precise.
    """
    reflect = low + high > 0
    lower, upper = jnp.where(reflect, -high, low), jnp.where(reflect, -low, high)
    share = jnp.where(reflect, 1 - share, share)
    below = ndtr(lower)
    found = jnp.clip(ndtri(below + share * (ndtr(upper) - below)), lower, upper)
    return jnp.where(reflect, -found, found)


class Counts(NamedTuple):
    """Sums over the recorded sweeps, every fourth, of one stretch of a chain.

    `direction`, of w/|w|; `angle`, between w and the first axis; `agree`, for each test vector
    whether w . vector > 0, and `agree_at_edge` with another first coordinate.
    """

    direction: Vector
    angle: Float[Array, ""]
    agree: Float[Array, " tests"]
    agree_at_edge: Float[Array, " tests"]


def stretch(
    within: Cone,
    weights: Vector,
    tests: Float[Array, "dimension tests"],
    edge: Float[Array, ""],
    *,
    sweeps: int,
    key: PRNGKeyArray,
) -> tuple[Vector, Counts]:
    """So many sweeps of a chain from `weights` on: where it ends, and the sums on its way.

    **Arguments:** `sweeps`, a multiple of `THINNING`; `tests`, columns; `edge`, their first
    coordinate in `agree_at_edge`.
    """

    def one(carry: tuple[Vector, Counts], step: Array) -> tuple[tuple[Vector, Counts], None]:
        weights, sums = carry

        def move(part: Array, weights: Vector) -> Vector:
            return sweep(within, weights, key=jr.fold_in(key, THINNING * step + part))

        weights = jax.lax.fori_loop(0, THINNING, move, weights)
        unit = weights / jnp.linalg.norm(weights)
        rest = unit[1:] @ tests[1:]
        new = Counts(
            unit,
            jnp.arctan2(jnp.linalg.norm(unit[1:]), unit[0]),
            _as(rest + unit[0] * tests[0] > 0, unit),
            _as(rest + unit[0] * edge > 0, unit),
        )
        return (weights, jax.tree.map(jnp.add, sums, new)), None

    zeros = jnp.zeros(tests.shape[1], weights.dtype)
    start = Counts(jnp.zeros_like(weights), jnp.zeros((), weights.dtype), zeros, zeros)
    (weights, sums), _ = jax.lax.scan(one, (weights, start), jnp.arange(sweeps // THINNING))
    return weights, sums


def _as(values: Bool[Array, " tests"], like: Array) -> Array:
    return values.astype(like.dtype)


def effective_draws(means: Float[Array, "stretches dimension"], draws: float) -> Float[Array, ""]:
    """The number of independent unit vectors whose mean would vary as much as those of stretches.

        K (1 - |m|^2) / (sum_k |m_k - m|^2 / (K - 1)),   m = mean of m_k over K stretches

    since 1 - |m|^2 is the variance of a unit vector. **Arguments:** `means`, all of them; `draws`,
    how many unit vectors there are, the most that is returned.
    """
    mean = jnp.mean(means, axis=0)
    count = means.shape[0]
    between = jnp.sum((means - mean[None, :]) ** 2) / (count - 1)
    return jnp.minimum(count * (1 - jnp.sum(mean**2)) / between, draws)
