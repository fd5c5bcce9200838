"""An independent deterministic equivalent: the resolvent in z by Newton, every mode by itself.

Nothing is shared with `theory.power_law_sgd`: no variable w, no quadrature over modes, no grid in
time. The unknown m(z) follows a path in the z-plane by continuation, the path encloses the pole at
0 too, and the Volterra equation is summed directly.
"""

import numpy as np

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)
_HEIGHT = 0.3


def newton(m, z, eigenvalues, d):
    """m + (1/d) sum l m/(l m - z) = 1."""
    for _ in range(60):
        resolvent = 1 / (eigenvalues * m - z)
        residual = m + m * np.sum(eigenvalues * resolvent) / d - 1
        step = residual / (1 - z * np.sum(eigenvalues * resolvent**2) / d)
        m = m - step
        if abs(step) < 1e-14 * abs(m):
            return m
    raise RuntimeError(f"no convergence at z = {z}")


def panels(edges):
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    return (middle[:, None] + half[:, None] * _NODES).ravel(), (half[:, None] * _WEIGHTS).ravel()


def path(low, right):
    """Upper half of a contour from low < 0 to right, left to right."""
    along, along_weight = panels(
        np.concatenate([[0.0], np.geomspace(-low / 4, _HEIGHT * np.sqrt(2), 60)])
    )
    turn = np.exp(1j * np.pi / 4)
    across, across_weight = panels(np.linspace(low + _HEIGHT, right, 41))
    up, up_weight = panels(np.concatenate([[0.0], np.geomspace(1e-3, _HEIGHT, 12)]))
    points = [low + along * turn, across + 1j * _HEIGHT, right + 1j * up[::-1]]
    return np.concatenate(points), np.concatenate(
        [along_weight * turn, across_weight, -1j * up_weight[::-1]]
    )


def equivalent(alpha, beta, d, v, gamma0, steps):
    """F(0..steps), K(0..steps - 1) and P(0..steps), batch size 1."""
    index = np.arange(1.0, v + 1)
    values, target = index ** (-2 * alpha), index ** (-2 * (alpha + beta))
    rate = gamma0 / values.sum()
    # Right of the spectrum; left of 0, so close that |q|^steps stays below e.
    right = 1.1 + 4 * np.sqrt(np.sum(values**2) / d)
    z, dz = path(-1 / (2 * rate * steps), right)
    m = np.empty_like(z)
    guess = 1.0 + 0.0j
    for start in right + 1j * np.linspace(8, 0, 60):
        guess = newton(guess, start, values, d)
    for place in range(len(z) - 1, -1, -1):
        guess = m[place] = newton(guess, z[place], values, d)
    resolvent = 1 / (values[None, :] * m[:, None] - z[:, None])
    forcing = resolvent @ target * dz / np.pi
    kernel = rate**2 * z**2 * resolvent.sum(axis=1) * dz / np.pi
    q = 1 - 2 * rate * z + 2 * rate**2 * z**2
    powers = np.cumprod(np.vstack([np.ones_like(q), np.tile(q, (steps, 1))]), axis=0)
    f, k = (powers @ forcing).imag, (powers[:-1] @ kernel).imag
    return f, k, direct(f, k)


def direct(forcing, kernel):
    """P(r) = F(r) + sum_{s<r} K(r-1-s) P(s), term by term."""
    risk = np.empty_like(forcing)
    for r in range(len(forcing)):
        risk[r] = forcing[r] + kernel[:r][::-1] @ risk[:r]
    return risk
