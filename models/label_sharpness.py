"""Label sharpness on a flat torus, and the error of the nearest neighbour that it bounds.

N points are uniform on the torus [0, 1)^d, with the labels of

    F(x) = sqrt(2/d) sum_j sin(2 pi m x_j + phi_j),  phi_j ~ U(0, 2 pi)

Their sharpness is the largest slope between two of them, K_F = max |F(x) - F(x')|/|x - x'|, at most
that of F, 2 sqrt(2) pi m. Each point is predicted by the label of its nearest neighbour among the
others: no error exceeds K_F times the distance.

| here | symbol | arXiv 2401.08865 |
|---|---|---|
| sharpness | K_F | K_F |
| num_samples | N | N |
| intrinsic_dimension | d | d_data |
"""

import math
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models.fields import field, require_choices, require_integer
from scalinglab.models.interface import Model, Observable, Status
from scalinglab.models.manifolds import squared_distances

_POINTS, _PHASES = 1, 2
_BLOCK = 64


class Config(eqx.Module):
    """One labelled sample; the number of periods is the only field that is not static."""

    intrinsic_dimension: int = field(2, "d", "1..16", "dimension of the torus", static=True)
    num_samples: int = field(1024, "N", ">= 3", "points", static=True)
    periods: int = field(1, "m", ">= 1", "of the target along each side")
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    require_integer("intrinsic_dimension", config.intrinsic_dimension, 1, 16)
    require_integer("num_samples", config.num_samples, 3)
    require_choices(config, dtype=("float64", "float32"))
    require_integer("periods", config.periods, 1)


def target(
    periods: Float[Array, ""],
    points: Float[Array, "points dimension"],
    phases: Float[Array, " dimension"],
) -> Float[Array, " points"]:
    """F(x) = sqrt(2/d) sum_j sin(2 pi m x_j + phi_j).

    **Arguments:** `periods` m; `points` (P, d); `phases` (d,), in radians.
    """
    angle = 2 * jnp.pi * periods * points + phases[None, :]
    return math.sqrt(2.0 / points.shape[1]) * jnp.sum(jnp.sin(angle), axis=1)


def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Sharpness of the labels, and the error of each point's nearest neighbour.

        sharpness = max_{i != k} |F(x_i) - F(x_k)|/|x_i - x_k|
        neighbour_error = mean_i |F(x_i) - F(x_n(i))|,  n(i) the nearest of the others

    **Arguments:** `config`; `key`, of this lane: it draws points and phases.

    **Returns:** `sharpness`; `neighbour_error`; `nearest_distance`, the mean |x_i - x_n(i)|;
    `slack`, sharpness times nearest_distance over neighbour_error, at least 1 in every draw;
    `status`. All are NaN where that is not OK.

    **Source:** Konz and Mazurowski 2401.08865, on the labels of real images.

    **Limits:** neighbour_error ~ N^(-1/d), sharpness -> 2 sqrt(2) pi m.
    """
    shape, dtype = (config.num_samples, config.intrinsic_dimension), config.dtype
    points = jr.uniform(jr.fold_in(key, _POINTS), shape, dtype)
    phases = 2 * jnp.pi * jr.uniform(jr.fold_in(key, _PHASES), shape[1:], dtype)
    labels = target(jnp.asarray(config.periods).astype(dtype), points, phases)

    def one(item: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        index, point, label = item
        squared = squared_distances(point[None, :], points, periodic=True)[0]
        others = squared.at[index].set(jnp.inf)
        nearest = jnp.argmin(others)
        slope = jnp.max((labels - label) ** 2 / others)
        return slope, jnp.sqrt(others[nearest]), jnp.abs(labels[nearest] - label)

    items = jnp.arange(len(points), dtype=jnp.int32), points, labels
    slopes, distances, errors = lax.map(one, items, batch_size=min(_BLOCK, len(points)))
    found = {
        "sharpness": jnp.sqrt(jnp.max(slopes)),
        "neighbour_error": jnp.mean(errors),
        "nearest_distance": jnp.mean(distances),
    }
    found["slack"] = found["sharpness"] * found["nearest_distance"] / found["neighbour_error"]
    finite = jnp.all(jnp.isfinite(jnp.stack(list(found.values()))))
    status = jnp.where(finite, Status.OK, Status.NOT_FINITE).astype(jnp.int32)
    kept = {name: jnp.where(finite, value, jnp.nan) for name, value in found.items()}
    return {**kept, "status": status}


MODEL = Model(
    name="label-sharpness",
    summary="the largest slope of labels on a torus, and the error that it bounds",
    version=1,
    Config=Config,
    simulate=simulate,
    smallest=Config(num_samples=64),
    observables={
        "sharpness": Observable("largest slope between two labels"),
        "neighbour_error": Observable("mean absolute error of the nearest neighbour's label"),
        "nearest_distance": Observable("mean distance to the nearest other sample"),
        "slack": Observable("sharpness times nearest_distance over neighbour_error"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x ~ U[0,1)^d periodic, F(x) = sqrt(2/d) sum_j sin(2 pi m x_j + phi_j);  "
        "K_F = max |F(x) - F(x')|/|x - x'|;  mean |F(x) - F(x_nearest)| <= K_F mean |x - x_nearest|"
    ),
    symbols={"N": "num_samples", "d": "intrinsic_dimension", "m": "periods", "K_F": "sharpness"},
    sources={
        "konz2024": """@inproceedings{konz2024,
  title     = {The effect of intrinsic dataset properties on generalization: unraveling learning
               differences between natural and medical images},
  author    = {Konz, Nicholas and Mazurowski, Maciej A.},
  booktitle = {International Conference on Learning Representations},
  year      = {2024},
  note      = {arXiv:2401.08865},
}""",
    },
)
