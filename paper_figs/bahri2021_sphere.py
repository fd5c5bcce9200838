"""ReLU features on spheres: learning curves, duality, exponents, and the amplitude against q."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from scalinglab.experiments.comparison import Row, compare
from scalinglab.experiments.curves import Curve, fit_window
from scalinglab.experiments.sphere_features import sphere_features as sphere
from scalinglab.theory import sphere_features as theory

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks

_DRAWN = (2, 3, 4)
_LATE = (1e5, 1e6)
_LATE_LABEL = "theory, $10^5$..$10^6$"
# Of the draws of the exchange every fourth is shown: more would be a smear.
_THIN = 4
_NOTE = (
    "simulation: mean and standard error over points and weights, exact over teachers and test "
    "points;  theory: (E1)-(E2) on the Funk-Hecke spectrum, a heuristic, no fit"
)


def draw_sphere_features(datasets: Datasets) -> Drawing:
    """L(D) and L(N) on three spheres, the exchange of points and weights, exponents against 3/q."""
    sweeps = datasets["sphere-features"]
    found = {name: sphere.sphere_curves(name, sweeps[name]) for name in ("data", "features")}
    table: list[dict[str, Any]] = []
    with canvas(1, 3, (10.2, 3.9)) as (figure, axes):
        table += _learning_curves(axes[0, 0], found)
        _exchange(axes[0, 1], sweeps["exchange"])
        table += _exponents(axes[0, 2], found)
        figure.suptitle("ReLU random features on the sphere $S^q$", fontsize=11)
        figure.supxlabel(_NOTE, fontsize=7.5)
    return Drawing(figure, table)


def draw_sphere_amplitude(datasets: Datasets) -> Drawing:
    """Simulation over theory against the size, and its mean against the dimension."""
    sweeps = datasets["sphere-features"]
    found = sphere.sphere_curves("data", sweeps["data"])
    table: list[dict[str, Any]] = []
    with canvas(1, 2, (7.6, 4.0)) as (figure, axes):
        table += _ratios(axes[0, 0], found)
        table += _against_dimension(axes[0, 1], found, sweeps["exchange"])
        figure.suptitle("The amplitude is universal only as $q$ grows", fontsize=11)
        figure.supxlabel(_NOTE.replace(";  theory", ";\ntheory"), fontsize=7.5)
    return Drawing(figure, table)


def _of(curve: Curve) -> int:
    return int(curve.fixed["sphere_dimension"])


def _learning_curves(axis: Any, found: Mapping[str, tuple[Curve, ...]]) -> list[dict[str, Any]]:
    shown = [q for q in _DRAWN if any(_of(curve) == q for curve in found["data"])]
    rows = []
    for name, symbol in (("data", "D"), ("features", "N")):
        for curve in found[name]:
            q = _of(curve)
            rows += [
                _row("risk", q, x, mean, stderr, predicted, curve.kind, f"L({symbol})")
                for x, mean, stderr, predicted in _points(curve)
            ]
            if q not in shown:
                continue
            i = shown.index(q)
            # The two risks have one distribution: small filled markers inside open ones.
            axis.errorbar(
                curve.x,
                curve.mean,
                yerr=curve.stderr,
                fmt=MARKERS[i],
                color=COLORS[i],
                markerfacecolor="white" if symbol == "D" else COLORS[i],
                markersize=7 if symbol == "D" else 3,
            )
    for i, q in enumerate(shown):
        x = next(curve.x for curve in found["data"] if _of(curve) == q)
        dense = np.geomspace(x[0], x[-1], 80)
        label = rf"$S^{q}$:  $\alpha_K = 3/q = {theory.alpha_k(q):.3g}$"
        line = sphere.theory_line(q, dense)
        axis.plot(dense, line, color=COLORS[i], linestyle=DASHES[i], label=label)
        bound = [theory.best_rank_risk(q, round(size)) for size in dense]
        axis.plot(dense, bound, color=COLORS[i], linewidth=0.7, linestyle=":")
    open_marker = {"color": "0.3", "markerfacecolor": "white", "markersize": 7}
    axis.plot([], [], "o", label=r"$L(D)$, $N=\infty$", **open_marker)
    axis.plot([], [], "o", color="0.3", markersize=3, label=r"$L(N)$, $D=\infty$")
    axis.plot([], [], ":", color="0.3", linewidth=0.7, label="lower bound (any rank-$m$ learner)")
    axis.set(
        xscale="log",
        yscale="log",
        title="Resolution-limited risk",
        xlabel="finite size $m$:  samples $D$ or features $N$",
        ylabel="test risk (zero predictor: $1/(2(q+1))$)",
    )
    plain_ticks(axis, x)
    low, high = axis.get_ylim()
    axis.set_ylim(low / 60, high)
    axis.legend(loc="lower left", fontsize=6.8)
    return rows


def _exchange(axis: Any, dataset: xr.Dataset) -> None:
    spheres = dataset["sphere_dimension"].values
    ridgeless = dataset.sel(ridge=0.0)
    for i, q in enumerate(spheres):
        lanes = ridgeless.sel(sphere_dimension=q)
        axis.plot(
            lanes["test_risk"].values.ravel()[::_THIN],
            lanes["paired_test_risk"].values.ravel()[::_THIN],
            MARKERS[i],
            color=COLORS[i],
            markerfacecolor="none",
            markersize=3,
            markeredgewidth=0.6,
            label=f"$S^{q}$",
        )
    low, high = axis.get_xlim()
    axis.plot([low, high], [low, high], color="0.6", linewidth=0.8, zorder=0)
    relative = sphere.relative_exchange(dataset)
    exponent = int(np.ceil(np.log10(relative.max())))
    axis.text(
        0.04,
        0.96,
        f"{relative.size} draws, with ridge and without:\n"
        rf"relative difference below $10^{{{exponent}}}$",
        transform=axis.transAxes,
        va="top",
        fontsize=7.5,
    )
    axis.set(
        xscale="log",
        yscale="log",
        title="Duality, draw by draw (exact)",
        xlabel="risk with points $X$ and weights $W$",
        ylabel="risk with points $W$ and weights $X$",
    )
    axis.legend(loc="lower right")


def _exponents(axis: Any, found: Mapping[str, tuple[Curve, ...]]) -> list[dict[str, Any]]:
    dense = np.geomspace(1.8, 1.06 * max(_of(curve) for curve in found["data"]), 100)
    axis.plot(dense, 3 / dense, color="0.6", linewidth=0.9, label="$3/q$, limit of large sizes")
    ticks = [_of(curve) for curve in found["data"]]
    late = [_late_exponent(q) for q in ticks]
    axis.plot(ticks, late, "+:", color="0.35", linewidth=0.8, markersize=5, label=_LATE_LABEL)
    rows = [
        _row("exponent", q, float(q), slope, 0.0, theory.alpha_k(q), "heuristic", "theory, large")
        for q, slope in zip(ticks, late, strict=True)
    ]
    for i, (name, symbol) in enumerate((("data", "D"), ("features", "N"))):
        series = [_exponent_row(curve, f"alpha_{symbol}") for curve in found[name]]
        low, high = found[name][0].x[[0, -1]]
        # Side by side, since duality puts them at one place.
        shifted = [row["q"] * (0.97 if i == 0 else 1.03) for row in series]
        axis.errorbar(
            shifted,
            [row["mean"] for row in series],
            yerr=[row["stderr"] for row in series],
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            label=rf"$\alpha_{symbol}$, ${symbol}$ = {low:g}..{high:g}",
            zorder=3,
        )
        label = "theory, same window and weights" if i == 0 else None
        predicted = [row["predicted"] for row in series]
        axis.plot(shifted, predicted, "x", color="0.15", markersize=4, zorder=4, label=label)
        rows += series
    axis.set(
        xscale="log",
        title="Exponents in finite windows",
        xlabel="dimension $q$ of the sphere",
        ylabel=r"exponent $\alpha$",
    )
    _dimension_ticks(axis, found["data"])
    axis.set_ylim(0, None)
    axis.legend(loc="upper right", fontsize=7)
    return rows


def _late_exponent(q: int) -> float:
    """The slope of the theory between two sizes far beyond what is simulated."""
    risks = sphere.theory_line(q, np.array(_LATE))
    return float(-np.log(risks[1] / risks[0]) / np.log(_LATE[1] / _LATE[0]))


def _exponent_row(curve: Curve, series: str) -> dict[str, Any]:
    fit = fit_window(curve, curve.x[0])
    predicted = float(fit.same_window(curve.predicted).exponent)
    values = (float(fit.exponent), float(fit.exponent_error), predicted)
    return _row("exponent", _of(curve), float(_of(curve)), *values, curve.kind, series)


def _dimension_ticks(axis: Any, found: tuple[Curve, ...]) -> None:
    plain_ticks(axis, [_of(curve) for curve in found])


def _ratios(axis: Any, found: tuple[Curve, ...]) -> list[dict[str, Any]]:
    rows = []
    for i, curve in enumerate(found):
        q = _of(curve)
        ratio, error = curve.mean / curve.predicted, curve.stderr / curve.predicted
        axis.errorbar(
            curve.x,
            ratio,
            yerr=error,
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            linestyle=DASHES[i],
            linewidth=0.8,
            label=f"$S^{{{q}}}$",
        )
        rows += [
            _row("ratio", q, x, one, its, 1.0, curve.kind, "N infinite")
            for x, one, its in zip(curve.x, ratio, error, strict=True)
        ]
    axis.axhline(1, color="0.5", linewidth=0.9, zorder=0)
    start = sphere.amplitude_start(curve)
    axis.axvspan(start / 1.12, curve.x[-1] * 1.12, color="0.93", zorder=-1)
    axis.set(
        xscale="log",
        title=r"$N=\infty$",
        xlabel="training samples $D$",
        ylabel="simulated risk / theory",
    )
    plain_ticks(axis, curve.x)
    axis.legend(loc="upper left", ncols=3, title="shaded: averaged at right", title_fontsize=7.5)
    axis.set_ylim(0.95, 1.15 * max(row["mean"] + row["stderr"] for row in rows))
    return rows


def _against_dimension(
    axis: Any, found: tuple[Curve, ...], exchange: xr.Dataset
) -> list[dict[str, Any]]:
    labels = {"N infinite": r"$N=\infty$, mean over shaded $D$"}
    rows = []
    for curve in found:
        ratio, error = sphere.amplitude(curve)
        values = (ratio - 1, error, 0.0, curve.kind)
        rows.append(_row("excess", _of(curve), float(_of(curve)), *values, "N infinite"))
    compared = [row for row in compare(exchange, theory).rows if _is_ridgeless_risk(row)]
    for factor in (4, 2):
        pairs = [_pair(row) for row in compared if _pair(row)[0] == factor * _pair(row)[1]]
        samples, features = max(pairs)
        series = f"N={features}, D={samples}"
        labels[series] = f"$N={features}$, $D={factor}N$"
        for row in compared:
            if _pair(row) == (samples, features):
                q = int(row.point["sphere_dimension"])
                excess, error = row.mean / row.predicted - 1, row.stderr / row.predicted
                rows.append(_row("excess", q, float(q), excess, error, 0.0, row.kind, series))
    for i, (name, label) in enumerate(labels.items()):
        series = [row for row in rows if row["series"] == name]
        axis.errorbar(
            [row["q"] for row in series],
            [row["mean"] for row in series],
            yerr=[row["stderr"] for row in series],
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            linestyle=DASHES[i],
            linewidth=0.8,
            label=label,
        )
    axis.set(
        xscale="log",
        yscale="log",
        title="Excess over the theory",
        xlabel="dimension $q$ of the sphere",
        ylabel="simulated risk / theory $-$ 1",
    )
    _dimension_ticks(axis, found)
    axis.legend(loc="lower left")
    return rows


def _pair(row: Row) -> tuple[int, int]:
    return int(row.point["num_samples"]), int(row.point["num_features"])


def _is_ridgeless_risk(row: Row) -> bool:
    return row.observable == "test_risk" and row.point["ridge"] == 0


def _points(curve: Curve) -> Any:
    return zip(curve.x, curve.mean, curve.stderr, curve.predicted, strict=True)


def _row(
    panel: str,
    q: int,
    x: float,
    mean: float,
    stderr: float,
    predicted: float,
    kind: str,
    series: str,
) -> dict[str, Any]:
    """One point: a risk or a ratio against a size, an exponent or an excess against q."""
    return {
        "panel": panel,
        "series": series,
        "q": q,
        "x": float(x),
        "mean": float(mean),
        "stderr": float(stderr),
        "predicted": float(predicted),
        "kind": kind,
    }
