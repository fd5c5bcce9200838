"""Bias and variances through the interpolation peak: features, data, noise and the rest.

Command: scalinglab run variance-decomposition [--size smoke|default|paper]
Cost: smoke 15 s, default about one minute on two CPU cores, paper about 10 minutes on one GPU.

R feature sets are crossed with R data sets, so that the means over pairs that share both, one or
none of the two give the terms of the test risk without bias (section 2.4 of the notes):

    test risk = noise + bias^2 + V_features + V_data + V_noise + V_interaction

All but the last are functions of the effective ridge kappa that have no pole at N = D. The peak of
the risk is the interaction of features with data and noise alone: at N = D it grows as ridge^-1/2,
and an average over feature sets, whose risk is the sum without V_features and V_interaction, has no
peak. The other arrow of Bahri et al., that the risk of a fixed data set approaches its limit as
1/N, is made of V_features and V_interaction.

Expected at size default (a = 1.5, b = 2, noise 0.1, ridge 1e-5): on the mean over N = 30..480 at
D = 120 simulation/theory is 0.99 (bias^2), 1.01, 0.99, 1.002, and 1.019 +- 0.002 for the
interaction, a finite-size error; at D, N = 240, 360 and 360, 240 it is 1 within 1.6 % for each.
The risk at N = D is 3.82 times that at N = 480, and 0.94 times for the average over feature sets.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.comparison import Row, compare
from scalinglab.experiments.curves import Curve, curves, fit_window, window_text
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import random_features as model
from scalinglab.models.spectra import power_law
from scalinglab.theory import random_features as theory

SOURCE = "section 2.4 of the notes, after arXiv:2011.03321 and arXiv:2405.00592"
EIGENVALUE_DECAY, TARGET_DECAY, NOISE = 1.5, 2.0, 0.1
# Of the scan through the peak; of the large sizes; of the peak itself.
RIDGE, LARGE_RIDGE, PEAK_RIDGES = 1e-5, 1e-3, (1e-5, 1e-4, 1e-3, 1e-2)
# The largest ridge of the fit to the divergence.
GROWTH_WINDOW = 1e-3
TERMS = {
    "bias_squared": "bias^2",
    "variance_features": "V_features",
    "variance_data": "V_data",
    "variance_noise": "V_noise",
    "variance_interaction": "V_interaction",
}
# What is left of the risk when predictors of many feature sets are averaged.
ENSEMBLE = ("bias_squared", "variance_data", "variance_noise")
MARGIN, LARGE_MARGIN = 0.08, 0.04
# A point may miss by its margin and this many standard errors: 5e-4 a point by chance.
_ERRORS = 3.5


class _Scale(NamedTuple):
    modes: int
    samples: int
    features: tuple[int, ...]
    seeds: int
    large: tuple[int, int]
    large_modes: int
    large_seeds: int
    replicates: int


_SIZES = {
    "smoke": _Scale(150, 32, (8, 16, 32, 64, 128), 8, (40, 60), 150, 6, 4),
    "default": _Scale(
        500, 120, (30, 60, 90, 105, 120, 140, 180, 240, 480), 16, (240, 360), 500, 16, 8
    ),
    "paper": _Scale(
        4096, 240, (60, 120, 180, 210, 240, 280, 360, 480, 960), 24, (480, 720), 4096, 24, 12
    ),
}


def _config(scale: _Scale, samples: int, features: int, modes: int, ridge: float) -> model.Config:
    return model.Config(
        num_samples=samples,
        num_features=features,
        eigenvalue_decay=EIGENVALUE_DECAY,
        target_decay=TARGET_DECAY,
        dimension=modes,
        ridge=ridge,
        noise_variance=NOISE,
        replicates=scale.replicates,
    )


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """N through the peak at fixed D, the ridge at the peak, and both orders of two large sizes."""
    scale = _SIZES[size]
    samples, (small, large) = scale.samples, scale.large
    scan = _config(scale, samples, scale.features[0], scale.modes, RIDGE)
    peak = _config(scale, samples, samples, scale.modes, RIDGE)
    orders = {"num_samples": [small, large], "num_features": [large, small]}
    big = _config(scale, small, large, scale.large_modes, LARGE_RIDGE)
    return {
        "scan": Sweep(model, scan, {"num_features": scale.features}, seeds=scale.seeds),
        "peak": Sweep(model, peak, {"ridge": PEAK_RIDGES}, seeds=scale.seeds),
        "large": Sweep(model, big, {}, orders, scale.large_seeds),
    }


def term_curves(dataset: xr.Dataset, along: str) -> dict[str, Curve]:
    """Term to its curve along a field of `scan` or `peak`, with the total as `test_risk`."""
    names = (*TERMS, "test_risk")
    return {name: curves(dataset, name, along, theory)[0] for name in names}


def theory_lines(
    base: Mapping[str, Any], *, features: np.ndarray, ridge: np.ndarray
) -> dict[str, np.ndarray]:
    """Every term, and `test_risk`, at real-valued N and ridge, for drawing.

    **Arguments:** `base`, the recorded configuration of the sweep; `features`, `ridge` (points,).
    """
    spectrum = power_law(base["eigenvalue_decay"], base["target_decay"], base["dimension"])
    samples = jnp.asarray(float(base["num_samples"]))
    noise = jnp.asarray(float(base["noise_variance"]))

    def terms(count: Array, penalty: Array) -> dict[str, Array]:
        return theory.risks(spectrum, samples, count, penalty, noise)._asdict()

    lines = jax.jit(jax.vmap(terms))(jnp.asarray(features), jnp.asarray(ridge))
    return {name: np.asarray(values) for name, values in lines.items()}


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Every term at both sizes, then what makes the peak."""
    claims = []
    for name, margin in (("scan", MARGIN), ("large", LARGE_MARGIN)):
        rows = [row for row in compare(datasets[name], theory).rows if row.observable in TERMS]
        claims += [_term_claim(term, rows, margin) for term in TERMS]
        claims.append(_points_claim(rows, margin))
    return (*claims, *_peak_claims(datasets["scan"]), _growth_claim(datasets["peak"]))


def config_of(dataset: xr.Dataset) -> dict[str, Any]:
    """The configuration that the swept fields of a dataset replaced."""
    return dict(json.loads(dataset.attrs["config"]))


def _window(rows: Sequence[Row]) -> str:
    sizes = [row.point["num_features"] for row in rows]
    if "num_samples" not in rows[0].point:
        return f"N = {min(sizes)}..{max(sizes)}"
    pairs = dict.fromkeys(
        f"{row.point['num_samples']}, {row.point['num_features']}" for row in rows
    )
    return f"D, N = {' and '.join(pairs)}"


def _term_claim(term: str, rows: Sequence[Row], margin: float) -> Claim:
    found = [row for row in rows if row.observable == term]
    ratio = np.array([row.mean / row.predicted for row in found])
    error = np.array([row.stderr / row.predicted for row in found])
    # Equal weights: the standard errors come from few lanes and are correlated with the means.
    return claim(
        "The risk decomposes into bias and variances that the effective ridge predicts.",
        SOURCE,
        f"{TERMS[term]}, simulation/theory, mean over {len(found)} points",
        float(ratio.mean()),
        float(np.sqrt(np.sum(error**2)) / len(error)),
        1.0,
        "deterministic_equivalent",
        _window(found),
        margin=margin,
        dof=len(found) * (found[0].seeds - 1),
    )


def _points_claim(rows: Sequence[Row], margin: float) -> Claim:
    outside = sum(
        abs(row.mean - row.predicted) > margin * row.predicted + _ERRORS * row.stderr
        for row in rows
    )
    return claim(
        "Every term agrees at every point.",
        SOURCE,
        f"terms of {len(rows)} outside {margin:.0%} + {_ERRORS:g} standard errors",
        float(outside),
        0.0,
        0.0,
        "deterministic_equivalent",
        _window(rows),
        margin=0.5,
    )


def _peak_claims(dataset: xr.Dataset) -> list[Claim]:
    """L at N = D over L at the largest N: of one predictor, and of an average over feature sets."""
    samples = int(config_of(dataset)["num_samples"])
    ends = (samples, int(dataset["num_features"].values.max()))
    rows = compare(dataset, theory).rows
    claims = []
    for label, names in (("L", tuple(TERMS)), ("L of the feature average", ENSEMBLE)):
        means, errors, predicted = [], [], []
        for size in ends:
            at_size = dataset.sel(num_features=size)
            lanes = np.sum([at_size[name].values for name in names], axis=0)
            means.append(NOISE + float(np.mean(lanes)))
            errors.append(float(np.std(lanes, ddof=1)) / math.sqrt(lanes.size) / means[-1])
            at = [row for row in rows if row.point["num_features"] == size]
            predicted.append(NOISE + sum(row.predicted for row in at if row.observable in names))
        measured = means[0] / means[1]
        claims.append(
            claim(
                "The peak at N = D is not in the average over feature sets.",
                SOURCE,
                f"{label} at N = D over that at N = {ends[1]}",
                measured,
                measured * math.hypot(*errors),
                predicted[0] / predicted[1],
                "deterministic_equivalent",
                f"D = {samples}, ridge {RIDGE:g}",
                margin=MARGIN * predicted[0] / predicted[1],
                dof=dataset.sizes["seed"] - 1,
            )
        )
    return claims


def _growth_claim(dataset: xr.Dataset) -> Claim:
    """The interaction's growth as the ridge falls at N = D."""
    curve = term_curves(dataset, "ridge")["variance_interaction"]
    fit = fit_window(curve, curve.x[0], GROWTH_WINDOW)
    return claim(
        "At N = D the interaction diverges as the ridge falls, in the end as ridge^-1/2.",
        "equation (E1): 1 - z/N = (ridge/kappa)^1/2",
        "exponent of V_interaction in 1/ridge",
        fit.exponent,
        fit.exponent_error,
        fit.same_window(curve.predicted).exponent,
        curve.kind,
        window_text(fit, "ridge"),
        dof=fit.t_dof,
        note="1/2 is the limit; kappa still falls with the ridge in the window",
    )


EXPERIMENT = Experiment(
    name="variance-decomposition",
    summary="bias and variances of features, data and noise through the interpolation peak",
    paper="arXiv:2011.03321",
    cost={"smoke": "15 s", "default": "1 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
