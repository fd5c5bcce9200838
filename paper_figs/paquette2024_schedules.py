"""Schedules and the annealing law, batch sizes, and the floor of a constant rate."""

from typing import Any

import numpy as np

from scalinglab.experiments.power_law_sgd.lanes import all_runs
from scalinglab.experiments.power_law_sgd.schedules import (
    ASKED,
    FITTED,
    RATE,
    SCHEDULES,
    SHARE,
    Annealed,
    annealed,
    measured_steps,
    power_law_batches,
)
from scalinglab.theory.power_law_sgd.batch import isotropic_steps

from .figure import COLORS, DASHES, MARKERS, Datasets, Drawing, canvas


def draw_schedules(datasets: Datasets) -> Drawing:
    """Risk under four schedules at two noises, the law's error, and steps against batch size."""
    found = datasets["schedules"]
    laws = annealed(found["schedules"])
    with canvas(2, 2, (9.6, 7.2)) as (figure, axes):
        for axis, one in zip(axes[0], laws, strict=True):
            _curves(axis, one)
        _law(axes[1, 0], laws)
        table = _batches(axes[1, 1], found["batches"], laws)
        axes[0, 0].legend(loc="lower left")
        config = laws[0].runs[ASKED].config
        figure.supxlabel(
            f"top: {config.num_parameters} modes of the data, one sample a step, peak rate "
            f"{RATE:g}, {config.runs} runs; lines exact moments, points SGD with standard errors;\n"
            f"bottom left: L0 + A S1^-a - C S2 fitted to {' and '.join(FITTED)}, against exact;  "
            "bottom right: solid and circles D equal eigenvalues at the best rate,\n"
            "exact and SGD; dashed the power law by exact moments, grey its fitted hyperbola",
            fontsize=7.5,
        )
    return Drawing(figure, [_row(one, name) for one in laws for name in SCHEDULES] + table)


def _curves(axis: Any, one: Annealed) -> None:
    for i, name in enumerate(SCHEDULES):
        runs = one.runs[name]
        values = runs.risk[0]
        late = runs.steps >= 5
        axis.plot(
            runs.steps[late], runs.exact[0][late] - one.noise, color=COLORS[i], linestyle=DASHES[i]
        )
        chosen = np.flatnonzero(late)[::3]
        error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
        axis.errorbar(
            runs.steps[chosen],
            values.mean(axis=0)[chosen] - one.noise,
            yerr=error[chosen],
            fmt=MARKERS[i],
            ms=3.5,
            color=COLORS[i],
            markerfacecolor="white",
            label=name.replace("_", " ") if name != "wsd" else "WSD",
        )
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="step r",
        ylabel="excess risk",
        title=rf"Label noise $\sigma^2 = {one.noise:g}$",
    )


def _law(axis: Any, laws: tuple[Annealed, ...]) -> None:
    axis.axhline(0.0, color="0.6", linewidth=0.8, zorder=0)
    for i, one in enumerate(laws):
        runs = one.runs[ASKED]
        late = runs.steps >= 20
        share = (one.said - runs.exact[0]) / (runs.exact[0] - one.noise)
        label = rf"$\sigma^2 = {one.noise:g}$"
        color = COLORS[i]
        axis.plot(
            runs.steps[late], 100 * share[late], color=color, linestyle=DASHES[i], label=label
        )
    axis.set(
        xscale="log",
        xlabel="step r",
        ylabel="law less exact, share of the excess [%]",
        title="The annealing law asked for WSD",
    )
    axis.legend(loc="best")


def _batches(axis: Any, dataset: Any, laws: tuple[Annealed, ...]) -> list[dict[str, Any]]:
    table = []
    every = all_runs(dataset)
    modes = every[0].config.num_parameters
    batches = np.array([runs.config.batch_size for runs in every])
    dense = np.unique(np.geomspace(1, 4 * modes, 40).astype(int))
    line = [isotropic_steps(modes, int(batch), SHARE) for batch in dense]
    axis.plot(dense, line, color=COLORS[0], label=f"D = {modes} equal eigenvalues")
    steps = np.array([measured_steps(runs) for runs in every])
    axis.errorbar(
        batches, steps[:, 0], yerr=steps[:, 1], fmt="o", color=COLORS[0], markerfacecolor="white"
    )
    for runs, (value, error) in zip(every, steps, strict=True):
        batch = runs.config.batch_size
        predicted = isotropic_steps(modes, batch, SHARE)
        table.append(_cells("steps", float(batch), value, error, predicted, "exact"))
    size = laws[0].runs[ASKED].config.num_parameters
    for i, noise in enumerate((0.0, 0.25), start=1):
        found = power_law_batches(size, noise)
        label = rf"power law, $\sigma^2 = {noise:g}$: $B_c = {found.critical:.3g}$"
        axis.plot(dense, found.least * (1 + found.critical / dense), color="0.7", linewidth=0.9)
        axis.plot(
            found.batch,
            found.steps,
            color=COLORS[i],
            linestyle=DASHES[i],
            marker=MARKERS[i],
            markerfacecolor="white",
            label=label,
        )
        hyperbola = found.least * (1 + found.critical / found.batch)
        for batch, count, fit in zip(found.batch, found.steps, hyperbola, strict=True):
            table.append(_cells(f"power law, noise {noise:g}", batch, count, 0.0, fit, "heuristic"))
    axis.set(
        xscale="log",
        yscale="log",
        xlabel="batch size B",
        ylabel="steps to the target",
        title="Critical batch size",
    )
    axis.legend(loc="upper right")
    return table


def _row(one: Annealed, name: str) -> dict[str, Any]:
    runs = one.runs[name]
    last = runs.risk[0, :, -1]
    error = float(last.std(ddof=1) / np.sqrt(len(last)))
    return {
        **_cells(
            f"final risk, {name}", one.noise, float(last.mean()), error, runs.exact[0, -1], "exact"
        ),
        "annealing_law": one.said[-1] if name == ASKED else "",
    }


def _cells(
    quantity: str, x: float, measured: float, stderr: float, predicted: float, kind: str
) -> dict[str, Any]:
    return {
        "quantity": quantity,
        "noise_or_batch": float(x),
        "measured": measured,
        "stderr": stderr,
        "predicted": predicted,
        "annealing_law": "",
        "kind": kind,
    }
