"""The version space of a pruned perceptron, sampled by Markov chains.

    x ~ N(0, I_N), y = sign(T.x), kept by t = |T.x|: random, the smallest (hard) or largest (easy) f
    version space = {w : y_i x_i . w > 0 for all P = alpha N kept examples},  w ~ N(0, I_N) on it

The direction J = w/|w| is then uniform on the unit vectors that label every kept example as the
teacher T does: a Gibbs student. `cone_sampler` draws it.

Two chains of one data set start at the teacher. The overlap of two students is that of the two
chains' means, without the bias of one chain's. What a new kept example would bring, -ln of the
fraction p of the version space that it leaves, is estimated from the k of n draws that agree with
it as psi(n+1) - psi(k+1), which has the mean sum_{j<=n} (1-p)^j/j and so no bias until n p is of
order one. Draws are correlated: n is their effective number. Where examples are left that no draw
agrees with, `uncounted`, information is a lower bound.
"""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.scipy.special import digamma, erfinv, ndtri
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from scalinglab.models.cone_sampler import THINNING, Counts, cone, effective_draws, stretch
from scalinglab.models.data_pruning.sources import SOURCES
from scalinglab.models.fields import field, require_choices, require_integer, require_number
from scalinglab.models.interface import Model, Observable, Status

_TEACHER_FIELDS, _INPUTS, _NEW_FIELDS, _NEW_INPUTS, _CHAINS = 1, 2, 3, 4, 5
_CHAIN_COUNT = 2
# Means over so many stretches of a chain measure the effective number of draws.
_STRETCHES = 16
# Stretches before the first that counts.
_DISCARDED = 4
_LEAST_SWEEPS = _STRETCHES * THINNING
# Bytes of the constraints of one lane.
_MEMORY_LIMIT = 2**27


class Config(eqx.Module):
    """One version space; all but `kept_per_dimension` and `keep_fraction` is static.

    `padded_rows` is no argument: the number of kept examples rounded up to a power of two, the only
    trace that it leaves on the shapes of the program.
    """

    kept_per_dimension: float = field(
        2.0, "alpha = P/N", "> 0", "kept examples, in units of the dimension"
    )
    keep_fraction: float = field(0.2, "f", "(0, 1]", "fraction of an unlimited pool that is kept")
    rule: Literal["random", "abs_hard", "abs_easy"] = field(
        "abs_hard",
        "",
        "random | abs_hard | abs_easy",
        "which examples are kept: at random, or of smallest (hard) or largest (easy) |teacher.x|",
        static=True,
    )
    dimension: int | None = field(
        24, "N", ">= 2, or None for infinite (theory only)", "inputs", static=True
    )
    sweeps: int = field(
        2048, "", "a multiple of 64", "sweeps of each chain, after a quarter as many", static=True
    )
    new_examples: int = field(
        1024, "", ">= 1", "new kept examples to measure information with", static=True
    )
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )
    padded_rows: int = eqx.field(init=False, static=True)

    def __post_init__(self) -> None:
        validate(self)
        rows = 0 if self.dimension is None else 1 << max(3, (kept_size(self) - 1).bit_length())
        object.__setattr__(self, "padded_rows", rows)


def kept_size(config: Config) -> int:
    """P: `kept_per_dimension` times `dimension`, rounded to the nearest integer."""
    if config.dimension is None:
        raise ValueError("dimension: None has no number of examples; give a number of inputs")
    return round(config.kept_per_dimension * config.dimension)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    for name, high, allowed in (
        ("kept_per_dimension", math.inf, "> 0"),
        ("keep_fraction", 1.0, "in (0, 1]"),
    ):
        require_number(
            name,
            getattr(config, name),
            low=0.0,
            high=high,
            open_low=True,
            remedy=f"give a finite number {allowed}",
        )
    require_choices(config, rule=("random", "abs_hard", "abs_easy"), dtype=("float64", "float32"))
    for name, least in (("sweeps", _LEAST_SWEEPS), ("new_examples", 1), ("dimension", 2)):
        if name != "dimension" or config.dimension is not None:
            require_integer(name, getattr(config, name), least)
    if config.sweeps % _LEAST_SWEEPS:
        raise ValueError(f"sweeps: {config.sweeps}; give a multiple of {_LEAST_SWEEPS}")
    if config.dimension is not None:
        _validate_size(config, config.dimension)


def _validate_size(config: Config, dimension: int) -> None:
    kept = config.kept_per_dimension * dimension
    if kept < 0.5 or round(kept) < 1:
        raise ValueError(
            f"kept_per_dimension: {config.kept_per_dimension!r} with dimension {dimension} keeps "
            "no example; raise it"
        )
    size = kept * dimension * (8 if config.dtype == "float64" else 4)
    if size > _MEMORY_LIMIT:
        raise ValueError(
            f"kept_per_dimension: {config.kept_per_dimension!r} with dimension {dimension} is "
            f"{size / 2**20:.0f} MiB, more than the {_MEMORY_LIMIT >> 20} MiB of one lane; lower it"
        )


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` for the infinite perceptron, which only the theory has."""
    if config.dimension is None:
        raise ValueError(
            "dimension: None is the infinite perceptron, which only the theory has; give a number "
            "of inputs, or ask for no seeds"
        )


class Draw(NamedTuple):
    """The random objects of one lane, columns y x with the teacher as the first axis.

    `examples` (N, rows), those that are kept, with zeros for columns beyond P; `new` (N, new), more
    of the same law; `edge`, the t of an example at the end of the window that moves with f.
    """

    examples: Float[Array, "dimension rows"]
    new: Float[Array, "dimension new"]
    edge: Float[Array, ""]


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """Kept and new examples, t from its exact law in an unlimited pool."""
    check_simulation(config)
    dimension = config.dimension or 0
    fraction = jnp.asarray(config.keep_fraction).astype(config.dtype)
    if config.rule == "random":
        fraction = jnp.ones_like(fraction)

    def columns(fields: int, inputs: int, count: int) -> Array:
        # Never 0, of which the quantile is infinite.
        smallest = float(jnp.finfo(config.dtype).tiny)
        share = jr.uniform(jr.fold_in(key, fields), (count,), config.dtype, minval=smallest)
        rest = jr.normal(jr.fold_in(key, inputs), (dimension - 1, count), config.dtype)
        return jnp.concatenate([_quantile(config, fraction * share)[None, :], rest])

    examples = columns(_TEACHER_FIELDS, _INPUTS, config.padded_rows)
    number = jnp.round(jnp.asarray(config.kept_per_dimension) * dimension)
    kept = jnp.arange(config.padded_rows).astype(number.dtype) < number
    return Draw(
        examples=jnp.where(kept[None, :], examples, 0.0),
        new=columns(_NEW_FIELDS, _NEW_INPUTS, config.new_examples),
        edge=_quantile(config, fraction),
    )


def _quantile(config: Config, share: Shaped[Array, "*shape"]) -> Shaped[Array, "*shape"]:
    """t with that share of the pool on its kept side."""
    if config.rule == "abs_easy":
        return -ndtri(share / 2)
    return math.sqrt(2) * erfinv(share)


# Full precision on accelerators: the default there may round fields to ten bits.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Order parameters of the version space of one data set, and what a new example brings.

        information = mean over new kept examples of -ln(fraction of the version space left)

    **Arguments:** `config`; `key`, of this lane.

    **Returns:** scalars, as in `MODEL.observables`, NaN where `status` is not OK; no
    `selection_gain` for the rule `random`, whose examples do not depend on f.

    **Source:** the theory of Sorscher et al. 2206.14486, here at finite N and without replicas.

    **Limits:** at f = 1 the teacher is one more draw from the version space (Bayes' case).
    """
    sample = draw(config, key=key)
    means, counts = _run(config, sample, jr.fold_in(key, _CHAINS))
    total = _CHAIN_COUNT * config.sweeps // THINNING
    mean, other = jnp.mean(means[0], axis=0), jnp.mean(means[1], axis=0)
    effective = effective_draws(means.reshape(-1, means.shape[-1]), float(total))

    def brought(agree: Float[Array, " new"]) -> Array:
        return digamma(effective + 1) - digamma(agree / total * effective + 1)

    brings = brought(counts.agree)
    # Each mean has its own noise, which the product of two chains averages out.
    across = jnp.sqrt(jnp.maximum(mean[1:] @ other[1:], 0.0))
    overlap = mean @ other
    teacher = (mean[0] + other[0]) / 2
    observables = {
        "information": jnp.mean(brings),
        "teacher_overlap": teacher,
        "replica_overlap": overlap,
        "gibbs_error": counts.angle / total / jnp.pi,
        "vote_error": jnp.arctan2(across, teacher) / jnp.pi,
        "believed_vote_error": jnp.arccos(jnp.sqrt(jnp.clip(overlap, 0.0, 1.0))) / jnp.pi,
        "effective_draws": effective,
        "uncounted": jnp.mean((counts.agree == 0).astype(teacher.dtype)),
    }
    if config.rule != "random":
        number = jnp.round(jnp.asarray(config.kept_per_dimension) * mean.shape[0])
        ratio = (number / mean.shape[0]).astype(teacher.dtype)
        observables["selection_gain"] = ratio * jnp.mean(brings - brought(counts.agree_at_edge))
    return _with_status(observables)


def _run(config: Config, sample: Draw, key: PRNGKeyArray) -> tuple[Array, Counts]:
    """Mean directions (chain, stretch, N), and all counts summed over both chains."""
    dimension = sample.examples.shape[0]
    start = jnp.zeros(dimension, config.dtype).at[0].set(math.sqrt(dimension))
    within = cone(sample.examples)
    length = config.sweeps // _STRETCHES

    def chain(key: PRNGKeyArray) -> tuple[Array, Counts]:
        def go(weights: Array, number: Array) -> tuple[Array, Counts]:
            parts = within, weights, sample.new, sample.edge
            return stretch(*parts, sweeps=length, key=jr.fold_in(key, number))

        _, counts = jax.lax.scan(go, start, jnp.arange(_DISCARDED + _STRETCHES))
        counts = jax.tree.map(lambda sums: sums[_DISCARDED:], counts)
        records = length // THINNING
        return counts.direction / records, jax.tree.map(lambda sums: jnp.sum(sums, axis=0), counts)

    means, counts = jax.vmap(chain)(jr.split(key, _CHAIN_COUNT))
    return means, jax.tree.map(lambda sums: jnp.sum(sums, axis=0), counts)


def _with_status(observables: dict[str, Array]) -> dict[str, Array]:
    """Chains are too short where their stretches are no longer than the correlation time.

    Then the effective draws are as many as the stretches, or fewer if the two chains differ. Lanes
    are lost in the order of their correlation times, which biases what is left: lose none.
    """
    finite = jnp.stack([jnp.isfinite(value) for value in observables.values()]).all()
    mixed = observables["effective_draws"] >= 1.5 * _CHAIN_COUNT * _STRETCHES
    status = jnp.where(
        finite,
        jnp.where(mixed, jnp.int32(Status.OK), jnp.int32(Status.NOT_CONVERGED)),
        jnp.int32(Status.NOT_FINITE),
    )
    kept = {n: jnp.where(status == Status.OK, v, jnp.nan) for n, v in observables.items()}
    return {**kept, "status": status}


MODEL = Model(
    name="version-space",
    summary="the version space of a perceptron on pruned data, sampled uniformly",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(
        kept_per_dimension=1.5,
        keep_fraction=0.5,
        dimension=16,
        sweeps=256,
        new_examples=32,
    ),
    observables={
        "information": Observable("what a new kept example brings", unit="nats"),
        "teacher_overlap": Observable("mean overlap of a student with the teacher"),
        "replica_overlap": Observable("mean overlap of two students of one data set"),
        "gibbs_error": Observable("test error of one student"),
        "vote_error": Observable("test error of the majority vote of all students"),
        "believed_vote_error": Observable("how often a student contradicts that vote"),
        "selection_gain": Observable(
            "what a fall of the keep fraction by a factor e brings at as many kept examples",
            unit="nats a dimension",
        ),
        "effective_draws": Observable("independent draws worth as much as both chains"),
        "uncounted": Observable("new examples that no draw agrees with"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x ~ N(0, I_N), y = sign(T.x), the f smallest or largest |T.x| kept, P = alpha N of them;  "
        "J uniform on {J : |J| = 1, y_i x_i.J >= 0};  R = J.T, q = J.J', "
        "I = -<ln fraction of the J that agree with a new kept example>"
    ),
    symbols={
        "N": "dimension",
        "alpha": "kept_per_dimension (alpha_prune)",
        "f": "keep_fraction",
        "R": "teacher_overlap",
        "q": "replica_overlap",
        "I": "information",
    },
    sources={"sorscher2022": SOURCES["sorscher2022"]},
)
