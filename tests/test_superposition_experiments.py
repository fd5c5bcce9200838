"""The experiments on superposition at size smoke: their runs, claims, figures and numbers."""

import csv
import math

import numpy as np
import pytest

from scalinglab import registry
from scalinglab.__main__ import main
from scalinglab.commands import figs
from scalinglab.experiments.experiment import Size
from scalinglab.experiments.running import run_experiment
from scalinglab.experiments.superposition import (
    overlap_geometry,
    random_frames,
    superposition_scaling,
    toy_geometry,
)

NAMES = (
    "superposition-scaling",
    "random-frames",
    "overlap-geometry",
    "toy-geometry",
    "activation-density",
    "bias-initialisation",
)
# Minutes on two cores: `make acceptance` runs these.
LONG = pytest.mark.acceptance
SIZES: tuple[Size, ...] = ("smoke", "default", "paper")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
def test_every_size_is_a_valid_sweep(name, size):
    sweeps = registry.load_experiment(name).sweeps(size)
    assert all(sweep.points() for sweep in sweeps.values())


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("name", "claims"),
    [
        # Two widths at alpha = 0, each with bracket and interpolation; the core frame at m = 10 and
        # alpha = 1.5; two published exponents; L/U at two widths, and two exponents of it.
        pytest.param("superposition-scaling", 4 + 1 + 2 + 4, marks=LONG),
        # Two losses: three and two widths, two exponents and a constant.
        ("random-frames", 2 * (3 + 2 + 3)),
        # Two widths by three bounds, and the mean over all rows for both starts.
        pytest.param("overlap-geometry", 2 * 3 + 2, marks=LONG),
        # One point that sticks to 1, two boundaries, a pentagon.
        pytest.param("toy-geometry", 4, marks=LONG),
        # An exponent, two growths, four losses.
        pytest.param("activation-density", 1 + 2 + 4, marks=LONG),
        # Two budgets by two starts; two ratios of losses; two differences of exponents.
        pytest.param("bias-initialisation", 4 + 2 + 2, marks=LONG),
    ],
)
def test_the_experiment_runs_and_is_drawn(name, claims, store, monkeypatch, capsys):
    result = run_experiment(registry.load_experiment(name), size="smoke", store=store)
    assert not any(result.failed.values())
    assert len(result.claims) == claims
    found = {(claim.quantity, claim.window, claim.kind) for claim in result.claims}
    assert len(found) == claims
    assert all(math.isfinite(claim.measured) for claim in result.claims)
    for entry in registry.FIGURES:
        if entry.experiments == (name,):
            _check_figure(entry.name, store, monkeypatch, capsys)


def _check_figure(name, folder, monkeypatch, capsys):
    """Drawn twice from the store: the numbers are the same, and a changed one is found."""
    where = ["--size", "smoke"]
    assert main(["figs", name, *where]) == 0
    text = (folder / "figures" / f"{name}-smoke.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert len(rows) >= 2
    monkeypatch.setattr(figs, "committed", lambda stem: rows)
    assert main(["figs", name, "--check", *where]) == 0
    rows[0][list(rows[0])[1]] = "77"
    assert main(["figs", name, "--check", *where]) == 1
    capsys.readouterr()


def test_slopes_of_a_power_law():
    width = np.array([4.0, 9.0, 30.0])
    law = superposition_scaling.Trained(1.0, width, 3 * width**-1.7, 0.01 * width**-1.7)
    np.testing.assert_allclose(superposition_scaling.slopes(width, law.loss), 1.7, rtol=1e-13)
    assert superposition_scaling.whole_slope(width, law.loss) == pytest.approx(1.7)
    # Least squares: the error of the slope by numpy's covariance at the known equal errors.
    scale = np.polyfit(np.log(width), np.log(law.loss), 1, w=np.full(3, 300.0), cov="unscaled")[1]
    expected = math.sqrt(scale[0, 0])
    assert superposition_scaling.whole_slope_error(law) == pytest.approx(expected)


def test_seed_slopes_are_of_each_seed():
    width = np.array([2.0, 4.0])
    values = np.stack([width**-1.0, width**-2.0], axis=1)
    assert superposition_scaling.seed_slopes(width, values) == pytest.approx((1.5, 0.5))


def test_weights_are_recovered_up_to_a_rotation():
    rows = np.random.default_rng(0).standard_normal((5, 2))
    found = toy_geometry.weights_of(rows @ rows.T, 2)
    np.testing.assert_allclose(found @ found.T, rows @ rows.T, atol=1e-12)


def test_bounds_need_more_rows_than_dimensions():
    assert math.isnan(overlap_geometry._welch(7, 7))
    assert math.isnan(overlap_geometry._skew(8, 7))
    assert overlap_geometry._welch(200, 14) == pytest.approx(186 / (14 * 199))
    assert random_frames.LOSSES.keys() == {"unit_loss", "loss"}
