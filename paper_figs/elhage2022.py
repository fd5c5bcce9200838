"""Figures after 'Toy Models of Superposition' (Elhage et al. 2022, arXiv 2209.10652)."""

from typing import Any

import numpy as np
import xarray as xr

from scalinglab.experiments.superposition.toy_geometry import (
    STICKY,
    Pairs,
    chances,
    number_of,
    pairs,
    polygon_losses,
)
from scalinglab.theory import superposition as theory

from .figure import COLORS, MARKERS, Datasets, Drawing, Figure, canvas, plain_ticks


def draw_geometry(datasets: Datasets) -> Drawing:
    """Dimensionality against sparsity, the phase diagram, five features in the plane."""
    sweeps = datasets["toy-geometry"]
    with canvas(1, 3, (10.8, 4.2)) as (figure, axes):
        rows = _crowd(axes[0, 0], sweeps["crowd"])
        rows += _phases(axes[0, 1], pairs(sweeps["pair"]))
        rows += _polygons(axes[0, 2], sweeps["polygon"])
        figure.supxlabel(
            "points: trained networks, values uniform on (0, 1);  middle and right: the best of "
            f"{sweeps['pair'].sizes['seed']} and {sweeps['polygon'].sizes['seed']} starts by its "
            "exact loss;\nlines: exact (boundary, losses of both shapes at their best) and the "
            "dimensionalities of uniform shapes",
            fontsize=7.5,
        )
    return Drawing(figure, rows)


def _row(panel: str, x: Any, index: Any, value: Any, predicted: Any) -> dict[str, Any]:
    return {"panel": panel, "x": x, "index": index, "value": value, "predicted": predicted}


def _crowd(axis: Any, dataset: xr.Dataset) -> list[dict[str, Any]]:
    sparsity = 1 / chances(dataset)
    each = dataset["feature_dimensionality"].values[:, 0]
    mean = dataset["dimensions_per_feature"].values[:, 0]
    features, width = (number_of(dataset, name) for name in ("num_features", "width"))
    for name, value in STICKY.items():
        axis.axhline(value, color="0.8", linewidth=0.7, zorder=-1)
        # The two lowest are close: their names make room for each other.
        shift = {"pentagon": 0.012, "square antiprism": -0.012}.get(name, 0.0)
        axis.text(1.0, value + shift, f" {name}", transform=axis.get_yaxis_transform(), **_SIDE)
    axis.axhline(width / features, color="0.6", linewidth=0.8, linestyle=":", zorder=-1)
    axis.text(1.0, width / features, " $m/n$", transform=axis.get_yaxis_transform(), **_SIDE)
    # Spread in equal steps, so that clusters of features show as dense columns.
    spread = np.linspace(-0.06, 0.06, features)
    for x, values in zip(sparsity, each, strict=True):
        axis.plot(x * np.exp(spread), np.sort(values), ".", color=COLORS[5], markersize=2.5)
    axis.plot([], [], ".", color=COLORS[5], label="$D_i$, sorted")
    axis.plot(
        sparsity, mean, MARKERS[0], color=COLORS[0], markerfacecolor="white", label="$m/|W|_F^2$"
    )
    axis.set(
        xscale="log",
        xlabel="sparsity $1/s$",
        ylabel="dimensions per feature",
        title=f"$n={features}$ equal features, $m={width}$",
        ylim=(-0.03, 1.15),
    )
    axis.legend(loc="upper center")
    rows = [_row("crowd mean", x, 0, y, float("nan")) for x, y in zip(sparsity, mean, strict=True)]
    return rows + [
        _row("crowd", x, i, value, float("nan"))
        for x, values in zip(sparsity, each, strict=True)
        for i, value in enumerate(np.sort(values))
    ]


_SIDE: dict[str, Any] = {"fontsize": 6, "color": "0.4", "va": "center"}


def _phases(axis: Any, found: Pairs) -> list[dict[str, Any]]:
    dense = np.geomspace(found.chance[0] / 1.3, min(found.chance[-1] * 1.1, 0.9), 25)
    exact = np.array([theory.phase_boundary(chance) for chance in dense.tolist()])
    fixed = np.array([theory.fixed_form_boundary(chance) for chance in dense.tolist()])
    axis.plot(dense, exact, color="0.2", label="exact boundary")
    shown = (fixed > 0) & (fixed < 1.2)
    axis.plot(dense[shown], fixed[shown], color="0.5", linestyle="--", label="$w=(1,-1)$, $b=0$")
    grid = np.meshgrid(found.chance, found.ratio, indexing="ij")
    for kept, index, label in ((True, 0, "both kept"), (False, 1, "second ignored")):
        at = found.kept == kept
        axis.plot(
            grid[0][at],
            grid[1][at],
            MARKERS[index],
            color=COLORS[index],
            markerfacecolor=COLORS[index] if kept else "white",
            linestyle="",
            label=label,
        )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="chance $s$ to be active",
        ylabel="relative importance $r$ of the second",
        title="Two features in one dimension",
        ylim=(found.ratio[0] / 8, 1.3 * found.ratio[-1]),
    )
    plain_ticks(axis, found.chance)
    axis.legend(loc="lower right", ncols=2)
    boundary = [theory.phase_boundary(chance) for chance in found.chance.tolist()]
    return [
        _row("pair", chance, ratio, float(found.kept[i, j]), float(ratio > boundary[i]))
        for i, chance in enumerate(found.chance)
        for j, ratio in enumerate(found.ratio)
    ]


def _polygons(axis: Any, dataset: xr.Dataset) -> list[dict[str, Any]]:
    shares = chances(dataset)
    trained, pentagon, digons = polygon_losses(dataset)
    low, high = 0.8 * shares[0], min(1.2 * shares[-1], 0.9)
    dense = np.geomspace(low, high, 15)
    shapes = {
        "pentagon": [theory.best_polygon(5, chance).loss for chance in dense.tolist()],
        "two digons, one ignored": [theory.digons_loss(chance) for chance in dense.tolist()],
    }
    for (name, line), dash in zip(shapes.items(), ("-", "--"), strict=True):
        # Losses fall as s^2; divided by it, the two shapes are told apart.
        axis.plot(dense, np.array(line) / dense, color="0.25", linestyle=dash, label=name)
    axis.plot(
        shares,
        trained / shares,
        MARKERS[0],
        color=COLORS[0],
        markerfacecolor="white",
        label="best trained",
    )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="chance $s$ to be active",
        ylabel="loss $L/s$",
        title="Five features in the plane",
    )
    plain_ticks(axis, shares)
    axis.legend(loc="lower right")
    losses = zip(shares, trained, pentagon, digons, strict=True)
    return [_row("polygon", s, 5, loss, min(one, two)) for s, loss, one, two in losses]


def draw_gram(datasets: Datasets) -> Drawing:
    """W W^T of 20 features of falling importance, the denser the data the farther left."""
    dataset = datasets["toy-geometry"]["stack"]
    grams = dataset["gram"].values[:, 0]
    shares = chances(dataset)
    count = len(shares)
    rows: list[dict[str, Any]] = []
    with canvas(1, count, (2.1 * count + 0.6, 2.8)) as (figure, axes):
        image = None
        for axis, gram, share in zip(axes[0], grams, shares, strict=True):
            image = axis.imshow(gram, cmap="RdBu_r", vmin=-1.2, vmax=1.2)
            axis.set(title=f"$s={share:g}$", xticks=[], yticks=[])
            rows += [
                {"chance": share, "row": i, "column": j, "value": gram[i, j]}
                for i in range(len(gram))
                for j in range(i + 1)
            ]
        axes[0, 0].set_ylabel("feature, most important first")
        figure.colorbar(image, ax=list(axes[0]), label="$W W^T$", shrink=0.8)
        features, width = (number_of(dataset, name) for name in ("num_features", "width"))
        figure.supxlabel(
            f"trained networks, n={features}, m={width}, importance $0.7^{{i-1}}$, one start each",
            fontsize=7.5,
        )
    return Drawing(figure, rows)


FIGURES = {
    "toy-geometry": Figure("toy-geometry", ("toy-geometry",), draw_geometry),
    "toy-gram": Figure("toy-gram", ("toy-geometry",), draw_gram),
}
