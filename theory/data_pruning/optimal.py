"""The best keep fraction, and the pool at which keeping hard examples overtakes keeping easy
ones."""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scalinglab.models.data_pruning.config import Rule

from .saddle import saddle_path, saddle_point

Scalar = Float[Array, ""]

# Keep fractions of the first look, evenly in log f, and bisections of the two steps about the best.
_LOOK, _BISECTIONS = 25, 32
# Each round looks at this many pools between two of the round before.
_POOLS, _ROUNDS = 25, 4


class BestFraction(NamedTuple):
    """The keep fraction of least test error.

    `keep_fraction` f*; `test_error` there; `end`, 0 where the minimum is inside the interval, -1 at
    its lowest f, 1 at f = 1 (no pruning).
    """

    keep_fraction: Scalar
    test_error: Scalar
    end: Int[Array, ""]


def best_keep_fraction(
    examples: Scalar,
    angle: Scalar | None,
    *,
    rule: Rule,
    fixed: Literal["kept", "pool"],
    lowest: float = 1e-3,
) -> BestFraction:
    """The f of least test error, where the derivative of log eps in log f changes sign.

    The best of 25 fractions even in log f, then bisection on that derivative between its
    neighbours.

    **Arguments:**

    - `examples`: what does not change with f, > 0: alpha_prune = P/N for `fixed="kept"`, where the
      pool alpha_prune/f is unlimited, or alpha_tot = P_tot/N for `fixed="pool"`.
    - `angle`, `rule`: as of `saddle_point`; the rule random prefers no f and is refused.
    - `lowest`: f in [lowest, 1].

    **Returns:** `BestFraction`. The test error has first derivatives in `examples` and `angle` (the
    envelope theorem; inside the interval), f* has none.

    **Raises:** `ValueError` for the rule random and for `lowest` outside (0, 1).

    **Limits:** with the probe along the teacher, keep-hard, "kept" and alpha_prune > 2 the error
    falls as f Psi, and the lowest f is the best.
    """
    if rule == "random":
        raise ValueError("rule: 'random' has the same error at any f; give one that uses the probe")
    if not 0 < lowest < 1:
        raise ValueError(f"lowest: {lowest!r}; give a keep fraction in (0, 1)")

    def log_error(log_fraction: Scalar, given: tuple[Scalar, Scalar | None]) -> Scalar:
        fraction = jnp.exp(log_fraction)
        kept = given[0] if fixed == "kept" else given[0] * fraction
        return jnp.log(saddle_point(kept, fraction, given[1], rule=rule).test_error)

    still = jax.lax.stop_gradient((examples, angle))
    bottom = math.log(lowest)
    look = jnp.linspace(bottom, 0.0, _LOOK)
    # A fraction at which the solver failed is not the best.
    best = jnp.nanargmin(jax.vmap(lambda at: log_error(at, still))(look))
    low, high = look[jnp.maximum(best - 1, 0)], look[jnp.minimum(best + 1, _LOOK - 1)]
    found = _falling_until(lambda at: log_error(at, still), low, high)
    end = (found > bottom * 1e-6).astype(jnp.int32) - (found < bottom * (1 - 1e-6)).astype(
        jnp.int32
    )
    return BestFraction(jnp.exp(found), jnp.exp(log_error(found, (examples, angle))), end)


def _falling_until(function: Callable[[Scalar], Scalar], low: Scalar, high: Scalar) -> Scalar:
    """Where the derivative changes sign, by bisection; an end of the interval where it does not."""

    def halve(_: Int[Array, ""], interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        left, right = interval
        middle = (left + right) / 2
        _, slope = jax.jvp(function, (middle,), (jnp.ones(()),))
        return jnp.where(slope < 0, middle, left), jnp.where(slope < 0, right, middle)

    low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, (low, high))
    return (low + high) / 2


def crossover(
    keep_fraction: Scalar,
    angle: Scalar | None,
    *,
    hard: Rule = "abs_hard",
    easy: Rule = "abs_easy",
    smallest: float = 0.3,
    largest: float = 300.0,
) -> Scalar:
    """alpha_tot*(f), the first pool above which keeping the hard examples is better.

        eps_easy(alpha_tot*, f) = eps_hard(alpha_tot*, f)

    Both errors at 25 pools at a time, each time between the two at which the order changes.

    **Arguments:** `keep_fraction` f in (0, 1); `angle` as of `saddle_point`; the two rules; pools
    are searched from `smallest` to `largest`.

    **Returns:** alpha_tot*, with first derivatives in `keep_fraction` and `angle`; 0 where hard
    examples are better from the smallest pool on, infinity where they are nowhere better.
    """

    def excess(
        log_pools: Float[Array, " pools"], given: tuple[Scalar, Scalar | None]
    ) -> Float[Array, " pools"]:
        """log of the error of the hard examples over that of the easy ones."""
        fraction, at = given
        kept = jnp.exp(log_pools) * fraction
        errors = [saddle_path(kept, fraction, at, rule=rule).test_error for rule in (hard, easy)]
        return jnp.log(errors[0] / errors[1])

    given = keep_fraction, angle
    still = jax.lax.stop_gradient(given)

    def look(_: Int[Array, ""], interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        pools = jnp.linspace(*interval, _POOLS)
        better = excess(pools, still) < 0
        # The last pool where none is better, and the first one where all are.
        first = jnp.where(jnp.any(better), jnp.argmax(better), _POOLS - 1)
        return pools[jnp.maximum(first - 1, 0)], pools[first]

    ends = jnp.full((), math.log(smallest)), jnp.full((), math.log(largest))
    low, high = jax.lax.fori_loop(0, _ROUNDS, look, ends)

    def newton(near: Float[Array, " pools=1"], given: tuple[Scalar, Scalar | None]) -> Array:
        near = jax.lax.stop_gradient(near)
        _, slope = jax.jvp(lambda at: excess(at, still), (near,), (jnp.ones(1),))
        return near - excess(near, given) / jax.lax.stop_gradient(slope)

    # The first step reaches the root, where the second carries its derivatives.
    log_pool = newton(newton(high[None], still), given)[0]
    outside = (low == high) | (high >= ends[1])
    return jnp.where(outside, jnp.where(low == high, 0.0, jnp.inf), jnp.exp(log_pool))
