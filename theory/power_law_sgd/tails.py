"""How heavy the tail of the risk is over runs: Kesten's index.

With D equal eigenvalues l and batch size B the error u of SGD is multiplied by 1 - g l Z'Z, Z of
B x D normal deviates. With c = |Zu|^2/|u|^2 and Z'(Zu) split along u and across it, its length is
multiplied by A,

    A^2 = (1 - g l c)^2 + (g l)^2 c h,   c ~ chi^2_B,  h ~ chi^2_(D-1) independent,

again and again independently, since the law does not depend on the direction of u. With noise of
any kind the stationary length has the tail P(|u| > x) ~ x^-kappa, E A^kappa = 1: the risk has a
mean iff kappa > 2, which is g l (B + D + 1) < 2. The mean decays as (E A^2)^t, a typical run as
exp(2 t E log A), which is always less.

For other spectra one mode alone (D = 1, the largest l) bounds the index from above for kappa >= 1:
averaged over the signs of the other modes' deviates, a convex function of the mode is at least what
it is without them.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy import optimize, special

Real = float | int

_PANEL_NODES = 16
_PANELS = 24
_MARGIN = 10.0
# Above this an index is no longer told from infinity: such moments are made by one run in e^40.
_LARGEST = 40.0
_SMALLEST = 1e-6


class Multiplier(NamedTuple):
    """The factor A of one step: `log_mean_square` log E A^2, of the mean risk; `mean_log_square`
    2 E log A, of a typical run; `index` kappa."""

    log_mean_square: float
    mean_log_square: float
    index: float


def kesten_index(rate: Real, *, batch_size: int = 1, dimension: int = 1) -> Multiplier:
    """The growth of the mean and of a typical risk, and the index of the tail between them.

        E A^kappa = 1,  A^2 = (1 - g c)^2 + g^2 c h,  c ~ chi^2_B,  h ~ chi^2_(D-1)

    **Arguments:** `rate` g l > 0, of the gradient summed over the batch, times the eigenvalue;
    `batch_size` B; `dimension` D, the number of equal eigenvalues.

    **Returns:** `Multiplier`, exact up to quadrature (1e-8). The index is NaN where a typical run
    diverges, E log A >= 0, and infinite above 40.

    **Raises:** `ValueError` for a rate that is not positive, or sizes below 1.

    **Source:** Kesten, Acta Math. 131 (1973); Gurbuzbalaban et al. arXiv:2006.04740.

    **Limits:** kappa = 2 at g l (B + D + 1) = 2, where the kernel norm is 1 or, for D = 1, the
    denominator of it.
    """
    if not rate > 0 or batch_size < 1 or dimension < 1:
        raise ValueError(
            f"rate, batch_size, dimension: {rate!r}, {batch_size}, {dimension}; give a positive "
            "rate and sizes of at least 1"
        )
    log_factor, weight = _factor(float(rate), batch_size, dimension)

    def moment(power: float) -> float:
        """log E A^power / power, which increases with the power."""
        exponent = power * log_factor
        top = exponent.max()
        return float(top + np.log(np.sum(weight * np.exp(exponent - top)))) / power

    typical = float(np.sum(weight * log_factor))
    if typical >= 0:
        index = math.nan
    elif moment(_LARGEST) < 0:
        index = math.inf
    else:
        found = optimize.root_scalar(moment, bracket=(_SMALLEST, _LARGEST), xtol=1e-12)
        index = float(found.root)
    return Multiplier(2 * moment(2.0), 2 * typical, index)


def _factor(
    rate: float, batch_size: int, dimension: int
) -> tuple[Float64[np.ndarray, " nodes"], Float64[np.ndarray, " nodes"]]:
    """log A and the weights of a quadrature over sqrt(c) and sqrt(h)."""
    along, along_weight = _chi(batch_size, 1 / math.sqrt(rate))
    if dimension == 1:
        return np.log(np.abs(1 - rate * along**2)), along_weight
    across, across_weight = _chi(dimension - 1, None)
    square = (1 - rate * along[:, None] ** 2) ** 2
    square = square + (rate * along[:, None] * across[None, :]) ** 2
    return np.log(square).ravel() / 2, (along_weight[:, None] * across_weight[None, :]).ravel()


def _chi(
    degrees: int, kink: float | None
) -> tuple[Float64[np.ndarray, " nodes"], Float64[np.ndarray, " nodes"]]:
    """Nodes and weights of the chi law, with panels graded towards the zero of A at `kink`.

    The range holds what a moment of order `_LARGEST` sees, x^(2 _LARGEST) e^(-x^2/2).
    """
    top = math.sqrt(degrees + 2 * _LARGEST) + _MARGIN
    even = np.linspace(0, top, 2 * _PANELS + 1)
    if kink is None or kink >= top:
        edges = even
    else:
        near = kink * 0.5 ** np.arange(1, _PANELS + 12)
        edges = np.unique(np.concatenate([even, kink - near, [kink], kink + near]))
        edges = edges[edges <= top]
    nodes, weights = np.polynomial.legendre.leggauss(_PANEL_NODES)
    half, middle = np.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    place = (middle[:, None] + half[:, None] * nodes).ravel()
    weight = (half[:, None] * weights).ravel()
    log_density = (degrees - 1) * np.log(place) - place**2 / 2
    log_density -= (degrees / 2 - 1) * math.log(2) + special.gammaln(degrees / 2)
    return place, weight * np.exp(log_density)
