"""The saddle point of the max-margin student on kept examples.

With the averages <.> of `fields` over the kept examples of label +1, and alpha = kept examples a
dimension, the Gardner volume of the students of margin kappa vanishes at

    alpha <g2> = 1                                                                            (E1)
    r (1 - alpha <Phi>) = alpha <g1 t>,     p (1 - alpha <Phi>) = alpha <g1 u>           (E2, E3)

in r = R/sig, p = P/sig, k = kappa/sig: the student's components along the teacher and across it in
the plane of teacher and probe, and its margin, in units of the rest. Derivation:
docs/data_pruning.md.

    test error = atan2(sqrt(1 + p^2), r)/pi,    margin = k/n,    n = sqrt(1 + r^2 + p^2)
    support fraction = <Phi>,    overlap with the probe = (r cos theta - p sin theta)/n

Maximising the margin is a convex problem wherever some student has a positive margin, as the
teacher
here always does, so that a solution with k > 0 is the only one. Solutions with k < 0 exist and mean
nothing; neither they nor r <= 0 can be expressed in the unknowns (log r, asinh p, log k). (r > 0 at
every solution with alpha <Phi> < 1, since <g1 t> > 0.)

| here | symbol | shared notation of the derivation | arXiv 2206.14486 |
|---|---|---|---|
| kept_per_dimension | alpha | alpha_prune | alpha_prune |
| samples_per_dimension | alpha_tot | alpha_tot | alpha_tot |
| teacher_overlap | R | R = (c a + s b)/n | R |
| probe_overlap | rho | rho = a/n | rho |
| margin | kappa | k/n | kappa |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scalinglab.models import Status
from scalinglab.models.data_pruning.config import Rule

from .continuation import Linearised, follow
from .fields import Line, Moments, averages_on_line, line
from .window import Window, averages_in_window, window

Scalar = Float[Array, ""]
Point = Float[Array, " unknowns=3"]

# Continuation starts at most here, where examples are few enough for Hebb's rule to be close.
_FEW = 1e-3


class SaddlePoint(NamedTuple):
    """What the max-margin student does in high dimension, an entry a setting.

    `test_error`; `margin` kappa; `support_fraction`, the share of kept examples at the margin;
    `probe_overlap` and `teacher_overlap`, cosines of the angles to probe and teacher; `status`. All
    but the status are NaN where it is not OK.
    """

    test_error: Float[Array, "..."]
    margin: Float[Array, "..."]
    support_fraction: Float[Array, "..."]
    probe_overlap: Float[Array, "..."]
    teacher_overlap: Float[Array, "..."]
    status: Int[Array, "..."]


def saddle_point(
    kept_per_dimension: Scalar, keep_fraction: Scalar, angle: Scalar | None, *, rule: Rule
) -> SaddlePoint:
    """The max-margin student at one setting: equations (E1)-(E3).

    **Arguments:**

    - `kept_per_dimension`: alpha_prune = P/N > 0; tested over 1e-4..1e6.
    - `keep_fraction`: f in (0, 1]; tested over 1e-4..1.
    - `angle`: theta of probe and teacher in radians, in [0, pi/2]; `None` for a probe along the
      teacher, whose one-dimensional averages are several times faster than an angle of 0. The
      rule random has no angle.
    - `rule`: static.

    **Returns:** `SaddlePoint` of scalars. Differentiable to any order in the three numbers.

    **Source:** Sorscher et al. 2206.14486, whose equations are for one rule; here derived for all.
    At f = 1 rule and angle drop out and the known max-margin student remains.
    """
    path = saddle_path(kept_per_dimension[None], keep_fraction, angle, rule=rule)
    return SaddlePoint(*(value[0] for value in path))


def saddle_path(
    kept_per_dimension: Float[Array, " points"],
    keep_fraction: Scalar,
    angle: Scalar | None,
    *,
    rule: Rule,
) -> SaddlePoint:
    """The max-margin student at many alpha_prune, all of them on one continuation.

    **Arguments:** `kept_per_dimension` in any order; otherwise as `saddle_point`.

    **Returns:** `SaddlePoint` of arrays. Where the continuation fails, that and all larger
    alpha_prune have NaN and the status `NOT_CONVERGED`.
    """
    order = jnp.argsort(kept_per_dimension)
    targets = jnp.log(kept_per_dimension[order])
    first = jax.lax.stop_gradient(jnp.minimum(jnp.log(_FEW), targets[0]))
    if angle is None or rule == "random":
        kept = line(rule, keep_fraction)
    else:
        kept = window(rule, keep_fraction, angle)
    found = follow(_equations, _start(first, kept), first, targets, kept)
    found = found[jnp.argsort(order)]
    support = jax.vmap(lambda point: _averages(kept, *_student(point)).zeroth[2])(found)
    return _outputs(found, support, jnp.zeros(()) if angle is None else angle)


def _student(point: Point) -> tuple[Scalar, Scalar, Scalar]:
    """r, p and k."""
    return jnp.exp(point[0]), jnp.sinh(point[1]), jnp.exp(point[2])


def _averages(kept: Line | Window, r: Scalar, p: Scalar, threshold: Scalar) -> Moments:
    if isinstance(kept, Line):
        return averages_on_line(kept, r, threshold)
    return averages_in_window(kept, r, p, threshold)


def _start(place: Scalar, kept: Line | Window) -> Point:
    """The student of few examples: all fields are near k = alpha^-1/2, and (r, p) is Hebb's rule.

    One substitution in (E2, E3), from a small r > 0.
    """
    ratio = jax.lax.stop_gradient(jnp.exp(place))
    k = ratio**-0.5
    found = _averages(kept, 0.5 * jnp.sqrt(ratio), jnp.zeros(()), k)
    r, p = ratio * found.first[1] / (1 - ratio * found.zeroth[2])
    return jnp.stack([jnp.log(r), jnp.arcsinh(p), jnp.log(k)])


def _equations(point: Point, place: Scalar, kept: Line | Window) -> Linearised:
    """log of (E1), and (E2, E3), at alpha = exp(place), with derivatives by hand.

    Every function of the field falls with r and p as its derivative times -(t, u), and those
    derivatives are among the averages.
    """
    r, p, k = _student(point)
    at = _averages(kept, r, p, k)
    ratio = jnp.exp(place)
    g2, g1, support, density = ratio * at.zeroth
    _, ramp, mean, edge = ratio * at.first
    spread = ratio * at.second[2]
    student = jnp.stack([r, p])
    residual = jnp.append(jnp.log(g2), student * (1 - support) - ramp)
    by_student = jnp.vstack(
        [-2 * ramp / g2, (1 - support) * jnp.eye(2) + jnp.outer(student, edge) + spread]
    )
    by_threshold = jnp.append(2 * g1 / g2, -student * density - mean)
    jacobian = jnp.column_stack([by_student, by_threshold])
    slope = jnp.append(1.0, -student * support - ramp)
    # Of the logarithms and the inverse hyperbolic sine.
    units = jnp.stack([r, jnp.hypot(1.0, p), k])
    return Linearised(residual, jacobian * units[None, :], slope)


def _outputs(
    found: Float[Array, "points unknowns=3"], support: Float[Array, " points"], angle: Scalar
) -> SaddlePoint:
    r, p, threshold = jnp.exp(found[:, 0]), jnp.sinh(found[:, 1]), jnp.exp(found[:, 2])
    rest = jnp.hypot(1.0, p)
    length = jnp.hypot(rest, r)
    reached = jnp.all(jnp.isfinite(found), axis=1)
    return SaddlePoint(
        test_error=jnp.arctan2(rest, r) / jnp.pi,
        margin=threshold / length,
        support_fraction=support,
        probe_overlap=(r * jnp.cos(angle) - p * jnp.sin(angle)) / length,
        teacher_overlap=r / length,
        status=jnp.where(reached, Status.OK, Status.NOT_CONVERGED).astype(jnp.int32),
    )
