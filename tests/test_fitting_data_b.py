"""Tier B laws against published measurements and published numbers.

Files of measurements are not part of the project: SCALINGLAB_DATA names their folder.
"""

import csv
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from scalinglab.theory.fitting import Data, Huber, fit
from scalinglab.theory.fitting.laws.experts import JOINT_EXPERTS, log_effective_experts
from scalinglab.theory.fitting.laws.parallel import PARALLEL
from scalinglab.theory.fitting.laws.precision import FLOATING_POINT
from scalinglab.theory.fitting.laws.schedules import MULTI_POWER, schedule_columns


def _file(name):
    folder = os.environ.get("SCALINGLAB_DATA")
    if not folder:
        pytest.skip("SCALINGLAB_DATA is not set: it names the folder of published measurements")
    path = Path(folder) / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the folder that SCALINGLAB_DATA names")
    return path


def _example(law):
    return {name: float(law.example[name]) for name in law.names}


def test_parallel_scaling_of_the_stack_is_the_published_fit():
    # Published with five digits, for Huber 1e-3 on the log residuals; the tolerance is one unit of
    # the last digit, in which an optimiser that stopped early would show.
    with _file("parscale.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    column = {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}
    x, y = {"N": column["params"], "P": column["P"]}, column["stack_loss"]
    found = fit(PARALLEL, Data(x, y), loss=Huber(1e-3))
    assert len(rows) == 24
    assert found.share_of_starts > 0.9
    assert not found.hit_bound
    assert found.parameters["E"] == pytest.approx(0.69121, abs=1e-5)
    assert found.parameters["A"] == pytest.approx(1.1307e7, abs=1e3)
    assert found.parameters["k"] == pytest.approx(0.39346, abs=1e-5)
    assert found.parameters["alpha"] == pytest.approx(0.18936, abs=1e-5)
    explained = 1.0 - np.sum((found.predict(x) - y) ** 2) / np.sum((y - y.mean()) ** 2)
    assert explained == pytest.approx(0.99783, abs=1e-5)


HELD_OUT = (
    "constant_72000",
    "cosine_72000",
    "wsd_20000_24000",
    "wsdld_20000_24000",
    "wsdcon_18",
    "wsdcon_3",
)
WARMUP = 2160
# README of the paper's code: L0, A, alpha, B, C, beta, gamma, and R^2 on schedules not fitted to.
MULTI_POWER_PUBLISHED = {
    "25M": ((3.040, 0.525, 0.508, 363.788, 2.066, 0.583, 0.641), 0.9988),
    "100M": ((2.651, 0.601, 0.453, 437.946, 2.132, 0.598, 0.655), 0.9983),
}


@pytest.mark.parametrize("size", MULTI_POWER_PUBLISHED)
def test_the_published_multi_power_law_predicts_other_schedules(size):
    # Three decimals of L0, A (times S1^-alpha < 1) and alpha leave up to 1e-3 of the loss, a fifth
    # of what the law leaves, sqrt(0.0013): by chance aligned, 2/5 of 1 - R^2, 5e-4. Without the
    # rise of the warm-up the loss is low by 0.11 and R^2 about 0.5.
    values, published = MULTI_POWER_PUBLISHED[size]
    names = ("L0", "A", "alpha", "B", "C", "beta", "gamma")
    theta = {name: jnp.asarray(v) for name, v in zip(names, values, strict=True)}
    shares = []
    for run in HELD_OUT:
        step, rate, loss = np.loadtxt(
            _file(f"lr_annealing_{size}/{run}.csv"), delimiter=",", skiprows=1
        ).T
        known = np.concatenate([[0, WARMUP], step]), np.concatenate([[0.0, rate.max()], rate])
        every = np.interp(np.arange(step[-1] + 1), *known)
        columns = schedule_columns(every, step.astype(int), width=64)
        x = {name: jnp.asarray(column) for name, column in columns.items()}
        x["log S1"] = jnp.log(x["S1"])
        found = jnp.exp(jax.vmap(MULTI_POWER.log_predict, in_axes=(None, 0))(theta, x))
        left = np.sum((np.asarray(found) - loss) ** 2)
        shares.append(1.0 - left / np.sum((loss - loss.mean()) ** 2))
    assert np.mean(shares) == pytest.approx(published, abs=5e-4)


# Table 4 of arXiv 2502.05172: experts, m, mu, n, nu of L = m N^mu + n D^nu + c.
TABLE_4 = [
    (1, 30.3640, -0.1817, 53.9838, -0.1965),
    (2, 27.7982, -0.1780, 66.8401, -0.2065),
    (4, 24.8462, -0.1731, 87.7022, -0.2192),
    (8, 21.8330, -0.1676, 119.9126, -0.2338),
    (16, 19.0159, -0.1617, 167.5073, -0.2494),
    (32, 16.5424, -0.1557, 234.6726, -0.2652),
]


def test_joint_experts_at_fixed_experts_are_the_published_chinchilla_laws():
    # The table's own first row gives E_start = (m/a)^(1/delta) = 2.084; Table 3 prints 2.0732,
    # which misses that row by 1e-3 in m and 3e-3 in n, so that the two tables are not of one fit.
    # Rounding of Table 3: 5e-5 log E' <= 1.7e-4 from delta and omega, 1.4e-4 from a and b, and
    # from log E_start, uncertain by 7.7e-4, 1.8e-4 in m and 4.3e-4 in n. In the exponents
    # 5e-5 + 1.7e-4 + 2e-5 of the parameters and 5e-5 as printed.
    t = _example(JOINT_EXPERTS)
    start = (TABLE_4[0][1] / t["a"]) ** (1.0 / t["delta"])
    assert start == pytest.approx(2.0835, abs=2e-3)
    for experts, m, mu, n, nu in TABLE_4:
        e = float(log_effective_experts(float(experts), start, t["E_max"]))
        assert t["a"] * np.exp(t["delta"] * e) == pytest.approx(m, rel=4.9e-4)
        assert t["b"] * np.exp(t["omega"] * e) == pytest.approx(n, rel=7.4e-4)
        assert -t["alpha"] + t["gamma"] * e == pytest.approx(mu, abs=2.9e-4)
        assert -t["beta"] + t["zeta"] * e == pytest.approx(nu, abs=2.9e-4)


def test_low_precision_has_the_critical_data_size_of_its_paper():
    # dL/dD = 0 at D^(2 beta) = d gamma N^alpha (E + .5)^delta (M + .5)^nu / log2 B; a minimum is
    # known to the square root of eps L / L'' = (1e-16 3 / 0.1)^(1/2), 1e-7, and asked to 1e-6.
    t = _example(FLOATING_POINT)
    size, exponent_bits, mantissa_bits, block = 1e9, 2.0, 1.0, 128.0

    def loss(log_data):
        x = {"N": size, "D": np.exp(log_data), "E": exponent_bits, "M": mantissa_bits, "B": block}
        x |= {"log N": np.log(size), "log D": log_data}
        return float(FLOATING_POINT.log_predict(t, x))

    start, end = 15.0, 50.0  # of log D; a golden section keeps 0.618 of the bracket
    for _ in range(44):
        low, high = end - 0.618034 * (end - start), start + 0.618034 * (end - start)
        start, end = (start, high) if loss(low) < loss(high) else (low, end)
    bits = (exponent_bits + 0.5) ** t["delta"] * (mantissa_bits + 0.5) ** t["nu"]
    critical = t["d"] * t["gamma"] * size ** t["alpha"] * bits / np.log2(block)
    assert 0.5 * (start + end) == pytest.approx(np.log(critical) / (2.0 * t["beta"]), abs=1e-6)
