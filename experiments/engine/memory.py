"""How much temporary memory a traced program needs, before it is compiled."""

import math
from collections.abc import Iterator
from typing import Any


def peak_bytes(jaxpr: Any) -> int:
    """The most bytes of intermediate values alive at once, if run in program order.

    A value lives from the equation that makes it to the last that reads it; an equation with a
    body (a loop, a branch, a call) adds the peak of its widest body. Fusion makes the compiled
    program need less, the workspace of a library call a little more.

    **Arguments:** `jaxpr`: a jaxpr, open or closed.
    """
    jaxpr = getattr(jaxpr, "jaxpr", jaxpr)
    last_use = {
        variable: position
        for position, equation in enumerate(jaxpr.eqns)
        for variable in equation.invars
        if not hasattr(variable, "val")
    }
    kept = {variable for variable in jaxpr.outvars if not hasattr(variable, "val")}
    alive: dict[Any, int] = {}
    held = peak = 0
    for position, equation in enumerate(jaxpr.eqns):
        made = {variable: _bytes(variable.aval) for variable in equation.outvars}
        inner = max((peak_bytes(body) for body in _bodies(equation.params)), default=0)
        alive.update(made)
        held += sum(made.values())
        peak = max(peak, held + inner)
        for variable in (*equation.invars, *equation.outvars):
            if hasattr(variable, "val") or variable in kept or variable not in alive:
                continue
            if last_use.get(variable, position) <= position:
                held -= alive.pop(variable)
    return peak


def _bodies(params: dict[str, Any]) -> Iterator[Any]:
    for value in params.values():
        for entry in value if isinstance(value, tuple | list) else (value,):
            if hasattr(entry, "eqns") or hasattr(entry, "jaxpr"):
                yield entry


def _bytes(aval: Any) -> int:
    shape = getattr(aval, "shape", ())
    return math.prod(shape) * getattr(getattr(aval, "dtype", None), "itemsize", 0)
