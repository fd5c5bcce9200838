"""Whether a measured number agrees with a predicted one: an equivalence test with a margin.

A difference that is not significant is no agreement: a noisy measurement differs significantly
from nothing. Two one-sided tests (TOST) ask instead whether the difference is shown to lie
inside a margin stated beforehand.
"""

import math
from typing import Literal

import equinox as eqx
import scipy.special

from scalinglab.models import Status

from .power_law import Number

Verdict = Literal["agrees", "disagrees", "inconclusive", "not identifiable"]


class Agreement(eqx.Module):
    """The outcome of `agree`.

    **Fields:**

    - `difference`: measured less predicted.
    - `standard_error`: of the difference, the systematic included.
    - `z`: difference in standard errors; infinite for a difference without an error.
    - `p_equivalence`: the TOST p-value, the larger of the two one-sided ones. It is at most 0.05
      where the 90 % interval lies inside the margin; NaN when a number is not finite.
    - `margin`: the half-width within which two values count as the same.
    - `verdict`: one of `Verdict`.
    - `biased`: whether the 95 % interval of the difference excludes 0, whatever the verdict; an
      `agrees` that is also biased is a small but real difference.
    """

    difference: float
    standard_error: float
    z: float
    p_equivalence: float
    margin: float
    verdict: Verdict = eqx.field(static=True)
    biased: bool = eqx.field(static=True)


def agree(
    measured: Number,
    standard_error: Number,
    predicted: Number,
    *,
    margin: Number | None = None,
    systematic: Number = 0.0,
    dof: Number | None = None,
    status: Number = Status.OK,
) -> Agreement:
    r"""Tests whether `measured` equals `predicted` within `margin`.

    With $d$ the difference, $s^2$ = `standard_error`² + `systematic`² and $q_c$ the quantile of a
    central interval of coverage $c$, the verdict is the first that holds:

    - `not identifiable`: `status` is not `OK`, a number is not finite, or margin $< s$;
    - `agrees`: $|d| + q_{0.90}\, s \le$ margin;
    - `disagrees`: $|d| - q_{0.95}\, s >$ margin;
    - `inconclusive` otherwise.

    **Arguments:**

    - `measured`, `predicted`: in one unit. The prediction has no error of its own.
    - `standard_error`: of `measured`, at least 0; 0 compares numbers without noise.
    - `margin`: above 0, in the same unit; max(0.02, 0.05 |predicted|) by default, which is
      meant for exponents.
    - `systematic`: a further error, at least 0, added in quadrature.
    - `dof`: degrees of freedom where the standard error was estimated from few residuals, for
      Student's t quantiles; normal ones by default. `PowerLawFit.t_dof` is this number.
    - `status`: of the fit or simulation behind `measured`.

    **Returns:** an `Agreement`.

    **Raises:** `ValueError` for a negative error, a margin that is not positive and finite, and
    `dof` that is not positive.
    """
    error, extra = float(standard_error), float(systematic)
    _check_not_negative("standard_error", error)
    _check_not_negative("systematic", extra)
    if dof is not None and not float(dof) > 0.0:
        raise ValueError(f"dof: {dof} is not positive; leave it out for normal quantiles")
    difference = float(measured) - float(predicted)
    total = math.hypot(error, extra)
    width = _checked_margin(margin, float(predicted))
    if not (math.isfinite(difference) and math.isfinite(total)):
        return Agreement(
            difference, total, math.nan, math.nan, width, "not identifiable", biased=False
        )

    distance = abs(difference)
    half_90, half_95 = _quantile(0.95, dof) * total, _quantile(0.975, dof) * total
    verdict: Verdict = "inconclusive"
    if int(status) != Status.OK or width < total:
        verdict = "not identifiable"
    elif distance + half_90 <= width:
        verdict = "agrees"
    elif distance - half_95 > width:
        verdict = "disagrees"
    return Agreement(
        difference=difference,
        standard_error=total,
        z=_in_errors(difference, total),
        p_equivalence=_p_equivalence(width - distance, total, dof),
        margin=width,
        verdict=verdict,
        biased=distance > half_95,
    )


def _check_not_negative(name: str, value: float) -> None:
    if value < 0.0:
        raise ValueError(f"{name}: {value} is negative; give a standard deviation, at least 0")


def _checked_margin(margin: Number | None, predicted: float) -> float:
    if margin is None:
        return max(0.02, 0.05 * abs(predicted))
    if not 0.0 < float(margin) < math.inf:
        raise ValueError(
            f"margin: {margin} is not positive and finite; give the largest difference that "
            "counts as the same"
        )
    return float(margin)


def _in_errors(value: float, error: float) -> float:
    if error > 0.0:
        return value / error
    return 0.0 if value == 0.0 else math.copysign(math.inf, value)


def _quantile(level: float, dof: Number | None) -> float:
    if dof is None or math.isinf(float(dof)):
        return float(scipy.special.ndtri(level))
    return float(scipy.special.stdtrit(float(dof), level))


def _p_equivalence(room: float, error: float, dof: Number | None) -> float:
    """The upper tail at `room`, the distance left to the margin, in standard errors."""
    if error == 0.0:
        return 0.0 if room >= 0.0 else 1.0
    if dof is None or math.isinf(float(dof)):
        return float(scipy.special.ndtr(-room / error))
    return float(scipy.special.stdtr(float(dof), -room / error))
