"""Learning-rate schedules, batch sizes and the stationary floor of SGD, exact and fitted.

Command: scalinglab run schedules [--size smoke|default|paper]
Cost: smoke 20 s, default about one minute on two CPU cores, paper about 5 minutes on one GPU.

The mean risk of SGD is exact for any schedule. Against it are held: the simulation under four
schedules; the annealing law L0 + A S1^-a - C S2, fitted to the curves of a constant and a cosine
rate and asked for the end of WSD (`theory.power_law_sgd.annealing`); the hyperbola of steps against
batch size, S = S_min (1 + B_c/B), exact for equal eigenvalues at the best rate and a fit for a
power law; and the floor sigma^2 |K|/(1 - |K|) of a constant rate.

Expected at size default: simulation/exact 1 within 1 % but for one of 2.6 +- 2.2 %; the annealing
law, which follows both fitted schedules within 5 %, puts the end of WSD too low by 2.4 times its
excess at sigma^2 = .01 and by 75 % of it at 1; 77.0, 20.8, 6.71, 2.89 steps at B = 4..256 for 64
equal modes (77.1, 20.9, 6.72, 2.88); the hyperbola of a power law good to .3 %, with B_c = 10.5,
and 22.6 with label noise, where the noise scale tr H/l_1 is 2.3.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import power_law_sgd as model
from scalinglab.models.power_law_sgd.stability import kernel_norm
from scalinglab.theory.power_law_sgd.annealing import Annealing, fit_annealing
from scalinglab.theory.power_law_sgd.batch import (
    isotropic_optimum,
    isotropic_steps,
    steps_to_target,
)

from .lanes import Runs, all_runs

SOURCE = "section 2.1 of docs/power_law_sgd.md"
SCHEDULES = ("constant", "cosine", "wsd", "step_decay")
# The annealing law is fitted to these and asked for that.
FITTED, ASKED = ("constant", "cosine"), "wsd"
NOISES = (0.01, 1.0)
ALPHA, BETA, RATE = 0.75, 0.25, 0.3
FLOOR_RATES = (0.1, 0.3)
SHARE = 0.01
BATCHES = (4, 16, 64, 256)
_POWER_BATCHES = (1, 2, 4, 8, 16, 32, 64)
_POWER_NOISES = (0.0, 0.25)
# Of a power law: the share of the starting excess to be reached.
_POWER_SHARE = 0.1
MARGIN = 0.03


class _Scale(NamedTuple):
    modes: int
    steps: int
    runs: int
    isotropic: int


_SIZES = {
    "smoke": _Scale(20, 300, 64, 16),
    "default": _Scale(50, 1500, 256, 64),
    "paper": _Scale(400, 20_000, 256, 256),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Four schedules at two noises, equal eigenvalues at four batch sizes, and the floor."""
    scale = _SIZES[size]
    base = model.Config(
        alpha=ALPHA,
        beta=BETA,
        num_parameters=scale.modes,
        ambient_dimension=scale.modes,
        features="identity",
        gamma0=None,
        learning_rate=RATE,
        num_steps=scale.steps,
        records=50,
        runs=scale.runs,
        warmup_fraction=0.0,
    )
    rates = [isotropic_optimum(scale.isotropic, batch).rate / batch for batch in BATCHES]
    isotropic = _like(base, 0.0, 0.0, scale.isotropic, round(1.4 * scale.isotropic) + 10, RATE / 50)
    floor = _like(base, ALPHA, BETA, max(8, scale.modes // 4), 2 * scale.steps, FLOOR_RATES[0])
    return {
        "schedules": Sweep(model, base, {"schedule": SCHEDULES, "noise_variance": NOISES}),
        "batches": Sweep(
            model, isotropic, {}, {"batch_size": list(BATCHES), "learning_rate": rates}
        ),
        "floor": Sweep(model, floor, {"learning_rate": FLOOR_RATES, "noise_variance": (1.0,)}),
    }


def _like(
    base: model.Config, alpha: float, beta: float, modes: int, steps: int, rate: float
) -> model.Config:
    return model.Config(
        alpha=alpha,
        beta=beta,
        num_parameters=modes,
        ambient_dimension=modes,
        features="identity",
        gamma0=None,
        learning_rate=rate,
        num_steps=steps,
        records=min(base.records, steps),
        runs=base.runs,
    )


def rates_of(config: model.Config) -> np.ndarray:
    """The rate eta of every step."""
    update = model.update_of(config, jnp.dtype(jnp.float64))
    return np.asarray(update(jnp.arange(config.num_steps)).direct)


class Annealed(NamedTuple):
    """The annealing law at one noise.

    **Fields:** `noise`; `law`, fitted to the exact curves of `FITTED`; `runs` by schedule;
    `said`, of the law at the recorded steps of `ASKED`.
    """

    noise: float
    law: Annealing
    runs: Mapping[str, Runs]
    said: np.ndarray

    @property
    def final_excess(self) -> tuple[float, float, float]:
        """The excess over the noise at the end of `ASKED`: exact, measured, and its error."""
        asked = self.runs[ASKED]
        last = asked.risk[0, :, -1]
        error = float(last.std(ddof=1) / np.sqrt(len(last)))
        return float(asked.exact[0, -1]) - self.noise, float(last.mean()) - self.noise, error


def annealed(dataset: xr.Dataset) -> tuple[Annealed, ...]:
    """The law at each noise, fitted from step 20 on."""
    every = all_runs(dataset)
    found = []
    for noise in sorted({runs.config.noise_variance for runs in every}):
        mine = {runs.config.schedule: runs for runs in every if runs.config.noise_variance == noise}
        late = [mine[name].steps >= 20 for name in FITTED]
        law = fit_annealing(
            [rates_of(mine[name].config) for name in FITTED],
            [mine[name].steps[chosen] for name, chosen in zip(FITTED, late, strict=True)],
            [mine[name].exact[0][chosen] for name, chosen in zip(FITTED, late, strict=True)],
        )
        asked = mine[ASKED]
        said = law.at(rates_of(asked.config), asked.steps)
        found.append(Annealed(float(noise), law, mine, said))
    return tuple(found)


class Batches(NamedTuple):
    """Steps to a target against batch size, and the hyperbola S_min (1 + B_c/B) through them.

    **Fields:** `batch`, `steps` (batches,); `least` S_min and `critical` B_c, by least squares of
    relative errors; `worst`, the largest relative deviation.
    """

    batch: np.ndarray
    steps: np.ndarray
    least: float
    critical: float
    worst: float


@lru_cache(maxsize=8)
def power_law_batches(modes: int, noise: float) -> Batches:
    """S(B) at the best constant rate for a power-law spectrum, by exact moments."""
    config = model.Config(
        alpha=ALPHA, beta=BETA, num_parameters=modes, ambient_dimension=modes, features="identity"
    )
    problem = model.modes_of(config, model.draw(config, key=jax.random.key(0)))
    start = float(jnp.sum(problem.targets**2))
    noisy = problem._replace(least_risk=problem.least_risk + noise)
    target = jnp.asarray(noise + _POWER_SHARE * start)
    trace = float(jnp.sum(problem.eigenvalues))
    steps = []
    for batch in _POWER_BATCHES:
        top = 2.0 / (trace + (batch + 1))
        rates = jnp.asarray(top * np.geomspace(0.02, 1.0, 60))
        found = steps_to_target(noisy, rates, batch, target, longest=jnp.asarray(1e6))
        steps.append(float(jnp.min(found)))
    batches, counts = np.array(_POWER_BATCHES, float), np.array(steps)
    columns = np.stack([1 / counts, 1 / (batches * counts)], axis=1)
    (least, slope), *_ = np.linalg.lstsq(columns, np.ones(len(counts)), rcond=None)
    worst = float(np.max(np.abs(columns @ np.array([least, slope]) - 1)))
    return Batches(batches, counts, float(least), float(slope / least), worst)


def measured_steps(runs: Runs, share: float = SHARE) -> tuple[float, float]:
    """Steps until the mean risk of the runs is at a share of the start, and their error.

    By interpolation of log risk between records; the error by resampling runs.
    """

    def crossing(values: np.ndarray) -> float:
        curve = np.log(values.mean(axis=0) / (runs.config.num_parameters))
        return float(np.interp(-np.log(share), -curve, runs.steps))

    values = runs.risk[0]
    random = np.random.default_rng(0)
    drawn = [crossing(values[random.integers(0, len(values), len(values))]) for _ in range(200)]
    return crossing(values), float(np.std(drawn, ddof=1))


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The schedules, the annealing law, batch sizes, and the floor."""
    claims = [_exact(runs) for runs in all_runs(datasets["schedules"])]
    for one in annealed(datasets["schedules"]):
        claims.append(_annealing(one))
    claims += [_isotropic(runs) for runs in all_runs(datasets["batches"])]
    modes = all_runs(datasets["schedules"])[0].config.num_parameters
    for noise in _POWER_NOISES:
        claims += _hyperbola(power_law_batches(modes, noise), modes, noise)
    return (*claims, *(_floor(runs) for runs in all_runs(datasets["floor"])))


def _exact(runs: Runs) -> Claim:
    half = runs.ratio[:, len(runs.steps) // 2 :].mean(axis=1)
    return claim(
        "The mean risk of SGD is exact under any schedule.",
        SOURCE,
        f"simulation/exact, {runs.config.schedule}, sigma^2 = {runs.config.noise_variance:g}",
        half.mean(),
        half.std(ddof=1) / np.sqrt(len(half)),
        1.0,
        "exact",
        f"r = {runs.steps[len(runs.steps) // 2]:g}..{runs.steps[-1]:g}",
        margin=MARGIN,
        dof=len(half) - 1,
    )


def _annealing(one: Annealed) -> Claim:
    exact, measured, error = one.final_excess
    said = float(one.said[-1]) - one.noise
    return claim(
        "The annealing law, fitted to two schedules, predicts a third.",
        "arXiv:2408.11029",
        f"final excess risk of {ASKED}, sigma^2 = {one.noise:g}",
        measured,
        error,
        said,
        "heuristic",
        f"r = {one.runs[ASKED].config.num_steps}",
        margin=0.05 * exact,
        note=f"exact {exact:.4g}; memory {one.law.memory:g}, residual {one.law.residual:.2g}",
    )


def _isotropic(runs: Runs) -> Claim:
    modes, batch = runs.config.num_parameters, runs.config.batch_size
    steps, error = measured_steps(runs)
    expected = isotropic_steps(modes, batch, SHARE)
    return claim(
        "For equal eigenvalues the critical batch size is D + 1.",
        "theory.power_law_sgd.batch",
        f"steps to {SHARE:g} of the start, B = {batch}",
        steps,
        error,
        expected,
        "exact",
        f"D = {modes}, best rate",
        # The mean falls by a constant factor a step, so that interpolating its log is exact.
        margin=MARGIN * expected,
    )


def _hyperbola(found: Batches, modes: int, noise: float) -> list[Claim]:
    eigenvalues = np.arange(1, modes + 1.0) ** (-2 * ALPHA)
    window = f"B = {found.batch[0]:g}..{found.batch[-1]:g}, {modes} modes, sigma^2 = {noise:g}"
    shared = ("arXiv:1812.06162", "heuristic")
    return [
        claim(
            "Steps against batch size are a hyperbola for a power-law spectrum too.",
            shared[0],
            f"largest relative deviation of S(B), sigma^2 = {noise:g}",
            found.worst,
            0.0,
            0.0,
            shared[1],
            window,
            margin=0.1,
        ),
        claim(
            "The critical batch size is the noise scale of the spectrum.",
            shared[0],
            f"fitted B_c, sigma^2 = {noise:g}",
            found.critical,
            0.0,
            float(eigenvalues.sum()),
            shared[1],
            window,
            margin=0.2 * float(eigenvalues.sum()),
            note="a fit constant of spectrum, noise and target",
        ),
    ]


def _floor(runs: Runs) -> Claim:
    config = runs.config
    eigenvalues = jnp.arange(1.0, config.num_parameters + 1) ** (-2 * ALPHA)
    norm = float(kernel_norm(eigenvalues, jnp.asarray(model.learning_rate(config)), 1)[0])
    late = runs.risk[0][:, runs.steps >= config.num_steps / 2].mean(axis=1) - config.noise_variance
    return claim(
        "At a constant rate the excess risk stops at sigma^2 |K|/(1 - |K|).",
        SOURCE,
        f"floor of the excess risk, eta = {config.learning_rate:g}",
        late.mean(),
        late.std(ddof=1) / np.sqrt(len(late)),
        config.noise_variance * norm / (1 - norm),
        "exact",
        f"r = {config.num_steps // 2}..{config.num_steps}, {config.num_parameters} modes",
        margin=0.05 * config.noise_variance * norm / (1 - norm),
        dof=len(late) - 1,
    )


EXPERIMENT = Experiment(
    name="schedules",
    summary="schedules, the annealing law, batch sizes and the floor, against exact moments",
    paper="arXiv:2408.11029",
    cost={"smoke": "20 s", "default": "1 min", "paper": "5 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
