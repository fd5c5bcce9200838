"""The configuration of a teacher and its student, and what it refuses."""

from typing import Literal, get_args

import equinox as eqx

from scalinglab.models.fields import field, require_choices, require_integer, require_number

Activation = Literal["relu", "tanh", "gelu"]
Loss = Literal["mse", "cross-entropy"]
# Steps between two looks at the test loss.
LOOK = 50


class Config(eqx.Module):
    """One student of one teacher; the number of samples is no static field.

    So one compiled program serves every training set, and all of them take the same time.
    """

    input_dimension: int = field(4, "d", ">= 1", "dimension of the inputs", static=True)
    teacher_width: int = field(96, "", ">= 1", "units of its two hidden layers", static=True)
    teacher_bias: float = field(
        0.0, "", ">= 0", "standard deviation of the biases of its hidden units"
    )
    student_width: int = field(96, "w", ">= 1", "units of a hidden layer", static=True)
    depth: int = field(2, "", ">= 0", "hidden layers of the student", static=True)
    num_samples: int = field(256, "D", "1..pool_size", "training samples")
    pool_size: int = field(
        4096, "", ">= 2", "samples of which the first D are learned", static=True
    )
    test_samples: int = field(2048, "", ">= 2", "fresh samples of the test loss", static=True)
    num_steps: int = field(12_000, "T", f"a multiple of {LOOK}", "steps of Adam", static=True)
    batch_size: int = field(64, "B", ">= 1", "samples in a minibatch", static=True)
    learning_rate: float = field(3e-3, "", "> 0", "peak rate, at the start of half a cosine")
    activation: Activation = field("relu", "", "relu | tanh | gelu", "of the student", static=True)
    label_noise: float = field(
        0.0, "sigma", ">= 0", "standard deviation of noise on the outputs that are learned"
    )
    loss: Loss = field("mse", "L", "mse | cross-entropy", "what is lowered", static=True)
    dtype: Literal["float64", "float32"] = field(
        "float32", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name, low in (
        ("input_dimension", 1),
        ("teacher_width", 1),
        ("student_width", 1),
        ("depth", 0),
        ("pool_size", 2),
        ("test_samples", 2),
        ("num_steps", 1),
        ("batch_size", 1),
    ):
        require_integer(name, getattr(config, name), low)
    require_integer("num_samples", config.num_samples, 1, config.pool_size)
    if config.num_steps % LOOK:
        raise ValueError(
            f"num_steps: {config.num_steps}; give a multiple of {LOOK}, the steps between two "
            "looks at the test loss"
        )
    require_number("learning_rate", config.learning_rate, low=0, open_low=True)
    require_number("label_noise", config.label_noise, low=0)
    require_number("teacher_bias", config.teacher_bias, low=0)
    require_choices(
        config,
        activation=get_args(Activation),
        loss=get_args(Loss),
        dtype=("float64", "float32"),
    )
