"""Intrinsic dimension: estimates on known manifolds and on digits; labels of known sharpness."""

import json
import math
from typing import Any

import numpy as np
import xarray as xr

from scalinglab.experiments.curves import Curve
from scalinglab.experiments.teacher_student.intrinsic_dimension import (
    HOMOGENEOUS,
    error_curves,
    homogeneous_limit,
    manifold_rows,
)
from scalinglab.theory import label_sharpness as labels_theory

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, Figure, canvas, plain_ticks

_ESTIMATES = {
    "dimension": "maximum likelihood",
    "two_nn": "TwoNN",
    "levina_bickel": "Levina-Bickel, bias removed",
}


def draw_dimension(datasets: Datasets) -> Drawing:
    """Left, estimate over truth; middle, digits against their number; right, errors over K_F."""
    sweeps = datasets["intrinsic-dimension"]
    config = json.loads(sweeps["manifolds"].attrs["config"])
    with canvas(1, 3, (11.6, 4.4)) as (figure, axes):
        rows = _manifolds(axes[0, 0], sweeps)
        rows += _digits(axes[0, 1], sweeps["digits"])
        rows += _labels(axes[0, 2], sweeps["labels"])
        figure.supxlabel(
            f"points: mean and standard error over {sweeps['manifolds'].sizes['seed']} draws, "
            f"$k={config['neighbours']}$ neighbours;  left: $N={config['num_samples']}$, lines: "
            "means on manifolds without a boundary (exact up to the inverse of a mean)\n"
            r"right: points over the measured $K_F$, lines over its limit: mean slope times mean "
            r"distance (asymptotic);  thin: the bound $\mathrm{E}\,r$;  no line is fitted",
            fontsize=7.5,
        )
    return Drawing(figure, rows)


def _row(panel: str, series: str, x: Any, mean: Any, stderr: Any, predicted: Any) -> dict[str, Any]:
    numbers = {"x": x, "mean": mean, "stderr": stderr, "predicted": predicted}
    return {"panel": panel, "series": series, **numbers}


def _errorbar(axis: Any, index: int, x: Any, mean: Any, error: Any, label: str | None) -> None:
    axis.errorbar(
        x,
        mean,
        yerr=error,
        fmt=MARKERS[index],
        color=COLORS[index],
        markerfacecolor="white",
        label=label,
    )


def _manifolds(axis: Any, sweeps: Any) -> list[dict[str, Any]]:
    found = manifold_rows(sweeps)
    names = list(dict.fromkeys(row.point["manifold"] for row in found))
    table = []
    for i, name in enumerate(names):
        rows = [row for row in found if row.point["manifold"] == name]
        true = np.array([row.predicted for row in rows])
        if name in HOMOGENEOUS:
            limit = [homogeneous_limit(sweeps["manifolds"], row.point) for row in rows]
            axis.plot(true, limit / true, color=COLORS[i], linestyle=DASHES[i])
        mean, error = (np.array([getattr(r, key) for r in rows]) for key in ("mean", "stderr"))
        # Moved apart, so that the error bars of the six do not cover each other.
        shift = 1.012 ** (i - 2.5)
        _errorbar(axis, i, true * shift, mean / true, error / true, name)
        for row in rows:
            predicted = (
                homogeneous_limit(sweeps["manifolds"], row.point)
                if name in HOMOGENEOUS
                else row.predicted
            )
            table.append(_row("manifolds", name, row.predicted, row.mean, row.stderr, predicted))
    axis.set(
        xscale="log",
        xlabel="true dimension $d$",
        ylabel="estimate / $d$",
        title="Known manifolds",
    )
    plain_ticks(axis, sorted({row.predicted for row in found}))
    axis.legend(loc="lower left")
    return table


def _digits(axis: Any, dataset: xr.Dataset) -> list[dict[str, Any]]:
    config = json.loads(dataset.attrs["config"])
    neighbours = config["neighbours"]
    sizes = dataset["num_samples"].values
    table = []
    for i, (name, label) in enumerate(_ESTIMATES.items()):
        factor = (neighbours - 2) / (neighbours - 1) if name == "levina_bickel" else 1.0
        values = factor * dataset[name].values
        mean = values.mean(axis=1)
        error = values.std(axis=1, ddof=1) / math.sqrt(values.shape[1])
        _errorbar(axis, i, sizes * 1.03 ** (i - 1), mean, error, label)
        axis.plot(
            sizes * 1.03 ** (i - 1), mean, color=COLORS[i], linewidth=0.6, linestyle=DASHES[i]
        )
        table += [
            _row("digits", name, *numbers, "") for numbers in zip(sizes, mean, error, strict=True)
        ]
    axis.set(
        xscale="log",
        xlabel="images",
        ylabel="estimated dimension",
        title="scikit-learn's digits, 64 pixels",
    )
    axis.set_ylim(bottom=4.5)
    plain_ticks(axis, sizes)
    axis.legend(loc="lower right")
    return table


def _labels(axis: Any, dataset: xr.Dataset) -> list[dict[str, Any]]:
    found = error_curves(dataset)
    dimensions = list(dict.fromkeys(curve.fixed["intrinsic_dimension"] for curve in found))
    table = []
    for curve in found:
        d, periods = curve.fixed["intrinsic_dimension"], curve.fixed["periods"]
        i = dimensions.index(d)
        sharpness = _sharpness(dataset, curve)
        bound = [labels_theory.nearest_distance(d, int(size)) for size in curve.x]
        first = periods == 1
        if first:
            line = curve.predicted / labels_theory.largest_slope(periods)
            axis.plot(curve.x, line, color=COLORS[i], linestyle=DASHES[i])
            axis.plot(curve.x, bound, color=COLORS[i], linestyle=DASHES[i], linewidth=0.6)
        axis.errorbar(
            curve.x * (1.0 if first else 1.06),
            curve.mean / sharpness,
            yerr=curve.stderr / sharpness,
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white" if first else COLORS[i],
            label=f"$d={d}$, $m={periods}$",
        )
        columns = zip(curve.x, curve.mean, curve.stderr, curve.predicted, strict=True)
        table += [_row("labels", f"d={d} m={periods}", *numbers) for numbers in columns]
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="samples $N$",
        ylabel="error of the nearest label / $K_F$",
        title=r"Label sharpness on a flat torus",
    )
    plain_ticks(axis, found[0].x)
    low, high = axis.get_ylim()
    axis.set_ylim(low * (low / high) ** 0.3, high)
    axis.legend(loc="lower left", ncols=2)
    return table


def _sharpness(dataset: xr.Dataset, curve: Curve) -> np.ndarray:
    chosen = dataset["sharpness"].sel(curve.fixed).sortby("num_samples")
    return chosen.mean("seed").values


FIGURES = {
    "intrinsic-dimension": Figure("intrinsic-dimension", ("intrinsic-dimension",), draw_dimension)
}
