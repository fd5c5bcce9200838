"""Experiments on power-law SGD: what is exact belongs to the lanes, and each runs and is drawn."""

import math

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scalinglab.commands.csv_check import committed, compare, rows_of
from scalinglab.experiments import run_experiment
from scalinglab.experiments.engine import Sweep, lane_key, run_sweep
from scalinglab.experiments.power_law_sgd.lanes import all_runs, exact_curves
from scalinglab.experiments.power_law_sgd.phase_curves import POINTS, component_lines
from scalinglab.models import power_law_sgd as model
from scalinglab.registry import find, load_experiment, load_figure
from scalinglab.theory import power_law_sgd as theory

# The experiments with the number of claims at size smoke.
SMOKE = {
    "phase-curves": 19,
    "compute-optimal": 42,
    "phase-diagram": 22,
    "approach-1-2-3": 36,
    "momentum": 25,
    "schedules": 20,
    "heavy-tails": 18,
    "quantized-weights": 8,
}

# Minutes each on two cores: `make acceptance` runs these.
LONG = ("compute-optimal", "phase-diagram", "approach-1-2-3")

SMALL = model.Config(
    num_parameters=6, ambient_dimension=24, gamma0=0.2, num_steps=40, records=6, runs=5
)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.acceptance] * (name in LONG)) for name in SMOKE],
)
def test_the_experiment_runs_and_is_drawn(name, tmp_path):
    """At smoke size no claim of an exact or equivalent theory disagrees, and the figure's numbers
    are the committed ones."""
    experiment = load_experiment(name)
    result = run_experiment(experiment, size="smoke", store=tmp_path)
    assert not any(result.failed.values())
    assert len(result.claims) == SMOKE[name]
    assert len({(one.quantity, one.window, one.kind) for one in result.claims}) == SMOKE[name]
    assert all(math.isfinite(one.measured) for one in result.claims)
    strict = [c for c in result.claims if c.kind in ("exact", "deterministic_equivalent")]
    assert not [c.quantity for c in strict if c.verdict == "disagrees"]
    drawing = load_figure(name).draw({name: result.datasets})
    assert compare(rows_of(drawing), committed(f"{name}-smoke")) == []
    row = find("experiment", name)
    told = (experiment.name, experiment.summary, experiment.paper, experiment.cost["default"])
    assert told == (row.name, row.summary, row.paper, row.cost)


def test_the_exact_curves_are_those_of_the_features_of_each_lane():
    """The lane simulated again by its key, and the closed form on the features of that key."""
    dataset = run_sweep(Sweep(model, SMALL, {"beta": [0.2, 0.9]}, seeds=3))
    for i, runs in enumerate(all_runs(dataset)):
        assert runs.config.beta == (0.2, 0.9)[i]
        for seed in range(3):
            sweep = Sweep(model, SMALL, {"beta": [0.2, 0.9]}, seeds=3)
            key = lane_key(sweep, runs.config, seed)
            again = model.simulate(runs.config, key=key)
            np.testing.assert_allclose(runs.risk[seed], again["run_risk"], rtol=1e-9)
            exact = theory.predict(runs.config, "given-features", key=key)
            np.testing.assert_allclose(runs.exact[seed], exact.observables["test_risk"], rtol=1e-10)


def test_exact_curves_are_the_recursion():
    """The closed form of `exact_curves` against the recursion on the same features, to 1e-10."""
    keys = jr.split(jr.key(4), 3)
    for key, curve in zip(keys, exact_curves(SMALL, keys), strict=True):
        modes = model.modes_of(SMALL, model.draw(SMALL, key=key))
        rate = jnp.asarray(model.learning_rate(SMALL))
        risks = theory.risk_by_recursion(modes, lambda _, rate=rate: rate, 40, 1)
        np.testing.assert_allclose(curve, risks[model.record_steps(SMALL)], rtol=1e-10)


@pytest.mark.parametrize(("alpha", "beta"), POINTS)
def test_the_drawn_components_add_up(alpha, beta):
    config = model.Config(alpha=alpha, beta=beta, num_parameters=50, ambient_dimension=200)
    parts, total = component_lines(config, np.array([10.0, 1000.0]))
    np.testing.assert_allclose(sum(parts.values()), total, rtol=1e-12)


def test_points_cover_the_phases():
    assert [theory.phase(*point) for point in POINTS] == list(theory.PHASES)
