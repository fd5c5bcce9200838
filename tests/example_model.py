"""Ordinary least squares: the excess risk of D samples in d dimensions, without a ridge."""

import math

import equinox as eqx
import jax.numpy as jnp
import jax.random as jr

from scalinglab.models import Model, Observable, Status
from scalinglab.theory import Prediction, Theory


class Config(eqx.Module):
    num_samples: int = eqx.field(default=40, static=True)
    dimension: int = eqx.field(default=10, static=True)
    noise_variance: float = 1.0

    def __check_init__(self):
        if self.dimension < 1:
            raise ValueError(f"dimension: {self.dimension}; give at least 1")
        if self.num_samples < self.dimension + 2:
            raise ValueError(f"num_samples: {self.num_samples}; give at least dimension + 2")
        if not 0 <= self.noise_variance < math.inf:
            raise ValueError(f"noise_variance: {self.noise_variance}; give a number of at least 0")


def simulate(config, *, key):
    inputs_key, noise_key = jr.split(key)
    inputs = jr.normal(inputs_key, (config.num_samples, config.dimension))
    noise = jnp.sqrt(config.noise_variance) * jr.normal(noise_key, (config.num_samples,))
    error = jnp.linalg.solve(inputs.T @ inputs, inputs.T @ noise)
    risk = error @ error
    ok = jnp.isfinite(risk)
    status = jnp.where(ok, int(Status.OK), int(Status.NOT_FINITE))
    return {"excess_risk": jnp.where(ok, risk, jnp.nan), "status": status}


def predict(config):
    risk = config.noise_variance * config.dimension / (config.num_samples - config.dimension - 1)
    return Prediction({"excess_risk": risk}, "inverse-wishart", "exact", 0.0, SOURCE)


SOURCE = "the mean of an inverse Wishart matrix is 1 / (D - d - 1)"
MODEL = Model(
    name="least-squares",
    summary="ordinary least squares on isotropic data",
    version=1,
    Config=Config,
    simulate=simulate,
    observables={
        "excess_risk": Observable("squared distance to the truth"),
        "status": Observable("outcome of the lane", unit="code"),
    },
    smallest=Config(),
    equation="w = argmin |y - X w|^2,  y = noise",
)
THEORIES = (
    Theory("inverse-wishart", "exact", ("excess_risk",), lambda config: True, predict, SOURCE),
)
