"""Noise on the inputs lowers the exponent of the data: the toy of Fig. 3 right of arXiv 2102.06701.

Command: scalinglab run input-noise [--size smoke|default|paper]
Cost: smoke 10 s, default about one minute on two CPU cores, paper about 5 minutes on one GPU.

Regression learns from x' = x + sqrt(tau) g and is tested on such inputs, the labels being those of
x. The noise is drawn (`models.noisy_inputs`); the predictions come from the exact mapping to a
problem without it. Exponents are of L(D) at infinitely many features, without a ridge.

Two effects are apart here that a log-log plot of a measured loss shows as one:

- a floor: sum tau v2/(lambda + tau), the risk of the best predictor from noisy inputs, known
  exactly; a power law fitted to a curve that bends towards it has a smaller exponent;
- the excess over the floor, whose own exponent falls too, since the noise drowns all modes beyond
  tau^(-1/a) and its M equal eigenvalues regularise.

There are M modes, each with noise of variance tau: the numbers depend on M (the noise has power
tau M) where those of a clean power law hardly do.

Expected at size default (a = b = 1.5, 2000 modes, D = 32..256; theory in brackets):

    tau    floor   alpha_D of L   of L - floor
    0      0       .648 (.645)    .648 (.645)
    1e-4   .0687   .492 (.487)    .648 (.643)
    1e-3   .197    .323 (.320)    .559 (.556)
    1e-2   .471    .253 (.249)    .505 (.498)
    1e-1   1.03    .152 (.152)    .323 (.323)

with standard errors .001 to .006. The first fall, to tau = 1e-4, is the floor's alone.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.comparison import Row, compare
from scalinglab.experiments.curves import Curve, curves, fit_window, window_text
from scalinglab.experiments.engine import Sweep, config_from
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import noisy_inputs as model
from scalinglab.theory import noisy_inputs as theory
from scalinglab.theory.fitting import PowerLawFit

PAPER = "arXiv:2102.06701"
MAPPING = "section 2.8 of the notes"
DECAY = 1.5
NOISES = (0.0, 1e-4, 1e-3, 1e-2, 1e-1)
_SENTENCE = "The problem with noisy inputs is one without, of another spectrum and label noise."


class _Scale(NamedTuple):
    modes: int
    samples: tuple[int, ...]
    seeds: int
    joint_modes: int
    joint: tuple[tuple[int, int, float], ...]
    joint_seeds: int


_SIZES = {
    "smoke": _Scale(300, (8, 16, 32), 6, 200, ((30, 90, 0.0), (40, 40, 1e-3)), 12),
    "default": _Scale(
        2000,
        (32, 64, 128, 256),
        24,
        400,
        ((60, 240, 0.0), (240, 60, 0.0), (100, 150, 1e-3), (150, 100, 1e-2)),
        64,
    ),
    "paper": _Scale(
        16384,
        (32, 64, 128, 256, 512, 1024, 2048),
        32,
        4096,
        ((256, 1024, 0.0), (1024, 256, 0.0), (512, 768, 1e-3), (768, 512, 1e-2)),
        64,
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """L(D) at each strength of the noise, and settings with finitely many features."""
    scale = _SIZES[size]
    base = model.Config(
        num_samples=scale.samples[0],
        eigenvalue_decay=DECAY,
        target_decay=DECAY,
        dimension=scale.modes,
    )
    joint = model.Config(
        num_samples=scale.joint[0][0],
        num_features=scale.joint[0][1],
        eigenvalue_decay=DECAY,
        target_decay=2.0,
        dimension=scale.joint_modes,
        input_noise=1e-2,
        noise_variance=0.1,
    )
    settings = {
        "num_samples": [samples for samples, _, _ in scale.joint],
        "num_features": [features for _, features, _ in scale.joint],
        "ridge": [ridge for _, _, ridge in scale.joint],
    }
    return {
        "data": Sweep(
            model, base, {"num_samples": scale.samples, "input_noise": NOISES}, seeds=scale.seeds
        ),
        "joint": Sweep(model, joint, {}, settings, scale.joint_seeds),
    }


def noise_curves(dataset: xr.Dataset) -> tuple[Curve, ...]:
    """L(D) at each strength of the noise, the weakest first."""
    found = curves(dataset, "test_risk", "num_samples", theory)
    return tuple(sorted(found, key=lambda curve: curve.fixed["input_noise"]))


def config_of(dataset: xr.Dataset, **fields: Any) -> model.Config:
    """The configuration of a sweep with these fields instead of its own."""
    return config_from(model.Config, {**json.loads(dataset.attrs["config"]), **fields})


def floor_of(dataset: xr.Dataset, curve: Curve) -> float:
    """The risk that no amount of data removes, exact."""
    return theory.irreducible_risk(config_of(dataset, input_noise=curve.fixed["input_noise"]))


def theory_line(dataset: xr.Dataset, curve: Curve, sizes: np.ndarray) -> np.ndarray:
    """The risk of the theory at real-valued D, for drawing."""
    config = config_of(dataset, input_noise=curve.fixed["input_noise"])
    return np.asarray(theory.learning_curve(config, jnp.asarray(sizes))[0])


class Exponents(NamedTuple):
    """Fits of one curve in one window: of the risk, and of its excess over the floor.

    Each has the exponent of the theory at the same points, by the same weights.
    """

    risk: PowerLawFit
    risk_theory: float
    excess: PowerLawFit
    excess_theory: float


def exponents(dataset: xr.Dataset, curve: Curve) -> Exponents:
    """The exponents of a curve over all its points."""
    floor = floor_of(dataset, curve)
    above = Curve(
        curve.fixed,
        curve.x,
        curve.mean - floor,
        curve.stderr,
        curve.predicted - floor,
        curve.kind,
        curve.seeds,
    )
    found: list[Any] = []
    for one in (curve, above):
        fit = fit_window(one, one.x[0])
        found += [fit, float(fit.same_window(one.predicted).exponent)]
    return Exponents(*found)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The mapping at every setting, then the exponents and their fall."""
    data = datasets["data"]
    found = noise_curves(data)
    fits = [exponents(data, curve) for curve in found]
    joint = compare(datasets["joint"], theory).rows
    return (
        *[_joint_claim(row) for row in joint if row.observable == "test_risk"],
        *[_curve_claim(curve) for curve in found],
        *[
            _exponent_claim(curve, fit, predicted, label)
            for curve, all_fits in zip(found, fits, strict=True)
            for fit, predicted, label in (
                (all_fits.risk, all_fits.risk_theory, "alpha_D of L"),
                (all_fits.excess, all_fits.excess_theory, "alpha_D of L - floor"),
            )
            # Without noise there is no floor, and the two are one.
            if fit is all_fits.risk or curve.fixed["input_noise"] > 0
        ],
        *_fall_claims(found, fits),
    )


def _joint_claim(row: Row) -> Claim:
    samples, features = row.point["num_samples"], row.point["num_features"]
    smaller = min(samples, features)
    return claim(
        _SENTENCE,
        MAPPING,
        "test risk, simulation/theory",
        row.mean / row.predicted,
        row.stderr / row.predicted,
        1.0,
        "deterministic_equivalent",
        f"D={samples}, N={features}, ridge {row.point['ridge']:g}",
        # As in joint-risk: the stated finite-size error is of order 1/m.
        margin=2.0 / smaller,
        dof=row.seeds - 1,
    )


def _curve_claim(curve: Curve) -> Claim:
    ratio, error = curve.mean / curve.predicted, curve.stderr / curve.predicted
    return claim(
        _SENTENCE,
        MAPPING,
        f"L(D), simulation/theory, mean over {len(ratio)} points, tau={_tau(curve)}",
        float(ratio.mean()),
        float(np.sqrt(np.sum(error**2)) / len(error)),
        1.0,
        curve.kind,
        f"D = {curve.x[0]:g}..{curve.x[-1]:g}",
        margin=1.0 / curve.x[0],
        dof=len(ratio) * (curve.seeds - 1),
    )


def _tau(curve: Curve) -> str:
    return f"{curve.fixed['input_noise']:g}"


def _exponent_claim(curve: Curve, fit: PowerLawFit, predicted: float, label: str) -> Claim:
    return claim(
        "The exponent at each strength of the noise is that of the theory in the same window.",
        f"{PAPER}, Fig. 3 right",
        f"{label}, tau={_tau(curve)}",
        fit.exponent,
        fit.exponent_error,
        predicted,
        curve.kind,
        window_text(fit, "D"),
        dof=fit.t_dof,
    )


def _fall_claims(found: tuple[Curve, ...], fits: list[Exponents]) -> list[Claim]:
    """From one strength to the next, and how much of the whole fall is the floor's."""
    claims = []
    for i in range(1, len(found)):
        one, other = fits[i - 1].risk, fits[i].risk
        predicted = fits[i].risk_theory - fits[i - 1].risk_theory
        claims.append(
            claim(
                "Gaussian noise on the inputs lowers the exponent.",
                f"{PAPER}, Fig. 3 right",
                f"alpha_D at tau={_tau(found[i])} less that at {_tau(found[i - 1])}",
                float(other.exponent - one.exponent),
                math.hypot(float(one.exponent_error), float(other.exponent_error)),
                predicted,
                found[i].kind,
                window_text(other, "D"),
                # The margin is the predicted fall: agreement shows a fall below 0.
                margin=abs(predicted),
                dof=other.t_dof,
                note="agrees where the fall lies between 0 and twice the predicted one",
            )
        )
    return claims


EXPERIMENT = Experiment(
    name="input-noise",
    summary="noise on the inputs lowers the exponent: how much of it is a floor",
    paper=f"{PAPER} Fig. 3",
    cost={"smoke": "10 s", "default": "1 min", "paper": "5 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
