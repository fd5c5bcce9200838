"""The compute-optimal frontier of risk curves of several sizes, and its exponents.

At compute f = r B d the best size d* and its risk P* are found on a ladder of sizes: each curve is
interpolated in (log f, log P), and where the best size has a smaller and a larger neighbour the
parabola of log P against log d through the three has its vertex at (log d*, log P*)
(`theory.fitting.lower_envelope`). Compute where the best is the smallest or largest size is left
out. What is fitted are the exponents

    d* ~ f^xi,   P* ~ f^-eta

over a named window, and their local values d log d*/d log f, -d log P*/d log f, which tell whether
the window has converged: an asymptotic exponent is never to be held against another window.

Curves may come from anywhere: `equivalent_curves` and `component_curves` of this theory, exact
moments given the features, or simulations.
"""

from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float64, Int

from scalinglab.models import Status
from scalinglab.theory.fitting import local_slopes, lower_envelope
from scalinglab.theory.prediction import require_float64

from .components import component_risk
from .contour import Shape
from .equivalent import deterministic_equivalent, power_law_problem
from .phases import Optimum
from .volterra import solve

# beartype takes no int for a float.
Real = float | int
Part = Literal["all", "lower-half", "upper-half", "upper-third"]
_PARTS: dict[str, tuple[float, float]] = {
    "all": (0.0, 1.0),
    "lower-half": (0.0, 1 / 2),
    "upper-half": (1 / 2, 1.0),
    "upper-third": (2 / 3, 1.0),
}
# Lanes of the ladder that are worked on together.
_TOGETHER = 8
# Coarser than the default, right to 1e-7 of the risk.
_SHAPE = Shape(panels=(20, 5, 7))
_LEAST_POINTS = 3


class Frontier(NamedTuple):
    """The best size and its risk at each compute, in ascending order.

    `compute` f; `size` d*, refined between sizes; `risk` P*, as given, floor included;
    `num_discarded` points of the grid where the best size is at an end of the ladder.
    """

    compute: Float64[np.ndarray, " kept"]
    size: Float64[np.ndarray, " kept"]
    risk: Float64[np.ndarray, " kept"]
    num_discarded: int


class LocalExponents(NamedTuple):
    """xi and eta between neighbouring points of the frontier, at their geometric midpoints."""

    compute: Float64[np.ndarray, " between"]
    xi: Float64[np.ndarray, " between"]
    eta: Float64[np.ndarray, " between"]


def size_ladder(first: Real, last: Real, *, per_octave: int = 4) -> Int[np.ndarray, " sizes"]:
    """Whole sizes from about `first` to `last`, `per_octave` to every factor of two.

    **Raises:** `ValueError` unless 1 <= first < last and `per_octave` >= 1.
    """
    if not 1 <= first < last or per_octave < 1:
        raise ValueError(
            f"first, last: {first!r}, {last!r} with per_octave {per_octave!r}; give "
            "1 <= first < last and at least 1 an octave"
        )
    count = int(np.floor(np.log2(last / first) * per_octave + 1e-9))
    return np.unique(np.rint(first * 2.0 ** (np.arange(count + 1) / per_octave)).astype(np.int64))


def equivalent_curves(
    alpha: Real,
    beta: Real,
    sizes: Int[np.ndarray, " sizes"],
    grid: Int[np.ndarray, " grid"],
    *,
    ratio: Real = 4.0,
    gamma0: Real = 0.5,
    batch_size: Real = 1.0,
    noise_variance: Real = 0.0,
) -> Float64[np.ndarray, "sizes grid"]:
    """Risk curves of the deterministic equivalent at v = ratio d; NaN where one has a status.

    **Arguments:** `alpha`, `beta`, `gamma0`, `batch_size`, `noise_variance` as of
    `power_law_problem`; `sizes` d; `grid` of `volterra.time_grid`; `ratio` v/d > 1, infinite where
    alpha > 1/2.
    """
    numbers = _numbers(alpha, beta, gamma0, batch_size, noise_variance)
    lanes = _lanes(sizes, ratio)
    return np.asarray(_equivalent(numbers, lanes, _Grid(grid)))


def component_curves(
    alpha: Real,
    beta: Real,
    sizes: Int[np.ndarray, " sizes"],
    grid: Int[np.ndarray, " grid"],
    *,
    ratio: Real = 4.0,
    gamma0: Real = 0.5,
    batch_size: Real = 1.0,
    noise_variance: Real = 0.0,
) -> Float64[np.ndarray, "sizes grid"]:
    """Risk curves of the asymptotic components, `components.component_risk`, from step 1 on.

    **Arguments:** as of `equivalent_curves`; the value at step 0 is NaN.
    """
    numbers = _numbers(alpha, beta, gamma0, batch_size, noise_variance)
    lanes = _lanes(sizes, ratio)
    return np.asarray(_component(numbers, lanes, _Grid(grid)))


class _Grid:
    """Steps as a static argument: hashed by value."""

    def __init__(self, steps: Int[np.ndarray, " grid"]) -> None:
        self.steps = np.asarray(steps)

    def __hash__(self) -> int:
        return hash(self.steps.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Grid) and np.array_equal(self.steps, other.steps)


def _numbers(*values: Real) -> Float[Array, " numbers"]:
    require_float64()
    return jnp.asarray(values, jnp.float64)


def _lanes(sizes: Int[np.ndarray, " sizes"], ratio: Real) -> Float[Array, "sizes 2"]:
    if not ratio > 1:
        raise ValueError(f"ratio: {ratio!r}; give v/d above 1")
    chosen = np.asarray(sizes, np.float64)
    return jnp.asarray(np.stack([chosen, np.rint(ratio * chosen)], axis=1))


def _problem(numbers: Array, lane: Array):
    alpha, beta, gamma0, batch, noise = numbers
    return power_law_problem(
        alpha, beta, lane[0], lane[1], gamma0=gamma0, batch_size=batch, noise_variance=noise
    )


@jax.jit(static_argnames="grid")
def _equivalent(numbers: Array, lanes: Array, grid: _Grid) -> Array:
    def one(lane: Array) -> Array:
        found = deterministic_equivalent(_problem(numbers, lane), _SHAPE)
        risks = solve(found.sums, grid.steps)
        return jnp.where(found.status == Status.OK, risks, jnp.nan)

    return jax.lax.map(one, lanes, batch_size=_TOGETHER)


@jax.jit(static_argnames="grid")
def _component(numbers: Array, lanes: Array, grid: _Grid) -> Array:
    steps = jnp.asarray(grid.steps, jnp.float64)

    def one(lane: Array) -> Array:
        problem = _problem(numbers, lane)
        risks = component_risk(numbers[0], numbers[1], problem, jnp.maximum(steps, 1.0))
        return jnp.where(steps > 0, risks, jnp.nan)

    return jax.lax.map(one, lanes, batch_size=_TOGETHER)


def compute_optimal_frontier(
    sizes: Int[np.ndarray, " sizes"],
    steps: Float64[np.ndarray, " steps"] | Int[np.ndarray, " steps"],
    risks: Float64[np.ndarray, "sizes steps"],
    *,
    batch_size: Real = 1.0,
    grid: Float64[np.ndarray, " points"] | None = None,
) -> Frontier:
    """The best size at every compute f = r B d, from curves of several sizes.

    **Arguments:** `sizes` d; `steps` r of every curve, 0 left out; `risks`, positive, NaN or
    infinite where there is none; `batch_size` B; `grid` of compute, ascending, by default 20 points
    a decade over all curves.

    **Returns:** a `Frontier`. A size of which fewer than two risks are finite is left out.

    **Raises:** `ValueError` as `theory.fitting.lower_envelope` does, from which the frontier comes.

    **Source:** approach 1 of 2203.15556 with a local parabola.
    """
    counted = np.asarray(steps, np.float64)
    compute = np.asarray(sizes, np.float64)[:, None] * counted[None, :] * batch_size
    there = np.isfinite(risks) & (counted[None, :] > 0)
    there &= there.sum(axis=1, keepdims=True) > 1
    if grid is None:
        low, high = np.log10(compute[there].min()), np.log10(compute[there].max())
        grid = np.logspace(low, high, int(20 * (high - low)) + 2)
    size = np.broadcast_to(np.asarray(sizes, np.float64)[:, None], compute.shape)
    found = lower_envelope(size[there], compute[there], risks[there], grid=grid)
    return Frontier(found.compute, found.size, found.loss, found.num_discarded)


def window(
    frontier: Frontier,
    sizes: tuple[Real, Real] = (0.0, np.inf),
    *,
    part: Part = "all",
) -> Frontier:
    """The frontier between two sizes d*, or a part of that in log f.

    **Raises:** `ValueError` for an unknown part, and where fewer than 3 points are left.
    """
    if part not in get_args(Part):
        raise ValueError(f"part: {part!r}; give one of {', '.join(get_args(Part))}")
    kept = (frontier.size >= sizes[0]) & (frontier.size <= sizes[1])
    if kept.any():
        log = np.log(frontier.compute)
        low, high = log[kept].min(), log[kept].max()
        first, last = (low + share * (high - low) for share in _PARTS[part])
        kept &= (log >= first - 1e-9) & (log <= last + 1e-9)
    if kept.sum() < _LEAST_POINTS:
        raise ValueError(
            f"sizes: {kept.sum()} points of the frontier have d* in {sizes} ({part}); widen the "
            "window, or the ladder of sizes"
        )
    return Frontier(
        frontier.compute[kept],
        frontier.size[kept],
        frontier.risk[kept],
        frontier.num_discarded + int((~kept).sum()),
    )


def frontier_exponents(frontier: Frontier, *, floor: Real = 0.0) -> Optimum:
    """xi and eta by least squares of log d* and log(P* - floor) against log f.

    **Arguments:** `frontier`, cut by `window`; `floor`, what no size can learn, below every risk.

    **Raises:** `ValueError` for a floor above a risk.
    """
    log = np.log(frontier.compute)
    xi = np.polyfit(log, np.log(frontier.size), 1)[0]
    eta = -np.polyfit(log, np.log(_excess(frontier, floor)), 1)[0]
    return Optimum(jnp.asarray(xi), jnp.asarray(eta))


def local_exponents(frontier: Frontier, *, floor: Real = 0.0, every: int = 1) -> LocalExponents:
    """d log d*/d log f and -d log(P* - floor)/d log f by differences.

    **Arguments:** `floor` as of `frontier_exponents`; `every`, the points between the two of a
    difference, which averages over the steps of the ladder.
    """
    compute, size = frontier.compute[::every], frontier.size[::every]
    eta = local_slopes(compute, _excess(frontier, floor)[::every])
    xi = local_slopes(compute, size)
    return LocalExponents(np.asarray(xi.x), -np.asarray(xi.exponent), np.asarray(eta.exponent))


def _excess(frontier: Frontier, floor: float) -> Float64[np.ndarray, " kept"]:
    excess = frontier.risk - floor
    if not np.all(excess > 0):
        raise ValueError(f"floor: {floor!r} is not below the least risk {frontier.risk.min():.6g}")
    return excess
