"""The four scaling regimes of Fig. 2a of 'Explaining Neural Scaling Laws' (arXiv 2102.06701).

Command: scalinglab run four-regimes [--size smoke|default|paper]
Cost: smoke 10 s, default about one minute on two CPU cores, paper about 10 minutes on one GPU.

Resolution-limited panels take the other size to infinity and keep the whole infinite spectrum:
M modes exactly, the rest on the mean. Variance-limited panels hold one size at 16 and subtract,
on the same draw, the exact risk at infinite other size, so that no limit is fitted. The teacher
is averaged by the trace formula throughout.

Expected at size default (exponents for a = 1.5, 2, 3): resolution-limited 0.48, 0.97, 1.95 in the
window 32..256 against the limits 0.5, 1, 2; variance-limited 1.08 in the window 128..512 against 1.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array

from scalinglab.experiments.claims import Claim
from scalinglab.experiments.curves import Curve, Statement, curves, exponent_claims
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import random_features as model
from scalinglab.models.spectra import power_law
from scalinglab.theory import random_features as theory

DECAYS = (1.5, 2.0, 3.0)
FIXED_SIZE = 16
PAPER = "arXiv:2102.06701"

# (modes, resolution-limited sizes, seeds, variance-limited modes, their sizes, seeds)
_SIZES = {
    "smoke": (200, (8, 16, 32), 8, 200, (32, 64, 128), 8),
    "default": (1500, (8, 16, 32, 64, 128, 256), 16, 600, (32, 64, 128, 256, 512), 128),
    "paper": (
        32768,
        (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096),
        32,
        16384,
        tuple(32 * 2**k for k in range(9)),
        64,
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """The four panels, each over three spectra at once (one compile a size)."""
    modes, resolved, seeds, variance_modes, others, variance_seeds = _SIZES[size]
    spectra = {"eigenvalue_decay": DECAYS, "target_decay": DECAYS}
    limited = model.Config(
        num_samples=None, num_features=8, dimension=modes, teacher="isotropic", tail="averaged"
    )
    unlimited_features = model.Config(
        num_samples=8, num_features=None, dimension=modes, teacher="isotropic", tail="averaged"
    )

    def variance(paired: str, samples: int, features: int) -> model.Config:
        return model.Config(
            num_samples=samples,
            num_features=features,
            dimension=variance_modes,
            teacher="isotropic",
            paired=paired,  # type: ignore[arg-type]
        )

    by_samples = variance("infinite_samples", 2 * FIXED_SIZE, FIXED_SIZE)
    by_features = variance("infinite_features", FIXED_SIZE, 2 * FIXED_SIZE)
    return {
        "variance_data": Sweep(model, by_samples, {"num_samples": others}, spectra, variance_seeds),
        "resolution_data": Sweep(
            model, unlimited_features, {"num_samples": resolved}, spectra, seeds
        ),
        "resolution_features": Sweep(model, limited, {"num_features": resolved}, spectra, seeds),
        "variance_features": Sweep(
            model, by_features, {"num_features": others}, spectra, variance_seeds
        ),
    }


def _alpha_k(fixed: Mapping[str, float]) -> float:
    return fixed["eigenvalue_decay"] - 1


# sweep -> (field, observable, lowest size of the window, statement)
PANELS: Mapping[str, tuple[str, str, int, Statement]] = {
    "variance_data": (
        "num_samples",
        "excess_risk",
        8 * FIXED_SIZE,
        Statement(
            "With the model fixed, the risk approaches its limit as D^-1.",
            f"{PAPER}, Fig. 2a, Theorem 1",
            "alpha_D variance-limited",
            "D",
            lambda fixed: 1.0,
        ),
    ),
    "resolution_data": (
        "num_samples",
        "test_risk",
        32,
        Statement(
            "With unlimited features, the risk falls with the data as D^-alpha_K.",
            f"{PAPER}, Fig. 2a, section 2.4",
            "alpha_D resolution-limited",
            "D",
            _alpha_k,
        ),
    ),
    "resolution_features": (
        "num_features",
        "test_risk",
        32,
        Statement(
            "With unlimited data, the risk falls with the features as N^-alpha_K.",
            f"{PAPER}, Fig. 2a, section 2.4",
            "alpha_N resolution-limited",
            "N",
            _alpha_k,
        ),
    ),
    "variance_features": (
        "num_features",
        "excess_risk",
        8 * FIXED_SIZE,
        Statement(
            "With the data fixed, the risk approaches its limit as N^-1.",
            f"{PAPER}, Fig. 2a, section 2.2",
            "alpha_N variance-limited",
            "N",
            lambda fixed: 1.0,
        ),
    ),
}


def panel_curves(name: str, dataset: xr.Dataset) -> tuple[Curve, ...]:
    """The three curves of one panel, in the order of `DECAYS`."""
    field, observable, _, _ = PANELS[name]
    found = curves(dataset, observable, field, theory)
    return tuple(sorted(found, key=lambda curve: curve.fixed["eigenvalue_decay"]))


def theory_line(name: str, decay: float, modes: int | None, sizes: np.ndarray) -> np.ndarray:
    """The deterministic equivalent of one curve at real-valued sizes, for drawing."""
    spectrum = power_law(decay, decay, modes)
    fixed, infinite, zero = jnp.asarray(float(FIXED_SIZE)), jnp.asarray(jnp.inf), jnp.zeros(())

    def risk(samples: Array, features: Array) -> Array:
        return theory.test_risk(spectrum, samples, features, zero, zero)

    lines = {
        "variance_data": lambda x: risk(x, fixed) - risk(infinite, fixed),
        "resolution_data": lambda x: risk(x, infinite),
        "resolution_features": lambda x: risk(infinite, x),
        "variance_features": lambda x: risk(fixed, x) - risk(fixed, infinite),
    }
    return np.asarray(jax.jit(jax.vmap(lines[name]))(jnp.asarray(sizes)))


def window_start(name: str, curve: Curve) -> float:
    """Where the fit of a panel starts: its stated window, or the upper half of a short scan."""
    stated = PANELS[name][2]
    return stated if np.sum(curve.x >= stated) >= 3 else float(curve.x[-3])


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Each panel's exponents against the theory in the same window, then against the limit."""
    strict, limits = [], []
    for name, (_, _, _, statement) in PANELS.items():
        for curve in panel_curves(name, datasets[name]):
            labelled = Statement(
                statement.sentence,
                statement.source,
                f"{statement.quantity}, a={curve.fixed['eigenvalue_decay']:g}",
                statement.symbol,
                statement.asymptotic,
            )
            same, limit = exponent_claims(curve, labelled, window_start(name, curve))
            strict.append(same)
            limits.append(limit)
    return (*strict, *limits)


EXPERIMENT = Experiment(
    name="four-regimes",
    summary="the exponents of the four scaling regimes",
    paper=f"{PAPER} Fig. 2a",
    cost={"smoke": "10 s", "default": "1 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
