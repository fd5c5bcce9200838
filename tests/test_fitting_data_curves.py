"""Published fits of learning curves and routed models, reproduced from the measurements.

The files are not part of the project: SCALINGLAB_DATA names their folder.
"""

import collections
import csv
import functools
import gzip

import numpy as np
import pytest
from scipy.optimize import least_squares, minimize_scalar
from test_fitting_data import column, data_file, read, rounds_to

from scalinglab.theory.fitting import LEAST_SQUARES, Data, Huber, fit, fit_many
from scalinglab.theory.fitting.laws.annealing import (
    DECAYS,
    LR_ANNEALING,
    annealing_areas,
    fit_decay,
)
from scalinglab.theory.fitting.laws.broken import LAWS as BROKEN
from scalinglab.theory.fitting.laws.m4 import M3, M4
from scalinglab.theory.fitting.laws.power import POWER_LAW, POWER_LAW_CONSTANT
from scalinglab.theory.fitting.laws.routing import ROUTED_BILINEAR


def test_s_base_routing():
    # arXiv 2202.01169: S-Base with one expert a token in every other block, at the end of
    # training; 53 runs, none of them dense.
    with gzip.open(data_file("routing_curves.csv.gz"), "rt", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["router_type"] == "S-Base"]
    rows = [row for row in rows if row["k"] == "1" and float(row["routing_frequency"]) == 0.5]
    last = {row["hyper_id"]: row for row in sorted(rows, key=lambda row: float(row["step"]))}
    ends = list(last.values())
    assert len(ends) == 53
    x = {"N": column(ends, "dense_parameter_count"), "E": column(ends, "num_experts")}
    y = column(ends, "loss_validation")
    found = fit(ROUTED_BILINEAR, Data(x, y), loss=LEAST_SQUARES)
    printed = {"a": "-0.0835", "b": "-0.1190", "c": "0.0102", "d": "1.1160"}
    for name, text in printed.items():
        assert rounds_to(found.parameters[name], text), name
    assert rounds_to(found.parameters["E_start"], "1.88")
    assert round(found.parameters["E_max"]) == 255

    def residuals(p):
        a, b, c, d, start, most = p
        seen = 1 / (1 / (x["E"] - 1 + 1 / (1 / start - 1 / most)) + 1 / most)
        n, e = np.log10(x["N"]), np.log10(seen)
        return np.log(10) * (a * n + b * e + c * n * e + d) - np.log(y)

    # The paper's own values as the start: a, b, c, d, E_start, E_max.
    paper = [-0.082, -0.108, 0.009, 1.104, 1.85, 314.0]
    theirs = least_squares(residuals, paper, x_scale="jac", xtol=1e-15, ftol=1e-15, gtol=1e-15)
    assert found.objective == pytest.approx(theirs.cost, rel=1e-8)


@functools.cache
def tasks(name):
    """(domain, task, model) to points (examples, loss, 1 for training) of the benchmark."""
    found = collections.defaultdict(list)
    for row in read(name):
        key = (row["Domain"], row["Task"], row["Model"])
        found[key].append([float(row[k]) for k in ("Seen Examples", "Loss", "Training")])
    return {key: np.array(values) for key, values in found.items()}


def training(points):
    chosen = points[points[:, 2] == 1.0]
    return Data({"x": chosen[:, 0]}, chosen[:, 1])


def error(predicted, points):
    """Root mean square of the log error on the held-out points."""
    held = points[points[:, 2] == 0.0]
    # One length for every task, so that predictions compile once.
    x = np.pad(held[:, 0], (0, 800 - len(held)), mode="edge")
    return np.sqrt(np.mean(np.log(predicted(x)[: len(held)] / held[:, 1]) ** 2))


def errors(law, name):
    """Extrapolation error of every task, fitted by least squares of log L."""
    points = list(tasks(name).values())
    fits = fit_many(law, [training(one) for one in points], loss=LEAST_SQUARES, starts=1)
    return np.array(
        [
            error(lambda x, f=f: f.predict({"x": x}), one)
            for f, one in zip(fits, points, strict=True)
        ]
    )


def by_log_excess(points):
    """M2 as its authors fit it: regression of log(L - E) on log x, E the best of all."""
    data = training(points)
    x, lowest = np.log(data.x["x"]), data.y.min()

    def line(log_gap):
        z = np.log(data.y - lowest * (1 - np.exp(log_gap)))
        design = np.column_stack([np.ones_like(x), -x])
        value, *_ = np.linalg.lstsq(design, z, rcond=None)
        return np.sum((design @ value - z) ** 2), value

    grid = np.linspace(-9.0, 0.0, 181)
    best = int(np.argmin([line(one)[0] for one in grid]))
    ends = (grid[max(best - 1, 0)], grid[min(best + 1, 180)])
    gap = minimize_scalar(lambda one: line(one)[0], bounds=ends, method="bounded").x
    constant, (log_a, alpha) = lowest * (1 - np.exp(gap)), line(gap)[1]
    return error(lambda q: constant + np.exp(log_a) * q**-alpha, points)


@pytest.mark.slow
def test_extrapolation_on_the_image_benchmark():
    # arXiv 2209.06640 and 2210.14891: 72 tasks; mean root mean square log error.
    name = "benchmark_vision.csv"
    points = tasks(name)
    assert len(points) == 72
    laws = {"M1": POWER_LAW, "M2": POWER_LAW_CONSTANT, "M3": M3, "M4": M4, "BNSL": BROKEN[0]}
    found = {key: errors(law, name) for key, law in laws.items()}
    mean = {key: values.mean() for key, values in found.items()}
    assert rounds_to(mean["M1"], "0.1046")
    assert rounds_to(found["M1"][list(points).index(("IC", "bird_10", "BiT/101/3"))], "0.0913")
    # The study that published .0591 for M3 printed one unit less in the last digit: an independent
    # profile over gamma, task by task, agrees with these objectives to 1e-11. M4 and the broken law
    # have lower objectives than its lighter searches, so only their rank is compared.
    assert mean["M3"] == pytest.approx(0.059167, abs=1e-6)
    assert mean["M1"] > mean["M2"] > mean["M3"] > mean["M4"] > mean["BNSL"]
    # What the benchmark prints for M2 comes from residuals of log(L - E), not of log L.
    assert np.mean([by_log_excess(one) for one in points.values()]) == pytest.approx(
        0.0861, abs=5e-4
    )


def test_the_language_benchmark_has_duplicates():
    # T5: the same row exported twice, in one domain only.
    gone = collections.Counter()
    for (domain, _, _), points in tasks("benchmark_lang.csv").items():
        data = Data({"x": points[:, 0], "training": points[:, 2]}, points[:, 1])
        once, count = data.without_duplicates()
        assert len(once.y) + count == len(points)
        assert len(np.unique(points, axis=0)) == len(once.y)
        gone[domain] += count
    assert gone == {"LM": 687, "NMT": 0, "BB": 0}


def test_the_space_of_the_residuals_decides_the_extrapolation():
    # T9: the same law, fitted on log L and on log(L - E), differs by 3.4 on translation.
    keys = list(tasks("benchmark_lang.csv"))
    on_log = errors(POWER_LAW_CONSTANT, "benchmark_lang.csv")
    on_excess = np.array([by_log_excess(one) for one in tasks("benchmark_lang.csv").values()])

    def mean(values, domain):
        return np.mean([v for v, key in zip(values, keys, strict=True) if key[0] == domain])

    assert rounds_to(mean(on_log, "NMT"), "0.0482")
    assert rounds_to(mean(on_log, "LM"), "0.0011")
    assert rounds_to(mean(on_excess, "NMT") / mean(on_log, "NMT"), "3.4")


TRAINING = ("constant_24000", "cosine_24000", "wsdcon_9")
HELD_OUT = (
    "constant_72000",
    "cosine_72000",
    "wsd_20000_24000",
    "wsdld_20000_24000",
    "wsdcon_3",
    "wsdcon_18",
)
WARMUP = 2160


@functools.cache
def curve(size, name, decay):
    """Areas and losses of one run, its learning rate interpolated between logged steps."""
    step, rate, loss = np.loadtxt(
        data_file(f"lr_annealing_{size}/{name}.csv"), delimiter=",", skiprows=1
    ).T
    known = np.concatenate([[0, WARMUP], step]), np.concatenate([[0.0, rate.max()], rate])
    every = np.interp(np.arange(step[-1] + 1), *known)
    s1, s2 = annealing_areas(every, decay=decay, warmup=WARMUP)
    rows = step.astype(int)
    return np.asarray(s1)[rows], np.asarray(s2)[rows], loss


def joined(size, names, decay):
    s1, s2, loss = (
        np.concatenate(parts)
        for parts in zip(*(curve(size, one, decay) for one in names), strict=True)
    )
    return Data({"S1": s1, "S2": s2}, loss)


@pytest.mark.parametrize(
    ("size", "decay", "constant", "exponent", "share"),
    [("25M", 0.995, "3.149", "0.501", "0.9980"), ("100M", 0.999, "2.789", "0.455", "0.9979")],
)
def test_the_annealing_law_predicts_other_schedules(size, decay, constant, exponent, share):
    # Fitted to three runs as the multi-power law is (arXiv 2503.12811); R^2 is the mean over six
    # runs with other schedules.
    best, fits = fit_decay({one: joined(size, TRAINING, one) for one in DECAYS})
    assert best == decay
    found = fits[best]
    assert found.law is LR_ANNEALING
    assert found.loss == Huber(1e-3)
    assert rounds_to(found.parameters["L0"], constant)
    assert rounds_to(found.parameters["alpha"], exponent)
    shares = []
    for name in HELD_OUT:
        data = joined(size, [name], best)
        left = np.sum((found.predict(data.x) - data.y) ** 2)
        shares.append(1 - left / np.sum((data.y - data.y.mean()) ** 2))
    assert rounds_to(np.mean(shares), share)
    # T10: 0.995 and 0.999 are nearly as good as each other.
    ratio = fits[0.995].objective / fits[0.999].objective
    assert 0.005 < abs(np.log(ratio)) < 0.14
