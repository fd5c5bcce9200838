"""`scalinglab fit runs.csv`: a scaling law fitted to a table of training runs."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import runtime
from .arguments import Parser, UsageError, number, require, whole
from .fit_csv import read_table
from .fit_points import Columns, Points, check_enough, read_points
from .output import note, say, say_json

FAILED = 3
LOSSES = ("huber", "least_squares", "l1", "cauchy")


def run(arguments: Sequence[str]) -> int:
    """Prints the fit, or one JSON object. **Returns:** 0, or 3 where no start came to a fit."""
    options = _parser().read(arguments)
    path = require(options.file, "FILE", "give a CSV with one row a training run")
    name = require(options.law, "--law", "give a law that scalinglab laws lists")
    loss_column = require(options.loss_column, "--loss-column", "give the column of the loss")
    if options.weight_column and options.sd_column:
        raise UsageError("sd-column: a weight column is given too: give one of the two")
    columns = Columns(
        loss=loss_column,
        inputs=_pairs("inputs", options.inputs),
        weight=options.weight_column,
        sd=options.sd_column,
        group=options.group,
    )
    table = read_table(path)
    if options.out is not None:
        _check_folder(Path(options.out))
    runtime.start()
    from .fit_report import make_report

    request = _request(options)
    law = _law(name, request, _pairs("tie", options.tie))
    points, warnings = _points(table, law, columns, options)
    check_enough(points, law, request.fix)
    report = make_report(points, law, request, warnings)
    return _tell(report, options)


def _parser() -> Parser:
    parser = Parser(
        "fit", "Fits a scaling law to a CSV of training runs, and says how far to trust it."
    )
    parser.epilog = (
        "example: scalinglab fit runs.csv --law chinchilla --loss-column loss "
        "--inputs N=params D=tokens"
    )
    add = parser.add_argument
    add("file", nargs="?", metavar="FILE", help="CSV with a header and one row a training run")
    add("--law", metavar="NAME", help="required; scalinglab laws lists them")
    add("--loss-column", metavar="COLUMN", help="required; the column that the law predicts")
    add(
        "--inputs",
        nargs="+",
        action="extend",
        type=_pair,
        metavar="INPUT=COLUMN",
        help="input of the law and its column, where the names differ",
    )
    add("--group", metavar="COLUMN", help="run or seed: its rows are resampled together")
    add("--weight-column", metavar="COLUMN", help="how often a row counts")
    add("--sd-column", metavar="COLUMN", help="standard deviation of the loss of each row")
    add(
        "--loss",
        type=_loss,
        default="huber:auto",
        metavar="LOSS",
        help="huber:auto (default), huber:1e-3, cauchy:auto, l1, least_squares",
    )
    add(
        "--fix",
        nargs="+",
        action="extend",
        type=_fixed,
        metavar="NAME=VALUE",
        help="parameters held at a value",
    )
    add(
        "--tie",
        nargs="+",
        action="extend",
        type=_pair,
        metavar="NAME=OTHER",
        help="parameters held equal to another",
    )
    add(
        "--bootstrap",
        type=whole(least=100),
        metavar="COUNT",
        help="intervals from COUNT resamples; with --group 2000 whole groups by default",
    )
    add(
        "--cut",
        nargs="+",
        type=_fraction,
        metavar="FRACTION",
        help="fit this fraction of the smallest runs, predict the rest; default 0.25 0.5 0.75",
    )
    add("--drop-duplicates", action="store_true", help="leave out rows that repeat an earlier one")
    add("--seed", type=whole(least=0), default=0, metavar="INT", help="of the resamples; default 0")
    add("--json", action="store_true", help="one JSON object, which Fit.from_dict reads too")
    add("--out", metavar="DIR", help="folder for fit.json and two figures with their CSV")
    return parser


def _pair(text: str) -> tuple[str, str]:
    first, sign, second = text.partition("=")
    if not (first and sign and second):
        raise argparse.ArgumentTypeError(f"{text!r}: give two names as NAME=OTHER")
    return first, second


def _fixed(text: str) -> tuple[str, float]:
    name, sign, value = text.partition("=")
    if not (name and sign):
        raise argparse.ArgumentTypeError(f"{text!r}: give NAME=VALUE")
    return name, number(value)


def _loss(text: str) -> str:
    if text.partition(":")[0] not in LOSSES:
        raise argparse.ArgumentTypeError(f"{text!r} is unknown: give one of {', '.join(LOSSES)}")
    return text


def _fraction(text: str) -> float:
    value = number(text)
    if not 0.0 < value < 1.0:
        raise argparse.ArgumentTypeError(f"{text!r}: give a fraction between 0 and 1")
    return value


def _pairs(option: str, pairs: Sequence[tuple[str, Any]] | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs or ():
        if name in found:
            raise UsageError(f"{option}: {name} is given twice: leave one out")
        found[name] = value
    return found


def _check_folder(folder: Path) -> None:
    """**Raises:** `UsageError` for a place that no folder can be made in, before the work."""
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise UsageError(f"out: {folder}: {nearest} is a file: give a folder")
    if not os.access(nearest, os.W_OK):
        raise UsageError(f"out: {folder}: permission denied: give a folder that can be written")


def _request(options: Any) -> Any:
    from scalinglab.theory.fitting import parse_loss

    from .fit_report import Request

    return Request(
        loss=parse_loss(options.loss),
        fix=_pairs("fix", options.fix),
        bootstrap=options.bootstrap,
        cuts=options.cut,
        seed=options.seed,
    )


def _law(name: str, request: Any, tie: dict[str, str]) -> Any:
    """The law with its ties. **Raises:** `ValueError` for an unknown law or parameter."""
    from scalinglab.theory.fitting.law import tied
    from scalinglab.theory.fitting.laws import find_law

    law = find_law(name)
    law = tied(law, tie) if tie else law
    law.check_names("fix", request.fix)
    return law


def _points(table: Any, law: Any, columns: Columns, options: Any) -> tuple[Points, list[str]]:
    """The points, and what to mind about them."""
    points = read_points(table, law, columns, log_loss=law.space == "log")
    repeated = points.repeated()
    if not repeated:
        return points, []
    text = points.repeats_text(repeated)
    if options.drop_duplicates:
        return points.without(repeated), [f"{text}: left out"]
    return points, [f"{text}: each counts twice; --drop-duplicates leaves them out"]


def _tell(report: Any, options: Any) -> int:
    from .fit_report import is_finite
    from .fit_text import document, text

    found = is_finite(report)
    if options.json:
        say_json(document(report))
    else:
        say(text(report))
    if options.out is not None and found:
        from .fit_files import write

        for line in write(report, Path(options.out), document(report), options.seed):
            (note if options.json else say)(line)
    return 0 if found else FAILED
