"""The 1/m law of frozen random frames, which trained networks cannot show at these sizes.

Command: scalinglab run random-frames [--size smoke|default|paper]
Cost: smoke 15 s, default about one minute on two CPU cores, paper about 10 minutes on one GPU.

Rows of W are random unit vectors; a bias for all outputs is fitted, once with the gain 1 and once
together with the best gain. The mean over frames is known exactly at every n and m; for n >> m >>
c(n, E) it is c/m (section 3 of the notes, after the strong regime of arXiv 2505.10465).

Expected at size default: m L at n = 4000 and m = 64..1024

    gain 1       29.6 32.2 33.9 35.1 35.9     c = 37.6
    best gain    20.0 17.8 16.5 15.6 15.0     c = 13.7

that is exponents of .93 and 1.09 and not of 1, since m L is still on its way to c; and 32 frames of
n = 400 within 3 % of the theory for m/n = .1 to .4.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import Curve, Statement, curves, exponent_claims
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import random_frame as model
from scalinglab.theory import random_frame as theory
from scalinglab.theory import superposition

PAPER = "arXiv:2505.10465"
NOTES = "docs/superposition.md, section 3"
LOSSES = {"unit_loss": "gain 1", "loss": "best gain"}
# Asked of 32 frames, and of a few large ones, whose samples are fewer.
_MANY_MARGIN, _LARGE_MARGIN = 0.03, 0.05


class _Scale(NamedTuple):
    features: int
    widths: tuple[int, ...]
    samples: int
    seeds: int
    many_features: int
    many_widths: tuple[int, ...]
    many_samples: int
    frames: int


_SIZES = {
    "smoke": _Scale(400, (20, 40, 80), 500, 3, 100, (10, 40), 1000, 8),
    "default": _Scale(4000, (64, 128, 256, 512, 1024), 2000, 3, 400, (40, 80, 120, 160), 4000, 32),
    "paper": _Scale(
        40_000, (128, 256, 512, 1024, 2048, 4096), 2000, 4, 4000, (400, 800, 1600), 8000, 32
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """A few frames of many features, and many frames of fewer."""
    scale = _SIZES[size]
    large = model.Config(
        num_features=scale.features, width=scale.widths[0], num_samples=scale.samples
    )
    many = model.Config(
        num_features=scale.many_features,
        width=scale.many_widths[0],
        num_samples=scale.many_samples,
    )
    return {
        "large": Sweep(model, large, {"width": scale.widths}, seeds=scale.seeds),
        "many": Sweep(model, many, {"width": scale.many_widths}, seeds=scale.frames),
    }


def loss_curve(dataset: xr.Dataset, name: str) -> Curve:
    """One of the two losses against the width, with the exact mean over frames."""
    (found,) = curves(dataset, name, "width", theory, name="mean-over-frames")
    return found


def constant_of(dataset: xr.Dataset, name: str) -> float:
    """c(n, E) of the 1/m law, for this loss."""
    config: Mapping[str, Any] = json.loads(dataset.attrs["config"])
    sizes = config["num_features"], float(config["activation_density"])
    return superposition.strong_constant(*sizes, free_gain=name == "loss").constant


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Every point against the exact mean, the exponents, and the constant at the largest width."""
    claims: list[Claim] = []
    for sweep, margin in (("large", _LARGE_MARGIN), ("many", _MANY_MARGIN)):
        features = json.loads(datasets[sweep].attrs["config"])["num_features"]
        for name, gain in LOSSES.items():
            curve = loss_curve(datasets[sweep], name)
            claims += _point_claims(curve, f"{gain}, n={features}", margin)
    for name, gain in LOSSES.items():
        curve = loss_curve(datasets["large"], name)
        statement = Statement(
            "The loss of random directions falls as 1/m.",
            f"{PAPER}, section on strong superposition",
            f"exponent of L(m), {gain}",
            "m",
            lambda fixed: 1.0,
        )
        claims += exponent_claims(curve, statement, curve.x[0])
        claims.append(_constant_claim(datasets["large"], name, gain))
    return tuple(claims)


def _point_claims(curve: Curve, label: str, margin: float) -> list[Claim]:
    return [
        claim(
            "The mean loss over random frames is known exactly.",
            NOTES,
            f"L, simulation/theory, {label}",
            mean / predicted,
            error / predicted,
            1.0,
            curve.kind,
            f"m = {width:g}",
            margin=margin,
            dof=curve.seeds - 1,
        )
        for width, mean, error, predicted in zip(
            curve.x, curve.mean, curve.stderr, curve.predicted, strict=True
        )
    ]


def _constant_claim(dataset: xr.Dataset, name: str, gain: str) -> Claim:
    curve, constant = loss_curve(dataset, name), constant_of(dataset, name)
    features = json.loads(dataset.attrs["config"])["num_features"]
    width = curve.x[-1]
    scaled = width / constant
    return claim(
        "m L tends to a constant c(n, E) without a fitted number.",
        NOTES,
        f"m L/c, {gain}",
        curve.mean[-1] * scaled,
        curve.stderr[-1] * scaled,
        1.0,
        "asymptotic",
        f"m = {width:g}, n = {features}",
        # The first corrections: c/m of the saturation and m/n of the finite number of features.
        margin=constant / width + width / features,
        dof=curve.seeds - 1,
    )


def local_slopes(curve: Curve) -> np.ndarray:
    """-d log L / d log m between neighbours, of the theory."""
    return -np.diff(np.log(curve.predicted)) / np.diff(np.log(curve.x))


EXPERIMENT = Experiment(
    name="random-frames",
    summary="the 1/m law of frozen random frames, with its constant",
    paper=PAPER,
    cost={"smoke": "15 s", "default": "1 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
