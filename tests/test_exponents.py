"""Asymptotic exponents: windows, Richardson, Aitken, and the smoothers of local exponents."""

import math

import numpy as np
import pytest
from scipy.interpolate import make_smoothing_spline
from scipy.signal import savgol_filter

from scalinglab.theory.fitting.asymptotic import aitken, richardson, windowed_exponent
from scalinglab.theory.fitting.local_slope import local_slopes
from scalinglab.theory.fitting.power_law import fit_power_law

close = np.testing.assert_allclose
EPS = float(np.finfo(np.float64).eps)
X = np.geomspace(10.0, 1e6, 25)
BENT = X**-0.5 * (1.0 + 2.0 * X**-0.3)
STEP = math.log(1e5) / 24.0
MIDPOINTS = np.sqrt(X[1:] * X[:-1])


def _differences(curves):
    return -np.diff(np.log(curves), axis=-1) / STEP


def test_the_windows_are_regressions_from_each_point_on():
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.01, 0.05, 25)
    y = BENT * np.exp(noise * rng.standard_normal(25))
    order = rng.permutation(25)
    found = windowed_exponent(X[order], y[order], standard_error=(noise * y)[order])
    assert found.t_dof is None
    close(found.x_min, X[:20], rtol=0)
    assert found.num_points.tolist() == list(range(25, 5, -1))
    for start in range(20):
        line, covariance = np.polyfit(
            np.log(X[start:]), np.log(y[start:]), 1, w=1.0 / noise[start:], cov="unscaled"
        )
        design = np.stack([np.log(X[start:]), np.ones(25 - start)], 1) / noise[start:, None]
        # Two routes to one least-squares solution: as in test_fitting.
        rtol = 40.0 * EPS * np.linalg.cond(design) ** 2
        close(found.exponent[start], -line[0], rtol=rtol)
        close(found.standard_error[start], math.sqrt(covariance[0, 0]), rtol=rtol)
    # The spacing is 1.616, so that twice x is passed two points later.
    assert X[2] > 2.0 * X[0] > X[1]
    close(found.systematic[:18], np.abs(found.exponent[:18] - found.exponent[2:]), rtol=0)
    assert np.isnan(found.systematic[18:]).all()


@pytest.mark.parametrize("noise", [0.01, 0.05])
def test_the_chosen_window_is_the_largest_from_which_on_the_exponent_is_flat(noise):
    chosen, flats = set(), set()
    for seed in range(30):
        y = BENT * np.exp(noise * np.random.default_rng(seed).standard_normal(25))
        found = windowed_exponent(X, y, standard_error=noise * y)
        expected, flat = 17, False
        for first in range(18):
            later = range(first + 1, 20)
            moved = [abs(found.exponent[j] - found.exponent[first]) for j in later]
            if all(m <= found.standard_error[j] for m, j in zip(moved, later, strict=True)):
                expected, flat = first, True
                break
        assert (found.chosen, found.flat) == (expected, flat)
        exponent, error, systematic = found.choice
        assert exponent == found.exponent[expected]
        assert (error, systematic) == (
            found.standard_error[expected],
            found.systematic[expected],
        )
        chosen.add(found.chosen)
        flats.add(found.flat)
    assert len(chosen) > 3
    assert flats == {True, False}


def test_windows_of_a_pure_power_law_cover_it_with_the_systematic_in_quadrature():
    sets, noise = 300, 0.01
    rng, inside = np.random.default_rng(1), 0
    for _ in range(sets):
        y = X**-0.5 * np.exp(noise * rng.standard_normal(25))
        exponent, error, systematic = windowed_exponent(X, y, standard_error=noise * y).choice
        inside += abs(exponent - 0.5) < 1.96 * math.hypot(error, systematic)
    # The choice looks at the data, and the systematic makes up for it: not below 95 % by more
    # than 4 binomial standard deviations, 4 sqrt(.95 * .05 / 300) = 0.050.
    assert inside / sets > 0.95 - 4.0 * math.sqrt(0.95 * 0.05 / sets)


def test_a_correction_leaves_more_bias_than_the_systematic_says():
    found = windowed_exponent(X, BENT)
    # Without noise nothing is flat; values of the spec, found there with numpy.polyfit.
    assert not found.flat
    assert found.t_dof == found.num_points[found.chosen] - 2 == 6
    exponent, _, systematic = found.choice
    assert [round(float(e), 4) for e in (found.exponent[0], found.exponent[17])] == [0.5535, 0.5154]
    last = [-np.polyfit(np.log(X[-n:]), np.log(BENT[-n:]), 1)[0] for n in (8, 6)]
    # Differences of exponents found by two routes: cond² of six points is below 1e4.
    close(systematic, last[0] - last[1], rtol=0, atol=40.0 * EPS * 1e4)
    assert (round(exponent - 0.5, 4), round(systematic, 4)) == (0.0154, 0.0021)
    # Exactly straight: every window gives the exponent, and the first is chosen.
    straight = windowed_exponent(X, 3.0 * X**-0.5, standard_error=0.01 * X**-0.5)
    assert (straight.chosen, straight.flat) == (0, True)
    close(straight.exponent, 0.5, rtol=1e3 * EPS)


def test_richardson_and_aitken_on_a_corrected_power_law():
    slopes = np.asarray(local_slopes(X, BENT).exponent)
    # The numbers of the spec.
    assert round(float(slopes[-1]), 4) == 0.5099
    estimates, blind = richardson(MIDPOINTS, slopes, 0.3), aitken(slopes)
    assert round(float(estimates[-1]), 5) == 0.50038
    assert round(float(blind[-1]), 4) == 0.4995
    # Aitken's is the Richardson step with the ratio measured from three slopes.
    ratio = (slopes[-1] - slopes[-2]) / (slopes[-2] - slopes[-3])
    omega = -math.log(ratio) / STEP
    # Conditioning: eps * slope over the second difference, 0.5 eps / 2e-4.
    close(richardson(MIDPOINTS, slopes, omega)[-1], blind[-1], rtol=40.0 * EPS * 0.5 / 2e-4)
    # One pure correction is removed by both: the step is divided by r - 1 = 0.155 and, for
    # Aitken, by the second difference, of 1e-4 at the far end.
    pure = 0.5 + 0.6 * MIDPOINTS**-0.3
    close(richardson(MIDPOINTS, pure, 0.3), 0.5, rtol=40.0 * EPS / 0.155)
    close(aitken(pure), 0.5, rtol=40.0 * EPS / 1e-4)


def test_a_settled_slope_is_its_own_limit_and_equal_steps_have_none():
    assert aitken(np.array([[1.0, 0.5, 0.5], [0.4, 0.4, 0.4]])).tolist() == [[0.5], [0.4]]
    assert np.isnan(aitken(np.array([1.0, 2.0, 3.0]))).all()


@pytest.mark.parametrize(("noise", "shift", "spread"), [(1e-4, 0.011, 0.004), (1e-3, 0.013, 0.002)])
def test_noise_biases_aitken_like_the_windowed_fit(noise, shift, spread):
    sets = 20000
    rng = np.random.default_rng(2)
    slopes = _differences(BENT * np.exp(noise * rng.standard_normal((sets, 25))))
    estimates = np.median(aitken(slopes)[:, -3:], axis=1) - 0.5
    low, middle, high = np.quantile(estimates, [0.16, 0.5, 0.84])
    # Four standard errors of a median, 1.25 spread / sqrt(sets), and the rounding of the stated
    # numbers: half their last digit, for the spread as well, whose own error is below it.
    assert abs(middle - shift) < 4.0 * 1.25 * spread / math.sqrt(sets) + 5e-4
    assert abs((high - low) / 2.0 - spread) < 5e-4
    # Without noise it is -0.0006; the regression over the last eight points has +0.0154.
    clean = np.median(aitken(_differences(BENT))[-3:]) - 0.5
    assert round(float(clean), 4) == -0.0006
    assert middle > 0.6 * 0.0154
    # Richardson with omega known stays unbiased, with the noise of a difference of slopes.
    known = richardson(MIDPOINTS, slopes, 0.3)[:, -1]
    r = math.exp(0.3 * STEP)
    error = noise / STEP * math.sqrt(r**2 + (1.0 + r) ** 2 + 1.0) / (r - 1.0)
    close(known.std(), error, rtol=4.0 / math.sqrt(2.0 * sets))
    assert abs(known.mean() - 0.50038) < 4.0 * error / math.sqrt(sets) + 5e-6


def _noisy(seed):
    rng = np.random.default_rng(seed)
    relative = rng.uniform(0.01, 0.04, 25)
    y = BENT * np.exp(relative * rng.standard_normal(25))
    return y, relative * y, relative


METHODS = [
    {"method": "difference"},
    {"method": "spline", "smoothing": 0.0},
    {"method": "spline", "smoothing": 300.0},
    {"method": "savgol"},
    {"method": "savgol", "window_length": 9, "degree": 3},
]


@pytest.mark.parametrize("options", METHODS)
def test_errors_pass_exactly_through_the_linear_map(options):
    y, error, relative = _noisy(3)
    found = local_slopes(X, y, standard_error=error, **options)
    # Linear in log y given the weights: the map is read off by moving one value of log y at a time,
    # its error with it, which keeps the weights.
    size = 0.1
    columns = []
    for index in range(25):
        factor = np.where(np.arange(25) == index, math.exp(size), 1.0)
        moved = local_slopes(X, y * factor, standard_error=error * factor, **options)
        columns.append((np.asarray(moved.exponent) - np.asarray(found.exponent)) / size)
    expected = np.linalg.norm(np.stack(columns, 1) * relative, axis=1)
    # The slopes of log y < 9 are rounded at 9 eps over the step of 0.48, and divided by `size`.
    close(found.standard_error, expected, rtol=0, atol=40.0 * EPS * 9.0 / (STEP * size))
    assert local_slopes(X, y, **options).standard_error is None


@pytest.mark.parametrize("smoothing", [1e-3, 1.0, 1e3])
def test_spline_slopes_match_scipy(smoothing):
    rng = np.random.default_rng(4)
    # Gaps of log x between 0.2 and 0.6: cond(1 + smoothing K) is below 1e3 * 12 / 0.2³ = 1.5e6.
    log_x = np.cumsum(rng.uniform(0.2, 0.6, 30))
    order = rng.permutation(30)
    y = np.exp(-0.4 * log_x + 0.1 * rng.standard_normal(30))
    relative = rng.uniform(0.5, 2.0, 30)
    for given, weights in ((None, None), (relative * y, relative**-2.0)):
        peer = make_smoothing_spline(log_x, np.log(y), w=weights, lam=smoothing)
        found = local_slopes(
            np.exp(log_x)[order],
            y[order],
            standard_error=None if given is None else given[order],
            method="spline",
            smoothing=smoothing,
        )
        close(found.x, np.exp(log_x), rtol=40.0 * EPS)
        close(found.exponent, -peer.derivative()(log_x), rtol=0, atol=1.5e6 * 40.0 * EPS)


def test_the_chosen_smoothing_has_the_least_cross_validation_score():
    y, error, relative = _noisy(5)
    log_x, log_y = np.log(X), np.log(y)
    found = local_slopes(X, y, method="spline")
    peer = make_smoothing_spline(log_x, log_y)
    # Both stop near the minimum, scipy at 1e-5 of log lambda or worse; slopes move by less.
    close(found.exponent, -peer.derivative()(log_x), rtol=0, atol=1e-4)

    def score(smoothing):
        units = [
            make_smoothing_spline(log_x, unit, w=relative**-2.0, lam=smoothing)(log_x)
            for unit in np.eye(25)
        ]
        residual = log_y - np.stack(units, 1) @ log_y
        return np.sum((residual / relative) ** 2) / (25.0 - np.trace(np.stack(units, 1))) ** 2

    # With weights scipy's own choice is not the minimum of its score: find that by force.
    grid = np.geomspace(1e2, 1e7, 101)
    scores = [score(smoothing) for smoothing in grid]
    best = int(np.argmin(scores))
    assert 0 < best < 100
    found = local_slopes(X, y, standard_error=error, method="spline")
    near = [
        np.asarray(local_slopes(X, y, standard_error=error, method="spline", smoothing=at).exponent)
        for at in grid[[best - 1, best + 1]]
    ]
    # Slopes are monotone in lambda between its neighbours on the grid, 26 % apart, to first order;
    # a tenth of their distance is for the second.
    room = 0.1 * np.abs(near[0] - near[1]) + 1e-6
    assert np.all(np.asarray(found.exponent) < np.maximum(*near) + room)
    assert np.all(np.asarray(found.exponent) > np.minimum(*near) - room)


def test_a_stiff_spline_is_the_straight_line():
    y, error, _ = _noisy(6)
    fit = fit_power_law(X, y, standard_error=error)
    found = local_slopes(X, y, standard_error=error, method="spline", smoothing=1e12)
    # The straight line is approached as w / (lambda k), the least k pi⁴-like: (4.73/11.5)⁴ = .03
    # a point and unit of log x: 1e4 * 2 / (1e12 * .03) = 1e-6; the slopes differ by 0.3.
    close(found.exponent, float(fit.exponent), rtol=0, atol=1e-6)
    close(found.standard_error, float(fit.exponent_error), rtol=1e-4)
    # A power law has no curvature: any smoothing gives the exponent.
    straight = local_slopes(X, 7.0 * X**-0.3, method="spline")
    close(straight.exponent, 0.3, rtol=0, atol=1e6 * EPS)


@pytest.mark.parametrize(("window_length", "degree"), [(5, 2), (7, 3), (9, 1)])
def test_savgol_slopes_match_scipy(window_length, degree):
    y, _, _ = _noisy(7)
    half = window_length // 2
    found = local_slopes(X, y, method="savgol", window_length=window_length, degree=degree)
    peer = savgol_filter(np.log(y), window_length, degree, deriv=1, delta=STEP)[half:-half]
    close(found.exponent, -peer, rtol=0, atol=40.0 * EPS * 9.0 / STEP)
    close(found.x, X[half:-half], rtol=0)
    # Exact for polynomials of the degree: log y = u²/50 has the slope u/25.
    if degree > 1:
        square = local_slopes(
            X,
            np.exp(np.log(X) ** 2 / 50.0),
            method="savgol",
            degree=degree,
            window_length=window_length,
        )
        close(square.exponent, -np.log(square.x) / 25.0, rtol=0, atol=40.0 * EPS * 9.0 / STEP)


SPLINE, SAVGOL = {"method": "spline"}, {"method": "savgol"}


@pytest.mark.parametrize(
    ("call", "arguments", "options", "message"),
    [
        (
            local_slopes,
            (X, BENT),
            {"smoothing": 1.0},
            r"smoothing: 1\.0 is for .*; leave",
        ),
        (local_slopes, (X, BENT), {"degree": 2, "method": "spline"}, r"degree: 2 is for .*; leave"),
        (
            local_slopes,
            (X, BENT),
            SPLINE | {"smoothing": -1.0},
            r"smoothing: -1\.0 is .*; leave",
        ),
        (local_slopes, (X[:4], BENT[:4]), SPLINE, r"x: 4 points, and a spline needs .* 5; add"),
        (
            local_slopes,
            (X, BENT),
            SAVGOL | {"window_length": 4},
            r"window_length: 4 is .*; cho",
        ),
        (
            local_slopes,
            (X[:3], BENT[:3]),
            SAVGOL,
            r"window_length: 5 is not .* 3 points; c",
        ),
        (local_slopes, (X, BENT), SAVGOL | {"degree": 0}, r"degree: 0 is not from 1 to .*4; lower"),
        (local_slopes, (X, BENT), SAVGOL | {"degree": 5}, r"degree: 5 is not from 1 to .*4; lower"),
        (local_slopes, (np.round(X), BENT), SAVGOL, r"x: steps in log x differ by .*; use method="),
        (windowed_exponent, (X, -BENT), {}, r"y: -.* at index 0 is not positive and finite; leave"),
        (windowed_exponent, (X, BENT), {"min_points": 2}, r"min_points: 2 is below 3.*; raise"),
        (windowed_exponent, (X[:6], BENT[:6]), {}, r"min_points: 6 points at twice .*; add"),
        (windowed_exponent, (X[:4], BENT[:4]), {}, r"min_points: 6 points at twice .*; add"),
        (richardson, (X, BENT, 0.0), {}, r"omega: 0\.0 is not positive and finite; give"),
        (richardson, (X[1:], BENT, 0.3), {}, r"slopes: shape \(25,\) does not end .*; give"),
        (richardson, (X[:1], BENT[:1], 0.3), {}, r"slopes: shape \(1,\) holds .* 2 .*; add"),
        (richardson, (X[::-1], BENT, 0.3), {}, r"scale: not positive and ascending; sort"),
        (aitken, (BENT[:2],), {}, r"slopes: shape \(2,\) holds fewer than 3 a curve; add points"),
    ],
)
def test_bad_input_is_named_with_its_value_and_remedy(call, arguments, options, message):
    with pytest.raises(ValueError, match="^" + message):
        call(*arguments, **options)
