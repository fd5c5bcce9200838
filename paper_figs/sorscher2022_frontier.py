"""Test error against kept examples for a ladder of keep fractions, and what the frontier is."""

from typing import Any

import numpy as np

from scalinglab.experiments.data_pruning.pruning_frontier import (
    CAP,
    FLOOR,
    Point,
    dimension_of,
    extrapolate,
    frontiers,
    points,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks
from .sorscher2022_lines import error_lines

_LAWS = (("exponential", (0, (1, 1))), ("power law", (0, (6, 2))))


def draw_frontier(datasets: Datasets) -> Drawing:
    """Left, the ladder at fixed f; middle and right, the two frontiers with the laws fitted."""
    found = datasets["pruning-frontier"]
    ladder = points(found["ladder"])
    both = frontiers(found)
    with canvas(1, 3, (11.0, 3.9)) as (figure, axes):
        _ladder(axes[0, 0], ladder)
        for axis, (name, frontier) in zip(axes[0, 1:], both.items(), strict=True):
            _frontier(axis, name, frontier, floor=name.startswith("f"))
        figure.supxlabel(
            "lines: saddle point, deterministic equivalent, N infinite;  points: simulation, N = "
            f"{dimension_of(found['ladder'])}, mean and standard error over seeds;\nperfect probe, "
            "the hardest kept;  grey: laws fitted to the filled points (lower half) and "
            "extrapolated",
            fontsize=7.5,
        )
    table = [_row("ladder", point) for point in ladder]
    for name, frontier in both.items():
        table += [_row(f"frontier {name}", point) for point in frontier]
    return Drawing(figure, table)


def _ladder(axis: Any, ladder: list[Point]) -> None:
    fractions = sorted({point.fraction for point in ladder}, reverse=True)
    kept = np.geomspace(min(p.kept for p in ladder), max(p.kept for p in ladder), 80)
    lines = error_lines(kept, fractions, 0.0, "abs_hard")
    for i, fraction in enumerate(fractions):
        mine = [point for point in ladder if point.fraction == fraction]
        axis.plot(kept, lines[i], color=COLORS[i], linestyle=DASHES[i])
        _points(axis, mine, COLORS[i], MARKERS[i], label=f"$f = {fraction:g}$")
    axis.axvline(2.0, color="0.7", linewidth=0.8, zorder=0)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=r"kept examples a dimension $\alpha_{\rm prune}$",
        ylabel=r"test error $\epsilon$",
        title=r"Fixed $f$: $1/\alpha$ again",
    )
    plain_ticks(axis, sorted({point.kept for point in ladder}))
    axis.legend(loc="lower left")


def _frontier(axis: Any, name: str, frontier: list[Point], *, floor: bool) -> None:
    ends = frontier[0].kept, frontier[-1].kept
    kept = np.linspace(*ends, 120)
    if floor:
        fractions = np.geomspace(FLOOR, 1.0, 24)
        line = np.min(error_lines(kept, fractions, 0.0, "abs_hard"), axis=0)
        title = rf"Frontier with a floor, $f \geq {FLOOR:g}$"
    else:
        # Along the cap every point has a keep fraction of its own.
        line = error_lines(kept[:, None], kept / CAP, 0.0, "abs_hard")[:, 0]
        title = rf"Frontier of a pool $\alpha_{{\rm tot}} = {CAP:g}$"
    axis.plot(kept, line, color=COLORS[0])
    half = (len(frontier) + 1) // 2
    for law, dash in _LAWS:
        fitted = extrapolate(frontier, law)
        axis.plot(
            kept,
            fitted(kept),
            color="0.45",
            linestyle=dash,
            linewidth=1.1,
            label=f"{law}: {np.exp(fitted.miss):.3g} times the error at the end",
        )
    _points(axis, frontier[:half], COLORS[0], "o", filled=True)
    _points(axis, frontier[half:], COLORS[0], "o")
    low = min(point.mean for point in frontier)
    axis.set(
        yscale="log",
        ylim=(low / 2, 3.0),
        xlabel=r"kept examples a dimension $\alpha_{\rm prune}$",
        title=title,
    )
    axis.legend(loc="upper right")


def _points(
    axis: Any, mine: list[Point], color: str, marker: str, *, label: str = "", filled: bool = False
) -> None:
    axis.errorbar(
        [point.kept for point in mine],
        [point.mean for point in mine],
        yerr=[point.stderr for point in mine],
        fmt=marker,
        color=color,
        markerfacecolor=color if filled else "white",
        label=label or None,
    )


def _row(series: str, point: Point) -> dict[str, Any]:
    return {
        "series": series,
        "kept_per_dimension": point.kept,
        "keep_fraction": point.fraction,
        "test_error": point.mean,
        "stderr": point.stderr,
        "predicted": point.predicted,
        "kind": "deterministic_equivalent",
    }
