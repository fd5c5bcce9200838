"""How a sweep is cut: groups that share one compiled program, and units of a fixed size.

A unit is a block of B lanes of one group. B is a power of two that the plan alone sets, so that
devices and workers change where a unit runs and never what it computes: the largest one

- whose padding is at most one eighth of the lanes, since a short last block is filled up by
  repeating its last lane and those repeats are thrown away (48 lanes take B = 16: with 32 or 64
  a quarter of the work would be waste), and
- whose temporary memory fits `BUDGET`. The trace gives an estimate from above, so that one
  compilation is enough (it was 1.03 to 2.2 times what the compiled program took, so B can be
  half of the largest that fits). Where the estimate passes a quarter of the budget, the program
  is compiled and measured before B is settled, and B falls when it does not fit.
"""

import functools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.random as jr
import numpy as np

from .canonical import config_digest, digest
from .devices import trace_on
from .memory import peak_bytes
from .provenance import stored_version
from .sweep import Sweep

BUDGET = 2**30
FORMAT = 1
# The generator is named, so that a change of JAX's default leaves stored lanes valid.
_GENERATOR = "threefry2x32"


@dataclass(frozen=True)
class Group:
    """The lanes of a sweep that one compiled program serves.

    **Fields:** `f`, the batched simulation, and `stages`, its parts where the model has them, with
    their number; `arguments`, its host arrays, one row a lane;
    `lanes`, the row-major position of each row in the sweep; `identity`, what the key of a
    block of rows is made from; `digests` and `seeds`, of each row.
    """

    f: Callable[..., Any]
    stages: "BatchedStages | None"
    arguments: Any
    lanes: np.ndarray
    identity: dict[str, Any]
    digests: tuple[str, ...]
    seeds: np.ndarray

    @property
    def key(self) -> str:
        """The key of the group, under which its block size is stored."""
        return digest(
            {**self.identity, "budget": BUDGET, "lanes": [list(self.digests), self.seeds.tolist()]}
        )


@dataclass(frozen=True)
class BatchedStages:
    """The parts of a simulation in stages, each over a batch of lanes.

    **Fields:** `count`; `start(*arguments)` to the state, `advance(state, stages, *arguments)` to
    the next state, `finish(state, *arguments)` to the observables.
    """

    count: int
    start: Callable[..., Any]
    advance: Callable[..., Any]
    finish: Callable[..., Any]


@dataclass(frozen=True)
class Unit:
    """A block of rows of a group: the work that is computed, stored and resumed as one."""

    group: Group
    rows: range
    block: int
    key: str

    @property
    def lanes(self) -> np.ndarray:
        """The row-major positions of its lanes in the sweep."""
        return self.group.lanes[self.rows.start : self.rows.stop]

    @property
    def arguments(self) -> Any:
        """The host arrays of its lanes, filled up to the block size."""
        rows = np.minimum(np.arange(self.rows.start, self.rows.start + self.block), self.rows[-1])
        return jax.tree.map(lambda x: x[rows], self.group.arguments)


@dataclass
class Draft:
    """A block size, with the one-device trace or program that it was settled on, if any."""

    block: int
    ready: Any = None


def lane_key(sweep: Sweep, config: Any, seed: int) -> Any:
    """The random key of one lane: `simulate(config, key=lane_key(...))` is that lane alone."""
    number = _key_number(sweep, config_digest(sweep.model.name, sweep.model.version, config))
    return _fold(np.uint32(sweep.root_seed), np.uint32(number), np.uint32(seed))


def make_groups(sweep: Sweep, backend: str) -> list[Group]:
    """The groups of a sweep, in the order of their first configuration.

    **Raises:** `ValueError` for a field that is neither a number nor static.
    """
    points = sweep.points()
    check = getattr(sweep.model, "check", None)
    for config in points if check is not None else ():
        check(config)
    members: dict[Any, list[int]] = {}
    leaves = []
    for position, config in enumerate(points):
        values, structure = jax.tree.flatten(config)
        _check_leaves(values)
        leaves.append(values)
        members.setdefault(structure, []).append(position)
    digests = [config_digest(sweep.model.name, sweep.model.version, config) for config in points]
    identity = {
        "format": FORMAT,
        "model": sweep.model.name,
        "version": stored_version(sweep.model),
        "root_seed": sweep.root_seed,
        "common_numbers": sweep.common_numbers,
        "backend": backend,
        "float64": bool(jax.config.read("jax_enable_x64")),
    }
    return [
        _group(sweep, structure, positions, leaves, digests, identity)
        for structure, positions in members.items()
    ]


def units_of(group: Group, block: int) -> list[Unit]:
    """The group cut into blocks, each with the key under which its result is stored."""
    count = len(group.lanes)
    return [
        _unit(group, range(start, min(start + block, count)), block)
        for start in range(0, count, block)
    ]


def draft(group: Group, device: Any) -> Draft:
    """Settle the block size of a group, by tracing it and, where memory is tight, compiling."""
    sizes = list(block_sizes(len(group.lanes)))
    traced = _trace(group, sizes[0], device)
    needed = peak_bytes(traced.jaxpr)
    block = _fitting(sizes, needed / sizes[0])
    if block != sizes[0]:
        traced = _trace(group, block, device)
        needed = peak_bytes(traced.jaxpr)
    # The same rule for any number of devices, or the blocks would depend on them.
    while 4 * needed > BUDGET:
        compiled = traced.lower().compile()
        measured = compiled.memory_analysis()
        needed = 0 if measured is None else measured.temp_size_in_bytes
        if needed <= BUDGET or block == 1:
            return Draft(block, compiled)
        block = _fitting([size for size in sizes if size < block], needed / block)
        traced = _trace(group, block, device)
    return Draft(block, traced)


def block_sizes(lanes: int) -> Iterator[int]:
    """The powers of two, falling to 1, whose padding wastes at most an eighth of the lanes."""
    size = 1 << lanes.bit_length()
    while size:
        if 8 * (-lanes % size) <= lanes:
            yield size
        size //= 2


def _fitting(sizes: list[int], bytes_a_lane: float) -> int:
    return next((size for size in sizes if size * bytes_a_lane <= BUDGET), 1)


def _trace(group: Group, block: int, device: Any) -> Any:
    unit = _unit(group, range(min(block, len(group.lanes))), block)
    return trace_on(group.f, unit.arguments, device)


def _unit(group: Group, rows: range, block: int) -> Unit:
    content = {
        **group.identity,
        "block": block,
        "configs": list(group.digests[rows.start : rows.stop]),
        "seeds": group.seeds[rows.start : rows.stop].tolist(),
    }
    return Unit(group, rows, block, digest(content))


def _group(
    sweep: Sweep,
    structure: Any,
    positions: list[int],
    leaves: list[list[Any]],
    digests: list[str],
    identity: dict[str, Any],
) -> Group:
    seeds = np.tile(np.arange(sweep.seeds, dtype=np.uint32), len(positions))
    columns = zip(*[leaves[p] for p in positions], strict=True)
    stacked = [np.repeat(np.asarray(column), sweep.seeds) for column in columns]
    numbers = [_key_number(sweep, digests[p]) for p in positions]
    arguments = (
        [x.astype(jax.dtypes.canonicalize_dtype(x.dtype)) for x in stacked],
        np.repeat(np.asarray(numbers, dtype=np.uint32), sweep.seeds),
        seeds,
        np.full(len(seeds), sweep.root_seed, dtype=np.uint32),
    )
    first = np.repeat(np.asarray(positions), sweep.seeds) * sweep.seeds
    return Group(
        f=_batched(sweep.model.simulate, structure),
        stages=_batched_stages(getattr(sweep.model, "stages", None), structure),
        arguments=arguments,
        lanes=first + seeds.astype(np.int64),
        identity=identity,
        digests=tuple(digests[p] for p in positions for _ in range(sweep.seeds)),
        seeds=seeds,
    )


# One function a (simulate, static fields): JAX finds its traces by the function's identity, so that
# a second sweep of the same shapes in one process traces nothing.
@functools.lru_cache(maxsize=256)
def _batched(simulate: Callable[..., Any], structure: Any) -> Callable[..., Any]:
    def lane(leaves: Any, number: Any, seed: Any, root: Any) -> dict[str, Any]:
        config = jax.tree.unflatten(structure, leaves)
        return dict(simulate(config, key=_fold(root, number, seed)))

    return jax.vmap(lane)


@functools.lru_cache(maxsize=256)
def _batched_stages(stages: Any, structure: Any) -> "BatchedStages | None":
    if stages is None:
        return None

    def lane(leaves: Any, number: Any, seed: Any, root: Any) -> tuple[Any, Any]:
        return jax.tree.unflatten(structure, leaves), _fold(root, number, seed)

    def start(*arguments: Any) -> Any:
        config, key = lane(*arguments)
        return stages.start(config, key=key)

    def advance(state: Any, stage: Any, *arguments: Any) -> Any:
        config, key = lane(*arguments)
        return stages.advance(config, state, stage, key=key)

    def finish(state: Any, *arguments: Any) -> dict[str, Any]:
        config, key = lane(*arguments)
        return dict(stages.finish(config, state, key=key))

    # The static fields are in the structure; the others cannot change a number of stages.
    count = stages.count(jax.tree.unflatten(structure, [math.nan] * structure.num_leaves))
    return BatchedStages(count, jax.vmap(start), jax.vmap(advance), jax.vmap(finish))


def _fold(root: Any, number: Any, seed: Any) -> Any:
    return jr.fold_in(jr.fold_in(jr.key(root, impl=_GENERATOR), number), seed)


def _key_number(sweep: Sweep, configured: str) -> int:
    if sweep.common_numbers:
        configured = digest({"model": sweep.model.name, "version": str(sweep.model.version)})
    return int(configured[:8], 16)


def _check_leaves(values: list[Any]) -> None:
    for value in values:
        if not isinstance(value, bool | int | float):
            raise ValueError(
                f"config: the field value {value!r} is not a number; "
                "declare its field with equinox.field(static=True)"
            )
