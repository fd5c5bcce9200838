"""`scalinglab figs [FIG ...]`: draws from the store, or checks the numbers behind the figures."""

from collections.abc import Sequence
from pathlib import Path

from scalinglab import registry

from . import drawing, runtime
from .arguments import Parser, Size, UsageError, add_size, add_store, store_folder
from .csv_check import Table, committed, compare, rows_of
from .errors import is_bad_input, one_line
from .output import count, note, say


def run(arguments: Sequence[str]) -> int:
    """Draws or checks; simulates nothing. **Returns:** 1 when a number differs."""
    parser = Parser("figs", "Draws figures from stored results: PDF, PNG and CSV.")
    parser.add_argument("figures", nargs="*", metavar="FIG", help="names; by default every figure")
    parser.add_argument(
        "--check", action="store_true", help="compare the numbers with the committed ones"
    )
    add_size(parser)
    add_store(parser)
    parser.add_argument("--out", metavar="DIR", help="default: STORE/figures")
    options = parser.read(arguments)
    entries = [registry.find("figure", name) for name in options.figures] or registry.FIGURES
    store = store_folder(options.store)
    if options.check and options.out:
        raise UsageError(f"out: {options.out}: --check writes nothing: leave one of them out")
    runtime.start()
    folder = None if options.check else Path(options.out or store / "figures")
    return max([_handle(entry, options.size, store, folder) for entry in entries], default=0)


def _handle(entry: registry.Entry, size: Size, store: Path, folder: Path | None) -> int:
    """Draws the figure into the folder, or checks it when there is none; 2 when it cannot."""
    try:
        made = drawing.draw(entry, size, store)
    except ValueError as error:
        if not is_bad_input(error):
            raise
        note(f"scalinglab: figure {entry.name}: {one_line(error)}")
        return 2
    name = drawing.stem(entry.name, size)
    if folder is None:
        return _check(entry.name, rows_of(made), committed(name))
    for path in drawing.save(made, folder, name):
        say(str(path))
    return 0


def _check(name: str, rows: Table, expected: Table) -> int:
    found = compare(rows, expected)
    for text in found:
        say(f"{name}: {text}")
    if not found:
        say(f"{name}: {count(len(rows), 'row')} as committed")
    return 1 if found else 0
