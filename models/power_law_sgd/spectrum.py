"""The data's spectrum on the host: sums over its modes, the learning rate, the stability limits."""

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import zeta

if TYPE_CHECKING:
    from .config import Config

_EXACT = 4096
_PANELS_PER_OCTAVE, _NODES = 1, 10


@functools.lru_cache(maxsize=64)
def _nodes(modes: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices and weights that stand for the modes 1..modes in a sum of a power-like function.

    The first 4096 are exact. The rest is the integral from n + 1/2 to modes + 1/2 by Gauss-Legendre
    panels of an octave in log j. The midpoint rule leaves (f'(modes + 1/2) - f'(n + 1/2))/24, for
    f = j^-s that is s/(24 n) f(n): less than 1e-8 of the sum for s < 2, less beyond.
    """
    exact = np.arange(1.0, min(modes, _EXACT) + 1)
    if modes <= _EXACT:
        return exact, np.ones_like(exact)
    low, high = math.log(_EXACT + 0.5), math.log(modes + 0.5)
    panels = max(1, math.ceil(_PANELS_PER_OCTAVE * (high - low) / math.log(2)))
    edges = np.linspace(low, high, panels + 1)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half = np.diff(edges)[:, None] / 2
    index = np.exp(((edges[1:] + edges[:-1])[:, None] / 2 + half * nodes).ravel())
    weight = (half * weights).ravel() * index
    return np.concatenate([exact, index]), np.concatenate([np.ones_like(exact), weight])


def mode_sum(function: Callable[[np.ndarray], np.ndarray], modes: int) -> float:
    """The sum of `function(j)` over the modes j = 1..modes, at a cost that does not grow with them.

    **Arguments:** `function`, smooth in log j and of power-like decay; `modes` >= 1.

    **Returns:** the sum, exact to rounding up to 4096 modes, to about 1e-8 beyond.
    """
    index, weight = _nodes(modes)
    return float(np.sum(weight * function(index)))


def data_trace(alpha: float, ambient_dimension: int | None) -> float:
    """The trace of the data covariance, the sum of j^(-2 alpha) over j = 1..v; infinite v: zeta."""
    if ambient_dimension is None:
        return float(zeta(2 * alpha)) if 2 * alpha > 1 else math.inf
    return mode_sum(lambda j: j ** (-2 * alpha), ambient_dimension)


def learning_rate(config: "Config") -> float:
    """g, the peak rate that multiplies the gradient summed over the batch.

        g = gamma0 / (B * sum_j j^(-2 alpha)), or the rate as given

    **Source:** 2405.15074 at B = 1, where gamma0 below about 1 is stable for 2 alpha < 1.
    """
    if config.learning_rate is not None:
        return config.learning_rate
    if config.gamma0 is None:
        raise ValueError("gamma0: None with learning_rate None; give one of them")
    return config.gamma0 / (config.batch_size * data_trace(config.alpha, config.ambient_dimension))


def mean_kernel_bound(config: "Config") -> float:
    """A lower bound on the kernel norm averaged over features; SGD needs a norm below 1.

        |K| = sum_j g l_j / (2 - g (B+1) l_j)  at l_j = j^(-2 alpha); infinite where g (B+1) >= 2

    For random features the mean of the feature kernel is the data covariance, and the trace of a
    convex function of a matrix is convex, so by Jensen the mean of |K| over draws is at least its
    value at the mean. With features `identity` it is |K| itself, over the d modes that are used.
    """
    rate, batch = learning_rate(config), config.batch_size
    modes = config.num_parameters if config.features == "identity" else config.ambient_dimension
    if rate * (batch + 1) >= 2:
        return math.inf
    decay = 2 * config.alpha

    def term(j: np.ndarray) -> np.ndarray:
        eigenvalue = j**-decay
        return rate * eigenvalue / (2 - rate * (batch + 1) * eigenvalue)

    if modes is not None:
        return mode_sum(term, modes)
    tail = zeta(decay, _EXACT + 1)
    return mode_sum(term, _EXACT) + rate / 2 * float(tail)
