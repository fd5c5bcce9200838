"""A private core and a random frame for the rest: one formula from weak to strong superposition.

Symbols: n features, m dimensions (`width`), h private ones, K represented ones (`count`), a the
common gain (squared row norm), b_i bias, kappa^2 mean squared overlap. The h most frequent features
have a dimension each and lose nothing; K' = K - h share the other m' = m - h with the Gaussian
interference of a tight frame, and the rest are dead:

    L = min_(h, K, a) sum_(h < i <= K) min_b l(p_i, b, a; kappa^2) + sum_(i > K) (4/3 p_i - p_i^2),
    kappa^2 = (K' - m')/(m' (K' - 1)),                                                        (CRF)

l of equation (S). It is variational but no bound: overlaps are Gaussian and drawn anew for every
sample, where trained frames have skewed ones and reach several times less at large m/n. Kind:
heuristic. h = K = m is weak superposition, h = 0 and K = n strong superposition.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .activity import Features, grouped
from .bias_table import BestBiases, best_biases, bias_table
from .characteristic import gaussian_transform, interference, reach
from .minimum import least
from .overlaps import welch_mean_square
from .search import best_split

_GAINS = 0.5, 4.0


class CoreFrame(NamedTuple):
    """The minimum of (CRF): `loss`, `private` h, `count` K and the `gain` of shared rows."""

    loss: float
    private: int
    count: int
    gain: float


def gaussian_frame(
    features: Features, mean_square: float, gain: float, size: int = 512
) -> BestBiases:
    """The losses of features that share a frame of Gaussian overlaps, a group at a time.

    **Arguments:** `features`; `mean_square` kappa^2 > 0; `gain` a; `size` of the Fourier grid.
    """
    table = bias_table(gain, reach(gain, mean_square, features.activity), size)
    transform = gaussian_transform(mean_square, gain * table.times)
    received = interference(features, transform)
    return best_biases(table, *received, features.probabilities)


def core_frame(
    probabilities: Float[np.ndarray, " features"], width: int, gain: float | None = None
) -> CoreFrame:
    """The minimum of (CRF) over h, K and the gain.

    **Arguments:** `probabilities` p_1 >= p_2 >= ...; `width` m; `gain`, if not to be optimised.

    **Source:** derived here, for the model of Liu et al. 2505.10465.

    **Limits:** at most `weak_loss_at_width`; c(n, E)/m for equal frequencies and n >> m >> c.
    """

    def shared(private: int, count: int) -> tuple[float, float]:
        features = grouped(probabilities, private, count)
        mean_square = welch_mean_square(count - private, width - private)

        def loss(log_gain: float) -> float:
            found = gaussian_frame(features, mean_square, float(np.exp(log_gain)))
            return float(features.counts @ found.losses)

        if gain is not None:
            return loss(float(np.log(gain))), gain
        ends = (math.log(_GAINS[0]), math.log(_GAINS[1]))
        found = least(loss, ends, 3e-3)
        return found.value, float(np.exp(found.at))

    split = best_split(probabilities, width, shared, least_width=1)
    found = 1.0 if split.detail is None else split.detail
    return CoreFrame(split.loss, split.private, split.count, found)


def published_exponent(frequency_decay: float) -> float:
    """max(1, 2 (alpha - 1)), the published exponent of L(m) in strong superposition: a heuristic.

    The second part is the tail of features beyond m^2/2. Of a sum of two power laws the slower one
    wins, so that the maximum can describe a finite range of m only.

    **Arguments:** `frequency_decay` alpha >= 0, the paper's (1 more than its code's).

    **Source:** Liu et al. 2505.10465, Figure 6e.
    """
    return max(1.0, 2 * (frequency_decay - 1))
