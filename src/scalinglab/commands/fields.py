"""A Config's fields on the command line: each takes one value or several, read by tyro."""

import contextlib
import dataclasses
import io
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalinglab.registry import nearest

from .arguments import UsageError
from .output import columns, value_text


@dataclass(frozen=True)
class FieldRow:
    """One field: its type, its default, and what its metadata says of it."""

    name: str
    hint: Any
    default: Any
    metadata: Mapping[str, Any]

    @property
    def flag(self) -> str:
        """As on the command line."""
        return "--" + self.name.replace("_", "-")

    @property
    def takes_int(self) -> bool:
        """Whether it is a size or a count."""
        return int in options(self.hint)


def options(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union; the type itself otherwise."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return typing.get_args(hint)
    return (hint,)


def field_rows(model: Any) -> tuple[FieldRow, ...]:
    """The fields of the model's Config; one without a default has that of `smallest`."""
    hints = typing.get_type_hints(model.Config)
    return tuple(
        FieldRow(
            field.name,
            hints[field.name],
            getattr(model.smallest, field.name)
            if field.default is dataclasses.MISSING
            else field.default,
            field.metadata,
        )
        for field in dataclasses.fields(model.Config)
        if field.init
    )


def type_text(hint: Any) -> str:
    """The type in words: 'int or None', 'fixed | isotropic'."""
    names = []
    for option in options(hint):
        if typing.get_origin(option) is typing.Literal:
            names.append(" | ".join(str(value) for value in typing.get_args(option)))
        else:
            names.append("None" if option is type(None) else option.__name__)
    return " or ".join(names)


def wanted(hint: Any) -> str:
    """What to give for a field of that type."""
    words = {int: "an integer", float: "a number", str: "a text", bool: "True or False"}
    found = []
    for option in options(hint):
        if typing.get_origin(option) is typing.Literal:
            found.append("one of " + ", ".join(str(value) for value in typing.get_args(option)))
        else:
            found.append("None" if option is type(None) else words.get(option, option.__name__))
    return " or ".join(found)


def field_table(model: Any) -> str:
    """Flags, types, defaults, ranges and meanings, aligned."""
    rows = [
        [
            row.flag,
            type_text(row.hint),
            value_text(row.default),
            row.metadata.get("symbol", ""),
            _range_text(row),
            row.metadata.get("doc", ""),
        ]
        for row in field_rows(model)
    ]
    header = ["field", "type", "default", "symbol", "range", ""]
    kept = [i for i in range(len(header)) if any(row[i] for row in rows)]
    return columns([[row[i] for i in kept] for row in rows], header=[header[i] for i in kept])


def _range_text(row: FieldRow) -> str:
    """The range, where it says more than the type."""
    allowed = row.metadata.get("range", "")
    return "" if allowed == type_text(row.hint) else allowed


def read_fields(
    model: Any, arguments: Sequence[str], other_flags: Sequence[str] = ()
) -> dict[str, tuple[Any, ...]]:
    """Field name to the values given for it.

    **Arguments:** `other_flags`: options that are no fields, to suggest for a mistyped one.

    **Raises:** `UsageError` for an unknown field, one given twice or without a value, and a value
    of another type.
    """
    rows = {row.flag: row for row in field_rows(model)}
    given = _given(rows, arguments, other_flags)
    generated = dataclasses.make_dataclass(
        "Fields",
        [
            (row.name, tuple[row.hint, ...], dataclasses.field(default=(row.default,)))
            for row in rows.values()
        ],
    )
    spelled = [text for flag, values in given.items() for text in (flag, *values)]
    read = _tyro(generated, spelled)
    if read is None:
        _refuse_value(rows, given)
        raise UsageError(f"fields: {' '.join(spelled)}: see scalinglab show {model.name}")
    return {rows[flag].name: getattr(read, rows[flag].name) for flag in given}


def _given(
    rows: Mapping[str, FieldRow], arguments: Sequence[str], other_flags: Sequence[str]
) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    values: list[str] | None = None
    for text in arguments:
        if not text.startswith("--"):
            if values is None:
                raise UsageError(f"{text!r}: a value without a field: write --FIELD {text}")
            values.append(text)
            continue
        flag, equals, value = text.partition("=")
        flag = flag.replace("_", "-")
        if flag not in rows:
            remedy = nearest(flag, [*rows, *other_flags])
            raise UsageError(f"{flag.lstrip('-').replace('-', '_')}: no such field: {remedy}")
        if flag in given:
            raise UsageError(f"{rows[flag].name}: given twice: write all values after one {flag}")
        values = given[flag] = [value] if equals else []
    for flag, found in given.items():
        if not found:
            raise UsageError(f"{rows[flag].name}: no value: give {wanted(rows[flag].hint)}")
        repeated = [text for i, text in enumerate(found) if text in found[:i]]
        if repeated:
            raise UsageError(f"{rows[flag].name}: {repeated[0]} is given twice: give it once")
    return given


def _refuse_value(rows: Mapping[str, FieldRow], given: Mapping[str, Sequence[str]]) -> None:
    """**Raises:** `UsageError` for the first value that tyro does not take on its own."""
    for flag, values in given.items():
        for text in values:
            if _tyro(tuple[rows[flag].hint, ...], [text]) is None:
                raise UsageError(f"{rows[flag].name}: {text!r}: give {wanted(rows[flag].hint)}")


def _tyro(kind: Any, arguments: Sequence[str]) -> Any:
    """What tyro reads, or None; the box that it would draw around an error is left out."""
    import tyro

    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            return tyro.cli(kind, args=list(arguments), console_outputs=False)
        except SystemExit:
            return None
