"""Robust nonlinear least squares for thousands of small problems at once.

Levenberg-Marquardt on lanes: a lane is one problem with one start, lanes are the last axis of
every array, and a reduction over points is a sum of vectors over lanes, which the compiler turns
into wide arithmetic without any call of LAPACK. An iteration forms one Jacobian and tries two
steps, and keeps the better one:

1. iteratively reweighted Gauss-Newton, whose matrix is always positive definite;
2. Gauss-Newton with the true curvature of the loss (for Huber only the points inside delta count)
   plus 1e-3 of the first, which converges as Newton's method does near the optimum, where the
   first crawls.

Work of one iteration, for n points and p parameters: three evaluations of the law, its Jacobian,
and 2 n p(p+1)/2 multiply-adds for each matrix.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from scalinglab.models import Status

from .coordinates import centred
from .law import Law
from .loss import curvature, influence_weight, rho

MAX_ITERATIONS = 400
ITERATIONS_A_CALL = 8
_FIRST_DAMPING = 1e-3
_LARGEST_DAMPING = 1e14
_NEWTON_DAMPING = 1e-3  # the damping below which a small step means an optimum
_LARGEST_STEP = 2.5  # in working coordinates: a factor of 12 in an amplitude
_SHARE_OF_FIRST = 1e-3
# The law rounds to a few eps of its logarithm, of order one once centred; a step is not refused
# for a rise of the objective that this can make.
_ROUNDING = 2e-15


Either = Array | np.ndarray  # host arrays go in, device arrays come out


class Problems(NamedTuple):
    """What lanes fit; the last axis is the lane, of length 1 where all lanes share the values."""

    x: Mapping[str, Either]
    target: Float[Either, "points lanes"]
    weight: Float[Either, "points lanes"]
    gain: Float[Either, "points #lanes"]
    shift: Mapping[str, Float[Either, " #lanes"]]
    free: Float[Either, "parameters lanes"]
    delta: Float[Either, " lanes"]


class Lanes(NamedTuple):
    """Where lanes are."""

    phi: Float[Either, "parameters lanes"]
    damping: Float[Either, " lanes"]
    objective: Float[Either, " lanes"]
    decrement: Float[Either, " lanes"]
    iterations: Int[Either, " lanes"]
    status: Int[Either, " lanes"]  # a Status, or RUNNING


RUNNING = -1


def fresh(phi: Any) -> dict[str, Any]:
    """The state of a lane that starts at `phi`, by field."""
    return {
        "phi": phi,
        "damping": _FIRST_DAMPING,
        "objective": float("inf"),
        "decrement": float("inf"),
        "iterations": 0,
        "status": RUNNING,
    }


@partial(jax.jit, static_argnames=("law", "shape", "linear"))
def advance(
    lanes: Lanes,
    problems: Problems,
    lower: Float[Array, " parameters"],
    upper: Float[Array, " parameters"],
    tolerance: Float[Array, ""],
    *,
    law: Law,
    shape: str,
    linear: bool,
) -> Lanes:
    """A few iterations of every running lane.

    **Arguments:** `lower`, `upper`, limits of the free coordinates; `tolerance`, the predicted
    decrease of the objective relative to it at which a lane is done; `shape`, of the loss;
    `linear`, whether residuals are of L instead of log L.
    """

    def running(carry: tuple[Any, Lanes]) -> Bool[Array, ""]:
        count, now = carry
        return (count < ITERATIONS_A_CALL) & jnp.any(now.status == RUNNING)

    def once(carry: tuple[Any, Lanes]) -> tuple[Any, Lanes]:
        count, now = carry
        step = partial(_iterate, law=law, shape=shape, linear=linear)
        return count + 1, step(now, problems, lower[:, None], upper[:, None], tolerance)

    return jax.lax.while_loop(running, once, (jnp.zeros((), jnp.int32), lanes))[1]


@partial(jax.jit, static_argnames=("law", "linear"))
def residuals_and_columns(
    phi: Float[Either, "parameters lanes"], problems: Problems, *, law: Law, linear: bool
) -> tuple[Float[Array, "points lanes"], Float[Array, "parameters points lanes"]]:
    """The residuals z and the columns of their Jacobian in the working coordinates."""
    prediction, columns = _over_lanes(_with_columns, phi, problems, law=law, linear=linear)
    z = problems.gain * (prediction - problems.target)
    return z, jnp.stack([problems.gain * column for column in columns])


@partial(jax.jit, static_argnames=("law", "linear"))
def predictions(
    phi: Float[Either, "parameters lanes"], problems: Problems, *, law: Law, linear: bool
) -> Float[Array, "points lanes"]:
    """The centred prediction, of log L or of L, at every point of every lane."""
    return _over_lanes(_predict, phi, problems, law=law, linear=linear)


def _predict(phi: Any, free: Any, shift: Any, x: Any, *, law: Law, linear: bool) -> Any:
    log_value = law.log_predict(centred(law, phi, free, shift), x)
    return jnp.exp(log_value) if linear else log_value


def _with_columns(phi: Any, free: Any, shift: Any, x: Any, **how: Any) -> Any:
    """The prediction at one point, and its derivative in each coordinate."""

    def along(index: int) -> Any:
        def moved(value: Any) -> Any:
            return _predict((*phi[:index], value, *phi[index + 1 :]), free, shift, x, **how)

        # One coordinate at a time leaves the zeros of the other tangents symbolic; the compiler
        # merges the repeated primal.
        return jax.jvp(moved, (phi[index],), (jnp.ones_like(phi[index]),))[1]

    return _predict(phi, free, shift, x, **how), tuple(along(i) for i in range(len(phi)))


def _over_lanes(f: Any, phi: Any, problems: Problems, **how: Any) -> Any:
    """`f` at one point of one lane, vmapped to (points, lanes)."""
    width = phi.shape[-1]
    shared = all(column.shape[1] == 1 for column in problems.x.values()) and width > 1
    x = {name: column[:, 0] for name, column in problems.x.items()} if shared else problems.x
    shift = {k: jnp.broadcast_to(value, (width,)) for k, value in problems.shift.items()}
    per_lane = jax.vmap(partial(f, **how), in_axes=(0, 0, 0, None if shared else 0))
    per_point = jax.vmap(per_lane, in_axes=(None, None, None, 0))
    return per_point(tuple(phi), tuple(problems.free), shift, x)


def _iterate(
    lanes: Lanes, problems: Problems, lower: Any, upper: Any, tolerance: Any, **how: Any
) -> Lanes:
    shape, delta, weight = how.pop("shape"), problems.delta[None], problems.weight
    prediction, columns = _over_lanes(_with_columns, lanes.phi, problems, **how)
    z = problems.gain * (prediction - problems.target)
    columns = tuple(problems.gain * column for column in columns)
    objective = jnp.sum(weight * rho(shape, z, delta), axis=0)
    first = weight * influence_weight(shape, z, delta)
    second = weight * curvature(shape, z, delta) + _SHARE_OF_FIRST * first
    pull = first * z
    gradient = jnp.stack([jnp.sum(pull * column, axis=0) for column in columns])

    # A coordinate at its limit that would go beyond is held for this iteration.
    outward = ((lanes.phi <= lower) & (gradient > 0.0)) | ((lanes.phi >= upper) & (gradient < 0.0))
    moving = problems.free * jnp.where(outward, 0.0, 1.0)
    gradient = gradient * moving
    steps = -_solve(_damped(columns, (first, second), moving, lanes.damping), gradient)
    decrement = jnp.max(jnp.abs(jnp.sum(gradient[:, None] * steps, axis=0)), axis=0)

    steps = jnp.clip(steps, -_LARGEST_STEP, _LARGEST_STEP)
    reach = lanes.phi[:, None] + steps
    fenced = jnp.clip(reach, lower[:, None], upper[:, None])
    candidates = jnp.where(moving[:, None] > 0.0, fenced, lanes.phi[:, None])
    values = jax.vmap(lambda phi: _objective(phi, problems, shape, **how), in_axes=1)(candidates)
    values = jnp.where(jnp.isfinite(values), values, jnp.inf)
    better = values[1] < values[0]
    value = jnp.where(better, values[1], values[0])
    phi = jnp.where(better, candidates[:, 1], candidates[:, 0])

    rounding = _ROUNDING * jnp.sum(jnp.abs(pull) * problems.gain, axis=0)
    accepted = value <= objective * (1.0 + _ROUNDING) + rounding
    floor = jnp.sum(weight * problems.gain**2, axis=0) * 1e-29  # residuals of a few eps
    small = decrement <= tolerance * objective + floor
    running = lanes.status == RUNNING
    done = small & (lanes.damping < _NEWTON_DAMPING)
    stuck = (lanes.iterations + 1 >= MAX_ITERATIONS) | (lanes.damping > _LARGEST_DAMPING)
    # What a step without damping would gain is at least (1 + damping) times as much.
    level = stuck & (decrement * (1.0 + lanes.damping) <= 1e-9 * objective + floor)
    status = jnp.where(stuck, int(Status.NOT_CONVERGED), RUNNING)
    status = jnp.where(done | level, int(Status.OK), status)
    status = jnp.where(jnp.isfinite(objective), status, int(Status.NOT_FINITE))
    status = jnp.where(running, status, lanes.status).astype(lanes.status.dtype)
    moves = running & accepted & (status == RUNNING)
    damping = jnp.where(accepted, jnp.maximum(lanes.damping * 0.2, 1e-12), lanes.damping * 6.0)
    return Lanes(
        phi=jnp.where(moves, phi, lanes.phi),
        damping=jnp.where(running, damping, lanes.damping),
        objective=jnp.where(running, objective, lanes.objective),
        decrement=jnp.where(running, decrement, lanes.decrement),
        iterations=lanes.iterations + running.astype(lanes.iterations.dtype),
        status=status,
    )


def _objective(phi: Any, problems: Problems, shape: str, **how: Any) -> Float[Array, " lanes"]:
    z = problems.gain * (_over_lanes(_predict, phi, problems, **how) - problems.target)
    return jnp.sum(problems.weight * rho(shape, z, problems.delta[None]), axis=0)


def _damped(columns: Any, weights: Any, moving: Any, damping: Any) -> dict[tuple[int, int], Any]:
    """The lower triangles of both matrices (candidates, lanes), with Marquardt's damping.

    The row and column of a coordinate that does not move are those of the identity.
    """
    size = len(columns)
    entries: dict[tuple[int, int], Any] = {}
    for i in range(size):
        weighted = [weight * columns[i] for weight in weights]
        for j in range(i + 1):
            sums = jnp.stack([jnp.sum(one * columns[j], axis=0) for one in weighted])
            entries[i, j] = sums * (moving[i] * moving[j])[None]
    trace = sum(entries[i, i] for i in range(size))
    for i in range(size):
        held = (1.0 - moving[i])[None]
        entries[i, i] = entries[i, i] * (1.0 + damping)[None] + 1e-60 * trace + 1e-300 + held
    return entries


def _solve(matrix: Mapping[tuple[int, int], Any], right: Any) -> Any:
    """Solutions (parameters, candidates, lanes) by a Cholesky factor unrolled over parameters."""
    size = right.shape[0]
    factor: dict[tuple[int, int], Any] = {}
    for i in range(size):
        for j in range(i + 1):
            rest = matrix[i, j]
            for k in range(j):
                rest = rest - factor[i, k] * factor[j, k]
            if i == j:
                factor[i, i] = jnp.sqrt(jnp.maximum(rest, 1e-16 * matrix[i, i]))
            else:
                factor[i, j] = rest / factor[j, j]
    forward: list[Any] = []
    for i in range(size):
        rest = right[i][None] - sum((factor[i, k] * forward[k] for k in range(i)), 0.0)
        forward.append(rest / factor[i, i])
    solution: list[Any] = [None] * size
    for i in reversed(range(size)):
        later = (factor[k, i] * solution[k] for k in range(i + 1, size))
        solution[i] = (forward[i] - sum(later, 0.0)) / factor[i, i]
    return jnp.stack(solution)
