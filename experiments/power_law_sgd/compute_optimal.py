"""The compute-optimal frontier of SGD: which size to train at a given compute, and what it reaches.

Command: scalinglab run compute-optimal [--size smoke|default|paper]
Cost: smoke 30 s, default about two minutes on two CPU cores, paper about 15 minutes on one GPU.

A ladder of sizes at one point of each phase, each trained to the same compute f = r d. Three
numbers for each exponent, never mixed:

- of SGD, in a window of d* from about 12 to 70, against the deterministic equivalent of the same
  sizes in the same window: the test;
- of the equivalent in a window a thousand times larger, d* = 150..3e4;
- the asymptotic table. How far the windows are from it is the finding: not at all in Ia, II and
  III, by 8 to 32 % in eta of Ib and Ic and xi of IVa even in the large window.

Expected at size default: every xi and eta of SGD within 1.5 standard errors (.02 to .03 and .005 to
.02) of those of the equivalent in its window; eta of Ia .362 there, .396 in the large window, .400
in the limit; xi of IVa .57, .636 and 1/2.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.theory import power_law_sgd as theory

from .ladders import RATIO, Exponents, Ladder, Pair, exponents, ladder_sweep, ladders, pair
from .phase_curves import PAPER, POINTS

GAMMA0 = 0.3
# The equivalent alone: sizes of the ladder, window of d*, and gamma0 of its table in the notes.
LARGE_LADDER = (50.0, 1e5)
LARGE_WINDOW = (150.0, 3e4)
LARGE_GAMMA0 = 0.5
_LONGEST = 10**11
_NAMES = ("xi", "eta")


class _Scale(NamedTuple):
    sizes: tuple[int, ...]
    compute: float
    window: tuple[float, float]
    seeds: int
    runs: int


_SIZES = {
    "smoke": _Scale((8, 12, 16, 24, 32), 2400.0, (10.0, 25.0), 6, 16),
    "default": _Scale((8, 11, 16, 23, 32, 45, 64, 91, 128), 24_000.0, (12.0, 70.0), 12, 32),
    "paper": _Scale(
        (32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024), 6e6, (50.0, 600.0), 32, 16
    ),
}
_DRAWS = 128


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """The ladder at one point of every phase."""
    scale = _SIZES[size]
    return {
        "ladder": ladder_sweep(
            POINTS,
            scale.sizes,
            scale.compute,
            gamma0=GAMMA0,
            seeds=scale.seeds,
            runs=scale.runs,
        )
    }


class Optimal(NamedTuple):
    """One phase: its `name`, the ladder, the exponents in the window of SGD, and their limit."""

    name: str
    ladder: Ladder
    window: Exponents
    limit: Pair


def optima(dataset: xr.Dataset) -> tuple[Optimal, ...]:
    """The frontiers of all phases."""
    found = ladders(dataset, _DRAWS)
    sizes = tuple(rung.size for rung in found[0].rungs)
    window = next(scale.window for scale in _SIZES.values() if scale.sizes == sizes)
    return tuple(optimal(ladder, window) for ladder in found)


def optimal(ladder: Ladder, window: tuple[float, float]) -> Optimal:
    """The exponents of one ladder where the equivalent's best size is in the window."""
    at = (ladder.alpha, ladder.beta)
    limit = theory.compute_optimal_exponents(*at)
    return Optimal(
        theory.phase(*at),
        ladder,
        exponents(ladder, window),
        Pair(float(limit.xi), float(limit.eta)),
    )


def finite_size(found: Optimal) -> Pair:
    """What the stated error e(d) of the equivalent changes in xi and eta over the window.

    log P* changes by e(d*) and, with k the curvature of log P against log d at fixed compute and
    e ~ 1/d, log d* by e/k; the exponents by the difference of these between the ends over that of
    log f.
    """
    frontier = found.window.equivalent
    middle = len(frontier.compute) // 2
    sizes, risks = found.ladder.at(frontier.compute[middle], found.ladder.equivalents())
    near = np.argsort(np.abs(np.log(sizes / frontier.size[middle])))[:5]
    curvature = 2 * np.polyfit(np.log(sizes[near]), np.log(risks[near]), 2)[0]
    first, last = (_stated(found.ladder, float(frontier.size[end])) for end in (0, -1))
    eta = abs(first - last) / np.log(frontier.compute[-1] / frontier.compute[0])
    return Pair(float(eta / curvature), float(eta))


def margin(found: Optimal, name: str) -> float:
    """What the equivalent itself may be off at these sizes, and at most the margin of `agree`."""
    predicted = getattr(found.window.predicted, name)
    return min(getattr(finite_size(found), name), max(0.02, 0.05 * predicted))


def _stated(ladder: Ladder, size: float) -> float:
    problem = theory.power_law_problem(
        ladder.alpha, ladder.beta, size, float(np.rint(RATIO * size)), gamma0=GAMMA0
    )
    return float(theory.stated_error(problem))


@lru_cache(maxsize=32)
def large_frontier(alpha: float, beta: float) -> theory.Frontier:
    """The frontier of the equivalent with d* from a hundred to thirty thousand."""
    sizes = theory.size_ladder(*LARGE_LADDER, per_octave=4)
    grid = theory.time_grid([_LONGEST], points_per_decade=40)
    curves = theory.equivalent_curves(alpha, beta, sizes, grid, gamma0=LARGE_GAMMA0)
    return theory.window(theory.compute_optimal_frontier(sizes, grid, curves), LARGE_WINDOW)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """In the window, in the large window, and the limit, for xi and eta of each phase."""
    claims: list[Claim] = []
    for found in optima(datasets["ladder"]):
        large = pair(large_frontier(found.ladder.alpha, found.ladder.beta))
        for name in _NAMES:
            claims += _claims(found, name, getattr(large, name))
    return tuple(claims)


def _claims(found: Optimal, name: str, large: float) -> list[Claim]:
    quantity = f"{name}, {found.name} ({found.ladder.alpha:g}, {found.ladder.beta:g})"
    frontier, limit = found.window.equivalent, getattr(found.limit, name)
    window = f"f = {frontier.compute[0]:.3g}..{frontier.compute[-1]:.3g}"
    measured, error = getattr(found.window.measured, name), getattr(found.window.error, name)
    return [
        claim(
            "The compute-optimal frontier of SGD is that of the deterministic equivalent.",
            f"{PAPER}; section 3.4 of docs/power_law_sgd.md",
            quantity,
            measured,
            error,
            getattr(found.window.predicted, name),
            "deterministic_equivalent",
            window,
            margin=margin(found, name),
        ),
        claim(
            "The compute-optimal exponents are those of the table of phases.",
            f"{PAPER}, table 2",
            quantity,
            measured,
            error,
            limit,
            "asymptotic",
            window,
        ),
        claim(
            "The exponents of the equivalent reach the table of phases.",
            f"{PAPER}, table 2",
            f"{quantity}, equivalent",
            large,
            0.0,
            limit,
            "asymptotic",
            f"d* = {LARGE_WINDOW[0]:g}..{LARGE_WINDOW[1]:g}",
            margin=0.01,
        ),
    ]


EXPERIMENT = Experiment(
    name="compute-optimal",
    summary="best size and risk at a given compute, in the window and in the limit",
    paper="arXiv:2405.15074 Fig. 4",
    cost={"smoke": "30 s", "default": "2 min", "paper": "15 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
