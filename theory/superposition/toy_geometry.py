"""Exact losses of small autoencoders: the n = 2, m = 1 phase boundary and polygons in the plane.

Symbols (Elhage et al. 2022): n features x_i ~ U(0, 1), active with probability s = 1 - S each,
importance I_i; y = ReLU(W W^T x + b), L = sum_i I_i E (x_i - y_i)^2, r = I_2/I_1.

Given the active set A the output is a rectified linear function of uniform variables. With
F_q(c) = ReLU(c)^q/q!, averaging over one of them is a difference,

    int_0^1 F_q(c + g x) dx = [F_(q+1)(c + g) - F_(q+1)(c)]/g,
    int_0^1 x F_1(c + g x) dx = F_2(c + g)/g - [F_3(c + g) - F_3(c)]/g^2,                      (E)

so that the mean over A is a signed sum over the corners of a cube, divided by prod g_j. The
smallest g_j, over which that would lose digits, are averaged by Gauss's rule instead.
"""

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq, minimize

_MOST = 6
# Product of 1/|g_j| up to which differences are taken: rounding stays below about 1e-9.
_AMPLIFICATION = 1e5
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
_NODES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2

# The limit of r*(s)/s; see `phase_boundary`.
SPARSE_BOUNDARY = (2 + math.sqrt(2)) / 8

# Where the minimum lies as s -> 0: w_1 = 1, w_2 = sqrt(2) - 2, b = (0, s/3).
_SECOND_WEIGHT = math.sqrt(2) - 2
_SIMPLEX = {"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000, "maxfev": 4000}


class ToyFrame(NamedTuple):
    """A minimum: the `loss`, the `weights` and the `biases`."""

    loss: float
    weights: Float[np.ndarray, "features width"]
    biases: Float[np.ndarray, " features"]


def toy_loss(
    weights: Float[np.ndarray, "features width"],
    biases: Float[np.ndarray, " features"],
    activation: float,
    importance: Float[np.ndarray, " features"] | None = None,
) -> float:
    """L exactly, as the sum over the 2^n active sets; rounding and quadrature below 1e-8.

    **Arguments:** `weights` W, n x m; `biases` b; `activation` s in [0, 1]; `importance` I_i, 1 if
    left out.

    **Raises:** `ValueError` for more than 6 features.

    **Source:** the model of Elhage et al. 2022, Toy Models of Superposition.
    """
    total = len(biases)
    if total > _MOST:
        raise ValueError(f"weights: {total} features; give at most {_MOST}, or simulate")
    if not 0 <= activation <= 1:
        raise ValueError(f"activation: {activation}; give a probability")
    worth = np.ones(total) if importance is None else importance
    gram = weights @ weights.T
    return sum(
        float(worth[i]) * _feature_loss(gram[i], float(biases[i]), activation, i)
        for i in range(total)
        if worth[i] != 0
    )


def _feature_loss(
    row: Float[np.ndarray, " features"], bias: float, activation: float, own: int
) -> float:
    loss = 0.0
    for pattern in itertools.product((False, True), repeat=len(row)):
        active = np.array(pattern)
        chance = activation ** int(active.sum()) * (1 - activation) ** int((~active).sum())
        if chance > 0:
            loss += chance * _squared_error(row, bias, active, own)
    return loss


def _squared_error(
    row: Float[np.ndarray, " features"], bias: float, active: np.ndarray, own: int
) -> float:
    """E (x_i - ReLU(b_i + sum_(j in A) g_j x_j))^2."""
    others = active.copy()
    others[own] = False
    slopes = row[others]
    slopes = slopes[slopes != 0]
    if not active[own]:
        return 2 * _mean(2, bias, slopes)
    gain = float(row[own])
    # E x^2 - 2 E x F_1 + 2 E F_2.
    square = 2 * _mean(2, bias, np.append(slopes, gain))
    return 1 / 3 - 2 * _mean_with_own(bias, gain, slopes) + square


def _mean_with_own(bias: float, gain: float, slopes: Float[np.ndarray, " others"]) -> float:
    """E x F_1(b + a x + sum g_j x_j), the second line of (E)."""
    if abs(gain) < 1e-2:
        return sum(
            w * x * _mean(1, bias + gain * x, slopes) for x, w in zip(_NODES, _WEIGHTS, strict=True)
        )
    rise = _mean(3, bias + gain, slopes) - _mean(3, bias, slopes)
    return _mean(2, bias + gain, slopes) / gain - rise / gain**2


def _mean(power: int, shift: float, slopes: Float[np.ndarray, " others"]) -> float:
    """E F_power(shift + sum g_j x_j), the first line of (E) for every j."""
    ordered = slopes[np.argsort(-np.abs(slopes))]
    ordered = ordered[np.abs(ordered) > 1e-12]
    taken = int(np.searchsorted(np.cumprod(1 / np.abs(ordered)), _AMPLIFICATION))
    corners, signs = np.array([shift]), np.array([1.0])
    for slope in ordered[:taken]:
        corners = np.concatenate([corners + slope, corners])
        signs = np.concatenate([signs, -signs]) / slope
    for slope in ordered[taken:]:
        corners = (corners[:, None] + slope * _NODES).ravel()
        signs = (signs[:, None] * _WEIGHTS).ravel()
    order = power + taken
    return float(signs @ np.maximum(corners, 0) ** order) / math.factorial(order)


def ignored_loss(activation: float) -> float:
    """s/3 - s^2/4: the loss of a feature whose output is its mean s/2."""
    return activation / 3 - activation**2 / 4


def best_pair(activation: float, importance_ratio: float) -> ToyFrame:
    """The minimum of n = 2, m = 1 with both features represented, over both weights and biases.

    **Arguments:** `activation` s in (0, 1); `importance_ratio` r = I_2/I_1 in (0, 1].
    """
    importance = np.array([1.0, importance_ratio])

    def loss(at: Float[np.ndarray, " four"]) -> float:
        return toy_loss(at[:2, None], at[2:], activation, importance)

    starts = [(1.0, second, 0.0, activation / 3) for second in (_SECOND_WEIGHT, -0.9)]
    scale = loss(np.array(starts[0]))
    found = min(
        (
            minimize(lambda at: loss(at) / scale, start, method="Nelder-Mead", options=_SIMPLEX)
            for start in starts
        ),
        key=lambda result: result.fun,
    )
    return ToyFrame(float(found.fun) * scale, found.x[:2, None], found.x[2:])


def phase_boundary(activation: float) -> float:
    """r*(s): above it n = 2, m = 1 puts both features into superposition; below, it ignores one.

    All four parameters are at their optimum; the transition is of first order, w_2 jumping from 0
    to about -0.6. For s -> 0, r* = s (2 + sqrt 2)/8: with w = (1, -q) the loss is, to order s^2,

        r s (1 - q^2)^2/3 + s^2 int int min(x_1, q x_2)^2 dx_1 dx_2, the integral q^2/3 - q^3/6,

    against r s/3, hence r*/s = min_q (1 - q/2)/(2 - q^2), at q = 2 - sqrt 2. By symmetry the other
    boundary is at 1/r*.

    **Arguments:** `activation` s in (0, 0.9].
    """
    if not 0 < activation <= 0.9:
        raise ValueError(f"activation: {activation}; give a probability in (0, 0.9]")
    ignored = ignored_loss(activation)
    first, second = np.array([1.0, 0.0]), np.array([0.0, 1.0])

    # L = P + r Q beats r Q_ignored for r above P/(Q_ignored - Q): the boundary is its minimum.
    def ratio(at: Float[np.ndarray, " four"]) -> float:
        gain = ignored - toy_loss(at[:2, None], at[2:], activation, second)
        if gain <= 0:
            return math.inf
        return toy_loss(at[:2, None], at[2:], activation, first) / gain / activation

    start = (1.0, _SECOND_WEIGHT, 0.0, activation / 3)
    found = minimize(ratio, start, method="Nelder-Mead", options=_SIMPLEX)
    return float(found.fun) * activation


def fixed_form_boundary(activation: float) -> float:
    """2s/(4 - 5s): the boundary with w = (1, -1) and zero biases, above the true one."""
    return 2 * activation / (4 - 5 * activation)


def polygon_loss(sides: int, activation: float, gain: float, bias: float) -> float:
    """The loss of `sides` features at the corners of a regular polygon: `sides` times that of one.

    **Arguments:** `sides` 2..6 (2: a pair, antipodal on a line); `activation` s; `gain`, the
    squared row norm; `bias`, common.
    """
    row = gain * np.cos(2 * np.pi * np.arange(sides) / sides)
    return sides * _feature_loss(row, bias, activation, 0)


def best_polygon(sides: int, activation: float) -> ToyFrame:
    """The minimum of `polygon_loss` over gain and bias."""

    def loss(at: Float[np.ndarray, " two"]) -> float:
        return polygon_loss(sides, activation, float(np.exp(at[0])), float(at[1]))

    found = minimize(loss, (0.1, 0.0), method="Nelder-Mead", options=_SIMPLEX)
    angles = 2 * np.pi * np.arange(sides) / sides
    corners = np.exp(found.x[0] / 2) * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return ToyFrame(float(found.fun), corners, np.full(sides, float(found.x[1])))


def digons_loss(activation: float) -> float:
    """Five features in the plane as two orthogonal antipodal pairs, the fifth at its mean."""
    return 2 * best_polygon(2, activation).loss + ignored_loss(activation)


def pentagon_crossover() -> float:
    """The s above which two pairs and an ignored fifth feature beat the pentagon: 0.2249."""

    def excess(activation: float) -> float:
        return best_polygon(5, activation).loss - digons_loss(activation)

    found: Any = brentq(excess, 0.1, 0.4, xtol=1e-5)
    return float(found)
