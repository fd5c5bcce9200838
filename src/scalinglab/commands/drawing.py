"""Figures drawn from stored results, for `run` and `figs`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scalinglab import registry

from .arguments import Size, UsageError


def stem(figure: str, size: Size) -> str:
    """The file name without its ending; the size is left out where it is the default one."""
    return figure if size == "default" else f"{figure}-{size}"


def draw(
    entry: registry.Entry, size: Size, store: Path, at_hand: Mapping[str, Any] | None = None
) -> Any:
    """The drawing of a figure, from datasets at hand and else from the store.

    **Raises:** `ValueError` with the command to run when a result is missing.
    """
    figure = registry.load_figure(entry.name)
    at_hand = at_hand or {}
    datasets = {
        name: at_hand[name] if name in at_hand else _stored(name, size, store)
        for name in figure.experiments
    }
    return figure.draw(datasets)


def _stored(experiment: str, size: Size, store: Path) -> Any:
    from scalinglab.experiments import load

    return load(experiment, size, store=store)


def save(drawing: Any, folder: Path, name: str) -> list[Path]:
    """Writes PDF, PNG and CSV.

    **Raises:** `UsageError` when the folder cannot be written.
    """
    from scalinglab.paper_figs.figure import save as save_drawing

    try:
        return [Path(path) for path in save_drawing(drawing, folder, name)]
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"out: {folder}: {reason}: give a folder that can be written") from None
