"""A sweep: fields of a configuration to values, crossed or zipped, and a number of seeds."""

import dataclasses
import difflib
import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .canonical import field_types, normal_value

_RESERVED = ("seed", "point")


@dataclass(frozen=True)
class Sweep:
    """Simulations of one model over a set of configurations and seeds.

    **Arguments:**

    - `model`: anything with `name`, `version`, `simulate` and `observables`, or a module that
      holds one as `MODEL`.
    - `base`: the configuration that the other fields are taken from.
    - `crossed`: field name to values; each is a dimension of the result, in this order.
    - `zipped`: field name to values of one common length; together they are the dimension
      `point` of the result, after the crossed ones.
    - `seeds`: how many independent lanes at each configuration, at least 1; the last dimension.
    - `common_numbers`: give every configuration the same random numbers at the same seed.
      Lanes are then dependent across configurations: resample whole seeds in a fit.
    - `root_seed`: an integer in [0, 2^32); another one gives an independent sweep.

    **Raises:** `ValueError` with field, value and remedy for an unknown field, empty or repeated
    values, zipped fields of unequal lengths, a field both crossed and zipped, `seeds < 1`.
    """

    model: Any
    base: Any
    crossed: Mapping[str, Any] = field(default_factory=dict)
    zipped: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    common_numbers: bool = field(default=False, kw_only=True)
    root_seed: int = field(default=0, kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", getattr(self.model, "MODEL", self.model))
        _check_model(self.model)
        hints = field_types(type(self.base))
        for kind in ("crossed", "zipped"):
            given = getattr(self, kind)
            for name in given:
                check_field(name, type(self.base))
            values = {name: _values(name, given[name], hints[name]) for name in given}
            object.__setattr__(self, kind, values)
        _check_axes(self.crossed, self.zipped)
        _check_count("seeds", self.seeds, 1)
        _check_count("root_seed", self.root_seed, 0)

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the dimensions of configurations: the crossed ones, then `point`."""
        lengths = [len(values) for values in self.crossed.values()]
        return (*lengths, *[len(values) for values in list(self.zipped.values())[:1]])

    @property
    def dims(self) -> tuple[str, ...]:
        """The names of the dimensions of configurations."""
        return (*self.crossed, *(["point"] if self.zipped else []))

    @property
    def lanes(self) -> int:
        """The number of simulations: configurations times seeds."""
        return math.prod(self.shape) * self.seeds

    def points(self) -> list[Any]:
        """The configurations in row-major order of `dims`, each built and so validated."""
        crossed = [[(name, value) for value in values] for name, values in self.crossed.items()]
        rows = [
            [(name, self.zipped[name][i]) for name in self.zipped]
            for i in range(len(next(iter(self.zipped.values()), ())))
        ] or [[]]
        hints = field_types(type(self.base))
        base = {name: normal_value(getattr(self.base, name), hints[name]) for name in hints}
        return [
            dataclasses.replace(self.base, **{**base, **dict(fields), **dict(row)})
            for fields in itertools.product(*crossed)
            for row in rows
        ]


def check_field(name: str, Config: type[Any]) -> None:
    """**Raises:** `ValueError` with the nearest name when `Config` has no field `name`."""
    names = list(field_types(Config))
    if name in names:
        return
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names)}"
    raise ValueError(f"{name}: no such field; {hint}")


def _check_model(model: Any) -> None:
    missing = [
        name for name in ("name", "version", "simulate", "observables") if not hasattr(model, name)
    ]
    if missing:
        raise ValueError(
            f"model: {model!r} has no {', '.join(missing)}; "
            "give a scalinglab.models.Model or a module that holds one as MODEL"
        )


def _values(name: str, values: Any, hint: Any) -> tuple[Any, ...]:
    if isinstance(values, str | bytes) or not hasattr(values, "__iter__"):
        raise ValueError(f"{name}: {values!r} is not a sequence of values; write [{values!r}]")
    found = tuple(normal_value(value, hint) for value in values)
    if not found:
        raise ValueError(f"{name}: no values given; give at least one or leave the field out")
    return found


def _check_axes(crossed: Mapping[str, Any], zipped: Mapping[str, Any]) -> None:
    for name in (*crossed, *zipped):
        if name in _RESERVED:
            raise ValueError(f"{name}: the name of a dimension of every result; rename the field")
    for name in crossed:
        if name in zipped:
            raise ValueError(f"{name}: both crossed and zipped; give it in one of the two")
        repeated = [v for i, v in enumerate(crossed[name]) if v in crossed[name][:i]]
        if repeated:
            raise ValueError(f"{name}: {repeated[0]!r} is given twice; give each value once")
    lengths = {name: len(values) for name, values in zipped.items()}
    if len(set(lengths.values())) > 1:
        given = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ValueError(f"{next(iter(lengths))}: zipped fields differ in length: {given}")


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**32:
        raise ValueError(f"{name}: {value!r} is not a whole number in [{least}, 2^32)")
