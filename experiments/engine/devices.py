"""A batch over the local devices: `shard_map` over a one-axis mesh, or `pmap`.

Each device runs the whole program on its own rows, so that a batched factorisation, which the
automatic partitioner would gather onto every device, stays where its rows are.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec, SingleDeviceSharding

from .threads import widen_xla_pool

How = Literal["shard_map", "pmap"]
_AXIS = "lanes"
# The programs compiled last, by what they follow from: a second sweep of the same shapes in one
# process, with other numbers or seeds, compiles nothing.
_COMPILED: dict[Any, Any] = {}
_KEPT = 64


def over_devices(
    f: Callable[..., Any], how: str = "shard_map", *, devices: Sequence[Any] | None = None
) -> Callable[..., Any]:
    """`f`, with its batch axis split over devices.

    **Arguments:**

    - `f`: takes and returns pytrees of arrays that all have one leading batch axis, and treats
      the rows independently.
    - `how`: `'shard_map'` or `'pmap'`; the numbers are the same.
    - `devices`: by default all local ones. One device is a plain `jit` there.

    **Returns:** a function with the signature of `f`. A batch that the devices do not divide is
    padded by repeating its last row, and cut afterwards.

    **Raises:** `ValueError` for another `how`.
    """
    devices = local_devices(devices)
    program = spread(f, how, devices)

    def run(*arrays: Any) -> Any:
        rows = len(jax.tree.leaves(arrays)[0])
        padded = jax.tree.map(lambda x: pad_rows(x, _round_up(rows, len(devices))), arrays)
        return jax.tree.map(lambda x: x[:rows], program(*padded))

    return run


def local_devices(devices: Sequence[Any] | None = None) -> tuple[Any, ...]:
    """The given devices, or all local ones.

    **Raises:** `ValueError` when none are given.
    """
    widen_xla_pool()
    found = tuple(jax.local_devices() if devices is None else devices)
    if not found:
        raise ValueError("devices: none given; leave the argument out to use all local ones")
    return found


def spread(f: Callable[..., Any], how: str, devices: tuple[Any, ...]) -> Callable[..., Any]:
    """The jitted program behind `over_devices`, for batches that the devices divide."""
    if how not in ("shard_map", "pmap"):
        raise ValueError(f"how: {how!r} is unknown; there are 'shard_map' and 'pmap'")
    if len(devices) == 1:
        return jax.jit(f, in_shardings=SingleDeviceSharding(devices[0]))
    if how == "pmap":
        return _by_pmap(f, devices)
    rows = PartitionSpec(_AXIS)
    # A loop whose carry starts as a constant is refused when the varying axes are tracked, and
    # here nothing is communicated, so there is nothing for that check to find.
    sharded = jax.shard_map(
        f, mesh=Mesh(np.array(devices), (_AXIS,)), in_specs=rows, out_specs=rows, check_vma=False
    )
    return jax.jit(sharded)


def trace_on(f: Callable[..., Any], arguments: Any, device: Any) -> Any:
    """The trace of `f` for host arrays of these shapes, to be compiled on one device."""
    return spread(f, "shard_map", (device,)).trace(*arguments)


def compile_over_devices(
    f: Callable[..., Any], arguments: Any, how: str, devices: tuple[Any, ...], ready: Any = None
) -> Callable[..., Any]:
    """`over_devices(f)` compiled once, for host arrays of the shapes of `arguments`.

    `ready` is what `trace_on` returned for the same arguments, or that compiled, if it is at
    hand; one device then needs no second trace or compilation.

    **Returns:** a function of host arrays to host arrays: one transfer each way, no trace.
    """
    rows = len(jax.tree.leaves(arguments)[0])
    # A device without a row of its own would only repeat another one's work, on shared cores.
    devices = devices[:rows]
    parts = len(devices)
    split = how == "pmap" and parts > 1

    def placed(arrays: Any) -> Any:
        arrays = jax.tree.map(lambda x: pad_rows(x, _round_up(rows, parts)), arrays)
        return jax.tree.map(lambda x: _split(x, parts), arrays) if split else arrays

    leaves, structure = jax.tree.flatten(arguments)
    shapes = tuple((x.shape, x.dtype.str) for x in leaves)
    key = (f, structure, shapes, how, devices, bool(jax.config.read("jax_enable_x64")))
    compiled = _COMPILED.get(key)
    if compiled is None:
        if ready is None or parts > 1:
            program = jax.pmap(f, devices=devices) if split else spread(f, how, devices)
            compiled = program.lower(*placed(arguments)).compile()
        else:
            compiled = ready.lower().compile() if hasattr(ready, "lower") else ready
        while len(_COMPILED) >= _KEPT:
            _COMPILED.pop(next(iter(_COMPILED)), None)
        _COMPILED[key] = compiled

    def run(*arrays: Any) -> Any:
        found = jax.device_get(compiled(*placed(arrays)))
        found = jax.tree.map(_join, found) if split else found
        return jax.tree.map(lambda x: x[:rows], found)

    return run


def pad_rows(x: Any, rows: int) -> Any:
    """`x` with its last row repeated until it has `rows` rows."""
    missing = rows - len(x)
    if not missing:
        return x
    xp = np if isinstance(x, np.ndarray) else jnp
    return xp.concatenate([x, xp.repeat(x[-1:], missing, axis=0)])


def _by_pmap(f: Callable[..., Any], devices: tuple[Any, ...]) -> Callable[..., Any]:
    program = jax.pmap(f, devices=devices)

    def run(*arrays: Any) -> Any:
        found = program(*jax.tree.map(lambda x: _split(x, len(devices)), arrays))
        return jax.tree.map(_join, found)

    return run


def _split(x: Any, parts: int) -> Any:
    return x.reshape(parts, len(x) // parts, *x.shape[1:])


def _join(x: Any) -> Any:
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])


def _round_up(rows: int, parts: int) -> int:
    return -(-rows // parts) * parts
