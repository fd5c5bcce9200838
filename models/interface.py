"""What a toy model is: a configuration, `simulate`, and named observables.

A model file ends with ``MODEL = Model(...)``. Nothing has to be subclassed: the engine, the
command line and the law suite need only the fields below, so a user's own file stands on the
same footing as a built-in one.
"""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any


class Status(enum.IntEnum):
    """The outcome of one lane: of one simulation, one root find or one fit."""

    OK = 0
    ILL_CONDITIONED = 1
    INFINITE_MEAN = 2
    NOT_CONVERGED = 3
    NOT_FINITE = 4
    NOT_SEPARABLE = 5

    @property
    def sentence(self) -> str:
        """What happened, and what to change."""
        return _SENTENCES[self]


_SENTENCES = {
    Status.OK: "ok",
    Status.ILL_CONDITIONED: "the linear system is singular to working precision: "
    "raise the ridge, use float64, or move the sizes apart",
    Status.INFINITE_MEAN: "the expectation is infinite here: "
    "raise the ridge or move the sizes apart",
    Status.NOT_CONVERGED: "the solver stopped before its tolerance: raise its step limit",
    Status.NOT_FINITE: "the result is not a finite number: look for an overflow in the inputs",
    Status.NOT_SEPARABLE: "no hyperplane separates the examples to working precision: "
    "use float64, or fewer examples",
}


@dataclass(frozen=True)
class Observable:
    """One named result of `simulate` and of the theories: its meaning, unit and axes."""

    description: str
    unit: str = "1"
    axes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stages:
    """A long simulation cut into stages, so that a sweep can stop and go on inside it.

    The engine runs the three parts as programs of their own and keeps the state of a running unit
    in the store; `simulate` composes them into one.

    **Arguments:**

    - `count`: `count(config)`, the number of stages, at least 1, from static fields only. A stage
      should take seconds: what a killed run loses is at most one stage and half a minute.
    - `start`: `start(config, *, key)` to the state before the first stage, a pytree of arrays.
    - `advance`: `advance(config, state, stage, *, key)` to the state after the stage of that
      number, an int32; random numbers come from `fold_in` of the key with the stage or with a
      step counter, so that they do not depend on where a run was cut.
    - `finish`: `finish(config, state, *, key)` to the observables.
    """

    count: Callable[[Any], int]
    start: Callable[..., Any]
    advance: Callable[..., Any]
    finish: Callable[..., Mapping[str, Any]]

    def simulate(self, config: Any, *, key: Any) -> Mapping[str, Any]:
        """The whole simulation in one program."""
        # The command line reads this module before it knows whether it needs JAX.
        import jax.numpy as jnp
        from jax import lax

        def advance(stage: Any, state: Any) -> Any:
            return self.advance(config, state, stage, key=key)

        first = self.start(config, key=key)
        last = lax.fori_loop(jnp.int32(0), jnp.int32(self.count(config)), advance, first)
        return self.finish(config, last, key=key)


@dataclass(frozen=True)
class Model:
    """A toy model of scaling.

    **Arguments:**

    - `name`: as on the command line, words joined by hyphens.
    - `summary`: one line for `scalinglab list`.
    - `version`: raised by hand whenever the numbers of `simulate` change; it is part of the key
      under which results are stored. For a model outside this package the engine adds the hash of
      the file that defines `simulate`.
    - `Config`: the frozen `equinox.Module` that sets the model.
    - `simulate`: `simulate(config, *, key)` to a mapping from observable name to array, with
      an integer `status` among them; pure, and safe under `jit` and `vmap`.
    - `observables`: name to `Observable`, for every name that `simulate` may return.
    - `smallest`: the cheapest meaningful configuration, on which the law suite runs.
    - `stages`: for long simulations, the `Stages` that `simulate` is composed of.
    - `draw`: `draw(config, *, key)` to the random objects, where a theory needs them.
    - `check`: `check(config)` raises `ValueError` where a valid configuration cannot be simulated
      (an infinite spectrum, an infinite mean); called on concrete numbers before a sweep starts.
    - `equation`, `symbols`, `sources`: what `scalinglab show` prints. `sources` maps a citation
      key to a BibTeX entry.
    """

    name: str
    summary: str
    version: int | str
    Config: type[Any]
    simulate: Callable[..., Mapping[str, Any]]
    observables: Mapping[str, Observable]
    smallest: Any
    stages: Stages | None = None
    draw: Callable[..., Any] | None = None
    check: Callable[[Any], None] | None = None
    equation: str = ""
    symbols: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)


def as_model(model: "Model | ModuleType") -> Model:
    """The `Model` itself, or the one that a module holds as `MODEL`.

    **Raises:** `ValueError` when there is none.
    """
    found = getattr(model, "MODEL", model)
    if not isinstance(found, Model):
        raise ValueError(
            f"model: {model!r} is neither a scalinglab.models.Model nor a module that holds one "
            "as MODEL"
        )
    return found
