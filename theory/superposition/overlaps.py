"""Overlaps of unit vectors: their law when random, and what every set of them has to obey.

Symbols: K vectors (`count`) in m dimensions (`width`), n features; rho = w_i . w_j over i != j is
the overlap. P_k is the Gegenbauer polynomial of dimension m with P_k(1) = 1. By the addition
theorem P_k(w_i . w_j) is a Gram matrix, so that its sum over all pairs is not negative:

    K + K (K-1) E[P_k(rho)] >= 0,   E[P_k(rho)] >= -1/(K-1),   k = 1, 2, ...      (G)

(Delsarte, Goethals, Seidel 1977). k = 1 is the balance E[rho] >= -1/(K-1), with equality iff the
vectors sum to zero; k = 2 is Welch's bound E[rho^2] >= (K-m)/(m(K-1)), with equality iff the frame
is tight. The Schur powers rho^k obey the same inequality as P_k, which for odd k gives the most
negative skewness that a tight and balanced frame can have.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import betaln, gammaln, roots_jacobi


class OverlapLaw(NamedTuple):
    """A law of overlaps as atoms: `overlaps` in [-1, 1] and their `weights`, which sum to 1."""

    overlaps: Float[np.ndarray, " atoms"]
    weights: Float[np.ndarray, " atoms"]


class RandomOverlap(NamedTuple):
    """Moments of the overlap of two random unit vectors."""

    mean_square: float
    variance_of_square: float
    mean_absolute: float


def random_overlap(width: int) -> RandomOverlap:
    """Moments of rho between independent uniform unit vectors: rho^2 ~ Beta(1/2, (m-1)/2).

        E[rho^2] = 1/m,   Var[rho^2] = 2(m-1)/(m^2 (m+2)),
        E|rho| = Gamma(m/2) / (sqrt(pi) Gamma((m+1)/2))

    **Arguments:** `width` m >= 1.
    """
    _require_sizes(width=(width, 1))
    absolute = np.exp(gammaln(width / 2) - gammaln((width + 1) / 2)) / np.sqrt(np.pi)
    variance = 2 * (width - 1) / (width**2 * (width + 2))
    return RandomOverlap(1 / width, variance, float(absolute))


def random_overlap_density(
    width: int, overlap: Float[np.ndarray, " points"]
) -> Float[np.ndarray, " points"]:
    """The density (1 - rho^2)^((m-3)/2) / B(1/2, (m-1)/2) of one overlap on (-1, 1), for m >= 2."""
    _require_sizes(width=(width, 2))
    exponent = (width - 3) / 2
    return np.exp(exponent * np.log1p(-(overlap**2)) - betaln(0.5, (width - 1) / 2))


def random_overlap_law(width: int, atoms: int = 64) -> OverlapLaw:
    """The law of one random overlap as its Gauss quadrature: moments to order 2 `atoms` - 1 exact.

    **Arguments:** `width` m >= 1; for m = 1 the overlap is -1 or 1; `atoms` of the rule.
    """
    _require_sizes(width=(width, 1), atoms=(atoms, 1))
    if width == 1:
        return OverlapLaw(np.array([-1.0, 1.0]), np.array([0.5, 0.5]))
    nodes, weights = roots_jacobi(atoms, (width - 3) / 2, (width - 3) / 2)
    return OverlapLaw(nodes, weights / weights.sum())


def welch_mean_square(count: int, width: int) -> float:
    """The least mean squared overlap of K unit vectors, max(0, K-m) / (m (K-1)): equation (G), k=2.

    Reached by tight frames only, or by orthonormal vectors for K <= m. Its root bounds the largest
    |rho| (Welch 1974), with equality iff all |rho| are equal.

    **Arguments:** `count` K >= 2; `width` m >= 1.
    """
    _require_sizes(count=(count, 2), width=(width, 1))
    return max(0, count - width) / (width * (count - 1))


def gerzon_number(num_features: int, width: int) -> int:
    """min(n, m(m+1)/2): no more real lines than that can meet at equal angles."""
    _require_sizes(num_features=(num_features, 1), width=(width, 1))
    return min(num_features, width * (width + 1) // 2)


def least_mean_overlap(count: int) -> float:
    """-1/(K-1), the right side of (G): the least mean of rho, of each P_k and of each odd power."""
    _require_sizes(count=(count, 2))
    return -1 / (count - 1)


def least_skewness(count: int, width: int) -> float:
    """The most negative skewness of the overlaps of a tight and balanced frame.

        (mu - 3 mu kappa2 + 2 mu^3) / (kappa2 - mu^2)^(3/2),   mu = -1/(K-1),

    kappa2 Welch's mean square; the third Schur power bounds E[rho^3] by mu. It tends to
    -(1 - 3/m) m^(3/2)/K for K much above m.

    **Arguments:** `count` K > m + 1, where the overlaps of such a frame still vary; `width` m >= 1.
    """
    mean = least_mean_overlap(count)
    square = welch_mean_square(count, width)
    variance = square - mean**2
    # K = m + 1 is the simplex, whose overlaps are all equal: the difference is then rounding.
    if count <= width + 1:
        raise ValueError(f"count: {count}; give more than width + 1 = {width + 1} vectors")
    return (mean - 3 * mean * square + 2 * mean**3) / variance**1.5


def gegenbauer(
    width: int, highest: int, overlap: Float[np.ndarray, " points"]
) -> Float[np.ndarray, "orders points"]:
    """P_1 .. P_highest at `overlap`, for dimension m, with P_k(1) = 1 (Chebyshev's T_k at m = 2).

        (k + m - 2) P_(k+1) = (2k + m - 2) rho P_k - k P_(k-1)

    **Arguments:** `width` m >= 2; `highest` >= 1; `overlap` rho in [-1, 1].
    """
    _require_sizes(width=(width, 2), highest=(highest, 1))
    rows = [np.ones_like(overlap), overlap]
    for k in range(1, highest):
        rows.append(((2 * k + width - 2) * overlap * rows[k] - k * rows[k - 1]) / (k + width - 2))
    return np.stack(rows[1:])


def _require_sizes(**sizes: tuple[int, int]) -> None:
    for name, (value, low) in sizes.items():
        if value < low:
            raise ValueError(f"{name}: {value}; give at least {low}")
