"""The published compute optima of Porian et al. (arXiv:2406.19146), RefinedWeb.

The files are not part of the project: SCALINGLAB_DATA names their folder.
"""

import csv
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest

from scalinglab.theory.fitting.isoflop import MinimumStatus, isoflop_minima, optimum_scaling

RUNG = ("dataset", "hparams", "warmup", "decay", "param_count", "val")


def _file(name):
    folder = os.environ.get("SCALINGLAB_DATA")
    if not folder:
        pytest.skip("SCALINGLAB_DATA is not set: it names the folder of published measurements")
    path = Path(folder) / name
    if not path.is_file():
        pytest.skip(f"{name} is not in the folder that SCALINGLAB_DATA names")
    return path


@pytest.fixture(scope="module")
def optima():
    with _file("porian_refinedweb_optima.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


def _published(row):
    return float(row["n"]) if row["n"] else np.nan


def _curve(row):
    """Sizes and losses of one level, printed in the file as NumPy and pandas print them."""
    sizes = [float(number) for number in re.findall(r"[\d.e+]+", row["n_vals"])]
    losses = [float(line.split()[1]) for line in row["loss_vals"].split("\n") if line[0].isdigit()]
    return np.array(sizes), np.array(losses)


def test_the_exponent_of_every_rung_is_the_published_one(optima):
    published = json.loads(_file("porian_refinedweb_published.json").read_text())
    nulls = 0
    for rung in published:
        rows = [row for row in optima if all(row[name] == rung[name] for name in RUNG)]
        size = np.array([_published(row) for row in rows])
        found = optimum_scaling([float(row["flops"]) for row in rows], size)
        # eps times the condition of the centred regression: log C spans 7.6 around 40.
        assert abs(found.exponent - rung["n_exponent"]) < 1e-12
        assert abs(np.exp(found.log_coefficient) / rung["n_coef"] - 1.0) < 1e-12
        assert np.array_equal(found.used, np.isfinite(size))
        nulls += int(np.sum(~found.used))
    assert (len(published), len(optima), nulls) == (5, 59, 1)


def test_akima_minima_are_the_published_ones(optima):
    equal = 0
    for row in optima:
        size, loss = _curve(row)
        found = isoflop_minima(np.full(size.size, float(row["flops"])), size, loss, method="akima")
        if not row["n"]:
            # The argmin sits at the smallest size: no optimum there (T7).
            assert found.status.tolist() == [MinimumStatus.AT_EDGE]
            assert np.isnan(found.size).all()
            continue
        # Published is the median of N* over 1000 noisy curves, on the same grid of 25 points a
        # gap; ours is that of the measured curve. They differ by whole or half steps of the grid,
        # and by less than half the published spread.
        step = np.log(size[-1] / size[0]) / (25 * (size.size - 1) - 1)
        moved = np.log(found.size[0] / _published(row))
        steps = 2.0 * moved / step
        # Sizes are printed to 9 digits: 1e-8 relative.
        assert abs(steps - round(steps)) < 1e-3
        assert abs(moved) < 0.5 * float(row["n_star_std"])
        equal += round(steps) == 0
    assert equal > 40
