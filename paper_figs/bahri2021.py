"""Figures after 'Explaining Neural Scaling Laws' (arXiv 2102.06701) and its exact theory."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from scalinglab.experiments.curves import Curve, fit_window
from scalinglab.experiments.random_features import four_regimes

from .bahri2021_decomposition import draw_decomposition
from .bahri2021_digits import draw_digits
from .bahri2021_duality import draw_duality
from .bahri2021_input_noise import draw_input_noise
from .bahri2021_joint import draw_joint_risk
from .bahri2021_optimal_noise import draw_optimal_noise
from .bahri2021_sphere import draw_sphere_amplitude, draw_sphere_features
from .bahri2021_superclass import draw_superclass
from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, Figure, canvas, plain_ticks

_TITLES = {
    "variance_data": (
        "Variance-limited, data",
        "training samples $D$",
        r"$L(N,D) - L(N,\infty)$,  $N=16$",
    ),
    "resolution_data": (
        "Resolution-limited, data",
        "training samples $D$",
        r"test risk $L(\infty, D)$",
    ),
    "resolution_features": (
        "Resolution-limited, model",
        "random features $N$",
        r"test risk $L(N, \infty)$",
    ),
    "variance_features": (
        "Variance-limited, model",
        "random features $N$",
        r"$L(N,D) - L(\infty,D)$,  $D=16$",
    ),
}


def draw_four_regimes(datasets: Datasets) -> Drawing:
    """Fig. 2a: the four regimes for three spectra, with exponents in the shaded windows."""
    sweeps = datasets["four-regimes"]
    table: list[dict[str, Any]] = []
    with canvas(2, 2, (7.2, 6.4)) as (figure, axes):
        for axis, name in zip(axes.flat, _TITLES, strict=True):
            table += _regime(axis, name, sweeps[name])
        figure.suptitle("Four scaling regimes of random-feature regression", fontsize=11)
        figure.supxlabel(
            "points: simulation, mean and standard error over seeds;  lines: deterministic "
            "equivalent, no fit;  shaded: window of the exponents",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _regime(axis: Any, name: str, dataset: xr.Dataset) -> list[dict[str, Any]]:
    title, x_label, y_label = _TITLES[name]
    modes = None if name.startswith("resolution") else _modes(dataset)
    rows = []
    for i, curve in enumerate(four_regimes.panel_curves(name, dataset)):
        decay = curve.fixed["eigenvalue_decay"]
        start = four_regimes.window_start(name, curve)
        fit = fit_window(curve, start)
        predicted = fit.same_window(curve.predicted).exponent
        dense = np.geomspace(curve.x[0], curve.x[-1], 120)
        line = four_regimes.theory_line(name, decay, modes, dense)
        axis.plot(dense, line, color=COLORS[i], linestyle=DASHES[i])
        label = (
            rf"$\alpha_K={decay - 1:g}$:  {float(fit.exponent):.3f} $\pm$ "
            rf"{float(fit.exponent_error):.3f}  (theory {float(predicted):.3f})"
        )
        _points(axis, curve, i, label)
        low, high = (float(end) for end in fit.interval)
        exponents = {"exponent": fit.exponent, "exponent_low": low, "exponent_high": high}
        rows += _rows(name, curve, {**exponents, "exponent_theory": predicted})
    axis.axvspan(start / 1.12, curve.x[-1] * 1.12, color="0.93", zorder=-1)
    axis.set(xscale="log", yscale="log", title=title, xlabel=x_label, ylabel=y_label)
    _power_of_two_ticks(axis, curve.x)
    # Room for the legend below the lowest curve.
    low, high = axis.get_ylim()
    axis.set_ylim(low * (low / high) ** 0.45, high)
    axis.legend(loc="lower left", title="exponent in window", title_fontsize=7.5)
    return rows


def _points(axis: Any, curve: Curve, index: int, label: str) -> None:
    axis.errorbar(
        curve.x,
        curve.mean,
        yerr=curve.stderr,
        fmt=MARKERS[index],
        color=COLORS[index],
        markerfacecolor="white",
        label=label,
    )


def _power_of_two_ticks(axis: Any, sizes: np.ndarray) -> None:
    plain_ticks(axis, sizes)


def _rows(panel: str, curve: Curve, extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = zip(curve.x, curve.mean, curve.stderr, curve.predicted, strict=True)
    return [
        {
            "panel": panel,
            "eigenvalue_decay": curve.fixed["eigenvalue_decay"],
            "size": x,
            "mean": mean,
            "stderr": stderr,
            "predicted": predicted,
            "kind": curve.kind,
            **{name: float(value) for name, value in extra.items()},
        }
        for x, mean, stderr, predicted in columns
    ]


def _modes(dataset: xr.Dataset) -> int:
    return int(json.loads(dataset.attrs["config"])["dimension"])


FIGURES = {
    "variance-decomposition": Figure(
        "variance-decomposition", ("variance-decomposition",), draw_decomposition
    ),
    "four-regimes": Figure("four-regimes", ("four-regimes",), draw_four_regimes),
    "duality": Figure("duality", ("duality",), draw_duality),
    "input-noise": Figure("input-noise", ("input-noise",), draw_input_noise),
    "superclass": Figure("superclass", ("superclass",), draw_superclass),
    "joint-risk": Figure("joint-risk", ("joint-risk",), draw_joint_risk),
    "optimal-ridge-noise": Figure(
        "optimal-ridge-noise", ("optimal-ridge-noise",), draw_optimal_noise
    ),
    "digits": Figure("digits", ("digits",), draw_digits),
    "sphere-features": Figure("sphere-features", ("sphere-features",), draw_sphere_features),
    "sphere-amplitude": Figure("sphere-amplitude", ("sphere-features",), draw_sphere_amplitude),
}
