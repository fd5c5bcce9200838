"""Superposition autoencoders trained a second: one compiled sweep against the usual loops.

Command: python benchmarks/superposition.py [--size 200|1000] [--steps T]

All sides train the same models in one process, with the same law of the data, batch, schedule and
number of steps, in float32: n = 200, B = 512, four frequency decays by six widths of 7 to 40; or
n = 1000, B = 2048, flat frequencies, the six widths of 10 to 100 of Liu et al. 2505.10465. Peers:

- PyTorch: the loop in the style of that paper's authors, one model after the other, Adam of
  torch.optim, `.item()` each step, with one thread and with one a core (extra `bench`; the CPU
  build; left out when it is not installed);
- JAX, a model at a time: a jitted step called from Python, as in the ports to JAX, with the batch
  from jax.random.

Cold includes tracing and compiling without a cache on disk; warm is a second sweep with other
random numbers; both include starting, measuring the loss on 2048 samples, and the geometry. The
arithmetic is 10 B n m operations a model and step, for the width as given: five products of
2 B n m. The rate of a product of 1000 x 2048 by 2048 x 1000 is measured in the same run, and a
share is of that. Last, the final losses are compared: of the sweep on fresh samples, of PyTorch
over the last tenth of its batches.
"""

import argparse
import importlib.util
import math
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from measure import matmul_rate, one_device_a_core, timed

from scalinglab.experiments import sweep
from scalinglab.models import superposition as model

SIZES = {
    200: (512, (0.0, 1.0, 1.5, 2.0), (7, 10, 14, 20, 28, 40), 300),
    1000: (2048, (0.0,), (10, 15, 25, 39, 63, 100), 40),
}


def configurations(size: int, steps: int) -> list[model.Config]:
    batch, decays, widths, _ = SIZES[size]
    return [
        model.Config(
            num_features=size,
            width=width,
            frequency_decay=decay,
            batch_size=batch,
            num_steps=steps,
            evaluation_samples=2048,
        )
        for decay in decays
        for width in widths
    ]


def rate(config: model.Config, step: int) -> float:
    """The learning rate of a step, as the model's documentation has it."""
    warmup = config.warmup_fraction * config.num_steps
    share = max(0.0, (step - warmup) / (config.num_steps - warmup))
    cosine = (
        config.final_fraction + (1 - config.final_fraction) * (1 + math.cos(math.pi * share)) / 2
    )
    return config.learning_rate * min(1.0, (step + 1) / warmup) * cosine


def by_torch(config: model.Config) -> float:
    """One model in PyTorch; its mean loss over the last tenth of the batches."""
    import torch

    size, width, batch = config.num_features, config.width, config.batch_size
    probability = torch.tensor(model.frequencies(config))
    weights = torch.nn.Parameter(torch.randn(size, width) / math.sqrt(width))
    bias = torch.nn.Parameter(torch.zeros(size))
    optimizer = torch.optim.Adam([weights, bias], betas=(0.9, 0.999), eps=config.adam_epsilon)
    losses = []
    for step in range(config.num_steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(config, step)
        active = torch.rand(batch, size) < probability
        inputs = active * torch.rand(batch, size) * 2
        output = torch.relu(inputs @ weights @ weights.T + bias)
        loss = ((inputs - output) ** 2).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            norm = weights.norm(dim=1, keepdim=True)
            pull = rate(config, step) * config.weight_decay
            weights.add_(pull * weights * (1 - 1 / norm))
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses[-(len(losses) // 10) :]))


def jax_step(weights, bias, moments, step, learning_rate, key, probability, batch, eps):
    """The step of a port to JAX, to be jitted for each shape."""

    def loss(parameters):
        weights, bias = parameters
        output = jax.nn.relu(inputs @ weights @ weights.T + bias)
        return jnp.mean(jnp.sum((inputs - output) ** 2, axis=1))

    first, second = jr.split(key)
    shape = (batch, len(bias))
    active = jr.uniform(first, shape, jnp.float32) < probability
    inputs = jnp.where(active, 2 * jr.uniform(second, shape, jnp.float32), 0)
    value, gradient = jax.value_and_grad(loss)((weights, bias))
    moments = tuple(
        (0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2)
        for (m, v), g in zip(moments, gradient, strict=True)
    )
    count = jnp.asarray(step + 1, jnp.float32)
    directions = [
        m / (1 - 0.9**count) / (jnp.sqrt(v / (1 - 0.999**count)) + eps) for m, v in moments
    ]
    norm = jnp.linalg.norm(weights, axis=1, keepdims=True)
    weights = weights - learning_rate * weights * (1 - 1 / norm) - learning_rate * directions[0]
    return weights, bias - learning_rate * directions[1], moments, value


def by_jax(config: model.Config, step_of) -> None:
    """One model with a jitted step called from Python, at weight decay -1."""
    key = jr.key(0)
    shape = (config.num_features, config.width)
    weights = jr.normal(key, shape, jnp.float32) / jnp.float32(math.sqrt(config.width))
    bias = jnp.zeros(config.num_features, jnp.float32)
    moments = tuple((jnp.zeros_like(x), jnp.zeros_like(x)) for x in (weights, bias))
    probability = jnp.asarray(model.frequencies(config), jnp.float32)
    for step in range(config.num_steps):
        weights, bias, moments, value = step_of(
            weights,
            bias,
            moments,
            jnp.int32(step),
            jnp.float32(rate(config, step)),
            jr.fold_in(key, step),
            probability,
            config.batch_size,
            jnp.float32(config.adam_epsilon),
        )
    jax.block_until_ready(value)


def by_sweep(size: int, steps: int, root_seed: int) -> np.ndarray:
    """All models as one sweep; their losses, in the order of `configurations`."""
    _, decays, widths, _ = SIZES[size]
    base = configurations(size, steps)[0]
    found = sweep(
        model,
        {"frequency_decay": decays, "width": widths},
        seeds=1,
        base=base,
        root_seed=root_seed,
    )
    return found["loss"].values.ravel()


def main() -> None:
    one_device_a_core()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, choices=tuple(SIZES), default=200)
    parser.add_argument("--steps", type=int, default=None)
    options = parser.parse_args()
    size, steps = options.size, options.steps or SIZES[options.size][3]
    jax.config.update("jax_enable_x64", val=True)
    jax.config.update("jax_enable_compilation_cache", val=False)
    configs = configurations(size, steps)
    total = len(configs) * steps
    batch = configs[0].batch_size
    operations = sum(10 * batch * size * config.width for config in configs) * steps
    peak = matmul_rate()
    print(
        f"{len(configs)} models of n = {size}, B = {batch}, {steps} steps; {os.cpu_count()} cores"
    )
    print(
        f"a large product: {peak / 1e9:.0f} GFLOP/s; floor {operations / peak / total * 1e3:.3f} ms"
    )

    def line(name: str, seconds: float, note: str = "") -> None:
        share = operations / seconds / peak
        each = seconds / total * 1e3
        print(f"  {name:22} {each:8.3f} ms a model and step, {share:5.1%} of the rate{note}")

    cold, _ = timed(by_sweep, size, steps, 0)
    warm, ours = timed(by_sweep, size, steps, 1)
    line("sweep, cold", cold, f", {cold - warm:.1f} s to compile")
    line("sweep, warm", warm)
    step_of = jax.jit(jax_step, static_argnums=7)
    for config in configs:
        by_jax(
            model.Config(num_features=size, width=config.width, batch_size=batch, num_steps=2),
            step_of,
        )
    seconds, _ = timed(lambda: [by_jax(config, step_of) for config in configs])
    line("JAX, a model at a time", seconds, f": {seconds / warm:.1f} times the sweep")
    if importlib.util.find_spec("torch") is None:
        print("  PyTorch                not measured: install its CPU build")
        return
    import torch

    best, theirs = math.inf, np.ones(1)
    for threads in sorted({1, os.cpu_count() or 1}):
        torch.set_num_threads(threads)
        by_torch(model.Config(num_features=size, width=7, batch_size=batch, num_steps=20))
        seconds, losses = timed(lambda: np.array([by_torch(config) for config in configs]))
        line(f"PyTorch, {threads} threads", seconds, f": {seconds / warm:.1f} times the sweep")
        best, theirs = min((best, theirs), (seconds, losses), key=lambda pair: pair[0])
    print(
        f"  the sweep trains {best / warm:.1f} times as many models a second, warm; "
        f"{best / cold:.1f} times, cold"
    )
    print(
        f"  ratio of final losses, sweep to PyTorch: {np.min(ours / theirs):.3f} to "
        f"{np.max(ours / theirs):.3f}"
    )


if __name__ == "__main__":
    main()
