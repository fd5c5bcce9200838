"""Teacher and student: the teacher in NumPy, losses, early stopping, sizes, one's own network."""

import dataclasses
import math
import re
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.special

from scalinglab.experiments.engine import Sweep, run_sweep
from scalinglab.models import Status, students
from scalinglab.models import teacher_student as model
from scalinglab.models.teacher_student import data, train

EPS = float(np.finfo(np.float64).eps)
SMALL = model.MODEL.smallest


def simulate(config, seed=0, subject=model.MODEL):
    return jax.jit(lambda key: subject.simulate(config, key=key))(jr.key(seed))


def test_the_teacher_is_that_of_numpy():
    config = dataclasses.replace(SMALL, teacher_bias=0.7, label_noise=0.3)
    sample = data.draw(config, key=jr.key(1))
    inputs = np.asarray(sample.inputs)
    assert inputs.shape == (16, 2)
    assert np.abs(inputs).max() <= 1
    teacher = data.draw_teacher(config, sample.inputs, key=_teacher_key(jr.key(1)))
    hidden = inputs
    for weights, bias in teacher.hidden:
        hidden = np.maximum(hidden @ np.asarray(weights).T + np.asarray(bias), 0)
    raw = hidden @ np.asarray(teacher.readout)
    clean = (raw - raw.mean()) / raw.std()
    noise = np.asarray(sample.targets) - clean
    assert 0.05 < noise.std() < 0.6
    quiet = data.draw(dataclasses.replace(config, label_noise=0.0), key=jr.key(1))
    # Sums of at most 4 products, then a ratio to a scale of order 1.
    np.testing.assert_allclose(quiet.targets, clean, rtol=0, atol=1e3 * EPS)
    np.testing.assert_array_equal(quiet.test_targets, sample.test_targets)


def _teacher_key(key):
    return jr.fold_in(key, 0)


def test_weights_and_biases_have_their_variances():
    config = model.Config(input_dimension=5, teacher_width=200, teacher_bias=0.5)
    inputs = jr.uniform(jr.key(0), (64, 5), config.dtype, -1, 1)
    teacher = data.draw_teacher(config, inputs, key=jr.key(2))
    first, second = teacher.hidden
    # Four standard errors of a variance of normal numbers: 1 failure in 16000 each, at a fixed key.
    for values, variance in (
        (first.weights, 2 / 5),
        (second.weights, 2 / 200),
        (first.bias, 0.25),
        (second.bias, 0.25),
        (teacher.readout, 1.0),
    ):
        allowed = 4 * math.sqrt(2 / values.size)
        assert float(jnp.mean(values**2)) == pytest.approx(variance, rel=allowed)


def test_without_biases_the_teacher_is_homogeneous():
    config = dataclasses.replace(SMALL, teacher_bias=0.0)
    inputs = jr.uniform(jr.key(0), (32, 2), "float64", -1, 1)
    teacher = data.draw_teacher(config, inputs, key=jr.key(3))
    raw = teacher._replace(mean=jnp.zeros(()), scale=jnp.ones(()))
    doubled, once = data.outputs(raw, 2 * inputs), data.outputs(raw, inputs)
    np.testing.assert_allclose(doubled, 2 * once, rtol=100 * EPS, atol=100 * EPS)


def test_losses_are_the_square_and_the_divergence():
    generator = np.random.default_rng(0)
    found, wanted = generator.normal(size=(2, 50)) * 2
    square = train.losses(SMALL, jnp.asarray(found), jnp.asarray(wanted))
    np.testing.assert_allclose(square, (found - wanted) ** 2, rtol=4 * EPS)
    config = dataclasses.replace(SMALL, loss="cross-entropy")
    p, q = scipy.special.expit(wanted), scipy.special.expit(found)
    divergence = scipy.special.rel_entr(p, q) + scipy.special.rel_entr(1 - p, 1 - q)
    ours = train.losses(config, jnp.asarray(found), jnp.asarray(wanted))
    # Differences of numbers of order 5.
    np.testing.assert_allclose(ours, divergence, rtol=0, atol=50 * EPS)


def test_the_best_network_on_the_way_is_kept():
    """The run in pieces of 50 steps, by the public parts of `students`."""
    config = dataclasses.replace(SMALL, num_steps=400, num_samples=5, learning_rate=0.02)
    key = jr.key(4)
    student = model.perceptron(config)
    sample = model.draw(config, key=key)
    run = train.start(config, student, key=key)
    seen = [float(run.best_loss)]
    training = train._training(config, student)
    places = train._places(config, sample, jnp.asarray(0))
    assert int(places.max()) == 4

    def batch(step):
        return sample.inputs[places[step]], sample.targets[places[step]]

    state = run.training
    for _ in range(8):
        state = students.advance(training, state, batch, 50)
        seen.append(float(train.test_loss(config, student, state.parameters, sample)))
    found = simulate(config, 4)
    assert float(found["test_loss"]) == pytest.approx(min(seen), rel=1e-9)
    assert int(found["best_step"]) == 50 * int(np.argmin(seen))
    assert float(found["final_test_loss"]) == pytest.approx(seen[-1], rel=1e-9)
    learned = student.apply(state.parameters, sample.inputs[:5])[:, 0] - sample.targets[:5]
    assert float(found["train_loss"]) == pytest.approx(float(jnp.mean(learned**2)), rel=1e-6)


def test_a_size_learns_the_head_of_one_pool():
    """Samples beyond the first D change nothing, and every size has one program."""
    config = dataclasses.replace(SMALL, num_samples=6)
    sample = model.draw(config, key=jr.key(5))
    places = train._places(config, sample, jnp.asarray(0))
    assert sorted(np.unique(places)) == list(range(6))
    traces = []

    @jax.jit
    def several(sizes):
        traces.append(1)
        put = lambda size: eqx.tree_at(lambda c: c.num_samples, config, size)  # noqa: E731
        return jax.vmap(lambda n: model.MODEL.simulate(put(n), key=jr.key(5))["test_loss"])(sizes)

    together = several(jnp.asarray([6, 16], jnp.int32))
    assert len(traces) == 1
    alone = simulate(config, 5)["test_loss"]
    assert float(together[0]) == pytest.approx(float(alone), rel=1e-9)
    assert float(together[0]) != float(together[1])


@pytest.mark.parametrize("library", ["flax", "equinox"])
def test_a_network_of_ones_own_takes_the_same_path(library):
    """One of each library learns four samples by heart; both through the engine."""
    build = {"flax": _flax_network, "equinox": _equinox_network}[library]
    mine = model.model_of(build, name=f"mine-{library}", summary="a network of my own", version=1)
    base = dataclasses.replace(SMALL, num_samples=4, num_steps=1500, learning_rate=0.02)
    found = run_sweep(Sweep(mine, base, {"num_samples": (2, 4)}, seeds=2))
    assert np.all(found["status"].values == Status.OK)
    assert np.all(found["train_loss"].values < 1e-3)
    assert np.all(found["test_loss"].values > 1e-2)


def _flax_network(config):
    widths = (config.input_dimension, 24, 1)
    return students.multilayer_perceptron(widths, config.dtype, activation=jnp.tanh)


def _equinox_network(config):
    def network(key):
        return eqx.nn.MLP(config.input_dimension, 1, 24, 1, key=key, dtype=config.dtype)

    _, rest = eqx.partition(network(jr.key(0)), eqx.is_inexact_array)
    return students.Student(
        init=lambda key: eqx.filter(network(key), eqx.is_inexact_array),
        apply=lambda arrays, inputs: jax.vmap(eqx.combine(arrays, rest))(inputs),
    )


def test_the_network_of_the_documentation_runs(capsys):
    page = (Path(__file__).resolve().parent.parent / "docs/networks_on_manifolds.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names = {}
    exec(block, names)
    assert names["found"]["test_loss"].shape == (3, 2)
    assert np.all(names["found"]["status"].values == Status.OK)
    assert capsys.readouterr().out.startswith("[")


def test_lanes_that_optimisation_limits_are_marked():
    easy = dataclasses.replace(SMALL, num_samples=2, num_steps=2000, learning_rate=0.02)
    assert float(simulate(easy)["optimisation_limited"]) == 0
    lazy = dataclasses.replace(easy, learning_rate=1e-6)
    assert float(simulate(lazy)["optimisation_limited"]) == 1


def test_a_run_that_diverges_says_so():
    found = simulate(dataclasses.replace(SMALL, learning_rate=1e200))
    assert int(found["status"]) == Status.NOT_FINITE
    assert math.isnan(found["test_loss"])


def test_the_line_joins_two_training_inputs():
    sample = model.draw(SMALL, key=jr.key(6))
    np.testing.assert_array_equal(sample.line_inputs[0], sample.inputs[0])
    np.testing.assert_array_equal(sample.line_inputs[-1], sample.inputs[1])
    # Of one output each, by products of two orders of summation.
    np.testing.assert_allclose(sample.line_targets[0], sample.targets[0], atol=1e3 * EPS)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("input_dimension", 0, "an integer of at least 1"),
        ("num_samples", 17, r"in 1\.\.16"),
        ("num_samples", 2.0, r"in 1\.\.16"),
        ("num_steps", 120, "a multiple of 50"),
        ("learning_rate", 0.0, "above 0"),
        ("label_noise", -1.0, "of at least 0"),
        ("teacher_bias", math.nan, "finite"),
        ("loss", "huber", "mse, cross-entropy"),
        ("activation", "sine", "relu, tanh, gelu"),
    ],
)
def test_bad_fields_are_named(field, value, words):
    with pytest.raises(ValueError, match=rf"^{field}: .*{words}"):
        dataclasses.replace(SMALL, **{field: value})
