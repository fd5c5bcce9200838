"""Estimates of the dimension of a manifold from distances to nearest neighbours.

With T_j(x) the distance of a sample to its j-th nearest neighbour, and y_k(x) = sum_{j<k} log(T_k/
T_j)/(k - 1) at each of N samples,

    maximum likelihood   1 / mean y_k                    MacKay and Ghahramani; N (k - 1) logarithms
    Levina-Bickel        mean 1 / y_k
    TwoNN                slope of -log(1 - rank/N) against log(T_2/T_1), through the origin, over
                         the lower nine tenths                             Facco et al. 2017

In a flat space without a boundary the ratios of volumes (T_j/T_k)^d are those of uniform numbers,
so that mean y_k is 1/d without bias. Bahri et al. use the distances to the 2nd, 3rd and 4th
neighbour; k = 2, 3, 4 here is the maximum likelihood from them, which may not be their formula.
"""

from typing import Literal, NamedTuple, cast

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models.digit_images import ALPAYDIN, raw_digits
from scalinglab.models.fields import field, require_choices, require_integer, require_number
from scalinglab.models.interface import Model, Observable, Status
from scalinglab.models.manifolds import (
    MANIFOLDS,
    draw_points,
    embed,
    local_dimension,
    squared_distances,
)
from scalinglab.models.random_features.sources import SOURCES

_POINTS, _FRAME, _NOISE = 1, 2, 3
_KEPT = 0.9
_BLOCK = 64
DIGITS = 1797


class Config(eqx.Module):
    """One sample of a manifold; everything but the noise is static."""

    manifold: Literal[
        "flat-torus", "sphere", "torus", "cube", "gaussian", "swiss-roll", "digits"
    ] = field(
        "flat-torus", "", " | ".join((*MANIFOLDS, "digits")), "where the points are", static=True
    )
    intrinsic_dimension: int = field(3, "d", "1..16", "of the manifold, not of digits", static=True)
    ambient_dimension: int | None = field(
        None, "", "None for the smallest", "of the space it is turned into", static=True
    )
    num_samples: int = field(1024, "N", "> neighbours", "points", static=True)
    neighbours: int = field(4, "k", ">= 2", "nearest neighbours used", static=True)
    noise: float = field(0.0, "", ">= 0", "standard deviation of noise on each ambient coordinate")
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    require_choices(config, manifold=(*MANIFOLDS, "digits"), dtype=("float64", "float32"))
    require_integer("intrinsic_dimension", config.intrinsic_dimension, 1, 16)
    require_integer("neighbours", config.neighbours, 2)
    require_integer("num_samples", config.num_samples, config.neighbours + 1)
    require_number("noise", config.noise, low=0)
    if config.manifold == "swiss-roll" and config.intrinsic_dimension < 2:
        raise ValueError("intrinsic_dimension: 1; a swiss-roll has at least 2")
    if config.manifold == "digits":
        require_integer("num_samples", config.num_samples, config.neighbours + 1, DIGITS)
    if config.ambient_dimension is None:
        return
    if config.manifold in ("flat-torus", "digits"):
        raise ValueError(
            f"ambient_dimension: {config.ambient_dimension}; {config.manifold} is not embedded: "
            "give None"
        )
    least = local_dimension(config.manifold, config.intrinsic_dimension)
    require_integer("ambient_dimension", config.ambient_dimension, least)


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` for digits without scikit-learn."""
    if config.manifold == "digits":
        _digits()


def _digits() -> np.ndarray:
    """The images as rows, in sixteenths of full ink."""
    return raw_digits("intrinsic-dimension")[0].reshape(DIGITS, -1) / 16


class Estimates(NamedTuple):
    """The three estimates of d, and the mean of y_k, which has no bias where space is flat."""

    dimension: Float[Array, ""]
    levina_bickel: Float[Array, ""]
    two_nn: Float[Array, ""]
    mean_log_ratio: Float[Array, ""]


def draw(config: Config, *, key: PRNGKeyArray) -> Float[Array, "samples ambient"]:
    """The points of one lane, embedded, with their noise; images of digits without replacement."""
    if config.manifold == "digits":
        images = jnp.asarray(_digits(), config.dtype)
        points = images[jr.permutation(jr.fold_in(key, _POINTS), DIGITS)[: config.num_samples]]
    else:
        sizes = config.manifold, config.intrinsic_dimension, config.num_samples, config.dtype
        points = draw_points(*sizes, key=jr.fold_in(key, _POINTS))
    if config.ambient_dimension is not None:
        points = embed(points, config.ambient_dimension, key=jr.fold_in(key, _FRAME))
    scale = jnp.asarray(config.noise).astype(config.dtype)
    return points + scale * jr.normal(jr.fold_in(key, _NOISE), points.shape, config.dtype)


def neighbour_distances(
    points: Float[Array, "samples ambient"], neighbours: int, *, periodic: bool
) -> Float[Array, "samples neighbours"]:
    """T_1 <= .. <= T_k of each point among the others.

    **Arguments:** `points` (N, n); `neighbours` k < N; `periodic`, whether each coordinate has
    period 1.
    """

    indices = jnp.arange(len(points), dtype=jnp.int32)

    # One search for each neighbour: for few of them a quarter of the time of `lax.top_k`.
    def search(left: Float[Array, " count"], _: None) -> tuple[Array, Array]:
        nearest = jnp.argmin(left).astype(jnp.int32)
        return jnp.where(indices == nearest, jnp.inf, left), left[nearest]

    def one(pair: tuple[Array, Array]) -> Float[Array, " neighbours"]:
        index, point = pair
        squared = squared_distances(point[None, :], points, periodic=periodic)[0]
        others = jnp.where(indices == index, jnp.inf, squared)
        return jnp.sqrt(lax.scan(search, others, None, length=neighbours)[1])

    return cast(Array, lax.map(one, (indices, points), batch_size=min(_BLOCK, len(points))))


def estimate(distances: Float[Array, "samples neighbours"]) -> Estimates:
    """The three estimates of the dimension.

    **Arguments:** `distances` T_1 <= .. <= T_k of each of N samples, (N, k), positive, k >= 2.

    **Returns:** `Estimates`. Levina-Bickel's has a finite mean for k >= 3 only.

    **Source:** Levina and Bickel 2004; MacKay and Ghahramani 2005; Facco et al. 2017.
    """
    count, neighbours = distances.shape
    logs = jnp.log(distances)
    ratio = jnp.sum(logs[:, -1:] - logs[:, :-1], axis=1) / (neighbours - 1)
    mean = jnp.mean(ratio)
    kept = int(_KEPT * count)
    x = jnp.sort(logs[:, 1] - logs[:, 0])[:kept]
    y = -jnp.log1p(-jnp.arange(1, kept + 1, dtype=x.dtype) / count)
    return Estimates(1 / mean, jnp.mean(1 / ratio), jnp.sum(x * y) / jnp.sum(x**2), mean)


def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Three estimates of the dimension of one sample.

    **Returns:** `dimension`, the maximum likelihood, and `mean_log_ratio`, its inverse;
    `levina_bickel`; `two_nn`; `nearest_distance`, the mean of T_1; `status`. All are NaN where that
    is not OK, as for two samples in one place.

    **Source:** as `estimate`; Bahri et al. 2102.06701 measure image sets by such estimates.

    **Limits:** d as N grows on any smooth manifold without noise, Levina-Bickel's times
    (k - 1)/(k - 2).
    """
    points = draw(config, key=key)
    periodic = config.manifold == "flat-torus"
    if periodic:
        points = points - jnp.floor(points)
    distances = neighbour_distances(points, config.neighbours, periodic=periodic)
    found = {**estimate(distances)._asdict(), "nearest_distance": jnp.mean(distances[:, 0])}
    finite = jnp.all(jnp.isfinite(jnp.stack(list(found.values()))))
    status = jnp.where(finite, Status.OK, Status.NOT_FINITE).astype(jnp.int32)
    kept = {name: jnp.where(finite, value, jnp.nan) for name, value in found.items()}
    return {**kept, "status": status}


MODEL = Model(
    name="intrinsic-dimension",
    summary="the dimension of a manifold from distances to nearest neighbours",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(intrinsic_dimension=2, num_samples=128),
    observables={
        "dimension": Observable("maximum likelihood, the inverse of mean_log_ratio"),
        "mean_log_ratio": Observable("mean over samples and j < k of log(T_k/T_j)"),
        "levina_bickel": Observable("mean over samples of the inverse of their mean log(T_k/T_j)"),
        "two_nn": Observable("slope of -log(1 - rank/N) against log(T_2/T_1)"),
        "nearest_distance": Observable("mean distance to the nearest sample"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "y_k(x) = sum_{j<k} log(T_k/T_j)/(k-1);  dimension = 1/mean y_k;  "
        "Levina-Bickel = mean 1/y_k;  TwoNN: -log(1 - F(mu)) = d log mu, mu = T_2/T_1"
    ),
    symbols={"N": "num_samples", "k": "neighbours", "d": "intrinsic_dimension"},
    sources={
        "bahri2024": SOURCES["bahri2024"],
        "levina2004": """@inproceedings{levina2004,
  title     = {Maximum likelihood estimation of intrinsic dimension},
  author    = {Levina, Elizaveta and Bickel, Peter J.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {17},
  year      = {2004},
}""",
        "facco2017": """@article{facco2017,
  title   = {Estimating the intrinsic dimension of datasets by a minimal neighborhood information},
  author  = {Facco, Elena and d'Errico, Maria and Rodriguez, Alex and Laio, Alessandro},
  journal = {Scientific Reports},
  volume  = {7},
  number  = {12140},
  year    = {2017},
}""",
        "alpaydin1998": ALPAYDIN,
    },
)
