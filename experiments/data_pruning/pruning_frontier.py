"""Does the test error fall exponentially along the frontier of pruned data, or as a power law?

Command: scalinglab run pruning-frontier [--size smoke|default|paper]
Cost: smoke 15 s, default about three minutes on two CPU cores, paper about 10 minutes on one GPU.

A teacher labels examples, a perfect probe keeps the hardest fraction f of them, and the student is
the max-margin hyperplane of the kept ones. At fixed f the error falls as 1/alpha_prune, as it does
without pruning. Only along a path f(alpha_prune) -> 0 can it fall faster. With an unlimited pool
there is no frontier beyond alpha_prune = 2: the error is f Psi(alpha_prune) there, which goes
to 0 with f. A frontier needs a floor on f or a cap on the pool, and both are drawn here: each falls
fast through alpha_prune = 2, and then as 1/alpha_prune (floor) or not at all (cap).

Expected at size default: simulation over theory .991(2), .993(3), .994(5), 1.025(9) for f = 1, .5,
.2, .1; exponents .88 to 1.04 at fixed f, as the theory has them; a power law fitted to the lower
half of either frontier is off by a factor of 19 and more at its end, an exponential by 1.7 (floor)
and 30 (cap).
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.comparison import Row, compare
from scalinglab.experiments.curves import Statement, curves, exponent_claims
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import data_pruning as model
from scalinglab.theory import data_pruning as theory
from scalinglab.theory.fitting import fit_power_law

SOURCE = "equations E1-E3 of theory.data_pruning"
PAPER = "arXiv 2206.14486, Fig. 1"
FLOOR = 0.1
CAP = 40.0


class _Scale(NamedTuple):
    dimension: int
    fractions: tuple[float, ...]
    kept: tuple[float, ...]
    seeds: int


_SIZES = {
    "smoke": _Scale(20, (1.0, 0.2, 0.1), (1.0, 2.0, 4.0, 8.0), 24),
    "default": _Scale(100, (1.0, 0.5, 0.2, 0.1), (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0), 192),
    "paper": _Scale(
        200, (1.0, 0.7, 0.5, 0.35, 0.2, 0.1), (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 6.0, 8.0), 400
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """A ladder of f over kept examples a dimension, and the pool held at its cap."""
    scale = _SIZES[size]
    base = model.Config(rule="abs_hard", dimension=scale.dimension)
    ladder = [(kept / f, f) for f in scale.fractions for kept in scale.kept]
    capped = [(CAP, kept / CAP) for kept in scale.kept]
    return {
        "ladder": Sweep(model, base, {}, _zipped(ladder), scale.seeds),
        "capped": Sweep(model, base, {}, _zipped(capped), scale.seeds),
    }


def _zipped(settings: list[tuple[float, float]]) -> dict[str, list[float]]:
    pools, fractions = zip(*settings, strict=True)
    return {"samples_per_dimension": list(pools), "keep_fraction": list(fractions)}


class Point(NamedTuple):
    """One setting: kept examples a dimension, keep fraction, and the error on both sides."""

    kept: float
    fraction: float
    mean: float
    stderr: float
    predicted: float


def points(dataset: xr.Dataset) -> list[Point]:
    """The compared test errors of a sweep, by kept examples a dimension."""
    rows = [row for row in compare(dataset, theory).rows if row.observable == "test_error"]
    return sorted(map(_point, rows))


def _point(row: Row) -> Point:
    fraction = float(row.point["keep_fraction"])
    kept = float(row.point["samples_per_dimension"]) * fraction
    # The products that make a ladder round in their last digit.
    return Point(round(kept, 9), fraction, row.mean, row.stderr, row.predicted)


def frontiers(datasets: Mapping[str, xr.Dataset]) -> dict[str, list[Point]]:
    """Name to frontier: of all f at or above `FLOOR` the one of least predicted error at each
    number of kept examples, and the pool of `CAP` examples a dimension."""
    ladder = points(datasets["ladder"])
    kept = sorted({point.kept for point in ladder})
    best = [
        min((p for p in ladder if p.kept == one), key=lambda point: point.predicted) for one in kept
    ]
    return {f"f >= {FLOOR:g}": best, f"alpha_tot = {CAP:g}": points(datasets["capped"])}


class Extrapolation(NamedTuple):
    """A law fitted to the lower half of a frontier and carried to its last point.

    **Fields:** `law`; `amplitude` and `rate` of A exp(-rate x), with x = alpha or log alpha;
    `cut`, the last fitted alpha; `miss`, log of the law over the error at the last point;
    `error` of it.
    """

    law: str
    amplitude: float
    rate: float
    cut: float
    miss: float
    error: float

    def __call__(self, kept: np.ndarray) -> np.ndarray:
        x = kept if self.law == "exponential" else np.log(kept)
        return self.amplitude * np.exp(-self.rate * x)


def extrapolate(frontier: list[Point], law: str) -> Extrapolation:
    """An exponential or a power law through the lower half, by errors of log error."""
    kept, mean, stderr = (
        np.array([getattr(point, name) for point in frontier])
        for name in ("kept", "mean", "stderr")
    )
    half = (len(kept) + 1) // 2
    # A exp(-c alpha) is a power law in exp(alpha).
    x = np.exp(kept) if law == "exponential" else kept
    fit = fit_power_law(x[:half], mean[:half], standard_error=stderr[:half])
    last = float(np.log(x[-1]))
    # The covariance of intercept and slope, from the weights that the fit used.
    weights = (mean[:half] / stderr[:half]) ** 2
    centre = float(np.average(np.log(x[:half]), weights=weights))
    line_error = float(fit.exponent_error) * (last - centre)
    error = np.sqrt(1 / weights.sum() + line_error**2 + (stderr[-1] / mean[-1]) ** 2)
    amplitude, rate = float(np.exp(fit.log_amplitude)), float(fit.exponent)
    miss = float(fit.log_amplitude) - rate * last - np.log(mean[-1])
    return Extrapolation(law, amplitude, rate, float(kept[half - 1]), float(miss), float(error))


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Theory against simulation, 1/alpha at fixed f, and two laws of the frontier."""
    dimension = dimension_of(datasets["ladder"])
    fixed = [
        made
        for curve in curves(datasets["ladder"], "test_error", "samples_per_dimension", theory)
        for made in exponent_claims(curve, _FIXED, 3.0 / float(curve.fixed["keep_fraction"]))
    ]
    laws = [
        _law_claim(name, extrapolate(frontier, law))
        for name, frontier in frontiers(datasets).items()
        for law in ("exponential", "power law")
    ]
    return (*_level_claims(datasets, dimension), *fixed, *laws)


_FIXED = Statement(
    sentence="At fixed keep fraction the test error falls as 1/alpha.",
    source=f"{PAPER}; section 2.3 of docs/data_pruning.md",
    quantity="exponent of the test error",
    symbol="alpha_tot",
    asymptotic=lambda fixed: 1.0,
)


def dimension_of(dataset: xr.Dataset) -> int:
    """N, which no sweep here varies."""
    return int(json.loads(dataset.attrs["config"])["dimension"])


def _level_claims(datasets: Mapping[str, xr.Dataset], dimension: int) -> list[Claim]:
    ladder = points(datasets["ladder"])
    claims = []
    for fraction in sorted({point.fraction for point in ladder}, reverse=True):
        mine = [point for point in ladder if point.fraction == fraction]
        ratios = np.array([point.mean / point.predicted for point in mine])
        errors = np.array([point.stderr / point.predicted for point in mine])
        claims.append(
            claim(
                "The test error of pruned data is that of the saddle point.",
                SOURCE,
                f"error/theory, f = {fraction:g}",
                ratios.mean(),
                np.sqrt((errors**2).sum()) / len(errors),
                1.0,
                "deterministic_equivalent",
                f"alpha_prune = {mine[0].kept:g}..{mine[-1].kept:g}, N = {dimension}",
                margin=2.0 / dimension,
            )
        )
    return claims


def _law_claim(name: str, found: Extrapolation) -> Claim:
    return claim(
        "Along the frontier the test error falls exponentially."
        if found.law == "exponential"
        else "Along the frontier the test error is a power law.",
        PAPER,
        f"log of {found.law} over error, {name}",
        found.miss,
        found.error,
        0.0,
        "heuristic",
        f"fitted to alpha_prune <= {found.cut:g}, asked at the last point",
        margin=0.1,
        note="a unit of 1 is a factor e",
    )


EXPERIMENT = Experiment(
    name="pruning-frontier",
    summary="test error against kept examples, and what its frontier over f is",
    paper="arXiv:2206.14486 Fig. 1",
    cost={"smoke": "15 s", "default": "3 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
