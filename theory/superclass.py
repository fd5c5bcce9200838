"""The theory of merged outputs: one problem of random features with another target and noise.

The predictor of ridge regression is linear in the labels, so that the predictor of a mean of g
labels is the mean of their predictors, whatever the data. The mean of g independent teachers has
1/g of their power, the mean of what they share has all of it:

    v2_i(g) = s i^-b_s + (1 - s) i^-b / g,   sigma^2(g) = sigma^2 / g
    L_g = s L[i^-b_s] + (1 - s)/g L[i^-b] + the noise's part / g,

since (E2) is linear in v2 and sigma^2. With nothing shared L_g = L_1/g at every D, N and ridge: the
amplitude is 1/g, the exponent that of one class. This holds exactly, not only in (E2), for the mean
over teachers and noise given any data and features. It says no more than that: with labels summed
instead the amplitude is g, and relative to the target's own variance it is 1.

With s > 0 the local exponent is the average of the two parts' exponents with their risks for
weights. Merging lowers the weight of the classes' own part, so that it does change the exponent, by
up to b_s - b, unless the two decays are the same.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models import Status
from scalinglab.models.spectra import Spectrum, power_law
from scalinglab.models.superclass import Config, infinite_mean
from scalinglab.theory.prediction import Prediction, Theory, predict_from
from scalinglab.theory.random_features import degrees_of_freedom, effective_ridge
from scalinglab.theory.random_features import risks as risks_of
from scalinglab.theory.random_features.finite_size import stated_error

Scalar = Float[Array, ""]

_SOURCE = "linearity in the labels, then equations (E1)-(E3) of theory.random_features"


def merged_target(
    spectrum: Spectrum,
    noise_variance: Scalar,
    *,
    merged: Scalar,
    shared: Scalar,
    shared_decay: Scalar,
) -> tuple[Spectrum, Scalar]:
    """The target and the label noise of a mean over classes that share a part of their power.

        v2(g) = s i^-b_s + (1 - s) v2 / g,   sigma^2(g) = sigma^2 / g

    **Arguments:** `spectrum` i = 1..M, each mode by itself, with the power of one class's own
    component; `noise_variance` of one class; `merged` g >= 1, real; `shared` s in [0, 1];
    `shared_decay` b_s.

    **Returns:** the spectrum and noise variance of one superclass.
    """
    common = spectrum.counts**-shared_decay
    power = shared * common + (1 - shared) * spectrum.target_power / merged
    target = Spectrum(spectrum.eigenvalues, spectrum.multiplicities, power, spectrum.counts)
    return target, noise_variance / merged


@jax.jit(static_argnames="dimension")
def _evaluate(numbers: dict[str, Float[Array, " points"]], *, dimension: int) -> dict[str, Array]:
    def one(at: dict[str, Scalar]) -> dict[str, Array]:
        spectrum, noise = merged_target(
            power_law(at["a"], at["b"], dimension),
            at["noise"],
            merged=at["merged"],
            shared=at["shared"],
            shared_decay=at["shared_decay"],
        )
        sizes = at["samples"], at["features"], at["ridge"]
        found = risks_of(spectrum, *sizes, noise)
        freedom = degrees_of_freedom(spectrum, effective_ridge(spectrum, *sizes))
        return {
            "test_risk": found.test_risk,
            "train_risk": found.train_risk,
            "target": spectrum.total_power + noise,
            "freedom": freedom,
        }

    return jax.vmap(one)(numbers)


def _numbers(config: Config) -> dict[str, Scalar]:
    values = {
        "a": config.eigenvalue_decay,
        "b": config.target_decay,
        "merged": config.classes / config.superclasses,
        "shared": config.shared,
        "shared_decay": config.shared_decay,
        "noise": config.noise_variance,
        "ridge": config.ridge,
        "samples": config.num_samples,
        "features": jnp.inf if config.num_features is None else config.num_features,
    }
    return {name: jnp.asarray(float(value), jnp.float64) for name, value in values.items()}


def learning_curve(
    config: Config, num_samples: Float[Array, " points"]
) -> tuple[Float[Array, " points"], Float[Array, " points"]]:
    """The test risk at real-valued D, and the variance of the label, the same at each.

    **Arguments:** `config`, of which `num_samples` is ignored; `num_samples` D > 0.
    """
    count = num_samples.shape
    values = {name: jnp.broadcast_to(value, count) for name, value in _numbers(config).items()}
    found = _evaluate({**values, "samples": num_samples}, dimension=config.dimension)
    return found["test_risk"], found["target"]


def _merged_spectrum(config: Config) -> Prediction:
    numbers = {name: value[None] for name, value in _numbers(config).items()}
    found = {n: float(v[0]) for n, v in _evaluate(numbers, dimension=config.dimension).items()}
    sizes = float(numbers["samples"][0]), float(numbers["features"][0])
    status = Status.INFINITE_MEAN if infinite_mean(config) else Status.OK
    return Prediction(
        {name: found[name] for name in ("test_risk", "train_risk")},
        "merged-target",
        "deterministic_equivalent",
        stated_error(*sizes, config.ridge, found["freedom"]),
        _SOURCE,
        status,
    )


THEORIES = (
    Theory(
        "merged-target",
        "deterministic_equivalent",
        ("test_risk", "train_risk"),
        lambda config: True,
        _merged_spectrum,
        _SOURCE,
    ),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` for a superclass, or for `theory='all'` a dict with it.

    **Raises:** `ValueError` for an unknown theory; `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
