"""The PNG and CSV of a sweep of `try`."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .arguments import UsageError
from .curves import Curve, observables_of
from .output import config_text, plain


def save(curves: Sequence[Curve], observable: str, folder: Path, stem: str) -> list[Path]:
    """Writes the two files, each whole or not at all.

    **Raises:** `UsageError` when the folder cannot be written.
    """
    contents = {".png": _png(curves, observable), ".csv": _csv(curves).encode()}
    paths = [folder / f"{stem}{suffix}" for suffix in contents]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in zip(paths, contents.values(), strict=True):
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_bytes(content)
            temporary.replace(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"out: {folder}: {reason}: give a folder that can be written") from None
    return paths


def _png(curves: Sequence[Curve], observable: str) -> bytes:
    from matplotlib.figure import Figure

    drawing = Figure(figsize=(5.0, 3.6), dpi=200, layout="constrained")
    axes = drawing.subplots()
    for index, curve in enumerate(curves):
        colour, label = f"C{index}", config_text(curve.others)
        predicted, simulated = curve.predicted(observable), curve.simulated(observable)
        if predicted is not None:
            axes.plot(curve.x, predicted, "-", color=colour, label=f"theory {label}".strip())
        if simulated is not None:
            errors = curve.stderr(observable)
            label = f"simulation {label}".strip()
            axes.errorbar(curve.x, simulated, yerr=errors, fmt="o", color=colour, label=label)
    axes.set(xscale="log", yscale="log", xlabel=curves[0].field, ylabel=observable)
    axes.legend(frameon=False)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _csv(curves: Sequence[Curve]) -> str:
    """One row a configuration and observable, at full precision."""
    names = list(dict.fromkeys(name for curve in curves for name in observables_of(curve)))
    fixed = list(curves[0].others)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [*fixed, curves[0].field, "observable", "predicted", "simulated", "stderr", "seeds"]
    )
    for curve in curves:
        for point in curve.points:
            for name in names:
                head = [*[point.config[n] for n in fixed], point.config[curve.field], name]
                writer.writerow([*head, *[_text(value) for value in _numbers(point, name)]])
    return text.getvalue()


def _numbers(point: Any, name: str) -> list[Any]:
    found = point.simulated.get(name)
    made = None if point.predicted is None else point.predicted.observables.get(name)
    simulated = [None, None, None] if found is None else [found.mean, found.stderr, found.seeds]
    return [None if made is None else float(made), *simulated]


def _text(value: Any) -> str:
    found = plain(value)
    return "" if found is None else repr(found)
