"""Ridge regression on nonlinear ReLU random features of points on the sphere S^q.

    x uniform on S^q,  phi_n(x) = relu(w_n . x)/sqrt(N),  w_n uniform on S^q
    K(x . x') = E phi(x) . phi(x') = arc-cosine kernel of order 1,  K(1) = 1/(2(q+1))
    f ~ GP(0, K),  y = f(x),  no noise
    theta = argmin (1/D) |y - Phi theta|^2 + ridge |theta|^2         (minimum norm at ridge 0)

The risk is exact on a draw of training points X (D rows) and weights W (N rows): averaged over the
teacher f and over all test points of the sphere. With f_hat = phi . M f(X), M = N x D, Phi = D x N,

    risk = K(1) - 2 tr(M^T H) + tr(G M K(X,X) M^T)
    G = E_x phi(x) phi(x)^T = K(W,W)/N,   H = E_x phi(x) K(x,X) = H(W,X)/sqrt(N)

and the zonal functions of `scalinglab.models.sphere_kernels`. Where one size is infinite, what is
left are m points Z = X or W, and

    risk = K(1) - tr(A K2(Z,Z)) - s tr(A^2 K2(Z,Z)),   A = (K(Z,Z) + s)^-1,  s = m ridge

is the same expression for both. So data and features are dual: exchanging X and W leaves the risk
of the same two sets unchanged, at equal ridge and any sizes. For G = K(W,W)/N and K(X,X) exchange
their places in the trace, as Phi sqrt(N) = relu(X W^T) becomes its transpose.
"""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models.fields import field, require_choices, require_integer, require_number
from scalinglab.models.interface import Model, Observable
from scalinglab.models.linear_solve import inverse_factor, with_status
from scalinglab.models.random_features.sources import SOURCES
from scalinglab.models.sphere_kernels import feature_mean, iterated_kernel, kernel, power

_POINTS, _WEIGHTS = 1, 2


class Config(eqx.Module):
    """One regression on the sphere; everything but the ridge is static."""

    sphere_dimension: int = field(3, "q", ">= 2", "points on S^q, of q + 1 inputs", static=True)
    num_samples: int | None = field(
        100, "D", ">= 1, or None for infinite", "training points, uniform", static=True
    )
    num_features: int | None = field(
        None, "N", ">= 1, or None for infinite (the kernel)", "ReLU random features", static=True
    )
    ridge: float = field(0.0, "rho", ">= 0", "penalty in the (1/D) normalisation")
    paired: Literal["none", "swapped"] = field(
        "none",
        "",
        "none | swapped",
        "second problem, with training points and weights exchanged, and the difference to it",
        static=True,
    )
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    samples, features, ridge = config.num_samples, config.num_features, config.ridge
    require_integer("sphere_dimension", config.sphere_dimension, 2)
    for name, size in (("num_samples", samples), ("num_features", features)):
        if size is not None:
            require_integer(name, size, 1)
    require_number("ridge", ridge, low=0.0)
    require_choices(config, paired=("none", "swapped"), dtype=("float64", "float32"))
    if samples is None and features is None:
        raise ValueError("num_samples: None with num_features None leaves nothing random; give one")
    if config.paired == "swapped" and (samples is None or features is None):
        raise ValueError("paired: 'swapped' needs both num_samples and num_features finite")
    if ridge == 0 and samples == features:
        raise ValueError(
            f"ridge: 0 with num_samples = num_features = {samples}: the mean risk is infinite; "
            "give a positive ridge or move the sizes apart"
        )


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` where the mean risk is infinite.

    A square design of continuous features is singular within s of its singular values with a
    probability of order s, and one with a row more of order s^2: too often for a mean of 1/s^2.
    """
    samples, features = config.num_samples, config.num_features
    if samples is None or features is None or config.ridge > 0:
        return
    if abs(samples - features) <= 1:
        raise ValueError(
            f"ridge: 0 with num_samples {samples} and num_features {features}: the mean risk is "
            "infinite where they differ by at most one; give a positive ridge or move them apart"
        )


class Draw(NamedTuple):
    """The random objects of one lane: training points and weights, unit vectors of q + 1 inputs."""

    points: Float[Array, "samples inputs"] | None
    weights: Float[Array, "features inputs"] | None


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """Points and weights of one lane, uniform on the sphere, each from its own `fold_in`."""

    def uniform(stream: int, count: int | None) -> Array | None:
        if count is None:
            return None
        shape = (count, config.sphere_dimension + 1)
        normal = jr.normal(jr.fold_in(key, stream), shape, config.dtype)
        return normal / jnp.linalg.norm(normal, axis=1, keepdims=True)

    return Draw(uniform(_POINTS, config.num_samples), uniform(_WEIGHTS, config.num_features))


class _Risk(NamedTuple):
    """The risk of one draw, and its headroom, above 1 while the numbers can be trusted."""

    value: Float[Array, ""]
    headroom: Float[Array, ""]


# Full precision on accelerators: the default there may round Gram matrices to ten bits.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Test risk of one regression on the sphere, exact over teachers and test points.

        test_risk = K(1) - 2 tr(M^T H) + tr(G M K(X,X) M^T)

    **Arguments:** `config`; `key`, of this lane: it draws training points and weights.

    **Returns:** scalars `test_risk`, in units where predicting zero has risk 1/(2(q+1)); with
    `paired`, also `paired_test_risk` of the exchanged problem and `excess_risk`, test_risk minus
    it; and `status`. Where that is not OK every other observable is NaN.

    **Source:** after Bahri et al. 2102.06701, section 2.3: the model named there, with the exact
    risk of this module.

    **Limits:** `num_features=None` is regression with the teacher's own kernel, the best predictor
    given the training set; `num_samples=None` the best predictor within the features at ridge 0.
    """
    sample = draw(config, key=key)
    points, weights = sample.points, sample.weights
    ridge = jnp.asarray(config.ridge).astype(config.dtype)
    if points is not None and weights is not None:
        return _finite(points, weights, ridge, swapped=config.paired == "swapped")
    found = weights if points is None else points
    if found is None:
        raise ValueError("num_samples: None with num_features None leaves nothing random; give one")
    main = _one_sided(found, ridge)
    return with_status({"test_risk": main.value}, main.headroom)


def _finite(points: Array, weights: Array, ridge: Array, *, swapped: bool) -> dict[str, Array]:
    main = _two_sided(points, weights, ridge)
    observables, headroom = {"test_risk": main.value}, main.headroom
    if swapped:
        second = _two_sided(weights, points, ridge)
        observables["paired_test_risk"] = second.value
        observables["excess_risk"] = main.value - second.value
        headroom = jnp.minimum(headroom, second.headroom)
    return with_status(observables, headroom)


def _cosines(left: Array, right: Array) -> Array:
    return jnp.clip(left @ right.T, -1.0, 1.0)


def _one_sided(points: Float[Array, "size inputs"], ridge: Float[Array, ""]) -> _Risk:
    """The risk with one size infinite, from the points of the other.

    With L L^T = K + s and B = L^-1 F, for F F^T = K2, it is K(1) - |B|^2 - s |L^-T B|^2. Constant
    and slope of K2 are F = (1, X) up to factors; for the rest, B B^T = L^-1 K2 L^-T is solved for.
    Two nearly coincident points make L small in their difference, where K2 vanishes too: the
    rounding of the rest of K2 over the smallest eigenvalue of K is what is left of an error.
    """
    size, inputs = points.shape
    series = iterated_kernel(inputs - 1)
    penalty = size * ridge
    identity = jnp.eye(size, dtype=points.dtype)
    triangle = jnp.linalg.cholesky(kernel(points, points) + penalty * identity)

    def solve(columns: Array, *, transposed: bool = False) -> Array:
        return solve_triangular(triangle, columns, lower=True, trans=1 if transposed else 0)

    columns = [math.sqrt(series.constant) * jnp.ones_like(points[:, :1])]
    columns.append(math.sqrt(series.slope) * points)
    smooth = solve(jnp.concatenate(columns, axis=1))
    rough = solve(solve(series.curved(_cosines(points, points))).T)
    explained = jnp.sum(smooth**2) + jnp.trace(rough)
    shrunk = jnp.sum(solve(smooth, transposed=True) ** 2)
    shrunk = shrunk + jnp.trace(solve(solve(rough, transposed=True).T, transposed=True))
    value = power(inputs - 1) - explained - penalty * shrunk
    diagonal = jnp.diagonal(triangle)
    eps = float(jnp.finfo(points.dtype).eps)
    # The factor has digits left (as in `linear_solve`), and rounding stays below a hundredth of the
    # risk: that of the difference, and that of the rest of K2 over the least conditional variance,
    # in sums of `size` terms with random signs.
    singular = jnp.min(diagonal) / jnp.max(diagonal) / math.sqrt(eps)
    rounding = power(inputs - 1) + sum(series.rest) / jnp.min(diagonal) ** 2
    rounding = eps * math.sqrt(size) * rounding
    return _Risk(value, jnp.minimum(singular, value / (100 * rounding)))


def _two_sided(
    points: Float[Array, "samples inputs"],
    weights: Float[Array, "features inputs"],
    ridge: Float[Array, ""],
) -> _Risk:
    """The risk at finite sizes, through M = outer @ inner of rank min(D, N)."""
    samples, features = points.shape[0], weights.shape[0]
    penalty = samples * ridge
    scale = 1 / math.sqrt(features)
    design = scale * jax.nn.relu(points @ weights.T)
    mean = scale * feature_mean(points.shape[1] - 1)(_cosines(weights, points))
    if samples >= features:
        factor, headroom = inverse_factor(design, penalty)
        inner, outer = factor @ design.T, factor.T
    else:
        factor, headroom = inverse_factor(design.T, penalty)
        inner, outer = factor, design.T @ factor.T
    cross = jnp.sum((outer.T @ mean) * inner)
    gram = outer.T @ kernel(weights, weights) @ outer / features
    covariance = inner @ kernel(points, points) @ inner.T
    scale_of_terms = power(points.shape[1] - 1)
    value = scale_of_terms - 2 * cross + jnp.sum(gram * covariance)
    # Each term is of the size of K(1), a sum of min(D, N) numbers with roundings of random sign.
    rounding = math.sqrt(min(samples, features)) * float(jnp.finfo(points.dtype).eps)
    rounding = rounding * scale_of_terms
    return _Risk(value, jnp.minimum(headroom, value / (100 * rounding)))


MODEL = Model(
    name="sphere-features",
    summary="ridge regression on ReLU random features of points on a sphere",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(num_samples=80, num_features=20, ridge=1e-3, paired="swapped"),
    observables={
        "test_risk": Observable("mean squared error over the sphere, teacher averaged"),
        "paired_test_risk": Observable("test risk with training points and weights exchanged"),
        "excess_risk": Observable("test risk minus the paired test risk"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x, w_n uniform on S^q, phi_n = relu(w_n . x)/sqrt(N), f ~ GP(0, K), K = E phi . phi';  "
        "theta = argmin (1/D) |f(X) - Phi theta|^2 + ridge |theta|^2;  "
        "test risk = K(1) - 2 tr(M^T H) + tr(G M K(X,X) M^T)"
    ),
    symbols={
        "q": "sphere_dimension",
        "D": "num_samples",
        "N": "num_features",
        "rho": "ridge",
        "M": "the linear map from labels to theta",
        "G, H": "means over the sphere of phi phi^T and of phi K(x, X)",
    },
    sources={
        "bahri2024": SOURCES["bahri2024"],
        "cho2009": """@inproceedings{cho2009,
  title     = {Kernel methods for deep learning},
  author    = {Cho, Youngmin and Saul, Lawrence K.},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {22},
  year      = {2009},
}""",
        "bach2017": """@article{bach2017,
  title   = {Breaking the curse of dimensionality with convex neural networks},
  author  = {Bach, Francis},
  journal = {Journal of Machine Learning Research},
  volume  = {18},
  year    = {2017},
  note    = {arXiv:1412.8690},
}""",
    },
)
