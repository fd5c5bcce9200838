r"""Profile likelihood: intervals that follow the shape of the objective.

With one parameter held at $\theta$ and the others fitted again, the excess
$Q(\theta) = 2\,(f(\theta) - \hat f) / \kappa$ is chi-squared with one degree of freedom, or
F(1, n - p) where the scale is estimated. The interval is where
$\sqrt Q \le t_{n-p}$. It needs no symmetry and no units: a parameter that the data do not hold
gets an open end.
"""

import math
from collections.abc import Sequence

import equinox as eqx
import numpy as np
from jaxtyping import Float64

from .covariance import (
    check_free,
    check_level,
    covariance,
    from_line,
    line_slope,
    natural_jacobian,
    scale,
    to_line,
)
from .fit import Fit
from .lanes import TIGHT
from .resolve import resolve

_ROUNDS = 14
# The signed root is solved to this fraction of its target: far below the error of any interval.
_CLOSE = 1e-5
# A positive parameter that may shrink by this factor is compatible with 0, and the like upward.
_OPEN = 20.0


class Profile(eqx.Module):
    """The profile of one parameter.

    **Fields:** `name`; `low`, `high`, the interval; `low_open`, `high_open`, whether an end was not
    reached, so that the data do not bound the parameter there (then the end is the limit of the
    constraint: 0, or infinity); `level`; `values`, `excess`: where the profile was computed, in
    ascending order, and $Q$ there; `lower_objective`, whether a fit on the way ended below the
    optimum, which then was none.
    """

    name: str
    low: float
    high: float
    low_open: bool
    high_open: bool
    level: float
    values: Float64[np.ndarray, " evaluations"]
    excess: Float64[np.ndarray, " evaluations"]
    lower_objective: bool


def profile(fit: Fit, name: str, *, level: float = 0.95) -> Profile:
    """The profile interval of one parameter of one fit.

    **Arguments:** `name`, of a fitted parameter; `level`, its coverage.

    **Raises:** `ValueError` for a name that was not fitted, and a level outside (0, 1).

    **Source:** Venzon and Moolgavkar 1988; Bates and Watts 1988, section 6.1.
    """
    return profile_many([fit], name, level=level)[0]


def profile_many(fits: Sequence[Fit], name: str, *, level: float = 0.95) -> tuple[Profile, ...]:
    """`profile` of many fits of one law at once: both sides of every fit are one batch."""
    check_level(level)
    for one in fits:
        check_free(one, name)
    best = resolve(fits, which=np.arange(len(fits)), tolerance=TIGHT).objective
    pairs = zip(fits, best, strict=True)
    sides = [_Side(one, name, sign, level, at) for one, at in pairs for sign in (-1.0, 1.0)]
    which = np.repeat(np.arange(len(fits)), 2)
    for _ in range(_ROUNDS):
        open_sides = [i for i, side in enumerate(sides) if not side.done]
        if not open_sides:
            break
        starts = np.stack([sides[i].start for i in open_sides], axis=1)
        free = np.stack([sides[i].free for i in open_sides], axis=1)
        ends = resolve(fits, phi=starts, which=which[open_sides], free=free, tolerance=1e-10)
        for position, i in enumerate(open_sides):
            sides[i].take(float(ends.objective[position]))
    return tuple(_joined(name, level, sides[2 * i], sides[2 * i + 1]) for i in range(len(fits)))


class _Side:
    """The search for one end: a bracket of the root of sqrt(Q) = t, on the parameter's line."""

    def __init__(self, fit: Fit, name: str, sign: float, level: float, best: float) -> None:
        self.fit, self.sign = fit, sign
        self.index = fit.law.names.index(name)
        self.parameter = fit.law.parameters[self.index]
        found, value = scale(fit), fit.parameters[name]
        self.kappa, self.target = found.kappa, found.quantile(level)
        self.best = best
        self.centre = to_line(self.parameter, value)
        full = covariance(fit)
        slope = natural_jacobian(fit)[self.index] * line_slope(self.parameter, value)
        self.variance = float(slope @ full @ slope)
        # The others follow along the regression of each on this parameter.
        self.direction = full @ slope / self.variance if self.variance > 0.0 else 0.0 * slope
        error = math.sqrt(self.variance) if self.variance > 0.0 else 1.0
        usable = math.isfinite(error) and self.kappa > 0.0 and math.isfinite(self.target)
        self.done = not usable
        self.failed = not usable
        self.inner, self.inner_root = 0.0, 0.0
        self.outer, self.outer_root = math.inf, math.inf
        self.step = min(self.target * error, 0.5 * _OPEN) if usable else math.nan
        self.free = fit.free.copy()
        self.free[self.index] = 0.0
        self.trail: list[tuple[float, float]] = []
        self.lower = False

    @property
    def start(self) -> Float64[np.ndarray, " parameters"]:
        """Coordinates with this parameter held at the step, and the others moved along."""
        phi = self.fit.phi + self.direction * self.sign * self.step
        phi = np.where(np.isfinite(phi), phi, self.fit.phi)
        phi[self.index] = self.centre + self.sign * self.step
        return phi

    def take(self, value: float) -> None:
        """Takes the objective at the step, and chooses the next."""
        excess = 2.0 * (value - self.best) / self.kappa
        self.lower = self.lower or bool(excess < -1e-6)
        root = math.sqrt(max(excess, 0.0)) if math.isfinite(excess) else math.inf
        self.trail.append((self.centre + self.sign * self.step, root**2))
        if abs(root - self.target) <= _CLOSE * self.target:
            self.inner = self.step
            self.done = True
        elif root < self.target:
            self.inner, self.inner_root = self.step, root
        else:
            self.outer, self.outer_root = self.step, root
        if not self.done:
            self._choose()

    def _choose(self) -> None:
        if math.isinf(self.outer):
            if self.inner >= _OPEN:
                self.done = True
                return
            rate = self.inner_root / self.inner
            reach = self.target / rate if rate > 0.0 else math.inf
            self.step = min(max(reach, 1.02 * self.inner), 2.5 * self.inner + 1e-12, 1.01 * _OPEN)
            return
        width = self.outer - self.inner
        if not math.isfinite(self.outer_root):
            self.step = self.inner + 0.5 * width
            return
        share = (self.target - self.inner_root) / (self.outer_root - self.inner_root)
        self.step = self.inner + width * min(max(share, 0.02), 0.98)

    @property
    def is_open(self) -> bool:
        return not self.failed and math.isinf(self.outer) and self.inner >= _OPEN

    @property
    def end(self) -> float:
        if self.failed:
            return math.nan
        if self.is_open:
            return _limit(self.parameter.constraint, self.sign)
        settled = abs(self.trail[-1][1] - self.target**2) <= 3 * _CLOSE * self.target**2
        place = self.step if settled or math.isinf(self.outer) else 0.5 * (self.inner + self.outer)
        return from_line(self.parameter, self.centre + self.sign * place)


def _limit(constraint: object, sign: float) -> float:
    if constraint == "positive":
        return 0.0 if sign < 0 else math.inf
    if isinstance(constraint, tuple):
        return float(constraint[0] if sign < 0 else constraint[1])
    return sign * math.inf


def _joined(name: str, level: float, below: _Side, above: _Side) -> Profile:
    trail = sorted([*below.trail, (below.centre, 0.0), *above.trail])
    return Profile(
        name=name,
        low=below.end,
        high=above.end,
        low_open=below.is_open,
        high_open=above.is_open,
        level=level,
        values=np.array([from_line(below.parameter, place) for place, _ in trail]),
        excess=np.array([excess for _, excess in trail]),
        lower_objective=below.lower or above.lower,
    )
