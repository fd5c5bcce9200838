"""Averages over the kept examples of functions of the local field.

The student J = R T + P U + sig J_perp has the components R along the teacher and P along the unit
vector U orthogonal to it in the plane of teacher and probe; r = R/sig, p = P/sig, k = kappa/sig. An
example of label +1 with coordinates (t, u) in that plane has the field h = k - r t - p u, and the
saddle point needs <G(h) t^i u^j>, i + j <= 2, for the four functions of a Gaussian eta

    g2 = E (h - eta)_+^2 = (1 + h^2) Phi + h phi,   g1 = E (h - eta)_+ = h Phi + phi,   Phi,   phi

each the derivative of the one before (g2' = 2 g1). For a probe along the teacher u is a standard
normal whatever is kept, and the nodes of `kept.half_normal_nodes` in t are all; any other angle is
the work of `window`.

| here | symbol | shared notation of the derivation |
|---|---|---|
| r, p | r, p | r = a cos theta + b sin theta, p = b cos theta - a sin theta |
| threshold | k | kappa/sig |
| t, u | t, u | t = z cos theta + tau sin theta, u = tau cos theta - z sin theta |
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.scipy.special import erfc
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from scalinglab.models.data_pruning.config import Rule

from .kept import half_normal_nodes

Scalar = Float[Array, ""]


class Moments(NamedTuple):
    """<G>, <G (t, u)> and <G (t, u)(t, u)'> for G = g2, g1, Phi and phi, in this order."""

    zeroth: Float[Array, " functions=4"]
    first: Float[Array, "functions=4 axes=2"]
    second: Float[Array, "functions=4 axes=2 axes=2"]


class Line(NamedTuple):
    """The kept examples for a probe along the teacher: nodes in t and weights of sum 1."""

    nodes: Float[Array, " nodes"]
    weights: Float[Array, " nodes"]


def line(rule: Rule, keep_fraction: Scalar) -> Line:
    """The kept examples of `rule` for a probe along the teacher; f in (0, 1]."""
    return Line(*half_normal_nodes(rule, keep_fraction))


def averages_on_line(kept: Line, r: Scalar, threshold: Scalar) -> Moments:
    """The averages for a probe along the teacher and a student with p = 0, which solves (E3).

    **Arguments:** `kept`; the student's r > 0 and k.
    """
    t, weights = kept
    found = functions(threshold - r * t) @ jnp.stack([weights, weights * t, weights * t**2]).T
    zero = jnp.zeros(4)
    second = jnp.stack([found[:, 2], zero, zero, found[:, 0]], axis=1).reshape(4, 2, 2)
    return Moments(found[:, 0], jnp.stack([found[:, 1], zero], axis=1), second)


def functions(field: Float[Array, " nodes"]) -> Float[Array, "functions=4 nodes"]:
    """g2, g1, Phi and phi of the field."""
    normal, density = cumulative(field), norm.pdf(field)
    ramp = field * normal + density
    return jnp.stack([normal + field * ramp, ramp, normal, density])


def cumulative(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """Phi, precise in the lower tail, by one special function where `ndtr` evaluates two."""
    return erfc(x * -(0.5**0.5)) / 2
