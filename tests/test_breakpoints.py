"""Where curves break, cross and turn."""

import itertools
import math

import jax
import numpy as np
import pytest
import scipy.optimize
from scipy import stats

from scalinglab.theory.fitting.breakpoints import _Search, breakpoints
from scalinglab.theory.fitting.crossover import crossover, turning_point

close = np.testing.assert_allclose
EPS = float(np.finfo(np.float64).eps)
KEY = jax.random.key(0)


def _broken(x, breaks, exponents):
    """log y of a continuous broken power law, by integrating its slope from x = 1."""
    edges = np.array([1.0, *breaks, np.inf])
    spent = np.log(np.minimum(x[:, None], edges[1:]) / edges[:-1])
    return -np.sum(np.maximum(spent, 0.0) * exponents, axis=1)


def _squares(log_x, log_y, weights, breaks):
    """The least weighted sum of squares with these breaks, by NumPy."""
    columns = [np.ones_like(log_x), log_x, *(np.maximum(log_x - at, 0.0) for at in breaks)]
    design = np.sqrt(weights)[:, None] * np.stack(columns, 1)
    return np.sum(
        (np.sqrt(weights) * log_y - design @ np.linalg.lstsq(design, np.sqrt(weights) * log_y)[0])
        ** 2
    )


def _by_force(log_x, log_y, weights, num_breaks, min_points, fine):
    """Every pair of gaps on a grid, the best few refined by Nelder-Mead inside their gaps."""
    first, last = min_points - 1, log_x.size - 1 - min_points
    best = np.inf
    for gaps in itertools.combinations(range(first, last + 1), num_breaks):
        if any(b - a < min_points for a, b in itertools.pairwise(gaps)):
            continue
        bounds = [(log_x[i], log_x[i + 1]) for i in gaps]
        grids = itertools.product(*(np.linspace(*pair, fine) for pair in bounds))
        values = [(_squares(log_x, log_y, weights, at), at) for at in grids]
        least, start = min(values)
        if least < 1.02 * best:
            refined = scipy.optimize.minimize(
                lambda at: _squares(log_x, log_y, weights, at),
                start,
                method="Nelder-Mead",
                bounds=bounds,
                options={"xatol": 1e-9, "fatol": 1e-14},
            )
            best = min(best, least, refined.fun)
    return best


@pytest.mark.parametrize(("num_breaks", "points", "sets"), [(1, 15, 12), (2, 12, 4)])
def test_the_search_finds_the_global_optimum(num_breaks, points, sets):
    at_points = 0
    for seed in range(sets):
        rng = np.random.default_rng(seed)
        x = np.sort(np.exp(rng.uniform(0.0, 5.0, points)))
        error = rng.uniform(0.1, 0.3, points)
        # Even seeds have a break to find, odd ones none, where optima on a point are common.
        truth = (20.0,), (0.2, 0.9)
        log_y = _broken(x, *truth) if seed % 2 == 0 else -0.3 * np.log(x)
        y = np.exp(log_y + error * rng.standard_normal(points))
        search = _Search(x, y, error * y, min_points=2)
        found = search.fit(num_breaks + 1)
        log_breaks = np.log(search.x_of(found.breaks))
        weights = error**-2.0
        # The breaks found have the cost stated: cond² of these designs is below 1e6.
        cost = _squares(np.log(x), np.log(y), weights, log_breaks)
        close(found.chi_squared, cost, rtol=1e6 * EPS)
        fine = 41 if num_breaks == 1 else 9
        force = _by_force(np.log(x), np.log(y), weights, num_breaks, 2, fine)
        assert found.chi_squared <= force * (1.0 + 1e-8)
        # Nelder-Mead stops 1e-9 from the break, where the cost is flat or has a kink of slope
        # below 1e3.
        assert force <= found.chi_squared + 1e-6
        at_points += np.any(np.abs(log_breaks[:, None] - np.log(x)) < 1e-12)
    # Both kinds of optimum were met.
    assert 0 < at_points < sets


def test_many_curves_at_once_are_the_curves_alone():
    rng = np.random.default_rng(1)
    x = np.geomspace(1.0, 1e3, 16)
    curves = -0.4 * np.log(x)[:, None] + 0.2 * rng.standard_normal((16, 20))
    search = _Search(x, np.exp(curves[:, 0]), None, min_points=3)
    for num_breaks in (0, 1, 2):
        cost, breaks = search.best(num_breaks, curves)
        for lane in range(20):
            alone = _Search(x, np.exp(curves[:, lane]), None, min_points=3).fit(num_breaks + 1)
            # The batch solves normal equations of columns of unit length: eps cond, below 1e6.
            close(cost[lane], alone.chi_squared, rtol=1e6 * EPS)
            close(breaks[lane], alone.breaks, rtol=0, atol=1e6 * EPS)


@pytest.mark.parametrize("num_segments", [1, 2, 3])
def test_exact_segments_are_returned_and_predicted(num_segments):
    x = np.geomspace(1.0, 1e4, 40)
    breaks = np.array([50.0, 2000.0])[: num_segments - 1]
    exponents = np.array([0.2, 0.6, -0.1])[:num_segments]
    y = 3.0 * np.exp(_broken(x, breaks, exponents))
    found = breakpoints(x, y, key=KEY, resamples=99)
    assert found.num_segments == num_segments
    # Rounding of log y, 4 eps, over a segment of at least 1.6 in log x, times cond.
    tolerance = 1e3 * EPS
    close(found.exponents, exponents, rtol=0, atol=tolerance)
    close(found.breaks, breaks, rtol=1e3 * EPS / 0.4)
    close(found.predict(x), y, rtol=10.0 * tolerance)
    close(found.log_amplitude, math.log(3.0), rtol=0, atol=10.0 * tolerance)
    assert found.predict(x.reshape(5, 8)).shape == (5, 8)
    # Every break there is as significant as 99 simulations can tell, and rounding is not tested.
    assert found.p_values.tolist() == [0.01] * (num_segments - 1)


def test_exponents_and_errors_match_curve_fit():
    rng = np.random.default_rng(7)
    x = np.geomspace(1.0, 1e4, 60)
    log_y = _broken(x, (60.0,), (0.2, 0.7)) + 0.05 * rng.standard_normal(60)
    error = rng.uniform(0.03, 0.07, 60)
    for given in (None, error * np.exp(log_y)):
        found = breakpoints(x, np.exp(log_y), key=KEY, standard_error=given, resamples=19)
        assert found.num_segments == 2
        at = math.log(found.breaks[0])
        # The optimum lies inside a gap, where the model is smooth.
        assert np.abs(np.log(x) - at).min() > 1e-3

        def model(log_x, a, first, second, tau):
            return a - first * log_x - (second - first) * np.maximum(log_x - tau, 0.0)

        def jacobian(log_x, a, first, second, tau):
            beyond = np.maximum(log_x - tau, 0.0)
            after = (second - first) * (log_x > tau)
            return np.stack([np.ones_like(log_x), beyond - log_x, -beyond, after], 1)

        peer, covariance = scipy.optimize.curve_fit(
            model,
            np.log(x),
            log_y,
            p0=[found.log_amplitude, *found.exponents, at],
            sigma=None if given is None else error,
            absolute_sigma=given is not None,
            jac=jacobian,
        )
        # curve_fit stops when a step is 1e-8 of the parameters, and its errors move as they do.
        close([found.log_amplitude, *found.exponents, at], peer, rtol=0, atol=1e-6)
        close(found.exponent_errors, np.sqrt(np.diag(covariance))[1:3], rtol=1e-6)


@pytest.mark.parametrize("kind", ["known", "residual"])
def test_a_break_is_found_in_a_straight_line_as_often_as_stated(kind):
    sets, resamples = 300, 99
    rng = np.random.default_rng(3)
    x = np.geomspace(1.0, 1e3, 14)
    p_values = np.zeros(sets)
    for seed in range(sets):
        y = x**-0.4 * np.exp(0.1 * rng.standard_normal(14))
        p_values[seed] = breakpoints(
            x,
            y,
            key=jax.random.key(seed),
            standard_error=0.1 * y if kind == "known" else None,
            max_segments=2,
            resamples=resamples,
        ).p_values[0]
    # Simulation under the null is exact here: p is uniform on multiples of 1/100, and the share
    # below each level is binomial; four standard deviations, three levels.
    for level in (0.05, 0.2, 0.5):
        share = float(np.mean(p_values <= level + 1e-9))
        assert abs(share - level) < 4.0 * math.sqrt(level * (1.0 - level) / sets)


def test_intervals_of_breaks_and_exponents_cover_the_truth():
    sets = 200
    rng = np.random.default_rng(4)
    x = np.geomspace(1.0, 1e4, 40)
    log_y = _broken(x, (60.0,), (0.2, 0.7))
    inside, near, wrong = 0, np.zeros(2), 0
    for seed in range(sets):
        y = np.exp(log_y + 0.05 * rng.standard_normal(40))
        found = breakpoints(
            x, y, key=jax.random.key(seed), standard_error=0.05 * y, max_segments=2, resamples=199
        )
        if found.num_segments != 2:
            wrong += 1
            continue
        low, high = found.break_intervals[0]
        inside += low <= 60.0 <= high
        near += np.abs(found.exponents - [0.2, 0.7]) < 1.96 * found.exponent_errors
    assert wrong == 0
    # Four binomial standard deviations, 0.062, and 0.015 for percentiles of 199 draws.
    shares = np.array([inside, *near]) / sets
    assert np.all(np.abs(shares - 0.95) < 4.0 * math.sqrt(0.95 * 0.05 / sets) + 0.015)


def test_segments_are_added_only_while_significant_and_allowed():
    rng = np.random.default_rng(5)
    x = np.geomspace(1.0, 1e4, 40)
    y = np.exp(_broken(x, (50.0, 2000.0), (0.2, 0.6, 0.0)) + 0.03 * rng.standard_normal(40))
    counts = {}
    for most in (1, 2, 3):
        found = breakpoints(x, y, key=KEY, max_segments=most, resamples=99)
        counts[most] = found.num_segments
        assert found.chi_squared.size == most
        assert np.all(np.diff(found.chi_squared) < 0.0)
    assert counts == {1: 1, 2: 2, 3: 3}
    low, high = found.break_intervals.T
    assert np.all((low < found.breaks) & (found.breaks < high))
    # With noise that hides the breaks, one segment: its test is the last.
    hidden = y * np.exp(3.0 * rng.standard_normal(40))
    found = breakpoints(x, hidden, key=KEY, resamples=99)
    assert (found.num_segments, found.p_values.size, found.chi_squared.size) == (1, 1, 2)
    assert found.p_values[0] > 0.05
    line, covariance = np.polyfit(np.log(x), np.log(hidden), 1, cov=True)
    close(found.exponents, [-line[0]], rtol=1e4 * EPS)
    close(found.exponent_errors, [math.sqrt(covariance[0, 0])], rtol=1e4 * EPS)


X, Y = np.geomspace(1.0, 10.0, 8), np.ones(8)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((X, -Y), {}, r"y: -1\.0 at index 0 is not positive and finite; leave"),
        ((X, Y), {"max_segments": 4}, r"max_segments: 4 is not 1, 2 or 3; choose"),
        ((X, Y), {"min_points": 1}, r"min_points: 1 is below 2, .*; raise it"),
        ((X, Y), {"significance": 1.5}, r"significance: 1\.5 is not between 0 and 1; 0\.05 is"),
        (
            (X, Y),
            {"resamples": 9},
            r"resamples: 9 cannot tell a p-value of 0\.05; give at least 19",
        ),
        ((X, Y), {}, r"x: 8 points, and 3 segments need 9; lower max_segments or add points"),
    ],
)
def test_bad_input_is_named_with_its_value_and_remedy(arguments, options, message):
    with pytest.raises(ValueError, match="^" + message):
        breakpoints(*arguments, key=KEY, **options)


def _power(log_x, parameters):
    return parameters[0] - parameters[1] * log_x


def test_two_power_laws_cross_where_they_are_equal():
    # 3 x^-.2 = 40 x^-.7 at log x = log(40/3) / .5.
    first, second = np.array([math.log(3.0), 0.2]), np.array([math.log(40.0), 0.7])
    log_x = math.log(40.0 / 3.0) / 0.5
    found = crossover(_power, _power, (1.0, 1e6), parameters=(first, second))
    # Rounding of log L, 40 eps at most, over the difference of slopes.
    close(found.x, math.exp(log_x), rtol=40.0 * EPS / 0.5)
    assert (found.share, found.draws) == (1.0, None)
    assert np.isnan(found.interval).all()
    closed = crossover(lambda u: _power(u, first), lambda u: _power(u, second), (1.0, 1e6))
    assert closed.x == found.x

    rng = np.random.default_rng(8)
    spread = 0.01
    draws = tuple(theta + spread * rng.standard_normal((4000, 2)) for theta in (first, second))
    found = crossover(_power, _power, (1.0, 1e6), parameters=(first, second), draws=draws)
    a, b = draws
    expected = (b[:, 0] - a[:, 0]) / (b[:, 1] - a[:, 1])
    close(np.log(found.draws), expected, rtol=0, atol=40.0 * EPS * 14.0 / 0.4)
    close(found.interval, np.exp(np.quantile(expected, [0.025, 0.975])), rtol=1e4 * EPS)
    # Delta method: d log x = (d b0 - d a0 - log x (d b1 - d a1)) / .5, to the relative order
    # (.014/.5)² = .001 in the difference of slopes, and 1/sqrt(2 * 4000) of a deviation.
    delta = math.sqrt(2.0) * spread * math.hypot(1.0, log_x) / 0.5
    close(found.log_x_error, delta, rtol=4.0 / math.sqrt(8000.0) + 3e-3)
    assert found.share == 1.0


def test_draws_that_do_not_cross_are_counted():
    rng = np.random.default_rng(9)
    line, flat = np.array([1.0, 0.5]), np.array([0.0, 0.0])
    draws = (line + 0.3 * rng.standard_normal((1000, 2)), np.tile(flat, (1000, 1)))
    found = crossover(_power, _power, (1.0, 50.0), parameters=(line, flat), draws=draws)
    root = draws[0][:, 0] / draws[0][:, 1]
    inside = (root > 0.0) & (root < math.log(50.0))
    assert np.array_equal(np.isfinite(found.draws), inside)
    assert found.share == np.mean(inside) < 0.95
    assert np.isnan(found.interval).all()


@pytest.mark.parametrize("kind", ["known", "residual"])
def test_the_turning_point_of_a_parabola_and_its_fieller_interval(kind):
    rng = np.random.default_rng(10)
    x = np.geomspace(1.0, 1e4, 15)
    relative = rng.uniform(0.02, 0.06, 15)
    u = np.log(x)
    y = np.exp(0.5 - 0.8 * u + 0.08 * u**2 + relative * rng.standard_normal(15))
    known = kind == "known"
    order = rng.permutation(15)
    found = turning_point(
        x[order], y[order], standard_error=(relative * y)[order] if known else None
    )
    options = {"w": 1.0 / relative, "cov": "unscaled"} if known else {"cov": True}
    (q2, q1, q0), covariance = np.polyfit(u, np.log(y), 2, **options)
    # Not centred, this design has cond² 1e6.
    rtol = 40.0 * EPS * 1e6
    close(found.x, math.exp(-q1 / (2.0 * q2)), rtol=rtol)
    close(found.y, math.exp(q0 - q1**2 / (4.0 * q2)), rtol=rtol)
    close([found.curvature, found.curvature_error], [q2, math.sqrt(covariance[0, 0])], rtol=rtol)
    slope = np.array([q1 / (2.0 * q2**2), -0.5 / q2, 0.0])
    close(found.log_x_error, math.sqrt(slope @ covariance @ slope), rtol=rtol)
    assert found.inside
    # At the ends of the interval the slope is t standard errors from 0.
    quantile = stats.norm.ppf(0.975) if known else stats.t.ppf(0.975, 12)
    for end, sign in zip(np.log(found.interval), (-1.0, 1.0), strict=True):
        row = np.array([2.0 * end, 1.0, 0.0])
        z = (row @ [q2, q1, q0]) / math.sqrt(row @ covariance @ row)
        close(z, sign * quantile, rtol=100.0 * rtol)


@pytest.mark.parametrize("curved", [0.08, 0.004])
def test_fiellers_interval_covers_the_turning_point_even_when_it_is_hardly_there(curved):
    sets = 1000
    rng = np.random.default_rng(11)
    x = np.geomspace(1.0, 1e4, 12)
    u = np.log(x)
    inside, bounded = 0, 0
    for _ in range(sets):
        y = np.exp(curved * (u - 6.0) ** 2 + 0.1 * rng.standard_normal(12))
        interval = turning_point(x, y, standard_error=0.1 * y).interval
        inside += interval[0] <= math.exp(6.0) <= interval[1]
        bounded += np.isfinite(interval[1])
    deviation = math.sqrt(0.95 * 0.05 / sets)
    # Exact where it is bounded; an unbounded one is given as the whole line, which errs outwards.
    assert inside / sets > 0.95 - 4.0 * deviation
    if curved > 0.01:
        assert bounded == sets
        assert inside / sets < 0.95 + 4.0 * deviation
    else:
        assert 0 < bounded < sets


@pytest.mark.parametrize(
    ("call", "arguments", "options", "message"),
    [
        (crossover, (_power, _power, (5.0, 1.0)), {}, r"bracket: \(5\.0, 1\.0\) is not .*; give"),
        (
            crossover,
            (np.negative, np.cos, (10.0, 20.0)),
            {},
            r"bracket: log L1 - log L2 is -.* at 10 and -.* at 20, of one sign; widen",
        ),
        (
            crossover,
            (_power, _power, (1.0, 5.0)),
            {"draws": (np.ones((3, 2)), np.ones((3, 2)))},
            r"draws: 3 and 3 rows, parameters missing; give parameters",
        ),
        (turning_point, (X[:3], Y[:3]), {}, r"x: 3 points, and at least 4 are needed; add points"),
        (turning_point, (X, -Y), {}, r"y: -1\.0 at index 0 is not positive and finite; leave"),
    ],
)
def test_a_bad_bracket_or_curve_is_named_with_its_remedy(call, arguments, options, message):
    with pytest.raises(ValueError, match="^" + message):
        call(*arguments, **options)
