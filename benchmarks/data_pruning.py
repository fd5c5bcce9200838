"""Max-margin problems a second: this project's solver against a quadprog and a scikit-learn loop.

Command: python benchmarks/data_pruning.py [--problems 256] [--repeats 5] [--svc 4]

All sides solve the same problems, in one process: P = 3 N Gaussian rows labelled by a teacher, at
N = 50 and N = 100, float64. Ours is one program over all problems, split over the CPU devices (one
a core) as a sweep is; it is also timed on one device. Peers, one thread each:

- quadprog: solve_qp on the primal, a Python loop;
- SVC: scikit-learn's, linear kernel, C = 1e10, tolerance 1e-6, on the rows and their mirror images
  (x, +1), (-x, -1), whose maximal margin has no bias.

Cold includes tracing and compiling, with no cache on disk; warm is a later call. Each repeat runs
every side once, one after the other, and ratios are taken within a repeat, so that what else the
machine does enters both sides; the median and the range over repeats are printed, of wall seconds
and of CPU seconds (the process, all its threads).

The operations that the algorithm is charged for are, with I interior and E active-set iterations,
I (2 N^2 P + N^3/3) + E (2 N^3 + N^3/3); the program leaves out the quarter of N^2 P that the
symmetry gives. The matrix product that the rate is compared with is the N x P by P x N of the
interior phase, in a loop of its own on one thread.

Last, the theory: a 40 x 40 map of (alpha_tot, f), keep-hard, cold and warm, at theta = 0 and 20.
"""

import argparse
import os
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import jax
import jax.numpy as jnp
import numpy as np
import quadprog
from measure import one_device_a_core
from sklearn.svm import SVC

from scalinglab.experiments.engine import over_devices
from scalinglab.models import Status
from scalinglab.models.max_margin import max_margin
from scalinglab.theory.data_pruning import saddle_path


def problems(count: int, dimension: int) -> np.ndarray:
    """(count, 3 N, N): rows y x with labels of a teacher along the first axis."""
    rows = np.random.default_rng(0).normal(size=(count, 3 * dimension, dimension))
    return rows * np.sign(rows[:, :, :1])


def by_quadprog(rows: np.ndarray) -> np.ndarray:
    count, dimension = rows.shape
    return quadprog.solve_qp(np.eye(dimension), np.zeros(dimension), rows.T, np.ones(count))[0]


def by_svc(rows: np.ndarray) -> np.ndarray:
    labels = np.repeat([1.0, -1.0], len(rows))
    machine = SVC(kernel="linear", C=1e10, tol=1e-6).fit(np.concatenate([rows, -rows]), labels)
    return machine.coef_[0]


def timed(call, *arguments):
    """(wall seconds, CPU seconds) of one call, and its result."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = jax.block_until_ready(call(*arguments))
    return np.array([time.perf_counter() - wall, time.process_time() - cpu]), found


def matmul_rate(dimension: int) -> float:
    """Operations a CPU second of the N x P by P x N product, the best of several loops."""
    columns = jnp.asarray(problems(1, dimension)[0].T)
    other = columns * 1.001

    @jax.jit
    def run(columns, other):
        def body(_, carry):
            return columns + 1e-30 * (carry @ other.T)[:, :1]

        return jax.lax.fori_loop(0, 200, body, columns)

    run(columns, other).block_until_ready()
    seconds = min(timed(run, columns, other)[0][1] for _ in range(5))
    return 200 * 2 * dimension**2 * 3 * dimension / seconds


def spread(values: np.ndarray) -> str:
    return f"{np.median(values):6.2f} ({np.min(values):.2f} to {np.max(values):.2f})"


def relative(weights: np.ndarray, others: list[np.ndarray]) -> float:
    """The largest relative difference of weights over the problems."""
    pairs = zip(np.asarray(weights, np.float64), others, strict=False)
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(b)) for a, b in pairs)


def compare(dimension: int, count: int, repeats: int, svc: int) -> None:
    rows = problems(count, dimension)
    valid = np.ones(rows.shape[:2], bool)
    devices = jax.devices("cpu")
    batch = jax.vmap(max_margin)
    everywhere = over_devices(batch, devices=devices)
    alone = over_devices(batch, devices=devices[:1])
    cold, found = timed(everywhere, rows, valid)
    timed(alone, rows, valid)
    times: dict[str, list[np.ndarray]] = {"all": [], "one": [], "quadprog": [], "svc": []}
    reference: list[np.ndarray] = []
    machines: list[np.ndarray] = []
    for _ in range(repeats):
        times["all"].append(timed(everywhere, rows, valid)[0] / count)
        seconds, reference = timed(lambda: [by_quadprog(one) for one in rows])
        times["quadprog"].append(seconds / count)
        times["one"].append(timed(alone, rows, valid)[0] / count)
        seconds, machines = timed(lambda: [by_svc(one) for one in rows[:svc]])
        times["svc"].append(seconds / max(svc, 1))
    table = {name: np.array(values) for name, values in times.items()}
    ok = np.asarray(found.status) == Status.OK
    steps = np.asarray(found.iterations).mean(axis=0)

    print(f"N = {dimension}, P = {3 * dimension}, {count} problems, {repeats} repeats, float64")
    print(f"  cold, {len(devices)} devices: {count / cold[0]:.0f} problems a second, in all")
    names = {
        "all": f"warm, {len(devices)} devices",
        "one": "warm, one device",
        "quadprog": "quadprog loop",
        "svc": f"SVC loop ({svc} problems)",
    }
    for name, values in table.items():
        wall, cpu = 1 / np.median(values, axis=0)
        line = f"  {names[name]:24} {wall:8.1f} a second, {cpu:8.1f} a CPU second"
        if name in ("all", "one"):
            for peer in ("quadprog", "svc"):
                ratio = table[peer] / values
                line += f"; over {peer}: wall {spread(ratio[:, 0])}, CPU {spread(ratio[:, 1])}"
        print(line)
    solved = [weights for weights, fine in zip(reference, ok, strict=True) if fine]
    product, solve = 2 * dimension**2 * 3 * dimension, dimension**3 / 3
    charged = steps[0] * (product + solve) + steps[1] * (2 * dimension**3 + solve)
    done = charged - steps[0] * product / 4
    seconds, rate = np.min(table["one"][:, 1]), matmul_rate(dimension)
    print(
        f"  {steps[0]:.1f} interior and {steps[1]:.1f} active-set iterations, {charged / 1e6:.1f} "
        f"million operations: {charged / seconds / 1e9:.1f} GFLOP a CPU second, "
        f"{charged / seconds / rate:.0%} of the {rate / 1e9:.1f} of the matrix product alone "
        f"({done / seconds / rate:.0%} by the operations that are carried out)"
    )
    print(
        f"  ok: {ok.sum()} of {count}; largest relative difference of the weights to quadprog "
        f"{relative(np.asarray(found.weights)[ok], solved):.1e}, "
        f"of quadprog to SVC {relative(np.array(reference), machines):.1e}"
    )
    accelerators = [device for device in jax.devices() if device.platform != "cpu"]
    if accelerators:
        on_device = over_devices(batch, devices=accelerators[:1])
        timed(on_device, rows, valid)
        best = min(timed(on_device, rows, valid)[0][0] for _ in range(repeats))
        gain = np.median(table["quadprog"][:, 0]) * count / best
        print(
            f"  warm, {accelerators[0].device_kind}: {count / best:.0f} a second, {gain:.1f} times"
        )


def time_map(degrees: float) -> None:
    pools = jnp.geomspace(0.5, 100.0, 40)
    angle = jnp.deg2rad(degrees) if degrees else None

    def row(fraction):
        return saddle_path(pools * fraction, fraction, angle, rule="abs_hard").test_error

    program = jax.jit(jax.vmap(row))
    fractions = jnp.geomspace(0.02, 1.0, 40)
    cold, warm = (timed(program, fractions)[0][0] for _ in range(2))
    print(f"40 x 40 map at theta = {degrees:g}: {cold:.1f} s cold, {warm:.2f} s warm")


def main() -> None:
    one_device_a_core()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--svc", type=int, default=4, help="problems that the SVC loop solves")
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", val=True)
    jax.config.update("jax_enable_compilation_cache", val=False)
    for dimension in (50, 100):
        compare(dimension, options.problems, options.repeats, options.svc)
    for degrees in (0.0, 20.0):
        time_map(degrees)


if __name__ == "__main__":
    main()
