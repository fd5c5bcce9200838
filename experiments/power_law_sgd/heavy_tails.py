"""Expected against typical risk: at large learning rates the mean of SGD is made by rare runs.

Command: scalinglab run heavy-tails [--size smoke|default|paper]
Cost: smoke 15 s, default about one minute on two CPU cores, paper about 5 minutes on one GPU.

SGD multiplies its error by random factors A. The mean risk grows by E A^2 a step, a typical run by
exp(2 E log A), which is less; with label noise the stationary error has a power-law tail of the
index kappa of Kesten, E A^kappa = 1. Three measurements:

- equal eigenvalues without noise: the mean of log risk, against 2 E log A, exact;
- one eigenvalue with noise: the Hill estimate of kappa, against E A^kappa = 1;
- random features: the median of runs over the exact mean, for a steep spectrum (alpha > 1), where
  one eigenvalue makes most of the noise, and for a flatter one, at three rates.

Expected at size default: Hill 3.63, 2.80, 2.37 (+- 4 %) against kappa = 3.81, 2.90, 2.30 at rates
.4, .5, .6; median over mean .95 at gamma0 = 0.2 and .52 at gamma0 = 0.75 for alpha = 1.25, .98 and
.86 for alpha = 0.75.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import power_law_sgd as model
from scalinglab.theory import power_law_sgd as theory

from .lanes import Runs, all_runs

SOURCE = "theory.power_law_sgd.tails, after Kesten (1973) and arXiv:2006.04740"
TAIL_RATES = (0.4, 0.5, 0.6)
ISOTROPIC_RATES = (0.05, 0.1, 0.15)
MODES = 8
POINTS = ((1.25, 0.75), (0.75, 0.25))
GAMMAS = (0.2, 0.5, 0.75)
# The share of runs in the tail that Hill's estimate takes.
TOP = 0.005
# Hill's bias at that share is below this for kappa < 4, by its values on the exact law of A.
HILL_MARGIN = 0.15


class _Scale(NamedTuple):
    tail_runs: int
    isotropic_runs: int
    parameters: int
    steps: int
    seeds: int
    runs: int


_SIZES = {
    "smoke": _Scale(16384, 1024, 12, 200, 2, 64),
    "default": _Scale(131072, 8192, 40, 1000, 2, 256),
    "paper": _Scale(1048576, 65536, 200, 20_000, 8, 512),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """The tail of one mode, the decay of equal modes, and random features at three rates."""
    scale = _SIZES[size]
    one = model.Config(
        alpha=1.0,
        num_parameters=1,
        ambient_dimension=1,
        features="identity",
        gamma0=None,
        learning_rate=TAIL_RATES[0],
        noise_variance=1.0,
        num_steps=100,
        records=3,
        runs=scale.tail_runs,
    )
    equal = model.Config(
        alpha=0.0,
        beta=0.0,
        num_parameters=MODES,
        ambient_dimension=MODES,
        features="identity",
        gamma0=None,
        learning_rate=ISOTROPIC_RATES[0],
        num_steps=80,
        records=12,
        runs=scale.isotropic_runs,
    )
    features = model.Config(
        num_parameters=scale.parameters,
        ambient_dimension=4 * scale.parameters,
        num_steps=scale.steps,
        records=30,
        runs=scale.runs,
    )
    lanes = [(*point, gamma) for point in POINTS for gamma in GAMMAS]
    zipped = {
        name: [lane[i] for lane in lanes] for i, name in enumerate(("alpha", "beta", "gamma0"))
    }
    return {
        "tail": Sweep(model, one, {"learning_rate": TAIL_RATES}),
        "isotropic": Sweep(model, equal, {"learning_rate": ISOTROPIC_RATES}),
        "features": Sweep(model, features, {}, zipped, scale.seeds),
    }


class Tail(NamedTuple):
    """The stationary error of one mode at one rate.

    **Fields:** `rate`; `sizes`, |error| of every run, descending; `index`, Hill's estimate, with
    its `error`; `expected`, Kesten's.
    """

    rate: float
    sizes: np.ndarray
    index: float
    error: float
    expected: float


def tails(dataset: xr.Dataset) -> tuple[Tail, ...]:
    """Hill's estimates from the last recorded step."""
    return tuple(_tail(runs) for runs in all_runs(dataset))


def _tail(runs: Runs) -> Tail:
    rate = model.learning_rate(runs.config)
    squares = np.sort(runs.risk[0, :, -1] - runs.config.noise_variance)[::-1]
    sizes = np.sqrt(np.maximum(squares, 0.0))
    count = max(20, round(TOP * len(sizes)))
    index = 1.0 / float(np.mean(np.log(sizes[:count] / sizes[count])))
    return Tail(rate, sizes, index, index / np.sqrt(count), theory.kesten_index(rate).index)


class Typical(NamedTuple):
    """Median over exact mean of runs on the same features: last record, with bootstrap error."""

    runs: Runs
    median: float
    error: float


def typical(dataset: xr.Dataset) -> tuple[Typical, ...]:
    """The median over runs of run/exact at the last record, and its bootstrap error."""
    found = []
    for runs in all_runs(dataset):
        last = runs.ratio[:, -1]
        random = np.random.default_rng(0)
        drawn = np.median(random.choice(last, (400, len(last))), axis=1)
        found.append(Typical(runs, float(np.median(last)), float(drawn.std(ddof=1))))
    return tuple(found)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Typical decay, tail index, and median over mean."""
    claims = [_decay(runs) for runs in all_runs(datasets["isotropic"])]
    claims += [_index(one) for one in tails(datasets["tail"])]
    for one in typical(datasets["features"]):
        claims += _median(one)
    return tuple(claims)


def _decay(runs: Runs) -> Claim:
    rate, steps = model.learning_rate(runs.config), runs.config.num_steps
    factor = theory.kesten_index(rate, dimension=MODES)
    change = np.log(runs.risk[0, :, -1] / MODES) / steps
    return claim(
        "A typical run of SGD decays as exp(2 E log A), faster than the mean risk.",
        SOURCE,
        f"mean of d log risk/dr, rate {rate:g}",
        change.mean(),
        change.std(ddof=1) / np.sqrt(len(change)),
        factor.mean_log_square,
        "exact",
        f"{MODES} equal modes, r = {steps}",
        margin=0.02 * abs(factor.mean_log_square),
        dof=len(change) - 1,
        note=f"of the mean risk: {factor.log_mean_square:.4f}",
    )


def _index(one: Tail) -> Claim:
    return claim(
        "With label noise the stationary error has a power-law tail of Kesten's index.",
        SOURCE,
        f"index of |error| by Hill, rate {one.rate:g}",
        one.index,
        one.error,
        one.expected,
        "exact",
        f"largest {TOP:.1%} of {len(one.sizes)} runs",
        margin=HILL_MARGIN * one.expected,
        note="Hill's estimate is biased towards the body of the law",
    )


def _median(one: Typical) -> list[Claim]:
    config = one.runs.config
    where = f"({config.alpha:g}, {config.beta:g}), gamma0 = {config.gamma0:g}"
    window = f"r = {config.num_steps}, d = {config.num_parameters}"
    last = one.runs.ratio[:, -1]
    return [
        claim(
            "The mean of runs is the exact mean, however rare the runs that make it.",
            "section 2.1 of docs/power_law_sgd.md",
            f"mean of SGD/exact, {where}",
            last.mean(),
            last.std(ddof=1) / np.sqrt(len(last)),
            1.0,
            "exact",
            window,
            margin=0.1,
            dof=len(last) - 1,
            note="few runs carry the mean where the median is far below"
            if one.median < 0.8
            else "",
        ),
        claim(
            "The mean risk is that of a typical run.",
            "arXiv:2405.15074",
            f"median of SGD/exact, {where}",
            one.median,
            one.error,
            1.0,
            "heuristic",
            window,
            margin=0.1,
        ),
    ]


EXPERIMENT = Experiment(
    name="heavy-tails",
    summary="typical against expected risk at large rates, and the index of the tail",
    paper="arXiv:2006.04740",
    cost={"smoke": "15 s", "default": "1 min", "paper": "5 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
