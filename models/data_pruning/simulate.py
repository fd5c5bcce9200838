"""Ranking, drawing and simulating one lane.

In the basis e1 = probe, e2 = the part of the teacher orthogonal to it, the score and the label of
an example depend on its first two coordinates alone. Only these are drawn for the whole pool, a
chunk of `padded_rows` at a time, of which the best so far are kept: exact ranking of a pool of any
size, in the memory of the kept examples. The other coordinates are drawn for the kept ones.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Int, PRNGKeyArray, Shaped

from scalinglab.models.interface import Model, Observable, Status
from scalinglab.models.max_margin import max_margin

from .config import Config, check_simulation
from .sources import SOURCES

_POOL, _OTHERS = 1, 2


class Draw(NamedTuple):
    """The kept examples of one lane, in random order for the rule `random`, else best first.

    `inputs` (padded_rows, N), of which the first columns are the coordinates along the probe and
    along the rest of the teacher; `labels` (padded_rows,), 1 or -1; `valid`, true for the first P
    rows: the others are padding, of inputs 0.
    """

    inputs: Shaped[Array, "rows dim"]
    labels: Shaped[Array, " rows"]
    valid: Bool[Array, " rows"]


class _Pair(NamedTuple):
    """Examples of the pool by their coordinates `score` and `other`, and their rank."""

    rank: Shaped[Array, " rows"]
    score: Shaped[Array, " rows"]
    other: Shaped[Array, " rows"]


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """Ranks a pool and keeps P of it, exactly, at the memory of the kept examples.

    **Raises:** `ValueError` for an infinite `dimension`.
    """
    check_simulation(config)
    rows = config.padded_rows
    pool, kept = _sizes(config)
    best = pool_chunk(config, jnp.int32(0), key=key)
    if config.rule != "random":
        best = _best_of_pool(config, best, pool, key)
    valid = jnp.arange(rows, dtype=kept.dtype) < kept
    shape = (rows, (config.dimension or 2) - 2)
    others = jr.normal(jr.fold_in(key, _OTHERS), shape, config.dtype)
    inputs = jnp.concatenate([best.score[:, None], best.other[:, None], others], axis=1)
    inputs = jnp.where(valid[:, None], inputs, 0.0)
    return Draw(inputs, _labels(config, best.score, best.other), valid)


def pool_chunk(config: Config, index: Int[Array, ""], *, key: PRNGKeyArray) -> _Pair:
    """Examples number `index * padded_rows` and following of the pool.

    **Returns:** `score`, the coordinate along the probe; `other`, along the rest of the teacher;
    `rank`, which is the smaller the sooner the rule keeps the example.
    """
    stream = jr.fold_in(jr.fold_in(key, _POOL), index)
    score, other = jr.normal(stream, (2, config.padded_rows), config.dtype)
    rank = {
        "random": jnp.zeros_like,
        "abs": jnp.abs,
        "signed": lambda score: score * _labels(config, score, other),
    }[config.rule.split("_")[0]](score)
    return _Pair(-rank if config.rule.endswith("easy") else rank, score, other)


def _best_of_pool(config: Config, first: _Pair, pool: Int[Array, ""], key: PRNGKeyArray) -> _Pair:
    """The `padded_rows` examples of smallest rank, in order; `first` is the first chunk."""
    rows = config.padded_rows

    def in_pool(chunk: _Pair, index: Int[Array, ""]) -> _Pair:
        place = index * rows + jnp.arange(rows, dtype=index.dtype)
        return chunk._replace(rank=jnp.where(place < pool, chunk.rank, jnp.inf))

    def merge(index: Int[Array, ""], best: _Pair) -> _Pair:
        # Without jit the loop counts in Python integers.
        index = jnp.asarray(index, jnp.int32)
        chunk = in_pool(pool_chunk(config, index, key=key), index)
        both = [jnp.concatenate(pair) for pair in zip(best, chunk, strict=True)]
        return _Pair(*(column[:rows] for column in lax.sort(both, num_keys=1)))

    zero = jnp.int32(0)
    best = _Pair(*lax.sort(in_pool(first, zero), num_keys=1))
    return lax.fori_loop(jnp.int32(1), -(-pool // rows), merge, best)


def _sizes(config: Config) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """P_tot and P, rounded as `pool_size` and `kept_size` round, halves to even."""
    pool = jnp.round(jnp.asarray(config.samples_per_dimension) * float(config.dimension or 0))
    kept = jnp.round(jnp.asarray(config.keep_fraction) * pool)
    return pool.astype(jnp.int32), kept.astype(jnp.int32)


def _teacher(config: Config) -> tuple[Array, Array]:
    """cos(theta) and sin(theta), the teacher in the basis of the first two coordinates."""
    angle = jnp.deg2rad(jnp.asarray(config.probe_angle_degrees))
    return jnp.cos(angle).astype(config.dtype), jnp.sin(angle).astype(config.dtype)


def _labels(
    config: Config, score: Shaped[Array, " rows"], other: Shaped[Array, " rows"]
) -> Shaped[Array, " rows"]:
    cosine, sine = _teacher(config)
    return jnp.where(cosine * score + sine * other < 0, -1.0, 1.0).astype(config.dtype)


# Full precision on accelerators: the default there may round Gram matrices to ten bits.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    r"""Max-margin perceptron on the kept examples of one pool, and its exact test error.

    $$\epsilon = \arccos(R)/\pi, \quad R = J \cdot T, \quad
      J = \arg\max_{|J| = 1} \min_{\mu \le P} y_\mu J \cdot x_\mu$$

    **Arguments:** `config`, with a finite `dimension`; `key`, of this lane.

    **Returns:** scalars, with J of length 1:

    - `test_error`, from the angle of J and T by atan2, so that small ones keep their digits;
    - `margin` $\kappa = \min y J \cdot x$ over the kept examples, for inputs N(0, I);
    - `support_fraction`, the share of the kept examples at the margin with a positive multiplier;
    - `probe_overlap` $\rho = J \cdot p$ and `teacher_overlap` R;
    - `status`; the others are NaN where it is not OK.

    **Raises:** `ValueError` for an infinite `dimension`.

    **Source:** Sorscher et al. 2206.14486, section 2 and appendix.

    **Limits:** at `keep_fraction = 1` rule and angle drop out of the law of the observables.
    """
    sample = draw(config, key=key)
    found = max_margin(sample.inputs * sample.labels[:, None], sample.valid)
    weights = found.weights
    cosine, sine = _teacher(config)
    along = cosine * weights[0] + sine * weights[1]
    across = jnp.sqrt((sine * weights[0] - cosine * weights[1]) ** 2 + jnp.sum(weights[2:] ** 2))
    length = jnp.sqrt(jnp.sum(weights**2))
    kept = jnp.sum(sample.valid.astype(weights.dtype))
    support = jnp.sum((found.duals > 0).astype(weights.dtype))
    observables = {
        "test_error": jnp.atan2(across, along) / jnp.pi,
        "margin": 1 / length,
        "support_fraction": support / kept,
        "probe_overlap": weights[0] / length,
        "teacher_overlap": along / length,
    }
    ok = found.status == Status.OK
    values = {name: jnp.where(ok, value, jnp.nan) for name, value in observables.items()}
    return {**values, "status": found.status}


MODEL = Model(
    name="data-pruning",
    summary="max-margin perceptron on the examples that a probe has selected",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(
        samples_per_dimension=6.0, keep_fraction=0.4, probe_angle_degrees=10.0, dimension=40
    ),
    observables={
        "test_error": Observable("probability of labelling a new example otherwise than T"),
        "margin": Observable("smallest distance of a kept example to the hyperplane"),
        "support_fraction": Observable("share of the kept examples at the margin"),
        "probe_overlap": Observable("cosine of the angle of J and the probe"),
        "teacher_overlap": Observable("cosine of the angle of J and the teacher"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x ~ N(0, I_N), y = sign(T.x), T.p = cos(theta); of alpha_tot N examples the fraction f "
        "is kept by |p.x| or y p.x;  J = argmax min y J.x over |J| = 1"
    ),
    symbols={
        "alpha_tot": "samples_per_dimension",
        "f": "keep_fraction",
        "theta": "probe_angle_degrees",
        "N": "dimension",
        "T, p": "teacher and probe, of length 1",
        "J": "the student",
    },
    sources=SOURCES,
)
