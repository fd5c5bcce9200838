"""`scalinglab laws [NAME]`: the catalogue of scaling laws."""

import re
from collections.abc import Sequence
from typing import Any

from . import runtime
from .arguments import Parser
from .output import columns, count, say, say_json


def run(arguments: Sequence[str]) -> int:
    """Prints the catalogue, or the page of one law."""
    parser = Parser("laws", "Lists the scaling laws that scalinglab fit knows, or explains one.")
    parser.add_argument("law", nargs="?", metavar="NAME", help="one law: its parameters")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.read(arguments)
    runtime.start()
    from scalinglab.theory.fitting.laws import LAWS, find_law

    laws = list(LAWS.values()) if options.law is None else [find_law(options.law)]
    if options.json:
        say_json({law.name: _document(law) for law in laws})
    else:
        say(_catalogue(laws) if options.law is None else _page(laws[0]))
    return 0


def _catalogue(laws: Sequence[Any]) -> str:
    rows = [
        [law.name, ", ".join(law.inputs), _short_source(law), law.status, law.formula]
        for law in laws
    ]
    doubtful = sum(law.status != "verified" for law in laws)
    told = f"; the formula of {doubtful} was not read again in its paper" if doubtful else ""
    table = columns(rows, header=["law", "inputs", "source", "", "formula"])
    return f"{table}\n\n{count(len(laws), 'law')}{told}; scalinglab laws NAME explains one"


def _short_source(law: Any) -> str:
    """The first arXiv id of the source, or its beginning."""
    found = re.search(r"arXiv \d{4}\.\d{4,5}", law.source)
    return found.group() if found else law.source.split(",")[0].split(";")[0] or "-"


def _page(law: Any) -> str:
    rows = [
        [one.name, _constraint(one), unit_text(one), one.meaning or "-"] for one in law.parameters
    ]
    space = f"log {law.output}" if law.space == "log" else law.output
    given = " ".join(f"{name}=COLUMN" for name in law.inputs)
    parts = [
        f"{law.name}: {law.formula}",
        f"source: {law.source or '-'}; {law.status}",
        f"inputs: {', '.join(law.inputs)}; output: {law.output}; residuals of {space}",
        "",
        columns(rows, header=["parameter", "constraint", "unit", ""]),
        "",
        f"scalinglab fit runs.csv --law {law.name} --loss-column COLUMN --inputs {given}",
    ]
    return "\n".join(parts)


def _constraint(parameter: Any) -> str:
    if isinstance(parameter.constraint, tuple):
        low, high = parameter.constraint
        return f"in ({low:g}, {high:g})"
    return parameter.constraint


def unit_text(parameter: Any) -> str:
    """The unit of a parameter, such as `L N^alpha`; 1 for a dimensionless one."""
    parts = []
    for what, power in parameter.unit.items():
        if callable(power):
            parts.append(f"{what}^(...)")
        elif isinstance(power, str):
            parts.append(f"{what}^{power}")
        else:
            parts.append(what if power == 1 else f"{what}^{power:g}")
    return " ".join(parts) or "1"


def _document(law: Any) -> dict[str, Any]:
    return {
        "formula": law.formula,
        "inputs": list(law.inputs),
        "output": law.output,
        "space": law.space,
        "source": law.source,
        "status": law.status,
        "parameters": {
            one.name: {
                "constraint": _constraint(one),
                "unit": unit_text(one),
                "meaning": one.meaning,
            }
            for one in law.parameters
        },
    }
