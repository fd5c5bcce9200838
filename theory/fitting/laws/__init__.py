"""The catalogue of laws, by name. Every module of this folder ends with its `LAWS`."""

import importlib

from scalinglab.theory.fitting.law import Law

_MODULES = (
    "power",
    "broken",
    "m4",
    "u_shape",
    "joint",
    "data_use",
    "batch",
    "annealing",
    "schedules",
    "parallel",
    "routing",
    "experts",
    "precision",
    "translation",
    "links",
    "pass_until",
)

LAWS: dict[str, Law] = {
    law.name: law
    for module in _MODULES
    for law in importlib.import_module(f"{__name__}.{module}").LAWS
}


def find_law(name: str) -> Law:
    """The law of the catalogue with this name.

    **Raises:** `ValueError` for an unknown name, with those that are nearest.
    """
    if name not in LAWS:
        import difflib

        near = difflib.get_close_matches(name, LAWS, n=3) or sorted(LAWS)
        raise ValueError(f"law: {name!r} is unknown; did you mean {' or '.join(near)}?")
    return LAWS[name]
