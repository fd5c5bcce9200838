"""The default for asymptotic exponents: a fit of the leading correction."""

import numpy as np
import pytest

from scalinglab.models import Status
from scalinglab.theory.fitting import limiting_exponent

X = np.geomspace(10.0, 1e6, 25)


def _curve(c):
    return X**-0.5 * (1.0 + c * X**-0.3)


@pytest.mark.parametrize("c", [2.0, -1.5])
def test_noise_free_curves_give_the_limit(c):
    """The spec's curve, and one with a correction of the other sign: .5 to seven digits.

    Residuals of 1e-16 over the smallest singular value, about 1e-3 for 25 points: 1e-11 of the
    parameters, and the square root of it where the last step is limited by the objective.
    """
    found = limiting_exponent(X, _curve(c))
    assert found.corrected.status == Status.OK
    assert abs(found.exponent - 0.5) < 1e-7
    assert abs(found.straight_exponent - 0.5) > 0.03
    assert abs(found.corrected.parameters["c"] / c - 1.0) < 1e-5
    assert found.p_straight < 1e-6
    if c == 2.0:
        assert abs(found.straight_exponent - 0.5535) < 5e-5  # the published global regression


@pytest.mark.parametrize(("noise", "spread"), [(1e-4, 1e-4), (1e-3, 6e-4), (1e-2, 5.3e-3)])
def test_noisy_curves_give_it_without_bias(noise, spread):
    """40 curves: the mean within three errors of .5, the spread near the spec's.

    A spread of 40 is known to 11 %; three of them, and a factor for the spec's one digit.
    """
    random = np.random.default_rng(0)
    found = np.array(
        [
            limiting_exponent(X, _curve(2.0) * np.exp(noise * random.standard_normal(25))).exponent
            for _ in range(40)
        ]
    )
    assert abs(found.mean() - 0.5) < 3 * found.std() / np.sqrt(40) + 0.3 * spread
    assert 0.4 < found.std() / spread < 2.5


def test_a_straight_line_needs_no_correction():
    """p of the F test is uniform without a correction: below 1e-3 once in a thousand."""
    noise = 0.01 * np.random.default_rng(1).standard_normal(25)
    found = limiting_exponent(X, X**-0.5 * np.exp(noise))
    assert found.p_straight > 1e-3
    assert found.low < 0.5 < found.high


def test_a_constant_is_held_or_fitted():
    y = 0.01 + _curve(2.0)
    held = limiting_exponent(X, y, constant=0.01)
    free = limiting_exponent(X, y, constant=None)
    wrong = limiting_exponent(X, y, constant=0.009)
    assert abs(held.exponent - 0.5) < 1e-6
    assert abs(free.exponent - 0.5) < 1e-4
    assert abs(wrong.exponent - 0.5) > 0.01


def test_known_errors_set_the_scale():
    """With standard errors the interval shrinks in their proportion, whatever the residuals."""
    noise = 0.001 * np.random.default_rng(2).standard_normal(25)
    y = _curve(2.0) * np.exp(noise)
    small = limiting_exponent(X, y, standard_error=0.001 * y)
    large = limiting_exponent(X, y, standard_error=0.002 * y)
    assert abs(large.standard_error / small.standard_error - 2.0) < 0.05
    assert small.low < 0.5 < small.high


def test_too_few_points_are_refused():
    with pytest.raises(ValueError, match="3 points"):
        limiting_exponent(X[:3], X[:3] ** -0.5)
