"""The additive form at the optimal ridge, beyond the noiseless isotropic teacher."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from scalinglab.experiments.random_features.optimal_ridge_noise import additive_ratio, optima
from scalinglab.models.spectra import power_law
from scalinglab.theory import random_features as theory

close = np.testing.assert_allclose


@pytest.mark.parametrize(
    ("decay", "target", "noise"), [(1.5, 1.5, 0.1), (2.0, 4.0, 0.01), (3.0, 2.0, 0.0)]
)
def test_optimum_is_that_of_scipy(decay, target, noise):
    """Brent on the ridge itself, through the self-consistent equation, at 300 modes.

    A minimum is flat: the risk agrees to the square of the 1e-6 to which Brent finds the ridge.
    """
    spectrum = power_law(decay, target, 300)
    sizes = jnp.asarray(40.0), jnp.asarray(25.0)

    def risk(log_ridge):
        return float(
            theory.test_risk(spectrum, *sizes, jnp.exp(jnp.asarray(log_ridge)), jnp.asarray(noise))
        )

    best = scipy.optimize.minimize_scalar(risk, bounds=(-18.0, 2.0), options={"xatol": 1e-7})
    ridge, excess = optima(decay, target, noise, 40.0, 25.0, modes=300)
    close(excess + noise, best.fun, rtol=1e-9)
    close(np.log(ridge), best.x, atol=1e-3)


def test_additive_form_is_exact_in_the_limit_at_two():
    """At a = b = 2 without noise the ratio tends to one: it is off by about a/m at size m."""
    for size in (100.0, 400.0):
        ratio = float(additive_ratio(2.0, 2.0, 0.0, size, None))
        assert abs(ratio - 1.0) < 2.0 / size


def test_ratio_without_noise_is_that_of_the_continuum():
    """The closed form of the isotropic case, up to the a/m of finitely many samples."""
    for decay in (1.5, 3.0):
        size = jnp.asarray(400.0)
        closed = theory.optimal_joint_risk(jnp.asarray(decay), size, size)[1]
        form = theory.additive_risk(jnp.asarray(decay), size, size)
        close(additive_ratio(decay, decay, 0.0, 400.0, None), closed / form, rtol=decay / 400)


def test_noise_heals_steep_spectra_only():
    """The finding: the error at a = 3 falls with noise, that at a = 1.5 does not."""
    steep = additive_ratio(3.0, 3.0, np.array([0.0, 0.01, 0.1]), 48.0, 1000)
    assert (np.diff(steep) < 0).all()
    assert abs(steep[-1] - 1) < 0.05 < 0.3 < abs(steep[0] - 1)
    shallow = additive_ratio(1.5, 1.5, np.array([0.0, 0.1, 1.0]), 48.0, 1000)
    assert (shallow < 0.85).all()
