"""The configuration of a network trained on a pruned pool of digits, and what it refuses."""

from typing import Literal

import equinox as eqx

from .fields import field, require_choices, require_integer, require_number
from .pruning_scores import CENTROIDS, SCORES, Score

IMAGES, TEST = 1797, 397
POOL = IMAGES - TEST
# Steps between two looks at which images a probe gets right, for the forgetting score.
CHECKPOINT = 5


class Config(eqx.Module):
    """One pool, pruned and learned twice; sizes of pool and kept set are no static fields.

    So one compiled program serves all of n and f, and their students take the same time.
    """

    pool_size: int = field(400, "n", f"{2 * CENTROIDS}..{POOL}", "images in the pool")
    keep_fraction: float = field(0.5, "f", "(0, 1]", "fraction of the pool that is kept")
    score: Score = field("el2n", "", " | ".join(SCORES), "what ranks the images", static=True)
    balance: float = field(
        0.5, "beta", "[0, 1]", "share of what random keeping gives a class that each class keeps"
    )
    probe_size: int | None = field(
        None,
        "m",
        f"{2 * CENTROIDS}..{POOL}, or None for n",
        "images that the probes learn from; the pool is among them, or they among the pool",
    )
    probes: int = field(10, "", ">= 1", "networks that score", static=True)
    probe_steps: int = field(
        50, "", f"a multiple of {CHECKPOINT}", "steps of each of them", static=True
    )
    width: int = field(64, "", ">= 1", "units of a hidden layer", static=True)
    hidden_layers: int = field(1, "", ">= 0", "hidden layers", static=True)
    num_steps: int = field(600, "", ">= 1", "steps of the student", static=True)
    batch_size: int = field(32, "", ">= 1", "images in a minibatch", static=True)
    learning_rate: float = field(2e-2, "", "> 0", "peak of the student's, constant for probes")
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    least = 2 * CENTROIDS
    require_integer("pool_size", config.pool_size, least, POOL)
    if config.probe_size is not None:
        require_integer("probe_size", config.probe_size, least, POOL)
    for name, low in (
        ("probes", 1),
        ("probe_steps", 1),
        ("width", 1),
        ("hidden_layers", 0),
        ("num_steps", 1),
        ("batch_size", 1),
    ):
        require_integer(name, getattr(config, name), low)
    if config.probe_steps % CHECKPOINT:
        raise ValueError(
            f"probe_steps: {config.probe_steps}; give a multiple of {CHECKPOINT}, the steps "
            "between two looks at what a probe gets right"
        )
    require_number(
        "keep_fraction",
        config.keep_fraction,
        low=0.0,
        high=1.0,
        open_low=True,
        remedy="give a number above 0 and at most 1",
    )
    require_number(
        "balance", config.balance, low=0.0, high=1.0, remedy="give a number from 0 and at most 1"
    )
    require_number(
        "learning_rate",
        config.learning_rate,
        low=0.0,
        open_low=True,
        remedy="give a number above 0",
    )
    require_choices(config, score=SCORES, dtype=("float64", "float32"))
    if round(config.keep_fraction * config.pool_size) < 1:
        raise ValueError(
            f"keep_fraction: {config.keep_fraction} of {config.pool_size} images keeps none; "
            "raise it or pool_size"
        )
