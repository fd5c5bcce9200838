"""Easy or hard examples: the map of the better rule, and simulated signs on it."""

from typing import Any

import numpy as np
from matplotlib.colors import TwoSlopeNorm

from scalinglab.experiments.data_pruning.easy_or_hard import Difference, crossings, differences
from scalinglab.experiments.data_pruning.pruning_frontier import dimension_of

from .figure import COLORS, Datasets, Drawing, canvas, plain_ticks
from .sorscher2022_lines import error_lines

_RANGE = 1.5


def draw_map(datasets: Datasets) -> Drawing:
    """A panel an angle: log(easy/hard) over pool and keep fraction, and what was simulated; then
    the best fraction for a given number of kept examples."""
    dataset = datasets["easy-or-hard"]["map"]
    rows = differences(dataset)
    angles = sorted({row.angle for row in rows})
    with canvas(1, len(angles) + 1, (3.7 * (len(angles) + 1), 3.9)) as (figure, axes):
        for axis, angle in zip(axes[0], angles, strict=False):
            filled = _panel(axis, [row for row in rows if row.angle == angle], angle)
        bar = figure.colorbar(filled, ax=axes[0, : len(angles)].tolist(), shrink=0.85, pad=0.02)
        bar.set_label("log(easy error / hard error)")
        _best_fraction(axes[0, -1], angles)
        figure.supxlabel(
            "colours and lines: saddle point, deterministic equivalent, N infinite;  signs: "
            f"simulation, N = {dimension_of(dataset)}, grey where the difference is below three "
            "standard errors;\nbars: crossover in the simulation, by interpolation",
            fontsize=7.5,
        )
        for found in crossings(dataset):
            axes[0, angles.index(found.angle)].errorbar(
                found.pool,
                found.fraction,
                xerr=found.error,
                color="k",
                capsize=3,
                linewidth=1.2,
            )
    return Drawing(figure, [_row(row) for row in rows])


def _panel(axis: Any, rows: list[Difference], angle: float) -> Any:
    pools = np.geomspace(min(row.pool for row in rows) / 1.2, 1.2 * max(r.pool for r in rows), 40)
    fractions = np.linspace(0.1, 0.95, 30)
    kept = fractions[:, None] * pools
    easy, hard = (error_lines(kept, fractions, angle, rule) for rule in ("abs_easy", "abs_hard"))
    difference = np.log(easy / hard)
    norm = TwoSlopeNorm(0.0, -_RANGE, _RANGE)
    filled = axis.pcolormesh(
        pools, fractions, difference, cmap="PuOr", norm=norm, shading="gouraud"
    )
    axis.contour(pools, fractions, difference, levels=[0.0], colors="k", linewidths=1.4)
    for row in rows:
        clear = abs(row.measured) > 3 * row.error
        axis.text(
            row.pool,
            row.fraction,
            "H" if row.measured > 0 else "E",
            ha="center",
            va="center",
            fontsize=8,
            color="k" if clear else "0.5",
        )
    axis.set(
        xscale="log",
        xlabel=r"pool $\alpha_{\rm tot}$",
        ylabel="keep fraction $f$",
        title=rf"Better rule, $\theta = {angle:g}°$ (E easy, H hard)",
    )
    axis.set_xlim(pools[0], pools[-1])
    plain_ticks(axis, sorted({row.pool for row in rows}))
    return filled


def _best_fraction(axis: Any, angles: list[float]) -> None:
    kept = np.geomspace(0.5, 30.0, 60)
    fractions = np.geomspace(0.02, 1.0, 60)
    for i, angle in enumerate(angles):
        for rule, dash in (("abs_hard", "-"), ("abs_easy", (0, (3, 1.5)))):
            errors = error_lines(kept, fractions, angle, rule)
            best = fractions[np.argmin(errors, axis=0)]
            label = rf"{'hard' if rule == 'abs_hard' else 'easy'}, $\theta = {angle:g}°$"
            axis.plot(kept, best, color=COLORS[i], linestyle=dash, label=label)
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=r"kept examples a dimension $\alpha_{\rm prune}$",
        ylabel="best keep fraction",
        title="Best $f$, unlimited pool ($f \\geq 0.02$)",
    )
    plain_ticks(axis, (0.5, 1, 2, 4, 8, 16, 30))
    axis.legend(loc="lower right", bbox_to_anchor=(1.0, 0.07))


def _row(row: Difference) -> dict[str, Any]:
    return {
        "probe_angle_degrees": row.angle,
        "keep_fraction": row.fraction,
        "samples_per_dimension": row.pool,
        "log_easy_over_hard": row.measured,
        "stderr": row.error,
        "predicted": row.predicted,
        "kind": "deterministic_equivalent",
    }
