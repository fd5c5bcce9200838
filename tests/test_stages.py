"""Units that run in stages: the numbers of one program, kept inside a unit, resumed to the bit."""

import signal

import engine_toy as toy
import jax
import numpy as np
import pytest
from test_store import child, finish, result, wait_until

from scalinglab.experiments.engine import Store, Sweep, lane_key, run_sweep, stages

CONFIG = toy.Config(size=2, steps=5)
SWEEP = Sweep(toy.STAGED, CONFIG, {"scale": [0.5, 2.0]}, seeds=3)


class StoppedError(Exception):
    pass


def kept(path):
    return sorted(path.glob("units/*/*.running"))


def stop_after(monkeypatch, count):
    """The computing thread fails once it has kept this many states."""
    write = stages._write

    def failing(store, unit, stage, state):
        write(store, unit, stage, state)
        if stage == count:
            raise StoppedError

    monkeypatch.setattr(stages, "INTERVAL", 0.0)
    monkeypatch.setattr(stages, "_write", failing)


@pytest.fixture
def stopped(monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(StoppedError):
            run_sweep(SWEEP, store=Store(tmp_path))
    assert len(kept(tmp_path)) == 1
    return tmp_path


def test_stages_are_the_simulation_cut():
    found = run_sweep(SWEEP)["curve"].values
    for i, scale in enumerate((0.5, 2.0)):
        for seed in range(3):
            config = toy.Config(size=2, steps=5, scale=scale)
            whole = toy.STAGED.simulate(config, key=lane_key(SWEEP, config, seed))["curve"]
            # 30 steps of a sine and a sum, the slope of neither above 1: a rounding a step.
            assert np.allclose(found[i, seed], whole, rtol=0, atol=60 * 4 * np.finfo(float).eps)


def test_a_stopped_unit_goes_on_to_the_same_bits_and_says_so(stopped):
    said = []
    dataset = run_sweep(SWEEP, store=Store(stopped), progress=said.append)
    assert "going on from stage 4 of 6" in [report.message for report in said]
    assert np.array_equal(dataset["curve"], run_sweep(SWEEP)["curve"])
    assert not kept(stopped)


@pytest.mark.parametrize("devices", [1, 2])
def test_a_state_serves_any_number_of_devices(stopped, devices):
    dataset = run_sweep(SWEEP, store=Store(stopped), devices=jax.devices()[:devices])
    assert np.array_equal(dataset["curve"], run_sweep(SWEEP)["curve"])


def test_a_damaged_state_is_as_good_as_none(stopped):
    (path,) = kept(stopped)
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    said = []
    dataset = run_sweep(SWEEP, store=Store(stopped), progress=said.append)
    assert not any("going on" in report.message for report in said)
    assert np.array_equal(dataset["curve"], run_sweep(SWEEP)["curve"])


def test_progress_counts_the_stages_of_the_running_unit(monkeypatch):
    monkeypatch.setattr(stages, "INTERVAL", 0.0)
    said = []
    slow = Sweep(toy.STAGED, toy.Config(size=4, steps=100_000), {"scale": [1.0]}, seeds=2)
    run_sweep(slow, progress=said.append)
    parts = [report.partial for report in said if report.partial]
    assert parts == sorted(parts)
    assert parts
    assert all(0 < part <= 2 for part in parts)


def test_a_killed_unit_goes_on_inside_and_ends_with_the_same_bytes(tmp_path):
    finish(child("staged", tmp_path / "undisturbed"))
    process = child("staged", tmp_path / "killed")
    wait_until(lambda: kept(tmp_path / "killed"), process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert len(kept(tmp_path / "killed")) == 1
    assert "going on from stage" in finish(child("staged", tmp_path / "killed"))
    assert result(tmp_path / "killed") == result(tmp_path / "undisturbed")
