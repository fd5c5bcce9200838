"""The joint law L(N, D): its collapse, and the frontier at the optimal ridge.

Command: scalinglab run joint-risk [--size smoke|default|paper]
Cost: smoke 15 s, default about one minute on two CPU cores, paper about 10 minutes on one GPU.

For an isotropic noiseless teacher the risk at all (N, D) and ridges is one law: with m = min(N, D),
r = m/max(N, D), L m^(a-1) depends on r and ridge m^a alone (E5 of the theory). At the optimal
ridge a common practice is the additive form A (N^-(a-1) + D^-(a-1)). It is exact at a = 2, where
L* = (pi^2/4)(1/N + 1/D), and only there: at N = D it misses by -32, -23, 0, +44 % for
a = 1.3, 1.5, 2, 3.

Expected at size default (4000 modes, min(N, D) = 48): simulation within 3 % of the theory at the
same number of modes; ratios to the additive form at N = D of 0.71, 0.79, 0.99, 1.42.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.comparison import Row, compare
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import random_features as model
from scalinglab.models.spectra import power_law
from scalinglab.theory import random_features as theory

SOURCE = "equation (E6), after arXiv:2405.19398 and arXiv:2210.16859"
DECAYS = (1.3, 1.5, 2.0, 3.0)
# Steep enough that 1000 modes are as good as infinitely many at these sizes.
COLLAPSE_DECAYS = (2.0, 3.0)
# Ridges of the collapse, as ridge (m/C)^a: 0 is ridgeless, 1 is as large as kappa itself.
SCALED_RIDGES = (0.0, 0.02, 0.2)


class Setting(NamedTuple):
    """One point of a sweep: the sizes, the decay and the ridge."""

    samples: int
    features: int
    decay: float
    ridge: float


class _Scale(NamedTuple):
    modes: int
    smaller: int
    ratios: tuple[int, ...]
    collapse_modes: int
    collapse_sizes: tuple[int, ...]
    seeds: int


_SIZES = {
    "smoke": _Scale(300, 16, (1, 4), 200, (16, 24), 8),
    "default": _Scale(4000, 48, (1, 2, 4), 1000, (32, 64), 32),
    "paper": _Scale(65536, 256, (1, 2, 4, 8, 16), 16384, (64, 128, 256), 64),
}


@jax.jit(static_argnames="modes")
def _optimal(
    decay: Array, samples: Array, features: Array, *, modes: int | None
) -> tuple[Array, Array]:
    spectrum = power_law(decay, decay, modes)
    return theory.optimal_ridge(spectrum, samples, features, jnp.zeros(()))


def optimal(
    decay: float, samples: float, features: float, modes: int | None
) -> tuple[float, float]:
    """The optimal ridge and risk of the deterministic equivalent at so many modes."""
    numbers = (jnp.asarray(value, jnp.float64) for value in (decay, samples, features))
    ridge, risk = _optimal(*numbers, modes=modes)
    return float(ridge), float(risk)


def additive(decay: float, samples: float, features: float, modes: int | None) -> float:
    """The additive form with the exact one-size limits at the same number of modes."""
    return optimal(decay, samples, np.inf, modes)[1] + optimal(decay, np.inf, features, modes)[1]


def frontier_sweep(modes: int, settings: Iterable[Setting], seeds: int) -> Sweep:
    """These settings, an isotropic noiseless teacher, and so many modes."""
    settings = list(settings)
    zipped: dict[str, Any] = {
        "num_samples": [s.samples for s in settings],
        "num_features": [s.features for s in settings],
        "eigenvalue_decay": [s.decay for s in settings],
        "target_decay": [s.decay for s in settings],
        "ridge": [s.ridge for s in settings],
    }
    base = model.Config(num_samples=2, num_features=4, dimension=modes, teacher="isotropic")
    return Sweep(model, base, {}, zipped, seeds)


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """The frontier at the optimal ridge of the theory, and the collapse at scaled ridges."""
    scale = _SIZES[size]
    small = scale.smaller
    sizes = [(small * r, small) for r in scale.ratios] + [
        (small, small * r) for r in scale.ratios[1:]
    ]
    frontier = (
        Setting(d, n, a, optimal(a, d, n, scale.modes)[0]) for d, n in sizes for a in DECAYS
    )
    return {
        "frontier": frontier_sweep(scale.modes, frontier, scale.seeds),
        "collapse": frontier_sweep(scale.collapse_modes, _collapse_settings(scale), scale.seeds),
    }


def _collapse_settings(scale: _Scale) -> Iterable[Setting]:
    for decay in COLLAPSE_DECAYS:
        constant = float(theory.spectral_constant(jnp.asarray(decay)))
        for m in scale.collapse_sizes:
            for tenths in (10, 8, 5, 2):
                larger = round(m * 10 / tenths)
                for scaled in SCALED_RIDGES:
                    # Near the peak the ridgeless risk has a heavy tail: stay below m/Mx = 0.8.
                    if scaled > 0 or tenths <= 8:
                        ridge = scaled * (constant / m) ** decay
                        yield Setting(larger, m, decay, ridge)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The frontier against the theory and the additive form, then the collapse."""
    rows = [row for row in compare(datasets["frontier"], theory).rows if _is_risk(row)]
    modes = frontier_modes(datasets["frontier"])
    strict = [_theory_claim(row) for row in rows]
    frontier = [_additive_claim(row, modes) for row in rows if _square(row)]
    return (*strict, *frontier, _collapse_claim(datasets["collapse"]))


def frontier_modes(dataset: xr.Dataset) -> int:
    """The number of modes that the frontier was simulated with."""
    return int(json.loads(dataset.attrs["config"])["dimension"])


def _is_risk(row: Row) -> bool:
    return row.observable == "test_risk"


def _square(row: Row) -> bool:
    return row.point["num_samples"] == row.point["num_features"]


def setting_of(row: Row) -> Setting:
    """The sizes, decay and ridge of a compared point."""
    point = row.point
    return Setting(
        int(point["num_samples"]),
        int(point["num_features"]),
        float(point["eigenvalue_decay"]),
        float(point["ridge"]),
    )


def _theory_claim(row: Row) -> Claim:
    at = setting_of(row)
    smaller = min(at.samples, at.features)
    return claim(
        "At the optimal ridge the risk is that of the deterministic equivalent.",
        SOURCE,
        f"L*, a={at.decay:g}, relative to theory",
        row.mean / row.predicted,
        row.stderr / row.predicted,
        1.0,
        "deterministic_equivalent",
        f"D={at.samples}, N={at.features}",
        # The stated finite-size error of the ridged theory, 1/(m (1 - z/m)), is at least 2/m.
        margin=2.0 / smaller,
    )


def _additive_claim(row: Row, modes: int) -> Claim:
    at = setting_of(row)
    size = jnp.asarray(float(at.samples))
    continuum = theory.optimal_joint_risk(jnp.asarray(at.decay), size, size)[1]
    form = theory.additive_risk(jnp.asarray(at.decay), size, size)
    here = additive(at.decay, at.samples, at.features, modes)
    return claim(
        "The optimal-ridge frontier is A (N^-(a-1) + D^-(a-1)) at a = 2 and not elsewhere.",
        SOURCE,
        f"L*/additive at N = D, a={at.decay:g}",
        row.mean / here,
        row.stderr / here,
        float(continuum / form),
        "asymptotic",
        f"N = D = {at.samples}, {modes} modes",
        margin=0.05,
        note="continuum value; the simulation has finitely many modes",
    )


def _collapse_claim(dataset: xr.Dataset) -> Claim:
    rows = [row for row in compare(dataset, theory).rows if _is_risk(row)]
    deviation = np.array([row.mean / row.predicted - 1 for row in rows])
    error = np.array([row.stderr / row.predicted for row in rows])
    weight = error**-2.0
    smallest = min(min(setting_of(row)[:2]) for row in rows)
    return claim(
        "One law gives the risk at every N, D and ridge.",
        "equations (E1)-(E2) of theory.random_features",
        f"mean of L/theory over {len(rows)} points",
        1 + float(np.sum(weight * deviation) / np.sum(weight)),
        float(np.sum(weight) ** -0.5),
        1.0,
        "deterministic_equivalent",
        f"m = {smallest} and up",
        margin=1.0 / smallest,
    )


EXPERIMENT = Experiment(
    name="joint-risk",
    summary="the ridge collapse, and the additive law at the optimal ridge",
    paper="arXiv:2405.19398",
    cost={"smoke": "15 s", "default": "1 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
