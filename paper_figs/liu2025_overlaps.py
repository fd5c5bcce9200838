"""Squared overlaps of trained rows, after Figs 6c and 6d: all rows, live rows, and the bounds."""

from typing import Any

import numpy as np

from scalinglab.experiments.superposition.overlap_geometry import Geometry, features_of, geometry

from .figure import COLORS, MARKERS, Datasets, Drawing, canvas, plain_ticks

_STARTS = {"zeros": "biases start at zero", "normal": "normal biases"}
_RATIOS = {
    "tightness": r"mean $\rho^2$ over Welch",
    "balance": r"mean $\rho$ over $-1/(K-1)$",
    "skewness": "skewness over the least",
}


def draw_overlaps(datasets: Datasets) -> Drawing:
    """m mean rho^2 for all and live rows; the share of live ones; how close to the bounds."""
    sweeps = datasets["overlap-geometry"]
    found = {name: geometry(sweeps[name]) for name in _STARTS}
    features = features_of(sweeps["zeros"])
    with canvas(1, 3, (10.4, 4.0)) as (figure, axes):
        _squares(axes[0, 0], found)
        _live(axes[0, 1], found)
        _ratios(axes[0, 2], found["zeros"], features)
        figure.supxlabel(
            rf"points: trained networks, $n={features}$, $\alpha=0$, mean over "
            f"{sweeps['zeros'].sizes['seed']} seeds, right with standard errors;  lines: Welch's "
            "bound for as many rows as live (exact)\n"
            "shaded, right: what was asked of trained rows (1.5 %; the skewness only for "
            r"$n/m^{3/2}>1.8$)",
            fontsize=7.5,
        )
    rows = [row for name, one in found.items() for row in _rows(name, one)]
    return Drawing(figure, rows)


def _squares(axis: Any, found: dict[str, Geometry]) -> None:
    for i, (name, label) in enumerate(_STARTS.items()):
        one = found[name]
        style = {"color": COLORS[i], "linestyle": ""}
        axis.plot(one.width, one.welch, color=COLORS[i], linestyle="-" if i == 0 else "--")
        axis.plot(
            one.width,
            one.squares,
            marker=MARKERS[i],
            markerfacecolor="white",
            label=f"{label}: live rows",
            **style,
        )
        axis.plot(one.width, one.all_squares, marker="x+"[i], label=f"{label}: all rows", **style)
    axis.axhline(1, color="0.6", linewidth=0.8)
    axis.text(0.99, 1.0, "random directions ", transform=axis.get_yaxis_transform(), **_NOTE)
    _widths(axis, found["zeros"].width)
    axis.set(yscale="log", ylabel=r"$m\,\overline{\rho^2}$", title="Mean squared overlap")
    # Room for the legend above the highest point.
    low, high = axis.get_ylim()
    axis.set_ylim(low, high * (high / low) ** 0.35)
    axis.set_yticks(*_ticks(axis.get_ylim()))
    axis.set_yticks([], minor=True)
    axis.legend(loc="upper right")


_NOTE: dict[str, Any] = {"fontsize": 7, "color": "0.4", "ha": "right", "va": "bottom"}


def _ticks(limits: tuple[float, float]) -> tuple[list[float], list[str]]:
    every = (0.5, 0.7, 0.8, 0.9, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
    inside = [tick for tick in every if limits[0] <= tick <= limits[1]]
    return inside, [f"{tick:g}" for tick in inside]


def _live(axis: Any, found: dict[str, Geometry]) -> None:
    for i, (name, label) in enumerate(_STARTS.items()):
        one = found[name]
        axis.plot(
            one.width,
            one.live,
            color=COLORS[i],
            marker=MARKERS[i],
            markerfacecolor="white",
            linestyle=":",
            label=label,
        )
    _widths(axis, found["zeros"].width)
    axis.set(ylabel="share of live rows", title="Dead rows", ylim=(0, 1.05))
    axis.legend(loc="lower right")


def _ratios(axis: Any, found: Geometry, features: int) -> None:
    x = features / found.width**1.5
    axis.axhspan(0.985, 1.015, color="0.93", zorder=-1)
    axis.axhline(1, color="0.6", linewidth=0.8)
    axis.axvline(1.8, color="0.8", linewidth=0.8)
    for i, (name, label) in enumerate(_RATIOS.items()):
        mean, error = getattr(found, name)
        axis.errorbar(
            x,
            mean,
            yerr=error,
            fmt=MARKERS[i + 2],
            color=COLORS[i + 2],
            markerfacecolor="white",
            label=label,
        )
    axis.set(
        xscale="log",
        xlabel=r"$n/m^{3/2}$",
        ylabel="live rows over bound",
        title="Tight, balanced, skewed",
    )
    axis.legend(loc="lower right")


def _widths(axis: Any, widths: np.ndarray) -> None:
    axis.set(xscale="log", xlabel="width $m$")
    plain_ticks(axis, widths)


def _rows(name: str, found: Geometry) -> list[dict[str, Any]]:
    return [
        {
            "bias_init": name,
            "width": width,
            "live_fraction": found.live[i],
            "scaled_mean_square": found.all_squares[i],
            "scaled_mean_square_live": found.squares[i],
            "scaled_welch": found.welch[i],
            **{
                key: value[i]
                for ratio in _RATIOS
                for key, value in zip(
                    (ratio, f"{ratio}_stderr"), getattr(found, ratio), strict=True
                )
            },
        }
        for i, width in enumerate(found.width)
    ]
