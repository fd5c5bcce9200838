"""Bootstrap fits a CPU second: this project's solver against the two common SciPy loops.

Command: python benchmarks/fitting.py [--resamples 4000] [--bfgs 400]

All sides fit the Chinchilla law with Huber's loss (delta 1e-3 on log residuals) to the same pairs
resamples of the same 240 points, in one process, from the full-sample optimum, on one BLAS thread.
The points are the digitised Chinchilla runs where SCALINGLAB_DATA holds them, and otherwise
synthetic ones of the same design. Peers:

- BFGS, autograd: scipy.optimize.minimize with the gradient by autograd, in the published
  parametrisation (a, b, e, alpha, beta): what the field's notebooks do (needs the extra `bench`);
- BFGS, by hand: the same with the gradient written out in NumPy;
- least_squares: scipy.optimize.least_squares, loss="huber", with the analytic Jacobian.

CPU seconds are those of the process, all its threads. Cold includes tracing and compiling, with no
cache on disk; warm is a second bootstrap with other resamples. The objective that each side
reaches is compared on the same resamples.

The arithmetic limit counts, an iteration and a point, three evaluations of the law (two
exponentials and a logarithm each, 20 operations apiece), 30 operations for the Jacobian and the
loss, and 2 p (p + 1) for the two matrices; the rate of a fused multiply-add loop in cache is
measured in the same run.
"""

import argparse
import csv
import importlib.util
import os
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax
import numpy as np
from scipy.optimize import least_squares, minimize

from scalinglab.theory.fitting import Data, Huber, bootstrap, fit, resolve
from scalinglab.theory.fitting.laws import find_law

DELTA = 1e-3
NAMES = ("A", "B", "E", "alpha", "beta")


def points() -> tuple[np.ndarray, np.ndarray, np.ndarray, str]:
    """Model size, tokens, loss, and where they are from."""
    folder = os.environ.get("SCALINGLAB_DATA")
    path = Path(folder or ".") / "chinchilla_besiroglu.csv"
    if folder and path.exists():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        size, compute, loss = (
            np.array([float(row[name]) for row in rows])
            for name in ("Model Size", "Training FLOP", "loss")
        )
        keep = np.argsort(loss)[:240]
        return size[keep], (compute / (6 * size))[keep], loss[keep], "the Chinchilla points"
    random = np.random.default_rng(0)
    size = np.exp(random.uniform(np.log(5e7), np.log(1.6e10), 240))
    compute = np.exp(random.uniform(np.log(6e18), np.log(3e21), 240))
    tokens = compute / (6 * size)
    loss = 1.82 + 478 * size**-0.347 + 2143 * tokens**-0.367
    noise = 0.005 * random.standard_t(3, 240)
    return size, tokens, loss * np.exp(noise), "synthetic points of the Chinchilla design"


def prediction(theta: np.ndarray, log_n: np.ndarray, log_d: np.ndarray):
    """log L and its derivatives in (a, b, e, alpha, beta), for the peers."""
    a, b, e, alpha, beta = theta
    first, second, third = np.exp(a - alpha * log_n), np.exp(b - beta * log_d), np.exp(e)
    total = first + second + third
    slopes = np.stack(
        [first, second, np.full_like(first, third), -log_n * first, -log_d * second], axis=1
    )
    return np.log(total), slopes / total[:, None]


def by_bfgs(start, log_n, log_d, log_l):
    def value(theta):
        log_p, slopes = prediction(theta, log_n, log_d)
        r = log_p - log_l
        size = np.abs(r)
        rho = np.where(size <= DELTA, 0.5 * r**2, DELTA * (size - 0.5 * DELTA))
        return rho.sum(), np.clip(r, -DELTA, DELTA) @ slopes

    return minimize(value, start, jac=True, method="BFGS").fun


def by_bfgs_autograd(start, log_n, log_d, log_l):
    import autograd
    import autograd.numpy as anp

    def value(theta):
        a, b, e, alpha, beta = theta
        terms = anp.stack([a - alpha * log_n, b - beta * log_d, e + 0.0 * log_n])
        r = anp.log(anp.sum(anp.exp(terms), axis=0)) - log_l
        size = anp.abs(r)
        return anp.sum(anp.where(size <= DELTA, 0.5 * r**2, DELTA * (size - 0.5 * DELTA)))

    return minimize(value, start, jac=autograd.grad(value), method="BFGS").fun


def by_least_squares(start, log_n, log_d, log_l):
    found = least_squares(
        lambda theta: prediction(theta, log_n, log_d)[0] - log_l,
        start,
        jac=lambda theta: prediction(theta, log_n, log_d)[1],
        loss="huber",
        f_scale=DELTA,
        x_scale="jac",
    )
    return found.cost


def fused_rate() -> float:
    """Multiply-adds (two operations each) a second on one core, on vectors in cache."""
    import jax.numpy as jnp

    @jax.jit
    def run(x):
        def body(_, v):
            return tuple(a * 0.999 + 1e-3 for a in v)

        return jax.lax.fori_loop(0, 20000, body, tuple(x + i for i in range(8)))

    x = jnp.ones(256)
    jax.block_until_ready(run(x))
    start = time.process_time()
    jax.block_until_ready(run(x))
    return 2 * 8 * 256 * 20000 / (time.process_time() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--resamples", type=int, default=4000)
    parser.add_argument("--bfgs", type=int, default=400)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", val=True)
    jax.config.update("jax_enable_compilation_cache", val=False)
    size, tokens, loss, where = points()
    data = Data({"N": size, "D": tokens}, loss)
    law, count = find_law("chinchilla"), options.resamples

    start = time.process_time()
    full = fit(law, data, loss=Huber(DELTA))
    first = bootstrap(full, count=count, key=jax.random.key(0))
    cold = time.process_time() - start
    start = time.process_time()
    bootstrap(full, count=count, key=jax.random.key(1))
    warm = time.process_time() - start
    assert first.failed == 0

    random = np.random.default_rng(2)
    drawn = random.integers(0, len(loss), (count, len(loss)))
    weight = np.stack([np.bincount(row, minlength=len(loss)) for row in drawn], axis=1).astype(
        float
    )
    start = time.process_time()
    ends = resolve(full, weight=weight)
    solver = time.process_time() - start
    best = [np.log(full.parameters[name]) for name in NAMES[:3]]
    best = np.array([*best, full.parameters["alpha"], full.parameters["beta"]])
    columns = np.log(size), np.log(tokens), np.log(loss)

    print(f"{where}: {len(loss)} points, 5 parameters, Huber {DELTA}, {count} resamples")
    print(f"  scalinglab cold  {count / cold:8.0f} fits a CPU second ({cold:.2f} s in all)")
    print(
        f"  scalinglab warm  {count / warm:8.0f} ({warm:.2f} s; solver alone {count / solver:.0f})"
    )
    autograd_peer = []
    if importlib.util.find_spec("autograd") is not None:
        autograd_peer = [("BFGS, autograd", by_bfgs_autograd, min(options.bfgs, count))]
    else:
        print("  BFGS, autograd   not measured: pip install autograd")
    for name, peer, number in (
        *autograd_peer,
        ("BFGS, by hand", by_bfgs, min(options.bfgs, count)),
        ("least_squares", by_least_squares, count),
    ):
        start = time.process_time()
        values = np.array([peer(best, *(c[row] for c in columns)) for row in drawn[:number]])
        rate = number / (time.process_time() - start)
        excess = values / ends.objective[:number] - 1.0
        print(
            f"  {name:15}  {rate:8.0f} ({number} fits): warm is {count / warm / rate:.1f} times as "
            f"fast, cold {count / cold / rate:.2f} times; its objective exceeds ours by "
            f"{np.mean(excess):.1e} in the mean, {np.max(excess):.1e} at most, "
            f"{np.min(excess):.1e} at least"
        )
    operations = 3 * 3 * 20 + 30 + 2 * 5 * 6
    done = float(np.sum(ends.iterations)) * len(loss) * operations
    print(
        f"  {np.mean(ends.iterations):.1f} iterations a fit, {done / solver / 1e9:.2f} GFLOP a CPU "
        f"second against {fused_rate() / 1e9:.1f} of a fused loop in cache"
    )


if __name__ == "__main__":
    main()
