"""The configuration of a toy autoencoder in superposition, and what it refuses."""

import math
from typing import Literal, get_args

import equinox as eqx

from scalinglab.models.fields import field, require_choices, require_integer, require_number

Frequencies = Literal["power", "linear", "exponential"]
Value = Literal["uniform02", "uniform01"]
BiasInit = Literal["zeros", "normal"]
WeightInit = Literal["unit_rows", "xavier"]
Dtype = Literal["float32", "float64"]


class Config(eqx.Module):
    """One autoencoder and its training; sizes, budget, the choices and `dtype` are static.

    `padded_width` and `density_rung` are no arguments: the one is `width` rounded up to the next of
    2, 3, 4, 6, 8, 12, ... (so that padding wastes less than half of the arithmetic), the other says
    on which rung of the same ladder `density_bound` is. They are the only traces that `width` and
    `activation_density` leave on the shapes of the program.
    """

    num_features: int = field(200, "n", ">= 2", "features of the data", static=True)
    width: int = field(20, "m", "1..n", "hidden dimensions that the features share")
    frequency_decay: float = field(
        0.0, "alpha", ">= 0", "p_i proportional to i^-alpha, with frequencies 'power'"
    )
    activation_density: float = field(
        1.0, "E", "> 0, every p_i <= 1", "mean number of active features, the sum of the p_i"
    )
    frequencies: Frequencies = field(
        "power",
        "p_i",
        " | ".join(get_args(Frequencies)),
        "i^-alpha, n + 1 - i, or exp(-i / frequency_scale), i = 1..n, each normalised to the sum E",
        static=True,
    )
    frequency_scale: float = field(
        400.0, "", "> 0", "features over which frequencies 'exponential' falls by e"
    )
    value: Value = field(
        "uniform02",
        "v",
        " | ".join(get_args(Value)),
        "law of an active feature: uniform on (0, 2) or on (0, 1)",
        static=True,
    )
    importance_decay: float = field(
        1.0, "I_i = decay^(i-1)", "(0, 1]", "weight of each feature in the loss"
    )
    weight_decay: float = field(
        -1.0,
        "gamma",
        "finite",
        "decoupled decay of the weights; negative: a spring that pulls each row's norm to 1",
    )
    weight_init: WeightInit = field(
        "unit_rows",
        "W",
        " | ".join(get_args(WeightInit)),
        "entries normal with variance 1/m, or 2/(n + m)",
        static=True,
    )
    bias_init: BiasInit = field(
        "zeros", "b", " | ".join(get_args(BiasInit)), "zero, or standard normal", static=True
    )
    batch_size: int = field(512, "B", ">= 1", "fresh samples a step", static=True)
    num_steps: int = field(5000, "T", ">= 1", "steps of Adam", static=True)
    learning_rate: float = field(0.02, "eta", "> 0", "peak learning rate of the weights")
    bias_learning_rate: float = field(
        1.0, "", "> 0", "learning rate of the biases, in units of that of the weights"
    )
    warmup_fraction: float = field(
        0.1, "", "[0, 1]", "share of the steps in which the learning rate rises linearly"
    )
    final_fraction: float = field(
        0.05,
        "",
        "[0, 1]",
        "learning rate at the end of the cosine, over its peak; 1: constant",
    )
    adam_epsilon: float = field(
        1e-15, "", "> 0", "Adam's epsilon; rare features freeze below gradients of this size"
    )
    evaluation_samples: int = field(
        65536, "", ">= 64", "fresh stratified samples that estimate the loss", static=True
    )
    dtype: Dtype = field(
        "float32", "", " | ".join(get_args(Dtype)), "arithmetic of the training", static=True
    )
    padded_width: int = eqx.field(init=False, static=True)
    density_rung: int = eqx.field(init=False, static=True)

    def __post_init__(self) -> None:
        validate(self)
        object.__setattr__(self, "padded_width", max(2, math.ceil(_value(_rung(self.width)))))
        object.__setattr__(self, "density_rung", _rung(self.activation_density))

    @property
    def density_bound(self) -> float:
        """`activation_density` rounded up to a power of two or 3/2 of one."""
        return _value(self.density_rung)


def frequencies(config: Config) -> list[float]:
    """The activation probabilities p_1..p_n on the host, decreasing; their sum is E."""
    ranks = range(1, config.num_features + 1)
    if config.frequencies == "power":
        weights = [rank**-config.frequency_decay for rank in ranks]
    elif config.frequencies == "linear":
        weights = [float(config.num_features + 1 - rank) for rank in ranks]
    else:
        weights = [math.exp(-rank / config.frequency_scale) for rank in ranks]
    total = math.fsum(weights)
    return [config.activation_density * weight / total for weight in weights]


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name, low in (("num_features", 2), ("width", 1), ("batch_size", 1), ("num_steps", 1)):
        require_integer(name, getattr(config, name), low)
    require_integer("evaluation_samples", config.evaluation_samples, 64)
    if config.width > config.num_features:
        raise ValueError(
            f"width: {config.width} exceeds num_features {config.num_features}; give at most that"
        )
    for name in (
        "activation_density",
        "frequency_scale",
        "learning_rate",
        "bias_learning_rate",
        "adam_epsilon",
    ):
        require_number(name, getattr(config, name), low=0.0, open_low=True)
    require_number("frequency_decay", config.frequency_decay, low=0.0)
    for name in ("warmup_fraction", "final_fraction"):
        require_number(name, getattr(config, name), low=0.0, high=1.0)
    require_number("importance_decay", config.importance_decay, low=0.0, high=1.0, open_low=True)
    require_number("weight_decay", config.weight_decay, low=-math.inf)
    require_choices(
        config,
        frequencies=get_args(Frequencies),
        value=get_args(Value),
        weight_init=get_args(WeightInit),
        bias_init=get_args(BiasInit),
        dtype=get_args(Dtype),
    )
    highest = frequencies(config)[0]
    # The paper's densest setting has p_1 = 1 exactly; rounding may put it an ulp above.
    if highest > 1 + 1e-12:
        raise ValueError(
            f"activation_density: {config.activation_density!r} gives the most frequent feature a "
            f"probability of {highest:.4g}; give at most {config.activation_density / highest:.6g}"
        )


def _rung(value: int | float) -> int:
    """The index k of the first rung, 2^(k/2) for even k and 3/2 2^((k-1)/2) for odd, >= `value`."""
    mantissa, exponent = math.frexp(value)
    if mantissa == 0.5:
        return 2 * exponent - 2
    return 2 * exponent - (1 if mantissa <= 0.75 else 0)


def _value(rung: int) -> float:
    return math.ldexp(1.5 if rung % 2 else 1.0, rung // 2)
