"""Pruning with an imperfect probe: frontiers, over-pruning, and the rules side by side."""

from typing import Any

import numpy as np

from scalinglab.experiments.data_pruning.imperfect_probe import (
    RUINED_AT,
    RULES_AT,
    Point,
    frontier,
    points,
)
from scalinglab.experiments.data_pruning.pruning_frontier import dimension_of
from scalinglab.theory.data_pruning import MAX_MARGIN_CONSTANT

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks
from .sorscher2022_lines import error_lines


def draw_probe(datasets: Datasets) -> Drawing:
    """Left, the best f at every angle; middle, one pool pruned further; right, four rules."""
    found = datasets["imperfect-probe"]
    with canvas(1, 3, (11.0, 3.9)) as (figure, axes):
        table = _frontiers(axes[0, 0], found["frontier"])
        table += _ruin(axes[0, 1], points(found["ruin"]))
        table += _rules(axes[0, 2], points(found["rules"]))
        figure.supxlabel(
            "lines and bars: saddle point, deterministic equivalent, N infinite (left: the best of "
            "the fractions simulated);  points: simulation, N = "
            f"{dimension_of(found['frontier'])}, mean and standard error over seeds;\n"
            "grey, left: C sin(theta)/alpha_prune, asymptotic, C = "
            f"{MAX_MARGIN_CONSTANT:.4f}",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _frontiers(axis: Any, dataset: Any) -> list[dict[str, Any]]:
    every = points(dataset)
    fractions = sorted({point.fraction for point in every})
    table = []
    for i, angle in enumerate(sorted({point.angle for point in every})):
        best = frontier(dataset, angle)
        kept = np.geomspace(best[0].kept, best[-1].kept, 40)
        line = np.min(error_lines(kept, fractions, angle, "abs_hard"), axis=0)
        axis.plot(kept, line, color=COLORS[i], linestyle=DASHES[i])
        if angle > 0:
            limit = MAX_MARGIN_CONSTANT * np.sin(np.radians(angle)) / kept
            axis.plot(kept, limit, color="0.6", linewidth=0.8, zorder=0)
        _points(axis, [p.kept for p in best], best, i, rf"$\theta = {angle:g}°$")
        table += [_row("frontier", point) for point in best]
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=r"kept examples a dimension $\alpha_{\rm prune}$",
        ylabel=r"test error at the best $f$",
        title="The frontier is a power law again",
    )
    plain_ticks(axis, sorted({point.kept for point in every}))
    axis.legend(loc="lower left")
    return table


def _ruin(axis: Any, every: list[Point]) -> list[dict[str, Any]]:
    pool, _, angle = RUINED_AT
    fractions = np.geomspace(
        min(p.fraction for p in every) / 1.3, min(1.0, 1.3 * max(p.fraction for p in every)), 24
    )
    table = []
    for i, (rule, label) in enumerate((("abs_hard", "hardest by |z|"), ("random", "random"))):
        mine = [point for point in every if point.rule == rule]
        line = error_lines((pool * fractions)[:, None], fractions, angle, rule)[:, 0]
        axis.plot(fractions, line, color=COLORS[i], linestyle=DASHES[i])
        _points(axis, [p.fraction for p in mine], mine, i, label)
        table += [_row("over-pruning", point) for point in mine]
    axis.set(
        xscale="log",
        xlabel="keep fraction $f$",
        ylabel=r"test error $\epsilon$",
        title=rf"Over-pruning: $\alpha_{{\rm tot}} = {pool:g}$, $\theta = {angle:g}°$",
    )
    plain_ticks(axis, sorted({point.fraction for point in every}))
    axis.legend(loc="upper right")
    return table


def _rules(axis: Any, every: list[Point]) -> list[dict[str, Any]]:
    pool, fraction, angle = RULES_AT
    order = ("abs_hard", "abs_easy", "signed_hard", "signed_easy")
    mine = [next(p for p in every if p.rule == rule) for rule in order]
    place = np.arange(len(mine))
    predicted = [
        float(error_lines(np.array([pool * fraction]), [fraction], angle, rule)[0, 0])
        for rule in order
    ]
    axis.bar(place, predicted, width=0.7, color="0.85", edgecolor="0.3")
    _points(axis, place, mine, 0, None)
    axis.set_xticks(place, ["hard |z|", "easy |z|", "hard $yz$", "easy $yz$"])
    axis.set(
        ylabel=r"test error $\epsilon$",
        title=rf"$\alpha_{{\rm tot}} = {pool:g}$, $f = {fraction:g}$, $\theta = {angle:g}°$",
    )
    return [_row("rules", point) for point in mine]


def _points(axis: Any, x: Any, mine: list[Point], i: int, label: str | None) -> None:
    axis.errorbar(
        x,
        [point.mean for point in mine],
        yerr=[point.stderr for point in mine],
        fmt=MARKERS[i],
        color=COLORS[i],
        markerfacecolor="white",
        label=label,
    )


def _row(series: str, point: Point) -> dict[str, Any]:
    return {
        "series": series,
        "rule": point.rule,
        "probe_angle_degrees": point.angle,
        "kept_per_dimension": point.kept,
        "keep_fraction": point.fraction,
        "test_error": point.mean,
        "stderr": point.stderr,
        "predicted": point.predicted,
        "kind": "deterministic_equivalent",
    }
