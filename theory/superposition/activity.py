"""The law of the squared activity S = sum_j s_j v_j^2 of a set of features.

Symbols: s_j ~ Bernoulli(p_j), v_j uniform on (0, 2), all independent; E their total probability.
For many rare features S is a compound Poisson sum. Here it is the exact product of the factors
1 - p_j + p_j psi(t), with psi the transform of v^2, whose masses on the grid keep the mean exactly.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

_STEP = 1 / 128
_PANELS = 40


class Features(NamedTuple):
    """Groups of equally frequent features: `probabilities` p and `counts`, how many have it."""

    probabilities: Float[np.ndarray, " groups"]
    counts: Float[np.ndarray, " groups"]

    @property
    def activity(self) -> float:
        """E, the mean number of active features."""
        return float(self.counts @ self.probabilities)


class SquaredActivity(NamedTuple):
    """S as atoms: `values` >= 0, of which the first is 0, and `weights`, which sum to 1."""

    values: Float[np.ndarray, " atoms"]
    weights: Float[np.ndarray, " atoms"]


def flat(num_features: float, activation_density: float) -> Features:
    """One group of n features of probability E/n; n may be any real number >= E."""
    if not 0 < activation_density <= num_features:
        raise ValueError(
            f"activation_density: {activation_density}; give a number above 0 and at most "
            f"num_features {num_features}"
        )
    return Features(np.array([activation_density / num_features]), np.array([float(num_features)]))


def grouped(
    probabilities: Float[np.ndarray, " features"], first: int, last: int, ratio: float = 1.15
) -> Features:
    """Ranks first < i <= last of decreasing probabilities, in groups of neighbours at their mean.

    A group spans at most the factor `ratio` in rank; equal probabilities share one group. Losses
    are smooth in p, so that the error is of second order in the spread of a group.

    **Arguments:** `probabilities` p_1 >= p_2 >= ...; 0 <= `first` < `last` <= n; `ratio` > 1.
    """
    if not 0 <= first < last <= len(probabilities):
        raise ValueError(f"first, last: {first}, {last}; give 0 <= first < last <= the features")
    if probabilities[first] == probabilities[last - 1]:
        return Features(probabilities[first : first + 1], np.array([float(last - first)]))
    edges = [first]
    while edges[-1] < last:
        edges.append(min(last, max(edges[-1] + 1, int((edges[-1] + 1) * ratio))))
    counts = np.diff(edges)
    sums = np.add.reduceat(probabilities[:last], edges[:-1])
    return Features(sums / counts, counts.astype(float))


def squared_activity(features: Features) -> SquaredActivity:
    """The law of S by one FFT, then condensed to about 80 atoms that keep three moments a panel.

    **Arguments:** `features`, groups of p and counts; a count of n - 1 leaves one feature out.
    """
    activity = features.activity
    # Jumps are at most 4; twelve standard deviations and seven largest jumps beyond the mean.
    reach = 4 / 3 * activity + 12 * np.sqrt(16 / 5 * activity) + 30
    size = 1 << int(np.ceil(np.log2(reach / _STEP)))
    jump = np.fft.rfft(_jump_masses(size))
    logarithm = features.counts @ np.log1p(features.probabilities[:, None] * (jump - 1))
    masses = np.maximum(np.fft.irfft(np.exp(logarithm), size), 0)
    return _condense(np.arange(size) * _STEP, masses / masses.sum())


def _jump_masses(size: int) -> Float[np.ndarray, " grid"]:
    """Masses of v^2 on the grid: each point's share by linear interpolation to its neighbours.

    The share of point j is the second difference of the integral of the distribution function,
    which is sqrt(s)/2 on (0, 4).
    """
    points = np.arange(-1, size + 1) * _STEP
    inside = np.clip(points, 0, 4)
    integral = inside**1.5 / 3 + np.maximum(points - 4, 0)
    return np.diff(integral, 2) / _STEP


def _condense(
    points: Float[np.ndarray, " grid"], masses: Float[np.ndarray, " grid"]
) -> SquaredActivity:
    """The atom at 0, and in each panel of a geometric partition the two-point Gauss rule."""
    edges = np.geomspace(4 * _STEP, points[-1], _PANELS)
    starts = np.concatenate([[1], np.searchsorted(points, edges, side="right")])
    starts = np.unique(np.minimum(starts, len(points) - 1))
    panel = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(points))))
    at, mass = points[1:], masses[1:]

    def sums(values: Float[np.ndarray, " some"]) -> Float[np.ndarray, " panels"]:
        return np.bincount(panel, values, len(starts))

    total = sums(mass)
    held = total > 1e-30
    safe = np.where(held, total, 1)
    mean = sums(mass * at) / safe
    centred = at - mean[panel]
    deviation = np.sqrt(np.maximum(sums(mass * centred**2) / safe, 1e-24))
    half = sums(mass * centred**3) / safe / deviation**3 / 2
    root = np.sqrt(1 + half**2)
    low, high = mean + deviation * (half - root), mean + deviation * (half + root)
    upper = (1 - half / root) / 2
    values = np.concatenate([[0], low[held], high[held]])
    weights = np.concatenate([[masses[0]], (total * (1 - upper))[held], (total * upper)[held]])
    return SquaredActivity(np.maximum(values, 0), weights)
