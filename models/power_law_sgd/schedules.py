"""Learning rates and momentum coefficients of each step.

    y <- (1 - forget_t) y + gradient
    theta <- theta - direct_t gradient - lookback_t y(new)

with the gradient summed over the batch. SGD has lookback 0; `constant` is the heavy ball,
forget 1 - mu, direct 0, lookback g_t; DANA has direct g_t, forget delta/(delta + t), and lookback
g_t/d (`dana_constant`) or g_t (1 + t)^-kappa (`dana_decaying`).

| here | symbol | Ferbach 2505.16098 |
|---|---|---|
| direct | g_t | gamma_2 |
| lookback | - | gamma_3 |
| forget | - | Delta(t) |
| dana_delta | delta | delta |
| dana_decay | kappa | kappa_3, 1/(2 alpha) |
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Shaped

from .config import Config
from .eigenbasis import as_scalar
from .spectrum import learning_rate

Multiplier = Callable[[Shaped[Array, "*steps"]], Shaped[Array, "*steps"]]

# Steps at which a schedule of the caller's is looked at for its largest value.
_LOOKED_AT = 2**16


class Update(NamedTuple):
    """The coefficients of one step or, with an axis, of many: `direct`, `lookback`, `forget`."""

    direct: Float[Array, "*steps"]
    lookback: Float[Array, "*steps"]
    forget: Float[Array, "*steps"]


def multiplier(config: Config, dtype: jnp.dtype) -> Multiplier:
    """The learning rate over its peak as a function of the step, t = 0, 1, ..., T - 1.

        constant    1
        cosine      f + (1 - f) (1 + cos(pi x)) / 2
        wsd         1, then linear down to f over the last `decay_fraction` of the steps
        step_decay  f^(i/(n-1)) in part i = 0..n-1 of the n = `decay_stages` equal parts

    with f = `final_fraction` and x the share of the steps after the warm-up that are behind; each
    is multiplied by min(1, (t + 1)/(warmup_fraction T)).

    **Returns:** a function of an array of steps with entries in (0, 1]; any optax schedule of the
    same signature can stand in its place, in `simulate` and in the exact moments.

    **Source:** cosine as `optax.cosine_decay_schedule`; step decay as in Lin et al. 2406.08466,
    who halve log2 T times.
    """

    warmup = as_scalar(config.warmup_fraction, dtype) * config.num_steps
    final, decay = as_scalar(config.final_fraction, dtype), as_scalar(config.decay_fraction, dtype)
    stages = as_scalar(config.decay_stages, dtype)

    def rate(step: Array) -> Array:
        time = step.astype(dtype)
        left = 1 - jnp.maximum(time - warmup, 0) / (config.num_steps - warmup)
        rising = jnp.minimum(1, (time + 1) / jnp.maximum(warmup, 1))
        if config.schedule == "constant":
            return rising
        if config.schedule == "cosine":
            return rising * (final + (1 - final) * (1 - jnp.cos(jnp.pi * left)) / 2)
        if config.schedule == "wsd":
            to_go = jnp.maximum(config.num_steps - time, 0) / (decay * config.num_steps)
            return rising * (final + (1 - final) * jnp.minimum(1, to_go))
        part = jnp.minimum(jnp.floor((1 - left) * stages), stages - 1)
        return rising * final ** (part / (stages - 1))

    return rate


def peak_rate(config: Config, dtype: jnp.dtype) -> Float[Array, ""]:
    """g, the peak rate of the gradient summed over the batch, where the config may be traced."""

    if config.learning_rate is not None:
        return as_scalar(config.learning_rate, dtype)
    if config.gamma0 is None or config.ambient_dimension is None:
        raise ValueError("gamma0, ambient_dimension: None has no rate here; give numbers")
    index = jnp.arange(1, config.padded_dimension + 1, dtype=dtype)
    variances = jnp.exp(-2 * as_scalar(config.alpha, dtype) * jnp.log(index))
    trace = jnp.sum(jnp.where(index <= as_scalar(config.ambient_dimension, dtype), variances, 0))
    return as_scalar(config.gamma0, dtype) / (config.batch_size * trace)


def largest_of(config: Config, schedule: Multiplier) -> Shaped[Array, ""]:
    """The largest value of a schedule over a run: of every step up to 65536 steps, beyond of so
    many evenly spaced ones."""
    steps = np.unique(
        np.linspace(0, config.num_steps - 1, min(config.num_steps, _LOOKED_AT)).astype(np.int64)
    )
    with jax.ensure_compile_time_eval(), jax.numpy_dtype_promotion("standard"):
        return jnp.max(jax.vmap(lambda step: jnp.asarray(schedule(step)))(jnp.asarray(steps)))


def check_schedule(config: Config, schedule: Multiplier) -> None:
    """Holds the largest value of a schedule to the limits of the configuration.

    Where either is traced nothing is refused; the status of each lane tells.

    **Raises:** `ValueError` for a value that is not finite and above 0, and where without momentum
    the largest value makes the rate unstable for the mean kernel.
    """
    largest = largest_of(config, schedule)
    fields = (config.alpha, config.gamma0, config.learning_rate, config.num_parameters)
    if any(isinstance(x, Tracer) for x in (largest, *fields)):
        return
    factor = float(largest)
    if not 0 < factor < np.inf:
        raise ValueError(f"schedule: its largest value is {factor!r}; give a finite one above 0")
    try:
        dataclasses.replace(config, gamma0=None, learning_rate=factor * learning_rate(config))
    except ValueError as error:
        raise ValueError(f"schedule: its largest value is {factor:.4g}; {error}") from None


def update_of(
    config: Config, dtype: jnp.dtype, schedule: Multiplier | None = None
) -> Callable[[Shaped[Array, "*steps"]], Update]:
    """The coefficients of the update as a function of the step.

    **Arguments:** `config`; `dtype` of the coefficients; `schedule`, the rate over its peak as a
    function of the step (any optax schedule), in place of that of the configuration.

    **Source:** Ferbach et al. 2505.16098 for DANA, with gamma_1 = 1.

    **Limits:** `constant` at mu = 0 is plain SGD.
    """
    peak = peak_rate(config, dtype)
    own = multiplier(config, dtype)

    def relative(step: Array) -> Array:
        if schedule is None:
            return own(step)
        # Optax mixes integers and floats, which a strict promotion of the caller's would refuse.
        with jax.numpy_dtype_promotion("standard"):
            return jnp.asarray(schedule(step)).astype(dtype)

    def update(step: Array) -> Update:
        rate = peak * relative(step)
        zero, one = jnp.zeros_like(rate), jnp.ones_like(rate)
        if config.momentum == "none":
            return Update(rate, zero, one)
        if config.momentum == "constant":
            return Update(zero, rate, (1 - as_scalar(config.momentum_coefficient, dtype)) * one)
        time, delta = step.astype(dtype), as_scalar(config.dana_delta, dtype)
        forget = delta / (delta + time)
        if config.momentum == "dana_constant":
            return Update(rate, rate / as_scalar(config.num_parameters, dtype), forget)
        kappa = (
            1 / (2 * as_scalar(config.alpha, dtype))
            if config.dana_decay is None
            else config.dana_decay
        )
        return Update(rate, rate * (1 + time) ** -as_scalar(kappa, dtype), forget)

    return update
