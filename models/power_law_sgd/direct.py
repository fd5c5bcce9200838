"""SGD on the parameters themselves, with the data drawn in all v dimensions: the oracle.

It costs B (v d + d) multiply-adds and B v normal deviates a step, where the eigenbasis takes d of
each, and has the same law.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from .config import Config, record_steps
from .eigenbasis import data_vectors, draw
from .quantize import rounded
from .schedules import Multiplier, Update, update_of

_SAMPLES = 3


class Regression(NamedTuple):
    """The problem in the dtype of the steps: data scales (v,), target b (v,), features (v, d)."""

    scales: Float[Array, " dimension"]
    target: Float[Array, " dimension"]
    features: Float[Array, "dimension parameters"]
    noise_variance: Float[Array, ""]


class Iterate(NamedTuple):
    """Parameters and momentum of one run."""

    parameters: Float[Array, " parameters"]
    velocity: Float[Array, " parameters"]


def regression_of(config: Config, *, key: PRNGKeyArray) -> Regression:
    """The problem of the lane of that key: its features are those of `simulate`."""
    features = draw(config, key=key).features
    if features is None:
        features = jnp.eye(config.padded_dimension, config.padded_parameters)
    scales, weighted = data_vectors(config)
    # Zero beyond v, where D^(1/2) b has no scale to be divided by.
    target = jnp.where(scales > 0, weighted / jnp.where(scales > 0, scales, 1), 0)
    fields = scales, target, features, jnp.asarray(config.noise_variance)
    return Regression(*(x.astype(config.dtype) for x in fields))


def risk_of(regression: Regression, parameters: Float[Array, " parameters"]) -> Float[Array, ""]:
    """|D^(1/2) (W theta - b)|^2 + noise_variance."""
    error = regression.features @ parameters - regression.target
    return jnp.sum((regression.scales * error) ** 2) + regression.noise_variance


def direct_step(
    regression: Regression, iterate: Iterate, update: Update, *, batch_size: int, key: PRNGKeyArray
) -> Iterate:
    """One step: draw B samples in v dimensions, and follow the gradient of their squared error."""
    dimension = regression.scales.size
    normal = jr.normal(key, (batch_size, dimension + 1), regression.scales.dtype)
    data = normal[:, :dimension] * regression.scales[None, :]
    labels = data @ regression.target
    labels = labels + jnp.sqrt(regression.noise_variance) * normal[:, dimension]
    mapped = data @ regression.features
    gradient = mapped.T @ (mapped @ iterate.parameters - labels)
    velocity = (1 - update.forget) * iterate.velocity + gradient
    moved = iterate.parameters - update.direct * gradient - update.lookback * velocity
    return Iterate(moved, velocity)


def simulate_directly(
    config: Config, *, key: PRNGKeyArray, schedule: Multiplier | None = None
) -> dict[str, Array]:
    """The observables of `simulate`, of the same law, by SGD in the v dimensions of the data.

    **Arguments:** as of `simulate`; the features are its own, the samples are not.

    **Returns:** `test_risk` (records,), `run_risk` (runs, records), `step` (records,) and, with
    `quantize_bits`, `rounded_risk` (records,).
    """
    regression = regression_of(config, key=key)
    return run_directly(config, regression, key=key, schedule=schedule)


def run_directly(
    config: Config,
    regression: Regression,
    *,
    key: PRNGKeyArray,
    schedule: Multiplier | None = None,
) -> dict[str, Array]:
    """The runs of `simulate_directly` on features that are given."""
    update = update_of(config, regression.scales.dtype, schedule)
    times = record_steps(config)
    bits = config.quantize_bits

    def one_run(key: PRNGKeyArray) -> tuple[Array, Array]:
        def one_step(time: Array, iterate: Iterate) -> Iterate:
            return direct_step(
                regression,
                iterate,
                update(time),
                batch_size=config.batch_size,
                key=jr.fold_in(key, time),
            )

        def one_record(iterate: Iterate, ends: tuple[Array, Array]) -> tuple[Iterate, Array]:
            iterate = lax.fori_loop(*ends, one_step, iterate)
            theta = iterate.parameters
            copy = theta if bits is None else rounded(theta, bits)
            return iterate, jnp.stack([risk_of(regression, theta), risk_of(regression, copy)])

        zero = jnp.zeros(regression.features.shape[1], regression.scales.dtype)
        starts = jnp.asarray([0, *times[:-1]], jnp.int32)
        ends = (starts, jnp.asarray(times, jnp.int32))
        risks = lax.scan(one_record, Iterate(zero, zero), ends)[1]
        return risks[:, 0], risks[:, 1]

    stream = jr.fold_in(key, _SAMPLES)
    keys = jax.vmap(lambda run: jr.fold_in(stream, run))(jnp.arange(config.runs))
    risk, copied = jax.vmap(one_run)(keys)
    found = {
        "test_risk": jnp.mean(risk, axis=0),
        "run_risk": risk,
        "step": jnp.asarray(times, risk.dtype),
    }
    return found if bits is None else {**found, "rounded_risk": jnp.mean(copied, axis=0)}
