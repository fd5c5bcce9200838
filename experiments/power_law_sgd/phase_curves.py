"""Loss curves of SGD in each of the 4+3 phases, against what is exact for the same features.

Command: scalinglab run phase-curves [--size smoke|default|paper]
Cost: smoke 15 s, default about two minutes on two CPU cores, paper about 10 minutes on one GPU.

At one (alpha, beta) of each phase, gamma0 = 0.3 and one sample a step. Three things are held
against each other: runs of SGD; the mean over samples for the very features of those runs, exact at
any step; and the deterministic equivalent, the mean over features, held against the exact means of
fresh features. The components, of which each dominates one stretch, are asymptotic.

Expected at size default (d = 64, v = 256, 4 features with 64 runs each): 21 ratios of SGD to the
exact mean, three times in each phase, all with |z| < 3.3; the mean over 512 fresh features is that
of the equivalent within 2 % at every step.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import power_law_sgd as model
from scalinglab.theory import power_law_sgd as theory
from scalinglab.theory.power_law_sgd.components import kernel_norm, target_sum

from .lanes import Runs, all_runs, mean_and_error

PAPER = "arXiv:2405.15074"
# One point a phase, in the order of `theory.PHASES`.
POINTS = (
    (0.75, 0.25),
    (0.45, 0.33),
    (0.15, 1.5),
    (0.8, 0.6),
    (1.0, 2.0),
    (0.4, 1.0),
    (0.27, 0.8),
)
GAMMA0 = 0.3
# A number may miss by this many standard errors: 21 such fail by chance once in 100 runs.
ERRORS = 3.5
# What the components miss inside their window, as stated in theory.power_law_sgd.predict.
COMPONENT_ERROR = 0.6


class _Scale(NamedTuple):
    parameters: int
    ratio: int
    steps: int
    seeds: int
    runs: int


_SIZES = {
    "smoke": _Scale(16, 4, 400, 2, 32),
    "default": _Scale(64, 4, 6000, 4, 64),
    "paper": _Scale(800, 10, 1_000_000, 8, 32),
}
# Fresh features for the mean: more where they are cheap.
_DRAWS = 32768


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """The seven points."""
    scale = _SIZES[size]
    base = model.Config(
        num_parameters=scale.parameters,
        ambient_dimension=scale.ratio * scale.parameters,
        gamma0=GAMMA0,
        num_steps=scale.steps,
        records=40,
        runs=scale.runs,
    )
    alphas, betas = zip(*POINTS, strict=True)
    zipped = {"alpha": list(alphas), "beta": list(betas)}
    return {"phases": Sweep(model, base, {}, zipped, scale.seeds)}


class PhaseCurve(NamedTuple):
    """One phase: SGD, the exact means, and the theory at the recorded steps.

    **Fields:** `name` of the phase; `runs`; `equivalent` (records,) and the relative error that it
    states for a finite d; `parts`, the four components, as they enter the risk, and
    `component_risk`, their sum; `mean`, `stderr`, over fresh features.
    """

    name: str
    runs: Runs
    equivalent: np.ndarray
    stated_error: float
    parts: Mapping[str, np.ndarray]
    component_risk: np.ndarray
    mean: np.ndarray
    stderr: np.ndarray

    @property
    def checked(self) -> np.ndarray:
        """The three records of the comparison: early, middle, last."""
        last = len(self.runs.steps) - 1
        return np.array([last // 3, 2 * last // 3, last])

    @property
    def window(self) -> np.ndarray:
        """The records with 3 <= g B r <= d^(2 alpha)/3, where the components are to hold."""
        config = self.runs.config
        time = model.learning_rate(config) * config.batch_size * self.runs.steps
        return (time >= 3) & (time <= config.num_parameters ** (2 * config.alpha) / 3)


def phase_curves(dataset: xr.Dataset) -> tuple[PhaseCurve, ...]:
    """The curves of the seven phases."""
    size = json.loads(dataset.attrs["config"])["num_parameters"]
    return tuple(_phase_curve(runs) for runs in all_runs(dataset, max(16, _DRAWS // size)))


def _phase_curve(runs: Runs) -> PhaseCurve:
    config = runs.config
    made = theory.predict(config, "deterministic-equivalent")
    mean, stderr = mean_and_error(runs.fresh)
    parts, total = component_lines(config, runs.steps)
    return PhaseCurve(
        theory.phase(config.alpha, config.beta),
        runs,
        np.asarray(made.observables["test_risk"]),
        made.relative_error,
        parts,
        total,
        mean,
        stderr,
    )


def component_lines(
    config: model.Config, steps: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The components with the factors by which they enter the risk, and the risk they make."""
    dimension = config.ambient_dimension
    alpha, beta = (jnp.asarray(float(x), jnp.float64) for x in (config.alpha, config.beta))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        problem = theory.power_law_problem(
            alpha,
            beta,
            float(config.num_parameters),
            float(dimension) if dimension is not None else np.inf,
            gamma0=float(config.gamma0 or 0.0),
            batch_size=float(config.batch_size),
        )
        at = jnp.asarray(steps, jnp.float64)
        parts = theory.components(alpha, beta, problem, at)
        room = 1 - kernel_norm(problem)
        noise = target_sum(beta, problem) / 2 * parts.noise / room**2
        total = theory.component_risk(alpha, beta, problem, at)
    named = {
        name: np.asarray(getattr(parts, name) / room)
        for name in ("capacity", "pure_point", "embedding")
    }
    return {**named, "noise": np.asarray(noise)}, np.asarray(total)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """SGD against the exact mean, the exact mean against the equivalent, and the components."""
    curves = phase_curves(datasets["phases"])
    claims = [_outliers(curves)]
    for curve in curves:
        claims += [_sgd(curve), _features(curve), *_components(curve)]
    return tuple(claims)


def _outliers(curves: tuple[PhaseCurve, ...]) -> Claim:
    scores = []
    for curve in curves:
        ratio, error = curve.runs.mean_ratio()
        scores += list((ratio - 1)[curve.checked] / error[curve.checked])
    return claim(
        "The mean risk of SGD obeys the moment recursion exactly, whatever the phase.",
        "section 2.1 of docs/power_law_sgd.md; the Volterra equation of " + PAPER,
        f"of {len(scores)} SGD/exact ratios, those off by {ERRORS:g} standard errors",
        float(np.sum(np.abs(scores) > ERRORS)),
        0.0,
        0.0,
        "exact",
        "three recorded steps a phase, same features",
        margin=0.5,
        note=f"largest |z| {np.max(np.abs(scores)):.2f}",
    )


def _where(curve: PhaseCurve) -> str:
    config = curve.runs.config
    return f"{curve.name} ({config.alpha:g}, {config.beta:g})"


def _sgd(curve: PhaseCurve) -> Claim:
    """The mean over the later half of the records of each run: one number, with its own error."""
    half = curve.runs.ratio[:, len(curve.runs.steps) // 2 :].mean(axis=1)
    first = curve.runs.steps[len(curve.runs.steps) // 2]
    return claim(
        "The mean risk of SGD obeys the moment recursion exactly, whatever the phase.",
        "section 2.1 of docs/power_law_sgd.md; the Volterra equation of " + PAPER,
        f"SGD/exact for the same features, {_where(curve)}",
        half.mean(),
        half.std(ddof=1) / np.sqrt(len(half)),
        1.0,
        "exact",
        f"r = {first:g}..{curve.runs.steps[-1]:g}",
        margin=0.05,
        dof=len(half) - 1,
    )


def _features(curve: PhaseCurve) -> Claim:
    """At the record where the two differ most, relative to the larger of margin and error."""
    ratio, error = curve.mean / curve.equivalent, curve.stderr / curve.equivalent
    margin = curve.stated_error
    worst = int(np.argmax(np.abs(ratio - 1) / (margin + 2 * error)))
    return claim(
        "The mean over features is the deterministic equivalent, to order 1/d.",
        PAPER,
        f"exact mean/equivalent at the worst step, {_where(curve)}",
        ratio[worst],
        error[worst],
        1.0,
        "deterministic_equivalent",
        f"r = {curve.runs.steps[worst]:g} of 1..{curve.runs.steps[-1]:g}, "
        f"d = {curve.runs.config.num_parameters}",
        margin=margin,
    )


def _components(curve: PhaseCurve) -> list[Claim]:
    inside = curve.window
    if not np.any(inside):
        return []
    ratio = curve.component_risk[inside] / curve.equivalent[inside]
    worst = int(np.argmax(np.abs(np.log(ratio))))
    steps = curve.runs.steps[inside]
    return [
        claim(
            "The risk is the sum of four power laws.",
            f"{PAPER}, section 3",
            f"components/equivalent at the worst step, {_where(curve)}",
            ratio[worst],
            0.0,
            1.0,
            "asymptotic",
            f"r = {steps[0]:g}..{steps[-1]:g}, 3 <= g r <= d^(2 alpha)/3",
            margin=COMPONENT_ERROR,
        )
    ]


EXPERIMENT = Experiment(
    name="phase-curves",
    summary="loss curves of SGD in the seven phases, against exact means and components",
    paper="arXiv:2405.15074 Fig. 3",
    cost={"smoke": "15 s", "default": "2 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
