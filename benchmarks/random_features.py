"""Random-feature regressions a second: one vmapped sweep against the usual NumPy loop.

Command: python benchmarks/random_features.py [--seeds 64]

Both sides do the same work in one process: draw features, data and noise, train at D = 240,
N = 80, M = 600, and evaluate the exact population risk, for four ridges. The peer is what authors'
notebooks do: a Python loop over seeds with numpy.linalg.lstsq on the stacked design, one BLAS
thread a core. Cold includes tracing and compiling without a cache on disk; warm is a second sweep
with other random numbers. Per lane the arithmetic is D N M + D N^2 + N^2 M multiply-adds
(1.7e7), and (N + D) M normal deviates (1.9e5), which dominate.
"""

import argparse

import jax
import numpy as np
from measure import timed

from scalinglab.experiments import sweep
from scalinglab.models import random_features as model

SAMPLES, FEATURES, MODES, DECAY = 240, 80, 600, 1.5
RIDGES = (1e-4, 1e-3, 1e-2, 1e-1)


def peer(ridge: float, generator: np.random.Generator) -> float:
    """One regression in NumPy."""
    lam = np.arange(1, MODES + 1.0) ** -DECAY
    data = generator.normal(size=(SAMPLES, MODES)) * np.sqrt(lam)
    weights = generator.normal(size=(FEATURES, MODES)) / np.sqrt(FEATURES)
    labels = data.sum(axis=1) + np.sqrt(0.1) * generator.normal(size=SAMPLES)
    design = data @ weights.T
    stacked = np.vstack([design, np.sqrt(SAMPLES * ridge) * np.eye(FEATURES)])
    padded = np.concatenate([labels, np.zeros(FEATURES)])
    beta = weights.T @ np.linalg.lstsq(stacked, padded, rcond=None)[0]
    return float(np.sum(lam * (1 - beta) ** 2) + 0.1)


def ours(seeds: int, root_seed: int) -> np.ndarray:
    """The same regressions as one sweep: mean test risk for each ridge."""
    base = model.Config(
        num_samples=SAMPLES, num_features=FEATURES, dimension=MODES, noise_variance=0.1
    )
    found = sweep(model, {"ridge": RIDGES}, base=base, seeds=seeds, root_seed=root_seed)
    return found["test_risk"].mean("seed").values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=64)
    seeds = parser.parse_args().seeds
    jax.config.update("jax_enable_x64", val=True)
    lanes = seeds * len(RIDGES)
    generator = np.random.default_rng(0)

    def loop() -> np.ndarray:
        return np.array([[peer(r, generator) for _ in range(seeds)] for r in RIDGES]).mean(axis=1)

    cold, _ = timed(ours, seeds, 0)
    warm, mine = timed(ours, seeds, 1)
    reference, theirs = timed(loop)
    print(f"{lanes} regressions, D={SAMPLES}, N={FEATURES}, M={MODES}, float64")
    print(f"NumPy loop   {lanes / reference:8.0f} a second")
    print(f"sweep, cold  {lanes / cold:8.0f} a second   ratio {reference / cold:.2f}")
    print(f"sweep, warm  {lanes / warm:8.0f} a second   ratio {reference / warm:.2f}")
    print(f"largest difference of the mean risks: {np.max(np.abs(mine / theirs - 1)):.1%}")


if __name__ == "__main__":
    main()
