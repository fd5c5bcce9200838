"""Frames of independent uniform directions: their mean loss, exactly.

Symbols: n features, m dimensions, a common gain (squared row norm), b bias. Given its own row the
overlaps of a feature with the others are independent, rho^2 ~ Beta(1/2, (m-1)/2), so that equation
(F) holds without approximation and

    E_frames L(a, b) = sum_i { p_i E A(b_i + eta_i) + (1 - p_i) E B(b_i + eta_i) }            (RF)

is exact at every n and m for gains and biases that do not look at the frame; the numerical error is
1e-5 of the loss of a dead feature. A minimum over a and b of (RF) is what random frames reach on
average; the best of all frames is not above it. Biases fitted to one frame lower its loss by
O(1/n) for a common bias, by O(1/m) relative for a bias a row, whose norm of interference differs
from row to row.
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .activity import Features, grouped
from .bias_table import BiasTable, best_biases, bias_table, loss_at_bias
from .characteristic import Interference, interference, law_transform, reach
from .minimum import least
from .overlaps import random_overlap_law
from .weak import dead_loss

Groups = Float[np.ndarray, " groups"]

_GAINS = 0.4, 4.0
_SIZE = 1024


class RandomFrame(NamedTuple):
    """The minimum of (RF): `loss`, the common `gain`, and `count` K, the features not dead."""

    loss: float
    gain: float
    count: int


def random_frame_losses(
    features: Features,
    width: int,
    gain: float,
    biases: Groups | None = None,
) -> Groups:
    """The mean loss of one feature of each group over frames of random unit rows, scaled.

    **Arguments:** `features`; `width` m >= 1; `gain` a > 0; `biases` b a group, the best ones if
    left out (then no feature loses more than a dead one).
    """
    table, received = _received(features, width, gain, biases)
    if biases is None:
        return best_biases(table, *received, features.probabilities).losses
    return loss_at_bias(table, *received, features.probabilities, biases)


def random_frame_bias(features: Features, width: int, gain: float) -> Groups:
    """The bias of least mean loss of each group, between -2a and a/2.

    **Arguments:** as `random_frame_losses`.
    """
    table, received = _received(features, width, gain, None)
    return best_biases(table, *received, features.probabilities).biases


def _received(
    features: Features, width: int, gain: float, biases: Groups | None
) -> tuple[BiasTable, Interference]:
    far = reach(gain, 1 / width, features.activity)
    if biases is not None:
        far += float(np.abs(biases).max())
    table = bias_table(gain, far, _SIZE)
    transform = law_transform(random_overlap_law(width), gain * table.times)
    return table, interference(features, transform)


def random_frame(
    probabilities: Float[np.ndarray, " features"],
    width: int,
    gain: float | None = None,
    *,
    may_die: bool = True,
) -> RandomFrame:
    """The minimum of (RF) over the biases and the common gain.

    **Arguments:** `probabilities` p_1 >= p_2 >= ...; `width` m; `gain`, if not to be optimised;
    `may_die`, whether the rarest features may have no row (K < n).

    **Source:** derived here.

    **Limits:** c(n, E)/m for equal frequencies and n >> m >> c; the dead loss at small m.
    """
    total = len(probabilities)

    def at(count: int) -> RandomFrame:
        features = grouped(probabilities, 0, count)
        dead = float(dead_loss(probabilities[count:]).sum())

        def loss(log_gain: float) -> float:
            losses = random_frame_losses(features, width, float(np.exp(log_gain)))
            return float(features.counts @ losses)

        if gain is not None:
            return RandomFrame(loss(float(np.log(gain))) + dead, gain, count)
        ends = (math.log(_GAINS[0]), math.log(_GAINS[1]))
        found = least(loss, ends, 2e-3)
        return RandomFrame(found.value + dead, float(np.exp(found.at)), count)

    best = at(total)
    step = 0.8
    while may_die and step < 0.97:
        fewer = max(1, round(best.count * step))
        trial = at(fewer)
        if trial.loss < best.loss:
            best = trial
        else:
            step = step**0.5
    return best
