"""What a Chinchilla fit reports when the truth is another law: bias and coverage, known answers.

Command: scalinglab run fit-bias [--size smoke|default|paper]
Cost: smoke 15 s, default about two minutes on two CPU cores, paper about 10 minutes on one GPU.

The risk of random features at the optimal ridge is known at every size, and is not
E + A N^-alpha + B D^-beta except at a = 2, where it is so exactly with E = 0 and exponents
a - 1 = 1. Here a practitioner's grid of runs is simulated, the law is fitted with every parameter
free, and the report is held against the truth: the fitted exponent against a - 1, and 95 %
profile intervals against 95 %. The coverage is that of 400 repeated data sets with 3 % noise
about the theory at the grid.

Expected at size default: at a = 2 the fit reports 1.00; at a = 1.3 it is far too high (a fitted
constant E > 0 takes the place of the slow decay), and its intervals cover the truth in almost no
data set.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.comparison import compare
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.theory import random_features as theory
from scalinglab.theory.fitting import (
    LEAST_SQUARES,
    Data,
    Fit,
    covariance,
    fit,
    fit_many,
    profile_many,
    resolve,
)
from scalinglab.theory.fitting.covariance import scale
from scalinglab.theory.fitting.laws import find_law

from .joint_risk import Setting, frontier_sweep, optimal, setting_of

SOURCE = "equation (E6) of theory.random_features, after arXiv:2405.19398"
LAW = find_law("chinchilla")
DECAYS = (1.3, 2.0, 3.0)
# Of the coverage, which needs no simulation.
MORE_DECAYS = (1.3, 1.5, 2.0, 2.5, 3.0)
NOISE = 0.005
REPLICATES = 200
LEVEL = 0.95
BEYOND = 8
_RESAMPLES = 400


class _Scale(NamedTuple):
    modes: int
    sizes: tuple[int, ...]
    seeds: int


_SIZES = {
    "smoke": _Scale(400, (12, 20, 34), 8),
    "default": _Scale(2000, (24, 36, 54, 81, 122), 128),
    "paper": _Scale(65536, (32, 64, 128, 256, 512), 32),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """The frontier at the optimal ridge, on a square grid of sizes."""
    scale = _SIZES[size]
    grid = [(d, n, a) for a in DECAYS for n in scale.sizes for d in scale.sizes]
    settings = (
        Setting(d, n, a, optimal(a, float(d), float(n), scale.modes)[0]) for d, n, a in grid
    )
    return {"grid": frontier_sweep(scale.modes, settings, scale.seeds)}


class Runs(NamedTuple):
    """One grid of runs.

    **Fields:** the decay a; `samples`, `features`, (points,); `risk`, the mean over seeds;
    `seeds` (points, seeds), its members; `predicted`, by the theory at the same points.
    """

    decay: float
    samples: np.ndarray
    features: np.ndarray
    risk: np.ndarray
    seeds: np.ndarray
    predicted: np.ndarray

    def data(self, risk: Any) -> Data:
        """The runs with this risk."""
        return Data({"N": self.features, "D": self.samples}, risk)


def runs(dataset: xr.Dataset) -> tuple[Runs, ...]:
    """The grids of a dataset, one for each decay."""
    rows = [row for row in compare(dataset, theory).rows if row.observable == "test_risk"]
    found = []
    for decay in sorted({setting_of(row).decay for row in rows}):
        mine = [(i, row) for i, row in enumerate(rows) if setting_of(row).decay == decay]
        settings = [setting_of(row) for _, row in mine]
        found.append(
            Runs(
                decay,
                np.array([float(at.samples) for at in settings]),
                np.array([float(at.features) for at in settings]),
                np.array([row.mean for _, row in mine]),
                np.stack([_members(dataset, at) for at in settings]),
                np.array([row.predicted for _, row in mine]),
            )
        )
    return tuple(found)


def _members(dataset: xr.Dataset, at: Setting) -> np.ndarray:
    """The risks of every seed at one point."""
    here = (
        (dataset["num_samples"] == at.samples)
        & (dataset["num_features"] == at.features)
        & (dataset["eigenvalue_decay"] == at.decay)
    )
    return np.asarray(dataset["test_risk"].values[int(np.argmax(here.values))], np.float64)


def fitted(grid: Runs) -> tuple[Fit, Fit, np.ndarray]:
    """The law fitted to the simulation and to the theory, and coordinates of resampled fits.

    The resamples draw seeds with replacement at every point.
    """
    simulated = fit(LAW, grid.data(grid.risk), loss=LEAST_SQUARES)
    expected = fit(LAW, grid.data(grid.predicted), loss=LEAST_SQUARES)
    random = np.random.default_rng(round(1000 * grid.decay))
    count = grid.seeds.shape[1]
    drawn = random.integers(0, count, (len(grid.risk), _RESAMPLES, count))
    y = np.take_along_axis(grid.seeds[:, None, :], drawn, axis=2).mean(axis=2)
    ends = resolve(simulated, y=y)
    return simulated, expected, ends.phi


@lru_cache(maxsize=64)
def continuum_grid(decay: float, sizes: tuple[float, ...]) -> Data:
    """The frontier of the continuum on a square grid of sizes: no modes, no finite-size error."""
    samples, features = (part.ravel() for part in np.meshgrid(sizes, sizes, indexing="ij"))
    risk = jax.vmap(lambda d, n: theory.optimal_joint_risk(jnp.asarray(decay), d, n)[1])
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        values = risk(jnp.asarray(samples, jnp.float64), jnp.asarray(features, jnp.float64))
    return Data({"N": features, "D": samples}, np.asarray(values))


class Coverage(NamedTuple):
    """The share of data sets whose 95 % interval covers the truth, of two quantities."""

    alpha: float
    loss: float


def coverage(grid: Data, truth: float, beyond: Setting, loss: float) -> Coverage:
    """Coverage over noisy copies of a grid of runs.

    **Arguments:** `grid`, without noise; `truth`, of alpha, by the profile; `beyond`, sizes and
    `loss`, the true risk there, by the Wald interval of log L.
    """
    random = np.random.default_rng(round(1000 * beyond.decay))
    noise = np.exp(NOISE * random.standard_normal((REPLICATES, len(grid.y))))
    fits = fit_many(LAW, [Data(grid.x, grid.y * n) for n in noise], loss=LEAST_SQUARES, starts=4)
    ends = profile_many(fits, "alpha", level=LEVEL)
    at = {"N": [float(beyond.features)], "D": [float(beyond.samples)]}
    found = [extrapolated(one, at) for one in fits]
    inside = [abs(np.log(loss) - value) <= half for value, half in found]
    return Coverage(
        float(np.mean([one.low <= truth <= one.high for one in ends])), float(np.mean(inside))
    )


def extrapolated(found: Fit, at: Mapping[str, Any]) -> tuple[float, float]:
    """log L at one point, and half the width of its 95 % interval by the delta method.

    The gradient in the working coordinates, which are of order one, is a central difference of
    step 1e-4: its error of 1e-8 is far below that of any interval.
    """
    steps = 1e-4 * np.concatenate([np.eye(len(found.phi)), -np.eye(len(found.phi))], axis=1)
    draws = np.concatenate([found.phi[:, None], found.phi[:, None] + steps], axis=1)
    values = np.log(found.predict_draws(draws, at)[0])
    gradient = (values[1 : len(found.phi) + 1] - values[len(found.phi) + 1 :]) / 2e-4
    variance = gradient @ covariance(found) @ gradient
    return float(values[0]), scale(found).quantile(LEVEL) * float(np.sqrt(variance))


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The report of the fit against the theory's own, against the truth, and its coverage."""
    grids = runs(datasets["grid"])
    sizes = tuple(np.unique(grids[0].samples).tolist())
    exponents = [one for grid in grids for one in _exponent_claims(grid)]
    return (*exponents, *(one for decay in MORE_DECAYS for one in _coverage_claims(decay, sizes)))


def _exponent_claims(grid: Runs) -> list[Claim]:
    simulated, expected, draws = fitted(grid)
    window = f"N, D = {grid.samples.min():g}..{grid.samples.max():g}"
    alpha, error = simulated.parameters["alpha"], float(np.std(simulated.naturals(draws)["alpha"]))
    # The ridged theory is right to 2/m; over the grid that tilts log L by at most 2/m at its low
    # end, across the logarithm of its width.
    smallest = grid.samples.min()
    tilt = 2.0 / smallest / np.log(grid.samples.max() / smallest)
    return [
        claim(
            "A Chinchilla fit to simulated runs reports what it reports on the theory's runs.",
            SOURCE,
            f"fitted alpha, a={grid.decay:g}",
            alpha,
            error,
            expected.parameters["alpha"],
            "deterministic_equivalent",
            window,
            margin=max(0.02, 0.05 * expected.parameters["alpha"], tilt),
        ),
        claim(
            "The exponent of a Chinchilla fit is the exponent of the risk in the number of "
            "features, a - 1.",
            "arXiv:2203.15556, the use of the fit",
            f"reported alpha, a={grid.decay:g}",
            alpha,
            error,
            grid.decay - 1.0,
            "asymptotic",
            window,
        ),
    ]


def _coverage_claims(decay: float, sizes: tuple[float, ...]) -> list[Claim]:
    found = coverage_of(decay, sizes)
    quantities = {"alpha": found.alpha, f"L at {BEYOND} times the sizes": found.loss}
    return [
        claim(
            "The 95 % interval of a Chinchilla fit covers the truth in 95 % of the data sets.",
            "arXiv:2203.15556, the use of the fit",
            f"coverage of {name}, a={decay:g}",
            share,
            max(np.sqrt(share * (1 - share) / REPLICATES), 0.5 / REPLICATES),
            LEVEL,
            "heuristic",
            f"{len(sizes) ** 2} runs, {100 * NOISE:g} % noise",
            margin=0.05,
        )
        for name, share in quantities.items()
    ]


@lru_cache(maxsize=16)
def coverage_of(decay: float, sizes: tuple[float, ...]) -> Coverage:
    """`coverage` on the continuum frontier at the square grid of these sizes, and further out."""
    far = BEYOND * max(sizes)
    loss = continuum_grid(decay, (far,)).y[0]
    beyond = Setting(round(far), round(far), decay, 0.0)
    return coverage(continuum_grid(decay, sizes), decay - 1.0, beyond, float(loss))


EXPERIMENT = Experiment(
    name="fit-bias",
    summary="a Chinchilla fit to runs whose law is known: bias and coverage",
    paper="arXiv:2203.15556",
    cost={"smoke": "15 s", "default": "2 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
