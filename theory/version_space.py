"""The theory of the version space of a pruned perceptron: the Gibbs student at infinite size.

`theory.data_pruning.gibbs` has the equations, exact as N grows at fixed P/N; `models.version_space`
samples the same quantities at finite N. Their relative difference is of order 1/N. Its coefficient,
which `stated_error` bounds, was measured at N = 16 and 24 in 13 settings (docs/data_pruning.md); it
is largest for hard examples below alpha = 2, where the teacher overlap and what selection gains are
small and grow steeply with alpha. The latter is a theory of its own here, with an error of its own.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from scalinglab.models import Status
from scalinglab.models.version_space import Config, kept_size
from scalinglab.theory.data_pruning.gibbs import gibbs_student
from scalinglab.theory.prediction import Prediction, Theory, predict_from

_OBSERVABLES = (
    "information",
    "teacher_overlap",
    "replica_overlap",
    "gibbs_error",
    "vote_error",
    "believed_vote_error",
)
_GAIN = ("selection_gain",)
_SOURCE = "equations (G1)-(G3) of theory.data_pruning.gibbs, after arXiv:2206.14486"

solve = functools.partial(jax.jit, static_argnames="rule")(gibbs_student)


def stated_error(config: Config, names: tuple[str, ...] = _OBSERVABLES) -> float:
    """The measured coefficient of 1/N over N: 3, below alpha = 2 of hard examples 6, or 15 for
    `selection_gain`."""
    if config.dimension is None:
        return 0.0
    growing = config.rule == "abs_hard" and config.keep_fraction < 1
    if growing and config.kept_per_dimension < 2:
        return (15.0 if names == _GAIN else 6.0) / config.dimension
    return 3.0 / config.dimension


def _predict(config: Config, *, name: str, names: tuple[str, ...]) -> Prediction:
    size = config.dimension
    alpha = config.kept_per_dimension if size is None else kept_size(config) / size
    numbers = (jnp.asarray(value, jnp.float64) for value in (alpha, config.keep_fraction))
    found = solve(*numbers, rule=config.rule)
    return Prediction(
        {observable: float(getattr(found, observable)) for observable in names},
        name,
        "deterministic_equivalent",
        stated_error(config, names),
        _SOURCE,
        Status(int(found.status)),
    )


def _theory(name: str, names: tuple[str, ...], applies: Callable[[Config], bool]) -> Theory:
    predict_named = functools.partial(_predict, name=name, names=names)
    return Theory(name, "deterministic_equivalent", names, applies, predict_named, _SOURCE)


THEORIES = (
    _theory("replica-symmetric", _OBSERVABLES, lambda config: True),
    # Examples kept at random do not depend on the keep fraction.
    _theory("selection-gain", _GAIN, lambda config: config.rule != "random"),
)


def predict(config: Config, theory: str | None = None, *, key: PRNGKeyArray | None = None) -> Any:
    """The `Prediction` of the order parameters, of the theory named, or of `'all'` by name.

    **Raises:** `ValueError` for an unknown or inapplicable theory; `RuntimeError` without float64.
    """
    return predict_from(THEORIES, config, theory, key=key)
