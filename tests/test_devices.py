"""The batch over devices: one, two and eight of them, by shard_map and by pmap."""

import os
import subprocess
import sys
from pathlib import Path

import engine_child
import engine_toy as toy
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scalinglab.experiments.engine import Sweep, lane_key, over_devices, run_sweep

CHILD = Path(__file__).with_name("engine_child.py")
EPS = np.finfo(np.float64).eps


def on_fake_devices(count, path):
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PJRT_NPROC": "32",
        "OPENBLAS_NUM_THREADS": "1",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={count}",
    }
    command = [sys.executable, str(CHILD), "devices", str(path)]
    subprocess.run(command, env=environment, check=True, timeout=100)
    return dict(np.load(path))


def sweep_systems(sweep):
    lanes = [(config, seed) for config in sweep.points() for seed in range(sweep.seeds)]
    return np.stack([toy.matrix(c, key=lane_key(sweep, c, seed)) for c, seed in lanes])


@pytest.fixture(scope="module")
def by_count(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    return {count: on_fake_devices(count, folder / f"{count}.npz") for count in (1, 2, 8)}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_numbers_are_those_of_numpy_on_any_number_of_devices(by_count, count):
    systems = engine_child.systems()
    found = by_count[count]
    assert found["devices"] == count
    solution = np.linalg.solve(systems, np.ones((*systems.shape[:2], 1)))[:, :, 0]
    values = np.linalg.eigvalsh(systems)
    # Weyl: eigenvalues move by at most the backward error, n eps of the norm for each side.
    allowed = 2 * systems.shape[1] * EPS * values.max()
    relative = toy.solve_tolerance(systems)
    for how in ("shard_map", "pmap"):
        for name in ("cholesky", "solve"):
            assert found[f"{how}_{name}"].shape == solution.shape
            error = np.abs(found[f"{how}_{name}"] - solution).max()
            assert error <= relative * np.linalg.norm(solution, axis=1).max()
        assert np.abs(found[f"{how}_eigenvalues"] - values).max() <= allowed


@pytest.mark.parametrize("count", [2, 8])
def test_a_sweep_has_the_same_units_and_numbers_on_more_devices(by_count, count):
    one, more = by_count[1], by_count[count]
    assert list(one["units"]) == list(more["units"])
    allowed = toy.solve_tolerance(sweep_systems(engine_child.DEVICE_SWEEP))
    for how in ("shard_map", "pmap"):
        np.testing.assert_allclose(more[f"risk_{how}"], one["risk_shard_map"], rtol=allowed)


def test_both_ways_agree_on_pytrees_and_short_batches():
    def f(arrays, shift):
        return {"sum": arrays["x"] + shift, "pair": (arrays["x"] * shift, arrays["n"])}

    arrays = {"x": jnp.arange(7.0), "n": jnp.arange(7)}
    one = over_devices(f, devices=jax.devices()[:1])(arrays, arrays["x"])
    for how in ("shard_map", "pmap"):
        found = over_devices(f, how)(arrays, arrays["x"])
        assert jax.tree.all(jax.tree.map(np.array_equal, one, found))
        assert found["pair"][1].dtype == arrays["n"].dtype


def test_one_device_is_the_one_that_was_asked_for():
    last = jax.devices()[-1]
    found = over_devices(lambda x: 2.0 * x, devices=[last])(np.arange(3.0))
    assert found.devices() == {last}


def test_a_sweep_takes_pmap_too():
    sweep = Sweep(toy.MODEL, toy.Config(size=4), {"ridge": [0.5, 2.0]}, seeds=3)
    one = run_sweep(sweep, devices=jax.devices()[:1])
    for how in ("shard_map", "pmap"):
        found = run_sweep(sweep, how=how)
        allowed = toy.solve_tolerance(sweep_systems(sweep))
        np.testing.assert_allclose(found["risk"], one["risk"], rtol=allowed)
        np.testing.assert_array_equal(found["status"], one["status"])


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"how: 'threads' is unknown"):
        over_devices(lambda x: x, "threads")
    with pytest.raises(ValueError, match=r"devices: none given"):
        over_devices(lambda x: x, devices=[])
