"""A fit as plain values for JSON, and back, exact to the last bit.

Python writes a double as the shortest decimal that reads back as the same double, so nothing is
lost. JSON has no infinities and no NaN: they are the texts `"inf"`, `"-inf"` and `"nan"`.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from scalinglab import __version__
from scalinglab.models import Status

from .data import Data
from .fit import Fit
from .law import Law, tied
from .loss import parse_loss

FORMAT = "scalinglab fit"
VERSION = 1

_NUMBERS = ("delta", "objective", "gradient", "share_of_starts")
_COUNTS = ("iterations", "num_starts")
_ARRAYS = ("phi", "residuals", "columns")
_TIES = re.compile(r"\[([^\[\]]*)\]")


def to_dict(fit: Fit) -> dict[str, Any]:
    r"""A fit as numbers, texts, lists and mappings, the data included.

    **Arguments:** `fit`.

    **Returns:** a mapping that `json.dumps(..., allow_nan=False)` takes and `from_dict` reads. The
    law is recorded by its name, with its ties: `chinchilla[alpha=beta]`; the loss as
    `parse_loss` reads it; lists of points are in the order of the data.
    """
    data = fit.data
    return {
        "format": FORMAT,
        "version": VERSION,
        "software": f"scalinglab {__version__}",
        "law": fit.law.name,
        "formula": fit.law.formula,
        "loss": str(fit.loss),
        "space": fit.space,
        "fixed": _plain(fit.fixed),
        "parameters": _plain(fit.parameters),
        "status": fit.status.name,
        **{name: _plain(getattr(fit, name)) for name in (*_NUMBERS, *_COUNTS, *_ARRAYS)},
        "data": {name: _plain(getattr(data, name)) for name in ("x", "y", "weight", "sd", "group")},
    }


def from_dict(record: Mapping[str, Any], law: Law | None = None) -> Fit:
    """The fit that `to_dict` recorded.

    **Arguments:**

    - `record`: as `to_dict` made it, or as JSON gave it back; further fields are ignored.
    - `law`: for a law that is not in the catalogue, with or without its ties.

    **Returns:** the same `Fit`, every number equal to the last bit.

    **Raises:** `ValueError` for another format or version, a field that is missing or malformed, an
    unknown law, and a law whose parameters are not those recorded.
    """
    if record.get("format") != FORMAT or record.get("version") != VERSION:
        told = f"{record.get('format')!r}, version {record.get('version')!r}"
        raise ValueError(
            f"format: {told} is not {FORMAT!r}, version {VERSION}; fit the data again with "
            f"scalinglab {__version__}"
        )
    found = _law(str(_field(record, "law")), law)
    parameters = _numbers(record, "parameters")
    if set(parameters) != set(found.names):
        raise ValueError(
            f"parameters: {', '.join(parameters)} are recorded, and law {found.name} has "
            f"{', '.join(found.names)}; give the law that was fitted"
        )
    data = _data(_field(record, "data"))
    arrays = {name: _array(record, name) for name in _ARRAYS}
    _check_shapes(arrays, len(parameters), len(data.y))
    return Fit(
        law=found,
        data=data,
        loss=parse_loss(str(_field(record, "loss"))),
        space=_one_of(record, "space", ("log", "linear")),
        fixed=_numbers(record, "fixed"),
        parameters={name: parameters[name] for name in found.names},
        status=Status[_one_of(record, "status", tuple(one.name for one in Status))],
        **{name: _number(name, _field(record, name)) for name in _NUMBERS},
        **{name: int(_number(name, _field(record, name))) for name in _COUNTS},
        **arrays,
    )


def _law(name: str, law: Law | None) -> Law:
    """The law of this name, its ties applied: `base[alpha=beta]` is `base` with alpha = beta."""
    if law is not None and law.name == name:
        return law
    base, found = name.split("[")[0], law
    if found is None:
        from .laws import find_law

        found = find_law(base)
    elif found.name != base:
        raise ValueError(f"law: {name!r} is recorded, not {found.name!r}; give that law")
    for ties in _TIES.findall(name):
        pairs = [tie.partition("=") for tie in ties.split(",")]
        found = tied(found, {gone: kept for gone, _, kept in pairs})
    return found


def _data(record: Any) -> Data:
    if not isinstance(record, Mapping):
        raise ValueError(f"data: {record!r} is no mapping; give x, y, weight, sd and group")
    columns = _field(record, "x")
    if not isinstance(columns, Mapping):
        raise ValueError(f"x: {columns!r} is no mapping; give one list an input")
    sd, group = _field(record, "sd"), _field(record, "group")
    return Data(
        {name: _array(columns, name) for name in columns},
        _array(record, "y"),
        weight=_array(record, "weight"),
        sd=None if sd is None else _array(record, "sd"),
        group=None if group is None else np.asarray(group),
    )


def _check_shapes(arrays: Mapping[str, np.ndarray], parameters: int, points: int) -> None:
    expected = {
        "phi": (parameters,),
        "residuals": (points,),
        "columns": (parameters, points),
    }
    for name, shape in expected.items():
        if arrays[name].shape != shape:
            raise ValueError(
                f"{name}: shape {arrays[name].shape} is not {shape}; the record is damaged, fit "
                "the data again"
            )


def _field(record: Mapping[str, Any], name: str) -> Any:
    if name not in record:
        raise ValueError(f"{name}: missing from the record; give what to_dict made")
    return record[name]


def _one_of(record: Mapping[str, Any], name: str, known: tuple[str, ...]) -> Any:
    value = _field(record, name)
    if value not in known:
        raise ValueError(f"{name}: {value!r}; give one of {', '.join(known)}")
    return value


def _numbers(record: Mapping[str, Any], name: str) -> dict[str, float]:
    values = _field(record, name)
    if not isinstance(values, Mapping):
        raise ValueError(f"{name}: {values!r} is no mapping from name to number")
    return {str(key): _number(f"{name}.{key}", value) for key, value in values.items()}


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {value!r} is no number; the record is damaged") from None


def _array(record: Mapping[str, Any], name: str) -> np.ndarray:
    values = _field(record, name)
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: holds something that is no number") from None


def _plain(value: Any) -> Any:
    """Arrays as nested lists; numbers that are not finite as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
