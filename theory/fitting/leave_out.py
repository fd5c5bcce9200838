"""How far a fit leans on any one group of its points: a run, a width, a seed.

Published exponents of scaling laws move by several standard errors with the choice of points
(arXiv 2502.06857), which no interval computed from the residuals shows.
"""

from collections.abc import Callable, Mapping

import equinox as eqx
import numpy as np
from jaxtyping import Float64, Int

from scalinglab.models import Status

from .covariance import standard_errors
from .data import Data
from .fit import Fit
from .resolve import resolve


class LeaveOut(eqx.Module):
    """The fit without each group in turn.

    **Fields:** the last axis is the group.

    - `fit`: of all points. `by`: the input whose values are the groups, or `"group"`.
    - `groups`: the label or value of each; `num_points`: points with a weight that left.
    - `parameters`: name to values without that group, NaN where the fit failed.
    - `shift`: name to change against the full fit, in its standard errors; fitted parameters only.
    - `status`: a `scalinglab.models.Status` each.
    """

    fit: Fit
    by: str = eqx.field(static=True)
    groups: Float64[np.ndarray, " groups"]
    num_points: Int[np.ndarray, " groups"]
    parameters: dict[str, Float64[np.ndarray, " groups"]]
    shift: dict[str, Float64[np.ndarray, " groups"]]
    status: Int[np.ndarray, " groups"]

    @property
    def worst(self) -> tuple[float, str, float]:
        """The group, the parameter and the shift that is the largest, NaN when none is finite."""
        table = np.abs(np.stack(list(self.shift.values())))
        if not np.isfinite(table).any():
            return float("nan"), next(iter(self.shift)), float("nan")
        row, column = np.unravel_index(int(np.nanargmax(table)), table.shape)
        name = list(self.shift)[row]
        return float(self.groups[column]), name, float(self.shift[name][column])

    def derived(
        self,
        function: Callable[
            [Mapping[str, Float64[np.ndarray, " groups"]]], Float64[np.ndarray, " groups"]
        ],
    ) -> Float64[np.ndarray, " groups"]:
        """A function of the parameters without each group, such as a compute-optimal exponent."""
        return np.asarray(function(self.parameters), np.float64)

    @property
    def text(self) -> str:
        """A table of every group: its points, and every fitted parameter without it."""
        names = list(self.shift)
        lines = [[self.by, "points", *names, "shift"]]
        for i, group in enumerate(self.groups):
            far = max((float(self.shift[name][i]) for name in names), key=abs)
            values = [f"{self.parameters[name][i]:.5g}" for name in names]
            lines.append([f"{group:g}", str(self.num_points[i]), *values, f"{far:+.2f}"])
        widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
        return "\n".join(
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
            for line in lines
        )


def leave_group_out(fit: Fit, *, by: str | None = None) -> LeaveOut:
    r"""Fits again without each group of points, all in one batch.

    The scale of the loss stays that of the full fit, and every fit starts at the full optimum.

    **Arguments:**

    - `fit`: of data with at least two groups.
    - `by`: an input, whose equal values are the groups; the data's own groups by default.

    **Returns:** a `LeaveOut`.

    **Raises:** `ValueError` for data without groups, an unknown input, fewer than two groups, and
    a group without which there are fewer points than fitted parameters.

    **Source:** arXiv 2502.06857, on the sensitivity of scaling laws to the choice of points.
    """
    data = fit.data
    labels, name = _labels(data, by)
    used = data.weight > 0.0
    groups = np.unique(labels[used])
    if len(groups) < 2:
        raise ValueError(f"by: every point has {name} = {groups[0]:g}; at least two are needed")
    away = labels[:, None] == groups
    left = np.sum(used[:, None] & ~away, axis=0)
    needed = len(fit.free_names)
    if (left < needed).any():
        worst = int(np.argmin(left))
        raise ValueError(
            f"by: without {name} = {groups[worst]:g} there are {left[worst]} points for {needed} "
            "free parameters; fix some, or group more finely"
        )
    ends = resolve(fit, weight=np.where(away, 0.0, data.weight[:, None]))
    ok = np.isfinite(ends.objective) & (ends.status != int(Status.NOT_FINITE))
    values = fit.naturals(np.where(ok, ends.phi, fit.phi[:, None]))
    parameters = {key: np.where(ok, value, np.nan) for key, value in values.items()}
    errors = standard_errors(fit)
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = {
            key: (parameters[key] - fit.parameters[key]) / np.float64(errors[key])
            for key in fit.free_names
        }
    return LeaveOut(
        fit=fit,
        by=name,
        groups=groups.astype(np.float64),
        num_points=np.sum(used[:, None] & away, axis=0),
        parameters=parameters,
        shift=shift,
        status=ends.status,
    )


def _labels(data: Data, by: str | None) -> tuple[np.ndarray, str]:
    if by is None:
        if data.group is None:
            raise ValueError("by: the data have no groups; name an input, or give Data(group=...)")
        return data.group, "group"
    if by not in data.x or data.x[by].ndim != 1:
        names = [name for name, column in data.x.items() if column.ndim == 1]
        raise ValueError(f"by: {by!r} is no column; give one of {', '.join(names)}")
    return data.x[by], by
