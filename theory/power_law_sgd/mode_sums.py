"""The modes of the data, as a quadrature whose size does not grow with d or v.

Sums over the modes j = 1..v of functions of l_j = j^(-2 alpha) and t_j = j^(-2 alpha - 2 beta) are
exact for j <= n, 1024 unless more are asked for. Beyond, by the midpoint rule,

    sum_{n < j <= v} f(j) = int_{n+1/2}^{v+1/2} f + [f'(n + 1/2) - f'(v + 1/2)]/24 + O(f''')

with the integral taken by Gauss-Legendre panels in log j. The first derivative is extrapolated from
f(n), f(n-1), f(n-2), the second is f(v+1) - f(v); what is left is of relative order n^-4. For
infinite v one node stands for everything beyond a j where l_j is 1e-14 of the spectral edge: there
every sum that the theory takes is linear in l_j and t_j.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from scalinglab.models.spectra import Spectrum

Scalar = Float[Array, ""]

EXACT = 1024
_NODES = 16
# Panels that resolve l/(l - w) around l = |w| down to the spectral edge, at j of order d, and
# panels of the pure power law beyond it.
_FINE, _COARSE = 32, 8
_BEYOND_EDGE = 5.0
_RANGE = 32.0
# More than the end corrections, which are the only negative multiplicities, can add up to.
_SLACK = 0.25


def data_spectrum(
    alpha: Scalar,
    beta: Scalar,
    num_parameters: Scalar,
    ambient_dimension: Scalar,
    *,
    exact: int = EXACT,
) -> Spectrum:
    """The eigenvalues j^(-2 alpha) with target powers j^(-2 alpha - 2 beta), j = 1..v.

    **Arguments:** `alpha` >= 0; `beta`; `num_parameters` d >= 1, which only places the nodes;
    `ambient_dimension` v, a whole number or infinite, the latter for alpha > 1/2 and
    alpha + beta > 1/2; all may be traced. `exact` n >= 3, static, the modes kept one by one.

    **Returns:** a `Spectrum` of n + 643 nodes. Those beyond v have multiplicity 0.

    **Source:** Euler-Maclaurin, derived at the head of the module.
    """
    infinite = jnp.isinf(ambient_dimension)
    size = jnp.where(infinite, 0.0, ambient_dimension)
    index = np.arange(1.0, exact + 1)
    whole = jnp.where(infinite | (jnp.asarray(index) <= size), 1.0, 0.0)
    beyond = infinite | (size > exact)
    start = np.zeros(exact)
    start[-3:] = np.array([1.0, -3.0, 2.0]) / 24
    log_edges = jax.lax.stop_gradient(_edges(alpha, num_parameters, size, infinite, exact))
    panel_log, panel_weight = _panels(log_edges)
    end_weight = jnp.where(beyond & ~infinite, 1 / 24, 0.0)
    last = log_edges[-1]
    safe = jnp.maximum(size, 1.0)
    end_log = jnp.where(infinite, last, jnp.log(jnp.stack([safe, safe + 1])))
    log_index = jnp.concatenate([jnp.asarray(np.log(index)), panel_log, end_log, last[None]])
    # The tail node has the trace of all modes beyond it, j^(1 - 2 alpha)/(2 alpha - 1).
    decay, target_decay = 2 * alpha, 2 * (alpha + beta)
    tail = jnp.where(infinite, jnp.exp(last) / jnp.where(infinite, decay - 1, 1.0), 0.0)
    multiplicities = jnp.concatenate(
        [
            whole + jnp.where(beyond, jnp.asarray(start), 0.0),
            jnp.where(beyond, panel_weight, 0.0),
            jnp.stack([end_weight, -end_weight, tail]),
        ]
    )
    ratio = jnp.where(infinite, (decay - 1) / jnp.where(infinite, target_decay - 1, 1.0), 1.0)
    power = jnp.exp(-target_decay * log_index)
    return Spectrum(
        eigenvalues=jnp.exp(-decay * log_index),
        multiplicities=multiplicities,
        target_power=power.at[-1].multiply(ratio),
        counts=jnp.cumsum(multiplicities) - _SLACK,
    )


def _edges(
    alpha: Scalar, num_parameters: Scalar, size: Scalar, infinite: Array, exact: int
) -> Array:
    """Edges of the panels in log j: ascending, and equal beyond log(v + 1/2)."""
    start = jnp.log(exact + 0.5)
    end = jnp.where(infinite, jnp.inf, jnp.maximum(jnp.log(size + 0.5), start))
    fine = jnp.minimum(jnp.maximum(jnp.log(num_parameters) + _BEYOND_EDGE, start + 1), end)
    coarse = jnp.minimum(fine + _RANGE / jnp.maximum(2 * alpha, 0.5), end)
    return jnp.concatenate(
        [jnp.linspace(start, fine, _FINE + 1)[:-1], jnp.linspace(fine, coarse, _COARSE + 1)]
    )


def _panels(edges: Float[Array, " edges"]) -> tuple[Array, Array]:
    """log j of the nodes, and their weights in an integral over j."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half, middle = jnp.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    log_index = (middle[:, None] + half[:, None] * jnp.asarray(nodes)[None, :]).ravel()
    weight = (half[:, None] * jnp.asarray(weights)[None, :]).ravel()
    return log_index, weight * jnp.exp(log_index)
