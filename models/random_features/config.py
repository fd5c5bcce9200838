"""The configuration of a random-feature regression, and what it refuses."""

import math
from typing import Literal

import equinox as eqx

from scalinglab.models.fields import field, require_choices, require_integer, require_number


class Config(eqx.Module):
    """One random-feature regression problem; sizes, `dtype` and the choices are static."""

    num_samples: int | None = field(
        200, "D", ">= 1, or None for infinite", "training samples", static=True
    )
    num_features: int | None = field(
        100, "N", ">= 1, or None for infinite", "random features", static=True
    )
    eigenvalue_decay: float = field(1.5, "a", "> 1", "lambda_i = i^-a")
    target_decay: float = field(1.5, "b", "> 1", "target power i^-b; b = a is isotropic")
    dimension: int | None = field(
        600, "M", ">= 1, or None for infinite (theory only)", "modes of the data", static=True
    )
    ridge: float = field(0.0, "rho", ">= 0", "penalty in the (1/D) normalisation")
    noise_variance: float = field(0.0, "sigma^2", ">= 0", "variance of the label noise")
    teacher: Literal["fixed", "isotropic"] = field(
        "fixed",
        "w",
        "fixed | isotropic",
        "one teacher and one noise draw, or both averaged over (independent signs) exactly",
        static=True,
    )
    tail: Literal["none", "averaged"] = field(
        "none",
        "i > M",
        "none | averaged",
        "modes beyond M: absent, or replaced by their mean action (one size infinite)",
        static=True,
    )
    paired: Literal["none", "infinite_samples", "infinite_features", "swapped"] = field(
        "none",
        "",
        "none | infinite_samples | infinite_features | swapped",
        "second problem solved on the same draw, and the difference to it",
        static=True,
    )
    replicates: int = field(
        1, "R", ">= 1", "R feature sets crossed with R data sets: variances", static=True
    )
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name in ("num_samples", "num_features", "dimension"):
        if getattr(config, name) is not None:
            require_integer(name, getattr(config, name), 1)
    require_integer("replicates", config.replicates, 1)
    for name in ("eigenvalue_decay", "target_decay"):
        require_number(name, getattr(config, name), low=1.0, open_low=True)
    for name in ("ridge", "noise_variance"):
        require_number(name, getattr(config, name), low=0.0)
    require_choices(
        config,
        teacher=("fixed", "isotropic"),
        tail=("none", "averaged"),
        paired=("none", "infinite_samples", "infinite_features", "swapped"),
        dtype=("float64", "float32"),
    )
    _validate_combinations(config)


def _validate_combinations(config: Config) -> None:
    samples, features = config.num_samples, config.num_features
    one_infinite = (samples is None) != (features is None)
    if config.tail == "averaged" and not (one_infinite and config.teacher == "isotropic"):
        raise ValueError(
            "tail: 'averaged' needs teacher 'isotropic' and exactly one of num_samples and "
            "num_features None; use tail 'none' otherwise"
        )
    if config.tail == "averaged" and config.dimension is None:
        raise ValueError("dimension: None with tail 'averaged'; give the number of exact modes")
    if config.paired != "none" and (samples is None or features is None):
        raise ValueError(
            f"paired: {config.paired!r} needs both num_samples and num_features finite"
        )
    if config.replicates > 1 and (
        samples is None or features is None or config.teacher != "fixed" or config.paired != "none"
    ):
        raise ValueError(
            f"replicates: {config.replicates}; the crossed design needs finite sizes, teacher "
            "'fixed' and paired 'none'; use replicates 1 otherwise"
        )
    beyond = config.dimension is None or (
        samples is not None and features is not None and config.dimension > max(samples, features)
    )
    if samples is not None and samples == features and config.ridge == 0 and beyond:
        raise ValueError(
            f"ridge: 0 with num_samples = num_features = {samples}: the mean risk is infinite; "
            "give a positive ridge or move the sizes apart"
        )


def infinite_mean(config: Config) -> bool:
    """Whether the mean risk over draws is infinite, though almost every draw has a finite one.

    Without a ridge the risk has the mean of an inverse Wishart matrix of n degrees of freedom in m
    dimensions, which is infinite for abs(n - m) <= 1: n, m = D, N where the modes exceed both, and
    n, m = D, M where the features resolve all modes and the labels have noise.
    """
    if config.ridge > 0 or config.num_samples is None:
        return False
    samples = config.num_samples
    modes = math.inf if config.dimension is None else config.dimension
    features = math.inf if config.num_features is None else config.num_features
    at_peak = modes > max(samples, features) and abs(samples - features) <= 1
    noisy = modes <= features and config.noise_variance > 0
    return at_peak or (noisy and abs(samples - modes) <= 1)


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` where a valid configuration has a prediction but no simulation.

    That is an infinite spectrum, and an infinite mean risk.
    """
    if config.dimension is None:
        raise ValueError(
            "dimension: None is the infinite spectrum, which only the theory has; give a number "
            "of modes (tail 'averaged' adds the rest on the mean), or ask for no seeds"
        )
    if infinite_mean(config):
        raise ValueError(
            f"ridge: 0 with num_samples {config.num_samples}, num_features {config.num_features} "
            f"and dimension {config.dimension}: the mean risk is infinite where num_samples and "
            "the smaller of the others differ by at most one; give a positive ridge or move them "
            "apart"
        )
