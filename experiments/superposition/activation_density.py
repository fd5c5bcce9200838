"""Denser data: a larger constant and a later 1/m, after Fig. 7 of arXiv 2505.10465.

Command: scalinglab run activation-density [--size smoke|default|paper]
Cost: smoke 40 s (compilation), default about 3 minutes on two CPU cores, paper hours on one GPU.

Frequencies fall as 1/i; all are scaled so that E features are active at a time, up to the density
at which the most frequent one always is. The paper finds the exponent of L(m) hardly changed. For
random frames the constant of the 1/m law grows as E^1.45 or so, and so does the width from which
it holds: at one m the loss rises much faster than E, and exponents over fixed widths hide it.

Expected at size default (n = 200, alpha = 1): from E = 1 to 5.8 the exponent over m = 10..40 falls
by .57, the loss grows as E^1.23, E^1.54, E^1.68 at m = 10, 20, 40, and is .28 to 1.02 of that of a
core with a Gaussian frame, more than it only at m = 10, E = 5.8.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.engine import Sweep, config_from
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import superposition as model
from scalinglab.theory import superposition as theory

PAPER = "arXiv:2505.10465"


class _Scale(NamedTuple):
    features: int
    widths: tuple[int, ...]
    densities: tuple[float, ...]
    seeds: int
    training: Mapping[str, Any]


_SIZES = {
    "smoke": _Scale(
        60,
        (6, 12),
        (1.0, 3.0),
        2,
        {"batch_size": 128, "num_steps": 300, "evaluation_samples": 4096},
    ),
    "default": _Scale(200, (10, 20, 40), (1.0, 2.0, 4.0, 5.8), 2, {"num_steps": 2500}),
    "paper": _Scale(
        1000,
        (10, 15, 25, 39, 63, 100),
        (1.0, 1.81, 2.62, 3.43, 4.24, 5.05, 5.86, 6.67, 7.48),
        3,
        {"batch_size": 2048, "num_steps": 20_000, "learning_rate": 0.01},
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Densities by widths, at alpha = 1 with the spring."""
    scale = _SIZES[size]
    base = model.Config(
        num_features=scale.features,
        width=scale.widths[0],
        frequency_decay=1.0,
        **scale.training,
    )
    fields = {"activation_density": scale.densities, "width": scale.widths}
    return {"density": Sweep(model, base, fields, seeds=scale.seeds)}


class Densities(NamedTuple):
    """`loss` of each lane, (densities, widths, seeds), and that of the core frame, `core`."""

    density: np.ndarray
    width: np.ndarray
    loss: np.ndarray
    core: np.ndarray

    @property
    def exponents(self) -> np.ndarray:
        """Of L(m) between the smallest and the largest width, (densities, seeds)."""
        span = math.log(self.width[-1] / self.width[0])
        return np.log(self.loss[:, 0] / self.loss[:, -1]) / span

    @property
    def growth(self) -> np.ndarray:
        """d log L/d log E between the smallest and the largest density, (widths, seeds)."""
        span = math.log(self.density[-1] / self.density[0])
        return np.log(self.loss[-1] / self.loss[0]) / span


def densities(dataset: xr.Dataset) -> Densities:
    """The lanes with their theory.

    **Raises:** `ValueError` where a lane failed, so that no mean loses it silently.
    """
    lanes = dataset.transpose("activation_density", "width", "seed", ...)
    loss = lanes["loss"].values
    if not np.isfinite(loss).all():
        raise ValueError(f"loss: {int(np.sum(~np.isfinite(loss)))} lanes failed")
    density, width = lanes["activation_density"].values, lanes["width"].values
    given = json.loads(dataset.attrs["config"])

    def core(density: float, width: int) -> float:
        fields = {**given, "activation_density": density, "width": width}
        config = config_from(model.Config, fields)
        return float(theory.predict(config, "core-frame").observables["loss"])

    estimate = np.array([[core(e, m) for m in width.tolist()] for e in density.tolist()])
    return Densities(density, width.astype(float), loss, estimate)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The exponent at each density against that of E = 1; the growth of L; the core frame."""
    found = densities(datasets["density"])
    window = f"m = {found.width[0]:g}..{found.width[-1]:g}"
    dof = found.loss.shape[2] - 1
    exponents, errors = mean_and_error(found.exponents)
    claims = [
        claim(
            "The exponent of L(m) does not depend on how dense the data are.",
            f"{PAPER}, Fig. 7",
            f"exponent of L(m), E={density:g} less E={found.density[0]:g}",
            exponents[i] - exponents[0],
            math.hypot(errors[i], errors[0]),
            0.0,
            "heuristic",
            window,
            # Twice the standard error of the paper's exponents.
            margin=0.2,
            dof=2 * dof,
        )
        for i, density in enumerate(found.density)
        if i > 0
    ]
    growth, growth_errors = mean_and_error(found.growth)
    for j, width in enumerate(found.width):
        claims.append(
            claim(
                "The loss grows faster than the number of active features.",
                "docs/superposition.md, section 3",
                "d log L/d log E",
                growth[j],
                growth_errors[j],
                1.75,
                "heuristic",
                f"m = {width:g}, E = {found.density[0]:g}..{found.density[-1]:g}",
                margin=0.75,
                note="agrees between 1, in proportion to E, and 2.5",
                dof=dof,
            )
        )
    ratio, ratio_errors = mean_and_error(found.loss / found.core[:, :, None])
    return (*claims, *_core_claims(found, ratio, ratio_errors, dof))


def _core_claims(found: Densities, ratio: Any, errors: Any, dof: int) -> list[Claim]:
    return [
        claim(
            "Trained frames beat a core with Gaussian interference for the rest.",
            "docs/superposition.md, section 3",
            "L/CRF",
            ratio[i, j],
            errors[i, j],
            0.5,
            "heuristic",
            f"E = {density:g}, m = {width:g}",
            margin=0.5,
            note="agrees where the ratio is below 1",
            dof=dof,
        )
        for i, density in enumerate(found.density)
        for j, width in enumerate(found.width)
    ]


EXPERIMENT = Experiment(
    name="activation-density",
    summary="denser data: the exponent, the constant, and the width from which 1/m holds",
    paper=f"{PAPER} Fig. 7",
    cost={"smoke": "40 s", "default": "3 min", "paper": "hours on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
