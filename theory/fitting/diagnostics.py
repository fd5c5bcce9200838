"""What to distrust in a fit, in numbers and in words."""

import math

import equinox as eqx
import numpy as np
from jaxtyping import Float64

from scalinglab.models import Status

from .covariance import covariance, scale, standard_errors
from .fit import Fit
from .resolve import resolve

_UNIQUE = 0.05  # a share of starts below which the best may not be the global optimum
_CONVERGED = 1e-10
_SINGULAR = 1e10
_RAY = 0.05  # the narrowest spread of log inputs relative to the widest
_CLOSE_EXPONENTS = 0.1
# On 42 points with equal normal errors the ratio passes 1.55 in one fit of twenty.
_HETEROSCEDASTIC = 1.8
_ENOUGH = 10  # degrees of freedom below which the sandwich itself is noise
_ROUNDING = 1e-13  # residuals below it are those of data without noise


class Diagnostics(eqx.Module):
    """What to distrust in a fit.

    **Fields:**

    - `condition_number`: of the weighted Jacobian in the working coordinates.
    - `correlations`: of the fitted parameters there, in the order of `Fit.free_names`.
    - `spread_of_design`: for two inputs or more, the standard deviation of the log inputs along
      their narrowest direction over that along their widest: 0 for a design on a ray D = k N.
    - `constant_excess`: the quasi-likelihood ratio of the fit with no constant (E = 0) to this one,
      in the unit of the square of a t quantile; NaN for a law without a constant.
    - `closest_to_constant`: the smallest (L - E) / L over the data.
    - `error_ratio`: the largest ratio of sandwich to Wald error of a parameter.
    - `warnings`: sentences, empty where nothing is wrong.
    """

    condition_number: float
    correlations: Float64[np.ndarray, "free free"]
    spread_of_design: float
    constant_excess: float
    closest_to_constant: float
    error_ratio: float
    warnings: tuple[str, ...] = eqx.field(static=True)


def diagnose(fit: Fit) -> Diagnostics:
    """Everything about a fit that should stop a reader, and why.

    **Arguments:** `fit`, of any status.

    **Source:** arXiv 2605.08541 for designs on a ray; arXiv 2502.18969 for what to report.
    """
    if not np.isfinite(fit.objective):
        nan, empty = math.nan, np.full((len(fit.free_names),) * 2, math.nan)
        return Diagnostics(nan, empty, nan, nan, nan, nan, (f"no fit: {fit.status.sentence}",))
    condition, correlations = _condition(fit), _correlations(fit)
    spread, excess, closest = _spread(fit), _constant_excess(fit), _closest(fit)
    ratio = _error_ratio(fit)
    quantile = scale(fit).quantile(0.95)
    warnings = (
        *_of_the_search(fit),
        *_of_the_shape(fit, condition, spread),
        *_of_the_constant(fit, excess, closest, quantile),
        *_of_the_errors(fit, ratio),
    )
    return Diagnostics(condition, correlations, spread, excess, closest, ratio, warnings)


def _of_the_search(fit: Fit) -> list[str]:
    found = []
    if fit.status != Status.OK or not (_is_exact(fit) or fit.gradient < _CONVERGED):
        found.append(
            f"the solver stopped at a relative predicted decrease of {fit.gradient:.1e}: "
            f"{fit.status.sentence}"
        )
    if fit.share_of_starts < _UNIQUE:
        found.append(
            f"only {fit.share_of_starts:.0%} of {fit.num_starts} starts ended at the best "
            "objective: there may be a better one; give more starts"
        )
    found += [f"{name} ended at its limit: the data do not hold it" for name in fit.hit_bound]
    return found


def _of_the_shape(fit: Fit, condition: float, spread: float) -> list[str]:
    found = []
    if not condition < _SINGULAR:
        found.append(
            f"condition number {condition:.1e}: some combination of the parameters is not held by "
            "the data; fix or tie one, or choose a smaller law"
        )
    elif spread < _RAY and _exponents_close(fit):
        found.append(
            "the inputs lie nearly on a ray (one fixed ratio) and the exponents are close: "
            "their terms cannot be told apart; vary the inputs against each other"
        )
    return found


def _of_the_constant(fit: Fit, excess: float, closest: float, quantile: float) -> list[str]:
    found, name = [], fit.law.constant
    if excess < quantile**2:
        found.append(f"{name} = 0 fits the data as well: its interval reaches 0")
    if closest > 0.5:
        found.append(
            f"no point comes near the constant: the smallest (L - {name}) / L "
            f"is {closest:.2f}, so {name} is an extrapolation"
        )
    return found


def _of_the_errors(fit: Fit, ratio: float) -> list[str]:
    if fit.dof <= 0:
        return ["as many parameters as points: there are no errors"]
    if ratio > _HETEROSCEDASTIC and fit.dof >= _ENOUGH and not _is_exact(fit):
        return [
            f"sandwich errors are up to {ratio:.1f} times the Wald errors: residuals do not share "
            "one distribution; trust the bootstrap or the sandwich, not the profile"
        ]
    return []


def _is_exact(fit: Fit) -> bool:
    """Whether the law goes through every point, to rounding."""
    return bool(np.max(np.abs(fit.residuals), initial=0.0) < _ROUNDING)


def _weighted(fit: Fit) -> Float64[np.ndarray, "free points"]:
    return fit.columns[fit.free > 0.0] * np.sqrt(fit.data.weight)


def _condition(fit: Fit) -> float:
    values = np.linalg.svd(_weighted(fit), compute_uv=False)
    return float(values[0] / values[-1]) if values[-1] > 0.0 else math.inf


def _correlations(fit: Fit) -> Float64[np.ndarray, "free free"]:
    rows = np.flatnonzero(fit.free > 0.0)
    found = covariance(fit)[np.ix_(rows, rows)]
    deviation = np.sqrt(np.diagonal(found))
    return found / deviation[:, None] / deviation[None, :]


def _spread(fit: Fit) -> float:
    columns = [fit.data.x[name] for name in fit.law.inputs if fit.data.x[name].ndim == 1]
    used = fit.data.weight > 0.0
    logs = [np.log(column[used]) for column in columns if (column[used] > 0.0).all()]
    if len(logs) < 2:
        return math.nan
    values = np.linalg.svd(np.stack([one - one.mean() for one in logs]), compute_uv=False)
    return float(values[-1] / values[0]) if values[0] > 0.0 else 0.0


def _exponents_close(fit: Fit) -> bool:
    names = {
        power.removeprefix("-")
        for one in fit.law.parameters
        for power in one.unit.values()
        if isinstance(power, str)
    }
    values = [fit.parameters[name] for name in names]
    return len(values) > 1 and max(values) - min(values) < _CLOSE_EXPONENTS


def _constant_excess(fit: Fit) -> float:
    name = fit.law.constant
    if name is None or name in fit.fixed or not fit.dof > 0:
        return math.nan
    index = fit.law.names.index(name)
    phi = np.stack([fit.phi, fit.phi], axis=1)
    # e^-60 of the typical loss is below the rounding of any of them.
    phi[index, 1] = fit.table.shift.get(fit.law.output, np.zeros(1))[0] - 60.0
    free = np.stack([fit.free, fit.free], axis=1)
    free[index, 1] = 0.0
    ends = resolve(fit, phi=phi, free=free)
    return float(2.0 * (ends.objective[1] - ends.objective[0]) / scale(fit).kappa)


def _closest(fit: Fit) -> float:
    if fit.law.constant is None:
        return math.nan
    values = fit.predict({name: fit.data.x[name] for name in fit.law.inputs})
    return float(np.min(1.0 - fit.parameters[fit.law.constant] / values))


def _error_ratio(fit: Fit) -> float:
    if fit.dof <= 0:
        return math.nan
    wald, sandwich = standard_errors(fit), standard_errors(fit, kind="sandwich")
    pairs = [(sandwich[name], wald[name]) for name in fit.free_names if wald[name] > 0.0]
    return max((first / second for first, second in pairs), default=math.nan)
