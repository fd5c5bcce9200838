"""Three recipes for the compute-optimal size on runs whose optimum is known."""

from typing import Any

import numpy as np

from scalinglab.experiments.power_law_sgd.approaches import (
    GAMMA0,
    NOISE,
    RECIPES,
    REPLICATES,
    Grid,
    Outcome,
    grids,
    outcomes,
    truth_of,
)
from scalinglab.theory.power_law_sgd import compute_optimal_exponents, phase

from .figure import COLORS, MARKERS, Datasets, Drawing, canvas

_OFFSETS = np.linspace(-0.24, 0.24, len(RECIPES))


def draw_recipes(datasets: Datasets) -> Drawing:
    """Left and middle, xi and eta of each recipe in each phase; right, coverage."""
    found = [(grid, outcomes(grid)) for grid in grids(datasets["approach-1-2-3"]["runs"])]
    with canvas(1, 3, (11.0, 4.0)) as (figure, axes):
        for name, axis in (("xi", axes[0, 0]), ("eta", axes[0, 1])):
            _exponent(axis, found, name)
        _coverage(axes[0, 2], found)
        axes[0, 0].legend(loc="upper left", fontsize=7)
        grid = found[0][0]
        failed = sum(one.failed for _, all_ in found for one in all_)
        figure.supxlabel(
            f"window f = {grid.levels[0]:g}..{grid.levels[-1]:g}, d = {grid.size.min():g}.."
            f"{grid.size.max():g}, gamma0 = {GAMMA0:g};  open points: the recipe on SGD, error by "
            "resampling;  crosses: on the deterministic equivalent;\nblack: true minimum of the "
            "equivalent in the window;  grey: asymptotic table;  right: "
            f"{REPLICATES} copies of the equivalent with {NOISE:.0%} noise, binomial errors, "
            f"{failed} without an interval",
            fontsize=7.5,
        )
    pairs = [(grid, one) for grid, all_ in found for one in all_]
    return Drawing(figure, [_row(*one, name) for one in pairs for name in ("xi", "eta")])


def _exponent(axis: Any, found: list[tuple[Grid, tuple[Outcome, ...]]], name: str) -> None:
    for place, (grid, all_) in enumerate(found):
        true = getattr(truth_of(grid), name)
        limit = float(getattr(compute_optimal_exponents(grid.alpha, grid.beta), name))
        for value, color in ((true, "k"), (limit, "0.65")):
            axis.plot([place - 0.36, place + 0.36], [value] * 2, color=color, linewidth=1.3)
        for i, one in enumerate(all_):
            x = place + _OFFSETS[i]
            axis.plot([x], [getattr(one.noiseless, name)], "x", color="0.2", ms=5, zorder=3)
            axis.errorbar(
                [x],
                [getattr(one.measured, name)],
                yerr=[getattr(one.error, name)],
                fmt=MARKERS[i],
                color=COLORS[i],
                markerfacecolor="white",
                label=one.recipe if place == 0 else None,
            )
    _phases(axis, found)
    size = r"best size, $d^\star \sim f^{\,\xi}$"
    risk = r"risk, $P^\star \sim f^{-\eta}$"
    axis.set(ylabel=rf"$\{name}$", title=size if name == "xi" else risk)


def _coverage(axis: Any, found: list[tuple[Grid, tuple[Outcome, ...]]]) -> None:
    axis.axhline(95.0, color="0.6", linewidth=0.8, zorder=0)
    for place, (_, all_) in enumerate(found):
        for i, one in enumerate(all_):
            axis.errorbar(
                [place + _OFFSETS[i]],
                [100 * one.coverage],
                yerr=[100 * one.coverage_error],
                fmt=MARKERS[i],
                color=COLORS[i],
                markerfacecolor="white",
            )
    _phases(axis, found)
    axis.set(
        ylim=(-4, 108),
        ylabel=r"coverage of $\xi$ by 95 % intervals [%]",
        title="How often the interval holds the truth",
    )


def _phases(axis: Any, found: list[tuple[Grid, tuple[Outcome, ...]]]) -> None:
    names = [f"{phase(g.alpha, g.beta)}\n({g.alpha:g}, {g.beta:g})" for g, _ in found]
    axis.set_xticks(range(len(found)), names)
    axis.set_xlim(-0.5, len(found) - 0.5)


def _row(grid: Grid, one: Outcome, name: str) -> dict[str, Any]:
    return {
        "phase": phase(grid.alpha, grid.beta),
        "alpha": grid.alpha,
        "beta": grid.beta,
        "recipe": one.recipe,
        "exponent": name,
        "measured": getattr(one.measured, name),
        "stderr": getattr(one.error, name),
        "on_the_equivalent": getattr(one.noiseless, name),
        "truth": getattr(truth_of(grid), name),
        "limit": float(getattr(compute_optimal_exponents(grid.alpha, grid.beta), name)),
        "coverage_of_xi": one.coverage,
        "copies_without_interval": one.failed,
        "kind": "heuristic",
    }
