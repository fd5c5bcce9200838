"""Random frames exactly, and the linear programmes and interpolation for trained frames."""

import math

import numpy as np
import pytest
from scipy import integrate

from scalinglab.theory import superposition as theory
from scalinglab.theory.prediction import STRICT_KINDS
from scalinglab.theory.superposition.activity import Features
from scalinglab.theory.superposition.bias_table import active_loss, bias_table
from scalinglab.theory.superposition.frame_classes import frame_gradient, frame_loss
from scalinglab.theory.superposition.graded import frequency_classes
from scalinglab.theory.superposition.overlap_constraints import OverlapProgramme
from scalinglab.theory.superposition.overlaps import OverlapLaw


def power_law(num_features, decay):
    weights = np.arange(1, num_features + 1.0) ** -decay
    return weights / weights.sum()


def flat_classes(count, width):
    return theory.FrameClasses((theory.flat(float(count), 1.0),), width)


# n, m, loss of a network trained at alpha = 0 (B = 512, T = 5000, one seed), and what a prototype
# of the linear programme and of the random frame gave there.
TRAINED = (
    (100, 7, 0.892, 0.849, 1.048),
    (100, 10, 0.566, 0.519, 0.848),
    (100, 14, 0.305, 0.264, 0.641),
    (100, 20, 0.148, 0.120, 0.444),
    (100, 28, 0.0708, 0.046, 0.307),
    (200, 7, 1.124, 1.027, 1.195),
    (200, 10, 0.837, 0.796, 0.999),
    (200, 14, 0.542, 0.468, 0.786),
    (200, 20, 0.290, 0.239, 0.556),
    (200, 28, 0.156, 0.124, 0.381),
    (200, 40, 0.0760, 0.0521, 0.253),
    (400, 12, 0.926, 0.864, 1.031),
    (400, 18, 0.577, 0.475, 0.757),
    (400, 27, 0.293, 0.224, 0.491),
    (400, 40, 0.152, 0.113, 0.310),
    (800, 16, 0.901, 0.827, 0.978),
    (800, 24, 0.586, 0.433, 0.683),
    (800, 36, 0.295, 0.207, 0.428),
    (800, 54, 0.172, 0.107, 0.264),
)


def test_active_loss_against_quadrature():
    for shift, gain in ((-1.7, 1.3), (-0.4, 0.8), (0.3, 1.0)):

        def integrand(v, shift=shift, gain=gain):
            return (max(gain * v + shift, 0) - v) ** 2 / 2

        kink = [min(max(-shift / gain, 0), 2)]
        expected = integrate.quad(integrand, 0, 2, points=kink)[0]
        assert active_loss(np.array([shift]), gain)[0] == pytest.approx(expected, rel=1e-9)


def test_random_frame_of_two_against_a_double_integral():
    """n = 2: the other feature is active or not, and everything else is elementary."""
    p, m, a, b = 0.2, 5, 1.3, -0.2

    def loss(shift):
        return p * active_loss(np.array([shift]), a)[0] + (1 - p) * max(shift, 0) ** 2

    def given_overlap(rho):
        kinks = [at for at in (-b / (a * rho), (-2 * a - b) / (a * rho)) if 0 < at < 2]
        return integrate.quad(lambda v: loss(b + a * rho * v) / 2, 0, 2, points=kinks or None)[0]

    def integrand(angle):
        rho = math.sin(angle)
        density = theory.random_overlap_density(m, np.array([rho]))[0]
        return given_overlap(rho) * density * math.cos(angle)

    half = math.pi / 2 - 1e-9
    kinks = (1e-9, math.asin(-b / (2 * a)))
    disturbed = integrate.quad(integrand, -half, half, points=kinks, limit=200)[0]
    expected = (1 - p) * loss(b) + p * disturbed
    features = Features(np.array([p]), np.array([2.0]))
    found = theory.random_frame_losses(features, m, a, np.array([b]))
    # 64 atoms stand for the density of rho, through which B's kink moves.
    assert found[0] == pytest.approx(expected, rel=1e-5)


def test_random_frames_against_samples():
    """The mean over frames at given gain and biases, n = 30: 4 standard errors of 2000 frames."""
    rng = np.random.default_rng(0)
    n, m, gain = 30, 4, 1.2
    probabilities = power_law(n, 0.8)
    biases = -0.5 - 0.3 * np.arange(n) / n
    losses = []
    for _ in range(2000):
        rows = rng.standard_normal((n, m))
        rows *= math.sqrt(gain) / np.linalg.norm(rows, axis=1, keepdims=True)
        values = (rng.random((50, n)) < probabilities) * rng.random((50, n)) * 2
        outputs = np.maximum(values @ rows @ rows.T + biases, 0)
        losses.append(((outputs - values) ** 2).sum(axis=1).mean())
    every = Features(probabilities, np.ones(n))
    found = theory.random_frame_losses(every, m, gain, biases).sum()
    error = np.std(losses) / math.sqrt(len(losses))
    assert error < 0.01 * found
    assert abs(np.mean(losses) - found) < 4 * error


def test_random_frame_converges_in_the_fourier_grid():
    features = theory.flat(200.0, 1.0)
    laws = (theory.random_overlap_law(20),)
    losses = [
        frame_loss(theory.FrameClasses((features,), 20, size), laws, np.array([1.5]))
        for size in (256, 512, 4096)
    ]
    np.testing.assert_allclose(losses[:2], losses[2], rtol=1e-4)
    np.testing.assert_allclose(losses[1], losses[2], rtol=2e-5)


def test_random_frames_at_n_4000_and_10240():
    """m L for unit rows, against a prototype that took activity for Poisson: 1%."""
    table = {4000: (29.6, 32.2, 33.9, 35.1, 35.9), 10240: (35, 38.9, 41.3, 42.9, 44)}
    widths = (64, 128, 256, 512, 1024)
    for n, expected in table.items():
        found = [
            m * theory.random_frame(np.full(n, 1 / n), m, 1.0, may_die=False).loss for m in widths
        ]
        np.testing.assert_allclose(found, expected, rtol=0.01)


def test_random_frame_may_let_features_die():
    probabilities = np.full(200, 1 / 200)
    free = theory.random_frame(probabilities, 7)
    assert free.count < 200
    assert free.loss < theory.random_frame(probabilities, 7, may_die=False).loss
    assert free.loss < theory.dead_loss(probabilities).sum()


def test_gradient_against_differences():
    """Two classes with laws and gains of their own; the step's truncation is of second order."""
    rng = np.random.default_rng(1)
    classes = (
        Features(np.array([0.1, 0.05]), np.array([2.0, 3.0])),
        Features(np.array([0.01]), np.array([40.0])),
    )
    frame = theory.FrameClasses(classes, 8)
    grids = tuple(np.sort(rng.uniform(-0.6, 0.8, 5)) for _ in frame.pairs)
    weights = [rng.dirichlet(np.ones(5)) for _ in frame.pairs]
    gains = np.array([1.1, 1.5])

    def laws(shift=0.0, pair=0, atom=0):
        moved = [weight.copy() for weight in weights]
        moved[pair][atom] += shift
        return tuple(OverlapLaw(g, w) for g, w in zip(grids, moved, strict=True))

    loss, slopes = frame_gradient(frame, laws(), gains, grids)
    assert loss == pytest.approx(frame_loss(frame, laws(), gains), rel=1e-12)
    assert [frame.pair(c, d) for c, d in frame.pairs] == [0, 1, 2]
    assert frame.pair(1, 0) == 1
    step = 1e-4
    for pair in range(3):
        for atom in range(5):
            ends = [frame_loss(frame, laws(s * step, pair, atom), gains) for s in (1, -1)]
            # The grid's length depends on the law, which moves the Fourier error by about 1e-8.
            slope = (ends[0] - ends[1]) / (2 * step)
            assert slopes[pair][atom] == pytest.approx(slope, rel=2e-3, abs=5e-4)


@pytest.mark.parametrize("seed", range(5))
def test_frames_satisfy_the_semidefinite_constraints(seed):
    """(N) is a fact about vectors: 12 + 20 of them in five dimensions, drawn off centre."""
    rows = np.random.default_rng(seed).standard_normal((32, 5)) + 0.4
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    gram = rows @ rows.T
    parts = gram[:12, :12][~np.eye(12, dtype=bool)], gram[:12, 12:].ravel()
    parts = (*parts, gram[12:, 12:][~np.eye(20, dtype=bool)])
    classes = (theory.flat(12.0, 0.5), theory.flat(20.0, 0.5))
    programme = OverlapProgramme(theory.FrameClasses(classes, 5), parts, theory.Effort(), [])
    weights = [np.full(len(part), 1 / len(part)) for part in parts]
    for order in range(8):
        assert np.linalg.eigvalsh(programme.matrix(order, weights)).min() > -1e-10


@pytest.mark.parametrize(
    ("rows", "name"),
    [
        (np.concatenate([np.eye(4), -np.eye(4)]), "cross-polytope"),
        (np.eye(6) - 1 / 6, "simplex of five dimensions"),
    ],
)
def test_no_code_is_below_the_programme(rows, name):
    """Codes whose rows all have one law of overlaps: the functional is then as good as theirs."""
    rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    count, width = len(rows), np.linalg.matrix_rank(rows)
    law = OverlapLaw(np.delete(rows @ rows.T, 0, axis=1)[0], np.full(count - 1, 1 / (count - 1)))
    frame = flat_classes(count, int(width))
    own = min(frame_loss(frame, (law,), np.array([gain])) for gain in np.linspace(0.6, 2, 29))
    assert theory.best_frame(frame).loss <= own * 1.0005, name


def test_solution_obeys_the_constraints_and_has_few_atoms():
    effort = theory.Effort()
    found = theory.best_frame(flat_classes(200, 20), effort)
    (law,) = found.laws
    assert law.weights.sum() == pytest.approx(1, abs=1e-9)
    means = theory.gegenbauer(20, 8, law.overlaps) @ law.weights
    assert (means >= theory.least_mean_overlap(200) - 1e-7).all()
    # Balanced and tight, as the trained networks are.
    np.testing.assert_allclose(means[:2], -1 / 199, atol=1e-7)
    assert (law.weights > 1e-3).sum() <= 12
    assert 0 <= found.gap < 1e-3 * found.loss


@pytest.mark.parametrize(("n", "m"), [(100, 7), (100, 28), (200, 20), (400, 18), (800, 54)])
def test_programme_does_not_depend_on_its_grid(n, m):
    """Asked: 1% between two grids. The refinement brings 41 and 151 points within a tenth of it."""
    losses = [
        theory.best_frame(flat_classes(n, m), theory.Effort(points=points, orders=orders)).loss
        for points, orders in ((41, 8), (151, 8), (81, 14))
    ]
    assert max(losses) / min(losses) - 1 < 1e-3


@pytest.mark.parametrize("row", TRAINED[1:13:6])
def test_bracket_and_interpolation_against_trained_networks(row):
    _check_trained(*row)


@pytest.mark.acceptance
@pytest.mark.parametrize("row", TRAINED)
def test_every_trained_network(row):
    _check_trained(*row)


def _check_trained(n, m, trained, lower, upper):
    found = theory.bracket(np.full(n, 1 / n), m)
    # The prototype: Poisson activity (p/2 of RF), grids of gains and of K (5% at m = 7), of rho.
    assert found.lower == pytest.approx(lower, rel=0.035)
    assert found.upper == pytest.approx(upper, rel=0.05)
    assert found.lower < trained < found.upper
    # The largest error of the 19 is 13%, at n = 100, m = 28; the networks rest on one seed.
    assert trained == pytest.approx(found.interpolation, rel=0.135)


def test_interpolation_is_between_and_ends_at_the_random_frame():
    assert theory.random_share(200) == 0.24
    assert theory.random_share(10**5) == 1.0
    assert theory.interpolate(0.1, 0.4, 10**5) == 0.4
    assert theory.interpolate(0.1, 0.4, 200) == pytest.approx(0.1**0.76 * 0.4**0.24)


@pytest.mark.slow
def test_private_core_against_the_prototype():
    """alpha = 1.5, n = 200, m = 14: the trained .068 was .70 of the prototype's coarser minimum."""
    probabilities = power_law(200, 1.5)
    found = theory.programme_frame(probabilities, 14)
    assert 0.068 / found.loss == pytest.approx(0.70, abs=0.04)
    assert found.loss < theory.core_frame(probabilities, 14).loss
    assert 0 < found.private < 14 < found.count


def test_classes_change_nothing_at_equal_frequencies():
    """Splitting equal features in two only frees the laws, which does not help."""
    whole = theory.best_frame(flat_classes(200, 20)).loss
    half = Features(np.array([1 / 200]), np.array([100.0]))
    parts = theory.FrameClasses((half, half), 20)
    found = theory.best_frame(parts, theory.Effort(orders=6, points=61, refinements=1))
    np.testing.assert_allclose(found.gains[0], found.gains[1], rtol=0.02)
    # Let pass in (N) with its larger counts: 1e-3 of a diagonal of order 1.
    assert found.loss == pytest.approx(whole, rel=5e-3)


def test_classes_lower_the_estimate_at_steep_frequencies():
    """alpha = 2, n = 200, m = 20 (trained: .0057) with three private features."""
    probabilities = power_law(200, 2.0)
    effort = theory.Effort(orders=6, points=41, refinements=0, tolerance=3e-3, violation=1e-2)
    losses = []
    for classes in (1, 2, 3):
        parts = frequency_classes(probabilities, 3, 200, classes)
        assert sum(part.counts.sum() for part in parts) == 197
        frame = theory.FrameClasses(parts, 17)
        found = theory.best_frame(frame, effort)
        losses.append(found.loss)
        assert (np.diff(found.gains) > 0).all()
    assert losses[1] < 0.55 * losses[0]
    assert 0.75 * losses[1] < losses[2] < losses[1]
    assert losses[2] < 0.0057 < 2 * losses[2]


@pytest.mark.acceptance
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("n", "decay", "m", "trained"),
    [
        (200, 1.0, 14, 0.257),
        (200, 1.5, 7, 0.213),
        (200, 1.5, 14, 0.068),
        (200, 1.5, 40, 0.0057),
        (100, 1.5, 20, 0.0176),
        (400, 1.5, 18, 0.0641),
        (200, 2.0, 10, 0.0281),
        (200, 2.0, 20, 0.0057),
    ],
)
def test_graded_interpolation_within_15_per_cent(n, decay, m, trained):
    """No constant is fitted here. Rows between these in m are left out for their cost of minutes.

    So is alpha = 2 at m/n above 1/7, where 15 % is not met: .0021 predicted at n = 200, m = 28.

    Those networks were under-trained: n = 200, m = 28, 40 go from .0026, .0011 to .0016, .00054
    with twelve times the steps.
    """
    found = theory.graded_bracket(power_law(n, decay), m)
    assert found.lower < trained < found.upper
    assert trained == pytest.approx(found.interpolation, rel=0.15)


def test_bias_grid_grows_with_the_width():
    assert bias_table(1.0, 1.0).size == 512
    assert bias_table(1.0, 0.01).size > 8000


def config(**changes):
    from scalinglab.models.superposition import Config

    return Config(**{"num_features": 60, "width": 8, **changes})


def test_predictions_for_a_configuration():
    found = theory.predict(config(), "all")
    assert list(found) == [
        "interpolation",
        "random-frame",
        "linear-programme",
        "core-frame",
        "inverse-width",
        "tight-frame",
    ]
    # No theory of a trained network is exact: no experiment may hold one to a strict margin.
    assert not any(row.kind in STRICT_KINDS for row in theory.THEORIES)
    loss = {name: row.observables["loss"] for name, row in found.items() if name != "tight-frame"}
    assert loss["linear-programme"] < loss["interpolation"] < loss["random-frame"]
    half = theory.predict(config(value="uniform01"))
    assert half.observables["loss"] == pytest.approx(loss["interpolation"] / 4)
    geometry = found["tight-frame"].observables
    assert geometry["mean_squared_overlap_live"] == theory.welch_mean_square(60, 8)
    assert theory.predict(config(num_features=2000, width=1999)).theory == "random-frame"


def test_weak_prediction_and_refusals():
    weak = theory.predict(config(weight_decay=0.5, importance_decay=0.9, frequency_decay=1.5))
    assert weak.theory == "weak"
    importance = 0.9 ** np.arange(60.0)
    expected = theory.weak_loss_at_width(power_law(60, 1.5), 8, importance)
    assert weak.observables["loss"] == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="none of interpolation"):
        theory.predict(config(importance_decay=0.9))
    with pytest.raises(ValueError, match="'weak' does not apply"):
        theory.predict(config(), "weak")
    with pytest.raises(ValueError, match="width: 1; give at least 2"):
        theory.programme_frame(np.full(9, 1 / 9), 1)
    with pytest.raises(ValueError, match="classes: 0; give at least 1"):
        theory.graded_programme(power_law(9, 1.0), 3, 0)
