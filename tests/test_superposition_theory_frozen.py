"""Frozen random frames: the exact mean and its minimum against the simulation and the limits."""

import math

import jax
import numpy as np
import pytest

from scalinglab.models.random_frame import Config, simulate
from scalinglab.theory import random_frame as theory
from scalinglab.theory.superposition import flat, random_frame_losses, strong_constant


@pytest.mark.parametrize("gain", [None, 1.0])
def test_minimum_against_a_scan(gain):
    found = theory.frozen_frame(80, 15, 1.0, gain)
    features = flat(80.0, 1.0)
    gains = [gain] if gain else np.linspace(found.gain - 0.1, found.gain + 0.1, 21).tolist()
    losses = [
        80 * random_frame_losses(features, 15, a, np.array([b]))[0]
        for a in gains
        for b in np.linspace(found.bias - 0.1, found.bias + 0.1, 21)
    ]
    # The centre of the scan is the minimum itself.
    assert min(losses) == pytest.approx(found.loss, rel=1e-5)
    assert losses[0] > found.loss * 1.001


@pytest.mark.slow
@pytest.mark.parametrize("width", [6, 20])
def test_mean_over_frames_against_simulation(width):
    """64 frames at n = 60: 4 standard errors of their mean, 1e-4 to fail by chance."""
    config = Config(num_features=60, width=width, num_samples=12_000, dtype="float64")
    keys = jax.random.split(jax.random.key(width), 64)
    simulated = jax.jit(lambda: jax.lax.map(lambda key: simulate(config, key=key), keys))()
    found = theory.predict(config)
    for name in ("loss", "unit_loss"):
        sample, expected = np.asarray(simulated[name]), found.observables[name]
        error = sample.std() / math.sqrt(len(sample))
        # Tuning two numbers on 12 000 samples costs some 1e-4; what it gains in a frame is 1/n^2.
        assert abs(sample.mean() - expected) < 4 * error + 5e-4 * expected
        assert error < 0.01 * expected
    # Between frames alone, the samples' error taken off; a variance of 64 is known to 18%, and the
    # leading order (V) lacks up to 40% of the deviation at m = 6.
    frame = theory.frozen_frame(60, width)
    stated = theory.spread_between_frames(60, width, 1.0, frame.gain)
    variance = np.var(simulated["loss"]) - np.mean(simulated["loss_error"] ** 2)
    assert 0.6 * stated**2 < variance < 2.6 * stated**2
    assert found.relative_error >= stated / frame.loss


def test_limits():
    # Few dimensions: no output is better than the constant one.
    still = theory.frozen_frame(1000, 2)
    assert still == (pytest.approx(4 / 3 - 1 / 1000), 0.0, 1 / 1000)
    # The 1/m law, of which finite n/m leaves m/n and finite m/c the rest.
    constant = strong_constant(20_000).constant
    ratios = [
        m * theory.frozen_frame(20_000, m, 1.0, 1.0).loss / constant for m in (100, 400, 1600)
    ]
    assert 0.6 < ratios[0] < ratios[1] < ratios[2] < 1


def test_table():
    found = theory.predict(Config(num_features=1000, width=100), "all")
    assert list(found) == ["mean-over-frames", "inverse-width"]
    exact, limit = (found[name].observables for name in found)
    assert set(exact) == {"loss", "unit_loss", "mean_squared_overlap"}
    for name in ("loss", "unit_loss"):
        error = found["inverse-width"].relative_error
        assert exact[name] == pytest.approx(limit[name], rel=2 * error)
    assert list(theory.predict(Config(num_features=1000, width=20), "all")) == ["mean-over-frames"]
