"""Exponents of learning a function on a manifold of d dimensions: the resolution-limited regime.

D samples leave gaps of size s ~ D^(-1/d). A model that is right on the samples and reproduces
polynomials of degree p - 1 between them errs by s^p, and a loss that is quadratic in the error by

    L ~ s^(2 p) ~ D^(-alpha),   alpha = 2 p/d:   p = 1, piecewise constant;  p = 2, piecewise linear

For a ReLU network, which is piecewise linear, Bahri et al. estimate alpha = 4/d; what they prove
is L = O(D^(-1/d)), for losses and functions that are Lipschitz.

| here | symbol | Bahri 2102.06701 | Sharma 2004.10802 |
|---|---|---|---|
| intrinsic_dimension | d | d | d |
| order | p | n/2 | 2 for 4/d |
| exponent | alpha | alpha_D, alpha_P | alpha (N), beta (D) |

The same exponents hold in the number of parameters of a student that learns from endless data.
"""

from typing import NamedTuple

from scalinglab.theory.prediction import Kind

PAPER = "arXiv:2102.06701"
PIECEWISE_CONSTANT, PIECEWISE_LINEAR = 1, 2


class Exponent(NamedTuple):
    """A predicted exponent, with its `kind` and `source`."""

    exponent: float
    kind: Kind
    source: str


def network_exponent(intrinsic_dimension: int) -> Exponent:
    """The estimate for a network that fits its samples and is piecewise linear between them.

        alpha = 4/d

    **Arguments:** `intrinsic_dimension` d of the inputs, at least 1.

    **Returns:** 4/d, a heuristic: nothing says that what training finds is as smooth as a linear
    interpolation, and for d <= 2 other limits come first.

    **Raises:** `ValueError` unless d is an integer of at least 1.

    **Source:** arXiv 2102.06701, section 2.2, and arXiv 2004.10802.
    """
    return Exponent(
        interpolation_exponent(intrinsic_dimension, PIECEWISE_LINEAR),
        "heuristic",
        f"{PAPER}, estimate after Theorem 2",
    )


def bound_exponent(intrinsic_dimension: int) -> Exponent:
    """What is proved for any model that fits its samples: the loss falls at least as D^(-1/d).

    **Arguments:** `intrinsic_dimension` d of the inputs, at least 1.

    **Returns:** 1/d, a lower bound of the exponent, for Lipschitz losses, models and targets.

    **Raises:** `ValueError` unless d is an integer of at least 1.

    **Source:** arXiv 2102.06701, Theorem 2.
    """
    return Exponent(1 / _dimension(intrinsic_dimension), "bound", f"{PAPER}, Theorem 2")


def interpolation_exponent(intrinsic_dimension: int, order: int) -> float:
    """2 p/d, of a quadratic loss between samples where polynomials of degree p - 1 are exact.

    **Arguments:** `intrinsic_dimension` d, at least 1; `order` p, at least 1: 1 for the nearest
    neighbour, 2 for piecewise-linear interpolation of a function with second derivatives.

    **Raises:** `ValueError` for other values.

    **Limits:** with p = 1/2 in place of p, the bound of Theorem 2.
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order: {order!r}; give an integer of at least 1")
    return 2 * order / _dimension(intrinsic_dimension)


def _dimension(value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"intrinsic_dimension: {value!r}; give an integer of at least 1")
    return value
