"""Momentum adapted to the size (DANA): where it changes the exponent of the risk and where not.

Command: scalinglab run momentum [--size smoke|default|paper]
Cost: smoke 20 s, default about two minutes on two CPU cores, paper about 10 minutes on one GPU.

Ferbach et al. (arXiv 2505.16098) give the momentum term of SGD a weight of its own that falls in
time (DANA-decaying) or with the size (DANA-constant). Risks that are powers of the intrinsic time
t of SGD then are the same powers of an effective time,

    t^(2 - 1/(2 alpha)) for DANA-decaying, alpha > 1/2;  t^2/d for DANA-constant, t much above d

and for alpha < 1/2 decaying momentum changes nothing. On the data's own modes, d of them, the mean
risk is exact by three moments a mode, for any coefficients of each step; with random features it is
exact given the features.

Expected at size default, r = 200..2000: every slope that of the exact mean; at (1, 0.3) .81 for
SGD, .91 for DANA-constant (it sets in at r ~ d) and 1.09 for DANA-decaying, 1.34 times that of SGD
on its way to 1.5; at (0.4, 0.6) DANA-decaying has .99 times the slope of SGD.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import power_law_sgd as model
from scalinglab.theory.fitting import PowerLawFit, fit_power_law

from .lanes import Runs, all_runs

PAPER = "arXiv:2505.16098"
METHODS = ("none", "dana_constant", "dana_decaying")
NAMES = {
    "none": "SGD",
    "constant": "heavy ball",
    "dana_constant": "DANA-constant",
    "dana_decaying": "DANA-decaying",
}
POINTS = ((1.0, 0.3), (1.0, 1.2), (0.4, 0.6))
FEATURES_AT = (0.75, 0.25)
GAMMA0 = 0.3
WINDOW = (200.0, 2000.0)
# A difference of slopes that still is agreement: a tenth of what momentum is to change.
MARGIN = 0.05
_KINDS = ("settled", "dana")


class _Scale(NamedTuple):
    modes: int
    steps: int
    runs: int
    parameters: int
    feature_steps: int
    seeds: int
    feature_runs: int


_SIZES = {
    "smoke": _Scale(100, 400, 32, 16, 200, 2, 32),
    "default": _Scale(300, 3000, 64, 48, 2000, 4, 64),
    "paper": _Scale(4000, 100_000, 64, 400, 50_000, 8, 64),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Three methods on the data's own modes, and four on random features."""
    scale = _SIZES[size]
    modes = model.Config(
        num_parameters=scale.modes,
        ambient_dimension=scale.modes,
        features="identity",
        gamma0=GAMMA0,
        num_steps=scale.steps,
        records=50,
        runs=scale.runs,
    )
    alpha, beta = FEATURES_AT
    features = model.Config(
        alpha=alpha,
        beta=beta,
        num_parameters=scale.parameters,
        ambient_dimension=4 * scale.parameters,
        # The heavy ball multiplies the rate by 1/(1 - mu) = 10 in the long run.
        gamma0=GAMMA0 / 6,
        num_steps=scale.feature_steps,
        records=30,
        runs=scale.feature_runs,
    )
    found = {}
    # DANA has no kernel norm, so that it is a sweep of its own.
    for kind, methods, more in (
        ("settled", METHODS[:1], ("none", "constant")),
        ("dana", METHODS[1:], METHODS[1:]),
    ):
        zipped = {
            "momentum": [method for method in methods for _ in POINTS],
            "alpha": [alpha for _ in methods for alpha, _ in POINTS],
            "beta": [beta for _ in methods for _, beta in POINTS],
        }
        found[f"modes_{kind}"] = Sweep(model, modes, {}, zipped)
        found[f"features_{kind}"] = Sweep(model, features, {"momentum": more}, seeds=scale.seeds)
    return found


def effective_exponent(alpha: float, method: str) -> float:
    """The power of r that the intrinsic time grows with.

    1 for SGD and the heavy ball; 2 for DANA-constant once r is far above d; max(1, 2 - 1/(2 alpha))
    for DANA-decaying.

    **Source:** 2505.16098, section 4.
    """
    if method == "dana_constant":
        return 2.0
    if method == "dana_decaying":
        return max(1.0, 2.0 - 1.0 / (2.0 * alpha))
    return 1.0


def risk_exponent(alpha: float, beta: float) -> float:
    """The power of the intrinsic time with which the risk on the data's own modes falls.

    The smaller of (2 alpha + 2 beta - 1)/(2 alpha), of the target, and 2 - 1/(2 alpha), of the
    noise, the latter for beta > 1/2.
    """
    target = (2 * alpha + 2 * beta - 1) / (2 * alpha)
    return min(target, 2 - 1 / (2 * alpha)) if beta > 0.5 and alpha > 0.25 else target


class Slope(NamedTuple):
    """One method at one point: its runs and the fitted exponents of SGD and of the exact mean."""

    runs: Runs
    fit: PowerLawFit
    error: float
    exact: float

    @property
    def method(self) -> str:
        """The value of the field `momentum`."""
        return self.runs.config.momentum

    @property
    def point(self) -> tuple[float, float]:
        """(alpha, beta)."""
        return self.runs.config.alpha, self.runs.config.beta


def slopes(datasets: Mapping[str, xr.Dataset]) -> tuple[Slope, ...]:
    """The exponents of -d log P/d log r in the window, on the data's own modes."""
    every = (runs for kind in _KINDS for runs in all_runs(datasets[f"modes_{kind}"]))
    return tuple(_slope(runs) for runs in every)


def feature_runs(datasets: Mapping[str, xr.Dataset]) -> tuple[Runs, ...]:
    """The runs of every method on random features."""
    return tuple(runs for kind in _KINDS for runs in all_runs(datasets[f"features_{kind}"]))


def _slope(runs: Runs) -> Slope:
    values = runs.risk.reshape(-1, len(runs.steps))
    exact = runs.exact[0]
    window = (WINDOW[0], min(WINDOW[1], float(runs.steps[-1])))
    fit = fit_power_law(runs.steps, values.mean(axis=0), window=window)
    # Recorded steps share runs, so that the error comes from resampled runs.
    random = np.random.default_rng(0)
    drawn = [
        fit_power_law(runs.steps, values[chosen].mean(axis=0), window=window).exponent
        for chosen in random.integers(0, len(values), (60, len(values)))
    ]
    spread = float(np.std([float(x) for x in drawn], ddof=1))
    return Slope(runs, fit, spread, float(fit.same_window(exact).exponent))


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Slopes against exact and limit, what momentum changes, and exact means on features."""
    found = slopes(datasets)
    claims: list[Claim] = []
    for one in found:
        claims += _slope_claims(one)
    for point in POINTS:
        mine = {one.method: one for one in found if one.point == point}
        claims.append(_gain(mine["none"], mine["dana_decaying"]))
    return (*claims, *(_features(runs) for runs in feature_runs(datasets)))


def _window(one: Slope) -> str:
    low, high = (float(x) for x in one.fit.window)
    return f"r = {low:g}..{high:g}, {one.runs.config.num_parameters} modes"


def _slope_claims(one: Slope) -> list[Claim]:
    alpha, beta = one.point
    quantity = f"-d log P/d log r, {NAMES[one.method]}, ({alpha:g}, {beta:g})"
    measured = (quantity, float(one.fit.exponent), one.error)
    limit = effective_exponent(alpha, one.method) * risk_exponent(alpha, beta)
    return [
        claim(
            "The mean risk with momentum obeys the recursion of three moments a mode.",
            "theory.power_law_sgd.momentum",
            *measured,
            one.exact,
            "exact",
            _window(one),
            margin=max(MARGIN, 0.05 * one.exact),
        ),
        claim(
            "With momentum the risk is the same power of an effective time.",
            PAPER,
            *measured,
            limit,
            "asymptotic",
            _window(one),
            note=_reason(one),
        ),
    ]


def _reason(one: Slope) -> str:
    """Why the window is known to be short of the limit."""
    if one.method == "dana_constant":
        return "the limit is r far above d"
    return "the noise that is to lead is below the target" if one.point[1] > 0.5 else ""


def _gain(plain: Slope, decaying: Slope) -> Claim:
    alpha, beta = plain.point
    measured = float(decaying.fit.exponent / plain.fit.exponent)
    error = measured * np.hypot(
        plain.error / float(plain.fit.exponent), decaying.error / float(decaying.fit.exponent)
    )
    return claim(
        "Decaying momentum raises the exponent for alpha > 1/2, and does not for alpha < 1/2.",
        PAPER,
        f"exponent with DANA-decaying over that of SGD, ({alpha:g}, {beta:g})",
        measured,
        error,
        effective_exponent(alpha, "dana_decaying"),
        "asymptotic",
        _window(plain),
        margin=0.1,
        note=f"exact in the window: {decaying.exact / plain.exact:.3f}",
    )


def _features(runs: Runs) -> Claim:
    """The mean of SGD/exact over the later half of the records."""
    half = runs.ratio[:, len(runs.steps) // 2 :].mean(axis=1)
    alpha, beta = FEATURES_AT
    return claim(
        "Given the features the mean risk with momentum is exact.",
        "theory.power_law_sgd.momentum",
        f"simulation/exact, {NAMES[runs.config.momentum]}, ({alpha:g}, {beta:g})",
        half.mean(),
        half.std(ddof=1) / np.sqrt(len(half)),
        1.0,
        "exact",
        f"r = {runs.steps[len(runs.steps) // 2]:g}..{runs.steps[-1]:g}, "
        f"d = {runs.config.num_parameters}",
        margin=MARGIN,
        dof=len(half) - 1,
    )


EXPERIMENT = Experiment(
    name="momentum",
    summary="DANA momentum: where it changes the exponent of the risk and where not",
    paper="arXiv:2505.16098",
    cost={"smoke": "20 s", "default": "2 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
