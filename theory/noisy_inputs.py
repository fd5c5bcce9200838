"""The theory of regression on noisy inputs: the exact mapping, then random features' equations.

    lambda' = lambda + tau,  v2' = lambda v2/(lambda + tau),  sigma'^2 = sigma^2 + irreducible
    irreducible = sum tau v2/(lambda + tau)

(`random_features.with_input_noise`) is an identity of distributions: given noisy Gaussian inputs
the labels are linear in them plus an independent normal residual. (E1)-(E3) on the mapped problem
are as accurate as on any other.

Where the inputs' noise exceeds an eigenvalue, i > tau^(-1/a), modes are drowned. Two things follow,
and a plot of log risk against log D shows their sum:

- `irreducible`, the risk of the best predictor from noisy inputs, which no amount of data removes;
- the M nearly equal eigenvalues tau, which act as a further ridge of about tau M/D while D << M.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models import Status
from scalinglab.models.noisy_inputs import Config, infinite_mean
from scalinglab.models.spectra import power_law
from scalinglab.theory.prediction import Prediction, Theory, predict_from
from scalinglab.theory.random_features import degrees_of_freedom, effective_ridge, with_input_noise
from scalinglab.theory.random_features import risks as risks_of
from scalinglab.theory.random_features.finite_size import stated_error

Scalar = Float[Array, ""]

_SOURCE = "theory.random_features.with_input_noise, then equations (E1)-(E3)"


@jax.jit(static_argnames="dimension")
def _evaluate(numbers: dict[str, Float[Array, " points"]], *, dimension: int) -> dict[str, Array]:
    def one(at: dict[str, Scalar]) -> dict[str, Array]:
        clean = power_law(at["a"], at["b"], dimension)
        spectrum, noise = with_input_noise(clean, at["tau"], at["noise"])
        sizes = at["samples"], at["features"], at["ridge"]
        found = risks_of(spectrum, *sizes, noise)
        kappa = effective_ridge(spectrum, *sizes)
        return {
            "test_risk": found.test_risk,
            "train_risk": found.train_risk,
            "irreducible": noise,
            "freedom": degrees_of_freedom(spectrum, kappa),
        }

    return jax.vmap(one)(numbers)


def learning_curve(
    config: Config, num_samples: Float[Array, " points"]
) -> tuple[Float[Array, " points"], Float[Array, " points"]]:
    """The test risk at real-valued D, and the irreducible risk, the same at each.

    **Arguments:** `config`, of which `num_samples` is ignored; `num_samples` D > 0.
    """
    count = num_samples.shape
    values = {name: jnp.broadcast_to(value, count) for name, value in _numbers(config).items()}
    found = _evaluate({**values, "samples": num_samples}, dimension=config.dimension)
    return found["test_risk"], found["irreducible"]


def _numbers(config: Config) -> dict[str, Scalar]:
    values = {
        "a": config.eigenvalue_decay,
        "b": config.target_decay,
        "tau": config.input_noise,
        "noise": config.noise_variance,
        "ridge": config.ridge,
        "samples": config.num_samples,
        "features": jnp.inf if config.num_features is None else config.num_features,
    }
    return {name: jnp.asarray(float(value), jnp.float64) for name, value in values.items()}


def irreducible_risk(config: Config) -> float:
    """The risk of the best predictor from noisy inputs: sigma^2 + sum tau v2/(lambda + tau)."""
    clean = power_law(config.eigenvalue_decay, config.target_decay, config.dimension)
    numbers = _numbers(config)
    return float(with_input_noise(clean, numbers["tau"], numbers["noise"])[1])


def _mapped(config: Config) -> Prediction:
    numbers = {name: value[None] for name, value in _numbers(config).items()}
    found = {n: float(v[0]) for n, v in _evaluate(numbers, dimension=config.dimension).items()}
    sizes = float(numbers["samples"][0]), float(numbers["features"][0])
    status = Status.INFINITE_MEAN if infinite_mean(config) else Status.OK
    return Prediction(
        {name: found[name] for name in ("test_risk", "train_risk")},
        "input-noise-mapping",
        "deterministic_equivalent",
        stated_error(*sizes, config.ridge, found["freedom"]),
        _SOURCE,
        status,
    )


THEORIES = (
    Theory(
        "input-noise-mapping",
        "deterministic_equivalent",
        ("test_risk", "train_risk"),
        lambda config: True,
        _mapped,
        _SOURCE,
    ),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` by the mapping, or for `theory='all'` a dict with it.

    **Raises:** `ValueError` for an unknown theory; `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
