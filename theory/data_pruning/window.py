"""Averages over the kept examples at any angle of the probe, as integrals over one variable.

In the coordinates w along the student's (r, p) and v across it the field is h = k - m w with
m^2 = r^2 + p^2, and the kept examples of label +1 fill one or two convex sets bounded by straight
lines: t > 0, and lines of constant score. At given w such a set is an interval lo < v < hi, whence

    <G w^i v^j> = (2/f) int phi(w) G(k - m w) w^i Qj(w) dw
    Q0 = Phi(hi) - Phi(lo),   Q1 = phi(lo) - phi(hi),   Q2 = Q0 + lo phi(lo) - hi phi(hi)

The integrand is smooth on the scales of phi(w), 1; of G, 1/m; and, about the place where each line
crosses v = 0, of the tangent of the angle between the line's normal and the student. It has a
corner where two lines meet. Gauss-Legendre panels end at all of these, whatever their scale. Then
12 nodes a panel leave an error of the order of rounding, at any alpha.

| here | symbol |
|---|---|
| along, across | components of a line's normal along w and v |
| offset | d of the half-plane along w + across v > d |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm
from jaxtyping import Array, Bool, Float

from scalinglab.models.data_pruning.config import Rule

from .fields import Moments, cumulative, functions
from .kept import CUT, easy_edge, hard_edge, signed_edge

Scalar = Float[Array, ""]
Lines = Float[Array, "regions lines"]
Nodes = Float[Array, " nodes"]

# Ends of panels in units of the width of each feature, between which it is smooth.
_STEPS = np.array([-8.5, -5.0, -2.5, 0.0, 2.5, 5.0, 8.5])
_BELL = np.array([-CUT, -6.0, -3.0, 0.0, 3.0, 6.0])
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
# Added to the component across of a line that faces the student, to which it is then infinitely
# sharp; and below which component a line is sharp.
_FACING, _SHARP = 1e-60, 1e-3


class Window(NamedTuple):
    """The kept examples of label +1: the points of any region that are on the kept side of its
    lines.

        side (cos(b) t + sin(b) u) > d

    `direction` b, `side` +1 or -1 and `offset` d of every line; `mass` of all regions, f/2;
    `corners`, the coordinate u of the points with t = 0 where lines meet.
    """

    direction: Lines
    side: Lines
    offset: Lines
    mass: Scalar
    corners: Float[Array, " corners"]


def window(rule: Rule, keep_fraction: Scalar, angle: Scalar) -> Window:
    """The kept examples of `rule`.

    **Arguments:** `rule`, any but random; `keep_fraction` f in (0, 1]; `angle` theta of probe and
    teacher in [0, pi/2], radians.
    """
    if rule == "abs_hard":
        edge = hard_edge(keep_fraction)
        side, offset = [[1.0, 1.0, -1.0]], [[0.0, -1.0, -1.0]]
    elif rule == "abs_easy":
        edge = easy_edge(keep_fraction)
        side, offset = [[1.0, 1.0], [1.0, -1.0]], [[0.0, 1.0], [0.0, 1.0]]
    elif rule == "signed_hard":
        edge = signed_edge(keep_fraction, angle, keep_hard=True)
        side, offset = [[1.0, -1.0]], [[0.0, -1.0]]
    else:
        edge = signed_edge(keep_fraction, angle, keep_hard=False)
        side, offset = [[1.0, 1.0]], [[0.0, 1.0]]
    # The first line of each region is t > 0. The score is z = t cos(theta) - u sin(theta).
    probe = -angle * jnp.array([[0.0] + [1.0] * (len(side[0]) - 1)] * len(side))
    corner = edge / jnp.maximum(jnp.sin(angle), _FACING)
    corners = jnp.stack([-corner, corner])
    return Window(probe, jnp.array(side), edge * jnp.array(offset), keep_fraction / 2, corners)


def averages_in_window(kept: Window, r: Scalar, p: Scalar, threshold: Scalar) -> Moments:
    """The averages for a student r > 0, p and k; `kept` from `window`."""
    size, tilt = jnp.hypot(r, p), jnp.arctan2(p, r)
    along = kept.side * jnp.cos(kept.direction - tilt)
    across = kept.side * jnp.sin(kept.direction - tilt)
    # The derivatives stay those of the sine.
    across = across + jnp.where(jnp.abs(across) < _FACING, _FACING, 0.0)
    w, ends, weights = _nodes(kept, along, across, jnp.sin(tilt), size, threshold)
    upward = across[:, :, None] > 0
    lower = jnp.max(jnp.where(upward, ends, -4 * CUT), axis=1)
    upper = jnp.min(jnp.where(upward, 4 * CUT, ends), axis=1)
    q0, q1, q2 = _interval_moments(lower, upper)
    measure = weights * norm.pdf(w) / kept.mass
    monomials = jnp.stack([q0, w * q0, q1, w**2 * q0, w * q1, q2]) * measure[None, :]
    found = functions(threshold - size * w) @ monomials.T
    turn = jnp.array([[jnp.cos(tilt), -jnp.sin(tilt)], [jnp.sin(tilt), jnp.cos(tilt)]])
    second = found[:, jnp.array([[3, 4], [4, 5]])]
    return Moments(found[:, 0], found[:, 1:3] @ turn.T, turn @ second @ turn.T)


def _nodes(
    kept: Window, along: Lines, across: Lines, sine: Scalar, size: Scalar, threshold: Scalar
) -> tuple[Nodes, Float[Array, "regions lines nodes"], Nodes]:
    """Nodes in w, the v on each line there, and weights.

    The average does not depend on where a smooth piece is cut, and cuts that do not move with the
    parameters keep derivatives precise up to f = 1, where the window's edge moves infinitely fast.
    Corners move, and so do the cuts about a sharp line, since they are all that resolves it. That
    line may be sharper than w can be told from its centre, which is therefore kept apart.
    """
    sharp = jnp.abs(across) < _SHARP
    centre = jnp.where(sharp, kept.offset / jnp.where(sharp, along, 1.0), 0.0)
    cuts, anchors = _cuts(kept, along, across, sharp, centre)
    # Beyond the upper end every function of the field is below 1e-17.
    last = jax.lax.stop_gradient(jnp.minimum(CUT, (threshold + 8.5) / size))
    steady = jax.lax.stop_gradient((threshold + _STEPS) / size)
    steady = jnp.concatenate([steady, _BELL, last[None]])
    cuts = jnp.concatenate([cuts, steady, kept.corners * sine])
    anchors = jnp.concatenate([anchors, jnp.zeros(cuts.size - anchors.size)])

    inside = (anchors + cuts > -CUT) & (anchors + cuts < last)
    cuts = jnp.where(inside, cuts, jnp.clip(anchors + cuts, -CUT, last))
    anchors = jnp.where(inside, anchors, 0.0)
    order = jnp.argsort(anchors + cuts, stable=True)
    cuts, anchors = cuts[order], anchors[order]
    half = ((cuts[1:] - cuts[:-1]) + (anchors[1:] - anchors[:-1]))[:, None] / 2
    apart = (cuts[:-1, None] + half * (1 + _NODES[None, :])).ravel()
    anchor = jnp.repeat(anchors[:-1], _NODES.size)

    w = anchor + apart
    beyond = (anchor[None, None, :] - centre[:, :, None]) + apart[None, None, :]
    rise = along[:, :, None] * jnp.where(sharp[:, :, None], beyond, w[None, None, :])
    start = jnp.where(sharp, 0.0, kept.offset)
    ends = (start[:, :, None] - rise) / across[:, :, None]
    return w, ends, (half * _WEIGHTS[None, :]).ravel()


def _cuts(
    kept: Window, along: Lines, across: Lines, sharp: Bool[Array, "regions lines"], centre: Lines
) -> tuple[Float[Array, " cuts"], Float[Array, " cuts"]]:
    """Where the lines have v = -8.5, -5, ..., 8.5: the distance from an anchor, and the anchor.

    The anchor is the centre of a sharp line, and 0 for any other.
    """
    flat = jnp.where(jnp.abs(along) < _FACING, _FACING, along)
    # In rising order, so that sorting leaves in order what rounding has made equal.
    steps = jnp.abs(across / flat)[:, :, None] * _STEPS[None, None, :]
    middle = jnp.where(sharp, 0.0, kept.offset / flat)
    cuts = middle[:, :, None] + steps
    cuts = jnp.where(sharp[:, :, None], cuts, jax.lax.stop_gradient(cuts))
    return cuts.ravel(), jnp.repeat(centre.ravel(), _STEPS.size)


def _interval_moments(
    lower: Float[Array, "regions nodes"], upper: Float[Array, "regions nodes"]
) -> tuple[Nodes, Nodes, Nodes]:
    """int v^j phi(v) dv from lower to upper, or 0 if that is below, j = 0, 1, 2, over all
    regions."""
    # Exactly 0 where nothing is kept: the fields there may be so large that rounding would count.
    empty = upper <= lower
    upper = jnp.where(empty, lower, upper)
    density_low, density_high = norm.pdf(lower), norm.pdf(upper)
    # Of the two tails the one without cancellation.
    mirrored = lower > 0
    left, right = jnp.where(mirrored, -upper, lower), jnp.where(mirrored, -lower, upper)
    q0 = cumulative(right) - cumulative(left)
    q1 = density_low - density_high
    q2 = q0 + lower * density_low - upper * density_high
    return (
        jnp.sum(jnp.where(empty, 0.0, q0), axis=0),
        jnp.sum(jnp.where(empty, 0.0, q1), axis=0),
        jnp.sum(jnp.where(empty, 0.0, q2), axis=0),
    )
