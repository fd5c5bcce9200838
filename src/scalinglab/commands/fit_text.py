"""What `scalinglab fit` tells: for people, and as one JSON object."""

import math
from collections.abc import Sequence
from typing import Any

from .fit_report import LEVEL, Report, is_finite
from .output import columns, count, figure, indent, with_error

_ROUNDING = 1e-12
_WIDE = 0.2  # a logarithmic error beyond which it is told as a factor and not in percent


def text(report: Report) -> str:
    """Law, points, parameters, extrapolation, allocation, warnings, and one sentence."""
    parts = [_head(report)]
    if is_finite(report):
        parts += [_parameters(report), _quality(report), _extrapolation(report)]
        parts += [_compute_optimal(report)]
    parts += [_warnings(report), sentence(report)]
    return "\n\n".join(part for part in parts if part)


def document(report: Report) -> dict[str, Any]:
    """The record of the fit, which `Fit.from_dict` reads, with the report added to it."""
    fit, beyond, optimal = report.fit, report.extrapolation, report.compute_optimal
    return {
        **fit.to_dict(),
        "report": {
            "file": report.points.path,
            "columns": {fit.law.output: report.points.loss_column, **report.points.inputs},
            "parameters": {
                name: {
                    "value": fit.parameters[name],
                    "fixed": name in fit.fixed,
                    "standard_error": report.errors.standard.get(name),
                    "low": report.errors.intervals.get(name, (None, None))[0],
                    "high": report.errors.intervals.get(name, (None, None))[1],
                }
                for name in fit.law.names
            },
            "level": LEVEL,
            "method": report.errors.method,
            "warnings": list(report.warnings),
            "extrapolation": None if beyond is None else _scores(beyond),
            "skipped_cuts": list(report.skipped),
            "compute_optimal": optimal and optimal.document(),
            "answer": sentence(report),
        },
    }


def sentence(report: Report) -> str:
    """The answer."""
    fit = report.fit
    if not is_finite(report):
        return f"{fit.law.name} could not be fitted: {fit.status.sentence}."
    points = count(fit.num_points, "point")
    if fit.dof <= 0:
        return f"{fit.law.name} passes through {points}, as any law of as many parameters would."
    told = f"{fit.law.name} describes {points} {_size(fit, _spread(fit))}"
    beyond = report.extrapolation
    if beyond is not None:
        at = middle_cut(beyond)
        told += (
            f" and, fitted to the {beyond.num_train[at]} smallest, predicts the other "
            f"{beyond.num_test[at]} {_log_size(float(beyond.rmsle[at]))}"
        )
    if report.compute_optimal:
        told += f"; {report.compute_optimal.clause}"
    number = len(report.warnings)
    doubt = {0: "", 1: " Mind the warning."}.get(number, f" Mind the {number} warnings.")
    return f"{told}.{doubt}"


def middle_cut(beyond: Any) -> int:
    """The place of the cut nearest to one half, which the figure shows."""
    return min(range(len(beyond.cuts)), key=lambda at: abs(beyond.cuts[at] - 0.5))


def order_text(along: Sequence[str]) -> str:
    """The quantity by which points are ordered."""
    return " x ".join(along)


def _head(report: Report) -> str:
    fit, points = report.fit, report.points
    names = {fit.law.output: points.loss_column, **points.inputs}
    spans = [
        f"{name} ({column}) {min(values):.4g} to {max(values):.4g}"
        if column != name
        else f"{name} {min(values):.4g} to {max(values):.4g}"
        for (name, column), values in zip(
            names.items(), [points.y, *points.x.values()], strict=True
        )
    ]
    doubt = "" if fit.law.status == "verified" else "\nformula unverified: not read in its paper"
    groups = f" in {len(set(points.group))} groups" if points.group else ""
    return (
        f"{fit.law.name}: {fit.law.formula}{doubt}\n"
        f"{count(fit.num_points, 'point')}{groups} of {points.path}: {', '.join(spans)}"
    )


def _parameters(report: Report) -> str:
    fit, rows = report.fit, []
    meanings = {one.name: one.meaning for one in fit.law.parameters}
    for name in fit.law.names:
        value = fit.parameters[name]
        if name in fit.fixed:
            rows.append([name, f"{value:.6g}", "fixed", "", meanings[name]])
            continue
        low, high = report.errors.intervals[name]
        rows.append(
            [
                name,
                _with_error(value, report.errors.standard[name]),
                figure(low),
                figure(high),
                meanings[name],
            ]
        )
    header = ["", "value ± std error", "low", "high", ""]
    table = columns(rows, header=header, right=(1, 2, 3))
    return f"parameters, {100 * LEVEL:g} % intervals by {report.errors.method}\n{indent(table)}"


def _with_error(value: float, error: float) -> str:
    """Large numbers in full as well: 2235 ± 276 and not 2235 ± 2.8e+02."""
    if 100.0 <= error < 1e6:
        return f"{value:.0f} ± {error:.0f}"
    return with_error(value, error) if math.isfinite(error) else figure(value, 6)


def _quality(report: Report) -> str:
    fit = report.fit
    delta = "" if math.isinf(fit.delta) or fit.loss.kind == "l1" else f", delta {fit.delta:.3g}"
    return (
        f"loss {fit.loss}{delta}; objective {fit.objective:.8g}; "
        f"{100 * fit.share_of_starts:.0f} % of {fit.num_starts} starts ended there; "
        f"residuals {_spread(fit):.3g}"
    )


def _extrapolation(report: Report) -> str:
    beyond = report.extrapolation
    skipped = "".join(f"\n  left out: {why}" for why in report.skipped)
    if beyond is None:
        return f"extrapolation: no score{skipped}"
    rows = [
        [f"{cut:g}", f"{x_cut:.4g}", str(fitted), str(predicted), figure(float(rmsle), 3)]
        for cut, x_cut, fitted, predicted, rmsle in _cuts(beyond)
    ]
    rows.append(["mean", "", "", "", figure(beyond.score, 3)])
    name = order_text(beyond.along)
    header = ["cut", f"{name} up to", "fitted", "predicted", "RMSLE"]
    table = columns(rows, header=header, right=range(1, 5))
    return (
        f"extrapolation: fitted to the points of smallest {name}, scored on the rest\n"
        f"{indent(table)}{skipped}"
    )


def _cuts(beyond: Any) -> Any:
    return zip(
        beyond.cuts, beyond.x_cut, beyond.num_train, beyond.num_test, beyond.rmsle, strict=True
    )


def _scores(beyond: Any) -> dict[str, Any]:
    names = ("cut", "x_cut", "fitted", "predicted", "rmsle")
    return {
        "along": list(beyond.along),
        "score": beyond.score,
        "cuts": [dict(zip(names, row, strict=True)) for row in _cuts(beyond)],
    }


def _compute_optimal(report: Report) -> str:
    return report.compute_optimal.text if report.compute_optimal else ""


def _warnings(report: Report) -> str:
    return "\n".join(f"warning: {one}" for one in report.warnings)


def _spread(fit: Any) -> float:
    """The standard deviation of the residuals, from their median absolute value."""
    from scalinglab.theory.fitting.loss import MAD_TO_SD

    size = sorted(abs(float(z)) for z in fit.residuals[fit.data.weight > 0.0])
    middle = len(size) // 2
    median = size[middle] if len(size) % 2 else 0.5 * (size[middle - 1] + size[middle])
    return MAD_TO_SD * median


def _size(fit: Any, spread: float) -> str:
    """Residuals in words: in percent, in the unit of the output, or in standard deviations."""
    if fit.data.sd is not None:
        return f"to {spread:.2g} standard deviations"
    return _log_size(spread) if fit.space == "log" else f"to ± {spread:.2g}"


def _log_size(error: float) -> str:
    if not math.isfinite(error):
        return "not at all"
    if error < _ROUNDING:
        return "to rounding"
    return f"to {100 * error:.2g} %" if error < _WIDE else f"to a factor of {math.exp(error):.3g}"
