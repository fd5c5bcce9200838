"""Plain aligned text: tables, numbers, counts in words, JSON without NaN."""

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def say(text: str = "") -> None:
    """One line, or several, on standard output."""
    print(text, flush=True)


def note(text: str) -> None:
    """One line on standard error: progress and warnings, never results."""
    print(text, file=sys.stderr, flush=True)


def columns(
    rows: Iterable[Sequence[str]], *, header: Sequence[str] = (), right: Iterable[int] = ()
) -> str:
    """The rows in aligned columns two spaces apart; the columns in `right` aligned right."""
    lines = [list(row) for row in ([header] if header else [])] + [list(row) for row in rows]
    if not lines:
        return ""
    widths = [max(len(row[i]) for row in lines) for i in range(len(lines[0]))]
    flush_right = set(right)
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i in flush_right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in lines
    )


def indent(text: str, by: str = "  ") -> str:
    """Every line of the text moved right."""
    return "\n".join(by + line if line else line for line in text.splitlines())


def figure(value: Any, digits: int = 5) -> str:
    """A number in `digits` significant figures; a dash for one that is absent or not finite."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return f"{value:.{digits}g}"


def with_error(value: float, error: float) -> str:
    """A measurement to the second digit of its standard error, such as `1.9959 ± 0.0040`."""
    decimals = 1 - math.floor(math.log10(error)) if error > 0 and math.isfinite(error) else -1
    if not (0 <= decimals <= 9 and math.isfinite(value)):
        return f"{figure(value, 4)} ± {figure(error, 2)}"
    return f"{value:.{decimals}f} ± {error:.{decimals}f}"


def value_text(value: Any) -> str:
    """A configuration's value as the command line spells it."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def config_text(config: Mapping[str, Any]) -> str:
    """The fields of a configuration on one line."""
    return "  ".join(f"{name} {value_text(value)}" for name, value in config.items())


def count(number: int, noun: str) -> str:
    """'1 claim', '2 claims'."""
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def plain(value: Any) -> Any:
    """The value for JSON: arrays as lists, numbers that are not finite as null."""
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def say_json(document: Any) -> None:
    """The document on standard output, strictly JSON."""
    say(json.dumps(plain(document), indent=2, allow_nan=False))
