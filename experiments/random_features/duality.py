"""Duality of data and features, and where it breaks (Fig. 2b of arXiv 2102.06701).

Command: scalinglab run duality [--size smoke|default|paper]
Cost: smoke 15 s, default about one minute on two CPU cores, paper about 10 minutes on one GPU.

For an isotropic teacher (b = a) exchanging the data matrix with the feature matrix leaves the risk
of the very same two matrices unchanged, to rounding, at equal D N ridge. So alpha_D = alpha_N, the
diagonal of the plane. For b - 1 > a the two limits differ: alpha_D = min(b-1, 2a) and
alpha_N = min(b-1, a).

Expected at size default, window 32..256: the swap identity to 1e-10 relative; a = b on the
diagonal; at (a, b) = (1.5, 4) alpha_D = 2.7 and alpha_N = 1.4, far below it.
"""

import math
from collections.abc import Mapping

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import Curve, curves, fit_window, window_text
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import random_features as model
from scalinglab.theory import random_features as theory

PAPER = "arXiv:2102.06701"
# (a, b): the diagonal first, then targets steeper than the spectrum.
DIAGONAL = ((1.3, 1.3), (1.5, 1.5), (2.0, 2.0), (2.5, 2.5), (3.0, 3.0))
STEEP = ((1.5, 2.2), (1.5, 4.0), (2.0, 4.0))
_SWAP_SIZES = (60, 90)

_SIZES = {
    "smoke": (200, (8, 16, 32), 8),
    "default": (1500, (32, 64, 128, 256), 16),
    "paper": (32768, (32, 64, 128, 256, 512, 1024, 2048, 4096), 32),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """L(D) and L(N) over all pairs of decays, and both orders of one pair of matrices."""
    modes, sizes, seeds = _SIZES[size]
    pairs = {
        "eigenvalue_decay": [a for a, _ in DIAGONAL + STEEP],
        "target_decay": [b for _, b in DIAGONAL + STEEP],
    }
    data = model.Config(
        num_samples=8, num_features=None, dimension=modes, teacher="isotropic", tail="averaged"
    )
    features = model.Config(
        num_samples=None, num_features=8, dimension=modes, teacher="isotropic", tail="averaged"
    )
    samples, others = _SWAP_SIZES
    swap = model.Config(
        num_samples=samples,
        num_features=others,
        dimension=200,
        teacher="isotropic",
        paired="swapped",
    )
    ridges = {"ridge": [0.0, 0.7 / (samples * others)]}
    matched = {name: [1.5, 2.0] for name in ("eigenvalue_decay", "target_decay")}
    return {
        "data": Sweep(model, data, {"num_samples": sizes}, pairs, seeds),
        "features": Sweep(model, features, {"num_features": sizes}, pairs, seeds),
        "swap": Sweep(model, swap, ridges, matched, 8),
    }


def exponent_curves(
    datasets: Mapping[str, xr.Dataset],
) -> dict[tuple[float, float], tuple[Curve, Curve]]:
    """(a, b) to the curves L(D) and L(N)."""
    found: dict[tuple[float, float], list[Curve]] = {}
    for name, field in (("data", "num_samples"), ("features", "num_features")):
        for curve in curves(datasets[name], "test_risk", field, theory):
            pair = (curve.fixed["eigenvalue_decay"], curve.fixed["target_decay"])
            found.setdefault(pair, []).append(curve)
    return {pair: (both[0], both[1]) for pair, both in found.items()}


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The swap identity, the exponents in their window, and duality with its breaking."""
    strict, published = [_swap_claim(datasets["swap"])], []
    for (a, b), both in exponent_curves(datasets).items():
        strict += [
            _exponent_claim(a, b, curve, symbol) for curve, symbol in zip(both, "DN", strict=True)
        ]
        published.append(_duality_claim(a, b, both))
    return (*strict, *published)


def _swap_claim(dataset: xr.Dataset) -> Claim:
    relative = np.abs(dataset["excess_risk"] / dataset["test_risk"]).values
    # Rounding of the solve: eps times the condition number of the Gram matrix, below 1e5 here for
    # decays up to 2 at 60 of 200 modes.
    return claim(
        "The risk is the same with data and features exchanged, for the same two matrices.",
        f"{PAPER}, section 2.4 and its appendix",
        "largest relative difference after the swap",
        float(np.nanmax(relative)),
        0.0,
        0.0,
        "exact",
        "D, N = 60, 90",
        margin=1e-10,
        note=f"{np.isfinite(relative).sum()} pairs of matrices",
    )


def _exponent_claim(a: float, b: float, curve: Curve, symbol: str) -> Claim:
    fit = fit_window(curve, curve.x[0])
    return claim(
        "The exponent is that of the theory in the same window.",
        f"{PAPER}, Fig. 2b",
        f"alpha_{symbol}, a={a:g}, b={b:g}",
        fit.exponent,
        fit.exponent_error,
        fit.same_window(curve.predicted).exponent,
        curve.kind,
        window_text(fit, symbol),
        dof=fit.t_dof,
    )


def _duality_claim(a: float, b: float, both: tuple[Curve, Curve]) -> Claim:
    fits = [fit_window(curve, curve.x[0]) for curve in both]
    difference = float(fits[0].exponent - fits[1].exponent)
    error = math.hypot(*(float(fit.exponent_error) for fit in fits))
    limit = theory.asymptotic_exponents(a, b)
    predicted = float(limit.resolution_data - limit.resolution_features)
    broken = b - 1 > a
    return claim(
        "Duality breaks where b - 1 > a." if broken else "alpha_D = alpha_N.",
        f"{PAPER}, Fig. 2b" + (", extended to b != a" if b != a else ""),
        f"alpha_D - alpha_N, a={a:g}, b={b:g}",
        difference,
        error,
        predicted,
        "asymptotic",
        window_text(fits[0], "D, N"),
        margin=max(0.02, 0.05 * float(limit.resolution_data)),
        dof=fits[0].t_dof,
    )


EXPERIMENT = Experiment(
    name="duality",
    summary="data and features exchanged, and where that symmetry breaks",
    paper=f"{PAPER} Fig. 2b",
    cost={"smoke": "15 s", "default": "1 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
