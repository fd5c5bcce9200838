"""Compute-optimal training: isoFLOP slices, the best size, the frontier, and the drift."""

from typing import Any

import numpy as np

from scalinglab.experiments.power_law_sgd.compute_optimal import (
    GAMMA0,
    LARGE_WINDOW,
    Optimal,
    large_frontier,
    optima,
)
from scalinglab.experiments.power_law_sgd.ladders import Ladder, pair
from scalinglab.theory.power_law_sgd import PHASES, local_exponents

from .figure import COLORS, MARKERS, Datasets, Drawing, canvas

# The phase of the first two panels.
_SHOWN = "II"
_SLICES = (0.03, 0.12, 0.5)
_STYLES: dict[str, Any] = dict(
    zip(PHASES, [*zip(COLORS, MARKERS, strict=True), ("0.35", "X")], strict=True)
)


def draw_optimum(datasets: Datasets) -> Drawing:
    """Curves and slices of one phase, best size and frontier of all, and local exponents."""
    found = optima(datasets["compute-optimal"]["ladder"])
    shown = next(one for one in found if one.name == _SHOWN)
    with canvas(2, 3, (11.0, 7.2)) as (figure, axes):
        _curves(axes[0, 0], shown)
        table = _slices(axes[0, 1], shown)
        for name, axis in (("size", axes[0, 2]), ("risk", axes[1, 0])):
            for one in found:
                _frontier(axis, one, name)
        for name, axis in (("xi", axes[1, 1]), ("eta", axes[1, 2])):
            for one in found:
                _drift(axis, one, name)
        axes[0, 2].set(
            xscale="log",
            yscale="log",
            xlabel="compute f = r d",
            ylabel="best size d*",
            title=r"$d^\star \sim f^{\,\xi}$",
        )
        axes[1, 0].set(
            xscale="log",
            yscale="log",
            xlabel="compute f = r d",
            ylabel="risk at the best size",
            title=r"$P^\star \sim f^{-\eta}$",
        )
        axes[0, 2].legend(loc="upper left", ncols=2)
        for name, axis in (("xi", axes[1, 1]), ("eta", axes[1, 2])):
            axis.set(
                xscale="log",
                xlabel="best size d*",
                ylabel=rf"local $\{name}$",
                title=rf"$\{name}$ on the way to its limit (bars, right)",
            )
        rungs = found[0].ladder.rungs
        figure.supxlabel(
            f"points: SGD, d = {rungs[0].size}..{rungs[-1].size}, v = 4 d, gamma0 = {GAMMA0:g}, "
            f"mean of {len(rungs[0].ratio)} runs a size with the features' scatter removed "
            "(control variate), errors by resampling runs and features;\n"
            "lines: deterministic equivalent of the same sizes and steps;  bottom right: "
            "local exponents of the equivalent at gamma0 = 0.5, points at the fitted windows of "
            "SGD;  bars: asymptotic table",
            fontsize=7.5,
        )
    return Drawing(figure, table + [_row(one, name) for one in found for name in ("xi", "eta")])


def _curves(axis: Any, shown: Optimal) -> None:
    frontier = shown.window.equivalent
    for i, rung in enumerate(shown.ladder.rungs):
        shade = str(0.75 - 0.6 * i / len(shown.ladder.rungs))
        axis.plot(rung.steps * rung.size, rung.equivalent, color=shade, linewidth=0.9)
        axis.plot(rung.steps[::3] * rung.size, rung.risk[::3], "o", ms=2.5, color=shade)
    axis.plot(frontier.compute, frontier.risk, color=COLORS[1], linewidth=1.8, label="frontier")
    sizes = [rung.size for rung in shown.ladder.rungs]
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="compute f = r d",
        ylabel="test risk",
        title=f"Phase {shown.name}: d = {sizes[0]} (light) to {sizes[-1]} (dark)",
    )
    axis.legend(loc="lower left")


def _slices(axis: Any, shown: Optimal) -> list[dict[str, Any]]:
    ladder = shown.ladder
    top = max(rung.size * rung.steps[-1] for rung in ladder.rungs)
    table = []
    for i, share in enumerate(_SLICES):
        compute = share * top
        sizes, predicted = ladder.at(compute, ladder.equivalents())
        _, measured = ladder.at(compute, ladder.risks())
        error = _slice_error(ladder, compute)
        axis.plot(sizes, predicted, color=COLORS[i])
        axis.errorbar(
            sizes,
            measured,
            yerr=error,
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            label=f"f = {compute:.2g}",
        )
        table += [
            _cells(shown, f"risk at f = {compute:g}", *row, "deterministic_equivalent")
            for row in zip(sizes, measured, error, predicted, strict=True)
        ]
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="size d",
        ylabel="test risk",
        title=f"IsoFLOP slices, phase {shown.name}",
    )
    axis.legend(loc="upper center")
    return table


def _slice_error(ladder: Ladder, compute: float) -> np.ndarray:
    drawn = [ladder.at(compute, risks)[1] for risks in ladder.resamples()]
    return np.std(np.array(drawn), axis=0, ddof=1)


def _frontier(axis: Any, one: Optimal, name: str) -> None:
    color, marker = _STYLES[one.name]
    line, points = one.window.equivalent, one.window.frontier
    axis.plot(line.compute, getattr(line, name), color=color)
    every = slice(None, None, 5)
    axis.plot(
        points.compute[every],
        getattr(points, name)[every],
        marker,
        color=color,
        markerfacecolor="white",
        label=one.name,
    )


def _drift(axis: Any, one: Optimal, name: str) -> None:
    color, marker = _STYLES[one.name]
    frontier = large_frontier(one.ladder.alpha, one.ladder.beta)
    local = local_exponents(frontier, every=8)
    at = np.interp(np.log(local.compute), np.log(frontier.compute), np.log(frontier.size))
    axis.plot(np.exp(at), getattr(local, name), color=color, linewidth=1.1)
    window = one.window.equivalent.size
    middle = float(np.sqrt(window[0] * window[-1]))
    axis.errorbar(
        [middle],
        [getattr(one.window.measured, name)],
        yerr=[getattr(one.window.error, name)],
        xerr=[[middle - window[0]], [window[-1] - middle]],
        fmt=marker,
        color=color,
        markerfacecolor="white",
    )
    end = LARGE_WINDOW[1]
    axis.plot([1.6 * end, 5 * end], [getattr(one.limit, name)] * 2, color=color, linewidth=2.5)


def _row(one: Optimal, name: str) -> dict[str, Any]:
    large = pair(large_frontier(one.ladder.alpha, one.ladder.beta))
    return {
        **_cells(
            one,
            name,
            float(np.sqrt(one.window.equivalent.size[0] * one.window.equivalent.size[-1])),
            getattr(one.window.measured, name),
            getattr(one.window.error, name),
            getattr(one.window.predicted, name),
            "deterministic_equivalent",
        ),
        "large_window": getattr(large, name),
        "limit": getattr(one.limit, name),
    }


def _cells(
    one: Optimal,
    quantity: str,
    size: float,
    measured: float,
    stderr: float,
    predicted: float,
    kind: str,
) -> dict[str, Any]:
    return {
        "phase": one.name,
        "alpha": one.ladder.alpha,
        "beta": one.ladder.beta,
        "quantity": quantity,
        "size": size,
        "measured": measured,
        "stderr": stderr,
        "predicted": predicted,
        "large_window": "",
        "limit": "",
        "kind": kind,
    }
