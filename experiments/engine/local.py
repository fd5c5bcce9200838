"""The embedded executor: what is missing is computed here, unit by unit, and published.

Compiling and running happen in daemon threads, and the calling thread waits in short steps, so
that an interrupt is seen at once however long a unit takes. While a unit runs, the program of
the next group is compiled; while the next unit runs, the last one is written to the disk.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import numpy as np
import xarray as xr

from .background import in_background, wait_a_little, wait_for
from .devices import How, compile_over_devices, local_devices
from .plan import Draft, Group, Unit, draft, make_groups, units_of
from .provenance import provenance
from .result import Lanes, publish_result, result_key
from .stages import Position, run_stages
from .store import DamagedError, Store
from .sweep import Sweep
from .threads import single_threaded_blas

# The program that is needed and the one after it: XLA keeps the cores of a small machine busy with
# these two.
_AHEAD = 2


@dataclass(frozen=True)
class Progress:
    """Where a sweep stands, in lanes: `done` of `total`, `reused` of them from the store.

    `partial` is the work done on a unit that runs in stages, in lanes.
    """

    sweep: str
    done: int
    total: int
    reused: int
    message: str = ""
    partial: float = 0.0


class Interrupted(KeyboardInterrupt):
    """A sweep that was interrupted after `done` of `total` lanes; those stay in the store."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"interrupted after {done} of {total} lanes")
        self.done = done
        self.total = total


@dataclass
class Plan:
    """A sweep cut into units for one kind of backend.

    **Fields:** `groups`, each with the draft that its block size was settled on; `units`, of
    all groups in order; `key`, of the result.
    """

    sweep: Sweep
    devices: tuple[Any, ...]
    key: str
    groups: list[tuple[Group, Draft]]
    units: list[Unit] = field(default_factory=list)
    reused: int = 0
    computed: int = 0


def run_sweep(
    sweep: Sweep,
    *,
    store: Store | None = None,
    devices: Sequence[Any] | None = None,
    how: How = "shard_map",
    progress: Callable[[Progress], None] | None = None,
    name: str = "",
) -> xr.Dataset:
    """Every lane of a sweep, from the store where it is there and computed where it is not.

    **Arguments:**

    - `store`: where units and the result are kept; `None` keeps nothing.
    - `devices`: by default all local ones.
    - `how`: `'shard_map'` or `'pmap'`, as in `over_devices`.
    - `progress`: called with a `Progress` after every unit, in the calling thread.
    - `name`: of the sweep, for the progress.

    **Returns:** a dataset with the dimensions: crossed fields, `point`, `seed`, axes.

    **Raises:** `Interrupted`, a `KeyboardInterrupt`; `StoreError`; `ValueError` for a field that
    cannot be stacked and for an observable that the model does not declare.
    """
    try:
        plan = plan_sweep(sweep, store=store, devices=devices)
    except KeyboardInterrupt:
        raise Interrupted(0, sweep.lanes) from None
    return execute(plan, store=store, how=how, progress=progress, name=name)


def plan_sweep(
    sweep: Sweep, *, store: Store | None = None, devices: Sequence[Any] | None = None
) -> Plan:
    """The units of a sweep; a plan in the store is followed, and a new one is kept there."""
    if store is not None:
        store.prepare()
    devices = local_devices(devices)
    backend = _backend(devices[0])
    float64 = bool(jax.config.read("jax_enable_x64"))
    groups = [(group, _settled(group, devices[0], store)) for group in make_groups(sweep, backend)]
    units = [unit for group, drafted in groups for unit in units_of(group, drafted.block)]
    key = result_key(sweep, backend, float64=float64)
    return Plan(sweep, devices, key, groups, units)


def execute(
    plan: Plan,
    *,
    store: Store | None = None,
    how: How = "shard_map",
    progress: Callable[[Progress], None] | None = None,
    name: str = "",
) -> xr.Dataset:
    """Compute what is missing of a plan, publish it, and return the dataset of the sweep."""
    run = _Run(plan, store, progress or _ignore, Progress(name, 0, plan.sweep.lanes, 0))
    try:
        missing = run.reuse()
        for unit, arrays in _computed(run, missing, how):
            run.take(unit, arrays)
    except Interrupted:
        raise
    except KeyboardInterrupt:
        raise Interrupted(run.state.done, run.state.total) from None
    dataset = run.lanes.dataset(_backend(plan.devices[0]))
    if store is not None:
        publish_result(store, plan.key, dataset, [unit.key for unit in plan.units])
    return dataset


class _Run:
    def __init__(
        self,
        plan: Plan,
        store: Store | None,
        progress: Callable[[Progress], None],
        state: Progress,
    ) -> None:
        self.plan = plan
        self.store = store
        self.state = state
        self.lanes = Lanes(plan.sweep)
        self._progress = progress

    def reuse(self) -> list[Unit]:
        """Take the units that are stored; return the others."""
        missing = []
        for unit in self.plan.units:
            arrays = self.stored(unit)
            if arrays is None:
                missing.append(unit)
            else:
                self._add(unit, arrays, reused=len(unit.rows))
        self.tell("")
        return missing

    def stored(self, unit: Unit) -> dict[str, np.ndarray] | None:
        """The arrays of a stored unit; a damaged one is set aside and reported."""
        if self.store is None:
            return None
        try:
            return self.store.read_unit(unit.key)
        except DamagedError as error:
            self.store.set_aside(unit.key)
            self.tell(f"{error}: set aside, to be computed again")
            return None

    def take(self, unit: Unit, arrays: dict[str, np.ndarray]) -> None:
        """Publish a computed unit, unless another process did so meanwhile: the first one stays."""
        first = self.stored(unit)
        self._add(unit, arrays if first is None else first, reused=0)
        if self.store is not None and first is None:
            self.store.write_unit(unit.key, arrays, provenance())
        self.plan.computed += 1
        self.tell("")

    def tell(self, message: str, *, partial: float = 0.0) -> None:
        self._progress(replace(self.state, message=message, partial=partial))

    def _add(self, unit: Unit, arrays: dict[str, np.ndarray], *, reused: int) -> None:
        self.lanes.add(unit.lanes, arrays)
        self.plan.reused += bool(reused)
        self.state = replace(
            self.state,
            done=self.state.done + len(unit.rows),
            reused=self.state.reused + reused,
        )


def _computed(
    run: _Run, missing: list[Unit], how: How
) -> Iterator[tuple[Unit, dict[str, np.ndarray]]]:
    plan = run.plan
    by_group: dict[int, list[Unit]] = {}
    for unit in missing:
        by_group.setdefault(id(unit.group), []).append(unit)
    todo = [
        (group, drafted, by_group[id(group)])
        for group, drafted in plan.groups
        if id(group) in by_group
    ]
    programs: list[Future[Any]] = []
    last: tuple[Unit, dict[str, np.ndarray]] | None = None
    for position, (_, _, units) in enumerate(todo):
        for group, drafted, theirs in todo[len(programs) : position + _AHEAD]:
            ready, drafted.ready = drafted.ready, None
            programs.append(_compiled(group, theirs[0].arguments, how, plan.devices, ready))
        run.tell(f"compiling {position + 1} of {len(todo)}")
        program = wait_for(programs[position])
        programs[position] = Future()
        for unit in units:
            stage = Position()
            if program is None:
                future = in_background(run_stages, unit, how, plan.devices, run.store, stage)
            else:
                future = in_background(_call, program, unit)
            if last is not None:
                yield last
            last = (unit, _watched(run, unit, future, stage))
    if last is not None:
        yield last


def _compiled(
    group: Group, arguments: Any, how: How, devices: tuple[Any, ...], ready: Any
) -> Future[Any]:
    """The program of a group, in the making; `None` where the parts of its stages are jitted."""
    if group.stages is None:
        return in_background(compile_over_devices, group.f, arguments, how, devices, ready)
    return in_background(lambda: None)


def _watched(run: _Run, unit: Unit, future: Future[Any], stage: Position) -> Any:
    """The result of a unit, its stages told as they pass."""
    told = 0
    while not future.done():
        if stage.message:
            run.tell(stage.message)
            stage.message = ""
        if stage.stage > told:
            told = stage.stage
            run.tell("", partial=len(unit.rows) * told / stage.count)
        wait_a_little(future)
    return future.result()


def _call(program: Callable[..., Any], unit: Unit) -> dict[str, np.ndarray]:
    with single_threaded_blas():
        found = program(*unit.arguments)
        return {name: np.asarray(found[name])[: len(unit.rows)] for name in found}


def _settled(group: Group, device: Any, store: Store | None) -> Draft:
    name = f"plans/{group.key}.json"
    plan = None if store is None else store.read_json(name)
    if plan is not None:
        return Draft(plan["block"])
    drafted = wait_for(in_background(draft, group, device))
    if store is not None:
        store.write_json(name, {"block": drafted.block})
    return drafted


def _backend(device: Any) -> str:
    platform = str(device.platform)
    return "gpu" if platform in ("cuda", "rocm") else platform


def _ignore(progress: Progress) -> None:
    del progress
