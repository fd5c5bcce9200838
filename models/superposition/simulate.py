"""The simulation in stages: training, then the loss on fresh samples and the geometry."""

import jax
import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, PRNGKeyArray

from scalinglab.models.interface import Model, Observable, Stages, Status

from .config import Config
from .data import largest_value
from .evaluate import evaluate
from .metrics import (
    Overlaps,
    feature_dimensionality,
    live_rows,
    overlaps,
    row_norms,
    unrepresented_loss,
)
from .sources import SOURCES
from .train import Parameters, Training, advance, stage_count, start

_EVALUATION = 4
_LARGEST_GRAM = 32


# Full precision on accelerators: the default there may round products to ten bits.
@jax.default_matmul_precision("highest")
def finish(config: Config, state: Training, *, key: PRNGKeyArray) -> dict[str, Array]:
    """The observables of a trained network; NaN with status NOT_FINITE where training diverged.

    **Returns:** what `MODEL.observables` declares; `gram` up to 32 features only.
    """
    parameters = state.parameters
    loss = evaluate(config, parameters, key=jr.fold_in(key, _EVALUATION))
    found = {"loss": loss.mean, "loss_error": loss.error, **geometry(config, parameters)}
    finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(value)) for value in found.values()]))
    kept = {name: jnp.where(finite, value, jnp.nan) for name, value in found.items()}
    status = jnp.where(finite, jnp.int32(Status.OK), jnp.int32(Status.NOT_FINITE))
    return {**kept, "status": status}


def geometry(config: Config, parameters: Parameters) -> dict[str, Array]:
    """Every observable that follows from the weights and biases alone."""
    weights, bias = parameters
    norms = row_norms(weights)
    live = live_rows(parameters, largest_value(config))
    total = jnp.sum(norms**2)
    width = jnp.asarray(config.width).astype(config.dtype)
    found = {
        "represented_fraction": jnp.mean((norms > 0.5).astype(config.dtype)),
        "strongly_represented_fraction": jnp.mean((norms > 1).astype(config.dtype)),
        "unrepresented_loss": unrepresented_loss(config, norms),
        "live_fraction": jnp.mean(live.astype(config.dtype)),
        "row_norm": norms,
        "bias": bias,
        "feature_dimensionality": feature_dimensionality(weights),
        # Only a diverged or an exploded decay makes every weight zero.
        "dimensions_per_feature": width / total,
    }
    both = overlaps(weights, jnp.stack([jnp.ones_like(live), live]))
    for index, suffix in enumerate(("", "_live")):
        found |= _named(Overlaps(*[values[index] for values in both]), suffix)
    if config.num_features <= _LARGEST_GRAM:
        found["gram"] = weights @ weights.T
    return found


def _named(found: Overlaps, suffix: str) -> dict[str, Array]:
    names = {
        "overlap_mean": found.mean,
        "overlap_skew": found.skew,
        "mean_squared_overlap": found.mean_squared,
        "squared_overlap_variance": found.squared_variance,
        "squared_overlap_skew": found.squared_skew,
        "largest_overlap": found.largest,
    }
    return {name + suffix: value for name, value in names.items()}


_OVERLAPS = {
    "overlap_mean": "mean cosine of two rows of W",
    "overlap_skew": "skewness of the cosines",
    "mean_squared_overlap": "mean squared cosine of two rows of W",
    "squared_overlap_variance": "variance of the squared cosines",
    "squared_overlap_skew": "skewness of the squared cosines",
    "largest_overlap": "largest absolute cosine of two rows of W",
}

STAGES = Stages(stage_count, start, advance, finish)

MODEL = Model(
    name="superposition",
    summary="an autoencoder that stores more sparse features than it has dimensions",
    version=1,
    Config=Config,
    simulate=STAGES.simulate,
    stages=STAGES,
    smallest=Config(
        num_features=64,
        width=5,
        frequency_decay=1.0,
        importance_decay=0.95,
        weight_decay=0.5,
        batch_size=64,
        num_steps=12,
        evaluation_samples=1024,
        dtype="float64",
    ),
    observables={
        "loss": Observable("sum over features of importance times E (x - y)^2, fresh samples"),
        "loss_error": Observable("standard error of `loss`, from the samples"),
        "represented_fraction": Observable("share of the features with a row norm above 1/2"),
        "strongly_represented_fraction": Observable("share with a row norm above 1"),
        "unrepresented_loss": Observable(
            "loss of the features with a row norm below 1/2, each output its best constant"
        ),
        "live_fraction": Observable("share of the features that can switch their output on"),
        "row_norm": Observable("norm of each row of W", axes=("feature",)),
        "bias": Observable("bias of each output", axes=("feature",)),
        "feature_dimensionality": Observable(
            "share of a dimension that each feature has to itself", axes=("feature",)
        ),
        "dimensions_per_feature": Observable("width over the squared Frobenius norm of W"),
        **{name: Observable(text) for name, text in _OVERLAPS.items()},
        **{f"{name}_live": Observable(f"{text}, live rows") for name, text in _OVERLAPS.items()},
        "gram": Observable("W W^T, up to 32 features", axes=("feature", "feature2")),
        "status": Observable("outcome of the lane", unit="code"),
    },
    equation=(
        "x_i = s_i v_i, s_i ~ Bernoulli(p_i), v_i ~ U(0, 2), sum p_i = E;  "
        "y = ReLU(x W W^T + b);  loss = sum_i I_i E (x_i - y_i)^2;  "
        "Adam with decoupled decay gamma of W; gamma < 0: W_i <- W_i + eta gamma W_i (1 - 1/|W_i|)"
    ),
    symbols={
        "n": "num_features",
        "m": "width",
        "alpha": "frequency_decay (alpha - 1 in the authors' code)",
        "E": "activation_density",
        "gamma": "weight_decay",
        "I_i": "importance_decay^(i-1)",
        "B, T": "batch_size, num_steps",
        "eta": "learning_rate",
    },
    sources=SOURCES,
)
