"""Training of a student, with the best network on the test set kept on the way."""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from scalinglab.models import students
from scalinglab.models.students import Student, Training, TrainingState

from .config import LOOK, Config
from .data import Draw, draw

Build = Callable[[Config], Student]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
}
# Looks a stage: what a killed run loses is at most one.
_STAGE_LOOKS = 20
# The training loss at the end is taken over no more samples than these.
_TRAIN_ROWS = 1024


class Run(NamedTuple):
    """What a run carries: where the training stands, and the best that was seen.

    - `best`: parameters with the least test loss of all looks, the first of which is at step 0.
    - `best_loss`, `best_step`: that loss, and its step.
    """

    training: TrainingState
    best: PyTree
    best_loss: Float[Array, ""]
    best_step: Int[Array, ""]


def perceptron(config: Config) -> Student:
    """The student of `config`: `depth` hidden layers of flax and one output."""
    widths = (config.input_dimension, *[config.student_width] * config.depth, 1)
    activation = ACTIVATIONS[config.activation]
    return students.multilayer_perceptron(widths, config.dtype, activation=activation)


def stage_count(config: Config) -> int:
    """One stage a thousand steps."""
    return math.ceil(config.num_steps / (LOOK * _STAGE_LOOKS))


def start(config: Config, student: Student, *, key: PRNGKeyArray) -> Run:
    """A student before its first step."""
    sample = draw(config, key=key)
    parameters = student.init(sample.student)
    first = test_loss(config, student, parameters, sample)
    state = students.start(_training(config, student), parameters)
    return Run(state, parameters, first, jnp.zeros((), jnp.int32))


# Full precision on accelerators: the default there may round products to ten bits.
@jax.default_matmul_precision("highest")
def advance(
    config: Config, student: Student, run: Run, stage: Int[Array, ""], *, key: PRNGKeyArray
) -> Run:
    """A student one stage later."""
    sample = draw(config, key=key)
    training = _training(config, student)
    places = _places(config, sample, stage)

    def batch(step: Int[Array, ""]) -> tuple[Array, Array]:
        chosen = places[step % (LOOK * _STAGE_LOOKS)]
        return sample.inputs[chosen], sample.targets[chosen]

    def look(run: Run, _: None) -> tuple[Run, None]:
        state = students.advance(training, run.training, batch, LOOK)
        loss = test_loss(config, student, state.parameters, sample)
        better = loss < run.best_loss
        best = jax.tree.map(
            lambda new, old: jnp.where(better, new, old), state.parameters, run.best
        )
        after = Run(
            state,
            best,
            jnp.where(better, loss, run.best_loss),
            jnp.where(better, state.step, run.best_step),
        )
        # The last stage may be longer than what is left.
        running = run.training.step < config.num_steps
        return jax.tree.map(lambda new, old: jnp.where(running, new, old), after, run), None

    looks = min(_STAGE_LOOKS, config.num_steps // LOOK)
    return lax.scan(look, run, length=looks)[0]


def test_loss(
    config: Config, student: Student, parameters: PyTree, sample: Draw
) -> Float[Array, ""]:
    """The mean loss on the test set, whose targets are free of noise."""
    found = predicted(student, parameters, sample.test_inputs)
    return jnp.mean(losses(config, found, sample.test_targets))


def train_loss(
    config: Config, student: Student, parameters: PyTree, sample: Draw
) -> Float[Array, ""]:
    """The mean loss on the training set, or on its first 1024 samples."""
    rows = min(_TRAIN_ROWS, config.pool_size)
    learned = jnp.arange(rows, dtype=jnp.int32) < _count(config)
    found = predicted(student, parameters, sample.inputs[:rows])
    each = losses(config, found, sample.targets[:rows])
    return jnp.mean(each, where=learned)


@jax.default_matmul_precision("highest")
def predicted(
    student: Student, parameters: PyTree, inputs: Float[Array, "rows dimension"]
) -> Float[Array, " rows"]:
    """The one output of a student."""
    return student.apply(parameters, inputs)[:, 0]


def losses(
    config: Config, found: Float[Array, " rows"], targets: Float[Array, " rows"]
) -> Float[Array, " rows"]:
    """The loss of each row, 0 where the student is right.

        mse:            (f - y)^2
        cross-entropy:  KL(Bernoulli(s(y)) | Bernoulli(s(f))),  s(z) = 1/(1 + exp(-z))

    The second is the cross-entropy with the teacher's probabilities less its least value.
    """
    if config.loss == "mse":
        return (found - targets) ** 2
    share = jax.nn.sigmoid(targets)
    softplus = jax.nn.softplus
    return softplus(found) - softplus(targets) - share * (found - targets)


def _training(config: Config, student: Student) -> Training:
    rate = jnp.asarray(config.learning_rate).astype(config.dtype)
    schedule = optax.cosine_decay_schedule(rate, config.num_steps)
    optimizer = optax.adam(lambda step: jnp.asarray(schedule(step)).astype(config.dtype))

    def loss(outputs: Float[Array, "rows 1"], targets: Float[Array, " rows"]) -> Array:
        return jnp.mean(losses(config, outputs[:, 0], targets))

    return Training(student, optimizer, loss)


def _count(config: Config) -> Int[Array, ""]:
    return jnp.asarray(config.num_samples).astype(jnp.int32)


def _places(config: Config, sample: Draw, stage: Int[Array, ""]) -> Int[Array, "steps batch"]:
    """Rows of the minibatches of a stage, with replacement among the first D.

    Drawn at once: a generator inside the loop over steps takes a third of its time.
    """
    shape = (LOOK * _STAGE_LOOKS, config.batch_size)
    count = _count(config)
    share = jr.uniform(jr.fold_in(sample.batches, stage), shape, config.dtype)
    # Rounding may take the product up to D itself.
    return jnp.minimum(jnp.floor(share * count.astype(config.dtype)).astype(jnp.int32), count - 1)


def finite(values: dict[str, Array]) -> Bool[Array, ""]:
    """Whether all of them are finite numbers."""
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(value)) for value in values.values()]))
