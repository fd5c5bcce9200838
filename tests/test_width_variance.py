"""The experiment on wide networks: its exponents on curves that are known, and its run."""

import math

import jax
import jax.random as jr
import numpy as np
import pytest
import xarray as xr

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.teacher_student import width_variance as experiment
from scalinglab.models import Status
from scalinglab.models import finite_width as model
from scalinglab.paper_figs.bahri2021_width import draw_width_variance
from scalinglab.paper_figs.figure import table_text

WIDTHS = np.array([32.0, 64.0, 128.0, 256.0, 512.0])


def curve(difference, error, loss=None):
    ones = np.ones(5)
    loss = 1 + difference if loss is None else loss
    columns = (WIDTHS, loss, 0.1 * ones, ones, 0.1 * ones, difference, error)
    return experiment.WidthCurve(*columns, WIDTHS**2, 0.1 * ones, 32 * ones)


def test_a_power_law_is_found_in_the_largest_window():
    found = experiment.exponents_of(
        curve(-3 / WIDTHS, 0.02 / WIDTHS), experiment.Limit(1.0, 0.0, "exact")
    )
    assert found.difference is not None
    assert found.raw is not None
    exponent, error, systematic = found.difference.choice
    assert found.window_start == 32
    assert exponent == pytest.approx(1, abs=1e-12)
    # Weighted least squares by hand: equal relative errors, five points a factor of two apart.
    assert error == pytest.approx(0.02 / 3 / (math.log(2) * math.sqrt(10)), rel=1e-12)
    assert systematic == pytest.approx(0, abs=1e-12)
    assert float(found.raw.exponent) == pytest.approx(1, abs=1e-12)
    weights = (3 / WIDTHS / 0.1) ** 2
    centred = np.log(WIDTHS) - np.sum(weights * np.log(WIDTHS)) / weights.sum()
    expected = 1 / math.sqrt(np.sum(weights * centred**2))
    assert found.error_without == pytest.approx(expected, rel=1e-12)


def test_small_widths_out_of_range_are_left_out():
    bent = 3 / WIDTHS * (1 - 20 / WIDTHS)
    found = experiment.exponents_of(curve(bent, 1e-3 * bent), experiment.Limit(1.0, 0.0, "exact"))
    assert found.difference is not None
    assert not found.difference.flat
    assert found.window_start == 64


def test_a_difference_of_two_signs_has_no_exponent():
    mixed = np.array([1.0, -1.0, 1.0, 1.0, 1.0]) / WIDTHS
    limit = experiment.Limit(1.0, 0.0, "exact")
    found = experiment.exponents_of(curve(mixed, 0.1 / WIDTHS), limit)
    assert (found.difference, found.raw) == (None, None)
    assert math.isnan(found.window_start)
    found = experiment.exponents_of(curve(3 / WIDTHS, 0.1 / WIDTHS, 1 + mixed), limit)
    assert found.raw is None


def dataset(loss, difference):
    """One width, a lane each; the last failed."""
    seeds = len(loss) + 1
    lanes = {
        "test_loss": [*loss, np.nan],
        "difference": [*difference, np.nan],
        "test_loss_linearised": [*(loss - difference), np.nan],
        "status": [0] * len(loss) + [int(Status.NOT_FINITE)],
    }
    columns = {name: (("width", "seed"), [values]) for name, values in lanes.items()}
    return xr.Dataset(columns, coords={"width": [64], "seed": np.arange(seeds)})


def test_means_errors_and_the_jackknife():
    """Against numpy, and the jackknife against its definition, lane by lane."""
    generator = np.random.default_rng(0)
    loss, difference = generator.normal(2, 1, 40), generator.normal(0.1, 0.2, 40)
    other = generator.normal(2, 1, 40)
    found = experiment.width_curve(
        {"digits": dataset(loss, difference), "digits-wide": dataset(other, difference)}, "digits"
    )
    assert list(found.seeds) == [40, 40]
    assert found.loss[0] == pytest.approx(loss.mean(), rel=1e-12)
    assert found.difference_error[0] == pytest.approx(difference.std(ddof=1) / math.sqrt(40))
    assert found.reduction[0] == pytest.approx(loss.var(ddof=1) / difference.var(ddof=1))
    left_out = [
        math.log(np.delete(loss, i).var(ddof=1) / np.delete(difference, i).var(ddof=1))
        for i in range(40)
    ]
    expected = math.sqrt(39 * np.var(left_out))
    assert found.reduction_log_error[0] == pytest.approx(expected, rel=1e-10)
    # Two variances of 40 independent Gaussian numbers: an error of √(2 · 2/39) = 0.32.
    assert 0.15 < expected < 0.6


def test_too_few_lanes_are_refused():
    few = dataset(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match="2 lanes of width 64"):
        experiment.width_curve({"digits": few, "digits-wide": few}, "digits")


@pytest.mark.slow
def test_the_difference_falls_as_one_over_width():
    """64 draws at w = 32 and 128, digits: the factor .916 log 4 found at 256 draws, 4 errors.

    Those runs had w E(L - L_lin) = -6.92 +- .12 and -8.95 +- .14, a ratio of 3.09 +- .07.
    """
    means, errors = [], []
    for width in (32, 128):
        config = model.Config(
            width=width, data="digits", loss="cross-entropy", learning_rate=2.0, num_steps=50
        )
        keys = jr.split(jr.key(7), 64)
        found = jax.jit(jax.vmap(lambda key, c=config: model.simulate(c, key=key)))(keys)
        values = np.asarray(found["difference"], np.float64)
        means.append(values.mean())
        errors.append(values.std(ddof=1) / 8)
    ratio = means[0] / means[1]
    error = ratio * math.hypot(errors[0] / means[0], errors[1] / means[1], 0.07 / 3.09)
    assert abs(ratio - 3.09) < 4 * error
    # Neither no fall nor one of w^-1/2.
    assert ratio - 4 * error > 2


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_experiment_runs_and_is_drawn():
    small = experiment.EXPERIMENT.sweeps("smoke")
    datasets = {name: run_sweep(sweep) for name, sweep in small.items()}
    for data in datasets.values():
        assert np.all(data["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    # Three claims on each of three settings, and the limit.
    assert len(claims) == 10
    assert len({(claim.quantity, claim.window) for claim in claims}) == len(claims)
    assert claims[-1].kind == "deterministic_equivalent"
    assert claims[-1].verdict != "disagrees"
    drawing = draw_width_variance({"width-variance": datasets})
    assert len({tuple(row) for row in drawing.table}) == 1
    assert len(drawing.table) == 12
    assert table_text(drawing.table).count("\n") == 13
