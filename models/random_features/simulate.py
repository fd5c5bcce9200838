"""Drawing and simulating one lane."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray

from scalinglab.models.interface import Model, Observable
from scalinglab.models.linear_solve import with_status

from .config import Config, check_simulation
from .crossed import crossed
from .ridge_regression import Problem, Risks, population_risks, problem_of, risks
from .sources import SOURCES

_FEATURES, _INPUTS, _NOISE = 1, 2, 3


class Draw(NamedTuple):
    """The random objects of one lane, all standard normal.

    `features` (replicates, N, M), absent for infinitely many; `inputs` (replicates, D, M), the
    data before scaling by sqrt(lambda); `noise` (max(D, N),), of which a fixed teacher's problem
    uses the first D, and its swapped problem the first N.
    """

    features: Float[Array, "replicates features modes"] | None
    inputs: Float[Array, "replicates samples modes"] | None
    noise: Float[Array, " labels"] | None


def draw(config: Config, *, key: PRNGKeyArray) -> Draw:
    """The features, data and noise of one lane, each from its own `fold_in` of `key`."""
    replicates, modes = config.replicates, config.dimension
    if modes is None:
        raise ValueError("dimension: None is the infinite spectrum, which cannot be drawn")

    def normal(stream: int, shape: tuple[int, ...]) -> Array:
        return jr.normal(jr.fold_in(key, stream), shape, config.dtype)

    samples, features = config.num_samples, config.num_features
    return Draw(
        features=None if features is None else normal(_FEATURES, (replicates, features, modes)),
        inputs=None if samples is None else normal(_INPUTS, (replicates, samples, modes)),
        noise=None if samples is None else normal(_NOISE, (max(samples, features or 0),)),
    )


# Full precision on accelerators: the default there may round Gram matrices to ten bits.
@jax.default_matmul_precision("highest")
def simulate(config: Config, *, key: PRNGKeyArray) -> dict[str, Array]:
    """Risks of one random-feature regression: train, then the exact population risk.

        test_risk = sum_i lambda_i (w_i - beta_i)^2 + noise_variance

    **Arguments:** `config`, with a finite `dimension`; `key`, of this lane.

    **Returns:** scalars `test_risk` and, with finite `num_samples`, `train_risk`; with `paired`
    also `paired_test_risk` of the second problem on the same draw and `excess_risk`, test_risk
    minus it; with `replicates` > 1 also the variance decomposition; and `status`. Where that is
    not OK every other observable is NaN. A teacher `isotropic` averages over teacher and noise.

    **Raises:** `ValueError` for an infinite spectrum.

    **Source:** Bahri et al. 2102.06701, section 2.4; exact finite-size facts in
    Maloney et al. 2210.16859.

    **Limits:** `num_features=None` is kernel ridge regression with kernel sum_i x_i x_i';
    `num_samples=None` is the best predictor within the features.
    """
    sample = draw(config, key=key)
    problem = problem_of(config)
    if config.replicates > 1 and sample.features is not None and sample.inputs is not None:
        return with_status(*crossed(problem, sample.features, sample.inputs))
    features = None if sample.features is None else sample.features[0]
    inputs = None if sample.inputs is None else sample.inputs[0]
    noise = sample.noise if config.teacher == "fixed" else None
    averaged = config.teacher == "isotropic"
    main = (
        population_risks(problem, features, averaged=averaged)
        if inputs is None
        else risks(problem, features, inputs, noise)
    )
    observables = {"test_risk": main.test}
    if main.train is not None:
        observables["train_risk"] = main.train
    headroom = main.headroom
    if features is not None and inputs is not None and config.paired != "none":
        second = _paired(config, problem, features, inputs, noise)
        observables["paired_test_risk"] = second.test
        observables["excess_risk"] = main.test - second.test
        headroom = jnp.minimum(headroom, second.headroom)
    return with_status(observables, headroom)


def _paired(
    config: Config, problem: Problem, features: Array, inputs: Array, noise: Array | None
) -> Risks:
    if config.paired == "infinite_samples":
        return population_risks(problem, features, averaged=noise is None)
    if config.paired == "infinite_features":
        return risks(problem, None, inputs, noise)
    # Swapped: the N x M matrix serves as data and the D x M one as features. D N ridge is what the
    # identity holds fixed, and the (1/D) loss with 1/sqrt(N) features keeps it at the same ridge.
    return risks(problem, inputs, features, noise)


MODEL = Model(
    name="random-features",
    summary="ridge regression on random features of power-law Gaussian data",
    version=1,
    Config=Config,
    simulate=simulate,
    draw=draw,
    check=check_simulation,
    smallest=Config(num_samples=48, num_features=24, dimension=96, ridge=1e-3, noise_variance=0.1),
    observables={
        "test_risk": Observable("population mean squared error, label noise included"),
        "train_risk": Observable("mean squared error on the training set"),
        "paired_test_risk": Observable("test risk of the paired problem on the same draw"),
        "excess_risk": Observable("test risk minus the paired test risk"),
        "bias_squared": Observable("squared bias of the predictor averaged over features and data"),
        "variance_features": Observable("main-effect variance over the features"),
        "variance_data": Observable("main-effect variance over the data"),
        "variance_noise": Observable("variance over label noise of the feature-averaged predictor"),
        "variance_interaction": Observable("the rest: interactions of features, data and noise"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x ~ N(0, diag(i^-a)), y = w.x + noise, lambda_i w_i^2 = i^-b, phi = F x / sqrt(N);  "
        "theta = argmin (1/D) |y - Phi theta|^2 + ridge |theta|^2;  "
        "test risk = sum_i lambda_i (w_i - beta_i)^2 + noise variance"
    ),
    symbols={
        "D": "num_samples",
        "N": "num_features",
        "M": "dimension",
        "a": "eigenvalue_decay (1 + alpha_K)",
        "b": "target_decay",
        "rho": "ridge",
        "sigma^2": "noise_variance",
    },
    sources=SOURCES,
)
