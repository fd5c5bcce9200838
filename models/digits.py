"""Ridge regression on ReLU random features of real images: scikit-learn's handwritten digits.

The 1797 images of 8 x 8 pixels are averaged over blocks of `pool` x `pool` pixels and scaled to
unit norm, x = pooled / |pooled|. They are not centred and there is no bias: the pixels are
non-negative, so that the first eigenfunction of the kernel is nearly the constant, as for the
networks without biases that Bahri et al. take. A fixed order splits them into 1300 images to draw
training sets from and 497 test images.

    phi_n(x) = sqrt(2/N) relu(w_n . x),  w_n ~ N(0, I),   E phi(x) . phi(x') = k(x . x')
    k(t) = (sqrt(1 - t^2) + (pi - arccos t) t) / pi,   k(1) = 1      (arc-cosine, order 1)
    f ~ GP(0, k),  y = f(x),  no noise
    theta = argmin (1/D) |y - Phi theta|^2 + ridge |theta|^2         (minimum norm at ridge 0)

The labels of the images are not used. The risk is averaged over the teacher f exactly: a predictor
linear in y, f_hat(T) = M f(S), has the mean squared error on test images T

    E_f |f(T) - M f(S)|^2 / |T| = tr(K_TT - 2 M K_ST + M K_SS M^T) / |T|

so that only the training set S and the features vary between seeds. Predicting zero has risk 1.

This is a qualitative analogue of the pooled images of Bahri et al., not a reproduction: images,
kernel and teacher are others, and the population behind the 1797 images is unknown.
"""

import functools
import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.scipy.linalg import solve_triangular
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from scalinglab.models.digit_images import ALPAYDIN, raw_digits
from scalinglab.models.fields import field, require_choices, require_integer, require_number
from scalinglab.models.interface import Model, Observable
from scalinglab.models.linear_solve import inverse_factor, with_status
from scalinglab.models.random_features.sources import SOURCES

IMAGES, TRAIN, TEST = 1797, 1300, 497
POOLS = (1, 2, 4)
_SIDE = 8
# The fixed order of the images is i -> 1111 i mod 1797, 1111/1797 being near the golden section:
# it repeats on every machine, and spreads the test images evenly over the writers, in whose order
# the file is.
_STRIDE = 1111
_SUBSET, _WEIGHTS = 1, 2


class Config(eqx.Module):
    """One regression on the digits; everything but the ridge is static.

    The labels have no noise and interpolation is meant; the default ridge of 1e-10 is for the
    features. Without biases, some are zero on every training image and others linear on all of
    them, so that a design has fewer independent columns than features (176 of 320 in one draw at
    pool 4) and no ridgeless solve without a rank decision. 1e-10 is 1/580 or less of the effective
    ridge at any size up to 320, so that the theory cannot tell it from 0, and leaves float64 nine
    digits.
    """

    pool: int = field(1, "", "1 | 2 | 4", "side of the averaged blocks of pixels", static=True)
    num_samples: int | None = field(
        100, "D", "1..1300, or None for all 1300", "training images, a new set a seed", static=True
    )
    num_features: int | None = field(
        None, "N", ">= 1, or None for the kernel itself", "ReLU random features", static=True
    )
    ridge: float = field(1e-10, "rho", ">= 0", "penalty in the (1/D) normalisation")
    dtype: Literal["float64", "float32"] = field(
        "float64", "", "float64 | float32", "arithmetic of the simulation", static=True
    )

    def __check_init__(self) -> None:
        validate(self)


def validate(config: Config) -> None:
    """**Raises:** `ValueError` that names the field, the value and the remedy."""
    pool = config.pool
    if isinstance(pool, bool) or not isinstance(pool, int) or pool not in POOLS:
        raise ValueError(f"pool: {pool!r}; give 1, 2 or 4")
    samples, features, ridge = config.num_samples, config.num_features, config.ridge
    if samples is not None:
        remedy = f"give an integer in 1..{TRAIN}, or None for all {TRAIN}"
        require_integer("num_samples", samples, 1, TRAIN, remedy=remedy)
    if features is not None:
        remedy = "give an integer of at least 1, or None for the kernel"
        require_integer("num_features", features, 1, remedy=remedy)
    require_number("ridge", ridge, low=0.0)
    require_choices(config, dtype=("float64", "float32"))
    if ridge == 0 and features == (TRAIN if samples is None else samples):
        raise ValueError(
            f"ridge: 0 with num_samples = num_features = {features}: the mean risk is infinite; "
            "give a positive ridge or move the sizes apart"
        )


def check_simulation(config: Config) -> None:
    """**Raises:** `ValueError` without scikit-learn, and where the mean risk is infinite.

    A square design of continuous features is singular within s of its singular values with a
    probability of order s, and one with a row more of order s^2: too often for a mean of 1/s^2.
    """
    images(config.pool)
    samples = TRAIN if config.num_samples is None else config.num_samples
    features = config.num_features
    if config.ridge == 0 and features is not None and abs(samples - features) <= 1:
        raise ValueError(
            f"ridge: 0 with num_samples {samples} and num_features {features}: the mean risk is "
            "infinite where they differ by at most one; give a positive ridge or move them apart"
        )


@functools.cache
def _pixels() -> np.ndarray:
    """The raw images (1797, 8, 8) with values 0..16, in the file's order."""
    return raw_digits("digits")[0]


def pooled(pixels: Float[np.ndarray, "images side side"], pool: int) -> np.ndarray:
    """Averages over blocks of `pool` x `pool` pixels, each image a row: (images, (side/pool)^2)."""
    count, side, _ = pixels.shape
    blocks = pixels.reshape(count, side // pool, pool, side // pool, pool)
    return blocks.mean(axis=(2, 4)).reshape(count, -1)


@functools.cache
def images(pool: int) -> np.ndarray:
    """The pooled images at unit norm, (1797, (8/pool)^2): 1300 to train, then 497 to test.

    **Raises:** `ValueError` when scikit-learn is not installed, and for a `pool` not 1, 2 or 4.

    **Source:** the UCI 'Optical Recognition of Handwritten Digits' test set, as bundled with
    scikit-learn.
    """
    if pool not in POOLS:
        raise ValueError(f"pool: {pool!r}; give 1, 2 or 4")
    order = (_STRIDE * np.arange(IMAGES)) % IMAGES
    inputs = pooled(_pixels()[order], pool)
    inputs /= np.linalg.norm(inputs, axis=1, keepdims=True)
    inputs.flags.writeable = False
    return inputs


def relu_kernel(
    left: Float[Array, "rows inputs"], right: Float[Array, "cols inputs"]
) -> Float[Array, "rows cols"]:
    """The kernel (sin u + (pi - u) cos u)/pi, cos u = x . x', of inputs of unit norm.

    The mean of 2 relu(w . x) relu(w . x') over w ~ N(0, I). Its rounding error stays of order eps
    at x = x', where arccos loses digits, since k is flat in the angle there.

    **Source:** Cho and Saul 2009, arc-cosine kernel of order 1.
    """
    cosine = jnp.clip(left @ right.T, -1.0, 1.0)
    angle = jnp.arccos(cosine)
    return (jnp.sqrt(1 - cosine**2) + (jnp.pi - angle) * cosine) / jnp.pi


class Draw(NamedTuple):
    """The random objects of one lane: rows of the training images, and weights (N, inputs)."""

    subset: Shaped[Array, " samples"] | None
    weights: Float[Array, "features inputs"] | None


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """The training set and the features of one lane, each from its own `fold_in` of `key`."""
    samples, features = config.num_samples, config.num_features
    inputs = (_SIDE // config.pool) ** 2
    return Draw(
        subset=None
        if samples is None
        else jr.permutation(jr.fold_in(key, _SUBSET), TRAIN)[:samples],
        weights=None
        if features is None
        else jr.normal(jr.fold_in(key, _WEIGHTS), (features, inputs), config.dtype),
    )


# Full precision on accelerators: the default there may round Gram matrices to ten bits.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Test risk of one regression on the digits, averaged over the teacher exactly.

        test_risk = tr(K_TT - 2 M K_ST + M K_SS M^T) / 497

    **Arguments:** `config`; `key`, of this lane: it draws the training set and the features.

    **Returns:** scalars `test_risk`, a mean squared error relative to predicting zero, and
    `status`; the risk is NaN where that is not OK.

    **Raises:** `ValueError` when scikit-learn is not installed.

    **Source:** after Bahri et al. 2102.06701, Fig. 2, with other images and kernel.

    **Limits:** `num_features=None` is regression with the teacher's own kernel, the best predictor
    given the training set; with `num_samples=None` as well nothing is random.
    """
    sample = draw(config, key=key)
    # The images are a constant of the program, 0.9 MB at most. Kernels are computed from them in
    # the lane, or once for all lanes where the training set is every image; the barrier keeps XLA
    # from doing that at compile time, which takes seconds and leaves a constant of 14 MB.
    inputs = jax.lax.optimization_barrier(jnp.asarray(images(config.pool), config.dtype))
    train, test = inputs[:TRAIN], inputs[TRAIN:]
    if sample.subset is not None:
        train = train[sample.subset]
    penalty = train.shape[0] * jnp.asarray(config.ridge).astype(config.dtype)
    if sample.weights is None:
        risk, headroom = _kernel_risk(train, test, penalty)
    else:
        risk, headroom = _feature_risk(train, test, sample.weights, penalty)
    return with_status({"test_risk": risk}, headroom)


def _kernel_risk(
    train: Float[Array, "samples inputs"],
    test: Float[Array, "tests inputs"],
    penalty: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Kernel ridge regression on a teacher of the same kernel.

    With L L^T = K_SS + s and W = L^-1 K_ST, the dual coefficients of a test image are
    alpha = L^-T W, and alpha^T K_SS alpha = W^2 - s alpha^2, so the risk is 1 - W^2 - s alpha^2.
    """
    samples = train.shape[0]
    identity = jnp.eye(samples, dtype=train.dtype)
    triangle = jnp.linalg.cholesky(relu_kernel(train, train) + penalty * identity)
    whitened = solve_triangular(triangle, relu_kernel(train, test), lower=True)
    dual = solve_triangular(triangle, whitened, lower=True, trans=1)
    explained = jnp.sum(whitened**2) + penalty * jnp.sum(dual**2)
    diagonal = jnp.diagonal(triangle)
    # As in `linear_solve.inverse_factor`: a Cholesky factor has lost every digit at sqrt(eps).
    floor = jnp.asarray(jnp.finfo(train.dtype).eps ** 0.5, train.dtype)
    return 1 - explained / test.shape[0], jnp.min(diagonal) / jnp.max(diagonal) / floor


def _feature_risk(
    train: Float[Array, "samples inputs"],
    test: Float[Array, "tests inputs"],
    weights: Float[Array, "features inputs"],
    penalty: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Ridge regression on random features, through M = outer @ inner of rank min(D, N)."""
    scale = math.sqrt(2.0 / weights.shape[0])
    design = scale * jax.nn.relu(train @ weights.T)
    design_test = scale * jax.nn.relu(test @ weights.T)
    if design.shape[0] >= design.shape[1]:
        factor, headroom = inverse_factor(design, penalty)
        inner, outer = factor @ design.T, design_test @ factor.T
    else:
        factor, headroom = inverse_factor(design.T, penalty)
        inner, outer = factor, (design_test @ design.T) @ factor.T
    cross = jnp.sum(outer.T * (inner @ relu_kernel(train, test)))
    middle = (inner @ relu_kernel(train, train)) @ inner.T
    square = jnp.sum((outer @ middle) * outer)
    return 1 + (square - 2 * cross) / test.shape[0], headroom


MODEL = Model(
    name="digits",
    summary="ridge regression on ReLU random features of scikit-learn's digits",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(pool=4, num_samples=48, num_features=12, ridge=1e-3),
    observables={
        "test_risk": Observable(
            "mean squared error on the 497 test images over that of predicting zero, "
            "teacher averaged"
        ),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x = pooled image / |pooled image|, f ~ GP(0, k), "
        "k(t) = (sqrt(1-t^2) + (pi - arccos t) t)/pi, phi_n = sqrt(2/N) relu(w_n . x);  "
        "theta = argmin (1/D) |f(S) - Phi theta|^2 + ridge |theta|^2;  "
        "test risk = tr(K_TT - 2 M K_ST + M K_SS M^T)/|T|"
    ),
    symbols={
        "D": "num_samples",
        "N": "num_features",
        "rho": "ridge",
        "S, T": "training and test images",
        "M": "the linear map from labels to test predictions",
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
        "alpaydin1998": ALPAYDIN,
    },
)
