"""The joint law: its collapse at any ridge, and the additive form at the optimal ridge."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.lines import Line2D

from scalinglab.experiments.comparison import Row, compare
from scalinglab.experiments.random_features.joint_risk import (
    DECAYS,
    SCALED_RIDGES,
    additive,
    frontier_modes,
    optimal,
    setting_of,
)
from scalinglab.theory import random_features as theory

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas


def draw_joint_risk(datasets: Datasets) -> Drawing:
    """Left, the headline: L* over the additive form. Right: the collapse of all (N, D, ridge)."""
    sweeps = datasets["joint-risk"]
    modes = frontier_modes(sweeps["frontier"])
    with canvas(1, 2, (8.4, 4.2)) as (figure, axes):
        table = _frontier(axes[0, 0], _risks(sweeps["frontier"]), modes)
        table += _collapse(axes[0, 1], _risks(sweeps["collapse"]))
        figure.supxlabel(
            "points: simulation, mean and standard error over seeds;  "
            "lines: continuum limit (asymptotic), no fit;\n"
            f"thin lines, left: deterministic equivalent at the {modes} modes simulated",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _risks(dataset: Any) -> list[Row]:
    return [row for row in compare(dataset, theory).rows if row.observable == "test_risk"]


def _frontier(axis: Any, rows: list[Row], modes: int) -> list[dict[str, Any]]:
    smaller = min(setting_of(rows[0])[:2])
    ratio = np.geomspace(1 / 8, 8, 97)
    table = []
    axis.axhline(0, color="0.6", linewidth=0.8, zorder=0)
    for i, decay in enumerate(DECAYS):
        line = jax.vmap(lambda r, a=decay: _continuum(jnp.asarray(a), r))(jnp.asarray(ratio))
        style = {"color": COLORS[i], "linestyle": DASHES[i]}
        axis.plot(ratio, 100 * (np.asarray(line) - 1), **style)
        found = sorted(
            (row for row in rows if setting_of(row).decay == decay),
            key=lambda row: setting_of(row).features / setting_of(row).samples,
        )
        entries = [_frontier_row(row, modes) for row in found]
        x = [entry["x"] for entry in entries]
        axis.plot(*_thin_line(decay, smaller, modes), color=COLORS[i], linewidth=0.6)
        axis.errorbar(
            x,
            [100 * (entry["mean"] - 1) for entry in entries],
            yerr=[100 * entry["stderr"] for entry in entries],
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            label=rf"$\alpha_K = {decay - 1:g}$",
        )
        table += entries
    axis.set(
        xscale="log",
        xlabel=rf"features over samples $N/D$,  $\min(N, D) = {smaller}$",
        ylabel=r"$L^*(N,D)$ above $A\,(N^{-\alpha_K} + D^{-\alpha_K})$  [%]",
        title=r"The additive scaling law is exact at $\alpha_K=1$ only",
    )
    axis.set_xticks([1 / 8, 1 / 4, 1 / 2, 1, 2, 4, 8], ["1/8", "1/4", "1/2", "1", "2", "4", "8"])
    axis.set_xticks([], minor=True)
    axis.legend(loc="upper left", title="optimal ridge", title_fontsize=7.5)
    return table


def _thin_line(decay: float, smaller: int, modes: int) -> tuple[list[float], list[float]]:
    """L*/additive - 1 in percent, at the number of modes simulated and the same smaller size."""
    ratio = np.geomspace(1 / 8, 8, 25).tolist()
    sizes = [(smaller * max(1 / r, 1.0), smaller * max(r, 1.0)) for r in ratio]
    values = [optimal(decay, d, n, modes)[1] / additive(decay, d, n, modes) for d, n in sizes]
    return ratio, [100 * (value - 1) for value in values]


def _continuum(decay: Any, ratio: Any) -> Any:
    """L*/additive in the continuum, which depends on N/D alone."""
    samples = jnp.asarray(1000.0)
    features = samples * ratio
    _, risk = theory.optimal_joint_risk(decay, samples, features)
    return risk / theory.additive_risk(decay, samples, features)


def _frontier_row(row: Row, modes: int) -> dict[str, Any]:
    at = setting_of(row)
    form = additive(at.decay, at.samples, at.features, modes)
    return {
        "panel": "frontier",
        "eigenvalue_decay": at.decay,
        "num_samples": at.samples,
        "num_features": at.features,
        "scaled_ridge": _scaled_ridge(at),
        "x": at.features / at.samples,
        "mean": row.mean / form,
        "stderr": row.stderr / form,
        "predicted": optimal(at.decay, at.samples, at.features, modes)[1] / form,
        "kind": row.kind,
    }


def _scaled_ridge(at: Any) -> float:
    constant = float(theory.spectral_constant(jnp.asarray(at.decay)))
    return round(at.ridge * (min(at.samples, at.features) / constant) ** at.decay, 9)


def _collapse(axis: Any, rows: list[Row]) -> list[dict[str, Any]]:
    table = []
    shown: set[float] = set()
    decays = sorted({setting_of(row).decay for row in rows})
    for i, scaled in enumerate(SCALED_RIDGES):
        _collapse_lines(axis, i, scaled, decays)
        for row in rows:
            entry = _collapse_row(row)
            if abs(entry["scaled_ridge"] - scaled) > 1e-6:
                continue
            marker = MARKERS[2 * decays.index(entry["eigenvalue_decay"])]
            label = rf"ridge $(m/C)^a = {scaled:g}$" if scaled not in shown else None
            shown.add(scaled)
            axis.errorbar(
                entry["x"],
                entry["mean"],
                yerr=entry["stderr"],
                fmt=marker,
                color=COLORS[i],
                markerfacecolor="white",
                label=label,
            )
            table.append(entry)
    axis.set(
        yscale="log",
        xlabel=r"$r = \min(N, D)/\max(N, D)$",
        ylabel=r"$L\,m^{a-1}/C^a$,  $m = \min(N, D)$",
        title="One law for every $N$, $D$ and ridge",
    )
    ticks = (1, 1.5, 2, 3, 4, 5, 6)
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks([], minor=True)
    shapes = [
        Line2D([], [], color="0.3", linestyle=DASHES[j], marker=MARKERS[2 * j], mfc="white")
        for j in range(len(decays))
    ]
    names = [rf"$\alpha_K = {decay - 1:g}$" for decay in decays]
    axis.add_artist(axis.legend(shapes, names, loc="lower right"))
    axis.legend(loc="upper left")
    return table


def _collapse_lines(axis: Any, index: int, scaled: float, decays: list[float]) -> None:
    top = 0.85 if scaled == 0 else 1.0
    ratio = np.linspace(0.1, top, 60)
    for j, decay in enumerate(decays):
        line = [_collapsed(decay, r, scaled) for r in ratio]
        axis.plot(ratio, line, color=COLORS[index], linestyle=DASHES[j])


def _collapsed(decay: float, ratio: float, scaled: float) -> float:
    """L m^(a-1)/C^a of (E5) at m = 1 and ridge (m/C)^a = scaled, by bisection in t = z/m."""
    low, high = 0.0, 1.0
    for _ in range(60 if scaled > 0 else 0):
        t = (low + high) / 2
        low, high = (t, high) if t**-decay * (1 - t) * (1 - ratio * t) > scaled else (low, t)
    t = high
    denominator = 1 - (1 - 1 / decay) * t * (1 + ratio) + (1 - 2 / decay) * t * t * ratio
    return t ** (1 - decay) / decay / denominator


def _collapse_row(row: Row) -> dict[str, Any]:
    at = setting_of(row)
    smaller, larger = sorted((at.samples, at.features))
    constant = float(theory.spectral_constant(jnp.asarray(at.decay)))
    # m + 1/2 is the continuum size of m modes: dropping the half costs a/(2m).
    factor = (smaller + 0.5) ** at.decay / (smaller * constant**at.decay)
    return {
        "panel": "collapse",
        "eigenvalue_decay": at.decay,
        "num_samples": at.samples,
        "num_features": at.features,
        "scaled_ridge": _scaled_ridge(at),
        "x": smaller / larger,
        "mean": row.mean * factor,
        "stderr": row.stderr * factor,
        "predicted": row.predicted * factor,
        "kind": row.kind,
    }
