"""The annealing law: its sums by brute force, its fit on data that obey it, and the exact bias."""

import numpy as np
import pytest

from scalinglab.theory.power_law_sgd.annealing import MEMORIES, fit_annealing, schedule_sums

STEPS = np.array([1.0, 2.0, 5.0, 30.0, 100.0])
COSINE = 0.2 * (1 + np.cos(np.pi * np.arange(100) / 100))


def test_the_sums_by_a_double_loop():
    found = schedule_sums(COSINE, STEPS, 0.9)
    for i, step in enumerate(STEPS.astype(int)):
        second = sum(
            (COSINE[k - 1] - COSINE[k]) * 0.9 ** (j - k)
            for j in range(1, step)
            for k in range(1, j + 1)
        )
        assert found.first[i] == pytest.approx(sum(COSINE[:step]), rel=1e-13)
        assert found.second[i] == pytest.approx(second, rel=1e-12, abs=1e-15)


def test_a_constant_rate_has_no_annealing():
    found = schedule_sums(np.full(100, 0.3), STEPS, 0.99)
    np.testing.assert_array_equal(found.second, 0.0)
    np.testing.assert_allclose(found.first, 0.3 * STEPS, rtol=1e-13)


@pytest.mark.parametrize("memory", MEMORIES)
def test_data_of_the_law_are_fitted_exactly(memory):
    """Two schedules determine the law, and a third is then predicted; the search ends at 1e-5."""
    steps = np.arange(5.0, 101.0, 5.0)
    schedules = [np.full(100, 0.4), COSINE, np.where(np.arange(100) < 60, 0.4, 0.05)]
    losses = []
    for rates in schedules:
        sums = schedule_sums(rates, steps, memory)
        losses.append(0.3 + 2.0 * sums.first**-0.7 - 0.02 * sums.second)
    found = fit_annealing(schedules[:2], [steps] * 2, losses[:2])
    assert found.memory == memory
    assert found.exponent == pytest.approx(0.7, abs=1e-4)
    assert found.floor == pytest.approx(0.3, abs=1e-3)
    assert found.gain == pytest.approx(0.02, rel=1e-2)
    np.testing.assert_allclose(found.at(schedules[2], steps), losses[2], rtol=1e-4)
