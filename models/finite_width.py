"""A network of finite width and its linearisation, trained alike from the same initialisation.

    h_1 = W_1 x/√d,   h_l+1 = W_l+1 g phi(h_l)/√w,   f = W_L+1 g phi(h_L)/√w,   all W ~ N(0, 1)
    f_lin(x) = f_0(x) + J(x) (theta - theta_0),   J = df/dtheta at theta_0
    theta <- theta - eta grad (1/D) sum_n loss(f(x_n), y_n)             (all data in every step)

phi is relu with g = √2 or erf with g = 1, in the neural tangent parametrisation: f stays of order
one and so does the learning rate as w grows, and f - f_lin is of order 1/w in every draw. The
linearised network is the control variate of Bahri et al.: the scatter between initialisations
that it shares with the network cancels in the difference of their test losses.

Training and test set are the same in every lane: averages are over initialisations at fixed data.

- `gaussian`: x ~ N(0, I_d), y = √(2/J) sum_j cos(u_j . x/√d + b_j), J = 256 features of one draw:
  a smooth function, near a Gaussian process of covariance exp(-|x - x'|²/2d). 1000 test points.
- `digits`: scikit-learn's images of 8 x 8 pixels less their mean, scaled to |x|² = d = 64, ten
  outputs, 497 test images. Without the mean one eigenvalue of the kernel does not bound the rate.

The squared error is |f - y|², of which half is lowered; y is the value, or for digits one-hot less
its mean 1/10. Cross-entropy has ten classes, or for `gaussian` the sign of y as two.

| here | symbol | Bahri 2102.06701 |
|---|---|---|
| width | w | w |
| depth | L, hidden layers | 2 |
| num_samples | D | D = 100 |
| learning_rate, num_steps | eta, t | |
"""

import functools
import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from scalinglab.models.digit_images import ALPAYDIN, raw_digits
from scalinglab.models.fields import field, require_choices, require_integer, require_number
from scalinglab.models.interface import Model, Observable
from scalinglab.models.linear_solve import with_status
from scalinglab.models.random_features.sources import SOURCES
from scalinglab.models.students import Student, Training, advance, start

GAUSSIAN_TEST, DIGITS_TRAIN, DIGITS = 1000, 1300, 1797
CLASSES = 10
_FEATURES = 256
# The order of `models.digits`: an even spread over the writers.
_STRIDE = 1111
_TRAIN, _TEST, _TARGET = range(3)


class Config(eqx.Module):
    """One network and its linearisation; everything but the learning rate is static."""

    width: int = field(64, "w", ">= 1", "units of a hidden layer", static=True)
    depth: int = field(2, "L", ">= 1", "hidden layers", static=True)
    num_samples: int = field(100, "D", "1..1300", "training points", static=True)
    num_steps: int = field(100, "t", ">= 0", "steps of gradient descent", static=True)
    learning_rate: float = field(0.5, "eta", "> 0", "of the mean loss, of order one")
    activation: Literal["relu", "erf"] = field(
        "relu", "phi", "relu | erf", "of the hidden layers", static=True
    )
    loss: Literal["mse", "cross-entropy"] = field(
        "mse", "", "mse | cross-entropy", "what training lowers and the test reports", static=True
    )
    data: Literal["gaussian", "digits"] = field(
        "gaussian", "", "gaussian | digits", "inputs and targets", static=True
    )
    input_dimension: int = field(10, "d", ">= 1", "of gaussian inputs; digits have 64", static=True)
    data_seed: int = field(0, "", ">= 0", "of gaussian data, the same in all lanes", static=True)
    dtype: Literal["float32", "float64"] = field(
        "float32", "", "float32 | float64", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name, low, high in (
        ("width", 1, None),
        ("depth", 1, None),
        ("num_samples", 1, DIGITS_TRAIN),
        ("num_steps", 0, None),
        ("input_dimension", 1, None),
        ("data_seed", 0, 2**32 - 1),
    ):
        require_integer(name, getattr(config, name), low, high)
    require_number("learning_rate", config.learning_rate, low=0, open_low=True)
    require_choices(
        config,
        activation=("relu", "erf"),
        loss=("mse", "cross-entropy"),
        data=("gaussian", "digits"),
        dtype=("float32", "float64"),
    )


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` for digits without scikit-learn."""
    data_of(config)


class Data(NamedTuple):
    """Training and test set: inputs x/√d of mean squared norm 1, targets one row a point."""

    inputs: Float[np.ndarray, "samples inputs"]
    targets: Float[np.ndarray, "samples outputs"]
    test_inputs: Float[np.ndarray, "tests inputs"]
    test_targets: Float[np.ndarray, "tests outputs"]


def data_of(config: Config) -> Data:
    """The data of a configuration, float64: the same for every key and every network.

    A smaller training set is the beginning of a larger one, with the same test set.

    **Raises:** `ValueError` for digits without scikit-learn.
    """
    if config.data == "digits":
        return _digits(config.num_samples, config.loss)
    return _gaussian(config.num_samples, config.input_dimension, config.data_seed, config.loss)


@functools.lru_cache(maxsize=64)
def _gaussian(samples: int, dimension: int, seed: int, loss: str) -> Data:
    generators = [np.random.default_rng([seed, part]) for part in (_TRAIN, _TEST, _TARGET)]
    directions = generators[_TARGET].normal(size=(dimension, _FEATURES))
    phases = generators[_TARGET].uniform(0, 2 * np.pi, _FEATURES)
    found = []
    for part, rows in ((_TRAIN, samples), (_TEST, GAUSSIAN_TEST)):
        inputs = generators[part].normal(size=(rows, dimension)) / math.sqrt(dimension)
        values = np.cos(inputs @ directions + phases) @ np.full((_FEATURES, 1), 1.0)
        values *= math.sqrt(2 / _FEATURES)
        if loss == "cross-entropy":
            values = np.hstack([values > 0, values <= 0]).astype(np.float64)
        found += [inputs, values]
    return Data(*found)


@functools.lru_cache(maxsize=64)
def _digits(samples: int, loss: str) -> Data:
    images, labels = raw_digits("finite-width")
    pixels = images.reshape(len(images), -1)
    order = (_STRIDE * np.arange(DIGITS)) % DIGITS
    inputs = pixels[order] - pixels[order[:DIGITS_TRAIN]].mean(axis=0)
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    targets = np.eye(CLASSES)[labels[order]] - (0.1 if loss == "mse" else 0.0)
    train, test = slice(samples), slice(DIGITS_TRAIN, None)
    return Data(inputs[train], targets[train], inputs[test], targets[test])


class Draw(NamedTuple):
    """The initial weights, first to last layer: (d, w), (w, w) ..., (w, outputs), all N(0, 1)."""

    weights: tuple[Float[Array, "_ _"], ...]


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """The initialisation of one lane, each layer from its own `fold_in` of `key`."""
    data = data_of(config)
    sizes = (data.inputs.shape[1], *[config.width] * config.depth, data.targets.shape[1])
    return Draw(
        tuple(
            jr.normal(jr.fold_in(key, layer), (sizes[layer], sizes[layer + 1]), config.dtype)
            for layer in range(len(sizes) - 1)
        )
    )


def network(
    weights: tuple[Array, ...], inputs: Float[Array, "rows inputs"], activation: str
) -> Float[Array, "rows outputs"]:
    """f(x) in the neural tangent parametrisation, for rows x/√d."""
    outputs = inputs @ weights[0]
    for weight in weights[1:]:
        hidden = (
            math.sqrt(2) * jax.nn.relu(outputs) if activation == "relu" else jax.lax.erf(outputs)
        )
        outputs = hidden @ weight / math.sqrt(weight.shape[0])
    return outputs


def linearised(student: Student, weights: tuple[Array, ...]) -> Student:
    """The first-order expansion of any student around the given parameters."""

    def apply(parameters: tuple[Array, ...], inputs: Array) -> Array:
        change = jax.tree.map(lambda new, old: new - old, parameters, weights)
        value, slope = jax.jvp(lambda at: student.apply(at, inputs), (weights,), (change,))
        return value + slope

    return Student(student.init, apply)


def mean_loss(
    outputs: Float[Array, "rows outputs"], targets: Float[Array, "rows outputs"], loss: str
) -> Float[Array, ""]:
    """The mean over rows of |f - y|², or of the cross-entropy in nats."""
    if loss == "mse":
        return jnp.mean(jnp.sum((outputs - targets) ** 2, axis=1))
    return jnp.mean(optax.softmax_cross_entropy(outputs, targets))


# Full precision on accelerators: the difference is a small part of the losses.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Test losses of a network and of its linearisation after the same gradient descent.

        difference = L(f_t) - L(f_lin,t)

    **Arguments:** `config`; `key`, of this lane: it draws the initialisation.

    **Returns:** scalars `test_loss`, `test_loss_linearised` and their `difference`; `train_loss`
    and `train_loss_linearised`; `status`. Losses are NaN where that is not OK.

    **Raises:** `ValueError` for digits without scikit-learn.

    **Source:** Bahri et al. 2102.06701, Fig. 1a bottom right: there D = 100, L = 2, w = 64..11585,
    50 initialisations, 100 to 500 steps.

    **Limits:** the difference falls as 1/w, and is 0 without steps; both losses tend to that of
    the neural tangent kernel, whose f_0 is a Gaussian process.
    """
    weights = draw(config, key=key).weights
    student = Student(
        lambda key: draw(config, key=key).weights,
        lambda weights, inputs: network(weights, inputs, config.activation),
    )
    test, train = _trained(config, student, weights)
    test_linear, train_linear = _trained(config, linearised(student, weights), weights)
    found = {
        "test_loss": test,
        "test_loss_linearised": test_linear,
        "difference": test - test_linear,
        "train_loss": train,
        "train_loss_linearised": train_linear,
    }
    return with_status(found, jnp.asarray(jnp.inf))


def _trained(config: Config, student: Student, weights: tuple[Array, ...]) -> tuple[Array, Array]:
    """Test and training loss of one student after its gradient descent from the weights."""
    inputs, targets, *test = [jnp.asarray(part, config.dtype) for part in data_of(config)]
    # Half the squared error, whose gradient is the residual.
    factor = 0.5 if config.loss == "mse" else 1.0

    def lowered(outputs: Array, targets: Array) -> Array:
        return factor * mean_loss(outputs, targets, config.loss)

    def everything(step: Int[Array, ""]) -> tuple[Array, Array]:
        del step
        return inputs, targets

    rate = jnp.asarray(config.learning_rate).astype(config.dtype)
    training = Training(student, optax.sgd(rate), lowered)
    state = advance(training, start(training, weights), everything, config.num_steps)

    def loss(inputs: Array, targets: Array) -> Array:
        return mean_loss(student.apply(state.parameters, inputs), targets, config.loss)

    return loss(*test), loss(inputs, targets)


MODEL = Model(
    name="finite-width",
    summary="a network of finite width and its linearisation, trained from the same start",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(
        width=24, num_samples=16, num_steps=20, input_dimension=4, activation="erf", dtype="float64"
    ),
    observables={
        "test_loss": Observable("test loss of the network: |f - y|^2, or cross-entropy in nats"),
        "test_loss_linearised": Observable("test loss of the linearised network"),
        "difference": Observable("test loss of the network less that of the linearised one"),
        "train_loss": Observable("training loss of the network"),
        "train_loss_linearised": Observable("training loss of the linearised network"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "h_1 = W_1 x/sqrt(d), h_l+1 = W_l+1 g phi(h_l)/sqrt(w), f = h_L+1, W ~ N(0, 1);  "
        "f_lin = f_0 + J (theta - theta_0);  theta <- theta - eta grad of the mean loss, t times"
    ),
    symbols={
        "w": "width",
        "L": "depth",
        "d": "input_dimension",
        "D": "num_samples",
        "eta": "learning_rate",
        "t": "num_steps",
        "g phi": "sqrt(2) relu, or erf",
    },
    sources={
        "bahri2024": SOURCES["bahri2024"],
        "lee2019": """@inproceedings{lee2019,
  title     = {Wide neural networks of any depth evolve as linear models under gradient descent},
  author    = {Lee, Jaehoon and Xiao, Lechao and Schoenholz, Samuel S. and Bahri, Yasaman
               and Novak, Roman and Sohl-Dickstein, Jascha and Pennington, Jeffrey},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {32},
  year      = {2019},
  note      = {arXiv:1902.06720},
}""",
        "alpaydin1998": ALPAYDIN,
    },
)
