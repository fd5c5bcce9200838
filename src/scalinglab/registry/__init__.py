"""The table of what exists: names and module paths, one file a paper. It imports none of them."""

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

from . import bahri2021, liu2025, paquette2024, sharma2020, sorscher2022
from .entry import Entry as Entry
from .entry import Kind as Kind

_PAPERS = (bahri2021, sharma2020, sorscher2022, liu2025, paquette2024)

MODELS: tuple[Entry, ...] = tuple(row for paper in _PAPERS for row in paper.MODELS)
EXPERIMENTS: tuple[Entry, ...] = tuple(row for paper in _PAPERS for row in paper.EXPERIMENTS)
FIGURES: tuple[Entry, ...] = tuple(row for paper in _PAPERS for row in paper.FIGURES)


def table(kind: Kind) -> tuple[Entry, ...]:
    """The rows of one kind."""
    rows: Mapping[Kind, tuple[Entry, ...]] = {
        "model": MODELS,
        "experiment": EXPERIMENTS,
        "figure": FIGURES,
    }
    return rows[kind]


def find(kind: Kind, name: str) -> Entry:
    """The row of that name.

    **Raises:** `ValueError` with the nearest name when there is none.
    """
    rows = table(kind)
    for row in rows:
        if row.name == name:
            return row
    raise ValueError(f"{kind}: {name!r} is unknown: {nearest(name, [row.name for row in rows])}")


def nearest(name: str, names: list[str]) -> str:
    """A remedy for a mistyped name: the nearest of `names`, or all of them."""
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return f"there are {', '.join(names)}" if names else "there are none yet"


def load_model(name: str) -> tuple[Any, tuple[Any, ...]]:
    """The model of that name and its theories, in order; their modules are imported here."""
    entry = find("model", name)
    model = importlib.import_module(entry.module).MODEL
    theories = importlib.import_module(entry.theory).THEORIES if entry.theory else ()
    return model, tuple(theories)


def load_experiment(name: str) -> Any:
    """The experiment of that name."""
    return importlib.import_module(find("experiment", name).module).EXPERIMENT


def load_figure(name: str) -> Any:
    """The figure of that name."""
    return importlib.import_module(find("figure", name).module).FIGURES[name]
