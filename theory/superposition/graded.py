"""Frames for steep frequencies: classes of features with overlap laws and gains of their own.

Symbols: as in `linear_programme`; h private, K represented features; theta of `trained`.

With one overlap law for all, frequent features suffer the same interference as rare ones. A trained
frame is graded: frequent rows stay nearly orthogonal to each other, and the rarer the rows, the
more they crowd. Here the ranks h+1..K fall into C classes, at boundaries in geometric progression,
 with a law D_cd for each pair and a gain a_c each. The constraints (N) between classes
are semidefinite. C = 1 is the linear programme with a private core; C = 2 lowers it by up to two,
C = 3 by another tenth to fifth, C = 4 by 3 to 7%.

The upper estimate is a frame of random rows with class gains and the same core. That one is
achievable: the best frame's loss is not above it.
"""

import itertools
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .activity import Features, grouped
from .frame_classes import FrameClasses
from .linear_programme import best_frame, best_gains
from .overlap_constraints import Effort
from .overlaps import random_overlap_law
from .search import Scan, best_split
from .trained import Bracket, interpolate

_ROUGH = Effort(orders=6, points=31, refinements=0, tolerance=1e-2, violation=2e-2)
_FINE = Effort(orders=6, points=61, refinements=1, tolerance=1e-3, violation=3e-3)
# Fourier points: 1e-4 of the loss.
_SIZE = 256
_PROGRAMME_SCAN = Scan((0.0, 0.1, 0.2), 4)
_GAINS = 0.4, 3.5
# The first boundary between classes is that of a progression from this rank or the core's end.
_FROM = 3


class GradedFrame(NamedTuple):
    """A graded frame: `loss` of all n features, h, K, and the `gains` of its classes."""

    loss: float
    private: int
    count: int
    gains: tuple[float, ...]


def frequency_classes(
    probabilities: Float[np.ndarray, " features"], first: int, last: int, classes: int
) -> tuple[Features, ...]:
    """Ranks first < i <= last in `classes` parts, geometric in rank; one part if all are equal."""
    if probabilities[first] == probabilities[last - 1]:
        return (grouped(probabilities, first, last),)
    inner = np.geomspace(max(first, _FROM), last, classes + 1)[1:-1].round().astype(int)
    edges = np.unique(np.concatenate([[first], inner, [last]]))
    edges = edges[(edges >= first) & (edges <= last)].tolist()
    return tuple(
        grouped(probabilities, low, high, ratio=1.25) for low, high in itertools.pairwise(edges)
    )


def graded_programme(
    probabilities: Float[np.ndarray, " features"], width: int, classes: int = 3
) -> GradedFrame:
    """The minimum of (FC) under (N) over laws, gains, h and K: a lower estimate, not a bound.

    **Arguments:** `probabilities` p_1 >= p_2 >= ...; `width` m >= 2; `classes` C >= 1.
    """

    def solved(private: int, count: int, how: Effort) -> tuple[float, tuple[float, ...]]:
        parts = frequency_classes(probabilities, private, count, classes)
        found = best_frame(FrameClasses(parts, width - private, _SIZE), how)
        return found.loss, tuple(found.gains.tolist())

    def shared(private: int, count: int) -> tuple[float, tuple[float, ...]]:
        return solved(private, count, _ROUGH)

    _require(width, classes)
    split = best_split(probabilities, width, shared, least_width=2, scan=_PROGRAMME_SCAN)
    if split.count == width:
        return GradedFrame(split.loss, width, width, ())
    rough, _ = shared(split.private, split.count)
    fine, gains = solved(split.private, split.count, _FINE)
    return GradedFrame(split.loss - rough + fine, split.private, split.count, gains)


def graded_random_frame(
    probabilities: Float[np.ndarray, " features"], width: int, classes: int = 3
) -> GradedFrame:
    """Random rows with class gains beside a private core, at the best biases: an upper bound.

    The mean of (RF) over frames, minimised over gains, biases, h and K; the best frame of all has
    at most this loss.

    **Arguments:** as `graded_programme`.
    """

    def shared(private: int, count: int) -> tuple[float, tuple[float, ...]]:
        parts = frequency_classes(probabilities, private, count, classes)
        frame = FrameClasses(parts, width - private, _SIZE)
        laws = (random_overlap_law(width - private, 24),) * len(frame.pairs)
        gains, loss = best_gains(frame, laws, np.full(len(parts), 1.3), _GAINS)
        return loss, tuple(gains.tolist())

    _require(width, classes)
    split = best_split(probabilities, width, shared, least_width=2)
    return GradedFrame(split.loss, split.private, split.count, split.detail or ())


def graded_bracket(
    probabilities: Float[np.ndarray, " features"], width: int, classes: int = 3
) -> Bracket:
    """The two graded estimates and their interpolation, with the theta fitted at alpha = 0.

    **Arguments:** as `graded_programme`.
    """
    lower = graded_programme(probabilities, width, classes).loss
    upper = graded_random_frame(probabilities, width, classes).loss
    return Bracket(lower, upper, interpolate(lower, upper, len(probabilities)))


def _require(width: int, classes: int) -> None:
    for name, value, low in (("width", width, 2), ("classes", classes, 1)):
        if value < low:
            raise ValueError(f"{name}: {value}; give at least {low}")
