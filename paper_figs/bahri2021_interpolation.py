"""Interpolation without training: the losses of constant and linear pieces, and their exponents."""

from typing import Any

import numpy as np

from scalinglab.experiments.curves import Curve, fit_window
from scalinglab.experiments.teacher_student.interpolation import METHODS, dimension_of, loss_curve

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, Figure, canvas, plain_ticks

_TITLES = {"nearest_loss": "Nearest neighbour", "linear_loss": "Linear on Delaunay simplices"}


def draw_interpolation(datasets: Datasets) -> Drawing:
    """Left and middle, L(D) of each method in each dimension; right, exponents against d."""
    sweeps = datasets["interpolation"]
    rows: list[dict[str, Any]] = []
    with canvas(1, 3, (11.2, 4.2)) as (figure, axes):
        for axis, name in zip(axes[0], METHODS, strict=False):
            for i, (sweep, dataset) in enumerate(sweeps.items()):
                curve = loss_curve(dataset, name)
                _curve(axis, i, curve, sweep)
                rows += _rows(curve, name, dimension_of(sweep))
            _finish(axis, _TITLES[name], sweeps)
        _exponents(axes[0, 2], rows)
        seeds = sorted({dataset.sizes["seed"] for dataset in sweeps.values()})
        draws = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        figure.supxlabel(
            f"points: simulation, mean and standard error over {draws} draws;  lines, left: law of "
            "the nearest sample (exact);  lines, middle: law of the cell around a point, two "
            "orders (asymptotic)\nlines, right: $2/d$ and $4/d$ as $D$ grows;  crosses: the laws "
            "in the window of the points, without a fit;  shaded: excluded by Theorem 2",
            fontsize=7.5,
        )
    return Drawing(figure, rows)


def _curve(axis: Any, index: int, curve: Curve, sweep: str) -> None:
    style = {"color": COLORS[index], "linestyle": DASHES[index]}
    axis.plot(curve.x, curve.predicted, **style)
    axis.errorbar(
        curve.x,
        curve.mean,
        yerr=curve.stderr,
        fmt=MARKERS[index],
        color=COLORS[index],
        markerfacecolor="white",
        label=f"$d={dimension_of(sweep)}$",
    )


def _finish(axis: Any, title: str, sweeps: Any) -> None:
    sizes = sorted({int(x) for dataset in sweeps.values() for x in dataset["num_samples"].values})
    axis.set(xscale="log", yscale="log", xlabel="training samples $D$", title=title)
    axis.set_ylabel("mean squared error $L(D)$")
    plain_ticks(axis, sizes[::2])
    axis.legend(loc="lower left")


def _exponents(axis: Any, rows: list[dict[str, Any]]) -> None:
    dimensions = sorted({row["dimension"] for row in rows})
    dense = np.geomspace(dimensions[0], dimensions[-1], 60)
    for i, (name, (_, order, label)) in enumerate(METHODS.items()):
        axis.plot(dense, order / dense, color=COLORS[i], linestyle=DASHES[i])
        found = {row["dimension"]: row for row in rows if row["observable"] == name}
        axis.plot(
            dimensions,
            [found[d]["exponent_theory"] for d in dimensions],
            "x",
            color="0.25",
            markersize=9,
            markeredgewidth=0.9,
        )
        axis.errorbar(
            dimensions,
            [found[d]["exponent"] for d in dimensions],
            yerr=[found[d]["exponent_stderr"] for d in dimensions],
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            label=f"{label}, ${order}/d$",
        )
    axis.fill_between(dense, 1 / dense, 1e-3, color="0.9", linewidth=0)
    axis.text(dense[0] * 1.05, 0.34, "below $1/d$", fontsize=7.5, color="0.35")
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="dimension $d$",
        ylabel=r"exponent $\alpha_D$",
        title="Exponents",
        ylim=(0.8 / dimensions[-1], 3),
    )
    plain_ticks(axis, dimensions)
    ticks = (0.2, 0.5, 1, 2)
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks([], minor=True)
    axis.legend(loc="upper right")


def _rows(curve: Curve, name: str, dimension: int) -> list[dict[str, Any]]:
    fit = fit_window(curve, curve.x[0])
    exponents = {
        "exponent": float(fit.exponent),
        "exponent_stderr": float(fit.exponent_error),
        "exponent_theory": float(fit.same_window(curve.predicted).exponent),
    }
    return [
        {
            "observable": name,
            "dimension": dimension,
            "num_samples": x,
            "mean": mean,
            "stderr": stderr,
            "predicted": predicted,
            "kind": curve.kind,
            **exponents,
        }
        for x, mean, stderr, predicted in zip(
            curve.x, curve.mean, curve.stderr, curve.predicted, strict=True
        )
    ]


FIGURES = {"interpolation": Figure("interpolation", ("interpolation",), draw_interpolation)}
