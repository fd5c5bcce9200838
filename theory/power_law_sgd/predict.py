"""Predictions for a `Config` of the model: the table of theories."""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models import Status
from scalinglab.models.power_law_sgd import Config, learning_rate, record_steps, update_of
from scalinglab.models.power_law_sgd.stability import momentum_matrices
from scalinglab.theory.prediction import Prediction, Theory, predict_from

from . import given_features
from .components import component_risk, kernel_norm
from .density import num_bands, risk_by_density, spectral_density
from .equivalent import Problem, deterministic_equivalent, power_law_problem
from .finite_size import stated_error
from .mode_sums import EXACT
from .rounding import mean_progress, rounding_penalty
from .volterra import solve, time_grid

_EQUIVALENT = "deterministic-equivalent"
_COMPONENTS = "components"
_IDENTITY = "identity-features"
_ROUNDING = "rounding-noise"
_SOURCE = "arXiv:2405.15074, in the variable w = z/m; equivalent, volterra and density"
_CURVE = ("test_risk", "least_risk", "step", "kernel_norm")
# Where the risk is followed step by step: its length, and the modes kept one by one.
_LONGEST = 2**22
_MOST_MODES = 2**14
_POINTS_PER_DECADE = 120
# docs/power_law_sgd.md, 3.3: what the components miss inside their window.
_COMPONENT_ERROR = 0.6
# docs/power_law_sgd.md, 3.5: uniform noise and a dead zone against rounding itself.
_ROUNDING_ERROR = 0.5


def _steady(config: Config) -> bool:
    return given_features.has_closed_form(config)


def _random(config: Config) -> bool:
    return config.features == "random"


def _equivalent_applies(config: Config) -> bool:
    if not _random(config):
        return False
    followed = config.num_parameters <= _MOST_MODES and config.num_steps <= _LONGEST
    return _steady(config) or (config.ambient_dimension is not None and followed)


def _components_apply(config: Config) -> bool:
    power_law = config.alpha > 0 and config.alpha + config.beta > 0.5
    return _random(config) and _steady(config) and power_law


def _numbers(config: Config) -> dict[str, Float[Array, ""]]:
    dimension = math.inf if config.ambient_dimension is None else config.ambient_dimension
    values = {
        "alpha": config.alpha,
        "beta": config.beta,
        "size": config.num_parameters,
        "dimension": dimension,
        "rate": learning_rate(config),
        "batch": config.batch_size,
        "noise": config.noise_variance,
    }
    return {name: jnp.asarray(float(value), jnp.float64) for name, value in values.items()}


def _problem(numbers: dict[str, Array], exact: int = EXACT) -> Problem:
    problem = power_law_problem(
        numbers["alpha"],
        numbers["beta"],
        numbers["size"],
        numbers["dimension"],
        gamma0=1.0,
        batch_size=numbers["batch"],
        noise_variance=numbers["noise"],
        exact=exact,
    )
    return problem._replace(rate=numbers["rate"])


@functools.partial(jax.jit, static_argnames="steps")
def _contour(numbers: dict[str, Array], *, steps: tuple[int, ...]) -> dict[str, Array]:
    found = deterministic_equivalent(_problem(numbers))
    grid = time_grid(steps, points_per_decade=_POINTS_PER_DECADE)
    return {
        "test_risk": solve(found.sums, grid)[np.searchsorted(grid, steps)],
        "least_risk": found.sums.least_risk,
        "kernel_norm": found.sums.kernel_norm,
        "status": found.status,
    }


@functools.partial(jax.jit, static_argnames=("config", "bands", "exact"))
def _followed(
    config: "_Static", numbers: dict[str, Array], *, bands: int, exact: int
) -> dict[str, Array]:
    """The risk step by step over the density, where the rate changes or there is momentum."""
    chosen = config.config
    density = spectral_density(_problem(numbers, exact), bands=bands)
    update = update_of(chosen, jnp.dtype(jnp.float64))
    risks = risk_by_density(density, update, chosen.num_steps, numbers["batch"])
    found = {
        "test_risk": risks[jnp.asarray(record_steps(chosen))],
        "least_risk": density.least_risk,
    }
    stable = jnp.all(jnp.isfinite(risks))
    if not chosen.momentum.startswith("dana"):
        steady = update_of(chosen, jnp.dtype(jnp.float64), jnp.ones_like)(jnp.zeros(()))
        matrices, sources = momentum_matrices(density.eigenvalues, steady, numbers["batch"])
        deficit = jnp.eye(3)[None] - matrices
        # Without momentum only the error itself has a second moment that is carried on.
        if chosen.momentum == "none":
            each = sources[:, 0] / deficit[:, 0, 0]
        else:
            each = jnp.linalg.solve(deficit, sources[:, :, None])[:, 0, 0]
        found["kernel_norm"] = jnp.sum(density.multiplicities * each)
        stable &= (jnp.min(each) >= 0) & (found["kernel_norm"] < 1)
    status = jnp.where(stable, jnp.int32(Status.OK), jnp.int32(Status.INFINITE_MEAN))
    return {**found, "status": status}


@jax.jit
def _stated_error(numbers: dict[str, Array]) -> Array:
    return stated_error(_problem(numbers))


class _Static:
    """A configuration as a static argument, told apart by its fields."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self._fields = repr(config)

    def __hash__(self) -> int:
        return hash(self._fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Static) and self._fields == other._fields


def _equivalent(config: Config) -> Prediction:
    numbers = _numbers(config)
    steps = tuple(int(step) for step in record_steps(config))
    if _steady(config):
        found = _contour(numbers, steps=steps)
    else:
        dimension = int(config.ambient_dimension or 0)
        bands = num_bands(config.alpha, config.num_parameters, dimension)
        # In octaves, so that settings share programs.
        exact = max(EXACT, 2 ** math.ceil(math.log2(max(config.num_parameters, bands + 1))))
        found = _followed(_Static(config), numbers, bands=bands, exact=exact)
    error = float(_stated_error(numbers))
    return _made(found, steps, _EQUIVALENT, "deterministic_equivalent", error, _SOURCE)


def _made(
    found: dict[str, Array], steps: tuple[int, ...], name: str, kind: Any, error: float, source: str
) -> Prediction:
    status = Status(int(found["status"]))
    values = {key: value for key, value in found.items() if key != "status"}
    if status != Status.OK:
        values = {key: jnp.full_like(value, jnp.nan) for key, value in values.items()}
    values["step"] = jnp.asarray(steps, jnp.float64)
    return Prediction(values, name, kind, error, source, status)


@jax.jit
def _asymptotic(numbers: dict[str, Array], steps: Float[Array, " steps"]) -> dict[str, Array]:
    problem = _problem(numbers)
    alpha, beta = numbers["alpha"], numbers["beta"]
    norm = kernel_norm(problem)
    stable = (norm < 1) & jnp.isfinite(norm)
    risks = component_risk(alpha, beta, problem, steps)
    return {
        "test_risk": risks,
        "kernel_norm": norm,
        "status": jnp.where(stable, jnp.int32(Status.OK), jnp.int32(Status.INFINITE_MEAN)),
    }


def _component_prediction(config: Config) -> Prediction:
    steps = tuple(int(step) for step in record_steps(config))
    found = _asymptotic(_numbers(config), jnp.asarray(steps, jnp.float64))
    source = "arXiv:2405.15074, section 3; constants derived in components"
    return _made(found, steps, _COMPONENTS, "asymptotic", _COMPONENT_ERROR, source)


def _identity_prediction(config: Config) -> Prediction:
    # Nothing is drawn, so that any key gives the same.
    made = given_features.predict_given_features(config, key=jax.random.key(0))
    values, source = made.observables, given_features.SOURCE
    return Prediction(values, _IDENTITY, "exact", 0.0, source, made.status)


def _rounding_applies(config: Config) -> bool:
    drawn = not _random(config) and given_features.applies(config)
    return drawn and _steady(config) and config.quantize_bits is not None


def _rounding_prediction(config: Config) -> Prediction:
    made, numbers = _identity_prediction(config), _numbers(config)
    modes = given_features.modes_given(config, key=jax.random.key(0))
    kept = modes.eigenvalues > 0
    weights = jnp.where(kept, modes.targets / jnp.sqrt(jnp.where(kept, modes.eigenvalues, 1)), 0)
    steps = made.observables["step"]
    progress = mean_progress(modes.eigenvalues, numbers["rate"] * numbers["batch"], steps)
    added = rounding_penalty(modes.eigenvalues, weights, progress, config.quantize_bits or 0)
    values = {"rounded_risk": made.observables["test_risk"] + added, "step": steps}
    error, source = _ROUNDING_ERROR, "derived in rounding, on top of the exact risk"
    return Prediction(values, _ROUNDING, "heuristic", error, source, made.status)


THEORIES = (
    Theory(
        _EQUIVALENT,
        "deterministic_equivalent",
        _CURVE,
        _equivalent_applies,
        _equivalent,
        _SOURCE,
    ),
    Theory(
        _IDENTITY,
        "exact",
        _CURVE,
        lambda config: not _random(config) and given_features.applies(config),
        _identity_prediction,
        given_features.SOURCE,
    ),
    given_features.ROW,
    Theory(
        _COMPONENTS,
        "asymptotic",
        ("test_risk", "step", "kernel_norm"),
        _components_apply,
        _component_prediction,
        "arXiv:2405.15074, section 3",
    ),
    Theory(
        _ROUNDING,
        "heuristic",
        ("rounded_risk", "step"),
        _rounding_applies,
        _rounding_prediction,
        "derived in rounding, on top of the exact risk",
    ),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` of the first theory that applies, of the named one, or of `'all'`.

    **Arguments:** `config`; `theory`, a name of `THEORIES` or `'all'`; `key`, of the lane, for the
    theory that is exact given the features.

    **Returns:** a `Prediction`, or for `'all'` a dict of them by name.

    **Raises:** `ValueError` for an unknown or inapplicable theory; `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
