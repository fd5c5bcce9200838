"""The loss of a frame whose features come in classes, as a functional of its overlap laws.

Symbols: classes c = 1..C of features, K_c of them, with gain a_c (squared row norm) and groups of
equal frequency p_g; D_cd the law of the overlap of a feature in c with one in d; b_g the bias of a
group. A feature of group g in class c receives sum_j sqrt(a_c a_d) rho_ij x_j, hence (F) becomes

    phi_g(t) = prod_d prod_(g' in d) (1 + p_g' u_cd(sqrt(a_c a_d) t))^(n_g' - [g' = g]),
    F[D, a] = sum_g n_g min( min_b <loss coefficients, phi_g>, 4/3 p_g - p_g^2 ).              (FC)

The derivative with respect to the weight of D_cd at rho is, at the best biases,

    sum_(g in c) n_g <., phi_g Lambda_g E exp(i sqrt(a_c a_d) rho v t)>,
    Lambda_g = d log phi_g / d u_cd,

and the same with c and d exchanged if they differ.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from .activity import Features
from .bias_table import BestBiases, BiasTable, at_bias, best_biases, bias_table, loss_transform
from .characteristic import law_transform, reach, silent_chance, value_transform
from .overlaps import OverlapLaw

Gains = Float[np.ndarray, " classes"]
Laws = tuple[OverlapLaw, ...]
Gradient = tuple[Float[np.ndarray, "_"], ...]


class FrameClasses(NamedTuple):
    """The `classes` of features that share `width` dimensions, and the `size` of Fourier grids."""

    classes: tuple[Features, ...]
    width: int
    size: int = 512

    @property
    def counts(self) -> Float[np.ndarray, " classes"]:
        """K_c."""
        return np.array([features.counts.sum() for features in self.classes])

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs c <= d, in the order in which laws are given."""
        total = len(self.classes)
        return tuple((c, d) for c in range(total) for d in range(c, total))

    def pair(self, c: int, d: int) -> int:
        """The place of D_cd among the laws."""
        c, d = min(c, d), max(c, d)
        return c * len(self.classes) - c * (c - 1) // 2 + d - c


class _Row(NamedTuple):
    """What a class receives: u_cd, phi_g and the best biases of its groups."""

    table: BiasTable
    transforms: list[Complex[np.ndarray, " times"]]
    characteristic: Complex[np.ndarray, "groups times"]
    best: BestBiases


def frame_loss(frame: FrameClasses, laws: Laws, gains: Gains) -> float:
    """F of equation (FC): the summed loss of all features of the frame, at the best biases.

    **Arguments:** `laws` D_cd in the order of `frame.pairs`; `gains` a_c > 0.
    """
    rows = _rows(frame, laws, gains)
    return float(
        sum(
            features.counts @ row.best.losses
            for features, row in zip(frame.classes, rows, strict=True)
        )
    )


def frame_gradient(
    frame: FrameClasses, laws: Laws, gains: Gains, grids: tuple[Float[np.ndarray, "_"], ...]
) -> tuple[float, Gradient]:
    """F, and its derivative with respect to the weight that each D_cd has at the points of a grid.

    **Arguments:** as `frame_loss`; `grids`, overlaps rho at which to differentiate, one a pair.
    """
    rows = _rows(frame, laws, gains)
    slopes = [np.zeros_like(grid) for grid in grids]
    loss = 0.0
    for c, (features, row) in enumerate(zip(frame.classes, rows, strict=True)):
        loss += float(features.counts @ row.best.losses)
        p = features.probabilities[:, None]
        scale = (features.counts * row.best.alive)[:, None]
        coefficients = loss_transform(row.table, features.probabilities) * row.characteristic
        terms = at_bias(row.table, coefficients, row.best.biases) * scale
        for d, (other, u) in enumerate(zip(frame.classes, row.transforms, strict=True)):
            q = other.probabilities[:, None]
            rate = other.counts @ (q / (1 + q * u))
            # The feature itself is not among those that disturb it.
            felt = (terms * (rate - p / (1 + p * u) if c == d else rate)).sum(axis=0)
            at = frame.pair(c, d)
            times = np.sqrt(gains[c] * gains[d]) * row.table.times
            slopes[at] += (value_transform(grids[at][:, None] * times) @ felt).real
    return loss, tuple(slopes)


def _rows(frame: FrameClasses, laws: Laws, gains: Gains) -> list[_Row]:
    activities = np.array([features.activity for features in frame.classes])
    total = float(activities.sum())
    squares = [float(law.weights @ law.overlaps**2) for law in laws]
    rows = []
    for c, features in enumerate(frame.classes):
        felt = np.array([squares[frame.pair(c, d)] for d in range(len(gains))])
        mean_square = float(activities @ (gains * felt)) / (total * gains[c])
        # A frame may give a class next to no interference; the grid has to resolve the gain still.
        bounded = min(max(mean_square, 1e-3), 0.25)
        far = reach(float(gains[c]), bounded, total)
        table = bias_table(float(gains[c]), far, frame.size)
        transforms, logarithm = [], np.zeros(len(table.times), complex)
        own = np.zeros((len(features.counts), len(table.times)), complex)
        for d, other in enumerate(frame.classes):
            times = np.sqrt(gains[c] * gains[d]) * table.times
            u = law_transform(_support(laws[frame.pair(c, d)]), times)
            terms = np.log1p(other.probabilities[:, None] * u)
            logarithm = logarithm + other.counts @ terms
            transforms.append(u)
            if c == d:
                own = terms
        characteristic = np.exp(logarithm - own)
        alone = silent_chance(frame.classes, features)
        best = best_biases(table, characteristic, alone, features.probabilities)
        rows.append(_Row(table, transforms, characteristic, best))
    return rows


def _support(law: OverlapLaw) -> OverlapLaw:
    held = law.weights > 1e-12
    return OverlapLaw(law.overlaps[held], law.weights[held])
