"""Everything that `scalinglab fit` finds out about its points, before any of it is told."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .arguments import UsageError
from .errors import is_bad_input, one_line
from .fit_allocation import ComputeOptimal, compute_optimal
from .fit_points import Points
from .output import count, note

LEVEL = 0.95
DEFAULT_CUTS = (0.25, 0.5, 0.75)
_DRAWS = 2000  # where groups ask for a bootstrap and its size is not given
# Fewer clusters than this make the variance of a cluster bootstrap itself a rough estimate.
_FEW_GROUPS = 10


@dataclass(frozen=True)
class Request:
    """What was asked of the fit. `cuts` is None for the default ones, as far as they can be had."""

    loss: Any
    fix: Mapping[str, float]
    bootstrap: int | None
    cuts: Sequence[float] | None
    seed: int


@dataclass(frozen=True)
class Errors:
    """Of the fitted parameters: standard errors and intervals by name, and `method` of both.

    `draws` is a `Bootstrap`, or None; `warnings` say what to mind about the method.
    """

    standard: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    method: str
    draws: Any = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Report:
    """What was found.

    **Fields:** `points`; `fit`; `errors`; `warnings`, of the points, the fit and its errors;
    `skipped`, why a cut was left out; `extrapolation`, or None; `compute_optimal`, or None.
    """

    points: Points
    fit: Any
    errors: Errors
    warnings: tuple[str, ...]
    skipped: tuple[str, ...]
    extrapolation: Any
    compute_optimal: ComputeOptimal | None


def make_report(points: Points, law: Any, request: Request, warnings: Sequence[str]) -> Report:
    """Fits, scores the extrapolation, and computes intervals.

    **Raises:** `ValueError` for what a fit refuses, and for a cut that was asked for and fails.
    """
    from scalinglab.theory.fitting import Data, fit
    from scalinglab.theory.fitting.diagnostics import diagnose

    data = Data(points.x, points.y, weight=points.weight, sd=points.sd, group=points.group)
    options = {"loss": request.loss, "fix": request.fix}
    note(f"fit: {law.name} to {count(len(points.y), 'point')}")
    extrapolation, skipped = _extrapolation(points, law, data, request, options)
    found = fit(law, data, **options)
    errors = _errors(found, request)
    usable = math.isfinite(found.objective) and found.dof > 0
    return Report(
        points=points,
        fit=found,
        errors=errors,
        warnings=(*warnings, *diagnose(found).warnings, *errors.warnings),
        skipped=tuple(dict.fromkeys(skipped)),
        extrapolation=extrapolation,
        compute_optimal=compute_optimal(found, errors.draws, LEVEL) if usable else None,
    )


def is_finite(report: Report) -> bool:
    """Whether any start came to a fit."""
    return math.isfinite(report.fit.objective)


def _extrapolation(
    points: Points, law: Any, data: Any, request: Request, options: Any
) -> tuple[Any, list[str]]:
    """The score, and why default cuts were left out."""
    from scalinglab.theory.fitting.compare import extrapolate

    reason = points.unscorable()
    if reason is not None:
        if request.cuts is not None:
            raise UsageError(f"cut: {reason}: leave --cut out, or those rows")
        return None, [reason]
    if request.cuts is not None:
        return extrapolate(law, data, cuts=tuple(request.cuts), **options), []
    try:
        return extrapolate(law, data, cuts=DEFAULT_CUTS, **options), []
    except ValueError as error:
        if not is_bad_input(error):
            raise
    good, skipped = [], []
    for cut in DEFAULT_CUTS:
        try:
            extrapolate(law, data, cuts=(cut,), **options)
            good.append(cut)
        except ValueError as error:
            if not is_bad_input(error):
                raise
            skipped.append(one_line(error))
    if not good:
        return None, skipped
    return extrapolate(law, data, cuts=tuple(good), **options), skipped


def _errors(fit: Any, request: Request) -> Errors:
    """By profiles, or by a bootstrap where one or groups were asked for."""
    if not math.isfinite(fit.objective):
        nothing = dict.fromkeys(fit.free_names, (math.nan, math.nan))
        return Errors(dict.fromkeys(fit.free_names, math.nan), nothing, "no method")
    if request.bootstrap is None and fit.data.group is None:
        return _profiled(fit)
    return _resampled(fit, request)


def _profiled(fit: Any) -> Errors:
    from scalinglab.theory.fitting.covariance import standard_errors
    from scalinglab.theory.fitting.profile import profile

    note(f"intervals: profile of {count(len(fit.free_names), 'parameter')}")
    errors = standard_errors(fit)
    found = {name: profile(fit, name, level=LEVEL) for name in fit.free_names}
    lower = [name for name, one in found.items() if one.lower_objective]
    told = f"the profile of {', '.join(lower)} found a better fit: the fit is not the best one"
    return Errors(
        {name: errors[name] for name in fit.free_names},
        {name: (one.low, one.high) for name, one in found.items()},
        "profile likelihood",
        warnings=(told,) if lower else (),
    )


def _resampled(fit: Any, request: Request) -> Errors:
    import jax

    from scalinglab.theory.fitting.bootstrap import bootstrap

    size = request.bootstrap or _DRAWS
    note(f"intervals: bootstrap of {size} resamples")
    draws = bootstrap(fit, count=size, key=jax.random.key(request.seed))
    groups = "" if fit.data.group is None else f" over {len(set(fit.data.group.tolist()))} groups"
    return Errors(
        {name: float(draws.values(name).std(ddof=1)) for name in fit.free_names},
        {name: draws.interval(name, level=LEVEL) for name in fit.free_names},
        f"{draws.kind} bootstrap{groups}, {size} resamples, percentiles, seed {request.seed}",
        draws=draws,
        warnings=(*draws.warnings, *_of_groups(fit.data)),
    )


def _of_groups(data: Any) -> list[str]:
    groups = 0 if data.group is None else len(set(data.group.tolist()))
    if not 0 < groups < _FEW_GROUPS:
        return []
    return [f"{count(groups, 'group')}: the cluster bootstrap of so few gives intervals too narrow"]
