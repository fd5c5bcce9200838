"""SGD on power-law random features: the eigenbasis program against SGD in all v dimensions.

Command: OPENBLAS_NUM_THREADS=1 python benchmarks/power_law_sgd.py [--steps 2000] [--repeats 7]

The same work on both sides, in one process: the risk after 20 recorded steps of one-pass SGD at
batch size 1, v = 1600, d = 400, in float32. The peer is what the authors run, a `lax.scan` over
samples drawn in v dimensions and pushed through the features, v d multiply-adds there and v d
back; ours is exact in law at about 6 d operations and d + 1 normal deviates. Three pairs:

    1 against 1         one run on each side
    64 against 1        64 runs in one program, against the peer's runs one at a time
    16 against 16       16 runs of the peer in one program too, where it is a matrix product

The pairs are timed in turn and the medians of the ratios are printed, in wall-clock and in CPU
seconds, since the latter hold on a shared machine. Cold adds tracing and compiling without a cache;
set-up is the draw of the features and, on our side, their factorisation, once a lane. The limit is
the time of the same normal deviates alone, drawn by the same calls in the same loop.

Then the theory, in float64: the Volterra equation over the contour on a geometric grid, against the
same F and K summed term by term, O(T^2), and against F from Newton's method for the resolvent at
10^4 points of a uniform grid in z, each from the solution at the last; and 1e8 steps at d = 1e8.

By default on two cores, JAX 0.10.2, seconds of wall a step and run: 34 times (27 to 37 over seven
repeats), 34 (28 to 46) and 5.5 (4.1 to 6.4) for the three pairs, deviates 74, 52 and 59 % of ours;
then .021 s (cold 1.6 s) for 1e8 steps at d = 1e8, Volterra 216 times, Newton 58 times. XLA cuts
each kernel into tasks for a pool of PJRT_NPROC threads; a pool much larger than the machine makes
small kernels several times slower on both sides, and most on ours.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax import lax

from scalinglab.models.power_law_sgd import Config
from scalinglab.models.power_law_sgd.direct import regression_of, run_directly
from scalinglab.models.power_law_sgd.simulate import State, advance, finish, start
from scalinglab.models.power_law_sgd.steps import stage_shape
from scalinglab.theory import power_law_sgd as theory


class Seconds(NamedTuple):
    """Wall-clock and CPU time of one call."""

    wall: float
    cpu: float


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[Seconds, Any]:
    """One call, waited for."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = jax.block_until_ready(call(*arguments))
    return Seconds(time.perf_counter() - wall, time.process_time() - cpu), result


def ours(config: Config) -> Callable[[State, Any], Any]:
    """All steps of all runs in the eigenbasis, on modes that are given."""

    def run(state: State, key: Any) -> Any:
        def stage(number: Any, state: State) -> State:
            return advance(config, state, number, key=key)

        count = jnp.int32(stage_shape(config.num_steps)[0])
        last = lax.fori_loop(jnp.int32(0), count, stage, state)
        return finish(config, last, key=key)["run_risk"]

    return jax.jit(run)


def peer(config: Config) -> Callable[[Any, Any], Any]:
    """All steps of all runs in the v dimensions, on features that are given."""
    return jax.jit(lambda regression, key: run_directly(config, regression, key=key)["run_risk"])


def deviates(config: Config) -> Callable[[Any], Any]:
    """The normal deviates of our steps alone."""

    def run(key: Any) -> Any:
        def body(total: Any, step: Any) -> tuple[Any, None]:
            shape = (config.runs, config.num_parameters + 1)
            # All of them are summed, or XLA might leave out those that nobody reads.
            made = jr.normal(jr.fold_in(key, step), shape, config.dtype)
            return total + jnp.sum(made, axis=1), None

        zero = jnp.zeros(config.runs, config.dtype)
        return lax.scan(body, zero, jnp.arange(config.num_steps))[0]

    return jax.jit(run)


class Side(NamedTuple):
    """A compiled program with its first argument and its number of runs."""

    name: str
    call: Callable[[Any], Any]
    runs: int
    cold: Seconds


def side(name: str, function: Callable[..., Any], first: Any, runs: int) -> Side:
    """Compiles and runs once."""
    call = function if first is None else lambda key: function(first, key)
    cold, _ = timed(call, jr.key(99))
    return Side(name, call, runs, cold)


def compare(one: Side, other: Side, limit: Side, steps: int, repeats: int) -> list[np.ndarray]:
    """Prints the medians of the pair and the share of the limit; returns the risks of both."""
    rows, risks = [], [[], []]
    for repeat in range(repeats):
        key = jr.key(repeat)
        found = [timed(each.call, key) for each in (one, other, limit)]
        rows.append([seconds for seconds, _ in found])
        for kept, (_, risk) in zip(risks, found, strict=False):
            kept.append(np.asarray(risk)[:, -1])
    print(f"{one.name} against {other.name}")
    for clock in ("wall", "cpu"):
        each = [[getattr(row[i], clock) for row in rows] for i in range(3)]
        micro = [
            1e6 * statistics.median(times) / steps / s.runs
            for times, s in zip(each, (one, other, limit), strict=True)
        ]
        ratios = [b / other.runs / (a / one.runs) for a, b in zip(each[0], each[1], strict=True)]
        shares = [b / a for a, b in zip(each[0], each[2], strict=True)]
        print(
            f"  {clock:4}  {micro[0]:7.2f} against {micro[1]:8.2f} us a step and run:"
            f"  {statistics.median(ratios):5.1f} times ({min(ratios):.1f} to {max(ratios):.1f});"
            f"  deviates {statistics.median(shares):4.0%} of ours"
        )
    print(f"  cold  {one.cold.cpu:.1f} against {other.cold.cpu:.1f} CPU s")
    return [np.concatenate(kept) for kept in risks]


def equivalent_at(steps: int, size: float) -> Callable[..., Any]:
    """The contour and the risk up to `steps` at alpha = .75, beta = .25, v = 4 d."""
    grid = theory.time_grid([steps])

    def run(gamma0: Any) -> Any:
        problem = theory.power_law_problem(0.75, 0.25, size, 4 * size, gamma0=gamma0)
        found = theory.deterministic_equivalent(problem)
        return theory.solve(found.sums, grid), problem.rate, found

    return jax.jit(run)


def term_by_term(forcing: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """P(r) = F(r) + sum_{s<r} K(r-1-s) P(s)."""
    risk, turned = np.empty_like(forcing), kernel[::-1].copy()
    for r in range(risk.size):
        risk[r] = forcing[r] + turned[turned.size - r :] @ risk[:r]
    return risk


def newton_on_a_grid(size: int, points: int) -> Callable[..., Any]:
    """The target's density on a uniform grid from the lower edge up, by Newton's method in m(z)."""
    index = jnp.arange(1, 4 * size + 1, dtype=jnp.float64)
    values, power = index**-1.5, index**-2.0

    def run(edges: Any) -> Any:
        z = jnp.linspace(edges[1], edges[0], points)

        def at(guess: Any, place: Any) -> tuple[Any, Any]:
            point = lax.complex(place, jnp.full_like(place, 1e-5))

            def step(_: Any, m: Any) -> Any:
                resolvent = 1 / (values * m - point)
                first = jnp.sum(values * resolvent) / size
                second = jnp.sum(values * resolvent**2) / size
                return m - (m + m * first - 1) / (1 - point * second)

            m = lax.fori_loop(0, 8, step, guess)
            return m, jnp.sum(power / (values * m - point)).imag / jnp.pi

        density = lax.scan(at, jnp.complex128(1 + 0.1j), z)[1]
        return z, density

    return jax.jit(run)


def benchmark_theory(repeats: int) -> None:
    """Prints the times of the theory and of its two peers, and how far they are apart."""

    def best(call: Callable[..., Any], *arguments: Any) -> tuple[Seconds, Any, Seconds]:
        cold, _ = timed(call, *arguments)
        found = [timed(call, *arguments) for _ in range(repeats)]
        return min(seconds for seconds, _ in found), found[0][1], cold

    half = jnp.float64(0.5)
    for steps, size in ((10**8, 1e8), (20_000, 200.0)):
        warm, (risk, rate, found), cold = best(equivalent_at(steps, size), half)
        print(
            f"equivalent, d {size:.0e}, {steps:.0e} steps: {warm.wall:.3f} s, cold {cold.wall:.1f}"
        )
    times = jnp.arange(steps + 1.0)
    curves = [
        np.concatenate([jax.jit(f)(found.sums, part) for part in jnp.array_split(times, 40)])
        for f in (theory.forcing, theory.kernel)
    ]
    solved = jax.jit(lambda sums: theory.solve(sums, theory.time_grid([steps])))
    ours_time, _, _ = best(solved, found.sums)
    direct_time, direct = timed(term_by_term, *curves)
    off = np.max(np.abs(risk / direct[theory.time_grid([steps])] - 1))
    print(
        f"Volterra, {steps} steps: {ours_time.wall:.3f} s against {direct_time.wall:.3f} s term by "
        f"term: {direct_time.wall / ours_time.wall:.0f} times; apart by {off:.0e}"
    )
    shape, _, _ = best(
        jax.jit(theory.deterministic_equivalent),
        theory.power_law_problem(0.75, 0.25, 200.0, 800.0, gamma0=0.5),
    )
    newton_time, (z, density), _ = best(newton_on_a_grid(200, 10_000), found.edges)
    deficit = 2 * rate * z * (1 - rate * z)
    off = []
    for r in (0, 100, 10_000):
        grid = -jnp.trapezoid(density * jnp.exp(r * jnp.log1p(-deficit)), z)
        off.append(abs(float((grid + found.sums.least_risk) / curves[0][r] - 1)))
    print(
        f"F and K, d 200: {shape.wall:.3f} s against {newton_time.wall:.3f} s for F by Newton on a "
        f"grid: {newton_time.wall / shape.wall:.0f} times; F(0), F(1e2), F(1e4) of the grid off by "
        + ", ".join(f"{x:.0e}" for x in off)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    simulate(options.steps, options.repeats)
    jax.config.update("jax_enable_x64", val=True)
    benchmark_theory(options.repeats)


def simulate(steps: int, repeats: int) -> None:
    """Prints the three pairs of simulations."""
    base = {
        "alpha": 1.0,
        "beta": 0.3,
        "num_parameters": 400,
        "ambient_dimension": 1600,
        "num_steps": steps,
        "records": 20,
        "dtype": "float32",
    }
    configs = {runs: Config(runs=runs, **base) for runs in (1, 16, 64)}
    key = jr.key(0)
    threads = os.environ.get("PJRT_NPROC", os.cpu_count())
    print(f"v 1600, d 400, {steps} steps, float32; {threads} XLA threads")
    states = {}
    for name, make in (
        ("features", lambda: jax.jit(regression_of)(configs[1], key=key)),
        ("features and their factorisation", lambda: jax.jit(start)(configs[64], key=key)),
    ):
        timed(make)
        seconds, _ = timed(make)
        print(f"set-up, {name}: {seconds.wall:.3f} s, {seconds.cpu:.3f} CPU s")
    regression = jax.jit(regression_of)(configs[1], key=key)
    states = {runs: jax.jit(start)(config, key=key) for runs, config in configs.items()}
    mine = {
        runs: side(f"{runs}", ours(config), states[runs], runs) for runs, config in configs.items()
    }
    theirs = {runs: side(f"{runs}", peer(configs[runs]), regression, runs) for runs in (1, 16)}
    limits = {runs: side("", deviates(config), None, runs) for runs, config in configs.items()}
    for one, other in ((1, 1), (64, 1), (16, 16)):
        risks = compare(mine[one], theirs[other], limits[one], steps, repeats)
    ends = [np.mean(risk) for risk in risks]
    error = np.sqrt(sum(np.var(risk) / risk.size for risk in risks))
    print(f"last risk {ends[0]:.4f} against {ends[1]:.4f}, {(ends[0] - ends[1]) / error:+.1f} s.e.")


if __name__ == "__main__":
    main()
