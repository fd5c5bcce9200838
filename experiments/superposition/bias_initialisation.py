"""Biases that start normal kill features: how many stay dead, and what the exponent then seems.

Command: scalinglab run bias-initialisation [--size smoke|default|paper]
Cost: smoke 30 s (compilation), default about 3 minutes on two CPU cores, paper hours on one GPU.

The code behind arXiv 2505.10465 draws the biases from N(0, 1). A feature whose bias falls below
-2 |W_i|^2 outputs nothing, gets no gradient of its own, and loses 4/3 p. Over a ladder of budgets:
the share of live rows, the loss, and the exponent between the smallest and the largest width.

Expected at size default (n = 200, alpha = 0): at m = 14 between 50 and 70 % of the rows live at
every budget, at m = 40 93 to 97 %; with zeros all live, and the loss is 1.4 to 1.9 times lower. The
exponent from m = 14 to 40 with normal biases is 1.05, 1.4, 1.7 after 500, 1000, 2000 steps, where
zeros have 1.9 all along: dead rows at small budgets make it look like 1/m. At the authors' budget
(size paper: n = 1000, B = 2048, 20 000 steps) the question is open.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import superposition as model

PAPER = "arXiv:2505.10465"
NOTES = "docs/superposition.md, section 6"


class _Scale(NamedTuple):
    features: int
    widths: tuple[int, ...]
    budgets: tuple[int, ...]
    seeds: int
    training: Mapping[str, Any]


_SIZES = {
    "smoke": _Scale(60, (6, 10), (100, 300), 2, {"batch_size": 128, "evaluation_samples": 4096}),
    "default": _Scale(200, (14, 28, 40), (500, 1000, 2000), 3, {}),
    "paper": _Scale(
        1000,
        (10, 15, 25, 39, 63, 100),
        (2500, 5000, 10_000, 20_000),
        3,
        {"batch_size": 2048, "learning_rate": 0.01},
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Budgets by widths, with both starts of the biases."""
    scale = _SIZES[size]

    def sweep(bias: Any) -> Sweep:
        base = model.Config(
            num_features=scale.features, width=scale.widths[0], bias_init=bias, **scale.training
        )
        return Sweep(
            model, base, {"num_steps": scale.budgets, "width": scale.widths}, seeds=scale.seeds
        )

    return {"zeros": sweep("zeros"), "normal": sweep("normal")}


class Starts(NamedTuple):
    """One start of the biases: `live` share and `loss`, (budgets, widths, seeds)."""

    budgets: np.ndarray
    widths: np.ndarray
    live: np.ndarray
    loss: np.ndarray

    @property
    def exponents(self) -> np.ndarray:
        """Between the smallest and the largest width, (budgets, seeds)."""
        span = math.log(self.widths[-1] / self.widths[0])
        return np.log(self.loss[:, 0] / self.loss[:, -1]) / span


def starts(dataset: xr.Dataset) -> Starts:
    """The lanes of one sweep.

    **Raises:** `ValueError` where a lane failed, so that no mean loses it silently.
    """
    lanes = dataset.transpose("num_steps", "width", "seed", ...)
    loss = lanes["loss"].values
    if not np.isfinite(loss).all():
        raise ValueError(f"loss: {int(np.sum(~np.isfinite(loss)))} lanes failed")
    budgets, widths = (lanes[name].values.astype(float) for name in ("num_steps", "width"))
    return Starts(budgets, widths, lanes["live_fraction"].values, loss)


def features_of(dataset: xr.Dataset) -> int:
    """n."""
    return int(json.loads(dataset.attrs["config"])["num_features"])


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Live rows at the smallest width and every budget; losses and exponents at the largest."""
    zeros, normal = (starts(datasets[name]) for name in ("zeros", "normal"))
    features = features_of(datasets["zeros"])
    claims: list[Claim] = []
    for i, budget in enumerate(normal.budgets):
        window = f"m = {normal.widths[0]:g}, n = {features}, {budget:g} steps"
        claims += [
            _claim("live rows, normal biases", normal.live[i, 0], 0.6, 0.1, window, "live rows"),
            _claim("live rows, biases from zero", zeros.live[i, 0], 1.0, 0.02, window, "live rows"),
        ]
    last = f"n = {features}, {normal.budgets[-1]:g} steps"
    for j, width in enumerate(normal.widths):
        ratio = normal.loss[-1, j] / zeros.loss[-1, j]
        claims.append(
            _claim("loss, normal over zeros", ratio, 1.65, 0.65, f"m = {width:g}, {last}", "loss")
        )
    for i, budget in enumerate(normal.budgets):
        window = (
            f"m = {normal.widths[0]:g}..{normal.widths[-1]:g}, n = {features}, {budget:g} steps"
        )
        difference = normal.exponents[i] - zeros.exponents[i]
        claims.append(
            _claim("exponent of L(m), normal less zeros", difference, 0.0, 0.1, window, "exponent")
        )
    return tuple(claims)


_SENTENCES = {
    "live rows": "Biases that start normal leave dead rows for good at small m.",
    "loss": "Dead rows cost loss at every width.",
    "exponent": "The start of the biases leaves the exponent as it is.",
}


def _claim(
    quantity: str, values: np.ndarray, predicted: float, margin: float, window: str, about: str
) -> Claim:
    mean, error = mean_and_error(values)
    return claim(
        _SENTENCES[about],
        PAPER if about == "exponent" else NOTES,
        quantity,
        mean,
        error,
        predicted,
        "heuristic",
        window,
        margin=margin,
        dof=len(values) - 1,
    )


EXPERIMENT = Experiment(
    name="bias-initialisation",
    summary="dead rows and the apparent exponent, biases from zero against normal ones",
    paper=PAPER,
    cost={"smoke": "30 s", "default": "3 min", "paper": "hours on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
