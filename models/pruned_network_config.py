"""The configuration of a network trained on a pruned pool of digits, and what it refuses."""

import math
from typing import Literal

import equinox as eqx

from .pruning_scores import CENTROIDS, SCORES, Score

IMAGES, TEST = 1797, 397
POOL = IMAGES - TEST
# Steps between two looks at which images a probe gets right, for the forgetting score.
CHECKPOINT = 5


def _field(default: object, symbol: str, allowed: str, doc: str, *, static: bool = False):
    metadata = {"symbol": symbol, "range": allowed, "doc": doc}
    return eqx.field(default=default, static=static, metadata=metadata)


class Config(eqx.Module):
    """One pool, pruned and learned twice; sizes of pool and kept set are no static fields.

    So one compiled program serves all of n and f, and their students take the same time.
    """

    pool_size: int = _field(400, "n", f"{2 * CENTROIDS}..{POOL}", "images in the pool")
    keep_fraction: float = _field(0.5, "f", "(0, 1]", "fraction of the pool that is kept")
    score: Score = _field("el2n", "", " | ".join(SCORES), "what ranks the images", static=True)
    balance: float = _field(
        0.5, "beta", "[0, 1]", "share of what random keeping gives a class that each class keeps"
    )
    probe_size: int | None = _field(
        None,
        "m",
        f"{2 * CENTROIDS}..{POOL}, or None for n",
        "images that the probes learn from; the pool is among them, or they among the pool",
    )
    probes: int = _field(10, "", ">= 1", "networks that score", static=True)
    probe_steps: int = _field(
        50, "", f"a multiple of {CHECKPOINT}", "steps of each of them", static=True
    )
    width: int = _field(64, "", ">= 1", "units of a hidden layer", static=True)
    hidden_layers: int = _field(1, "", ">= 0", "hidden layers", static=True)
    num_steps: int = _field(600, "", ">= 1", "steps of the student", static=True)
    batch_size: int = _field(32, "", ">= 1", "images in a minibatch", static=True)
    learning_rate: float = _field(2e-2, "", "> 0", "peak of the student's, constant for probes")
    dtype: Literal["float64", "float32"] = _field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    least = 2 * CENTROIDS
    _require_integer("pool_size", config.pool_size, least, POOL)
    if config.probe_size is not None:
        _require_integer("probe_size", config.probe_size, least, POOL)
    for name, low in (
        ("probes", 1),
        ("probe_steps", 1),
        ("width", 1),
        ("hidden_layers", 0),
        ("num_steps", 1),
        ("batch_size", 1),
    ):
        _require_integer(name, getattr(config, name), low)
    if config.probe_steps % CHECKPOINT:
        raise ValueError(
            f"probe_steps: {config.probe_steps}; give a multiple of {CHECKPOINT}, the steps "
            "between two looks at what a probe gets right"
        )
    _require_number("keep_fraction", config.keep_fraction, 1.0)
    _require_number("balance", config.balance, 1.0, zero=True)
    _require_number("learning_rate", config.learning_rate, math.inf)
    for name, allowed in (("score", SCORES), ("dtype", ("float64", "float32"))):
        if getattr(config, name) not in allowed:
            raise ValueError(f"{name}: {getattr(config, name)!r}; give one of {', '.join(allowed)}")
    if round(config.keep_fraction * config.pool_size) < 1:
        raise ValueError(
            f"keep_fraction: {config.keep_fraction} of {config.pool_size} images keeps none; "
            "raise it or pool_size"
        )


def _require_integer(name: str, value: object, low: int, high: int | None = None) -> None:
    integer = isinstance(value, int) and not isinstance(value, bool)
    if not (integer and low <= value and (high is None or value <= high)):
        allowed = f"of at least {low}" if high is None else f"in {low}..{high}"
        raise ValueError(f"{name}: {value!r}; give an integer {allowed}")


def _require_number(name: str, value: object, high: float, *, zero: bool = False) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (
        number and math.isfinite(value) and (value > 0 or (zero and value == 0)) and value <= high
    ):
        top = f" and at most {high:g}" if math.isfinite(high) else ""
        raise ValueError(f"{name}: {value!r}; give a number {'from' if zero else 'above'} 0{top}")
