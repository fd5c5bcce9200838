"""Rounded weights: risk against steps, where it is least, and the control."""

from typing import Any

import numpy as np

from scalinglab.experiments.power_law_sgd.quantized_weights import (
    GROWING,
    RATE,
    Rounded,
    rounded_runs,
)
from scalinglab.theory.power_law_sgd import critical_steps_exponent

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas


def draw_rounded(datasets: Datasets) -> Drawing:
    """Left, rounded risks where weights grow; middle, log2 t* against bits; right, the control."""
    *growing, control = rounded_runs(datasets["quantized-weights"]["rounded"])
    with canvas(1, 3, (11.0, 4.0)) as (figure, axes):
        for i, one in enumerate(growing):
            _curve(axes[0, 0], one, i)
        _curve(axes[0, 2], control, 3)
        axes[0, 0].plot(growing[0].steps, growing[0].plain, color="0.5", label="not rounded")
        axes[0, 2].plot(control.steps, control.plain, color="0.5", label="not rounded")
        _best(axes[0, 1], growing)
        for axis, one in ((axes[0, 0], growing[0]), (axes[0, 2], control)):
            alpha, beta = one.config.alpha, one.config.beta
            word = "Weights grow" if one is growing[0] else "Control"
            axis.set(
                xscale="log",
                yscale="log",
                xlabel="step r",
                ylabel="test risk",
                title=rf"{word}: $\alpha = {alpha:g}$, $\beta = {beta:g}$",
            )
            if one is control:
                axis.set_ylim(0.4 * one.mean.min(), 3.0 * one.plain[0])
            axis.legend(loc="lower left")
        figure.supxlabel(
            f"{control.config.num_parameters} modes of the data, rate {RATE:g}, "
            f"{len(control.risk)} runs;  points: SGD with rounded weights, standard errors over "
            "runs;  lines: exact mean plus rounding penalty, heuristic;\ngrey: exact mean without "
            "rounding;  middle: steps of least risk, errors by resampling runs",
            fontsize=7.5,
        )
    return Drawing(figure, [row for one in (*growing, control) for row in _rows(one)])


def _curve(axis: Any, one: Rounded, i: int) -> None:
    axis.plot(one.steps, one.predicted, color=COLORS[i], linestyle=DASHES[i])
    axis.errorbar(
        one.steps[::2],
        one.mean[::2],
        yerr=one.stderr[::2],
        fmt=MARKERS[i],
        ms=3.5,
        color=COLORS[i],
        markerfacecolor="white",
        label=f"{one.bits} bits",
    )


def _best(axis: Any, growing: list[Rounded]) -> None:
    bits = np.array([one.bits for one in growing], float)
    axis.errorbar(
        bits,
        [one.best(one.mean) for one in growing],
        yerr=[one.best_error() for one in growing],
        fmt="o",
        color=COLORS[0],
        markerfacecolor="white",
        label="SGD",
    )
    predicted = np.array([one.best(one.predicted) for one in growing])
    axis.plot(bits, predicted, "--x", color=COLORS[1], label="prediction")
    slope = critical_steps_exponent(*GROWING)
    line = predicted.mean() + slope * (bits - bits.mean())
    axis.plot(bits, line, color="0.6", linewidth=0.9, label=f"slope {slope:g}, limit")
    axis.set(xlabel="bits b", ylabel=r"$\log_2 t^\star$", title=r"Steps of least risk", xticks=bits)
    axis.legend(loc="upper left")


def _rows(one: Rounded) -> list[dict[str, Any]]:
    return [
        {
            "alpha": one.config.alpha,
            "beta": one.config.beta,
            "bits": one.bits,
            "step": one.steps[i],
            "rounded_risk": one.mean[i],
            "stderr": one.stderr[i],
            "predicted": one.predicted[i],
            "not_rounded": one.plain[i],
            "kind": "heuristic",
        }
        for i in range(0, len(one.steps), 6)
    ]
