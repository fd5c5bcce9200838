"""What a Chinchilla fit reports on runs whose law is known: exponent, extrapolation, coverage."""

from typing import Any

import numpy as np

from scalinglab.experiments.random_features.fit_bias import (
    BEYOND,
    LAW,
    LEVEL,
    MORE_DECAYS,
    NOISE,
    REPLICATES,
    Runs,
    continuum_grid,
    coverage_of,
    fitted,
    runs,
)
from scalinglab.experiments.random_features.joint_risk import frontier_modes
from scalinglab.theory.fitting import LEAST_SQUARES, Fit, fit_many

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, Figure, canvas

# Below 1.3 the best fit to this symmetric surface has unequal exponents.
_LINE = np.linspace(1.3, 3.2, 39)
Sizes = tuple[float, ...]


def draw_fit_bias(datasets: Datasets) -> Drawing:
    """Left, the exponent; middle, the risk further out; right, the coverage of intervals."""
    dataset = datasets["fit-bias"]["grid"]
    grids, modes = runs(dataset), frontier_modes(dataset)
    sizes = tuple(np.unique(grids[0].samples).tolist())
    with canvas(1, 3, (10.4, 3.9)) as (figure, axes):
        lines = _lines(sizes)
        points = [_point(grid) for grid in grids]
        _exponents(axes[0, 0], lines, points)
        _extrapolation(axes[0, 1], lines)
        table = points + _coverage(axes[0, 2], sizes)
        figure.supxlabel(
            f"fitted window: N, D = {sizes[0]:g}..{sizes[-1]:g}, {len(sizes) ** 2} runs at the "
            "optimal ridge, all five parameters free;\n"
            "lines: the fit to the continuum limit (asymptotic), without noise;  circles: the fit "
            f"to simulated runs with {modes} modes, error by resampling seeds;\n"
            "crosses: the fit to the deterministic equivalent of those runs;  right: "
            f"{REPLICATES} noisy copies of the continuum, with binomial errors",
            fontsize=7.5,
        )
    return Drawing(figure, table)


def _lines(sizes: Sizes) -> dict[str, list[Fit]]:
    """Fits to the continuum along a, with the constant free and held at 0."""
    grids = [continuum_grid(float(decay), sizes) for decay in _LINE]
    return {
        "free": list(fit_many(LAW, grids, loss=LEAST_SQUARES, starts=8)),
        "held": list(fit_many(LAW, grids, loss=LEAST_SQUARES, starts=8, fix={"E": 0.0})),
    }


def _point(grid: Runs) -> dict[str, Any]:
    """One decay: the exponents of the fits to the simulation and to its theory."""
    simulated, expected, draws = fitted(grid)
    return {
        "quantity": "reported alpha",
        "eigenvalue_decay": grid.decay,
        "truth": grid.decay - 1.0,
        "value": simulated.parameters["alpha"],
        "stderr": float(np.std(simulated.naturals(draws)["alpha"])),
        "predicted": expected.parameters["alpha"],
        "kind": "deterministic_equivalent",
    }


def _exponents(axis: Any, lines: dict[str, list[Fit]], points: list[dict[str, Any]]) -> None:
    truth = _LINE - 1.0
    labels = {"free": "constant E free", "held": "E held at its true value, 0"}
    axis.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    for i, (name, fits) in enumerate(lines.items()):
        bias = [one.parameters["alpha"] for one in fits] - truth
        axis.plot(_LINE, bias, color=COLORS[i], linestyle=DASHES[i], label=labels[name])
    x = np.array([row["eigenvalue_decay"] for row in points])
    axis.errorbar(
        x,
        [row["value"] for row in points] - (x - 1.0),
        yerr=[row["stderr"] for row in points],
        fmt=MARKERS[0],
        color=COLORS[0],
        markerfacecolor="white",
    )
    axis.plot(x, [row["predicted"] for row in points] - (x - 1.0), "x", color="0.2", ms=5)
    axis.set(
        xlabel="eigenvalue decay $a$",
        ylabel=r"reported $\alpha$ less the true $a - 1$",
        title="The exponent is right at $a = 2$ only",
    )
    axis.legend(loc="upper right")


def _extrapolation(axis: Any, lines: dict[str, list[Fit]]) -> None:
    far = BEYOND * float(lines["free"][0].data.x["N"].max())
    truth = [continuum_grid(float(decay), (far,)).y[0] for decay in _LINE]
    axis.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    for i, fits in enumerate(lines.values()):
        value = [float(one.predict({"N": [far], "D": [far]})[0]) for one in fits]
        excess = 100 * (np.array(value) / truth - 1.0)
        axis.plot(_LINE, excess, color=COLORS[i], linestyle=DASHES[i])
    axis.set(
        xlabel="eigenvalue decay $a$",
        ylabel=f"$L$ at {BEYOND} times the sizes: fit above truth [%]",
        title="A free constant extrapolates wrongly",
    )


def _coverage(axis: Any, sizes: Sizes) -> list[dict[str, Any]]:
    found = [coverage_of(decay, sizes) for decay in MORE_DECAYS]
    axis.axhline(95.0, color="0.6", linewidth=0.8, zorder=0)
    table: list[dict[str, Any]] = []
    names = {"alpha": r"of $a - 1$ (profile)", "loss": f"of $L$ at {BEYOND} times the sizes"}
    for i, (name, label) in enumerate(names.items()):
        share = np.array([getattr(one, name) for one in found])
        error = np.maximum(np.sqrt(share * (1 - share) / REPLICATES), 0.5 / REPLICATES)
        axis.errorbar(
            np.array(MORE_DECAYS) + 0.02 * (2 * i - 1),
            100 * share,
            yerr=100 * error,
            fmt=MARKERS[i],
            color=COLORS[i],
            linestyle=":",
            linewidth=0.7,
            markerfacecolor="white",
            label=label,
        )
        table += [_coverage_row(*row, name) for row in zip(MORE_DECAYS, share, error, strict=True)]
    axis.set(
        ylim=(-3, 105),
        xlabel="eigenvalue decay $a$",
        ylabel=f"coverage of 95 % intervals, {100 * NOISE:g} % noise [%]",
        title="Intervals know the noise, not the law",
    )
    axis.legend(loc="lower right")
    return table


def _coverage_row(decay: float, share: float, error: float, name: str) -> dict[str, Any]:
    return {
        "quantity": f"coverage of {name}",
        "eigenvalue_decay": decay,
        "truth": LEVEL,
        "value": float(share),
        "stderr": float(error),
        "predicted": LEVEL,
        "kind": "heuristic",
    }


FIGURES = {"fit-bias": Figure("fit-bias", ("fit-bias",), draw_fit_bias)}
