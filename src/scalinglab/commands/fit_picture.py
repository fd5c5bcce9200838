"""The two pictures of a fit: its residuals, and how the small runs predict the large."""

from typing import Any

import numpy as np

from scalinglab.paper_figs.figure import COLORS, DASHES, MARKERS, Drawing, canvas

from .fit_report import LEVEL, Report
from .fit_text import middle_cut, order_text

_DRAWS = 500  # of the band where no size is given: two digits of its ends
_DENSE = 200
_MANY = 100  # points beyond which markers are smaller
_PANEL = 3.6  # inches


def residuals(report: Report) -> Drawing:
    """What is left of each point, against every input."""
    fit, points = report.fit, report.points
    predicted = fit.predict(fit.data.x)
    left = _deviation(fit, fit.data.y, predicted)
    labels = np.array(points.group) if points.group else np.full(len(left), "")
    told = list(dict.fromkeys(labels)) if len(set(labels)) <= len(COLORS) else [None]
    names = list(fit.law.inputs)
    with canvas(1, len(names), (_PANEL * len(names), 3.1)) as (figure, grid):
        for axes, name in zip(grid[0], names, strict=True):
            axes.axhline(0.0, color="0.4", lw=0.9)
            for i, label in enumerate(told):
                mine = np.full(len(left), fill_value=True) if label is None else labels == label
                x, look = fit.data.x[name][mine], {**_open(i), "ms": _marker_size(len(left))}
                axes.plot(x, left[mine], **look, label=str(label or "points"))
            axes.set(xlabel=_label(report, name))
            _set_scale(axes, fit.data.x[name])
        grid[0][0].set_ylabel(_deviation_label(fit))
        if len(told) > 1:
            grid[0][-1].legend(title=None)
        figure.suptitle(f"{fit.law.name}: measured against fitted", fontsize=10)
    table = [
        {
            "line": points.lines[i],
            **{name: fit.data.x[name][i] for name in names},
            "measured": fit.data.y[i],
            "fitted": predicted[i],
            "deviation": left[i],
            **({"group": str(labels[i])} if points.group else {}),
        }
        for i in range(len(left))
    ]
    return Drawing(figure, table)


def extrapolation(report: Report, seed: int) -> Drawing:
    """The law fitted to the smallest runs, and the larger ones beyond it."""
    beyond = report.extrapolation
    at = middle_cut(beyond)
    fit, trained = beyond.fits[at], beyond.trained[at]
    data = report.fit.data
    draws = _draws(fit, report, seed)
    predicted, (low, high) = fit.predict(data.x), _band(fit, draws, data.x)
    rows = _rows("fitted", trained, report, beyond.order, predicted, low, high)
    rows += _rows("beyond", ~trained, report, beyond.order, predicted, low, high)
    with canvas(1, 2, (7.4, 3.3)) as (figure, grid):
        left, right = grid[0]
        if len(fit.law.inputs) == 1:
            rows += _curve(left, report, fit, draws)
            _points(left, trained, data.x[fit.law.inputs[0]], data.y)
            left.set(xlabel=_label(report, fit.law.inputs[0]))
            _set_scale(left, data.x[fit.law.inputs[0]])
        else:
            ends = [min(predicted.min(), data.y.min()), max(predicted.max(), data.y.max())]
            left.plot(ends, ends, color="0.4", lw=0.9, zorder=1)
            _points(left, trained, predicted, data.y)
            left.set(xlabel=f"{fit.law.output} of the law", xscale=_output_scale(fit))
        measured = "" if len(fit.law.inputs) == 1 else "measured "
        left.set(ylabel=measured + _label(report, fit.law.output), yscale=_output_scale(fit))
        _plain_ticks(left)
        _deviations(right, report, trained, predicted, low, high)
        share = f"{beyond.num_train[at]} smallest of {len(data.y)} points"
        _legend(figure, grid[0])
        figure.suptitle(
            f"{fit.law.name} fitted to the {share}: RMSLE {beyond.rmsle[at]:.3g} beyond",
            fontsize=10,
        )
    return Drawing(figure, rows)


def _rows(
    kind: str, mine: Any, report: Report, order: Any, predicted: Any, low: Any, high: Any
) -> list[dict[str, Any]]:
    fit = report.fit
    left = _deviation(fit, fit.data.y, predicted)
    return [
        {
            "kind": kind,
            "line": report.points.lines[i],
            **{name: fit.data.x[name][i] for name in fit.law.inputs},
            "order": order[i],
            "measured": fit.data.y[i],
            "law": predicted[i],
            "low": low[i],
            "high": high[i],
            "deviation": left[i],
        }
        for i in np.flatnonzero(mine)
    ]


def _curve(axes: Any, report: Report, fit: Any, draws: Any) -> list[dict[str, Any]]:
    """The law of one input as a line with its band, and these numbers."""
    (name,) = fit.law.inputs
    column = report.fit.data.x[name]
    x = _dense(column)
    law, (low, high) = fit.predict({name: x}), _band(fit, draws, {name: x})
    axes.fill_between(x, low, high, color="0.85", lw=0.0, zorder=0, label=_band_label())
    axes.plot(x, law, color="0.25", ls=DASHES[0], zorder=1, label="law")
    return [
        {
            "kind": "curve",
            "line": "",
            name: x[i],
            "order": x[i],
            "measured": "",
            "law": law[i],
            "low": low[i],
            "high": high[i],
            "deviation": "",
        }
        for i in range(len(x))
    ]


def _points(axes: Any, trained: Any, x: Any, y: Any) -> None:
    small = _marker_size(len(y))
    axes.plot(x[trained], y[trained], **_open(0), ms=small, label="fitted")
    look = {"ls": "", "marker": MARKERS[1], "color": COLORS[1], "ms": small}
    axes.plot(x[~trained], y[~trained], **look, label="beyond")


def _deviations(
    axes: Any, report: Report, trained: Any, predicted: Any, low: Any, high: Any
) -> None:
    """Measured against predicted, in the order of the cut, with the band of the law."""
    fit, beyond = report.fit, report.extrapolation
    order, y = beyond.order, fit.data.y
    ends = [_deviation(fit, end, predicted) for end in (low, high)]
    axes.axhline(0.0, color="0.4", lw=0.9, zorder=1)
    bars = [end[~trained] for end in ends]
    axes.vlines(order[~trained], *bars, color="0.8", lw=2.2, zorder=0, label=_band_label())
    _points(axes, trained, order, _deviation(fit, y, predicted))
    border, after = beyond.x_cut[middle_cut(beyond)], order[~trained].min()
    middle = np.sqrt(border * after) if border > 0.0 else 0.5 * (border + after)
    axes.axvline(middle, color="0.4", ls=(0, (2, 2)), lw=0.9)
    name = order_text(beyond.along)
    label = _label(report, name) if len(beyond.along) == 1 else name
    axes.set(xlabel=label, ylabel=_deviation_label(fit))
    _set_scale(axes, order)


def _legend(figure: Any, axes: Any) -> None:
    """One legend below both panels, each entry once."""
    entries: dict[str, Any] = {}
    for one in axes:
        for handle, label in zip(*one.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=len(entries)
    )


def _draws(fit: Any, report: Report, seed: int) -> Any:
    """Resamples of the fit below the cut; None where it cannot be resampled."""
    import jax

    from scalinglab.theory.fitting.bootstrap import bootstrap

    if not np.isfinite(fit.objective):
        return None
    count = _DRAWS if report.errors.draws is None else report.errors.draws.phi.shape[1]
    one_group = fit.data.group is not None and len(np.unique(fit.data.group)) < 2
    key = jax.random.fold_in(jax.random.key(seed), 1)
    found = bootstrap(fit, count=count, kind="pairs" if one_group else None, key=key)
    return found if found.phi.shape[1] > 1 else None


def _band(fit: Any, draws: Any, x: Any) -> tuple[Any, Any]:
    inputs = {name: x[name] for name in fit.law.inputs}
    if draws is None:
        nothing = np.full(len(next(iter(inputs.values()))), np.nan)
        return nothing, nothing
    return draws.band(inputs, level=LEVEL)


def _deviation(fit: Any, measured: Any, predicted: Any) -> Any:
    """Percent of the prediction, or the difference in linear space."""
    if fit.space == "linear":
        return measured - predicted
    return 100.0 * (measured / predicted - 1.0)


def _deviation_label(fit: Any) -> str:
    return "measured - law" if fit.space == "linear" else "measured / law - 1  (%)"


def _band_label() -> str:
    return f"{100 * LEVEL:g} % band of the law"


def _open(index: int) -> dict[str, Any]:
    look = {"ls": "", "marker": MARKERS[index], "color": COLORS[index]}
    return {**look, "markerfacecolor": "white", "markeredgewidth": 0.9, "zorder": 2}


def _marker_size(points: int) -> float:
    return 4.5 if points <= _MANY else 3.0


def _label(report: Report, name: str) -> str:
    points = report.points
    column = points.loss_column if name == report.fit.law.output else points.inputs.get(name, name)
    return name if column == name else f"{name} ({column})"


def _dense(column: Any) -> Any:
    """Places of a curve over the range of an input."""
    if column.min() < 0.0:
        return np.linspace(column.min(), column.max(), _DENSE)
    above = np.geomspace(column[column > 0.0].min(), column.max(), _DENSE)
    return above if column.min() > 0.0 else np.r_[np.linspace(0.0, above[0], 20), above[1:]]


def _set_scale(axes: Any, values: Any) -> None:
    """Logarithmic over a decade or more; with a zero, linear up to the smallest positive value."""
    low, high = float(values.min()), float(values.max())
    if low > 0.0:
        axes.set_xscale("log" if high > 10.0 * low else "linear")
    elif low == 0.0 and high > 0.0:
        first = float(values[values > 0.0].min())
        axes.set_xscale("symlog", linthresh=first)
        axes.set_xlim(-0.3 * first, 2.0 * high)


def _output_scale(fit: Any) -> str:
    return "log" if fit.space == "log" else "linear"


def _plain_ticks(axes: Any) -> None:
    """Losses within one decade as 2, 3, 4 and not as powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    for axis, low_high in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        if axis.get_scale() == "log" and low_high[1] < 30.0 * low_high[0]:
            axis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
