"""One spelling of a configuration, so that equal configurations have equal digests everywhere.

A field is spelled with its type and its exact value: a float by its hexadecimal digits, so that
no rounding of a decimal print can join or split two configurations, and an int in a field typed
`float` as that float. The spelling names the model and its version but no module, so that moving
a file changes no key.
"""

import dataclasses
import hashlib
import json
import math
import typing
from collections.abc import Mapping
from typing import Any


def field_types(Config: type[Any]) -> dict[str, Any]:
    """Field name to its resolved annotation, for every field that the constructor takes."""
    hints = typing.get_type_hints(Config)
    return {
        field.name: hints.get(field.name, Any) for field in dataclasses.fields(Config) if field.init
    }


def normal_value(value: Any, hint: Any) -> Any:
    """The Python scalar behind a NumPy one; an int in a float field as a float; -0.0 as 0.0."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()
    if isinstance(value, int) and not isinstance(value, bool) and _takes(hint, float):
        value = value if _takes(hint, int) else float(value)
    return value + 0.0 if isinstance(value, float) else value


def config_fields(config: Any) -> dict[str, Any]:
    """Field name to normalised value.

    **Raises:** `ValueError` for a value that is no int, float, str, bool, None or tuple of these.
    """
    hints = field_types(type(config))
    values = {name: normal_value(getattr(config, name), hint) for name, hint in hints.items()}
    for name, value in values.items():
        _spelling(name, value)
    return values


def config_from(Config: type[Any], values: Mapping[str, Any]) -> Any:
    """The configuration with these field values, as stored in JSON or on a coordinate.

    An infinite float in a field typed `int | None` is `None`, and a whole float in an int field
    is that int: the two ways in which a coordinate holds a size.
    """
    hints = field_types(Config)
    return Config(**{name: _from_stored(value, hints[name]) for name, value in values.items()})


def config_digest(model_name: str, version: int | str, config: Any) -> str:
    """The sha256, in hexadecimal, of a model's name, its version and every field of `config`."""
    fields = {name: _spelling(name, value) for name, value in config_fields(config).items()}
    return digest({"model": model_name, "version": [str(version)], "config": fields})


def digest(document: Any) -> str:
    """The sha256, in hexadecimal, of a JSON document in its one canonical spelling."""
    return hashlib.sha256(canonical_json(document)).hexdigest()


def canonical_json(document: Any) -> bytes:
    """The document with sorted keys and no spaces, in ASCII."""
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")


def spelled(name: str, values: Any) -> list[Any]:
    """The canonical spelling of a sequence of values of the field `name`."""
    return [_spelling(name, value) for value in values]


def _spelling(name: str, value: Any) -> Any:
    if value is None or isinstance(value, bool | str):
        return [type(value).__name__, value]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", value.hex()]
    if isinstance(value, tuple):
        return ["tuple", [_spelling(name, entry) for entry in value]]
    raise ValueError(
        f"{name}: a value of type {type(value).__name__} cannot be stored; "
        "use an int, float, str, bool, None or a tuple of these"
    )


def _from_stored(value: Any, hint: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, list):
        return tuple(_from_stored(entry, Any) for entry in value)
    if isinstance(value, float) and _takes(hint, int) and not _takes(hint, float):
        if math.isinf(value) and _takes(hint, type(None)):
            return None
        if value.is_integer():
            return int(value)
    return normal_value(value, hint)


def _takes(hint: Any, kind: type) -> bool:
    return hint is kind or any(option is kind for option in typing.get_args(hint))
