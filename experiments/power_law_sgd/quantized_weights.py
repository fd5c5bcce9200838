"""Rounded weights: the number of steps beyond which more training does harm.

Command: scalinglab run quantized-weights [--size smoke|default|paper]
Cost: smoke 15 s, default about one minute on two CPU cores, paper about 10 minutes on one GPU.

Linear regression on the modes of the data, l_i = i^-a and l_i w_i^2 = i^-(1 + b_s); a copy of the
weights is rounded to b bits, with a step set by the largest weight. Where a > 1 + b_s the weights
that are learnt later are larger: the rounding step grows along training, and after

    t* ~ 4^(b a/(a - 1))

steps the rounded model gets worse, by 2 a/(a - 1) = 3 powers of two in t a bit at a = 3. The
prediction, mean risk plus rounding noise of weights above half a step and loss of those below, is
heuristic. Negative control: a < 1 + b_s, where the largest weight is the first and stays.

Expected at size default (a = 3, b_s = 0.3): a minimum at 3 and 4 bits, log2 t* = 10.4 +- .5 and
13.4 +- .4, 1.3 and 2.2 below the prediction, which knows the mean weights but not their scatter;
3.0 +- .6 a bit apart; the rounded risk at the predicted t* 1.4 to 1.5 times the predicted; no
minimum in the control.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import power_law_sgd as model
from scalinglab.theory import power_law_sgd as theory

from .lanes import all_runs, settings

SOURCE = "arXiv:2411.04330; theory.power_law_sgd.rounding"
RATE = 0.3
# alpha = a/2, beta = (1 + b_s - a)/2: a = 3 with b_s = .3, and the control a = 1.5 with b_s = .7.
GROWING = (1.5, -0.85)
CONTROL = (0.75, 0.1)
CONTROL_BITS = 4
# The rise of the rounded risk after its minimum that counts as harm: that of the growing weights,
# times 1.5 and more at size default, is ten times as much.
_HARM = 0.05


class _Scale(NamedTuple):
    modes: int
    steps: int
    bits: tuple[int, ...]
    seeds: int


_SIZES = {
    "smoke": _Scale(24, 3000, (2, 3), 6),
    "default": _Scale(64, 100_000, (3, 4), 24),
    "paper": _Scale(256, 10_000_000, (3, 4, 5, 6), 32),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Bits where weights grow, and the control."""
    scale = _SIZES[size]
    lanes = [(*GROWING, bits) for bits in scale.bits] + [(*CONTROL, CONTROL_BITS)]
    base = model.Config(
        alpha=GROWING[0],
        beta=GROWING[1],
        num_parameters=scale.modes,
        ambient_dimension=scale.modes,
        features="identity",
        gamma0=None,
        learning_rate=RATE,
        num_steps=scale.steps,
        records=60,
        quantize_bits=scale.bits[0],
    )
    names = ("alpha", "beta", "quantize_bits")
    zipped = {name: [lane[i] for lane in lanes] for i, name in enumerate(names)}
    return {"rounded": Sweep(model, base, {}, zipped, scale.seeds)}


class Rounded(NamedTuple):
    """One setting.

    **Fields:** `config`; `steps`; `risk` (seeds, records), of rounded weights; `plain` (records,),
    the exact mean without rounding; `predicted` (records,), that plus the penalty.
    """

    config: model.Config
    steps: np.ndarray
    risk: np.ndarray
    plain: np.ndarray
    predicted: np.ndarray

    @property
    def bits(self) -> int:
        """b."""
        return int(self.config.quantize_bits or 0)

    @property
    def mean(self) -> np.ndarray:
        """The rounded risk, mean over seeds."""
        return self.risk.mean(axis=0)

    @property
    def stderr(self) -> np.ndarray:
        """Its standard error."""
        return self.risk.std(axis=0, ddof=1) / np.sqrt(len(self.risk))

    def best(self, risk: np.ndarray) -> float:
        """log2 of the steps of least risk, by a parabola through three smoothed records."""
        log_step = np.log2(self.steps)
        smooth = np.log(np.convolve(np.pad(risk, 2, mode="edge"), np.ones(5) / 5, "valid"))
        least = int(np.argmin(smooth))
        if not 0 < least < len(smooth) - 1:
            return float(log_step[least])
        near = slice(least - 1, least + 2)
        bend, slope, _ = np.polyfit(log_step[near] - log_step[least], smooth[near], 2)
        return float(log_step[least] - slope / (2 * bend))

    def best_error(self) -> float:
        """The standard error of `best` by resampling seeds."""
        random = np.random.default_rng(self.bits)
        count = len(self.risk)
        drawn = random.integers(0, count, (200, count))
        return float(np.std([self.best(self.risk[one].mean(axis=0)) for one in drawn], ddof=1))


def rounded_runs(dataset: xr.Dataset) -> tuple[Rounded, ...]:
    """Every setting, the control last."""
    found = []
    for (config, lanes), runs in zip(settings(dataset), all_runs(dataset), strict=True):
        modes = jnp.arange(1.0, config.num_parameters + 1)
        eigenvalues, weights = modes ** (-2 * config.alpha), modes**-config.beta
        progress = theory.mean_progress(eigenvalues, jnp.asarray(RATE), jnp.asarray(runs.steps))
        penalty = theory.rounding_penalty(
            eigenvalues, weights, progress, int(config.quantize_bits or 0)
        )
        plain = runs.exact[0]
        risk = np.asarray(lanes["rounded_risk"].values, np.float64)
        found.append(Rounded(config, runs.steps, risk, plain, plain + np.asarray(penalty)))
    return tuple(found)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Where each rounded risk is least, the shift a bit, its level, and the control."""
    *growing, control = rounded_runs(datasets["rounded"])
    claims: list[Claim] = []
    for one in growing:
        claims += [_best(one), _level(one), _harm(one)]
    return (*claims, _shift(growing), _control(control))


def _where(one: Rounded) -> str:
    return f"{one.config.num_parameters} modes, r <= {one.steps[-1]:g}"


def _best(one: Rounded) -> Claim:
    return claim(
        "Beyond a number of steps more training makes the rounded model worse.",
        SOURCE,
        f"log2 t*, {one.bits} bits",
        one.best(one.mean),
        one.best_error(),
        one.best(one.predicted),
        "heuristic",
        _where(one),
        margin=1.0,
    )


def _level(one: Rounded) -> Claim:
    least = int(np.argmin(one.predicted))
    return claim(
        "The rounded risk is the mean risk plus noise and losses of rounding.",
        SOURCE,
        f"rounded risk/prediction at the predicted t*, {one.bits} bits",
        one.mean[least] / one.predicted[least],
        one.stderr[least] / one.predicted[least],
        1.0,
        "heuristic",
        f"r = {one.steps[least]:g}",
        margin=0.3,
    )


def _harm(one: Rounded) -> Claim:
    """The risk at the end over the least, on both sides, each at its own minimum."""
    least = int(np.argmin(one.mean))
    ratio = one.mean[-1] / one.mean[least]
    error = ratio * np.hypot(one.stderr[-1] / one.mean[-1], one.stderr[least] / one.mean[least])
    predicted = one.predicted[-1] / one.predicted.min()
    return claim(
        "The harm of training beyond it is the growth of the largest weight.",
        SOURCE,
        f"final over least rounded risk, {one.bits} bits",
        ratio,
        error,
        predicted,
        "heuristic",
        _where(one),
        margin=0.3 * predicted,
    )


def _shift(growing: list[Rounded]) -> Claim:
    bits = np.array([one.bits for one in growing], float)
    best = np.array([one.best(one.mean) for one in growing])
    errors = np.array([one.best_error() for one in growing])
    centred = (bits - bits.mean()) / np.sum((bits - bits.mean()) ** 2)
    return claim(
        "Each bit moves t* by 2 a/(a - 1) powers of two.",
        SOURCE,
        "d log2 t*/d bits",
        centred @ best,
        np.sqrt(np.sum((centred * errors) ** 2)),
        theory.critical_steps_exponent(*GROWING),
        "asymptotic",
        f"{bits[0]:g} to {bits[-1]:g} bits",
        margin=0.5,
        note=f"of the prediction {centred @ [one.best(one.predicted) for one in growing]:.2f}",
    )


def _control(one: Rounded) -> Claim:
    least = int(np.argmin(one.mean))
    rise = one.mean[-1] / one.mean[least] - 1
    error = np.hypot(one.stderr[-1], one.stderr[least]) / one.mean[least]
    return claim(
        "Where the largest weight is learnt first, training never does harm.",
        SOURCE,
        f"rise of the rounded risk after its minimum, control, {one.bits} bits",
        rise,
        error,
        0.0,
        "asymptotic",
        _where(one),
        margin=_HARM,
    )


EXPERIMENT = Experiment(
    name="quantized-weights",
    summary="rounded weights: the steps beyond which training does harm",
    paper="arXiv:2411.04330",
    cost={"smoke": "15 s", "default": "1 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
