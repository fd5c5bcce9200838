"""The loss of a network on fresh samples, stratified over the rare features.

Half of the samples or more would be empty, and most of the rest would hold the frequent features
alone. So one feature is forced to be active in each sample, feature f with probability q_f
proportional to (I_f p_f)^0.6, and the others stay as they are. An active set A then has
sum_{f in A} q_f / p_f times its own probability; samples are weighted by the inverse, and the
empty set, which never comes up, is added exactly:

    L = E[ l(x) / sum_{f active} q_f / p_f ] + prod_i (1 - p_i) sum_i I_i ReLU(b_i)^2
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .config import Config
from .data import BatchShape, FeatureLaw, batch_shape, draw_batch, feature_law
from .threefry import Key, open_uniform, threefry, words_of
from .train import Parameters, importance

_BATCHES = 32
_FLATTENING = 0.6
# A stream of the key that no stream of a step's key shares a block with.
_FORCED = 16


class Loss(NamedTuple):
    """The mean loss of a sample, and the standard error of that estimate."""

    mean: Float[Array, ""]
    error: Float[Array, ""]


@jax.default_matmul_precision("highest")
def evaluate(config: Config, parameters: Parameters, *, key: PRNGKeyArray) -> Loss:
    """The loss sum_i I_i E (x_i - y_i)^2 of a network, unbiased, with its standard error.

    The forced features of a batch are a systematic sample of q; the error is that of the mean of
    32 independent batches.
    """
    shape = batch_shape(config, math.ceil(config.evaluation_samples / _BATCHES))
    law, weight = feature_law(config, shape), importance(config)
    forced = _forced_law(law.probability * weight)
    words = words_of(key)

    def one(number: Int[Array, ""]) -> Float[Array, ""]:
        batch = forced_batch(law, shape, forced, words, number)
        ratio = forced / jnp.where(forced > 0, law.probability, 1.0)
        share = ratio @ jnp.where(batch > 0, 1.0, 0.0).astype(batch.dtype)
        return jnp.mean(sample_losses(parameters, batch, weight) / share)

    means = lax.map(one, jnp.arange(_BATCHES, dtype=jnp.int32))
    empty = jnp.exp(jnp.sum(jnp.log1p(-law.probability)))
    silent = jnp.sum(weight * jnp.maximum(parameters.bias, 0.0) ** 2)
    error = jnp.std(means, ddof=1) / math.sqrt(_BATCHES)
    return Loss(jnp.mean(means) + empty * silent, error)


def sample_losses(
    parameters: Parameters,
    batch: Float[Array, "features samples"],
    importance: Float[Array, " features"],
) -> Float[Array, " samples"]:
    """sum_i I_i (x_i - y_i)^2 of each sample."""
    weights, bias = parameters
    output = jnp.maximum(weights @ (weights.T @ batch) + bias[:, None], 0.0)
    return importance @ (batch - output) ** 2


def forced_batch(
    law: FeatureLaw,
    shape: BatchShape,
    forced: Float[Array, " features"],
    key: Key,
    number: Int[Array, ""],
) -> Float[Array, "features samples"]:
    """Batch `number`, with one feature of the law `forced` made active in each sample."""
    batch = draw_batch(law, shape, key, number)
    counter = jnp.arange(shape.batch_size + 1, dtype=jnp.uint32)
    stream = number.astype(jnp.uint32) + jnp.uint32(_FORCED)
    uniform = open_uniform(threefry(key, counter, stream)[0], shape.dtype)
    # One uniform number shifts a grid, so that each feature is forced as often as q says, to one.
    grid = jnp.arange(shape.batch_size).astype(shape.dtype)
    place = (grid + uniform[-1]) / shape.batch_size
    # Summed from the rare end, as the rates are.
    above = jnp.cumsum(forced[::-1])
    chosen = shape.num_features - 1 - jnp.searchsorted(above, place * above[-1])
    column = jnp.arange(shape.batch_size)
    return batch.at[chosen, column].set(shape.top * uniform[:-1])


def _forced_law(weight: Float[Array, " features"]) -> Float[Array, " features"]:
    flat = weight**_FLATTENING
    return flat / jnp.sum(flat)
