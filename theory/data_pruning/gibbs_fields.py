"""Averages over the fields of a Gibbs student on a pruned set, as integrals in one variable.

A kept example has t = |T.x|, half-normal on the kept window [low, high] of mass f, and a Gaussian
part eta in all other directions. Its field, over the spread of the version space, is

    v = a t + c eta,   s^2 = a^2 + c^2.

Given v, t would be Gaussian of mean m = a v/s^2 and deviation d = c/s without the window, so that
both the density of v and the mean of t at v are in closed form:

    p(v) = (2/f) phi(v/s)/s [Phi((high-m)/d) - Phi((low-m)/d)],   t p(v) likewise.

What is averaged, ln Phi and r = phi/Phi, varies on the scale 1 around v = 0; the density, on the
scale c around v = a low. Panels of Gauss-Legendre nodes that shrink towards v = a low resolve both.
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfcx, log_ndtr, ndtr
from jaxtyping import Array, Float

from scalinglab.models.data_pruning.config import Rule

from .kept import easy_edge, hard_edge

Scalar = Float[Array, ""]
Nodes = Float[Array, " nodes"]

# With 14 panels of 32 nodes the first ten digits of everything returned are the same, for all
# rules, f = 1e-3..1 and alpha up to 1e3.
_PANELS, _NODES_A_PANEL, _NARROW_NODES = 8, 20, 7
# A Gaussian is cut where it is 1e-22 (ten deviations), and r where it is 1e-32 (v = 12).
_DEVIATIONS, _FIELD_CUT = 10.0, 12.0
# Stands for infinity where derivatives must be finite: no half-normal mass lies beyond it.
_BEYOND = 40.0
# Below this field erfcx loses digits in v + r(v), and nine terms of a continued fraction do not.
_FAR, _TERMS = -20.0, 9


def _legendre(count: int) -> tuple[np.ndarray, np.ndarray]:
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return (nodes + 1) / 2, weights / 2


_UNIT = _legendre(_NODES_A_PANEL)
_UNIT_NARROW = _legendre(_NARROW_NODES)


class Interval(NamedTuple):
    """The kept t = |T.x|: all of [low, high], which has probability `mass` in the pool.

    `edge` is the end that moves with the keep fraction, infinite where none does.
    """

    low: Scalar
    high: Scalar
    mass: Scalar
    edge: Scalar


def kept_interval(keep_fraction: Scalar, *, rule: Rule) -> Interval:
    """The window of t that a perfect probe keeps.

        hard: [0, sqrt(2) erfinv(f)];   easy: [-Phi^-1(f/2), inf);   random: [0, inf)

    with 40 for infinity.

    **Arguments:** `keep_fraction` f in (0, 1]; `rule`, of which abs and signed are one at angle 0.
    """
    zero, beyond = jnp.zeros(()), jnp.full((), _BEYOND)
    if rule == "random":
        return Interval(zero, beyond, jnp.ones(()), jnp.full((), jnp.inf))
    if rule.endswith("hard"):
        high = hard_edge(keep_fraction)
        return Interval(zero, high, keep_fraction, high)
    low = easy_edge(keep_fraction)
    return Interval(low, beyond, keep_fraction, low)


def inverse_mills(field: Nodes) -> tuple[Nodes, Nodes]:
    """r(v) = phi(v)/Phi(v) and v + r(v), both without cancellation; r' = -r (v + r)."""
    ratio = math.sqrt(2 / math.pi) / erfcx(-field / math.sqrt(2))
    far = jnp.maximum(-field, -_FAR)
    # v + r(v) = 1/(x + 2/(x + 3/(x + ...))) at x = -v.
    fraction = far
    for term in range(_TERMS, 1, -1):
        fraction = far + term / fraction
    beyond = field < _FAR
    return (
        jnp.where(beyond, far + 1 / fraction, ratio),
        jnp.where(beyond, 1 / fraction, field + ratio),
    )


class FieldMoments(NamedTuple):
    """Averages over kept examples: `<t r(v)>`, `-<r'(v)>` and `-<ln Phi(v)>`, all positive."""

    pull: Scalar
    stiffness: Scalar
    information: Scalar


def field_moments(a: Scalar, c: Scalar, kept: Interval) -> FieldMoments:
    """The three averages at given a and c, to about ten digits.

    **Arguments:** `a` > 0 and `c` > 0; `kept`, of `kept_interval`.
    """
    nodes, weights = _nodes(a, c, kept.low, jnp.hypot(a, c))
    zeroth, first = _densities(nodes, a, c, kept)
    ratio, gap = inverse_mills(nodes)
    return FieldMoments(
        pull=jnp.sum(weights * first * ratio),
        stiffness=jnp.sum(weights * zeroth * ratio * gap),
        information=-jnp.sum(weights * zeroth * log_ndtr(nodes)),
    )


def edge_information(a: Scalar, c: Scalar, kept: Interval) -> Scalar:
    """-<ln Phi(a edge + c eta)>, of an example at the end of the window that moves with f."""
    edge = jnp.where(jnp.isfinite(kept.edge), kept.edge, 0.0)
    nodes, weights = _nodes(a, c, edge, c)
    density = _normal((nodes - a * edge) / c) / c
    found = -jnp.sum(weights * density * log_ndtr(nodes))
    return jnp.where(jnp.isfinite(kept.edge), found, 0.0)


def _normal(x: Array) -> Array:
    return jnp.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def _nodes(a: Scalar, c: Scalar, start: Scalar, above: Scalar) -> tuple[Nodes, Nodes]:
    """Nodes and weights around v = a start, ten deviations `c` below it and `above` above it."""
    a, c, start, above = jax.lax.stop_gradient((a, c, start, above))
    finest = jnp.minimum(c, 1.0) / 2
    left, left_weights = _panels(_DEVIATIONS * c, finest)
    right, right_weights = _panels(jnp.minimum(_DEVIATIONS * above, _FIELD_CUT), finest)
    nodes = a * start + jnp.concatenate([-left, right])
    return nodes, jnp.concatenate([left_weights, right_weights])


def _panels(length: Scalar, finest: Scalar) -> tuple[Nodes, Nodes]:
    """Panels on [0, length] whose lengths shrink geometrically to about `finest` at 0."""
    ratio = jnp.clip((finest / length) ** (1 / (_PANELS - 1)), 0.1, 0.6)
    ends = length * ratio ** jnp.arange(_PANELS - 1, -1, -1, dtype=length.dtype)
    ends = jnp.concatenate([jnp.zeros(1, length.dtype), ends])
    lengths = jnp.diff(ends)[:, None]
    units, weights = (jnp.asarray(values, length.dtype)[None, :] for values in _UNIT)
    return (ends[:-1, None] + lengths * units).ravel(), (lengths * weights).ravel()


def _densities(field: Nodes, a: Scalar, c: Scalar, kept: Interval) -> tuple[Nodes, Nodes]:
    """p(v), and the mean of t at v times it."""
    scale = jnp.hypot(a, c)
    centre, spread = a * field / scale**2, c / scale
    near, far = (kept.low - centre) / spread, (kept.high - centre) / spread
    # Two numbers near 1 are subtracted by their complements.
    upper = near > 0
    zeroth = ndtr(jnp.where(upper, -near, far)) - ndtr(jnp.where(upper, -far, near))
    first = centre * zeroth + spread * (_normal(near) - _normal(far))
    width = kept.high - kept.low
    narrow = width < spread
    # In a window narrower than d these are differences of nearly equal numbers: integrate over t,
    # where seven nodes have a relative error of 1e-14.
    inside = jnp.minimum(width, spread)
    units, weights = (jnp.asarray(values, field.dtype) for values in _UNIT_NARROW)
    t = kept.low + inside * units
    kernel = _normal((t[None, :] - centre[:, None]) / spread) * (inside / spread * weights)[None, :]
    zeroth = jnp.where(narrow, jnp.sum(kernel, axis=1), zeroth)
    first = jnp.where(narrow, kernel @ t, first)
    outer = 2 / kept.mass * _normal(field / scale) / scale
    return outer * zeroth, outer * first
