"""What the benchmarks share: a device a core, a clock, and the rate of a large product."""

import os
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def one_device_a_core() -> None:
    """As the command line does; called before the first use of JAX, which reads it once."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        os.environ["XLA_FLAGS"] = (
            f"{os.environ.get('XLA_FLAGS', '')} "
            f"--xla_force_host_platform_device_count={len(os.sched_getaffinity(0))}"
        ).strip()


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """(seconds, result) of one call."""
    start = time.perf_counter()
    result = call(*arguments)
    return time.perf_counter() - start, result


def matmul_rate(rows: int = 1000, inner: int = 2048) -> float:
    """Operations a second of a product of rows x inner by inner x rows in float32, all cores."""
    left, right = jnp.ones((rows, inner), jnp.float32), jnp.ones((inner, rows), jnp.float32)
    product = jax.jit(lambda a, b: a @ b)
    jax.block_until_ready(product(left, right))
    seconds = min(timed(lambda: jax.block_until_ready(product(left, right)))[0] for _ in range(20))
    return 2 * rows * inner * rows / seconds
