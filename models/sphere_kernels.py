"""Zonal functions on the sphere S^q: what the mean over all points of it makes of ReLU features.

A function of x . x' alone is a series in the Gegenbauer polynomials P_k of S^q, P_k(1) = 1. With
the Funk-Hecke coefficients a_k of relu, lambda_k = a_k^2 and m_k harmonics of degree k,

    relu(x . w)                         = sum_k a_k m_k P_k(x . w)
    K(x . x')  = E_w relu relu          = sum_k lambda_k m_k P_k(x . x')         `kernel`
    H(x . w)   = E_z K(x . z) relu(z.w) = sum_k a_k lambda_k m_k P_k(x . w)      `feature_mean`
    K2(x . x') = E_z K(x . z) K(z . x') = sum_k lambda_k^2 m_k P_k(x . x')       `iterated_kernel`

for w and z uniform on the sphere: convolution multiplies the coefficients. K has a closed form; H
and K2 are summed to degrees beyond which nothing but rounding is left (128 and 164 on S^2, fewer
on others). Constant and slope are apart from the rest, so that a caller can use them in factored
form, X X^T, where the rounding of a nearly singular matrix would cost digits.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scalinglab.models.digits import relu_kernel
from scalinglab.models.spectra import relu_sphere

# What is dropped of K2, relative to K2(1), enters a risk as the rounding of its diagonal does, eps;
# what is dropped of H, relative to H(1), is spread over all entries with random signs.
_DROPPED_K2, _DROPPED_H = 1e-18, 1e-12
_UNROLL = 8


class Zonal(NamedTuple):
    """A zonal function constant + slope t + sum of even degrees from 2 on, of t = x . x'.

    `rest` are the coefficients of P_2, P_4, ...; `sphere_dimension` is q.
    """

    constant: float
    slope: float
    rest: tuple[float, ...]
    sphere_dimension: int

    def curved(self, cosine: Float[Array, "..."]) -> Float[Array, "..."]:
        """The part beyond constant and slope, by Clenshaw's recurrence in t^2."""
        square = cosine * cosine

        def step(sums: tuple[Array, Array], row: Array) -> tuple[tuple[Array, Array], None]:
            later, latest = sums
            return ((row[0] * square + row[1]) * later - row[2] * latest + row[3], later), None

        zeros = jnp.zeros_like(cosine)
        # Unrolled by eight, XLA passes through memory once for eight terms; with all of them in one
        # expression it would compile for a second.
        rows = jnp.asarray(self._rows(), cosine.dtype)
        return jax.lax.scan(step, (zeros, zeros), rows, unroll=_UNROLL)[0][0]

    def _rows(self) -> np.ndarray:
        """(A_j, B_j, C_(j+1), c_j) from the last j down to 0, with c_0 left to `constant`."""
        coefficients = (0.0, *self.rest)
        rows = []
        for j in range(len(coefficients) - 1, -1, -1):
            linear, shift, _ = _step(2 * j, self.sphere_dimension)
            _, _, back = _step(2 * j + 2, self.sphere_dimension)
            rows.append((linear, shift, back, coefficients[j]))
        return np.array(rows)

    def __call__(self, cosine: Float[Array, "..."]) -> Float[Array, "..."]:
        return self.constant + self.slope * cosine + self.curved(cosine)


def _step(degree: int, q: int) -> tuple[float, float, float]:
    """(A, B, C) of P_(k+2) = (A t^2 + B) P_k - C P_(k-2) for even k = `degree`.

    Two steps of P_(k+1) = a_k t P_k - b_k P_(k-1), a_k = (2k+q-1)/(k+q-1), b_k = k/(k+q-1), with
    t P_(k-1) = (P_k + b_(k-1) P_(k-2))/a_(k-1) put in.
    """

    def a(k: int) -> float:
        return (2 * k + q - 1) / (k + q - 1)

    def b(k: int) -> float:
        return k / (k + q - 1)

    k = degree
    if k == 0:
        return a(1), -b(1), 0.0
    back = a(k + 1) * b(k) / a(k - 1)
    return a(k + 1) * a(k), -back - b(k + 1), back * b(k - 1)


@functools.cache
def _funk_hecke(q: int) -> tuple[np.ndarray, np.ndarray]:
    """The coefficients a_k of relu, with their signs, and m_k, for k = 0, 1, 2, 4, 6, ..."""
    with jax.ensure_compile_time_eval():
        spectrum = relu_sphere(q)
        eigenvalues = np.asarray(spectrum.eigenvalues, np.float64)
        multiplicities = np.asarray(spectrum.multiplicities, np.float64)
    # The eigenvalues fall with the degree, so that their order is that of the degrees. The sign
    # of a_k is that of a derivative of (1 - t^2)^n at 0: + for k = 0, 1, 2, then alternating.
    signs = np.ones(eigenvalues.size)
    signs[3::2] = -1.0
    return signs * np.sqrt(eigenvalues), multiplicities


def _zonal(coefficients: np.ndarray, dropped: float, q: int) -> Zonal:
    beyond = np.cumsum(np.abs(coefficients)[::-1])[::-1]
    kept = coefficients[: max(2, int(np.argmax(beyond < dropped * beyond[0])))]
    return Zonal(float(kept[0]), float(kept[1]), tuple(kept[2:].tolist()), q)


@functools.cache
def iterated_kernel(sphere_dimension: int) -> Zonal:
    """K2(t) = E_z K(x . z) K(z . x'), z uniform on S^q."""
    coefficients, multiplicities = _funk_hecke(sphere_dimension)
    return _zonal(coefficients**4 * multiplicities, _DROPPED_K2, sphere_dimension)


@functools.cache
def feature_mean(sphere_dimension: int) -> Zonal:
    """H(t) = E_z K(x . z) relu(z . w), z uniform on S^q, t = x . w."""
    coefficients, multiplicities = _funk_hecke(sphere_dimension)
    return _zonal(coefficients**3 * multiplicities, _DROPPED_H, sphere_dimension)


def power(sphere_dimension: int) -> float:
    """K(1) = E relu(w . x)^2 = 1/(2(q+1)), the mean square of the teacher."""
    return 1 / (2 * (sphere_dimension + 1))


def kernel(
    left: Float[Array, "rows inputs"], right: Float[Array, "cols inputs"]
) -> Float[Array, "rows cols"]:
    """K(x . x') = (sin u + (pi - u) cos u)/(2 pi (q+1)), cos u = x . x', for points of S^q.

    For normal weights the mean of relu relu is (q+1) times as large, since |w|^2 has mean q + 1
    and is independent of the direction.
    """
    return relu_kernel(left, right) * power(left.shape[1] - 1)
