"""Exponents of networks on manifolds: the theory's numbers, curves made by hand, the runs."""

import json
import math

import numpy as np
import pytest
import xarray as xr

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.teacher_student import aspect_ratio, learning_curves, manifold_dimension
from scalinglab.models import Status
from scalinglab.paper_figs.bahri2021_students import (
    draw_aspect_ratio,
    draw_manifold_dimension,
    draw_teacher_line,
)
from scalinglab.paper_figs.figure import table_text
from scalinglab.theory import manifold

SIZES = np.array([16.0, 32.0, 64.0, 128.0, 256.0])


def made_up(slope, *, first=0.2, seeds=4, limited=(), spread=0.0, config=None):
    """Power laws with a slope and an amplitude of their own for each seed."""
    steps = np.arange(seeds) - (seeds - 1) / 2
    slopes = slope + spread * steps
    logs = math.log(first) + steps - np.log(SIZES / 16)[:, None] * slopes
    mark = np.zeros_like(logs)
    for i, seed in limited:
        mark[i, seed] = 1.0
        logs[i, seed] += 5.0
    dims = ("num_samples", "seed")
    line = np.linspace(-1, 1, 5)
    shape = (*logs.shape, 5)
    drawn = {
        "teacher_on_line": ((*dims, "position"), np.broadcast_to(line, shape)),
        "student_on_line": ((*dims, "position"), np.broadcast_to(line**3, shape)),
    }
    return xr.Dataset(
        {"log_test_loss": (dims, logs), "optimisation_limited": (dims, mark), **drawn},
        coords={"num_samples": SIZES, "seed": np.arange(seeds)},
        attrs={"config": json.dumps(config or {})},
    )


def test_the_exponents_are_those_of_the_papers():
    assert manifold.network_exponent(8) == (0.5, "heuristic", manifold.network_exponent(8).source)
    assert manifold.network_exponent(3).exponent == pytest.approx(4 / 3, rel=1e-15)
    assert manifold.bound_exponent(4)[:2] == (0.25, "bound")
    for d in (1, 2, 7):
        constant = manifold.interpolation_exponent(d, manifold.PIECEWISE_CONSTANT)
        assert constant == pytest.approx(2 / d, rel=1e-15)
        linear = manifold.interpolation_exponent(d, manifold.PIECEWISE_LINEAR)
        assert linear == manifold.network_exponent(d).exponent


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("value", [0, 1.5, True])
def test_dimensions_and_orders_are_counted(value):
    with pytest.raises(ValueError, match=r"^intrinsic_dimension: .*integer of at least 1"):
        manifold.network_exponent(value)
    with pytest.raises(ValueError, match=r"^order: .*integer of at least 1"):
        manifold.interpolation_exponent(2, value)


def test_slopes_are_found_seed_by_seed():
    curve = learning_curves.learning_curve(made_up(1.25, spread=0.1))
    inside = learning_curves.window(curve)
    # The mean over seeds of the log loss is log(.2) at D = 16 and below log(.1) from D = 32 on.
    np.testing.assert_array_equal(curve.sizes[inside], SIZES[1:])
    slope = learning_curves.fit_slope(curve, inside)
    expected = 1.25 + 0.1 * np.array([-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_allclose(learning_curves.seed_slopes(curve, inside), expected, rtol=1e-12)
    assert slope.exponent == pytest.approx(1.25, rel=1e-12)
    assert slope.error == pytest.approx(expected.std(ddof=1) / 2, rel=1e-12)
    assert slope.window_text("D") == "D = 32..256"


def test_limited_lanes_leave_the_fit_and_not_the_count():
    """Their loss is wrong by e^5, and the slope does not see it."""
    dataset = made_up(1.0, limited=[(4, 0), (4, 1), (4, 2), (3, 2)])
    curve = learning_curves.learning_curve(dataset)
    assert curve.left_out == 4
    inside = learning_curves.window(curve)
    # At D = 256 three of four lanes are limited, at D = 128 one.
    np.testing.assert_array_equal(curve.sizes[inside], [32.0, 64.0, 128.0])
    slope = learning_curves.fit_slope(curve, inside)
    assert (slope.exponent, slope.seeds) == (pytest.approx(1.0, rel=1e-12), 4)


def test_where_nothing_is_resolved_the_largest_sizes_serve():
    curve = learning_curves.learning_curve(made_up(0.1, first=0.9))
    inside = learning_curves.window(curve)
    np.testing.assert_array_equal(curve.sizes[inside], SIZES[-3:])


def test_failed_lanes_and_hopeless_fits_are_refused():
    dataset = made_up(1.0)
    dataset["log_test_loss"][2, 1] = np.nan
    with pytest.raises(ValueError, match="log_test_loss: 1 lanes failed"):
        learning_curves.learning_curve(dataset)
    everything = [(i, seed) for i in range(5) for seed in range(3)]
    curve = learning_curves.learning_curve(made_up(1.0, limited=everything))
    with pytest.raises(ValueError, match=r"1 seeds have two sizes .* raise num_steps"):
        learning_curves.fit_slope(curve, np.ones(5, bool))


def test_verdicts_follow_the_exponents():
    """Right at 4/d for d = 4, far from it for d = 2, below the bound for d = 1."""
    datasets = {
        "d=4": made_up(1.0, spread=0.005),
        "d=2": made_up(1.2, spread=0.005),
        "d=1": made_up(0.8, spread=0.005, first=0.09),
        "d=4, biases": made_up(0.7, spread=0.005),
    }
    claims = manifold_dimension.analyse(datasets)
    found = {claim.quantity: claim for claim in claims}
    assert [claim.kind for claim in claims] == ["heuristic"] * 4 + ["bound"] * 4
    assert found["alpha_D, d=4"].verdict == "agrees"
    assert found["alpha_D, d=2"].verdict == "disagrees"
    assert found["alpha_D, d=4, biases"].verdict == "disagrees"
    assert found["shortfall of alpha_D below 1/d, d=4"].verdict == "agrees"
    short = found["shortfall of alpha_D below 1/d, d=1"]
    assert (short.verdict, short.measured) == ("disagrees", pytest.approx(0.2, rel=1e-9))
    assert "0 of 20 lanes" in found["alpha_D, d=4"].note


def test_shapes_are_compared_on_the_same_teachers():
    shapes = {(8, 2): 0.2, (32, 2): 0.9, (32, 1): 0.85, (32, 3): 0.95}
    datasets = {
        str(shape): made_up(
            slope, spread=0.3, config={"student_width": shape[0], "depth": shape[1]}
        )
        for shape, slope in shapes.items()
    }
    width, depth = aspect_ratio.analyse(datasets)
    # The scatter of .3 between teachers is common to all shapes and cancels.
    assert (width.measured, width.verdict) == (pytest.approx(0.7, rel=1e-9), "agrees")
    assert (depth.measured, depth.verdict) == (pytest.approx(0.1, rel=1e-9), "agrees")
    drawing = draw_aspect_ratio({"aspect-ratio": datasets})
    assert {(row["width"], row["depth"]) for row in drawing.table} == set(shapes)
    assert [row["exponent"] for row in drawing.table][:2] == pytest.approx([0.2, 0.9], rel=1e-9)


def test_the_figures_are_drawn_from_their_datasets():
    datasets = {"manifold-dimension": {"d=4": made_up(1.0, spread=0.01), "d=8": made_up(0.5)}}
    drawing = draw_manifold_dimension(datasets)
    exponents = [row for row in drawing.table if row["panel"] == "exponent"]
    assert [(row["d"], row["predicted"]) for row in exponents] == [(4, 1.0), (8, 0.5)]
    assert len(drawing.table) == 2 * len(SIZES) + 2
    assert "nan" not in table_text(drawing.table)
    line = draw_teacher_line(datasets)
    assert len(line.table) == 4 * 5
    assert line.table[0]["teacher"] == -1


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("experiment", "figures"),
    [
        (manifold_dimension, (draw_manifold_dimension, draw_teacher_line)),
        (aspect_ratio, (draw_aspect_ratio,)),
    ],
)
def test_the_experiments_run_and_are_drawn(experiment, figures):
    sweeps = experiment.EXPERIMENT.sweeps("smoke")
    datasets = {name: run_sweep(sweep) for name, sweep in sweeps.items()}
    assert all(np.all(dataset["status"].values == Status.OK) for dataset in datasets.values())
    claims = experiment.EXPERIMENT.analyse(datasets)
    assert all(math.isfinite(claim.measured) for claim in claims)
    for draw in figures:
        drawing = draw({experiment.EXPERIMENT.name: datasets})
        assert "nan" not in table_text(drawing.table)
