"""`scalinglab list`: what exists, what it costs, what is stored. Imports only the registry."""

from collections.abc import Sequence
from pathlib import Path

from scalinglab import registry

from .arguments import SIZES, Parser, add_store, store_folder
from .output import columns, indent, say


def run(arguments: Sequence[str]) -> int:
    """Prints the three tables."""
    parser = Parser("list", "Lists models, experiments and figures, with what is stored.")
    add_store(parser)
    store = store_folder(parser.read(arguments).store)
    say("models")
    say(indent(columns([[row.name, row.summary, row.paper] for row in registry.MODELS])))
    say("\nexperiments")
    rows = [
        [row.name, row.summary, row.paper, row.cost or "-", stored_text(store, row.name)]
        for row in registry.EXPERIMENTS
    ]
    header = ["", "", "paper", "cost", "stored"]
    say(indent(columns(rows, header=header)))
    say("\nfigures")
    rows = [[row.name, row.summary, row.paper, _drawable(store, row)] for row in registry.FIGURES]
    say(indent(columns(rows, header=["", "", "paper", "stored"])))
    return 0


def stored_sizes(store: Path, experiment: str) -> list[str]:
    """The sizes at which the experiment's result is complete in the store."""
    folder = store / "experiments" / experiment
    return [size for size in SIZES if (folder / f"{size}.json").is_file()]


def stored_text(store: Path, experiment: str) -> str:
    """The same in words."""
    return ", ".join(stored_sizes(store, experiment)) or "no"


def _drawable(store: Path, figure: registry.Entry) -> str:
    sizes = [
        size
        for size in SIZES
        if all(size in stored_sizes(store, name) for name in figure.experiments)
    ]
    return ", ".join(sizes) or "no"
