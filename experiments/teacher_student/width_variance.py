"""Variance-limited width scaling with the linearised network as control variate.

Command: scalinglab run width-variance [--size smoke|default|paper]
Cost: smoke 30 s, default about 2 minutes on two free CPU cores (estimated: 110 s of arithmetic and
75 s of compilation, shared by both), paper about 5 minutes on one GPU (estimated, not yet run).
Needs scalinglab[data].

    L(w) - L(infinity) ~ w^-1,   alpha_W = 1          (arXiv 2102.06701, Fig. 1a bottom right)

Networks of two hidden layers are trained on 100 points by full-batch gradient descent. The loss of
wide ones keeps a scatter between initialisations, that of the function they begin with, which
hides a difference of order 1/w. From each is subtracted the loss of its linearisation, of the same
start: what is left falls as 1/w in every draw, so that the variance it saves grows as w².

The window is chosen by a rule, stated before the runs: the smallest width from which on the
exponent is flat within one standard error (`windowed_exponent`, three points at least left at
double the width); its change at double the width is the systematic error.

What the difference leaves out is E L_lin(w) - L(infinity), also of order 1/w: the exponent of the
raw excess L(w) - L(infinity) is fitted beside it, in the same window. L(infinity) is the closed
form for the squared error, and otherwise the loss of the widest linearised networks.

Expected at size default, w E(L - L_lin), alpha_W with its standard and systematic error, and what
the control variate saves in variance at w = 512:

    w           32     64     128    256    512         alpha_W, 64..512    saved
    gaussian    1.51   1.49   1.46   1.48   .86 +- .14  1.10 +- .05 +- .12  56
    digits      -6.96  -8.11  -8.93  -9.22  -9.1 +- .4  .931 +- .022 +- .048  26
    regression  1.02   1.06   1.26   .94    1.30 +- .07 .928 +- .037 +- .06  210

In the same window the raw excess has 1.28 +- .19, .09 +- .19 and .86 +- .18. What is saved grows as
w^1.0, w^1.1 and w^1.5 over 32..512, less than w^2: Var L itself still falls there.
"""

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep, config_from
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import finite_width as model
from scalinglab.theory import finite_width as theory
from scalinglab.theory.fitting import (
    PowerLawFit,
    WindowedExponent,
    fit_power_law,
    windowed_exponent,
)

PAPER = "arXiv:2102.06701"
NOTES = "docs/networks_on_manifolds.md, section 3"
_SOURCE = f"{PAPER} Fig. 1a, bottom right"
_SENTENCE = "The loss of wide networks differs from its limit by 1/w."
# Rates of order one, at which training changes the network enough to be seen.
CURVES = {
    "gaussian": model.Config(loss="cross-entropy", learning_rate=4.0),
    "digits": model.Config(data="digits", loss="cross-entropy", learning_rate=2.0),
    "regression": model.Config(activation="erf", learning_rate=4.0),
}
_LEAST_POINTS = 3
_MARGIN = 0.1


class _Scale(NamedTuple):
    steps: int
    narrow: tuple[int, ...]
    seeds: int
    wide: tuple[int, ...]
    wide_seeds: int


_SIZES = {
    "smoke": _Scale(10, (16, 32), 16, (64, 128), 8),
    "default": _Scale(50, (32, 64, 128), 128, (256, 512), 48),
    "paper": _Scale(100, (64, 128, 256, 512, 1024), 200, (2048, 4096, 8192, 11585), 50),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Each setting at narrow widths with many initialisations, and at wide ones with fewer."""
    scale = _SIZES[size]
    found = {}
    for name, chosen in CURVES.items():
        for part, widths, seeds in (
            (name, scale.narrow, scale.seeds),
            (f"{name}-wide", scale.wide, scale.wide_seeds),
        ):
            base = model.Config(
                width=widths[0],
                num_steps=scale.steps,
                learning_rate=chosen.learning_rate,
                activation=chosen.activation,
                loss=chosen.loss,
                data=chosen.data,
            )
            found[part] = Sweep(model, base, {"width": widths}, seeds=seeds)
    return found


class WidthCurve(NamedTuple):
    """Means over initialisations at each width, with standard errors; one number a width.

    `loss` of the network, `linearised` of its linearisation, their `difference`; `reduction`,
    Var L / Var(L - L_lin), with the jackknife's standard error of its logarithm.
    """

    width: np.ndarray
    loss: np.ndarray
    loss_error: np.ndarray
    linearised: np.ndarray
    linearised_error: np.ndarray
    difference: np.ndarray
    difference_error: np.ndarray
    reduction: np.ndarray
    reduction_log_error: np.ndarray
    seeds: np.ndarray


def width_curve(datasets: Mapping[str, xr.Dataset], name: str) -> WidthCurve:
    """One setting, narrow and wide together.

    **Raises:** `ValueError` where fewer than three lanes of a width succeeded.
    """
    rows = []
    for part in (name, f"{name}-wide"):
        dataset = datasets[part]
        for width in dataset["width"].values:
            at = dataset.sel(width=width)
            done = at["status"].values == 0
            if done.sum() < 3:
                raise ValueError(f"{name}: {done.sum()} lanes of width {width} succeeded; need 3")
            rows.append(_row(float(width), at.isel(seed=np.flatnonzero(done))))
    return WidthCurve(*np.array(rows).T)


def _row(width: float, at: xr.Dataset) -> tuple[float, ...]:
    losses = np.asarray(at["test_loss"].values, np.float64)
    differences = np.asarray(at["difference"].values, np.float64)
    found = [width]
    for name in ("test_loss", "test_loss_linearised", "difference"):
        values = np.asarray(at[name].values, np.float64)
        found += [values.mean(), values.std(ddof=1) / math.sqrt(len(values))]
    logs = _leave_one_out(losses) - _leave_one_out(differences)
    error = math.sqrt((len(logs) - 1) * np.var(logs))
    reduction = losses.var(ddof=1) / differences.var(ddof=1)
    return (*found, reduction, error, float(len(losses)))


def _leave_one_out(values: np.ndarray) -> np.ndarray:
    """The logarithm of the variance without each of the values in turn."""
    count = len(values)
    squares = (values - values.mean()) ** 2
    return np.log((squares.sum() - squares * count / (count - 1)) / (count - 2))


class Limit(NamedTuple):
    """L(infinity) with its standard error and kind."""

    value: float
    error: float
    kind: str


def limit_of(datasets: Mapping[str, xr.Dataset], name: str) -> Limit:
    """The closed form for the squared error, else the mean over the widest linearised networks."""
    config = _config_of(datasets, name)
    if config.loss == "mse":
        found = theory.infinite_width_losses(config).test
        return Limit(found, 0.0, "deterministic_equivalent")
    curve = width_curve(datasets, name)
    return Limit(float(curve.linearised[-1]), float(curve.linearised_error[-1]), "measured")


def _config_of(datasets: Mapping[str, xr.Dataset], name: str) -> model.Config:
    return config_from(model.Config, json.loads(datasets[f"{name}-wide"].attrs["config"]))


class Exponents(NamedTuple):
    """alpha_W of one setting, in one window.

    **Fields:** `difference`, with the control variate, its windows and the chosen one, or None
    where the difference has not one sign; `raw`, of L(w) - L(infinity), or None where that has not
    one sign in the window; `error_without`, the standard error that the exponent of the difference
    would have with the scatter of the raw loss.
    """

    difference: WindowedExponent | None
    raw: PowerLawFit | None
    error_without: float

    @property
    def window_start(self) -> float:
        """The smallest width of the chosen window."""
        found = self.difference
        return math.nan if found is None else float(found.x_min[found.chosen])


def exponents_of(curve: WidthCurve, limit: Limit) -> Exponents:
    """Both exponents, the window chosen from the difference."""
    sizes = _one_sign(curve.difference)
    if sizes is None:
        return Exponents(None, None, math.nan)
    chosen = windowed_exponent(
        curve.width, sizes, standard_error=curve.difference_error, min_points=_LEAST_POINTS
    )
    window = float(chosen.x_min[chosen.chosen]), float(curve.width[-1])
    without = fit_power_law(curve.width, sizes, standard_error=curve.loss_error, window=window)
    inside = curve.width >= window[0]
    excess = _one_sign((curve.loss - limit.value)[inside])
    raw = None
    if excess is not None:
        error = np.hypot(curve.loss_error[inside], limit.error)
        raw = fit_power_law(curve.width[inside], excess, standard_error=error)
    return Exponents(chosen, raw, float(without.exponent_error))


def _one_sign(values: np.ndarray) -> np.ndarray | None:
    """The absolute values, where all have the sign of the last."""
    return np.abs(values) if np.all(values * values[-1] > 0) else None


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """alpha_W with and without the control variate, what that saves, and the limit itself."""
    claims: list[Claim] = []
    for name in CURVES:
        curve, limit = width_curve(datasets, name), limit_of(datasets, name)
        found = exponents_of(curve, limit)
        claims += [
            _difference_claim(name, curve, found),
            _raw_claim(name, curve, found, limit),
            _reduction_claim(name, curve),
        ]
    return (*claims, _limit_claim(datasets, "regression"))


def _window(start: float, curve: WidthCurve) -> str:
    return f"w = {start:g}..{curve.width[-1]:g}"


def _difference_claim(name: str, curve: WidthCurve, found: Exponents) -> Claim:
    chosen = found.difference
    exponent, error, systematic = (math.nan,) * 3 if chosen is None else chosen.choice
    flat = chosen is not None and chosen.flat
    saved = curve.reduction[-1]
    return claim(
        _SENTENCE,
        _SOURCE,
        f"alpha_W of L - L_lin, {name}",
        exponent,
        error,
        1.0,
        "asymptotic",
        _window(found.window_start, curve),
        margin=_MARGIN,
        systematic=0.0 if math.isnan(systematic) else systematic,
        note=f"without control variate +- {found.error_without:.2g}; it saves a factor "
        f"{saved:.3g} in variance at w = {curve.width[-1]:g}"
        + ("" if flat else "; flat in no window"),
    )


def _raw_claim(name: str, curve: WidthCurve, found: Exponents, limit: Limit) -> Claim:
    raw = found.raw
    return claim(
        _SENTENCE,
        _SOURCE,
        f"alpha_W of L - L(infinity), {name}",
        math.nan if raw is None else float(raw.exponent),
        math.nan if raw is None else float(raw.exponent_error),
        1.0,
        "asymptotic",
        _window(found.window_start, curve),
        margin=_MARGIN,
        note=f"L(infinity) = {limit.value:.4g}, {limit.kind}",
    )


def _reduction_claim(name: str, curve: WidthCurve) -> Claim:
    """Var L tends to a constant and Var(L - L_lin) to one over w²."""
    error = curve.reduction * curve.reduction_log_error
    fit = fit_power_law(curve.width, curve.reduction, standard_error=error)
    return claim(
        "The linearised network leaves a difference of order 1/w in every draw.",
        NOTES,
        f"exponent of Var L/Var(L - L_lin), {name}",
        -float(fit.exponent),
        float(fit.exponent_error),
        2.0,
        "asymptotic",
        _window(curve.width[0], curve),
        margin=0.5,
    )


def _limit_claim(datasets: Mapping[str, xr.Dataset], name: str) -> Claim:
    curve, limit = width_curve(datasets, name), limit_of(datasets, name)
    config = dataclasses.replace(_config_of(datasets, name), width=int(curve.width[-1]))
    return claim(
        "Wide networks have the loss of the neural tangent kernel.",
        NOTES,
        f"L_lin/L(infinity), {name}",
        curve.linearised[-1] / limit.value,
        curve.linearised_error[-1] / limit.value,
        1.0,
        "deterministic_equivalent",
        f"w = {curve.width[-1]:g}",
        margin=theory.predict(config).relative_error,
    )


EXPERIMENT = Experiment(
    name="width-variance",
    summary="the 1/w law of wide networks, with the linearised network as control variate",
    paper=PAPER,
    cost={"smoke": "30 s", "default": "2 min", "paper": "5 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
