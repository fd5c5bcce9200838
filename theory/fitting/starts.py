"""Where fits start: variable projection on a grid of exponents, then a Sobol sequence.

Centred inputs and output make one box of starts serve every data set. Where a law is linear in
its amplitudes, the best nonnegative amplitudes at given exponents solve a small quadratic problem,
so that only the exponents need a grid.
"""

import itertools
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64
from scipy.stats import qmc

from .coordinates import start_box, to_working
from .lanes import Table
from .law import Law, Parameter

PROJECTED = 4  # starts by variable projection; the first alone was enough on the Chinchilla points
_GRID = {1: 24, 2: 8, 3: 5}  # values a nonlinear parameter
_SOBOL_POINTS = 64  # where there are more nonlinear parameters
_SMALLEST = 1e-4  # for an amplitude projected to zero, so that it can grow again


def starts(table: Table, dataset: int, count: int) -> Float64[np.ndarray, "parameters starts"]:
    """Deterministic starts in working coordinates, the most promising first.

    **Arguments:** `count`, how many at most by the Sobol sequence; those by variable projection
    and those of the law itself come on top.
    """
    law = table.law
    used = table.weight[:, dataset] > 0.0
    x = {name: column[:, dataset] for name, column in table.x.items()}
    target = table.target[:, dataset]
    y = target if table.linear else np.exp(target)
    found = []
    if law.starts is not None:
        own = {name: column[used] for name, column in x.items()}
        found.append(_working(law, np.asarray(law.starts(own, y[used]), np.float64).T))
    if law.columns is not None:
        found.append(_working(law, _projected(law, x, y, used)))
    found.append(sobol(law, count))
    return np.concatenate(found, axis=1)


def sobol(law: Law, count: int) -> Float64[np.ndarray, "parameters starts"]:
    """The first points of an unscrambled Sobol sequence in the box of starts."""
    low, high = start_box(law)
    if count == 0:
        return np.empty((len(low), 0))
    power = max(int(count).bit_length(), 1)
    unit = qmc.Sobol(len(low), scramble=False).random_base2(power)[1 : count + 1]
    return (low + (high - low) * unit).T


def _projected(
    law: Law, x: dict[str, Any], y: Any, used: Any
) -> Float64[np.ndarray, "parameters starts"]:
    """The best `PROJECTED` points of a grid of exponents, with their best amplitudes."""
    linear = [index for index, one in enumerate(law.parameters) if one.linear]
    curved = [index for index in range(len(law.parameters)) if index not in linear]
    grid = _exponent_grid([law.parameters[index] for index in curved])
    names = [law.parameters[index].name for index in curved]
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        basis = _columns(law, {name: grid[i] for i, name in enumerate(names)}, x)
    amplitudes, misfit = _nonnegative(
        (np.asarray(basis) / y[:, None])[:, used], np.ones(used.sum())
    )
    best = np.argsort(misfit, kind="stable")[:PROJECTED]
    theta = np.empty((len(law.parameters), len(best)))
    theta[curved] = grid[:, best]
    theta[linear] = np.maximum(amplitudes[best].T, _SMALLEST)
    return theta


@partial(jax.jit, static_argnames="law")
def _columns(law: Law, theta: dict[str, Any], x: dict[str, Any]) -> Float64[Any, "..."]:
    """The columns (grid, points, linear parameters)."""
    columns = law.columns
    assert columns is not None

    def at(one_theta: Any, one_x: Any) -> Any:
        return jnp.stack([jnp.broadcast_to(c, ()) for c in columns(one_theta, one_x)])

    per_point = jax.vmap(at, in_axes=(None, 0))
    return jax.vmap(per_point, in_axes=(0, None))(theta, x)


def _exponent_grid(parameters: list[Parameter]) -> Float64[np.ndarray, "curved grid"]:
    if not parameters:
        return np.empty((0, 1))
    axes = []
    for one in parameters:
        low, high = one.start_range
        space = np.geomspace if one.constraint == "positive" and low > 0 else np.linspace
        axes.append(space(low, high, _GRID.get(len(parameters), 2)))
    if len(parameters) in _GRID:
        return np.array(list(itertools.product(*axes))).T
    unit = qmc.Sobol(len(parameters), scramble=False).random(_SOBOL_POINTS)
    low, high = np.array([axis[[0, -1]] for axis in axes]).T
    geometric = np.array([one.constraint == "positive" for one in parameters]) & (low > 0)
    safe_low, safe_high = np.where(geometric, low, 1.0), np.where(geometric, high, 1.0)
    return np.where(
        geometric, safe_low * (safe_high / safe_low) ** unit, low + (high - low) * unit
    ).T


def _nonnegative(
    design: Float64[np.ndarray, "grid points columns"], y: Float64[np.ndarray, " points"]
) -> tuple[Float64[np.ndarray, "grid columns"], Float64[np.ndarray, " grid"]]:
    """Nonnegative least squares by trying every set of active columns: there are at most four."""
    grid, _, size = design.shape
    best = np.zeros((grid, size))
    misfit = np.full(grid, np.sum(y**2))
    for chosen in itertools.product((False, True), repeat=size):
        active = np.flatnonzero(chosen)
        if not active.size:
            continue
        part = design[:, :, active]
        gram = part.transpose(0, 2, 1) @ part
        scale = np.sqrt(np.maximum(np.diagonal(gram, axis1=1, axis2=2), 1e-300))
        # Starts need a few digits only: a relative ridge keeps parallel columns solvable.
        unit = gram / scale[:, :, None] / scale[:, None, :] + 1e-12 * np.eye(len(active))
        right = np.einsum("gnk,n->gk", part, y) / scale
        value = np.linalg.solve(unit, right[:, :, None])[:, :, 0] / scale
        left = np.sum((y - np.einsum("gnk,gk->gn", part, value)) ** 2, axis=1)
        better = (value >= 0.0).all(axis=1) & (left < misfit) & np.isfinite(left)
        misfit = np.where(better, left, misfit)
        full = np.zeros((grid, size))
        full[:, active] = value
        best = np.where(better[:, None], full, best)
    return best, misfit


def _working(law: Law, theta: Float64[np.ndarray, "parameters starts"]) -> np.ndarray:
    """Coordinates of parameters that are already centred."""
    rows = [
        [to_working(one, float(value)) for value in row]
        for one, row in zip(law.parameters, theta, strict=True)
    ]
    return np.array(rows)
