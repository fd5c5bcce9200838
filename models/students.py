"""Networks trained by gradient steps: a student is anything with an `init` and an `apply`.

    w_0 = init(key),   w_t+1 = w_t + update(gradient at w_t of the loss on batch t)

Everything is pure and safe under `jit` and `vmap`, so that students of many seeds and settings are
trained in one program. A batch is a function of the step alone: where it draws indices below a
traced number of rows, one program serves training sets of all sizes.

A network of any library takes the same path, split once into arrays and the rest:

    flax nnx     init: nnx.split(Network(rngs))[1]       apply: nnx.merge(graph, w)(inputs)
    equinox      init: eqx.filter(Network(key), arrays)  apply: vmap(eqx.combine(w, rest))(inputs)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree, Shaped

Batch = Callable[[Int[Array, ""]], tuple[Array, Array]]


@dataclass(frozen=True)
class Student:
    """A parametrised function of a batch of inputs.

    **Fields:**

    - `init`: `init(key)` to the parameters, a pytree of floating arrays.
    - `apply`: `apply(parameters, inputs)` to the outputs, one row an input.
    """

    init: Callable[[PRNGKeyArray], Any]
    apply: Callable[[Any, Array], Array]


@dataclass(frozen=True)
class Training:
    """A student, the optimizer of its parameters, and the loss that it lowers.

    **Fields:** `student`; `optimizer`, of optax; `loss`, `loss(outputs, targets)` to a number.
    """

    student: Student
    optimizer: optax.GradientTransformation
    loss: Callable[[Array, Array], Array]


class TrainingState(NamedTuple):
    """Where a training stands: `parameters`, the optimizer's `memory`, and steps done."""

    parameters: PyTree
    memory: PyTree
    step: Int[Array, ""]


def start(training: Training, parameters: PyTree) -> TrainingState:
    """The state before the first step, from parameters such as `training.student.init(key)`."""
    return TrainingState(parameters, training.optimizer.init(parameters), jnp.zeros((), jnp.int32))


def advance(
    training: Training, state: TrainingState, batch: Batch, num_steps: int
) -> TrainingState:
    """The state `num_steps` steps later; two calls of n and m steps are one of n + m.

    **Arguments:** `batch`, `batch(step)` to (inputs, targets), where `step` counts from the start
    of the training, an int32; `num_steps`, at least 0, static.
    """

    def loss(parameters: PyTree, inputs: Array, targets: Array) -> Array:
        return training.loss(training.student.apply(parameters, inputs), targets)

    def one_step(now: TrainingState, _: None) -> tuple[TrainingState, None]:
        gradient = jax.grad(loss)(now.parameters, *batch(now.step))
        # optax raises a number to the power of an integer step, which strict promotion refuses.
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = training.optimizer.update(gradient, now.memory, now.parameters)
        parameters = optax.apply_updates(now.parameters, updates)
        return TrainingState(parameters, memory, now.step + 1), None

    return jax.lax.scan(one_step, state, length=num_steps)[0]


def cross_entropy(
    logits: Float[Array, "rows classes"], labels: Int[Array, " rows"]
) -> Float[Array, ""]:
    """The mean of -log softmax(logits)[label], in nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def multilayer_perceptron(
    widths: Sequence[int],
    dtype: str,
    *,
    activation: Callable[[Array], Array] = jax.nn.relu,
) -> Student:
    """A fully connected network of flax (nnx), split once into its graph and its state.

        h_0 = x,  h_l = phi(W_l h_l-1 + b_l),  outputs = W_L h_L-1 + b_L
        W_l ~ N(0, 1/inputs of the layer) truncated at two standard deviations, b_l = 0

    **Arguments:** `widths`, of the inputs, each hidden layer, and the outputs: at least two, each
    at least 1; `dtype`, of parameters and arithmetic; `activation`, phi.

    **Raises:** `ValueError` when flax is not installed.

    **Limits:** without a hidden layer, a linear classifier.
    """
    nnx = require_flax()

    def build(key: PRNGKeyArray) -> Any:
        rngs = nnx.Rngs(params=key)
        layers = []
        for i in range(len(widths) - 1):
            layers += [activation] if i else []
            layers.append(
                nnx.Linear(widths[i], widths[i + 1], dtype=dtype, param_dtype=dtype, rngs=rngs)
            )
        return nnx.Sequential(*layers)

    graph, _ = nnx.split(nnx.eval_shape(lambda: build(jax.random.key(0))))

    def init(key: PRNGKeyArray) -> Any:
        return nnx.split(build(key))[1]

    def apply(parameters: Any, inputs: Shaped[Array, "rows inputs"]) -> Array:
        return nnx.merge(graph, parameters)(inputs)

    return Student(init, apply)


def require_flax() -> Any:
    """`flax.nnx`.

    **Raises:** `ValueError` with the remedy when flax is not installed.
    """
    try:
        from flax import nnx
    except ImportError:
        raise ValueError(
            "students: the networks are built with flax, which is not installed; "
            "pip install scalinglab[networks]"
        ) from None
    return nnx
