"""Training: Adam on fresh batches, with decoupled decay of the weights or a spring on their norms.

    y = ReLU(x W W^T + b),  loss = (1/B) sum over the batch of sum_i I_i (x_i - y_i)^2

A step computes the gradient, decays W, and then takes the step of Adam. Batches are (n, B), and
two transposes are kept apart from the products that use them: folded in, they make a product
with the batch as the inner index, several times slower on CPUs.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import optax
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from .config import Config
from .data import batch_shape, draw_batch, feature_law
from .threefry import words_of

_WEIGHTS, _BIAS, _DATA = 1, 2, 3
_STAGE_OPERATIONS = 1e11


class Parameters(NamedTuple):
    """W and b; columns of W beyond the width are zero and stay so."""

    weights: Float[Array, "features padded"]
    bias: Float[Array, " features"]


class Training(NamedTuple):
    """What a run carries: the parameters, Adam's moments, the number of steps taken."""

    parameters: Parameters
    adam: optax.OptState
    step: Int[Array, ""]


def columns(config: Config) -> Bool[Array, " padded"]:
    """Which columns of the padded weights belong to the width."""
    return jnp.arange(config.padded_width) < config.width


def importance(config: Config) -> Float[Array, " features"]:
    """I_i = importance_decay^(i - 1)."""
    rank = jnp.arange(config.num_features).astype(config.dtype)
    return jnp.exp(rank * jnp.log(_cast(config, config.importance_decay)))


def stage_count(config: Config) -> int:
    """At least fifty stages, of twenty steps or more and of at most 10^11 operations a model."""
    width = config.padded_width
    operations = 10.0 * config.batch_size * config.num_features * width * config.num_steps
    stages = max(50, int(operations / _STAGE_OPERATIONS))
    return -(-config.num_steps // _stage_steps(config, stages))


def start(config: Config, *, key: PRNGKeyArray) -> Training:
    """The network before the first step."""
    mask = columns(config)
    shape = (config.num_features, config.padded_width)
    width = _cast(config, config.width)
    variance = 1 / width if config.weight_init == "unit_rows" else 2 / (width + shape[0])
    normal = jr.normal(jr.fold_in(key, _WEIGHTS), shape, config.dtype)
    weights = jnp.where(mask[None, :], normal * jnp.sqrt(variance), 0.0)
    if config.bias_init == "normal":
        bias = jr.normal(jr.fold_in(key, _BIAS), shape[:1], config.dtype)
    else:
        bias = jnp.zeros(shape[:1], config.dtype)
    parameters = Parameters(weights, bias)
    return Training(parameters, _adam(config).init(parameters), jnp.zeros((), jnp.int32))


# Full precision on accelerators: the default there may round products to ten bits.
@jax.default_matmul_precision("highest")
def advance(
    config: Config, state: Training, stage: Int[Array, ""], *, key: PRNGKeyArray
) -> Training:
    """The network one stage later.

    The data of a step follow from the number of the step, which is in the state.
    """
    del stage
    shape = batch_shape(config, config.batch_size)
    law = feature_law(config, shape)
    words = words_of(jr.fold_in(key, _DATA))

    def one(_: Int[Array, ""], state: Training) -> Training:
        return train_step(config, state, draw_batch(law, shape, words, state.step))

    count = stage_count(config)
    return lax.fori_loop(0, -(-config.num_steps // count), one, state)


def train_step(
    config: Config, state: Training, batch: Float[Array, "features samples"]
) -> Training:
    """One step; after the last one of the run, no more than the counter moves."""
    rate = learning_rate(config, state.step)
    gradient = loss_gradient(state.parameters, batch, importance(config))
    # optax raises a float to the integer count of its steps.
    with jax.numpy_dtype_promotion("standard"):
        updates, adam = _adam(config).update(gradient, state.adam)
    moved = Parameters(*jax.tree.leaves(updates))
    weights = decayed(state.parameters.weights, rate, _cast(config, config.weight_decay))
    weights = weights - rate * moved.weights
    bias_rate = rate * _cast(config, config.bias_learning_rate)
    bias = state.parameters.bias - bias_rate * moved.bias
    # The last stage may be longer than what is left.
    running = state.step < config.num_steps
    parameters = Parameters(
        jnp.where(running, weights, state.parameters.weights),
        jnp.where(running, bias, state.parameters.bias),
    )
    return Training(parameters, adam, state.step + 1)


def loss_gradient(
    parameters: Parameters,
    batch: Float[Array, "features samples"],
    importance: Float[Array, " features"],
) -> Parameters:
    """The gradient of the mean loss of a batch, written out.

    D = 2/B I (y - x) [y > 0],  dL/dW = D H^T + X (W^T D)^T,  dL/db = D 1,  H = W^T X
    """
    keep = lax.optimization_barrier
    weights, bias = parameters
    samples = batch.shape[1]
    transposed = keep(weights.T)
    hidden = keep(transposed @ batch)
    before = weights @ hidden + bias[:, None]
    slope = (2 / samples * importance)[:, None]
    difference = jnp.where(before > 0, slope * (before - batch), 0.0)
    backward = keep(transposed @ difference)
    return Parameters(
        weights=difference @ hidden.T + batch @ backward.T,
        # As a product: a sum along rows is slower on CPUs.
        bias=difference @ jnp.ones((samples,), batch.dtype),
    )


def decayed(
    weights: Float[Array, "features padded"],
    rate: Float[Array, ""],
    decay: Float[Array, ""],
) -> Float[Array, "features padded"]:
    """W after the decay of one step, of rate eta.

        gamma >= 0:  W_i (1 - eta gamma)
        gamma < 0:   W_i (1 + eta gamma (1 - 1/|W_i|)),

    a spring that pulls each norm to 1 at the rate eta |gamma|; a row of zeros stays.
    """
    norm = jnp.sqrt(jnp.sum(weights**2, axis=1, keepdims=True))
    inverse = jnp.where(norm > 0, 1 / jnp.where(norm > 0, norm, 1.0), 0.0)
    factor = jnp.where(decay < 0, rate * decay * (1 - inverse), -rate * decay)
    return weights * (1 + factor)


def learning_rate(config: Config, step: Int[Array, ""]) -> Float[Array, ""]:
    """The rate of step t = 0, 1, ..., T - 1: a linear rise over U steps, then half a cosine.

        eta min(1, (t + 1)/U) (f + (1 - f) (1 + cos(pi (t - U)/(T - U)))/2),  U = warmup_fraction T

    with the cosine at 1 before U and at -1 after T.
    """
    time, total = step.astype(config.dtype), float(config.num_steps)
    warmup = _cast(config, config.warmup_fraction) * total
    rise = jnp.where(time + 1 < warmup, (time + 1) / jnp.maximum(warmup, 1.0), 1.0)
    share = jnp.clip((time - warmup) / jnp.maximum(total - warmup, 1.0), 0.0, 1.0)
    final = _cast(config, config.final_fraction)
    cosine = final + (1 - final) * (1 + jnp.cos(jnp.pi * share)) / 2
    return _cast(config, config.learning_rate) * rise * cosine


def _stage_steps(config: Config, stages: int) -> int:
    return min(config.num_steps, max(20, -(-config.num_steps // stages)))


def _adam(config: Config) -> optax.GradientTransformation:
    return optax.scale_by_adam(b1=0.9, b2=0.999, eps=_cast(config, config.adam_epsilon))


def _cast(config: Config, value: int | float | Shaped[Array, ""]) -> Shaped[Array, ""]:
    return jnp.asarray(value).astype(config.dtype)
