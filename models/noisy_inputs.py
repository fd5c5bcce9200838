"""Regression on inputs that carry Gaussian noise, in training and in testing.

    x ~ N(0, diag(lambda)),  lambda_i = i^-a,  i = 1..M
    x' = x + sqrt(tau) g,  g ~ N(0, I)                       what the learner sees
    y = w.x + noise_std * eps,  lambda_i w_i^2 = i^-b        what it has to predict
    phi(x') = F x' / sqrt(N),  F_ni ~ N(0, 1)
    theta = argmin (1/D) |y - Phi theta|^2 + ridge |theta|^2     (minimum norm at ridge 0)

The toy of Fig. 3 right of Bahri et al. 2102.06701, where the pixels of images are noisy. The noise
is drawn: x and g are separate matrices, and nothing here knows that the problem is equivalent to
one without noise (`scalinglab.theory.random_features.with_input_noise`), so that the simulation is
a test of that mapping. For a predictor beta in x-space the population risk on noisy test inputs,

    test risk = sum_i lambda_i (w_i - beta_i)^2 + tau |beta|^2 + noise_variance,

is exact, and it is averaged exactly over independent signs of w_i and over the label noise.
"""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from scalinglab.models.fields import field, require_choices, require_integer, require_number
from scalinglab.models.interface import Model, Observable
from scalinglab.models.linear_solve import inverse_factor, with_status
from scalinglab.models.random_features.sources import SOURCES

_FEATURES, _INPUTS, _INPUT_NOISE = 1, 2, 3


class Config(eqx.Module):
    """One regression on noisy inputs; sizes and `dtype` are static."""

    num_samples: int = field(100, "D", ">= 1", "training samples", static=True)
    num_features: int | None = field(
        None, "N", ">= 1, or None for infinite", "random features", static=True
    )
    eigenvalue_decay: float = field(1.5, "a", "> 1", "lambda_i = i^-a")
    target_decay: float = field(1.5, "b", "> 1", "target power i^-b; b = a is isotropic")
    dimension: int = field(600, "M", ">= 1", "modes of the data, each with noise", static=True)
    input_noise: float = field(1e-3, "tau", ">= 0", "variance of the noise on each input mode")
    ridge: float = field(0.0, "rho", ">= 0", "penalty in the (1/D) normalisation")
    noise_variance: float = field(0.0, "sigma^2", ">= 0", "variance of the label noise")
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name in ("num_samples", "num_features", "dimension"):
        if name != "num_features" or config.num_features is not None:
            require_integer(name, getattr(config, name), 1)
    for name in ("eigenvalue_decay", "target_decay"):
        require_number(name, getattr(config, name), low=1.0, open_low=True)
    for name in ("input_noise", "ridge", "noise_variance"):
        require_number(name, getattr(config, name), low=0.0)
    require_choices(config, dtype=("float64", "float32"))


def infinite_mean(config: Config) -> bool:
    """Whether the mean risk over draws is infinite: ridgeless near an interpolation threshold.

    D meets N where there are more modes than both, and else the modes, since the noise that the
    labels have given noisy inputs (or have anyway) is then fitted exactly.
    """
    if config.ridge > 0:
        return False
    features = math.inf if config.num_features is None else config.num_features
    if features < config.dimension:
        return abs(config.num_samples - features) <= 1 and config.dimension > config.num_samples
    noisy = config.noise_variance > 0 or config.input_noise > 0
    return noisy and abs(config.num_samples - config.dimension) <= 1


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` where the mean risk is infinite."""
    if infinite_mean(config):
        raise ValueError(
            f"ridge: 0 with num_samples {config.num_samples}, num_features {config.num_features} "
            f"and dimension {config.dimension}: the mean risk is infinite where num_samples and "
            "the smaller of the others differ by at most one; give a positive ridge or move them "
            "apart"
        )


class Draw(NamedTuple):
    """The random objects of one lane, all standard normal: z with x = sqrt(lambda) z, g and F."""

    inputs: Float[Array, "samples modes"]
    input_noise: Float[Array, "samples modes"]
    features: Float[Array, "features modes"] | None


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """The data, the noise on it and the features, each from its own `fold_in` of `key`."""

    def normal(stream: int, rows: int) -> Array:
        return jr.normal(jr.fold_in(key, stream), (rows, config.dimension), config.dtype)

    return Draw(
        inputs=normal(_INPUTS, config.num_samples),
        input_noise=normal(_INPUT_NOISE, config.num_samples),
        features=None if config.num_features is None else normal(_FEATURES, config.num_features),
    )


# Full precision on accelerators: the default there may round Gram matrices to ten bits.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Test and train risk of one regression on noisy inputs.

        test_risk = sum_i lambda_i (w_i - beta_i)^2 + tau |beta|^2 + noise_variance

    **Arguments:** `config`; `key`, of this lane.

    **Returns:** scalars `test_risk`, `train_risk` and `status`, the risks averaged exactly over
    the signs of w and over the label noise, and NaN where the status is not OK.

    **Source:** after Bahri et al. 2102.06701, Fig. 3 right.

    **Limits:** `input_noise=0` is `models.random_features` with an isotropic teacher;
    `num_features=None` is kernel ridge regression with the linear kernel of the noisy inputs.
    """

    def cast(value: float | Shaped[Array, ""]) -> Array:
        return jnp.asarray(value).astype(config.dtype)

    sample = draw(config, key=key)
    log_index = jnp.log(jnp.arange(1, config.dimension + 1, dtype=config.dtype))
    eigenvalues = jnp.exp(-cast(config.eigenvalue_decay) * log_index)
    power = jnp.exp(-cast(config.target_decay) * log_index)
    tau, noise = cast(config.input_noise), cast(config.noise_variance)
    clean = sample.inputs * jnp.sqrt(eigenvalues)[None, :]
    noisy = clean + jnp.sqrt(tau) * sample.input_noise
    readout, whitener, residual, headroom = _trained(noisy, sample.features, cast(config.ridge))
    # The labels of teachers with independent signs: their covariance is X diag(w^2) X^T + sigma^2.
    signal = clean * jnp.sqrt(power / eigenvalues)[None, :]
    whitened = whitener @ signal
    overlap = jnp.sum(power * jnp.sum(readout * (whitener @ clean).T, axis=1))
    gram = readout.T @ ((eigenvalues + tau)[:, None] * readout)
    covariance = whitened @ whitened.T + noise * (whitener @ whitener.T)
    test = jnp.sum(power) - 2 * overlap + jnp.sum(gram * covariance) + noise
    train = (jnp.sum((residual @ signal) ** 2) + noise * jnp.sum(residual**2)) / config.num_samples
    return with_status({"test_risk": test, "train_risk": train}, headroom)


def _trained(
    noisy: Float[Array, "samples modes"],
    features: Float[Array, "features modes"] | None,
    ridge: Float[Array, ""],
) -> tuple[
    Float[Array, "modes cols"],
    Float[Array, "cols samples"],
    Float[Array, "samples samples"],
    Float[Array, ""],
]:
    """Readout, whitener, the map from labels to residuals, and the headroom of the solve.

    beta = readout @ whitener @ labels, through the smallest of samples, features and modes.
    """
    samples, modes = noisy.shape
    weights = None if features is None else features / math.sqrt(features.shape[0])
    if weights is not None and weights.shape[0] > modes and samples > modes:
        # Only F^T F / N matters, and its square factor has full rank.
        weights = jnp.linalg.qr(weights, mode="r")
    design = noisy if weights is None else noisy @ weights.T
    penalty = samples * ridge
    if samples <= design.shape[1]:
        factor, headroom = inverse_factor(design.T, penalty)
        half = factor @ design
        readout = (half if weights is None else half @ weights).T
        # y - K alpha = D rho alpha, without the cancellation of a subtraction.
        return readout, factor, penalty * (factor.T @ factor), headroom
    factor, headroom = inverse_factor(design, penalty)
    readout = (factor if weights is None else factor @ weights).T
    whitener = factor @ design.T
    identity = jnp.eye(samples, dtype=noisy.dtype)
    return readout, whitener, identity - whitener.T @ whitener, headroom


MODEL = Model(
    name="noisy-inputs",
    summary="ridge regression on power-law Gaussian inputs with noise added to them",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(num_samples=48, num_features=24, dimension=96, input_noise=1e-2, ridge=1e-3),
    observables={
        "test_risk": Observable("population mean squared error on noisy inputs, label noise in"),
        "train_risk": Observable("mean squared error on the training set"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x ~ N(0, diag(i^-a)), x' = x + sqrt(tau) g, y = w.x + noise, lambda_i w_i^2 = i^-b, "
        "phi = F x' / sqrt(N);  theta = argmin (1/D) |y - Phi theta|^2 + ridge |theta|^2;  "
        "test risk = sum_i lambda_i (w_i - beta_i)^2 + tau |beta|^2 + noise variance"
    ),
    symbols={
        "D": "num_samples",
        "N": "num_features",
        "M": "dimension",
        "a": "eigenvalue_decay (1 + alpha_K)",
        "b": "target_decay",
        "tau": "input_noise",
        "rho": "ridge",
        "sigma^2": "noise_variance",
    },
    sources={"bahri2024": SOURCES["bahri2024"]},
)
