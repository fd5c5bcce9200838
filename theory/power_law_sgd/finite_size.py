"""How far the mean over features is from the deterministic equivalent: the term of order 1/d.

The residual of mode j is 1 - P_jj = 1/(1 + l_j s), s = W_j' A^-1 W_j with the row W_j ~ N(0, 1/d)
of the features independent of A, the kernel W'DW of the other modes; terms of two modes average to
0 by the sign of W_j. With p = l/(l + kappa), sum p = d and phi = (1/d) sum p^2, and to order 1/d
relative to 1/kappa:

    E s: the mode that A lacks adds p_j/(1 - phi), and for real W the mean of tr A^-1 adds
         delta = (1/d) sum p^2 (1 - p)/(1 - phi)^2 (Bai and Silverstein's mean of the spectrum)
    Var s = (2/d) kappa^2 (1/d) tr A^-2 = (2/d)/(1 - phi)

    E (1 - P_jj) = (1 - p_j) (1 + (1/d) [-p_j (delta + p_j/(1 - phi)) + 2 p_j^2/(1 - phi)])

so that the mean of the least risk over features is F_0 (1 + c/d),

    c = sum t (1 - p) [p^2/(1 - phi) - p delta] / sum t (1 - p).

| here | symbol | meaning |
|---|---|---|
| effective_ridge | kappa | sum l/(l + kappa) = d |
| | p_j | share of mode j that is learnt |
| | c | `least_risk_excess` |
"""

import jax.numpy as jnp

from scalinglab.theory.prediction import require_float64
from scalinglab.theory.random_features import effective_ridge

from .equivalent import Problem, Scalar

# The largest excess of a risk curve over that of the least risk, both of order 1/d: measured, 1.9
# for (1, 2) after 14 steps and at most 1.3 otherwise (docs/power_law_sgd.md, 3.2).
FINITE_SIZE = 2.0


def least_risk_excess(problem: Problem) -> Scalar:
    """c, where the mean of the least risk over features is that of the equivalent times 1 + c/d.

        c = sum t (1 - p) [p^2/(1 - phi) - p delta] / sum t (1 - p)

    **Arguments:** `problem`, of `power_law_problem`; its rate, batch size and noise have no part.

    **Returns:** c, asymptotic in d; 0 for equal eigenvalues, where the equivalent is exact.

    **Source:** derived above; delta from theorem 1.1 of Bai and Silverstein, Ann. Probab. 32
    (2004).

    **Limits:** d E tr A^-1 = d n/(n - d - 1), the inverse Wishart law, for n equal eigenvalues; one
    large eigenvalue above them has c = 1, that of 1/chi^2.
    """
    require_float64()
    spectrum, d = problem.spectrum, problem.num_parameters
    kappa = effective_ridge(spectrum, jnp.full((), jnp.inf), d, jnp.zeros(()))
    learnt = spectrum.eigenvalues / (spectrum.eigenvalues + kappa)
    left = kappa / (spectrum.eigenvalues + kappa)
    count = spectrum.multiplicities
    room = 1 - jnp.sum(count * learnt**2) / d
    delta = jnp.sum(count * learnt**2 * left) / d / room**2
    weight = count * spectrum.target_power * left
    return jnp.sum(weight * (learnt**2 / room - learnt * delta)) / jnp.sum(weight)


def stated_error(problem: Problem) -> Scalar:
    """The relative deviation of a mean risk over features from the equivalent, 2 c/d.

    **Arguments:** `problem`, of `power_law_problem`.

    **Returns:** `FINITE_SIZE` c/d with c of `least_risk_excess`: above what is measured at gamma0
    <= 1/2, no bound. Near the stability limit the mean is made by few draws.
    """
    return FINITE_SIZE * least_risk_excess(problem) / problem.num_parameters
