"""Perceptrons that learn the whole pool, f = 1: what pruning is held against.

Unpruned data are Bayes' case: the teacher is distributed as one more student, so that its overlap
with a student is that of two students, R = q. One equation is left of (G1)-(G3) of `gibbs`. With
r = phi/Phi and x ~ N(0, 1),

    R/sqrt(1-R) = alpha sqrt(2/pi) E r(sqrt(R) x)                                              (N1)

whose right side stays between 0.636 and 0.721 alpha. Errors are arccos(R)/pi of a Gibbs student and
arccos(sqrt(R))/pi of the vote of all of them, which no other student of the same data beats: it is
Bayes'. The label of a further example is +1 with probability Phi(g x), g^2 = R/(1-R), given the
data, so that what it brings is the entropy of that label, which is at most ln 2:

    I = -2 E Phi(g x) ln Phi(g x)                                                              (N2)

As alpha grows both errors are constants over alpha, C_G = 1/(sqrt(pi) E r(x)) and C_G/sqrt(2), and
I is 1/alpha.

| here | Opper and Haussler 1991, Seung et al. 1992 |
|---|---|
| overlap R | R = q |
| samples_per_dimension alpha | alpha = P/N |
"""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfcx, log_ndtr, ndtr
from jaxtyping import Array, Float, Int

from scalinglab.theory.prediction import require_float64

Scalar = Float[Array, ""]

# C_G and C_G/sqrt(2); E r(x) = 0.9031972855686
GIBBS_CONSTANT = 0.62465819213863
BAYES_CONSTANT = GIBBS_CONSTANT / math.sqrt(2)

# The bracket of log a spans log(0.73/0.63) = 0.15, halved to 1e-16.
_BISECTIONS = 50
# Nodes for averages over x ~ N(0, 1), cut at 10: 8 panels of 20.
_PANELS, _CUT = 8, 10.0
_UNIT_NODES, _UNIT_WEIGHTS = np.polynomial.legendre.leggauss(20)


class UnprunedReference(NamedTuple):
    """What the whole pool gives: `overlap` R = q, `gibbs_error`, `bayes_error`, `information` I."""

    overlap: Scalar
    gibbs_error: Scalar
    bayes_error: Scalar
    information: Scalar


def unpruned_reference(samples_per_dimension: Scalar) -> UnprunedReference:
    """Gibbs' and Bayes' test error, and the information of one more example, without pruning.

        gibbs_error = arccos(R)/pi;   bayes_error = arccos(sqrt(R))/pi;   R from (N1), I from (N2)

    **Arguments:** `samples_per_dimension` alpha > 0.

    **Returns:** an `UnprunedReference`; information in nats; differentiable in alpha.

    **Raises:** `RuntimeError` without float64.

    **Source:** Opper and Haussler, Phys. Rev. Lett. 66 (1991) 2677; Seung, Sompolinsky and Tishby,
    Phys. Rev. A 45 (1992) 6056; (N1) and (N2) follow from (G1)-(G3) at q = R.

    **Limits:** alpha -> 0: errors 1/2, I = ln 2. alpha -> infinity: 0.62466/alpha, 0.44170/alpha,
    I = 1/alpha.
    """
    require_float64()
    log_alpha = jnp.log(samples_per_dimension)

    def residual(log_a: Scalar) -> Scalar:
        return log_a - log_alpha - jnp.log(_drive(log_a))

    def bisect(_function: object, _guess: Scalar) -> Scalar:
        alone = jax.lax.stop_gradient(log_alpha)
        ends = alone + math.log(0.63), alone + math.log(0.73)

        def halve(_: Int[Array, ""], interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
            low, high = interval
            middle = (low + high) / 2
            below = middle - alone - jnp.log(_drive(middle)) < 0
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        low, high = jax.lax.fori_loop(0, _BISECTIONS, halve, ends)
        return (low + high) / 2

    log_a = jax.lax.custom_root(
        residual, jnp.zeros(()), bisect, lambda linear, value: value / linear(jnp.ones(()))
    )
    overlap = _overlap(log_a)
    # 1 - R = (R/a)^2, without the cancellation.
    rest = (overlap / jnp.exp(log_a)) ** 2
    slope = jnp.exp(log_a) / jnp.sqrt(overlap)
    return UnprunedReference(
        overlap,
        jnp.arctan2(jnp.sqrt(rest * (1 + overlap)), overlap) / jnp.pi,
        jnp.arctan2(jnp.sqrt(rest), jnp.sqrt(overlap)) / jnp.pi,
        _label_entropy(slope),
    )


def _overlap(log_a: Scalar) -> Scalar:
    """R of a = R/sqrt(1-R): the root of R^2 + a^2 R = a^2."""
    a = jnp.exp(log_a)
    return 2 * a / (a + jnp.sqrt(a**2 + 4))


def _drive(log_a: Scalar) -> Scalar:
    """sqrt(2/pi) E r(sqrt(R) x)."""
    nodes, weights = _gaussian_nodes(jnp.asarray(_CUT))
    field = jnp.sqrt(_overlap(log_a)) * nodes
    ratio = math.sqrt(2 / math.pi) / erfcx(-field / math.sqrt(2))
    return math.sqrt(2 / math.pi) * jnp.sum(weights * ratio)


def _label_entropy(slope: Scalar) -> Scalar:
    """-2 E Phi(g x) ln Phi(g x); the integrand is nil beyond |g x| = 12."""
    reach = jnp.minimum(_CUT, 12.0 / jax.lax.stop_gradient(slope))
    nodes, weights = _gaussian_nodes(reach)
    field = slope * nodes
    return -2 * jnp.sum(weights * ndtr(field) * log_ndtr(field))


def _gaussian_nodes(reach: Scalar) -> tuple[Float[Array, " nodes"], Float[Array, " nodes"]]:
    """Nodes on [-reach, reach] with the weights of the standard normal density."""
    width = 2 / _PANELS
    ends = -1 + width * np.arange(_PANELS)[:, None]
    unit = (ends + width * (_UNIT_NODES[None, :] + 1) / 2).ravel()
    nodes = reach * jnp.asarray(unit)
    lengths = reach * jnp.asarray(np.tile(_UNIT_WEIGHTS * width / 2, _PANELS))
    return nodes, lengths * jnp.exp(-(nodes**2) / 2) / math.sqrt(2 * math.pi)
