"""Rare runs: typical and mean decay, the tail of the stationary error, medians over means."""

from typing import Any

import numpy as np

from scalinglab.experiments.power_law_sgd.heavy_tails import (
    GAMMAS,
    MODES,
    POINTS,
    TOP,
    Tail,
    Typical,
    tails,
    typical,
)
from scalinglab.experiments.power_law_sgd.lanes import Runs, all_runs
from scalinglab.models.power_law_sgd import learning_rate
from scalinglab.theory.power_law_sgd import kesten_index

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas


def draw_tails(datasets: Datasets) -> Drawing:
    """Left, the decay of equal modes; then the tail of one mode; right, random features."""
    found = datasets["heavy-tails"]
    with canvas(1, 4, (13.6, 3.9)) as (figure, axes):
        every = all_runs(found["isotropic"])
        for i, runs in enumerate(every):
            _decay(axes[0, 0], runs, i)
        laws = tails(found["tail"])
        for i, one in enumerate(laws):
            _tail(axes[0, 1], one, i)
        medians = typical(found["features"])
        _fan(axes[0, 2], medians)
        _medians(axes[0, 3], medians)
        _titles(axes[0])
        config = medians[0].runs.config
        figure.supxlabel(
            "lines: exact;  points: SGD.  Left: solid log of the mean risk, log E A^2 a step; "
            "dashed mean of the log, 2 E log A.  Second: share of runs with a larger error; "
            f"lines of slope -kappa through the {TOP:.1%} point.  Right: d = "
            f"{config.num_parameters}, {medians[0].runs.ratio.shape[0]} runs,\n"
            "run over exact mean for the same features; bands hold the middle half and nine "
            "tenths of the runs; errors of medians and means by resampling runs",
            fontsize=7.5,
        )
    table = [_row(f"index at rate {x.rate:g}", x.index, x.error, x.expected) for x in laws]
    for one in medians:
        at = f"({one.runs.config.alpha:g}, {one.runs.config.beta:g}), {one.runs.config.gamma0:g}"
        table.append(_row(f"median over mean at {at}", one.median, one.error, 1.0))
    for runs in every:
        rate = learning_rate(runs.config)
        change = np.log(runs.risk[0, :, -1] / MODES) / runs.config.num_steps
        error = change.std(ddof=1) / np.sqrt(len(change))
        expected = kesten_index(rate, dimension=MODES).mean_log_square
        table.append(_row(f"typical decay at rate {rate:g}", change.mean(), error, expected))
    return Drawing(figure, table)


def _decay(axis: Any, runs: Runs, i: int) -> None:
    rate = learning_rate(runs.config)
    factor = kesten_index(rate, dimension=MODES)
    values = runs.risk[0] / MODES
    color = COLORS[i]
    axis.plot(runs.steps, np.exp(factor.log_mean_square * runs.steps), color=color)
    axis.plot(runs.steps, np.exp(factor.mean_log_square * runs.steps), color=color, ls=DASHES[1])
    shared = {"color": color, "markerfacecolor": "white", "ls": "none", "ms": 4}
    axis.plot(runs.steps, values.mean(axis=0), MARKERS[i], label=f"rate {rate:g}", **shared)
    axis.plot(runs.steps, np.exp(np.log(values).mean(axis=0)), MARKERS[i], **shared)


def _tail(axis: Any, one: Tail, i: int) -> None:
    share = (np.arange(len(one.sizes)) + 1) / len(one.sizes)
    chosen = np.unique(np.geomspace(1, len(one.sizes) * 0.9, 40).astype(int)) - 1
    axis.plot(
        one.sizes[chosen],
        share[chosen],
        MARKERS[i],
        ms=3.5,
        color=COLORS[i],
        markerfacecolor="white",
        label=rf"rate {one.rate:g}: Hill {one.index:.2f}, $\kappa$ = {one.expected:.2f}",
    )
    count = round(TOP * len(one.sizes))
    start = one.sizes[count]
    line = np.geomspace(start / 2, one.sizes[0], 30)
    axis.plot(line, TOP * (line / start) ** -one.expected, color=COLORS[i], linestyle=DASHES[i])


def _fan(axis: Any, medians: tuple[Typical, ...]) -> None:
    one = next(x for x in medians if x.runs.config.gamma0 == GAMMAS[-1])
    ratio, steps = one.runs.ratio, one.runs.steps
    for low, high, shade in ((0.05, 0.95, "0.88"), (0.25, 0.75, "0.74")):
        axis.fill_between(steps, *np.quantile(ratio, [low, high], axis=0), color=shade, linewidth=0)
    axis.plot(steps, np.median(ratio, axis=0), color=COLORS[1], label="median")
    mean, error = one.runs.mean_ratio()
    axis.errorbar(
        steps[::2],
        mean[::2],
        yerr=error[::2],
        fmt="o",
        ms=3.5,
        color=COLORS[0],
        markerfacecolor="white",
        label="mean",
    )
    axis.axhline(1.0, color="k", linewidth=0.9)
    axis.legend(loc="lower left")


def _medians(axis: Any, medians: tuple[Typical, ...]) -> None:
    for i, point in enumerate(POINTS):
        mine = [x for x in medians if (x.runs.config.alpha, x.runs.config.beta) == point]
        axis.errorbar(
            [x.runs.config.gamma0 for x in mine],
            [x.median for x in mine],
            yerr=[x.error for x in mine],
            fmt=MARKERS[i],
            color=COLORS[i],
            linestyle=DASHES[i],
            markerfacecolor="white",
            label=rf"$\alpha = {point[0]:g}$, $\beta = {point[1]:g}$",
        )
    axis.axhline(1.0, color="k", linewidth=0.9)
    axis.legend(loc="lower left")


def _titles(axes: Any) -> None:
    alpha, beta = POINTS[0]
    axes[0].set(
        yscale="log",
        xlabel="step r",
        ylabel="risk over that at the start",
        title=f"{MODES} equal modes, no noise",
    )
    axes[0].legend(loc="lower left")
    axes[1].set(
        xscale="log",
        yscale="log",
        xlabel="size of the error",
        ylabel="share of runs above it",
        title="One mode with noise: the tail",
    )
    axes[1].legend(loc="lower left", fontsize=7)
    axes[2].set(
        xscale="log",
        yscale="log",
        xlabel="step r",
        ylabel="run / exact mean",
        title=rf"$\alpha = {alpha:g}$, $\beta = {beta:g}$, $\gamma_0 = {GAMMAS[-1]:g}$",
    )
    axes[3].set(
        ylim=(0, 1.15), xlabel=r"$\gamma_0$", ylabel="median / exact mean", title="Typical runs"
    )


def _row(quantity: str, measured: float, stderr: float, predicted: float) -> dict[str, Any]:
    return {
        "quantity": quantity,
        "measured": measured,
        "stderr": stderr,
        "predicted": predicted,
        "kind": "exact" if "median" not in quantity else "heuristic",
    }
