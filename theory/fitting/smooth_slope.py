r"""The slope of a smoothed curve as a linear map of its values.

Both smoothers are linear in $\log y$: with $g = \Delta \log y$ the slopes and s the standard errors
of $\log y$, those of the slopes are exactly $(\sum_j \Delta_{ij}^2 s_j^2)^{1/2}$.
"""

import numpy as np
import scipy.optimize
from jaxtyping import Float64
from scipy.signal import savgol_coeffs

_Column = Float64[np.ndarray, " points"]
_Matrix = Float64[np.ndarray, "slopes points"]

# A step that differs by this share from the mean one changes a slope by about as much.
_UNIFORM = 1e-6


def spline_slope_map(
    u: _Column, v: _Column, weights: _Column, *, smoothing: float | None
) -> _Matrix:
    r"""The map from v to the slopes, at every u, of the natural cubic smoothing spline f with the
    least

    $$\sum_i w_i (v_i - f(u_i))^2 + \lambda \int f''(u)^2 \, du.$$

    With f and f'' at the knots, $R f'' = Q^\top f$ (both banded, of the gaps alone), the penalty
    is $f^\top K f$, $K = Q R^{-1} Q^\top$, and $f = (W + \lambda K)^{-1} W v$.

    **Arguments:**

    - `u`: ascending, at least 5.
    - `smoothing`: $\lambda \ge 0$; None for the one of least generalised cross-validation score,
      which makes the map depend on v, though weakly: it is then linear given $\lambda$.

    **Source:** Green and Silverman, Nonparametric Regression and Generalized Linear Models
    (1994), section 2.3.
    """
    gap = np.diff(u)
    num = u.size
    second = np.zeros((num - 2, num))
    inner = np.arange(num - 2)
    second[inner, inner] = 1.0 / gap[:-1]
    second[inner, inner + 1] = -1.0 / gap[:-1] - 1.0 / gap[1:]
    second[inner, inner + 2] = 1.0 / gap[1:]
    band = np.diag((gap[:-1] + gap[1:]) / 3.0)
    band += np.diag(gap[1:-1] / 6.0, 1) + np.diag(gap[1:-1] / 6.0, -1)
    curvature = np.zeros((num, num))
    curvature[1:-1] = np.linalg.solve(band, second)
    root = np.sqrt(weights)
    penalty = (second.T @ curvature[1:-1]) / root[:, None] / root
    # Two eigenvalues are 0, those of straight lines; rounding may leave them below.
    values, vectors = np.linalg.eigh((penalty + penalty.T) / 2.0)
    values = np.maximum(values, 0.0)
    values[:2] = 0.0
    if smoothing is None:
        smoothing = _cross_validated(values, vectors.T @ (root * v))
    smooth = (vectors / root[:, None] / (1.0 + smoothing * values)) @ (vectors.T * root)
    # The cubic between knots: its slope at the left end of each gap, and at the end of the last.
    slope = (np.eye(num)[1:] - np.eye(num)[:-1]) / gap[:, None]
    left = slope - gap[:, None] * (2.0 * curvature[:-1] + curvature[1:]) / 6.0
    right = slope[-1:] + gap[-1] * (curvature[-2:-1] + 2.0 * curvature[-1:]) / 6.0
    return np.concatenate([left, right]) @ smooth


def _cross_validated(values: _Column, coordinates: _Column) -> float:
    r"""The $\lambda$ of the least $n \, |(1-S) v|^2 / \mathrm{tr}(1-S)^2$."""
    squares = coordinates**2

    def score(log_smoothing: float) -> float:
        left = np.exp(log_smoothing) * values
        left = left / (1.0 + left)
        return float(np.log(np.sum(left**2 * squares)) - 2.0 * np.log(np.sum(left)))

    # Outside of these every mode is kept, or none but the straight line.
    low, high = -np.log(values[2:].max()) - 10.0, -np.log(values[2:].min()) + 10.0
    grid = np.linspace(low, high, 200)
    if not np.any(squares[2:] > 0.0):
        return float(np.exp(high))
    best = int(np.argmin([score(at) for at in grid]))
    bounds = (grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)])
    found = scipy.optimize.minimize_scalar(score, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def savgol_slope_map(u: _Column, *, window_length: int, degree: int) -> _Matrix:
    """The map from v to the slopes of Savitzky and Golay's local polynomials, at every u that is
    the centre of a full window.

    **Raises:** `ValueError` for a window or a degree out of range and for u that is not uniform.
    """
    if window_length % 2 == 0 or not 3 <= window_length <= u.size:
        raise ValueError(
            f"window_length: {window_length} is not odd and from 3 to the {u.size} points; "
            "choose an odd number of points"
        )
    if not 1 <= degree < window_length:
        raise ValueError(
            f"degree: {degree} is not from 1 to window_length - 1 = {window_length - 1}; lower it"
        )
    step = float(u[-1] - u[0]) / (u.size - 1)
    worst = float(np.abs(np.diff(u) / step - 1.0).max())
    if worst > _UNIFORM:
        raise ValueError(
            f"x: steps in log x differ by {worst:.2g} of their mean, and savgol needs them equal; "
            "use method='spline', or x spaced evenly in log x"
        )
    weights = savgol_coeffs(window_length, degree, deriv=1, delta=step, use="dot")
    rows = u.size - window_length + 1
    slopes = np.zeros((rows, u.size))
    slopes[np.arange(rows)[:, None], np.arange(rows)[:, None] + np.arange(window_length)] = weights
    return slopes
