"""Variance-limited width scaling: the 1/w law with and without its control variate."""

from typing import Any

import numpy as np

from scalinglab.experiments.teacher_student.width_variance import (
    CURVES,
    Exponents,
    Limit,
    WidthCurve,
    exponents_of,
    limit_of,
    width_curve,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, Figure, canvas, plain_ticks

_LABELS = {
    "gaussian": "Gaussian inputs, ReLU, cross-entropy",
    "digits": "digits, ReLU, cross-entropy",
    "regression": "Gaussian inputs, erf, squared error",
}


def draw_width_variance(datasets: Datasets) -> Drawing:
    """The difference, the raw excess on the same axes, and the variance that is saved."""
    sweeps = datasets["width-variance"]
    rows: list[dict[str, Any]] = []
    with canvas(1, 3, (10.2, 4.3)) as (figure, axes):
        left, middle, right = axes[0]
        for i, name in enumerate(CURVES):
            curve, limit = width_curve(sweeps, name), limit_of(sweeps, name)
            found = exponents_of(curve, limit)
            _difference(left, i, name, curve, found)
            _excess(middle, i, curve, found, limit)
            _reduction(right, i, curve)
            rows += _rows(name, curve, found, limit)
        _finish(axes[0], width_curve(sweeps, "gaussian"))
        figure.supxlabel(
            "points: simulation, mean and standard error over initialisations;  thick: power law "
            "fitted in the window of the rule;  thin: slope of the asymptotic law\n"
            "$L(\\infty)$: neural tangent kernel in closed form for the squared error, else the "
            "widest linearised networks;  crosses: of the other sign than the difference",
            fontsize=7.5,
        )
    return Drawing(figure, rows)


def _style(index: int) -> dict[str, Any]:
    return {"color": COLORS[index], "linestyle": DASHES[index]}


def _points(axis: Any, index: int, x: Any, y: Any, error: Any, **more: Any) -> None:
    style = {"fmt": MARKERS[index], "color": COLORS[index], "markerfacecolor": "white"}
    axis.errorbar(x, y, yerr=error, **{**style, **more})


def _difference(axis: Any, index: int, name: str, curve: WidthCurve, found: Exponents) -> None:
    label, chosen = _LABELS[name], found.difference
    sizes = np.abs(curve.difference)
    if chosen is not None:
        exponent, error, systematic = chosen.choice
        total = np.hypot(error, 0.0 if np.isnan(systematic) else systematic)
        label += f"\n$\\alpha_W={exponent:.2f}\\pm{total:.2f}$"
        inside = curve.width >= found.window_start
        weights = (sizes / curve.difference_error)[inside] ** 2
        logs = np.log(sizes * curve.width**exponent)[inside]
        height = np.exp(np.sum(weights * logs) / np.sum(weights))
        ends = curve.width[inside][[0, -1]]
        axis.plot(ends, height * ends**-exponent, **_style(index))
    _points(axis, index, curve.width, sizes, curve.difference_error, label=label)


def _excess(axis: Any, index: int, curve: WidthCurve, found: Exponents, limit: Limit) -> None:
    excess = curve.loss - limit.value
    error = np.hypot(curve.loss_error, limit.error)
    same = excess * curve.difference[-1] > 0
    label = "no one sign"
    if found.raw is not None:
        exponent, spread = float(found.raw.exponent), float(found.raw.exponent_error)
        label = f"$\\alpha_W={exponent:.2f}\\pm{spread:.2f}$"
        ends = np.array([found.window_start, curve.width[-1]])
        axis.plot(ends, np.asarray(found.raw.predict(ends)), **_style(index))
    # Moved apart, so that the error bars do not cover each other.
    x = curve.width * (1 + 0.04 * (index - 1))
    for which, more in ((same, {"label": label}), (~same, {"fmt": "x"})):
        if which.any():
            _points(axis, index, x[which], np.abs(excess)[which], error[which], **more)


def _reduction(axis: Any, index: int, curve: WidthCurve) -> None:
    error = curve.reduction * curve.reduction_log_error
    axis.plot(curve.width, curve.reduction, linewidth=0.8, **_style(index))
    _points(axis, index, curve.width, curve.reduction, error)


def _finish(axes: Any, curve: WidthCurve) -> None:
    left, middle, right = axes
    widths = curve.width
    height = 2.5 * np.abs(curve.difference[-1]) * widths[-1]
    for axis in (left, middle):
        axis.plot(widths, height / widths, color="0.5", linewidth=0.7)
        axis.text(widths[1], 1.25 * height / widths[1], "$w^{-1}$", color="0.4", fontsize=8)
    right.plot(widths, 3 * (widths / widths[0]) ** 2, color="0.5", linewidth=0.7)
    right.text(widths[1], 1.5 * 3 * 4, "$w^{2}$", color="0.4", fontsize=8, ha="right")
    titles = (
        ("With the control variate", "$|E\\,[L(w)-L_\\mathrm{lin}(w)]|$"),
        ("Without", "$|E\\,L(w)-L(\\infty)|$"),
        ("What the control variate saves", "Var $L$ / Var$(L-L_\\mathrm{lin})$"),
    )
    for axis, (title, text) in zip(axes, titles, strict=True):
        axis.set(xscale="log", yscale="log", xlabel="width $w$", ylabel=text, title=title)
        plain_ticks(axis, widths)
    limits = [axis.get_ylim() for axis in (left, middle)]
    low, high = min(limit[0] for limit in limits), max(limit[1] for limit in limits)
    low = max(low, 0.3 * float(np.abs(curve.difference[-1])))
    for axis in (left, middle):
        # Room for the legend below the curves.
        axis.set_ylim(low * (low / high) ** 0.4, high)
    left.legend(loc="lower left")
    middle.legend(loc="upper right")


def _rows(name: str, curve: WidthCurve, found: Exponents, limit: Limit) -> list[dict[str, Any]]:
    chosen, raw = found.difference, found.raw
    exponent, error, systematic = (np.nan,) * 3 if chosen is None else chosen.choice
    numbers = {
        "limit": limit.value,
        "limit_kind": limit.kind,
        "window_start": found.window_start,
        "exponent": exponent,
        "exponent_stderr": error,
        "exponent_systematic": systematic,
        "exponent_stderr_without": found.error_without,
        "raw_exponent": np.nan if raw is None else float(raw.exponent),
        "raw_exponent_stderr": np.nan if raw is None else float(raw.exponent_error),
    }
    columns = zip(*curve, strict=True)
    return [
        {"curve": name, **dict(zip(curve._fields, row, strict=True)), **numbers} for row in columns
    ]


FIGURES = {"width-variance": Figure("width-variance", ("width-variance",), draw_width_variance)}
