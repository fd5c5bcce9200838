"""Interpolation of a smooth function without training: the nearest neighbour, and linear pieces.

D samples are uniform in the unit cube; the labels are those of a smooth function, without noise:

    f(x) = sqrt(2/d) sum_j sin(omega x_j + phi_j),  phi_j ~ U(0, 2 pi)

so that E f^2 = 1 and E |grad f|^2 = omega^2 at every x. One predictor takes the label of the
nearest sample, the other is linear on each simplex of the Delaunay triangulation
(`models.delaunay`). Test points are uniform in [margin, 1 - margin]^d, away from the faces, where
cells have another law.

Squared errors are averaged over the phases exactly: for a prediction sum_i w_i f(x_i), sum w_i = 1,

    E (f(x) - sum_i w_i f(x_i))^2 = (1/d) sum_j |1 - sum_i w_i exp(i omega (x_i - x)_j)|^2     (A)

since E sin(a + phi) sin(b + phi) = cos(a - b)/2. Only samples and test points vary between seeds.

| here | symbol | arXiv 2102.06701 |
|---|---|---|
| dimension | d | d |
| num_samples | D | D |
| frequency | omega | |
"""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr
from jax import lax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from scalinglab.models.delaunay import containing_simplex
from scalinglab.models.fields import field, require_choices, require_integer, require_number
from scalinglab.models.interface import Model, Observable, Status
from scalinglab.models.random_features.sources import SOURCES

_SAMPLES, _TESTS = 1, 2
# Points solved at once: all wait for the slowest of them, and 128 took up to twice as long.
_BATCH = 16


class Config(eqx.Module):
    """One set of samples; sizes and `dtype` are static."""

    dimension: int = field(3, "d", "1..8", "dimension of the cube", static=True)
    num_samples: int = field(1024, "D", "> d", "samples in the cube", static=True)
    num_tests: int = field(512, "T", ">= 2", "test points", static=True)
    frequency: float = field(math.pi, "omega", "> 0", "of the target, in radians a side")
    margin: float = field(0.3, "", "[0, 0.5)", "distance of test points from the faces")
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    require_integer("dimension", config.dimension, 1, 8)
    require_integer("num_samples", config.num_samples, 2)
    require_integer("num_tests", config.num_tests, 2)
    if config.num_samples <= config.dimension:
        raise ValueError(
            f"num_samples: {config.num_samples} make no simplex in {config.dimension} dimensions; "
            f"give at least {config.dimension + 1}"
        )
    require_number("frequency", config.frequency, low=0, open_low=True)
    require_number("margin", config.margin, low=0, high=0.5, open_high=True)
    require_choices(config, dtype=("float64", "float32"))


class Draw(NamedTuple):
    """The random objects of one lane."""

    samples: Float[Array, "samples dimension"]
    tests: Float[Array, "tests dimension"]


class Errors(NamedTuple):
    """Of both interpolants at one test point: squared errors, averaged over the phases by (A).

    `linear` means nothing where `outside` of the hull or not `converged`; `distance` is that to the
    nearest sample.
    """

    nearest: Float[Array, ""]
    linear: Float[Array, ""]
    distance: Float[Array, ""]
    outside: Bool[Array, ""]
    converged: Bool[Array, ""]


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """Samples and test points, each from its own `fold_in` of `key`."""
    d, dtype = config.dimension, config.dtype
    margin = jnp.asarray(config.margin).astype(dtype)
    uniform = jr.uniform(jr.fold_in(key, _TESTS), (config.num_tests, d), dtype)
    return Draw(
        samples=jr.uniform(jr.fold_in(key, _SAMPLES), (config.num_samples, d), dtype),
        tests=margin + (1 - 2 * margin) * uniform,
    )


def target(
    frequency: Float[Array, ""],
    points: Float[Array, "points dimension"],
    phases: Float[Array, " dimension"],
) -> Float[Array, " points"]:
    """f(x) = sqrt(2/d) sum_j sin(omega x_j + phi_j), at given phases.

    **Arguments:** `frequency` omega, in radians; `points` (P, d); `phases` (d,), in radians.
    """
    angle = frequency * points + phases[None, :]
    return math.sqrt(2.0 / points.shape[1]) * jnp.sum(jnp.sin(angle), axis=1)


def mean_squared_error(
    frequency: Float[Array, ""],
    displacements: Float[Array, "corners dimension"],
    weights: Float[Array, " corners"],
) -> Float[Array, ""]:
    """Equation (A): the squared error of sum_i w_i f(x_i) at x, averaged over the phases.

    **Arguments:** `frequency` omega, in radians; `displacements` x_i - x, (k, d); `weights` w_i,
    (k,), of sum 1.

    **Limits:** omega^2 |x_1 - x|^2/d for one sample at low frequency; omega^4/(4 d) sum_j (sum_i
    w_i (x_i - x)_j^2)^2 where sum_i w_i x_i = x.
    """
    angles = frequency * displacements
    # 1 - cos = 2 sin^2 of the half loses no digits at small angles.
    real = 2.0 * weights @ jnp.sin(angles / 2) ** 2
    imaginary = weights @ jnp.sin(angles)
    return jnp.mean(real**2 + imaginary**2)


def errors(config: Config, drawn: Draw) -> Errors:
    """Both interpolants at every test point: `Errors` with a leading axis."""
    samples = drawn.samples
    frequency = jnp.asarray(config.frequency).astype(samples.dtype)

    def one(point: Float[Array, " dimension"]) -> Errors:
        squared = jnp.sum((samples - point[None, :]) ** 2, axis=1)
        nearest = jnp.argmin(squared)
        simplex = containing_simplex(samples, point)
        around = samples[simplex.vertices] - point[None, :]
        single = samples[nearest][None, :] - point[None, :]
        return Errors(
            nearest=mean_squared_error(frequency, single, jnp.ones(1, samples.dtype)),
            linear=mean_squared_error(frequency, around, simplex.weights),
            distance=jnp.sqrt(squared[nearest]),
            outside=simplex.outside,
            converged=simplex.converged,
        )

    return lax.map(one, drawn.tests, batch_size=min(_BATCH, config.num_tests))


def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Mean squared errors of the nearest neighbour and of the piecewise-linear interpolant.

        nearest_loss = mean (f(x) - f(x_nearest))^2
        linear_loss  = mean (f(x) - sum_i w_i f(x_i))^2   over x inside of the hull

    **Arguments:** `config`; `key`, of this lane: it draws samples and test points.

    **Returns:** `nearest_loss`, `linear_loss`, averaged over the phases of f; `nearest_distance`,
    the mean distance to the nearest sample; `outside`, the share of test points outside of the
    hull, which `linear_loss` leaves out; `status`. All are NaN where that is not OK: where the
    simplex method stopped early, and where every test point was outside.

    **Source:** Theorem 2 of arXiv 2102.06701 and the estimate after it, without a network.

    **Limits:** the losses are proportional to omega^2 and to omega^4 at low frequency, and tend to
    D^(-2/d) and D^(-4/d) with the constants of `theory.interpolation`.
    """
    found = errors(config, draw(config, key=key))
    inside = ~found.outside
    count = jnp.sum(inside).astype(found.nearest.dtype)
    observables = {
        "nearest_loss": jnp.mean(found.nearest),
        "linear_loss": jnp.sum(jnp.where(inside, found.linear, 0.0)) / jnp.maximum(count, 1.0),
        "nearest_distance": jnp.mean(found.distance),
        "outside": 1.0 - count / config.num_tests,
    }
    reached = jnp.where(jnp.all(found.converged), Status.OK, Status.NOT_CONVERGED)
    status = jnp.where(count > 0, reached, Status.NOT_FINITE).astype(jnp.int32)
    kept = {
        name: jnp.where(status == Status.OK, value, jnp.nan) for name, value in observables.items()
    }
    return {**kept, "status": status}


MODEL = Model(
    name="interpolation",
    summary="nearest-neighbour and piecewise-linear interpolation of a smooth function",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    smallest=Config(dimension=2, num_samples=128, num_tests=32),
    observables={
        "nearest_loss": Observable("mean squared error of the nearest label, over the phases"),
        "linear_loss": Observable("mean squared error of linear pieces, over the phases"),
        "nearest_distance": Observable("mean distance to the nearest sample"),
        "outside": Observable("share of test points outside of the hull of the samples"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x_i ~ U[0,1]^d, f(x) = sqrt(2/d) sum_j sin(omega x_j + phi_j);  nearest: f(x_i) of the "
        "least |x - x_i|;  linear: sum_i w_i f(x_i) with w = argmin sum_i w_i |x_i|^2, "
        "sum_i w_i x_i = x, sum_i w_i = 1, w >= 0"
    ),
    symbols={
        "d": "dimension",
        "D": "num_samples",
        "omega": "frequency",
        "phi": "random phases, averaged over",
        "w": "barycentric coordinates in the Delaunay simplex",
    },
    sources={
        "bahri2024": SOURCES["bahri2024"],
        "brown1979": """@article{brown1979,
  title   = {Voronoi diagrams from convex hulls},
  author  = {Brown, Kevin Q.},
  journal = {Information Processing Letters},
  volume  = {9},
  number  = {5},
  pages   = {223--228},
  year    = {1979},
}""",
    },
)
