"""Compute-optimal sizes: IsoFLOP minima, the lower envelope, crossings and turning points."""

import math

import jax
import numpy as np
import pytest
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from scalinglab.theory.fitting.envelope import envelope_exponents, lower_envelope
from scalinglab.theory.fitting.isoflop import MinimumStatus, isoflop_minima, optimum_scaling

close = np.testing.assert_allclose
EPS = float(np.finfo(np.float64).eps)

# A Chinchilla surface near the published fit (arXiv:2404.10102).
A, B, E, ALPHA, BETA = 482.01, 2085.43, 1.8172, 0.3478, 0.3658
SLOPE = BETA / (ALPHA + BETA)
LEVELS = np.geomspace(1e18, 1e22, 9)
OPTIMUM = (ALPHA * A / (BETA * B)) ** (1.0 / (ALPHA + BETA)) * (LEVELS / 6.0) ** SLOPE
OFFSETS = np.linspace(-1.5, 1.5, 9)


def _loss(size, compute):
    return E + A * size**-ALPHA + B * (compute / 6.0 / size) ** -BETA


def _runs(offsets=OFFSETS):
    """Sizes that move with the optimum: (compute, size, loss) of every run."""
    size = OPTIMUM[:, None] * np.exp(offsets)
    compute = np.repeat(LEVELS[:, None], offsets.size, 1)
    return compute.ravel(), size.ravel(), _loss(size, compute).ravel()


@pytest.mark.parametrize("kind", ["known", "residual"])
def test_parabola_minima_and_errors_match_polyfit(kind):
    rng = np.random.default_rng(0)
    compute, size, loss = _runs()
    error = rng.uniform(0.001, 0.004, loss.size)
    loss = loss + error * rng.standard_normal(loss.size)
    order = rng.permutation(loss.size)
    given = error[order] if kind == "known" else None
    found = isoflop_minima(compute[order], size[order], loss[order], standard_error=given)
    close(found.compute, LEVELS, rtol=0)
    assert found.status.tolist() == [0] * 9
    assert found.num_points.tolist() == [9] * 9
    assert found.draws is None
    for level in range(9):
        at = slice(9 * level, 9 * level + 9)
        # In log N less its mean: the map back to log N is exact for the minimum.
        u = np.log(size[at]) - np.log(size[at]).mean()
        options = {"w": 1.0 / error[at], "cov": "unscaled"} if kind == "known" else {"cov": True}
        (q2, q1, q0), covariance = np.polyfit(u, loss[at], 2, **options)
        vertex = -q1 / (2.0 * q2)
        slope = np.array([q1 / (2.0 * q2**2), -0.5 / q2, 0.0])
        powers = vertex ** np.array([2.0, 1.0, 0.0])
        # Both solve a system of cond² < 1e3, and the loss is 30 times what u moves it by.
        rtol = 40.0 * EPS * 1e3 * 30.0
        close(np.log(found.size[level]), vertex + np.log(size[at]).mean(), rtol=rtol)
        close(found.loss[level], q0 - q1**2 / (4.0 * q2), rtol=rtol)
        close(found.log_size_error[level], math.sqrt(slope @ covariance @ slope), rtol=rtol)
        close(found.loss_error[level], math.sqrt(powers @ covariance @ powers), rtol=rtol)


@pytest.mark.parametrize("method", ["quadratic", "akima"])
def test_sizes_that_move_with_the_optimum_give_the_exact_exponent(method):
    # Along a level L - E = C^-k (a e^(-alpha u) + b e^(beta u)), u = log N/N*: one shape, so that
    # every method is off by one factor of N*, and the exponent is beta/(alpha + beta).
    found = isoflop_minima(*_runs(), method=method)
    scaling = optimum_scaling(found.compute, found.size)
    # The loss is flat at its minimum: eps * E moves the vertex by eps * E over its curvature,
    # ~ alpha beta (L - E) > .02; the regression divides by the spread of log C, 3. Akima's argmin
    # sits on a grid that moves along, and its ties are 1e-5 apart, far above rounding.
    assert abs(scaling.exponent - SLOPE) < 40.0 * EPS * E / 0.02
    shift = np.log(found.size / OPTIMUM)
    u = np.linspace(-1.5, 1.5, 9)
    if method == "quadratic":
        loss = _loss(OPTIMUM[0] * np.exp(u), LEVELS[0])
        q2, q1, _ = np.polyfit(u, loss, 2)
        close(shift, -q1 / (2.0 * q2), rtol=0, atol=40.0 * EPS * E / 0.02)
    # The optimum itself, by brute force on a fine grid.
    fine = np.linspace(-0.01, 0.01, 20001)
    for level, size in zip(LEVELS, OPTIMUM, strict=True):
        best = fine[np.argmin(_loss(size * np.exp(fine), level))]
        # Half a step, and what rounding of the loss hides: sqrt(eps E / .02).
        assert abs(best) < 0.5e-6 + math.sqrt(4.0 * EPS * E / 0.02)


def test_the_akima_argmin_is_the_root_of_the_interpolants_slope():
    compute, size, loss = _runs(OFFSETS + 0.3)
    rng = np.random.default_rng(1)
    loss = loss * np.exp(0.01 * rng.standard_normal(loss.size))
    found = isoflop_minima(compute, size, loss, method="akima")
    assert np.sum(found.status == MinimumStatus.OK) >= 8
    assert np.isnan(found.log_size_error).all()
    for level in np.flatnonzero(found.status == MinimumStatus.OK):
        at = slice(9 * level, 9 * level + 9)
        curve = Akima1DInterpolator(np.log(size[at]), np.log(loss[at]))
        roots = curve.derivative().roots(extrapolate=False)
        best = roots[np.argmin(curve(roots))]
        step = 3.0 / (25 * 8 - 1)
        assert abs(np.log(found.size[level]) - best) < step
        assert curve(best) <= math.log(found.loss[level]) + 4.0 * EPS


def test_levels_without_a_minimum_are_named_and_left_out():
    compute, size, loss = (column.reshape(9, 9).copy() for column in _runs())
    loss[2] = 2.0 * E - loss[2]
    size[4] *= 40.0
    loss[4] = _loss(size[4], compute[4])
    size[6] /= 40.0
    loss[6] = _loss(size[6], compute[6])
    keep = np.ones((9, 9), bool)
    keep[8, 2:] = False
    runs = [column[keep] for column in (compute, size, loss)]
    named = {2: "NOT_CONVEX", 4: "AT_EDGE", 6: "AT_EDGE", 8: "TOO_FEW"}
    for method in ("quadratic", "akima"):
        found = isoflop_minima(*runs, method=method)
        status = [MinimumStatus(int(code)) for code in found.status]
        expected = [MinimumStatus[named.get(level, "OK")] for level in range(9)]
        if method == "akima":
            # Upside down, the least loss of an interpolant is at an end.
            expected[2] = MinimumStatus.AT_EDGE
        assert status == expected
        lost = np.array([s != MinimumStatus.OK for s in status])
        for column in (found.size, found.log_size_error, found.loss, found.loss_error):
            assert np.isnan(column[lost]).all()
        scaling = optimum_scaling(found.compute, found.size)
        assert scaling.used.tolist() == (~lost).tolist()
        assert abs(scaling.exponent - SLOPE) < 40.0 * EPS * E / 0.02
    assert all(status.sentence for status in MinimumStatus)


def test_resampled_minima_spread_as_the_delta_method_says():
    resamples, runs = 4000, _runs()
    error = np.full(runs[0].size, 1e-4)
    found = isoflop_minima(*runs, standard_error=error, resamples=resamples, key=jax.random.key(1))
    assert found.draws.shape == (resamples, 9)
    # A standard deviation of normal numbers is known to 1/sqrt(2 n), and the curvature of N* in
    # the losses is of relative order (error of log N*)² = 1e-4 at most.
    rtol = 4.0 / math.sqrt(2.0 * resamples) + 1e-3
    close(np.std(np.log(found.draws), axis=0), found.log_size_error, rtol=rtol)
    scaling = optimum_scaling(found.compute, found.size, draws=found.draws)
    u = np.log(LEVELS) - np.log(LEVELS).mean()
    expected = math.sqrt(np.sum((u * found.log_size_error) ** 2)) / np.sum(u**2)
    close(scaling.exponent_error, expected, rtol=rtol)
    # A slope of every resample is a regression.
    line = np.polyfit(np.log(LEVELS), np.log(found.draws[:5]).T, 1)[0]
    close(scaling.draws[:5], line, rtol=1e4 * EPS)
    close(scaling.interval, np.quantile(scaling.draws, [0.025, 0.975]), rtol=0)


def test_resampled_residuals_are_inflated_and_pooled():
    resamples = 4000
    compute, size, loss = _runs()
    loss = loss + 1e-4 * np.random.default_rng(4).standard_normal(loss.size)
    found = isoflop_minima(compute, size, loss, resamples=resamples, key=jax.random.key(4))
    squares = np.zeros(9)
    for level in range(9):
        u, at = np.log(size[9 * level : 9 * level + 9]), loss[9 * level : 9 * level + 9]
        squares[level] = np.polyfit(u - u.mean(), at, 2, full=True)[1][0]
    # Nine residuals of six degrees of freedom a level: the pool has the variance of one run, and
    # the delta method's error is that of the level's own residuals.
    pooled = math.sqrt(np.sum(squares) * 9.0 / 6.0 / 81.0)
    expected = found.log_size_error * pooled / np.sqrt(squares / 6.0)
    # As above; the kurtosis of a vertex, a sum over nine draws, is near that of a normal number.
    rtol = 4.0 / math.sqrt(2.0 * resamples) + 1e-3
    close(np.std(np.log(found.draws), axis=0), expected, rtol=rtol)


@pytest.mark.parametrize("kind", ["known", "residual"])
def test_the_resampled_interval_covers_the_exponent(kind):
    sets, noise = 200, 0.003
    rng, inside = np.random.default_rng(2), 0
    compute, size, clean = _runs()
    error = np.full(clean.size, noise)
    for seed in range(sets):
        loss = clean + noise * rng.standard_normal(clean.size)
        found = isoflop_minima(
            compute,
            size,
            loss,
            standard_error=error if kind == "known" else None,
            resamples=200,
            key=jax.random.key(seed),
        )
        low, high = optimum_scaling(found.compute, found.size, draws=found.draws).interval
        inside += low <= SLOPE <= high
    # Four binomial standard deviations of 200 trials, 0.062; and 0.015 for percentiles of 200
    # draws, each of which is known to sqrt(.025 * .975 / 200) = 0.011 in coverage.
    assert abs(inside / sets - 0.95) < 4.0 * math.sqrt(0.95 * 0.05 / sets) + 0.015


def test_a_resampled_loss_below_zero_has_no_akima_minimum():
    compute, size, loss = _runs()
    error = np.where(compute == LEVELS[3], 10.0, 1e-4)
    found = isoflop_minima(
        compute,
        size,
        loss,
        standard_error=error,
        method="akima",
        resamples=200,
        key=jax.random.key(3),
    )
    # Losses of 3 with errors of 10: all nine are positive in 2 % of resamples (.62⁹).
    expected = [MinimumStatus.UNSTABLE if level == 3 else MinimumStatus.OK for level in range(9)]
    assert [MinimumStatus(int(code)) for code in found.status] == expected
    assert np.isfinite(found.draws[:, np.arange(9) != 3]).all()


def test_half_of_the_resamples_must_have_a_minimum():
    compute, size, loss = _runs()
    found = isoflop_minima(
        compute,
        size,
        loss,
        standard_error=np.where(compute == LEVELS[3], 50.0, 0.001),
        resamples=400,
        key=jax.random.key(2),
    )
    # Pure noise: a parabola opens upwards half of the time, and its vertex is then often outside.
    expected = [MinimumStatus.UNSTABLE if level == 3 else MinimumStatus.OK for level in range(9)]
    assert [MinimumStatus(int(code)) for code in found.status] == expected
    assert np.isnan(found.draws[:, 3]).all()
    assert not optimum_scaling(found.compute, found.size, draws=found.draws).used[3]


# A surface with a = .3/.7 = .4286 and k = .12/.7 = .1714, the numbers of the spec.
SHARP = (1.7, 400.0, 400.0, 0.4, 0.3)


def _curves(num_sizes, num_points=1000):
    """(size, compute, loss) of runs of several sizes over seven decades of samples."""
    e, a, b, alpha, beta = SHARP
    size, samples = np.meshgrid(
        np.geomspace(1e6, 1e12, num_sizes), np.geomspace(1e7, 1e14, num_points), indexing="ij"
    )
    loss = e + a * size**-alpha + b * samples**-beta
    return size.ravel(), 6.0 * (size * samples).ravel(), loss.ravel()


def test_the_envelope_of_a_chinchilla_surface_has_the_analytic_exponents():
    e, a, b, alpha, beta = SHARP
    grid = np.geomspace(1e17, 1e23, 200)
    order = np.random.default_rng(3).permutation(40 * 1000)
    size, compute, loss = (column[order] for column in _curves(40))
    found = lower_envelope(size, compute, loss, grid=grid)
    assert found.num_discarded == 0
    optimum = (alpha * a / (beta * b)) ** (1.0 / (alpha + beta)) * (grid / 6.0) ** (
        beta / (alpha + beta)
    )
    # The parabola through u = -h, 0, h of a curve f with its vertex at d, |d| < h/2, is off by
    # (f3/f2)(3 d² - h²)/6, with f3/f2 = beta - alpha the ratio of derivatives: h²/24 to h²/6 times
    # 0.1, and by
    # relative order h more. PCHIP on steps of 0.016 in log C is off by 1e-6.
    step = math.log(1e6) / 39.0
    shift = np.log(found.size / optimum) / ((alpha - beta) * step**2)
    assert np.all(shift > (1.0 - step) / 24.0)
    assert np.all(shift < (1.0 + step) / 6.0)
    # Those errors lie within 0.1 h²/16 of a constant. Errors below c change the slope over a
    # range R by at most 3 c / R. For the loss the interpolation error is below 5e-5 of L - E:
    # alpha beta (beta - alpha) * .385 h³/6 = 3.4e-5, and 1e-5 of order h⁴.
    loss_exponent, size_exponent = envelope_exponents(found, floor=e)
    over = 3.0 / math.log(1e6)
    assert abs(size_exponent - beta / (alpha + beta)) < over * 0.1 * step**2 / 16.0
    assert abs(loss_exponent - alpha * beta / (alpha + beta)) < over * 5e-5
    assert (round(size_exponent, 4), round(loss_exponent, 4)) == (0.4286, 0.1714)
    # The best run itself is at most half a step away, and its regression is worse.
    assert np.all(np.abs(np.log(found.grid_size / found.size)) < 0.5 * step * (1.0 + step))


def test_the_envelope_is_a_parabola_through_three_interpolated_runs():
    size, compute, loss = _curves(9, num_points=40)
    # One run ends early, and one starts late.
    keep = ~((size == np.unique(size)[4]) & (compute > 1e19))
    keep &= ~((size == np.unique(size)[5]) & (compute < 3e19))
    size, compute, loss = size[keep], compute[keep], loss[keep]
    found = lower_envelope(size, compute, loss)
    grid = np.geomspace(compute.min(), compute.max(), 200)
    expected, discarded = [], 0
    for at in grid:
        points = []
        for value in np.unique(size):
            run = size == value
            x, y = np.log(compute[run]), np.log(loss[run])
            if x.min() <= math.log(at) <= x.max():
                points.append((math.log(value), float(PchipInterpolator(x, y)(math.log(at)))))
        best = min(range(len(points)), key=lambda i: points[i][1], default=0)
        if not 0 < best < len(points) - 1:
            discarded += 1
            continue
        u, v = np.array(points[best - 1 : best + 2]).T
        c2, c1, c0 = np.polyfit(u - u[1], v, 2)
        expected.append((at, u[1] - c1 / (2.0 * c2), c0 - c1**2 / (4.0 * c2), math.exp(u[1])))
    at, log_size, log_loss, grid_size = np.array(expected).T
    assert found.num_discarded == discarded > 20
    # The grid ends are rounded in log C, 60; the second difference of log L cancels 3 digits.
    close(found.compute, at, rtol=100.0 * EPS)
    close(np.log(found.size), log_size, rtol=1e5 * EPS)
    close(np.log(found.loss), log_loss, rtol=1e4 * EPS)
    close(found.grid_size, grid_size, rtol=100.0 * EPS)


RUNS = _runs()
KEY = jax.random.key(0)
# Three sizes with one curve: of equal runs the smallest is called best, and nothing is kept.
FLAT = np.stack([np.repeat([1.0, 3.0, 5.0], 3), np.tile([1.0, 2.0, 4.0], 3), np.full(9, 2.0)])


@pytest.mark.parametrize(
    ("call", "arguments", "options", "message"),
    [
        (isoflop_minima, (*RUNS[:2], -RUNS[2]), {}, r"loss: -.* is not positive and finite; leave"),
        (isoflop_minima, (*RUNS[:2], RUNS[2][1:]), {}, r"loss: shape \(80,\) differs .*; give"),
        (isoflop_minima, [c[::9] for c in RUNS], {}, r"compute: none of 9 levels has 3 .*; give"),
        (isoflop_minima, RUNS, {"resamples": 9}, r"key: None for 9 resamples; give jax\.random"),
        (
            isoflop_minima,
            RUNS,
            {"resamples": 9, "key": KEY, "method": "akima"},
            r"resamples: 9 without standard_error; an interpolant .*, so give standard_error",
        ),
        (
            isoflop_minima,
            _runs(np.array([-1.0, 0.0, 1.0])),
            {"resamples": 9, "key": KEY},
            r"resamples: 9 without standard_error, and no level .*; give standard_error",
        ),
        (
            isoflop_minima,
            [np.append(c, c[-1]) for c in RUNS],
            {"method": "akima"},
            r"size: .* is there more than once at compute 1e\+22; average",
        ),
        (lower_envelope, (RUNS[1][:5], RUNS[0], RUNS[2]), {}, r"compute: shape \(81,\) .*; give"),
        (lower_envelope, FLAT[:, 3:], {}, r"size: 2 sizes, and a frontier needs 3; train more"),
        (lower_envelope, FLAT[:, :-2], {}, r"compute: size 5 has 1 points, some at .*; give"),
        (lower_envelope, FLAT, {"grid": [2.0, 1.0]}, r"grid: not ascending; sort it and drop"),
        (lower_envelope, FLAT, {}, r"size: the best of 3 sizes is the smallest .*; train sizes"),
        (optimum_scaling, (LEVELS, OPTIMUM[1:]), {}, r"size: shape \(8,\) .*\(9,\) of .*; give"),
        (optimum_scaling, (LEVELS[:2], OPTIMUM[:2]), {}, r"size: 2 levels with a .* 3 .*; add"),
    ],
)
def test_bad_runs_are_named_with_their_value_and_remedy(call, arguments, options, message):
    with pytest.raises(ValueError, match="^" + message):
        call(*arguments, **options)


def test_a_floor_above_the_frontier_is_refused():
    with pytest.raises(ValueError, match=r"^floor: 9\.0 is not below the least loss .*; lower it"):
        envelope_exponents(lower_envelope(*_curves(9, num_points=40)), floor=9.0)
