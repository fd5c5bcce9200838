"""Sparse data: each feature active by itself, with its own probability and a uniform value.

    x_i = s_i v_i,  s_i ~ Bernoulli(p_i),  v_i ~ U(0, v_max),  sum_i p_i = E

Batches are (n, B), features along rows. A uniform number for each entry would cost as much as the
arithmetic of a training step, so rare features come from a Poisson process: a feature with rate
r_i = -log(1 - p_i) a sample has at least one event in a sample with probability p_i, independently
of all others. The arrivals of the process with the total rate, in a time of B samples, give each
event its sample, and a uniform number its feature in proportion to the rates; the value is a
function of the cell, so that repeated events change nothing. Features with p_i > 1/2 stay out of
it: rates above log 2 = 2 p_i log 2 would need many events. They are among the first 2E, and those
are drawn by a uniform number for each entry, as everything is where that is cheaper.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from .config import Config
from .threefry import Key, fine_uniform, open_uniform, threefry

# An event costs about as much as this many entries: measured on a CPU.
_EVENT_COST = 16
# log of the chance, at most, that the slots of one batch do not hold its events.
_LOG_OVERFLOW = math.log(1e-15)
_ARRIVAL, _FEATURE, _VALUE, _ENTRY = range(4)


class BatchShape(NamedTuple):
    """What fixes the shapes of a batch, all static.

    `dense` leading features have a uniform number for each entry; the others share `slots` events.
    """

    num_features: int
    batch_size: int
    dense: int
    slots: int
    top: float
    dtype: str


class FeatureLaw(NamedTuple):
    """The law of the data, computed once a run.

    `probability`; `rate`, the sums of -log(1 - p) from the rarest feature up to the first one
    that is not dense: summed and searched from that end, the rates of rare features keep their
    relative precision.
    """

    probability: Float[Array, " features"]
    rate: Float[Array, " rare"]


def largest_value(config: Config) -> float:
    """v_max: 2 or 1."""
    return 2.0 if config.value == "uniform02" else 1.0


def batch_shape(config: Config, batch_size: int) -> BatchShape:
    """The shape of a batch, and with it how it is drawn, from static fields alone.

    The number of events is Poisson with a mean T of at most 2 log(2) E B, and exceeds T + x with
    a chance below exp(-x^2/(2 (T + x/3))) (Bernstein). The slots hold all of them but for one batch
    in 10^15: for a chance of 10^-9 in a run of a million steps. What does not fit is left inactive.
    """
    features = config.num_features
    mean = 2 * math.log(2) * config.density_bound * batch_size
    third = -_LOG_OVERFLOW / 3
    most = mean + third + math.sqrt(third**2 - 2 * _LOG_OVERFLOW * mean)
    slots = 64 * math.ceil(most / 64)
    dense = min(math.ceil(2 * config.density_bound), features)
    if dense == features or _EVENT_COST * slots >= features * batch_size:
        dense, slots = features, 0
    return BatchShape(features, batch_size, dense, slots, largest_value(config), config.dtype)


def probabilities(config: Config) -> Float[Array, " features"]:
    """p_i as `config.frequencies` gives them, of traced fields, in `config.dtype`."""
    rank = jnp.arange(1, config.num_features + 1).astype(config.dtype)
    density, decay, scale = (
        jnp.asarray(value).astype(config.dtype)
        for value in (config.activation_density, config.frequency_decay, config.frequency_scale)
    )
    if config.frequencies == "power":
        weights = jnp.exp(-decay * jnp.log(rank))
    elif config.frequencies == "linear":
        weights = config.num_features + 1 - rank
    else:
        # The largest is 1, so that a steep law does not underflow before it is normalised.
        weights = jnp.exp((1 - rank) / scale)
    return jnp.minimum(density * weights / jnp.sum(weights), 1.0)


def feature_law(config: Config, shape: BatchShape) -> FeatureLaw:
    """The law of the data of a configuration, for batches of this shape."""
    probability = probabilities(config)
    rare = probability[shape.dense :]
    return FeatureLaw(probability, jnp.cumsum(-jnp.log1p(-rare)[::-1]))


def draw_batch(
    law: FeatureLaw, shape: BatchShape, key: Key, number: Int[Array, ""]
) -> Float[Array, "features samples"]:
    """Batch `number` of the data, from counters alone: any batch can be drawn at any time.

    The probability of each entry is p_i up to rounding: of 2^-24 of the total rate in float32.

    **Returns:** (n, B), zero where inactive and positive where active.
    """
    counter = number.astype(jnp.uint32)
    key = lax.optimization_barrier(threefry(key, counter))
    rare = shape.num_features - shape.dense
    dense = _dense_rows(law.probability[: shape.dense], shape, key)
    if not shape.slots:
        return dense
    rows = jnp.zeros((rare, shape.batch_size), shape.dtype)
    cell, value = _events(law.rate, shape, key)
    flat = jnp.concatenate([dense, rows]).reshape(-1)
    filled = flat.at[cell].set(value, mode="drop")
    return filled.reshape(shape.num_features, shape.batch_size)


def _dense_rows(
    probability: Float[Array, " dense"], shape: BatchShape, key: Key
) -> Float[Array, "dense samples"]:
    size = (len(probability), -(-shape.batch_size // 2))
    # Counters by two indices: one flat counter and a reshape made the loop four times slower.
    counter = lax.broadcasted_iota(jnp.uint32, size, 0) * jnp.uint32(size[1])
    counter = counter + lax.broadcasted_iota(jnp.uint32, size, 1)
    halves = threefry(key, counter, _ENTRY)
    words = lax.optimization_barrier(jnp.concatenate(halves, axis=1))[:, : shape.batch_size]
    uniform = (words.astype(shape.dtype) + 0.5) * 2.0**-32
    # A uniform number below p, over p, is uniform again.
    scale = (shape.top / probability)[:, None]
    return jnp.where(uniform <= probability[:, None], uniform * scale, 0.0)


def _events(
    rate: Float[Array, " rare"], shape: BatchShape, key: Key
) -> tuple[Int[Array, " slots"], Float[Array, " slots"]]:
    """The cell of each event in the flattened batch, beyond its end for none, and its value."""
    slot = jnp.arange(shape.slots, dtype=jnp.uint32)
    first = threefry(key, slot, _ARRIVAL)
    second = threefry(key, slot, _FEATURE)
    arrival = jnp.cumsum(-jnp.log(open_uniform(first[0], shape.dtype)))
    # Arrivals past the last sample have the sample B, which is beyond the batch.
    sample = jnp.minimum(arrival / rate[-1], shape.batch_size).astype(jnp.int32)
    chosen = fine_uniform(second, shape.dtype) * rate[-1]
    feature = shape.num_features - 1 - jnp.searchsorted(rate, chosen).astype(jnp.int32)
    inside = feature * shape.batch_size + sample
    cell = jnp.where(sample < shape.batch_size, inside, shape.num_features * shape.batch_size)
    value = threefry(key, cell.astype(jnp.uint32), _VALUE)[0]
    return cell, shape.top * open_uniform(value, shape.dtype)
