"""Where the additive form of the optimal-ridge frontier is good: two maps and a cut."""

from typing import Any

import numpy as np
from matplotlib.colors import TwoSlopeNorm

from scalinglab.experiments.random_features.joint_risk import frontier_modes
from scalinglab.experiments.random_features.optimal_ridge_noise import (
    DECAYS,
    NOISES,
    additive_ratio,
    additive_row,
    risks,
    setting_of,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas

_MAP_SIZE = 200.0
_LEVELS = (-40, -30, -20, -10, -5, 5, 10, 20, 30, 40, 60, 80)


def draw_optimal_noise(datasets: Datasets) -> Drawing:
    """Left and middle, the error at N = D over (a, b) and over (a, noise); right, simulation."""
    dataset = datasets["optimal-ridge-noise"]["square"]
    modes = frontier_modes(dataset)
    with canvas(1, 3, (11.0, 3.9)) as (figure, axes):
        _decay_map(axes[0, 0])
        filled = _noise_map(axes[0, 1])
        bar = figure.colorbar(filled, ax=axes[0, :2].tolist(), shrink=0.85, pad=0.02)
        bar.set_label("above the additive form [%], colours to 45")
        table = _cut(axes[0, 2], dataset, modes)
        figure.supxlabel(
            f"maps: deterministic equivalent, infinite spectrum, N = D = {_MAP_SIZE:g}, optimal "
            "ridge at every size;  right, lines: the same theory at the "
            f"{modes} modes and N = D = {table[0]['size']} simulated;\n"
            "points: simulation, mean and standard error over seeds;  no parameter is fitted",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _contours(axis: Any, x: Any, y: Any, ratio: Any) -> Any:
    error = 100 * (ratio - 1)
    norm = TwoSlopeNorm(0.0, -45.0, 45.0)
    filled = axis.pcolormesh(x, y, error, cmap="RdBu_r", norm=norm, shading="gouraud")
    lines = axis.contour(x, y, error, levels=_LEVELS, colors="0.15", linewidths=0.6)
    axis.clabel(lines, fmt="%g", fontsize=6.5)
    axis.contour(x, y, error, levels=[0], colors="k", linewidths=1.4)
    return filled


def _decay_map(axis: Any) -> None:
    a, b = np.linspace(1.2, 3.2, 21), np.linspace(1.2, 3.2, 21)
    grid_a, grid_b = np.meshgrid(a, b)
    _contours(axis, a, b, additive_ratio(grid_a, grid_b, 0.0, _MAP_SIZE, None))
    axis.plot(a, a, color="k", linewidth=0.9, linestyle=":", label="$b = a$")
    axis.legend(loc="lower right")
    axis.set(xlabel="eigenvalue decay $a$", ylabel="target decay $b$", title="Without noise")


def _noise_map(axis: Any) -> Any:
    a, noise = np.linspace(1.2, 3.2, 21), np.geomspace(1e-5, 1.0, 21)
    grid_a, grid_noise = np.meshgrid(a, noise)
    ratio = additive_ratio(grid_a, grid_a, grid_noise, _MAP_SIZE, None)
    filled = _contours(axis, a, noise, ratio)
    axis.set(
        yscale="log",
        xlabel="eigenvalue decay $a$",
        ylabel=r"label noise $\sigma^2$",
        title="Isotropic teacher, $b = a$",
    )
    return filled


def _cut(axis: Any, dataset: Any, modes: int) -> list[dict[str, Any]]:
    rows = [(row, setting_of(row, dataset)) for row in risks(dataset)]
    noise = np.geomspace(1e-3, 3.0, 25)
    shown = np.array([noise[0] / 2 if value == 0.0 else value for value in NOISES])
    axis.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    table: list[dict[str, Any]] = []
    for i, (decay, target) in enumerate(DECAYS):
        mine = [(row, at) for row, at in rows if (at.decay, at.target) == (decay, target)]
        size = mine[0][1].size
        line = additive_ratio(decay, target, noise, size, modes)
        axis.plot(noise, 100 * (line - 1), color=COLORS[i], linestyle=DASHES[i])
        found = [additive_row(row, at, modes) for row, at in mine]
        axis.errorbar(
            shown,
            [100 * (value - 1) for value, _, _ in found],
            yerr=[100 * error for _, error, _ in found],
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            label=f"$a={decay:g}$, $b={target:g}$",
        )
        table += [_entry(at, values) for (_, at), values in zip(mine, found, strict=True)]
    axis.set(
        xscale="log",
        xlabel=r"label noise $\sigma^2$  (leftmost points: 0)",
        ylabel="excess risk above the additive form [%]",
        title="Simulation on the predicted errors",
    )
    axis.legend(loc="best")
    return table


def _entry(at: Any, values: tuple[float, float, float]) -> dict[str, Any]:
    value, error, predicted = values
    return {
        "eigenvalue_decay": at.decay,
        "target_decay": at.target,
        "noise_variance": at.noise,
        "size": at.size,
        "excess_over_additive": value,
        "stderr": error,
        "predicted": predicted,
        "kind": "deterministic_equivalent",
    }
