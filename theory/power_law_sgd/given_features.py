"""What is exact for the very features of a lane: the prediction that takes its key."""

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from scalinglab.models import Status
from scalinglab.models.power_law_sgd import (
    Config,
    Modes,
    draw,
    modes_of,
    record_steps,
    stability_of,
    update_of,
    with_noise,
)
from scalinglab.theory.prediction import Prediction, Theory, require_float64

from .moments import risk_by_recursion, risk_in_closed_form
from .momentum import risk_with_momentum

NAME = "given-features"
SOURCE = "second moments of Gaussian data, after arXiv:2405.15074 and arXiv:2505.16098"
# A recursion keeps the risk of every step.
_LONGEST = 2**25


def modes_given(config: Config, *, key: PRNGKeyArray) -> Modes:
    """The modes that the lane of that key simulates, in float64, label noise in the least risk.

    With dtype float32 the features are the same to the bit, since they are drawn in that dtype.
    """
    return with_noise(config, modes_of(config, draw(config, key=key)))


def mean_risk(
    config: Config, modes: Modes, *, closed: bool | None = None
) -> Float[Array, " records"]:
    """The mean over samples of `test_risk` at the recorded steps.

    **Arguments:** `config`; `modes`, of `modes_given`; `closed`, whether by the closed form, which
    needs a constant rate and no momentum, or by recursion; None takes it where it holds.
    """
    steps = record_steps(config)
    update = update_of(config, modes.eigenvalues.dtype)
    if has_closed_form(config) if closed is None else closed:
        rate = update(jnp.zeros((), int)).direct
        curve = risk_in_closed_form(modes, rate, config.batch_size)
        return curve.at(jnp.asarray(steps, modes.eigenvalues.dtype))
    if config.momentum == "none":
        risks = risk_by_recursion(
            modes, lambda step: update(step).direct, config.num_steps, config.batch_size
        )
    else:
        risks = risk_with_momentum(modes, update, config.num_steps, config.batch_size)
    return risks[jnp.asarray(steps)]


def has_closed_form(config: Config) -> bool:
    """Whether the rate is constant and there is no momentum; of a configuration not traced."""
    steady = config.schedule == "constant" and config.warmup_fraction == 0
    return config.momentum == "none" and steady


def applies(config: Config) -> bool:
    """Whether the features can be drawn, and the steps be counted where they have to be."""
    if config.ambient_dimension is None:
        return False
    return has_closed_form(config) or config.num_steps <= _LONGEST


@functools.partial(jax.jit, static_argnames="closed")
def _evaluate(
    config: Config, key: PRNGKeyArray, *, closed: bool
) -> tuple[dict[str, Array], Shaped[Array, ""]]:
    modes = modes_given(config, key=key)
    norm, stable = stability_of(config, modes.eigenvalues)
    observables = {
        "test_risk": mean_risk(config, modes, closed=closed),
        "least_risk": modes.least_risk,
        "step": jnp.asarray(record_steps(config), modes.least_risk.dtype),
    }
    if norm is not None:
        observables["kernel_norm"] = norm
    return {name: jnp.where(stable, value, jnp.nan) for name, value in observables.items()}, stable


def predict_given_features(config: Config, *, key: PRNGKeyArray) -> Prediction:
    """The observables of the lane of that key, averaged over the samples that SGD sees.

    **Arguments:** `config`, with a finite `ambient_dimension`; `key`, of the lane.

    **Returns:** a `Prediction` of kind exact: `test_risk` (records,), `least_risk`, `step` and,
    without DANA, `kernel_norm`; NaN with status INFINITE_MEAN where the features put the peak rate
    above the stability limit.
    """
    require_float64()
    observables, stable = _evaluate(config, key, closed=has_closed_form(config))
    status = Status.OK if bool(stable) else Status.INFINITE_MEAN
    return Prediction(observables, NAME, "exact", 0.0, SOURCE, status)


ROW = Theory(
    name=NAME,
    kind="exact",
    observables=("test_risk", "least_risk", "step", "kernel_norm"),
    applies=applies,
    predict=predict_given_features,
    source=SOURCE,
    needs_key=True,
)
