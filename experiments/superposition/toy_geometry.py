"""How many dimensions a feature gets: after 'Toy Models of Superposition' (Elhage et al. 2022).

Command: scalinglab run toy-geometry [--size smoke|default|paper]
Cost: smoke 40 s (compilation), default about 2 minutes on two CPU cores, paper 10 minutes on a GPU.

Values are uniform on (0, 1); s is the chance that a feature is active. Four parts:

- features of equal importance against sparsity: the dimensionality of each,
  D_i = |W_i|^2 / sum_j (W_i.W_j/|W_i|)^2, sticks to 1 (alone), 1/2 (a digon), and sparser ones
  crowd;
- two features in one dimension, over their relative importance r and s: the winner of several
  starts, on the exact loss, against the exact boundary r*(s) above which both are kept;
- five equal features in the plane: the exact loss of the winner against pentagon and two digons;
- 20 features of falling importance in 5 dimensions: W W^T.

Expected at size default: m/|W|^2 of 1.01, .49, .35 at 1/s = 1, 3.1, 5.3; the boundary between the
two values of r around r*; losses within .1 % of the best that the theory knows.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import superposition as model
from scalinglab.theory import superposition as theory

SOURCE = "Elhage et al. 2022, Toy Models of Superposition"
# Dimensionalities of features at the corners of uniform shapes, in their own dimensions.
STICKY = {
    "alone": 1.0,
    "tetrahedron": 3 / 4,
    "triangle": 2 / 3,
    "digon": 1 / 2,
    "pentagon": 2 / 5,
    "square antiprism": 3 / 8,
}


class _Scale(NamedTuple):
    features: int
    width: int
    sparsity: tuple[float, ...]
    activations: tuple[float, ...]
    importances: tuple[float, ...]
    restarts: int
    polygons: tuple[float, ...]
    stack: tuple[float, ...]
    steps: int
    batch: int


_RATIOS = (0.01, 0.02, 0.04, 0.07, 0.1, 0.15, 0.25, 0.4, 0.65, 1.0)
_SIZES = {
    "smoke": _Scale(20, 4, (1.0, 4.0), (0.1, 0.3), (0.01, 0.5), 2, (0.1,), (0.1,), 400, 128),
    "default": _Scale(
        100,
        10,
        (1.0, 3.1, 5.3, 9.4, 16.0, 29.0, 50.0),
        (0.05, 0.1, 0.2, 0.3, 0.5),
        _RATIOS,
        12,
        (0.05, 0.1, 0.2, 0.3),
        (1.0, 0.3, 0.1, 0.03, 0.01),
        2500,
        512,
    ),
    "paper": _Scale(
        400,
        30,
        (1.0, 1.5, 2.0, 3.1, 4.0, 5.3, 7.0, 9.4, 16.0, 29.0, 50.0),
        (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7),
        _RATIOS,
        24,
        (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3),
        (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001),
        20_000,
        1024,
    ),
}


def _base(features: int, width: int, scale: _Scale, **fields: Any) -> model.Config:
    return model.Config(
        num_features=features,
        width=width,
        value="uniform01",
        weight_decay=0.0,
        weight_init="xavier",
        batch_size=scale.batch,
        num_steps=scale.steps,
        learning_rate=0.01,
        evaluation_samples=4096,
        **fields,
    )


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """The four parts; densities are n s, and two-feature importances are those of the second."""
    scale = _SIZES[size]

    def densities(features: int, chances: tuple[float, ...]) -> dict[str, list[float]]:
        return {"activation_density": [features * chance for chance in chances]}

    sparse = tuple(1 / value for value in scale.sparsity)
    pairs = {**densities(2, scale.activations), "importance_decay": scale.importances}
    stack = _base(20, 5, scale, importance_decay=0.7)
    return {
        "crowd": Sweep(
            model, _base(scale.features, scale.width, scale), densities(scale.features, sparse)
        ),
        "pair": Sweep(model, _base(2, 1, scale), pairs, seeds=scale.restarts),
        "polygon": Sweep(
            model, _base(5, 2, scale), densities(5, scale.polygons), seeds=scale.restarts
        ),
        "stack": Sweep(model, stack, densities(20, scale.stack)),
    }


def number_of(dataset: xr.Dataset, name: str) -> int:
    """A size of the configuration."""
    return int(json.loads(dataset.attrs["config"])[name])


def chances(dataset: xr.Dataset) -> np.ndarray:
    """s of each density."""
    return dataset["activation_density"].values / number_of(dataset, "num_features")


def weights_of(gram: np.ndarray, width: int) -> np.ndarray:
    """W from W W^T, up to a rotation of the hidden space."""
    values, vectors = np.linalg.eigh(gram)
    kept = slice(len(gram) - width, None)
    return vectors[:, kept] * np.sqrt(np.maximum(values[kept], 0))


class Winner(NamedTuple):
    """The best of several starts at one s: `loss`, exact, and its row `norms`."""

    loss: float
    norms: np.ndarray


def winner(lanes: xr.Dataset, chance: float, width: int, importance: np.ndarray) -> Winner:
    """The seed of least exact loss.

    **Raises:** `ValueError` where every lane failed.
    """
    found = []
    for seed in range(lanes.sizes["seed"]):
        lane = lanes.isel(seed=seed)
        gram, bias = lane["gram"].values, lane["bias"].values
        if np.isfinite(gram).all():
            weights = weights_of(gram.astype(float), width)
            loss = theory.toy_loss(weights, bias.astype(float), chance, importance)
            found.append(Winner(loss, np.sqrt(np.diag(gram))))
    if not found:
        raise ValueError(f"gram: every lane failed at s = {chance:g}")
    return min(found, key=lambda one: one.loss)


class Pairs(NamedTuple):
    """Two features in one dimension: `kept`, whether the winner keeps both, (s, r)."""

    chance: np.ndarray
    ratio: np.ndarray
    kept: np.ndarray
    loss: np.ndarray


def pairs(dataset: xr.Dataset) -> Pairs:
    """The winners over the grid of s and r.

    A second row above a quarter counts: those of the theory jump from 0 to about .6.
    """
    shares, ratios = chances(dataset), dataset["importance_decay"].values
    kept = np.zeros((len(shares), len(ratios)), bool)
    loss = np.zeros(kept.shape)
    for i, chance in enumerate(shares):
        for j, ratio in enumerate(ratios):
            lanes = dataset.isel(activation_density=i, importance_decay=j)
            best = winner(lanes, float(chance), 1, np.array([1.0, float(ratio)]))
            kept[i, j], loss[i, j] = best.norms.min() > 0.25, best.loss
    return Pairs(shares, ratios, kept, loss)


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Dimensions a feature, the boundary at each s, and the losses of five in the plane."""
    return (
        *_crowd_claims(datasets["crowd"]),
        *_pair_claims(pairs(datasets["pair"])),
        *_polygon_claims(datasets["polygon"]),
    )


def _crowd_claims(dataset: xr.Dataset) -> list[Claim]:
    each = dataset["dimensions_per_feature"].values[:, 0]
    claims = []
    for predicted, sparsity, shape in ((1.0, 1.0, "alone"), (0.5, 3.1, "digons")):
        at = np.flatnonzero(np.isclose(1 / chances(dataset), sparsity))
        if len(at):
            claims.append(
                claim(
                    "Dimensions per feature stick at 1 and at 1/2.",
                    SOURCE,
                    f"m/|W|^2, {shape}",
                    each[at[0]],
                    0.0,
                    predicted,
                    "heuristic",
                    f"1/s = {sparsity:g}",
                    margin=0.05 * predicted,
                )
            )
    return claims


def _pair_claims(found: Pairs) -> list[Claim]:
    claims = []
    for i, chance in enumerate(found.chance):
        # The last that ignores one feature and the first from which on all keep both.
        ignored = np.flatnonzero(~found.kept[i])
        last = int(ignored[-1]) if len(ignored) else -1
        if last < 0 or last + 1 == len(found.ratio):
            continue
        low, high = math.log(found.ratio[last]), math.log(found.ratio[last + 1])
        claims.append(
            claim(
                "Two features are kept in one dimension above an exactly known importance.",
                "docs/superposition.md, section 5",
                "log of the relative importance at the boundary",
                (low + high) / 2,
                0.0,
                math.log(theory.phase_boundary(float(chance))),
                "exact",
                f"s = {chance:g}",
                margin=(high - low) / 2,
                note="agrees where the boundary lies between two neighbours of the grid",
            )
        )
    return claims


def polygon_losses(dataset: xr.Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """At each s: the exact loss of the winner, of the pentagon, and of two digons."""
    found = []
    for i, chance in enumerate(chances(dataset).tolist()):
        best = winner(dataset.isel(activation_density=i), chance, 2, np.ones(5))
        pentagon = theory.best_polygon(5, chance).loss
        found.append((best.loss, pentagon, theory.digons_loss(chance)))
    trained, pentagon, digons = np.array(found).T
    return trained, pentagon, digons


def _polygon_claims(dataset: xr.Dataset) -> list[Claim]:
    losses = zip(chances(dataset), *polygon_losses(dataset), strict=True)
    return [
        claim(
            "Five equal features in the plane are a pentagon, or two digons where they are dense.",
            SOURCE,
            "exact loss of the winner over the smaller of the two",
            trained / min(pentagon, digons),
            0.0,
            1.0,
            "bound",
            f"s = {chance:g}",
            margin=0.03,
            note="both shapes are upper bounds of the least loss",
        )
        for chance, trained, pentagon, digons in losses
    ]


EXPERIMENT = Experiment(
    name="toy-geometry",
    summary="dimensions a feature against sparsity, the phase diagram, and W W^T",
    paper="arXiv:2209.10652",
    cost={"smoke": "40 s", "default": "2 min", "paper": "10 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
