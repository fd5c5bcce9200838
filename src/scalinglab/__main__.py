"""The command line: finds the command without importing JAX, and turns bad input into one line."""

import importlib
import os
import sys
from collections.abc import Sequence

from scalinglab.commands.arguments import UsageError
from scalinglab.commands.errors import is_bad_input, one_line

INTERRUPTED = 130

# command: (module, its arguments, what it does)
COMMANDS = {
    "list": ("list_", "", "models, experiments and figures, and what is stored"),
    "show": ("show", "MODEL", "equation, fields, theories and sources of a model"),
    "try": ("try_", "MODEL", "simulates and predicts, side by side; several values sweep and fit"),
    "run": ("run", "EXPERIMENT", "runs an experiment, or resumes it, and prints its verdicts"),
    "status": ("status", "[EXPERIMENT]", "units done and failed, and how to go on"),
    "figs": ("figs", "[FIG ...]", "draws figures from stored results, or checks their numbers"),
    "fit": ("fit", "FILE", "fits a scaling law to a CSV of training runs, with intervals"),
    "laws": ("laws", "[NAME]", "the scaling laws that fit knows, or one of them"),
    "overlap": ("overlap", "FILE ...", "overlaps of an unembedding's rows, against 1/m"),
    "check": ("check", "MODEL", "runs the law suite on a model, or on your own module:attribute"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. **Returns:** the exit status; 2 for bad input, 130 for an interrupt."""
    status = _guarded(list(sys.argv[1:] if argv is None else argv))
    background = sys.modules.get("scalinglab.experiments.engine.background")
    if argv is None and background is not None:
        # A compiled program that still runs in another thread would hold the process for minutes.
        background.leave(status)
    return status


def _guarded(arguments: list[str]) -> int:
    try:
        return _dispatch(arguments)
    except KeyboardInterrupt:
        print("scalinglab: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ValueError as error:
        if not is_bad_input(error):
            raise
        print(f"scalinglab: {one_line(error)}", file=sys.stderr)
        return 2


def _dispatch(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    command, *rest = arguments
    if command in ("-V", "--version"):
        from scalinglab import __version__

        print(f"scalinglab {__version__}")
        return 0
    if command not in COMMANDS:
        from scalinglab.registry import nearest

        raise UsageError(f"command: {command!r} is unknown: {nearest(command, list(COMMANDS))}")
    try:
        module = importlib.import_module(f"scalinglab.commands.{COMMANDS[command][0]}")
        return module.run(rest)
    except SystemExit as end:  # argparse, after --help
        return int(end.code or 0)


def _help() -> str:
    width = max(len(f"{name} {rest[1]}") for name, rest in COMMANDS.items())
    lines = [f"  {f'{name} {what[1]}':{width}}  {what[2]}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: scalinglab COMMAND ...",
            "",
            "A testbed for the theory of neural scaling laws: simulate, predict, compare.",
            "",
            *lines,
            "",
            "scalinglab COMMAND --help explains a command.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
