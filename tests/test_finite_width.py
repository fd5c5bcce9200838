"""Networks of finite width: training by hand, the linearisation by its Jacobian, both limits."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from scalinglab.models import Status
from scalinglab.models import finite_width as model
from scalinglab.theory import finite_width as theory

EPS = float(np.finfo(np.float64).eps)
SMALL = model.MODEL.smallest
SETTINGS = [
    {},
    {"activation": "relu"},
    {"loss": "cross-entropy"},
    pytest.param({"activation": "relu", "depth": 3, "learning_rate": 0.3}, marks=pytest.mark.slow),
    pytest.param(
        {"activation": "relu", "data": "digits", "loss": "cross-entropy", "depth": 1},
        marks=pytest.mark.slow,
    ),
]


def lanes(config, seeds, first=0):
    keys = jr.split(jr.key(first), seeds)
    found = jax.jit(jax.vmap(lambda key: model.simulate(config, key=key)))(keys)
    return {name: np.asarray(values, np.float64) for name, values in found.items()}


def one_lane(config, seed):
    return jax.jit(lambda key: model.simulate(config, key=key))(jr.key(seed))


def residual_and_loss(outputs, targets, loss):
    """The gradient of what is lowered with respect to each row of outputs, and what is reported."""
    if loss == "mse":
        return outputs - targets, np.mean(np.sum((outputs - targets) ** 2, axis=1))
    logs = outputs - scipy.special.logsumexp(outputs, axis=1, keepdims=True)
    return np.exp(logs) - targets, -np.mean(np.sum(targets * logs, axis=1))


def by_hand(weights, inputs, activation):
    """The outputs, what enters each layer, and the slope of phi at each hidden unit."""
    entering, slopes, outputs = [inputs], [], inputs @ weights[0]
    for weight in weights[1:]:
        relu = activation == "relu"
        value = np.maximum(outputs, 0) * math.sqrt(2) if relu else scipy.special.erf(outputs)
        slope = (
            math.sqrt(2) * (outputs > 0) if relu else 2 / math.sqrt(math.pi) * np.exp(-(outputs**2))
        )
        entering.append(value / math.sqrt(weight.shape[0]))
        slopes.append(slope / math.sqrt(weight.shape[0]))
        outputs = entering[-1] @ weight
    return outputs, entering, slopes


@pytest.mark.parametrize("fields", SETTINGS)
def test_the_network_is_trained_as_by_hand(fields):
    """Back-propagation written out in numpy."""
    config = dataclasses.replace(SMALL, **fields)
    data = model.data_of(config)
    weights = [np.asarray(w) for w in model.draw(config, key=jr.key(3)).weights]
    for _ in range(config.num_steps):
        outputs, entering, slopes = by_hand(weights, data.inputs, config.activation)
        back = residual_and_loss(outputs, data.targets, config.loss)[0] / config.num_samples
        for layer in range(len(weights) - 1, -1, -1):
            gradient = entering[layer].T @ back
            if layer:
                back = (back @ weights[layer].T) * slopes[layer - 1]
            weights[layer] = weights[layer] - config.learning_rate * gradient
    found = one_lane(config, 3)
    assert int(found["status"]) == Status.OK
    for name, inputs, targets in (
        ("test_loss", data.test_inputs, data.test_targets),
        ("train_loss", data.inputs, data.targets),
    ):
        outputs = by_hand(weights, inputs, config.activation)[0]
        expected = residual_and_loss(outputs, targets, config.loss)[1]
        # Each of 20 steps rounds sums of some 100 terms: 1e4 eps.
        np.testing.assert_allclose(found[name], expected, rtol=1e4 * EPS)


@pytest.mark.parametrize("fields", SETTINGS)
def test_the_linearised_network_is_a_linear_model(fields):
    """The whole Jacobian, forward mode, and gradient descent of a linear model in numpy."""
    config = dataclasses.replace(SMALL, **fields, width=10)
    data = model.data_of(config)
    weights = model.draw(config, key=jr.key(1)).weights

    def features(inputs):
        def outputs(weights):
            return model.network(weights, jnp.asarray(inputs), config.activation)

        slopes = jax.jacfwd(outputs)(weights)
        start = np.asarray(outputs(weights))
        flat = [np.asarray(slope).reshape(start.size, -1) for slope in slopes]
        return start, np.hstack(flat)

    start, design = features(data.inputs)
    theta = np.zeros(design.shape[1])
    for _ in range(config.num_steps):
        outputs = start + (design @ theta).reshape(start.shape)
        back = residual_and_loss(outputs, data.targets, config.loss)[0] / config.num_samples
        theta -= config.learning_rate * design.T @ back.reshape(-1)
    test_start, test_design = features(data.test_inputs)
    outputs = test_start + (test_design @ theta).reshape(test_start.shape)
    expected = residual_and_loss(outputs, data.test_targets, config.loss)[1]
    found = one_lane(config, 1)
    np.testing.assert_allclose(found["test_loss_linearised"], expected, rtol=1e4 * EPS)
    np.testing.assert_allclose(
        found["difference"],
        found["test_loss"] - found["test_loss_linearised"],
        atol=4 * EPS,
        rtol=0,
    )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"activation": "relu", "depth": 1},
        pytest.param({"data": "digits", "num_steps": 200}, marks=pytest.mark.slow),
    ],
)
def test_function_space_is_the_linearised_network(fields):
    config = dataclasses.replace(SMALL, **fields)
    predicted = theory.predict(config, "function-space", key=jr.key(5))
    found = one_lane(config, 5)
    assert predicted.kind == "exact"
    for name, value in predicted.observables.items():
        # 200 steps of a contraction: their roundings add to some 100 eps, of sums of 100 terms.
        np.testing.assert_allclose(found[name], value, rtol=1e4 * EPS)


def relu_layer_by_quadrature(angle):
    """F and F' of unit inputs at an angle, over the angle of a two-dimensional Gaussian."""
    low, high = angle - math.pi / 2, math.pi / 2
    product, _ = scipy.integrate.quad(
        lambda t: math.cos(t) * math.cos(t - angle), low, high, epsabs=1e-13
    )
    # The radius gives E r²/2 = 1 and the square of the gain 2.
    return 2 * product / math.pi, 2 * (high - low) / (2 * math.pi)


def erf_layer_by_quadrature(one, other, cross):
    """F and F' by Gauss and Hermite's rule, 100 nodes a dimension."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(100)
    weights = weights / weights.sum()
    triangle = np.linalg.cholesky(np.array([[one, cross], [cross, other]]))
    u = triangle[0, 0] * nodes[:, None] + 0 * nodes
    v = triangle[1, 0] * nodes[:, None] + triangle[1, 1] * nodes
    slope = 4 / math.pi * np.exp(-(u**2) - v**2)
    both = scipy.special.erf(u) * scipy.special.erf(v)
    return weights @ both @ weights, weights @ slope @ weights


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_kernels_of_two_layers_by_quadrature(activation):
    """The recursion of the docstring, with its two expectations as integrals."""
    angle = 1.1
    points = np.array([[1.0, 0.0], [math.cos(angle), math.sin(angle)]])
    found = theory.infinite_kernels(points, points, depth=2, activation=activation)
    one, cross, tangent = 1.0, math.cos(angle), math.cos(angle)
    for _ in range(2):
        if activation == "relu":
            value, slope = relu_layer_by_quadrature(math.acos(cross / one))
            value, own = one * value, one
        else:
            value, slope = erf_layer_by_quadrature(one, one, cross)
            own = 2 / math.pi * math.asin(2 * one / (1 + 2 * one))
        one, cross, tangent = own, value, value + slope * tangent
    np.testing.assert_allclose(found.start, [[one, cross], [cross, one]], rtol=1e-11)
    np.testing.assert_allclose(found.tangent[0, 1], tangent, rtol=1e-11)
    if activation == "relu":
        np.testing.assert_allclose(np.diagonal(found.tangent), 3.0, rtol=4 * EPS)


@pytest.mark.parametrize("activation", ["relu", "erf"])
def test_one_hidden_layer_has_the_tangent_kernel_in_the_mean(activation):
    """Its mean over draws is Theta at every width, and that of f_0 f_0^T is Q: 4.5 errors.

    Of 2 x 272 numbers a Gaussian would break that once in 300 tests.
    """
    config = dataclasses.replace(SMALL, depth=1, width=6, activation=activation, num_samples=4)

    def one(key):
        kernel, start = theory.empirical_kernels(config, key=key)
        return kernel[:68, 0, :, 0], start[:68, 0][:, None] * start[:4, 0][None, :]

    found = jax.jit(jax.vmap(one))(jr.split(jr.key(0), 4000))
    data = model.data_of(config)
    every = np.vstack([data.inputs, data.test_inputs])[:68]
    expected = theory.infinite_kernels(every, data.inputs, depth=1, activation=activation)
    for values, mean in zip(found, (expected.tangent, expected.start), strict=True):
        values = np.asarray(values)
        error = values.std(axis=0, ddof=1) / math.sqrt(len(values))
        assert np.max(np.abs(values.mean(axis=0) - mean) / error) < 4.5


@pytest.mark.parametrize("fields", [{}, {"data": "digits", "activation": "relu"}])
def test_the_infinite_width_by_iteration(fields):
    """The map from f_0 and y to f_t found step by step, and the covariance put through it."""
    config = dataclasses.replace(SMALL, **fields)
    data = model.data_of(config)
    every = np.vstack([data.inputs, data.test_inputs])
    kernels = theory.infinite_kernels(
        every, every, depth=config.depth, activation=config.activation
    )
    samples, points = config.num_samples, len(every)
    start, pull = np.eye(points), np.zeros((points, samples))
    rate = config.learning_rate / samples
    for _ in range(config.num_steps):
        force = rate * kernels.tangent[:, :samples]
        start, pull = (
            start - force @ start[:samples],
            pull + force @ (np.eye(samples) - pull[:samples]),
        )
    targets = np.vstack([data.targets, data.test_targets])
    bias = np.sum((targets - pull @ data.targets) ** 2, axis=1)
    spread = np.sum((start @ kernels.start) * start, axis=1)
    errors = bias + data.targets.shape[1] * spread
    found = theory.infinite_width_losses(config)
    # arccos near 1 loses half of the digits at x = x' for relu, once in a row of the kernel.
    np.testing.assert_allclose(found.test, errors[samples:].mean(), rtol=1e-7)
    np.testing.assert_allclose(found.train, errors[:samples].mean(), rtol=1e-7)


def test_wide_networks_have_the_loss_of_the_tangent_kernel():
    """64 networks of width 256, within 4 standard errors and the stated error of 2.5 %."""
    config = dataclasses.replace(SMALL, width=256)
    found = lanes(config, 64)
    predicted = theory.predict(config)
    assert predicted.kind == "deterministic_equivalent"
    for name in ("test_loss", "test_loss_linearised"):
        values, expected = found[name], predicted.observables[name]
        error = values.std(ddof=1) / 8
        assert abs(values.mean() - expected) < 4 * error + predicted.relative_error * expected
        # The labels alone, or f_0 alone, would be far outside.
        assert 4 * error + predicted.relative_error * expected < 0.2 * expected


def test_without_steps_nothing_differs_and_with_many_the_training_set_is_learned():
    still = one_lane(dataclasses.replace(SMALL, num_steps=0), 0)
    assert float(still["difference"]) == 0
    limit = theory.infinite_width_losses(dataclasses.replace(SMALL, num_steps=0))
    data = model.data_of(SMALL)
    shape = {"depth": SMALL.depth, "activation": SMALL.activation}
    own = np.diagonal(theory.infinite_kernels(data.test_inputs, data.test_inputs, **shape).start)
    assert limit.test == pytest.approx(np.mean(own) + np.mean(data.test_targets**2), rel=1e-12)
    assert theory.infinite_width_losses(
        dataclasses.replace(SMALL, num_steps=100_000)
    ).train == pytest.approx(0, abs=1e-9)


def test_a_rate_that_diverges_says_so():
    found = one_lane(dataclasses.replace(SMALL, learning_rate=1e4, num_steps=200), 0)
    assert int(found["status"]) == Status.NOT_FINITE
    assert math.isnan(float(found["difference"]))


def test_data_are_nested_and_do_not_depend_on_the_network():
    small, large = (model.data_of(dataclasses.replace(SMALL, num_samples=n)) for n in (5, 50))
    np.testing.assert_array_equal(small.inputs, large.inputs[:5])
    np.testing.assert_array_equal(small.test_targets, large.test_targets)
    other = model.data_of(dataclasses.replace(SMALL, data_seed=1))
    assert not np.any(other.test_inputs == small.test_inputs)
    # 1000 points of 4 coordinates: 4 standard errors of a mean square of 1/4.
    assert np.mean(small.test_inputs**2) == pytest.approx(1 / 4, abs=4 * math.sqrt(2 / 4000) / 4)
    digits = model.data_of(dataclasses.replace(SMALL, data="digits"))
    assert digits.inputs.shape == (16, 64)
    assert digits.test_targets.shape == (497, 10)
    np.testing.assert_allclose(np.sum(digits.test_inputs**2, axis=1), 1, rtol=10 * EPS)
    np.testing.assert_allclose(digits.targets.sum(axis=1), 0, atol=10 * EPS)


def test_the_function_is_near_a_smooth_gaussian_process():
    """400 seeds: the covariance of y at two points against exp(-|x - x'|²/2d), 4 errors."""
    found = []
    for seed in range(400):
        data = model.data_of(dataclasses.replace(SMALL, data_seed=seed, num_samples=2))
        gap = np.sum((data.inputs[0] - data.inputs[1]) ** 2)
        found.append([np.prod(data.targets) - math.exp(-gap / 2), data.targets[0, 0] ** 2 - 1])
    error = np.std(found, axis=0) / 20
    assert np.all(np.abs(np.mean(found, axis=0)) < 4 * error)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"width": 0}, "width: 0"),
        ({"depth": True}, "depth: True"),
        ({"num_samples": 1301}, "num_samples: 1301"),
        ({"num_steps": -1}, "num_steps: -1"),
        ({"learning_rate": math.nan}, "learning_rate: nan"),
        ({"input_dimension": 2.5}, "input_dimension: 2.5"),
        ({"data_seed": -1}, "data_seed: -1"),
    ],
)
def test_bad_fields_are_named(fields, text, unchecked):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(SMALL, **fields)


def test_cross_entropy_has_no_closed_form():
    with pytest.raises(ValueError, match="applies"):
        theory.predict(dataclasses.replace(SMALL, loss="cross-entropy"))
