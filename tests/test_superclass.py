"""Merged outputs: the simulation by brute force, linearity to rounding, the theory, the run."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.random_features import superclass as experiment
from scalinglab.models import Status
from scalinglab.models import superclass as model
from scalinglab.models.spectra import power_law
from scalinglab.paper_figs.bahri2021_superclass import draw_superclass
from scalinglab.paper_figs.figure import table_text
from scalinglab.theory import random_features as plain_theory
from scalinglab.theory import superclass as theory

EPS = float(np.finfo(np.float64).eps)


def one_lane(config, seed):
    return jax.jit(lambda key: model.simulate(config, key=key))(jr.key(seed))


SMALL = model.Config(
    num_samples=20,
    num_features=12,
    classes=6,
    superclasses=2,
    shared=0.4,
    target_decay=2.0,
    dimension=30,
    ridge=1e-2,
    noise_variance=0.2,
)


def teachers_and_labels(config, key):
    """The K teachers, their labels, and the map from labels to beta, from numpy."""
    sample = model.draw(config, key=key)
    index = np.arange(1, config.dimension + 1.0)
    lam = index**-config.eigenvalue_decay
    own = np.sqrt((1 - config.shared) * index**-config.target_decay / lam)
    common = np.sqrt(config.shared * index**-config.shared_decay / lam)
    teachers = np.asarray(sample.specific) * own + np.asarray(sample.shared) * common
    data = np.asarray(sample.inputs) * np.sqrt(lam)
    labels = data @ teachers.T + math.sqrt(config.noise_variance) * np.asarray(sample.noise)
    weights = np.eye(config.dimension)
    if sample.features is not None:
        weights = np.asarray(sample.features) / math.sqrt(config.num_features)
    design = data @ weights.T
    gram = design @ design.T + config.num_samples * config.ridge * np.eye(config.num_samples)
    return lam, teachers, labels, weights.T @ design.T @ np.linalg.inv(gram)


@pytest.mark.parametrize("features", [None, 12])
def test_the_merged_risk_is_that_of_the_mean_of_separate_predictors(features):
    """Each class is learned by itself, and predictors and teachers are averaged afterwards."""
    config = dataclasses.replace(SMALL, num_features=features)
    found = one_lane(config, 3)
    assert int(found["status"]) == Status.OK
    lam, teachers, labels, predictor = teachers_and_labels(config, jr.key(3))
    separate = [predictor @ labels[:, k] for k in range(6)]
    risks = []
    for group in ((0, 1, 2), (3, 4, 5)):
        error = np.mean([teachers[k] - separate[k] for k in group], axis=0)
        risks.append(np.sum(lam * error**2) + 0.2 / 3)
    # eps times the condition number of the Gram matrix, below 1e4 here.
    np.testing.assert_allclose(found["test_risk"], np.mean(risks), rtol=1e5 * EPS)


def test_with_everything_shared_merging_does_nothing():
    config = dataclasses.replace(SMALL, shared=1.0, noise_variance=0.0)
    apart = dataclasses.replace(config, superclasses=6)
    merged, separate = (one_lane(one, 1) for one in (config, apart))
    np.testing.assert_allclose(merged["test_risk"], separate["test_risk"], rtol=1e5 * EPS)


def test_independent_teachers_divide_the_mean_risk_by_g_given_the_data():
    """The exact statement: the mean over teachers and noise on one data set, for any data.

    The risk is a quadratic form in independent normal variables, so its mean is a sum over them of
    the risk with that variable alone set to one.
    """
    means = {}
    for count in (6, 2):
        config = dataclasses.replace(SMALL, shared=0.0, superclasses=count)
        lam, _, _, predictor = teachers_and_labels(config, jr.key(3))
        data = np.asarray(model.draw(config, key=jr.key(3)).inputs) * np.sqrt(lam)
        scale = np.sqrt(np.arange(1, 31.0) ** -2.0 / lam)
        error = (np.eye(30) - predictor @ data) * scale
        merged = 6 // count
        # One class of the g in a superclass enters its mean by 1/g.
        one_class = np.sum(lam[:, None] * (error / merged) ** 2)
        one_noise = 0.2 * np.sum(lam[:, None] * (predictor / merged) ** 2)
        means[count] = merged * (one_class + one_noise + 0.2 / merged**2)
    assert means[2] == pytest.approx(means[6] / 3, rel=100 * EPS)


def test_the_mean_risk_is_that_of_the_merged_target():
    """60 seeds, half the power shared: 3.5 s.e. (5e-4) and the stated finite-size error."""
    config = dataclasses.replace(SMALL, num_samples=60, num_features=90, dimension=200, ridge=1e-3)
    keys = jr.split(jr.key(0), 60)
    found = jax.jit(jax.vmap(lambda key: model.simulate(config, key=key)))(keys)
    predicted = theory.predict(config)
    for name, slack in (("test_risk", 1), ("train_risk", 3)):
        values = np.asarray(found[name])
        error = values.std(ddof=1) / math.sqrt(values.size)
        expected = predicted.observables[name]
        # (1 - z/D)^2 doubles the relative error of the slack, on top of that of the risk.
        allowed = 3.5 * error + slack * predicted.relative_error * expected
        assert abs(values.mean() - expected) < allowed


def test_the_risk_of_a_merged_target_is_the_weighted_sum_of_two_problems():
    sizes = jnp.asarray(50.0), jnp.asarray(120.0), jnp.asarray(1e-3)
    own, common = (power_law(1.5, b, 300) for b in (1.8, 3.0))
    zero, noise = jnp.zeros(()), jnp.asarray(0.3)
    merged, left = theory.merged_target(
        own,
        noise,
        merged=jnp.asarray(8.0),
        shared=jnp.asarray(0.25),
        shared_decay=jnp.asarray(3.0),
    )
    whole = plain_theory.test_risk(merged, *sizes, left)
    parts = 0.25 * plain_theory.test_risk(common, *sizes, zero)
    parts += 0.75 / 8 * plain_theory.test_risk(own, *sizes, zero)
    empty = dataclasses.replace(own, target_power=jnp.zeros(300))
    parts += plain_theory.test_risk(empty, *sizes, noise) / 8
    np.testing.assert_allclose(whole, parts, rtol=100 * EPS)


def test_the_exponent_is_unchanged_or_not():
    sizes = np.array([32.0, 64.0, 128.0, 256.0])

    def slope(family, count):
        line = experiment.theory_line(family, count, 2000, sizes)
        return -np.polyfit(np.log(sizes), np.log(line), 1)[0]

    assert slope("independent", 1) == pytest.approx(slope("independent", 64), rel=1e-12)
    # The average of the parts' exponents with their risks for weights lies between them, and
    # rises with the weight of the steeper part.
    related = [slope("related", count) for count in (64, 16, 4, 1)]
    assert np.all(np.diff(related) > 0)
    steep = dataclasses.replace(model.Config(dimension=2000), shared=1.0, shared_decay=2.5)
    line = np.asarray(theory.learning_curve(steep, jnp.asarray(sizes))[0])
    assert related[-1] < -np.polyfit(np.log(sizes), np.log(line), 1)[0]
    assert related[0] > slope("independent", 64)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"superclasses": 5}, "superclasses: 5 of 64"),
        ({"classes": 0}, "classes: 0"),
        ({"superclasses": True}, "superclasses: True"),
        ({"shared": 1.5}, "shared: 1.5"),
        ({"shared": math.nan}, "shared: nan"),
        ({"shared_decay": 1.0}, "shared_decay: 1.0"),
        ({"num_samples": 0}, "num_samples: 0"),
        ({"num_samples": 50, "num_features": 50}, "infinite"),
        ({"noise_variance": -1.0}, "noise_variance: -1.0"),
    ],
)
def test_bad_fields_are_named(fields, text):
    with pytest.raises(ValueError, match=text):
        model.Config(**fields)


def test_infinite_means_are_refused():
    config = model.Config(num_samples=50, num_features=51)
    with pytest.raises(ValueError, match=r"ridge: 0 .*infinite"):
        model.check_simulation(config)
    model.check_simulation(dataclasses.replace(config, ridge=1e-3))


def test_errors_of_paired_exponents_are_those_of_resampled_seeds():
    """The influence formula against a bootstrap of whole seeds, within 15 % of 400 resamples."""
    generator = np.random.default_rng(0)
    lanes = np.exp(0.1 * generator.normal(size=(200, 3))) * np.array([1.0, 0.5, 0.3])
    mean = lanes.mean(axis=0)
    curve = experiment.Curve(
        {}, np.array([8.0, 16.0, 32.0]), mean, mean, mean, "deterministic_equivalent", 200
    )
    one = experiment.Merged(64, curve, lanes / mean - 1)
    drawn = lanes[generator.integers(200, size=(400, 200))].mean(axis=1)
    slopes = np.log(drawn) @ one.slope_weights()
    # The relative error of a standard deviation from 400 draws is 3.5 %, of one from 200 is 5 %.
    assert one.exponent()[1] == pytest.approx(slopes.std(ddof=1), rel=0.2)


@pytest.mark.slow
def test_the_experiment_runs_and_is_drawn():
    # A program is compiled a size and number of superclasses.
    datasets = {
        name: run_sweep(
            dataclasses.replace(sweep, crossed={"num_samples": (8, 16), "superclasses": (64, 8)})
        )
        for name, sweep in experiment.EXPERIMENT.sweeps("smoke").items()
    }
    for dataset in datasets.values():
        assert np.all(dataset["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    # Of two numbers of superclasses: levels and exponents of both, changes of one; an amplitude.
    assert len(claims) == 1 + 2 * (2 + 2 + 1)
    assert {claim.kind for claim in claims} == {"exact", "deterministic_equivalent"}
    assert len({(claim.quantity, claim.window) for claim in claims}) == len(claims)
    assert all(math.isfinite(claim.measured) for claim in claims)
    drawing = draw_superclass({"superclass": datasets})
    assert len({tuple(row) for row in drawing.table}) == 1
    assert "nan" not in table_text(drawing.table)
