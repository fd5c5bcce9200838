"""The overlap laws of the best frame, by linear programmes under Gegenbauer constraints.

Symbols: as in `frame_classes` and `overlap_constraints`.

The functional (FC) is minimised over the laws under (N) by conditional gradients (Frank, Wolfe
1956): its derivative is the cost of a linear programme in the weights on a grid of overlaps, whose
solution has few atoms, and one goes towards it. The gains are optimised in turn with the laws. At
the end each grid is refined around the atoms found.

At equal frequencies the first solution is often the last: one law is extremal for every gain, as
are the codes that attain the bounds of Levenshtein.

The result would be a lower bound on the loss, were it not that all rows of a class have one law
and norm, that a row's active overlaps are drawn independently from its law, and that the minimum
may be local. Kind: heuristic. No trained network has been found below it.
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

from .frame_classes import FrameClasses, Gains, Laws, frame_gradient, frame_loss
from .minimum import least
from .overlap_constraints import Effort, OverlapProgramme, Weights
from .overlaps import OverlapLaw

STANDARD = Effort()

_GAINS = 0.5, 3.0
_START = 1.3
_TURNS, _STEPS = 20, 8


class BestFrame(NamedTuple):
    """A minimum of (FC) under (N).

    **Fields:** `loss` of the features of the frame; `gains` a_c; `laws` D_cd in the order of
    `pairs`; `gap`, the most that (FC), were it convex, could still fall by changing the laws on the
    grid at the gains before the last step.
    """

    loss: float
    gains: Gains
    laws: Laws
    gap: float


def best_frame(frame: FrameClasses, effort: Effort = STANDARD) -> BestFrame:
    """The minimum of (FC) under (N) over the overlap laws and the gains.

    **Arguments:** `frame`, with `width` m >= 2; `effort`.

    **Raises:** `ValueError` for fewer dimensions, and where the grid holds no feasible law.

    **Source:** derived here; the constraints on one class are those of Delsarte, Goethals and
    Seidel 1977, on several they follow from the same Gram matrices.
    """
    if frame.width < 2:
        raise ValueError(f"width: {frame.width}; give at least 2, below which rho is -1 or 1")
    gains = np.full(len(frame.classes), _START)
    grid = _grid(frame.width, effort.points)
    programme = OverlapProgramme(frame, (grid,) * len(frame.pairs), effort, [])
    # The law of random rows on the grid, not feasible as it is, gives the first costs.
    density = np.exp(-frame.width * grid**2 / 2) * np.gradient(grid)
    start = (OverlapLaw(grid, density / density.sum()),) * len(frame.pairs)
    weights = programme.solve(frame_gradient(frame, start, gains, programme.grids)[1])
    best = _descend(programme, weights, gains)
    for _ in range(effort.refinements):
        programme, weights = programme.refined(best.laws)
        best = _descend(programme, weights, best.gains)
    return best


def best_gains(
    frame: FrameClasses, laws: Laws, gains: Gains, bounds: tuple[float, float] = _GAINS
) -> tuple[Gains, float]:
    """The gains between `bounds` of least loss for given laws, from `gains`, and that loss."""
    scale = frame_loss(frame, laws, gains)

    def relative(log_gains: Gains) -> float:
        return frame_loss(frame, laws, np.exp(log_gains)) / scale

    found: Any = minimize(
        relative,
        np.log(gains),
        method="L-BFGS-B",
        bounds=[tuple(np.log(bounds))] * len(gains),
        options={"maxiter": 12, "eps": 1e-4},
    )
    return np.exp(found.x), float(found.fun) * scale


def _grid(width: int, points: int) -> Float[np.ndarray, " points"]:
    """Points on [-1, 1], denser near 0 where overlaps of order 1/sqrt(m) lie."""
    stretch = float(np.arcsinh(np.sqrt(width)))
    return np.sinh(np.linspace(-1, 1, points) * stretch) / np.sinh(stretch)


def _descend(programme: OverlapProgramme, weights: Weights, gains: Gains) -> BestFrame:
    """Conditional gradients in the laws and quasi-Newton in the gains, in turn."""
    previous = np.inf
    for _ in range(_TURNS):
        weights, gap = _conditional_gradients(programme, weights, gains)
        laws = programme.laws(weights)
        gains, loss = best_gains(programme.frame, laws, gains)
        if previous - loss < programme.effort.tolerance * loss:
            break
        previous = loss
    return BestFrame(loss, gains, laws, gap)


def _conditional_gradients(
    programme: OverlapProgramme, weights: Weights, gains: Gains
) -> tuple[Weights, float]:
    frame, gap = programme.frame, np.inf
    for _ in range(_STEPS):
        laws = programme.laws(weights)
        loss, cost = frame_gradient(frame, laws, gains, programme.grids)
        ways = [t - w for t, w in zip(programme.solve(cost), weights, strict=True)]
        gap = -sum(float(c @ way) for c, way in zip(cost, ways, strict=True))
        if gap < programme.effort.tolerance * loss:
            break
        step, value = _line_search(programme, weights, ways, gains)
        if value >= loss:
            break
        weights = _moved(weights, ways, step)
    return weights, gap


def _moved(weights: Weights, ways: Weights, step: float) -> Weights:
    return [w + step * way for w, way in zip(weights, ways, strict=True)]


def _line_search(
    programme: OverlapProgramme, weights: Weights, ways: Weights, gains: Gains
) -> tuple[float, float]:
    """The step in (0, 1] of least loss, and the loss."""

    def along(step: float) -> float:
        laws = programme.laws(_moved(weights, ways, step))
        return frame_loss(programme.frame, laws, gains)

    inside, whole = least(along, (0.0, 1.0), 1e-2), along(1.0)
    return (1.0, whole) if whole < inside.value else (inside.at, inside.value)
