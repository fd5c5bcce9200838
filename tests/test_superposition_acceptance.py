"""Trained networks against theory: what section 4 of the notes states, at its sizes, three seeds.

The settings are the recipe's: B = 512, T = 5000, gamma = -1, biases from zero, peak rate .02, or
.01 above n = 300. Losses of a seed scatter by .3 % at alpha = 0, 1.1 % at 1, 3 % at 1.5 and 5 % at
2, and are estimated to 1 % or better, so that margins of 15 % and more are not reached by chance.
Left out: n = 800, some ten minutes for a network, and the wide frozen frames, which the experiment
`random-frames` runs at size default.
"""

import jax
import jax.random as jr
import jaxtyping
import numpy as np
import pytest

from scalinglab.models import Status, superposition
from scalinglab.theory import superposition as theory

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(1200)]

# Losses of one seed, from networks trained before this code was written.
TABLE = {
    1.0: (0.572, 0.419, 0.257, 0.131, 0.0645, 0.0287),
    1.5: (0.213, 0.130, 0.068, 0.0309, 0.0137, 0.0057),
    2.0: (0.0513, 0.0281, 0.0134, 0.0057, 0.0026, 0.0011),
}
WIDTHS = (7, 10, 14, 20, 28, 40)


@pytest.fixture(autouse=True)
def unchecked(monkeypatch):
    """Calls as a user makes them: the type checker slows a linear programme down many times."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def train(seeds=3, **fields):
    """The observables of some seeds, a seed at a time: on CPUs as fast as a batch of them."""
    config = superposition.Config(**fields)
    simulate = jax.jit(lambda key: superposition.MODEL.simulate(config, key=key))
    lanes = [simulate(jr.fold_in(jr.key(0), seed)) for seed in range(seeds)]
    found = {name: np.stack([np.asarray(lane[name]) for lane in lanes]) for name in lanes[0]}
    assert np.all(found["status"] == Status.OK)
    return found


def frequencies(n, decay):
    weights = np.arange(1, n + 1.0) ** -decay
    return weights / weights.sum()


@pytest.mark.parametrize(
    ("n", "m"),
    [(100, 7), (100, 14), (100, 20), (200, 10), (200, 20), (200, 40), (400, 18), (400, 40)],
)
def test_equal_frequencies(n, m):
    """The interpolation within 15 %, .97 LP to RF, and tight, balanced, skewed rows."""
    rate = 0.02 if n <= 300 else 0.01
    found = train(num_features=n, width=m, learning_rate=rate)
    bounds = theory.bracket(np.full(n, 1 / n), m)
    loss = found["loss"]
    assert np.all((loss > 0.97 * bounds.lower) & (loss <= bounds.upper))
    np.testing.assert_allclose(loss, bounds.interpolation, rtol=0.15)
    live = np.rint(found["live_fraction"] * n).astype(int)
    welch = np.array([theory.welch_mean_square(int(count), m) for count in live])
    np.testing.assert_allclose(found["mean_squared_overlap_live"], welch, rtol=0.015)
    np.testing.assert_allclose(found["overlap_mean_live"] * (1 - live), 1, rtol=0.03)
    if n / m**1.5 >= 1.8:
        least = np.array([theory.least_skewness(int(count), m) for count in live])
        ratio = found["overlap_skew_live"] / least
        assert np.all((ratio > 0.93) & (ratio < 1.02))


@pytest.mark.parametrize("decay", TABLE)
@pytest.mark.parametrize("m", [10, 20, 40])
def test_steep_frequencies(decay, m):
    """Below .8 of the core with a Gaussian frame, and the table's losses.

    The table is one seed by other code: 15 % at alpha = 1 and 1.5, 25 % at 2, each several times
    the scatter of a seed.
    """
    found = train(num_features=200, width=m, frequency_decay=decay)
    assert np.all(found["loss"] < 0.8 * theory.core_frame(frequencies(200, decay), m).loss)
    expected = TABLE[decay][WIDTHS.index(m)]
    np.testing.assert_allclose(found["loss"].mean(), expected, rtol=0.25 if decay == 2 else 0.15)


@pytest.mark.parametrize(
    ("decay", "m", "low", "high"), [(1.0, 14, 0.7, 1.15), (1.5, 14, 0.5, 1.3), (2.0, 20, 0.5, 1.3)]
)
def test_one_class_programme_with_a_core(decay, m, low, high):
    found = train(num_features=200, width=m, frequency_decay=decay)
    ratio = found["loss"].mean() / theory.programme_frame(frequencies(200, decay), m).loss
    assert low < ratio < high


@pytest.mark.parametrize("decay", [1.5, 2.0])
def test_weak_superposition(decay):
    """L/U in 1.00 to 1.15, and slopes of L and U within .06, in the mean over three seeds.

    In the mean over the widths: at alpha = 1.5 and m = 30 alone L/U is 1.156 (14), a deviation that
    docs/superposition.md states; no width is beyond 1.2.
    """
    widths = (5, 8, 13, 20, 30)
    lanes = [
        train(
            num_features=200,
            width=m,
            frequency_decay=decay,
            weight_decay=0.5,
            num_steps=3000,
        )
        for m in widths
    ]
    loss, unlearned = (
        np.stack([lane[name] for lane in lanes]) for name in ("loss", "unrepresented_loss")
    )
    ratios = np.mean(loss, axis=1) / np.mean(unlearned, axis=1)
    assert np.all((ratios > 1.0) & (ratios < 1.2))
    assert ratios.mean() < 1.15
    slopes = [
        np.polyfit(np.log(widths), np.log(values.mean(axis=1)), 1)[0]
        for values in (loss, unlearned)
    ]
    assert abs(slopes[0] - slopes[1]) < 0.06


@pytest.mark.parametrize("steps", [1000, 4000])
def test_normal_biases_leave_dead_rows(steps):
    found = train(num_features=200, width=14, bias_init="normal", num_steps=steps)
    assert np.all((found["live_fraction"] > 0.5) & (found["live_fraction"] < 0.7))
    zeros = train(num_features=200, width=14, num_steps=steps, seeds=1)
    assert np.all(zeros["loss"] < found["loss"])


def test_the_sweep_is_deterministic():
    """The same key in two compilations of one program: the same bits."""
    fields = {"num_features": 60, "width": 8, "batch_size": 128, "num_steps": 200}
    first, second = (train(seeds=1, evaluation_samples=2048, **fields)["loss"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first[0])
