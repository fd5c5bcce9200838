"""Simulating one lane: some runs of SGD on one draw of the features."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, Shaped

from scalinglab.models.interface import Model, Observable, Stages, Status

from .config import Config, check_simulation, record_steps
from .eigenbasis import Modes, draw, modes_of, wide_dtype
from .schedules import Multiplier, check_schedule, largest_of, peak_rate, update_of
from .sources import SOURCES
from .stability import kernel_norm, momentum_kernel_norm
from .steps import Iterate, Risks, run_stage, stage_shape


class State(NamedTuple):
    """A lane between two stages: the problem, the iterates, and the records so far.

    `problem`, in the dtype of the steps, with the label noise in its least risk; `norm` and
    `stable`, of the noise kernel (None with DANA).
    """

    problem: Modes
    iterate: Iterate
    records: Risks
    norm: Float[Array, ""] | None
    stable: Bool[Array, ""]


def with_noise(config: Config, modes: Modes) -> Modes:
    """The modes with the label noise added to the least risk: no predictor can tell the two."""
    noise = jnp.asarray(config.noise_variance).astype(modes.least_risk.dtype)
    return modes._replace(least_risk=modes.least_risk + noise)


def stability_of(
    config: Config, eigenvalues: Float[Array, " modes"], schedule: Multiplier | None = None
) -> tuple[Float[Array, ""] | None, Bool[Array, ""]]:
    """The norm of the noise kernel at the peak rate, and whether the mean risk stays finite.

    DANA's coefficients never settle: it has no such norm, and a run that diverges tells by itself.
    With a `schedule` of the caller's the peak is its own.
    """
    dtype = eigenvalues.dtype
    if config.momentum == "none":
        rate = peak_rate(config, dtype)
        if schedule is not None:
            rate = rate * largest_of(config, schedule).astype(dtype)
        return kernel_norm(eigenvalues, rate, config.batch_size)
    if config.momentum == "constant":
        peak = jnp.ones((), dtype) if schedule is None else largest_of(config, schedule)
        update = update_of(config, dtype, lambda _: peak)(jnp.zeros((), dtype))
        return momentum_kernel_norm(eigenvalues, update, config.batch_size)
    return None, jnp.ones((), bool)


def start(config: Config, *, key: PRNGKeyArray, schedule: Multiplier | None = None) -> State:
    """The features, their modes, and zero parameters."""
    modes = with_noise(config, modes_of(config, draw(config, key=key)))
    norm, stable = stability_of(config, modes.eigenvalues, schedule)
    rotation = modes.rotation if config.quantize_bits is not None else None
    problem = jax.tree.map(lambda x: x.astype(config.dtype), modes._replace(rotation=rotation))
    errors = jnp.broadcast_to(-problem.targets, (config.runs, config.padded_parameters))
    velocity = None if config.momentum == "none" else jnp.zeros_like(errors)
    empty = jnp.zeros((config.records, config.runs), config.dtype)
    rounded = None if config.quantize_bits is None else empty
    return State(problem, Iterate(errors, velocity), Risks(empty, rounded), norm, stable)


def advance(
    config: Config,
    state: State,
    stage: Int[Array, ""],
    *,
    key: PRNGKeyArray,
    schedule: Multiplier | None = None,
) -> State:
    """The steps of one stage, and the records that fall into it."""
    moved, risks = run_stage(
        config, state.problem, state.iterate, stage, key=key, schedule=schedule
    )
    length = stage_shape(config.num_steps)[1]
    offset = jnp.asarray(record_steps(config), jnp.int32) - stage * length
    inside = (offset >= 0) & (offset < length)

    def taken(kept: Array, seen: Array) -> Array:
        return jnp.where(inside[:, None], seen[jnp.clip(offset, 0, length - 1)], kept)

    records = jax.tree.map(taken, state.records, risks)
    return state._replace(iterate=moved, records=records)


def finish(config: Config, state: State, *, key: PRNGKeyArray) -> dict[str, Array]:
    """The observables."""
    del key
    observables = {
        "test_risk": jnp.mean(state.records.risk, axis=1),
        "run_risk": state.records.risk.T,
        "least_risk": state.problem.least_risk,
        "step": jnp.asarray(record_steps(config), wide_dtype()),
    }
    if state.records.rounded is not None:
        observables["rounded_risk"] = jnp.mean(state.records.rounded, axis=1)
    if state.norm is not None:
        observables["kernel_norm"] = state.norm
    return with_status(observables, state.stable)


def with_status(observables: Mapping[str, Array], stable: Shaped[Array, ""]) -> dict[str, Array]:
    """The observables of one lane with its `Status`, NaN where that is not `OK`."""
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in observables.values()]))
    status = jnp.where(
        stable,
        jnp.where(finite, jnp.int32(Status.OK), jnp.int32(Status.NOT_FINITE)),
        jnp.int32(Status.INFINITE_MEAN),
    )
    kept = {name: jnp.where(status == Status.OK, x, jnp.nan) for name, x in observables.items()}
    return {**kept, "status": status}


STAGES = Stages(
    count=lambda config: stage_shape(config.num_steps)[0],
    start=start,
    advance=advance,
    finish=finish,
)


def simulate(
    config: Config, *, key: PRNGKeyArray, schedule: Multiplier | None = None
) -> dict[str, Array]:
    """Risks of one-pass SGD from zero, exact in law given the features.

        theta <- theta - g_t sum_{i <= B} W'x_i (<W'x_i, theta> - <x_i, b> - noise_i)
        risk = |D^(1/2) (W theta - b)|^2 + noise_variance

    The runs share the features and differ in the samples. The steps are made in the eigenbasis of
    the feature kernel, at d random numbers each (`steps` derives it).

    **Arguments:** `config`, with a finite `ambient_dimension`; `key`, of this lane; `schedule`, the
    rate over its peak as a function of the step (any optax schedule), for that of `config`.

    **Returns:** `test_risk` (records,), the mean over runs, and `run_risk` (runs, records), after
    the recorded steps `step` (records,); `least_risk`, of the best parameters; without DANA
    `kernel_norm`; with `quantize_bits` `rounded_risk` (records,), of a rounded copy of the
    parameters; and `status`: INFINITE_MEAN where the drawn features put the peak rate above the
    stability limit. Where that is not OK every other observable is NaN.

    **Raises:** `ValueError` for an infinite dimension, and for a schedule whose largest value makes
    the rate unstable, as a configuration of that rate would be.

    **Source:** 2405.15074, without its factor 1/2 in the later code; momentum of 2505.16098.

    **Limits:** `batch_size` 1, `schedule` constant and `momentum` none is the paper's SGD; features
    `identity` is linear regression on the first d coordinates.
    """
    if schedule is None:
        return dict(STAGES.simulate(config, key=key))

    def one(stage: Array, state: State) -> State:
        return advance(config, state, stage, key=key, schedule=schedule)

    check_schedule(config, schedule)
    count = jnp.int32(stage_shape(config.num_steps)[0])
    last = lax.fori_loop(jnp.int32(0), count, one, start(config, key=key, schedule=schedule))
    return finish(config, last, key=key)


MODEL = Model(
    name="power-law-sgd",
    summary="one-pass SGD on random features of power-law Gaussian data",
    version=1,
    Config=Config,
    simulate=simulate,
    stages=STAGES,
    draw=draw,
    check=check_simulation,
    smallest=Config(
        alpha=1.0,
        beta=0.3,
        num_parameters=32,
        ambient_dimension=128,
        gamma0=0.3,
        num_steps=200,
        records=12,
        runs=4,
        noise_variance=0.01,
    ),
    observables={
        "test_risk": Observable(
            "population mean squared error, label noise included, mean over runs", axes=("record",)
        ),
        "run_risk": Observable("the same of each run of SGD", axes=("run", "record")),
        "rounded_risk": Observable(
            "test risk of the parameters rounded to quantize_bits bits", axes=("record",)
        ),
        "least_risk": Observable("test risk of the best parameters on these features"),
        "kernel_norm": Observable("norm of the noise kernel at the peak rate; below 1 is stable"),
        "step": Observable("steps of SGD before the record", unit="steps", axes=("record",)),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x_j = j^-alpha z_j, z ~ N(0, I_v), target <x, b>, b_j = j^-beta, W (v x d) ~ N(0, 1/d);  "
        "theta <- theta - g sum_{i<=B} W'x_i (<W'x_i, theta> - <x_i, b>);  "
        "test risk = |D^(1/2) (W theta - b)|^2 + noise variance, D = diag(j^(-2 alpha))"
    ),
    symbols={
        "d": "num_parameters",
        "v": "ambient_dimension",
        "B": "batch_size",
        "g": "learning_rate, or gamma0 / (B sum_j j^(-2 alpha))",
        "T": "num_steps",
        "sigma^2": "noise_variance",
    },
    sources=SOURCES,
)
