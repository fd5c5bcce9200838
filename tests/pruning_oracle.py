"""The max-margin student on pruned data by quadrature and maximisation, apart from the theory.

kappa* = max over unit J of the kappa at which |J_perp|^2 = alpha <(kappa - y J.x)_+^2>, where
J.x on a kept x is R t + P u + |J_perp| eta: no stationarity conditions, no continuation, no JAX.
Coordinates (t, z): double-exponential nodes in t, Clenshaw-Curtis nodes in the kept scores z at t.
"""

import numpy as np
from scipy import optimize, special, stats

# rule, alpha_tot, f, theta in degrees, and the test error of an earlier code, apart from both.
TABLE = [
    ("random", 1, 1, 0, 0.26571),
    ("random", 4, 1, 0, 0.11366),
    ("abs_hard", 2, 0.5, 0, 0.32105),
    ("abs_hard", 10, 0.3, 0, 0.05114),
    ("abs_hard", 20, 0.15, 0, 0.02622),
    ("abs_easy", 2, 0.5, 0, 0.18183),
    ("abs_easy", 10, 0.3, 0, 0.06955),
    ("abs_hard", 10, 0.3, 10, 0.06527),
    ("abs_hard", 10, 0.3, 20, 0.14303),
    ("abs_hard", 20, 0.1, 10, 0.41864),
    ("abs_hard", 4, 0.5, 20, 0.18010),
    ("abs_easy", 4, 0.5, 10, 0.12926),
    ("abs_easy", 10, 0.3, 20, 0.13240),
    ("signed_hard", 10, 0.3, 10, 0.06564),
    ("signed_hard", 10, 0.3, 20, 0.19351),
    ("signed_easy", 4, 0.5, 20, 0.15823),
    ("signed_hard", 4, 0.5, 45, 0.26848),
    ("signed_easy", 10, 0.3, 45, 0.24114),
]


def edge_of(rule, fraction, angle):
    """g of the window of scores, by bracketing root finding and Owen's T."""
    if rule == "abs_hard":
        return stats.norm.ppf((1 + fraction) / 2)
    if rule == "abs_easy":
        return stats.norm.isf(fraction / 2)
    target = fraction if rule == "signed_hard" else 1 - fraction

    def missing(m):
        return special.ndtr(m) - 2 * special.owens_t(m, 1 / np.tan(angle)) - target

    return optimize.brentq(missing, -9, 9, xtol=1e-15, rtol=1e-15)


def _double_exponential(low, high, half_points=150):
    x = np.arange(-half_points, half_points + 1) * (3.6 / half_points)
    inner = np.pi / 2 * np.sinh(x)
    weights = np.pi / 2 * np.cosh(x) / np.cosh(inner) ** 2 * (3.6 / half_points)
    # Distances from the nearer end, without cancellation.
    share = 1 / (1 + np.exp(-2 * inner))
    return low + (high - low) * share, (high - low) / 2 * weights


def _clenshaw_curtis(points=129):
    n = points - 1
    angles = np.pi * np.arange(points) / n
    orders = np.arange(1, n // 2 + 1)
    factors = np.where(orders == n // 2, 1.0, 2.0) / (4.0 * orders**2 - 1)
    weights = (1 - np.cos(2 * np.outer(angles, orders)) @ factors) * 2 / n
    weights[[0, -1]] /= 2
    return np.cos(angles), weights


def kept_points(rule, fraction, angle):
    """(t, u) of nodes with label +1, and weights of sum one but for errors of quadrature."""
    edge = edge_of(rule, fraction, angle)
    cosine, sine = np.cos(angle), np.sin(angle)
    intervals = {
        "abs_hard": [(-edge, edge)],
        "abs_easy": [(-np.inf, -edge), (edge, np.inf)],
        "signed_hard": [(-np.inf, edge)],
        "signed_easy": [(edge, np.inf)],
    }[rule]
    t, outer = _double_exponential(0.0, 9.5)
    outer = outer * stats.norm.pdf(t) / (fraction / 2)
    if angle == 0:
        raise ValueError("angle: 0 is one-dimensional; use points_on_line")
    x, inner = _clenshaw_curtis()
    parts = []
    for low, high in intervals:
        a = np.clip(low, cosine * t - 9 * sine, cosine * t + 9 * sine)
        b = np.clip(high, cosine * t - 9 * sine, cosine * t + 9 * sine)
        z = (a + b)[:, None] / 2 + (b - a)[:, None] / 2 * x
        u = (cosine * t[:, None] - z) / sine
        density = stats.norm.pdf(u) / sine * (b - a)[:, None] / 2
        parts.append((np.broadcast_to(t[:, None], z.shape), u, outer[:, None] * density * inner))
    return tuple(np.concatenate([part[i].ravel() for part in parts]) for i in range(3))


def points_on_line(rule, fraction):
    """As `kept_points` for a probe along the teacher, at u = 0."""
    low, high = (
        (0.0, edge_of(rule, fraction, 0))
        if "hard" in rule
        else (
            edge_of(rule, fraction, 0),
            9.5,
        )
    )
    t, weights = _double_exponential(low, high)
    return t, np.zeros_like(t), weights * stats.norm.pdf(t) / (fraction / 2)


def max_margin_student(rule, kept_per_dimension, fraction, angle):
    """(test error, margin, support fraction) at the (a, b) = (R, P)/|J_perp| of largest margin."""
    t, u, weights = (
        points_on_line(rule, fraction) if angle == 0 else kept_points(rule, fraction, angle)
    )
    state = {"k": 1.0}

    def threshold(components):
        """k(a, b), by Newton's method on alpha <(k - a t - b u - eta)_+^2> = 1, convex in k."""
        shift = components[0] * t + components[1] * u
        k = state["k"]
        for _ in range(60):
            h = k - shift
            normal, bell = special.ndtr(h), np.exp(-(h**2) / 2) / np.sqrt(2 * np.pi)
            ramp = h * normal + bell
            step = (weights @ (normal + h * ramp) - 1 / kept_per_dimension) / (2 * weights @ ramp)
            k -= step
            if abs(step) < 1e-13 * max(1, abs(k)):
                break
        state["k"] = k
        return k, float(weights @ normal)

    def lost(components):
        return -threshold(components)[0] / np.sqrt(1 + components[0] ** 2 + components[1] ** 2)

    def lost_on_line(a):
        return lost((a[0], 0.0))

    if angle == 0:
        found = optimize.minimize(lost_on_line, [1.0], jac="3-point", options={"gtol": 1e-9})
        a, b = found.x[0], 0.0
    else:
        found = optimize.minimize(lost, [1.0, 0.0], jac="3-point", options={"gtol": 1e-9})
        a, b = found.x
    k, support = threshold((a, b))
    length = np.sqrt(1 + a**2 + b**2)
    return np.arctan2(np.sqrt(1 + b**2), a) / np.pi, k / length, support
