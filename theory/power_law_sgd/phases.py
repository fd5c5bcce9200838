"""The 4+3 phases of compute-optimal scaling, and what is compute-optimal in each.

At compute f = r B d the loss is about the largest of four components (`components`), each a power
of d and of the intrinsic time T = g B r, with g of order d^(-max(0, 1 - 2 alpha)). Minimised over d
at fixed f,

    d* ~ f^xi,   P* ~ f^-eta.

| phase | where (alpha + beta > 1/2) | balance | xi | eta |
|---|---|---|---|---|
| Ia | 2a > 1, 2b < 1 | F_pp = F_0 | 1/(2a+1) | (2a+2b-1)/(2a+1) |
| Ib | 2a < 1, 2b < 1 | F_pp = F_0 | 1/2 | a+b-1/2 |
| Ic | a < 1/4, 2b > 1 | F_pp = F_0 | (2a+2b-1)/(6a+4b-4ab-2) | 2a xi |
| II | 2a > 1, 2b > 1, b < a | F_pp = F_ac | b/(a+b) | (2a+2b-1)/(2(a+b)) |
| III | 2a > 1, b > a | K_pp = F_ac | 1/2 | 1-1/(4a) |
| IVa | 1-1/sqrt2 < a < 1/2, 2b > 1 | K_pp = F_0 | 1/2 | a |
| IVb | 1/4 < a < 1-1/sqrt2, 2b > 1 | F_pp = K_pp | (b-a)/n | (1-2a)(2a+2b-1)/(2n) |

with n = 2b - a - 2ab. eta is continuous everywhere, xi everywhere but on a = 1 - 1/sqrt2, b > 1/2:
there the noise term does not depend on d at fixed compute, d^(-(1-2a)) (f d^(2a-2))^(-2+1/(2a)),
whose exponent of d is 4 - 2a - 1/a, and xi jumps from (b-a)/n to 1/2.

| here | symbol | Paquette 2405.15074 |
|---|---|---|
| size_exponent | xi | xi: d* ~ f^xi |
| risk_exponent | eta | eta: P(d*, f) ~ f^-eta |
| alpha, beta | a, b in the table | alpha, beta |
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from scalinglab.theory.prediction import require_float64

PHASES = ("Ia", "Ib", "Ic", "II", "III", "IVa", "IVb")
NO_POWER_LAW = -1
# Where the noise term stops to depend on d at fixed compute: the root of 2 a^2 - 4 a + 1.
JUMP = 1 - 1 / math.sqrt(2)

Values = Float[Array, "*points"]


class Optimum(NamedTuple):
    """Compute-optimal exponents: d* ~ f^xi and P* ~ f^-eta."""

    xi: Values
    eta: Values


def phase_index(alpha: Values, beta: Values) -> Int[Array, "*points"]:
    """The phase as an index into `PHASES`; -1 where alpha + beta <= 1/2 or alpha <= 0.

    A boundary belongs to the phase on its side of lower alpha or beta. The exponents agree there,
    but for xi at alpha = 1 - 1/sqrt2.

    **Arguments:** `alpha`, `beta`, of one shape.
    """
    hard = jnp.where(
        alpha <= 0.25,
        PHASES.index("Ic"),
        jnp.where(alpha <= JUMP, PHASES.index("IVb"), PHASES.index("IVa")),
    )
    easy = jnp.where(beta <= alpha, PHASES.index("II"), PHASES.index("III"))
    low = jnp.where(alpha > 0.5, PHASES.index("Ia"), PHASES.index("Ib"))
    high = jnp.where(alpha > 0.5, easy, hard)
    index = jnp.where(beta > 0.5, high, low)
    return jnp.where((alpha + beta > 0.5) & (alpha > 0), index, NO_POWER_LAW)


def phase(alpha: float | int, beta: float | int) -> str:
    """The name of the phase, one of `PHASES`.

    **Arguments:** `alpha` > 0, `beta` with alpha + beta > 1/2.

    **Raises:** `ValueError` outside that range, where the risk is no power law.

    **Source:** 2405.15074, figure 2.
    """
    require_float64()
    index = int(phase_index(jnp.asarray(alpha, jnp.float64), jnp.asarray(beta, jnp.float64)))
    if index == NO_POWER_LAW:
        raise ValueError(
            f"alpha, beta: {alpha!r}, {beta!r} have no power law; give alpha > 0 with "
            "alpha + beta > 1/2"
        )
    return PHASES[index]


def compute_optimal_exponents(alpha: float | int | Values, beta: float | int | Values) -> Optimum:
    """The exponents of the compute-optimal size and risk, d* ~ f^xi and P* ~ f^-eta.

    **Arguments:** `alpha` > 0, `beta`, numbers or arrays of one shape; differentiable inside the
    phases.

    **Returns:** `Optimum` with `xi`, in (0, 1), and `eta` > 0; NaN where alpha + beta <= 1/2.

    **Source:** 2405.15074, table 2, where phase Ic and, for alpha < 1/4, Ib are conjectured;
    checked here against the lower envelope of the components.

    **Limits:** Ia is arXiv:2402.01092, (a' - 1)/(b' + 1) with a' = 2 alpha + 2 beta, b' = 2 alpha.
    """
    require_float64()
    a, b = jnp.asarray(alpha, jnp.float64), jnp.asarray(beta, jnp.float64)
    index = phase_index(a, b)
    excess = 2 * a + 2 * b - 1
    noisy = 2 * b - a - 2 * a * b
    conjectured = excess / _safe(6 * a + 4 * b - 4 * a * b - 2)
    rows = {
        "Ia": (1 / (2 * a + 1), excess / (2 * a + 1)),
        "Ib": (jnp.full_like(a, 0.5), excess / 2),
        "Ic": (conjectured, 2 * a * conjectured),
        "II": (b / _safe(a + b), excess / (2 * _safe(a + b))),
        "III": (jnp.full_like(a, 0.5), 1 - 1 / (4 * _safe(a))),
        "IVa": (jnp.full_like(a, 0.5), a),
        "IVb": ((b - a) / _safe(noisy), (1 - 2 * a) * excess / (2 * _safe(noisy))),
    }
    nothing = jnp.full_like(a, jnp.nan)
    xi, eta = nothing, nothing
    for name, (own_xi, own_eta) in rows.items():
        here = index == PHASES.index(name)
        xi, eta = jnp.where(here, own_xi, xi), jnp.where(here, own_eta, eta)
    return Optimum(xi, eta)


def _safe(value: Values) -> Values:
    """The value, or 1 at 0: a formula outside its phase must not spoil a derivative inside."""
    return jnp.where(value == 0, 1.0, value)
