"""Small networks trained on the easy or the hard part of a pool of handwritten digits.

    pool: n of scikit-learn's 1797 digits, x = pixels/16;  test set: 397 others, new in every lane
    kept: the k = round(f n) of the pool with the smallest (easy) or largest (hard) score
    student: ReLU network, cross-entropy, Adam with a cosine schedule, a fixed number of steps

The stand-in for the networks of Sorscher et al. 2206.14486: at one keep fraction, is the student of
the easy or that of the hard examples better? One lane trains both, on the same pool, from the same
initialisation and with the same positions of the minibatches in the two kept sets, so that their
difference is paired. With the score `random` both sets are drawn blindly: a control whose
difference has mean zero exactly, and the baseline of random pruning.

The probes that score learn from the pool itself, unless `probe_size` gives them other images of the
same kind: a probe of a small pool is a bad one, which in the perceptron is a larger angle between
probe and teacher.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from scalinglab.models import pruning_scores as scores
from scalinglab.models.data_pruning.sources import SOURCES
from scalinglab.models.digit_images import ALPAYDIN, raw_digits
from scalinglab.models.interface import Model, Observable
from scalinglab.models.linear_solve import with_status
from scalinglab.models.pruned_network_config import CHECKPOINT, IMAGES, POOL
from scalinglab.models.pruned_network_config import Config as Config
from scalinglab.models.pruning_scores import CENTROIDS
from scalinglab.models.students import (
    Batch,
    Student,
    Training,
    TrainingState,
    advance,
    cross_entropy,
    multilayer_perceptron,
    require_flax,
    start,
)

RULES = ("easy", "hard")
CLASSES = 10
_INPUTS = 64
TRAINED = ("el2n", "margin", "forgetting")
_ORDER, _NETWORKS, _PLACES, _PROBE_PLACES, _BLIND = range(5)
_STREAMS = 5


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` without scikit-learn or flax."""
    del config
    labelled_images()
    require_flax()


@functools.cache
def labelled_images() -> tuple[np.ndarray, np.ndarray]:
    """The images as rows of 64 numbers in [0, 1], and their digits, in the file's order.

    **Raises:** `ValueError` when scikit-learn is not installed.

    **Source:** the UCI 'Optical Recognition of Handwritten Digits' test set, as bundled with
    scikit-learn.
    """
    pixels, labels = raw_digits("pruned-network")
    images = pixels.reshape(IMAGES, _INPUTS) / 16
    for array in (images, labels):
        array.flags.writeable = False
    return images, labels


class Draw(NamedTuple):
    """The random objects of one lane.

    - `order`: the images in the lane's order; the pool are the first n, the test set the last 397.
    - `networks`: parameters to begin with, of the student and then of each probe, stacked.
    - `places`: from 0 to 1, of the images of each batch of the student among those to learn from.
    - `probe_places`: the same for each probe.
    - `blind`: a random score of each image in the lane's order.
    """

    order: Int[Array, " images"]
    networks: PyTree
    places: Float[Array, "steps batch"]
    probe_places: Float[Array, "probes probe_steps batch"]
    blind: Float[Array, " images"]


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """The random objects of one lane, each from its own `fold_in` of `key`.

    None depends on n or f, so that pools of one key are nested and their students begin alike.
    """
    # Many streams in one call: each call of the generator adds half a second to a compilation.
    streams = jax.vmap(jr.fold_in, (None, 0))(key, jnp.arange(_STREAMS))
    probes = config.probes if config.score in TRAINED else 0
    keys = jax.vmap(jr.fold_in, (None, 0))(streams[_NETWORKS], jnp.arange(1 + probes))
    batch, dtype = config.batch_size, config.dtype
    return Draw(
        order=jnp.argsort(jr.bits(streams[_ORDER], (IMAGES,), jnp.uint32)).astype(jnp.int32),
        networks=jax.vmap(_student(config).init)(keys),
        places=jr.uniform(streams[_PLACES], (config.num_steps, batch), dtype),
        probe_places=jr.uniform(streams[_PROBE_PLACES], (probes, config.probe_steps, batch), dtype),
        blind=jr.uniform(streams[_BLIND], (IMAGES,), dtype),
    )


class _Data(NamedTuple):
    """Images and labels in the file's order, and the order of the lane."""

    images: Float[Array, "images inputs"]
    labels: Int[Array, " images"]
    order: Int[Array, " images"]


# Full precision on accelerators: the default there may round products to ten bits.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Test errors of the students of the easy and of the hard part of one pool.

        easy_minus_hard = test_error_easy - test_error_hard

    **Arguments:** `config`; `key`, of this lane: it draws test set, pool, probes and student.

    **Returns:** scalars, each with `_easy` and `_hard`: `test_error` and `test_loss` on the 397
    test images, `train_error` on the kept ones, `smallest_share`, the least over classes of the
    kept number over the mean of random keeping, and `class_entropy` of the kept set over log 10.
    And `easy_minus_hard`; for scores of trained probes `probe_error`, the test error of their mean
    probability; and `status`. Observables are NaN where that is not OK.

    **Raises:** `ValueError` when scikit-learn or flax is not installed.

    **Source:** after Sorscher et al. 2206.14486, section 3, with other data and networks.

    **Limits:** at `keep_fraction` 1 the two students are the same to the last bit.
    """
    sample = draw(config, key=key)
    images, labels = labelled_images()
    data = _Data(jnp.asarray(images, config.dtype), jnp.asarray(labels), sample.order)
    hardness, observed = _score(config, data, sample)

    def student(values: Float[Array, " images"]) -> dict[str, Array]:
        kept = _select(config, data, values)
        return _observe(config, data, kept, _learn(config, data, sample, kept))

    found = jax.vmap(student)(jnp.stack([-hardness, hardness]))
    both = {f"{name}_{rule}": found[name][i] for name in found for i, rule in enumerate(RULES)}
    both["easy_minus_hard"] = both["test_error_easy"] - both["test_error_hard"]
    return with_status({**both, **observed}, jnp.asarray(jnp.inf))


def _student(config: Config) -> Student:
    widths = (_INPUTS, *[config.width] * config.hidden_layers, CLASSES)
    return multilayer_perceptron(widths, config.dtype)


def _rate(config: Config) -> Array:
    return jnp.asarray(config.learning_rate).astype(config.dtype)


def _score(config: Config, data: _Data, sample: Draw) -> tuple[Array, dict[str, Array]]:
    """The hardness of each image in the lane's order, and what is observed of the probes."""
    if config.score == "random":
        return sample.blind, {}
    size = config.pool_size if config.probe_size is None else config.probe_size
    learned = jnp.asarray(size).astype(jnp.int32)
    if config.score == "prototypes":
        member = jnp.zeros(IMAGES, bool).at[data.order].set(_first(learned))
        found = scores.prototypes(data.images, member, data.order[:CENTROIDS])
        return scores.prototype_distance(found, data.images)[data.order], {}

    def probe(parameters: PyTree, places: Float[Array, "steps batch"]) -> tuple[Array, Array]:
        return _probe(config, data, parameters, _minibatches(data, data.order, learned, places))

    initial = jax.tree.map(lambda leaf: leaf[1:], sample.networks)
    hardness, probability = jax.vmap(probe)(initial, sample.probe_places)
    wrong = ~_right(jnp.mean(probability, axis=0), data.labels)[data.order][POOL:]
    return jnp.mean(hardness, axis=0)[data.order], {
        "probe_error": jnp.mean(wrong, dtype=config.dtype)
    }


def _probe(
    config: Config, data: _Data, parameters: PyTree, batch: Batch
) -> tuple[Float[Array, " images"], Float[Array, "images classes"]]:
    """Hardness by one probe of every image, in the file's order, and its probabilities."""
    training = Training(_student(config), optax.adam(_rate(config)), cross_entropy)

    def look(state: TrainingState, _: None) -> tuple[TrainingState, Array]:
        state = advance(training, state, batch, CHECKPOINT)
        logits = training.student.apply(state.parameters, data.images)
        return state, _right(logits, data.labels)

    state = start(training, parameters)
    right = None
    if config.score == "forgetting":
        state, right = jax.lax.scan(look, state, length=config.probe_steps // CHECKPOINT)
    else:
        state = advance(training, state, batch, config.probe_steps)
    logits = training.student.apply(state.parameters, data.images)
    if right is not None:
        hardness = scores.forgetting(right).astype(config.dtype)
    else:
        score = scores.el2n if config.score == "el2n" else scores.negative_margin
        hardness = score(logits, data.labels)
    return hardness, jax.nn.softmax(logits)


def _right(
    logits: Float[Array, "images classes"], labels: Int[Array, " images"]
) -> Bool[Array, " images"]:
    return jax.lax.argmax(logits, 1, jnp.int32) == labels


def _first(count: Int[Array, ""]) -> Bool[Array, " images"]:
    return jnp.arange(IMAGES, dtype=jnp.int32) < count


def _minibatches(
    data: _Data, rows: Int[Array, " images"], count: Int[Array, ""], places: Array
) -> Batch:
    """A batch a step: images drawn with replacement from the first `count` of `rows`."""
    # Drawn at once: a generator inside the loop over steps took a third of its time.
    places = jnp.floor(places * count.astype(places.dtype)).astype(jnp.int32)
    places = jnp.minimum(places, count - 1)

    def batch(step: Int[Array, ""]) -> tuple[Array, Array]:
        chosen = rows[places[step]]
        return data.images[chosen], data.labels[chosen]

    return batch


def _select(
    config: Config, data: _Data, values: Float[Array, " images"]
) -> tuple[Bool[Array, " images"], Int[Array, ""]]:
    """Which images are kept, in the lane's order, and how many."""
    pool = jnp.asarray(config.pool_size).astype(jnp.int32)
    fraction, balance = (
        jnp.asarray(value).astype(config.dtype) for value in (config.keep_fraction, config.balance)
    )
    count = jnp.round(fraction * pool.astype(config.dtype)).astype(jnp.int32)
    owners = jax.nn.one_hot(data.labels[data.order], CLASSES, dtype=bool)
    members = jnp.sum(owners & _first(pool)[:, None], axis=0)
    share = balance * count.astype(config.dtype) / pool.astype(config.dtype)
    # A whole number that rounding put below itself is meant.
    promised = jnp.floor(share * members.astype(config.dtype) + 1e-4).astype(jnp.int32)
    return scores.keep(values, _first(pool), owners, count, promised), count


def _learn(
    config: Config, data: _Data, sample: Draw, kept: tuple[Array, Array]
) -> Float[Array, "images classes"]:
    """The logits of every image, in the lane's order, by a student of the kept ones."""
    chosen, count = kept
    # In the lane's order whatever the rule, so that equal sets give equal students.
    rows = data.order[jnp.argsort(~chosen, stable=True)]
    schedule = optax.cosine_decay_schedule(_rate(config), config.num_steps)
    optimizer = optax.adam(lambda step: schedule(step).astype(config.dtype))
    training = Training(_student(config), optimizer, cross_entropy)
    initial = jax.tree.map(lambda leaf: leaf[0], sample.networks)
    batch = _minibatches(data, rows, count, sample.places)
    state = advance(training, start(training, initial), batch, config.num_steps)
    return training.student.apply(state.parameters, data.images)[data.order]


def _observe(
    config: Config, data: _Data, kept: tuple[Array, Array], logits: Float[Array, "images classes"]
) -> dict[str, Array]:
    chosen, count = kept
    labels = data.labels[data.order]
    wrong = (~_right(logits, labels)).astype(config.dtype)
    weight = chosen.astype(config.dtype) / count.astype(config.dtype)
    owners = jax.nn.one_hot(labels, CLASSES, dtype=config.dtype)
    share = weight @ owners
    pool = _first(jnp.asarray(config.pool_size).astype(jnp.int32)).astype(config.dtype)
    expected = pool @ owners / jnp.sum(pool)
    return {
        "test_error": jnp.mean(wrong[POOL:]),
        "test_loss": cross_entropy(logits[POOL:], labels[POOL:]),
        "train_error": jnp.sum(weight * wrong),
        "smallest_share": jnp.min(jnp.where(expected > 0, share / expected, jnp.inf)),
        "class_entropy": -jnp.sum(jax.scipy.special.xlogy(share, share)) / math.log(CLASSES),
    }


_BOTH = {
    "test_error": "share of the 397 test images that the student of the {} images gets wrong",
    "test_loss": "mean cross-entropy on the test images of the student of the {} images",
    "train_error": "share of the {} images that their own student gets wrong",
    "smallest_share": "least over classes of the number of {} images over that of random keeping",
    "class_entropy": "entropy of the classes of the {} images over log 10",
}

MODEL = Model(
    name="pruned-network",
    summary="networks trained on the easy and on the hard part of a pool of digits",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(
        pool_size=60,
        probes=2,
        probe_steps=10,
        width=8,
        num_steps=20,
        batch_size=8,
        keep_fraction=0.5,
    ),
    observables={
        **{
            f"{name}_{rule}": Observable(text.format(rule), "nat" if name == "test_loss" else "1")
            for name, text in _BOTH.items()
            for rule in RULES
        },
        "easy_minus_hard": Observable("test error of the easy less that of the hard, same lane"),
        "probe_error": Observable("test error of the mean probability of the trained probes"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "kept = the f n of n images with the least (easy) or largest (hard) score, at least "
        "beta f n_c of each class c;  student = ReLU network after num_steps of Adam on kept"
    ),
    symbols={
        "n": "pool_size (P_tot)",
        "f": "keep_fraction",
        "beta": "balance",
        "m": "probe_size",
    },
    sources={
        "sorscher2022": SOURCES["sorscher2022"],
        "paul2021": """@inproceedings{paul2021,
  title     = {Deep learning on a data diet: finding important examples early in training},
  author    = {Paul, Mansheej and Ganguli, Surya and Dziugaite, Gintare Karolina},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021},
  note      = {arXiv:2107.07075},
}""",
        "toneva2019": """@inproceedings{toneva2019,
  title     = {An empirical study of example forgetting during deep neural network learning},
  author    = {Toneva, Mariya and Sordoni, Alessandro and Tachet des Combes, Remi and
               Trischler, Adam and Bengio, Yoshua and Gordon, Geoffrey J.},
  booktitle = {International Conference on Learning Representations},
  year      = {2019},
  note      = {arXiv:1812.05159},
}""",
        "alpaydin1998": ALPAYDIN,
    },
)
