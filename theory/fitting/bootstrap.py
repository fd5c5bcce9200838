"""The bootstrap as weights: every resample is the same problem with other numbers.

Pairs, Bayesian and cluster resamples are weights on the points; wild and parametric ones are new
outputs at the same inputs. Either way no data are copied, and all resamples are one batch.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import equinox as eqx
import jax
import numpy as np
import scipy.special
from jaxtyping import Array, Float64, Key

from scalinglab.models import Status

from .covariance import check_level, scale
from .fit import Fit
from .resolve import resolve
from .search import SAME_OPTIMUM
from .starts import starts

BootstrapKind = Literal["pairs", "bayes", "cluster", "wild", "parametric"]
KINDS: tuple[BootstrapKind, ...] = ("pairs", "bayes", "cluster", "wild", "parametric")
_CHECKED = 0.01  # the share of resamples that is fitted again from every start
_DISAGREES = 0.01  # relative difference in objective
_FEW_POINTS, _MANY_PARAMETERS = 15, 4


class Bootstrap(eqx.Module):
    """Resampled fits.

    **Fields:** `fit`; `kind`; `phi` (parameters, draws), working coordinates of the draws that
    converged; `failed`, how many did not; `left_out` (parameters, groups), the fits that leave one
    point or group out, for BCa; `other_optimum`, the share of the re-checked resamples (one in a
    hundred, from every start) whose objective was more than 1 % above another optimum.
    """

    fit: Fit
    kind: BootstrapKind = eqx.field(static=True)
    phi: Float64[np.ndarray, "parameters draws"]
    failed: int
    left_out: Float64[np.ndarray, "parameters groups"]
    other_optimum: float

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to mind, in words."""
        found = []
        draws = self.phi.shape[1] + self.failed
        few = self.fit.num_points < _FEW_POINTS and len(self.fit.free_names) > _MANY_PARAMETERS
        if self.kind in ("pairs", "bayes") and few:
            found.append(
                f"{self.fit.num_points} points and {len(self.fit.free_names)} parameters: "
                "resampled points lose whole scales; use the wild bootstrap"
            )
        if self.failed > 0.05 * draws:
            found.append(f"{self.failed} of {draws} resamples did not converge and are left out")
        if self.other_optimum > 0.0:
            found.append(
                f"{self.other_optimum:.0%} of the re-checked resamples had a better optimum "
                "elsewhere: intervals are too narrow"
            )
        return tuple(found)

    def values(self, name: str) -> Float64[np.ndarray, " draws"]:
        """The draws of one parameter, in the units of the data."""
        self.fit.law.check_names("name", [name])
        return self.fit.naturals(self.phi)[name]

    def derived(self, function: Callable[[Mapping[str, Any]], Any]) -> Float64[np.ndarray, "..."]:
        """`function` of the mapping from parameter to draws; it works on whole arrays."""
        return np.asarray(function(self.fit.naturals(self.phi)))

    def interval(
        self,
        what: str | Callable[[Mapping[str, Any]], Any],
        *,
        level: float = 0.95,
        method: Literal["percentile", "bca"] = "percentile",
    ) -> tuple[float, float]:
        """The interval of a parameter, or of a function of the parameters.

        **Arguments:** `what`, a name, or a function as for `derived`; `method`: quantiles of the
        draws, or BCa, which corrects them for bias and skewness to second order.

        **Raises:** `ValueError` for an unknown name or method, and a level outside (0, 1).

        **Source:** Efron 1987, for BCa.
        """
        check_level(level)
        if method not in ("percentile", "bca"):
            raise ValueError(f"method: {method!r}; give 'percentile' or 'bca'")
        draws, tails = self._of(what, self.phi), np.array([0.5 - 0.5 * level, 0.5 + 0.5 * level])
        if method == "bca":
            estimate = float(self._of(what, self.fit.phi[:, None])[0])
            tails = _corrected(tails, draws, estimate, self._of(what, self.left_out))
        low, high = np.quantile(draws, tails) if draws.size else (math.nan, math.nan)
        return float(low), float(high)

    def band(
        self, x: Mapping[str, Any], *, level: float = 0.95
    ) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
        """The interval of the law, not of a new measurement, at each input."""
        check_level(level)
        values = self.fit.predict_draws(self.phi, x)
        low, high = np.quantile(values, [0.5 - 0.5 * level, 0.5 + 0.5 * level], axis=1)
        return low, high

    def _of(self, what: Any, phi: Float64[np.ndarray, "parameters n"]) -> Any:
        if isinstance(what, str):
            self.fit.law.check_names("what", [what])
            return self.fit.naturals(phi)[what]
        return np.asarray(what(self.fit.naturals(phi)))


def bootstrap(
    fit: Fit, *, count: int = 2000, kind: BootstrapKind | None = None, key: Key[Array, ""]
) -> Bootstrap:
    r"""Fits resamples of the data.

    **Arguments:**

    - `count`: resamples.
    - `kind`: `"pairs"`, points drawn with replacement; `"bayes"`, Dirichlet weights, which leave no
      point out; `"cluster"`, whole groups drawn with replacement; `"wild"`, residuals, corrected
      for leverage, with random signs, common to a group where there are groups; `"parametric"`,
      normal residuals of the fitted or given standard deviation. By default `"cluster"` where the
      data have groups, else `"pairs"`, and `"wild"` on fewer than 15 points with more than 4
      parameters.
    - `key`: of the random numbers.

    **Returns:** a `Bootstrap`. The scale of the loss stays that of the fit.

    **Raises:** `ValueError` for a count below 1, an unknown kind, `"cluster"` without groups or
    with a single one, and a fit that failed.

    **Source:** Davison and Hinkley 1997; Cameron, Gelbach and Miller 2008 for wild clusters.
    """
    kind = _default(fit) if kind is None else kind
    _check(fit, count, kind)
    random = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    weight, y = _resampled(fit, count, kind, random)
    ends = resolve(fit, weight=weight, y=y, jobs=count)
    good = (ends.status == Status.OK) & np.isfinite(ends.phi).all(axis=0)
    units = _units(fit, kind)
    left = resolve(fit, weight=fit.data.weight[:, None] * (units[:, None] != np.unique(units)))
    checked = np.arange(count)[:: round(1.0 / _CHECKED)]
    return Bootstrap(
        fit=fit,
        kind=kind,
        phi=ends.phi[:, good],
        failed=int(np.sum(~good)),
        left_out=left.phi[:, left.status == Status.OK],
        other_optimum=_elsewhere(fit, weight, y, checked, ends.objective[checked]),
    )


def _default(fit: Fit) -> BootstrapKind:
    if fit.data.group is not None:
        return "cluster"
    few = fit.num_points < _FEW_POINTS and len(fit.free_names) > _MANY_PARAMETERS
    return "wild" if few else "pairs"


def _check(fit: Fit, count: int, kind: str) -> None:
    if count < 1:
        raise ValueError(f"count: {count}; give at least 1 resample, and 1000 for an interval")
    if kind not in KINDS:
        raise ValueError(f"kind: {kind!r}; give one of {', '.join(KINDS)}")
    if kind == "cluster" and (fit.data.group is None or len(np.unique(fit.data.group)) < 2):
        raise ValueError("kind: 'cluster' needs data with at least two groups; give group=")
    if not np.isfinite(fit.objective):
        raise ValueError(f"fit: its status is {fit.status.name}; fit again before resampling")


def _units(fit: Fit, kind: BootstrapKind) -> np.ndarray:
    """What is resampled together: the label of each point."""
    if fit.data.group is not None and kind in ("cluster", "wild"):
        return fit.data.group
    return np.arange(len(fit.data.y))


def _resampled(
    fit: Fit, count: int, kind: BootstrapKind, random: np.random.Generator
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Weights, or outputs, (points, count) of the resamples."""
    labels = _units(fit, kind)
    names, place = np.unique(labels, return_inverse=True)
    if kind in ("pairs", "cluster"):
        used = np.flatnonzero(np.bincount(place, fit.data.weight) > 0.0)
        chosen = np.zeros(len(names))
        chosen[used] = 1.0 / len(used)
        counts = random.multinomial(len(used), chosen, size=count).T
        return fit.data.weight[:, None] * counts[place], None
    if kind == "bayes":
        shares = random.standard_exponential((len(names), count))
        return fit.data.weight[:, None] * (shares / shares.mean(axis=0))[place], None
    if kind == "wild":
        signs = 2.0 * random.integers(0, 2, (len(names), count)) - 1.0
        return None, _outputs(fit, _inflated(fit)[:, None] * signs[place])
    deviation = scale(fit).deviation / np.sqrt(np.maximum(fit.data.weight, 1e-300))
    noise = random.standard_normal((len(labels), count)) * deviation[:, None]
    return None, _outputs(fit, np.where(fit.data.weight[:, None] > 0.0, noise, 0.0))


def _inflated(fit: Fit) -> Float64[np.ndarray, " points"]:
    """Residuals over 1 - leverage, as in HC3: a fitted residual is smaller than its error."""
    root = np.sqrt(fit.data.weight) * fit.columns[fit.free > 0.0]
    basis = np.linalg.svd(root, full_matrices=False)[2]
    return fit.residuals / np.maximum(1.0 - np.sum(basis**2, axis=0), 0.05)


def _outputs(fit: Fit, z: Float64[np.ndarray, "points count"]) -> np.ndarray:
    """Outputs whose residuals from the fitted law are `z`."""
    sd, centre = fit.data.sd, fit.predict(fit.data.x)
    if fit.space == "linear":
        return centre[:, None] - z * (1.0 if sd is None else sd[:, None])
    return centre[:, None] * np.exp(-z * (1.0 if sd is None else (sd / fit.data.y)[:, None]))


def _elsewhere(fit: Fit, weight: Any, y: Any, jobs: np.ndarray, found: np.ndarray) -> float:
    """The share of these resamples with a better optimum from some other start."""
    own = starts(fit.table, 0, 16)
    own = np.where(fit.free[:, None] > 0.0, own, fit.phi[:, None])
    phi, repeated = np.tile(own, len(jobs)), np.repeat(jobs, own.shape[1])
    ends = resolve(
        fit,
        phi=phi,
        weight=None if weight is None else weight[:, repeated],
        y=None if y is None else y[:, repeated],
    )
    best = np.nanmin(
        np.where(np.isfinite(ends.objective), ends.objective, np.inf).reshape(len(jobs), -1), axis=1
    )
    return float(np.mean(best < found * (1.0 - _DISAGREES) - SAME_OPTIMUM * 1e-12))


def _corrected(
    tails: np.ndarray, draws: np.ndarray, estimate: float, left_out: np.ndarray
) -> Float64[np.ndarray, "2"]:
    """The quantiles of BCa: bias from the share below the estimate, skewness from the jackknife."""
    below = (np.sum(draws < estimate) + 0.5 * np.sum(draws == estimate)) / max(draws.size, 1)
    bias = scipy.special.ndtri(np.clip(below, 0.5 / draws.size, 1.0 - 0.5 / draws.size))
    pull = left_out.mean() - left_out
    spread = float(np.sum(pull**2))
    skew = float(np.sum(pull**3)) / (6.0 * spread**1.5) if spread > 0.0 else 0.0
    moved = bias + scipy.special.ndtri(tails)
    return scipy.special.ndtr(bias + moved / (1.0 - skew * moved))
