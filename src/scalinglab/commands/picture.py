"""The picture of a sweep of `try`, and its numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import drawing
from .curves import Curve, observables_of
from .output import config_text


def save(curves: Sequence[Curve], observable: str, folder: Path, stem: str) -> list[Path]:
    """Writes PDF, PNG and CSV, each whole or not at all.

    **Raises:** `UsageError` when the folder cannot be written.
    """
    from scalinglab.paper_figs.figure import DASHES, MARKERS, Drawing, canvas

    with canvas(1, 1, (4.6, 3.4)) as (figure, grid):
        axes = grid[0, 0]
        for index, curve in enumerate(curves):
            look = {"color": f"C{index % 10}"}
            at = config_text(curve.others)
            predicted, simulated = curve.predicted(observable), curve.simulated(observable)
            if predicted is not None:
                dashes = DASHES[index % len(DASHES)]
                axes.plot(curve.x, predicted, ls=dashes, label=f"theory {at}".strip(), **look)
            if simulated is not None:
                marker, errors = MARKERS[index % len(MARKERS)], curve.stderr(observable)
                label = f"simulation {at}".strip()
                axes.errorbar(
                    curve.x, simulated, yerr=errors, ls="", marker=marker, label=label, **look
                )
        axes.set(xscale="log", yscale="log", xlabel=curves[0].field, ylabel=observable)
        axes.legend()
    return drawing.save(Drawing(figure, _table(curves)), folder, stem)


def _table(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """One row a configuration and observable."""
    names = list(dict.fromkeys(name for curve in curves for name in observables_of(curve)))
    return [
        {
            **{field: point.config[field] for field in (*curve.others, curve.field)},
            "observable": name,
            **_numbers(point, name),
        }
        for curve in curves
        for point in curve.points
        for name in names
    ]


def _numbers(point: Any, name: str) -> dict[str, Any]:
    found = point.simulated.get(name)
    made = {} if point.predicted is None else point.predicted.observables
    numbers = {
        "predicted": made.get(name),
        "simulated": None if found is None else found.mean,
        "stderr": None if found is None else found.stderr,
        "seeds": None if found is None else found.seeds,
    }
    return {key: "" if value is None else value for key, value in numbers.items()}
