"""ReLU random features on spheres: exponent 3/q, duality, and the amplitude (arXiv 2102.06701).

Command: scalinglab run sphere-features [--size smoke|default|paper]
Cost: smoke 15 s and default two minutes on two CPU cores; paper about an hour there (estimated).

Section 2.3 of the paper says that a kernel of smoothness t on a d-dimensional manifold has
alpha_K = t/d: 3/q for ReLU features on S^q. The spectrum is known exactly (Funk-Hecke) and the risk
is exact on each draw, so that only training points and weights vary between seeds. The predictions
are a heuristic: harmonics and features are taken for independent Gaussian variables.

Expected at size default, exponents over 20..640 (theory in the same window), amplitudes over
80..640 and at N = 60, D = 120:

    sphere  alpha_D        alpha_N        3/q   L(D)/theory  at D = 2N
    S^2     1.562 (1.588)  1.553 (1.583)  1.5   1.364(10)    1.91(10)
    S^3     1.111 (1.116)  1.102 (1.098)  1     1.126(4)     1.24(1)
    S^4     0.903 (0.903)  0.896 (0.892)  0.75  1.054(2)     1.11(1)
    S^6     0.731 (0.730)                 0.5   1.021(1)
    S^8     0.652 (0.651)  0.677 (0.674)  0.38  1.014(2)     1.07(1)
    S^12    0.682 (0.678)                 0.25  1.010(1)

Exponents of one sphere differ between D and N only by the weights of the fits: L(D)/L(N) is
constant, and exchanging points and weights leaves every single draw unchanged, to rounding.
"""

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import (
    Curve,
    Statement,
    curves,
    exponent_claims,
    window_text,
)
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import sphere_features as model
from scalinglab.theory import sphere_features as theory
from scalinglab.theory.fitting import PowerLawFit, fit_power_law

PAPER = "arXiv:2102.06701"
UNIVERSALITY = "arXiv:2311.14646, for Gaussian universality"
# The spheres of all curves, and of those that take more than one of the two sizes.
SPHERES = (2, 3, 4, 6, 8, 12)
FEW = (2, 3, 4, 8)
RIDGES = (0.0, 1e-3)
# From here on the ratio of simulation to theory is averaged: below, the numbers of modes in the
# first shells of harmonics (up to 20 on S^4) make it uneven.
AMPLITUDE_FROM = 80

# (spheres, few of them, sizes, seeds of L(D) and L(N), pairs (D, N), seeds of the pairs)
_SIZES = {
    "smoke": ((2, 4), (2,), (20, 40, 80), 8, ((80, 20), (40, 20)), 8),
    "default": (
        SPHERES,
        FEW,
        (20, 40, 80, 160, 320, 640),
        32,
        ((160, 40), (40, 160), (320, 80), (120, 60)),
        96,
    ),
    "paper": (
        SPHERES,
        FEW,
        (20, 40, 80, 160, 320, 640, 1280),
        128,
        ((160, 40), (40, 160), (320, 80), (120, 60), (640, 160), (320, 160)),
        512,
    ),
}
_EXPONENT = {
    "data": (
        "num_samples",
        "D",
        "With unlimited features, the risk falls with the data as D^-alpha_K, alpha_K = 3/q.",
    ),
    "features": (
        "num_features",
        "N",
        "With unlimited data, the risk falls with the features as N^-alpha_K, alpha_K = 3/q.",
    ),
}
# A tenth is what a reader of a log-log plot would call the same curve.
_AMPLITUDE_MARGIN = 0.1


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """L(D) with the kernel, L(N) with unlimited data, and pairs of sizes with their exchange."""
    spheres, few, sizes, seeds, pairs, pair_seeds = _SIZES[size]
    by_samples = model.Config(num_features=None)
    by_features = model.Config(num_samples=None, num_features=sizes[0])
    both = model.Config(num_samples=80, num_features=20, paired="swapped")
    samples, features = ([pair[i] for pair in pairs] for i in (0, 1))
    return {
        "data": Sweep(
            model, by_samples, {"sphere_dimension": spheres, "num_samples": sizes}, seeds=seeds
        ),
        "features": Sweep(
            model, by_features, {"sphere_dimension": few, "num_features": sizes}, seeds=seeds
        ),
        "exchange": Sweep(
            model,
            both,
            {"sphere_dimension": few, "ridge": RIDGES},
            {"num_samples": samples, "num_features": features},
            pair_seeds,
        ),
    }


def sphere_curves(name: str, dataset: xr.Dataset) -> tuple[Curve, ...]:
    """The curves of one sweep, in the order of the spheres."""
    found = curves(dataset, "test_risk", _EXPONENT[name][0], theory)
    return tuple(sorted(found, key=lambda curve: curve.fixed["sphere_dimension"]))


def theory_line(sphere_dimension: int, sizes: np.ndarray) -> np.ndarray:
    """The heuristic at real-valued sizes, for drawing: L(D), and by duality L(N)."""
    infinite = np.full(sizes.shape, np.inf)
    return theory.learning_curve(sphere_dimension, sizes, infinite, 0.0)


def amplitude_start(curve: Curve) -> float:
    """The smallest size whose ratio is averaged: 80, or the last of a shorter scan."""
    return float(min(AMPLITUDE_FROM, curve.x[-1]))


def amplitude(curve: Curve) -> tuple[float, float]:
    """The mean over D >= 80 of simulation/theory, and its standard error."""
    inside = curve.within(amplitude_start(curve))
    ratio = curve.mean[inside] / curve.predicted[inside]
    errors = curve.stderr[inside] / curve.predicted[inside]
    return float(ratio.mean()), float(np.sqrt(np.sum(errors**2))) / ratio.size


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The exact statements, the exponents against the heuristic, the amplitudes, the limits."""
    exact = [_exchange_claim(datasets["exchange"]), _bound_claim(datasets)]
    found = {name: sphere_curves(name, datasets[name]) for name in _EXPONENT}
    dual, heuristic, published = [], [], []
    for name, (_, symbol, sentence) in _EXPONENT.items():
        for curve in found[name]:
            statement = Statement(
                sentence,
                f"{PAPER}, section 2.3",
                f"alpha_{symbol}, S^{curve.fixed['sphere_dimension']}",
                symbol,
                lambda fixed: theory.alpha_k(fixed["sphere_dimension"]),
            )
            same, limit = exponent_claims(curve, statement, curve.x[0])
            heuristic.append(same)
            published.append(limit)
    by_sphere = {curve.fixed["sphere_dimension"]: curve for curve in found["data"]}
    for curve in found["features"]:
        dual.append(_duality_claim(by_sphere[curve.fixed["sphere_dimension"]], curve))
    amplitudes = [_amplitude_claim(curve) for curve in found["data"]]
    trend = _trend_claim(found["data"])
    return (*exact, *dual, *heuristic, *amplitudes, trend, *published)


def relative_exchange(dataset: xr.Dataset) -> np.ndarray:
    """|L(X, W) - L(W, X)| / L of every draw whose numbers are finite."""
    relative = np.abs(np.asarray(dataset["excess_risk"] / dataset["test_risk"]))
    return relative[np.isfinite(relative)]


def _exchange_claim(dataset: xr.Dataset) -> Claim:
    relative = relative_exchange(dataset)
    # Rounding of two solves: eps K(1)/L, at most 1e3 eps here, times the condition number of the
    # features' Gram matrix, 1e7 where it is largest (S^2, D = 2N).
    return claim(
        "Exchanging training points and weights leaves the risk of the same two sets unchanged.",
        f"{PAPER}, section 2.4, for linear features; models/sphere_features.py",
        "largest relative difference after the exchange",
        float(relative.max()),
        0.0,
        0.0,
        "exact",
        "the pairs (D, N) of the sweep",
        margin=2e-6,
        note=f"{relative.size} pairs of sets",
    )


def _nearest_to_bound(dataset: xr.Dataset) -> float:
    """The least risk of a draw over the sum of the eigenvalues beyond min(N, D)."""
    names = [name for name in ("num_samples", "num_features") if name in dataset.coords]
    rank = np.min([np.asarray(dataset[name]) for name in names], axis=0)
    (along,) = dataset[names[0]].dims
    least = []
    for q in np.asarray(dataset["sphere_dimension"]):
        lanes = dataset["test_risk"].sel(sphere_dimension=q)
        bounds = np.array([theory.best_rank_risk(int(q), int(size)) for size in rank])
        others = [dim for dim in lanes.dims if dim != along]
        least.append(float(np.nanmin(np.asarray(lanes.min(others)) / bounds)))
    return min(least)


def _bound_claim(datasets: Mapping[str, xr.Dataset]) -> Claim:
    nearest = min(_nearest_to_bound(dataset) for dataset in datasets.values())
    return claim(
        "No draw learns more than the min(N, D) leading harmonics hold.",
        "Karhunen-Loeve; theory/sphere_features.py",
        "largest shortfall of a draw below the other eigenvalues' sum, relative",
        max(1 - nearest, 0.0),
        0.0,
        0.0,
        "bound",
        "all draws",
        # Rounding of the sum, eps K(1)/L.
        margin=1e-9,
        note=f"the lowest draw has {nearest:.3g} times the bound",
    )


def duality_fit(by_samples: Curve, by_features: Curve) -> PowerLawFit:
    """The power law through L(D)/L(N) at equal sizes: its exponent is alpha_D - alpha_N.

    Of two curves that bend, fits with weights of their own would differ where the curves do not.
    """
    ratio = by_samples.mean / by_features.mean
    errors = [curve.stderr / curve.mean for curve in (by_samples, by_features)]
    return fit_power_law(by_samples.x, ratio, standard_error=ratio * np.hypot(*errors))


def _duality_claim(by_samples: Curve, by_features: Curve) -> Claim:
    fit = duality_fit(by_samples, by_features)
    q = by_samples.fixed["sphere_dimension"]
    return claim(
        "alpha_D = alpha_N: with the other size infinite the two risks are one expression.",
        f"{PAPER}, section 2.4",
        f"alpha_D - alpha_N, S^{q}",
        fit.exponent,
        fit.exponent_error,
        0.0,
        "exact",
        window_text(fit, "D, N"),
        # The margin of the exponents themselves.
        margin=max(0.02, 0.05 * theory.alpha_k(q)),
        dof=fit.t_dof,
        note="independent draws",
    )


def _amplitude_claim(curve: Curve) -> Claim:
    ratio, error = amplitude(curve)
    return claim(
        "The spectrum of the kernel predicts the amplitude of the risk without a fit.",
        UNIVERSALITY,
        f"mean of L(D)/theory - 1, S^{curve.fixed['sphere_dimension']}",
        ratio - 1,
        error,
        0.0,
        curve.kind,
        f"D = {amplitude_start(curve):g}..{curve.x[-1]:g}",
        margin=_AMPLITUDE_MARGIN,
    )


def _trend_claim(found: tuple[Curve, ...]) -> Claim:
    first, last = (amplitude(curve) for curve in (found[0], found[-1]))
    excess, least = first[0] - 1, last[0] - 1
    spheres = [curve.fixed["sphere_dimension"] for curve in (found[0], found[-1])]
    return claim(
        "The amplitude approaches that of the theory as q grows.",
        UNIVERSALITY,
        f"L(D)/theory - 1 on S^{spheres[1]} over that on S^{spheres[0]}",
        least / excess,
        abs(least / excess) * math.hypot(first[1] / excess, last[1] / least),
        0.0,
        "asymptotic",
        f"D = {amplitude_start(found[0]):g}..{found[0].x[-1]:g}",
        margin=_AMPLITUDE_MARGIN,
        note="agrees where nine tenths of the excess are gone",
    )


EXPERIMENT = Experiment(
    name="sphere-features",
    summary="the exponent 3/q of ReLU features on the sphere, and its amplitude",
    paper=f"{PAPER} section 2.3",
    cost={"smoke": "15 s", "default": "2 min", "paper": "1 h"},
    sweeps=sweeps,
    analyse=analyse,
)
