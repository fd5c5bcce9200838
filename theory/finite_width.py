"""The neural tangent kernel of a network: exact at finite width, and in closed form as it grows.

A linearised network under gradient descent on half the squared error keeps the kernel K = J J^T
of its start. With z = eta K/D on the training set and f_0 the network at its start,

    f_t(x) = f_0(x) + (eta/D) K(x, X) s_t(z) (y - f_0(X)),   s_t(z) = (1 - (1 - z)^t)/z        (L)

which is K(x, X) K^-1 (I - (1 - eta K/D)^t) without an inverse. Given the draw this is exact for
`test_loss_linearised` and `train_loss_linearised`.

As w grows, K tends to Theta and f_0 to a Gaussian process of covariance Q, independent outputs:

    Q_0 = Theta_0 = x . x'/d,   Q_l = F(Q_l-1),   Theta_l = Q_l + F'(Q_l-1) Theta_l-1,   l = 1..L

    relu, g = √2   F = √(q q') (sin u + (pi - u) cos u)/pi,  F' = (pi - u)/pi,  cos u = Q/√(q q')
    erf, g = 1     F = (2/pi) arcsin(2 Q/√((1 + 2q)(1 + 2q'))),
                   F' = (4/pi)/√((1 + 2q)(1 + 2q') - 4 Q²)

with q, q' the variances at x and x'. With M = (eta/D) Theta(x, X) s_t(z), the mean over f_0 of the
squared error summed over the C outputs is

    L(infinity) = |y(x) - M y|² + C (Q(x, x) - 2 M Q(X, x) + M Q(X, X) M^T)                     (I)

averaged over the test points: the bias of the mean network and the variance of f_0. Networks and
their linearisations of width w are off it by O(1/w), for one in the kernel and the law of f_0, and
for the network also in the change of its kernel, which is all that their difference has.

| here | symbol | Bahri 2102.06701 |
|---|---|---|
| width | w | w |
| depth | L | hidden layers |
| learning_rate, num_steps | eta, t | |
| loss at infinite width | L(infinity) | L(infinity) |
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models.finite_width import Config, data_of, draw, network
from scalinglab.theory.prediction import Prediction, Theory, predict_from

_EXACT_SOURCE = "equation (L), gradient descent in function space: Lee et al. 1902.06720, eq. (8)"
_LIMIT_SOURCE = "equation (I): arc-cosine and arcsine kernels; Jacot et al. 1806.07572"
# |E L(w)/L(infinity) - 1| w/(L D): 0.02 measured on Gaussian data and 0.14 on digits with relu, at
# D = 100, w = 32..128 and 100 steps; rounded up.
_STATED = 0.2


class Kernels(NamedTuple):
    """Covariance `start` Q of f_0 and tangent kernel `tangent` Theta of one output."""

    start: Float[np.ndarray, "rows cols"]
    tangent: Float[np.ndarray, "rows cols"]


def infinite_kernels(
    left: Float[np.ndarray, "rows inputs"],
    right: Float[np.ndarray, "cols inputs"],
    *,
    depth: int,
    activation: str,
) -> Kernels:
    """Q and Theta between two sets of inputs x/√d as the width grows.

    **Arguments:** `depth` L >= 1; `activation`, relu or erf.

    **Source:** Cho and Saul 2009 (relu), Williams 1997 (erf), Jacot et al. 1806.07572 (Theta).

    **Limits:** relu and x = x': Q = |x|²/d, Theta = (L + 1) Q.
    """
    layer = _relu_layer if activation == "relu" else _erf_layer
    own = [np.sum(inputs**2, axis=1) for inputs in (left, right)]
    start = left @ right.T
    tangent = start
    for _ in range(depth):
        start, slope = layer(start, own[0][:, None], own[1][None, :])
        # Of an input with itself there is no angle to lose digits on.
        own = [layer(values, values, values)[0] for values in own]
        tangent = start + slope * tangent
    return Kernels(start, tangent)


def _relu_layer(cross: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[Any, Any]:
    scale = np.sqrt(one * other)
    cosine = np.clip(cross / np.where(scale > 0, scale, 1.0), -1.0, 1.0)
    angle = np.arccos(cosine)
    curve = np.sqrt(1 - cosine**2) + (np.pi - angle) * cosine
    return scale * curve / np.pi, (np.pi - angle) / np.pi


def _erf_layer(cross: np.ndarray, one: np.ndarray, other: np.ndarray) -> tuple[Any, Any]:
    square = (1 + 2 * one) * (1 + 2 * other)
    value = (2 / np.pi) * np.arcsin(2 * cross / np.sqrt(square))
    return value, (4 / np.pi) / np.sqrt(square - 4 * cross**2)


class Losses(NamedTuple):
    """Mean squared errors, summed over outputs, on the test and on the training set."""

    test: float
    train: float


@functools.lru_cache(maxsize=256)
def infinite_width_losses(config: Config) -> Losses:
    """Equation (I): the mean over initialisations of the squared errors of infinitely wide nets.

    **Arguments:** `config`, whose width is ignored.

    **Raises:** `ValueError` for another loss than mse, and for digits without scikit-learn.

    **Limits:** after many steps of a stable rate the training loss is 0; without steps the losses
    are the mean square of y and C times the mean of Q(x, x).
    """
    if config.loss != "mse":
        raise ValueError(f"loss: {config.loss!r} has no closed form at infinite width; give mse")
    data = data_of(config)
    shape = {"depth": config.depth, "activation": config.activation}
    train = infinite_kernels(data.inputs, data.inputs, **shape)
    cross = infinite_kernels(data.test_inputs, data.inputs, **shape)
    own = np.array(
        [infinite_kernels(row[None], row[None], **shape).start[0, 0] for row in data.test_inputs]
    )
    values, vectors = np.linalg.eigh(train.tangent)
    rate = config.learning_rate / config.num_samples
    steps = np.asarray(_steps(jnp.asarray(rate * values), config.num_steps))
    outputs = data.targets.shape[1]

    learned = rate * (cross.tangent @ vectors) * steps @ vectors.T
    bias = np.sum((data.test_targets - learned @ data.targets) ** 2, axis=1)
    spread = np.sum(learned * (learned @ train.start - 2 * cross.start), axis=1) + own

    left = (vectors * (1 - rate * values) ** config.num_steps) @ vectors.T
    residual = np.sum((left @ data.targets) ** 2)
    residual += outputs * np.sum(left * (left @ train.start))
    return Losses(float(np.mean(bias + outputs * spread)), float(residual / config.num_samples))


def _steps(share: Float[Array, "..."], num_steps: int) -> Float[Array, "..."]:
    """s_t(z) = sum over k < t of (1 - z)^k, without loss of digits at small z."""
    small = jnp.abs(share) < 0.5
    inside = jnp.where(small & (share != 0), share, 0.25)
    near = -jnp.expm1(num_steps * jnp.log1p(-inside)) / inside
    apart = jnp.where(small, 1.0, share)
    far = (1 - (1 - apart) ** num_steps) / apart
    return jnp.where(share == 0, float(num_steps), jnp.where(small, near, far))


def empirical_kernels(
    config: Config, *, key: PRNGKeyArray
) -> tuple[Float[Array, "points outputs samples outputs"], Float[Array, "points outputs"]]:
    """K(x, X) = J(x) J(X)^T of one draw, and f_0(x), for training then test points x; float64.

    **Arguments:** as `predict`. Row by row: J(X) alone is kept, D C times the number of weights.
    """
    data = data_of(config)
    weights = tuple(weight.astype(jnp.float64) for weight in draw(config, key=key).weights)
    train = jnp.asarray(data.inputs)
    every = jnp.concatenate([train, jnp.asarray(data.test_inputs)])

    def outputs(inputs: Array) -> Any:
        return lambda weights: network(weights, inputs, config.activation)

    jacobian = jax.jacrev(outputs(train))(weights)
    samples, classes = data.targets.shape
    rows = jax.tree.map(lambda leaf: leaf.reshape(samples * classes, *leaf.shape[2:]), jacobian)
    kernel = jax.lax.map(lambda row: jax.jvp(outputs(every), (weights,), (row,))[1], rows)
    points = every.shape[0]
    kernel = jnp.moveaxis(kernel.reshape(samples, classes, points, classes), (2, 3), (0, 1))
    return kernel, outputs(every)(weights)


def linearised_losses(
    config: Config, *, key: PRNGKeyArray
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Equation (L): squared errors of the linearised network of one draw, on test and training set.

    **Arguments:** `config` of loss mse; `key`, of the simulated lane.
    """
    data = data_of(config)
    kernel, start = empirical_kernels(config, key=key)
    samples, classes = data.targets.shape
    kernel = kernel.reshape(-1, samples * classes)
    values, vectors = jnp.linalg.eigh(kernel[: samples * classes])
    rate = config.learning_rate / samples
    residual = (jnp.asarray(data.targets) - start[:samples]).reshape(-1)
    filtered = vectors @ (_steps(rate * values, config.num_steps) * (vectors.T @ residual))
    found = start + rate * (kernel @ filtered).reshape(start.shape)
    targets = jnp.concatenate([jnp.asarray(data.targets), jnp.asarray(data.test_targets)])
    errors = jnp.sum((found - targets) ** 2, axis=1)
    return jnp.mean(errors[samples:]), jnp.mean(errors[:samples])


def _exact(config: Config, *, key: PRNGKeyArray) -> Prediction:
    test, train = linearised_losses(config, key=key)
    observables = {"test_loss_linearised": test, "train_loss_linearised": train}
    return Prediction(observables, "function-space", "exact", 0.0, _EXACT_SOURCE)


def _infinite_width(config: Config) -> Prediction:
    losses = infinite_width_losses(config)
    observables = {
        "test_loss": losses.test,
        "test_loss_linearised": losses.test,
    }
    error = _STATED * config.depth * config.num_samples / config.width
    return Prediction(
        observables, "infinite-width", "deterministic_equivalent", error, _LIMIT_SOURCE
    )


def _is_mse(config: Config) -> bool:
    return config.loss == "mse"


THEORIES = (
    Theory(
        "infinite-width",
        "deterministic_equivalent",
        ("test_loss", "test_loss_linearised"),
        _is_mse,
        _infinite_width,
        _LIMIT_SOURCE,
    ),
    Theory(
        "function-space",
        "exact",
        ("test_loss_linearised", "train_loss_linearised"),
        _is_mse,
        _exact,
        _EXACT_SOURCE,
        needs_key=True,
    ),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` at infinite width, or with `key` and `theory` that of one linearised draw.

    **Raises:** `ValueError` for cross-entropy, which has no closed form, an unknown theory and one
    that needs a key without one; `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
