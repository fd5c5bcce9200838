"""Every law of tier B: its formula, its units, that fits recover it, and what makes its columns."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from scipy.stats import nbinom, norm, qmc
from scipy.stats import t as student

from scalinglab.theory.fitting import LEAST_SQUARES, Data, fit, fit_many
from scalinglab.theory.fitting.coordinates import working
from scalinglab.theory.fitting.law import power_of
from scalinglab.theory.fitting.laws import (
    data_use,
    experts,
    parallel,
    pass_until,
    precision,
    schedules,
    translation,
    u_shape,
)

MODULES = (schedules, data_use, translation, parallel, experts, precision, pass_until, u_shape)
LAWS = {law.name: law for module in MODULES for law in module.LAWS}
MULTI_POWER, JOINT_EXPERTS = schedules.MULTI_POWER, experts.JOINT_EXPERTS
NOISE, FACTOR = 0.01, 1e6
each_law = pytest.mark.parametrize("name", LAWS)
SLOW = "joint-experts"  # eleven parameters take ten seconds to compile on a busy machine
each_fit = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name == SLOW else name for name in LAWS]
)


def multi_power(t, S1, drop, rate, area):
    gain = 1 - (1 + t["C"] * rate ** -t["gamma"] * area) ** -t["beta"]
    return t["L0"] + t["A"] * S1 ** -t["alpha"] - t["B"] * (drop * gain).sum(axis=1)


def utility(t, n1, growth):
    value = t["A"] * n1 ** -t["b"]
    for k in range(growth.shape[1]):
        value = value * np.exp(growth[:, k]) ** (-t["b"] * 0.5 ** ((k + 1) / t["tau"]))
    return t["d"] + value


def mixture_weight(t, N, p):
    share = p + t["c1"] * p ** t["c2"] * (1 - p) ** t["c3"]
    return t["beta"] * (share * N) ** -t["alpha"] + t["L_inf"]


def effective(t, E):
    return 1 / (1 / (E - 1 + 1 / (1 / t["E_start"] - 1 / t["E_max"])) + 1 / t["E_max"])


def joint_experts(t, N, D, E):
    e = effective(t, E)
    size = t["a"] * e ** t["delta"] * N ** (-t["alpha"] + t["gamma"] * np.log(e))
    return size + t["b"] * e ** t["omega"] * D ** (-t["beta"] + t["zeta"] * np.log(e)) + t["c"]


def floating_point(t, N, D, E, M, B):
    rounding = np.log2(B) / (t["gamma"] * (E + 0.5) ** t["delta"] * (M + 0.5) ** t["nu"])
    size, data = N ** t["alpha"], D ** t["beta"]
    return t["n"] / size + t["d"] / data + t["epsilon"] + data / size * rounding


PLAIN = {
    "multi-power": multi_power,
    "utility": utility,
    "mixture-weight": mixture_weight,
    "bivariate-translation": lambda t, N_e, N_d: (
        t["beta"] * N_e ** -t["p_e"] * N_d ** -t["p_d"] + t["L_inf"]
    ),
    "parallel": lambda t, N, P: t["E"] + (t["A"] / (N * (t["k"] * np.log(P) + 1))) ** t["alpha"],
    "joint-experts": joint_experts,
    "floating-point": floating_point,
    "pass-until": lambda t, N: np.exp(-t["c"] * N ** -t["alpha"]),
    "u-shape": lambda t, x: t["E"] + t["k"] * np.log(x / t["x_turn"]) ** 2,
}


def truth(law):
    return {name: float(law.example[name]) for name in law.names}


@functools.cache
def points(name):
    """The example's arrays, or 64 points of a Sobol sequence in its ranges; and the loss there."""
    law = LAWS[name]
    if any(isinstance(law.example[one], np.ndarray) for one in law.inputs):
        x = {one: law.example[one] for one in law.inputs}
    else:
        unit = qmc.Sobol(len(law.inputs), rng=np.random.default_rng(3)).random(64)
        ends = [law.example[one] for one in law.inputs]
        x = {
            one: low * (high / low) ** column
            for one, (low, high), column in zip(law.inputs, ends, unit.T, strict=True)
        }
    return x, PLAIN[name](truth(law), **x)


def noisy(name):
    y = points(name)[1]
    return y * np.exp(NOISE * np.random.default_rng(1).standard_normal(len(y)))


def given(x):
    arrays = {name: jnp.asarray(column) for name, column in x.items()}
    return arrays | {f"log {name}": jnp.log(c) for name, c in arrays.items() if c.ndim == 1}


@functools.cache
def fits(name):
    """Of exact data, of noisy data, and of noisy data with one unit after another scaled."""
    law = LAWS[name]
    x, y = points(name)
    measured = noisy(name)
    datas = [Data(x, y), Data(x, measured)]
    for unit in law.scaled:
        scaled = {k: v * (FACTOR if law.unit_of(k) == unit else 1.0) for k, v in x.items()}
        datas.append(Data(scaled, measured * (FACTOR if unit == law.output else 1.0)))
    return fit_many(law, datas, loss=LEAST_SQUARES, starts=8)


@each_law
def test_log_predict_and_its_derivatives_are_those_of_the_formula(name):
    # Powers of N up to e^28 lose 28 exponent eps, and the logarithms of the pass rate are up to 7:
    # 1e-14. Derivatives of the plain formula by a complex step have no difference in them: both
    # carry the same rounding, times log N again.
    law = LAWS[name]
    x, y = points(name)
    theta = {one: jnp.asarray(value) for one, value in truth(law).items()}
    at = jax.vmap(law.log_predict, in_axes=(None, 0))
    both = jax.jit(lambda t, x: (at(t, x), jax.jacfwd(at)(t, x)))
    value, slopes = both(theta, given(x))
    np.testing.assert_allclose(value, np.log(y), rtol=0, atol=1e-13)
    for one, value in truth(law).items():
        moved = PLAIN[name]({**truth(law), one: value + 1e-30j * value}, **x)
        expected = np.log(moved).imag / 1e-30
        scale = np.abs(expected).max()
        np.testing.assert_allclose(slopes[one] * value, expected, rtol=0, atol=1e-11 * scale)


@each_law
def test_columns_are_the_derivatives_in_the_linear_parameters(name):
    # Twice a linear parameter adds its column times it, up to the rounding of both losses.
    law = LAWS[name]
    x, y = points(name)
    linear = [one.name for one in law.parameters if one.linear]
    assert (law.columns is None) == (not linear)
    assert law.columns is not None or law.starts is not None
    if law.columns is not None:
        columns = jax.vmap(lambda one: [jnp.asarray(c) for c in law.columns(truth(law), one)])(
            given(x)
        )
        for one, column in zip(linear, columns, strict=True):
            doubled = PLAIN[name]({**truth(law), one: 2 * truth(law)[one]}, **x)
            found = np.broadcast_to(column, y.shape) * truth(law)[one]
            np.testing.assert_allclose(found, doubled - y, rtol=0, atol=1e-13 * y.max())


@each_fit
def test_exact_data_give_the_parameters_back(name):
    # Residuals of 1e-14 times the largest standard error per unit of noise, 60, are 6e-13.
    found = fits(name)[0]
    for one, value in truth(LAWS[name]).items():
        assert found.parameters[one] == pytest.approx(value, rel=1e-10), one
    assert not found.hit_bound


@each_fit
def test_noisy_data_give_the_parameters_back(name):
    # k standard errors, so that over all laws 0.04 parameters lie beyond by chance.
    law, found = LAWS[name], fits(name)[1]
    total = sum(len(one.parameters) for one in LAWS.values())
    inverse = np.linalg.inv(found.columns @ found.columns.T)
    errors = np.sqrt(found.residuals @ found.residuals / found.dof * np.diag(inverse))
    shift = {key: values[0] for key, values in found.table.shift.items()}
    z = (found.phi - working(law, truth(law), found.free, shift)) / errors
    assert np.abs(z).max() < student.isf(0.02 / total, found.dof)


@each_fit
def test_noisy_data_have_the_noise_that_was_put_in(name):
    # chi-squared with n - p degrees of freedom, two-sided at 1e-3: 0.009 of nine laws by chance.
    found = fits(name)[1]
    sum_of_squares = found.residuals @ found.residuals / NOISE**2
    assert abs((2 * sum_of_squares) ** 0.5 - (2 * found.dof - 1) ** 0.5) < norm.isf(5e-4)


@each_fit
def test_a_unit_changes_only_the_parameters_that_have_it(name):
    # Centred logarithms agree to 1e-14; parameters move by that times 60 standard errors per noise.
    law, (_, before, *scaled) = LAWS[name], fits(name)
    assert law.scaled
    for unit, found in zip(law.scaled, scaled, strict=True):
        assert found.objective == pytest.approx(before.objective, rel=1e-12)
        for one in law.parameters:
            power = power_of(one.unit[unit], before.parameters) if unit in one.unit else 0.0
            expected = before.parameters[one.name] * FACTOR**power
            assert found.parameters[one.name] == pytest.approx(expected, rel=1e-10), one.name


@pytest.mark.slow
def test_the_units_of_size_and_data_tilt_the_exponents_of_experts():
    # N -> f N: a -> a f^alpha, delta -> delta - gamma log f. Logarithms up to 42 times exponents
    # round at 2e-15, which is 2e-13 of the noise. Here cond(J) is 1e5 per unit of coordinates whose
    # standard errors are up to 60 times the noise: 1e-15 1e5 60 is 6e-9.
    x, before = points("joint-experts")[0], fits("joint-experts")[1]
    data = Data({"N": x["N"] * FACTOR, "D": x["D"] / FACTOR, "E": x["E"]}, noisy("joint-experts"))
    found = fit_many(JOINT_EXPERTS, [data, data], loss=LEAST_SQUARES, starts=8)[0]
    assert found.objective == pytest.approx(before.objective, rel=1e-11)
    log_f, p = np.log(FACTOR), before.parameters
    expected = {
        **p,
        "a": p["a"] * FACTOR ** p["alpha"],
        "b": p["b"] * FACTOR ** -p["beta"],
        "delta": p["delta"] - p["gamma"] * log_f,
        "omega": p["omega"] + p["zeta"] * log_f,
    }
    assert found.parameters == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("law", [parallel.PARALLEL, data_use.UTILITY], ids=lambda law: law.name)
def test_many_data_sets_are_fitted_as_one_at_a_time(law):
    x, y = points(law.name)
    rng = np.random.default_rng(5)
    datas = []
    for size in len(y) - np.arange(20) % 15:  # one length of the compiled arrays
        rows = rng.choice(len(y), size, replace=False)
        noise = np.exp(NOISE * rng.standard_normal(size))
        datas.append(Data({k: v[rows] for k, v in x.items()}, y[rows] * noise))
    together = fit_many(law, datas, loss=LEAST_SQUARES, starts=4)
    for data, found in zip(datas, together, strict=True):
        alone = fit(law, data, loss=LEAST_SQUARES, starts=4)
        assert found.objective == pytest.approx(alone.objective, rel=1e-10)


def test_every_law_says_where_it_is_from():
    assert set(PLAIN) == set(LAWS)
    for law in LAWS.values():
        assert law.formula
        assert "arXiv" in law.source
        assert set(law.example) == {*law.names, *law.inputs}


def cosine(steps, warmup):
    rates = 1e-3 * (0.55 + 0.45 * np.cos(np.pi * np.arange(steps) / steps))
    rates[:warmup] = 1e-3 * (np.arange(warmup) + 1) / warmup
    return rates


def by_every_step(t, rates, step, warmup):
    """The law from the whole schedule, step by step."""
    loss = t["L0"] + t["A"] * sum(rates[: step + 1]) ** -t["alpha"]
    for k in range(warmup + 1, step + 1):
        if rates[k] == 0.0:  # the limit of a small rate, at which nothing is learned any more
            continue
        reach = t["C"] * rates[k] ** -t["gamma"] * sum(rates[k : step + 1])
        gain = 1 - (1 + reach) ** -t["beta"]
        loss -= t["B"] * (rates[k - 1] - rates[k]) * gain
    return loss


def predicted(t, columns):
    at = jax.vmap(MULTI_POWER.log_predict, in_axes=(None, 0))
    return np.exp(np.asarray(at(t, given(columns))))


def test_schedule_columns_carry_the_whole_schedule():
    # A cosine after a warm-up, with a rise in the middle and rate 0 at the end. Sums of 300 rates
    # round at 300 eps of the sum.
    t, steps = truth(MULTI_POWER), np.array([0, 5, 30, 119, 120, 200, 299])
    rates = cosine(300, 20)
    rates[120:180], rates[297:] = 7e-4, 0.0
    expected = [by_every_step(t, rates, step, 20) for step in steps]
    columns = schedules.schedule_columns(rates, steps, warmup=20)
    np.testing.assert_allclose(predicted(t, columns), expected, rtol=1e-12)
    padded = schedules.schedule_columns(rates, steps, warmup=20, width=500)
    np.testing.assert_allclose(predicted(t, padded), expected, rtol=1e-12)
    constant = schedules.schedule_columns(np.full(50, 0.1), np.array([9]))
    assert constant["drop"].shape == (1, 1)
    np.testing.assert_allclose(predicted(t, constant), t["L0"] + t["A"], rtol=1e-14)


def test_merged_changes_err_as_the_square_of_their_number():
    # The mean place leaves the second order; which of 17 steps errs most differs between the two
    # widths, a factor of 1.5 or 0.2 in the order. Keeping the first or the last change gives 1.
    t, rates, steps = truth(MULTI_POWER), cosine(2000, 100), np.arange(300, 2000, 100)
    exact = predicted(t, schedules.schedule_columns(rates, steps))
    coarse, fine = (
        np.abs(predicted(t, schedules.schedule_columns(rates, steps, width=w)) - exact).max()
        for w in (80, 640)
    )
    assert np.log(coarse / fine) / np.log(640 / 80) == pytest.approx(2.0, abs=0.2)


def test_a_large_drop_is_not_merged():
    # Three hundred small rises, then one drop by 70 %, whose entry is the same at any width.
    rates = np.concatenate([np.linspace(0.0, 1e-3, 301), np.full(200, 3e-4)])
    whole, merged = (schedules.schedule_columns(rates, np.array([450]), width=w) for w in (400, 5))
    last = {name: column[0, 300] for name, column in whole.items() if name != "S1"}
    assert {name: merged[name][0, 4] for name in last} == pytest.approx(last, rel=1e-13)
    assert merged["drop"].sum() == pytest.approx(-3e-4, rel=1e-13)


@pytest.mark.parametrize(
    ("rates", "recorded", "width", "reason"),
    [
        ([1.0, 0.0, 1.0], [0], None, "learning_rates: 0.0 at step 1"),
        ([1.0, -1.0], [0], None, "learning_rates: -1.0 at step 1"),
        ([0.0, 0.0], [0], None, "learning_rates: 0.0 at step 0"),
        ([1.0, 1.0], [2], None, "recorded: step 2 is not one of steps 0 to 1"),
        ([0.0, 1.0], [0], None, "recorded: step 0 is not one of steps 1 to 1"),
        ([1.0, 1.0], [0], 0, "width: 0"),
        ([1.0, 2.0, 1.0], [0], 1, "width: 1 for 2 rises and falls"),
    ],
)
def test_schedule_columns_refuse(rates, recorded, width, reason):
    with pytest.raises(ValueError, match=reason):
        schedules.schedule_columns(np.array(rates), np.array(recorded), width=width)


def test_mixtures_are_summed_epoch_by_epoch():
    b, tau, A, d, unique, samples = [0.16, 0.1], [7.0, 2.0], 5.0, 0.1, 1000.0, 4300.0
    value = A * unique ** -np.mean(b)
    for k, (start, end) in enumerate([(1, 2), (2, 3), (3, 4), (4, 4.3)], 2):
        exponent = np.mean([b[i] * 0.5 ** ((k - 1) / (2 * tau[i])) for i in range(2)])
        value *= (end / start) ** -exponent
    arrays = np.array([samples]), np.array([unique])

    def mixed(b, half_life):
        pools = {"b": np.array(b), "half_life": np.array(half_life)}
        return data_use.mixture_loss(*arrays, A=A, d=d, **pools)

    np.testing.assert_allclose(mixed(b, tau), d + value, rtol=1e-13)
    single = utility({"A": A, "d": d, "b": 0.16, "tau": 7.0}, **data_use.epoch_columns(*arrays))
    np.testing.assert_allclose(mixed([0.16], [7.0]), single, rtol=1e-13)
    np.testing.assert_allclose(mixed([0.16], [1e18]), d + A * samples**-0.16, rtol=1e-13)
    with pytest.raises(ValueError, match="width: 2; there are runs of 5 epochs, give 4"):
        data_use.epoch_columns(*arrays, width=2)
    with pytest.raises(ValueError, match="unique: not every entry is positive"):
        data_use.epoch_columns(arrays[0], np.zeros(1))


def test_effective_fractions():
    theta, p = truth(LAWS["mixture-weight"]), np.array([0.1, 0.5, 1.0])
    share = data_use.fitted_fraction(p, c1=theta["c1"], c2=theta["c2"], c3=theta["c3"])
    np.testing.assert_allclose(share[2], 1.0, rtol=0)
    # Eq. (7) with beta_p = beta_1 f^-alpha has the effective fraction f, eq. (10).
    amplitudes = theta["beta"] * share ** -theta["alpha"]
    found = data_use.effective_fraction(amplitudes, theta["beta"], theta["alpha"])
    np.testing.assert_allclose(found, share, rtol=1e-13)
    at_one = jax.grad(lambda c3: data_use.fitted_fraction(1.0, c1=0.5, c2=1.0, c3=c3))(1.0)
    assert at_one == 0.0


def test_a_maximum_is_found_too():
    x = np.geomspace(1e3, 1e9, 64)
    data = Data({"x": x}, 2.0 - 0.02 * np.log(x / 1e6) ** 2)
    found = fit_many(u_shape.U_SHAPE, [data, data], loss=LEAST_SQUARES, starts=8)[0]
    assert found.parameters == pytest.approx({"E": 2.0, "k": -0.02, "x_turn": 1e6}, rel=1e-10)


def test_pass_rate_limits_are_where_the_tails_are():
    draws, passes = np.array([1, 5, 40, 3000, 3]), np.array([1, 2, 3, 4, 3])
    found = pass_until.pass_rate(draws, passes, level=0.9)
    np.testing.assert_array_equal(found.rate, passes / draws)
    for row, (k, r) in enumerate(zip(draws, passes, strict=True)):

        def more(p, k=k, r=r):  # P(draws <= K) - 5 %
            return nbinom.cdf(k - r, r, p) - 0.05

        def fewer(p, k=k, r=r):  # P(draws >= K) - 5 %
            return nbinom.sf(k - r - 1, r, p) - 0.05

        low = scipy.optimize.brentq(more, 1e-9, 1 - 1e-12, xtol=1e-15)
        assert found.low[row] == pytest.approx(low, rel=1e-9)
        high = scipy.optimize.brentq(fewer, 1e-9, 1 - 1e-12, xtol=1e-15) if k > r else 1.0
        assert found.high[row] == pytest.approx(high, rel=1e-9)
    # Coverage, summed over the distribution itself: at least the level, at every rate.
    for p in (0.003, 0.05, 0.3, 0.9):
        draws = np.arange(3, 12000)
        inside = pass_until.pass_rate(draws, np.full_like(draws, 3), level=0.9)
        covered = (inside.low <= p) & (p <= inside.high)
        assert nbinom.pmf(draws - 3, 3, p) @ covered >= 0.9


def test_pass_rate_refuses():
    draws = np.array([5])
    for passes, level, reason in ((0, 0.9, "never"), (6, 0.9, "draws: 5"), (2, 1.0, "level: 1")):
        with pytest.raises(ValueError, match=reason):
            pass_until.pass_rate(draws, np.array([passes]), level=level)
