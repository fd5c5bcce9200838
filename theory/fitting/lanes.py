"""The queue in front of the solver: any number of problems through one compiled program.

A block of lanes advances a few iterations at a time; lanes that have finished take the next
problem. So no lane waits for a slow neighbour, and datasets, starts, resamples and points of a
profile are all the same thing: jobs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64, Int

from scalinglab.models import Status

from . import solver
from .coordinates import bounds
from .data import Data
from .law import Law

# Sixty-four lanes of 256 points keep the arrays of an iteration in the second-level cache.
LANES = 64
TIGHT, LOOSE = 1e-24, 1e-13


@dataclass(frozen=True)
class Table:
    """Data sets of one law, centred, padded to one length and put side by side.

    **Fields:** the last axis is the data set. `x`, and its logarithms as `log <input>`; `target`,
    what is fitted, centred: log y or y; `weight`, 0 where padded; `gain`, 1/sd in the centred
    unit; `shift`, the logarithm of each unit; `linear`, whether residuals are of y itself.
    """

    law: Law
    x: Mapping[str, np.ndarray]
    target: Float64[np.ndarray, "points sets"]
    weight: Float64[np.ndarray, "points sets"]
    gain: Float64[np.ndarray, "points sets"]
    shift: Mapping[str, Float64[np.ndarray, " sets"]]
    linear: bool


@dataclass(frozen=True)
class Jobs:
    """Problems to solve; the last axis, where there is one, is the job.

    **Fields:** `phi`, starts; `which`, the data set of each; `free`, 1 for a parameter that moves;
    `delta`, of the loss; `weight` and `target`, where they are not those of the data set.
    """

    phi: Float64[np.ndarray, "parameters jobs"]
    which: Int[np.ndarray, " jobs"]
    free: Float64[np.ndarray, "parameters #jobs"]
    delta: Float64[np.ndarray, " jobs"]
    weight: Float64[np.ndarray, "points jobs"] | None = None
    target: Float64[np.ndarray, "points jobs"] | None = None

    def columns(self, table: Table, jobs: Int[np.ndarray, " lanes"]) -> dict[str, np.ndarray]:
        """The arrays of these jobs, by field of `solver.Problems` and as `phi`."""
        which = self.which[jobs]
        free = self.free if self.free.shape[1] == 1 else self.free[:, jobs]
        return {
            "phi": self.phi[:, jobs],
            "free": np.broadcast_to(free, (self.phi.shape[0], len(jobs))),
            "delta": self.delta[jobs],
            "weight": table.weight[:, which] if self.weight is None else self.weight[:, jobs],
            "target": table.target[:, which] if self.target is None else self.target[:, jobs],
        }


@dataclass(frozen=True)
class Solutions:
    """Where the jobs ended. `objective` is NaN where `status` is `NOT_FINITE`."""

    phi: Float64[np.ndarray, "parameters jobs"]
    objective: Float64[np.ndarray, " jobs"]
    decrement: Float64[np.ndarray, " jobs"]
    iterations: Int[np.ndarray, " jobs"]
    status: Int[np.ndarray, " jobs"]


def tabulate(law: Law, datas: Sequence[Data], *, linear: bool) -> Table:
    """The table of these data sets, points of each in a canonical order.

    The order makes a fit independent, to the last bit, of the order in which points are given.
    """
    points = padded_length(max(len(data.y) for data in datas))
    columns = [_centred_columns(law, data, points, linear=linear) for data in datas]
    x_names = columns[0]["x"]
    return Table(
        law=law,
        x={name: np.stack([one["x"][name] for one in columns], axis=1) for name in x_names},
        target=np.stack([one["target"] for one in columns], axis=1),
        weight=np.stack([one["weight"] for one in columns], axis=1),
        gain=np.stack([one["gain"] for one in columns], axis=1),
        shift={
            name: np.array([one["shift"][name] for one in columns]) for name in columns[0]["shift"]
        },
        linear=linear,
    )


def canonical_order(data: Data) -> Int[np.ndarray, " points"]:
    """Rows sorted by inputs, output and weight."""
    size = len(data.y)
    keys = [data.weight, data.y, *(c.reshape(size, -1)[:, -1] for c in data.x.values())]
    return np.lexsort(keys)


def as_lanes(
    values: Float64[np.ndarray, "rows jobs"], data: Data, points: int
) -> Float64[np.ndarray, "points jobs"]:
    """Columns given in the order of the data, in the order and length of the table."""
    padded = np.zeros((points, values.shape[1]))
    padded[: len(data.y)] = values[canonical_order(data)]
    return padded


def solve(table: Table, jobs: Jobs, *, shape: str, tolerance: float = LOOSE) -> Solutions:
    """Solves every job, in float64 on the CPU device, in blocks of `LANES`."""
    total = jobs.phi.shape[1]
    low, high = bounds(table.law)
    clipped = np.clip(jobs.phi, low[:, None], high[:, None])
    queue = _Queue(table, jobs, np.where(jobs.free > 0.0, clipped, jobs.phi))
    how = {"law": table.law, "shape": shape, "linear": table.linear}
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        limits = jnp.asarray(low), jnp.asarray(high), jnp.asarray(tolerance)
        queue.fill(np.arange(LANES))
        while queue.busy:
            now = solver.advance(queue.lanes(), queue.problems(), *limits, **how)
            queue.collect(now)
    assert queue.collected == total
    return queue.found


class _Queue:
    """The block of lanes, and the jobs that wait for one; host arrays, changed in place."""

    def __init__(self, table: Table, jobs: Jobs, starts: Float64[np.ndarray, "..."]) -> None:
        total = jobs.phi.shape[1]
        self.table, self.jobs, self.starts = table, jobs, starts
        self.shared = len(table.target[0]) == 1
        self.job = np.full(LANES, -1)
        self.next, self.collected = 0, 0
        first = np.zeros(LANES, np.int64)
        self.values = {name: np.array(v) for name, v in jobs.columns(table, first).items()}
        self.which = jobs.which[first]
        state = solver.fresh(0.0)
        self.state = {name: np.full(LANES, state[name]) for name in state if name != "phi"}
        self.state["status"] = np.full(LANES, int(Status.OK))
        self.found = Solutions(
            phi=np.full(jobs.phi.shape, np.nan),
            objective=np.full(total, np.nan),
            decrement=np.full(total, np.nan),
            iterations=np.zeros(total, np.int64),
            status=np.full(total, int(Status.NOT_CONVERGED)),
        )

    @property
    def busy(self) -> bool:
        return bool((self.job >= 0).any())

    def fill(self, lanes: Int[np.ndarray, " lanes"]) -> None:
        """Gives waiting jobs to these lanes; lanes left over idle with status OK."""
        waiting = min(len(lanes), self.jobs.phi.shape[1] - self.next)
        self.job[lanes[waiting:]] = -1
        taken, ids = lanes[:waiting], np.arange(self.next, self.next + waiting)
        self.next += waiting
        if not waiting:
            return
        for name, columns in self.jobs.columns(self.table, ids).items():
            self.values[name][..., taken] = columns
        self.values["phi"][:, taken] = self.starts[:, ids]
        self.which[taken] = self.jobs.which[ids]
        self.job[taken] = ids
        for name, value in solver.fresh(0.0).items():
            if name != "phi":
                self.state[name][taken] = value

    def collect(self, now: solver.Lanes) -> None:
        """Takes the results of finished lanes, and fills them again."""
        self.values["phi"] = np.array(now.phi)
        self.state = {name: np.array(getattr(now, name)) for name in self.state}
        ready = np.flatnonzero((self.job >= 0) & (self.state["status"] != solver.RUNNING))
        ids = self.job[ready]
        self.found.phi[:, ids] = self.values["phi"][:, ready]
        for name in ("objective", "decrement", "iterations", "status"):
            getattr(self.found, name)[ids] = self.state[name][ready]
        self.collected += len(ready)
        if len(ready):
            self.fill(ready)

    def lanes(self) -> solver.Lanes:
        return solver.Lanes(phi=self.values["phi"], **self.state)

    def problems(self) -> solver.Problems:
        which = np.zeros(1, np.int64) if self.shared else self.which
        return solver.Problems(
            x={name: column[:, which] for name, column in self.table.x.items()},
            target=self.values["target"],
            weight=self.values["weight"],
            gain=self.table.gain[:, which],
            shift={name: column[which] for name, column in self.table.shift.items()},
            free=self.values["free"],
            delta=self.values["delta"],
        )


def padded_length(points: int) -> int:
    """Sixteen, or the next of 2^k and 3 2^(k-1): few shapes compile, little is wasted."""
    size = 16
    while size < points:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def _centred_columns(law: Law, data: Data, points: int, *, linear: bool) -> dict[str, Any]:
    order = canonical_order(data)
    shift = _shifts(law, data.take(order))
    output = shift.get(law.output, 0.0)
    x: dict[str, np.ndarray] = {}
    for name in law.inputs:
        column = data.x[name][order] / np.exp(shift.get(law.unit_of(name), 0.0))
        x[name] = _pad(column, points)
        if column.ndim == 1 and (column > 0.0).all():
            x[f"log {name}"] = np.log(x[name])
    gain = np.ones(len(order)) if data.sd is None else 1.0 / data.sd[order]
    y = data.y[order]
    if linear:
        target, gain = y / np.exp(output), gain * np.exp(output)
    else:
        target = np.log(y) - output
        gain = gain if data.sd is None else gain * y
    weight = np.zeros(points)
    weight[: len(order)] = data.weight[order]
    return {
        "x": x,
        "target": _pad(target, points),
        "weight": weight,
        "gain": _pad(gain, points),
        "shift": shift,
    }


def _shifts(law: Law, data: Data) -> dict[str, float]:
    """The mean logarithm of every unit that some parameter has, over all columns in that unit."""
    shift = {}
    for what in law.scaled:
        if what == law.output:
            values = [data.y]
        else:
            values = [data.x[name] for name in law.inputs if law.unit_of(name) == what]
        logs = [np.log(column[column > 0.0]) for column in values]
        positive = [one.mean() for one in logs if one.size]
        shift[what] = float(np.mean(positive)) if positive else 0.0
    return shift


def _pad(column: np.ndarray, points: int) -> np.ndarray:
    """Repeats the last point: it has weight 0, and is as good as any that the law can take."""
    missing = points - len(column)
    return np.concatenate([column, np.repeat(column[-1:], missing, axis=0)])
