"""What a report of a fitted scaling law has to say, as text."""

import importlib.metadata
import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np

from scalinglab import __version__

from .covariance import standard_errors
from .fit import Fit
from .loss import MAD_TO_SD

_WIDTH = 96
_LINES = 40
Intervals = Mapping[str, tuple[float, float]]


def card(
    fit: Fit,
    *,
    intervals: Intervals | None = None,
    method: str = "profile likelihood",
    level: float = 0.95,
    warnings: Sequence[str] | None = None,
) -> str:
    """The reporting checklist for a fitted scaling law, filled in.

    Form; data, with the range of every input, groups and weights; optimiser, starts and the share
    of them at the optimum; loss, its scale and the space of the residuals; objective; parameters
    with standard errors and intervals, and how these were made; warnings; software.

    **Arguments:**

    - `intervals`: name to (low, high) of each fitted parameter, and `method`, how they were made,
      with every number that it depends on, such as `"cluster bootstrap, 2000 resamples, seed 0"`;
      profile likelihood by default.
    - `level`: coverage of the intervals.
    - `warnings`: in words; those of `diagnose` by default.

    **Returns:** aligned text of at most 40 lines for a law of at most 12 parameters.

    **Raises:** `ValueError` for `intervals` that miss a fitted parameter.

    **Source:** the checklist of arXiv 2502.18969, appendix.
    """
    if intervals is None:
        from .profile import profile

        found = {name: profile(fit, name, level=level) for name in fit.free_names}
        intervals = {name: (one.low, one.high) for name, one in found.items()}
    missing = [name for name in fit.free_names if name not in intervals]
    if missing:
        raise ValueError(f"intervals: {missing[0]} is missing; give every fitted parameter")
    if warnings is None:
        from .diagnostics import diagnose

        warnings = diagnose(fit).warnings
    rows = [
        ("law", f"{fit.law.name}: {fit.law.formula or 'no formula given'}"),
        ("source", f"{fit.law.source or 'none given'}; {fit.law.status}"),
        ("data", _data(fit)),
        ("loss", _loss(fit)),
        ("optimiser", "Levenberg-Marquardt on centred coordinates, exact derivatives, float64"),
        ("starts", _starts(fit)),
        ("optimum", _optimum(fit)),
        ("residuals", _residuals(fit)),
        ("intervals", f"{100 * level:g} %, {method}; standard errors from the Jacobian (Wald)"),
        ("parameters", _parameters(fit, intervals)),
        ("software", _software()),
    ]
    text = "\n".join(_row(name, text) for name, text in rows)
    return text + "\n" + _row("warnings", _warnings(warnings, _LINES - len(text.splitlines())))


def _row(name: str, text: str) -> str:
    """The name in a column of its own; long lines wrapped beside it."""
    lines = []
    for line in text.splitlines():
        inner = " " * (len(line) - len(line.lstrip()))
        lines += textwrap.wrap(
            line, _WIDTH - 12, subsequent_indent=inner, break_on_hyphens=False
        ) or [""]
    lines = [line.rstrip() for line in lines]
    return "\n".join([f"{name:<12}{lines[0]}", *(f"{'':12}{line}" for line in lines[1:])])


def _data(fit: Fit) -> str:
    data, used = fit.data, fit.data.weight > 0.0
    spans = [f"{fit.law.output} {_span(data.y[used])}"]
    for name in fit.law.inputs:
        column = data.x[name][used]
        shape = "" if column.ndim == 1 else f" (shape {column.shape[1:]} a point)"
        spans.insert(-1, f"{name} {_span(column)}{shape}")
    parts = [f"{fit.num_points} points"]
    if len(data.y) > fit.num_points:
        parts.append(f"{len(data.y) - fit.num_points} more without weight")
    groups = 0 if data.group is None else len(np.unique(data.group[used]))
    parts.append(f"{groups} groups" if groups else "no groups")
    weight = data.weight[used]
    equal = weight.size == 0 or float(np.ptp(weight)) == 0.0
    parts.append("equal weights" if equal else f"weights {_span(weight)}")
    if data.sd is not None:
        parts.append(f"standard deviations {_span(data.sd[used])}")
    return "; ".join(parts) + "\n" + "; ".join(spans)


def _span(values: np.ndarray) -> str:
    if values.size == 0:
        return "-"
    return f"{values.min():.4g} to {values.max():.4g}"


def _loss(fit: Fit) -> str:
    space = f"log {fit.law.output}" if fit.space == "log" else fit.law.output
    unit = " in standard deviations" if fit.data.sd is not None else ""
    told = f"{fit.loss} of residuals of {space}{unit}"
    if fit.loss.kind in ("least_squares", "l1"):
        return told
    how = ", from the residuals of a least-squares fit" if fit.loss.is_automatic else ""
    return f"{told}; delta {fit.delta:.4g}{how}"


def _starts(fit: Fit) -> str:
    kinds = ["variable projection"] if fit.law.columns is not None else []
    kinds += ["the law's own"] if fit.law.starts is not None else []
    share = f"{100 * fit.share_of_starts:.0f} % ended within 1e-4 of the best objective"
    return f"{fit.num_starts} ({', '.join([*kinds, 'Sobol sequence'])}); {share}"


def _optimum(fit: Fit) -> str:
    return (
        f"objective {fit.objective:.10g}; {fit.status.sentence}; predicted further decrease "
        f"{fit.gradient:.1g} of it; {fit.iterations} iterations"
    )


def _residuals(fit: Fit) -> str:
    size = np.abs(fit.residuals[fit.data.weight > 0.0])
    spread = MAD_TO_SD * float(np.median(size)) if size.size else math.nan
    outside = float(np.mean(size > fit.delta)) if size.size else math.nan
    told = f"standard deviation {spread:.3g} (from the median absolute one)"
    told += f", largest {size.max():.3g}" if size.size else ""
    if fit.loss.kind in ("huber", "cauchy"):
        told += f"; {100 * outside:.0f} % beyond delta"
    return told


def _parameters(fit: Fit, intervals: Intervals) -> str:
    errors = standard_errors(fit)
    lines = [["", "value", "std error", "low", "high"]]
    for name in fit.law.names:
        value = fit.parameters[name]
        if name in fit.fixed:
            lines.append([name, f"{value:.6g}", "fixed", "", ""])
            continue
        low, high = intervals[name]
        lines.append([name, f"{value:.6g}", f"{errors[name]:.3g}", f"{low:.5g}", f"{high:.5g}"])
    widths = [max(len(line[i]) for line in lines) for i in range(5)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _warnings(warnings: Sequence[str], room: int) -> str:
    """As many as there is room for, each in at most two lines."""
    if not warnings:
        return "none"
    most = max((room - 1) // 2, 1)
    shown = [textwrap.shorten(one, 2 * (_WIDTH - 20)) for one in warnings[:most]]
    more = len(warnings) - len(shown)
    return "\n".join([*shown, *([f"and {more} more in diagnose(fit).warnings"] if more else [])])


def _software() -> str:
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("jax", "numpy")]
    return ", ".join([f"scalinglab {__version__}", *versions])
