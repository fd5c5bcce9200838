"""Merging classes, the toy of Fig. 3 left: learning curves, the exponent against their number."""

import json
from typing import Any

import numpy as np

from scalinglab.experiments.random_features.superclass import (
    CLASSES,
    FAMILIES,
    SHARED_DECAY,
    Merged,
    merged_curves,
    theory_line,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks

_TITLES = {
    "independent": "Independent classes",
    "related": f"Half of the power in common, $b_s={SHARED_DECAY:g}$",
}


def draw_superclass(datasets: Datasets) -> Drawing:
    """L(D) for independent and for related classes, and the exponents of both."""
    sweeps = datasets["superclass"]
    config = json.loads(sweeps["independent"].attrs["config"])
    modes = int(config["dimension"])
    table: list[dict[str, Any]] = []
    with canvas(1, 3, (10.6, 4.2)) as (figure, axes):
        left, middle, right = axes[0]
        for j, (axis, family) in enumerate(zip((left, middle), FAMILIES, strict=True)):
            found = merged_curves(sweeps[family])
            _curves(axis, family, found, modes)
            _exponents(right, j, family, found)
            table += [row for one in found for row in _rows(family, one)]
        low = min(axis.get_ylim()[0] for axis in (left, middle))
        high = left.get_ylim()[1]
        for axis in (left, middle):
            axis.set_ylim(low, high)
        middle.set_ylabel("")
        handles, labels = left.get_legend_handles_labels()
        names = [f"{label} superclasses" for label in labels]
        figure.legend(handles, names, loc="outside upper left", ncols=len(names))
        _finish_exponents(right, [one.count for one in found])
        figure.supxlabel(
            f"points: simulation, {CLASSES} drawn teachers merged by averaging their labels, mean "
            f"and standard error over {found[0].curve.seeds} seeds;  lines: deterministic "
            "equivalent, no fit\n"
            rf"(right: joined);  exponents over $D={found[0].curve.x[0]:g}$.."
            rf"{found[0].curve.x[-1]:g}, equal weights;  {modes} modes, "
            rf"$a=b={config['eigenvalue_decay']:g}$, no ridge, no noise",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _curves(axis: Any, family: str, found: tuple[Merged, ...], modes: int) -> None:
    for i, one in enumerate(found):
        curve = one.curve
        dense = np.geomspace(curve.x[0], curve.x[-1], 80)
        line = theory_line(family, one.count, modes, dense)
        axis.plot(dense, line, color=COLORS[i], linestyle=DASHES[i])
        axis.errorbar(
            curve.x,
            curve.mean,
            yerr=curve.stderr,
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            label=f"$n = {one.count}$",
        )
    sizes = found[0].curve.x
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="training samples $D$",
        ylabel="test risk of a superclass's mean label",
        title=_TITLES[family],
    )
    plain_ticks(axis, sizes)


def _exponents(axis: Any, index: int, family: str, found: tuple[Merged, ...]) -> None:
    counts = [one.count for one in found]
    values = [one.exponent() for one in found]
    # Other colours than those of the curves, which stand for numbers of superclasses.
    color = ("0.15", "0.5")[index]
    style = (DASHES[0], DASHES[1])[index]
    axis.plot(counts, [predicted for _, _, predicted in values], color=color, linestyle=style)
    axis.errorbar(
        counts,
        [measured for measured, _, _ in values],
        yerr=[error for _, error, _ in values],
        fmt=MARKERS[index],
        color=color,
        markerfacecolor="white",
        label={"independent": "independent", "related": "half in common"}[family],
    )


def _finish_exponents(axis: Any, counts: list[int]) -> None:
    axis.set(
        xscale="log",
        xlabel="superclasses $n$",
        ylabel=r"exponent $\alpha_D$",
        title="The exponent",
    )
    axis.set_ylim(bottom=0)
    plain_ticks(axis, counts)
    axis.legend(loc="lower left")


def _rows(family: str, one: Merged) -> list[dict[str, Any]]:
    measured, error, predicted = one.exponent()
    curve = one.curve
    return [
        {
            "family": family,
            "superclasses": one.count,
            "num_samples": x,
            "mean": mean,
            "stderr": stderr,
            "predicted": risk,
            "kind": curve.kind,
            "exponent": measured,
            "exponent_stderr": error,
            "exponent_theory": predicted,
        }
        for x, mean, stderr, risk in zip(
            curve.x, curve.mean, curve.stderr, curve.predicted, strict=True
        )
    ]
