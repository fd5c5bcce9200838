"""Students: the network in plain NumPy, optimizer steps by hand, any library's network, stages."""

import builtins
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import pytest
import scipy.special

from scalinglab.models import students

EPS = float(np.finfo(np.float64).eps)
WIDTHS = (5, 7, 4, 3)


def layers(parameters):
    """(W, b) of each layer of a network of flax, in order."""
    found = parameters["layers"]
    return [
        (np.asarray(found[i]["kernel"][...]), np.asarray(found[i]["bias"][...]))
        for i in sorted(found)
    ]


def inputs_and_labels(rows=12, columns=5, classes=3, seed=0):
    generator = np.random.default_rng(seed)
    return generator.normal(size=(rows, columns)), generator.integers(classes, size=rows)


def test_the_network_is_that_of_numpy():
    student = students.multilayer_perceptron(WIDTHS, "float64")
    parameters = student.init(jr.key(1))
    inputs, _ = inputs_and_labels()
    hidden = inputs
    weights = layers(parameters)
    assert [w.shape for w, _ in weights] == [(5, 7), (7, 4), (4, 3)]
    for i, (kernel, bias) in enumerate(weights):
        hidden = (np.maximum(hidden, 0) if i else hidden) @ kernel + bias
    # Sums of at most 7 products of order 1, three times.
    np.testing.assert_allclose(
        student.apply(parameters, jnp.asarray(inputs)), hidden, rtol=0, atol=100 * EPS
    )


def test_weights_are_truncated_normal_of_variance_one_over_inputs():
    student = students.multilayer_perceptron((100, 400, 2), "float64")
    (first, bias), _ = layers(student.init(jr.key(0)))
    # A normal cut at two standard deviations has the standard deviation .8796 of the whole one.
    scaled = first.ravel() * math.sqrt(100)
    assert np.abs(scaled).max() <= 2 / 0.8796 + 1e-3
    count = scaled.size
    # Four standard errors of a mean and of a variance; the kurtosis after the cut is below 3.
    assert abs(scaled.mean()) < 4 / math.sqrt(count)
    assert abs(scaled.var() - 1) < 4 * math.sqrt(2 / count)
    assert not bias.any()


def test_the_cross_entropy_is_that_of_scipy():
    logits = np.random.default_rng(3).normal(size=(6, 4)) * 3
    labels = np.array([0, 3, 1, 2, 2, 0])
    expected = -scipy.special.log_softmax(logits, axis=1)[np.arange(6), labels].mean()
    found = students.cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
    assert float(found) == pytest.approx(expected, rel=20 * EPS)


def test_steps_of_adam_are_those_of_its_paper():
    """Softmax regression, whose gradient is X^T (p - onehot)/rows, with Adam written out."""
    inputs, labels = inputs_and_labels()
    student = students.multilayer_perceptron((5, 3), "float64")
    training = students.Training(student, optax.adam(0.1), students.cross_entropy)
    state = students.start(training, training.student.init(jr.key(2)))
    [(kernel, bias)] = layers(state.parameters)
    moments = [np.zeros((6, 3)), np.zeros((6, 3))]
    joined, design = np.vstack([kernel, bias]), np.hstack([inputs, np.ones((12, 1))])
    for step in range(1, 21):
        wrong = scipy.special.softmax(design @ joined, axis=1) - np.eye(3)[labels]
        gradient = design.T @ wrong / 12
        for i, (decay, power) in enumerate(((0.9, 1), (0.999, 2))):
            moments[i] = decay * moments[i] + (1 - decay) * gradient**power
        first, second = moments[0] / (1 - 0.9**step), moments[1] / (1 - 0.999**step)
        joined = joined - 0.1 * first / (np.sqrt(second) + 1e-8)

    def batch(step):
        del step
        return jnp.asarray(inputs), jnp.asarray(labels)

    state = students.advance(training, state, batch, 20)
    assert int(state.step) == 20
    [(kernel, bias)] = layers(state.parameters)
    # 20 steps of size 0.1, in each of which a relative rounding error of the gradient is carried.
    np.testing.assert_allclose(np.vstack([kernel, bias]), joined, rtol=0, atol=1e4 * EPS)


def linear_student(columns):
    return students.Student(
        init=lambda key: jr.normal(key, (columns,), jnp.float64),
        apply=lambda weights, inputs: inputs @ weights,
    )


def half_square(outputs, targets):
    return jnp.mean((outputs - targets) ** 2) / 2


def test_a_student_of_ones_own_descends_as_linear_algebra_says():
    """w_t = w* + (I - rate H)^t (w_0 - w*) for least squares on the whole set."""
    inputs, _ = inputs_and_labels(rows=30)
    targets = inputs @ np.arange(1.0, 6.0) + np.random.default_rng(5).normal(size=30)
    training = students.Training(linear_student(5), optax.sgd(0.3), half_square)
    start = students.start(training, training.student.init(jr.key(4)))
    hessian = inputs.T @ inputs / 30
    best = np.linalg.solve(hessian, inputs.T @ targets / 30)
    contraction = np.linalg.matrix_power(np.eye(5) - 0.3 * hessian, 40)
    expected = best + contraction @ (np.asarray(start.parameters) - best)
    state = students.advance(
        training, start, lambda step: (jnp.asarray(inputs), jnp.asarray(targets)), 40
    )
    np.testing.assert_allclose(state.parameters, expected, rtol=0, atol=1e4 * EPS)


def test_a_network_of_another_library_takes_the_same_path():
    """An equinox network learns four points by heart; so does one of flax."""
    blank = eqx.nn.MLP(2, 2, 16, 1, key=jr.key(0))
    _, rest = eqx.partition(blank, eqx.is_inexact_array)
    theirs = students.Student(
        init=lambda key: eqx.filter(eqx.nn.MLP(2, 2, 16, 1, key=key), eqx.is_inexact_array),
        apply=lambda arrays, inputs: jax.vmap(eqx.combine(arrays, rest))(inputs),
    )
    ours = students.multilayer_perceptron((2, 16, 2), "float64")
    inputs = jnp.asarray([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    labels = jnp.asarray([0, 1, 1, 0])
    for student in (theirs, ours):
        training = students.Training(student, optax.adam(0.05), students.cross_entropy)
        state = students.start(training, training.student.init(jr.key(7)))
        state = students.advance(training, state, lambda step: (inputs, labels), 300)
        logits = student.apply(state.parameters, inputs)
        assert float(students.cross_entropy(logits, labels)) < 0.05
        assert np.argmax(logits, axis=1).tolist() == labels.tolist()


def test_stages_join_and_lanes_are_their_own():
    """7 and 5 steps are 12, also where the batches follow the step; a lane is what it is alone."""
    inputs, labels = (jnp.asarray(x) for x in inputs_and_labels(rows=40))
    student = students.multilayer_perceptron((5, 6, 3), "float64")
    training = students.Training(student, optax.adam(0.01), students.cross_entropy)

    def batch(step):
        rows = jr.randint(jr.fold_in(jr.key(8), step), (8,), 0, 40)
        return inputs[rows], labels[rows]

    def run(key, *parts):
        state = students.start(training, training.student.init(key))
        for steps in parts:
            state = students.advance(training, state, batch, steps)
        return student.apply(state.parameters, inputs)

    keys = jr.split(jr.key(9), 3)
    together = jax.jit(jax.vmap(lambda key: run(key, 12)))(keys)
    for lane, key in zip(together, keys, strict=True):
        # 12 steps of 0.01, each with the rounding of sums of 40 terms, carried forward.
        np.testing.assert_allclose(lane, run(key, 7, 5), rtol=0, atol=1e4 * EPS)
    assert np.ptp(np.asarray(together), axis=0).max() > 0.1


def test_without_flax_the_remedy_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **kwargs):
        if name.startswith("flax"):
            raise ImportError(name)
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ValueError, match=r"flax.*pip install scalinglab\[networks\]"):
        students.multilayer_perceptron((2, 2), "float64")
