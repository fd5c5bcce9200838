"""`scalinglab run EXPERIMENT`: runs or resumes an experiment, and prints verdicts and figures."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scalinglab import registry

from . import drawing, runtime
from .arguments import (
    EXECUTORS,
    Parser,
    Size,
    UsageError,
    add_size,
    add_store,
    one_of,
    require,
    store_folder,
)
from .errors import is_bad_input, one_line
from .loading import is_known, load_experiment
from .output import count, note, say, say_json
from .progress import reporter
from .verdicts import counts_text, exit_status, verdict_table

INTERRUPTED = 130


def run(arguments: Sequence[str]) -> int:
    """Runs what is missing. **Returns:** 0, 1 for a disagreement, 3 for a failed lane, or 130."""
    options = _parser().read(arguments)
    if options.executor == "dask":
        raise UsageError("executor: dask: is not built yet: leave it out, or give local")
    name = require(options.experiment, "EXPERIMENT", "give one that scalinglab list shows")
    is_known("experiment", name)
    runtime.start()
    experiment = load_experiment(name)
    store = store_folder(options.store)
    tell = note if options.json else say
    tell(_first_line(experiment, options.size, store))
    try:
        result = _simulated(experiment, options.size, store)
        if not options.json:
            counts = counts_text(result.claims, result.failures)
            say(f"\n{verdict_table(result.claims)}\n\n{counts}")
        paths = [] if options.no_figures else _figures(result, options.size, store)
    except KeyboardInterrupt as stopped:
        note(_how_to_go_on(stopped, name, options))
        return INTERRUPTED
    if options.json:
        say_json(_document(result, store, paths))
    for path in [] if options.json else paths:
        say(str(path))
    return exit_status(result.claims, result.failures)


def _parser() -> Parser:
    parser = Parser(
        "run",
        "Runs an experiment, or what is missing of it in the store; prints verdicts and figures.",
    )
    add = parser.add_argument
    add("experiment", nargs="?", metavar="EXPERIMENT", help="a name, or module:attribute")
    add_size(parser)
    add_store(parser)
    add(
        "--executor",
        type=one_of(*EXECUTORS),
        default="local",
        metavar="|".join(EXECUTORS),
        help="where the simulations run",
    )
    add("--json", action="store_true", help="one JSON object on standard output")
    add("--no-figures", action="store_true", help="draw nothing")
    return parser


def _first_line(experiment: Any, size: Size, store: Path) -> str:
    cost = experiment.cost.get(size, "unknown")
    head = f"{experiment.name} at size {size}: {experiment.summary} ({cost})"
    return f"{head}; {_stored(experiment.name, size, store)}"


def _stored(name: str, size: Size, store: Path) -> str:
    from scalinglab.experiments import status

    found = [row for row in status(store, name) if row.size == size]
    if not found:
        return f"nothing stored in {store}"
    row = found[0]
    if row.state == "done":
        return f"stored in {store}"
    return f"{row.units_done} of {count(row.units_total, 'unit')} stored in {store}"


def _simulated(experiment: Any, size: Size, store: Path) -> Any:
    from scalinglab.experiments import run_experiment

    total = sum(sweep.lanes for sweep in experiment.sweeps(size).values())
    with reporter(experiment.name, total) as progress:
        return run_experiment(experiment, size=size, store=store, progress=progress)


def _figures(result: Any, size: Size, store: Path) -> list[Path]:
    """The files of every figure that draws this experiment and misses no other."""
    paths: list[Path] = []
    for entry in registry.FIGURES:
        if result.experiment not in entry.experiments:
            continue
        try:
            made = drawing.draw(entry, size, store, {result.experiment: result.datasets})
        except ValueError as error:
            if not is_bad_input(error):
                raise
            note(f"figure {entry.name}: not drawn: {one_line(error)}")
            continue
        paths += drawing.save(made, store / "figures", drawing.stem(entry.name, size))
    return paths


def _how_to_go_on(stopped: KeyboardInterrupt, name: str, options: Any) -> str:
    from scalinglab.experiments import Interrupted

    stored = "what was done"
    if isinstance(stopped, Interrupted):
        stored = f"{stopped.done} of {count(stopped.total, 'simulation')}"
    store = f" --store {options.store}" if options.store else ""
    command = f"scalinglab run {name} --size {options.size}{store}"
    return f"scalinglab: interrupted: {stored} stored; go on with `{command}`"


def _document(result: Any, store: Path, paths: Sequence[Path]) -> dict[str, Any]:
    return {
        "experiment": result.experiment,
        "size": result.size,
        "store": str(store),
        "claims": [dataclasses.asdict(claim) for claim in result.claims],
        "failures": {name: dict(found) for name, found in result.failures.items()},
        "units": {"recomputed": result.recomputed, "reused": result.reused},
        "figures": [str(path) for path in paths],
    }
