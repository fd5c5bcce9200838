"""Spectra: the eigenvalues of a data covariance or kernel, and the target's power in each mode.

A spectrum is three arrays over distinct eigenvalues, in descending order: the eigenvalue, how
many modes share it (its multiplicity, a real number where a node of a quadrature stands for
many modes), and the target power *per mode*. Every sum over modes of the theory is then
``sum(multiplicities * f(eigenvalues, target_power))``, whatever the spectrum.

| here | Bahri 2102.06701 | Maloney 2210.16859 | Simon 2311.14646 |
|---|---|---|---|
| eigenvalue lambda_i | lambda_i | lambda_i | lambda_i |
| eigenvalue_decay a | 1 + alpha_K | 1 + alpha | alpha |
| target power lambda_i w_i^2 | (isotropic) | (isotropic) | v_i^2 |
| target_decay b | a | a | beta |
"""

import functools
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.special import gammaln

_EXACT_MODES = 2000
_LARGEST_MODE = 1e120
_PANELS, _NODES = 200, 16


class Spectrum(eqx.Module):
    """Eigenvalues in descending order, their multiplicities, and the target power of one mode.

    **Fields:** `eigenvalues` (modes,), positive; `multiplicities` (modes,), positive;
    `target_power` (modes,), lambda_i w_i^2 >= 0, of each of the modes that share an eigenvalue;
    `counts` (modes,), the number of modes at or above each eigenvalue, the running sum of the
    multiplicities.
    """

    eigenvalues: Float[Array, " modes"]
    multiplicities: Float[Array, " modes"]
    target_power: Float[Array, " modes"]
    counts: Float[Array, " modes"]

    @property
    def trace(self) -> Float[Array, ""]:
        """The sum of all eigenvalues."""
        return jnp.sum(self.multiplicities * self.eigenvalues)

    @property
    def total_power(self) -> Float[Array, ""]:
        """The sum of the target power: the test risk of predicting zero."""
        return jnp.sum(self.multiplicities * self.target_power)


@functools.cache
def _infinite_nodes() -> tuple[np.ndarray, np.ndarray]:
    """Mode indices and weights that stand for the modes 1, 2, 3, ... without end.

    The first modes are kept exactly. Beyond n = _EXACT_MODES the sum is that of the midpoint rule,
    the integral of f from n + 1/2 plus f'(n + 1/2)/24; extrapolated from the last differences the
    derivative is 2 f(n) - 3 f(n-1) + f(n-2), which leaves a relative error of order n^-4. The
    integral is taken by Gauss-Legendre panels in log i. There i/(1 + kappa i^a) has its nearest
    pole at height pi/a; 16 nodes on a panel of width 1.34 reach rounding for a <= 4. Cutting at
    mode 1e120 loses 1e120^(1-a)/(a-1) of the trace: 1e-11 at a = 1.1.
    """
    exact = np.arange(1.0, _EXACT_MODES + 1)
    edges = np.linspace(np.log(_EXACT_MODES + 0.5), np.log(_LARGEST_MODE), _PANELS + 1)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(edges)[:, None] / 2
    log_index = ((edges[1:] + edges[:-1])[:, None] / 2 + half * nodes).ravel()
    weight = (half * weights).ravel()
    index = np.exp(log_index)
    ones = np.ones(_EXACT_MODES)
    ones[-3:] += np.array([1.0, -3.0, 2.0]) / 24
    return np.concatenate([exact, index]), np.concatenate([ones, weight * index])


def power_law(
    eigenvalue_decay: float | Float[Array, ""],
    target_decay: float | Float[Array, ""],
    dimension: int | None = None,
) -> Spectrum:
    """The power-law spectrum lambda_i = i^-a with target power i^-b, i = 1..dimension.

    **Arguments:**

    - `eigenvalue_decay`: a > 1; differentiable.
    - `target_decay`: b > 1; differentiable. b = a is the isotropic teacher.
    - `dimension`: the number of modes, or `None` for infinitely many (5200 nodes).

    **Returns:** a `Spectrum`; every multiplicity is one when `dimension` is given.

    **Raises:** `ValueError` for a dimension below one.
    """
    if dimension is None:
        index, multiplicity = _infinite_nodes()
    elif dimension < 1:
        raise ValueError(f"dimension: {dimension} modes; give at least 1, or None for infinite")
    else:
        index, multiplicity = np.arange(1.0, dimension + 1), np.ones(dimension)
    log_index = jnp.asarray(np.log(index))
    return Spectrum(
        eigenvalues=jnp.exp(-eigenvalue_decay * log_index),
        multiplicities=jnp.asarray(multiplicity),
        target_power=jnp.exp(-target_decay * log_index),
        # Summed here, not in the program: XLA would fold a running sum of constants for seconds.
        counts=jnp.asarray(np.cumsum(multiplicity)),
    )


def empirical(
    kernel: Float[Array, "samples samples"], targets: Float[Array, " samples"]
) -> Spectrum:
    """The spectrum of a kernel matrix, with the power of measured targets along its eigenvectors.

    lambda_i are the eigenvalues of kernel / samples and the power of mode i is
    (u_i . targets)^2 / samples, so that the powers sum to the mean square of the targets. Modes
    whose eigenvalue is below rounding (samples * eps * the largest) keep their power at that
    floor, since no learner resolves them.

    **Arguments:** `kernel`, symmetric positive semi-definite; `targets`, centred by the caller
    where a constant is not to be learned.

    **Raises:** `ValueError` for a matrix that is not square, sizes that differ, or NaN.
    """
    if kernel.ndim != 2 or kernel.shape[0] != kernel.shape[1]:
        raise ValueError(f"kernel: shape {kernel.shape}; give a square matrix")
    if targets.shape != kernel.shape[:1]:
        raise ValueError(f"targets: shape {targets.shape}; give one target a row of the kernel")
    if not bool(jnp.all(jnp.isfinite(kernel)) & jnp.all(jnp.isfinite(targets))):
        raise ValueError("kernel, targets: not finite; remove the NaN or infinite entries")
    samples = kernel.shape[0]
    values, vectors = jnp.linalg.eigh(kernel / samples)
    floor = samples * jnp.finfo(values.dtype).eps * values[-1]
    return Spectrum(
        eigenvalues=jnp.maximum(values[::-1], floor),
        multiplicities=jnp.ones(samples, values.dtype),
        target_power=((vectors.T @ targets)[::-1]) ** 2 / samples,
        counts=jnp.arange(1.0, samples + 1, dtype=values.dtype),
    )


def relu_sphere(sphere_dimension: int, max_degree: int = 2000) -> Spectrum:
    """The kernel of ReLU random features on the sphere S^q, by the Funk-Hecke formula.

    For phi(x) = relu(w . x) with w and x uniform on S^q, q = `sphere_dimension`, all harmonics of
    degree k share lambda_k = a_k^2, where

        |a_k| = s_q Gamma(q/2) Gamma(k-1) / (2^k Gamma(k/2) Gamma((k+q)/2 + 1)),
        s_q = Gamma((q+1)/2) / (sqrt(pi) Gamma(q/2))

    for even k >= 2, a_0 = s_q/q, a_1 = 1/(2(q+1)), and a_k = 0 for the other odd degrees. The
    eigenvalues fall as k^-(q+3), in the count of modes as i^-(1+3/q). The trace is 1/(2(q+1)), the
    mean of relu^2; degrees beyond `max_degree` are dropped. The target is a Gaussian process with
    the same kernel: target power = eigenvalue.

    **Arguments:** `sphere_dimension` q >= 2; `max_degree` >= 2.

    **Raises:** `ValueError` outside those ranges.

    **Source:** Bach 1412.8690, appendix D.2, in another normalisation; derived in the comments.
    """
    q = sphere_dimension
    if q < 2:
        raise ValueError(f"sphere_dimension: {q}; give at least 2")
    if max_degree < 2:
        raise ValueError(f"max_degree: {max_degree}; give at least 2")
    even = np.arange(2, max_degree + 1, 2, dtype=float)
    # In log gamma, since Gamma(k) overflows at k = 171. The surface measure of S^(q-1) over that
    # of S^q is s_q. By Rodrigues' formula P_k(t) (1-t^2)^((q-2)/2) is the k-th derivative of
    # g = (1-t^2)^(k+q/2-1) times Gamma(q/2) / (2^k Gamma(k+q/2)); two integrations by parts
    # against t leave the (k-2)-th derivative of g at 0.
    log_surface = gammaln((q + 1) / 2) - 0.5 * np.log(np.pi) - gammaln(q / 2)
    log_even = (
        log_surface
        + gammaln(q / 2)
        + gammaln(even - 1)
        - even * np.log(2.0)
        - gammaln(even / 2)
        - gammaln((even + q) / 2 + 1)
    )
    zeroth = np.exp(log_surface) / q
    coefficient = np.concatenate([[zeroth, 1 / (2 * (q + 1))], np.exp(log_even)])
    degree = np.concatenate([[0.0, 1.0], even])
    multiplicity = np.where(
        degree == 0,
        1.0,
        (2 * degree + q - 1) * np.exp(gammaln(degree + q - 1) - gammaln(q) - gammaln(degree + 1)),
    )
    order = np.argsort(-coefficient, kind="stable")
    eigenvalue = jnp.asarray(coefficient[order] ** 2)
    sorted_multiplicity = multiplicity[order]
    counts = jnp.asarray(np.cumsum(sorted_multiplicity))
    return Spectrum(eigenvalue, jnp.asarray(sorted_multiplicity), eigenvalue, counts)


def truncated_sums(
    eigenvalue_decay: Float[Array, ""], target_decay: Float[Array, ""], dimension: int
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    """Sums over the modes i > dimension of a power law: lambda, lambda^2, v2 and lambda v2.

    Hurwitz zeta functions at a, 2a, b and a + b, with lambda_i = i^-a and v2_i = i^-b.
    """
    first = jnp.asarray(dimension + 1.0, jnp.result_type(eigenvalue_decay))
    powers = (
        eigenvalue_decay,
        2 * eigenvalue_decay,
        target_decay,
        eigenvalue_decay + target_decay,
    )
    total, square, target, cross = (jax.scipy.special.zeta(p, first) for p in powers)
    return total, square, target, cross


def as_spectrum(eigenvalues: Sequence[float], target_power: Sequence[float]) -> Spectrum:
    """A spectrum from a user's own numbers, one mode each, in any order.

    **Arguments:** `eigenvalues` > 0 and `target_power` >= 0, of equal length.

    **Raises:** `ValueError` that names the field and the first bad value.
    """
    values, power = np.asarray(eigenvalues, float), np.asarray(target_power, float)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"eigenvalues: shape {values.shape}; give a list of at least one number")
    if power.shape != values.shape:
        raise ValueError(f"target_power: shape {power.shape}; give one number an eigenvalue")
    for name, array, allowed in (
        ("eigenvalues", values, values > 0),
        ("target_power", power, power >= 0),
    ):
        bad = array[~(np.isfinite(array) & allowed)]
        if bad.size:
            raise ValueError(f"{name}: {bad[0]:g}; give finite numbers, eigenvalues positive")
    order = np.argsort(-values, kind="stable")
    ones, counts = np.ones(values.size), np.arange(1.0, values.size + 1)
    return Spectrum(*(jnp.asarray(x) for x in (values[order], ones, power[order], counts)))
