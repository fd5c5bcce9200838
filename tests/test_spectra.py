"""Spectra against brute-force sums, quadrature and mpmath."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from scipy import integrate, special

from scalinglab.models import spectra

EPS = np.finfo(np.float64).eps


def test_finite_power_law_is_the_list_of_its_modes():
    spectrum = spectra.power_law(1.5, 2.5, 7)
    index = np.arange(1, 8)
    # exp(-a log i) carries the rounding of log i times a.
    np.testing.assert_allclose(spectrum.eigenvalues, index**-1.5, rtol=10 * EPS)
    np.testing.assert_allclose(spectrum.target_power, index**-2.5, rtol=10 * EPS)
    np.testing.assert_array_equal(spectrum.multiplicities, np.ones(7))


@pytest.mark.parametrize("decay", [1.3, 1.5, 2.0, 3.0])
def test_infinite_power_law_sums_like_zeta(decay):
    # Rounding of 6000 terms; what the midpoint rule leaves, of order 2000^-4, is below it.
    spectrum = spectra.power_law(decay, decay + 0.5)
    assert float(spectrum.trace) == pytest.approx(special.zeta(decay), rel=100 * EPS)
    assert float(spectrum.total_power) == pytest.approx(special.zeta(decay + 0.5), rel=100 * EPS)


@pytest.mark.parametrize(("decay", "size"), [(1.2, 200), (1.5, 100), (3.0, 50)])
def test_infinite_degrees_of_freedom_against_mpmath(decay, size):
    kappa = (float(np.pi / decay / np.sin(np.pi / decay)) / size) ** decay
    spectrum = spectra.power_law(decay, decay)
    found = float(jnp.sum(spectrum.multiplicities / (1 + kappa / spectrum.eigenvalues)))
    # Oracle: a long exact sum, and Euler-Maclaurin from there with mpmath's quadrature.
    last = 200_000
    head = np.sum(1 / (1 + kappa * np.arange(1.0, last) ** decay))
    with mpmath.workdps(20):
        tail = mpmath.quad(
            lambda u: mpmath.exp(u) / (1 + kappa * mpmath.exp(decay * u)),
            [mpmath.log(last), mpmath.log(last) + 20, mpmath.log(last) + 100, 400],
        )
    edge = 1 / (1 + kappa * last**decay)
    correction = edge / 2 + edge * (1 - edge) * decay / last / 12
    assert found == pytest.approx(head + float(tail) + correction, rel=1000 * EPS)


@pytest.mark.parametrize("sphere_dimension", [2, 3, 5])
def test_relu_sphere_against_quadrature_and_its_trace(sphere_dimension):
    q = sphere_dimension
    spectrum = spectra.relu_sphere(q, 4000)
    # The multiplicities are integers up to the rounding of a log gamma of about 4000 log 4000.
    surface = special.gamma((q + 1) / 2) / special.gamma(q / 2) / np.sqrt(np.pi)
    order = (q - 1) / 2
    for degree in (0, 1, 2, 4, 6, 10):

        def integrand(angle, degree=degree):
            t = np.sin(angle)  # makes the end point smooth
            legendre = special.eval_gegenbauer(degree, order, t)
            legendre /= special.eval_gegenbauer(degree, order, 1.0)
            return t * legendre * np.cos(angle) ** (q - 1)

        value = surface * integrate.quad(integrand, 0, np.pi / 2, epsabs=1e-14)[0]
        nearest = np.min(np.abs(np.sqrt(spectrum.eigenvalues) - abs(value)))
        assert nearest < 1e-12  # quad's requested absolute error, with the prefactor
    # Degrees above K hold about K^-3 of the trace, with a constant below one.
    assert float(spectrum.trace) == pytest.approx(1 / (2 * (q + 1)), rel=4000.0**-3 * 10 + 1e-10)


def test_relu_sphere_multiplicities_count_harmonics():
    spectrum = spectra.relu_sphere(3, 6)
    # On S^3 degree k has (k + 1)^2 harmonics.
    np.testing.assert_allclose(np.sort(spectrum.multiplicities), [1, 4, 9, 25, 49], rtol=1e-12)


def test_empirical_spectrum_of_a_known_kernel():
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
    values = np.arange(20, 0, -1.0)
    kernel = jnp.asarray(vectors @ np.diag(values) @ vectors.T)
    targets = jnp.asarray(vectors @ np.arange(1.0, 21.0))
    spectrum = spectra.empirical(kernel, targets)
    np.testing.assert_allclose(spectrum.eigenvalues, values / 20, rtol=400 * EPS)
    # An eigenvector errs by eps |K| / gap = 20 eps, on coefficients up to 20 against 1.
    np.testing.assert_allclose(
        spectrum.target_power, np.arange(1.0, 21.0) ** 2 / 20, rtol=20 * 20 * 100 * EPS
    )


def test_truncated_sums_complete_the_finite_ones():
    a, b = jnp.asarray(1.5), jnp.asarray(2.2)
    tails = spectra.truncated_sums(a, b, 50)
    index = np.arange(1.0, 51)
    for tail, power in zip(tails, (1.5, 3.0, 2.2, 3.7), strict=True):
        total = np.sum(index**-power) + float(tail)
        assert total == pytest.approx(special.zeta(power), rel=100 * EPS)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: spectra.power_law(1.5, 1.5, 0), "dimension: 0"),
        (lambda: spectra.relu_sphere(1), "sphere_dimension: 1"),
        (lambda: spectra.relu_sphere(3, 1), "max_degree: 1"),
        (lambda: spectra.empirical(jnp.full((2, 2), jnp.nan), jnp.ones(2)), "not finite"),
        (lambda: spectra.as_spectrum([1.0, -1.0], [1.0, 1.0]), "eigenvalues: -1"),
        (lambda: spectra.as_spectrum([1.0], [1.0, 1.0]), "target_power: shape"),
    ],
)
def test_bad_input_names_the_field(call, text):
    with pytest.raises(ValueError, match=text):
        call()
