r"""How to divide a compute budget between model size and data.

For $L = E + A N^{-\alpha} + B D^{-\beta}$ under $C = f N D$ (f = 6 FLOPs for each parameter and
token) the best division is in closed form; `optimal_size` searches for that of any other law.
Every function is pure and elementwise: use it inside `derive`, on arrays of bootstrap draws, and
under `jit`, `vmap` and `grad`.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .law import Law

FLOPS_PER_PARAMETER_TOKEN = 6.0
_GRID = 65
# Each section of a golden-section search keeps 0.618 of the interval: 60 keep 3e-13 of it, below
# which sqrt(eps) of a quadratic minimum forbids more.
_SECTIONS = 60
_GOLDEN = 0.6180339887498949


class Allocation(NamedTuple):
    r"""The compute-optimal division.

    **Fields:**

    - `N`, `D`: model size and data, in the units of the law.
    - `loss`: of the law there.
    - `size_exponent`, `data_exponent`: a and b of $N^* \propto C^a$, $D^* \propto C^b$; a + b = 1.
    - `loss_exponent`: of $L^* - E \propto C^{-\alpha\beta/(\alpha+\beta)}$.
    """

    N: Float[Array, "..."]
    D: Float[Array, "..."]
    loss: Float[Array, "..."]
    size_exponent: Float[Array, "..."]
    data_exponent: Float[Array, "..."]
    loss_exponent: Float[Array, "..."]


def separable(law: Law, parameters: Mapping[str, Any]) -> dict[str, Any]:
    r"""The parameters of a law of size and data as those of $E + A N^{-\alpha} + B D^{-\beta}$.

    **Arguments:** `law`, `chinchilla` or `over-training`, tied or not; `parameters`, of it.

    **Returns:** A, B, E, alpha and beta.

    **Raises:** `ValueError` for a law that is no such sum.
    """
    base = law.name.split("[")[0]
    t = dict(parameters)
    if base == "chinchilla":
        # A tie leaves one of the exponents out.
        return {"alpha": t.get("beta"), "beta": t.get("alpha"), **t}
    if base == "over-training":
        per_flop = 6.0 ** -t["eta"]
        exponent = 2.0 * t["eta"]
        return {
            "A": t["a"] * per_flop,
            "B": t["b"] * per_flop,
            "E": t["E"],
            "alpha": exponent,
            "beta": exponent,
        }
    raise ValueError(
        f"law: {law.name} is no sum of a power of N and a power of D; use optimal_size"
    )


def compute_optimal(
    parameters: Mapping[str, Any],
    compute: float | Float[Any, "..."],
    *,
    flops: float = FLOPS_PER_PARAMETER_TOKEN,
) -> Allocation:
    r"""The division of a compute budget with the lowest $L = E + A N^{-\alpha} + B D^{-\beta}$.

    $$N^* = G (C/f)^{\beta/(\alpha+\beta)}, \quad D^* = (C/f)/N^*, \quad
      G = \left(\frac{\alpha A}{\beta B}\right)^{1/(\alpha+\beta)}$$

    **Arguments:**

    - `parameters`: A, B, E, alpha and beta, numbers or arrays of draws; of a fit, what `separable`
      gives.
    - `compute`: C, positive, in the unit of `flops` times that of N D; with draws, of a shape that
      broadcasts against them.
    - `flops`: f, for each parameter and token.

    **Returns:** an `Allocation`.

    **Source:** arXiv 2203.15556, eq. (4).
    """
    a, b, constant, alpha, beta = (
        jnp.asarray(parameters[name]) for name in ("A", "B", "E", "alpha", "beta")
    )
    log_product = jnp.log(jnp.asarray(compute) / flops)
    total = alpha + beta
    # Logarithms throughout: A and C span so many orders that their powers may overflow.
    log_g = (jnp.log(alpha) + jnp.log(a) - jnp.log(beta) - jnp.log(b)) / total
    log_n = log_g + beta / total * log_product
    log_d = log_product - log_n
    loss = constant + jnp.exp(jnp.log(a) - alpha * log_n) + jnp.exp(jnp.log(b) - beta * log_d)
    spread = jnp.zeros_like(log_n)
    return Allocation(
        N=jnp.exp(log_n),
        D=jnp.exp(log_d),
        loss=loss,
        size_exponent=beta / total + spread,
        data_exponent=alpha / total + spread,
        loss_exponent=alpha * beta / total + spread,
    )


def minimise(
    log_loss: Callable[[Float[Array, ""]], Float[Array, ""]],
    low: float | Float[Array, ""],
    high: float | Float[Array, ""],
) -> Float[Array, ""]:
    """Where a function of one number is lowest on an interval, such as log L of log N.

    A grid of 65 points finds the lowest valley, golden sections its bottom to about 1e-8 of the
    interval, and two Newton steps the rest; the last carries derivatives, so that the result can
    be used inside `derive`. Where the function falls towards an end of the interval, that end.

    **Arguments:** `log_loss`, smooth, pure; `low` < `high`, in the same coordinate.

    **Returns:** the place of the minimum.
    """
    low, high = jnp.asarray(low), jnp.asarray(high)
    grid = low + (high - low) * jnp.linspace(0.0, 1.0, _GRID)
    best = jnp.argmin(jax.vmap(log_loss)(grid))
    bottom = grid[jnp.maximum(best - 1, 0)]
    top = grid[jnp.minimum(best + 1, _GRID - 1)]

    def section(_: Any, ends: tuple[Any, Any]) -> tuple[Any, Any]:
        left, right = ends
        first = right - _GOLDEN * (right - left)
        second = left + _GOLDEN * (right - left)
        lower = log_loss(first) < log_loss(second)
        return jnp.where(lower, left, first), jnp.where(lower, second, right)

    left, right = jax.lax.fori_loop(0, _SECTIONS, section, (bottom, top))

    def newton(at: Any) -> Any:
        curved = jax.lax.stop_gradient(jax.grad(jax.grad(log_loss))(at))
        step = jax.grad(log_loss)(at) / jnp.where(curved > 0.0, curved, jnp.inf)
        return jnp.clip(at - step, bottom, top)

    # The second step is differentiated, with its start held: by the implicit function theorem the
    # derivative of the minimum is minus that of the slope there over the curvature.
    found = jax.lax.stop_gradient(newton(jax.lax.stop_gradient(0.5 * (left + right))))
    polished = newton(found)
    slope = jax.grad(log_loss)(found)
    edge = (best == 0) & (slope >= 0.0) | (best == _GRID - 1) & (slope <= 0.0)
    return jnp.where(edge, grid[best], polished)


def optimal_size(
    law: Law,
    parameters: Mapping[str, Any],
    compute: float | Float[Any, ""],
    *,
    sizes: tuple[float, float],
    flops: float = FLOPS_PER_PARAMETER_TOKEN,
    more: Mapping[str, Any] | None = None,
) -> tuple[Float[Array, ""], Float[Array, ""], Float[Array, ""]]:
    r"""The compute-optimal N of any law of N and D, with $D = C / (f N)$.

    **Arguments:**

    - `parameters`: of the law, in the units of the data: numbers; for draws use `jax.vmap`.
    - `compute`, `flops`: as for `compute_optimal`.
    - `sizes`: smallest and largest N to look at.
    - `more`: other inputs of the law, such as U, held.

    **Returns:** N, D and the loss. N is at an end of `sizes` where the loss still falls there.

    **Raises:** `ValueError` for a law without the inputs N and D, and bad `sizes`.
    """
    if not {"N", "D"} <= set(law.inputs):
        raise ValueError(f"law: {law.name} has inputs {law.inputs}; give a law of N and D")
    if not 0.0 < sizes[0] < sizes[1]:
        raise ValueError(f"sizes: {sizes}; give (smallest, largest), positive")
    held = {name: jnp.asarray(value, jnp.float64) for name, value in (more or {}).items()}
    log_product = jnp.log(jnp.asarray(compute, jnp.float64) / flops)

    def log_loss(log_n: Any) -> Any:
        logs = {"N": log_n, "D": log_product - log_n}
        x = {name: jnp.exp(value) for name, value in logs.items()} | held
        x |= {f"log {name}": value for name, value in logs.items()}
        x |= {f"log {name}": jnp.log(value) for name, value in held.items()}
        return law.log_predict(parameters, x)

    log_n = minimise(log_loss, jnp.log(sizes[0]), jnp.log(sizes[1]))
    return jnp.exp(log_n), jnp.exp(log_product - log_n), jnp.exp(log_loss(log_n))
