"""Frozen random frames: m L against m with its constant, and many frames against the theory."""

import json
from typing import Any

import numpy as np
import xarray as xr

from scalinglab.experiments.curves import Curve
from scalinglab.experiments.superposition.random_frames import LOSSES, constant_of, loss_curve
from scalinglab.models import random_frame as model
from scalinglab.theory import random_frame as theory

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks


def draw_random_frames(datasets: Datasets) -> Drawing:
    """Left, m times the loss at many features; right, simulation over theory for many frames."""
    sweeps = datasets["random-frames"]
    rows: list[dict[str, Any]] = []
    with canvas(1, 2, (8.4, 4.2)) as (figure, axes):
        for i, (name, gain) in enumerate(LOSSES.items()):
            _scaled(axes[0, 0], i, sweeps["large"], name, gain)
            _ratio(axes[0, 1], i, loss_curve(sweeps["many"], name), _features(sweeps["many"]), gain)
            for sweep in ("large", "many"):
                rows += _rows(sweep, name, loss_curve(sweeps[sweep], name), sweeps[sweep])
        _finish(axes, sweeps)
        figure.supxlabel(
            "points: simulation of frozen frames, mean and standard error over "
            f"{sweeps['large'].sizes['seed']} (left) and {sweeps['many'].sizes['seed']} (right) "
            "frames\nlines: mean over frames (deterministic equivalent, no fit);  thin: "
            "the constant $c(n,E)$ of the $1/m$ law (asymptotic)",
            fontsize=7.5,
        )
    return Drawing(figure, rows)


def _features(dataset: xr.Dataset) -> int:
    return int(json.loads(dataset.attrs["config"])["num_features"])


def _scaled(axis: Any, index: int, dataset: xr.Dataset, name: str, gain: str) -> None:
    curve, constant = loss_curve(dataset, name), constant_of(dataset, name)
    style = {"color": COLORS[index], "linestyle": DASHES[index]}
    dense = np.unique(np.geomspace(curve.x[0], curve.x[-1], 13).round().astype(int))
    axis.plot(dense, dense * _theory_line(dataset, name, dense), **style)
    axis.plot(curve.x, np.full(len(curve.x), constant), linewidth=0.6, **style)
    _errorbar(axis, index, curve.x, curve.x * curve.mean, curve.x * curve.stderr, gain)


def _theory_line(dataset: xr.Dataset, name: str, widths: np.ndarray) -> np.ndarray:
    features = _features(dataset)
    found = []
    for width in widths.tolist():
        config = model.Config(num_features=features, width=width)
        found.append(theory.predict(config, "mean-over-frames").observables[name])
    return np.array(found)


def _ratio(axis: Any, index: int, curve: Curve, features: int, gain: str) -> None:
    # Moved apart, so that the error bars of the two do not cover each other.
    x = curve.x / features * (1 + 0.02 * (2 * index - 1))
    _errorbar(axis, index, x, curve.mean / curve.predicted, curve.stderr / curve.predicted, gain)


def _errorbar(axis: Any, index: int, x: Any, y: Any, error: Any, label: str) -> None:
    axis.errorbar(
        x,
        y,
        yerr=error,
        fmt=MARKERS[index],
        color=COLORS[index],
        markerfacecolor="white",
        label=label,
    )


def _finish(axes: Any, sweeps: Any) -> None:
    left, right = axes[0]
    widths = sweeps["large"]["width"].values
    left.set(
        xscale="log",
        xlabel="width $m$",
        ylabel="$m\\,L$",
        title=f"Frozen random frames, $n={_features(sweeps['large'])}$, $E=1$",
    )
    plain_ticks(left, widths)
    left.set_ylim(bottom=0)
    left.legend(loc="lower right")
    shares = sweeps["many"]["width"].values / _features(sweeps["many"])
    right.axhspan(0.97, 1.03, color="0.93", zorder=-1)
    right.axhline(1, color="0.6", linewidth=0.8)
    right.set(
        xlabel="$m/n$",
        ylabel="simulation/theory",
        title=f"$n={_features(sweeps['many'])}$;  shaded: 3 %",
    )
    right.set_xticks(shares, [f"{share:g}" for share in shares])
    right.set_ylim(0.95, 1.05)
    right.legend(loc="lower right")


def _rows(sweep: str, name: str, curve: Curve, dataset: xr.Dataset) -> list[dict[str, Any]]:
    constant = constant_of(dataset, name)
    return [
        {
            "sweep": sweep,
            "num_features": _features(dataset),
            "observable": name,
            "width": x,
            "mean": mean,
            "stderr": stderr,
            "predicted": predicted,
            "kind": curve.kind,
            "constant": constant,
        }
        for x, mean, stderr, predicted in zip(
            curve.x, curve.mean, curve.stderr, curve.predicted, strict=True
        )
    ]
