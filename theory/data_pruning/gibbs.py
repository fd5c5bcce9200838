"""The Gibbs student of a pruned set, and the information that a kept example brings (angle 0).

A Gibbs student is drawn uniformly from the version space: the unit vectors J that label every kept
example as the teacher T does. A kept example has t = |T.x| on the kept window and is Gaussian in
all other directions, so that replicas give ln(volume)/N as the stationary value of

    S = 1/2 ln(1-q) + (q-R^2)/(2(1-q)) + alpha <ln Phi((R t + sqrt(q-R^2) eta)/sqrt(1-q))>

in R = J.T and q = J.J', the overlap of two students. Since the version space is convex the replica-
symmetric value is the right one. With a = R/sqrt(1-q), c = sqrt((q-R^2)/(1-q)), n = 1 + a^2 + c^2 =
1/(1-q), v = a t + c eta and r = phi/Phi,

    S(a, c) = -1/2 ln n + c^2/2 + alpha <ln Phi(v)>                                            (G1)
    dS/da = 0:  a/n = alpha <t r(v)>                                                           (G2)
    dS/dc = 0:  (a^2 + c^2)/n = -alpha <r'(v)>        (by parts, <eta r> = c <r'>)             (G3)

Given the kept set, a further example leaves a fraction Phi(v) of the version space. What it brings
is I = -<ln Phi(v)>, and since S is stationary I = -dS/dalpha at fixed f.

| here | symbol | meaning |
|---|---|---|
| kept_per_dimension | alpha, alpha_prune | kept examples over N; the pool has alpha/f |
| keep_fraction | f | fraction of the pool that is kept |
| teacher_overlap | R | overlap of a student with the teacher |
| replica_overlap | q | overlap of two students |
| entropy | S | ln(volume of the version space over that of the sphere)/N, at most 0 |

Limits. f = 1 is Bayes' case, q = R: the teacher is one more draw from the version space. A pruned
set breaks that, since the student does not know of the selection: arccos(sqrt(q))/pi, what the
vote of all students would expect its own error to be, is the Bayes error at f = 1 only.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scalinglab.models import Status
from scalinglab.models.data_pruning.config import Rule
from scalinglab.theory.prediction import require_float64

from .continuation import Linearised, follow
from .gibbs_fields import Interval, edge_information, field_moments, kept_interval

Scalar = Float[Array, ""]
Pair = Float[Array, "2"]

# Continuation starts at most here, where the fields are small and the start is close.
_FEW = 1e-3


class GibbsStudent(NamedTuple):
    """The order parameters and what follows from them; NaN where `status` is not OK.

    **Fields:**

    - `teacher_overlap` R and `replica_overlap` q;
    - `gibbs_error` arccos(R)/pi, of one student;
    - `vote_error` arccos(R/sqrt(q))/pi, of the majority vote of all students;
    - `believed_vote_error` arccos(sqrt(q))/pi, how often a student contradicts the vote: the
      vote's error if the teacher were one of the students, and its true error at f = 1 only;
    - `information` I, nats a kept example;
    - `selection_gain` dS/dln f at fixed alpha: what the information grows by, nats a dimension for
      each factor of e by which the keep fraction falls while as many examples are kept;
    - `entropy` S, nats a dimension, at most 0;
    - `status`, a `Status`.
    """

    teacher_overlap: Float[Array, "..."]
    replica_overlap: Float[Array, "..."]
    gibbs_error: Float[Array, "..."]
    vote_error: Float[Array, "..."]
    believed_vote_error: Float[Array, "..."]
    information: Float[Array, "..."]
    selection_gain: Float[Array, "..."]
    entropy: Float[Array, "..."]
    status: Int[Array, "..."]


def gibbs_student(kept_per_dimension: Scalar, keep_fraction: Scalar, *, rule: Rule) -> GibbsStudent:
    """The Gibbs student of a set pruned by a perfect probe.

        stationary point of S(a, c), (G1)-(G3) of the module;   I = -<ln Phi(a t + c eta)>

    **Arguments:** `kept_per_dimension` alpha > 0, tested over 1e-4..1e4; `keep_fraction` f in
    (0, 1], tested from 1e-4; `rule`, static, of which abs and signed are one at angle 0 and for
    which `random` ignores f.

    **Returns:** a `GibbsStudent` of scalars; differentiable in both numbers to any order (by the
    implicit function theorem), and batched by `vmap`.

    **Raises:** `RuntimeError` without float64.

    **Source:** after Sorscher et al. 2206.14486, with the free entropy derived above; at f = 1
    Seung, Sompolinsky and Tishby, Phys. Rev. A 45 (1992) 6056.

    **Limits:** alpha -> 0: I = ln 2. alpha -> infinity at fixed f, hard: I -> 1/alpha and
    gibbs_error -> 0.6247 f/alpha, as for the whole pool. f -> 0, hard, at fixed alpha: random
    labels below alpha = 2, where I grows without bound; beyond it S -> ln f + a function of alpha.
    """
    path = gibbs_path(kept_per_dimension[None], keep_fraction, rule=rule)
    return GibbsStudent(*(values[0] for values in path))


def gibbs_path(
    kept_per_dimension: Float[Array, " points"], keep_fraction: Scalar, *, rule: Rule
) -> GibbsStudent:
    """The Gibbs student at many alpha, all of them on one continuation.

    **Arguments:** `kept_per_dimension` in any order; otherwise as `gibbs_student`.

    **Returns:** a `GibbsStudent` of arrays. Where the continuation fails, that and all larger alpha
    have NaN and the status `NOT_CONVERGED`.
    """
    require_float64()
    kept = kept_interval(keep_fraction, rule=rule)
    order = jnp.argsort(kept_per_dimension)
    targets = jnp.log(kept_per_dimension[order])
    first = jax.lax.stop_gradient(jnp.minimum(jnp.log(_FEW), targets[0]))
    found = follow(_equations, _start(first, kept), first, targets, kept)[jnp.argsort(order)]
    return jax.vmap(lambda logs, alpha: _outputs(logs, alpha, kept))(found, kept_per_dimension)


def free_entropy(a: Scalar, c: Scalar, kept_per_dimension: Scalar, kept: Interval) -> Scalar:
    """S(a, c) of (G1) at any a, c > 0, stationary or not, in nats a dimension."""
    return _entropy(a, c, kept_per_dimension * field_moments(a, c, kept).information)


def _entropy(a: Scalar, c: Scalar, gained: Scalar) -> Scalar:
    """(G1), given what all kept examples have brought together."""
    return c**2 / 2 - jnp.log1p(a**2 + c**2) / 2 - gained


def _mismatch(logs: Pair, kept: Interval) -> Pair:
    """log of right side over left side of (G2) and (G3) at alpha = 1: -log alpha at a solution."""
    a, c = jnp.exp(logs)
    moments = field_moments(a, c, kept)
    norm = 1 + a**2 + c**2
    ratios = moments.pull * norm / a, moments.stiffness * norm / (a**2 + c**2)
    return jnp.log(jnp.stack(ratios))


def _equations(logs: Pair, log_alpha: Scalar, kept: Interval) -> Linearised:
    """(G2) and (G3) in log a and log c, of which log alpha is a term by itself."""
    jacobian = jax.jacfwd(_mismatch)(logs, kept)
    return Linearised(_mismatch(logs, kept) + log_alpha, jacobian, jnp.ones_like(logs))


def _start(log_alpha: Scalar, kept: Interval) -> Pair:
    """As alpha -> 0, r = sqrt(2/pi) and r' = -2/pi: a = alpha sqrt(2/pi) <t>, c^2 = 2 alpha/pi."""
    ends = jnp.exp(-(kept.low**2) / 2) - jnp.exp(-(kept.high**2) / 2)
    # <t> is ends/mass times sqrt(2/pi).
    pull, spread = jnp.log(2 / jnp.pi * ends / kept.mass), jnp.log(2 / jnp.pi)
    return jax.lax.stop_gradient(jnp.stack([log_alpha + pull, (log_alpha + spread) / 2]))


def _outputs(logs: Pair, kept_per_dimension: Scalar, kept: Interval) -> GibbsStudent:
    a, c = jnp.exp(logs)
    information = field_moments(a, c, kept).information
    # d<g>/dln f = g(edge) - <g>, the window's own mass being f; S is stationary in a and c.
    gain = kept_per_dimension * (information - edge_information(a, c, kept))
    norm = 1 + a**2 + c**2
    values = (
        a / jnp.sqrt(norm),
        (a**2 + c**2) / norm,
        # arccos loses the digits of small angles.
        jnp.arctan2(jnp.sqrt(1 + c**2), a) / jnp.pi,
        jnp.arctan2(c, a) / jnp.pi,
        jnp.arctan2(jnp.ones_like(a), jnp.hypot(a, c)) / jnp.pi,
        information,
        # A rule without an edge does not depend on f.
        jnp.where(jnp.isfinite(kept.edge), gain, 0.0),
        _entropy(a, c, kept_per_dimension * information),
    )
    reached = jnp.all(jnp.isfinite(logs))
    finite = jnp.isfinite(information)
    status = jnp.where(
        reached, jnp.where(finite, Status.OK, Status.NOT_FINITE), Status.NOT_CONVERGED
    ).astype(jnp.int32)
    masked = (jnp.where(status == Status.OK, value, jnp.nan) for value in values)
    return GibbsStudent(*masked, status=status)
