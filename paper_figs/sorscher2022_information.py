"""What kept examples tell: at fixed keep fractions, along a path, and what students believe."""

from typing import Any

import numpy as np

from scalinglab.experiments.curves import Curve
from scalinglab.experiments.data_pruning.information_curves import (
    BIT,
    EASY_FRACTION,
    PathGains,
    information_curves,
    path_measured,
    path_theory,
    size_of,
    theory_at,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks

# Drawn as a line only.
_HARDEST = 0.01
_GREY = "0.45"
_LINE = 200


def draw_information(datasets: Datasets) -> Drawing:
    """Bits an example against alpha; along f = 2^-alpha; the vote's error and its belief."""
    sweeps = datasets["information-gain"]
    ladder = sweeps["ladder"]
    hard = information_curves(ladder)
    easy = information_curves(sweeps["easy"])[0]
    measured = path_measured(sweeps["path"])
    beliefs = {
        name: information_curves(ladder, name) for name in ("vote_error", "believed_vote_error")
    }
    with canvas(1, 3, (11.4, 4.3)) as (figure, axes):
        left, middle, right = axes[0]
        _information(left, hard, easy)
        _path(middle, measured)
        _beliefs(right, beliefs)
        figure.supxlabel(
            f"points: the version space sampled at $N={size_of(ladder)}$ by two chains a data set, "
            f"mean and standard error over {hard[0].seeds} data sets;  lines: Gibbs student as "
            r"$N\to\infty$, deterministic equivalent, no fit;  perfect probe, $\theta=0$"
            "\npoints differ from lines by terms of order $1/N$;  around the peaks what a new "
            "example leaves of the version space is too small to be counted",
            fontsize=7.5,
        )
    table = [row for curve in hard for row in _rows("hard", curve)]
    table += _rows("easy", easy) + _path_rows(measured)
    for name, curves in beliefs.items():
        table += [row for curve in curves for row in _rows(name, curve, unit=1.0)]
    return Drawing(figure, table)


def _fraction(curve: Curve) -> float:
    return float(curve.fixed.get("keep_fraction", EASY_FRACTION))


def _points(axis: Any, x: Any, mean: Any, error: Any, index: int, **style: Any) -> None:
    axis.errorbar(
        x,
        mean,
        yerr=error,
        fmt=MARKERS[index],
        **{"color": COLORS[index], "markerfacecolor": "white", **style},
    )


def _information(axis: Any, hard: tuple[Curve, ...], easy: Curve) -> None:
    dense = np.geomspace(hard[0].x[0] / 2, hard[0].x[-1] * 2, _LINE)
    for i, curve in enumerate(hard):
        line = np.asarray(theory_at(dense, _fraction(curve), "abs_hard").information) / BIT
        label = "$f=1$, all kept" if _fraction(curve) == 1 else f"hard, $f={_fraction(curve):g}$"
        axis.plot(dense, line, color=COLORS[i], linestyle=DASHES[i], label=label)
        _points(axis, curve.x, curve.mean / BIT, curve.stderr / BIT, i)
    i = len(hard)
    line = np.asarray(theory_at(dense, _HARDEST, "abs_hard").information) / BIT
    label = f"hard, $f={_HARDEST:g}$"
    axis.plot(dense, line, color=COLORS[i], linestyle=DASHES[i], label=label)
    line = np.asarray(theory_at(dense, EASY_FRACTION, "abs_easy").information) / BIT
    label = f"easy, $f={EASY_FRACTION:g}$"
    axis.plot(dense, line, color=_GREY, linestyle=DASHES[3], label=label)
    _points(axis, easy.x, easy.mean / BIT, easy.stderr / BIT, 4, color=_GREY)
    axis.axhline(1.0, color="0.8", linewidth=0.8, zorder=-1)
    axis.annotate("one bit", (dense[-1], 1.0), ha="right", va="bottom", fontsize=7.5, color="0.4")
    axis.plot(dense, 1 / (BIT * dense), color="0.8", linewidth=0.8, zorder=-1)
    axis.annotate(
        r"$1/\alpha$ nats", (0.55, 1 / (BIT * 0.5)), va="bottom", fontsize=7.5, color="0.4"
    )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=r"kept examples a dimension $\alpha_\mathrm{prune}$",
        ylabel="bits an example",
        title="At a fixed keep fraction",
    )
    axis.set_ylim(0.015, 60)
    plain_ticks(axis, hard[0].x)
    axis.legend(loc="lower left", fontsize=7)


def _path(axis: Any, measured: PathGains) -> None:
    dense = np.linspace(measured.kept[0] / 4, measured.kept[-1] * 1.1, 120)
    predicted = path_theory(dense)
    labels = {
        "along": r"along the path, $-\mathrm{d}S/\mathrm{d}\alpha$",
        "fixed": r"at fixed $f$, $-\partial S/\partial\alpha$",
    }
    for i, (name, label) in enumerate(labels.items()):
        values = getattr(predicted, name) / BIT
        axis.plot(dense, values, color=COLORS[i], linestyle=DASHES[i], label=label)
        mean, error = getattr(measured, name), getattr(measured, f"{name}_error")
        _points(axis, measured.kept, mean / BIT, error / BIT, i)
    axis.axhline(1.0, color="0.8", linewidth=0.8, zorder=-1)
    axis.annotate(
        "$-\\mathrm{d}\\log_2 f/\\mathrm{d}\\alpha$",
        (dense[-1], 1.0),
        ha="right",
        va="top",
        fontsize=7.5,
        color="0.4",
    )
    axis.set(
        xlabel=r"kept examples a dimension $\alpha_\mathrm{prune}$",
        ylabel="bits an example",
        title=r"Ever harder examples, $f=2^{-\alpha_\mathrm{prune}}$",
    )
    axis.set_ylim(bottom=0)
    axis.legend(loc="upper right")


def _beliefs(axis: Any, beliefs: dict[str, tuple[Curve, ...]]) -> None:
    true, believed = beliefs["vote_error"], beliefs["believed_vote_error"]
    dense = np.geomspace(true[0].x[0] / 1.2, true[0].x[-1] * 1.2, _LINE)
    chosen = [i for i, curve in enumerate(true) if _fraction(curve) in (1.0, 0.2)]
    for i in chosen:
        at = theory_at(dense, _fraction(true[i]), "abs_hard")
        label = "$f=1$" if _fraction(true[i]) == 1 else f"hard, $f={_fraction(true[i]):g}$"
        axis.plot(dense, at.vote_error, color=COLORS[i], label=f"{label}: error")
        _points(axis, true[i].x, true[i].mean, true[i].stderr, i)
        expected = f"{label}: error it expects"
        axis.plot(
            dense, at.believed_vote_error, color=COLORS[i], linestyle=DASHES[1], label=expected
        )
        _points(
            axis, believed[i].x, believed[i].mean, believed[i].stderr, i, markerfacecolor=COLORS[i]
        )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=r"kept examples a dimension $\alpha_\mathrm{prune}$",
        ylabel="test error of the vote of all students",
        title="What the students believe",
    )
    plain_ticks(axis, true[0].x)
    axis.legend(loc="lower left", fontsize=7)


def _rows(family: str, curve: Curve, unit: float = BIT) -> list[dict[str, Any]]:
    columns = zip(curve.x, curve.mean, curve.stderr, curve.predicted, strict=True)
    return [
        _row(family, _fraction(curve), x, (mean / unit, stderr / unit, predicted / unit))
        for x, mean, stderr, predicted in columns
    ]


def _path_rows(measured: PathGains) -> list[dict[str, Any]]:
    predicted = path_theory(measured.kept)
    rows = []
    for name in ("fixed", "along"):
        mean, error = getattr(measured, name), getattr(measured, f"{name}_error")
        columns = zip(measured.fraction, measured.kept, mean, error, strict=True)
        for (fraction, kept, *numbers), expected in zip(
            columns, getattr(predicted, name), strict=True
        ):
            values = tuple(value / BIT for value in (*numbers, expected))
            rows.append(_row(f"path, {name}", fraction, kept, values))
    return rows


def _row(family: str, fraction: float, kept: float, values: tuple[float, ...]) -> dict[str, Any]:
    mean, stderr, predicted = values
    return {
        "family": family,
        "keep_fraction": fraction,
        "kept_per_dimension": kept,
        "mean": mean,
        "stderr": stderr,
        "predicted": predicted,
        "kind": "deterministic_equivalent",
    }
