"""Learning curves of real images against their kernel spectrum, after Fig. 2 of arXiv 2102.06701.

Command: scalinglab run digits [--size smoke|default|paper]
Cost: smoke 15 s, default 30 s and paper 5 minutes on two CPU cores. Needs scalinglab[data].

scikit-learn's digits, averaged over blocks of 1, 2 and 4 pixels (64, 16 and 4 input dimensions),
stand for the pooled MNIST of the paper, and the arc-cosine kernel for its deep networks: a
qualitative analogue. L(D) is regression with the kernel on D of 1300 images, L(N) with N ReLU
features on all 1300; both are tested on 497 others, and averaged exactly over a teacher drawn from
the kernel's Gaussian process. The errors are over training sets and features, not over the split.

The predictions are a heuristic (theory of random features on the spectrum of the 1797 images):
disagreement is a finding about it, not an error of the code.

Expected at size default, window 20..320, with alpha_K over modes 10..100 (standard errors up to
0.013 on alpha_D and 0.023 on alpha_N; of the heuristic in brackets):

    pool  inputs  alpha_K  alpha_D      alpha_N at D=1300  L(D)/theory  L(N)/theory
    1     64      1.16     0.83 (0.92)  0.86 (0.86)        0.99..1.26   1.30..1.46
    2     16      1.35     0.94 (1.05)  0.81 (0.95)        1.07..1.33   1.18..2.04
    4     4       1.47     1.16 (1.35)  0.92 (1.25)        1.63..2.68   2.07..5.06

So coarser pooling does raise alpha_K and alpha_D; alpha_D = alpha_N = alpha_K fails by 0.3 to 0.55
in this window. alpha_N suffers most: 1300 images are not unlimited data (their factor D/(D - N) is
1.33 at N = 320), and without biases nearly half of the features are zero or linear on all images at
pool 4, while others are active on so few that their weights are hardly determined.
"""

import itertools
from collections.abc import Mapping

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import (
    Curve,
    Statement,
    curves,
    exponent_claims,
    fit_window,
    window_text,
    worst_deviation,
)
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import digits as model
from scalinglab.theory import digits as theory

PAPER = "arXiv:2102.06701"

# (sizes, seeds of L(D), seeds of L(N))
_SIZES = {
    "smoke": ((10, 40), 4, 4),
    "default": ((20, 40, 80, 160, 320), 32, 32),
    "paper": ((20, 40, 80, 160, 320), 512, 512),
}
# sweep -> (swept field, symbol, sentence of the paper)
CURVES = {
    "data": (
        "num_samples",
        "D",
        "With unlimited features, the risk falls with the data as D^-alpha_K.",
    ),
    "features": (
        "num_features",
        "N",
        "With unlimited data, the risk falls with the features as N^-alpha_K.",
    ),
}
# A tenth is what a reader of a log-log plot would call the same curve.
_AMPLITUDE_MARGIN = 0.1


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """L(D) with the kernel and L(N) on all training images, for each pooling."""
    sizes, data_seeds, feature_seeds = _SIZES[size]
    by_samples = model.Config(num_features=None)
    by_features = model.Config(num_samples=None, num_features=sizes[0])
    pools = {"pool": model.POOLS}
    return {
        "data": Sweep(model, by_samples, {**pools, "num_samples": sizes}, seeds=data_seeds),
        "features": Sweep(
            model, by_features, {**pools, "num_features": sizes}, seeds=feature_seeds
        ),
    }


def pool_curves(name: str, dataset: xr.Dataset) -> tuple[Curve, ...]:
    """The curves of one sweep, in the order of the poolings."""
    found = curves(dataset, "test_risk", CURVES[name][0], theory)
    return tuple(sorted(found, key=lambda curve: curve.fixed["pool"]))


def theory_line(name: str, pool: int, sizes: np.ndarray) -> np.ndarray:
    """The heuristic of one curve at real-valued sizes, for drawing."""
    ridge = model.Config().ridge
    if name == "data":
        return theory.learning_curve(pool, sizes, np.full(sizes.shape, np.inf), ridge)
    return theory.learning_curve(pool, np.full(sizes.shape, float(model.TRAIN)), sizes, ridge)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Each exponent against the heuristic, the amplitudes, then the paper's statements."""
    heuristic, amplitudes, published, ordering = [], [], [], []
    for name, (_, symbol, sentence) in CURVES.items():
        found = pool_curves(name, datasets[name])
        for curve in found:
            pool = curve.fixed["pool"]
            statement = Statement(
                sentence,
                f"{PAPER}, Fig. 2, section 2.4",
                f"{_exponent_name(symbol)}, pool {pool}",
                symbol,
                lambda fixed: theory.alpha_k(fixed["pool"]),
            )
            same, limit = exponent_claims(curve, statement, curve.x[0])
            heuristic.append(same)
            published.append(limit)
            amplitudes.append(_amplitude_claim(curve, symbol))
        ordering += [
            _ordering_claim(fine, coarse, symbol) for fine, coarse in itertools.pairwise(found)
        ]
    return (*heuristic, *amplitudes, *published, *ordering)


def _exponent_name(symbol: str) -> str:
    return "alpha_D" if symbol == "D" else f"alpha_N at D={model.TRAIN}"


def _amplitude_claim(curve: Curve, symbol: str) -> Claim:
    deviation, error = worst_deviation(curve, curve.x[0])
    return claim(
        "The kernel spectrum predicts the learning curve without a fit.",
        "arXiv:2311.14646, for Gaussian universality",
        f"largest L({symbol})/theory - 1, pool {curve.fixed['pool']}",
        deviation,
        error,
        0.0,
        curve.kind,
        f"{symbol} = {curve.x[0]:g}..{curve.x[-1]:g}",
        margin=_AMPLITUDE_MARGIN,
    )


def _ordering_claim(fine: Curve, coarse: Curve, symbol: str) -> Claim:
    fits = [fit_window(curve, curve.x[0]) for curve in (fine, coarse)]
    pools = [curve.fixed["pool"] for curve in (fine, coarse)]
    rise = theory.alpha_k(pools[1]) - theory.alpha_k(pools[0])
    return claim(
        "Coarser pooling has larger exponents.",
        f"{PAPER}, Fig. 2b",
        f"{_exponent_name(symbol)}, pool {pools[1]} less pool {pools[0]}",
        float(fits[1].exponent - fits[0].exponent),
        float(np.hypot(fits[1].exponent_error, fits[0].exponent_error)),
        rise,
        "asymptotic",
        window_text(fits[0], symbol),
        # The margin is the predicted rise: agreement shows a rise above 0 and below twice that.
        margin=abs(rise),
        note="agrees where the rise lies between 0 and twice that of alpha_K",
    )


EXPERIMENT = Experiment(
    name="digits",
    summary="a learning curve predicted from the kernel spectrum of real images",
    paper=f"{PAPER} Fig. 2",
    cost={"smoke": "15 s", "default": "30 s", "paper": "5 min"},
    sweeps=sweeps,
    analyse=analyse,
)
