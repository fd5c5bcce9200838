"""Steps of SGD in the eigenbasis, exact in law.

In mode j let y_j = sqrt(l_j) times the error of the parameters, so that the risk is |y|^2 + F with
F the least risk, label noise included. The best predictor's residual is uncorrelated with the
features and, being Gaussian, independent of them. A sample is then z ~ N(0, I_d) and xi ~ N(0, 1),
with residual z.y - sqrt(F) xi, and the gradient summed over a batch is sqrt(l) times

    G = sum_i z_i (z_i.y - sqrt(F) xi_i)

Given y, the B residuals r_i are iid N(0, R), R = |y|^2 + F the risk, and z_i given r_i is normal
with mean y r_i / R and covariance I - y y'/R. So G given the residuals is normal with mean
y |r|^2 / R and covariance |r|^2 (I - y y'/R), which depends on them through |r|^2 = R c with c of
the chi-squared law with B degrees of freedom. With zeta ~ N(0, I_d) and the root
(I - y y'/R)^(1/2) = I - y y' / (R (1 + sqrt(F/R))),

    G = c y + sqrt(R c) (zeta - y (y.zeta) / (R (1 + sqrt(F/R))))

d normal deviates and one of chi-squared a step, whatever the batch size, and no matrix.
"""

from typing import NamedTuple

import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .config import Config, record_steps
from .eigenbasis import Modes
from .quantize import rounded_errors
from .schedules import Multiplier, Update, update_of

# Steps between two states that a sweep can keep; the risks of them all are held until then.
STAGE = 4096
# Above this many, a rejection sampler is cheaper than squaring normal deviates.
_SUMMED = 32
_STEPS = 2


class Iterate(NamedTuple):
    """The errors y of the modes of each run and, with momentum, sqrt(l) times the momentum."""

    errors: Float[Array, "runs modes"]
    velocity: Float[Array, "runs modes"] | None


def stage_shape(num_steps: int) -> tuple[int, int]:
    """The number of stages and the steps of each.

    A step tells the risk before it, so that one more than `num_steps` is needed; the last stage
    runs over by less than one step a stage.
    """
    count = -(-num_steps // STAGE)
    return count, -(-(num_steps + 1) // count)


def chi_squared(key: PRNGKeyArray, degrees: int, normal: Float[Array, "runs some"]) -> Array:
    """A deviate of the chi-squared law for each run, from normal ones where those are few."""
    if degrees <= _SUMMED:
        return jnp.sum(normal**2, axis=1)
    return jr.chisquare(key, degrees, (normal.shape[0],), normal.dtype)


def step(
    problem: Modes, iterate: Iterate, update: Update, *, batch_size: int, key: PRNGKeyArray
) -> tuple[Iterate, Float[Array, " runs"]]:
    """One step of every run, and the risks before it.

    **Arguments:** `problem`, its `least_risk` with the label noise added; `update`, the
    coefficients of this step; `key`, of this step.
    """
    errors = iterate.errors
    runs, modes = errors.shape
    extra = batch_size if batch_size <= _SUMMED else 0
    normal = jr.normal(key, (runs, modes + extra), errors.dtype)
    zeta = normal[:, :modes]
    chi = chi_squared(key, batch_size, normal[:, modes:])
    risk = jnp.sum(errors**2, axis=1) + problem.least_risk
    overlap = jnp.sum(errors * zeta, axis=1)
    size = jnp.sqrt(risk * chi)
    spread = risk + jnp.sqrt(problem.least_risk * risk)
    # Without a least risk both fall together, in the end below the smallest number.
    along = chi - size * overlap / jnp.maximum(spread, jnp.finfo(risk.dtype).tiny)
    gradient = problem.eigenvalues[None, :] * (along[:, None] * errors + size[:, None] * zeta)
    if iterate.velocity is None:
        return Iterate(errors - update.direct * gradient, None), risk
    velocity = (1 - update.forget) * iterate.velocity + gradient
    moved = errors - update.direct * gradient - update.lookback * velocity
    return Iterate(moved, velocity), risk


class Risks(NamedTuple):
    """The risk of each run and, where asked for, that of its rounded weights; with label noise."""

    risk: Float[Array, "*times runs"]
    rounded: Float[Array, "*times runs"] | None


def run_stage(
    config: Config,
    problem: Modes,
    iterate: Iterate,
    stage: Int[Array, ""],
    *,
    key: PRNGKeyArray,
    schedule: Multiplier | None = None,
) -> tuple[Iterate, Risks]:
    """The steps of one stage, step t with the random numbers of `fold_in(t)` of the key.

    **Returns:** the iterate after the stage, and the risks before each of its steps; those of
    rounded weights only at recorded steps, 0 elsewhere.
    """
    length = stage_shape(config.num_steps)[1]
    stream = jr.fold_in(key, _STEPS)
    update = update_of(config, problem.eigenvalues.dtype, schedule)
    recorded = jnp.asarray(record_steps(config), jnp.int32)
    bits = config.quantize_bits

    def rounded_risk(iterate: Iterate, time: Array, bits: int) -> Array:
        def measure(errors: Array) -> Array:
            rounded = rounded_errors(errors, problem, bits)
            return jnp.sum(rounded**2, axis=1) + problem.least_risk

        def skip(errors: Array) -> Array:
            return jnp.zeros_like(errors[:, 0])

        return lax.cond(jnp.any(recorded == time), measure, skip, iterate.errors)

    def body(iterate: Iterate, time: Array) -> tuple[Iterate, Risks]:
        moved, risk = step(
            problem,
            iterate,
            update(time),
            batch_size=config.batch_size,
            key=jr.fold_in(stream, time),
        )
        return moved, Risks(risk, None if bits is None else rounded_risk(iterate, time, bits))

    times = stage * length + jnp.arange(length, dtype=jnp.int32)
    return lax.scan(body, iterate, times)
