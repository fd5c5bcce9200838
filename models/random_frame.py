"""A superposition autoencoder that is not trained: random unit rows, one bias, one gain.

    y = ReLU(a x W W^T + b),  W_i uniform on the unit sphere in m dimensions, i = 1..n
    x_i = s_i v_i,  s_i ~ Bernoulli(E/n),  v_i ~ U(0, 2)
    loss = sum_i E (x_i - y_i)^2

The bias that all outputs share is the best one, once with the gain a = 1 and once together with
the best gain: 1/m laws with different constants.

| here | symbol | Liu 2505.10465 |
|---|---|---|
| num_features | n | n |
| width | m | m |
| activation_density | E | E |
| gain | a | squared norm of a row |
"""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from scalinglab.models.fields import field, require_integer, require_number
from scalinglab.models.interface import Model, Observable, Status
from scalinglab.models.superposition.sources import SOURCES

_FRAME, _FIT, _TEST = 1, 2, 3
_STEPS = 100
_TOLERANCE = 1e-5


class Config(eqx.Module):
    """One frozen frame; sizes and `dtype` are static."""

    num_features: int = field(1000, "n", ">= 2", "features of the data", static=True)
    width: int = field(100, "m", "1..n", "hidden dimensions that the features share", static=True)
    activation_density: float = field(1.0, "E", "(0, n]", "mean number of active features")
    num_samples: int = field(
        4000,
        "S",
        ">= 2",
        "samples that fit bias and gain, and fresh ones for the loss",
        static=True,
    )
    dtype: Literal["float32", "float64"] = field(
        "float32", "", "float32 | float64", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name, low in (("num_features", 2), ("width", 1), ("num_samples", 2)):
        require_integer(name, getattr(config, name), low)
    if config.width > config.num_features:
        raise ValueError(
            f"width: {config.width} exceeds num_features {config.num_features}; give at most that"
        )
    most = config.num_features
    require_number(
        "activation_density",
        config.activation_density,
        low=0.0,
        high=most,
        open_low=True,
        remedy=f"give a finite number above 0 and at most num_features {most}",
    )
    if config.dtype not in ("float32", "float64"):
        raise ValueError(f"dtype: {config.dtype!r}; give float32 or float64")


class Samples(NamedTuple):
    """Samples that are not empty, and what stands for the empty ones.

    `inputs` x and `overlaps` W W^T x, (n, S); `weight` (S,), whose weighted sums are expectations;
    `empty`, the expected number of outputs of empty samples, n (1 - E/n)^n.
    """

    inputs: Float[Array, "features samples"]
    overlaps: Float[Array, "features samples"]
    weight: Float[Array, " samples"]
    empty: Float[Array, ""]


class Best(NamedTuple):
    """The gain and bias of the least loss on the samples, and whether they were reached."""

    gain: Float[Array, ""]
    bias: Float[Array, ""]
    converged: Bool[Array, ""]


def frame(config: Config, *, key: PRNGKeyArray) -> Float[Array, "features width"]:
    """n independent rows, uniform on the unit sphere in m dimensions."""
    shape = (config.num_features, config.width)
    rows = jr.normal(jr.fold_in(key, _FRAME), shape, config.dtype)
    return rows / jnp.linalg.norm(rows, axis=1, keepdims=True)


@jax.default_matmul_precision("highest")
def draw_samples(
    config: Config, rows: Float[Array, "features width"], *, key: PRNGKeyArray
) -> Samples:
    """Samples with one feature forced to be active: all in turn, from a random one.

    An active set of k features then has k/E times its own probability; the weights undo that, and
    the empty set is counted exactly.
    """
    features, size = config.num_features, config.num_samples
    density = jnp.asarray(config.activation_density).astype(config.dtype)
    probability = density / features
    entries, values = jr.split(key)
    uniform = jr.uniform(entries, (features, size), config.dtype)
    # A uniform number below p, over p, is uniform again.
    inputs = jnp.where(uniform < probability, uniform * (2 / probability), 0.0)
    # In (0, 1]: a value of zero would not count as active.
    value = 1 - jr.uniform(values, (size + 1,), config.dtype)
    first = (value[-1] * features).astype(jnp.int32)
    forced = (first + jnp.arange(size, dtype=jnp.int32)) % features
    inputs = inputs.at[forced, jnp.arange(size)].set(2 * value[:-1])
    active = jnp.sum((inputs > 0).astype(config.dtype), axis=0)
    empty = features * jnp.exp(features * jnp.log1p(-jnp.minimum(probability, 1.0)))
    return Samples(inputs, rows @ (rows.T @ inputs), density / active / size, empty)


def sample_losses(
    samples: Samples, gain: Float[Array, ""], bias: Float[Array, ""]
) -> Float[Array, " samples"]:
    """sum_i (x_i - ReLU(a (W W^T x)_i + b))^2 of each sample."""
    output = jnp.maximum(gain * samples.overlaps + bias, 0.0)
    return jnp.sum((samples.inputs - output) ** 2, axis=0)


def mean_loss(samples: Samples, gain: Float[Array, ""], bias: Float[Array, ""]) -> Float[Array, ""]:
    """The expected loss of gain and bias, empty samples included."""
    empty = samples.empty * jnp.maximum(bias, 0.0) ** 2
    return samples.weight @ sample_losses(samples, gain, bias) + empty


def best_gain_and_bias(samples: Samples, width: int, *, free: Bool[Array, ""]) -> Best:
    """The gain and the bias of least loss, or the bias of least loss at gain 1.

    Where the outputs that are on stay on, the loss is quadratic in (a, b). The least squares of
    those are taken (Gauss-Newton), from the optimum's order b = -1/√m, until the loss changes by
    less than 1e-5 of itself. It is quadratic around its minimum, so that gain and bias are then
    right to some 1e-3. Few samples have a ragged minimum, which is missed by some 1e-4 of the loss:
    far below its standard error.

    **Arguments:** `free`, whether the gain is.
    """
    dtype = samples.inputs.dtype

    def going(state: tuple[Array, ...]) -> Bool[Array, ""]:
        count, _, _, loss, before = state
        return (count < _STEPS) & ~(jnp.abs(loss - before) <= _TOLERANCE * loss)

    def one(state: tuple[Array, ...]) -> tuple[Array, ...]:
        count, gain, bias, loss, _ = state
        normal, right = _least_squares(samples, gain, bias)
        determinant = normal[0, 0] * normal[1, 1] - normal[0, 1] ** 2
        gain = (normal[1, 1] * right[0] - normal[0, 1] * right[1]) / determinant
        gain = jnp.where(free, gain, 1.0)
        bias = (right[1] - normal[0, 1] * gain) / normal[1, 1]
        return count + 1, gain, bias, mean_loss(samples, gain, bias), loss

    gain, bias = jnp.ones((), dtype), jnp.asarray(-1 / math.sqrt(width), dtype)
    unknown = jnp.asarray(jnp.inf, dtype)
    start = (jnp.int32(0), gain, bias, mean_loss(samples, gain, bias), unknown)
    count, gain, bias, _, _ = lax.while_loop(going, one, start)
    return Best(gain, bias, count < _STEPS)


def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """The loss of one frozen random frame, at gain 1 and at the best gain.

    **Returns:** `unit_loss` and `unit_bias` at gain 1; `loss`, `gain`, `bias` at the best gain;
    the losses are those on fresh samples, each with the standard error from its samples, not from
    the frame; `mean_squared_overlap` of the rows; `status`. Everything is NaN where that is not OK.

    **Source:** the strong regime of Liu et al. 2505.10465 without training.

    **Limits:** loss proportional to 1/m for n >> m >> the constant c(n, E) of the 1/m law; 4E/3 -
    E^2/n at small m, where the best output is constant.
    """
    rows = frame(config, key=key)
    keys = jnp.stack([jr.fold_in(key, part) for part in (_FIT, _TEST)])
    both = jax.vmap(lambda key: draw_samples(config, rows, key=key))(keys)
    fit, test = (jax.tree.map(lambda values, i=i: values[i], both) for i in (0, 1))
    best = jax.vmap(lambda free: best_gain_and_bias(fit, config.width, free=free))(
        jnp.array([False, True])
    )
    losses, errors = jax.vmap(lambda best: _tested(test, best))(best)
    found = {
        "loss": losses[1],
        "loss_error": errors[1],
        "gain": best.gain[1],
        "bias": best.bias[1],
        "unit_loss": losses[0],
        "unit_loss_error": errors[0],
        "unit_bias": best.bias[0],
        "mean_squared_overlap": _mean_squared_overlap(rows),
    }
    finite = jnp.all(jnp.isfinite(jnp.stack(list(found.values()))))
    reached = jnp.where(
        jnp.all(best.converged), jnp.int32(Status.OK), jnp.int32(Status.NOT_CONVERGED)
    )
    status = jnp.where(finite, reached, jnp.int32(Status.NOT_FINITE))
    kept = {name: jnp.where(status == Status.OK, value, jnp.nan) for name, value in found.items()}
    return {**kept, "status": status}


def _least_squares(
    samples: Samples, gain: Float[Array, ""], bias: Float[Array, ""]
) -> tuple[Float[Array, "2 2"], Float[Array, " 2"]]:
    """The normal equations, over the outputs that are on, of x against (W W^T x, 1)."""
    inputs, overlaps, weight, empty = samples
    on = jnp.where(gain * overlaps + bias > 0, weight[None, :], 0.0)
    cross = jnp.sum(on * overlaps)
    silent = jnp.where(bias > 0, empty, 0.0)
    normal = jnp.stack([jnp.sum(on * overlaps**2), cross, cross, jnp.sum(on) + silent])
    return normal.reshape(2, 2), jnp.stack([jnp.sum(on * inputs * overlaps), jnp.sum(on * inputs)])


def _tested(samples: Samples, best: Best) -> tuple[Float[Array, ""], Float[Array, ""]]:
    each = samples.weight * sample_losses(samples, best.gain, best.bias) * len(samples.weight)
    error = jnp.std(each, ddof=1) / math.sqrt(len(each))
    return mean_loss(samples, best.gain, best.bias), error


@jax.default_matmul_precision("highest")
def _mean_squared_overlap(rows: Float[Array, "features width"]) -> Float[Array, ""]:
    """Over i != j: sum_ij (W_i.W_j)^2 is the squared Frobenius norm of W^T W."""
    count = len(rows)
    return (jnp.sum((rows.T @ rows) ** 2) - count) / (count * (count - 1))


MODEL = Model(
    name="random-frame",
    summary="a superposition autoencoder with frozen random unit rows, one bias and one gain",
    version=1,
    Config=Config,
    simulate=simulate,
    smallest=Config(num_features=60, width=12, num_samples=256, dtype="float64"),
    observables={
        "loss": Observable("sum over features of E (x - y)^2 at the best gain and bias"),
        "loss_error": Observable("standard error of `loss`, from the samples"),
        "gain": Observable("the best gain"),
        "bias": Observable("the best bias with it"),
        "unit_loss": Observable("the loss at gain 1 and the best bias"),
        "unit_loss_error": Observable("standard error of `unit_loss`, from the samples"),
        "unit_bias": Observable("the best bias at gain 1"),
        "mean_squared_overlap": Observable("mean squared cosine of two rows"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x_i = s_i v_i, s_i ~ Bernoulli(E/n), v_i ~ U(0, 2);  y = ReLU(a x W W^T + b), |W_i| = 1 "
        "random;  loss = sum_i E (x_i - y_i)^2, least over b, and over a and b"
    ),
    symbols={
        "n": "num_features",
        "m": "width",
        "E": "activation_density",
        "S": "num_samples",
        "a, b": "gain, bias",
    },
    sources=SOURCES,
)
