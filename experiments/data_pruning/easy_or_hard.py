"""Keep the easy examples or the hard ones? Easy ones while data are scarce, hard ones afterwards.

Command: scalinglab run easy-or-hard [--size smoke|default|paper]
Cost: smoke 20 s, default about two minutes on two CPU cores, paper about 10 minutes on one GPU.

For every pool and keep fraction both rules are simulated, and the pool alpha_tot*(f) at which the
two errors cross is read off simulation and theory by the same interpolation.

Expected at size default: with a perfect probe crossings at 12.3, 7.0, 6.5 for f = 0.2, 0.4, 0.6, as
the same line through the theory says (12.4, 6.8, 6.1; the theory's own are 10.3, 5.8, 4.9, the line
is coarse), none resolved at f = 0.8; at 20 degrees 5.7 and 3.0 for f = 0.4, 0.6. None of 37
differences of more than three standard errors has the wrong sign.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import data_pruning as model

from .imperfect_probe import Point, points
from .pruning_frontier import PAPER, SOURCE, dimension_of


class _Scale(NamedTuple):
    dimension: int
    pools: tuple[float, ...]
    fractions: tuple[float, ...]
    angles: tuple[float, ...]
    seeds: int


_SIZES = {
    "smoke": _Scale(20, (2.0, 4.0, 8.0, 16.0), (0.3, 0.6), (0.0,), 32),
    "default": _Scale(100, (2.0, 3.0, 4.5, 6.5, 9.5, 14.0), (0.2, 0.4, 0.6, 0.8), (0.0, 20.0), 48),
    "paper": _Scale(
        200,
        (2.0, 3.0, 4.5, 6.5, 9.5, 14.0, 20.0),
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        (0.0, 10.0, 20.0),
        400,
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Both rules over pools, keep fractions and angles."""
    scale = _SIZES[size]
    crossed = {
        "rule": ("abs_hard", "abs_easy"),
        "probe_angle_degrees": scale.angles,
        "keep_fraction": scale.fractions,
        "samples_per_dimension": scale.pools,
    }
    base = model.Config(dimension=scale.dimension)
    return {"map": Sweep(model, base, crossed, seeds=scale.seeds)}


class Difference(NamedTuple):
    """log(easy error / hard error) at one setting: positive where hard examples are better."""

    angle: float
    fraction: float
    pool: float
    measured: float
    error: float
    predicted: float


def differences(dataset: xr.Dataset) -> list[Difference]:
    """Easy against hard at every setting, by angle, keep fraction and pool."""
    both: dict[tuple[float, float, float], dict[str, Point]] = {}
    for point in points(dataset):
        pool = round(point.kept / point.fraction, 9)
        both.setdefault((point.angle, point.fraction, pool), {})[point.rule] = point
    return [
        Difference(
            *at,
            measured=float(np.log(rules["abs_easy"].mean / rules["abs_hard"].mean)),
            error=float(np.hypot(*(p.stderr / p.mean for p in rules.values()))),
            predicted=float(np.log(rules["abs_easy"].predicted / rules["abs_hard"].predicted)),
        )
        for at, rules in sorted(both.items())
    ]


class Crossing(NamedTuple):
    """The pool at which easy and hard examples are equally good, on both sides."""

    angle: float
    fraction: float
    pool: float
    error: float
    predicted: float


def crossings(dataset: xr.Dataset) -> list[Crossing]:
    """Where the theory's difference changes sign inside the window, and the simulation's there.

    The line through the four pools next to the change of sign, in log pool, is solved for 0: the
    same functional of measurement and theory. Its error is that of the ordinates.
    """
    found = []
    rows = differences(dataset)
    for angle, fraction in sorted({(row.angle, row.fraction) for row in rows}):
        mine = [row for row in rows if (row.angle, row.fraction) == (angle, fraction)]
        signs = np.sign([row.predicted for row in mine])
        if np.any(changes := (signs[:-1] < 0) & (signs[1:] > 0)):
            first = max(0, min(int(np.argmax(changes)) - 1, len(mine) - 4))
            found.append(_crossing(mine[first : first + 4]))
    return found


def _crossing(mine: list[Difference]) -> Crossing:
    x = np.log([row.pool for row in mine])
    weights = np.array([row.error for row in mine]) ** -2
    centre = np.average(x, weights=weights)
    spread = np.sum(weights * (x - centre) ** 2)

    def root(values: np.ndarray) -> tuple[float, float]:
        level = np.average(values, weights=weights)
        slope = np.sum(weights * (x - centre) * values) / spread
        return centre - level / slope, slope

    measured, slope = root(np.array([row.measured for row in mine]))
    predicted, _ = root(np.array([row.predicted for row in mine]))
    error = np.sqrt(1 / weights.sum() + (measured - centre) ** 2 / spread) / abs(slope)
    pool = float(np.exp(measured))
    return Crossing(
        mine[0].angle, mine[0].fraction, pool, float(error * pool), float(np.exp(predicted))
    )


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The crossovers, and the signs."""
    dataset = datasets["map"]
    dimension = dimension_of(dataset)
    rows = differences(dataset)
    pools = sorted({row.pool for row in rows})
    window = f"alpha_tot = {pools[0]:g}..{pools[-1]:g}, N = {dimension}"
    made = [_crossing_claim(one, window, dimension) for one in crossings(dataset)]
    return (*made, _sign_claim(rows, window))


def _crossing_claim(found: Crossing, window: str, dimension: int) -> Claim:
    return claim(
        "Easy examples are better in a small pool, hard ones in a large pool.",
        f"{PAPER}; {SOURCE}",
        f"alpha_tot*, f = {found.fraction:g}, theta = {found.angle:g}",
        found.pool,
        found.error,
        found.predicted,
        "deterministic_equivalent",
        window,
        # Both errors are uncertain by a finite-size 2/N of either sign, and their ratio changes by
        # about a third where the pool changes by e: 2/N / (1/3) in log pool, twice for two errors.
        margin=found.predicted * min(0.5, 12.0 / dimension),
    )


def _sign_claim(rows: list[Difference], window: str) -> Claim:
    clear = [row for row in rows if abs(row.measured) > 3 * row.error]
    right = [np.sign(row.measured) == np.sign(row.predicted) for row in clear]
    share = float(np.mean(right)) if right else np.nan
    return claim(
        "The better rule is the one that the theory names.",
        SOURCE,
        f"share of {len(clear)} clear differences with the predicted sign",
        share,
        0.0,
        1.0,
        "deterministic_equivalent",
        window,
        margin=0.5 / max(1, len(clear)),
        note="clear: more than three standard errors from 0",
    )


EXPERIMENT = Experiment(
    name="easy-or-hard",
    summary="whether to keep easy or hard examples, and where that changes",
    paper="arXiv:2206.14486 Fig. 3",
    cost={"smoke": "20 s", "default": "2 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
