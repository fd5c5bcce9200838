"""Merging classes changes the amplitude and not the exponent: Fig. 3 left of arXiv 2102.06701.

Command: scalinglab run superclass [--size smoke|default|paper]
Cost: smoke 10 s, default about one minute on two CPU cores, paper about 5 minutes on one GPU.

64 outputs with random teachers are merged into n superclasses by averaging the labels of g = 64/n
of them, and one regression learns the n merged outputs. Two families:

- `independent` teachers. The risk is that of one class over g at every D: exactly, on the mean over
  teachers, and by nothing but linearity. The exponent cannot change. (Summed labels would give g
  instead of 1/g; relative to the variance of the label nothing changes at all.)
- `related` teachers, half of whose power is one component that all classes have in common, with the
  steeper target decay 2.5 instead of 1.5. Merging averages away what the classes have of their own
  and the exponent in the window rises. So the paper's observation is no law of regression: it says
  that what the classes of CIFAR-100 share scales as what they do not.

Every n is trained on the same draws at the same seed, so that ratios are paired; exponents are
least-squares slopes with equal weights, their errors from the seeds.

Expected at size default (a = b = 1.5, 2000 modes, D = 32..256, no ridge, no noise), alpha_D with
its standard error in the last digits, theory in brackets:

    n    g L_n/L_64    independent        related
    64   1             .616(2)  (.610)    .629(2)  (.623)
    16   .996(2)       .613(3)  (.610)    .663(4)  (.659)
    4    1.000(4)      .612(5)  (.610)    .779(8)  (.774)
    1    1.002(9)      .611(9)  (.610)    1.034(14) (1.024)
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import Curve, curves
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import superclass as model
from scalinglab.theory import superclass as theory

PAPER = "arXiv:2102.06701, Fig. 3 left"
DECAY, SHARED, SHARED_DECAY = 1.5, 0.5, 2.5
CLASSES = 64
# Of an amplitude, and of a change of an exponent relative to the exponent.
_LEVEL_MARGIN, _CHANGE_MARGIN = 0.05, 0.05
FAMILIES = {"independent": 0.0, "related": SHARED}


class _Scale(NamedTuple):
    modes: int
    samples: tuple[int, ...]
    superclasses: tuple[int, ...]
    seeds: int


_SIZES = {
    "smoke": _Scale(200, (8, 16, 32), (64, 8), 12),
    "default": _Scale(2000, (32, 64, 128, 256), (64, 16, 4, 1), 96),
    "paper": _Scale(16384, (32, 64, 128, 256, 512, 1024, 2048), (64, 16, 4, 1), 256),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """L(D) for each number of superclasses, with independent and with related teachers."""
    scale = _SIZES[size]

    def family(share: float) -> Sweep:
        base = model.Config(
            num_samples=scale.samples[0],
            classes=CLASSES,
            superclasses=CLASSES,
            eigenvalue_decay=DECAY,
            target_decay=DECAY,
            shared=share,
            shared_decay=SHARED_DECAY,
            dimension=scale.modes,
        )
        fields = {"num_samples": scale.samples, "superclasses": scale.superclasses}
        return Sweep(model, base, fields, seeds=scale.seeds, common_numbers=True)

    return {name: family(share) for name, share in FAMILIES.items()}


class Merged(NamedTuple):
    """L(D) after merging to so many superclasses.

    **Fields:** `count`, of superclasses; `curve`; `influence` (seeds, points), the risk of each
    seed over the mean, less one: what the seed adds to log mean risk, for errors of anything made
    of log means over seeds in common.
    """

    count: int
    curve: Curve
    influence: np.ndarray

    @property
    def merged(self) -> float:
        """g, the classes in one superclass."""
        return CLASSES / self.count

    def slope_weights(self) -> np.ndarray:
        """Of log risk in the exponent, the least-squares slope with equal weights."""
        centred = np.log(self.curve.x) - np.log(self.curve.x).mean()
        return -centred / np.sum(centred**2)

    def exponent(self) -> tuple[float, float, float]:
        """Measured, its standard error, and that of the theory at the same points."""
        weights = self.slope_weights()
        return (
            float(weights @ np.log(self.curve.mean)),
            _error(self.influence @ weights),
            float(weights @ np.log(self.curve.predicted)),
        )


def _error(values: np.ndarray) -> float:
    return float(np.std(values, ddof=1) / np.sqrt(len(values)))


def merged_curves(dataset: xr.Dataset) -> tuple[Merged, ...]:
    """The curves of one family, nothing merged first."""
    found = []
    for curve in curves(dataset, "test_risk", "num_samples", theory):
        count = int(curve.fixed["superclasses"])
        lanes = dataset["test_risk"].sel(superclasses=count).transpose("seed", "num_samples")
        found.append(Merged(count, curve, lanes.values / curve.mean - 1))
    return tuple(sorted(found, key=lambda one: -one.count))


def theory_line(family: str, count: int, modes: int, sizes: np.ndarray) -> np.ndarray:
    """The risk of the theory at real-valued D, for drawing."""
    config = model.Config(
        classes=CLASSES,
        superclasses=count,
        eigenvalue_decay=DECAY,
        target_decay=DECAY,
        shared=FAMILIES[family],
        shared_decay=SHARED_DECAY,
        dimension=modes,
    )
    return np.asarray(theory.learning_curve(config, jnp.asarray(sizes))[0])


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The amplitude, the exponents, and how they change with merging."""
    claims: list[Claim] = []
    for family in FAMILIES:
        found = merged_curves(datasets[family])
        first = found[0]
        if family == "independent":
            claims += [_amplitude_claim(one, first) for one in found[1:]]
        claims += [_level_claim(family, one) for one in found]
        claims += [_exponent_claim(family, one) for one in found]
        claims += [_change_claim(family, one, first) for one in found[1:]]
    return tuple(claims)


def _shared_fields(one: Merged) -> dict[str, Any]:
    sizes = one.curve.x
    return {"window": f"D = {sizes[0]:g}..{sizes[-1]:g}", "dof": one.curve.seeds - 1}


def _amplitude_claim(one: Merged, first: Merged) -> Claim:
    ratio = np.log(one.merged * one.curve.mean / first.curve.mean)
    influence = (one.influence - first.influence).mean(axis=1)
    amplitude = float(np.exp(ratio.mean()))
    return claim(
        "Merging g independent classes divides the risk by g.",
        f"{PAPER}; linearity in the labels",
        f"g L_{one.count}/L_{first.count}, geometric mean over D",
        amplitude,
        amplitude * _error(influence),
        1.0,
        "exact",
        margin=_LEVEL_MARGIN,
        **_shared_fields(one),
    )


def _level_claim(family: str, one: Merged) -> Claim:
    ratio = float(np.exp(np.mean(np.log(one.curve.mean / one.curve.predicted))))
    return claim(
        "The merged problem is one output with the merged target.",
        "theory.superclass",
        f"{family}, n={one.count}: L/theory, geometric mean over D",
        ratio,
        ratio * _error(one.influence.mean(axis=1)),
        1.0,
        one.curve.kind,
        margin=_LEVEL_MARGIN,
        **_shared_fields(one),
    )


def _exponent_claim(family: str, one: Merged) -> Claim:
    measured, error, predicted = one.exponent()
    return claim(
        "The exponent after merging is that of the theory in the same window.",
        PAPER,
        f"{family}, n={one.count}: alpha_D",
        measured,
        error,
        predicted,
        one.curve.kind,
        **_shared_fields(one),
    )


def _change_claim(family: str, one: Merged, first: Merged) -> Claim:
    independent = family == "independent"
    predicted = 0.0 if independent else one.exponent()[2] - first.exponent()[2]
    return claim(
        "Merging does not change the exponent where the classes share nothing."
        if independent
        else "Merging changes the exponent where the classes share a smoother part.",
        PAPER if independent else f"{PAPER}, extended to related classes",
        f"{family}: alpha_D at n={one.count} less that at n={first.count}",
        one.exponent()[0] - first.exponent()[0],
        _error((one.influence - first.influence) @ one.slope_weights()),
        predicted,
        "exact" if independent else one.curve.kind,
        margin=_CHANGE_MARGIN * first.exponent()[2],
        **_shared_fields(one),
    )


EXPERIMENT = Experiment(
    name="superclass",
    summary="merging classes: the amplitude changes, and when the exponent does too",
    paper="arXiv:2102.06701 Fig. 3",
    cost={"smoke": "10 s", "default": "1 min", "paper": "5 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
