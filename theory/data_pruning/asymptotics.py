"""Many kept examples at a fixed keep fraction, and few of them from an unlimited pool.

**Many examples.** At large alpha only the kept examples nearest to the teacher's plane matter,
those
with t = |teacher.x| within about 1/r of the least kept t0, where their density is flat. With
the field
h = k - r (t - t0), rho the density of t at t0 and G3(k) = int_{-inf}^k g2, (E1) and (E2) become

    alpha rho G3(k)/r = 1,   G3(k) = g1(k)   (the same as G3(k) = k g2(k))   =>   k* = 0.638833
    test error = 1/(pi r) = 1/(pi G3(k*) rho alpha),   margin = t0 + k*/r,   support = 1/alpha

Without pruning rho = sqrt(2/pi) and the error is C/alpha, C = 1/(sqrt(2 pi) G3(k*)) = 0.500489.
A probe
along the teacher makes t0 = g, rho = 2 phi(g)/f for keep-easy and rho = sqrt(2/pi)/f for
keep-hard, whose
error C/alpha_tot is that of the whole pool. At any other angle t0 = 0, and rho is sqrt(2/pi)/f
times
the chance that an example on the teacher's plane, whose score is normal of deviation sin theta, is
kept: erf(g/(sqrt2 sin theta)) for |z| < g. As f falls that chance becomes proportional to f,
and with it
the best error at a number of kept examples C sin(theta)/alpha.

**Unlimited pool** (keep-hard, probe along the teacher, f -> 0 at fixed alpha). The kept t are
uniform
on [0, g], g -> f sqrt(pi/2). Above alpha = 2, the capacity for the random labels that all other
directions see, r g tends to a limit s with

    alpha [g1(k) - g1(k - s)]/s = 1,   alpha [G3(k) - G3(k - s)]/s = 1,   error = f Psi,   Psi =
    1/(sqrt(2 pi) s)

and Psi -> 1/sqrt(12 pi (alpha - 2)) at 2, C/alpha at infinity. At alpha = 2 the next order in g
decides:
s^3 = 24 phi(0) g^2, so that the error is (pi f/24)^(1/3)/pi. Below 2 it tends to 1/2.

| here | symbol | shared notation of the derivation |
|---|---|---|
| MAX_MARGIN_CONSTANT | C | C |
| MARGIN_CONSTANT | k* | k* |
| unlimited_pool_slope | Psi | Psi(alpha_prune) |
"""

import math

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm
from jaxtyping import Array, Float

from scalinglab.models.data_pruning.config import Rule

from .continuation import Linearised, follow
from .fields import cumulative, functions
from .kept import easy_edge, hard_edge

Scalar = Float[Array, ""]
Pair = Float[Array, " unknowns=2"]


def _third_moment(k: float) -> float:
    """G3(k) = (k^3/3 + k) Phi(k) + (k^2 + 2) phi(k)/3."""
    return (k**3 / 3 + k) * _normal(k) + (k**2 + 2) * _bell(k) / 3


def _normal(k: float) -> float:
    return math.erfc(-k / math.sqrt(2)) / 2


def _bell(k: float) -> float:
    return math.exp(-(k**2) / 2) / math.sqrt(2 * math.pi)


def _margin_constant() -> float:
    """The root of 3 (G3 - g1) = k^3 Phi + (k^2 - 1) phi, which rises with k > 0."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        above = middle**3 * _normal(middle) + (middle**2 - 1) * _bell(middle) > 0
        low, high = (low, middle) if above else (middle, high)
    return (low + high) / 2


MARGIN_CONSTANT: float = _margin_constant()
_THIRD: float = _third_moment(MARGIN_CONSTANT)
MAX_MARGIN_CONSTANT: float = 1 / (math.sqrt(2 * math.pi) * _THIRD)


def many_examples_error(
    kept_per_dimension: Scalar, keep_fraction: Scalar, angle: Scalar | None, *, rule: Rule
) -> Scalar:
    """The leading order of the test error as examples grow at a fixed keep fraction.

        eps = 1/(pi G3(k*) rho(t0) alpha_prune) = C sqrt(2/pi) / (rho(t0) alpha_prune)

    **Arguments:** as of `saddle_point`.

    **Returns:** the error; its relative correction is about `many_examples_correction`.

    **Raises:** `ValueError` for the signed rules at an angle: what they keep near the teacher's
    plane lies to one side of the probe, which tilts the student at leading order.

    **Limits:** C/alpha_prune at f = 1; C/alpha_tot for keep-hard at angle `None`.
    """
    start = _nearest(keep_fraction, angle, rule)
    density = distance_density(start, keep_fraction, angle, rule=rule)
    return 1 / (jnp.pi * _THIRD * density * kept_per_dimension)


def many_examples_margin(
    kept_per_dimension: Scalar, keep_fraction: Scalar, angle: Scalar | None, *, rule: Rule
) -> Scalar:
    """The margin as examples grow: t0 + k*/r, with arguments as of `saddle_point`."""
    error = many_examples_error(kept_per_dimension, keep_fraction, angle, rule=rule)
    return _nearest(keep_fraction, angle, rule) + MARGIN_CONSTANT * jnp.pi * error


def many_examples_correction(
    kept_per_dimension: Scalar, keep_fraction: Scalar, angle: Scalar | None, *, rule: Rule
) -> Scalar:
    """The size of what `many_examples_error` neglects, relative to it.

        |rho(t0 + 1/r)/rho(t0) - 1| + 1/r^2,   r = 1/(pi eps),   angle None
        |rho(1/r)/rho(0) - 1| + 2/(r sin theta)^2,               otherwise

    how far the density of the kept examples is from flat over the support vectors' layer, and what
    (E2), the arctangent and, at an angle, the tilt of the kept set at distance t neglect: its
    centre is at u = t cot(theta). Of the order 1/alpha^2, or 1/alpha for keep-easy at angle `None`.
    """
    layer = jnp.pi * many_examples_error(kept_per_dimension, keep_fraction, angle, rule=rule)
    start = _nearest(keep_fraction, angle, rule)
    first = distance_density(start, keep_fraction, angle, rule=rule)
    last = distance_density(start + layer, keep_fraction, angle, rule=rule)
    rest = layer**2 if angle is None else 2 * (layer / jnp.sin(angle)) ** 2
    return jnp.abs(last / first - 1) + rest


def distance_density(
    distance: Scalar, keep_fraction: Scalar, angle: Scalar | None, *, rule: Rule
) -> Scalar:
    """rho(t), the density of t = |teacher.x| among the kept examples.

    **Arguments:** `distance` t >= 0; otherwise as of `saddle_point`.

    **Raises:** `ValueError` for the signed rules at an angle.
    """
    bell = 2 * norm.pdf(distance)
    if rule == "random":
        return bell
    if angle is None:
        edge = hard_edge(keep_fraction) if "hard" in rule else easy_edge(keep_fraction)
        kept = (distance <= edge) if "hard" in rule else (distance >= edge)
        return jnp.where(kept, bell, 0.0) / keep_fraction
    if angle is not None and rule.startswith("signed"):
        raise ValueError(
            f"rule: {rule!r} has another limit of many examples at an angle; give an abs rule"
        )
    # The score at distance t is t cos(theta) - u sin(theta), u standard normal.
    sine = jnp.maximum(jnp.sin(angle), 1e-60)
    centre = distance * jnp.cos(angle)
    hard = rule == "abs_hard"
    edge = hard_edge(keep_fraction) if hard else easy_edge(keep_fraction)
    above, below = cumulative((centre - edge) / sine), cumulative((-edge - centre) / sine)
    share = 1 - above - below if hard else above + below
    return bell * share / keep_fraction


def _nearest(keep_fraction: Scalar, angle: Scalar | None, rule: Rule) -> Scalar:
    """t0, the least |teacher.x| that is kept."""
    if angle is None and "easy" in rule:
        return easy_edge(keep_fraction)
    return jnp.zeros(())


def envelope_error(kept_per_dimension: Scalar, angle: Scalar) -> Scalar:
    """The error at the best keep fraction of keep-hard by |z|, as examples grow: C
    sin(theta)/alpha.

    **Arguments:** `kept_per_dimension` alpha_prune; `angle` theta in (0, pi/2], radians.
    """
    return MAX_MARGIN_CONSTANT * jnp.sin(angle) / kept_per_dimension


def unlimited_pool_slope(kept_per_dimension: Scalar) -> Scalar:
    """Psi = lim error/f as f -> 0, of keep-hard with the probe along the teacher.

    **Arguments:** `kept_per_dimension` alpha_prune; digits are lost below 2.0001.

    **Returns:** Psi, differentiable; infinite for alpha_prune <= 2, where the error does not
    fall as f.
    """
    above = kept_per_dimension > 2
    place = -jnp.log(jnp.where(above, kept_per_dimension, 4.0))
    # Followed downwards from where the limit of many examples holds.
    first = jax.lax.stop_gradient(jnp.minimum(-jnp.log(1e3), place))
    start = jnp.stack([-first + jnp.log(_THIRD), jnp.log(MARGIN_CONSTANT)])
    found = follow(_unlimited, start, first, place[None], ())[0]
    return jnp.where(above, jnp.exp(-found[0]) / math.sqrt(2 * math.pi), jnp.inf)


def _unlimited(point: Pair, place: Scalar, parameters: tuple[()]) -> Linearised:
    """log alpha <g2> = 0 and log alpha <Phi> = 0 over h uniform on [k - s, k], alpha =
    exp(-place)."""
    del parameters

    def residual(at: Pair) -> Pair:
        width, k = jnp.exp(at)
        ends = jnp.stack([k, k - width])
        g2, g1, _, _ = functions(ends)
        # G3' = g2 and g1' = Phi; 3 G3 = h g2 + 2 g1.
        third = (ends * g2 + 2 * g1) / 3
        return jnp.log(jnp.stack([third[0] - third[1], g1[0] - g1[1]]) / width) - place

    return Linearised(residual(point), jax.jacfwd(residual)(point), -jnp.ones(2))


def transition_error(keep_fraction: Scalar) -> Scalar:
    """The error at alpha_prune = 2 as f -> 0: (pi f/24)^(1/3)/pi, for the setting of Psi."""
    return jnp.cbrt(jnp.pi * keep_fraction / 24) / jnp.pi
