"""The laws that every model obeys, built-in or a user's own, as functions over a `Subject`.

Each law raises `LawError` with the reason. `LAWS` lists them in order; `obey` runs them all. They
run on the model's `smallest` configuration, with fixed keys, so that a verdict repeats.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from scalinglab.models import Model, Observable, Status
from scalinglab.theory import STRICT_KINDS, Kind, Prediction, Theory, require_float64

from .law_configs import LawError as LawError
from .law_configs import require_frozen, require_rejection, require_typed
from .law_numbers import floats, require_agreement, require_close
from .law_subject import Subject as Subject
from .law_subject import host

COMPARED = 3


@dataclass(frozen=True)
class Outcome:
    """What one law found: `reason` is empty where it passed."""

    law: str
    passed: bool
    reason: str
    seconds: float


def obey(model: Model, theories: Sequence[Theory] = ()) -> tuple[Outcome, ...]:
    """Runs every law on a model.

    **Raises:** `RuntimeError` without float64, which the theories need.
    """
    require_float64()
    subject = Subject(model, tuple(theories))
    return tuple(_outcome(law, subject) for law in LAWS)


def _outcome(law: Callable[[Subject], None], subject: Subject) -> Outcome:
    start = time.perf_counter()
    reason = ""
    try:
        law(subject)
    except LawError as error:
        reason = str(error)
    except Exception as error:  # a user's code may fail in any way, and that is the verdict
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Outcome(title(law), not reason, reason, time.perf_counter() - start)


def title(law: Callable[[Subject], None]) -> str:
    """The name of a law in words."""
    return law.__name__.replace("_", " ")


def the_declaration_is_complete(subject: Subject) -> None:
    """Name, version and observables are given, and the smallest configuration is one of Config."""
    model = subject.model
    if not model.name or model.name != model.name.lower() or set(model.name) & set(" _:/."):
        raise LawError(f"name {model.name!r}: use lower-case words joined by hyphens")
    if not model.summary:
        raise LawError("summary: empty: say in one line what the model is")
    if isinstance(model.version, bool) or not isinstance(model.version, int | str):
        raise LawError(f"version {model.version!r}: give an integer, or the hash of your file")
    if not isinstance(model.smallest, model.Config):
        raise LawError(f"smallest: is no {model.Config.__name__}: give the cheapest configuration")
    for name, observable in model.observables.items():
        if not isinstance(observable, Observable) or not observable.description:
            raise LawError(f"observable {name!r}: give an Observable with a description")
    if "status" not in model.observables or len(model.observables) < 2:
        raise LawError("observables: declare status and at least one more")


def the_config_is_frozen_and_typed(subject: Subject) -> None:
    """Fields are int, float, str, Literal or one of these or None, and cannot be assigned."""
    require_typed(subject.model)
    require_frozen(subject.model)


def bad_numbers_are_rejected(subject: Subject) -> None:
    """NaN and negative sizes raise a `ValueError` that names the field, or give a status."""
    require_rejection(subject.model, key=subject.keys[0])


def observables_are_as_declared(subject: Subject) -> None:
    """`simulate` returns declared names only, with the declared number of axes, as real floats."""
    lengths: dict[str, int] = {}
    for name, values in subject.lanes.items():
        if name not in subject.model.observables:
            raise LawError(f"{name}: is returned and not declared: add it to observables")
        if name != "status" and not np.issubdtype(values.dtype, np.floating):
            raise LawError(f"{name}: has dtype {values.dtype}: return real floating numbers")
        axes = subject.model.observables[name].axes
        if values.ndim - 1 != len(axes):
            raise LawError(f"{name}: has {values.ndim - 1} axes and declares {len(axes)}: {axes}")
        for axis, length in zip(axes, values.shape[1:], strict=True):
            if lengths.setdefault(axis, length) != length:
                raise LawError(
                    f"{name}: axis {axis} has length {length}, elsewhere {lengths[axis]}"
                )


def a_status_is_returned(subject: Subject) -> None:
    """`status` is one integer, a known `Status`, for each lane."""
    status = subject.lanes.get("status")
    if status is None:
        raise LawError("status: absent: return an integer scalinglab.models.Status")
    if not np.issubdtype(status.dtype, np.integer) or status.ndim != 1:
        raise LawError(f"status: has dtype {status.dtype} and {status.ndim - 1} axes: one integer")
    unknown = set(status.tolist()) - {int(code) for code in Status}
    if unknown:
        raise LawError(f"status: {sorted(unknown)} are no scalinglab.models.Status")


def lanes_are_finite_or_say_why(subject: Subject) -> None:
    """Observables are finite where the status is OK, and NaN where it is not."""
    ok = subject.lanes["status"] == Status.OK
    if not ok.any():
        code = Status(int(subject.lanes["status"][0]))
        raise LawError(f"no lane of the smallest configuration is OK: {code.sentence}")
    for name, values in floats(subject.lanes).items():
        if not np.isfinite(values[ok]).all():
            raise LawError(f"{name}: is not finite although the status is OK")
        if not np.isnan(values[~ok]).all():
            raise LawError(f"{name}: is a number although the status is not OK: return NaN")


def the_same_key_gives_the_same_bits(subject: Subject) -> None:
    """Two calls with one key agree in every bit."""
    first, second = subject.compiled(subject.keys[0]), subject.compiled(subject.keys[0])
    for name, values in first.items():
        if values.tobytes() != second[name].tobytes():
            raise LawError(f"{name}: differs between two calls with the same key")


def different_keys_differ(subject: Subject) -> None:
    """Some observable changes with the key."""
    for values in floats(subject.lanes).values():
        if any(not np.array_equal(values[0], other, equal_nan=True) for other in values[1:]):
            return
    raise LawError("no observable depends on the key: use it in simulate")


def vmap_equals_a_loop(subject: Subject) -> None:
    """`vmap` over configurations and keys gives what a loop gives, to rounding."""
    for index in range(COMPARED):
        lane = {name: np.asarray(values[index]) for name, values in subject.lanes.items()}
        require_close(lane, subject.compiled(subject.keys[index]), "vmap", "a loop")


def jit_equals_eager(subject: Subject) -> None:
    """`jit(simulate)` gives what `simulate` gives, to rounding."""
    key = subject.keys[0]
    eager = host(dict(subject.model.simulate(subject.model.smallest, key=key)))
    require_close(subject.compiled(key), eager, "jit", "eager")


def theories_are_labelled(subject: Subject) -> None:
    """Theories have unique names, a kind and a source, and predict what they declare."""
    names = [row.name for row in subject.theories]
    if len(set(names)) != len(names):
        raise LawError(f"theories: a name occurs twice in {', '.join(names)}")
    for row in subject.theories:
        if row.kind not in get_args(Kind) or not row.source:
            raise LawError(f"{row.name}: kind {row.kind!r}, source {row.source!r}: give both")
        stray = set(row.observables) - set(subject.model.observables)
        if stray:
            raise LawError(
                f"{row.name}: {', '.join(sorted(stray))} are no observables of the model"
            )
    if subject.theories and not subject.applicable:
        raise LawError("no theory applies to the smallest configuration, so none is tested")
    for row in subject.applicable:
        _require_labels(row, subject.predictions[row.name])


def theories_are_finite_or_say_why(subject: Subject) -> None:
    """Predictions are finite where their status is OK."""
    for row in subject.applicable:
        prediction = subject.predictions[row.name]
        for name, value in prediction.observables.items():
            if int(prediction.status) == Status.OK and not np.isfinite(value).all():
                raise LawError(f"{row.name}: {name} is {value} although the status is OK")


def theories_agree_with_the_simulation(subject: Subject) -> None:
    """Exact theories and deterministic equivalents lie within errors of the mean over seeds."""
    for row in subject.applicable:
        if row.kind in STRICT_KINDS:
            for name in sorted(set(row.observables) & set(floats(subject.lanes))):
                require_agreement(subject, row, name)


LAWS: tuple[Callable[[Subject], None], ...] = (
    the_declaration_is_complete,
    the_config_is_frozen_and_typed,
    bad_numbers_are_rejected,
    observables_are_as_declared,
    a_status_is_returned,
    lanes_are_finite_or_say_why,
    the_same_key_gives_the_same_bits,
    different_keys_differ,
    vmap_equals_a_loop,
    jit_equals_eager,
    theories_are_labelled,
    theories_are_finite_or_say_why,
    theories_agree_with_the_simulation,
)


def _require_labels(row: Theory, prediction: Prediction) -> None:
    if prediction.theory != row.name or prediction.kind != row.kind:
        raise LawError(
            f"{row.name}: its prediction calls itself {prediction.theory}, {prediction.kind}; "
            f"the table says {row.name}, {row.kind}"
        )
    if not 0 <= float(prediction.relative_error) < np.inf:
        raise LawError(f"{row.name}: relative_error {prediction.relative_error}: give at least 0")
    stray = set(prediction.observables) - set(row.observables)
    if stray:
        raise LawError(f"{row.name}: predicts {', '.join(sorted(stray))}, not in its table row")
