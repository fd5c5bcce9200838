"""`scalinglab show MODEL`: what a model is, and where it comes from."""

from collections.abc import Sequence
from typing import Any

from .arguments import Parser, require
from .fields import field_table
from .loading import is_known, load_model
from .output import columns, indent, say


def run(arguments: Sequence[str]) -> int:
    """Prints the model's page, or only its BibTeX entries."""
    parser = Parser("show", "Shows a model: equation, fields, observables, theories, sources.")
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a name, or module:attribute")
    parser.add_argument("--bibtex", action="store_true", help="only the BibTeX of its sources")
    options = parser.read(arguments)
    name = require(options.model, "MODEL", "give one of those that scalinglab list shows")
    is_known("model", name)
    model, theories = load_model(name)
    if options.bibtex:
        say("\n\n".join(entry.strip() for entry in model.sources.values()))
        return 0
    say(f"{model.name}: {model.summary}")
    for title, text in _sections(model, theories):
        if text:
            say(f"\n{title}\n{indent(text)}")
    return 0


def _sections(model: Any, theories: Sequence[Any]) -> list[tuple[str, str]]:
    observables = [
        [name, told.unit, " x ".join(told.axes) or "-", told.description]
        for name, told in model.observables.items()
    ]
    rows = [[row.name, row.kind, row.source, ", ".join(row.observables)] for row in theories]
    return [
        ("equation", "\n".join(part.strip() for part in model.equation.split(";"))),
        ("symbols", columns([[symbol, name] for symbol, name in model.symbols.items()])),
        ("fields", field_table(model)),
        ("observables", columns(observables, header=["", "unit", "axes", ""])),
        ("theories, the first that applies is the default", _theories(rows)),
        ("sources (scalinglab show --bibtex prints them)", "\n".join(model.sources)),
    ]


def _theories(rows: list[list[str]]) -> str:
    return "\n".join(
        f"{name} ({kind})\n  {source}\n  {names}" for name, kind, source, names in rows
    )
