"""The deterministic equivalent of one-pass SGD: forcing function and kernel as exponential sums.

Given the features, the mean risk obeys the Volterra equation (derived in `moments`)

    P(r) = F(r) + sum_{s<r} K(r-1-s) P(s),
    F(r) = F_0 + sum_j rho_j(0) q(l_j)^r,   K(s) = g^2 B sum_j l_j^2 q(l_j)^s,
    q(z) = 1 - 2 g B z + g^2 B (B+1) z^2,

over the eigenpairs of the feature kernel. Under its deterministic equivalent both sums are contour
integrals over the resolvent, and in the variable w of `contour`

    F(r) = F_0 + (1/pi) Im int [sum t/(l - w)] / m  q(z)^r (dz/dw) dw
    K(s) = (g^2 B/pi) Im int z [sum l/(l - w)] q(z)^s (dz/dw) dw
    F_0 = sum t kappa/(l + kappa),   sum l/(l + kappa) = d.

In K the sum over modes of z^2/(l m - z) is z sum l/(l - w) less v z, whose integral is real. Both
are sums of exponentials over the nodes of the contour, F(r) = F_0 + Im sum f_k q_k^r.

| here | symbol | Paquette 2405.15074 | Bordelon 2402.01092 | Lin 2406.08466 |
|---|---|---|---|---|
| alpha | alpha | alpha | b = 2 alpha | a = 2 alpha |
| beta | beta | beta | a = 2 alpha + 2 beta | b = 2 alpha + 2 beta |
| num_parameters | d | d | N | M |
| ambient_dimension | v | v | M | infinite |
| rate | g | gamma | eta | gamma |
| effective_ridge | kappa | d^(-2 alpha)/kappa(v/d) | - | - |
| forcing | F | F | (gradient flow: P = F) | bias and approximation |
| kernel | K | K | - | variance |
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Complex, Float, Int

from scalinglab.models import Status
from scalinglab.models.spectra import Spectrum
from scalinglab.theory.prediction import require_float64
from scalinglab.theory.random_features import effective_ridge

from .contour import DEFAULT_SHAPE, Shape, as_complex, contour_of, resolve, spectral_ends
from .mode_sums import EXACT, data_spectrum

Scalar = Float[Array, ""]
Nodes = Complex[Array, " nodes"]
Number = float | int | Scalar

# |q| may pass 1 by rounding where z is tiny.
_ROUNDING = 1e-12


class Problem(NamedTuple):
    """SGD on random features of data with any spectrum.

    `spectrum` of the data and the target; `anchor`, the sum of t/l where it converges (beta > 1/2),
    else 0 (`contour.resolve`); `num_parameters` d; `rate` g of the gradient summed over the batch;
    `batch_size` B; `noise_variance` of the labels.
    """

    spectrum: Spectrum
    anchor: Scalar
    num_parameters: Scalar
    rate: Scalar
    batch_size: Scalar
    noise_variance: Scalar


class ExponentialSums(NamedTuple):
    """F(r) = least_risk + Im sum forcing q^r and K(s) = Im sum kernel q^s.

    `deficits` 1 - q; `logs` log q; `forcing` and `kernel`, the weights; `least_risk`, label noise
    included; `kernel_norm`, the sum of K(s) over all s.
    """

    deficits: Nodes
    logs: Nodes
    forcing: Nodes
    kernel: Nodes
    least_risk: Scalar
    kernel_norm: Scalar


class Equivalent(NamedTuple):
    """The deterministic equivalent of a problem.

    `sums`; `effective_ridge` kappa; `edges`, of the spectrum without its atom at 0; `status`:
    INFINITE_MEAN where the risk grows without bound, NOT_CONVERGED where the contour has |q| > 1.
    """

    sums: ExponentialSums
    effective_ridge: Scalar
    edges: Float[Array, " 2"]
    status: Int[Array, ""]


def power_law_problem(
    alpha: Number,
    beta: Number,
    num_parameters: Number,
    ambient_dimension: Number,
    *,
    gamma0: Number,
    batch_size: Number = 1.0,
    noise_variance: Number = 0.0,
    exact: int = EXACT,
) -> Problem:
    """The power-law problem, with the rate g = gamma0/(B sum_j j^(-2 alpha)).

    **Arguments:** `alpha` >= 0 and `beta`; `num_parameters` d, real; `ambient_dimension` v > d, a
    whole number or, for alpha > 1/2 and alpha + beta > 1/2, infinite; `gamma0` > 0; `batch_size` B;
    `noise_variance` >= 0. All may be traced, swept by `vmap`, and all but v differentiated;
    `exact`, static, as of `mode_sums.data_spectrum`.

    **Source:** 2405.15074, with B = 1.
    """
    require_float64()
    a, b, d, v, rate, batch, noise = (
        jnp.asarray(x, jnp.float64)
        for x in (
            alpha,
            beta,
            num_parameters,
            ambient_dimension,
            gamma0,
            batch_size,
            noise_variance,
        )
    )
    spectrum = data_spectrum(a, b, d, v, exact=exact)
    anchor = jnp.sum(
        spectrum.multiplicities * spectrum.target_power / spectrum.eigenvalues,
        where=spectrum.multiplicities != 0,
    )
    return Problem(
        spectrum,
        jnp.where(b > 0.5, anchor, 0.0),
        d,
        rate / (batch * spectrum.trace),
        batch,
        noise,
    )


def log_of_one_minus(deficit: Nodes) -> Nodes:
    """log(1 - p) with full relative accuracy in both parts, which complex `log1p` lacks.

    The real part is log|1 - p| = log1p(|p|^2 - 2 Re p)/2.
    """
    square = deficit.real**2 + deficit.imag**2
    real = jnp.log1p(square - 2 * deficit.real) / 2
    return lax.complex(real, jnp.arctan2(-deficit.imag, 1 - deficit.real))


def deterministic_equivalent(problem: Problem, shape: Shape = DEFAULT_SHAPE) -> Equivalent:
    """F and K of the deterministic equivalent as sums over the nodes of the contour.

    **Arguments:** `problem`; `shape` of the contour, static, on which nothing depends beyond
    rounding (1e-8 at worst over the ranges tested).

    **Returns:** an `Equivalent`. The cost is 800 nodes times 1667 modes, whatever d and v.

    **Source:** 2405.15074, in the variable w; derived at the head of the module.

    **Limits:** alpha = 0 is the Marchenko-Pastur law; large v/d at fixed d removes the features'
    part in the spectrum's lower edge.
    """
    spectrum, d, rate, batch = (
        problem.spectrum,
        problem.num_parameters,
        problem.rate,
        problem.batch_size,
    )
    kappa = effective_ridge(spectrum, jnp.full((), jnp.inf), d, jnp.zeros(()))
    largest = 2 / (rate * (batch + 1))
    ends = spectral_ends(spectrum, d, kappa)
    edges = resolve(spectrum, d, as_complex(ends)).z.real
    path = contour_of(spectrum, d, ends, (edges[1], largest), shape)
    at = resolve(spectrum, d, path.points, problem.anchor)
    drift, spread = as_complex(rate * batch), as_complex(rate * (batch + 1))
    deficits = drift * at.z * (2 - spread * at.z)
    measure = at.slope * path.weights / jnp.pi
    kernel = as_complex(rate**2 * batch) * at.z * at.trace * measure
    norm = jnp.sum((kernel / deficits).imag)
    least = jnp.sum(
        spectrum.multiplicities * spectrum.target_power * (kappa / (spectrum.eigenvalues + kappa))
    )
    sums = ExponentialSums(
        deficits=deficits,
        logs=log_of_one_minus(deficits),
        forcing=at.target / at.m * measure,
        kernel=kernel,
        least_risk=least + problem.noise_variance,
        kernel_norm=norm,
    )
    return Equivalent(sums, kappa, edges, _status(sums, edges, largest))


def _status(sums: ExponentialSums, edges: Float[Array, " 2"], largest: Scalar) -> Int[Array, ""]:
    stable = (edges[1] < largest) & (sums.kernel_norm < 1)
    bounded = jnp.max(sums.logs.real) <= _ROUNDING
    status = jnp.where(bounded, jnp.int32(Status.OK), jnp.int32(Status.NOT_CONVERGED))
    status = jnp.where(stable, status, jnp.int32(Status.INFINITE_MEAN))
    finite = jnp.isfinite(sums.kernel_norm) & jnp.isfinite(sums.least_risk)
    return jnp.where(finite, status, jnp.int32(Status.NOT_FINITE))


def forcing(sums: ExponentialSums, steps: Float[Array, " times"]) -> Float[Array, " times"]:
    """F(r), the risk of noiseless descent of q(l) a step: without the kernel, P = F.

    **Arguments:** `sums`; `steps` r >= 0, real.
    """
    return sums.least_risk + _evaluate(sums.forcing, sums.logs, steps)


def kernel(sums: ExponentialSums, steps: Float[Array, " times"]) -> Float[Array, " times"]:
    """K(s), by which the risk s + 1 steps ago adds to that of now."""
    return _evaluate(sums.kernel, sums.logs, steps)


def _evaluate(weights: Nodes, logs: Nodes, steps: Float[Array, " times"]) -> Float[Array, " times"]:
    powers = jnp.exp(as_complex(steps)[:, None] * logs[None, :])
    return jnp.sum((weights[None, :] * powers).imag, axis=1)
