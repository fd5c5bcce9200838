"""The (alpha, beta) plane of compute-optimal exponents, with measured points on two cuts.

Command: scalinglab run phase-diagram [--size smoke|default|paper]
Cost: smoke 30 s, default about two minutes on two CPU cores, paper about 15 minutes on one GPU.

Each phase is where another pair of components balances at the best size. The table of exponents is
held against the plain minimum over sizes of the largest component on a grid of points; and two cuts
through the plane, alpha = 0.7 (Ia, II, III) and beta = 1 (Ic, IVb, IVa), are measured with SGD. The
exponent xi jumps at alpha = 1 - 1/sqrt 2 for beta > 1/2, where the noise of SGD does not depend on
d at a given compute; at any finite size the jump is a slow crossover.

Expected at size default: the brute-force envelope within its grid step of the table; every xi and
eta of SGD within 1.8 standard errors (.03 to .06 and .01 to .02) of the equivalent in the window,
against margins of the equivalent's own finite-size error; across the jump the equivalent with d* up
to 5e5 changes xi by -.005 where the table has .13.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float64

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.theory import power_law_sgd as theory
from scalinglab.theory.power_law_sgd.phases import JUMP

from .compute_optimal import GAMMA0, Optimal, margin, optimal
from .ladders import ladder_sweep, ladders
from .phase_curves import PAPER

# Cuts through the plane.
ALPHA, BETAS = 0.7, (0.1, 0.3, 0.6, 0.9, 1.3)
BETA, ALPHAS = 1.0, (0.2, 0.27, 0.35, 0.45)
POINTS = (*((ALPHA, beta) for beta in BETAS), *((alpha, BETA) for alpha in ALPHAS))
# Of the brute force: points of each axis, sizes.
GRID, SHARES = 24, 8001
# Half of the step in alpha across the jump.
ACROSS = 0.01
_DRAWS = 96
_JUMP_LADDER, _JUMP_WINDOW = (300.0, 3e6), (2e3, 5e5)
_LONGEST = 10**11


class _Scale(NamedTuple):
    sizes: tuple[int, ...]
    compute: float
    window: tuple[float, float]
    seeds: int
    runs: int


_SIZES = {
    "smoke": _Scale((8, 12, 16, 24, 32), 2400.0, (10.0, 25.0), 8, 48),
    "default": _Scale((12, 17, 24, 34, 48, 68), 8000.0, (16.0, 45.0), 12, 64),
    "paper": _Scale((45, 64, 91, 128, 181, 256, 362, 512, 724), 3e6, (64.0, 450.0), 32, 16),
}


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """A ladder of sizes at every point of the two cuts."""
    scale = _SIZES[size]
    return {
        "cuts": ladder_sweep(
            POINTS,
            scale.sizes,
            scale.compute,
            gamma0=GAMMA0,
            seeds=scale.seeds,
            runs=scale.runs,
        )
    }


def measured(dataset: xr.Dataset) -> tuple[Optimal, ...]:
    """The exponents at the points of the cuts."""
    found = ladders(dataset, _DRAWS)
    sizes = tuple(rung.size for rung in found[0].rungs)
    window = next(scale.window for scale in _SIZES.values() if scale.sizes == sizes)
    return tuple(optimal(ladder, window) for ladder in found)


class BruteForce(NamedTuple):
    """The minimum over sizes of the largest component, and how far the table is from it.

    **Fields:** `alpha`, `beta` (points,); `xi`, `eta` by brute force; `step`, of log d/log f;
    `worst_xi`, `worst_eta`, the largest deviations of the table.
    """

    alpha: np.ndarray
    beta: np.ndarray
    xi: np.ndarray
    eta: np.ndarray
    step: float
    worst_xi: float
    worst_eta: float


@jax.jit
def _envelope(alpha: Array, beta: Array, shares: Array) -> tuple[Array, Array]:
    """x and -log_f of the least risk over d = f^x, r = f/d."""
    parts = theory.component_exponents(alpha, beta)
    rate = -jnp.maximum(0, 1 - 2 * alpha) * shares
    time = jnp.maximum(1 - shares + rate, 0)
    each = parts.size[:, None] * shares[None, :] + parts.time[:, None] * time[None, :]
    largest = jnp.max(jnp.where(parts.present[:, None] > 0, each, -jnp.inf), axis=0)
    best = jnp.argmin(largest)
    return shares[best], -largest[best]


@lru_cache(maxsize=4)
def brute_force(points: int = GRID) -> BruteForce:
    """The table against the envelope on a grid of the plane, alpha + beta > 1/2."""
    a, b = np.meshgrid(np.linspace(0.06, 1.5, points), np.linspace(-0.25, 2.0, points))
    inside = a + b > 0.52
    alpha, beta = a[inside], b[inside]
    shares = jnp.linspace(0.0, 1.0, SHARES)
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        xi, eta = jax.lax.map(
            lambda at: _envelope(at[0], at[1], shares), (jnp.asarray(alpha), jnp.asarray(beta))
        )
        table = theory.compute_optimal_exponents(jnp.asarray(alpha), jnp.asarray(beta))
    # At the jump itself every size between the two is as good.
    clear = np.abs(alpha - JUMP) > 1e-3
    return BruteForce(
        alpha,
        beta,
        np.asarray(xi),
        np.asarray(eta),
        float(shares[1]),
        float(np.max(np.abs(table.xi - xi)[clear])),
        float(np.max(np.abs(table.eta - eta))),
    )


class Crossover(NamedTuple):
    """xi against alpha at beta = 1: of the table, and of the equivalent in a large window."""

    alpha: Float64[np.ndarray, " alphas"]
    limit: Float64[np.ndarray, " alphas"]
    equivalent: Float64[np.ndarray, " alphas"]


@lru_cache(maxsize=4)
def crossover(alphas: tuple[float, ...]) -> Crossover:
    """The jump of xi in the limit, and what is seen of it with d* = 2e3..5e5."""
    sizes = theory.size_ladder(*_JUMP_LADDER, per_octave=2)
    grid = theory.time_grid([_LONGEST], points_per_decade=25)
    found, limit = [], []
    for alpha in alphas:
        curves = theory.equivalent_curves(alpha, BETA, sizes, grid, gamma0=0.5)
        frontier = theory.compute_optimal_frontier(sizes, grid, curves)
        cut = theory.window(frontier, _JUMP_WINDOW)
        found.append(float(theory.frontier_exponents(cut).xi))
        limit.append(float(theory.compute_optimal_exponents(alpha, BETA).xi))
    return Crossover(np.array(alphas), np.array(limit), np.array(found))


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """The table, the measured points, and the jump."""
    brute = brute_force()
    where = f"{len(brute.alpha)} points of the plane"
    source = f"{PAPER}, table 2 and Fig. 2"
    claims = [
        claim(
            "The table of phases is the lower envelope of the four components.",
            source,
            f"largest deviation of {name} from the envelope",
            worst,
            0.0,
            0.0,
            "asymptotic",
            where,
            # The components' slopes in x are at most 7.
            margin=(1.01 if name == "xi" else 7.0) * brute.step,
        )
        for name, worst in (("xi", brute.worst_xi), ("eta", brute.worst_eta))
    ]
    for found in measured(datasets["cuts"]):
        claims += [_point(found, name) for name in ("xi", "eta")]
    return (*claims, *_jump())


def _point(found: Optimal, name: str) -> Claim:
    compute = found.window.equivalent.compute
    return claim(
        "Across the phases the measured exponents follow the equivalent in the same window.",
        f"{PAPER}, Fig. 5",
        f"{name}, {found.name} ({found.ladder.alpha:g}, {found.ladder.beta:g})",
        getattr(found.window.measured, name),
        getattr(found.window.error, name),
        getattr(found.window.predicted, name),
        "deterministic_equivalent",
        f"f = {compute[0]:.3g}..{compute[-1]:.3g}",
        margin=margin(found, name),
    )


def _jump() -> list[Claim]:
    ends = crossover((JUMP - ACROSS, JUMP + ACROSS))
    window = f"alpha = {ends.alpha[0]:.4f} and {ends.alpha[1]:.4f}, beta = {BETA:g}"
    # xi below the jump, (beta - alpha)/(2 beta - alpha - 2 alpha beta), less 1/2.
    exact = (BETA - JUMP) / (2 * BETA - JUMP - 2 * JUMP * BETA) - 0.5
    slope = 2 * ACROSS
    shared = ("xi jumps where the noise does not depend on d at a given compute.", f"{PAPER}")
    return [
        claim(
            *shared,
            "fall of xi across alpha = 1 - 1/sqrt 2, table",
            ends.limit[0] - ends.limit[1],
            0.0,
            exact,
            "asymptotic",
            window,
            margin=slope,
        ),
        claim(
            *shared,
            "fall of xi across alpha = 1 - 1/sqrt 2, equivalent",
            ends.equivalent[0] - ends.equivalent[1],
            0.0,
            exact,
            "asymptotic",
            f"{window}, d* = {_JUMP_WINDOW[0]:g}..{_JUMP_WINDOW[1]:g}",
            margin=slope,
            note="a crossover at any finite size",
        ),
    ]


EXPERIMENT = Experiment(
    name="phase-diagram",
    summary="exponents over the (alpha, beta) plane, measured on two cuts",
    paper="arXiv:2405.15074 Fig. 2, 5",
    cost={"smoke": "30 s", "default": "2 min", "paper": "15 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
