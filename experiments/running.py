"""Runs a sweep, or an experiment: its sweeps against a store, then its claims."""

import dataclasses
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import xarray as xr

from scalinglab.models import Model, as_model

from .claims import Claim
from .engine import (
    Interrupted,
    Plan,
    Progress,
    Sweep,
    check_field,
    execute,
    plan_sweep,
    provenance,
    run_sweep,
)
from .experiment import Experiment, Size
from .stored import StorePath, as_store, failed_lanes, known_size, manifest_name

Report = Callable[[Progress], None]


@dataclass(frozen=True)
class RunResult:
    """What a run of an experiment gave.

    **Fields:** `datasets` and `failures` by the name of the sweep, the latter mapping the
    sentence of each status that is not ok to its number of lanes; `claims`; `recomputed` and
    `reused`, in units.
    """

    experiment: str
    size: Size
    datasets: Mapping[str, xr.Dataset]
    claims: tuple[Claim, ...]
    failures: Mapping[str, Mapping[str, int]]
    recomputed: int
    reused: int

    @property
    def failed(self) -> dict[str, int]:
        """The number of failed lanes of each sweep."""
        return {name: sum(counts.values()) for name, counts in self.failures.items()}


def run_experiment(
    experiment: Experiment,
    *,
    size: str = "default",
    store: StorePath,
    progress: Report | None = None,
    devices: Sequence[Any] | None = None,
) -> RunResult:
    """Runs or resumes every sweep of an experiment, then holds its claims against the results.

    **Arguments:** `store`, a path or a `Store`; `progress` and `devices` as in `run_sweep`.

    **Raises:** `ValueError` for an unknown size; `StoreError`; `Interrupted`, counting lanes of
    all sweeps.
    """
    size = known_size(size)
    store = as_store(store)
    sweeps = experiment.sweeps(size)
    lanes = _LaneCount(sweeps, progress)
    name = manifest_name(experiment.name, size)
    manifest: dict[str, Any] = {}
    try:
        plans = {
            key: plan_sweep(sweep, store=store, devices=devices) for key, sweep in sweeps.items()
        }
        manifest = _manifest(experiment.name, size, plans)
        store.write_json(name, manifest)
        datasets = {
            key: execute(plan, store=store, progress=lanes, name=key) for key, plan in plans.items()
        }
        claims = tuple(experiment.analyse(datasets))
    except KeyboardInterrupt:
        if manifest:
            store.write_json(name, {**manifest, "state": "interrupted"})
        raise Interrupted(lanes.done, lanes.total) from None
    failures = {key: failed_lanes(dataset) for key, dataset in datasets.items()}
    told = [dataclasses.asdict(claim) for claim in claims]
    store.write_json(name, {**manifest, "state": "done", "failures": failures, "claims": told})
    recomputed = sum(plan.computed for plan in plans.values())
    reused = sum(plan.reused for plan in plans.values())
    return RunResult(experiment.name, size, datasets, claims, failures, recomputed, reused)


def sweep(
    model: Model | ModuleType,
    fields: Mapping[str, Any],
    *,
    seeds: int,
    base: Any = None,
    zipped: Mapping[str, Any] | None = None,
    store: StorePath | None = None,
    root_seed: int = 0,
    progress: Report | None = None,
) -> xr.Dataset:
    """Simulates a model over the values of some fields.

    **Arguments:**

    - `model`: a `Model` or a module that holds one.
    - `fields`: field name to its values, each a dimension of the result, or to one value.
    - `seeds`: independent lanes at each configuration.
    - `base`: the configuration for the other fields; by default the model's defaults, or its
      smallest configuration when a field has none.
    - `zipped`: fields that vary together along the dimension `point`.
    - `store`: where to keep the result; by default nowhere.
    - `root_seed`: another one gives independent random numbers.
    - `progress`: as in `run_sweep`.

    **Returns:** a dataset with the dimensions: fields in order, `point`, `seed`, axes.

    **Raises:** `ValueError` with field, value and remedy, as `Sweep` does.
    """
    found = as_model(model)
    base = _default_base(found) if base is None else base
    for name in fields:
        check_field(name, type(base))
    crossed = {name: value if _many(value) else [value] for name, value in fields.items()}
    planned = Sweep(found, base, crossed, zipped or {}, seeds, root_seed=root_seed)
    kept = None if store is None else as_store(store)
    dataset = run_sweep(planned, store=kept, progress=progress)
    return dataset.squeeze([name for name, value in fields.items() if not _many(value)])


class _LaneCount:
    """Passes progress on and adds up the lanes of all sweeps."""

    def __init__(self, sweeps: Mapping[str, Sweep], progress: Report | None) -> None:
        self.total = sum(sweep.lanes for sweep in sweeps.values())
        self._done: dict[str, int] = {}
        self._progress = progress

    def __call__(self, progress: Progress) -> None:
        self._done[progress.sweep] = progress.done
        if self._progress is not None:
            self._progress(progress)

    @property
    def done(self) -> int:
        return sum(self._done.values())


def _manifest(name: str, size: str, plans: Mapping[str, Plan]) -> dict[str, Any]:
    return {
        "experiment": name,
        "size": size,
        "state": "running",
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "results": {key: plan.key for key, plan in plans.items()},
        "units": {key: [unit.key for unit in plan.units] for key, plan in plans.items()},
        "lanes": {key: plan.sweep.lanes for key, plan in plans.items()},
        "provenance": provenance(),
    }


def _default_base(model: Model) -> Any:
    fields = [field for field in dataclasses.fields(model.Config) if field.init]
    missing = dataclasses.MISSING
    if all(f.default is not missing or f.default_factory is not missing for f in fields):
        return model.Config()
    return model.smallest


def _many(values: Any) -> bool:
    return hasattr(values, "__iter__") and not isinstance(values, str | bytes)
