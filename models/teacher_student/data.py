"""A random teacher, its samples, and the line on which it is compared with a student.

    x ~ U[-1, 1]^d,   h_1 = relu(A_1 x + a_1),   h_2 = relu(A_2 h_1 + a_2),   t = u . h_2
    A_l ~ N(0, 2/inputs of the layer),   a_l ~ N(0, teacher_bias^2),   u ~ N(0, 1),
    y = (t - mean t)/(standard deviation of t), over the inputs of the pool

Without biases t is homogeneous, t(c x) = c t(x) for c > 0: all of its kinks meet at the origin.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from .config import Config

LINE = 65
_TEACHER, _INPUTS, _NOISE, _STUDENT, _BATCHES = range(5)
_STREAMS = 5


class Layer(NamedTuple):
    """Weights and biases of one layer."""

    weights: Float[Array, "outputs inputs"]
    bias: Float[Array, " outputs"]


class Teacher(NamedTuple):
    """Two hidden layers, a readout, and the mean and scale that are taken off."""

    hidden: tuple[Layer, Layer]
    readout: Float[Array, " units"]
    mean: Float[Array, ""]
    scale: Float[Array, ""]


class Draw(NamedTuple):
    """The random objects of one lane; none depends on the number of samples.

    - `inputs`, `targets`: of the pool, of which a student learns the first D.
    - `test_inputs`, `test_targets`: fresh and free of noise.
    - `line_inputs`, `line_targets`: on the segment between the first two inputs of the pool.
    - `student`, `batches`: the keys of its parameters and of its minibatches.
    """

    inputs: Float[Array, "pool dimension"]
    targets: Float[Array, " pool"]
    test_inputs: Float[Array, "test dimension"]
    test_targets: Float[Array, " test"]
    line_inputs: Float[Array, "line dimension"]
    line_targets: Float[Array, " line"]
    student: PRNGKeyArray
    batches: PRNGKeyArray


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """The random objects of one lane, each from its own `fold_in` of `key`."""
    # Few and large calls of the generator: each adds half a second to a compilation.
    streams = jax.vmap(jr.fold_in, (None, 0))(key, jnp.arange(_STREAMS))
    pool, fresh, dtype = config.pool_size, config.test_samples, config.dtype
    inputs = jr.uniform(streams[_INPUTS], (pool + fresh, config.input_dimension), dtype, -1, 1)
    inputs, test_inputs = inputs[:pool], inputs[pool:]
    share = jnp.linspace(0, 1, LINE, dtype=dtype)[:, None]
    line = inputs[0][None, :] * (1 - share) + inputs[1][None, :] * share
    teacher = draw_teacher(config, inputs, key=streams[_TEACHER])
    noise = jr.normal(streams[_NOISE], (pool,), dtype)
    return Draw(
        inputs=inputs,
        targets=outputs(teacher, inputs) + jnp.asarray(config.label_noise).astype(dtype) * noise,
        test_inputs=test_inputs,
        test_targets=outputs(teacher, test_inputs),
        line_inputs=line,
        line_targets=outputs(teacher, line),
        student=streams[_STUDENT],
        batches=streams[_BATCHES],
    )


def draw_teacher(
    config: Config, inputs: Float[Array, "pool dimension"], *, key: PRNGKeyArray
) -> Teacher:
    """A teacher whose outputs have mean 0 and variance 1 on these inputs."""
    width, dtype = config.teacher_width, config.dtype
    widths = (config.input_dimension, width)
    normal = jr.normal(key, ((sum(widths) + 3) * width,), dtype)
    spread = jnp.asarray(config.teacher_bias).astype(dtype)
    layers = []
    for size in widths:
        weights, bias, normal = jnp.split(normal, (size * width, (size + 1) * width))
        scale = jnp.sqrt(jnp.asarray(2 / size, dtype))
        layers.append(Layer(scale * weights.reshape(width, size), spread * bias))
    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    raw = Teacher((layers[0], layers[1]), normal, zero, one)
    found = outputs(raw, inputs)
    return raw._replace(mean=jnp.mean(found), scale=jnp.std(found))


@jax.default_matmul_precision("highest")
def outputs(teacher: Teacher, inputs: Float[Array, "rows dimension"]) -> Float[Array, " rows"]:
    """y of the module's equation."""
    hidden = inputs
    for weights, bias in teacher.hidden:
        hidden = jax.nn.relu(hidden @ weights.T + bias[None, :])
    return (hidden @ teacher.readout - teacher.mean) / teacher.scale
