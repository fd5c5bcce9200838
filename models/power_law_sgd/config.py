"""The configuration of one-pass SGD on power-law random features, and what it refuses."""

import math
from typing import Literal, get_args

import equinox as eqx
import numpy as np

from scalinglab.models.fields import field, require_choices, require_integer, require_number

from .spectrum import data_trace, learning_rate, mean_kernel_bound

Features = Literal["random", "identity"]
Schedule = Literal["constant", "cosine", "wsd", "step_decay"]
Momentum = Literal["none", "constant", "dana_constant", "dana_decaying"]
Dtype = Literal["float64", "float32"]

# Bytes of the feature matrix of one simulation; its factorisation takes a few times as much.
MEMORY_LIMIT = 2**30
# Steps are numbered by 32-bit integers.
_STEP_LIMIT = 2**31 - 1


class Config(eqx.Module):
    """One run of SGD; batch size, steps, records, runs, the choices and `dtype` are static.

    `padded_parameters` and `padded_dimension` are no arguments: they are the array sizes that stand
    for d and v, d and v themselves without `pad_to`. Settings of any d <= `pad_to` with v in one
    proportion to d share one program, at the cost of `pad_to` modes each.
    """

    alpha: float = field(1.0, "alpha", ">= 0", "data x_j = j^-alpha z_j")
    beta: float = field(0.3, "beta", "finite", "target b_j = j^-beta")
    num_parameters: int = field(100, "d", ">= 1", "features, the parameters of the model")
    ambient_dimension: int | None = field(
        400, "v", "> d, or None for infinite (theory only)", "dimension of the data"
    )
    features: Features = field(
        "random",
        "W",
        " | ".join(get_args(Features)),
        "entries N(0, 1/d), or the first d coordinates of the data themselves",
        static=True,
    )
    batch_size: int = field(1, "B", ">= 1", "fresh samples a step", static=True)
    gamma0: float | None = field(
        0.5, "gamma0", "> 0, or None", "learning rate in units of 1/(B * trace of the data)"
    )
    learning_rate: float | None = field(
        None, "g", "> 0, or None", "peak rate of the gradient summed over the batch, for gamma0"
    )
    num_steps: int = field(10_000, "T", ">= 1", "steps of SGD", static=True)
    records: int = field(
        40, "", "1..T", "recorded steps, near a geometric grid from 1 to T", static=True
    )
    runs: int = field(1, "", ">= 1", "runs of SGD on the same features", static=True)
    noise_variance: float = field(0.0, "sigma^2", ">= 0", "variance of the label noise")
    schedule: Schedule = field(
        "constant",
        "g_t",
        " | ".join(get_args(Schedule)),
        "learning rate over its peak",
        static=True,
    )
    warmup_fraction: float = field(
        0.0, "", "[0, 1)", "share of the steps in which the rate rises linearly"
    )
    decay_fraction: float = field(
        0.2, "", "(0, 1]", "last share of the steps, in which 'wsd' decays linearly"
    )
    final_fraction: float = field(
        0.1, "", "(0, 1]", "rate at the end over its peak, of every schedule but 'constant'"
    )
    decay_stages: int = field(
        10, "", ">= 2", "equal parts of 'step_decay', each by one factor below the last"
    )
    momentum: Momentum = field(
        "none", "", " | ".join(get_args(Momentum)), "momentum of the update", static=True
    )
    momentum_coefficient: float = field(
        0.9, "mu", "[0, 1)", "share of the momentum kept a step, with 'constant'"
    )
    dana_delta: float = field(
        8.0, "delta", "> 0", "DANA forgets delta/(delta + t) of its momentum in step t"
    )
    dana_decay: float | None = field(
        None, "kappa", ">= 0, or None", "exponent of 'dana_decaying'; None: 1/(2 alpha)"
    )
    quantize_bits: int | None = field(
        None, "b", "2..24, or None", "bits to which a copy of the weights is rounded", static=True
    )
    pad_to: int | None = field(
        None, "", ">= d, or None", "array size in place of d, to share a program", static=True
    )
    dtype: Dtype = field(
        "float64", "", " | ".join(get_args(Dtype)), "arithmetic of the steps", static=True
    )
    padded_parameters: int = eqx.field(init=False, static=True)
    padded_dimension: int = eqx.field(init=False, static=True)

    def __post_init__(self) -> None:
        validate(self)
        size = self.num_parameters if self.pad_to is None else self.pad_to
        object.__setattr__(self, "padded_parameters", size)
        object.__setattr__(self, "padded_dimension", _padded_dimension(self, size))


def record_steps(config: Config) -> np.ndarray:
    """The recorded steps, strictly increasing integers that end with `num_steps`.

    Step k of n is the larger of k and T^((k-1)/(n-1)): a geometric grid once its spacing passes 1.
    """
    index = np.arange(config.records)
    if config.records == 1:
        return np.array([config.num_steps])
    power = np.exp(math.log(config.num_steps) * index / (config.records - 1))
    return np.maximum(index + 1, np.rint(power).astype(np.int64))


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name in ("num_parameters", "batch_size", "num_steps", "records", "runs"):
        require_integer(name, getattr(config, name), 1)
    require_integer("decay_stages", config.decay_stages, 2)
    require_number("alpha", config.alpha, low=0.0)
    require_number("beta", config.beta, low=-math.inf)
    require_number("noise_variance", config.noise_variance, low=0.0)
    for name in ("decay_fraction", "final_fraction"):
        require_number(name, getattr(config, name), low=0.0, high=1.0, open_low=True)
    for name in ("warmup_fraction", "momentum_coefficient"):
        require_number(name, getattr(config, name), low=0.0, high=1.0, open_high=True)
    require_number("dana_delta", config.dana_delta, low=0.0, open_low=True)
    require_choices(
        config,
        features=get_args(Features),
        schedule=get_args(Schedule),
        momentum=get_args(Momentum),
        dtype=get_args(Dtype),
    )
    if config.records > config.num_steps:
        raise ValueError(
            f"records: {config.records} of num_steps {config.num_steps}; give at most one a step"
        )
    _validate_sizes(config)
    _validate_options(config)
    _validate_rate(config)


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` where a valid configuration has a prediction but no simulation."""
    if config.ambient_dimension is None:
        raise ValueError(
            "ambient_dimension: None is infinite, which only the theory has; give a number, or ask "
            "for no seeds"
        )
    if config.num_steps > _STEP_LIMIT:
        raise ValueError(f"num_steps: {config.num_steps}; at most {_STEP_LIMIT} can be simulated")
    columns = 1 if config.features == "identity" else config.padded_parameters
    size = config.padded_dimension * columns * (8 if config.dtype == "float64" else 4)
    if size > MEMORY_LIMIT:
        raise ValueError(
            f"num_parameters: {config.num_parameters} with ambient_dimension "
            f"{config.ambient_dimension} is a feature matrix of {size / 2**20:.0f} MiB, more than "
            f"the {MEMORY_LIMIT >> 20} MiB a simulation may take; lower one of them"
        )


def _validate_sizes(config: Config) -> None:
    size, dimension = config.num_parameters, config.ambient_dimension
    if dimension is not None:
        require_integer("ambient_dimension", dimension, 1)
        least = size if config.features == "identity" else size + 1
        if dimension < least:
            raise ValueError(
                f"ambient_dimension: {dimension} with num_parameters {size} and features "
                f"{config.features!r}; give at least {least}"
            )
    elif 2 * config.alpha <= 1 or config.alpha + config.beta <= 0.5:
        raise ValueError(
            f"ambient_dimension: None with alpha {config.alpha!r}, beta {config.beta!r}: the "
            "infinite sums need alpha > 1/2 and alpha + beta > 1/2; give a number"
        )
    if config.pad_to is not None:
        require_integer("pad_to", config.pad_to, size)


def _validate_options(config: Config) -> None:
    bits = config.quantize_bits
    if bits is not None:
        require_integer("quantize_bits", bits, 2, 24, remedy="give an integer in 2..24, or None")
    if config.dana_decay is not None:
        require_number("dana_decay", config.dana_decay, low=0.0)
    elif config.momentum == "dana_decaying" and config.alpha == 0:
        raise ValueError("dana_decay: None with alpha 0 is infinite; give a number")


def _validate_rate(config: Config) -> None:
    given = [name for name in ("gamma0", "learning_rate") if getattr(config, name) is not None]
    for name in given:
        require_number(name, getattr(config, name), low=0.0, open_low=True)
    if len(given) != 1:
        state = "both are given" if given else "both are None"
        raise ValueError(f"learning_rate, gamma0: {state}; give one and leave the other None")
    if config.momentum != "none":
        return
    bound = mean_kernel_bound(config)
    if bound >= 1:
        rate = learning_rate(config)
        trace = data_trace(config.alpha, config.ambient_dimension)
        reason = (
            f"g (B + 1) is {rate * (config.batch_size + 1):.4g} times the largest eigenvalue of "
            "the data, and has to be below 2"
            if math.isinf(bound)
            else f"the kernel norm is {bound:.4g} on average, and has to be below 1"
        )
        raise ValueError(
            f"{given[0]}: {getattr(config, given[0])!r} with batch_size {config.batch_size} is a "
            f"rate of {rate:.4g} (gamma0 {rate * config.batch_size * trace:.4g}): the mean risk "
            f"grows without bound: {reason}; lower it"
        )


def _padded_dimension(config: Config, size: int) -> int:
    """v in the proportion of the padded d to d, rounded up; 0 where v is infinite."""
    dimension = config.ambient_dimension
    return 0 if dimension is None else -(-dimension * size // config.num_parameters)
