"""What the laws run on: a model with its theories, simulated once for all of them."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.random as jr
import numpy as np

from scalinglab.models import Model
from scalinglab.theory import Prediction, Theory

from .draws import predict_over_draws

SEEDS = 32


@dataclass(frozen=True)
class Subject:
    """A model with its theories, and its simulations, which the laws share.

    **Fields:** `model`; `theories`, in order, none for a model without.
    """

    model: Model
    theories: tuple[Theory, ...] = ()

    @functools.cached_property
    def keys(self) -> Any:
        """The keys of the lanes."""
        return jr.split(jr.key(20210212), SEEDS)

    @functools.cached_property
    def lanes(self) -> dict[str, np.ndarray]:
        """Every observable over the seeds: `jit(vmap(simulate))` over configuration and key."""
        config = jax.tree.map(lambda leaf: np.full(SEEDS, leaf), self.model.smallest)
        batched = jax.vmap(lambda config, key: dict(self.model.simulate(config, key=key)))
        return host(jax.jit(batched)(config, self.keys))

    @functools.cached_property
    def compiled(self) -> Callable[[Any], dict[str, np.ndarray]]:
        """`jit(simulate)` of one key."""
        simulate = jax.jit(lambda config, key: dict(self.model.simulate(config, key=key)))
        return lambda key: host(simulate(self.model.smallest, key))

    @functools.cached_property
    def applicable(self) -> tuple[Theory, ...]:
        """The theories that hold at the smallest configuration."""
        return tuple(row for row in self.theories if row.applies(self.model.smallest))

    @functools.cached_property
    def predictions(self) -> dict[str, Prediction]:
        """The theory's name to its prediction, averaged over the draws where it needs them."""
        return {name: prediction for name, (prediction, _) in self._predicted.items()}

    @functools.cached_property
    def drawn(self) -> dict[str, dict[str, np.ndarray]]:
        """The name of each theory that needs the draw, to its observables for each key."""
        return {name: drawn for name, (_, drawn) in self._predicted.items() if drawn}

    @functools.cached_property
    def _predicted(self) -> dict[str, tuple[Prediction, dict[str, np.ndarray]]]:
        config = self.model.smallest
        return {
            row.name: predict_over_draws(row, config, self.keys)
            if row.needs_key
            else (row.predict(config), {})
            for row in self.applicable
        }


def host(values: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in values.items()}
