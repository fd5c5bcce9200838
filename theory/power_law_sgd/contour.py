"""The deterministic equivalent of the feature kernel on an explicit contour.

For features W (v x d) with entries N(0, 1/d) the resolvent of A A' = D^(1/2) W W' D^(1/2) is close
to a diagonal one,

    (A A' - z)^-1 ~ diag(1/(l_j m - z)),   m + (1/d) sum_j l_j m/(l_j m - z) = 1.

In the variable w = z/m the self-consistent equation has no unknown left:

    m(w) = 1 - (1/d) sum l/(l - w),   z = w m,   dz/dw = 1 - (1/d) sum (l/(l - w))^2,

and 1/(l m - z) = 1/(m (l - w)). The spectrum of the equivalent, apart from its atom at 0, lies
between the images E- < E+ of the two real points where dz/dw = 0: w- in (-kappa, 0) and w+ > max l.
The pole at 0 is the image of w = -kappa, with sum l/(l + kappa) = d. An integral around the
spectrum is, by symmetry, 1/pi times the imaginary part of one in the upper half plane of w, from
any point of (-kappa, 0) to any point right of max l. We take w- and w+, the saddle points, where
the integrands of late times decay at once: a ray from w- to the height H, a straight line across, a
vertical drop to w+. Gauss-Legendre panels are geometric towards both ends.

The contour has to keep |q(z)| <= 1, q the factor of one step of SGD, and be above the
preimage of the spectrum, whose height is at most sqrt(sum l^2/d).

| here | symbol | Paquette 2405.15074 |
|---|---|---|
| num_parameters | d | d |
| effective_ridge | kappa | d^(-2 alpha)/kappa(v/d) |
| companion m | m | m(z) |
| point w | z/m | - |
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Complex, Float, Int

from scalinglab.models.spectra import Spectrum

Scalar = Float[Array, ""]
Points = Complex[Array, " points"]

_NODES = 16
_BISECTIONS = 64
_FIRST_PANEL = 0.01


def as_complex(values: Float[Array, "..."]) -> Complex[Array, "..."]:
    """The same numbers as complex ones."""
    return lax.complex(values, jnp.zeros_like(values))


class Shape(NamedTuple):
    """How the contour runs; results do not depend on it beyond rounding.

    `angle` of the ray in radians, between pi/4, below which the ray leaves w- uphill, and pi/2;
    `height` H, times the least that is clear of the spectrum where that is more; `panels`, of 16
    nodes each, along the ray, across and down.
    """

    angle: float = 0.9
    height: float = 0.3
    panels: tuple[int, int, int] = (32, 8, 10)


DEFAULT_SHAPE = Shape()


class Contour(NamedTuple):
    """Points w of the upper half plane and the complex weights dw of an integral left to right."""

    points: Points
    weights: Points


class Resolved(NamedTuple):
    """What the integrands need at points w: `m`, `z`, `slope` dz/dw, `trace` sum l/(l - w), and
    `target`, sum t/(l - w) less the anchor times m."""

    m: Points
    z: Points
    slope: Points
    trace: Points
    target: Points


def spectral_ends(spectrum: Spectrum, num_parameters: Scalar, kappa: Scalar) -> Float[Array, " 2"]:
    """w- < 0 and w+ > max l, the real roots of sum (l/(l - w))^2 = d outside the eigenvalues.

    The sum is monotone on either side. Brackets: at -kappa it is below d, and the n modes at or
    above l alone give d at -l (sqrt(n/d) - 1); on the right the largest mode alone gives d at
    max l (1 + 1/sqrt d), all of them together at most at max l + sqrt(sum l^2/d).
    """
    values, counts = spectrum.eigenvalues, spectrum.multiplicities
    square = jnp.sum(counts * values**2)
    top = jnp.max(jnp.where(counts > 0, values, 0.0))
    modes = jnp.maximum(spectrum.counts / num_parameters, 0.0)
    bound = jnp.max(values * (jnp.sqrt(modes) - 1))

    def excess(point: Scalar) -> Scalar:
        return jnp.sum(counts * (values / (values - point)) ** 2) - num_parameters

    left = _root(lambda x: excess(-x), jnp.minimum(jnp.maximum(bound, 1e-6 * kappa), kappa), kappa)
    step = top / jnp.sqrt(num_parameters)
    wide = jnp.sqrt(square / num_parameters)
    right = _root(lambda x: excess(top + x), step / 2, jnp.maximum(wide, step))
    # At its ends dz/dw = 0, so that to first order z(w) at a fixed w is how an edge moves.
    return lax.stop_gradient(jnp.stack([-left, top + right]))


def _root(decreasing, low: Scalar, high: Scalar) -> Scalar:
    """The zero of a decreasing function on [low, high] > 0, by bisection in the logarithm."""

    def halve(_: Int[Array, ""], interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
        below, above = interval
        middle = (below + above) / 2
        positive = decreasing(jnp.exp(middle)) > 0
        return jnp.where(positive, middle, below), jnp.where(positive, above, middle)

    start = jnp.log(low), jnp.log(high)
    below, above = lax.fori_loop(0, _BISECTIONS, halve, start)
    return jnp.exp((below + above) / 2)


def contour_of(
    spectrum: Spectrum,
    num_parameters: Scalar,
    ends: Float[Array, " 2"],
    largest: tuple[Scalar, Scalar],
    shape: Shape,
) -> Contour:
    """The contour, a constant under differentiation: integrals do not depend on it.

    **Arguments:** `spectrum` of the data; `num_parameters` d; `ends` w- and w+; `largest`, E+ and
    the z at which |q| passes 1, which limit the height; `shape`.
    """
    spectrum, num_parameters, ends, largest = lax.stop_gradient(
        (spectrum, num_parameters, ends, largest)
    )
    (left, right), (edge, limit) = ends, largest
    clear = jnp.sqrt(jnp.sum(spectrum.multiplicities * spectrum.eigenvalues**2) / num_parameters)
    height = shape.height * jnp.maximum(1.0, 1.1 * clear / 0.3)
    room = edge * (limit - edge)
    height = jnp.where(
        room > 0, jnp.minimum(height, 0.7 * jnp.sqrt(jnp.maximum(room, 1e-12))), height
    )
    ray_panels, across_panels, drop_panels = shape.panels
    length, weight = _geometric(-_FIRST_PANEL * left, height / np.sin(shape.angle), ray_panels)
    cos, sin = np.cos(shape.angle), np.sin(shape.angle)
    first = _FIRST_PANEL * jnp.minimum(10 * (right - 1), 50 * height)
    down, down_weight = _geometric(first, height, drop_panels)
    across, across_weight = _gauss(
        jnp.linspace(left + cos / sin * height, right, across_panels + 1)
    )
    level, flat = jnp.full_like(across, height), jnp.zeros_like(across)
    points = [
        lax.complex(left + length * cos, length * sin),
        lax.complex(across, level),
        lax.complex(jnp.full_like(down, right), down),
    ]
    weights = [
        lax.complex(weight * cos, weight * sin),
        lax.complex(across_weight, flat),
        lax.complex(jnp.zeros_like(down), -down_weight),
    ]
    return Contour(jnp.concatenate(points), jnp.concatenate(weights))


def _geometric(first: Scalar, last: Scalar, panels: int) -> tuple[Array, Array]:
    """Nodes and weights on [0, last]: a first panel, then panels of equal length in the log."""
    start, start_weight = _gauss(jnp.stack([jnp.zeros_like(first), first]))
    log, weight = _gauss(jnp.linspace(jnp.log(first), jnp.log(last), panels + 1))
    rest = jnp.exp(log)
    return jnp.concatenate([start, rest]), jnp.concatenate([start_weight, weight * rest])


def _gauss(edges: Float[Array, " edges"]) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    half, middle = jnp.diff(edges) / 2, (edges[1:] + edges[:-1]) / 2
    place = middle[:, None] + half[:, None] * jnp.asarray(nodes)[None, :]
    return place.ravel(), (half[:, None] * jnp.asarray(weights)[None, :]).ravel()


def resolve(
    spectrum: Spectrum, num_parameters: Scalar, points: Points, anchor: Scalar | None = None
) -> Resolved:
    """m, z, dz/dw and the sums over modes at each point w, none of them on an eigenvalue.

    **Arguments:** `spectrum` of the data; `num_parameters` d; `points` w; `anchor`, the sum of t/l
    where it converges, else 0. The forcing function is the integral of (sum t/(l - w))/m; where
    beta > 1/2 most of the numerator is the anchor, and a constant times the integral of a
    polynomial of z is real. With the anchor times m taken out nothing has to cancel:
    sum t/(l - w) - anchor m = w sum (t/l)/(l - w) + (anchor/d) sum l/(l - w).
    """
    values, counts = spectrum.eigenvalues, spectrum.multiplicities
    power = spectrum.target_power
    constant = jnp.zeros(()) if anchor is None else anchor
    anchored = constant > 0
    numerator = counts * jnp.where(anchored, power / values, power)

    def at(point: Complex[Array, ""]) -> tuple[Array, Array, Array]:
        # 1/(l - w) in real arithmetic: every other factor is real.
        gap = values - point.real
        size = gap**2 + point.imag**2
        real, imag = gap / size, point.imag / size
        once, twice = counts * values, counts * values**2
        return (
            lax.complex(jnp.sum(once * real), jnp.sum(once * imag)),
            lax.complex(jnp.sum(twice * (real**2 - imag**2)), jnp.sum(2 * twice * real * imag)),
            lax.complex(jnp.sum(numerator * real), jnp.sum(numerator * imag)),
        )

    trace, squared, target = lax.map(at, points, batch_size=_NODES)
    m = 1 - trace / num_parameters.astype(trace.dtype)
    share = (constant / num_parameters).astype(trace.dtype)
    target = jnp.where(anchored, points * target + share * trace, target)
    slope = 1 - squared / num_parameters.astype(trace.dtype)
    return Resolved(m, points * m, slope, trace, target)
