"""The Delaunay simplex that contains a point, by linear programming and without a triangulation.

The Delaunay triangulation of samples x_i is the lower hull of the lifted points (x_i, |x_i|^2), so
that the simplex around x is the solution of

    min_w sum_i w_i |x_i|^2   subject to   sum_i w_i x_i = x,  sum_i w_i = 1,  w_i >= 0,

whose basis are the d + 1 vertices and whose w are the barycentric coordinates. The revised simplex
method starts from an artificial simplex around everything, whose vertices cost far more than any
sample. In each step the sample deepest inside the circumscribed sphere of the present simplex
enters (Dantzig's rule): its reduced cost |x_i|^2 - (1, x_i).y is its power with respect to that
sphere, and the steps end where the sphere is empty.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

_STEPS_PER_DIMENSION = 40
# Roundings of a sum of d + 1 terms, some of them in a matrix that was updated tens of times.
_ROUNDINGS = 64


class Simplex(NamedTuple):
    """A simplex of samples around a point.

    `vertices`, indices of samples, and -1 for an artificial vertex; `weights`, the barycentric
    coordinates; `outside`, whether the point is outside the convex hull of the samples;
    `converged`, whether the steps ended by themselves; `steps`, their number.
    """

    vertices: Int[Array, " corners"]
    weights: Float[Array, " corners"]
    outside: Bool[Array, ""]
    converged: Bool[Array, ""]
    steps: Int[Array, ""]


class _State(NamedTuple):
    basis: Int[Array, " corners"]
    inverse: Float[Array, "corners corners"]
    steps: Int[Array, ""]
    done: Bool[Array, ""]


class _Program(NamedTuple):
    """Rows (1, x_i) of samples, then of artificial vertices, and what each costs."""

    rows: Float[Array, "all corners"]
    costs: Float[Array, " all"]


@jax.default_matmul_precision("highest")
def containing_simplex(
    samples: Float[Array, "samples dimension"], point: Float[Array, " dimension"]
) -> Simplex:
    """The Delaunay simplex of the samples that contains a point; map it over points with `vmap`.

    **Arguments:** `samples` (D, d), with coordinates in [-1, 1]; `point` (d,), likewise.

    **Returns:** a `Simplex`. For a point outside of the hull the weights of artificial vertices
    (index -1) are positive; for a point at a sample, on an edge or a face some weights are zero.

    **Source:** Brown (1979) for the lifting; the revised simplex method is the textbooks'.

    **Limits:** d = 1 is the interval between the two neighbours of the point.
    """
    count, dimension = samples.shape
    program, inverse = _program(samples)
    target = jnp.concatenate([jnp.ones(1, samples.dtype), point])
    cap = _STEPS_PER_DIMENSION * (dimension + 1)

    def going(state: _State) -> Bool[Array, ""]:
        return ~state.done & (state.steps < cap)

    start = _State(
        jnp.arange(count, count + dimension + 1, dtype=jnp.int32),
        inverse,
        jnp.int32(0),
        jnp.zeros((), bool),
    )
    last = lax.while_loop(going, lambda state: _step(program, target, state), start)
    weights = _polished(program.rows[last.basis].T, last.inverse) @ target
    artificial = last.basis >= count
    rounding = _ROUNDINGS * jnp.finfo(samples.dtype).eps
    return Simplex(
        vertices=jnp.where(artificial, -1, last.basis),
        weights=weights,
        outside=jnp.any(artificial & (weights > rounding)),
        converged=last.done,
        steps=last.steps,
    )


def _program(
    samples: Float[Array, "samples dimension"],
) -> tuple[_Program, Float[Array, "corners corners"]]:
    """The linear program, and the inverse of its first basis.

    The artificial vertices are v_0 = -(1, .., 1) and v_0 + k e_j with k = 2d + 1, so that the
    weights of x are w_j = (x_j + 1)/k and w_0 = 1 - sum_j w_j. A simplex of samples whose sphere
    has the radius R wins against them while R < cost/(2k), some 1e6 in double precision.
    """
    dimension, dtype = samples.shape[1], samples.dtype
    corners = dimension + 1
    size = 2.0 * dimension + 1.0
    vertices = size * jnp.eye(corners, dimension, k=-1, dtype=dtype) - 1.0
    points = jnp.concatenate([samples, vertices])
    rows = jnp.concatenate([jnp.ones((len(points), 1), dtype), points], axis=1)
    artificial = jnp.full(corners, jnp.finfo(dtype).eps ** -0.45, dtype)
    costs = jnp.concatenate([jnp.sum(samples**2, axis=1), artificial])
    others = jnp.eye(dimension, corners, k=1, dtype=dtype) + jnp.eye(
        1, corners, dtype=dtype
    ).repeat(dimension, axis=0)
    first = size * jnp.eye(1, corners, dtype=dtype) - jnp.sum(others, axis=0, keepdims=True)
    return _Program(rows, costs), jnp.concatenate([first, others]) / size


def _step(program: _Program, target: Float[Array, " corners"], state: _State) -> _State:
    """One exchange of a vertex, or the discovery that the sphere is empty."""
    basis, inverse = state.basis, state.inverse
    prices = program.costs[basis] @ inverse
    # Written out, so that the compiler keeps no array of reduced costs: the product as a matrix
    # of every point and sample was several times slower.
    reduced = program.costs - sum(
        price * column for price, column in zip(prices, program.rows.T, strict=True)
    )
    entering = jnp.argmin(reduced).astype(jnp.int32)
    eps = jnp.finfo(reduced.dtype).eps
    scale = jnp.maximum(1.0, jnp.max(program.costs[basis]))
    done = reduced[entering] >= -_ROUNDINGS * eps * scale
    direction = inverse @ program.rows[entering]
    weights = jnp.maximum(inverse @ target, 0.0)
    usable = direction > _ROUNDINGS * eps * jnp.max(jnp.abs(direction))
    ratio = jnp.where(usable, weights / jnp.where(usable, direction, 1.0), jnp.inf)
    leaving = jnp.argmin(ratio)
    row = inverse[leaving] / direction[leaving]
    updated = (inverse - direction[:, None] * row[None, :]).at[leaving].set(row)
    return _State(
        jnp.where(done, basis, basis.at[leaving].set(entering)),
        jnp.where(done, inverse, updated),
        state.steps + jnp.where(done, 0, 1).astype(jnp.int32),
        done,
    )


def _polished(
    matrix: Float[Array, "corners corners"], inverse: Float[Array, "corners corners"]
) -> Float[Array, "corners corners"]:
    """Two of Newton's steps X <- X (2 - B X), which square the error that updates have left."""
    twice = 2.0 * jnp.eye(len(matrix), dtype=matrix.dtype)
    for _ in range(2):
        inverse = inverse @ (twice - matrix @ inverse)
    return inverse
