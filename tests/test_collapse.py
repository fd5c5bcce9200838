"""The collapse of curves of several sizes onto one master curve."""

import math

import numpy as np
import pytest

from scalinglab.models import Status
from scalinglab.theory.fitting.collapse import _Points, collapse

close = np.testing.assert_allclose
EPS = float(np.finfo(np.float64).eps)
SIZES = (10.0, 20.0, 40.0, 80.0)
TRUE_A, TRUE_B = 0.4, 1.3


def _bent(z):
    return (1.0 + z) ** -0.8


def _curves(noise, seed, *, constant=0.0, master=_bent, points=12):
    """(size, time, loss, its standard error) of L = E + x^-a f(t/x^b), noise normal in log."""
    size = np.repeat(SIZES, points)
    time = np.tile(np.geomspace(1.0, 1e4, points), len(SIZES))
    excess = size**-TRUE_A * master(time / size**TRUE_B)
    rng = np.random.default_rng(seed)
    loss = constant + excess * np.exp(noise * rng.standard_normal(size.size))
    return size, time, loss, max(noise, 1e-12) * excess


def test_exponents_of_a_known_master_curve_are_found():
    size, time, loss, _ = _curves(0.0, 0, points=30)
    order = np.random.default_rng(1).permutation(size.size)
    found = collapse(size[order], time[order], loss[order])
    assert found.status == Status.OK
    # Without noise the residuals are those of local parabolas. The errors take them for
    # independent; should they all pull one way, they add up to sqrt(points) times as much.
    coherent = math.sqrt(size.size)
    assert abs(found.size_exponent - TRUE_A) < coherent * found.size_error
    assert abs(found.time_exponent - TRUE_B) < coherent * found.time_error
    assert coherent * found.time_error < 1e-3
    assert (found.constant, found.constant_error) == (0.0, 0.0)
    close(found.scaled_time, (time / size**found.time_exponent)[order], rtol=100.0 * EPS)
    close(found.scaled_loss, (loss * size**found.size_exponent)[order], rtol=100.0 * EPS)
    # One curve, f: log f moves by 0.8 at most as log z does.
    off = np.abs(np.log(found.scaled_loss / _bent(found.scaled_time)))
    shift = coherent * (found.size_error + 0.8 * found.time_error)
    assert np.all(off < math.log(80.0) * shift)


@pytest.mark.parametrize("known", [True, False])
def test_residuals_and_errors_match_a_loop_over_local_fits(known):
    size, time, loss, error = _curves(0.03, 2, constant=0.02)
    b, constant, neighbours = 1.1, 0.015, 9
    points = _Points(size, time, loss, error if known else None, neighbours, 0.5)
    found = points.residuals(b, constant)
    spread = error / (loss - constant) if known else np.ones_like(loss)
    z, v = np.log(time) - b * np.log(size), np.log(loss - constant)
    rows, slopes = np.zeros((z.size, z.size)), np.zeros((z.size, z.size))
    there = np.zeros(z.size, bool)
    for p in range(z.size):
        others = np.flatnonzero(size != size[p])
        there[p] = any(
            z[size == value].min() <= z[p] <= z[size == value].max()
            for value in set(SIZES) - {size[p]}
        )
        if not there[p]:
            continue
        distance = np.abs(z[others] - z[p])
        reach = np.sort(distance)[neighbours]
        near = others[distance < reach]
        kernel = (1.0 - np.abs((z[near] - z[p]) / reach) ** 3) ** 3
        for index in near:
            # The value at p of the fit to a unit at one point is the weight of that point.
            unit = (near == index) * 1.0
            line = np.polyfit(z[near] - z[p], unit, 2, w=np.sqrt(kernel) / spread[near])
            rows[p, index], slopes[p, index] = line[2], line[1]
    assert found.there.tolist() == there.tolist()
    weight = there / (spread**2 + rows**2 @ spread**2)
    less = np.eye(z.size) - rows
    ratio = less @ np.log(size)
    # a by a weighted regression through the origin.
    root = np.sqrt(weight)
    a = -np.linalg.lstsq((root * ratio)[:, None], root * (less @ v))[0][0]
    residual = less @ (v + a * np.log(size))
    # Local fits of 9 points solve normal equations of cond below 1e4.
    rtol = 1e5 * EPS
    close(found.less_others[there], less[there], rtol=0, atol=10.0 * rtol)
    close(found.size_exponent, a, rtol=10.0 * rtol)
    close(found.quality, np.sum(weight * residual**2) / there.sum(), rtol=10.0 * rtol)

    # The sandwich, with the derivative by E from a difference of step h: error h²; and that by b
    # as slope times ratio.
    h = 1e-6
    by_constant = (np.log(loss - constant - h) - np.log(loss - constant + h)) / (2.0 * h)
    slope = slopes @ (v + a * np.log(size))
    jacobian = np.stack([ratio, slope * ratio, less @ by_constant], 1)
    hessian = jacobian.T @ (weight[:, None] * jacobian)
    scale = spread * (1.0 if known else math.sqrt(found.quality))
    covariance = less @ np.diag(scale**2) @ less.T
    meat = jacobian.T @ (weight[:, None] * covariance * weight) @ jacobian
    expected = np.sqrt(np.diag(np.linalg.inv(hessian) @ meat @ np.linalg.inv(hessian)))
    # Relative error of the difference: (h / (L - E))² and eps log(L) / h, times cond 1e3.
    close(points.errors(found, constant, fit_constant=True), expected, rtol=1e3 * 1e-8)


@pytest.mark.parametrize("known", [True, False])
def test_intervals_cover_the_exponents(known):
    sets = 25
    scores = np.zeros((sets, 2))
    for seed in range(sets):
        size, time, loss, error = _curves(0.03, 100 + seed)
        found = collapse(
            size, time, loss, standard_error=error if known else None, bounds=(0.5, 2.0)
        )
        assert found.status == Status.OK
        scores[seed] = (
            (found.size_exponent - TRUE_A) / found.size_error,
            (found.time_exponent - TRUE_B) / found.time_error,
        )
    # Standard normal: the mean to four standard errors 1/sqrt(25), on top of a bias of the local
    # parabolas of a fifth of an error (measured over 150 sets); the deviation to 4/sqrt(50), from
    # which those of 150 sets differ by 0.05 at most.
    assert np.all(np.abs(scores.mean(0)) < 0.25 + 4.0 / math.sqrt(sets))
    assert np.all(np.abs(scores.std(0) - 1.0) < 0.1 + 4.0 / math.sqrt(2.0 * sets))


def test_the_constant_is_found_with_the_exponents():
    size, time, loss, error = _curves(0.005, 3, constant=0.02)
    found = collapse(size, time, loss, standard_error=error, constant=None, bounds=(0.5, 2.0))
    assert found.status == Status.OK
    # Four standard errors each.
    assert abs(found.size_exponent - TRUE_A) < 4.0 * found.size_error
    assert abs(found.time_exponent - TRUE_B) < 4.0 * found.time_error
    assert abs(found.constant - 0.02) < 4.0 * found.constant_error < 0.002
    # chi² of about 44 points, each in the local fits of others: 4 sqrt(2/44) for independent ones.
    assert abs(found.quality - 1.0) < 4.0 * math.sqrt(2.0 / 44.0)
    # A constant left out bends the tail, and the curves no longer meet.
    wrong = collapse(size, time, loss, standard_error=error, bounds=(0.5, 2.0))
    assert wrong.quality > 10.0 * found.quality


def test_units_of_size_time_and_loss_leave_the_exponents():
    size, time, loss, error = _curves(0.02, 4)
    first = collapse(size, time, loss, standard_error=error, bounds=(0.5, 2.0))
    second = collapse(
        1e6 * size, 60.0 * time, 1e-3 * loss, standard_error=1e-3 * error, bounds=(0.5, 2.0)
    )
    # Nelder-Mead stops 1e-6 from the minimum in b, and a moves with b.
    for name in ("size_exponent", "time_exponent"):
        assert abs(getattr(first, name) - getattr(second, name)) < 4e-6
    close([second.size_error, second.time_error], [first.size_error, first.time_error], rtol=1e-4)


@pytest.mark.parametrize("noise", [0.0, 0.001, 0.03])
def test_a_power_law_does_not_tell_the_exponents_apart(noise):
    # x^-a (t/x^b)^-.3 depends on a - .3 b alone.
    size, time, loss, error = _curves(noise, 5, master=lambda z: z**-0.3)
    found = collapse(size, time, loss, standard_error=error if noise else None)
    assert found.status == Status.ILL_CONDITIONED
    assert np.isnan([found.size_error, found.time_error, found.constant_error]).all()
    # The combination is determined: to the noise of 48 points over log x, 4 errors of
    # noise / (sqrt(48) * .78), and as much for the noise of the slope over log t, times b - b'.
    combination = found.size_exponent - 0.3 * found.time_exponent
    room = 4.0 * noise / (math.sqrt(48.0) * 0.78) + 1e-6
    assert abs(combination - (TRUE_A - 0.3 * TRUE_B)) < room * (1.0 + abs(found.time_exponent))


def test_an_exponent_at_its_bound_is_not_a_result():
    size, time, loss, error = _curves(0.01, 6)
    found = collapse(size, time, loss, standard_error=error, bounds=(0.0, 1.0))
    assert found.status == Status.ILL_CONDITIONED
    assert math.isnan(found.time_error)


RUNS = _curves(0.01, 7)[:3]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((*RUNS[:2], -RUNS[2]), {}, r"loss: -.* at index 0 is not positive and finite; leave"),
        ((*RUNS[:2], RUNS[2][1:]), {}, r"loss: shape \(47,\) differs .*\(48,\) of size; give"),
        ([c[:12] for c in RUNS], {}, r"size: 1 sizes, 12 points; a collapse needs two sizes"),
        (RUNS, {"constant": 5.0}, r"constant: 5\.0 is not below the least loss .*; lower it"),
        (RUNS, {"bounds": (2.0, 1.0)}, r"bounds: \(2\.0, 1\.0\) is not ascending; give"),
        (RUNS, {"bounds": (40.0, 50.0)}, r"bounds: no exponent in \(40\.0, 50\.0\) .*; widen"),
        (RUNS, {"neighbours": 4}, r"neighbours: 4 is below 5, too few for a parabola; raise it"),
        (RUNS, {"min_overlap": 0.0}, r"min_overlap: 0\.0 is not in \(0, 1\]; 0\.5 is usual"),
    ],
)
def test_bad_input_is_named_with_its_value_and_remedy(arguments, options, message):
    with pytest.raises(ValueError, match="^" + message):
        collapse(*arguments, **options)
