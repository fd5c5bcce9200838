"""The Volterra equation on a geometric grid, at a cost that does not grow with the time.

With the kernel a sum of exponentials, P(r) = least_risk + Im sum_k y_k(r), where

    y_k(r+1) = q_k y_k(r) + c_k P(r),   y_k(0) = f_k,

is the mode-by-mode recursion of `moments` at complex nodes. Over h steps at once

    y_k(r+h) = q_k^h y_k(r) + c_k sum_{i<h} q_k^(h-1-i) P(r+i).

On such a stretch P is taken as the parabola through its values at r, r + h and the last grid point
before r, which makes the equation for P(r+h) linear and the method of third order in h/r; stretches
of one step are exact. The sums of i over a stretch are, with p = 1 - q,

    s_a = sum_{i<h} C(i, a) q^(h-1-i),   s_0 = (1 - q^h)/p,   s_a = (C(h, a) - s_{a-1})/p,

or, where |p| h is small, s_a = sum_m (-p)^m C(h, a+m+1).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float, Int

from scalinglab.models.power_law_sgd import Modes

from .contour import as_complex
from .equivalent import ExponentialSums, Nodes, log_of_one_minus
from .moments import Count, coefficients

Scalar = Float[Array, ""]

POINTS_PER_DECADE = 60
# Below this |p| h the series of s_a is used: the next term it drops is 1e-11 of the first, and the
# recursion for s_a loses at most 1e-16/(|p| h)^a.
_SERIES = 2e-3


def time_grid(
    steps: Int[np.ndarray, " records"] | Sequence[int],
    *,
    points_per_decade: int = POINTS_PER_DECADE,
) -> Int[np.ndarray, " grid"]:
    """Whole numbers from 0 to the last of `steps`, every one of `steps` among them.

    They grow by one, later by a constant factor; points closer than half a spacing to one of
    `steps` are left out.

    **Arguments:** `steps`, of at least 0, below 2^62; `points_per_decade`, at least 4.

    **Raises:** `ValueError` outside those ranges.
    """
    asked = np.unique(np.asarray(steps, dtype=np.int64))
    if asked.size == 0 or asked[0] < 0 or asked[-1] >= 2**62:
        raise ValueError(f"steps: {steps!r}; give whole numbers from 0 to below 2**62")
    if points_per_decade < 4:
        raise ValueError(f"points_per_decade: {points_per_decade}; give at least 4")
    factor = 10.0 ** (1 / points_per_decade)
    start = int(2 / (factor - 1))
    last = int(asked[-1])
    even = np.arange(min(start, last) + 1)
    if last > start:
        count = int(np.ceil(np.log(last / start) / np.log(factor)))
        later = np.rint(start * np.exp(np.arange(1, count) * np.log(last / start) / count))
        even = np.unique(np.concatenate([even, later.astype(np.int64), [last]]))
    after = np.searchsorted(asked, even)
    neighbours = asked[np.stack([after - 1, after]).clip(0, asked.size - 1)]
    clear = np.min(np.abs(even - neighbours), axis=0) > (factor - 1) * even / 2
    return np.unique(np.concatenate([[0], even[clear], asked]))


class _Stretch(NamedTuple):
    """One stretch of the grid: its length, that of the one before, and C(h, 2), ..., C(h, 5)."""

    length: Float[Array, "*steps"]
    before: Float[Array, "*steps"]
    binomials: Float[Array, "*steps 4"]


def _stretches(grid: Int[np.ndarray, " grid"]) -> _Stretch:
    length = np.diff(grid).astype(float)
    before = np.concatenate([[1.0], length[:-1]])
    binomials = [length * (length - 1) / 2]
    for order in (3, 4, 5):
        binomials.append(binomials[-1] * (length - order + 1) / order)
    return _Stretch(*(jnp.asarray(x) for x in (length, before, np.stack(binomials, axis=1))))


class _Nodes(NamedTuple):
    """The deficits p, their inverses and absolute values."""

    deficits: Nodes
    inverse: Nodes
    size: Float[Array, " nodes"]


def _sums(nodes: _Nodes, decay: Nodes, stretch: _Stretch) -> tuple[Nodes, Nodes, Nodes]:
    """s_0, s_1 and s_2, given q^h - 1."""
    p, inverse, size = nodes
    c2, c3, c4, c5 = as_complex(stretch.binomials)
    near = size * stretch.length < _SERIES
    s0 = -decay * inverse
    s1 = jnp.where(near, c2 - p * (c3 - p * c4), (as_complex(stretch.length) - s0) * inverse)
    s2 = jnp.where(near, c3 - p * (c4 - p * c5), (c2 - s1) * inverse)
    return s0, s1, s2


def _expm1(exponent: Nodes) -> Nodes:
    """exp(x + iy) - 1 without cancellation: with E = e^x - 1 and S = sin(y/2), C = cos(y/2),
    E - 2 S^2 (1 + E) + 2i (1 + E) S C."""
    grown, half = jnp.expm1(exponent.real), exponent.imag / 2
    sine, cosine = jnp.sin(half), jnp.cos(half)
    turned = 2 * (1 + grown) * sine
    return lax.complex(grown - turned * sine, turned * cosine)


class _State(NamedTuple):
    amplitudes: Complex[Array, " nodes"]
    risk: Scalar
    slope: Scalar


def solve(sums: ExponentialSums, grid: Int[np.ndarray, " grid"]) -> Float[Array, " grid"]:
    """The risk P at every point of the grid.

    **Arguments:** `sums`; `grid`, of `time_grid`, static.

    **Returns:** P(r), label noise included. With 60 points a decade the relative error is about
    1e-6, and falls with the third power of the spacing.

    **Source:** the equation is that of 2405.15074; the method is derived at the head of the module.

    **Limits:** without the kernel `forcing`; on the grid 0, 1, 2, ... the recursion itself, exact.
    """

    def advance(state: _State, stretch: _Stretch) -> tuple[_State, Scalar]:
        h = stretch.length
        decay = _expm1(as_complex(h) * sums.logs)
        s0, s1, s2 = _sums(nodes, decay, stretch)

        def total(values: Nodes) -> Scalar:
            return jnp.sum((sums.kernel * values).imag)

        # P(r + i) = P + i slope + i (i - h) bend, slope = (P(r+h) - P)/h,
        # bend = (slope - slope before)/(h + h before), and i (i - h) = 2 C(i, 2) + (1 - h) i.
        level, linear = total(s0), total(s1)
        bend = (2 * total(s2) + (1 - h) * linear) / (h + stretch.before)
        carried = state.amplitudes + decay * state.amplitudes
        known = sums.least_risk + jnp.sum(carried.imag) + level * state.risk - bend * state.slope
        share = (linear + bend) / h
        risk = (known - share * state.risk) / (1 - share)
        slope = (risk - state.risk) / h
        curvature = (slope - state.slope) / (h + stretch.before)
        weights = as_complex(jnp.stack([state.risk, slope + (1 - h) * curvature, 2 * curvature]))
        moved = carried + sums.kernel * (weights[0] * s0 + weights[1] * s1 + weights[2] * s2)
        return _State(moved, risk, slope), risk

    nodes = _Nodes(sums.deficits, 1 / sums.deficits, jnp.abs(sums.deficits))
    first = sums.least_risk + jnp.sum(sums.forcing.imag)
    start = _State(sums.forcing, first, jnp.zeros_like(first))
    _, risks = lax.scan(advance, start, _stretches(grid))
    return jnp.concatenate([first[None], risks])


def sums_of_modes(modes: Modes, rate: Scalar, batch_size: Count) -> ExponentialSums:
    """F and K given the features, in the form that `solve` takes: real nodes, imaginary weights.

    **Arguments:** `modes`, with the label noise in `least_risk`; `rate` g; `batch_size` B.

    **Limits:** the risk is that of `moments.risk_in_closed_form`, to the error of the grid and
    without its eigendecomposition.
    """
    deficit, source = coefficients(modes.eigenvalues, rate, batch_size)
    # Padded modes have nothing to tell: any deficit will do.
    safe = as_complex(jnp.where(deficit == 0, 1.0, deficit))
    zero = jnp.zeros_like(deficit)
    return ExponentialSums(
        deficits=safe,
        logs=log_of_one_minus(safe),
        forcing=lax.complex(zero, modes.targets**2),
        kernel=lax.complex(zero, source),
        least_risk=modes.least_risk,
        kernel_norm=jnp.sum(source / safe.real),
    )
