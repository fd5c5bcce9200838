"""The loss of a feature as a function of its bias, for any law of the interference.

Symbols: a gain (squared row norm), b bias, eta interference, v ~ U(0, 2), phi(t) = E exp(i t eta),
q = P(no other feature is active), the weight of the atom of eta at 0.
With c = b + eta the loss of an active and of a silent feature are the functions

    A(c) = E_v (ReLU(a v + c) - v)^2,   B(c) = ReLU(c)^2,                                      (T1)

so that E A(b + eta), as a function of b, has the Fourier coefficients A_k phi(t_k): one product and
one transform give it at every b of a grid. phi is used exactly; nothing is assumed of the law of
eta. The grid is periodic: from the largest c that matters on, A and B go over smoothly into the
constants they have at the other end.

The kink of B at 0 limits the accuracy, since a rare feature may lose 1e-4 of what its bias could
cost. Hence the atom, which nothing smooths, is taken out of phi and evaluated in closed form, and
the coefficients are those of the functions, not of their samples (from four times as many).
"""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Complex, Float
from scipy.special import expit

from .weak import dead_loss

_SECOND_MOMENT = 4 / 3
_OVERSAMPLED = 4

Groups = Float[np.ndarray, " groups"]
Transforms = Complex[np.ndarray, "groups times"]


class BiasTable(NamedTuple):
    """Fourier coefficients of (T1) on a periodic grid: `size` points from `start` by `step`.

    **Fields:** `gain` a; `times` t_k; `active`, `silent` the coefficients of A and B; `grid`, the
    points at which a bias is sought, and `first`, the place of the first of them.
    """

    gain: float
    times: Float[np.ndarray, " times"]
    active: Complex[np.ndarray, " times"]
    silent: Complex[np.ndarray, " times"]
    grid: Float[np.ndarray, " biases"]
    start: float
    step: float
    size: int
    first: int


class BestBiases(NamedTuple):
    """Per group of features the least `losses`, the `biases`, and whether it is not dead."""

    losses: Groups
    biases: Groups
    alive: Bool[np.ndarray, " groups"]


def bias_table(gain: float, reach: float, size: int = 512) -> BiasTable:
    """The transforms of (T1) for one gain.

    **Arguments:** `gain` a > 0; `reach` > 0, beyond which |eta| has no mass that matters; `size`,
    the least number of grid points, a power of two; more where 30 of them do not fit the reach.
    """
    low, high = -2 * gain - reach, gain / 2 + reach
    taper = max(reach, gain)
    length = high - low + taper
    size = max(size, 1 << math.ceil(math.log2(30 * length / reach)))
    step = length / size
    points = low + np.arange(_OVERSAMPLED * size) * (step / _OVERSAMPLED)
    kept = _smooth_step((points - high) / taper)
    active = _SECOND_MOMENT + (active_loss(points, gain) - _SECOND_MOMENT) * kept
    silent = np.maximum(points, 0) ** 2 * kept
    times = 2 * np.pi * np.arange(size // 2 + 1) / length
    first, last = (int(np.ceil((end - low) / step)) for end in (-2 * gain, gain / 2))
    grid = low + np.arange(first, last) * step
    of_active, of_silent = (
        np.fft.rfft(values)[: len(times)] / _OVERSAMPLED for values in (active, silent)
    )
    return BiasTable(gain, times, of_active, of_silent, grid, low, step, size, first)


def active_loss(shift: Float[np.ndarray, "..."], gain: float) -> Float[np.ndarray, "..."]:
    """A(c) of (T1) in closed form."""
    top, bottom = np.maximum(2 * gain + shift, 0), np.maximum(shift, 0)
    rise = (top**3 - bottom**3) / (6 * gain)
    return rise - top**2 / gain + rise / gain + _SECOND_MOMENT


def _active_slopes(
    shift: Float[np.ndarray, "..."], gain: float
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """A' and A''."""
    top, bottom = np.maximum(2 * gain + shift, 0), np.maximum(shift, 0)
    slope = (top**2 - bottom**2) / (2 * gain) * (1 + 1 / gain) - 2 * top / gain
    return slope, (top - bottom) / gain * (1 + 1 / gain) - 2 * (top > 0) / gain


def _smooth_step(at: Float[np.ndarray, " grid"]) -> Float[np.ndarray, " grid"]:
    """From 1 at `at` <= 0 to 0 at `at` >= 1, with every derivative."""
    inside = np.clip(at, 1e-9, 1 - 1e-9)
    return expit(1 / inside - 1 / (1 - inside))


def loss_transform(table: BiasTable, probabilities: Groups) -> Transforms:
    """The coefficients of p A + (1 - p) B, a row a group."""
    p = probabilities[:, None]
    return p * table.active + (1 - p) * table.silent


def at_bias(table: BiasTable, coefficients: Transforms, biases: Groups) -> Transforms:
    """The terms whose real parts sum to the value at each group's bias; for gradients as well."""
    weight = np.full(len(table.times), 2.0 / table.size)
    weight[0] = weight[-1] = 1 / table.size
    phase = np.exp(1j * table.times * (biases - table.start)[:, None])
    return coefficients * phase * weight


def loss_at_bias(
    table: BiasTable,
    characteristic: Transforms,
    alone: Groups,
    probabilities: Groups,
    biases: Groups,
) -> Groups:
    """E[p A(b + eta) + (1 - p) B(b + eta)] for each group.

    **Arguments:** `characteristic` phi of each group at the table's times; `alone` q of each group;
    `probabilities` p; `biases` b.
    """
    smooth = loss_transform(table, probabilities) * (characteristic - alone[:, None])
    rest = at_bias(table, smooth, biases).sum(axis=1).real
    undisturbed = probabilities * active_loss(biases, table.gain)
    undisturbed = undisturbed + (1 - probabilities) * np.maximum(biases, 0) ** 2
    return rest + alone * undisturbed


def best_biases(
    table: BiasTable, characteristic: Transforms, alone: Groups, probabilities: Groups
) -> BestBiases:
    """The minimum over b of `loss_at_bias`, or the loss of a dead feature where that is less.

    The lowest point of the grid is refined by two Newton steps.
    """
    smooth = loss_transform(table, probabilities) * (characteristic - alone[:, None])
    p, q, grid = probabilities[:, None], alone[:, None], table.grid[None]
    rest = np.fft.irfft(smooth, table.size, axis=1)
    rest = rest[:, table.first : table.first + len(table.grid)]
    values = rest + q * (p * active_loss(grid, table.gain) + (1 - p) * np.maximum(grid, 0) ** 2)
    centre = table.grid[np.argmin(values, axis=1)]
    biases = centre.copy()
    turn = 1j * table.times
    for _ in range(2):
        terms = at_bias(table, smooth, biases)
        slope, curvature = (terms @ turn).real, (terms @ turn**2).real
        first, second = _active_slopes(biases, table.gain)
        silent = 2 * (1 - probabilities) * np.maximum(biases, 0)
        slope = slope + alone * (probabilities * first + silent)
        kink = 2 * (1 - probabilities) * (biases > 0)
        curvature = curvature + alone * (probabilities * second + kink)
        move = np.where(curvature > 0, -slope / np.where(curvature > 0, curvature, 1), 0)
        biases = np.clip(biases + move, centre - table.step, centre + table.step)
    losses = loss_at_bias(table, characteristic, alone, probabilities, biases)
    # A Newton step may cross the kink; the grid point is then the better of the two.
    worst = values.min(axis=1)
    biases = np.where(losses < worst, biases, centre)
    losses = np.minimum(losses, worst)
    dead = dead_loss(probabilities)
    alive = losses < dead
    return BestBiases(np.where(alive, losses, dead), biases, alive)
