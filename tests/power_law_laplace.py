"""An independent deterministic equivalent at any size and time: Newton in z, Laplace in time.

Nothing is shared with `theory.power_law_sgd`: no variable w, no contour about the spectrum, no grid
in time. With one sample a step, q(z) = 1 - 2 g z + 2 g^2 z^2 and z_1, z_2 the roots of x q(z) = 1,
partial fractions give the generating functions of F and K from the resolvent at two points,

    sum_r F(r) x^r = -[G(z_1) - G(z_2)]/(2 g^2 x (z_1 - z_2)),   G(z) = sum t/(l m - z)
    sum_s K(s) x^s = -d [z_1 (1 - m_1) - z_2 (1 - m_2)]/(2 x (z_1 - z_2)),

m + (1/d) sum l m/(l m - z) = 1, and P = F/(1 - x K) is inverted at x = e^-s on Talbot's path.
"""

import numpy as np

_EXACT, _STEP = 500, 0.004
# Upper half of the path.
_TALBOT = 24


def modes(alpha, beta, v):
    """Eigenvalues, target powers and multiplicities: each mode to j = 500, then the midpoints of
    panels of ratio e^.004 up to v, whole or not. The error is .004^2/24 of the sum beyond, and that
    of its start as an integral, 2 alpha/(24 500) of the term there."""
    if v <= _EXACT and v == int(v):
        index, weight = np.arange(1.0, v + 1), np.ones(v)
    else:
        low, high = np.log(_EXACT + 0.5), np.log(v + 0.5)
        edges = np.exp(np.linspace(low, high, int((high - low) / _STEP) + 1))
        middle = np.sqrt(edges[1:] * edges[:-1])
        index = np.concatenate([np.arange(1.0, _EXACT + 1), middle])
        weight = np.concatenate([np.ones(_EXACT), np.log(edges[1:] / edges[:-1]) * middle])
    return index ** (-2 * alpha), index ** (-2 * (alpha + beta)), weight


def density(z, guess, values, weight, d):
    """m at z, by Newton's method from a guess nearby."""
    m = guess
    for _ in range(80):
        resolvent = weight / (values * m - z)
        residual = m + m * np.sum(values * resolvent) / d - 1
        step = residual / (1 - z * np.sum(values * resolvent / (values * m - z)) / d)
        m = m - step
        if abs(step) < 1e-13 * abs(m):
            return m
    raise RuntimeError(f"no convergence at z = {z}")


def on_the_axis(z, values, weight, d):
    """m > 0 at z < 0, by bisection: m + (1/d) sum l m/(l m - z) grows with m."""
    low, high = 1e-30, 1.0
    for _ in range(200):
        middle = np.sqrt(low * high)
        total = middle + np.sum(weight * values * middle / (values * middle - z)) / d
        low, high = (middle, high) if total < 1 else (low, middle)
    return complex(np.sqrt(low * high))


def risk(alpha, beta, d, v, gamma0, r):
    """P(r) for real r of at least 30 or so, one sample a step, to about 1e-11.

    The path is that of Weideman, SIAM J. Numer. Anal. 44 (2006), with 48 nodes of which the upper
    half is summed; neighbours on it start Newton's method.
    """
    values, target, weight = modes(alpha, beta, v)
    rate = gamma0 / np.sum(weight * values)
    angle = (2 * np.arange(_TALBOT) + 1) * np.pi / (2 * _TALBOT)
    cot = 1 / np.tan(0.6407 * angle)
    path = _TALBOT * (0.5017 * angle * cot - 0.6122 + 0.2645j * angle) * 2 / r
    turn = 0.5017 * cot - 0.5017 * 0.6407 * angle / np.sin(0.6407 * angle) ** 2 + 0.2645j
    total, near, far = 0.0, None, None
    for s, slope in zip(path, turn * _TALBOT * 2 / r, strict=True):
        x = np.exp(-s)
        root = np.sqrt(1 + 2 * np.expm1(s))
        z = np.array([-np.expm1(s) / (1 + root) / rate, (1 + root) / (2 * rate)])
        if near is None:
            near = on_the_axis(-abs(z[0]), values, weight, d)
            far = 1.0 + 0j
        near, far = density(z[0], near, values, weight, d), density(z[1], far, values, weight, d)
        m = np.array([near, far])
        each = weight[:, None] / (values[:, None] * m[None, :] - z[None, :])
        g = target @ each
        forcing = -(g[0] - g[1]) / (2 * rate**2 * x * (z[0] - z[1]))
        learnt = (values[:, None] * m[None, :] * each).sum(axis=0)
        kernel = -(z[0] * learnt[0] - z[1] * learnt[1]) / (2 * x * (z[0] - z[1]))
        total += (forcing / (1 - x * kernel) * np.exp(s * r) * slope).imag
    return total / _TALBOT
