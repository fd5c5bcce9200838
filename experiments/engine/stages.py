"""A unit that runs in stages, its state kept in the store so that a killed run goes on inside it.

The state stays on the devices between stages; it is copied to the host only to be kept, at most
every `INTERVAL` seconds, and it is removed when the unit is published. Stages are the same
programs on the same numbers in a run that was cut and in one that was not, so both end in the
same bits.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from .devices import pad_rows, spread
from .plan import Unit
from .store import DamagedError, Store
from .threads import single_threaded_blas

INTERVAL = 30.0


@dataclass
class Position:
    """Where a unit in stages is; written by the thread that computes, read by the one that waits.

    **Fields:** `stage` of `count` are done; `message`, set when a run goes on from a kept state.
    """

    stage: int = 0
    count: int = 1
    message: str = ""


def run_stages(
    unit: Unit, how: str, devices: tuple[Any, ...], store: Store | None, position: Position
) -> dict[str, np.ndarray]:
    """The observables of a unit, from its last kept state where there is one."""
    stages = unit.group.stages
    if stages is None:
        raise TypeError("unit: its model has no stages")
    # A device without a row of its own would only repeat another one's work, on shared cores.
    devices = devices[: unit.block]
    rows = -(-unit.block // len(devices)) * len(devices)
    arguments = jax.tree.map(lambda x: pad_rows(x, rows), unit.arguments)
    start, advance, finish = (
        _program(part, how, devices) for part in (stages.start, stages.advance, stages.finish)
    )
    position.count = stages.count
    with single_threaded_blas():
        structure = jax.tree.structure(jax.eval_shape(stages.start, *arguments))
        kept = _read(store, unit, position)
        if kept is None:
            state = start(*arguments)
        else:
            leaves = [pad_rows(leaf, rows) for leaf in kept]
            state = jax.tree.unflatten(structure, leaves)
        saved = time.monotonic()
        for stage in range(position.stage, stages.count):
            state = jax.block_until_ready(
                advance(state, np.full(rows, stage, np.int32), *arguments)
            )
            position.stage = stage + 1
            if store is not None and time.monotonic() - saved >= INTERVAL:
                _write(store, unit, position.stage, state)
                saved = time.monotonic()
        found = jax.device_get(finish(state, *arguments))
    return {name: np.asarray(found[name])[: len(unit.rows)] for name in found}


@functools.lru_cache(maxsize=256)
def _program(part: Callable[..., Any], how: str, devices: tuple[Any, ...]) -> Callable[..., Any]:
    return spread(part, how, devices)


def _read(store: Store | None, unit: Unit, position: Position) -> list[np.ndarray] | None:
    """The leaves of the kept state, its stage noted; a damaged one is as good as none."""
    if store is None:
        return None
    try:
        arrays = store.read_unit(unit.key, running=True)
    except DamagedError:
        arrays = None
    if arrays is None:
        return None
    position.stage = int(arrays.pop("stage"))
    position.message = f"going on from stage {position.stage} of {position.count}"
    return [arrays[name] for name in sorted(arrays)]


def _write(store: Store, unit: Unit, stage: int, state: Any) -> None:
    leaves = jax.device_get(jax.tree.leaves(state))
    arrays = {f"leaf{i:04d}": np.asarray(leaf)[: unit.block] for i, leaf in enumerate(leaves)}
    store.write_unit(unit.key, {**arrays, "stage": np.asarray(stage)}, {}, running=True)
