"""What earlier runs left in a store: the datasets of an experiment, and where each run stands."""

import collections
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr

from scalinglab.models import Status
from scalinglab.registry import EXPERIMENTS, nearest

from .engine import Store, StoreError, read_result
from .experiment import SIZES, Size

StorePath = Store | str | os.PathLike[str]


@dataclass(frozen=True)
class StatusRow:
    """One run in a store: its `state` is `done`, `running` or `interrupted`.

    **Fields:** `units_done` of `units_total`; `failed`, sentence to number of lanes; `command`,
    which goes on with it, or checks it and answers from the store.
    """

    experiment: str
    size: str
    state: str
    units_done: int
    units_total: int
    failed: Mapping[str, int]
    command: str


def load(
    name: str, size: str = "default", *, store: StorePath = "results"
) -> dict[str, xr.Dataset]:
    """The stored datasets of an experiment, by the name of the sweep.

    **Raises:** `ValueError` with the command to run when they are absent or incomplete.
    """
    known_size(size)
    store = as_store(store)
    manifest = store.read_json(manifest_name(name, size))
    if manifest is None:
        known = [entry.name for entry in EXPERIMENTS]
        stored = [found["experiment"] for found in _manifests(store)]
        if name not in (*known, *stored):
            raise ValueError(f"experiment: {name!r} is unknown: {nearest(name, known + stored)}")
        raise ValueError(
            f"experiment: {name!r} at size {size!r} is not in {store.path}; "
            f"run `{command(name, size, store)}`"
        )
    try:
        return {key: read_result(store, found) for key, found in manifest["results"].items()}
    except StoreError as error:
        raise StoreError(
            f"experiment: {name!r} at size {size!r} is incomplete or damaged in {store.path}; "
            f"run `{command(name, size, store)}`"
        ) from error


def status(store: StorePath, experiment: str | None = None) -> list[StatusRow]:
    """The runs in a store, of one experiment or of all."""
    store = as_store(store)
    found = [m for m in _manifests(store) if experiment in (None, m["experiment"])]
    return [_status_row(store, manifest) for manifest in found]


def failed_lanes(dataset: xr.Dataset) -> dict[str, int]:
    """The sentence of each status that is not ok, to the number of lanes that ended so."""
    return _count_failed(dataset["status"].values) if "status" in dataset else {}


def as_store(store: StorePath) -> Store:
    """The store itself, or the one at that path."""
    return store if isinstance(store, Store) else Store(store)


def known_size(size: str) -> Size:
    """The size, one of `SIZES`.

    **Raises:** `ValueError` for another.
    """
    if size not in SIZES:
        raise ValueError(f"size: {size!r} is unknown; there are {', '.join(SIZES)}")
    return cast(Size, size)


def manifest_name(name: str, size: str) -> str:
    """Where in a store the record of a run is."""
    return f"experiments/{name}/{size}.json"


def command(name: str, size: str, store: Store) -> str:
    """The command that makes or resumes a run."""
    elsewhere = "" if store.path == Path("results") else f" --store {store.path}"
    return f"scalinglab run {name} --size {size}{elsewhere}"


def _manifests(store: Store) -> list[dict[str, Any]]:
    found = [store.read_json(name) for name in store.names("experiments", ".json")]
    return [manifest for manifest in found if manifest is not None]


def _status_row(store: Store, manifest: Mapping[str, Any]) -> StatusRow:
    keys = [key for keys in manifest["units"].values() for key in keys]
    done = [key for key in keys if store.has_unit(key)]
    failed: collections.Counter[str] = collections.Counter()
    if "failures" in manifest:
        for counts in manifest["failures"].values():
            failed.update(counts)
    else:
        for key in done:
            failed.update(_failed_in(store, key))
    name, size = manifest["experiment"], manifest["size"]
    return StatusRow(
        experiment=name,
        size=size,
        state=_state(manifest, complete=len(done) == len(keys)),
        units_done=len(done),
        units_total=len(keys),
        failed=dict(failed),
        command=command(name, size, store),
    )


def _failed_in(store: Store, key: str) -> dict[str, int]:
    try:
        arrays = store.read_unit(key)
    except StoreError:
        return {}
    return {} if arrays is None or "status" not in arrays else _count_failed(arrays["status"])


def _count_failed(codes: np.ndarray) -> dict[str, int]:
    values, counts = np.unique(codes, return_counts=True)
    sentences = {code.value: code.sentence for code in Status}
    return {
        sentences.get(int(value), f"status {int(value)}"): int(count)
        for value, count in zip(values, counts, strict=True)
        if value != 0
    }


def _state(manifest: Mapping[str, Any], *, complete: bool) -> str:
    if manifest["state"] == "done":
        return "done" if complete else "interrupted"
    elsewhere = manifest["host"] != socket.gethostname()
    running = manifest["state"] == "running" and (elsewhere or _alive(manifest["pid"]))
    return "running" if running else "interrupted"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True
