"""The theory of random features against identities, closed forms, mpmath and brute force."""

import itertools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from scalinglab.models import spectra
from scalinglab.models.random_features import Config
from scalinglab.theory import random_features as theory

EPS = np.finfo(np.float64).eps
INF = jnp.asarray(jnp.inf)


def f64(value):
    return jnp.asarray(value, jnp.float64)


@jax.jit(static_argnames="dimension")
def risks(a, b, samples, features, ridge, noise, dimension=None):
    return theory.risks(spectra.power_law(a, b, dimension), samples, features, ridge, noise)


def all_risks(a, b, samples, features, ridge, noise, dimension=None):
    return risks(*map(f64, (a, b, samples, features, ridge, noise)), dimension=dimension)


sizes = st.floats(8, 400)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.floats(1.2, 4), st.sampled_from([1e-6, 1e-3, 0.1]))
def test_t2_duality_of_samples_and_features(samples, features, a, ridge):
    """(T2) For b = a without noise the risk is symmetric in N and D at any ridge."""
    first = all_risks(a, a, samples, features, ridge, 0).test_risk
    second = all_risks(a, a, features, samples, ridge, 0).test_risk
    # The same sums in another order of the two sizes; the slack at the peak amplifies rounding of
    # kappa by at most L/kappa, here below 1e3.
    np.testing.assert_allclose(first, second, rtol=1e-12)


@pytest.mark.parametrize(("samples", "features"), [(300, 60), (60, 300), (100, 130)])
@pytest.mark.parametrize(("a", "b", "noise"), [(1.5, 2.5, 0.1), (2.0, 2.0, 0.0), (3.0, 1.7, 0.3)])
def test_t3_ridgeless_closed_forms(samples, features, a, b, noise):
    """(T3) (E2) at ridge 0, and as ridge -> 0, is the closed form (docs, 2.5)."""
    spectrum = spectra.power_law(a, b, 600)
    smaller = min(samples, features)

    # The oracle finds kappa by scipy, not by our bisection.
    def excess(log_kappa):
        return np.sum(1 / (1 + np.exp(log_kappa) * np.arange(1, 601.0) ** a)) - smaller

    kappa = np.exp(optimize.brentq(excess, -60, 10, xtol=1e-14))
    lam, v2 = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.target_power)
    q = np.sum((lam / (lam + kappa)) ** 2)
    bias = np.sum(v2 * (kappa / (lam + kappa)) ** 2)
    rest = np.sum(v2 * kappa * lam / (lam + kappa) ** 2)
    n, d = features, samples
    if n < d:
        expected = d / (d - n) * (bias + rest + noise)
    else:
        expected = d / (n - d) * ((n - q) / (d - q) * (bias + noise) + rest)
    found = all_risks(a, b, samples, features, 0, noise, 600)
    # kappa from brentq has relative error 1e-13, which the risk inherits times a few.
    np.testing.assert_allclose(found.test_risk, expected, rtol=1e-11)
    nearly = all_risks(a, b, samples, features, 1e-9 * kappa, noise, 600)
    # The risk moves by its logarithmic slope in the ridge, of order 1/slack^2.
    slack = 1 - smaller / max(samples, features)
    np.testing.assert_allclose(nearly.test_risk, expected, rtol=1e-9 * 10 / slack**2)
    if n > d:
        assert float(found.train_risk) == 0.0


NUMBERS = {"a": 1.5, "b": 2.2, "samples": 200.0, "features": 100.0, "ridge": 1e-3, "noise": 0.1}


@pytest.mark.parametrize("name", list(NUMBERS))
@pytest.mark.parametrize("ridge", [0.0, 1e-3])
def test_t4_gradients_against_central_differences(name, ridge):
    """(T4) log L differentiates in every number, at and away from ridge 0."""
    numbers = {**NUMBERS, "ridge": ridge}

    def log_risk(value):
        arguments = {**numbers, name: value}
        return jnp.log(risks(*[f64(arguments[key]) for key in NUMBERS]).test_risk)

    found = float(jax.grad(log_risk)(f64(numbers[name])))
    if name == "ridge" and ridge == 0:
        # One-sided: the derivative from above, to first order in the step; the curvature in the
        # ridge is about (1e3)^2 while the slope is 1e3, so a step of 1e-9 leaves 1e-6.
        step = 1e-9
        expected = float(log_risk(f64(step)) - log_risk(f64(0.0))) / step
        assert found == pytest.approx(expected, rel=1e-4)
        return
    # Truncation is (h/x)^2 and rounding is eps x/h: 1e-10 and 1e-11 at h = 1e-5 x.
    step = 1e-5 * max(numbers[name], 1e-3)
    upper, lower = log_risk(f64(numbers[name] + step)), log_risk(f64(numbers[name] - step))
    expected = float(upper - lower) / (2 * step)
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_second_derivatives_of_the_root():
    def log_risk(samples):
        return jnp.log(theory.test_risk(SPECTRUM, samples, f64(100), f64(1e-3), f64(0.1)))

    slope = jax.jit(jax.grad(log_risk))
    found = float(jax.grad(jax.grad(log_risk))(f64(200.0)))
    step = 1e-2
    expected = float(slope(f64(200 + step)) - slope(f64(200 - step))) / (2 * step)
    assert found == pytest.approx(expected, rel=1e-6)


SPECTRUM = spectra.power_law(1.5, 1.5)


@pytest.mark.parametrize(("a", "size"), [(1.5, 100), (1.2, 200), (2.0, 100), (1.3, 400)])
def test_t5_kappa_of_the_infinite_spectrum(a, size):
    """(T5) df1(kappa) = m has kappa = [C/(m + 1/2)]^a to 1e-5 at m >= 100."""
    kappa = theory.effective_ridge(spectra.power_law(a, a), f64(size), INF, f64(0))
    stated = a * float(kappa) * abs(float(mpmath.zeta(-a))) / (size + 0.5)
    closed = theory.ridgeless_kappa(f64(a), f64(size))
    assert float(kappa / closed) == pytest.approx(1, abs=max(2 * stated, 1e-9))
    assert float(kappa / closed) == pytest.approx(1, abs=1e-5)


def test_kappa_against_mpmath_with_thirty_digits():
    a, samples, features, ridge = 1.5, 90, 140, 1e-4
    found = theory.effective_ridge(
        spectra.power_law(a, a, 300), *map(f64, (samples, features, ridge))
    )
    with mpmath.workdps(30):
        lam = [mpmath.mpf(i) ** -mpmath.mpf(a) for i in range(1, 301)]

        def equation(kappa):
            z = sum(x / (x + kappa) for x in lam)
            return kappa * (1 - z / samples) * (1 - z / features) - mpmath.mpf(ridge)

        exact = mpmath.findroot(
            equation, (float(found) * 0.99, float(found) * 1.01), solver="anderson"
        )
    # kappa moves by the conditioning of (E1) in the ridge, below 10 here.
    assert float(found) == pytest.approx(float(exact), rel=100 * EPS * 10)


@settings(max_examples=60, deadline=None)
@given(sizes, sizes, st.floats(1.2, 4), st.floats(1.2, 5), st.sampled_from([1e-6, 1e-3, 0.1]))
def test_t7_t8_decomposition_and_train_risk(samples, features, a, b, ridge):
    """(T7) The terms add up to the test risk; (T8) train = (1 - z/D)^2 test; all are positive."""
    found = all_risks(a, b, samples, features, ridge, 0.2)
    terms = [value for name, value in found._asdict().items() if not name.endswith("_risk")]
    np.testing.assert_allclose(sum(terms) + 0.2, found.test_risk, rtol=20 * EPS)
    assert min(float(term) for term in terms) > -20 * EPS * float(found.test_risk)
    state = theory.effective_ridge(spectra.power_law(a, b), *map(f64, (samples, features, ridge)))
    z = theory.degrees_of_freedom(spectra.power_law(a, b), state)
    np.testing.assert_allclose(
        found.train_risk, (1 - z / samples) ** 2 * found.test_risk, rtol=1e-9
    )


@pytest.mark.parametrize(("a", "samples", "features"), [(1.5, 4000, 9000), (3.0, 9000, 4000)])
@pytest.mark.parametrize("filling", [0.3, 0.9])
def test_joint_law_of_the_continuum(a, samples, features, filling):
    """(E5) against (E2) on the infinite spectrum, to a/(2z) of discreteness."""
    z = filling * min(samples, features)
    ridge, risk = theory.joint_risk(*map(f64, (a, samples, features, z)))
    discrete = all_risks(a, a, samples, features, ridge, 0).test_risk
    assert float(risk / discrete) == pytest.approx(1, abs=a / z)


@pytest.mark.parametrize("a", [1.3, 1.5, 2.0, 3.0])
@pytest.mark.parametrize(("samples", "features"), [(1000, 1000), (1000, 4000), (1000, np.inf)])
def test_optimal_freedom_minimises_the_joint_law(a, samples, features):
    """(E6) against a bounded scalar minimiser of (E5)."""
    numbers = f64(a), f64(samples), f64(features)

    def risk(z):
        return float(theory.joint_risk(*numbers, f64(z))[1])

    found = float(theory.optimal_freedom(*numbers))
    best = optimize.minimize_scalar(
        risk, bounds=(1, 1000), method="bounded", options={"xatol": 1e-6}
    )
    # A minimiser of a function known to eps finds its argument to sqrt(eps).
    assert found == pytest.approx(best.x, rel=1e-5)
    assert risk(found) <= best.fun * (1 + 10 * EPS)


@pytest.mark.parametrize(("a", "percent"), [(1.3, -32), (1.5, -23), (2.0, 0), (3.0, 44)])
def test_additive_form_is_exact_at_a_equal_two_only(a, percent):
    size = f64(1000.0)
    _, risk = theory.optimal_joint_risk(f64(a), size, size)
    miss = 100 * (float(risk / theory.additive_risk(f64(a), size, size)) - 1)
    assert abs(miss - percent) <= 0.5 if percent else abs(miss) < 1e-10


@pytest.mark.parametrize(("samples", "features"), [(48, 144), (160, 96), (64, 64)])
def test_t10_additive_identity_on_the_discrete_spectrum(samples, features):
    """(T10) At a = 2 the optimal-ridge risk is (pi^2/4)(1/N + 1/D) within a/m."""
    _, risk = theory.optimal_ridge(spectra.power_law(2.0, 2.0), *map(f64, (samples, features, 0)))
    additive = np.pi**2 / 4 * (1 / samples + 1 / features)
    assert float(risk) / additive == pytest.approx(1, abs=2 / min(samples, features))


def test_optimal_ridge_against_published_numbers_and_a_scan():
    """docs, 3.3: infinite-spectrum .06702 at (48, 144); and no ridge on a fine grid is better."""
    spectrum = spectra.power_law(2.0, 2.0)
    ridge, risk = theory.optimal_ridge(spectrum, f64(48), f64(144), f64(0.0))
    assert float(risk) == pytest.approx(0.06702, abs=5e-6)  # the rounding of the quoted number
    for noise in (0.0, 0.1):
        ridge, risk = theory.optimal_ridge(spectrum, f64(48), f64(144), f64(noise))
        scan = jax.vmap(
            lambda r, noise=noise: theory.test_risk(spectrum, f64(48), f64(144), r, f64(noise))
        )
        around = scan(ridge * jnp.geomspace(0.5, 2.0, 101))
        assert float(risk) <= float(jnp.min(around)) * (1 + 100 * EPS)
        at = theory.test_risk(spectrum, f64(48), f64(144), ridge, f64(noise))
        assert float(at) == pytest.approx(float(risk), rel=1e-10)


def test_optimal_ridge_is_zero_where_the_features_are_infinite_and_labels_clean():
    ridge, risk = theory.optimal_ridge(spectra.power_law(1.5, 1.5), f64(64), INF, f64(0.0))
    assert float(ridge) == 0.0
    assert float(risk) == pytest.approx(
        float(all_risks(1.5, 1.5, 64, np.inf, 0, 0).test_risk), rel=1e-9
    )


def test_input_noise_mapping_against_brute_force():
    """docs, 2.8: training on x + sqrt(tau) g directly, with the exact population risk.

    48 draws; the mean is tested at 4 standard errors (6e-5 by chance) plus the stated error 1/m.
    """
    samples, features, modes, tau, noise, ridge = 120, 60, 150, 0.02, 0.05, 1e-3
    generator = np.random.default_rng(3)
    lam = np.arange(1, modes + 1.0) ** -1.5
    w = np.sqrt(np.arange(1, modes + 1.0) ** -2.0 / lam)
    measured = []
    for _ in range(48):
        clean = generator.normal(size=(samples, modes)) * np.sqrt(lam)
        labels = clean @ w + np.sqrt(noise) * generator.normal(size=samples)
        noisy = clean + np.sqrt(tau) * generator.normal(size=clean.shape)
        weights = generator.normal(size=(features, modes)) / np.sqrt(features)
        design = noisy @ weights.T
        gram = design.T @ design + samples * ridge * np.eye(features)
        beta = weights.T @ np.linalg.solve(gram, design.T @ labels)
        measured.append(np.sum(lam * (w - beta) ** 2) + tau * np.sum(beta**2) + noise)
    spectrum, extra = theory.with_input_noise(
        spectra.power_law(1.5, 2.0, modes), f64(tau), f64(noise)
    )
    predicted = theory.test_risk(spectrum, *map(f64, (samples, features, ridge)), extra)
    error = np.std(measured, ddof=1) / np.sqrt(48)
    assert abs(np.mean(measured) - float(predicted)) < 4 * error + float(predicted) / features


def test_input_noise_lowers_the_exponent():
    """The claim of Fig. 3 right: the slope of L(D) falls with every step of input noise."""
    data = jnp.geomspace(50.0, 400.0, 7)
    slopes = []
    for tau in (0.0, 1e-4, 1e-3, 1e-2):
        spectrum, noise = theory.with_input_noise(
            spectra.power_law(1.5, 1.5, 4000), f64(tau), f64(0.0)
        )
        risk = jax.vmap(lambda d, s=spectrum, n=noise: theory.test_risk(s, d, INF, f64(0.0), n))(
            data
        )
        slopes.append(-np.polyfit(np.log(data), np.log(risk), 1)[0])
    assert all(after < before for before, after in itertools.pairwise(slopes))


def test_exponents_of_all_regimes_and_broken_duality():
    plain = theory.asymptotic_exponents(f64(1.5), f64(1.5))
    assert [float(x) for x in plain] == [0.5, 0.5, 1.0, 1.0]
    broken = theory.asymptotic_exponents(f64(1.5), f64(4.0))
    assert [float(x) for x in broken] == [3.0, 1.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("b", "data_exponent", "feature_exponent", "approach"),
    [(1.5, 0.5, 0.5, 1e-3), (2.2, 1.2, 1.2, 0.02), (3.5, 2.5, 1.5, 0.02)],
)
def test_local_exponents_approach_the_asymptotic_ones(b, data_exponent, feature_exponent, approach):
    """By automatic differentiation in real-valued D and N at 1e5 modes resolved.

    The correction falls as m^-(gap to the next exponent); its size there is `approach`.
    """
    spectrum = spectra.power_law(1.5, b)
    size = f64(1e5)
    data, none = theory.local_exponents(spectrum, size, INF, f64(0), f64(0))
    _, features = theory.local_exponents(spectrum, INF, size, f64(0), f64(0))
    assert float(none) == 0.0
    assert float(data) == pytest.approx(data_exponent, abs=approach)
    assert float(features) == pytest.approx(feature_exponent, abs=approach)


def test_label_noise_saturates_without_ridge():
    """docs, 2.6: ridgeless L(D) tends to sigma^2 a, since q/D -> 1 - 1/a."""
    noisy = all_risks(1.5, 1.5, 1e6, np.inf, 0, 0.1).test_risk
    clean = all_risks(1.5, 1.5, 1e6, np.inf, 0, 0.0).test_risk
    # z is 1/2 below its continuum value of 1e6, and q likewise.
    assert float(noisy - clean) == pytest.approx(0.1 * 1.5, rel=1e-5)


def test_all_modes_resolved_is_ordinary_least_squares():
    """M < D and M <= N at ridge 0: L = sigma^2/(1 - M/D), and zero error without noise."""
    for features in (60.0, 100.0, np.inf):
        found = all_risks(1.5, 1.5, 150, features, 0, 0.2, 60)
        assert float(found.test_risk) == pytest.approx(0.2 / (1 - 60 / 150), rel=100 * EPS)
        assert float(all_risks(1.5, 1.5, 150, features, 0, 0.0, 60).test_risk) == 0.0


def test_predict_needs_float64():
    with jax.enable_x64(new_val=False), pytest.raises(RuntimeError, match="jax_enable_x64"):
        theory.predict(Config())


def test_unknown_theory_is_named():
    with pytest.raises(ValueError, match="nonsense"):
        theory.predict(Config(), "nonsense")
