"""A scaling law as data: named parameters with units, and one pure function.

The unit of a parameter says how it changes with the units of the inputs and of the output. In
$L = E + A N^{-\\alpha}$, counting N in millions divides $N$ by $10^6$ and $A$ by
$10^{6\\alpha}$: the unit of A is `{"L": 1, "N": "alpha"}`. From these units alone the solver
centres every input and the output on their geometric means, which takes the condition number of
the Chinchilla law from 2000 to 62, and maps the result back exactly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

Constraint = Literal["positive", "real"] | tuple[float, float]
Power = float | int | str | Callable[[Mapping[str, Any]], Any]
Status = Literal["verified", "unverified"]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a law.

    **Arguments:**

    - `name`: a Python identifier, as in the law's paper, spelled out.
    - `constraint`: `"positive"`, `"real"`, or an open interval `(low, high)`.
    - `unit`: name of an input or of the output to the power in which it enters the parameter's
      unit: a number, the name of a dimensionless parameter (`"alpha"`, or `"-alpha"`), or a
      function of the dimensionless parameters. Empty for a dimensionless parameter.
    - `start`: where starts are drawn, once inputs and output are centred on 1; geometric for a
      positive parameter. By default (0.05, 2.7) for a positive parameter with a unit,
      (0.05, 1.5) for one without, (-1.5, 1.5) for a real one, the whole of an interval.
    - `limits`: hard limits in the same centred units, reported when hit. By default e^±60 for a
      positive parameter with a unit, (1e-4, 10) for one without, (-10, 10) for a real one.
    - `linear`: whether the law is linear in it, with nonnegative coefficient; all such
      parameters together have their columns in `Law.columns`.
    - `meaning`: a few words for `scalinglab laws`.
    """

    name: str
    constraint: Constraint = "positive"
    unit: Mapping[str, Power] = field(default_factory=dict)
    start: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None
    linear: bool = False
    meaning: str = ""

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise ValueError(f"name: {self.name!r} is not a Python identifier; rename it")
        if isinstance(self.constraint, tuple) and not self.constraint[0] < self.constraint[1]:
            raise ValueError(
                f"constraint: {self.constraint} of {self.name} is empty; give (low, high)"
            )
        if self.unit and isinstance(self.constraint, tuple):
            raise ValueError(
                f"unit: {self.name} lies in {self.constraint} and has a unit, in which its "
                "interval would change; make it positive or real, or leave the unit out"
            )

    @property
    def start_range(self) -> tuple[float, float]:
        """Where starts are drawn."""
        if self.start is not None:
            return self.start
        if isinstance(self.constraint, tuple):
            low, high = self.constraint
            return low + 0.02 * (high - low), high - 0.02 * (high - low)
        if self.constraint == "real":
            return -1.5, 1.5
        return (0.05, 2.7) if self.unit else (0.05, 1.5)


@dataclass(frozen=True, eq=False)
class Law:
    r"""A parametric law $L(x; \theta)$.

    **Arguments:**

    - `name`: as on the command line, words joined by hyphens.
    - `parameters`: in the order of the result.
    - `inputs`: names of the columns that the law reads.
    - `log_predict`: `log_predict(theta, x)` to $\log L$ at one point, with `theta` a mapping from
      parameter to number and `x` a mapping from input to number (or to an array with axes of its
      own, such as a schedule); `x["log N"]` is the logarithm of input N. Pure and elementwise:
      it runs under `vmap` and `jvp`. NaN means that the law has no value there.
    - `formula`, `source`: text, and the arXiv id with its equation or section.
    - `output`: name of what is predicted, used in units.
    - `same_unit`: input to the input whose unit it shares.
    - `columns`: `columns(theta, x)` to the tuple of $\partial L / \partial \theta_k$ of the linear
      parameters, in order. It gives starts by variable projection.
    - `starts`: `starts(x, y)` to an array (starts, parameters) of natural values, from centred
      arrays (points,); tried before the generic ones.
    - `space`: whether residuals are taken of $\log L$ (default) or of $L$.
    - `constant`: name of the irreducible loss, if any, for the diagnostics.
    - `status`: `"unverified"` where the formula was not read again in its paper.
    - `example`: parameters and, for each input, its range or values on which the law is tested.
    """

    name: str
    parameters: tuple[Parameter, ...]
    inputs: tuple[str, ...]
    log_predict: Callable[[Mapping[str, Any], Mapping[str, Any]], Any]
    formula: str = ""
    source: str = ""
    output: str = "L"
    same_unit: Mapping[str, str] = field(default_factory=dict)
    columns: Callable[[Mapping[str, Any], Mapping[str, Any]], tuple[Any, ...]] | None = None
    starts: Callable[[Mapping[str, Any], Any], Any] | None = None
    space: Literal["log", "linear"] = "log"
    constant: str | None = None
    status: Status = "verified"
    example: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = self.names
        if len(set(names)) < len(names):
            raise ValueError(f"parameters: {names} of law {self.name} repeat a name; rename one")
        known = {self.output, *(self.unit_of(name) for name in self.inputs)}
        plain = {one.name for one in self.parameters if not one.unit}
        for one in self.parameters:
            for what, power in one.unit.items():
                if what not in known:
                    raise ValueError(
                        f"unit: {one.name} of law {self.name} names {what!r}; give one of {known}"
                    )
                if isinstance(power, str) and power.removeprefix("-") not in plain:
                    raise ValueError(
                        f"unit: {one.name} of law {self.name} has the power {power!r}; give a "
                        f"number or a dimensionless parameter, one of {sorted(plain)}"
                    )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters."""
        return tuple(one.name for one in self.parameters)

    def unit_of(self, name: str) -> str:
        """The input whose unit this input has: itself unless `same_unit` says otherwise."""
        return self.same_unit.get(name, name)

    @property
    def scaled(self) -> tuple[str, ...]:
        """Inputs and output in whose unit some parameter is, so that they can be centred."""
        return tuple(dict.fromkeys(what for one in self.parameters for what in one.unit))

    def check_names(self, field_name: str, names: Any) -> None:
        """**Raises:** `ValueError` for a name that is no parameter of the law."""
        for name in names:
            if name not in self.names:
                raise ValueError(
                    f"{field_name}: {name!r} is no parameter of law {self.name}; give one of "
                    f"{', '.join(self.names)}"
                )


def power_of(power: Power, theta: Mapping[str, Any]) -> Any:
    """The power of a unit at these values of the dimensionless parameters."""
    if callable(power):
        return power(theta)
    if isinstance(power, str):
        return -theta[power[1:]] if power.startswith("-") else theta[power]
    return float(power)


def tied(law: Law, ties: Mapping[str, str]) -> Law:
    r"""The law with some parameters held equal to others, such as `{"alpha": "beta"}`.

    **Arguments:** `ties`, from the parameter that goes to the one that it follows; both have the
    same constraint and unit.

    **Raises:** `ValueError` for an unknown name, a chain of ties, and parameters that differ in
    constraint or unit, so that being equal would depend on the units.
    """
    law.check_names("tie", [*ties, *ties.values()])
    return _tied(law, tuple(sorted(ties.items())))


@lru_cache(maxsize=64)
def _tied(law: Law, ties: tuple[tuple[str, str], ...]) -> Law:
    followed = dict(ties)
    by_name = {one.name: one for one in law.parameters}
    for gone, kept in followed.items():
        if kept in followed or gone == kept:
            raise ValueError(f"tie: {gone} = {kept} is a chain; tie every name to one that stays")
        first, second = by_name[gone], by_name[kept]
        if first.constraint != second.constraint or first.unit or second.unit:
            raise ValueError(
                f"tie: {gone} = {kept} has different constraints, or a unit; "
                "only dimensionless parameters of one kind can be tied"
            )

    def full(theta: Mapping[str, Any]) -> dict[str, Any]:
        return {**theta, **{gone: theta[kept] for gone, kept in followed.items()}}

    def renamed(power: Power) -> Power:
        if not isinstance(power, str):
            return (lambda theta: power(full(theta))) if callable(power) else power
        sign = "-" if power.startswith("-") else ""
        name = power.removeprefix("-")
        return sign + followed.get(name, name)

    kept = tuple(
        replace(one, unit={what: renamed(power) for what, power in one.unit.items()})
        for one in law.parameters
        if one.name not in followed
    )
    columns, starts = law.columns, law.starts
    rows = [law.names.index(one.name) for one in kept]
    return replace(
        law,
        name=f"{law.name}[{','.join(f'{gone}={kept_}' for gone, kept_ in ties)}]",
        parameters=kept,
        log_predict=lambda theta, x: law.log_predict(full(theta), x),
        columns=None if columns is None else lambda theta, x: columns(full(theta), x),
        starts=None if starts is None else lambda x, y: starts(x, y)[:, rows],
    )
