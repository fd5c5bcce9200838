"""The digits: kernel spectra of the pooled images, and the learning curves that they predict."""

from typing import Any

import numpy as np

from scalinglab.experiments.curves import Curve, fit_window
from scalinglab.experiments.random_features import digits
from scalinglab.theory import digits as theory

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks

_DRAWN_MODES = 60
_PANELS = {
    "data": (
        "Kernel regression, $N=\\infty$",
        "training images $D$",
        "test risk $L(D)$",
        r"\alpha_D",
    ),
    "features": (
        "Random features, $D=1300$",
        "ReLU features $N$",
        "test risk $L(N)$",
        r"\alpha_N",
    ),
}


def draw_digits(datasets: Datasets) -> Drawing:
    """Spectra with fitted alpha_K, then L(D) and L(N) for three poolings against the heuristic."""
    sweeps = datasets["digits"]
    found = {name: digits.pool_curves(name, sweeps[name]) for name in _PANELS}
    pools = [curve.fixed["pool"] for curve in found["data"]]
    table: list[dict[str, Any]] = []
    with canvas(1, 3, (9.6, 3.7)) as (figure, axes):
        table += _spectra(axes[0, 0], pools)
        for axis, name in zip(axes[0, 1:], _PANELS, strict=True):
            table += _learning_curves(axis, name, found[name])
        _share_risks(axes[0, 1:], table)
        figure.suptitle(
            "Handwritten digits at three resolutions: a qualitative analogue", fontsize=11
        )
        figure.supxlabel(
            "points: simulation, mean and standard error over training sets and features, teacher "
            "averaged exactly;  lines: random-feature theory on the spectrum at left, a heuristic, "
            "no fit",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _spectra(axis: Any, pools: list[int]) -> list[dict[str, Any]]:
    low, high = theory.WINDOW
    rows = []
    for i, pool in enumerate(pools):
        values = np.asarray(theory.spectrum(pool).eigenvalues)
        modes = np.unique(np.geomspace(1, values.size, _DRAWN_MODES).round()).astype(int)
        fit = theory.spectral_fit(pool)
        fitted = np.asarray(fit.predict(modes.astype(float)))
        exponent = float(fit.exponent) - 1
        axis.plot(
            modes,
            values[modes - 1],
            MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            markersize=3,
            markeredgewidth=0.8,
            label=rf"pool {pool} ({(8 // pool) ** 2} inputs): $\alpha_K={exponent:.2f}$",
        )
        ends = np.array([low / 2, high * 2.0])
        line = np.asarray(fit.predict(ends))
        axis.plot(ends, line, color="0.15", linewidth=0.9, linestyle=DASHES[i], zorder=3)
        rows += [
            _row("spectrum", pool, float(mode), values[mode - 1], 0.0, line, exponent, exponent)
            for mode, line in zip(modes, fitted, strict=True)
        ]
    axis.axvspan(low, high, color="0.93", zorder=-1)
    axis.set(
        xscale="log",
        yscale="log",
        title="Kernel spectrum, 1797 images",
        xlabel="mode $i$",
        ylabel=r"eigenvalue $\lambda_i \propto i^{-(1+\alpha_K)}$",
    )
    axis.legend(loc="lower left", title="fitted to shaded modes", title_fontsize=7.5)
    return rows


def _learning_curves(axis: Any, name: str, found: tuple[Curve, ...]) -> list[dict[str, Any]]:
    title, x_label, y_label, symbol = _PANELS[name]
    rows = []
    for i, curve in enumerate(found):
        pool = curve.fixed["pool"]
        fit = fit_window(curve, curve.x[0])
        predicted = float(fit.same_window(curve.predicted).exponent)
        exponent = float(fit.exponent)
        dense = np.geomspace(curve.x[0], curve.x[-1], 80)
        line = digits.theory_line(name, pool, dense)
        axis.plot(dense, line, color=COLORS[i], linestyle=DASHES[i])
        axis.errorbar(
            curve.x,
            curve.mean,
            yerr=curve.stderr,
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            label=rf"pool {pool}: ${symbol}={exponent:.2f}$ (theory {predicted:.2f})",
        )
        columns = zip(curve.x, curve.mean, curve.stderr, curve.predicted, strict=True)
        rows += [_row(name, pool, *values, exponent, predicted) for values in columns]
    axis.set(xscale="log", yscale="log", title=title, xlabel=x_label, ylabel=y_label)
    plain_ticks(axis, found[0].x)
    axis.legend(loc="lower left")
    return rows


def _share_risks(axes: Any, table: list[dict[str, Any]]) -> None:
    """One range of risks for both panels, with room for the legends below the lowest curve."""
    risks = [
        row[name] for row in table if row["panel"] in _PANELS for name in ("mean", "predicted")
    ]
    for axis in axes:
        axis.set_ylim(min(risks) / 25, max(risks) * 2)


def _row(
    panel: str,
    pool: int,
    x: float,
    mean: float,
    stderr: float,
    predicted: float,
    exponent: float,
    exponent_theory: float,
) -> dict[str, Any]:
    """One row of the table: of the spectrum, `predicted` is the fitted power law."""
    return {
        "panel": panel,
        "pool": pool,
        "x": x,
        "mean": mean,
        "stderr": stderr,
        "predicted": predicted,
        "kind": "fit" if panel == "spectrum" else "heuristic",
        "exponent": exponent,
        "exponent_theory": exponent_theory,
    }
