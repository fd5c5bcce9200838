"""The law of the kept examples, on the half where the label is +1.

Before pruning, the score z = probe.x and tau, the coordinate of x along the part of the teacher
that
is orthogonal to the probe, are independent standard normal; t = teacher.x = z cos(theta) + tau
sin(theta) and y = sign(t). Every rule keeps x if it keeps -x, so that an average over kept examples
of anything even is one over the half y = +1, whose mass before pruning is 1/2:

    random        all                           abs_hard     |z| < g,  2 Phi(g) - 1 = f
                                                abs_easy     |z| > g,  2 Phi(-g) = f
    signed_hard   z < g,  F(g) = f              signed_easy  z > g,    1 - F(g) = f
    F(m) = 2 int_{-inf}^m phi(z) Phi(z cot theta) dz,   the law of m = y z

F is a skew normal law. With Owen's T as an integral over the angle, either tail is a sum of
positive
terms: with e(x) = exp(-m^2/(2 sin^2 x)),

    m < 0:  F = (1/pi) int_0^theta e,     m > 0:  1 - F = (1/pi) (int_0^{pi/2} e +
    int_theta^{pi/2} e)

| here | symbol | arXiv 2206.14486 |
|---|---|---|
| keep_fraction | f | f |
| angle of probe and teacher, radians | theta | theta |
| edge of the window of scores | g | gamma |
| t, distance to the teacher's plane | t | z, where the probe is the teacher |
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfinv, ndtri
from jax.scipy.stats import norm
from jaxtyping import Array, Float, Int

from scalinglab.models.data_pruning.config import Rule

Scalar = Float[Array, ""]

# A normal variable exceeds this with probability 1e-19.
CUT = 9.0
# f is scaled by 1 - 1e-14, which ends the window of f = 1 at 7.7 instead of infinity, so that
# derivatives in f exist there.
_BELOW_ONE = 1.0 - 1e-14
_NODES = 16
# Ends of the panels as fractions of the range: at large alpha the support vectors are the
# 1/alpha of the examples next to the lower end.
_FRACTIONS = np.array([0.0, *(0.25 ** np.arange(12, 0, -1)), 0.5, 0.75, 1.0])
# The window of keep-hard moves its upper end alone once it is wider than this.
_WIDE = 5.5
_BISECTIONS = 60


def hard_edge(keep_fraction: Scalar) -> Scalar:
    """g with P(|z| < g) = f, for `keep_fraction` f in (0, 1]; 7.7 at f = 1."""
    return jnp.sqrt(2.0) * erfinv(keep_fraction * _BELOW_ONE)


def easy_edge(keep_fraction: Scalar) -> Scalar:
    """g with P(|z| > g) = f, for `keep_fraction` f in (0, 1]."""
    return -ndtri(keep_fraction / 2)


def signed_edge(keep_fraction: Scalar, angle: Scalar, *, keep_hard: bool) -> Scalar:
    """g with F(g) = f (`keep_hard`) or 1 - F(g) = f, F the law of y z.

    **Arguments:** `keep_fraction` f in (0, 1]; `angle` theta in [0, pi/2], radians.

    **Returns:** g; differentiable in both.
    """
    kept = keep_fraction * _BELOW_ONE
    lower, upper = (kept, 1 - kept) if keep_hard else (1 - kept, kept)
    # The probe misplaces the share theta/pi of the examples: those with y z < 0.
    below = lower < angle / jnp.pi

    def missing(edge: Scalar) -> Scalar:
        """F(g) minus its value, from the tail on the side of g = 0 where the root lies."""
        left, right = _tails(edge, angle)
        return jnp.where(below, left - lower, upper - right)

    def halve(_: Int[Array, ""], interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        low, high = interval
        middle = (low + high) / 2
        beyond = missing(middle) > 0
        return jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)

    bounds = jnp.where(below, -CUT, 0.0), jnp.where(below, 0.0, CUT)
    start = jax.lax.stop_gradient(sum(jax.lax.fori_loop(0, _BISECTIONS, halve, bounds)) / 2)
    sine = jnp.maximum(jnp.sin(angle), 1e-12)
    density = 2 * norm.pdf(start) * norm.cdf(start * jnp.cos(angle) / sine)
    # One step of Newton carries the derivatives of the root.
    return start - missing(start) / density


def _tails(edge: Scalar, angle: Scalar) -> tuple[Scalar, Scalar]:
    """F(g) for g < 0 and 1 - F(g) for g > 0, each to relative precision."""

    def integral(low: Scalar, high: Scalar) -> Scalar:
        nodes, weights = panels(low + (high - low) * _FRACTIONS, _NODES)
        return jnp.sum(weights * jnp.exp(-((edge / jnp.sin(nodes)) ** 2) / 2)) / jnp.pi

    zero, right = jnp.zeros(()), jnp.full((), jnp.pi / 2)
    return integral(zero, angle), integral(zero, right) + integral(angle, right)


def half_normal_nodes(
    rule: Rule, keep_fraction: Scalar
) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
    """Quadrature of t = |teacher.x| over the kept examples, for the probe along the teacher.

        <F> = int F(t) p(t) dt,   p = half-normal restricted to t < g (hard) or t > g (easy)

    Gauss-Legendre panels that shrink by factors of 4 towards the examples nearest to the teacher's
    plane, to 1e-7 of the range. The number of nodes is constant, and both results can be
    differentiated in the keep fraction, up to f = 1.

    **Arguments:** `rule` (the signed rules are those in |z| here); `keep_fraction` f in (0, 1].

    **Returns:** (t, weights), the weights positive and of sum 1.
    """
    if rule in ("abs_hard", "signed_hard"):
        edge = hard_edge(keep_fraction)
        ends = jnp.append(jnp.minimum(edge, _WIDE) * _FRACTIONS, edge)
    else:
        low = jnp.zeros(()) if rule == "random" else easy_edge(keep_fraction)
        # phi falls by e^-40 between the ends.
        ends = low + (jnp.sqrt(low**2 + CUT**2) - low) * _FRACTIONS
    nodes, weights = panels(ends, _NODES)
    # Relative to the lower end, where the density is largest, so that no f underflows.
    weights = weights * jnp.exp((nodes[0] ** 2 - nodes**2) / 2)
    return nodes, weights / jnp.sum(weights)


def panels(
    ends: Float[Array, " ends"], nodes: int
) -> tuple[Float[Array, " all_nodes"], Float[Array, " all_nodes"]]:
    """Gauss-Legendre nodes and weights of `nodes` points between each two neighbours of `ends`."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    half = jnp.diff(ends)[:, None] / 2
    return (ends[:-1, None] + half * (1 + places[None, :])).ravel(), (
        half * weights[None, :]
    ).ravel()
