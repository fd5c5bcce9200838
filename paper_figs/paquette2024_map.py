"""The plane of phases: heat maps of eta and xi, the jump, and measured cuts."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from matplotlib.patches import Patch

from scalinglab.experiments.power_law_sgd.compute_optimal import GAMMA0, Optimal
from scalinglab.experiments.power_law_sgd.phase_diagram import (
    ALPHA,
    BETA,
    crossover,
    measured,
)
from scalinglab.theory.power_law_sgd import compute_optimal_exponents
from scalinglab.theory.power_law_sgd.phases import JUMP

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas

_SPAN = ((0.05, 1.3), (-0.2, 1.7))
_LABELS = {
    "Ia": (0.9, 0.15),
    "Ib": (0.37, 0.36),
    "Ic": (0.14, 1.2),
    "II": (1.02, 0.72),
    "III": (0.95, 1.3),
    "IVa": (0.4, 1.3),
    "IVb": (0.272, 0.78),
}
_CROSSOVER = tuple(float(x) for x in np.linspace(0.26, 0.42, 9))


def draw_phase_diagram(datasets: Datasets) -> Drawing:
    """Two maps, two cuts, and the jump of xi."""
    found = measured(datasets["phase-diagram"]["cuts"])
    with canvas(2, 3, (11.6, 7.2)) as (figure, axes):
        for name, axis in (("eta", axes[0, 0]), ("xi", axes[0, 1])):
            filled = _map(axis, name)
            figure.colorbar(filled, ax=axis, shrink=0.9, pad=0.02)
            axis.plot(
                [one.ladder.alpha for one in found],
                [one.ladder.beta for one in found],
                "o",
                color="k",
                markerfacecolor="white",
                ms=4,
            )
        _jump(axes[0, 2])
        cut = [one for one in found if one.ladder.alpha == ALPHA]
        other = [one for one in found if one.ladder.beta == BETA]
        _cut(axes[1, 0], cut, "eta", along="beta")
        _cut(axes[1, 1], cut, "xi", along="beta")
        _cut(axes[1, 2], other, "eta", along="alpha")
        axes[1, 0].legend(loc="lower right")
        rungs = found[0].ladder.rungs
        figure.supxlabel(
            "maps and grey lines: asymptotic table;  circles on the maps: measured points;  bottom "
            f"points: SGD, d = {rungs[0].size}..{rungs[-1].size}, v = 4 d, gamma0 = {GAMMA0:g}, "
            f"{len(rungs[0].ratio)} runs a size, errors by resampling;\n"
            "crosses: deterministic equivalent in the same window;  top right: the equivalent with "
            "d* = 2e3..5e5, gamma0 = 0.5",
            fontsize=7.5,
        )
    return Drawing(figure, [_row(one, name) for one in found for name in ("xi", "eta")])


def _map(axis: Any, name: str) -> Any:
    alpha, beta = np.meshgrid(np.linspace(*_SPAN[0], 251), np.linspace(*_SPAN[1], 251))
    found = compute_optimal_exponents(jnp.asarray(alpha), jnp.asarray(beta))
    values = np.asarray(getattr(found, name))
    filled = axis.pcolormesh(
        alpha, beta, values, cmap="cividis", shading="nearest", rasterized=True
    )
    if name == "xi":
        half = np.where(np.isfinite(values), np.abs(values - 0.5) < 1e-9, 0)
        axis.contourf(alpha, beta, half, levels=[0.5, 1.5], colors="none", hatches=["///"])
        patch = Patch(facecolor="none", edgecolor="k", hatch="///", label=r"$\xi = 1/2$")
        axis.legend(handles=[patch], loc="upper right", frameon=True)
    top, right = _SPAN[1][1], _SPAN[0][1]
    lines = [
        ([0.5, 0.5], [0.0, top]),
        ([0.0, right], [0.5, 0.5]),
        ([0.5, right], [0.5, right]),
        ([0.25, 0.25], [0.5, top]),
        ([JUMP, JUMP], [0.5, top]),
        ([0.0, 0.7], [0.5, -0.2]),
    ]
    for x, y in lines:
        axis.plot(x, y, color="white", linewidth=1.2)
    for phase, at in _LABELS.items():
        axis.text(
            *at,
            phase,
            ha="center",
            va="center",
            color="white",
            fontsize=9,
            weight="bold",
            rotation=90 if phase == "IVb" else 0,
        )
    axis.set(
        xlim=_SPAN[0],
        ylim=_SPAN[1],
        xlabel=r"$\alpha$ (data)",
        ylabel=r"$\beta$ (target)",
        title=rf"$\{name}$, "
        + (r"$P^\star \sim f^{-\eta}$" if name == "eta" else r"$d^\star \sim f^{\,\xi}$"),
    )
    return filled


def _jump(axis: Any) -> None:
    alphas = np.linspace(0.25, 0.45, 400)
    limit = compute_optimal_exponents(jnp.asarray(alphas), jnp.full(400, BETA)).xi
    for i, side in enumerate((alphas < JUMP, alphas > JUMP)):
        axis.plot(alphas[side], limit[side], color="0.5", label=None if i else "table")
    axis.axvline(JUMP, color="0.8", linewidth=0.8, zorder=0)
    found = crossover(_CROSSOVER)
    axis.plot(
        found.alpha, found.equivalent, "--x", color=COLORS[1], label="equivalent, $d^\\star$ to 5e5"
    )
    axis.set(
        xlabel=r"$\alpha$",
        ylabel=r"$\xi$",
        title=rf"The jump at $\alpha = 1 - 1/\sqrt{{2}}$, $\beta = {BETA:g}$",
    )
    axis.legend(loc="center right")


def _cut(axis: Any, found: list[Optimal], name: str, *, along: str) -> None:
    x = np.array([getattr(one.ladder, along) for one in found])
    dense = np.linspace(x.min() - 0.03, x.max() + 0.05, 200)
    fixed = np.full(200, ALPHA if along == "beta" else BETA)
    at = (fixed, dense) if along == "beta" else (dense, fixed)
    limit = getattr(compute_optimal_exponents(*(jnp.asarray(values) for values in at)), name)
    axis.plot(dense, limit, color="0.5", label="table, asymptotic")
    i = 0 if name == "eta" else 2
    axis.plot(
        x,
        [getattr(one.window.predicted, name) for one in found],
        "x",
        color=COLORS[1],
        label="equivalent, same window",
    )
    axis.errorbar(
        x,
        [getattr(one.window.measured, name) for one in found],
        yerr=[getattr(one.window.error, name) for one in found],
        fmt=MARKERS[i],
        color=COLORS[i],
        markerfacecolor="white",
        label="SGD",
    )
    for edge in (0.5, 0.7) if along == "beta" else (0.25, JUMP):
        axis.axvline(edge, color="0.8", linewidth=0.8, linestyle=DASHES[2], zorder=0)
    fixed_text = rf"$\alpha = {ALPHA:g}$" if along == "beta" else rf"$\beta = {BETA:g}$"
    axis.set(xlabel=rf"$\{along}$", ylabel=rf"$\{name}$", title=f"Cut at {fixed_text}")


def _row(one: Optimal, name: str) -> dict[str, Any]:
    return {
        "alpha": one.ladder.alpha,
        "beta": one.ladder.beta,
        "phase": one.name,
        "exponent": name,
        "measured": getattr(one.window.measured, name),
        "stderr": getattr(one.window.error, name),
        "predicted": getattr(one.window.predicted, name),
        "limit": getattr(one.limit, name),
        "kind": "deterministic_equivalent",
    }
