"""Continuation of a solution in one parameter, and its implicit derivatives.

A solution x of E(x; l, theta) = 0 is followed from a small l to the targets by Euler steps
along the
tangent dx/dl = -(dE/dx)^-1 dE/dl and Newton's method at the new l. Both are one evaluation of E
with
its derivatives, and predicting, correcting, taking back a step that was too long, and recording a
target are cases of one loop, so that under `vmap` no setting waits inside another's inner loop.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

Scalar = Float[Array, ""]
Point = Float[Array, " unknowns"]

_MOST_CORRECTIONS = 8
# Newton's steps are quadratic: after one of this size the error is of the order of its square.
_TOLERANCE = 1e-8
_ROUGH_TOLERANCE = 1e-5
# The unknowns are logarithms, or nearly so: a solution that moves further in one step is lost.
_FARTHEST = 0.8
_FIRST_STEP, _LONGEST_STEP, _SHORTEST_STEP = 0.7, 4.0, 1e-7
_EVALUATIONS, _EVALUATIONS_A_TARGET = 400, 20


class Linearised(NamedTuple):
    """E at one point, dE/dx there, and dE/dl."""

    residual: Point
    jacobian: Float[Array, "unknowns unknowns"]
    slope: Point


# (x, l, parameters) to E with its derivatives.
Equations = Callable[[Point, Scalar, Any], Linearised]


class _State(NamedTuple):
    base: Point
    base_place: Scalar
    tangent: Point
    trial: Point
    place: Scalar
    step: Scalar
    corrections: Int[Array, ""]
    next_target: Int[Array, ""]
    evaluations: Int[Array, ""]
    found: Float[Array, "targets unknowns"]
    alive: Bool[Array, ""]


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def follow(
    equations: Equations,
    start: Point,
    first: Scalar,
    targets: Float[Array, " targets"],
    parameters: PyTree[Array],
) -> Float[Array, "targets unknowns"]:
    """Solutions at rising targets, in one continuation from a guess at `first`.

        E(x; l, parameters) = 0 at every target l;   dx = -(dE/dx)^-1 (dE/dl dl + dE/dparameters)

    **Arguments:** `equations`, hashable; `start`, a guess that Newton's method turns into the
    solution at `first`, below all targets; `targets`, sorted; `parameters`, what E depends on.

    **Returns:** one row a target, of NaN from the first target on that was not reached. Derivatives
    in targets and parameters are implicit, and may be taken repeatedly.
    """
    count = targets.shape[0]
    nothing = jnp.full((count, *start.shape), jnp.nan)
    zero, none = jnp.zeros_like(start), jnp.zeros((), jnp.int32)
    initial = _State(
        base=start,
        base_place=first,
        tangent=zero,
        trial=start,
        place=first,
        step=jnp.full((), _FIRST_STEP),
        corrections=none,
        next_target=none,
        evaluations=none,
        found=nothing,
        alive=jnp.full((), fill_value=True),
    )

    def unfinished(state: _State) -> Bool[Array, ""]:
        most = _EVALUATIONS + _EVALUATIONS_A_TARGET * count
        return state.alive & (state.next_target < count) & (state.evaluations < most)

    return jax.lax.while_loop(
        unfinished, lambda state: _advance(equations, targets, parameters, state), initial
    ).found


def _advance(
    equations: Equations, targets: Float[Array, " targets"], parameters: Any, state: _State
) -> _State:
    """One evaluation: a correction, or the end of a step with the prediction of the next."""
    at = equations(state.trial, state.place, parameters)
    update, tangent = -jnp.linalg.solve(at.jacobian, jnp.stack([at.residual, at.slope], axis=1)).T
    point = state.trial + update
    size = jnp.max(jnp.abs(update))
    goal = targets[state.next_target]
    arrived = state.place >= goal
    # The first solution has no base to be far from.
    moving = state.place > state.base_place
    far = moving & (jnp.max(jnp.abs(point - state.base)) > _FARTHEST)
    finite = jnp.all(jnp.isfinite(point)) & jnp.all(jnp.isfinite(tangent))
    failed = far | ~finite | (state.corrections >= _MOST_CORRECTIONS)
    solved = ~failed & (size < jnp.where(arrived, _TOLERANCE, _ROUGH_TOLERANCE))
    recorded = solved & arrived

    base = jnp.where(solved, point, state.base)
    tangent = jnp.where(solved, tangent, state.tangent)
    base_place = jnp.where(solved, state.place, state.base_place)
    index = state.next_target + recorded.astype(jnp.int32)
    quick = state.corrections <= 2
    step = jnp.where(
        solved & moving & quick, jnp.minimum(2.0 * state.step, _LONGEST_STEP), state.step
    )
    # A step cut short by a target says nothing of longer ones; one that failed does.
    step = jnp.where(failed, 0.4 * jnp.minimum(step, state.place - state.base_place), step)
    ended = solved | failed
    place = jnp.where(ended, jnp.minimum(base_place + step, targets[index]), state.place)
    # The next step is no longer than the solution may move.
    predicted = base + tangent * (place - base_place)
    return _State(
        base=base,
        base_place=base_place,
        tangent=tangent,
        trial=jnp.where(ended, predicted, point),
        place=place,
        step=step,
        corrections=jnp.where(ended, 0, state.corrections + 1),
        next_target=index,
        evaluations=state.evaluations + 1,
        found=jnp.where(recorded, state.found.at[state.next_target].set(point), state.found),
        alive=~(failed & (step < _SHORTEST_STEP)),
    )


@follow.defjvp
def _implicit(
    equations: Equations, primals: tuple[Any, ...], tangents: tuple[Any, ...]
) -> tuple[Array, Array]:
    start, first, targets, parameters = primals
    found = follow(equations, start, first, targets, parameters)

    def tangent_at(point: Point, target: Scalar, target_tangent: Scalar) -> Point:
        def residual(place: Scalar, at: Any) -> Point:
            return equations(point, place, at).residual

        _, moved = jax.jvp(residual, (target, parameters), (target_tangent, tangents[3]))
        return -jnp.linalg.solve(equations(point, target, parameters).jacobian, moved)

    return found, jax.vmap(tangent_at)(found, targets, tangents[2])
