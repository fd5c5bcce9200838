"""The configuration of a pruned perceptron, its sizes, and what it refuses."""

from typing import Literal, get_args

import equinox as eqx

from scalinglab.models.fields import field, require_choices, require_integer, require_number

Rule = Literal["random", "abs_hard", "abs_easy", "signed_hard", "signed_easy"]
RULES: tuple[Rule, ...] = get_args(Rule)

# Bytes of the kept examples of one simulation; a dozen arrays of that size live in the solver.
MEMORY_LIMIT = 2**28
# Positions in the pool are 32-bit integers.
_POOL_LIMIT = 2**31 - 1


class Config(eqx.Module):
    """One pruned perceptron; `rule`, `dimension` and `dtype` are static.

    `padded_rows` is no argument: it is the number of kept examples rounded up to the next of
    8, 10, 12, 14, 16, 20, ... (four steps an octave, so that at most a fifth of the rows is
    padding), and the only trace that the sizes leave on the shapes of the program. Settings of
    equal `padded_rows`, whatever their pools, share one compilation.
    """

    samples_per_dimension: float = field(
        4.0, "alpha_tot = P_tot/N", "> 0", "examples in the pool, in units of the dimension"
    )
    keep_fraction: float = field(0.5, "f", "(0, 1]", "fraction of the pool that is kept")
    probe_angle_degrees: float = field(
        0.0, "theta", "[0, 90]", "angle between the probe that ranks and the teacher that labels"
    )
    rule: Rule = field(
        "abs_hard",
        "",
        " | ".join(RULES),
        "which examples are kept: at random, or of smallest (hard) or largest (easy) score, "
        "|probe.x| (abs) or label times probe.x (signed)",
        static=True,
    )
    dimension: int | None = field(
        100,
        "N",
        ">= 2, or None for infinite (theory only)",
        "inputs of the perceptron",
        static=True,
    )
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )
    padded_rows: int = eqx.field(init=False, static=True)

    def __post_init__(self) -> None:
        validate(self)
        rows = 0 if self.dimension is None else _padded(kept_size(self))
        object.__setattr__(self, "padded_rows", rows)


def pool_size(config: Config) -> int:
    """P_tot: `samples_per_dimension` times `dimension`, rounded to the nearest integer."""
    return round(config.samples_per_dimension * _dimension(config))


def kept_size(config: Config) -> int:
    """P: `keep_fraction` of the pool, rounded to the nearest integer."""
    return round(config.keep_fraction * pool_size(config))


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    require_number(
        "samples_per_dimension",
        config.samples_per_dimension,
        low=0.0,
        open_low=True,
        remedy="give a finite number > 0",
    )
    require_number(
        "keep_fraction",
        config.keep_fraction,
        low=0.0,
        high=1.0,
        open_low=True,
        remedy="give a finite number (0, 1]",
    )
    require_number(
        "probe_angle_degrees",
        config.probe_angle_degrees,
        low=0.0,
        high=90.0,
        remedy="give a finite number [0, 90]",
    )
    require_choices(config, rule=RULES, dtype=("float64", "float32"))
    if config.dimension is not None:
        _validate_sizes(config, config.dimension)


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` where a valid configuration has a prediction but no simulation."""
    if config.dimension is None:
        raise ValueError(
            "dimension: None is the infinite perceptron, which only the theory has; give a number "
            "of inputs, or ask for no seeds"
        )


def _validate_sizes(config: Config, dimension: int) -> None:
    require_integer(
        "dimension",
        dimension,
        2,
        remedy="give an integer of at least 2 (teacher and probe span a plane), or None for the "
        "theory alone",
    )
    pool = config.samples_per_dimension * dimension
    if pool > _POOL_LIMIT:
        raise ValueError(
            f"samples_per_dimension: {config.samples_per_dimension!r} with dimension {dimension} "
            f"is a pool of {pool:.3g} examples; at most {_POOL_LIMIT} can be ranked"
        )
    kept = kept_size(config)
    if kept < 1:
        raise ValueError(
            f"keep_fraction: {config.keep_fraction!r} of a pool of {pool_size(config)} keeps no "
            "example; raise it or samples_per_dimension"
        )
    size = _padded(kept) * dimension * (8 if config.dtype == "float64" else 4)
    if size > MEMORY_LIMIT:
        raise ValueError(
            f"samples_per_dimension: {config.samples_per_dimension!r} keeps {kept} examples of "
            f"dimension {dimension}, {size / 2**20:.0f} MiB, more than the {MEMORY_LIMIT >> 20} "
            "MiB a simulation may take; lower it, keep_fraction or dimension"
        )


def _dimension(config: Config) -> int:
    if config.dimension is None:
        raise ValueError("dimension: None has no number of examples; give a number of inputs")
    return config.dimension


def _padded(rows: int) -> int:
    """`rows` rounded up to a multiple of a quarter of the power of two below it, at least 8."""
    step = max(2, 1 << (rows.bit_length() - 3)) if rows > 8 else 8
    return -(-rows // step) * step
