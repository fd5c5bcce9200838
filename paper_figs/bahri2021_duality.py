"""Fig. 2b of arXiv 2102.06701: spectra, and the plane of data and feature exponents."""

from typing import Any

import numpy as np

from scalinglab.experiments.curves import Curve, fit_window
from scalinglab.experiments.random_features.duality import DIAGONAL, exponent_curves
from scalinglab.theory import random_features as theory

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas


def draw_duality(datasets: Datasets) -> Drawing:
    """The spectra, and alpha_N against alpha_D with the diagonal of duality."""
    found = exponent_curves(datasets["duality"])
    table = [_row(pair, both) for pair, both in found.items()]
    with canvas(1, 2, (7.2, 3.9)) as (figure, axes):
        _spectra(axes[0, 0])
        _plane(axes[0, 1], table)
        low, high = table[0]["window_low"], table[0]["window_high"]
        figure.supxlabel(
            f"points: simulation, exponents fitted over {low:g}..{high:g} with standard errors;  "
            "crosses: deterministic equivalent, same window;\n"
            "dots: limits min(b-1, 2a) and min(b-1, a), joined to their point",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _row(pair: tuple[float, float], both: tuple[Curve, Curve]) -> dict[str, Any]:
    fits = [fit_window(curve, curve.x[0]) for curve in both]
    limit = theory.asymptotic_exponents(*pair)
    row: dict[str, Any] = {"eigenvalue_decay": pair[0], "target_decay": pair[1]}
    for name, fit, curve, limiting in zip(
        ("data", "features"),
        fits,
        both,
        (limit.resolution_data, limit.resolution_features),
        strict=True,
    ):
        row[f"{name}_exponent"] = float(fit.exponent)
        row[f"{name}_stderr"] = float(fit.exponent_error)
        row[f"{name}_theory"] = float(fit.same_window(curve.predicted).exponent)
        row[f"{name}_limit"] = float(limiting)
    row["window_low"], row["window_high"] = (float(end) for end in fits[0].window)
    return {**row, "kind": both[0].kind}


def _spectra(axis: Any) -> None:
    index = np.arange(1, 257)
    for i, (a, _) in enumerate(DIAGONAL):
        style = {"color": COLORS[i], "linestyle": DASHES[i]}
        axis.plot(index, index**-a, label=rf"$\alpha_K = {a - 1:g}$", **style)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="mode $i$",
        ylabel=r"eigenvalue $\lambda_i = i^{-(1+\alpha_K)}$",
        title="Spectra",
    )
    axis.legend(loc="lower left")


def _plane(axis: Any, table: list[dict[str, Any]]) -> None:
    top = 1.12 * max(row["data_limit"] for row in table)
    axis.plot([0, top], [0, top], color="0.6", linewidth=0.8, zorder=0)
    axis.text(0.72 * top, 0.76 * top, "duality", rotation=38, fontsize=8, color="0.35")
    for i, row in enumerate(table):
        steep = row["target_decay"] != row["eigenvalue_decay"]
        color = "0.15" if steep else COLORS[i % len(DIAGONAL)]
        x, y = row["data_exponent"], row["features_exponent"]
        axis.plot(
            [x, row["data_limit"]], [y, row["features_limit"]], color=color, linewidth=0.7, ls=":"
        )
        axis.plot(row["data_limit"], row["features_limit"], ".", color=color, markersize=4)
        axis.errorbar(
            x,
            y,
            xerr=row["data_stderr"],
            yerr=row["features_stderr"],
            fmt=MARKERS[i % len(DIAGONAL)] if not steep else "D",
            color=color,
            markerfacecolor="white",
        )
        axis.plot(row["data_theory"], row["features_theory"], "x", color=color, markersize=5)
        if steep:
            label = f"a={row['eigenvalue_decay']:g}, b={row['target_decay']:g}"
            axis.annotate(label, (x, y), xytext=(4, -13), textcoords="offset points", fontsize=7.5)
    axis.set(
        xlim=(0, top),
        ylim=(0, top),
        xlabel=r"data exponent $\alpha_D$",
        ylabel=r"feature exponent $\alpha_N$",
        title="Duality, and where it breaks",
    )
