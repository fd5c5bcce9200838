"""Students of random teachers: Fig. 1b of 2102.06701, and the exponent against width and depth."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.stats

from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.teacher_student import aspect_ratio, manifold_dimension
from scalinglab.experiments.teacher_student.manifold_dimension import Learned
from scalinglab.theory import manifold

from .figure import (
    COLORS,
    DASHES,
    MARKERS,
    Datasets,
    Drawing,
    Figure,
    canvas,
    plain_ticks,
)

_DRAWN = (3, 4, 6, 8)
_LINE_DIMENSION = 4
_LINE_SIZES = 4


def draw_manifold_dimension(datasets: Datasets) -> Drawing:
    """Learning curves in several dimensions, and the exponents against 4/d."""
    found = manifold_dimension.learned(datasets["manifold-dimension"])
    with canvas(1, 2, (8.6, 4.2)) as (figure, axes):
        table = _curves(axes[0, 0], found) + _exponents(axes[0, 1], found)
        figure.suptitle("Students of a random ReLU teacher in $d$ dimensions", fontsize=11)
        figure.supxlabel(
            "points: mean over seeds of the log loss with its standard error, and exponents with "
            "95 % intervals;  open: outside the window, or limited by optimisation;\n"
            "lines: slope 4/d (heuristic) through the window of the fit, from L = 0.1 to the last "
            "size at which half of the lanes fit their data",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _curves(axis: Any, found: Sequence[Learned]) -> list[dict[str, Any]]:
    rows = []
    for one in found:
        logs, errors = one.curve.mean_log()
        share = one.curve.kept.mean(axis=1)
        for i, size in enumerate(one.curve.sizes):
            rows.append(
                {
                    "panel": "loss",
                    "d": one.dimension,
                    "biases": int(one.biased),
                    "x": size,
                    "value": np.exp(logs[i]),
                    "error": np.exp(logs[i]) * errors[i],
                    "predicted": "",
                    "kept": share[i],
                    "in_window": int(one.inside[i]),
                    "kind": "",
                }
            )
    plain = [one for one in found if not one.biased]
    shown = [one for one in plain if one.dimension in _DRAWN] or plain
    for i, one in enumerate(shown):
        logs, errors = one.curve.mean_log()
        for chosen, face in ((one.inside, COLORS[i]), (~one.inside, "white")):
            axis.errorbar(
                one.curve.sizes[chosen],
                np.exp(logs[chosen]),
                yerr=_factor_bars(logs, errors)[:, chosen],
                fmt=MARKERS[i],
                color=COLORS[i],
                markerfacecolor=face,
            )
        x = one.curve.sizes[one.inside]
        slope = manifold.network_exponent(one.dimension).exponent
        middle = np.mean(logs[one.inside]) + slope * np.mean(np.log(x))
        axis.plot(
            x,
            np.exp(middle - slope * np.log(x)),
            color=COLORS[i],
            linestyle=DASHES[i],
            label=rf"$d={one.dimension}$:  $\alpha={one.slope.exponent:.2f}\pm"
            rf"{one.slope.error:.2f}$,  $4/d={slope:.2f}$",
        )
    axis.set(
        xscale="log",
        yscale="log",
        title="Test loss",
        xlabel="training samples $D$",
        ylabel="test loss / variance of the teacher",
    )
    plain_ticks(axis, sorted({size for one in shown for size in one.curve.sizes})[::2])
    axis.legend(loc="lower left", fontsize=7)
    return rows


def _factor_bars(logs: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """One standard error of a logarithm down and up, (2, points): a factor either way."""
    return np.exp(logs) * np.stack([-np.expm1(-errors), np.expm1(errors)])


def _exponents(axis: Any, found: Sequence[Learned]) -> list[dict[str, Any]]:
    dimensions = sorted({one.dimension for one in found})
    dense = np.geomspace(min(dimensions) / 1.08, max(dimensions) * 1.08, 100)
    axis.plot(dense, 4 / dense, color=COLORS[0], label="$4/d$ (heuristic)")
    axis.plot(dense, 1 / dense, ":", color="0.4", label="$1/d$ (lower bound, Theorem 2)")
    rows = []
    for one in found:
        quantile = scipy.stats.t.ppf(0.975, one.slope.seeds - 1)
        axis.errorbar(
            one.dimension * (0.97 if one.biased else 1),
            one.slope.exponent,
            yerr=quantile * one.slope.error,
            fmt="s" if one.biased else "o",
            color=COLORS[2] if one.biased else COLORS[1],
            markerfacecolor="white" if one.biased else COLORS[1],
            zorder=3,
        )
        if not one.biased:
            low, high = one.slope.window
            axis.annotate(
                f"{low:g}..{high:g}",
                (one.dimension, one.slope.exponent + quantile * one.slope.error),
                xytext=(-1, 3),
                textcoords="offset points",
                rotation=40,
                fontsize=6.5,
                color="0.3",
            )
        expected = manifold.network_exponent(one.dimension)
        rows.append(
            {
                "panel": "exponent",
                "d": one.dimension,
                "biases": int(one.biased),
                "x": one.dimension,
                "value": one.slope.exponent,
                "error": one.slope.error,
                "predicted": expected.exponent,
                "kept": one.curve.kept.mean(),
                "in_window": int(one.inside.sum()),
                "kind": expected.kind,
            }
        )
    axis.errorbar([], [], fmt="o", color=COLORS[1], label=r"$\alpha_D$, 95 %, window of $D$ above")
    if any(one.biased for one in found):
        style = {"color": COLORS[2], "markerfacecolor": "white"}
        axis.errorbar([], [], fmt="s", label="the same, teachers with biases", **style)
    axis.set(
        xscale="log",
        yscale="log",
        title="Exponent against dimension",
        xlabel="dimension $d$ of the inputs",
        ylabel=r"exponent $\alpha_D$",
    )
    plain_ticks(axis, dimensions)
    ticks = [0.1, 0.2, 0.5, 1, 2]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks([], minor=True)
    # Room for the windows above the points.
    axis.set_ylim(0.1, 1.5 * axis.get_ylim()[1])
    axis.legend(loc="lower left", fontsize=7.5)
    return rows


def draw_teacher_line(datasets: Datasets) -> Drawing:
    """One teacher and its students between two training inputs, for a growing number of samples."""
    dataset = datasets["manifold-dimension"][manifold_dimension.sweep_name(_LINE_DIMENSION)]
    # The teacher that varies most between its two inputs; at all sizes it is the same.
    teachers = dataset["teacher_on_line"].isel(num_samples=0)
    lane = dataset.isel(seed=int(np.ptp(teachers.values, axis=-1).argmax()))
    sizes = dataset["num_samples"].values
    chosen = np.unique(np.linspace(0, len(sizes) - 1, _LINE_SIZES).round().astype(int))
    share = np.linspace(0, 1, dataset.sizes["position"])
    table: list[dict[str, Any]] = []
    with canvas(1, len(chosen), (2.4 * len(chosen), 2.9)) as (figure, axes):
        for axis, i in zip(axes[0], chosen, strict=True):
            here = lane.isel(num_samples=int(i))
            teacher, student = here["teacher_on_line"].values, here["student_on_line"].values
            axis.plot(share, teacher, color="black", label="teacher")
            axis.plot(share, student, color=COLORS[1], linestyle=DASHES[1], label="student")
            axis.plot([0, 1], teacher[[0, -1]], "o", color="black", markersize=4)
            axis.set(title=f"$D = {sizes[i]:g}$", xlabel="position on the segment")
            axis.set_ylim(*_limits(lane["teacher_on_line"].values))
            table += [
                {"num_samples": sizes[i], "position": s, "teacher": t, "student": f}
                for s, t, f in zip(share, teacher, student, strict=True)
            ]
        axes[0, 0].set_ylabel("output")
        axes[0, 0].legend(loc="best", fontsize=7.5)
        figure.suptitle(
            f"The teacher that varies most, $d = {_LINE_DIMENSION}$, and its students between two "
            "training inputs (dots)",
            fontsize=10,
        )
    return Drawing(figure, table)


def _limits(values: np.ndarray) -> tuple[float, float]:
    room = 0.3 * (values.max() - values.min())
    return float(values.min() - room), float(values.max() + room)


def draw_aspect_ratio(datasets: Datasets) -> Drawing:
    """Learning curves of students of many widths, and exponents against width and depth."""
    found = aspect_ratio.shaped(datasets["aspect-ratio"])
    wide = [one for one in found if one.depth == aspect_ratio.DEPTH]
    deep = [one for one in found if one.width == wide[-1].width]
    table: list[dict[str, Any]] = []
    with canvas(1, 3, (9.6, 3.6)) as (figure, axes):
        for i, one in enumerate(wide):
            logs, errors = one.curve.mean_log()
            axes[0, 0].errorbar(
                one.curve.sizes,
                np.exp(logs),
                yerr=_factor_bars(logs, errors),
                fmt=MARKERS[i % len(MARKERS)],
                color=COLORS[i % len(COLORS)],
                linestyle=DASHES[i % len(DASHES)],
                label=f"width {one.width}",
            )
        axes[0, 0].set(
            xscale="log",
            yscale="log",
            title=f"Depth {aspect_ratio.DEPTH}, $d = {aspect_ratio.DIMENSION}$",
            xlabel="training samples $D$",
            ylabel="test loss / variance of the teacher",
        )
        plain_ticks(axes[0, 0], wide[0].curve.sizes)
        axes[0, 0].legend(loc="lower left", fontsize=7)
        table += _against(axes[0, 1], wide, "width")
        table += _against(axes[0, 2], deep, "depth")
        axes[0, 1].set_xscale("log")
        plain_ticks(axes[0, 1], [one.width for one in wide])
        axes[0, 2].set_xticks([one.depth for one in deep])
        figure.suptitle("The exponent against the shape of the student (qualitative)", fontsize=11)
        figure.supxlabel(
            "slopes over all sizes, mean and standard error over teachers;  no lane is left out: "
            "narrow students cannot fit their data",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _against(axis: Any, found: Sequence[aspect_ratio.Shaped], field: str) -> list[dict[str, Any]]:
    low, high = found[0].curve.sizes[[0, -1]]
    rows = []
    for one in found:
        mean, error = mean_and_error(one.slopes)
        rows.append(
            {
                "against": field,
                "width": one.width,
                "depth": one.depth,
                "exponent": mean,
                "error": error,
                "limited": one.curve.left_out,
                "window": f"{low:g}..{high:g}",
            }
        )
    axis.errorbar(
        [row[field] for row in rows],
        [row["exponent"] for row in rows],
        yerr=[row["error"] for row in rows],
        fmt="o",
        color=COLORS[1],
        label=rf"$\alpha_D$, $D$ = {low:g}..{high:g}",
    )
    limit = manifold.network_exponent(aspect_ratio.DIMENSION).exponent
    axis.axhline(limit, color=COLORS[0], label="$4/d$ (heuristic)")
    axis.set(title=f"Against {field}", xlabel=f"{field} of the student", ylabel=r"exponent")
    axis.set_ylim(0, None)
    axis.legend(loc="lower right", fontsize=7.5)
    return rows


FIGURES = {
    "manifold-dimension": Figure(
        "manifold-dimension", ("manifold-dimension",), draw_manifold_dimension
    ),
    "teacher-line": Figure("teacher-line", ("manifold-dimension",), draw_teacher_line),
    "aspect-ratio": Figure("aspect-ratio", ("aspect-ratio",), draw_aspect_ratio),
}
