"""A law at given coordinates: parameters, predictions, residuals and their derivatives."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float64, Int

from . import solver
from .coordinates import natural
from .lanes import Table, padded_length
from .law import Law

_BLOCK = 256  # draws evaluated at once, so that few shapes compile


def naturals(
    table: Table, free: Float64[np.ndarray, " parameters"], phi: Float64[np.ndarray, "parameters n"]
) -> dict[str, Float64[np.ndarray, " n"]]:
    """Parameters in the user's units, of the first data set of the table."""
    shift = {name: values[0] for name, values in table.shift.items()}
    with _cpu():
        found = _natural(_padded(phi), free, shift, law=table.law)
    # A jitted function returns a dict in alphabetical order.
    return {name: np.asarray(found[name])[: phi.shape[1]] for name in table.law.names}


def predict(
    table: Table,
    free: Float64[np.ndarray, " parameters"],
    phi: Float64[np.ndarray, "parameters n"],
    x: Mapping[str, Any],
) -> Float64[np.ndarray, "points n"]:
    """The law at inputs in the user's units, in the units of the output."""
    law = table.law
    missing = [name for name in law.inputs if name not in x]
    if missing:
        raise ValueError(f"x: {missing[0]} is missing; law {law.name} reads {law.inputs}")
    columns = {name: np.asarray(x[name], np.float64) for name in law.inputs}
    sizes = {name: column.shape[:1] for name, column in columns.items()}
    if len(set(sizes.values())) != 1 or () in sizes.values():
        raise ValueError(f"x: columns have lengths {sizes}; give one entry a point in each")
    shift = {name: values[0] for name, values in table.shift.items()}
    centred = {
        name: column / np.exp(shift.get(law.unit_of(name), 0.0)) for name, column in columns.items()
    }
    for name in law.inputs:
        if centred[name].ndim == 1 and f"log {name}" in table.x:
            centred[f"log {name}"] = np.log(centred[name])
    points = len(next(iter(columns.values())))
    problem = _problem({k: _lengthened(v)[:, None] for k, v in centred.items()}, table, free)
    with _cpu():
        blocks = [
            np.asarray(solver.predictions(block, problem, law=law, linear=True))
            for block in _blocks(phi)
        ]
    values = np.concatenate(blocks, axis=1)[:points, : phi.shape[1]]
    return values * np.exp(shift.get(law.output, 0.0))


def residuals(
    table: Table,
    free: Float64[np.ndarray, " parameters"],
    phi: Float64[np.ndarray, "parameters sets"],
) -> tuple[Float64[np.ndarray, "points sets"], Float64[np.ndarray, "parameters points sets"]]:
    """Residuals and their derivatives, of every data set at its own coordinates."""
    sets = phi.shape[1]
    which = np.minimum(np.arange(_round_up(sets)), sets - 1)
    problem = _gathered(table, free, which)
    with _cpu():
        z, columns = solver.residuals_and_columns(
            phi[:, which], problem, law=table.law, linear=table.linear
        )
    return np.asarray(z)[:, :sets], np.asarray(columns)[:, :, :sets]


def _gathered(table: Table, free: Any, which: Int[np.ndarray, " lanes"]) -> solver.Problems:
    shared = table.target.shape[1] == 1
    held = np.zeros(1, np.int64) if shared else which
    return solver.Problems(
        x={name: column[:, held] for name, column in table.x.items()},
        target=table.target[:, which],
        weight=table.weight[:, which],
        gain=table.gain[:, held],
        shift={name: values[held] for name, values in table.shift.items()},
        free=np.broadcast_to(free[:, None], (len(free), len(which))),
        delta=np.ones(len(which)),
    )


def _problem(x: Mapping[str, np.ndarray], table: Table, free: Any) -> solver.Problems:
    points = len(next(iter(x.values())))
    nothing = np.zeros((points, _BLOCK))
    return solver.Problems(
        x=x,
        target=nothing,
        weight=nothing,
        gain=nothing[:, :1],
        shift={name: values[:1] for name, values in table.shift.items()},
        free=np.broadcast_to(free[:, None], (len(free), _BLOCK)),
        delta=np.ones(_BLOCK),
    )


@partial(jax.jit, static_argnames="law")
def _natural(phi: Any, free: Any, shift: Any, *, law: Law) -> Any:
    return jax.vmap(lambda one: natural(law, tuple(one), tuple(free), shift), in_axes=1)(phi)


def _blocks(phi: Float64[np.ndarray, "parameters n"]) -> list[np.ndarray]:
    starts = range(0, phi.shape[1], _BLOCK)
    parts = [phi[:, start : start + _BLOCK] for start in starts]
    return [np.pad(part, ((0, 0), (0, _BLOCK - part.shape[1])), mode="edge") for part in parts]


def _padded(phi: Float64[np.ndarray, "parameters n"]) -> np.ndarray:
    missing = _round_up(phi.shape[1]) - phi.shape[1]
    return np.pad(phi, ((0, 0), (0, missing)), mode="edge")


def _round_up(size: int) -> int:
    return 1 << max(size - 1, 1).bit_length()


def _lengthened(column: np.ndarray) -> np.ndarray:
    """The column with its last point repeated, to one of few lengths."""
    missing = padded_length(len(column)) - len(column)
    return np.concatenate([column, np.repeat(column[-1:], missing, axis=0)])


def _cpu() -> Any:
    return jax.default_device(jax.local_devices(backend="cpu")[0])
