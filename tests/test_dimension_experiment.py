"""The experiment on intrinsic dimension and label sharpness, at size smoke, and its figure."""

import math

import numpy as np
import pytest

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.teacher_student import intrinsic_dimension as experiment
from scalinglab.models import Status
from scalinglab.paper_figs.bahri2021_dimension import draw_dimension
from scalinglab.paper_figs.figure import table_text


@pytest.mark.slow
def test_the_experiment_runs_and_is_drawn():
    pytest.importorskip("sklearn")
    small = experiment.EXPERIMENT.sweeps("smoke")
    datasets = {name: run_sweep(sweep) for name, sweep in small.items()}
    for dataset in datasets.values():
        assert np.all(dataset["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    # Two dimensions: two exact means and a cube each, and three other manifolds; one k; four
    # curves of labels with two exponents and a slack each, and two ratios of sharpness.
    assert len(claims) == 2 * 3 + 3 + 1 + 4 * 3 + 2
    assert all(math.isfinite(claim.measured) for claim in claims)
    strict = [claim for claim in claims if claim.kind == "exact"]
    assert not [claim for claim in strict if claim.verdict == "disagrees"]
    drawing = draw_dimension({"intrinsic-dimension": datasets})
    assert len({tuple(row) for row in drawing.table}) == 1
    assert "nan" not in table_text(drawing.table)
