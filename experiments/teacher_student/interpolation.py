"""The step from the bound 1/d to the estimate 4/d of arXiv 2102.06701, shown without training.

Command: scalinglab run interpolation [--size smoke|default|paper]
Cost: smoke 15 s, default about one minute on two CPU cores, paper about 10 minutes on one GPU.

A smooth function is interpolated from D samples in the unit cube, with the label of the nearest
sample (constant pieces, 2/d) and linearly on Delaunay simplices (4/d). Theorem 2 bounds the
exponent by 1/d from below, by |f - F| <= K r alone. Both amplitudes are predicted without a fit:
that of the nearest neighbour exactly, that of linear pieces by its first two orders in the size of
a cell; 4/d itself is the paper's estimate.

Expected at size default (theory in the same window in brackets):

    d   window       nearest neighbour   linear pieces    amplitudes over theory
    2   128..2048    .988 (.997)         1.98 (1.99)      .997   .988
    3   128..2048    .653 (.663)         1.31 (1.32)      .997   .994
    4   256..4096    .489 (.496)         .974 (.986)      .991   .988
    6   512..8192    .331 (.329)         .642 (.648)      1.013  1.007

with standard errors .01, .02 for linear pieces in d = 2, and .01 of the amplitudes.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.comparison import compare
from scalinglab.experiments.curves import Curve, Statement, curves, exponent_claims
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import interpolation as model
from scalinglab.theory import interpolation as theory

PAPER = "arXiv:2102.06701"
NOTES = "docs/networks_on_manifolds.md, section 2"
# Observable, the theory held against it, the exponent times d, what it is called.
METHODS = {
    "nearest_loss": ("neighbour-law", 2, "nearest neighbour"),
    "linear_loss": ("cell-law", 4, "linear pieces"),
}
# What the mean of some thousand cells may be off: heavy tails of R^4, and the faces.
_AMPLITUDE_MARGIN = {"nearest_loss": 0.04, "linear_loss": 0.06}


class _Window(NamedTuple):
    samples: tuple[int, ...]
    tests: int
    seeds: int
    margin: float = 0.3


_SIZES: Mapping[str, Mapping[int, _Window]] = {
    "smoke": {2: _Window((64, 128, 256), 32, 8), 3: _Window((128, 256, 512), 32, 8)},
    "default": {
        2: _Window((128, 256, 512, 1024, 2048), 64, 64),
        3: _Window((128, 256, 512, 1024, 2048), 64, 64),
        4: _Window((256, 512, 1024, 2048, 4096), 64, 64),
        # Neighbours are farther apart than test points of one draw: more draws, fewer points.
        6: _Window((512, 1024, 2048, 4096, 8192), 16, 128, 0.4),
    },
    "paper": {
        2: _Window((128, 512, 2048, 8192, 32768), 128, 256),
        3: _Window((128, 512, 2048, 8192, 32768), 128, 256),
        4: _Window((512, 2048, 8192, 32768), 128, 256),
        6: _Window((512, 2048, 8192, 32768), 16, 512, 0.4),
        8: _Window((4096, 16384, 65536), 16, 512, 0.4),
    },
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """L(D) in each dimension."""
    found = {}
    for dimension, window in _SIZES[size].items():
        base = model.Config(
            dimension=dimension,
            num_samples=window.samples[0],
            num_tests=window.tests,
            margin=window.margin,
        )
        axes = {"num_samples": window.samples}
        found[f"d={dimension}"] = Sweep(model, base, axes, seeds=window.seeds)
    return found


def dimension_of(sweep: str) -> int:
    """The dimension that a sweep is named after."""
    return int(sweep.removeprefix("d="))


def loss_curve(dataset: xr.Dataset, name: str) -> Curve:
    """One of the two losses against D, with its theory."""
    (found,) = curves(dataset, name, "num_samples", theory, name=METHODS[name][0])
    return found


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Exponents and amplitudes in each dimension, and the bound of Theorem 2."""
    claims: list[Claim] = []
    for sweep, dataset in datasets.items():
        for name, (_, order, label) in METHODS.items():
            curve = loss_curve(dataset, name)
            claims += _exponent_claims(curve, sweep, order, label)
            claims.append(_amplitude_claim(curve, sweep, name, label))
        claims.append(_bound_claim(dataset, sweep))
    return tuple(claims)


def _exponent_claims(curve: Curve, sweep: str, order: int, label: str) -> tuple[Claim, Claim]:
    dimension = dimension_of(sweep)
    statement = Statement(
        f"Pieces whose error is of order {order // 2} in the distance give alpha_D = {order}/d.",
        f"{PAPER}, section on resolution-limited scaling",
        f"alpha_D, {label}, {sweep}",
        "D",
        lambda fixed: order / dimension,
    )
    return exponent_claims(curve, statement, curve.x[0])


def _amplitude_claim(curve: Curve, sweep: str, name: str, label: str) -> Claim:
    ratio, error = curve.mean / curve.predicted, curve.stderr / curve.predicted
    # All points alike: where the tails are heavy, a low mean comes with a low standard error.
    return claim(
        "The amplitude follows from the law of the cell around a point, without a fit.",
        NOTES,
        f"L(D), {label}, simulation/theory, mean over {len(ratio)} points, {sweep}",
        float(ratio.mean()),
        float(np.sqrt(np.sum(error**2)) / len(error)),
        1.0,
        curve.kind,
        f"D = {curve.x[0]:g}..{curve.x[-1]:g}",
        margin=_AMPLITUDE_MARGIN[name],
        dof=len(ratio) * (curve.seeds - 1),
    )


def _bound_claim(dataset: xr.Dataset, sweep: str) -> Claim:
    rows = [
        row
        for row in compare(dataset, theory, name="lipschitz-bound").rows
        if row.observable == "nearest_loss"
    ]
    ratios = [row.mean / row.predicted for row in rows]
    worst = int(np.argmax(ratios))
    return claim(
        "The loss of a Lipschitz fit is at most of order D^(-1/d).",
        f"{PAPER}, Theorem 2",
        f"L(D) over K_L K_F E r, largest, nearest neighbour, {sweep}",
        ratios[worst],
        rows[worst].stderr / rows[worst].predicted,
        0.5,
        "bound",
        f"D = {rows[0].point['num_samples']}..{rows[-1].point['num_samples']}",
        margin=0.5,
        dof=rows[worst].seeds - 1,
        note="agrees where the ratio lies between 0 and 1",
    )


EXPERIMENT = Experiment(
    name="interpolation",
    summary="constant and linear pieces without training: 2/d, 4/d and their amplitudes",
    paper=f"{PAPER} section 2.2",
    cost={"smoke": "15 s", "default": "1 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
