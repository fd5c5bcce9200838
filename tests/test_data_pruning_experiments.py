"""Experiments on the pruned perceptron at size smoke: every lane solved, every claim a number."""

import math

import pytest

from scalinglab.experiments import run_experiment
from scalinglab.paper_figs.figure import table_text
from scalinglab.registry import load_experiment, load_figure


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name",
    [
        "pruning-frontier",
        "information-gain",
        pytest.param("imperfect-probe", marks=pytest.mark.acceptance),
        pytest.param("easy-or-hard", marks=pytest.mark.acceptance),
    ],
)
def test_the_experiment_runs_and_is_drawn(name, tmp_path):
    result = run_experiment(load_experiment(name), size="smoke", store=tmp_path)
    assert not any(result.failed.values())
    assert all(math.isfinite(claim.measured) for claim in result.claims)
    told = [(claim.quantity, claim.window, claim.kind) for claim in result.claims]
    assert len(set(told)) == len(told) > 2
    drawing = load_figure(name).draw({name: result.datasets})
    assert len({tuple(row) for row in drawing.table}) == 1
    assert "nan" not in table_text(drawing.table)
