"""SGD in each of the 4+3 phases: bands of runs, the theory, and its components."""

from typing import Any

import numpy as np

from scalinglab.experiments.power_law_sgd.phase_curves import (
    GAMMA0,
    PhaseCurve,
    component_lines,
    phase_curves,
)
from scalinglab.models.power_law_sgd import learning_rate

from .figure import COLORS, DASHES, Datasets, Drawing, canvas

_PARTS = {
    "capacity": r"$F_0$, capacity",
    "pure_point": r"$F_{pp}$, target in the data's modes",
    "embedding": r"$F_{ac}$, distortion by the features",
    "noise": r"$K_{pp}$, noise of SGD",
}
_COLUMNS = 4


def draw_phase_curves(datasets: Datasets) -> Drawing:
    """A panel a phase, and one for the legend."""
    found = phase_curves(datasets["phase-curves"]["phases"])
    with canvas(2, _COLUMNS, (12.0, 6.2)) as (figure, axes):
        panels = axes.ravel()
        for axis, curve in zip(panels, found, strict=False):
            _panel(axis, curve)
        # II and III have all four components.
        panels[-1].axis("off")
        panels[-1].legend(*panels[3].get_legend_handles_labels(), loc="center left", fontsize=8.5)
        for axis in (*axes[0, 1:], *axes[1, 1:-1]):
            axis.set_ylabel("")
        config = found[0].runs.config
        count = found[0].runs.risk.shape
        figure.supxlabel(
            f"d = {config.num_parameters}, v = {config.ambient_dimension}, one sample a step, "
            f"gamma0 = {GAMMA0:g};  points: mean over {count[0]} features with {count[1]} runs "
            "each, standard error over runs given the features;  grey band: the middle half of "
            "the runs;\nblack line: exact for the same features;  dashed: deterministic "
            "equivalent, which is the mean over features (crosses);  "
            "thin: components, asymptotic, drawn where g r > 1",
            fontsize=7.5,
        )
    return Drawing(figure, [row for curve in found for row in _rows(curve)])


def _panel(axis: Any, curve: PhaseCurve) -> None:
    runs, config = curve.runs, curve.runs.config
    steps = runs.steps
    flat = runs.risk.reshape(-1, len(steps))
    low, high = np.nanquantile(flat, [0.25, 0.75], axis=0)
    axis.fill_between(steps, low, high, color="0.85", linewidth=0, label="SGD, middle half of runs")
    exact = np.nanmean(runs.exact, axis=0)
    axis.plot(steps, exact, color="k", linewidth=1.2, label="exact, same features")
    axis.plot(
        steps,
        curve.equivalent,
        color=COLORS[1],
        linestyle=DASHES[1],
        label="deterministic equivalent",
    )
    dense = np.geomspace(1 / learning_rate(config), steps[-1], 60)
    parts, _ = component_lines(config, dense)
    for i, (name, label) in enumerate(_PARTS.items()):
        if np.any(parts[name] > 0):
            color = COLORS[(0, 2, 3, 4)[i]]
            axis.plot(dense, parts[name], color=color, linestyle=DASHES[i], lw=1.0, label=label)
    ratio, error = runs.mean_ratio()
    fresh = "exact, mean of fresh features"
    axis.plot(steps[::4], curve.mean[::4], "x", color=COLORS[1], ms=5, label=fresh)
    chosen = np.unique(np.concatenate([np.arange(0, len(steps), 4), curve.checked]))
    axis.errorbar(
        steps[chosen],
        (ratio * exact)[chosen],
        yerr=(error * exact)[chosen],
        fmt="o",
        ms=3.5,
        color="k",
        markerfacecolor="white",
        label="SGD, mean over runs",
    )
    least, most = curve.equivalent[-1], curve.equivalent[0]
    axis.set(
        xscale="log",
        yscale="log",
        ylim=(least / 4, 1.6 * most),
        xlabel="step r",
        ylabel="test risk",
        title=rf"{curve.name}: $\alpha={config.alpha:g}$, $\beta={config.beta:g}$",
    )


def _rows(curve: PhaseCurve) -> list[dict[str, Any]]:
    ratio, error = curve.runs.mean_ratio()
    exact = np.nanmean(curve.runs.exact, axis=0)
    return [
        {
            "phase": curve.name,
            "alpha": curve.runs.config.alpha,
            "beta": curve.runs.config.beta,
            "step": curve.runs.steps[i],
            "sgd_over_exact": ratio[i],
            "stderr": error[i],
            "exact": exact[i],
            "exact_fresh_mean": curve.mean[i],
            "exact_fresh_stderr": curve.stderr[i],
            "equivalent": curve.equivalent[i],
            "components": curve.component_risk[i],
            "kind": "deterministic_equivalent",
        }
        for i in curve.checked
    ]
