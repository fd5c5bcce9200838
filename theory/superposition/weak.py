"""Weak superposition: represented features are orthonormal, the others are their mean.

Symbols: p_i activation probability, E their sum, R the represented set, alpha the decay of
p_i = E i^-alpha / H_n. In the authors' published code the variable `alpha` is this alpha minus 1.

A feature outside R has no row; its output is the constant b_i = p_i, since the mean of an active
value, uniform on (0, 2), is 1 and its mean square 4/3. The loss is then exactly

    L = sum_(i not in R) I_i (4/3 p_i - p_i^2).                                     (W)

The published form, 4/3 sum p_i, leaves out the -p_i^2 that the learned bias gains. For values
uniform on (0, 1) the loss is a quarter of all this.
"""

import math

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import zeta

Column = Float[np.ndarray, " features"]


def dead_loss(probabilities: Float[np.ndarray, " some"]) -> Float[np.ndarray, " some"]:
    """4/3 p - p^2: the loss of a feature that is not represented and has the best constant output.

    **Arguments:** `probabilities` p in [0, 1].
    """
    return 4 / 3 * probabilities - probabilities**2


def weak_loss(
    probabilities: Column,
    represented: Bool[np.ndarray, " features"],
    importance: Column | None = None,
) -> float:
    """Equation (W) for a measured set of represented features.

    **Arguments:** `probabilities` p_i; `represented`, true for i in R; `importance` I_i, 1 if left
    out.

    **Source:** the weak regime of Liu et al. 2505.10465, with the -p^2 that it omits.

    **Limits:** `weak_asymptote` for R = {1..m}, large m and n -> infinity.
    """
    worth = dead_loss(probabilities)
    if importance is not None:
        worth = worth * importance
    return float(np.sum(worth[~represented]))


def weak_loss_at_width(
    probabilities: Column, width: int, importance: Column | None = None
) -> float:
    """Equation (W) with R the m features whose loss would be largest: the ideal K = m.

    **Arguments:** `probabilities` p_i; `width` m, 0..n; `importance` I_i, 1 if left out.
    """
    if not 0 <= width <= len(probabilities):
        raise ValueError(f"width: {width}; give 0 to {len(probabilities)}, the number of features")
    worth = dead_loss(probabilities)
    if importance is not None:
        worth = worth * importance
    return float(np.sum(np.sort(worth)[: len(worth) - width]))


def weak_exponent(probabilities: Column, widths: list[int]) -> float:
    """The slope -d log L / d log m of (W) with K = m, by least squares over `widths`.

    At finite n it is not alpha - 1: .606 against .5 for alpha = 1.5, n = 1000, m = 10..100.

    **Arguments:** `probabilities` p_i; `widths` m, at least two different ones below n.
    """
    if len(set(widths)) < 2 or max(widths) >= len(probabilities):
        raise ValueError(f"widths: {widths}; give at least two different ones, all below n")
    losses = [weak_loss_at_width(probabilities, width) for width in widths]
    return float(-np.polyfit(np.log(widths), np.log(losses), 1)[0])


def weak_asymptote(frequency_decay: float, width: int, activation_density: float = 1.0) -> float:
    """(W) for n -> infinity and large m: 4E/3 m^(1-alpha) / ((alpha-1) zeta(alpha)).

    **Arguments:** `frequency_decay` alpha > 1; `width` m >= 1; `activation_density` E.
    """
    if not frequency_decay > 1:
        raise ValueError(
            f"frequency_decay: {frequency_decay}; give more than 1, below which the tail holds "
            "all of the activity as n grows"
        )
    excess = frequency_decay - 1
    tail = math.pow(width, -excess) / excess
    return 4 / 3 * activation_density * tail / float(zeta(frequency_decay))
