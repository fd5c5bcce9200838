"""The information of kept examples as curves and along a path, measured and predicted."""

import functools
import json
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from scalinglab.experiments.curves import Curve, curves
from scalinglab.models.data_pruning.config import Rule
from scalinglab.theory import version_space as theory
from scalinglab.theory.data_pruning.gibbs import GibbsStudent, gibbs_path

# Nats in a bit.
BIT = math.log(2)
EASY_FRACTION = 0.2
# The path f = 2^-alpha: d(-ln f)/dalpha.
PATH_RATE = BIT


def size_of(dataset: xr.Dataset) -> int:
    """N of a sweep."""
    return int(json.loads(dataset.attrs["config"])["dimension"])


def path_fraction(kept: np.ndarray) -> np.ndarray:
    """f = 2^-alpha, the keep fraction along the path."""
    return np.exp(-PATH_RATE * kept)


_path_of = functools.partial(jax.jit, static_argnames="rule")(gibbs_path)


def theory_at(kept: np.ndarray, fraction: float, rule: Rule) -> GibbsStudent:
    """The Gibbs student at real-valued alpha and one keep fraction, by one continuation."""
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        numbers = jnp.asarray(kept, jnp.float64), jnp.asarray(fraction, jnp.float64)
        return _path_of(*numbers, rule=rule)


class PathGains(NamedTuple):
    """Nats a kept example along a path f(alpha).

    **Fields:** `kept` alpha and `fraction` f (points,); `fixed`, the information at fixed f;
    `along`, d(-S)/dalpha along the path, `fixed` + d(-ln f)/dalpha times the selection gain; each
    with its standard error (0 of the theory).
    """

    kept: np.ndarray
    fraction: np.ndarray
    fixed: np.ndarray
    fixed_error: np.ndarray
    along: np.ndarray
    along_error: np.ndarray


def path_theory(kept: np.ndarray) -> PathGains:
    """The gains of the theory along f = 2^-alpha."""
    fraction = path_fraction(kept)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        found = [
            theory.solve(jnp.asarray(alpha), jnp.asarray(f), rule="abs_hard")
            for alpha, f in zip(kept, fraction, strict=True)
        ]
    fixed = np.array([float(at.information) for at in found])
    gain = np.array([float(at.selection_gain) for at in found])
    nothing = np.zeros_like(kept)
    return PathGains(kept, fraction, fixed, nothing, fixed + PATH_RATE * gain, nothing)


def path_measured(dataset: xr.Dataset) -> PathGains:
    """The gains of the simulation: means over the seeds of each point."""
    fixed = dataset["information"].transpose("point", "seed").values
    gain = dataset["selection_gain"].transpose("point", "seed").values
    means = [mean_and_error(values) for values in (fixed, fixed + PATH_RATE * gain)]
    kept, fraction = (dataset[n].values for n in ("kept_per_dimension", "keep_fraction"))
    return PathGains(kept, fraction, *means[0], *means[1])


def mean_and_error(values: np.ndarray) -> tuple[Any, Any]:
    """Mean and standard error along the last axis, over the lanes that gave a number."""
    count = np.isfinite(values).sum(axis=-1)
    return np.nanmean(values, axis=-1), np.nanstd(values, axis=-1, ddof=1) / np.sqrt(count)


def information_curves(dataset: xr.Dataset, observable: str = "information") -> tuple[Curve, ...]:
    """An observable against alpha, one curve a keep fraction, the largest first."""
    found = curves(dataset, observable, "kept_per_dimension", theory)
    return tuple(sorted(found, key=lambda curve: -curve.fixed.get("keep_fraction", EASY_FRACTION)))
