"""What the overlaps between classes of unit vectors obey, as a linear programme over their laws.

Symbols: classes c, d of K_c vectors in m dimensions, D_cd the law of their overlaps rho, P_k the
Gegenbauer polynomials with P_k(1) = 1. Each P_k(w_i . w_j) is a Gram matrix; summed over the pairs
of each two classes and divided by sqrt(K_c K_d) it stays one:

    N_k = [ delta_cd (1 - E_cc P_k) + sqrt(K_c K_d) E_cd P_k ]  is positive semidefinite.       (N)

For one class these are the Delsarte constraints (G), for several the semidefinite constraints
between the parts of a code. Among them k = 2 holds the rank: a class of m orthonormal rows leaves
nothing to the others. (N) enters as cuts u N_k u >= 0: first for the unit vectors and their sums
and differences, then for each eigenvector that a solution breaks.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog

from .frame_classes import FrameClasses, Gradient, Laws
from .overlaps import OverlapLaw, gegenbauer

# Grids have lengths of their own, which an axis with a name would not allow.
Column = Float[np.ndarray, "_"]
Weights = list[Column]

_ROUNDS = 30
_ATOM = 1e-6


class Effort(NamedTuple):
    """How finely to solve.

    **Fields:** `orders` k_max; `points` of the grid of rho; `refinements` of it; `tolerance`, the
    relative gap and gain at which to stop; `violation` of (N) that is let pass, where the diagonal
    is of order 1.
    """

    orders: int = 8
    points: int = 81
    refinements: int = 2
    tolerance: float = 3e-4
    violation: float = 1e-3


class Cut(NamedTuple):
    """vector . N_(order + 1) . vector >= 0."""

    order: int
    vector: Column


class OverlapProgramme:
    """The constraints (N) on grids of overlaps, a grid a pair of classes, and the cuts so far."""

    def __init__(
        self, frame: FrameClasses, grids: tuple[Column, ...], effort: Effort, cuts: list[Cut]
    ) -> None:
        self.frame, self.grids, self.effort = frame, grids, effort
        self.polynomials = [gegenbauer(frame.width, effort.orders, grid) for grid in grids]
        self.cuts = cuts or self._simple_cuts()

    def laws(self, weights: Weights) -> Laws:
        """The laws with those weights on the grids."""
        return tuple(
            OverlapLaw(grid, weight) for grid, weight in zip(self.grids, weights, strict=True)
        )

    def solve(self, cost: Gradient) -> Weights:
        """The weights of least `cost` under (N).

        **Raises:** `ValueError` where no law on the grids obeys (N).
        """
        joined = np.concatenate(cost)
        # Costs of rare features are tiny against the absolute tolerances of the solver.
        joined = joined / max(float(np.abs(joined).max()), 1e-300)
        ends = np.cumsum([len(grid) for grid in self.grids])
        owner = np.searchsorted(ends, np.arange(len(joined)), side="right")
        sums = (owner == np.arange(len(self.grids))[:, None]).astype(float)
        weights: Weights = []
        for _ in range(_ROUNDS):
            rows = np.stack([self._row(cut) for cut in self.cuts])
            constants = np.array([self._constant(cut) for cut in self.cuts])
            found = linprog(
                joined,
                A_ub=-rows,
                b_ub=constants,
                A_eq=sums,
                b_eq=np.ones(len(sums)),
                method="highs",
            )
            if found.x is None:
                raise ValueError(
                    f"points: no law on a grid of {self.effort.points} overlaps obeys the "
                    "constraints; give more points"
                )
            weights = np.split(np.maximum(found.x, 0), ends[:-1])
            broken = self._broken(weights)
            self.cuts = self.cuts + broken
            if not broken:
                break
        return weights

    def refined(self, laws: Laws) -> tuple["OverlapProgramme", Weights]:
        """The same with three more grid points at either side of each atom, and `laws` there."""
        grids, weights = [], []
        for law in laws:
            grid = law.overlaps
            parts = [grid]
            for at in np.flatnonzero(law.weights > _ATOM):
                for end in (max(at - 1, 0), min(at + 1, len(grid) - 1)):
                    parts.append(grid[at] + (grid[end] - grid[at]) * np.array([0.25, 0.5, 0.75]))
            finer = np.unique(np.concatenate(parts))
            weight = np.zeros_like(finer)
            weight[np.searchsorted(finer, grid)] = law.weights
            grids.append(finer)
            weights.append(weight)
        return OverlapProgramme(self.frame, tuple(grids), self.effort, self.cuts), weights

    def matrix(self, order: int, weights: Weights) -> Float[np.ndarray, "classes classes"]:
        """N_k of (N) for k = `order` + 1."""
        counts = self.frame.counts
        found = np.eye(len(counts))
        parts = zip(self.frame.pairs, self.polynomials, weights, strict=True)
        for (c, d), polynomials, weight in parts:
            mean = float(polynomials[order] @ weight)
            if c == d:
                found[c, c] += (counts[c] - 1) * mean
            else:
                found[c, d] = found[d, c] = np.sqrt(counts[c] * counts[d]) * mean
        return found

    def _simple_cuts(self) -> list[Cut]:
        total = len(self.frame.classes)
        unit = np.eye(total)
        vectors = list(unit)
        for c, d in itertools.combinations(range(total), 2):
            vectors += [unit[c] + unit[d], unit[c] - unit[d]]
        return [Cut(k, vector) for k in range(self.effort.orders) for vector in vectors]

    def _row(self, cut: Cut) -> Column:
        """The cut's left side is row . weights + constant."""
        counts, u = self.frame.counts, cut.vector
        parts = []
        for polynomials, (c, d) in zip(self.polynomials, self.frame.pairs, strict=True):
            if c == d:
                factor = u[c] ** 2 * (counts[c] - 1)
            else:
                factor = 2 * u[c] * u[d] * np.sqrt(counts[c] * counts[d])
            parts.append(factor * polynomials[cut.order])
        return np.concatenate(parts)

    def _constant(self, cut: Cut) -> float:
        return float(cut.vector @ cut.vector)

    def _broken(self, weights: Weights) -> list[Cut]:
        if len(self.frame.classes) == 1:
            return []
        found = []
        for order in range(self.effort.orders):
            values, vectors = np.linalg.eigh(self.matrix(order, weights))
            found += [
                Cut(order, vector)
                for value, vector in zip(values, vectors.T, strict=True)
                if value < -self.effort.violation
            ]
        return found
