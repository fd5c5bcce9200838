"""Noise on the inputs, the toy of Fig. 3 right: learning curves, exponents against the noise."""

from typing import Any

import numpy as np

from scalinglab.experiments.curves import Curve
from scalinglab.experiments.random_features.input_noise import (
    Exponents,
    config_of,
    exponents,
    floor_of,
    noise_curves,
    theory_line,
)

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas, plain_ticks

# Where the clean inputs stand on the logarithmic axis of the noise.
_ZERO = 1e-5


def draw_input_noise(datasets: Datasets) -> Drawing:
    """Left, L(D) and its floor at each strength of the noise; right, the two exponents."""
    data = datasets["input-noise"]["data"]
    found = noise_curves(data)
    fits = [exponents(data, curve) for curve in found]
    table: list[dict[str, Any]] = []
    with canvas(1, 2, (8.4, 4.4)) as (figure, axes):
        for i, (curve, fit) in enumerate(zip(found, fits, strict=True)):
            _curve(axes[0, 0], i, curve, data)
            table += _rows(curve, fit, floor_of(data, curve))
        _finish_curves(axes[0, 0], found[0].x)
        _exponents(axes[0, 1], found, fits)
        config = config_of(data)
        figure.supxlabel(
            f"points: simulation with drawn noise, mean and standard error over {found[0].seeds} "
            "seeds;  lines: deterministic equivalent by the exact mapping, no fit;\n"
            rf"{config.dimension} modes, $a=b={config.eigenvalue_decay:g}$, no ridge;  thin, left: "
            rf"floors;  right: fits over $D={found[0].x[0]:g}$..{found[0].x[-1]:g}, those of the "
            "theory joined",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _curve(axis: Any, index: int, curve: Curve, data: Any) -> None:
    style = {"color": COLORS[index], "linestyle": DASHES[index]}
    dense = np.geomspace(curve.x[0], curve.x[-1], 80)
    axis.plot(dense, theory_line(data, curve, dense), **style)
    floor = floor_of(data, curve)
    if floor > 0:
        axis.plot(dense, np.full(dense.shape, floor), linewidth=0.6, **style)
    axis.errorbar(
        curve.x,
        curve.mean,
        yerr=curve.stderr,
        fmt=MARKERS[index],
        color=COLORS[index],
        markerfacecolor="white",
        label=_label(curve),
    )


def _label(curve: Curve) -> str:
    tau = curve.fixed["input_noise"]
    return r"$\tau=0$" if tau == 0 else rf"$\tau=10^{{{round(np.log10(tau))}}}$"


def _finish_curves(axis: Any, sizes: np.ndarray) -> None:
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="training samples $D$",
        ylabel=r"test risk $L(D)$ on noisy inputs",
        title=r"Noise of variance $\tau$ on the inputs",
    )
    plain_ticks(axis, sizes)
    ticks = (0.1, 0.2, 0.5, 1, 2)
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks([], minor=True)
    axis.set_xlim(sizes[0] / 1.1, sizes[-1] * 1.9)
    # The curves end at the right; their names stand there in the same order.
    axis.legend(loc="center right", reverse=True)


def _exponents(axis: Any, found: tuple[Curve, ...], fits: list[Exponents]) -> None:
    noise = np.array([max(curve.fixed["input_noise"], _ZERO) for curve in found])
    labels = {
        "risk": r"of $L(D)$, as a log-log plot shows it",
        "excess": r"of $L(D) -$ floor",
    }
    for i, (name, label) in enumerate(labels.items()):
        used = [getattr(fit, name) for fit in fits]
        # The curves bend, so the weights of the points matter: theory is fitted with the same ones.
        theory = [getattr(fit, f"{name}_theory") for fit in fits]
        axis.plot(noise, theory, color=COLORS[i], linestyle=DASHES[i])
        axis.errorbar(
            noise,
            [float(fit.exponent) for fit in used],
            yerr=[float(fit.exponent_error) for fit in used],
            fmt=MARKERS[i],
            color=COLORS[i],
            markerfacecolor="white",
            label=label,
        )
    axis.axvline(3 * _ZERO, ymin=0.2, color="0.8", linewidth=0.8)
    axis.set(
        xscale="log",
        xlabel=r"noise on the inputs $\tau$",
        ylabel=r"exponent $\alpha_D$",
        title="How much of the fall is the floor",
    )
    axis.set_ylim(bottom=0)
    powers = [round(np.log10(tau)) for tau in noise[1:]]
    axis.set_xticks(noise, ["0", *[rf"$10^{{{power}}}$" for power in powers]])
    axis.set_xticks([], minor=True)
    axis.legend(loc="lower left")


def _rows(curve: Curve, fit: Exponents, floor: float) -> list[dict[str, Any]]:
    numbers = {
        "floor": floor,
        "exponent": float(fit.risk.exponent),
        "exponent_stderr": float(fit.risk.exponent_error),
        "exponent_theory": fit.risk_theory,
        "excess_exponent": float(fit.excess.exponent),
        "excess_exponent_stderr": float(fit.excess.exponent_error),
        "excess_exponent_theory": fit.excess_theory,
    }
    return [
        {
            "input_noise": curve.fixed["input_noise"],
            "num_samples": x,
            "mean": mean,
            "stderr": stderr,
            "predicted": predicted,
            "kind": curve.kind,
            **numbers,
        }
        for x, mean, stderr, predicted in zip(
            curve.x, curve.mean, curve.stderr, curve.predicted, strict=True
        )
    ]
