r"""Covariance of a fit, from its Jacobian: Wald and sandwich.

With $J$ the Jacobian of the residuals $z$ in the working coordinates, $W$ the weights,
$\psi = \rho'$, and $m$ the mean of $\psi'$:

- Wald: $K^2 \kappa\, (J^\top W J)^{-1} / m$ with $\kappa = \sum w \psi^2 / ((n - p)\, m)$, the
  scale of the quasi-likelihood ratio, and $K = 1 + \frac pn \operatorname{var} \psi' / m^2$
  (Huber 1973): residuals of one distribution;
- sandwich (HC3): $H^{-1} \big(\sum_i w_i^2 \psi_i^2 (1 - h_i)^{-2} J_i J_i^\top\big) H^{-1}$ with
  $H = \sum_i w_i \psi'_i J_i J_i^\top$ and $h$ the leverages: each residual its own distribution.

For least squares $\kappa = s^2$ and both are the textbook's. A loss that is flat beyond a small
delta has few points in its curvature, so $m$ is then an estimate of the density of
residuals at 0 over a bandwidth that shrinks as $n^{-1/5}$.
"""

import math
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Float64

from .coordinates import natural, to_working
from .fit import Fit
from .law import Law, Parameter
from .loss import MAD_TO_SD, influence_weight

CovarianceKind = Literal["wald", "sandwich"]


class Scale(eqx.Module):
    r"""What the residuals say of their own size.

    **Fields:** `psi` (points,), influence of each residual; `slope` (points,), estimate of
    $\psi'$; `mean_slope`; `kappa`, by which twice a difference in objective is divided to be
    chi-squared; `deviation`, of a residual of weight 1: the standard deviation for least squares,
    else 1.4826 times the median absolute residual; `dof` of its t quantiles, infinite where
    standard deviations were given.
    """

    psi: Float64[np.ndarray, " points"]
    slope: Float64[np.ndarray, " points"]
    mean_slope: float
    kappa: float
    deviation: float
    dof: float

    def quantile(self, level: float) -> float:
        """Half the width, in standard errors, of the central interval of this coverage."""
        upper = 0.5 + 0.5 * level
        if math.isinf(self.dof):
            return float(scipy.special.ndtri(upper))
        return float(scipy.special.stdtrit(self.dof, upper)) if self.dof > 0 else math.inf


def scale(fit: Fit) -> Scale:
    """The scale of a fit; known, and 1, for least squares with standard deviations."""
    z, weight = fit.residuals, fit.data.weight
    used = weight > 0.0
    shape, delta = fit.loss.shape, np.full(z.shape, fit.variant_delta)
    psi = z * np.where(z == 0.0, 1.0, np.asarray(influence_weight(shape, z, delta)))
    slope = _slope(shape, z, fit.variant_delta, used)
    mean_slope = max(float(np.mean(slope[used])), 1e-300) if used.any() else math.nan
    if fit.data.sd is not None and fit.loss.kind == "least_squares":
        return Scale(psi, slope, 1.0, 1.0, 1.0, math.inf)
    dof = fit.dof
    kappa = float(np.sum(weight * psi**2) / (dof * mean_slope)) if dof > 0 else math.nan
    if fit.loss.kind == "least_squares":
        deviation = math.sqrt(kappa) if dof > 0 else math.nan
    else:
        middle = np.median(np.abs(z[used]) * np.sqrt(weight[used])) if used.any() else math.nan
        deviation = float(MAD_TO_SD * middle * math.sqrt(fit.num_points / max(dof, 1)))
    return Scale(psi, slope, mean_slope, kappa, deviation, float(dof))


def covariance(
    fit: Fit, *, kind: CovarianceKind = "wald"
) -> Float64[np.ndarray, "parameters parameters"]:
    """The covariance of the working coordinates; 0 for fixed parameters.

    **Arguments:** `kind`: `"wald"`, one distribution of residuals, or `"sandwich"`, any.

    **Returns:** NaN where the Jacobian is singular, or no degree of freedom is left.

    **Raises:** `ValueError` for an unknown kind.
    """
    if kind not in ("wald", "sandwich"):
        raise ValueError(f"kind: {kind!r}; give 'wald' or 'sandwich'")
    rows = np.flatnonzero(fit.free > 0.0)
    columns, weight, found = fit.columns[rows], fit.data.weight, scale(fit)
    full = np.zeros((len(fit.free), len(fit.free)))
    gram = (columns * weight) @ columns.T
    inverse = _inverse(gram)
    if kind == "wald":
        correction = 1.0
        if math.isfinite(found.dof):
            spread = np.var(found.slope[weight > 0.0]) / found.mean_slope**2
            correction = (1.0 + len(rows) / fit.num_points * spread) ** 2
        part = correction * found.kappa / found.mean_slope * inverse
    else:
        bread = _inverse((columns * weight * found.slope) @ columns.T)
        leverage = np.einsum("pi,pq,qi->i", columns * weight, inverse, columns)
        pull = weight * found.psi / np.maximum(1.0 - leverage, 1e-6)
        part = bread @ ((columns * pull**2) @ columns.T) @ bread
    full[np.ix_(rows, rows)] = part if found.dof > 0 else math.nan
    return full


def natural_jacobian(fit: Fit) -> Float64[np.ndarray, "parameters parameters"]:
    """Derivatives of the parameters, in the units of the data, in the working coordinates."""
    table, free = fit.table, fit.free
    shift = {name: values[0] for name, values in table.shift.items()}
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        rows = _natural_jacobian(fit.phi, free, shift, law=fit.law)
    return np.stack([np.asarray(rows[name]) for name in fit.law.names])


@eqx.filter_jit
def _natural_jacobian(phi: Any, free: Any, shift: Any, *, law: Law) -> Any:
    return jax.jacfwd(lambda at: natural(law, tuple(at), tuple(free), shift))(jnp.asarray(phi))


def standard_errors(fit: Fit, *, kind: CovarianceKind = "wald") -> dict[str, float]:
    """Standard errors of the parameters in the units of the data, by the delta method.

    A fixed parameter has the error 0. **Raises:** as `covariance`.
    """
    slopes = natural_jacobian(fit)
    variance = np.einsum("jp,pq,jq->j", slopes, covariance(fit, kind=kind), slopes)
    return {
        name: float(np.sqrt(value)) for name, value in zip(fit.law.names, variance, strict=True)
    }


def wald_interval(
    fit: Fit, name: str, *, level: float = 0.95, kind: CovarianceKind = "wald"
) -> tuple[float, float]:
    """The interval estimate ± t error, taken of the logarithm of a positive parameter.

    **Raises:** `ValueError` for a name that was not fitted, and a level outside (0, 1).
    """
    check_free(fit, name)
    check_level(level)
    one = fit.law.parameters[fit.law.names.index(name)]
    value, error = fit.parameters[name], standard_errors(fit, kind=kind)[name]
    centre, half = to_line(one, value), scale(fit).quantile(level) * error * line_slope(one, value)
    return from_line(one, centre - half), from_line(one, centre + half)


def check_free(fit: Fit, name: str) -> None:
    """**Raises:** `ValueError` unless `name` was fitted."""
    fit.law.check_names("name", [name])
    if name in fit.fixed:
        raise ValueError(f"name: {name} was fixed at {fit.fixed[name]}; it has no interval")


def check_level(level: float) -> None:
    """**Raises:** `ValueError` unless 0 < level < 1."""
    if not 0.0 < level < 1.0:
        raise ValueError(f"level: {level}; give a coverage between 0 and 1, such as 0.95")


def to_line(one: Parameter, value: float) -> float:
    """A value on the whole line: its logarithm, itself, or the logit of its place."""
    return to_working(one, value)


def from_line(one: Parameter, place: float) -> float:
    """The inverse of `to_line`."""
    if one.constraint == "positive":
        return math.exp(min(place, 700.0))
    if one.constraint == "real":
        return place
    low, high = one.constraint
    return low + (high - low) * float(scipy.special.expit(place))


def line_slope(one: Parameter, value: float) -> float:
    """The derivative of `to_line`."""
    if one.constraint == "positive":
        return 1.0 / value if value > 0.0 else math.inf
    if one.constraint == "real":
        return 1.0
    low, high = one.constraint
    return (high - low) / ((value - low) * (high - value))


def _slope(
    shape: str, z: Float64[np.ndarray, " points"], delta: float, used: np.ndarray
) -> Float64[np.ndarray, " points"]:
    """An estimate of psi' at each point whose mean is that of its expectation."""
    if shape == "cauchy":
        square = (z / delta) ** 2
        return (1.0 - square) / (1.0 + square) ** 2
    if math.isinf(delta):
        return np.ones_like(z)
    spread = MAD_TO_SD * np.median(np.abs(z[used])) if used.any() else 0.0
    width = max(delta, spread * max(int(used.sum()), 1) ** -0.2)
    return np.where(np.abs(z) <= width, delta / width, 0.0)


def _inverse(matrix: Float64[np.ndarray, "p p"]) -> Float64[np.ndarray, "p p"]:
    """The inverse, scaled to a unit diagonal first; NaN where it is singular."""
    diagonal = np.sqrt(np.diagonal(matrix))
    if not np.isfinite(matrix).all() or not (diagonal > 0.0).all():
        return np.full(matrix.shape, math.nan)
    unit = matrix / diagonal[:, None] / diagonal[None, :]
    if np.linalg.cond(unit) > 1e14:
        return np.full(matrix.shape, math.nan)
    return np.linalg.inv(unit) / diagonal[:, None] / diagonal[None, :]
