"""The runs of a sweep of SGD beside what is exact for the features that each lane drew."""

import functools
import json
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import xarray as xr
from jaxtyping import Array, Float64, Key, PRNGKeyArray

from scalinglab.experiments.engine import Sweep, config_from, lane_key
from scalinglab.models import power_law_sgd as model
from scalinglab.models.power_law_sgd import record_steps
from scalinglab.theory.power_law_sgd import given_features

Curves = Float64[np.ndarray, "draws records"]

# Draws of features whose moments are worked out together.
_TOGETHER = 16


class Runs(NamedTuple):
    """All runs at one configuration.

    **Fields:** `config`; `steps` (records,); `risk` (seeds, runs, records), NaN in a failed lane;
    `exact` (seeds, records), the mean over samples for the features of each lane; `fresh` (draws,
    records), the same for features that no lane has, unstable ones left out.
    """

    config: model.Config
    steps: Float64[np.ndarray, " records"]
    risk: Float64[np.ndarray, "seeds runs records"]
    exact: Curves
    fresh: Curves

    @property
    def ratio(self) -> Float64[np.ndarray, "all records"]:
        """Each run over the exact mean for its features; lanes that failed left out."""
        found = self.risk / self.exact[:, None, :]
        flat = found.reshape(-1, found.shape[-1])
        return flat[np.all(np.isfinite(flat), axis=1)]

    def mean_ratio(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean of `ratio` over the runs and its standard error, (records,) each."""
        ratio = self.ratio
        return ratio.mean(axis=0), ratio.std(axis=0, ddof=1) / np.sqrt(len(ratio))


def settings(dataset: xr.Dataset) -> Iterator[tuple[model.Config, xr.Dataset]]:
    """The configurations of a sweep, in its order, with their lanes."""
    own = ("seed", "run", "record")
    base = json.loads(dataset.attrs["config"])
    dims = [dim for dim in dataset.dims if dim not in own]
    for index in np.ndindex(*[dataset.sizes[dim] for dim in dims]):
        lanes = dataset.isel(dict(zip(dims, index, strict=True)))
        fields = {
            str(name): lanes[name].item()
            for name in lanes.coords
            if name not in (*own, "point") and lanes[name].ndim == 0
        }
        yield config_from(model.Config, {**base, **fields}), lanes


def all_runs(dataset: xr.Dataset, draws: int = 0) -> tuple[Runs, ...]:
    """The runs of every configuration with their exact means, and those of fresh features.

    With one seed the fresh features are nested: those of a small d are part of those of a larger
    one, as `models.power_law_sgd.draw` makes them. The keys of the lanes are those of a sweep with
    the default root seed and its own numbers for every configuration.
    """
    found = []
    for config, lanes in settings(dataset):
        sweep = Sweep(model, config, seeds=lanes.sizes["seed"])
        keys = [lane_key(sweep, config, int(seed)) for seed in lanes["seed"].values]
        keys += list(jr.split(jr.key(0), draws)) if draws else []
        curves = exact_curves(config, jnp.stack(keys))
        fresh = curves[lanes.sizes["seed"] :]
        found.append(
            Runs(
                config,
                record_steps(config).astype(np.float64),
                np.asarray(lanes["run_risk"].values, np.float64),
                curves[: lanes.sizes["seed"]],
                fresh[np.all(np.isfinite(fresh), axis=1)],
            )
        )
    return tuple(found)


def exact_curves(config: model.Config, keys: Key[Array, " draws"]) -> Curves:
    """The exact mean risk at the recorded steps for each draw of features; NaN where unstable."""
    data = np.asarray(jr.key_data(keys))
    return _kept(config, data.tobytes(), data.shape)


# A figure asks for what the claims have asked for before.
@functools.lru_cache(maxsize=256)
def _kept(config: model.Config, data: bytes, shape: tuple[int, ...]) -> Curves:
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        keys = jr.wrap_key_data(jnp.asarray(np.frombuffer(data, np.uint32).reshape(shape)))
        return np.asarray(_exact(config, keys, closed=given_features.has_closed_form(config)))


@functools.partial(jax.jit, static_argnames="closed")
def _exact(config: model.Config, keys: Key[Array, " draws"], *, closed: bool) -> Array:
    def one(key: PRNGKeyArray) -> Array:
        modes = given_features.modes_given(config, key=key)
        _, stable = model.stability_of(config, modes.eigenvalues)
        risk = given_features.mean_risk(config, modes, closed=closed)
        return jnp.where(stable, risk, jnp.nan)

    return jax.lax.map(one, keys, batch_size=_TOGETHER)


def mean_and_error(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the first axis and its standard error, rows that are not finite left out."""
    kept = values[np.all(np.isfinite(values.reshape(len(values), -1)), axis=1)]
    return kept.mean(axis=0), kept.std(axis=0, ddof=1) / np.sqrt(len(kept))
