"""The laws about a model's Config: types, immutability, and what it does with bad numbers."""

import dataclasses
import math
import types
import typing
from typing import Any

import numpy as np

from scalinglab.models import Model, Status

_SCALARS = (int, float, str, bool)
_RESERVED = ("seeds", "theory", "json", "key", "out", "window", "store", "help", "seed", "point")


class LawError(AssertionError):
    """A law is broken; the text says how."""


def require_typed(model: Model) -> None:
    """**Raises:** `LawError` for a field that the command line cannot set, or whose name it has."""
    if not dataclasses.is_dataclass(model.Config):
        raise LawError(f"{model.Config.__name__}: is no equinox.Module: make it one")
    hints = typing.get_type_hints(model.Config)
    for field in dataclasses.fields(model.Config):
        if not _is_scalar(hints[field.name]):
            raise LawError(
                f"{field.name}: has type {hints[field.name]}: "
                "use int, float, Literal, or one of these or None"
            )
        if field.name in _RESERVED:
            raise LawError(f"{field.name}: is an option of the command line: rename the field")


def require_frozen(model: Model) -> None:
    """**Raises:** `LawError` when a field of the configuration can be assigned."""
    for field in dataclasses.fields(model.Config):
        try:
            setattr(model.smallest, field.name, getattr(model.smallest, field.name))
        except AttributeError:
            continue
        raise LawError(f"{field.name}: can be assigned: make Config a frozen equinox.Module")


def require_rejection(model: Model, *, key: Any) -> None:
    """**Raises:** `LawError` for a NaN or a negative size that ends neither in a `ValueError`
    naming the field nor in a status."""
    hints = typing.get_type_hints(model.Config)
    for field in dataclasses.fields(model.Config):
        options = _options(hints[field.name])
        if float in options:
            _require_one_rejection(model, field.name, math.nan, key)
        elif int in options:
            _require_one_rejection(model, field.name, -1, key)


def _require_one_rejection(model: Model, name: str, value: int | float, key: Any) -> None:
    try:
        config = dataclasses.replace(model.smallest, **{name: value})
    except ValueError as error:
        if name not in str(error):
            raise LawError(f"{name}: {value} is refused without naming it: {error}") from None
        return
    remedy = f"raise ValueError('{name}: ...') in __check_init__"
    try:
        status = np.asarray(model.simulate(config, key=key)["status"])
    except Exception as error:
        raise LawError(
            f"{name}: {value} is taken, and simulate fails with {type(error).__name__}: {remedy}"
        ) from None
    if math.isnan(value) and int(status) == Status.OK:
        raise LawError(f"{name}: {value} is taken, and the status is OK: {remedy}")


def _options(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def _is_scalar(hint: Any) -> bool:
    return all(
        option in (*_SCALARS, type(None)) or typing.get_origin(option) is typing.Literal
        for option in _options(hint)
    )
