"""A model for the engine's tests: a ridge solve by a batched Cholesky factorisation."""

import dataclasses
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import jax.scipy.linalg as jsl
import numpy as np
from jax import lax

from scalinglab.models import Model, Observable, Stages, Status

TRACES = []


class Config(eqx.Module):
    size: int | None = eqx.field(static=True, default=8)
    ridge: float = 1.0
    scale: float = 1.0
    kind: Literal["plain", "twice"] = eqx.field(static=True, default="plain")
    steps: int = eqx.field(static=True, default=0)

    def __check_init__(self):
        if not self.ridge > 0:
            raise ValueError(f"ridge: {self.ridge} is not above 0; raise it")


def matrix(config, *, key):
    size = 3 if config.size is None else config.size
    rows = jr.normal(key, (size, size))
    return rows @ rows.T / size + config.ridge * jnp.eye(size)


def simulate(config, *, key):
    TRACES.append(config)
    system = matrix(config, key=key)
    # Busy work of a stated length, which keeps the matrix finite.
    spun = lax.fori_loop(0, config.steps, lambda _, a: jnp.cos(a @ a), system)
    system = system + 0.0 * spun
    factor = jnp.linalg.cholesky(system)
    solution = config.scale * jsl.cho_solve((factor, True), jnp.ones(len(system)))
    risk = 2.0 * solution.sum() if config.kind == "twice" else solution.sum()
    good = jnp.isfinite(risk) & (config.ridge < 1e6)
    return {
        "risk": jnp.where(good, risk, jnp.nan),
        "curve": solution[:3],
        "offset": config.ridge + jr.normal(jr.fold_in(key, 1)),
        "status": jnp.where(good, Status.OK, Status.NOT_FINITE).astype(jnp.int32),
    }


MODEL = Model(
    name="toy",
    summary="a ridge solve",
    version=1,
    Config=Config,
    simulate=simulate,
    observables={
        "risk": Observable("the sum of the solution"),
        "curve": Observable("its first three entries", unit="seconds", axes=("time",)),
        "offset": Observable("the ridge and a standard normal number"),
        "status": Observable("the outcome"),
    },
    smallest=Config(size=3),
)


def simulate_lightly(config, *, key):
    """The same shapes without the solve, for tests that are not about numbers."""
    TRACES.append(config)
    offset = config.ridge + jr.normal(key)
    return {"offset": offset, "curve": offset + jnp.zeros(3), "status": jnp.int32(0)}


LIGHT = dataclasses.replace(MODEL, name="light", simulate=simulate_lightly)


def _walk_start(config, *, key):
    walk = config.scale * jr.normal(key, (3,))
    return {"steps": jnp.int32(0), "walk": walk}


def _walk_on(config, state, stage, *, key):
    del stage

    def step(_, state):
        noise = jr.normal(jr.fold_in(key, state["steps"]), (3,))
        return {"steps": state["steps"] + 1, "walk": jnp.sin(state["walk"]) + noise}

    return lax.fori_loop(0, config.steps, step, state)


def _walk_end(config, state, *, key):
    del config, key
    return {"curve": state["walk"], "status": jnp.int32(0)}


WALK = Stages(lambda config: 3 * config.size, _walk_start, _walk_on, _walk_end)
STAGED = dataclasses.replace(MODEL, name="staged", simulate=WALK.simulate, stages=WALK)


def solve_tolerance(systems):
    """The relative difference allowed between two Cholesky solves of the same systems.

    Higham, Accuracy and Stability of Numerical Algorithms, theorem 10.4: the solution solves a
    system perturbed by at most n (3 n + 1) eps of its norm, so it moves by the condition number
    times that; two solves may move apart by twice as much. The systems here come from a product
    with a relative error of n eps, which that bound covers.
    """
    size = systems.shape[-1]
    condition = np.max(np.linalg.cond(np.asarray(systems)))
    return 2 * size * (3 * size + 1) * np.finfo(np.float64).eps * condition
