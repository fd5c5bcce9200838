"""DANA momentum: curves and their local slopes on the data's own modes, and given features."""

from typing import Any

import numpy as np

from scalinglab.experiments.power_law_sgd.lanes import Runs
from scalinglab.experiments.power_law_sgd.momentum import (
    FEATURES_AT,
    METHODS,
    NAMES,
    POINTS,
    WINDOW,
    Slope,
    effective_exponent,
    feature_runs,
    risk_exponent,
    slopes,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas

_ALL = (*METHODS, "constant")


def draw_momentum(datasets: Datasets) -> Drawing:
    """Top, risk against step at three points; bottom, its local slope, and random features."""
    found = slopes(datasets["momentum"])
    with canvas(2, len(POINTS) + 1, (13.0, 6.4)) as (figure, axes):
        for column, point in enumerate(POINTS):
            mine = [one for one in found if one.point == point]
            for one in mine:
                _curve(axes[0, column], one)
                _local(axes[1, column], one)
            alpha, beta = point
            limit = effective_exponent(alpha, "dana_decaying") * risk_exponent(*point)
            top = max(limit, *(one.exact for one in mine))
            axes[0, column].set(
                xscale="log",
                yscale="log",
                xlabel="step r",
                ylabel="test risk",
                title=rf"$\alpha = {alpha:g}$, $\beta = {beta:g}$",
            )
            axes[1, column].set(
                xscale="log",
                xlabel="step r",
                ylabel=r"local $-\mathrm{d}\log P/\mathrm{d}\log r$",
                ylim=(0.0, 1.35 * top),
            )
        axes[0, 0].legend(loc="lower left")
        _features(axes[0, -1], axes[1, -1], feature_runs(datasets["momentum"]))
        config = found[0].runs.config
        figure.supxlabel(
            f"first {len(POINTS)} columns: the data's own {config.num_parameters} modes, gamma0 = "
            f"{config.gamma0:g}, {config.runs} runs;  lines: exact means;  points: SGD with "
            "standard errors, local slopes from resampled runs over the window of the claims;\n"
            "dotted: limits by effective time (DANA-constant, r far above d, left out);  last "
            "column: random features, simulation over the exact mean for the same features",
            fontsize=7.5,
        )
    return Drawing(figure, [_row(one) for one in found])


def _curve(axis: Any, one: Slope) -> None:
    i = METHODS.index(one.method)
    values = one.runs.risk.reshape(-1, len(one.runs.steps))
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    axis.plot(one.runs.steps, one.runs.exact[0], color=COLORS[i], linestyle=DASHES[i])
    axis.errorbar(
        one.runs.steps[::4],
        values.mean(axis=0)[::4],
        yerr=error[::4],
        fmt=MARKERS[i],
        ms=3.5,
        color=COLORS[i],
        markerfacecolor="white",
        label=NAMES[one.method],
    )


def _local(axis: Any, one: Slope) -> None:
    i = METHODS.index(one.method)
    steps, exact = one.runs.steps[::3], one.runs.exact[0][::3]
    slope = -np.diff(np.log(exact)) / np.diff(np.log(steps))
    axis.plot(np.sqrt(steps[1:] * steps[:-1]), slope, color=COLORS[i], linestyle=DASHES[i])
    low, high = (float(x) for x in one.fit.window)
    middle = np.sqrt(low * high) * 1.12 ** (i - 1)
    axis.errorbar(
        [middle],
        [float(one.fit.exponent)],
        yerr=[one.error],
        xerr=[[middle - low], [high - middle]],
        fmt=MARKERS[i],
        color=COLORS[i],
        markerfacecolor="white",
        elinewidth=0.8,
    )
    if one.method != "dana_constant":
        limit = effective_exponent(one.point[0], one.method) * risk_exponent(*one.point)
        axis.axhline(limit, color=COLORS[i], linestyle=DASHES[3], linewidth=0.9, zorder=0)


def _features(curves: Any, ratios: Any, every: tuple[Runs, ...]) -> None:
    for runs in every:
        i = _ALL.index(runs.config.momentum)
        ratio, error = runs.mean_ratio()
        exact = runs.exact.mean(axis=0)
        curves.plot(runs.steps, exact, color=COLORS[i], linestyle=DASHES[i])
        curves.plot(
            runs.steps[::3],
            (ratio * exact)[::3],
            MARKERS[i],
            ms=3.5,
            color=COLORS[i],
            markerfacecolor="white",
            label=NAMES[runs.config.momentum],
        )
        shift = 1.04 ** (i - 1.5)
        ratios.errorbar(
            runs.steps[::3] * shift,
            ratio[::3],
            yerr=error[::3],
            fmt=MARKERS[i],
            ms=3.5,
            color=COLORS[i],
            markerfacecolor="white",
        )
    ratios.axhline(1.0, color="0.5", linewidth=0.9, zorder=0)
    alpha, beta = FEATURES_AT
    curves.set(
        xscale="log",
        yscale="log",
        xlabel="step r",
        ylabel="test risk",
        title=rf"Random features, $\alpha = {alpha:g}$, $\beta = {beta:g}$",
    )
    curves.legend(loc="lower left")
    ratios.set(xscale="log", xlabel="step r", ylabel="simulation / exact")


def _row(one: Slope) -> dict[str, Any]:
    alpha, beta = one.point
    return {
        "alpha": alpha,
        "beta": beta,
        "method": one.method,
        "exponent": float(one.fit.exponent),
        "stderr": one.error,
        "exact": one.exact,
        "limit": effective_exponent(alpha, one.method) * risk_exponent(alpha, beta),
        "window_low": WINDOW[0],
        "window_high": float(one.fit.window[1]),
        "kind": "exact",
    }
