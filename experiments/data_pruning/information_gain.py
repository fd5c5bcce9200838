"""What a kept example tells: the information of pruned data, after arXiv 2206.14486.

Command: scalinglab run information-gain [--size smoke|default|paper]
Cost: smoke 30 s, default about two minutes on two CPU cores; paper was not run.

A new kept example leaves a fraction p of the version space, and tells -ln p. Chains sample the
version space at N inputs (`models.version_space`); the theory is of the Gibbs student as N grows
(`theory.data_pruning.gibbs`). The probe is the teacher itself.

Three statements, all at a perfect probe:

- Without pruning an example tells at most one bit, the entropy of its label given the rest, and
  ever less: I -> 1/alpha nats. An example kept for being hard tells more than a bit. No bound is
  broken: the bound is on labels of inputs that were chosen without the teacher, and here the
  teacher chose. That an example lies close to the teacher's plane is news beyond its label. The
  student does not know of the choice, is as sure of a wrong label as of a right one, and pays for
  being wrong with more than a bit.
- At a fixed keep fraction that ends: beyond alpha = 2 the student has found the plane, and
  I -> 1/alpha again, for any f. Kept easy examples tell less still.
- What stays finite is the gain along a path on which f falls as examples are added. At fixed alpha
  each halving of f is worth one bit a dimension, so that f ~ 2^-alpha gains a bit an example, and
  f ~ b^-alpha any number of them: with an unlimited pool nothing singles out a rate. The pool
  alpha/f grows as fast.

Points where p is too small to be counted (hard examples around alpha = 2) are left to the theory.

Expected at size default (N = 24), bits an example with standard errors, theory in brackets:

    alpha f = 1              f = .5             f = .2             f = .05
    0.5   0.843(10) [0.858]  1.115(5) [1.110]   1.207(6) [1.185]   1.226(8) [1.199]
    1     0.699(10) [0.731]  1.183(16) [1.207]  1.548(13) [1.530]  1.707(25) [1.612]
    3     0.373(8) [0.410]   0.448(15) [0.490]  0.600(43) [0.546]  0.546(37) [0.561]
    5     0.259(9) [0.270]   0.285(10) [0.284]  0.293(14) [0.289]  0.277(9) [0.290]
    8     0.160(5) [0.176]   0.179(6) [0.179]   0.161(6) [0.180]   0.177(6) [0.180]

and along f = 2^-alpha 1.254(51) at alpha = 5 [1.290] and 1.119(42) at 8 [1.180].
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import Curve, fit_window, window_text
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import version_space as model
from scalinglab.theory import version_space as theory

from .information_curves import (
    BIT,
    EASY_FRACTION,
    PATH_RATE,
    information_curves,
    mean_and_error,
    path_fraction,
    path_measured,
    path_theory,
    size_of,
)

PAPER = "arXiv:2206.14486"
GIBBS = "(G1)-(G3) of theory.data_pruning.gibbs"
FRACTIONS = (1.0, 0.5, 0.2, 0.05)
# Of an exponent near 1, of three points.
_EXPONENT_MARGIN = 0.1


class _Scale(NamedTuple):
    dimension: int
    sweeps: int
    new_examples: int
    kept: tuple[float, ...]
    easy: tuple[float, ...]
    path: tuple[float, ...]
    seeds: int


_SIZES = {
    "smoke": _Scale(8, 512, 64, (1.0, 4.0, 8.0), (1.0, 4.0), (1.0, 4.0, 8.0), 6),
    "default": _Scale(
        24, 2048, 1024, (0.5, 1.0, 3.0, 5.0, 8.0), (1.0, 3.0, 5.0), (1.0, 3.0, 4.0, 5.0, 8.0), 40
    ),
    "paper": _Scale(
        48,
        8192,
        4096,
        (0.25, 0.5, 1.0, 3.0, 4.0, 6.0, 8.0, 16.0),
        (0.5, 1.0, 3.0, 8.0, 16.0),
        (1.0, 3.0, 4.0, 5.0, 6.0, 8.0),
        128,
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Hard examples at fixed keep fractions and along the path; easy ones at one fraction."""
    scale = _SIZES[size]

    def base(rule: Any, fraction: float) -> model.Config:
        return model.Config(
            kept_per_dimension=scale.kept[0],
            keep_fraction=fraction,
            rule=rule,
            dimension=scale.dimension,
            sweeps=scale.sweeps,
            new_examples=scale.new_examples,
        )

    path = {
        "kept_per_dimension": scale.path,
        "keep_fraction": tuple(path_fraction(np.asarray(scale.path)).tolist()),
    }
    ladder = {"kept_per_dimension": scale.kept, "keep_fraction": FRACTIONS}
    easy = {"kept_per_dimension": scale.easy}
    return {
        "ladder": Sweep(model, base("abs_hard", 1.0), ladder, seeds=scale.seeds),
        "easy": Sweep(model, base("abs_easy", EASY_FRACTION), easy, seeds=scale.seeds),
        "path": Sweep(model, base("abs_hard", 1.0), {}, path, scale.seeds),
    }


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The theory at each f, more than a bit, the fall at fixed f, the path, the vote's belief."""
    ladder = datasets["ladder"]
    size = size_of(ladder)
    found = information_curves(ladder)
    easy = information_curves(datasets["easy"])[0]
    strict = [
        _ratio_claim(curve, size, observable)
        for observable in ("information", "replica_overlap", "gibbs_error")
        for curve in information_curves(ladder, observable)
    ]
    return (
        *strict,
        _ratio_claim(easy, size, "information"),
        *[_bit_claim(curve) for curve in (found[0], found[-1])],
        *_fall_claims(found[1:]),
        _easy_claim(easy, found[0]),
        *_path_claims(datasets["path"], size),
        *_belief_claims(ladder),
    )


def _margin(size: int) -> float:
    """Of a ratio to the theory: in 26 settings measured at N = 16 and 24 these three observables
    differ from it by at most 2.2/N."""
    return 3.0 / size


def _points(curve: Curve) -> str:
    return "alpha = " + ", ".join(f"{x:g}" for x in curve.x)


def _kept(curve: Curve) -> str:
    fraction = curve.fixed.get("keep_fraction")
    return f"easy f={EASY_FRACTION:g}" if fraction is None else f"f={fraction:g}"


def _ratio_claim(curve: Curve, size: int, observable: str) -> Claim:
    ratio, error = curve.mean / curve.predicted, curve.stderr / curve.predicted
    return claim(
        "Replicas give the version space of a pruned set.",
        GIBBS,
        f"{observable}, simulation/theory, mean, {_kept(curve)}",
        float(ratio.mean()),
        float(np.sqrt(np.sum(error**2)) / len(error)),
        1.0,
        curve.kind,
        f"{_points(curve)}; N = {size}",
        margin=_margin(size),
        dof=len(ratio) * (curve.seeds - 1),
    )


def _bit_claim(curve: Curve) -> Claim:
    """At alpha = 1; the margin reaches to one bit, so that agreement decides which side it is."""
    at = int(np.flatnonzero(curve.x == 1.0)[0])
    predicted = float(curve.predicted[at]) / BIT
    whole = curve.fixed["keep_fraction"] == 1
    side = "An unselected example tells less" if whole else "An example kept as hard tells more"
    return claim(
        f"{side} than one bit.",
        f"{PAPER}, information gain",
        f"bits an example, {_kept(curve)}",
        curve.mean[at] / BIT,
        curve.stderr[at] / BIT,
        predicted,
        curve.kind,
        "alpha = 1",
        margin=abs(predicted - 1),
        dof=curve.seeds - 1,
        note="the margin is the distance to one bit",
    )


def _fall_claims(pruned: tuple[Curve, ...]) -> list[Claim]:
    """The exponent of I from alpha = 3 on, and I alpha at the end, means over keep fractions."""
    fits = [fit_window(curve, 3.0) for curve in pruned]
    predicted = [
        float(fit.same_window(curve.predicted).exponent)
        for fit, curve in zip(fits, pruned, strict=True)
    ]
    exponent = float(np.mean([float(fit.exponent) for fit in fits]))
    # From the seeds: two points leave no residual to take an error from.
    errors = [_exponent_error(curve) for curve in pruned]
    fractions = ", ".join(f"{curve.fixed['keep_fraction']:g}" for curve in pruned)
    shared = {
        "sentence": "At a fixed keep fraction the information gain falls as 1/alpha again.",
        "source": f"{PAPER}, information gain",
    }
    slope = {
        **shared,
        "quantity": f"exponent of I, mean over f = {fractions}",
        "measured": exponent,
        "standard_error": math.sqrt(sum(error**2 for error in errors)) / len(errors),
        "window": window_text(fits[0], "alpha"),
        "margin": _EXPONENT_MARGIN,
    }
    level = np.array([curve.mean[-1] * curve.x[-1] for curve in pruned])
    noise = np.array([curve.stderr[-1] * curve.x[-1] for curve in pruned])
    return [
        claim(**slope, predicted=float(np.mean(predicted)), kind=pruned[0].kind),
        claim(**slope, predicted=1.0, kind="asymptotic"),
        claim(
            **shared,
            quantity=f"I alpha in nats, mean over f = {fractions}",
            measured=float(level.mean()),
            standard_error=float(np.sqrt(np.sum(noise**2)) / len(noise)),
            predicted=1.0,
            kind="asymptotic",
            window=f"alpha = {pruned[0].x[-1]:g}",
            margin=_EXPONENT_MARGIN,
        ),
    ]


def _exponent_error(curve: Curve) -> float:
    """The standard error of the weighted slope of log I, from those of the points."""
    inside = curve.within(3.0)
    x, relative = np.log(curve.x[inside]), (curve.stderr / curve.mean)[inside]
    weight = relative**-2.0
    centre = np.sum(weight * x) / np.sum(weight)
    return float(np.sum(weight * (x - centre) ** 2) ** -0.5)


def _easy_claim(easy: Curve, whole: Curve) -> Claim:
    """The margin is the predicted distance to 1: agreement shows that easy examples tell less."""
    at, other = (int(np.flatnonzero(curve.x == easy.x[1])[0]) for curve in (easy, whole))
    ratio = float(easy.mean[at] / whole.mean[other])
    relative = math.hypot(easy.stderr[at] / easy.mean[at], whole.stderr[other] / whole.mean[other])
    predicted = float(easy.predicted[at] / whole.predicted[other])
    return claim(
        "An example kept as easy tells less than an unselected one.",
        GIBBS,
        f"information, {_kept(easy)} over f=1",
        ratio,
        ratio * relative,
        predicted,
        easy.kind,
        f"alpha = {easy.x[at]:g}",
        margin=1 - predicted,
        note="the margin is the distance to 1",
    )


def _path_claims(dataset: xr.Dataset, size: int) -> list[Claim]:
    measured = path_measured(dataset)
    predicted = path_theory(measured.kept)
    claims = []
    for at in (-2, -1):
        claims.append(
            claim(
                "Along f = 2^-alpha the information still grows by a finite amount an example.",
                f"{PAPER}, information gain",
                "bits an example along the path",
                measured.along[at] / BIT,
                measured.along_error[at] / BIT,
                predicted.along[at] / BIT,
                "deterministic_equivalent",
                f"alpha = {measured.kept[at]:g}",
                margin=_margin(size) * predicted.along[at] / BIT,
            )
        )
    last = {
        "measured": measured.along[-1] / BIT,
        "standard_error": measured.along_error[-1] / BIT,
        "window": f"alpha = {measured.kept[-1]:g}",
    }
    return [
        *claims,
        claim(
            "The finite amount is the rate at which f falls, whatever that is.",
            "S -> ln f + a function of alpha, (G1) as f -> 0",
            "bits an example along the path, less 1/alpha nats",
            last["measured"] - 1 / (BIT * measured.kept[-1]),
            last["standard_error"],
            PATH_RATE / BIT,
            "asymptotic",
            last["window"],
            margin=_margin(size) * predicted.along[-1] / BIT,
        ),
    ]


def _belief_claims(ladder: xr.Dataset) -> list[Claim]:
    """Bayes' case is an identity; on pruned data the vote expects too little error of itself."""
    whole = ladder.sel(keep_fraction=1.0)
    gap = (whole["teacher_overlap"] - whole["replica_overlap"]).mean("kept_per_dimension")
    mean, error = mean_and_error(gap.transpose("seed").values)
    pruned = ladder.sel(keep_fraction=0.2, kept_per_dimension=1.0)
    doubt = (pruned["vote_error"] - pruned["believed_vote_error"]).values
    excess, excess_error = mean_and_error(doubt)
    at = theory.predict(model.Config(kept_per_dimension=1.0, keep_fraction=0.2, dimension=None))
    predicted = at.observables["vote_error"] - at.observables["believed_vote_error"]
    return [
        claim(
            "Without pruning the teacher is one more student.",
            "exchangeability given the data, exact at any N",
            "R - q, mean over alpha, f=1",
            mean,
            error,
            0.0,
            "exact",
            "all alpha",
            dof=gap.size - 1,
        ),
        claim(
            "A pruned set makes students surer than they are right.",
            GIBBS,
            "error of the vote less the error it expects, f=0.2",
            excess,
            excess_error,
            predicted,
            "deterministic_equivalent",
            "alpha = 1",
            margin=predicted,
            dof=doubt.size - 1,
            note="agrees where the difference lies between 0 and twice the predicted one",
        ),
    ]


EXPERIMENT = Experiment(
    name="information-gain",
    summary="bits an example at fixed keep fractions, and along paths to ever harder ones",
    paper=PAPER,
    cost={"smoke": "30 s", "default": "2 min", "paper": "not measured"},
    sweeps=sweeps,
    analyse=analyse,
)
