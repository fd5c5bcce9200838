"""The exponent fit, the local slopes and the agreement test.

A tolerance `TIMES_EPS * eps * cond` is for two routes to one least-squares solution: each solves
a system of that condition number (of the normal equations, cond(X)²) with an error of a few eps
an operation, on sums of at most 40 terms.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from scalinglab.models import Status
from scalinglab.theory.fitting import (
    agree,
    difference_slopes,
    fit_power_law,
    local_slopes,
    regress_power_law,
)

close = np.testing.assert_allclose
EPS = float(np.finfo(np.float64).eps)
TIMES_EPS = 40.0
POINTS = 12
X = np.geomspace(30.0, 4e4, POINTS)
RELATIVE = np.random.default_rng(1).uniform(0.01, 0.2, POINTS)
Y = 3.0 * X**-0.62 * np.exp(RELATIVE * np.random.default_rng(2).standard_normal(POINTS))
SD = RELATIVE * Y


def _tolerance(x, weights):
    design = np.sqrt(weights)[:, None] * np.stack([np.log(x), np.ones_like(x)], 1)
    return TIMES_EPS * EPS * np.linalg.cond(design) ** 2


WEIGHTS = (Y / SD) ** 2
TOL_KNOWN = _tolerance(X, WEIGHTS)
TOL_RESIDUAL = _tolerance(X, np.ones(POINTS))
# Log x and log y stay below 11, and their rounding is divided by the step in log x.
TOL_SLOPE = TIMES_EPS * EPS * 11.0 / np.diff(np.log(X)).min()


def _numbers(fit):
    names = ("exponent", "exponent_error", "log_amplitude", "log_amplitude_error", "chi_squared")
    return np.array([getattr(fit, name) for name in names])


@pytest.mark.parametrize("kind", ["known", "residual"])
def test_fit_and_errors_match_numpy_and_scipy(kind):
    absolute = kind == "known"
    fit = fit_power_law(X, Y, standard_error=SD if absolute else None)
    tolerance = TOL_KNOWN if absolute else TOL_RESIDUAL
    log_x, log_y = np.log(X), np.log(Y)

    def check(slope, intercept, errors):
        expected = [-slope, errors[0], intercept, errors[1]]
        close(_numbers(fit)[:4], expected, rtol=tolerance)

    line, covariance = np.polyfit(
        log_x, log_y, 1, w=Y / SD if absolute else None, cov="unscaled" if absolute else True
    )
    check(*line, np.sqrt(np.diag(covariance)))
    line, covariance = scipy.optimize.curve_fit(
        lambda log_x, slope, intercept: slope * log_x + intercept,
        log_x,
        log_y,
        p0=(-0.6, 1.0),
        sigma=RELATIVE if absolute else None,
        absolute_sigma=absolute,
        jac=lambda log_x, *_: np.stack([log_x, np.ones_like(log_x)], 1),
        **dict.fromkeys(("ftol", "xtol", "gtol"), EPS),
    )
    check(*line, np.sqrt(np.diag(covariance)))
    if not absolute:
        peer = stats.linregress(log_x, log_y)
        check(peer.slope, peer.intercept, (peer.stderr, peer.intercept_stderr))
    weights = WEIGHTS if absolute else np.ones(POINTS)
    squares = np.sum(weights * (log_y - np.polyval(line, log_x)) ** 2)
    close(fit.chi_squared, squares, rtol=tolerance)

    quantile = stats.norm.ppf(0.975) if absolute else stats.t.ppf(0.975, POINTS - 2)
    half = quantile * float(fit.exponent_error)
    expected = float(fit.exponent) + np.array([-half, half])
    close(fit.interval, expected, rtol=TIMES_EPS * EPS)
    assert (int(fit.dof), int(fit.num_points)) == (POINTS - 2, POINTS)
    assert int(fit.status) == Status.OK
    assert fit.t_dof == (None if absolute else POINTS - 2)


def test_standard_errors_are_absolute_not_relative_weights():
    once, doubled = (fit_power_law(X, Y, standard_error=factor * SD) for factor in (1.0, 2.0))
    close(_numbers(doubled) / _numbers(once), [1.0, 2.0, 1.0, 2.0, 0.25], rtol=TOL_KNOWN)


def test_an_exact_power_law_is_returned_and_predicted():
    exact = 7.0 * X**-0.31
    fit = fit_power_law(X, exact)
    close([fit.exponent, fit.log_amplitude], [0.31, math.log(7.0)], rtol=TOL_RESIDUAL)
    # predict loses the error of log y, which is at most that of the fit times |log y| < 4.
    close(fit.predict(X), exact, rtol=4.0 * TOL_RESIDUAL)
    assert fit.predict(X.reshape(3, 4)).shape == (3, 4)
    # Lists and integers. log x is 0, 2.3 and 4.6: cond² of this design is 13.
    listed = fit_power_law([1, 10, 100], [1.0, 0.1, 0.01])
    close(listed.exponent, 1.0, rtol=TIMES_EPS * EPS * 13.0)


def test_the_window_is_inclusive_and_ignores_what_lies_outside():
    inside, limits = slice(2, 9), (X[2], X[8])
    spoiled, spoiled_sd = Y.copy(), SD.copy()
    spoiled[[0, 10]] = np.nan, -1.0
    spoiled_sd[[1, 11]] = 0.0, np.nan
    for error, error_inside, bad in ((None, None, None), (SD, SD[inside], spoiled_sd)):
        cut = fit_power_law(X[inside], Y[inside], standard_error=error_inside)
        tolerance = _tolerance(X[inside], np.ones(7) if error is None else WEIGHTS[inside])
        for y, sd in ((Y, error), (spoiled, bad)):
            fit = fit_power_law(X, y, standard_error=sd, window=limits)
            close(_numbers(fit), _numbers(cut), rtol=tolerance)
            close(fit.interval, cut.interval, rtol=tolerance)
            np.testing.assert_array_equal(fit.window, limits)
            assert int(fit.num_points) == 7
            assert not np.any(np.asarray(fit.weights)[[0, 1, 9, 10, 11]])


scales = st.floats(1e-12, 1e12)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(unit_x=scales, unit_y=scales, seed=st.integers(0, 2**32 - 1), with_errors=st.booleans())
def test_units_change_only_the_amplitude_and_order_nothing(unit_x, unit_y, seed, with_errors):
    rng = np.random.default_rng(seed)
    order = rng.permutation(POINTS)
    y = Y * np.exp(0.1 * rng.standard_normal(POINTS))
    errors = [SD, unit_y * SD[order]] if with_errors else [None, None]
    first = fit_power_law(X, y, standard_error=errors[0])
    second = fit_power_law(unit_x * X[order], unit_y * y[order], standard_error=errors[1])
    # In other units |log x| and |log y| reach 40, and rounding them moves the slope by
    # eps * 40 / (spread of log x, 2.2) a point: absolute errors, since the exponent may be small.
    moved = TIMES_EPS * EPS * 40.0
    assert abs(float(second.exponent - first.exponent)) < moved
    expected = first.log_amplitude + first.exponent * math.log(unit_x) + math.log(unit_y)
    assert abs(float(second.log_amplitude - expected)) < 40.0 * moved
    close(second.exponent_error, first.exponent_error, rtol=40.0 * moved)


@pytest.mark.parametrize("errors", ["known", "residual"])
def test_the_95_percent_interval_covers_the_truth_95_percent_of_the_time(errors):
    lanes = 4000
    log_noise = 0.03 * jnp.linspace(1.0, 3.0, 8) if errors == "known" else jnp.full(8, 0.05)
    x = jnp.geomspace(10.0, 1000.0, 8)

    def covered(key):
        # Noise normal in log y with the stated standard deviation: the intervals are exact.
        y = 2.0 * x**-0.7 * jnp.exp(log_noise * jax.random.normal(key, (8,)))
        fit = regress_power_law(x, y, standard_error=log_noise * y if errors == "known" else None)
        return (fit.interval[0] <= 0.7) & (fit.interval[1] >= 0.7)

    share = float(np.mean(jax.jit(jax.vmap(covered))(jax.random.split(jax.random.key(3), lanes))))
    # Four binomial standard deviations: 4 sqrt(.95 * .05 / 4000) = 0.0138.
    assert abs(share - 0.95) < 4.0 * math.sqrt(0.95 * 0.05 / lanes)


def test_vmap_equals_a_loop_and_traced_windows_are_allowed():
    curves = np.stack([Y, 1.0 / Y, Y**2])
    lows, high = X[[0, 2, 4]], X[10]
    core = partial(regress_power_law, X, standard_error=SD)
    together = jax.jit(jax.vmap(lambda y, low: core(y, window=(low, high))))(curves, lows)
    for lane in range(3):
        alone = fit_power_law(X, curves[lane], standard_error=SD, window=(lows[lane], high))
        keep = slice(2 * lane, 11)
        tolerance = _tolerance(X[keep], np.asarray(alone.weights)[keep])
        close(_numbers(together)[:, lane], _numbers(alone), rtol=tolerance)
        assert int(together.num_points[lane]) == int(alone.num_points) == 11 - 2 * lane


@pytest.mark.parametrize("output", ["exponent", "exponent_error", "log_amplitude"])
@pytest.mark.parametrize("with_errors", [True, False])
def test_gradients_match_central_differences(output, with_errors):
    direction = np.random.default_rng(6).standard_normal(POINTS)

    def along(step):
        y = Y * jnp.exp(step * direction)
        sd = jnp.asarray(SD) if with_errors else None
        return getattr(regress_power_law(X, y, standard_error=sd, window=(X[1], X[10])), output)

    # Step eps^(1/3): truncation h² f'''/6 and rounding eps * f / h are both of order eps^(2/3).
    step = EPS ** (1.0 / 3.0)
    central = float((along(step) - along(-step)) / (2.0 * step))
    scale = 1.0 + abs(float(along(0.0))) + abs(central)
    assert abs(float(jax.grad(along)(0.0)) - central) < 100.0 * EPS ** (2.0 / 3.0) * scale


def test_same_window_fits_a_theory_with_the_points_and_weights_of_the_measurement():
    fit = fit_power_law(X, Y, standard_error=SD, window=(X[1], X[10]))
    theory = 3.0 * X**-0.5 * (1.0 + 2.0 * X**-0.3)
    spoiled = theory.copy()
    spoiled[0] = np.nan
    line = np.polyfit(np.log(X[1:11]), np.log(theory[1:11]), 1, w=(Y / SD)[1:11])
    for curve in (theory, spoiled):
        same = fit.same_window(curve)
        close([same.exponent, same.log_amplitude], [-line[0], line[1]], rtol=TOL_KNOWN)
        assert float(same.exponent_error) == float(same.log_amplitude_error) == 0.0
        assert same.t_dof is None
    close(_numbers(fit.same_window(Y))[::2], _numbers(fit)[::2], rtol=TOL_KNOWN)
    # Every x^-a is straight, so its windowed exponent is a, and the derivative 1.
    close(jax.grad(lambda a: fit.same_window(X**-a).exponent)(0.4), 1.0, rtol=TOL_KNOWN)
    failed = fit.same_window(np.where(X > 1e3, np.nan, Y))
    assert int(failed.status) == Status.NOT_FINITE
    assert np.isnan(failed.exponent)
    with pytest.raises(ValueError, match=r"y: shape \(3,\) differs from the shape \(12,\)"):
        fit.same_window(np.ones(3))


def test_a_corrected_power_law_is_biased_in_a_window_but_not_against_its_own_theory():
    x = np.geomspace(10.0, 1e6, 25)
    y = x**-0.5 * (1.0 + 2.0 * x**-0.3)
    # Asymptotic exponent 1/2; the finite-window numbers were found with numpy.polyfit.
    fit, last = fit_power_law(x, y), fit_power_law(x, y, window=(x[-8], x[-1]))
    assert abs(float(fit.exponent) - 0.5535) < 5e-5
    assert abs(float(last.exponent) - 0.5154) < 5e-5
    assert abs(float(local_slopes(x, y).exponent[-1]) - 0.5099) < 5e-5
    assert agree(fit.exponent, 0.0, 0.5).verdict == "disagrees"
    own = agree(fit.exponent, 0.0, fit.same_window(y).exponent)
    # One functional of one curve: equal but for the rounding of two compilations.
    assert abs(own.difference) < _tolerance(x, np.ones(25))
    assert own.verdict == "agrees"
    # A constant E = 0.1 makes y symmetric in log-log about x = 100, where the local slope is 1/4.
    x = np.geomspace(1.0, 1e4, 25)
    close(fit_power_law(x, 0.1 + x**-0.5).exponent, 0.25, rtol=_tolerance(x, np.ones(25)))


def test_the_core_gives_a_status_where_the_wrapper_raises():
    nan_y = np.where(np.arange(POINTS) == 4, np.nan, Y)
    two_points = regress_power_law(X, Y, window=(X[0], X[1]))
    assert two_points.t_dof is None
    for fit, status in (
        (two_points, Status.NOT_FINITE),
        (regress_power_law(X, nan_y, standard_error=SD), Status.NOT_FINITE),
        (regress_power_law(X, -Y), Status.NOT_FINITE),
        (regress_power_law(X, Y, standard_error=0.0 * SD), Status.NOT_FINITE),
        (regress_power_law(X, Y, window=(1.0, 2.0)), Status.ILL_CONDITIONED),
        (regress_power_law(X, Y, standard_error=SD, window=(X[0],) * 2), Status.ILL_CONDITIONED),
        (regress_power_law(np.full(POINTS, 5.0), Y), Status.ILL_CONDITIONED),
    ):
        assert int(fit.status) == status
        assert np.isnan([*_numbers(fit), *fit.interval]).all()


@pytest.mark.parametrize(
    ("call", "arguments", "options", "message"),
    [
        (fit_power_law, (np.ones((1, 1)), Y), {}, r"x: shape \(1, 1\) is not one.* use vmap"),
        (fit_power_law, ([1.0, -2.0], [1.0] * 2), {}, r"x: -2\.0 at index 1 is not .*; leave"),
        (fit_power_law, ([math.nan], [1.0]), {}, r"x: nan at index 0 is not positive .*; leave"),
        (fit_power_law, (X, Y[:-1]), {}, r"y: shape \(11,\) differs .*\(12,\) of x; give"),
        (fit_power_law, (X, -Y), {}, r"y: -.* at index 0 is not .* narrow the window"),
        (fit_power_law, (X, Y * math.nan), {}, r"y: nan at index 0 is not positive .*; leave"),
        (fit_power_law, (X, Y), {"standard_error": SD[:3]}, r"standard_error: shape .*; give"),
        (fit_power_law, (X, Y), {"standard_error": 0 * SD}, r"standard_error: 0\.0 at .*; leave"),
        (fit_power_law, (X, Y), {"window": (9, 3)}, r"window: \(9\.0, 3\.0\) is rev.*; give"),
        (fit_power_law, (X, Y), {"window": (1, 2)}, r"window: \(1\.0, 2\.0\) holds no .*; widen"),
        (fit_power_law, ([], []), {}, r"x: 0 points .* at least 3 are needed; add points or widen"),
        (fit_power_law, (X[:2], Y[:2]), {}, r"x: 2 points .* least 3 .*; give standard_error, or"),
        (fit_power_law, (X[:1], Y[:1]), {"standard_error": SD[:1]}, r"x: 1 points .* 2 .*add"),
        (fit_power_law, ([3.0] * 4, Y[:4]), {}, r"x: every point .* 3\.0; a slope needs two"),
        (local_slopes, ([0.0, 1.0], [1.0] * 2), {}, r"x: 0\.0 at index 0 is not .*; leave"),
        (local_slopes, (X, -Y), {}, r"y: -.* at index 0 is not positive and finite; leave"),
        (local_slopes, (X, Y[:-1]), {}, r"y: shape \(11,\) differs .*\(12,\) of x; give"),
        (local_slopes, (X, Y), {"standard_error": -SD}, r"standard_error: -.* is not .*; leave"),
        (local_slopes, ([1.0], [1.0]), {}, r"x: 1 points, and at least 2 are needed; add points"),
        (local_slopes, ([2.0, 1.0, 2.0], [1.0] * 3), {}, r"x: 2\.0 is there more .*; average"),
        (agree, (0.5, -0.1, 0.5), {}, r"standard_error: -0\.1 is negative; give a standard"),
        (agree, (0.5, 0.1, 0.5), {"systematic": -1}, r"systematic: -1\.0 is negative; give a"),
        (agree, (0.5, 0.1, 0.5), {"margin": 0}, r"margin: 0 is not positive and finite; give"),
        (agree, (0.5, 0.1, 0.5), {"margin": math.inf}, r"margin: inf is not positive and .*; give"),
        (agree, (0.5, 0.1, 0.5), {"dof": 0}, r"dof: 0 is not positive; leave it out for normal"),
    ],
)
def test_bad_input_is_named_with_its_value_and_remedy(call, arguments, options, message):
    with pytest.raises(ValueError, match="^" + message):
        call(*arguments, **options)


def test_local_slopes_are_differences_at_geometric_midpoints_in_any_order():
    order = np.random.default_rng(7).permutation(POINTS)
    slopes = local_slopes(X[order], Y[order], standard_error=SD[order])
    step = np.diff(np.log(X))
    expected = np.hypot(RELATIVE[1:], RELATIVE[:-1]) / step
    close(slopes.exponent, -np.diff(np.log(Y)) / step, atol=TOL_SLOPE, rtol=0)
    close(slopes.x, np.sqrt(X[1:] * X[:-1]), rtol=TOL_SLOPE)
    close(slopes.standard_error, expected, rtol=TOL_SLOPE)
    assert local_slopes(X, Y).standard_error is None
    # A slope is the fit of its two points.
    fit = fit_power_law(X, Y, standard_error=SD, window=(X[6], X[7]))
    tolerance = _tolerance(X[6:8], WEIGHTS[6:8])
    close(slopes.exponent[6], fit.exponent, rtol=tolerance)
    close(expected[6], fit.exponent_error, rtol=tolerance)


def test_local_slopes_vmap_and_differentiate():
    curves = np.stack([Y, Y[::-1]])
    together = jax.vmap(lambda y: difference_slopes(X, y, standard_error=SD))(curves)
    for lane in range(2):
        alone = local_slopes(X, curves[lane], standard_error=SD)
        close(together.exponent[lane], alone.exponent, rtol=0, atol=TOL_SLOPE)
        close(together.standard_error[lane], alone.standard_error, rtol=TOL_SLOPE)
    # The local slopes of x^-a are a.
    slope = jax.grad(lambda a: jnp.mean(difference_slopes(X, X**-a).exponent))(0.4)
    close(slope, 1.0, rtol=TOL_SLOPE)


@pytest.mark.parametrize(
    ("arguments", "options", "verdict", "biased"),
    [
        # |d| + 1.645 s = .003 + .01645 = .01945 <= .02.
        ((0.497, 0.01, 0.5), {}, "agrees", False),
        # The same with t_20: .003 + 1.7247 * .01 = .02025 > .02.
        ((0.497, 0.01, 0.5), {"dof": 20}, "inconclusive", False),
        # .01 + 1.645 * .004 = .01658 <= .02, and .01 > 1.96 * .004 = .00784.
        ((0.51, 0.004, 0.5), {}, "agrees", True),
        # .05 - 1.96 * .01 = .0304 > .02.
        ((0.55, 0.01, 0.5), {}, "disagrees", True),
        # .035 - .0196 = .0154 <= .02 < .035 + .01645.
        ((0.535, 0.01, 0.5), {}, "inconclusive", True),
        # With t_3 the half-width is 3.182 * .01, and .05 - .03182 = .01818 <= .02.
        ((0.55, 0.01, 0.5), {"dof": 3}, "inconclusive", True),
        # The margin is .02 < .021, though the values are equal.
        ((0.5, 0.021, 0.5), {}, "not identifiable", False),
        # hypot(.003, .004) = .005: .01 + .00822 <= .02; hypot(.01, .02) > .02.
        ((0.51, 0.003, 0.5), {"systematic": 0.004}, "agrees", True),
        ((0.5, 0.01, 0.5), {"systematic": 0.02}, "not identifiable", False),
        ((0.5, 0.001, 0.5), {"status": Status.NOT_CONVERGED}, "not identifiable", False),
        ((math.nan, 0.01, 0.5), {}, "not identifiable", False),
        ((0.5, math.nan, 0.5), {}, "not identifiable", False),
        # Without noise the margin alone decides, its edge included: .75 - .5 is exact.
        ((0.5, 0.0, 0.5), {}, "agrees", False),
        ((0.75, 0.0, 0.5), {"margin": 0.25}, "agrees", True),
        ((0.76, 0.0, 0.5), {"margin": 0.25, "dof": 4}, "disagrees", True),
        # The default margin is .05 * 2 = .1: .08 + .01645 = .09645 <= .1.
        ((2.08, 0.01, 2.0), {"margin": None}, "agrees", True),
    ],
)
def test_every_verdict_at_hand_computed_cases(arguments, options, verdict, biased):
    found = agree(*arguments, **{"margin": 0.02, **options})
    assert (found.verdict, found.biased) == (verdict, biased)


@pytest.mark.parametrize("dof", [None, 1, 4, 20, 20.5, math.inf])
def test_p_equivalence_is_the_larger_of_two_one_sided_tests(dof):
    law = stats.norm if dof in (None, math.inf) else stats.t(dof)
    for measured, error, systematic in ((0.497, 0.01, 0.0), (0.51, 0.012, 0.01), (0.56, 0.01, 0.0)):
        found = agree(measured, error, 0.5, margin=0.02, systematic=systematic, dof=dof)
        difference, total = measured - 0.5, math.hypot(error, systematic)
        above = law.sf((difference + 0.02) / total)
        below = law.cdf((difference - 0.02) / total)
        # A tail's relative error is that of its argument times the log-derivative of the tail,
        # below 40 for |z| <= 7; the argument cancels two digits.
        tolerance = 40.0 * 100.0 * TIMES_EPS * EPS
        close(found.p_equivalence, max(above, below), rtol=tolerance)
        close(found.z, difference / total, rtol=tolerance)
        assert found.standard_error == total
        if found.verdict != "not identifiable":
            assert (found.p_equivalence <= 0.05) == (found.verdict == "agrees")


def test_no_significant_difference_is_not_yet_agreement():
    # .497 ± .01 against .5 ± .02, with errors from some twenty residuals: z-test p = .77, and
    # yet the TOST p is .052. With a known error the quantile is normal, and the p is .045.
    t_20 = agree(0.497, 0.01, 0.5, margin=0.02, dof=20)
    assert round(2.0 * stats.t.sf(abs(t_20.z), 20), 2) == 0.77
    assert round(t_20.p_equivalence, 3) == 0.052
    assert t_20.verdict == "inconclusive"
    normal = agree(0.497, 0.01, 0.5, margin=0.02)
    assert round(normal.p_equivalence, 3) == 0.045
    assert normal.verdict == "agrees"


def test_without_noise_the_reported_numbers_are_zero_or_infinite():
    exact, off, lost = agree(0.5, 0.0, 0.5), agree(0.4, 0, 0.5), agree(math.nan, 0.01, 0.1)
    assert (exact.z, exact.p_equivalence, exact.margin) == (0.0, 0.0, 0.025)
    assert (off.z, off.p_equivalence, lost.margin) == (-math.inf, 1.0, 0.02)
    assert np.isnan([lost.z, lost.p_equivalence]).all()


def test_a_fit_feeds_the_agreement_test():
    fit = fit_power_law(X, Y, standard_error=SD)
    theory = fit.same_window(3.0 * X**-0.62)
    options = {"dof": fit.t_dof, "status": fit.status}
    found = agree(fit.exponent, fit.exponent_error, theory.exponent, **options)
    # Drawn from this law with these errors, at a fixed seed: within four standard errors.
    assert abs(found.z) < 4.0
    assert found.verdict == "agrees"
