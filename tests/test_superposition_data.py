"""The sparse data of the superposition autoencoder, and the random numbers behind them."""

import dataclasses
import math

import jax
import jax.extend.random as extended
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.stats

from scalinglab.models import superposition
from scalinglab.models.superposition import data
from scalinglab.models.superposition.threefry import threefry, words_of

SMALL = superposition.MODEL.smallest


def changed(**fields):
    return dataclasses.replace(SMALL, **fields)


@pytest.mark.parametrize(
    ("key", "block", "known"),
    [
        # The known answers that Random123 1.09 ships for threefry2x32 with 20 rounds.
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 2, (0xFFFFFFFF,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_the_generator_is_threefry(key, block, known):
    key, block = (tuple(jnp.uint32(word) for word in words) for words in (key, block))
    assert tuple(int(word) for word in threefry(key, *block)) == known
    theirs = extended.threefry_2x32(jnp.stack(key), jnp.stack(block))
    assert tuple(int(word) for word in theirs) == known


def batches(config, count, size):
    """(n, count * size) samples of one configuration."""
    shape = data.batch_shape(config, size)
    law, words = data.feature_law(config, shape), words_of(jr.key(5))
    draw = jax.jit(jax.vmap(lambda number: data.draw_batch(law, shape, words, number)))
    found = np.asarray(draw(jnp.arange(count)))
    return shape, found.transpose(1, 0, 2).reshape(config.num_features, -1)


# Sparse and flat; with a feature of p = 0.61; all p = 0.3, drawn entry by entry; an odd batch.
LAWS = [
    ({"frequency_decay": 0.0}, 64, True),
    ({"frequency_decay": 2.0, "value": "uniform01"}, 64, True),
    ({"frequency_decay": 0.0, "activation_density": 19.2}, 64, False),
    ({"frequency_decay": 1.0, "activation_density": 1.5}, 31, False),
    ({"frequencies": "exponential", "frequency_scale": 9.0}, 128, True),
    ({"frequencies": "linear"}, 64, True),
]


@pytest.mark.parametrize(("fields", "size", "sparse"), LAWS)
def test_features_are_independent_with_their_frequencies_and_values(fields, size, sparse):
    """64 frequencies, 120 pairs and 119 covariances of neighbours: each within 5 standard errors.

    A Gaussian exceeds that 6e-7 times, the 6 cases together once in 800 sets of seeds.
    """
    config = changed(**fields)
    shape, values = batches(config, 1500, size)
    assert bool(shape.slots) == sparse
    probability = np.array(superposition.frequencies(config))
    assert probability.sum() == pytest.approx(config.activation_density, rel=1e-12)
    active = values > 0
    count = active.shape[1]
    error = np.sqrt(probability * (1 - probability) / count)
    assert np.max(np.abs(active.mean(axis=1) - probability) / error) < 5
    first = active[:16] - probability[:16, None]
    scale = np.sqrt(np.outer(*2 * [(probability * (1 - probability))[:16]]) / count)
    pairs = (first @ first.T / count / scale)[np.triu_indices(16, 1)]
    assert np.max(np.abs(pairs)) < 5
    number = active.sum(axis=0) - probability.sum()
    spread = np.sum(probability * (1 - probability))
    # Across the events of a batch, and across its edge.
    assert abs(np.mean(number[1:] * number[:-1])) / spread * math.sqrt(count) < 5
    kurtosis = np.mean(number**4) / spread**2 - 1
    assert abs(np.mean(number**2) / spread - 1) < 5 * math.sqrt(kurtosis / count)
    top = superposition.largest_value(config)
    drawn = values[active]
    assert drawn.max() < top
    # Features are sorted by rank, so that a law that changed with the rank would show as well.
    for part in (drawn, drawn[: drawn.size // 8], drawn[-drawn.size // 8 :]):
        assert scipy.stats.kstest(part[:100_000], "uniform", (0, top)).pvalue > 1e-5


def test_a_feature_of_probability_one_is_always_active():
    densest = sum(1 / rank for rank in range(1, 65))
    config = changed(frequency_decay=1.0, activation_density=densest, dtype="float32")
    _, values = batches(config, 1000, 64)
    assert np.all(values[0] > 0)


@pytest.mark.parametrize(
    ("density", "size", "features"), [(1.0, 512, 200), (7.485, 2048, 1000), (0.02, 64, 600)]
)
def test_slots_hold_all_but_one_batch_in_1e15(density, size, features):
    config = changed(num_features=features, width=4, activation_density=density)
    shape = data.batch_shape(config, size)
    assert shape.slots > 0
    # The most events: as many features with p = 1/2 as there can be, but for the dense ones.
    most = 2 * math.log(2) * density * size
    assert scipy.stats.poisson.sf(shape.slots, most) < 1e-15
    for decay in (0.0, 0.9):
        steep = dataclasses.replace(config, frequency_decay=decay)
        rates = -np.log1p(-np.array(superposition.frequencies(steep)))[shape.dense :]
        assert rates.sum() * size < most
