"""Runs one sweep in a process of its own, to be killed, interrupted, or given other devices.

python engine_child.py sweep STORE     many units of one lane
python engine_child.py slow STORE      one unit that takes minutes
python engine_child.py staged STORE    one unit of 24 stages, its state kept after each
python engine_child.py devices FILE    over_devices and run_sweep on the devices of this process
"""

import sys
from pathlib import Path

import engine_toy as toy
import jax
import jax.numpy as jnp
import numpy as np

from scalinglab.experiments.engine import (
    Interrupted,
    Store,
    Sweep,
    leave,
    over_devices,
    plan,
    plan_sweep,
    run_sweep,
    stages,
)

SIZES = (4, 12)
SEEDS = 40
DEVICE_SWEEP = Sweep(toy.MODEL, toy.Config(), {"size": [8], "ridge": [0.5, 2.0]}, seeds=3)


def small_units():
    """A sweep whose blocks are one lane, since no block fits this budget."""
    plan.BUDGET = 1
    return Sweep(toy.LIGHT, toy.Config(), {"size": SIZES, "ridge": [0.5, 2.0]}, seeds=SEEDS)


def staged():
    """A sweep of one unit, its state kept after every stage."""
    stages.INTERVAL = 0.0
    return Sweep(toy.STAGED, toy.Config(steps=300), {"ridge": [0.5, 2.0]}, seeds=2)


def factorised(systems):
    """Three independent batched LAPACK calls: two solves and the eigenvalues.

    Measured with JAX 0.10.2 on two cores, without PJRT_NPROC: one ordinary CPU device and two
    fake ones both wait for ever within a few calls, since each call blocks a thread of the pool
    while it waits for that pool to work through its batch.
    """
    factor = jnp.linalg.cholesky(systems)
    right = jnp.ones((*systems.shape[:2], 1))
    return {
        "cholesky": jax.scipy.linalg.cho_solve((factor, True), right)[:, :, 0],
        "solve": jnp.linalg.solve(systems, right)[:, :, 0],
        "eigenvalues": jnp.linalg.eigvalsh(systems),
    }


def systems(rows=61, size=80):
    """A batch that neither two nor eight devices divide."""
    draws = np.random.default_rng(0).normal(size=(rows, size, size))
    return draws @ np.swapaxes(draws, 1, 2) / size + 0.1 * np.eye(size)


def run_devices(path):
    program = over_devices(factorised)
    for _ in range(20):
        found = jax.device_get(program(systems()))
    other = jax.device_get(over_devices(factorised, "pmap")(systems()))
    results = {how: run_sweep(DEVICE_SWEEP, how=how)["risk"] for how in ("shard_map", "pmap")}
    np.savez(
        path,
        **{f"shard_map_{name}": found[name] for name in found},
        **{f"pmap_{name}": other[name] for name in other},
        **{f"risk_{how}": results[how] for how in results},
        units=np.asarray([unit.key for unit in plan_sweep(DEVICE_SWEEP).units]),
        devices=np.asarray(jax.device_count()),
    )


def main():
    jax.config.update("jax_enable_x64", True)  # noqa: FBT003
    mode, path = sys.argv[1], Path(sys.argv[2])
    if mode == "devices":
        return run_devices(path)
    sweeps = {
        "sweep": small_units,
        "staged": staged,
        "slow": lambda: Sweep(toy.MODEL, toy.Config(size=300, steps=20000), seeds=4),
    }
    sweep = sweeps[mode]()

    def report(progress):
        print(progress.message or progress.done, flush=True)

    try:
        run_sweep(sweep, store=Store(path), progress=report)
    except Interrupted as error:
        print(error, flush=True)
        leave(130)
    return leave(0)


if __name__ == "__main__":
    main()
