"""Theory lines shared by the figures of pruned data."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from scalinglab.theory.data_pruning import saddle_path


@partial(jax.jit, static_argnames=("rule", "perfect"))
def _errors(kept: Any, fraction: Any, angle: Any, *, rule: Any, perfect: bool) -> Any:
    def one(kept: Any, fraction: Any) -> Any:
        return saddle_path(kept, fraction, None if perfect else angle, rule=rule).test_error

    return jax.vmap(one)(kept, fraction)


def error_lines(kept: Any, fractions: Any, degrees: float, rule: str) -> np.ndarray:
    """Test errors of the infinite perceptron.

    **Arguments:** `kept` (fractions, points) or (points,), examples a dimension; `fractions`
    (fractions,); the probe's angle; the rule. **Returns:** (fractions, points).
    """
    fractions = jnp.asarray(fractions, jnp.float64)
    kept = np.broadcast_to(np.asarray(kept, np.float64), (len(fractions), np.shape(kept)[-1]))
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        angle = jnp.asarray(np.radians(degrees))
        found = _errors(jnp.asarray(kept), fractions, angle, rule=rule, perfect=degrees == 0)
    return np.asarray(found)
