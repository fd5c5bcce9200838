"""A dataset held against a theory, configuration by configuration."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from scalinglab.models import Model, as_model
from scalinglab.theory import Prediction, Theory, choose, predict_from, theories_of

from .engine import config_from


@dataclass(frozen=True)
class Row:
    """One observable at one configuration.

    **Fields:** `point`, the swept fields; `observable`; `theory` and its `kind`; `predicted`;
    `mean` and `stderr` over the `seeds` lanes that gave a number, and `failed` that did not;
    `z`, the difference in standard errors; `within`, whether the difference is at most 3
    standard errors and the stated error of the theory.
    """

    point: Mapping[str, Any]
    observable: str
    theory: str
    kind: str
    predicted: float
    mean: float
    stderr: float
    seeds: int
    failed: int
    z: float
    within: bool


@dataclass(frozen=True)
class Comparison:
    """The rows, in the order of the dataset; `unpredicted` configurations had no theory.

    Printing it gives a table.
    """

    rows: tuple[Row, ...]
    unpredicted: int = 0

    def __str__(self) -> str:
        fields = list(dict.fromkeys(name for row in self.rows for name in row.point))
        head = [*fields, "observable", "predicted", "mean", "stderr", "z", "within", "kind"]
        lines = [head, *[_cells(row, fields) for row in self.rows]]
        widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
        text = [
            "  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        failed = sum(row.failed for row in self.rows)
        notes = [f"{failed} lane values were no number and are left out"] if failed else []
        if self.unpredicted:
            notes.append(f"no theory applies at {self.unpredicted} configurations")
        return "\n".join([*text, *notes])


def compare(
    dataset: xr.Dataset,
    theory: ModuleType | Sequence[Theory],
    *,
    model: Model | ModuleType | None = None,
    name: str | None = None,
) -> Comparison:
    """Mean and standard error of each observable against the theory at each configuration.

    **Arguments:**

    - `dataset`: what `sweep`, `load` or `run_experiment` returned.
    - `theory`: a theory module or its table `THEORIES`; the first that applies is used, or the
      one called `name`. Theories conditional on a draw are left out.
    - `model`: the model of the dataset, by default the registered one of the name it records.

    **Returns:** a `Comparison`; observables with axes of their own are left out.

    **Raises:** `ValueError` for a dataset of another making, an unknown model, an unknown `name`.
    """
    if "config" not in dataset.attrs or "seed" not in dataset.dims:
        raise ValueError("dataset: it holds no sweep; give what sweep() or load() returned")
    Config = _model_of(dataset, model).Config
    table = theories_of(theory)
    rows: list[Row] = []
    unpredicted = 0
    for point, lanes in _points(dataset):
        config = config_from(Config, {**json.loads(dataset.attrs["config"]), **point})
        if name is None and not any(row.applies(config) and not row.needs_key for row in table):
            unpredicted += 1
            continue
        prediction = predict_from(table, config, choose(table, config, name).name)
        rows += _rows(point, lanes, prediction)
    return Comparison(tuple(rows), unpredicted)


def _model_of(dataset: xr.Dataset, model: Model | ModuleType | None) -> Model:
    if model is None:
        from scalinglab.registry import load_model

        return load_model(dataset.attrs["model"])[0]
    found = as_model(model)
    if found.name != dataset.attrs["model"]:
        raise ValueError(
            f"model: the dataset is of {dataset.attrs['model']!r}, not of {found.name!r}"
        )
    return found


def _points(dataset: xr.Dataset) -> Iterator[tuple[dict[str, Any], xr.Dataset]]:
    axes = {axis for name in dataset.data_vars for axis in _own_axes(dataset, name)}
    dims = [dim for dim in dataset.dims if dim != "seed" and dim not in axes]
    for index in np.ndindex(*[dataset.sizes[dim] for dim in dims]):
        lanes = dataset.isel(dict(zip(dims, index, strict=True)))
        fields = [c for c in dataset.coords if c not in ("seed", "point") and c not in axes]
        point = {str(name): lanes[name].item() for name in fields if lanes[name].ndim == 0}
        yield point, lanes


def _own_axes(dataset: xr.Dataset, name: Any) -> tuple[Any, ...]:
    dims = dataset[name].dims
    return dims[dims.index("seed") + 1 :]


def _rows(point: Mapping[str, Any], lanes: xr.Dataset, prediction: Prediction) -> list[Row]:
    names = [
        name
        for name in prediction.observables
        if name in lanes and name != "status" and lanes[name].dims == ("seed",)
    ]
    codes = lanes["status"].values if "status" in lanes else np.zeros(lanes.sizes["seed"])
    done = codes == 0
    return [_row(point, name, lanes[name].values[done], len(done), prediction) for name in names]


def _row(
    point: Mapping[str, Any], name: str, values: Any, lanes: int, prediction: Prediction
) -> Row:
    found = np.asarray(values, dtype=np.float64)
    good = found[np.isfinite(found)]
    mean = float(good.mean()) if len(good) else math.nan
    stderr = float(good.std(ddof=1) / math.sqrt(len(good))) if len(good) > 1 else math.nan
    predicted = float(prediction.observables[name])
    difference = mean - predicted
    allowed = 3.0 * stderr + prediction.relative_error * abs(predicted)
    return Row(
        point=point,
        observable=name,
        theory=prediction.theory,
        kind=prediction.kind,
        predicted=predicted,
        mean=mean,
        stderr=stderr,
        seeds=len(good),
        failed=lanes - len(good),
        z=difference / stderr if stderr > 0 else math.nan,
        within=bool(abs(difference) <= allowed),
    )


def _cells(row: Row, fields: list[str]) -> list[str]:
    point = [_number(row.point.get(name, "")) for name in fields]
    numbers = [_number(value) for value in (row.predicted, row.mean, row.stderr)]
    within = "yes" if row.within else "no"
    return [*point, row.observable, *numbers, f"{row.z:+.2f}", within, row.kind]


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
