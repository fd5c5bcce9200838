"""Fields of configurations, and the checks of their values that all models share.

Every refusal is a `ValueError` of one line: the field, the value, the remedy.
"""

import math
from typing import Any

import equinox as eqx


def field(default: object, symbol: str, allowed: str, doc: str, *, static: bool = False) -> Any:
    """A field of a `Config`, with what `scalinglab show` prints of it.

    **Arguments:** `symbol`, the papers' letter, may be empty; `allowed`, its range in words; `doc`,
    its meaning; `static`, whether a change of the value is another program.
    """
    metadata = {"symbol": symbol, "range": allowed, "doc": doc}
    return eqx.field(default=default, static=static, metadata=metadata)


def require_integer(
    name: str, value: object, low: int, high: int | None = None, *, remedy: str = ""
) -> None:
    """**Raises:** `ValueError` unless `value` is an integer from `low` to `high`, both included.

    `remedy` is what to give instead; by default it is the range.
    """
    top = math.inf if high is None else high
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= top:
        return
    allowed = f"of at least {low}" if high is None else f"in {low}..{high}"
    raise ValueError(f"{name}: {value!r}; {remedy or f'give an integer {allowed}'}")


def require_number(
    name: str,
    value: object,
    *,
    low: int | float = -math.inf,
    high: int | float = math.inf,
    open_low: bool = False,
    open_high: bool = False,
    remedy: str = "",
) -> None:
    """**Raises:** `ValueError` unless `value` is a finite number from `low` to `high`.

    `open_low` and `open_high` exclude the ends; `remedy` is what to give instead, by default the
    range.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        excluded = (open_low and value == low) or (open_high and value == high)
        if low <= value <= high and not excluded and math.isfinite(value):
            return
    bottom = f" {'above' if open_low else 'of at least'} {low:g}" if low > -math.inf else ""
    top = f" {'below' if open_high else 'at most'} {high:g}" if high < math.inf else ""
    allowed = f"{bottom}{' and' if bottom and top else ''}{top}"
    raise ValueError(f"{name}: {value!r}; {remedy or f'give a finite number{allowed}'}")


def require_choices(config: object, **choices: tuple[str, ...]) -> None:
    """**Raises:** `ValueError` unless each named field of `config` is one of its choices."""
    for name, allowed in choices.items():
        value = getattr(config, name)
        if value not in allowed:
            raise ValueError(f"{name}: {value!r}; give one of {', '.join(allowed)}")
