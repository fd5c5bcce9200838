"""Predictions for a `Config` of the model: the table of theories."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models import Status
from scalinglab.models.random_features import Config, Draw, draw, infinite_mean
from scalinglab.models.random_features.ridge_regression import population_risks, problem_of
from scalinglab.models.spectra import power_law
from scalinglab.theory.prediction import Prediction, Theory, predict_from

from .effective_ridge import degrees_of_freedom, effective_ridge
from .finite_size import finite_size_factor, mean_over_data, stated_error
from .power_law import joint_risk
from .risk import risks, test_risk

_DECOMPOSITION = (
    "bias_squared",
    "variance_features",
    "variance_data",
    "variance_noise",
    "variance_interaction",
)


def _sizes(config: Config) -> tuple[float, float]:
    samples = math.inf if config.num_samples is None else float(config.num_samples)
    features = math.inf if config.num_features is None else float(config.num_features)
    return samples, features


def _modes(config: Config) -> int | None:
    return None if config.tail == "averaged" else config.dimension


@jax.jit(static_argnames="dimension")
def _evaluate(numbers: Mapping[str, Float[Array, ""]], *, dimension: int | None) -> dict[str, Any]:
    """Every observable of the deterministic equivalent, the paired problems' included."""
    spectrum = power_law(numbers["a"], numbers["b"], dimension)
    noise, ridge = numbers["noise"], numbers["ridge"]
    samples, features = numbers["samples"], numbers["features"]
    infinite = jnp.full((), jnp.inf)
    values = risks(spectrum, samples, features, ridge, noise)._asdict()
    kappa = effective_ridge(spectrum, samples, features, ridge)
    values["_freedom"] = degrees_of_freedom(spectrum, kappa)
    for name, other in {
        "infinite_samples": (infinite, features),
        "infinite_features": (samples, infinite),
        "swapped": (features, samples),
    }.items():
        values["_" + name] = test_risk(spectrum, *other, ridge, noise)
    return values


def _numbers(config: Config) -> dict[str, Float[Array, ""]]:
    samples, features = _sizes(config)
    values = {
        "a": config.eigenvalue_decay,
        "b": config.target_decay,
        "noise": config.noise_variance,
        "ridge": config.ridge,
        "samples": samples,
        "features": features,
    }
    return {name: jnp.asarray(value, jnp.float64) for name, value in values.items()}


def _deterministic_equivalent(config: Config) -> Prediction:
    values = {
        name: float(value)
        for name, value in _evaluate(_numbers(config), dimension=_modes(config)).items()
    }
    observables = {name: values[name] for name in ("test_risk", "train_risk", *_DECOMPOSITION)}
    if config.num_samples is None:
        # There is no training set; the variances over it are zero.
        del observables["train_risk"]
    if config.paired != "none":
        observables["paired_test_risk"] = values["_" + config.paired]
        observables["excess_risk"] = values["test_risk"] - values["_" + config.paired]
    error = stated_error(*_sizes(config), config.ridge, values["_freedom"])
    # At such sizes (E2) is what a typical draw has, and no number of draws averages to it.
    status = Status.INFINITE_MEAN if infinite_mean(config) else Status.OK
    return Prediction(
        observables, "deterministic-equivalent", "deterministic_equivalent", error, _SOURCE, status
    )


_SOURCE = "arXiv:2311.14646 and arXiv:2405.00592, equations (E1)-(E3) of the module"


def _ridgeless_both(config: Config) -> bool:
    samples, features = _sizes(config)
    finite = math.isfinite(samples) and math.isfinite(features)
    modes = math.inf if config.dimension is None else config.dimension
    apart = abs(samples - features) > 1 and modes > max(samples, features)
    return finite and config.ridge == 0 and apart


def _finite_size_corrected(config: Config) -> Prediction:
    plain = _deterministic_equivalent(config)
    samples, features = _sizes(config)
    factor = float(finite_size_factor(jnp.asarray(samples), jnp.asarray(features)))
    risk = plain.observables["test_risk"] * factor
    return Prediction(
        {"test_risk": risk},
        "finite-size-corrected",
        "deterministic_equivalent",
        1 / min(samples, features),
        "the exact mean over the larger Gaussian matrix; finite_size.finite_size_factor",
    )


def _given_features_applies(config: Config) -> bool:
    return (
        _ridgeless_both(config)
        and config.dimension is not None
        and (config.num_features or 0) < (config.num_samples or 0) - 1
    )


def _given_features(config: Config, *, key: PRNGKeyArray) -> Prediction:
    samples, features = int(config.num_samples or 0), int(config.num_features or 0)
    sample: Draw = draw(config, key=key)
    matrix = None if sample.features is None else sample.features[0]
    limit = population_risks(problem_of(config), matrix, averaged=config.teacher == "isotropic")
    return Prediction(
        {"test_risk": mean_over_data(limit.test, samples, features)},
        "given-features",
        "exact",
        0.0,
        "the mean over Gaussian data given the features; finite_size.mean_over_data",
    )


def _continuum_applies(config: Config) -> bool:
    samples, features = _sizes(config)
    isotropic = config.target_decay == config.eigenvalue_decay and config.noise_variance == 0
    smaller = min(samples, features)
    ridgeless_pole = config.ridge == 0 and samples == features
    return isotropic and math.isfinite(smaller) and _modes(config) is None and not ridgeless_pole


def _continuum(config: Config) -> Prediction:
    numbers = _numbers(config)
    a, samples, features = numbers["a"], numbers["samples"], numbers["features"]
    low, high = jnp.zeros(()), jnp.minimum(samples, features)
    # The ridge of (E5) falls as z rises to min(N, D); at ridge 0 the root is the upper end.
    for _ in range(100 if config.ridge > 0 else 0):
        middle = (low + high) / 2
        too_high = joint_risk(a, samples, features, middle)[0] < numbers["ridge"]
        low, high = jnp.where(too_high, low, middle), jnp.where(too_high, middle, high)
    risk = joint_risk(a, samples, features, high)[1]
    return Prediction(
        {"test_risk": float(risk)},
        "continuum",
        "asymptotic",
        float(a / (2 * high)),
        "equation (E5) of power_law; relative error a/(2z) from discreteness",
    )


THEORIES = (
    Theory(
        "deterministic-equivalent",
        "deterministic_equivalent",
        ("test_risk", "train_risk", *_DECOMPOSITION, "paired_test_risk", "excess_risk"),
        lambda config: _sizes(config) != (math.inf, math.inf) or config.ridge > 0,
        _deterministic_equivalent,
        _SOURCE,
    ),
    Theory(
        "finite-size-corrected",
        "deterministic_equivalent",
        ("test_risk",),
        _ridgeless_both,
        _finite_size_corrected,
        "inverse Wishart mean",
    ),
    Theory(
        "given-features",
        "exact",
        ("test_risk",),
        _given_features_applies,
        _given_features,
        "inverse Wishart mean, given the features",
        needs_key=True,
    ),
    Theory(
        "continuum",
        "asymptotic",
        ("test_risk",),
        _continuum_applies,
        _continuum,
        "equation (E5)",
    ),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` of the first theory that applies, of the named one, or of `'all'`.

    **Arguments:** `config`; `theory`, a name of `THEORIES` or `'all'`; `key`, for a theory that is
    exact given the draw.

    **Returns:** a `Prediction`, or for `'all'` a dict of them by name.

    **Raises:** `ValueError` for an unknown or inapplicable theory; `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
