"""The numbers of `try`: one configuration simulated over seeds and predicted by the theories."""

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scalinglab.registry import nearest

from .arguments import UsageError


@dataclass(frozen=True)
class Request:
    """What to do at each configuration: how many seeds, from which key, by which theory."""

    model: Any
    theories: tuple[Any, ...]
    seeds: int
    root_seed: int
    theory: str | None


@dataclass(frozen=True)
class Mean:
    """The mean over the seeds that are OK, and its standard error, None for a single seed."""

    mean: Any
    stderr: Any
    seeds: int


@dataclass(frozen=True)
class Point:
    """One configuration with what was predicted and simulated there.

    **Fields:** `config`, field to value; `predicted`, by the default theory or the one asked for;
    `alternatives`, by the others; `simulated`, observable to `Mean`; `failed`, the sentence of a
    status to its number of seeds.
    """

    config: Mapping[str, Any]
    predicted: Any
    alternatives: Mapping[str, Any]
    simulated: Mapping[str, Mean]
    failed: Mapping[str, int]

    @property
    def both(self) -> list[str]:
        """The names that were predicted and simulated, in the order of the prediction."""
        names = () if self.predicted is None else self.predicted.observables
        return [name for name in names if name in self.simulated]

    def z(self, name: str) -> Any:
        """(mean - predicted) / stderr; None where there is no standard error."""
        import numpy as np

        found = self.simulated[name]
        if found.stderr is None:
            return None
        difference = np.asarray(found.mean) - np.asarray(self.predicted.observables[name])
        with np.errstate(divide="ignore", invalid="ignore"):
            return difference / np.asarray(found.stderr)

    def within(self, name: str) -> bool | None:
        """|difference| <= 3 stderr + relative_error |predicted|, at every entry of an array."""
        import numpy as np

        found = self.simulated[name]
        if found.stderr is None:
            return None
        predicted = np.asarray(self.predicted.observables[name])
        allowed = 3 * np.asarray(found.stderr)
        allowed = allowed + float(self.predicted.relative_error) * np.abs(predicted)
        return bool(np.all(np.abs(np.asarray(found.mean) - predicted) <= allowed))

    def document(self) -> dict[str, Any]:
        """The point as one JSON object."""
        document = {
            "config": dict(self.config),
            "predicted": None if self.predicted is None else _flat(self.predicted),
            "alternatives": {name: _flat(made) for name, made in self.alternatives.items()},
            "simulated": {name: vars(found) for name, found in self.simulated.items()},
            "z": {name: self.z(name) for name in self.both},
            "within": {name: self.within(name) for name in self.both},
        }
        return {**document, "failed": dict(self.failed)} if self.failed else document


def points(
    request: Request, base: Any, varied: Mapping[str, Sequence[Any]], report: Any = None
) -> list[Point]:
    """Simulates and predicts at every configuration of the varied fields, the last one fastest.

    **Raises:** `UsageError` for a theory that is unknown or needs seeds; `ValueError` for a
    configuration that is not valid or cannot be simulated, or that no theory covers when there
    are no seeds.
    """
    _check_theory(request)
    configs = [
        dataclasses.replace(base, **dict(zip(varied, values, strict=True)))
        for values in itertools.product(*varied.values())
    ]
    if not request.seeds:
        return [_point(request, config, None) for config in configs]
    if request.model.check is not None:
        for config in configs:
            request.model.check(config)
    lanes = _lanes(request, base, varied, configs, report)
    return [_point(request, config, one) for config, one in zip(configs, lanes, strict=True)]


def _check_theory(request: Request) -> None:
    rows = {row.name: row for row in request.theories}
    if request.theory in (None, "all"):
        if not rows and not request.seeds:
            raise UsageError(f"seeds: 0: {request.model.name} has no theory: give at least 1")
        return
    if request.theory not in rows:
        remedy = nearest(str(request.theory), [*rows, "all"])
        raise UsageError(f"theory: {request.theory!r} is unknown: {remedy}")
    if rows[request.theory].needs_key and not request.seeds:
        raise UsageError(f"seeds: 0: theory {request.theory!r} needs the draws: give at least 1")


def _point(request: Request, config: Any, lanes: "_Lanes | None") -> Point:
    predicted, alternatives = _predicted(request, config, None if lanes is None else lanes.keys)
    return Point(
        {
            field.name: getattr(config, field.name)
            for field in dataclasses.fields(config)
            if field.init
        },
        predicted,
        alternatives,
        {} if lanes is None else lanes.means,
        {} if lanes is None else lanes.failed,
    )


@dataclass(frozen=True)
class _Lanes:
    """The seeds of one configuration: `keys` are those of the lanes that are OK."""

    means: dict[str, Mean]
    failed: dict[str, int]
    keys: Any


def _lanes(
    request: Request,
    base: Any,
    varied: Mapping[str, Sequence[Any]],
    configs: Sequence[Any],
    report: Any,
) -> list[_Lanes]:
    import numpy as np

    from scalinglab.experiments.engine import Sweep, lane_key, run_sweep

    sweep = Sweep(request.model, base, varied, seeds=request.seeds, root_seed=request.root_seed)
    dataset = run_sweep(sweep, progress=report)
    flat = {
        str(name): array.values.reshape(len(configs), *array.shape[len(varied) :])
        for name, array in dataset.data_vars.items()
    }
    found = []
    for index, config in enumerate(configs):
        status = flat["status"][index]
        ok = np.flatnonzero(status == 0)
        names = [name for name in request.model.observables if name in flat and name != "status"]
        found.append(
            _Lanes(
                {name: _mean(flat[name][index][ok]) for name in names},
                _failures(status),
                [lane_key(sweep, config, int(seed)) for seed in ok],
            )
        )
    return found


def _failures(status: Any) -> dict[str, int]:
    codes = [int(code) for code in status if code != 0]
    return {_sentence(code): codes.count(code) for code in sorted(set(codes))}


def _mean(values: Any) -> Mean:
    import numpy as np

    count = len(values)
    if count == 0:
        return Mean(np.full(values.shape[1:], math.nan), None, 0)
    wide = values.astype(np.float64)
    error = wide.std(axis=0, ddof=1) / math.sqrt(count) if count > 1 else None
    return Mean(wide.mean(axis=0), error, count)


def _predicted(request: Request, config: Any, keys: Any) -> tuple[Any, dict[str, Any]]:
    """The prediction that was asked for, and those of the other theories that apply.

    A theory conditional on the draw is averaged over the draws that were simulated.
    """
    from scalinglab.theory import choose, require_float64

    require_float64()
    named = None if request.theory in (None, "all") else request.theory
    rows = [row for row in request.theories if row.applies(config)]
    usable = [row for row in rows if keys or not row.needs_key]
    if named is None and keys is not None and all(row.needs_key for row in rows):
        return None, {row.name: _made(row, config, keys) for row in usable}
    chosen = choose(request.theories, config, named)
    others = {row.name: _made(row, config, keys) for row in usable if row.name != chosen.name}
    return (_made(chosen, config, keys) if chosen in usable else None), others


def _made(row: Any, config: Any, keys: Any) -> Any:
    if not row.needs_key:
        return row.predict(config)
    from scalinglab.experiments.draws import predict_over_draws

    return predict_over_draws(row, config, keys)[0]


def _flat(prediction: Any) -> dict[str, Any]:
    labels = {
        "theory": prediction.theory,
        "kind": prediction.kind,
        "relative_error": float(prediction.relative_error),
        "source": prediction.source,
    }
    told = {} if int(prediction.status) == 0 else {"status": _sentence(prediction.status)}
    return {**prediction.observables, **labels, **told}


def _sentence(status: Any) -> str:
    from scalinglab.models import Status

    return Status(int(status)).sentence
