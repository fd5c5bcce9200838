"""The comparisons of the laws, and their two tolerances.

Two ways of computing one number (`vmap` and a loop, `jit` and eager) differ by rounding alone, at
most c * eps * condition: c = 1e3 for the terms of a sum, and a condition number of 1e3, in units
of the largest observable of the lane, since one that is a difference of others carries their
rounding. A mean over seeds differs from the theory by its standard error: at most 3.5 of them,
which a Gaussian exceeds once in 2000 (and Student's t with 31 degrees of freedom once in 700),
plus the relative error that the theory states.
"""

from collections.abc import Mapping

import numpy as np

from scalinglab.models import Status
from scalinglab.theory import Theory

from .law_configs import LawError
from .law_subject import Subject

STANDARD_ERRORS = 3.5
ROUNDING = 1e6


def require_agreement(subject: Subject, row: Theory, name: str) -> None:
    """|mean - predicted| <= 3.5 standard errors + relative error * |predicted| + rounding.

    A theory conditional on the draw is compared draw by draw, so that its error is that of the
    differences.
    """
    made = subject.predictions[row.name]
    if int(made.status) != Status.OK or name not in made.observables:
        return
    simulated = subject.lanes[name].astype(np.float64)
    ok = subject.lanes["status"] == Status.OK
    predicted = np.asarray(made.observables[name], np.float64)
    each = subject.drawn[row.name][name][ok] if row.needs_key else predicted
    difference = simulated[ok] - each
    count = len(difference)
    if count < 2:
        return
    error = difference.std(axis=0, ddof=1) / np.sqrt(count)
    rounding = ROUNDING * np.finfo(subject.lanes[name].dtype).eps * _scale(subject.lanes)
    allowed = STANDARD_ERRORS * error + float(made.relative_error) * np.abs(predicted) + rounding
    distance = np.abs(difference.mean(axis=0))
    if (distance <= allowed).all():
        return
    worst = np.argmax(np.ravel(distance / allowed))
    raise LawError(
        f"{row.name} ({row.kind}): {name} is {np.ravel(predicted)[worst]:.6g} and the "
        f"simulation differs by {np.ravel(difference.mean(axis=0))[worst]:+.3g} "
        f"± {np.ravel(error)[worst]:.2g} over {count} seeds; "
        f"{np.ravel(allowed)[worst]:.3g} is allowed"
    )


def require_close(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], first: str, second: str
) -> None:
    if set(one) != set(other):
        raise LawError(f"{first} and {second} return different names")
    scale = _scale(other)
    for name, values in one.items():
        if name == "status":
            if int(values) != int(other[name]):
                raise LawError(f"status: {int(values)} by {first}, {int(other[name])} by {second}")
            continue
        if values.dtype != other[name].dtype:
            raise LawError(f"{name}: {values.dtype} by {first}, {other[name].dtype} by {second}")
        limit = ROUNDING * np.finfo(values.dtype).eps
        if not np.allclose(values, other[name], rtol=limit, atol=limit * scale, equal_nan=True):
            gap = np.max(np.abs(values - other[name]))
            raise LawError(f"{name}: {first} and {second} differ by {gap:.2g}, beyond rounding")


def _scale(lane: Mapping[str, np.ndarray]) -> float:
    sizes = [np.abs(v[np.isfinite(v)]).max(initial=0.0) for v in floats(lane).values()]
    return float(max(sizes, default=0.0))


def floats(lanes: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.asarray(values) for name, values in lanes.items() if name != "status"}
