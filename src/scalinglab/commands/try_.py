"""`scalinglab try MODEL`: one model simulated and predicted, side by side."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import runtime
from .arguments import Parser, UsageError, add_store, number, require, store_folder, whole
from .curves import Curve, Exponent, along, curves, exponent, observables_of
from .fields import field_rows, field_table, read_fields
from .loading import is_known, load_model
from .output import config_text, note, plain, say, say_json
from .progress import reporter
from .trial import Point, Request, points
from .trial_text import exponent_table, point_text, sweep_sentence, sweep_table


@dataclass(frozen=True)
class _Outcome:
    """What was found: `varied`, field to its several values; `curves` and their exponents."""

    request: Request
    config: Mapping[str, Any]
    varied: Mapping[str, Sequence[Any]]
    points: list[Point]
    curves: tuple[Curve, ...] = ()
    exponents: tuple[tuple[Curve, Exponent], ...] = ()


def run(arguments: Sequence[str]) -> int:
    """Prints both sides, or one JSON object; several values of a field sweep, fit and plot."""
    parser = _parser()
    options, rest = _read(parser, arguments)
    if options.help and options.model is None:
        parser.print_help()
        return 0
    name = require(options.model, "MODEL", "give one of those that scalinglab list shows")
    is_known("model", name)
    if options.help:
        return _field_help(parser, name)
    runtime.start()
    model, theories = load_model(name)
    flags = [flag for flag in parser._option_string_actions if flag.startswith("--")]
    given = read_fields(model, rest, flags)
    varied = {field: values for field, values in given.items() if len(values) > 1}
    _check_sweep_options(options, varied)
    base = _base(model, given)
    request = Request(model, theories, options.seeds, options.key, options.theory)
    outcome = _outcome(request, base, varied, options)
    if options.json:
        say_json(_document(outcome))
    else:
        _print(outcome)
    if varied:
        _draw(outcome, Path(options.out or store_folder(options.store) / "try"), quiet=options.json)
    return 0


def _parser() -> Parser:
    parser = Parser("try", "Simulates K seeds and predicts, and prints the two side by side.")
    parser.usage = "scalinglab try MODEL [--FIELD VALUE ...] [options]"
    parser.epilog = "scalinglab try MODEL --help lists the fields; each takes one value or several."
    add = parser.add_argument
    add("--seeds", type=whole(least=0), default=32, metavar="K", help="0 predicts only; default 32")
    add("--theory", metavar="NAME|all", help="the theory to hold against; all shows every one")
    add("--json", action="store_true", help="one JSON object")
    add("--key", type=whole(least=0), default=0, metavar="INT", help="another one: other draws")
    add("--window", type=number, nargs=2, metavar=("LOW", "HIGH"), help="of the fit of a sweep")
    add("--out", metavar="DIR", help="folder of a sweep's PNG and CSV; default STORE/try")
    add_store(parser)
    return parser


def _read(parser: Parser, arguments: Sequence[str]) -> tuple[Any, list[str]]:
    """The options, and the rest, which are fields; the first word is the model."""
    words = list(arguments)
    named = bool(words) and not words[0].startswith("-")
    model = words.pop(0) if named else None
    asks_help = any(word in ("-h", "--help") for word in words)
    if asks_help or model is None:
        options = parser.parse_known_args([])[0]
        rest = []
    else:
        options, rest = parser.parse_known_args(words)
    options.model, options.help = model, asks_help
    return options, rest


def _field_help(parser: Parser, name: str) -> int:
    model, _ = load_model(name)
    parser.epilog = field_table(model)
    parser.print_help()
    return 0


def _check_sweep_options(options: Any, varied: Mapping[str, Any]) -> None:
    for flag in ("window", "out"):
        value = getattr(options, flag)
        if value is not None and not varied:
            raise UsageError(f"{flag}: {value}: is of a sweep: give several values of a field")
    if options.window is not None and not options.window[0] < options.window[1]:
        low, high = options.window
        raise UsageError(f"window: {low:g} {high:g}: give LOW below HIGH")


def _base(model: Any, given: Mapping[str, Sequence[Any]]) -> Any:
    """The configuration with the first value of each field."""
    fields = {row.name: row.default for row in field_rows(model)}
    return model.Config(**{**fields, **{name: values[0] for name, values in given.items()}})


def _outcome(
    request: Request, base: Any, varied: Mapping[str, Sequence[Any]], options: Any
) -> _Outcome:
    fields = {row.name: getattr(base, row.name) for row in field_rows(request.model)}
    field = along(field_rows(request.model), varied) if varied else None
    total = request.seeds * math.prod(len(values) for values in varied.values())
    with reporter(request.model.name, total, lines=False) as progress:
        found = points(request, base, varied, progress)
    if field is None:
        return _Outcome(request, fields, varied, found)
    window = None if options.window is None else tuple(options.window)
    lines = tuple(curves(found, varied, field))
    exponents = tuple(
        (curve, exponent(curve, name, window)) for curve in lines for name in observables_of(curve)
    )
    return _Outcome(request, fields, varied, found, lines, exponents)


def _document(outcome: _Outcome) -> dict[str, Any]:
    if not outcome.varied:
        return outcome.points[0].document()
    return {
        "config": {**outcome.config, **outcome.varied},
        "points": [point.document() for point in outcome.points],
        "exponents": [
            {"along": curve.field, "at": dict(curve.others), **found.document()}
            for curve, found in outcome.exponents
        ],
    }


def _print(outcome: _Outcome) -> None:
    model, seeds = outcome.request.model, outcome.request.seeds
    if not outcome.varied:
        say(f"{model.name}\n{point_text(outcome.points[0], seeds)}")
        return
    fixed = {name: v for name, v in outcome.config.items() if name not in outcome.varied}
    say(f"{model.name}\n{config_text(fixed)}\n")
    name = _main_observable(outcome)
    if name is None:
        say("No scalar observable is there at every point of a curve.")
        return
    say(sweep_table(outcome.points, outcome.varied, name))
    say(f"\n{_plot(outcome, name)}\n")
    say(exponent_table(outcome.exponents))
    say(f"\n{sweep_sentence([found for _, found in outcome.exponents], outcome.points)}")


def _main_observable(outcome: _Outcome) -> str | None:
    return next((n for curve in outcome.curves for n in observables_of(curve)), None)


def _plot(outcome: _Outcome, name: str) -> str:
    from .terminal_plot import Series, draw

    series = [
        Series(config_text(c.others), c.x, c.simulated(name), c.predicted(name))
        for c in outcome.curves
    ]
    return draw(series, outcome.curves[0].field, name)


def _draw(outcome: _Outcome, folder: Path, *, quiet: bool) -> None:
    """The PNG and CSV, named by the model, the field and a hash of everything that was asked."""
    from .picture import save

    name = _main_observable(outcome)
    if name is None:
        return
    request = outcome.request
    asked = [plain({**outcome.config, **outcome.varied}), request.seeds, request.root_seed]
    code = hashlib.sha256(json.dumps([*asked, request.theory]).encode()).hexdigest()[:8]
    stem = f"{request.model.name}-{outcome.curves[0].field}-{code}"
    for path in save(outcome.curves, name, folder, stem):
        (note if quiet else say)(str(path))
