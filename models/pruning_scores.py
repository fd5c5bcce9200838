"""How hard each example of a pool is, and which of them are kept.

A score is a hardness, larger for harder examples. Three come from an ensemble of short-trained
probe networks and the labels, one from the inputs alone:

    EL2N         mean over probes of |softmax(logits) - onehot(label)|_2
    margin       mean over probes of max_other p - p_label
    forgetting   mean over probes of the times an example turns from right to wrong
    prototypes   1 - cosine to the nearest centroid of k-means among the principal components

**Source:** EL2N: Paul et al. 2107.07075; forgetting: Toneva et al. 1812.05159; prototypes and the
balanced selection: Sorscher et al. 2206.14486, section 5 and appendix.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Shaped

Score = Literal["el2n", "margin", "forgetting", "prototypes", "random"]
SCORES: tuple[Score, ...] = get_args(Score)
# What the label-free score has for settings.
COMPONENTS, CENTROIDS, LLOYD_STEPS = 20, 10, 20


def el2n(
    logits: Float[Array, "rows classes"], labels: Int[Array, " rows"]
) -> Float[Array, " rows"]:
    """|softmax(logits) - onehot(label)|_2, between 0 and sqrt(2), of one probe."""
    wrong = jax.nn.softmax(logits) - jax.nn.one_hot(labels, logits.shape[1], dtype=logits.dtype)
    return jnp.sqrt(jnp.sum(wrong**2, axis=1))


def negative_margin(
    logits: Float[Array, "rows classes"], labels: Int[Array, " rows"]
) -> Float[Array, " rows"]:
    """The largest probability of another class less that of the label, in [-1, 1]."""
    own = jax.nn.one_hot(labels, logits.shape[1], dtype=bool)
    probability = jax.nn.softmax(logits)
    other = jnp.max(probability, axis=1, where=~own, initial=0.0)
    return other - jnp.sum(probability, axis=1, where=own)


def forgetting(right: Bool[Array, "checkpoints rows"]) -> Int[Array, " rows"]:
    """How often an example turns from right to wrong between checkpoints.

    One that is never right counts as forgotten at each of them, which is more than any other.
    """
    turned = jnp.sum(right[:-1] & ~right[1:], axis=0, dtype=jnp.int32)
    return jnp.where(jnp.any(right, axis=0), turned, jnp.int32(right.shape[0]))


class Prototypes(NamedTuple):
    """Principal components of the inputs, centred, and the centroids among them."""

    mean: Float[Array, " inputs"]
    components: Float[Array, "inputs components"]
    centroids: Float[Array, "centroids components"]


def prototypes(
    inputs: Float[Array, "rows inputs"],
    member: Bool[Array, " rows"],
    first: Int[Array, " centroids"],
) -> Prototypes:
    """k-means among the principal components of the rows that are members, by Lloyd's iteration.

    **Arguments:** `inputs` (rows, inputs); `member`, which rows count; `first`, the members that
    are the centroids to begin with. `LLOYD_STEPS` iterations; a centroid without rows stays.
    """
    weight = member.astype(inputs.dtype)[:, None]
    mean = jnp.sum(weight * inputs, axis=0) / jnp.sum(weight)
    centred = inputs - mean[None, :]
    _, vectors = jnp.linalg.eigh((weight * centred).T @ centred)
    components = vectors[:, -COMPONENTS:]
    rows = centred @ components

    def step(centroids: Array, _: None) -> tuple[Array, None]:
        nearest = jnp.argmax(
            rows @ centroids.T - jnp.sum(centroids**2, axis=1)[None, :] / 2, axis=1
        )
        share = weight * jax.nn.one_hot(nearest, first.shape[0], dtype=inputs.dtype)
        count = jnp.sum(share, axis=0)[:, None]
        return jnp.where(count > 0, share.T @ rows / jnp.maximum(count, 1), centroids), None

    centroids, _ = jax.lax.scan(step, rows[first], length=LLOYD_STEPS)
    return Prototypes(mean, components, centroids)


def prototype_distance(
    found: Prototypes, inputs: Float[Array, "rows inputs"]
) -> Float[Array, " rows"]:
    """1 - cosine to the nearest centroid, in [0, 2]; nearest in the cosine."""
    rows = (inputs - found.mean[None, :]) @ found.components
    return 1 - jnp.max(_unit(rows) @ _unit(found.centroids).T, axis=1)


def _unit(rows: Float[Array, "rows columns"]) -> Float[Array, "rows columns"]:
    norm = jnp.linalg.norm(rows, axis=1, keepdims=True)
    return rows / jnp.maximum(norm, jnp.finfo(rows.dtype).tiny)


def keep(
    hardness: Float[Array, " rows"],
    in_pool: Bool[Array, " rows"],
    owners: Bool[Array, "rows classes"],
    kept: Int[Array, ""],
    guaranteed: Int[Array, " classes"],
) -> Bool[Array, " rows"]:
    """The `kept` examples of the pool with the largest hardness, `guaranteed` of each class first.

    The easiest are kept by giving the negative hardness. Of equal ones the earlier row goes first.

    **Arguments:** `owners`, the one-hot labels; `kept`, at most the pool and at least the sum of
    `guaranteed`, which is at most the members of each class.
    """
    rank = _ranks((-hardness, ~in_pool))
    by_rank = jnp.argsort(rank)
    within = jnp.zeros_like(rank).at[by_rank].set(_within_class(owners[by_rank]))
    own = jnp.where(owners, guaranteed[None, :], 0)
    promised = within < jnp.sum(own, axis=1, dtype=jnp.int32)
    return _ranks((rank, ~promised, ~in_pool)) < kept


def _within_class(owners: Bool[Array, "rows classes"]) -> Int[Array, " rows"]:
    """How many rows of its own class come before each row."""
    before = jnp.cumsum(owners, axis=0, dtype=jnp.int32)
    return jnp.sum(jnp.where(owners, before, 0), axis=1, dtype=jnp.int32) - 1


def _ranks(keys: tuple[Shaped[Array, " rows"], ...]) -> Int[Array, " rows"]:
    """The rank of each row, the last key counting first and equal rows in their order."""
    order = jnp.lexsort(keys)
    rows = jnp.arange(order.shape[0], dtype=jnp.int32)
    return jnp.zeros_like(rows).at[order].set(rows)
