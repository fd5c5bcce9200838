"""Theories that are conditional on the draw, evaluated over many keys."""

from typing import Any

import jax
import numpy as np

from scalinglab.models import Status
from scalinglab.theory import Prediction, Theory


def predict_over_draws(
    theory: Theory, config: Any, keys: Any
) -> tuple[Prediction, dict[str, np.ndarray]]:
    """The prediction of a theory that needs the draw, for each key.

    **Arguments:** `keys` (draws,), those of the simulated lanes.

    **Returns:** the prediction with its observables averaged over the draws, NaN where one fails,
    and the observables (draws, ...) themselves, NaN in a draw that fails.
    """
    labels: list[Prediction] = []

    def observables(key: Any) -> dict[str, Any]:
        prediction = theory.predict(config, key=key)
        labels.append(prediction)
        return {**prediction.observables, "status": prediction.status}

    try:
        compiled = jax.jit(observables)
        found = [_host(compiled(key)) for key in keys]
    except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
        found = [_host(observables(key)) for key in keys]
    drawn = {name: np.stack([one[name] for one in found]) for name in found[0] if name != "status"}
    ok = np.asarray([int(one["status"]) == Status.OK for one in found])
    for values in drawn.values():
        values[~ok] = np.nan
    made = labels[0]
    mean = {name: values.mean(axis=0) for name, values in drawn.items()}
    status = Status.OK if ok.all() else Status(int(found[int(np.argmin(ok))]["status"]))
    averaged = Prediction(
        mean, made.theory, made.kind, float(made.relative_error), made.source, status
    )
    return averaged, drawn


def _host(values: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(value) if name == "status" else np.array(value, np.float64)
        for name, value in values.items()
    }
