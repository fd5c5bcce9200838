"""Biases that start normal or at zero: live rows, losses, and the exponent over the budget."""

from typing import Any

import numpy as np

from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.superposition.bias_initialisation import (
    Starts,
    features_of,
    starts,
)

from .figure import COLORS, MARKERS, Datasets, Drawing, canvas, plain_ticks

_LABELS = {"zeros": "from zero", "normal": "normal"}


def draw_starts(datasets: Datasets) -> Drawing:
    """Live rows against the budget, losses at the largest one, exponents against the budget."""
    sweeps = datasets["bias-initialisation"]
    found = {name: starts(sweeps[name]) for name in _LABELS}
    seeds = found["zeros"].loss.shape[2]
    with canvas(1, 3, (10.4, 4.0)) as (figure, axes):
        _live(axes[0, 0], found["normal"])
        _losses(axes[0, 1], found)
        _exponents(axes[0, 2], found)
        figure.supxlabel(
            rf"points: trained networks, $n={features_of(sweeps['zeros'])}$, $\alpha=0$, mean and "
            f"standard error over {seeds} seeds, joined to guide the eye;  shaded: .5 to .7, as "
            "measured before at $m=14$",
            fontsize=7.5,
        )
    return Drawing(figure, [row for name, one in found.items() for row in _rows(name, one)])


def _errorbar(axis: Any, index: int, x: Any, values: np.ndarray, label: str) -> None:
    mean, error = mean_and_error(values)
    axis.errorbar(
        x,
        mean,
        yerr=error,
        fmt=MARKERS[index] + ":",
        color=COLORS[index],
        markerfacecolor="white",
        label=label,
    )


def _live(axis: Any, found: Starts) -> None:
    axis.axhspan(0.5, 0.7, color="0.93", zorder=-1)
    for j, width in enumerate(found.widths):
        # Moved apart, so that the error bars of the widths do not cover each other.
        x = found.budgets * 1.04 ** (j - 1)
        _errorbar(axis, j, x, found.live[:, j], f"$m={width:g}$")
    _budgets(axis, found.budgets)
    axis.set(ylabel="share of live rows", title="Normal biases: live rows", ylim=(0, 1.05))
    axis.legend(loc="lower right")


def _losses(axis: Any, found: dict[str, Starts]) -> None:
    for i, (name, label) in enumerate(_LABELS.items()):
        _errorbar(axis, i, found[name].widths, found[name].loss[-1], label)
    widths = found["zeros"].widths
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="width $m$",
        ylabel="loss $L$",
        title=f"After {found['zeros'].budgets[-1]:g} steps",
    )
    plain_ticks(axis, widths)
    axis.legend(loc="lower left", title="biases", title_fontsize=7.5)


def _exponents(axis: Any, found: dict[str, Starts]) -> None:
    for i, (name, label) in enumerate(_LABELS.items()):
        _errorbar(axis, i, found[name].budgets, found[name].exponents, label)
    widths = found["zeros"].widths
    _budgets(axis, found["zeros"].budgets)
    axis.set(ylabel=f"exponent, $m={widths[0]:g}$ to ${widths[-1]:g}$", title="Apparent exponent")
    axis.set_ylim(bottom=0)
    axis.legend(loc="lower right")


def _budgets(axis: Any, budgets: np.ndarray) -> None:
    axis.set(xscale="log", xlabel="steps of training")
    plain_ticks(axis, budgets)


def _rows(name: str, found: Starts) -> list[dict[str, Any]]:
    (live, live_error), (loss, loss_error) = (
        mean_and_error(values) for values in (found.live, found.loss)
    )
    exponent, exponent_error = mean_and_error(found.exponents)
    return [
        {
            "bias_init": name,
            "num_steps": steps,
            "width": width,
            "live_fraction": live[i, j],
            "live_fraction_stderr": live_error[i, j],
            "loss": loss[i, j],
            "loss_stderr": loss_error[i, j],
            "exponent": exponent[i],
            "exponent_stderr": exponent_error[i],
        }
        for i, steps in enumerate(found.budgets)
        for j, width in enumerate(found.widths)
    ]
