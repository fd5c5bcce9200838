"""Students trained a second: one vmapped program against the usual loops over networks.

Command: python benchmarks/teacher_student.py [--models K] [--steps T]

All sides train the same networks (four inputs, two hidden layers of 96 units, batches of 64 from
512 samples of a teacher of its own, Adam with half a cosine, a look at 2048 test samples every 50
steps) in one process, in float32. Peers:

- flax, a network at a time: the same flax network and optax optimizer, one jitted step called from
  Python, the minibatch drawn by NumPy;
- PyTorch: nn.Sequential and torch.optim.Adam, with one thread and with one a core (extra `bench`;
  the CPU build; left out when it is not installed).

Cold includes tracing and compiling without a cache on disk; warm is a second sweep with other
random numbers. The arithmetic is 6 operations a weight and sample of a minibatch, 2 a test sample.
A share is of the rate of a large float32 product measured in the same run.
"""

import argparse
import functools
import importlib.util
import math
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
from measure import matmul_rate, one_device_a_core, timed

from scalinglab.experiments import sweep
from scalinglab.models import teacher_student as model
from scalinglab.models.teacher_student.config import LOOK
from scalinglab.models.teacher_student.data import Draw

SAMPLES = 512


def configuration(steps: int) -> model.Config:
    return model.Config(num_samples=SAMPLES, pool_size=SAMPLES, num_steps=steps)


def operations(config: model.Config) -> float:
    """Of one network and step, with its share of a look."""
    width = config.student_width
    weights = config.input_dimension * width + (config.depth - 1) * width**2 + width
    return weights * (6 * config.batch_size + 2 * config.test_samples / LOOK)


def by_sweep(config: model.Config, models: int, root_seed: int) -> np.ndarray:
    """All networks as one sweep; their best test losses."""
    found = sweep(
        model, {"num_samples": (SAMPLES,)}, seeds=models, base=config, root_seed=root_seed
    )
    return found["test_loss"].values.ravel()


def flax_step(config: model.Config):
    """(student, optimizer, jitted step, jitted test loss), compiled once for all networks."""
    student = model.perceptron(config)
    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.num_steps))

    def loss(parameters, inputs, targets):
        return jnp.mean((student.apply(parameters, inputs)[:, 0] - targets) ** 2)

    @jax.jit
    def step(parameters, memory, inputs, targets):
        gradient = jax.grad(loss)(parameters, inputs, targets)
        with jax.numpy_dtype_promotion("standard"):
            updates, memory = optimizer.update(gradient, memory, parameters)
        return optax.apply_updates(parameters, updates), memory

    return student, optimizer, step, jax.jit(loss)


def by_flax(config: model.Config, seed: int, parts) -> float:
    """One network, its step called from Python."""
    student, optimizer, step, loss = parts
    sample = drawn(config.num_steps, seed)
    generator = np.random.default_rng(seed)
    parameters = student.init(jr.key(seed))
    memory, best = optimizer.init(parameters), math.inf
    inputs, targets = np.asarray(sample.inputs), np.asarray(sample.targets)
    for count in range(config.num_steps):
        chosen = generator.integers(SAMPLES, size=config.batch_size)
        parameters, memory = step(parameters, memory, inputs[chosen], targets[chosen])
        if (count + 1) % LOOK == 0:
            best = min(best, float(loss(parameters, sample.test_inputs, sample.test_targets)))
    return best


def by_torch(config: model.Config, seed: int) -> float:
    """One network in PyTorch."""
    import torch

    sample = drawn(config.num_steps, seed)
    inputs, targets, fresh, wanted = (
        torch.tensor(np.asarray(array))
        for array in (sample.inputs, sample.targets, sample.test_inputs, sample.test_targets)
    )
    width = config.student_width
    network = torch.nn.Sequential(
        torch.nn.Linear(config.input_dimension, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, width),
        torch.nn.ReLU(),
        torch.nn.Linear(width, 1),
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.num_steps)
    best = math.inf
    for count in range(config.num_steps):
        chosen = torch.randint(SAMPLES, (config.batch_size,))
        loss = ((network(inputs[chosen])[:, 0] - targets[chosen]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (count + 1) % LOOK == 0:
            with torch.no_grad():
                best = min(best, float(((network(fresh)[:, 0] - wanted) ** 2).mean()))
    return best


@functools.cache
def drawn(steps: int, seed: int) -> Draw:
    """The teacher and the samples of one network; drawn before anything is timed."""
    config = configuration(steps)
    return jax.jit(lambda key: model.draw(config, key=key))(jr.key(seed))


def main() -> None:
    one_device_a_core()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1000)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", val=True)
    jax.config.update("jax_enable_compilation_cache", val=False)
    config, models = configuration(options.steps), options.models
    total = models * config.num_steps
    work, peak = operations(config) * total, matmul_rate()
    print(
        f"{models} networks of {config.student_width} units, {config.num_steps} steps; "
        f"{os.cpu_count()} cores"
    )
    print(
        f"a large product: {peak / 1e9:.0f} GFLOP/s; floor {work / peak / total * 1e6:.1f} us "
        "a network and step"
    )

    def line(name: str, seconds: float, note: str = "") -> None:
        rate = models / seconds
        each = seconds / total * 1e6
        share = work / seconds / peak
        print(f"  {name:26} {rate:7.2f} models/s, {each:7.1f} us a step, {share:5.1%}{note}")

    cold, _ = timed(by_sweep, config, models, 0)
    warm, ours = timed(by_sweep, config, models, 1)
    line("one program, cold", cold, f", {cold - warm:.1f} s to compile")
    line("one program, warm", warm)
    for seed in range(models):
        drawn(config.num_steps, seed)
    parts = flax_step(config)
    compile_seconds, _ = timed(by_flax, configuration(LOOK), models, parts)
    seconds, flax = timed(lambda: [by_flax(config, seed, parts) for seed in range(models)])
    note = f": {seconds / warm:.1f} times one program; {compile_seconds:.1f} s to compile"
    line("flax, a network at a time", seconds, note)
    print(f"  geometric mean of the test losses: {_mean(ours):.2e}, {_mean(flax):.2e} with flax")
    if importlib.util.find_spec("torch") is None:
        print("  PyTorch                    not measured: install its CPU build")
        return
    import torch

    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        by_torch(configuration(LOOK), models)
        seconds, theirs = timed(lambda: [by_torch(config, seed) for seed in range(models)])
        note = f": {seconds / warm:.1f} times one program; test loss {_mean(theirs):.2e}"
        line(f"PyTorch, {threads} threads", seconds, note)


def _mean(losses) -> float:
    return float(np.exp(np.mean(np.log(losses))))


if __name__ == "__main__":
    main()
