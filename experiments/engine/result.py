"""The one dataset of a sweep: put together from its lanes, published and read back."""

import hashlib
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from .canonical import config_fields, digest, spelled
from .plan import FORMAT
from .provenance import stored_version
from .store import Store, StoreError
from .sweep import Sweep


class Lanes:
    """The lanes of a sweep as they arrive, unit by unit."""

    def __init__(self, sweep: Sweep) -> None:
        self._sweep = sweep
        self._pieces: list[tuple[np.ndarray, dict[str, np.ndarray]]] = []

    def add(self, positions: np.ndarray, arrays: dict[str, np.ndarray]) -> None:
        """Take the arrays of the lanes at these row-major positions.

        **Raises:** `ValueError` for an observable that the model does not declare, with another
        number of axes than declared, or of another shape than in the lanes before.
        """
        _check_declared(self._sweep.model.observables, arrays)
        if self._pieces:
            _check_alike(self._pieces[0][1], arrays)
        self._pieces.append((positions, arrays))

    def dataset(self, backend: str) -> xr.Dataset:
        """Every lane in its place, with units, descriptions and the fixed fields."""
        sweep = self._sweep
        positions = np.concatenate([where for where, _ in self._pieces])
        observables = sweep.model.observables
        variables = {}
        for name in sorted(self._pieces[0][1]):
            stacked = np.concatenate([arrays[name] for _, arrays in self._pieces])
            placed = np.empty_like(stacked)
            placed[positions] = stacked
            told = observables[name]
            variables[name] = (
                (*sweep.dims, "seed", *told.axes),
                placed.reshape(*sweep.shape, sweep.seeds, *placed.shape[1:]),
                {"units": told.unit, "description": told.description},
            )
        return xr.Dataset(variables, coords=_coordinates(sweep), attrs=_attributes(sweep, backend))


def result_key(sweep: Sweep, backend: str, *, float64: bool) -> str:
    """The key of a sweep's dataset: everything that its bytes follow from, but the devices."""
    observables = sweep.model.observables
    axes = {**sweep.crossed, **sweep.zipped}
    return digest(
        {
            "format": FORMAT,
            "attributes": _attributes(sweep, backend),
            "float64": float64,
            "crossed": [[name, spelled(name, axes[name])] for name in sweep.crossed],
            "zipped": [[name, spelled(name, axes[name])] for name in sweep.zipped],
            "fixed": {name: spelled(name, [v]) for name, v in _fixed_fields(sweep).items()},
            "observables": {
                name: [told.description, told.unit, list(told.axes)]
                for name, told in observables.items()
            },
        }
    )


def publish_result(store: Store, key: str, dataset: xr.Dataset, units: Sequence[str]) -> None:
    """Write the dataset as netCDF, and beside it its checksum and the keys of its units."""
    record = store.read_json(f"results/{key}.json")
    if record is not None and record["units"] == list(units):
        stored = store.read_verified(f"results/{key}.nc", record["checksum"])
        if stored is not None and _decoded(stored).identical(dataset):
            return
    with store.publishing(f"results/{key}.nc") as temporary:
        try:
            dataset.to_netcdf(temporary, engine="h5netcdf")
        except RuntimeError as error:
            # HDF5 reports a write that fails while it closes the file as a RuntimeError.
            raise OSError(f"netCDF: {error}") from error
        checksum = hashlib.sha256(temporary.read_bytes()).hexdigest()
    store.write_json(f"results/{key}.json", {"checksum": checksum, "units": list(units)})


def read_result(store: Store, key: str) -> xr.Dataset:
    """The stored dataset of that key.

    **Raises:** `StoreError` when it is absent or does not match its checksum.
    """
    record = store.read_json(f"results/{key}.json")
    name = f"results/{key}.nc"
    content = None if record is None else store.read_verified(name, record["checksum"])
    if content is None:
        raise StoreError(f"store: {store.path / name} is absent or damaged; run its sweep again")
    return _decoded(content)


def _decoded(content: bytes) -> xr.Dataset:
    # A unit such as "seconds" is a label here; decoding would make the numbers durations.
    return xr.load_dataset(io.BytesIO(content), engine="h5netcdf", decode_times=False)


def _coordinates(sweep: Sweep) -> dict[str, Any]:
    crossed = {name: ((name,), _axis(name, values)) for name, values in sweep.crossed.items()}
    zipped = {name: (("point",), _axis(name, values)) for name, values in sweep.zipped.items()}
    return {**crossed, **zipped, "seed": (("seed",), np.arange(sweep.seeds))}


def _axis(name: str, values: tuple[Any, ...]) -> np.ndarray:
    if all(isinstance(value, str) for value in values):
        return np.asarray(values)
    if not all(value is None or isinstance(value, bool | int | float) for value in values):
        raise ValueError(f"{name}: {values!r} mixes text and numbers; make two sweeps")
    return np.asarray([math.inf if value is None else value for value in values])


def _fixed_fields(sweep: Sweep) -> dict[str, Any]:
    swept = {**sweep.crossed, **sweep.zipped}
    return {name: v for name, v in config_fields(sweep.base).items() if name not in swept}


def _attributes(sweep: Sweep, backend: str) -> dict[str, Any]:
    return {
        "model": sweep.model.name,
        "version": stored_version(sweep.model),
        "config": json.dumps(_fixed_fields(sweep), sort_keys=True),
        "seeds": sweep.seeds,
        "root_seed": sweep.root_seed,
        "common_numbers": int(sweep.common_numbers),
        "backend": backend,
    }


def _check_declared(observables: Any, arrays: dict[str, np.ndarray]) -> None:
    for name, array in arrays.items():
        if name not in observables:
            raise ValueError(
                f"{name}: simulate returned it and the model does not declare it; "
                "add it to the model's observables"
            )
        axes = observables[name].axes
        if array.ndim != 1 + len(axes):
            raise ValueError(
                f"{name}: simulate returned {array.ndim - 1} axes and the model declares "
                f"{len(axes)} {tuple(axes)}; make the two agree"
            )


def _check_alike(first: dict[str, np.ndarray], arrays: dict[str, np.ndarray]) -> None:
    for name in sorted({*first, *arrays}):
        if name not in first or name not in arrays:
            raise ValueError(
                f"{name}: returned at some configurations and absent at others; "
                "make one sweep of each kind"
            )
        if first[name].shape[1:] != arrays[name].shape[1:]:
            raise ValueError(
                f"{name}: has shape {first[name].shape[1:]} at some configurations and "
                f"{arrays[name].shape[1:]} at others; make one sweep of each shape"
            )
