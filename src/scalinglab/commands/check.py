"""`scalinglab check MODEL`: the law suite, on a built-in model or a user's own."""

from collections.abc import Sequence

from . import runtime
from .arguments import Parser, require
from .loading import is_known, load_model
from .output import columns, count, say, say_json


def run(arguments: Sequence[str]) -> int:
    """Prints the laws with their verdicts. **Returns:** 1 when one is broken."""
    parser = Parser("check", "Runs the laws that every model obeys, on its smallest configuration.")
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a name, my_module:my_model, or path/to/file.py:my_model",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.read(arguments)
    name = require(options.model, "MODEL", "give a name, or module:attribute")
    is_known("model", name)
    runtime.start()
    model, theories = load_model(name)
    from scalinglab.experiments.laws import obey

    outcomes = obey(model, theories)
    broken = [outcome for outcome in outcomes if not outcome.passed]
    if options.json:
        say_json({"model": model.name, "laws": [vars(outcome) for outcome in outcomes]})
        return 1 if broken else 0
    say(f"{model.name}: {count(len(outcomes), 'law')}, {count(len(theories), 'theory')}")
    rows = [["pass" if o.passed else "FAIL", o.law, o.reason] for o in outcomes]
    say(columns(rows))
    say("every law is obeyed" if not broken else f"{count(len(broken), 'law')} broken")
    return 1 if broken else 0
