"""Which part of a pool to keep, real networks: after section 3 of arXiv 2206.14486.

Command: scalinglab run pruning-digits [--size smoke|default|paper]
Cost: smoke 1 min (compilation), default 3 minutes, paper about 30 minutes on two CPU cores.
Needs scalinglab[data,networks].

Expected at size default: with many images the hard part is the better one to keep for every score
and fraction (21 of 21 signs, differences of 4 to 19 %). With n = 100 the easy part is better
where few are kept (f = .3) and the more so the better the probe: -17 % with probes of 1400 images,
-2 to -5 % with probes of the pool; at f = .7 scores of the pool's own probes prefer the hard part
at any n, against the theory. The crossing at f = .3 is at n = 150 to 230 with probes of the pool
and near 310 with probes of 1400 images: a better probe favours the easy part of a scarce pool, as
the theory of perceptrons has it. Without a guarantee for each class the easy part loses whole
classes, which costs it up to another 10 %.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import pruned_network as model

PAPER = "arXiv:2206.14486"


class Setting(NamedTuple):
    """How a sweep scores: by what, by probes of how many images, with which guarantee."""

    score: str
    probe_size: int | None = None
    balance: float = 0.5


SCORED = {
    "el2n": Setting("el2n"),
    "margin": Setting("margin"),
    "forgetting": Setting("forgetting"),
    "prototypes": Setting("prototypes"),
    "el2n_large_probe": Setting("el2n", model.POOL),
    "prototypes_large_probe": Setting("prototypes", model.POOL),
    "el2n_unbalanced": Setting("el2n", balance=0.0),
}
CONTROL = "random"
# Of the control's mean: a twentieth of the largest differences of the scores.
_CONTROL_MARGIN = 0.01


class _Scale(NamedTuple):
    pools: tuple[int, ...]
    fractions: tuple[float, ...]
    seeds: int
    network: Mapping[str, int]


_TINY = {"width": 8, "num_steps": 20, "probes": 2, "probe_steps": 10}
_SIZES = {
    "smoke": _Scale((60, 240), (0.5,), 4, _TINY),
    "default": _Scale((100, 200, 400, 800, 1400), (0.3, 0.5, 0.7), 20, {}),
    "paper": _Scale((50, 100, 200, 400, 800, 1400), (0.2, 0.3, 0.5, 0.7), 128, {}),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Pools by keep fractions for each way to score, and whole pools."""
    scale = _SIZES[size]
    sizes = {"pool_size": scale.pools}

    def sweep(setting: Setting, fields: Mapping[str, tuple[float, ...]]) -> Sweep:
        base = model.Config(**setting._asdict(), **scale.network)
        return Sweep(model, base, {**sizes, **fields}, seeds=scale.seeds, common_numbers=True)

    pruned = {"keep_fraction": scale.fractions}
    scored = {name: sweep(setting, pruned) for name, setting in SCORED.items()}
    blind = Setting("random")
    return {
        **scored,
        CONTROL: sweep(blind, pruned),
        "whole": sweep(blind, {"keep_fraction": (1.0,)}),
    }


class Measured(NamedTuple):
    """One observable: mean and standard error over the seeds, (pools, fractions) each."""

    mean: np.ndarray
    stderr: np.ndarray


def measured(dataset: xr.Dataset, name: str) -> Measured:
    """An observable of one sweep over its seeds.

    **Raises:** `ValueError` where a lane failed, so that no mean loses it silently.
    """
    values = dataset[name].transpose("pool_size", "keep_fraction", "seed").values
    if not np.isfinite(values).all():
        raise ValueError(f"{name}: {int(np.sum(~np.isfinite(values)))} lanes failed")
    return Measured(*mean_and_error(values))


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The sign of easy less hard in the smallest and the largest pool, and the blind control."""
    claims = [_control_claim(datasets[CONTROL])]
    for name in SCORED:
        dataset = datasets[name]
        found = measured(dataset, "easy_minus_hard")
        pools = dataset["pool_size"].values
        for j, fraction in enumerate(dataset["keep_fraction"].values):
            for i, sign, sentence in (
                (0, -1, "Where data are scarce, the easy examples are the better ones to keep."),
                (-1, 1, "Where data abound, the hard examples are the better ones to keep."),
            ):
                claims.append(
                    claim(
                        sentence,
                        f"{PAPER}, section 3; the sign alone",
                        f"{name}, f={fraction:g}: test error, easy - hard",
                        found.mean[i, j],
                        found.stderr[i, j],
                        sign / 2,
                        "heuristic",
                        f"n = {pools[i]:g}",
                        # Differences of errors lie in [-1, 1]: the margin leaves one sign of them.
                        margin=0.5,
                        dof=dataset.sizes["seed"] - 1,
                    )
                )
    return tuple(claims)


def _control_claim(dataset: xr.Dataset) -> Claim:
    lanes = dataset["easy_minus_hard"].mean(("pool_size", "keep_fraction")).values
    pools = dataset["pool_size"].values
    return claim(
        "Two halves chosen blindly are equally good.",
        "exchangeability of the two kept sets",
        "random: test error, easy - hard, mean over n and f",
        *mean_and_error(lanes),
        0.0,
        "exact",
        f"n = {pools[0]:g}..{pools[-1]:g}",
        margin=_CONTROL_MARGIN,
        dof=lanes.size - 1,
    )


EXPERIMENT = Experiment(
    name="pruning-digits",
    summary="networks on the easy and the hard part of a pool: does the sign flip with its size?",
    paper=f"{PAPER} section 3",
    cost={"smoke": "1 min", "default": "3 min", "paper": "30 min"},
    sweeps=sweeps,
    analyse=analyse,
)
