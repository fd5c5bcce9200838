"""The exponent that a curve tends to: a fit of the leading correction to scaling, by default."""

import math
from typing import Any

import equinox as eqx
import scipy.special

from .covariance import standard_errors
from .data import Data
from .fit import Fit
from .laws.power import CORRECTED_POWER_LAW, POWER_LAW, POWER_LAW_CONSTANT
from .loss import LEAST_SQUARES, Loss
from .profile import profile
from .search import fit


class LimitingExponent(eqx.Module):
    r"""The exponent of $A x^{-\alpha}(1 + c x^{-\omega})$, beside that of the straight line.

    **Fields:**

    - `exponent`, `standard_error`, and the profile interval `low`, `high` of its level.
    - `corrected`, `straight`: both fits. `straight_exponent`, what a line reports.
    - `p_straight`: of the F test of the straight fit within the corrected one: small where the
      correction is needed. NaN for a loss other than least squares.
    """

    exponent: float
    standard_error: float
    low: float
    high: float
    corrected: Fit
    straight: Fit
    straight_exponent: float
    p_straight: float


def limiting_exponent(
    x: Any,
    y: Any,
    *,
    standard_error: Any = None,
    constant: float | None = 0.0,
    loss: Loss = LEAST_SQUARES,
    level: float = 0.95,
) -> LimitingExponent:
    r"""Fits $y = E + A x^{-\alpha} (1 + c x^{-\omega})$, with c of either sign, to a whole curve.

    **Arguments:**

    - `x`, `y`: (points,), positive, at least as many as parameters (4, or 5 with a constant).
    - `standard_error`: of y, in its unit.
    - `constant`: the limit E of the curve where it is known, 0 by default; None fits it too. An
      E that is off by a tenth changes the exponent by more than any correction.
    - `loss`, `level`: of the fit, and of the interval.

    **Returns:** a `LimitingExponent`. Without a correction in the data c and omega are not held by
    them and the interval is honestly wide; `p_straight` then says that a line is enough.

    **Raises:** `ValueError` as `Data` and `fit` do.

    **Source:** Wegner 1972 for the form. It reduces to the line at c = 0.
    """
    data = Data({"x": x}, y, sd=standard_error)
    fixed = {} if constant is None else {"E": constant}
    corrected = fit(CORRECTED_POWER_LAW, data, loss=loss, fix=fixed)
    if constant == 0.0:
        straight = fit(POWER_LAW, data, loss=loss)
    else:
        straight = fit(POWER_LAW_CONSTANT, data, loss=loss, fix=fixed)
    ends = profile(corrected, "alpha", level=level)
    return LimitingExponent(
        exponent=corrected.parameters["alpha"],
        standard_error=standard_errors(corrected)["alpha"],
        low=ends.low,
        high=ends.high,
        corrected=corrected,
        straight=straight,
        straight_exponent=straight.parameters["alpha"],
        p_straight=_p_straight(corrected, straight),
    )


def _p_straight(corrected: Fit, straight: Fit) -> float:
    """The upper tail of F: two more parameters, and the residuals of the corrected fit."""
    if corrected.loss.kind != "least_squares" or corrected.dof <= 0:
        return math.nan
    if corrected.data.sd is not None:
        return float(scipy.special.chdtrc(2.0, 2.0 * (straight.objective - corrected.objective)))
    gain = (straight.objective - corrected.objective) / 2.0
    scale = corrected.objective / corrected.dof
    return float(scipy.special.fdtrc(2.0, corrected.dof, gain / scale)) if scale > 0.0 else 0.0
