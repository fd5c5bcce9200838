"""The four components of the risk: their size, exponents and constants.

With T = g B r, for l_j = j^(-2 alpha) and at times 1 << T << d^(2 alpha),

    F_0            least risk, d^(-2 alpha + max(0, 1 - 2 beta))
    F_pp(r) = 1/(2 alpha) int_0^1 u^((2 beta - 1)/(2 alpha)) e^(-2Tu) du           all alpha, beta
    F_ac(r) = c/(2 alpha d) int_{d^(-2 alpha)}^1 u^(-1/(2 alpha)) e^(-2Tu) du      alpha, beta > 1/2
    N(r)    = K_pp(r)/(g B) = g/(2 alpha) int_0^1 u^(1 - 1/(2 alpha)) e^(-2Tu) du  alpha > 1/4

F_pp is sum t e^(-2 T l), the target in the data's own modes. F_ac is the target seen through the
features' distortion: where l >> |w| in F(r) = (1/pi) Im int [sum t/(l - w)]/m q^r dz the sum is
c = sum j^(-2 beta), and Im(1/m) = (pi/d) times l times the density of l_j. K_pp is g^2 B times
sum l^2 e^(-2 T l). Each is u^(s-1) integrated, Gamma(s) (2T)^-s at late times, so that

    F_pp ~ T^-s, s = (2 alpha + 2 beta - 1)/(2 alpha);  F_ac ~ T^(-1 + 1/(2 alpha))/d;
    N ~ g T^(-2 + 1/(2 alpha)).

The risk solves P = F + K*P with a kernel of heavy tail: what a recent risk adds is the factor
1/(1 - |K|); what the first steps add is K(r) times the sum of P over them, which for beta > 1/2 is
c/(2 g B (1 - |K|)) since sum_r sum t q^r = sum t/(2 g B l). So

    P ~ (F_0 + F_pp + F_ac)/(1 - |K|) + (c/2) N/(1 - |K|)^2.

For beta <= 1/2 the last term never leads and is left out.

| here | symbol | Paquette 2405.15074 |
|---|---|---|
| capacity | F_0 | F_0(r), the same limit |
| pure_point | F_pp | F_pp(r) |
| embedding | F_ac | F_ac(r) |
| noise | N | K_pp(r)/(gamma B) |
| target_sum | c | c_beta |
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from scalinglab.theory.random_features import effective_ridge

from .equivalent import Problem, Scalar

Times = Float[Array, " times"]


class Components(NamedTuple):
    """Sizes at each time of `capacity`, `pure_point`, `embedding` and `noise`; 0 where absent."""

    capacity: Times
    pure_point: Times
    embedding: Times
    noise: Times


class Exponents(NamedTuple):
    """Components as d^x T^y: `size` x and `time` y of the four, `present`, 1 or 0, in the order of
    `Components`."""

    size: Float[Array, " 4"]
    time: Float[Array, " 4"]
    present: Float[Array, " 4"]


def component_exponents(alpha: Scalar, beta: Scalar) -> Exponents:
    """The exponents of the components at g of order d^(-max(0, 1 - 2 alpha)).

    **Arguments:** `alpha` > 0, `beta`, alpha + beta > 1/2.

    **Returns:** `Exponents`; absent components are smaller than the sum of the others.

    **Source:** 2405.15074, section 3.
    """
    zero, one = jnp.zeros_like(alpha), jnp.ones_like(alpha)
    inverse = 1 / (2 * alpha)
    size = [-2 * alpha + jnp.maximum(0, 1 - 2 * beta), zero, -one, -jnp.maximum(0, 1 - 2 * alpha)]
    time = [zero, -(2 * alpha + 2 * beta - 1) * inverse, inverse - 1, inverse - 2]
    distorted = ((alpha > 0.5) & (beta > 0.5)).astype(one.dtype)
    noisy = (alpha > 0.25).astype(one.dtype)
    return Exponents(jnp.stack(size), jnp.stack(time), jnp.stack([one, one, distorted, noisy]))


def components(alpha: Scalar, beta: Scalar, problem: Problem, steps: Times) -> Components:
    """The components at finite d and time, as the integrals at the head of the module.

    **Arguments:** `alpha`, `beta`, those of `problem`; `problem` of `power_law_problem`; `steps`
    r > 0, real.

    **Returns:** `Components`; the least risk is that of the deterministic equivalent, without the
    label noise.

    **Source:** 2405.15074, section 3 and appendix; derived above.
    """
    spectrum, d = problem.spectrum, problem.num_parameters
    kappa = effective_ridge(spectrum, jnp.full((), jnp.inf), d, jnp.zeros(()))
    filtered = kappa / (spectrum.eigenvalues + kappa)
    least = jnp.sum(spectrum.multiplicities * spectrum.target_power * filtered)
    time = problem.rate * problem.batch_size * steps
    inverse = 1 / (2 * alpha)
    exponents = component_exponents(alpha, beta)
    _, _, distorted, noisy = exponents.present > 0
    lowest = d ** (-2 * alpha)
    one, none = jnp.ones_like(lowest), jnp.zeros_like(lowest)

    def scaled(allowed: Array, power: Scalar, low: Scalar) -> Times:
        safe = jnp.where(allowed, power, 1.0)
        return jnp.where(allowed, inverse * _truncated(safe, time, low, one), 0.0)

    ratio = (2 * beta - 1) * inverse + 1
    return Components(
        capacity=jnp.broadcast_to(least, steps.shape),
        pure_point=scaled(ratio > 0, ratio, none),
        embedding=target_sum(beta, problem) / d * scaled(distorted, 1 - inverse, lowest),
        noise=problem.rate * scaled(noisy, 2 - inverse, none),
    )


def target_sum(beta: Scalar, problem: Problem) -> Scalar:
    """c, the sum of j^(-2 beta) over j = 1..v for beta > 1/2, else 0."""
    return jnp.where(beta > 0.5, problem.anchor, 0.0)


def _truncated(power: Scalar, time: Times, low: Scalar, high: Scalar) -> Times:
    """The integral of u^(power - 1) e^(-2 T u) from `low` to `high`, 0 <= low < high."""
    scale = jnp.exp(jax.lax.lgamma(power) - power * jnp.log(2 * time))
    upper = jax.scipy.special.gammainc(power, 2 * time * high)
    return scale * (upper - jax.scipy.special.gammainc(power, 2 * time * low))


def kernel_norm(problem: Problem) -> Scalar:
    """|K| at the data's own eigenvalues, sum g l/(2 - g (B+1) l), to which it tends in d."""
    spectrum, rate = problem.spectrum, problem.rate
    room = 2 - rate * (problem.batch_size + 1) * spectrum.eigenvalues
    terms = rate * spectrum.eigenvalues / jnp.where(room > 0, room, jnp.nan)
    return jnp.sum(spectrum.multiplicities * terms)


def component_risk(alpha: Scalar, beta: Scalar, problem: Problem, steps: Times) -> Times:
    """The risk from the components, label noise included.

        (F_0 + noise variance + F_pp + F_ac)/(1 - |K|) + (c/2) N/(1 - |K|)^2

    **Arguments:** as of `components`.

    **Returns:** P(r), asymptotic: within the window 1 << T << d^(2 alpha) and as d grows.
    """
    parts = components(alpha, beta, problem, steps)
    room = 1 - kernel_norm(problem)
    forcing = parts.capacity + problem.noise_variance + parts.pure_point + parts.embedding
    return forcing / room + target_sum(beta, problem) / 2 * parts.noise / room**2
