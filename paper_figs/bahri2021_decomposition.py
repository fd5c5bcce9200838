"""The variance decomposition through the interpolation peak, and what diverges there."""

from typing import Any

import numpy as np

from scalinglab.experiments.curves import Curve
from scalinglab.experiments.random_features.variance_decomposition import (
    RIDGE,
    TERMS,
    config_of,
    term_curves,
    theory_lines,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks

_LABELS = {
    "bias_squared": r"bias$^2$",
    "variance_features": r"$V_{\mathrm{features}}$",
    "variance_data": r"$V_{\mathrm{data}}$",
    "variance_noise": r"$V_{\mathrm{noise}}$",
    "variance_interaction": r"$V_{\mathrm{interaction}}$",
}


def draw_decomposition(datasets: Datasets) -> Drawing:
    """Left, every term against N through the peak; right, every term at the peak against ridge."""
    sweeps = datasets["variance-decomposition"]
    base = config_of(sweeps["scan"])
    samples, modes = int(base["num_samples"]), int(base["dimension"])
    table: list[dict[str, Any]] = []
    with canvas(1, 2, (8.4, 4.6)) as (figure, axes):
        left, right = axes[0]
        scan = term_curves(sweeps["scan"], "num_features")
        sizes = np.geomspace(scan["test_risk"].x[0], scan["test_risk"].x[-1], 161)
        _lines(left, sizes, theory_lines(base, features=sizes, ridge=np.full(sizes.shape, RIDGE)))
        table += _panel(left, "scan", scan)
        left.axvline(samples, color="0.8", linewidth=0.8, zorder=-1)
        left.set(
            xlabel=rf"random features $N$,  $D = {samples}$",
            ylabel="part of the test risk",
            title=rf"Through the peak, ridge $10^{{{round(np.log10(RIDGE))}}}$",
        )
        ticks = [x for x in scan["test_risk"].x if x not in (samples * 7 / 8, samples * 7 / 6)]
        plain_ticks(left, ticks)
        peak = term_curves(sweeps["peak"], "ridge")
        ridge = np.geomspace(peak["test_risk"].x[0], peak["test_risk"].x[-1], 81)
        at_peak = theory_lines(base, features=np.full(ridge.shape, float(samples)), ridge=ridge)
        _lines(right, ridge, at_peak)
        table += _panel(right, "peak", peak)
        right.set(xlabel="ridge", title=rf"At the peak, $N = D = {samples}$")
        low = min(axis.get_ylim()[0] for axis in (left, right))
        high = max(axis.get_ylim()[1] for axis in (left, right))
        for axis in (left, right):
            axis.set_ylim(low, high)
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=6)
        figure.supxlabel(
            f"points: simulation, {base['replicates']} feature sets crossed with as many data "
            "sets, mean and standard error over seeds;\n"
            f"lines: deterministic equivalent at the {modes} modes simulated, no fit;  "
            rf"$a={base['eigenvalue_decay']:g}$, $b={base['target_decay']:g}$;  the parts and the "
            f"label noise {base['noise_variance']:g} add up to the risk",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _lines(axis: Any, x: np.ndarray, lines: dict[str, np.ndarray]) -> None:
    axis.plot(x, lines["test_risk"], color="0.2", linewidth=1.6)
    for i, name in enumerate(TERMS):
        axis.plot(x, lines[name], color=COLORS[i], linestyle=DASHES[i])


def _panel(axis: Any, panel: str, found: dict[str, Curve]) -> list[dict[str, Any]]:
    rows = []
    for i, (name, label) in enumerate([("test_risk", "test risk"), *_LABELS.items()]):
        curve = found[name]
        total = name == "test_risk"
        axis.errorbar(
            curve.x,
            curve.mean,
            yerr=curve.stderr,
            fmt="*" if total else MARKERS[i - 1],
            color="0.2" if total else COLORS[i - 1],
            markerfacecolor="white",
            label=label,
        )
        columns = zip(curve.x, curve.mean, curve.stderr, curve.predicted, strict=True)
        rows += [
            {
                "panel": panel,
                "term": name,
                "x": x,
                "mean": mean,
                "stderr": stderr,
                "predicted": predicted,
                "kind": curve.kind,
            }
            for x, mean, stderr, predicted in columns
        ]
    axis.set(xscale="log", yscale="log")
    return rows
