"""Real networks on the easy or the hard part of a pool of digits: differences, errors, classes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import xarray as xr

from scalinglab.experiments.pruned_network.pruning_digits import CONTROL, SCORED, measured

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks


class _Style(NamedTuple):
    label: str
    color: str
    marker: str
    dashes: Any
    face: str = "white"


_LARGE = "probes of 1400 images"
# The sweeps of the upper row; the probes that know more are dashed, with filled markers.
_SERIES = {
    "el2n": _Style("EL2N", COLORS[0], MARKERS[0], DASHES[0]),
    "margin": _Style("margin", COLORS[5], MARKERS[4], DASHES[0]),
    "forgetting": _Style("forgetting", COLORS[2], MARKERS[2], DASHES[0]),
    "prototypes": _Style("prototypes", COLORS[1], MARKERS[1], DASHES[0]),
    "el2n_large_probe": _Style(f"EL2N, {_LARGE}", COLORS[0], MARKERS[0], DASHES[1], COLORS[0]),
    "prototypes_large_probe": _Style(
        f"prototypes, {_LARGE}", COLORS[1], MARKERS[1], DASHES[1], COLORS[1]
    ),
    CONTROL: _Style("blind control", "0.5", "x", DASHES[3]),
}
_PARTS = {
    "easy": _Style("easy", COLORS[1], MARKERS[1], DASHES[0]),
    "hard": _Style("hard", COLORS[0], MARKERS[0], DASHES[0], COLORS[0]),
}


def draw_pruning_digits(datasets: Datasets) -> Drawing:
    """Easy less hard against the pool for each fraction, then errors and class balance."""
    sweeps = datasets["pruning-digits"]
    fractions = sweeps[CONTROL]["keep_fraction"].values
    middle = len(fractions) // 2
    with canvas(2, max(3, len(fractions)), (10.6, 6.9)) as (figure, axes):
        for axis in axes.flat[len(fractions) : axes.shape[1]]:
            axis.set_visible(False)
        for j, axis in enumerate(axes[0, : len(fractions)]):
            _differences(axis, sweeps, j)
        _share_range(axes[0, : len(fractions)])
        for axis, name in zip(axes[1], ("el2n", "el2n_large_probe"), strict=False):
            _errors(axis, sweeps, name, middle)
        _share_range(axes[1, :2])
        _balance(axes[1, 2], sweeps, 0)
        for axis in axes[1, 3:]:
            axis.set_visible(False)
        handles, labels = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
        seeds = sweeps[CONTROL].sizes["seed"]
        figure.supxlabel(
            f"points: simulation, mean and standard error over {seeds} seeds (test sets, pools, "
            "networks), joined;  easy and hard paired: same pool, initialisation and batches.\n"
            "The perceptron theory says below 0 where data are scarce, above 0 where they abound: "
            "carried over to networks, a heuristic.",
            fontsize=7.5,
        )
    return Drawing(figure, _table(sweeps))


def _differences(axis: Any, sweeps: Mapping[str, xr.Dataset], column: int) -> None:
    axis.axhline(0, color="0.3", linewidth=0.8)
    for name, style in _SERIES.items():
        found = measured(sweeps[name], "easy_minus_hard")
        _points(
            axis, sweeps[name], 100 * found.mean[:, column], 100 * found.stderr[:, column], style
        )
    fraction = sweeps[CONTROL]["keep_fraction"].values[column]
    _finish(axis, sweeps[CONTROL], rf"keep $f = {fraction:g}$")
    if column == 0:
        axis.set_ylabel("test error, easy $-$ hard  (% of images)")
    axis.annotate("hard is better", (0.03, 0.97), xycoords="axes fraction", va="top")
    axis.annotate("easy is better", (0.97, 0.04), xycoords="axes fraction", ha="right")


def _errors(axis: Any, sweeps: Mapping[str, xr.Dataset], name: str, column: int) -> None:
    for part, style in _PARTS.items():
        found = measured(sweeps[name], f"test_error_{part}")
        _points(axis, sweeps[name], found.mean[:, column], found.stderr[:, column], style)
    blind = measured(sweeps[CONTROL], "test_error_hard")
    style = _Style("random", "0.5", "x", DASHES[3])
    _points(axis, sweeps[CONTROL], blind.mean[:, column], blind.stderr[:, column], style)
    whole = measured(sweeps["whole"], "test_error_hard")
    style = _Style("the whole pool", "0.15", MARKERS[3], DASHES[2])
    _points(axis, sweeps["whole"], whole.mean[:, 0], whole.stderr[:, 0], style)
    fraction = sweeps[CONTROL]["keep_fraction"].values[column]
    probes = _LARGE if name.endswith("large_probe") else "probes of the pool"
    _finish(axis, sweeps[CONTROL], rf"EL2N, {probes}, $f = {fraction:g}$")
    axis.set(yscale="log")
    if name == "el2n":
        axis.set_ylabel("test error")
    axis.legend(loc="lower left")


def _balance(axis: Any, sweeps: Mapping[str, xr.Dataset], column: int) -> None:
    for name, dashes, suffix in (("el2n", DASHES[0], ""), ("el2n_unbalanced", DASHES[1], ", none")):
        for part, style in _PARTS.items():
            found = measured(sweeps[name], f"smallest_share_{part}")
            drawn = style._replace(label=f"{part}{suffix}", dashes=dashes)
            _points(axis, sweeps[name], found.mean[:, column], found.stderr[:, column], drawn)
    found = measured(sweeps[CONTROL], "smallest_share_hard")
    style = _Style("random", "0.5", "x", DASHES[3])
    _points(axis, sweeps[CONTROL], found.mean[:, column], found.stderr[:, column], style)
    fraction = sweeps[CONTROL]["keep_fraction"].values[column]
    _finish(axis, sweeps[CONTROL], rf"Rarest class kept, EL2N, $f = {fraction:g}$")
    axis.set(ylim=(0, 1.02), ylabel="kept over random keeping")
    axis.legend(loc="upper left", ncols=2, title="guarantee 1/2, or none", title_fontsize=7.5)


def _points(axis: Any, dataset: xr.Dataset, mean: Any, stderr: Any, style: _Style) -> None:
    axis.errorbar(
        dataset["pool_size"].values,
        mean,
        yerr=stderr,
        color=style.color,
        marker=style.marker,
        linestyle=style.dashes,
        markerfacecolor=style.face,
        label=style.label,
    )


def _finish(axis: Any, dataset: xr.Dataset, title: str) -> None:
    pools = dataset["pool_size"].values
    axis.set(xscale="log", title=title, xlabel="images in the pool $n$")
    plain_ticks(axis, pools)


def _share_range(axes: Any) -> None:
    low = min(axis.get_ylim()[0] for axis in axes)
    high = max(axis.get_ylim()[1] for axis in axes)
    for axis in axes:
        axis.set_ylim(low, high)


def _table(sweeps: Mapping[str, xr.Dataset]) -> list[dict[str, Any]]:
    """A row a setting: means over the seeds, and standard errors of the errors."""
    return [
        {
            "sweep": name,
            "keep_fraction": fraction,
            "pool_size": pool,
            **_columns(sweeps[name], i, j),
        }
        for name in (*SCORED, CONTROL, "whole")
        for j, fraction in enumerate(sweeps[name]["keep_fraction"].values)
        for i, pool in enumerate(sweeps[name]["pool_size"].values)
    ]


def _columns(dataset: xr.Dataset, i: int, j: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in ("easy_minus_hard", "test_error_easy", "test_error_hard"):
        values = measured(dataset, name)
        found |= {name: values.mean[i, j], f"{name}_stderr": values.stderr[i, j]}
    for name in ("train_error", "smallest_share", "class_entropy"):
        for part in _PARTS:
            found[f"{name}_{part}"] = measured(dataset, f"{name}_{part}").mean[i, j]
    trained = "probe_error" in dataset
    found["probe_error"] = measured(dataset, "probe_error").mean[i, j] if trained else ""
    return found
