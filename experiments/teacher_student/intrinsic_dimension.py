"""The dimension that the exponents depend on: how well neighbours measure it, and what it bounds.

Command: scalinglab run intrinsic-dimension [--size smoke|default|paper]
Cost: smoke 20 s, default about 90 s on two CPU cores, paper about 5 minutes on one GPU.

Estimators of dimension run on manifolds where it is known: without a boundary (flat torus, sphere)
their means are exact at any number of samples, elsewhere the bias is measured. On scikit-learn's
digits the dimension is unknown, and the estimate depends on the number of images, which sets the
scale. Labels on a flat torus have the sharpness K_F, and the nearest neighbour errs by less than
K_F E r ~ K_F N^(-1/d): the power is right, and the slack of the bound grows as sqrt(pi d).

Expected at size default (N = 1024, k = 4, 24 draws):

    estimate/d    d = 2   4      8        exact at 8
    flat torus    1.00    1.00   1.00     1
    sphere        1.00    1.00   .953     .945
    cube          .984    .939   .866     (its boundary)
    torus         1.00    1.03   1.19     (its curvature)
    gaussian      1.02    1.01   .973

digits 6.0 at 100 images to 8.3 at 1600; slack of the bound 1.57, 2.31, 3.20 for d = 1, 2, 4 (limits
1.57, 2.32, 3.39); exponents of the error 1/d within errors, but .208 for d = 4 and two periods,
where neighbours are a fifth of a period apart and more.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.comparison import Row, compare
from scalinglab.experiments.curves import Curve, Statement, curves, exponent_claims
from scalinglab.experiments.engine import Sweep, config_from
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import intrinsic_dimension as model
from scalinglab.models import label_sharpness as labels
from scalinglab.theory import intrinsic_dimension as theory
from scalinglab.theory import label_sharpness as labels_theory

PAPER = "arXiv:2102.06701"
SHARPNESS = "arXiv:2401.08865"
NOTES = "docs/networks_on_manifolds.md, section 4"
HOMOGENEOUS = ("flat-torus", "sphere")


class _Scale(NamedTuple):
    dimensions: tuple[int, ...]
    curved: tuple[int, ...]
    samples: int
    seeds: int
    neighbours: tuple[int, ...]
    images: tuple[int, ...]
    label_dimensions: tuple[int, ...]
    labels: tuple[int, ...]


_SIZES = {
    "smoke": _Scale((2, 4), (2,), 300, 6, (3, 6), (300, 600), (1, 2), (64, 128, 256)),
    "default": _Scale(
        (1, 2, 3, 4, 6, 8),
        (2, 4, 8),
        1024,
        24,
        (2, 3, 4, 6, 10, 20),
        (100, 200, 400, 800, 1600),
        (1, 2, 4),
        (128, 256, 512, 1024),
    ),
    "paper": _Scale(
        (1, 2, 3, 4, 6, 8),
        (2, 4, 8),
        16384,
        32,
        (2, 3, 4, 6, 10, 20, 50),
        (100, 200, 400, 800, 1600),
        (1, 2, 4, 6),
        (256, 1024, 4096, 16384),
    ),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Manifolds by dimension, estimates by k, digits by number, labels by N and periods."""
    scale = _SIZES[size]
    base = model.Config(num_samples=scale.samples)
    straight = {
        "manifold": (*HOMOGENEOUS, "cube"),
        "intrinsic_dimension": scale.dimensions,
    }
    curved = [(name, d) for name in ("torus", "gaussian") for d in scale.curved]
    curved.append(("swiss-roll", 2))
    others = {
        "manifold": [name for name, _ in curved],
        "intrinsic_dimension": [d for _, d in curved],
    }
    digits = model.Config(manifold="digits", num_samples=scale.images[0])
    sharp = labels.Config(num_samples=scale.labels[0])
    sharp_axes = {
        "intrinsic_dimension": scale.label_dimensions,
        "periods": (1, 2),
        "num_samples": scale.labels,
    }
    return {
        "manifolds": Sweep(model, base, straight, seeds=scale.seeds),
        "others": Sweep(model, base, {}, others, scale.seeds),
        "neighbours": Sweep(model, base, {"neighbours": scale.neighbours}, seeds=scale.seeds),
        "digits": Sweep(model, digits, {"num_samples": scale.images}, seeds=scale.seeds),
        "labels": Sweep(labels, sharp, sharp_axes, seeds=scale.seeds),
    }


def manifold_rows(datasets: Mapping[str, xr.Dataset]) -> tuple[Row, ...]:
    """The maximum-likelihood estimate on every manifold, against the true dimension."""
    found = []
    for name in ("manifolds", "others"):
        rows = compare(datasets[name], theory, name="true-dimension").rows
        found += [row for row in rows if row.observable == "dimension"]
    return tuple(found)


def exact_rows(dataset: xr.Dataset) -> tuple[Row, ...]:
    """The mean logarithm of ratios on the manifolds where its mean is exact."""
    chosen = dataset.sel(manifold=list(HOMOGENEOUS))
    return tuple(row for row in compare(chosen, theory).rows if row.observable == "mean_log_ratio")


def homogeneous_limit(dataset: xr.Dataset, point: Mapping[str, Any]) -> float:
    """The inverse of the exact mean logarithm, which `dimension` tends to over many samples."""
    config = config_from(model.Config, {**json.loads(dataset.attrs["config"]), **point})
    return 1 / theory.predict(config).observables["mean_log_ratio"]


def error_curves(dataset: xr.Dataset) -> tuple[Curve, ...]:
    """The error of the nearest neighbour against N, for each dimension and number of periods."""
    return curves(dataset, "neighbour_error", "num_samples", labels_theory, name="mean-slope")


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Exact means, the bias elsewhere, that of Levina and Bickel, and the law of sharp labels."""
    return (
        *[_exact_claim(row) for row in exact_rows(datasets["manifolds"])],
        *[
            _bias_claim(row)
            for row in manifold_rows(datasets)
            if row.point["manifold"] not in HOMOGENEOUS
        ],
        *_inverse_claims(datasets["neighbours"]),
        *_label_claims(datasets["labels"]),
    )


def _exact_claim(row: Row) -> Claim:
    return claim(
        "The mean of log T_k/T_j has no error but chance on a manifold without a boundary.",
        NOTES,
        f"mean log ratio, simulation/theory, {row.point['manifold']}, "
        f"d={row.point['intrinsic_dimension']}",
        row.mean / row.predicted,
        row.stderr / row.predicted,
        1.0,
        "exact",
        "k = 4",
        margin=0.03,
        dof=row.seeds - 1,
    )


def _bias_claim(row: Row) -> Claim:
    dimension = row.point["intrinsic_dimension"]
    return claim(
        "Distances to nearest neighbours measure the dimension of the data.",
        f"{PAPER}, supplement",
        f"estimate of d, {row.point['manifold']}, d={dimension}",
        row.mean,
        row.stderr,
        row.predicted,
        "asymptotic",
        "k = 4",
        margin=0.05 * dimension,
        dof=row.seeds - 1,
    )


def _inverse_claims(dataset: xr.Dataset) -> list[Claim]:
    """At k of 5 and more, where the error of the mean is known to be finite by a wide margin."""
    wide = [k for k in dataset["neighbours"].values.tolist() if k >= 6]
    rows = compare(dataset.sel(neighbours=wide), theory, name="levina-bickel-bias").rows
    return [
        claim(
            "Averaging estimates instead of their inverses adds a factor (k - 1)/(k - 2).",
            NOTES,
            f"Levina-Bickel over its mean, k={row.point['neighbours']}",
            row.mean / row.predicted,
            row.stderr / row.predicted,
            1.0,
            "exact",
            "d = 3, flat torus",
            margin=0.05,
            dof=row.seeds - 1,
        )
        for row in rows
    ]


def _label_claims(dataset: xr.Dataset) -> list[Claim]:
    claims: list[Claim] = []
    for curve in error_curves(dataset):
        dimension, periods = curve.fixed["intrinsic_dimension"], curve.fixed["periods"]
        label = f"d={dimension}, m={periods}"
        statement = Statement(
            "The error of the nearest neighbour falls as K_F N^(-1/d).",
            SHARPNESS,
            f"exponent of the error, {label}",
            "N",
            lambda fixed: 1 / fixed["intrinsic_dimension"],
        )
        claims += exponent_claims(curve, statement, curve.x[0])
        claims.append(_slack_claim(dataset, dimension, periods, label))
    claims += _sharpness_claims(dataset)
    return claims


def _slack_claim(dataset: xr.Dataset, dimension: int, periods: int, label: str) -> Claim:
    """Of the largest N: the limit, and how far r still is from zero as the margin."""
    last = dataset.sel(intrinsic_dimension=[dimension], periods=[periods]).isel(num_samples=[-1])
    rows = compare(last, labels_theory, name="mean-slope").rows
    (row,) = [row for row in rows if row.observable == "slack"]
    samples = row.point["num_samples"]
    distance = labels_theory.nearest_distance(dimension, samples)
    return claim(
        "K_F E r bounds the error; its slack tends to max |grad F| over the mean |grad F . u|.",
        NOTES,
        f"K_F E r over the error, {label}",
        row.mean,
        row.stderr,
        row.predicted,
        "asymptotic",
        f"N = {samples}",
        margin=row.predicted * (0.03 + (math.pi * periods * distance) ** 2 / 2),
        dof=row.seeds - 1,
        note="at least 1 in every draw",
    )


def _sharpness_claims(dataset: xr.Dataset) -> list[Claim]:
    found = []
    for dimension in dataset["intrinsic_dimension"].values.tolist():
        chosen = dataset.sel(intrinsic_dimension=dimension).isel(num_samples=-1)
        ratio = chosen["sharpness"].sel(periods=2) / chosen["sharpness"].sel(periods=1)
        values = np.asarray(ratio.values)
        found.append(
            claim(
                "Twice the frequency makes labels twice as sharp.",
                SHARPNESS,
                f"K_F at m=2 over K_F at m=1, d={dimension}",
                float(values.mean()),
                float(values.std(ddof=1) / math.sqrt(len(values))),
                2.0,
                "asymptotic",
                f"N = {int(chosen['num_samples'])}",
                margin=0.2,
                dof=len(values) - 1,
            )
        )
    return found


EXPERIMENT = Experiment(
    name="intrinsic-dimension",
    summary="dimension from nearest neighbours on known manifolds, and the law of label sharpness",
    paper=f"{PAPER} Fig. 1b",
    cost={"smoke": "20 s", "default": "90 s", "paper": "5 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
