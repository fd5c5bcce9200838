"""The three recipes of compute-optimal fitting, applied to runs whose truth is known.

Command: scalinglab run approach-1-2-3 [--size smoke|default|paper]
Cost: smoke 30 s, default about two minutes on two CPU cores, paper about 15 minutes on one GPU.

Hoffmann et al. find the best size at a given compute in three ways, from one set of runs: (1) the
lower envelope of all runs, (2) a parabola through the sizes of equal compute, (3) a fit of
E + A N^-a + B D^-b, whose best size grows as C^(b/(a + b)). Here N = d, D = r (one sample a step),
C = N D, and the truth is the continuous minimum over sizes of the deterministic equivalent in the
same window of compute; recipe 3 is also tried with E held at its true value, 0. Simulated runs tell
what the recipes report; noisy copies of the equivalent tell how often their 95 % intervals cover
the truth.

Expected at size default, on the equivalent itself (true xi .445, .476, .510 in Ia, II, III): (1) is
right to .003 and its intervals cover; (2) is low by .008, .047, .080, a lopsided curve under a
parabola, and its intervals cover in 60, 0, 0 %; (3), for want of the product of powers of N and D
in II and III, is off by .02 to .03 in xi and .06 in eta of III; a free E makes eta of Ia .07 too
large, and where it ends at its bound 0 the Wald interval of xi is so wide that it covers.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import NamedTuple

import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Float64

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import Status
from scalinglab.theory import power_law_sgd as theory
from scalinglab.theory.fitting import (
    LEAST_SQUARES,
    Data,
    covariance,
    fit_many,
    fit_power_law,
    isoflop_minima,
    lower_envelope,
    optimum_scaling,
)
from scalinglab.theory.fitting.laws import find_law

from .ladders import RATIO, Ladder, Pair, ladder_sweep, ladders

PAPER = "arXiv:2203.15556, section 3"
LAW = find_law("chinchilla")
POINTS = ((0.75, 0.25), (0.8, 0.6), (1.0, 1.2))
GAMMA0 = 0.3
RECIPES = ("1 envelope", "2 isoFLOP", "3 law", "3 law, E = 0")
LEVELS = 8
NOISE = 0.01
REPLICATES = 60
# Resamples of each level behind an interval of recipe 2: its ends, quantiles at 2.5 %, scatter by
# sqrt(.025 .975/n)/.058 = .19 standard deviations, which lowers the coverage by .4 %.
RESAMPLES = 200
# Resamples that tell the error of a recipe on the simulation.
_ERRORS = 24
LEVEL = 0.95
_DRAWS, _TRUTH_PER_OCTAVE, _INTERVAL_DRAWS = 96, 8, 200
# Of the compute range, what the levels span: below, the small sizes alone have trained at all.
_SPAN = 40.0


class _Scale(NamedTuple):
    sizes: tuple[int, ...]
    compute: float
    seeds: int
    runs: int


_SIZES = {
    "smoke": _Scale((8, 12, 16, 24, 32, 48), 4000.0, 6, 16),
    "default": _Scale((8, 11, 16, 23, 32, 45, 64, 91), 16_000.0, 12, 24),
    "paper": _Scale((32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024), 6e6, 32, 16),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """A ladder of sizes in phases Ia, II and III."""
    scale = _SIZES[size]
    return {
        "runs": ladder_sweep(
            POINTS,
            scale.sizes,
            scale.compute,
            gamma0=GAMMA0,
            seeds=scale.seeds,
            runs=scale.runs,
        )
    }


class Grid(NamedTuple):
    """Runs of equal compute, one value a run.

    **Fields:** `alpha`, `beta`; `size` N, `compute` C, `risk`, measured; `drawn` (resamples, runs),
    with runs and features resampled; `predicted`, of the deterministic equivalent.
    """

    alpha: float
    beta: float
    size: Float64[np.ndarray, " runs"]
    compute: Float64[np.ndarray, " runs"]
    risk: Float64[np.ndarray, " runs"]
    drawn: Float64[np.ndarray, "resamples runs"]
    predicted: Float64[np.ndarray, " runs"]

    @property
    def levels(self) -> np.ndarray:
        """The computes."""
        return np.unique(self.compute)


def grids(dataset: xr.Dataset) -> tuple[Grid, ...]:
    """The runs of every phase at levels of equal compute."""
    return tuple(_grid(ladder) for ladder in ladders(dataset, _DRAWS))


def _grid(ladder: Ladder) -> Grid:
    top = min(rung.size * rung.steps[-1] for rung in ladder.rungs)
    levels = np.geomspace(top / _SPAN, top, LEVELS)

    def at_levels(risks: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        rows = [(level, *ladder.at(level, risks)) for level in levels]
        sizes = np.concatenate([sizes for _, sizes, _ in rows])
        compute = np.concatenate([np.full(len(sizes), level) for level, sizes, _ in rows])
        return sizes, compute, np.concatenate([values for _, _, values in rows])

    size, compute, risk = at_levels(ladder.risks())
    drawn = np.stack([at_levels(risks)[2] for risks in ladder.resamples()])
    predicted = at_levels(ladder.equivalents())[2]
    return Grid(ladder.alpha, ladder.beta, size, compute, risk, drawn, predicted)


class Report(NamedTuple):
    """What a recipe says of xi and eta, and the ends of its 95 % interval of xi."""

    value: Pair
    low: float
    high: float


def reports(grid: Grid, risks: Float64[np.ndarray, "sets runs"]) -> dict[str, list[Report]]:
    """Every recipe on many sets of risks at the runs of a grid; NaN where one has no answer.

    The law has intervals for the last `REPLICATES` sets only, which are what coverage needs.
    """
    return {
        RECIPES[0]: [_attempt(_envelope, grid, risk) for risk in risks],
        RECIPES[1]: [_attempt(_isoflop, grid, risk) for risk in risks],
        RECIPES[2]: _law(grid, risks, {}),
        RECIPES[3]: _law(grid, risks, {"E": 0.0}),
    }


_NOTHING = Report(Pair(np.nan, np.nan), np.nan, np.nan)


def _attempt(recipe: Callable[[Grid, np.ndarray], Report], grid: Grid, risk: np.ndarray) -> Report:
    """A recipe, or no numbers where too few levels have an optimum inside the sizes."""
    try:
        return recipe(grid, risk)
    except ValueError:
        return _NOTHING


def _envelope(grid: Grid, risk: np.ndarray) -> Report:
    found = lower_envelope(grid.size, grid.compute, risk, grid=grid.levels)
    size, loss = (fit_power_law(found.compute, y) for y in (found.size, found.loss))
    low, high = (-float(x) for x in size.interval[::-1])
    return Report(Pair(-float(size.exponent), float(loss.exponent)), low, high)


def _isoflop(grid: Grid, risk: np.ndarray) -> Report:
    # Weights of equal relative error; the resamples are of log-normal noise of that size.
    found = isoflop_minima(
        grid.compute,
        grid.size,
        risk,
        standard_error=NOISE * risk,
        resamples=RESAMPLES,
        key=jr.key(0),
    )
    scaling = optimum_scaling(found.compute, found.size, draws=found.draws)
    there = np.isfinite(found.size)
    eta = float(fit_power_law(found.compute[there], found.loss[there]).exponent)
    low, high = (float(x) for x in scaling.interval)
    return Report(Pair(scaling.exponent, eta), low, high)


def _law(grid: Grid, risks: np.ndarray, fixed: Mapping[str, float]) -> list[Report]:
    x = {"N": grid.size, "D": grid.compute / grid.size}
    fits = fit_many(LAW, [Data(x, risk) for risk in risks], loss=LEAST_SQUARES, fix=fixed, starts=4)
    random = np.random.default_rng(0)
    found = []
    for one in fits:
        if one.status != Status.OK:
            found.append(_NOTHING)
            continue
        a, b = (one.parameters[name] for name in ("alpha", "beta"))
        value = Pair(b / (a + b), a * b / (a + b))
        if len(found) < len(risks) - REPLICATES:
            found.append(Report(value, np.nan, np.nan))
            continue
        # Along a bound such as E = 0 the likelihood is flat and its curvature may round below 0.
        curvature, axes = np.linalg.eigh(covariance(one))
        spread = axes * np.sqrt(np.maximum(curvature, 0.0))
        draws = random.standard_normal((_INTERVAL_DRAWS, len(curvature))) @ spread.T
        drawn = one.naturals(one.phi[:, None] + draws.T)
        with np.errstate(invalid="ignore"):
            shares = drawn["beta"] / (drawn["alpha"] + drawn["beta"])
        low, high = np.nanquantile(shares, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        found.append(Report(value, float(low), float(high)))
    return found


@lru_cache(maxsize=16)
def truth(alpha: float, beta: float, low: float, high: float) -> Pair:
    """xi and eta of the equivalent between two computes, over a dense ladder of sizes."""
    sizes = theory.size_ladder(4, 1.2 * np.sqrt(high) * 4, per_octave=_TRUTH_PER_OCTAVE)
    grid = theory.time_grid([round(high / sizes[0])])
    curves = theory.equivalent_curves(alpha, beta, sizes, grid, ratio=float(RATIO), gamma0=GAMMA0)
    found = theory.compute_optimal_frontier(sizes, grid, curves, grid=np.geomspace(low, high, 40))
    value = theory.frontier_exponents(found)
    return Pair(float(value.xi), float(value.eta))


def truth_of(grid: Grid) -> Pair:
    """The truth in the window of a grid."""
    return truth(grid.alpha, grid.beta, float(grid.levels[0]), float(grid.levels[-1]))


class Outcome(NamedTuple):
    """One recipe in one phase.

    **Fields:** `measured` on the simulation, `error` by resampling; `noiseless`, on the equivalent
    itself; `covered`, the noisy copies whose 95 % interval of xi holds the truth, of `answered`
    that have an interval; the others of `REPLICATES` failed.
    """

    recipe: str
    measured: Pair
    error: Pair
    noiseless: Pair
    covered: int
    answered: int

    @property
    def coverage(self) -> float:
        """The share of intervals that hold the truth; NaN where there is none."""
        return self.covered / self.answered if self.answered else np.nan

    @property
    def coverage_error(self) -> float:
        """Its binomial standard error, that of one copy where all or none cover."""
        share, count = self.coverage, max(self.answered, 1)
        return float(np.sqrt(max(share * (1 - share), 1 / count) / count))

    @property
    def failed(self) -> int:
        """The copies on which the recipe has no interval."""
        return REPLICATES - self.answered


class _ByRisks:
    """A grid as the argument of a cache, told apart by its risks."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        self._bytes = grid.drawn.tobytes() + grid.predicted.tobytes()

    def __hash__(self) -> int:
        return hash(self._bytes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByRisks) and self._bytes == other._bytes


def outcomes(grid: Grid) -> tuple[Outcome, ...]:
    """The four recipes on one grid."""
    return _outcomes(_ByRisks(grid))


# A figure asks for what the claims have asked for before.
@lru_cache(maxsize=16)
def _outcomes(risks: _ByRisks) -> tuple[Outcome, ...]:
    grid = risks.grid
    random = np.random.default_rng(round(1000 * grid.alpha + 100 * grid.beta))
    noise = np.exp(NOISE * random.standard_normal((REPLICATES, len(grid.risk))))
    some = grid.drawn[:_ERRORS]
    found = reports(
        grid, np.concatenate([grid.risk[None], grid.predicted[None], some, grid.predicted * noise])
    )
    xi = truth_of(grid).xi
    made = []
    for recipe, told in found.items():
        drawn = np.array([one.value for one in told[2 : 2 + len(some)]])
        copies = told[2 + len(some) :]
        inside = sum(one.low <= xi <= one.high for one in copies)
        answered = sum(bool(np.isfinite(one.low) and np.isfinite(one.high)) for one in copies)
        spread = Pair(*np.nanstd(drawn, axis=0, ddof=1).tolist())
        made.append(Outcome(recipe, told[0].value, spread, told[1].value, inside, answered))
    return tuple(made)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Each recipe in each phase: xi, eta, and coverage."""
    claims: list[Claim] = []
    for grid in grids(datasets["runs"]):
        true = truth_of(grid)
        name = f"{theory.phase(grid.alpha, grid.beta)} ({grid.alpha:g}, {grid.beta:g})"
        window = f"f = {grid.levels[0]:g}..{grid.levels[-1]:g}"
        for one in outcomes(grid):
            claims += _claims(one, true, name, window)
    return tuple(claims)


def _claims(one: Outcome, true: Pair, name: str, window: str) -> list[Claim]:
    found = [
        claim(
            f"The recipe recovers {quantity} of runs whose optimum is known.",
            PAPER,
            f"{quantity} by {one.recipe}, {name}",
            getattr(one.measured, quantity),
            getattr(one.error, quantity),
            getattr(true, quantity),
            "heuristic",
            window,
            note=f"on the equivalent itself {getattr(one.noiseless, quantity):.3f}",
        )
        for quantity in ("xi", "eta")
    ]
    return [
        *found,
        claim(
            "95 % intervals of the recipe cover the true xi.",
            PAPER,
            f"coverage of xi by {one.recipe}, {name}",
            one.coverage,
            one.coverage_error,
            LEVEL,
            "heuristic",
            f"{window}, {NOISE:.0%} noise, {REPLICATES} copies",
            margin=0.07,
            note=f"{one.failed} of {REPLICATES} copies without an interval, not counted",
        ),
    ]


EXPERIMENT = Experiment(
    name="approach-1-2-3",
    summary="three recipes for the best size, on runs whose optimum is known",
    paper="arXiv:2203.15556",
    cost={"smoke": "30 s", "default": "2 min", "paper": "15 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
