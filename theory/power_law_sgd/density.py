"""The spectrum of the deterministic equivalent on the real axis, as nodes of a quadrature.

Momentum makes modes oscillate, exp(i t sqrt(g_3 z)), and off the real axis such terms grow, so that
the contour is of no use. On the real axis z(w) = w m(w) is real: at every modulus rho of w there is
one angle phi with

    (1/d) sum l^2/|l - w|^2 = 1,   w = rho e^(i phi),

since the sum falls with phi. In c = cos phi it is h(c) = (1/d) sum l^2/(l^2 + rho^2 - 2 l rho c), a
sum of simple poles beyond 1, so that 1/h is concave and falling and Newton's steps for 1/h = 1 from
c = 1 never pass the root. Where h(1) < 1 there is a gap. The density of eigenvalues and of the
target follow from the resolvent,

    dn = Im(sum l/(l - w)) dz/(pi z),   drho = Im(sum t/(l - w)/m) dz/pi,
    dz = |z'|^2 d rho/Re(e^(-i phi) conj z').

Small j have bands of their own, of relative width 2/sqrt d about l_j, which merge where j is about
alpha sqrt d. Up to twice that there is one cell about each l_j, between the geometric means with
its neighbours, cut to where h(1) > 1 and integrated by Gauss-Legendre nodes in the angle theta of
rho = middle + half cos theta, which is right for the square root at an edge and for a smooth
density alike. Below, panels in log rho run to the lower edge, with a square root taken out of the
last.

A node of n eigenvalues then is a mode with n times the noise source. What is exact for the density
(moments, total mass d) is so to the quadrature's error.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Shaped

from scalinglab.models.power_law_sgd.schedules import Update
from scalinglab.models.power_law_sgd.stability import momentum_matrices
from scalinglab.models.spectra import Spectrum
from scalinglab.theory.random_features import effective_ridge

from .contour import resolve, spectral_ends
from .equivalent import Problem, Scalar

# beartype takes no int for a float.
Real = float | int
Updates = Callable[[Shaped[Array, ""]], Update]

_NEWTON = 12
_BISECTIONS = 40
_PANEL_NODES = 16


class Density(NamedTuple):
    """Nodes of the spectrum: `eigenvalues` z, `multiplicities` n, and `target` rho_j(0) summed over
    the n; `least_risk`, label noise included."""

    eigenvalues: Float[Array, " nodes"]
    multiplicities: Float[Array, " nodes"]
    target: Float[Array, " nodes"]
    least_risk: Scalar


def num_bands(alpha: Real, num_parameters: Real, ambient_dimension: Real) -> int:
    """How many of the first modes get a cell of their own: 2 alpha sqrt d, twice the merger."""
    return int(min(np.ceil(2 * alpha * np.sqrt(num_parameters)), ambient_dimension // 2))


def spectral_density(
    problem: Problem, *, bands: int, band_nodes: int = 6, panels: int = 12
) -> Density:
    """The spectrum of the deterministic equivalent as nodes, from the largest down.

    **Arguments:** `problem`, whose spectrum starts with `bands` + 1 single modes and is exact for
    j up to about d (`mode_sums.data_spectrum` with `exact`); `bands`, of `num_bands`, static;
    `band_nodes` of each; `panels` of 16 nodes below.

    **Returns:** `Density` with `bands * band_nodes + panels * 16` nodes.

    **Source:** derived at the head of the module; the equivalent is that of 2405.15074.
    """
    spectrum, d = problem.spectrum, problem.num_parameters
    kappa = effective_ridge(spectrum, jnp.full((), jnp.inf), d, jnp.zeros(()))
    left, right = spectral_ends(spectrum, d, kappa)
    values = spectrum.eigenvalues
    bounds = jnp.sqrt(values[:bands] * values[1 : bands + 1])
    tops = jnp.concatenate([right[None], bounds])
    radii, weights = _cells(problem, tops, values[:bands], nodes=band_nodes)
    low_radii, low_weights = _tail(tops[-1], -left, panels, from_edge=bands == 0)
    radii, weights = jnp.concatenate([radii, low_radii]), jnp.concatenate([weights, low_weights])
    cosine = lax.map(lambda radius: _cosine(spectrum, d, radius), radii, batch_size=_PANEL_NODES)
    sine = jnp.sqrt(jnp.maximum(1 - cosine**2, 0))
    at = resolve(spectrum, d, lax.complex(radii * cosine, radii * sine))
    turned = cosine * at.slope.real - sine * at.slope.imag
    measure = weights * (at.slope.real**2 + at.slope.imag**2) / turned / jnp.pi
    inside = sine > 0
    eigenvalues = at.z.real
    filtered = spectrum.target_power * (kappa / (values + kappa))
    return Density(
        eigenvalues,
        jnp.where(inside, at.trace.imag * measure / eigenvalues, 0.0),
        jnp.where(inside, (at.target / at.m).imag * measure, 0.0),
        jnp.sum(spectrum.multiplicities * filtered) + problem.noise_variance,
    )


def _excess(spectrum: Spectrum, d: Scalar, radius: Scalar) -> Scalar:
    """h(1) - 1."""
    ratio = spectrum.eigenvalues / (spectrum.eigenvalues - radius)
    return jnp.sum(spectrum.multiplicities * ratio**2) / d - 1


def _cosine(spectrum: Spectrum, d: Scalar, radius: Scalar) -> Scalar:
    """cos phi at one modulus: 1 in a gap."""
    values, counts = spectrum.eigenvalues, spectrum.multiplicities
    squares = values**2

    def step(_: Array, cosine: Scalar) -> Scalar:
        gap = (values - radius) ** 2 + 2 * values * radius * (1 - cosine)
        once = squares / gap
        total = jnp.sum(counts * once) / d
        slope = jnp.sum(counts * once * (2 * values * radius / gap)) / d
        # Newton for 1/h - 1, whose slope is -h'/h^2.
        return cosine - (1 - 1 / total) * total**2 / slope

    found = lax.fori_loop(0, _NEWTON, step, jnp.ones(()))
    return jnp.clip(found, -1.0, 1.0)


def _cells(
    problem: Problem, tops: Float[Array, " edges"], centres: Float[Array, " bands"], *, nodes: int
) -> tuple[Array, Array]:
    """Moduli and weights of the cells, each cut to its band."""
    spectrum, d = problem.spectrum, problem.num_parameters

    def edge(inner: Scalar, outer: Scalar) -> Scalar:
        """Where h(1) = 1 between a mode and the end of its cell; that end where there is none."""
        merged = _excess(spectrum, d, outer) >= 0

        def halve(_: Array, interval: tuple[Scalar, Scalar]) -> tuple[Scalar, Scalar]:
            near, far = interval
            middle = (near + far) / 2
            inside = _excess(spectrum, d, middle) > 0
            return jnp.where(inside, middle, near), jnp.where(inside, far, middle)

        near, far = lax.fori_loop(0, _BISECTIONS, halve, (inner, outer))
        return jnp.where(merged, outer, (near + far) / 2)

    def cell(bounds: Float[Array, " 3"]) -> tuple[Array, Array]:
        top, centre, bottom = bounds
        return edge(centre, top), edge(centre, bottom)

    if centres.size == 0:
        return jnp.zeros(0), jnp.zeros(0)
    triples = jnp.stack([tops[:-1], centres, tops[1:]], axis=1)
    high, low = lax.map(cell, triples, batch_size=_PANEL_NODES)
    points, weights = np.polynomial.legendre.leggauss(nodes)
    angle, share = np.pi / 2 * (points + 1), np.pi / 2 * weights
    half, middle = (high - low) / 2, (high + low) / 2
    radii = middle[:, None] + half[:, None] * jnp.asarray(np.cos(angle))[None, :]
    sized = half[:, None] * jnp.asarray(np.sin(angle) * share)[None, :]
    return radii.ravel(), sized.ravel()


def _tail(top: Scalar, bottom: Scalar, panels: int, *, from_edge: bool) -> tuple[Array, Array]:
    """Moduli and weights from `top` to the lower edge, even in the log but for the ends.

    With x in [0, 1], log rho = log top - x^2 (3 - 2x) log(top/bottom) has a zero slope at both
    ends; where the top is no edge, 1 - (1 - x)^2 at the lower one alone.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_PANEL_NODES)
    place = (np.arange(panels)[:, None] + (nodes[None, :] + 1) / 2).ravel() / panels
    share = np.tile(weights / 2, panels) / panels
    depth = place**2 * (3 - 2 * place) if from_edge else 1 - (1 - place) ** 2
    slope = 6 * place * (1 - place) if from_edge else 2 * (1 - place)
    span = jnp.log(top / bottom)
    radii = top * jnp.exp(-jnp.asarray(depth) * span)
    return radii, radii * span * jnp.asarray(slope * share)


def risk_by_density(
    density: Density, updates: Updates, num_steps: int, batch_size: Scalar
) -> Float[Array, " times"]:
    """The risk after 0, 1, ..., `num_steps` steps, for any schedule and momentum.

    **Arguments:** `density`; `updates`, the coefficients of step t = 0, 1, ... as a function of t
    (`models.power_law_sgd.update_of`); `num_steps` >= 0; `batch_size` B.

    **Returns:** (num_steps + 1,) risks, label noise included.

    **Source:** the three-moment recursion of `momentum` with n_k modes a node.

    **Limits:** at a constant rate without momentum, `volterra.solve`.
    """

    def one(moments: Array, step: Array) -> tuple[Array, Scalar]:
        risk = jnp.sum(moments[:, 0]) + density.least_risk
        matrices, sources = momentum_matrices(density.eigenvalues, updates(step), batch_size)
        noise = sources * density.multiplicities[:, None] * risk
        return jnp.sum(matrices * moments[:, None, :], axis=2) + noise, risk

    nothing = jnp.zeros_like(density.target)
    start = jnp.stack([density.target, nothing, nothing], axis=1)
    last, risks = lax.scan(one, start, jnp.arange(num_steps))
    return jnp.append(risks, jnp.sum(last[:, 0]) + density.least_risk)
