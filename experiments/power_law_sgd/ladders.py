"""Ladders of sizes at one compute: SGD, its exact mean over features, and the equivalent.

The mean risk over features is measured with a control variate. Runs of a lane are divided by what
is exact for its features, which leaves the noise of the samples alone; the mean ratio times the
exact mean over other, fresh features is the estimate. Fresh features are nested, those of a small d
being part of those of a larger d, so that the best size at a given compute is not blurred by them.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Float64

from scalinglab.experiments.engine import Sweep
from scalinglab.models import power_law_sgd as model
from scalinglab.theory import power_law_sgd as theory
from scalinglab.theory.fitting import lower_envelope

from .lanes import Runs, all_runs

RATIO = 4
RECORDS = 40
RESAMPLES = 100
# Points of the frontier to a decade of compute.
_PER_DECADE = 20


class Rung(NamedTuple):
    """One size: its `size` d, recorded `steps`, the ratios of runs to exact means (runs, records),
    exact means of fresh features (draws, records), the `equivalent` (records,)."""

    size: int
    steps: np.ndarray
    ratio: Float64[np.ndarray, "runs records"]
    fresh: Float64[np.ndarray, "draws records"]
    equivalent: Float64[np.ndarray, " records"]

    @property
    def risk(self) -> np.ndarray:
        """The measured mean risk."""
        return self.ratio.mean(axis=0) * self.fresh.mean(axis=0)

    def resampled(self, runs: np.ndarray, draws: np.ndarray) -> np.ndarray:
        """The measured risk of resampled runs and features, given by shares in [0, 1)."""
        chosen = (runs * len(self.ratio)).astype(int)
        return self.ratio[chosen].mean(axis=0) * self.fresh[draws].mean(axis=0)


class Ladder(NamedTuple):
    """All sizes at one (alpha, beta)."""

    alpha: float
    beta: float
    rungs: tuple[Rung, ...]

    def risks(self) -> list[np.ndarray]:
        """The measured risks, an array a size."""
        return [rung.risk for rung in self.rungs]

    def equivalents(self) -> list[np.ndarray]:
        """The risks of the deterministic equivalent."""
        return [rung.equivalent for rung in self.rungs]

    def resamples(self, count: int = RESAMPLES) -> list[list[np.ndarray]]:
        """Measured risks with the runs of every size and the nested features resampled."""
        random = np.random.default_rng(0)
        draws = min(len(rung.fresh) for rung in self.rungs)
        found = []
        for _ in range(count):
            features = random.integers(0, draws, draws)
            found.append(
                [rung.resampled(random.random(len(rung.ratio)), features) for rung in self.rungs]
            )
        return found

    def at(self, compute: float, risks: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Sizes that reach this compute, up to the rounding of their steps, and their risks there,
        interpolated in the logarithms."""
        sizes, values = [], []
        for rung, risk in zip(self.rungs, risks, strict=True):
            if rung.steps[0] <= compute / rung.size <= rung.steps[-1] + 0.5:
                at = np.interp(np.log(compute / rung.size), np.log(rung.steps), np.log(risk))
                sizes.append(rung.size)
                values.append(np.exp(at))
        return np.array(sizes, float), np.array(values)

    def frontier(self, risks: Sequence[np.ndarray], grid: np.ndarray) -> theory.Frontier:
        """The lower envelope at the computes of `grid` where it has one."""
        size = np.concatenate([np.full(len(r.steps), float(r.size)) for r in self.rungs])
        compute = np.concatenate([r.steps * r.size for r in self.rungs])
        found = lower_envelope(size, compute, np.concatenate(risks), grid=grid)
        return theory.Frontier(found.compute, found.size, found.loss, found.num_discarded)


def ladder_sweep(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[int],
    compute: float,
    *,
    gamma0: float,
    seeds: int,
    runs: int,
) -> Sweep:
    """Every size at every point, each to the same compute f = r d."""
    lanes = [(a, b, d) for a, b in points for d in sizes]
    base = model.Config(
        num_parameters=sizes[0],
        ambient_dimension=RATIO * sizes[0],
        gamma0=gamma0,
        num_steps=round(compute / sizes[0]),
        records=RECORDS,
        runs=runs,
    )
    zipped = {
        "alpha": [a for a, _, _ in lanes],
        "beta": [b for _, b, _ in lanes],
        "num_parameters": [d for _, _, d in lanes],
        "ambient_dimension": [RATIO * d for _, _, d in lanes],
        "num_steps": [round(compute / d) for _, _, d in lanes],
    }
    return Sweep(model, base, {}, zipped, seeds)


def ladders(dataset: xr.Dataset, draws: int) -> tuple[Ladder, ...]:
    """The ladders of a dataset of `ladder_sweep`, with that many fresh features each."""
    found: dict[tuple[float, float], list[Runs]] = {}
    for runs in all_runs(dataset, draws):
        found.setdefault((runs.config.alpha, runs.config.beta), []).append(runs)
    return tuple(_ladder(point, rungs) for point, rungs in found.items())


def _ladder(point: tuple[float, float], rungs: list[Runs]) -> Ladder:
    config = rungs[0].config
    grid = theory.time_grid(np.concatenate([runs.steps for runs in rungs]).astype(int))
    sizes = np.array([runs.config.num_parameters for runs in rungs])
    curves = theory.equivalent_curves(
        *point, sizes, grid, ratio=float(RATIO), gamma0=float(config.gamma0 or 0.0)
    )
    return Ladder(
        *point,
        tuple(
            Rung(
                runs.config.num_parameters,
                runs.steps,
                runs.ratio,
                runs.fresh,
                curve[np.searchsorted(grid, runs.steps)],
            )
            for runs, curve in zip(rungs, curves, strict=True)
        ),
    )


class Pair(NamedTuple):
    """Of the size and of the risk: d* ~ f^xi, P* ~ f^-eta."""

    xi: float
    eta: float


def pair(frontier: theory.Frontier) -> Pair:
    """The fitted exponents of a frontier."""
    return Pair(*(float(x) for x in theory.frontier_exponents(frontier)))


class Exponents(NamedTuple):
    """The exponents over one window of compute: measured, with errors by resampling runs and
    features, and those of the equivalent; the frontiers they come from."""

    measured: Pair
    error: Pair
    predicted: Pair
    frontier: theory.Frontier
    equivalent: theory.Frontier


def exponents(ladder: Ladder, sizes: tuple[float, float]) -> Exponents:
    """The exponents where the equivalent's best size lies between two `sizes`, for both sides."""
    top = max(rung.size * rung.steps[-1] for rung in ladder.rungs)
    grid = np.geomspace(top / 1e4, top, 4 * _PER_DECADE + 1)
    equivalent = theory.window(ladder.frontier(ladder.equivalents(), grid), sizes)
    grid = equivalent.compute
    measured = ladder.frontier(ladder.risks(), grid)
    drawn = [pair(ladder.frontier(risks, grid)) for risks in ladder.resamples()]
    return Exponents(
        pair(measured),
        Pair(*np.std(np.array(drawn), axis=0, ddof=1).tolist()),
        pair(equivalent),
        measured,
        equivalent,
    )
