r"""The hard-margin hyperplane through the origin, for thousands of small problems in one program.

    minimise |w|^2 / 2   subject to   a_i . w >= 1,   i = 1..P

With v = A^T mu this is the shortest vector of the convex hull of the rows,

    minimise |v|^2 / 2 - t   over  v = A^T mu,  sum(mu) = 1,  mu >= 0,  s = A v - t >= 0:

at the optimum t = |v|^2 = kappa^2, w = v/t and lambda = mu/t. Both mu and s have strictly positive
starting points, whether or not the rows can be separated, and |v| >= kappa always.

Two phases, an interior-point method for the support and an active-set method for the digits:

- Mehrotra's predictor and corrector with one Cholesky factorisation of diag(1..1, 0) + B^T D B
  a step, where B = [A, -1] and D = diag(mu/s). All residuals are 0 at the start and stay 0.
- On a support S of at most N rows: A_S A_S^T lambda = 1 with iterative refinement, to rounding.
  Rows of negative lambda leave, violated rows enter, until neither is left; one or two exchanges
  after an interior phase that ends within 1e-3 of the optimum. If it does not settle, the
  interior phase goes on to a smaller gap first.

For any feasible w and any lambda >= 0 the gap |w|^2/2 - (sum(lambda) - |A^T lambda|^2/2) is

    (|w - A^T lambda|^2 + 2 lambda . (A w - 1)) / 2  >=  (|w|^2 - |w*|^2)/2  >=  |w - w*|^2 / 2,

the last step since w* is the feasible point nearest to 0. The left side is a sum of terms of one
sign, so that it is known to rounding.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_batching import custom_vmap
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Bool, Int, Shaped

from .interface import Status

Rows = Shaped[Array, "rows dim"]
Columns = Shaped[Array, "dim rows"]
Row = Shaped[Array, " rows"]
Mask = Bool[Array, " rows"]
Vector = Shaped[Array, " dim"]
Scalar = Shaped[Array, ""]

# In units of eps: 1e-13 in float64, which bounds the relative error of w by 3e-7.
_TOLERANCE = 450.0
# The relative gap at which the support is tried first.
_TRUSTED = 5e-4
_MAX_STEPS = 60
# Power of eps below which |v|^2 explains why a problem was not solved. An origin inside a face of
# the hull, as of a row and its opposite, is approached slowly: 60 steps reach 2e-11.
_INSEPARABLE = 0.6
_MAX_ROUNDS = 4
_MAX_EXCHANGES = 4
_REFINEMENTS = 3


class MaxMargin(NamedTuple):
    """The solution of one problem; see `max_margin`."""

    weights: Vector
    duals: Row
    gap: Scalar
    iterations: Int[Array, " phases"]
    status: Int[Array, ""]


class _Interior(NamedTuple):
    """`point` is (v, t); `slacks` s and `duals` mu are positive, and 1 and 0 in padded rows."""

    point: Shaped[Array, " dim_and_one"]
    slacks: Row
    duals: Row
    steps: Int[Array, ""]
    stalled: Bool[Array, ""]


class _Support(NamedTuple):
    """`wanted` is positive on the rows of the next support, the larger the more wanted."""

    wanted: Row
    weights: Vector
    duals: Row
    gap: Scalar
    exchanges: Int[Array, ""]
    settled: Bool[Array, ""]


class _State(NamedTuple):
    interior: _Interior
    support: _Support
    threshold: Scalar
    rounds: Int[Array, ""]


def max_margin(rows: Rows, valid: Mask) -> MaxMargin:
    r"""The vector of smallest norm with $a_i \cdot w \ge 1$ for every valid row.

    **Arguments:**

    - `rows`: $a_i = y_i x_i$, of any common scale; padded rows are 0.
    - `valid`: false for padded rows. At least one row is valid.

    **Returns:** `weights`, feasible to rounding, so that the margin is $1/|w|$; `duals`
    $\lambda \ge 0$, exactly 0 off the support; `gap`, which bounds $|w - w^*|^2 / |w|^2$;
    `iterations` (2,), the factorisations of the interior and of the active-set phase; `status`,
    with r the root-mean-square length of the rows:

    - `OK`: the gap is below eps (450 + 16 r |w|), which is 1e-13 in float64 unless the margin is
      below r/30; the second term is the rounding of the margins themselves.
    - `NOT_SEPARABLE`: not so, and the convex hull of the rows comes nearer to 0 than eps^0.3 r,
      2e-5 r in float64, so that the margin, if there is one, is smaller.
    - `NOT_CONVERGED`: neither after 60 interior steps, or after four rounds of both phases.
    - `NOT_FINITE`: a row is not finite.

    The numbers of a lane that is not `OK` are those of its best iterate. Safe under `jit` and
    `vmap`. On a CPU a batch is solved one problem after the other: its matrices stay in the cache
    and none waits for the slowest, which was measured 2.5 times faster than all at once; on an
    accelerator the batch takes its steps together.

    **Source:** Mehrotra, SIAM J. Optim. 2 (1992) 575; Portugal, Judice and Vicente, Math. Comp. 63
    (1994) 625 for the exchanges.
    """
    return _max_margin(rows, valid)


@custom_vmap
def _max_margin(rows: Rows, valid: Mask) -> MaxMargin:
    return _one(rows, valid)


@_max_margin.def_vmap
def _batch(
    size: int, batched: list[bool], rows: Shaped[Array, "..."], valid: Bool[Array, "..."]
) -> tuple[MaxMargin, Any]:
    both = [
        value if is_batched else jnp.broadcast_to(value, (size, *value.shape))
        for value, is_batched in zip((rows, valid), batched, strict=True)
    ]
    found = lax.platform_dependent(
        *both,
        cpu=lambda rows, valid: lax.map(lambda lane: _max_margin(*lane), (rows, valid)),
        default=jax.vmap(_one),
    )
    return found, jax.tree.map(lambda _: True, found)


def _one(rows: Rows, valid: Mask) -> MaxMargin:
    scale = jnp.sqrt(jnp.sum(rows * rows) / jnp.sum(valid.astype(rows.dtype)))
    columns = (rows / scale).T
    zeros = jnp.zeros_like(columns[:, 0]), jnp.zeros_like(columns[0])
    count, no = jnp.int32(0), jnp.zeros((), bool)
    support = _Support(zeros[1], *zeros, jnp.asarray(jnp.inf, rows.dtype), count, no)
    state = _State(_start(columns, valid), support, jnp.asarray(_TRUSTED, rows.dtype), count)

    def going(state: _State) -> Bool[Array, ""]:
        return (state.rounds < _MAX_ROUNDS) & ~state.support.settled & ~_closed(state.interior)

    def one_round(state: _State) -> _State:
        interior = _follow(columns, valid, state.interior, state.threshold)
        support = _exchange(columns, valid, interior, state.support)
        return _State(interior, support, state.threshold * 1e-3, state.rounds + 1)

    state = lax.while_loop(going, one_round, state)
    best = state.support
    length = jnp.sqrt(jnp.sum(best.weights**2))
    rounding = jnp.finfo(rows.dtype).eps * (_TOLERANCE + 16.0 * length)
    status = jnp.where(
        best.gap <= rounding,
        jnp.int32(Status.OK),
        jnp.where(
            _nearest(state.interior) < float(jnp.finfo(rows.dtype).eps) ** _INSEPARABLE,
            jnp.int32(Status.NOT_SEPARABLE),
            jnp.int32(Status.NOT_CONVERGED),
        ),
    )
    return MaxMargin(
        weights=best.weights / scale,
        duals=best.duals / scale**2,
        gap=best.gap,
        iterations=jnp.stack([state.interior.steps, best.exchanges]),
        status=jnp.where(jnp.isfinite(scale), status, jnp.int32(Status.NOT_FINITE)),
    )


def _start(columns: Columns, valid: Mask) -> _Interior:
    """Equal multipliers, and slacks of the order of their spread: products in a small range."""
    one = valid.astype(columns.dtype)
    duals = one / jnp.sum(one)
    weights = columns @ duals
    margins = weights @ columns
    spread = jnp.sqrt(jnp.sum(duals * (margins - jnp.sum(duals * margins)) ** 2))
    eps = float(jnp.finfo(columns.dtype).eps)
    # One row, or equal ones, have no spread.
    below = _smallest(margins, valid) - jnp.maximum(spread, eps**0.5)
    slacks = jnp.where(valid, margins - below, 1.0)
    return _Interior(jnp.append(weights, below), slacks, duals, jnp.int32(0), jnp.zeros((), bool))


def _closed(interior: _Interior) -> Bool[Array, ""]:
    """Whether the hull of the rows comes so near to 0 that no digit of a margin is left."""
    return _nearest(interior) < float(jnp.finfo(interior.point.dtype).eps)


def _nearest(interior: _Interior) -> Scalar:
    """|v|^2, which is at least the squared margin."""
    return jnp.sum(interior.point[:-1] ** 2)


def _follow(columns: Columns, valid: Mask, state: _Interior, threshold: Scalar) -> _Interior:
    """Interior-point steps until min a_i.v >= (1 - threshold) |v|^2."""
    one = valid.astype(columns.dtype)
    extended = jnp.concatenate([columns, -one[None, :]])

    def going(state: _Interior) -> Bool[Array, ""]:
        lowest = state.point[-1] + _smallest(state.slacks, valid)
        open_ = lowest < (1.0 - threshold) * jnp.sum(state.point[:-1] ** 2)
        return open_ & ~_closed(state) & ~state.stalled & (state.steps < _MAX_STEPS)

    return lax.while_loop(going, lambda state: _step(extended, one, state), state)


def _step(extended: Columns, one: Row, state: _Interior) -> _Interior:
    """One predictor and corrector of Mehrotra's method.

    Residuals of s = B (v, t) and diag(1..1, 0) (v, t) = B^T mu + (0, 1) are those of rounding,
    which each step takes back.
    """
    slacks, duals = state.slacks, state.duals
    diagonal = jnp.ones_like(state.point).at[-1].set(0.0)
    # Beyond the cap the factorisation keeps no digit of the 1 on the diagonal.
    cap = float(jnp.finfo(slacks.dtype).eps) ** -0.75
    weight = jnp.minimum(duals / slacks, cap)
    factor = _factor(extended, weight, diagonal)
    tilt = diagonal * state.point - extended @ duals - (1.0 - diagonal)
    lag = (state.point @ extended - slacks) * one
    product = duals * slacks
    mean = jnp.sum(product * one) / jnp.sum(one)

    def direction(target: Row) -> tuple[Shaped[Array, " dim_and_one"], Row, Row]:
        """Changes of (v, t), s and mu that change the products s mu by `target` to first order."""
        wish = target / slacks - weight * lag
        change = cho_solve(factor, extended @ wish - tilt)
        moved = change @ extended
        return change, moved + lag, wish - weight * moved

    _, moved, lifted = direction(-product)
    length = _length(slacks, moved, duals, lifted)
    ahead = jnp.sum((slacks + length * moved) * (duals + length * lifted) * one) / jnp.sum(one)
    centre = mean * (ahead / mean) ** 3
    change, moved, lifted = direction((centre - moved * lifted) * one - product)
    # Nearer to the boundary than this, small margins leave a slack behind and later steps stall.
    length = 0.99 * _length(slacks, moved, duals, lifted)
    point, lengthened = state.point + length * change, slacks + length * moved
    finite = jnp.isfinite(jnp.sum(point)) & (length > 1e-3)
    return _Interior(
        point=jnp.where(finite, point, state.point),
        slacks=jnp.where(finite, lengthened, slacks),
        duals=jnp.where(finite, duals + length * lifted, duals),
        steps=state.steps + 1,
        stalled=~finite,
    )


def _exchange(columns: Columns, valid: Mask, interior: _Interior, support: _Support) -> _Support:
    """The active-set phase, from the support of the interior phase; the best solution is kept."""
    most = min(columns.shape)
    # A multiplier counts in units of 1/most, a slack in units of the margin.
    squared = jnp.sum(interior.point[:-1] ** 2)
    ratio = jnp.log(interior.duals * most * squared / interior.slacks)
    wanted = jnp.where(valid, jnp.maximum(ratio, 0.0), 0.0)
    last = support.exchanges + _MAX_EXCHANGES

    def going(support: _Support) -> Bool[Array, ""]:
        return (support.exchanges < last) & ~support.settled

    return lax.while_loop(
        going, lambda support: _solve(columns, valid, support), support._replace(wanted=wanted)
    )


def _solve(columns: Columns, valid: Mask, support: _Support) -> _Support:
    """Solve A_S A_S^T lambda = 1 on the support S, then exchange rows."""
    eps = float(jnp.finfo(columns.dtype).eps)
    values, chosen = lax.top_k(support.wanted, min(columns.shape))
    inside = (values > 0).astype(columns.dtype)
    subset = columns[:, chosen] * inside[None, :]
    # Shifted so that dependent rows do no harm; the refinement, which solves the unshifted system,
    # contracts by shift/(shift + sigma_min^2).
    shift = jnp.diag(jnp.where(inside > 0, eps**0.8, 1.0).astype(columns.dtype))
    factor = jnp.linalg.cholesky(subset.T @ subset + shift), True
    multipliers, weights = jnp.zeros_like(inside), jnp.zeros_like(columns[:, 0])
    for _ in range(_REFINEMENTS):
        change = cho_solve(factor, inside - weights @ subset)
        multipliers, weights = multipliers + change, weights + subset @ change
    margins = weights @ columns
    lowest = _smallest(margins, valid)
    positive = jnp.maximum(multipliers, 0.0)
    feasible = weights / lowest
    misfit = jnp.sum((feasible - subset @ positive) ** 2)
    slack = 2.0 * jnp.sum(positive * (margins[chosen] / lowest - 1.0))
    gap = jnp.where(lowest > 0, (misfit + slack) / jnp.sum(feasible**2), jnp.inf)
    better = gap < support.gap

    rounding = 64.0 * eps * (1.0 + jnp.sqrt(jnp.sum(weights**2)))
    full = jnp.zeros_like(margins).at[chosen].set(multipliers)
    member = jnp.zeros_like(valid).at[chosen].set(inside > 0)
    negative = member & (full <= 0)
    # On dependent rows not every margin can be 1: those above it leave, after the negative ones.
    loose = member & (margins > 1.0 + rounding) & ~jnp.any(negative)
    enters = valid & ~member & (margins < 1.0 - rounding)
    # Those that stay come first, then the most violated.
    stays = member & ~negative & ~loose
    wanted = jnp.where(stays, jnp.inf, jnp.where(enters, 1.0 - margins, 0.0))
    settled = ~jnp.any(enters | negative | loose)
    return _Support(
        wanted=wanted,
        weights=jnp.where(better, feasible, support.weights),
        duals=jnp.where(better, jnp.maximum(full, 0.0), support.duals),
        gap=jnp.where(better, gap, support.gap),
        exchanges=support.exchanges + 1,
        settled=settled & better,
    )


def _factor(
    columns: Columns, weight: Row, diagonal: Vector
) -> tuple[Shaped[Array, "dim dim"], bool]:
    """The lower Cholesky factor of C diag(weight) C^T + diag(diagonal).

    The factorisation reads the lower triangle alone, so that a quarter of the product is left out.
    """
    half = -(-len(columns) // 2)
    left = columns * weight[None, :]
    upper = jnp.pad(left[:half] @ columns[:half].T, ((0, 0), (0, len(columns) - half)))
    matrix = jnp.concatenate([upper, left[half:] @ columns.T]) + jnp.diag(diagonal)
    return lax.linalg.cholesky(matrix, symmetrize_input=False), True


def _length(slacks: Row, moved: Row, duals: Row, lifted: Row) -> Scalar:
    """The largest step of at most 1 that leaves slacks and duals non-negative."""

    def until(values: Row, change: Row) -> Scalar:
        falling = change < 0
        return jnp.min(jnp.where(falling, -values / jnp.where(falling, change, 1.0), jnp.inf))

    return jnp.minimum(1.0, jnp.minimum(until(slacks, moved), until(duals, lifted)))


def _smallest(values: Row, valid: Mask) -> Scalar:
    return jnp.min(jnp.where(valid, values, jnp.inf))
