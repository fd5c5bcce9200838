"""`scalinglab status [EXPERIMENT]`: what the store holds, what failed, and how to go on."""

from collections.abc import Sequence

from scalinglab import registry

from .arguments import Parser, add_store, store_folder
from .output import columns, count, indent, say, say_json


def run(arguments: Sequence[str]) -> int:
    """Prints the runs in the store, with the command that goes on with each."""
    parser = Parser("status", "Shows the units done and failed of each run in the store.")
    parser.add_argument("experiment", nargs="?", metavar="EXPERIMENT", help="only this one")
    parser.add_argument("--json", action="store_true", help="one JSON array")
    add_store(parser)
    options = parser.read(arguments)
    store = store_folder(options.store)
    from scalinglab.experiments import status

    rows = status(store, options.experiment)
    if options.experiment and not rows:
        registry.find("experiment", options.experiment)
    if options.json:
        say_json([vars(row) for row in rows])
        return 0
    if not rows:
        which = options.experiment or "EXPERIMENT"
        say(f"nothing stored in {store}; `scalinglab run {which}` starts")
        return 0
    table = [
        [row.experiment, row.size, row.state, f"{row.units_done}/{row.units_total}", row.command]
        for row in rows
    ]
    say(columns(table, header=["experiment", "size", "state", "units", "command"], right=(3,)))
    for row in rows:
        for reason, number in row.failed.items():
            where = f"{row.experiment} at size {row.size}"
            say(indent(f"{where}: {count(number, 'simulation')} failed: {reason}"))
    return 0
