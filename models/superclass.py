"""Regression of many outputs whose labels are merged into superclasses before training.

    x ~ N(0, diag(lambda)),  lambda_i = i^-a,  i = 1..M
    y_k = w_k . x + noise_std * eps_k,  k = 1..K
    lambda_i w_ki^2 = [sqrt(1-s) i^(-b/2) v_ki + sqrt(s) i^(-b_s/2) u_i]^2,  u, v ~ N(0, 1)
    label of a superclass = mean of the y_k of its g = K/n classes
    phi(x) = F x / sqrt(N),  F_ni ~ N(0, 1); one ridge regression of all n superclasses

The toy of Fig. 3 left of Bahri et al. 2102.06701, where CIFAR-100 is merged to fewer classes. K
random teachers are drawn, all classes with one component u in common that holds a share s of the
target power, and the classes are merged in blocks of g. The risk is the population mean squared
error of a superclass's label, the mean over superclasses.
"""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from scalinglab.models.fields import field, require_integer, require_number
from scalinglab.models.interface import Model, Observable
from scalinglab.models.linear_solve import with_status
from scalinglab.models.random_features import infinite_mean as infinite_mean_of
from scalinglab.models.random_features.config import Config as RandomFeatures
from scalinglab.models.random_features.ridge_regression import Problem, fit_samples, scale_inputs
from scalinglab.models.random_features.sources import SOURCES

_FEATURES, _INPUTS, _NOISE, _SPECIFIC, _SHARED = 1, 2, 3, 4, 5


class Config(eqx.Module):
    """One regression of merged outputs; sizes, counts of classes and `dtype` are static."""

    num_samples: int = field(100, "D", ">= 1", "training samples", static=True)
    num_features: int | None = field(
        None, "N", ">= 1, or None for infinite", "random features", static=True
    )
    classes: int = field(64, "K", ">= 1", "classes, a random teacher each", static=True)
    superclasses: int = field(
        64, "n", "a divisor of classes", "outputs after merging; n = K merges nothing", static=True
    )
    eigenvalue_decay: float = field(1.5, "a", "> 1", "lambda_i = i^-a")
    target_decay: float = field(1.5, "b", "> 1", "power i^-b of each class's own component")
    shared: float = field(0.0, "s", "in [0, 1]", "share of the power that all classes have in one")
    shared_decay: float = field(2.5, "b_s", "> 1", "power i^-b_s of the common component")
    dimension: int = field(600, "M", ">= 1", "modes of the data", static=True)
    ridge: float = field(0.0, "rho", ">= 0", "penalty in the (1/D) normalisation")
    noise_variance: float = field(0.0, "sigma^2", ">= 0", "label noise of each class's own")
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name in ("classes", "superclasses"):
        require_integer(name, getattr(config, name), 1)
    if config.classes % config.superclasses:
        raise ValueError(
            f"superclasses: {config.superclasses} of {config.classes} classes; give a divisor, so "
            "that each superclass has as many classes"
        )
    require_number("shared", config.shared, low=0.0, high=1.0, remedy="give a number in [0, 1]")
    require_number("shared_decay", config.shared_decay, low=1.0, open_low=True)
    if config.num_samples is None or config.dimension is None:
        raise ValueError("num_samples, dimension: None; give integers of at least 1")
    _as_random_features(config)


def _as_random_features(config: Config) -> RandomFeatures:
    """The problem of one output, which is refused where it is refused there."""
    return RandomFeatures(
        num_samples=config.num_samples,
        num_features=config.num_features,
        eigenvalue_decay=config.eigenvalue_decay,
        target_decay=config.target_decay,
        dimension=config.dimension,
        ridge=config.ridge,
        noise_variance=config.noise_variance,
        dtype=config.dtype,
    )


def infinite_mean(config: Config) -> bool:
    """Whether the mean risk over draws is infinite, as for a single output."""
    return infinite_mean_of(_as_random_features(config))


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
    """The random objects of one lane, all standard normal.

    `inputs` (D, M), before scaling by sqrt(lambda); `features` (N, M) or None; `noise` (D, K);
    `specific` v (K, M) and `shared` u (M,), the teachers.
    """

    inputs: Float[Array, "samples modes"]
    features: Float[Array, "features modes"] | None
    noise: Float[Array, "samples classes"]
    specific: Float[Array, "classes modes"]
    shared: Float[Array, " modes"]


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """Data, features, noise and teachers of one lane, each from its own `fold_in` of `key`."""

    def normal(stream: int, *shape: int) -> Array:
        return jr.normal(jr.fold_in(key, stream), shape, config.dtype)

    modes = config.dimension
    return Draw(
        inputs=normal(_INPUTS, config.num_samples, modes),
        features=None
        if config.num_features is None
        else normal(_FEATURES, config.num_features, modes),
        noise=normal(_NOISE, config.num_samples, config.classes),
        specific=normal(_SPECIFIC, config.classes, modes),
        shared=normal(_SHARED, modes),
    )


def _merged(columns: Float[Array, "rows classes"], superclasses: int) -> Array:
    """The mean over each block of classes: (rows, superclasses)."""
    rows, classes = columns.shape
    return columns.reshape(rows, superclasses, classes // superclasses).mean(axis=2)


# Full precision on accelerators: the default there may round Gram matrices to ten bits.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Test and train risk of one regression of merged outputs: train on them, then population risk.

        test_risk = mean over superclasses of sum_i lambda_i (w_ci - beta_ci)^2 + noise_variance/g

    **Arguments:** `config`; `key`, of this lane.

    **Returns:** scalars `test_risk` and `train_risk`, each a mean over superclasses, and
    `status`; the risks are NaN where that is not OK.

    **Source:** after Bahri et al. 2102.06701, Fig. 3 left.

    **Limits:** `superclasses = classes` merges nothing: the mean of K `models.random_features`
    with teachers of their own on the same data.
    """

    def cast(value: float | Shaped[Array, ""]) -> Array:
        return jnp.asarray(value).astype(config.dtype)

    sample = draw(config, key=key)
    a, b, shared_b = (
        cast(v) for v in (config.eigenvalue_decay, config.target_decay, config.shared_decay)
    )
    share, noise = cast(config.shared), cast(config.noise_variance)
    log_index = jnp.log(jnp.arange(1, config.dimension + 1, dtype=config.dtype))
    own = jnp.sqrt(1 - share) * jnp.exp((a - b) / 2 * log_index)
    common = jnp.sqrt(share) * jnp.exp((a - shared_b) / 2 * log_index)
    teachers = own[:, None] * sample.specific.T + (common * sample.shared)[:, None]
    eigenvalues = jnp.exp(-a * log_index)
    problem = Problem(eigenvalues, jnp.ones_like(eigenvalues), cast(config.ridge), noise, None)
    data = scale_inputs(problem, sample.inputs)
    labels = data @ teachers + jnp.sqrt(noise) * sample.noise
    targets = _merged(labels, config.superclasses)
    fit = fit_samples(problem, sample.features, sample.inputs)
    error = _merged(teachers, config.superclasses) - fit.predictor(targets)
    merged_noise = noise * (config.superclasses / config.classes)
    test = jnp.sum(eigenvalues[:, None] * error**2) / config.superclasses + merged_noise
    train = jnp.mean(fit.residual(targets) ** 2)
    return with_status({"test_risk": test, "train_risk": train}, fit.headroom)


MODEL = Model(
    name="superclass",
    summary="ridge regression of many outputs, merged into superclasses",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(
        num_samples=48,
        num_features=24,
        classes=8,
        superclasses=4,
        shared=0.3,
        dimension=96,
        ridge=1e-3,
        noise_variance=0.1,
    ),
    observables={
        "test_risk": Observable("population mean squared error of a superclass, label noise in"),
        "train_risk": Observable("mean squared error on the training set"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x ~ N(0, diag(i^-a)), y_k = w_k.x + noise, "
        "w_k = sqrt(1-s) own_k + sqrt(s) common, labels = means over g = K/n classes, "
        "phi = F x / sqrt(N);  theta = argmin (1/D) |y - Phi theta|^2 + ridge |theta|^2"
    ),
    symbols={
        "D": "num_samples",
        "N": "num_features",
        "K": "classes",
        "n": "superclasses (N_class)",
        "M": "dimension",
        "a": "eigenvalue_decay (1 + alpha_K)",
        "b, b_s": "target_decay, shared_decay",
        "s": "shared",
        "rho": "ridge",
        "sigma^2": "noise_variance",
    },
    sources={"bahri2024": SOURCES["bahri2024"]},
)
