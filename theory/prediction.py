"""What a theory returns, and how one is chosen among several."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Literal

import jax

from scalinglab.models import Status

Kind = Literal["exact", "deterministic_equivalent", "asymptotic", "heuristic", "bound"]
STRICT_KINDS: tuple[Kind, ...] = ("exact", "deterministic_equivalent")


@dataclass(frozen=True)
class Prediction:
    """Observables with the name of the theory that made them, its kind and its stated error.

    **Fields:** `observables` (name to number); `theory`; `kind`; `relative_error`, the stated
    finite-size error (0 where exact); `source`; `status`.
    """

    observables: Mapping[str, Any]
    theory: str
    kind: Kind
    relative_error: float
    source: str
    status: Status = Status.OK


@dataclass(frozen=True)
class Theory:
    """One row of a theory file's `THEORIES` table.

    **Fields:** `name`; `kind`; `observables`, the names it may return; `applies(config)`, whether
    it holds there; `predict(config)`, or `predict(config, key=key)` where `needs_key`, to a
    `Prediction`; `source`; `needs_key`, true for a theory conditional on the draw.
    """

    name: str
    kind: Kind
    observables: tuple[str, ...]
    applies: Callable[[Any], bool]
    predict: Callable[..., Prediction]
    source: str
    needs_key: bool = field(default=False)


def require_float64() -> None:
    """**Raises:** `RuntimeError` with the line that enables float64 when JAX runs without it."""
    if not jax.config.read("jax_enable_x64"):
        raise RuntimeError(
            "theory and fits need float64: call jax.config.update('jax_enable_x64', True) "
            "before the first array is made"
        )


def theories_of(theories: "Sequence[Theory] | ModuleType") -> tuple[Theory, ...]:
    """The table itself, or the one that a module holds as `THEORIES`."""
    return tuple(getattr(theories, "THEORIES", theories))


def choose(theories: Sequence[Theory], config: Any, theory: str | None = None) -> Theory:
    """The named theory, or without a name the first in the table that applies to `config`.

    **Raises:** `ValueError` for an unknown name, for a named theory that does not apply, and
    when none applies.
    """
    names = ", ".join(row.name for row in theories)
    if theory is not None:
        named = [row for row in theories if row.name == theory]
        if not named:
            raise ValueError(f"theory: {theory!r} is unknown; there are {names}")
        if not named[0].applies(config):
            raise ValueError(f"theory: {theory!r} does not apply to {config}")
        return named[0]
    for row in theories:
        if row.applies(config) and not row.needs_key:
            return row
    raise ValueError(f"theory: none of {names} applies to {config}")


def predict_from(
    theories: Sequence[Theory], config: Any, theory: str | None = None, *, key: Any = None
) -> Any:
    """`predict` of a theory file: one `Prediction`, or for `theory='all'` a dict of them by name.

    With `'all'`, theories that need the draw are left out when no `key` is given.

    **Raises:** `ValueError` as `choose` does, and for a theory that needs a key without one.
    """
    require_float64()
    if theory == "all":
        rows = [row for row in theories if row.applies(config)]
        return {
            row.name: _call(row, config, key)
            for row in rows
            if key is not None or not row.needs_key
        }
    return _call(choose(theories, config, theory), config, key)


def _call(row: Theory, config: Any, key: Any) -> Prediction:
    if row.needs_key and key is None:
        raise ValueError(f"key: theory {row.name!r} is conditional on the draw; give key=")
    # Predictions are made on the CPU, in float64, wherever the simulations run.
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        return row.predict(config, key=key) if row.needs_key else row.predict(config)
