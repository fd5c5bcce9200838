"""Loss against width in superposition, after Figs 3 to 6: the bracket, the ladder, the slopes."""

from typing import Any

import numpy as np
import xarray as xr

from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.superposition.superposition_scaling import (
    Trained,
    Weak,
    config_of,
    graded_points,
    seed_slopes,
    slope_errors,
    slopes,
    theory_losses,
    trained,
    weakly_trained,
    whole_slope,
)
from scalinglab.theory import superposition as theory

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks

_NAN = float("nan")


def draw_scaling(datasets: Datasets) -> Drawing:
    """The bracket at alpha = 0, the ladder of alphas, local exponents, weak superposition."""
    strong, weak = (datasets["superposition-scaling"][name] for name in ("strong", "weak"))
    ladders, weak_ladders = trained(strong), weakly_trained(weak)
    lines = [_theory(strong, ladder) for ladder in ladders]
    config = config_of(strong, 0.0, ladders[0].width[0])
    with canvas(2, 2, (8.4, 7.6)) as (figure, axes):
        _bracket(axes[0, 0], config.num_features, ladders[0], lines[0])
        _ladder(axes[0, 1], strong, ladders, lines)
        _slopes(axes[1, 0], config.num_features, ladders, lines)
        _weak(axes[1, 1], weak_ladders)
        seeds = strong.sizes["seed"]
        figure.supxlabel(
            f"points: trained networks, n={config.num_features}, B={config.batch_size}, "
            f"{config.num_steps} steps, {seeds} seed{'s' if seeds > 1 else ''}; error bars: "
            "evaluation and scatter between seeds, mostly smaller than the points\n"
            "lines: heuristic, but for the bound RF and for U, the loss of features without a row; "
            "one constant of the interpolation\nwas fitted once, to networks at "
            r"$\alpha=0$;  lower left: slopes of the interpolation at $\alpha=0$, else of the core "
            "and Gaussian frame",
            fontsize=7.5,
        )
    rows = [row for ladder, line in zip(ladders, lines, strict=True) for row in _rows(ladder, line)]
    rows += [row for ladder in weak_ladders for row in _weak_rows(ladder)]
    return Drawing(figure, rows)


def _theory(dataset: xr.Dataset, ladder: Trained) -> dict[str, np.ndarray | None]:
    found: dict[str, np.ndarray | None] = {
        "linear-programme": None,
        "random-frame": None,
        "interpolation": None,
        "core-frame": theory_losses(dataset, ladder, "core-frame"),
    }
    if ladder.decay == 0:
        for name in ("linear-programme", "random-frame", "interpolation"):
            found[name] = theory_losses(dataset, ladder, name)
        return found
    between = np.full(len(ladder.width), _NAN)
    for decay, width in graded_points(dataset):
        if decay == ladder.decay:
            config = config_of(dataset, decay, width)
            predicted = theory.predict(config, "interpolation").observables["loss"]
            between[ladder.width == width] = predicted
    return {**found, "interpolation": between}


def _points(axis: Any, index: int, x: np.ndarray, y: np.ndarray, error: np.ndarray, label: str):
    axis.errorbar(
        x,
        y,
        yerr=error,
        fmt=MARKERS[index],
        color=COLORS[index],
        markerfacecolor="white",
        label=label,
        zorder=3,
    )


def _bracket(axis: Any, features: int, ladder: Trained, line: Any) -> None:
    axis.fill_between(
        ladder.width, line["linear-programme"], line["random-frame"], color="0.9", linewidth=0
    )
    for name, dash, label in (
        ("random-frame", "--", "RF, random frame"),
        ("interpolation", "-", "interpolation"),
        ("linear-programme", ":", "LP, linear programme"),
    ):
        axis.plot(ladder.width, line[name], color="0.25", linestyle=dash, label=label)
    constant = theory.strong_constant(features, 1.0, free_gain=True).constant
    wide = ladder.width > constant
    axis.plot(
        ladder.width[wide],
        constant / ladder.width[wide],
        color=COLORS[1],
        linestyle="-.",
        linewidth=1,
        label=f"$c/m$, $c={constant:.2f}$",
    )
    _points(axis, 0, ladder.width, ladder.loss, ladder.error, "trained")
    _log_axes(axis, ladder.width, "loss $L$", r"Equal frequencies, $\alpha=0$")
    axis.legend(loc="lower left")


def _ladder(axis: Any, dataset: xr.Dataset, ladders: Any, lines: Any) -> None:
    for i, (ladder, line) in enumerate(zip(ladders, lines, strict=True)):
        slope = whole_slope(ladder.width, ladder.loss)
        label = rf"$\alpha={ladder.decay:g}$:  {slope:.2f}"
        axis.plot(ladder.width, line["core-frame"], color=COLORS[i], linestyle=DASHES[i])
        _points(axis, i, ladder.width, ladder.loss, ladder.error, label)
        if ladder.decay > 0 and line["interpolation"] is not None:
            axis.plot(
                ladder.width, line["interpolation"], "x", color="black", markersize=7, zorder=4
            )
    title = "Lines: core and Gaussian frame"
    if graded_points(dataset):
        title += r";  $\times$: interpolation"
    _log_axes(axis, ladders[0].width, "loss $L$", title)
    axis.legend(loc="lower left", title="exponent over all $m$", title_fontsize=7.5)


def _slopes(axis: Any, features: int, ladders: Any, lines: Any) -> None:
    widths = ladders[0].width
    x = np.sqrt(widths[1:] * widths[:-1]) ** 1.5 / features
    for i, (ladder, line) in enumerate(zip(ladders, lines, strict=True)):
        _points(
            axis,
            i,
            x,
            slopes(ladder.width, ladder.loss),
            slope_errors(ladder),
            rf"$\alpha={ladder.decay:g}$",
        )
        name = "interpolation" if ladder.decay == 0 else "core-frame"
        axis.plot(x, slopes(ladder.width, line[name]), color=COLORS[i], linestyle=DASHES[i])
    axis.axhline(1, color="0.6", linewidth=0.8)
    axis.text(0.99, 1.0, "published $1/m$ ", transform=axis.get_yaxis_transform(), **_NOTE)
    axis.set(
        xscale="log",
        xlabel=r"$m^{3/2}/n$;  skewed overlaps help trained frames unless this is small",
        ylabel=r"local exponent $-\mathrm{d}\log L/\mathrm{d}\log m$",
        title="No width here has the conditions of $1/m$",
    )
    axis.set_ylim(bottom=0)
    ticks = [tick for tick in (0.05, 0.1, 0.2, 0.5, 1.0) if x[0] / 1.2 <= tick <= 1.2 * x[-1]]
    plain_ticks(axis, ticks)
    axis.legend(loc="lower right")


_NOTE: dict[str, Any] = {"fontsize": 7, "color": "0.4", "ha": "right", "va": "bottom"}


def _weak(axis: Any, ladders: tuple[Weak, ...]) -> None:
    ends = np.concatenate([ladder.unrepresented.ravel() for ladder in ladders])
    ends = np.array([ends.min() / 1.3, ends.max() * 1.3])
    axis.fill_between(ends, ends, 1.15 * ends, color="0.9", linewidth=0)
    axis.plot(ends, ends, color="0.25", label="$L=U$;  shaded: up to 1.15 $U$")
    for i, ladder in enumerate(ladders):
        whole, error = seed_slopes(ladder.width, ladder.loss)
        unlearned, _ = seed_slopes(ladder.width, ladder.unrepresented)
        label = (
            rf"$\alpha={ladder.decay:g}$: exponent {whole:.2f} $\pm$ {error:.2f}, "
            rf"of $U$ {unlearned:.2f}"
        )
        axis.plot(
            ladder.unrepresented.ravel(),
            ladder.loss.ravel(),
            MARKERS[i + 2],
            color=COLORS[i + 2],
            markerfacecolor="white",
            label=label,
        )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel=r"$U=\sum_{|W_i|<1/2}(\frac{4}{3}p_i-p_i^2)$",
        ylabel="loss $L$",
        title=r"Weak superposition, decay $\gamma=1/2$",
    )
    axis.legend(loc="upper left")


def _log_axes(axis: Any, widths: np.ndarray, label: str, title: str) -> None:
    axis.set(xscale="log", yscale="log", xlabel="width $m$", ylabel=label, title=title)
    plain_ticks(axis, widths)


def _rows(ladder: Trained, line: Any) -> list[dict[str, Any]]:
    predicted = {
        name.replace("-", "_"): np.full(len(ladder.width), _NAN) if values is None else values
        for name, values in line.items()
    }
    return [
        _row("strong", ladder.decay, width, ladder.loss[i], ladder.error[i])
        | {name: values[i] for name, values in predicted.items()}
        for i, width in enumerate(ladder.width)
    ]


def _weak_rows(ladder: Weak) -> list[dict[str, Any]]:
    (loss, error), (ratio, ratio_error), (share, _) = (
        mean_and_error(values)
        for values in (ladder.loss, ladder.loss / ladder.unrepresented, ladder.represented)
    )
    return [
        _row("weak", ladder.decay, width, loss[i], error[i])
        | {
            "loss_over_unrepresented": ratio[i],
            "loss_over_unrepresented_stderr": ratio_error[i],
            "represented_fraction": share[i],
        }
        for i, width in enumerate(ladder.width)
    ]


def _row(panel: str, alpha: float, width: float, loss: Any, error: Any) -> dict[str, Any]:
    """The columns that all rows share, the others empty."""
    empty = dict.fromkeys(
        (
            "linear_programme",
            "random_frame",
            "interpolation",
            "core_frame",
            "loss_over_unrepresented",
            "loss_over_unrepresented_stderr",
            "represented_fraction",
        ),
        _NAN,
    )
    return {"panel": panel, "alpha": alpha, "width": width, "loss": loss, "stderr": error, **empty}
