"""Denser data, after Fig. 7: the loss against the width, and against the density."""

from typing import Any

import numpy as np

from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.superposition.activation_density import (
    Densities,
    densities,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks


def draw_density(datasets: Datasets) -> Drawing:
    """Left, L(m) at each density; right, L(E) at each width; lines of the core frame."""
    dataset = datasets["activation-density"]["density"]
    found = densities(dataset)
    mean, error = mean_and_error(found.loss)
    exponents, exponent_errors = mean_and_error(found.exponents)
    growth, growth_errors = mean_and_error(found.growth)
    with canvas(1, 2, (8.4, 4.2)) as (figure, axes):
        for i, density in enumerate(found.density):
            label = rf"$E={density:g}$: {exponents[i]:.3f} $\pm$ {exponent_errors[i]:.3f}"
            _series(axes[0, 0], i, found.width, mean[i], error[i], label, found.core[i])
        for j, width in enumerate(found.width):
            label = rf"$m={width:g}$: {growth[j]:.3f} $\pm$ {growth_errors[j]:.3f}"
            _series(axes[0, 1], j, found.density, mean[:, j], error[:, j], label, found.core[:, j])
        axes[0, 1].plot(
            found.density,
            4 / 3 * found.density,
            color="0.6",
            linewidth=0.8,
            label=r"$4E/3=\sum_i\langle x_i^2\rangle$",
        )
        _finish(axes[0, 0], found.width, "width $m$", "exponent of $L(m)$")
        _finish(axes[0, 1], found.density, "active features $E$", "exponent of $L(E)$")
        figure.suptitle(r"Denser data at $\alpha=1$", fontsize=11)
        figure.supxlabel(
            f"points: trained networks, mean and standard error over {dataset.sizes['seed']} "
            "seeds;  lines: core and Gaussian frame (heuristic, no fit)",
            fontsize=7.5,
        )
    return Drawing(figure, _rows(found))


def _series(axis: Any, index: int, x: Any, y: Any, error: Any, label: str, line: Any) -> None:
    axis.plot(x, line, color=COLORS[index % 6], linestyle=DASHES[index % 6])
    axis.errorbar(
        x,
        y,
        yerr=error,
        fmt=MARKERS[index % 6],
        color=COLORS[index % 6],
        markerfacecolor="white",
        label=label,
    )


def _finish(axis: Any, ticks: np.ndarray, label: str, title: str) -> None:
    axis.set(xscale="log", yscale="log", xlabel=label, ylabel="loss $L$")
    plain_ticks(axis, ticks)
    low, high = axis.get_ylim()
    # Room for the legend below the lowest curve.
    axis.set_ylim(low * (low / high) ** 0.35, high)
    axis.legend(loc="lower left", title=title, title_fontsize=7.5)


def _rows(found: Densities) -> list[dict[str, Any]]:
    mean, error = mean_and_error(found.loss)
    exponents, exponent_errors = mean_and_error(found.exponents)
    return [
        {
            "activation_density": density,
            "width": width,
            "loss": mean[i, j],
            "stderr": error[i, j],
            "core_frame": found.core[i, j],
            "kind": "heuristic",
            "exponent": exponents[i],
            "exponent_stderr": exponent_errors[i],
        }
        for i, density in enumerate(found.density)
        for j, width in enumerate(found.width)
    ]
