"""Networks of pruned digits: a lane in NumPy, what is kept, the control, the run, the claims."""

import builtins
import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.special
import scipy.stats
import xarray as xr

from scalinglab.experiments.engine import run_sweep
from scalinglab.experiments.pruned_network import pruning_digits as experiment
from scalinglab.models import Status
from scalinglab.models import pruned_network as model
from scalinglab.paper_figs.figure import table_text
from scalinglab.paper_figs.sorscher2022_digits import draw_pruning_digits

EPS = float(np.finfo(np.float64).eps)
TINY = model.MODEL.smallest
BLIND = dataclasses.replace(TINY, score="random")


def lanes(config, seeds):
    """Observables of several seeds in one program."""
    simulate = jax.jit(jax.vmap(lambda key: model.simulate(config, key=key)))
    return {name: np.asarray(x) for name, x in simulate(jr.split(jr.key(0), seeds)).items()}


def test_the_images_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    images, labels = model.labelled_images()
    assert images.shape == (model.IMAGES, 64)
    np.testing.assert_array_equal(images.reshape(-1, 8, 8) * 16, load_digits().images)
    np.testing.assert_array_equal(labels, load_digits().target)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def trained_in_numpy(config, sample, rows):
    """Weights after Adam with the cosine schedule, the gradient of two layers written out."""
    images, labels = model.labelled_images()
    layers = sample.networks["layers"]
    weights = [np.asarray(layers[i][name][...])[0] for i in (0, 2) for name in ("kernel", "bias")]
    first, second = ([np.zeros_like(w) for w in weights] for _ in range(2))
    for step, places in enumerate(np.asarray(sample.places)):
        chosen = rows[np.floor(places * len(rows)).astype(int)]
        inputs = images[chosen]
        hidden = np.maximum(inputs @ weights[0] + weights[1], 0)
        wrong = scipy.special.softmax(hidden @ weights[2] + weights[3], axis=1)
        wrong = (wrong - np.eye(10)[labels[chosen]]) / len(chosen)
        back = (wrong @ weights[2].T) * (hidden > 0)
        gradients = [inputs.T @ back, back.sum(axis=0), hidden.T @ wrong, wrong.sum(axis=0)]
        rate = config.learning_rate * (1 + math.cos(math.pi * step / config.num_steps)) / 2
        for i, gradient in enumerate(gradients):
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient**2
            mean, square = first[i] / (1 - 0.9 ** (step + 1)), second[i] / (1 - 0.999 ** (step + 1))
            weights[i] = weights[i] - rate * mean / (np.sqrt(square) + 1e-8)
    return weights


@pytest.mark.parametrize("rule", model.RULES)
def test_a_lane_is_that_of_numpy(rule):
    config = dataclasses.replace(BLIND, balance=0.0, keep_fraction=0.3)
    key = jr.key(5)
    found = jax.jit(lambda key: model.simulate(config, key=key))(key)
    sample = jax.jit(lambda key: model.draw(config, key=key))(key)
    images, labels = model.labelled_images()
    order = np.asarray(sample.order)
    assert sorted(order.tolist()) == list(range(model.IMAGES))
    hardness = np.asarray(sample.blind)[:60]
    ranked = np.argsort(hardness if rule == "easy" else -hardness)
    kept = order[np.sort(ranked[:18])]
    weights = trained_in_numpy(config, sample, kept)

    def logits(rows):
        return np.maximum(images[rows] @ weights[0] + weights[1], 0) @ weights[2] + weights[3]

    test = order[-397:]
    log_probability = scipy.special.log_softmax(logits(test), axis=1)
    expected = {
        "test_error": np.mean(logits(test).argmax(axis=1) != labels[test]),
        "test_loss": -np.mean(log_probability[np.arange(397), labels[test]]),
        "train_error": np.mean(logits(kept).argmax(axis=1) != labels[kept]),
    }
    share = np.bincount(labels[kept], minlength=10) / 18
    pool = np.bincount(labels[order[:60]], minlength=10) / 60
    expected["smallest_share"] = (share[pool > 0] / pool[pool > 0]).min()
    expected["class_entropy"] = scipy.stats.entropy(share, base=10)
    assert int(found["status"]) == Status.OK
    for name, value in expected.items():
        # 20 steps; a perturbation of 1e-15 of the weights grows to 1e-13 in 100 of them.
        assert float(found[f"{name}_{rule}"]) == pytest.approx(value, rel=1e-10), name


@pytest.mark.parametrize("score", ["el2n", "margin", "forgetting", "prototypes"])
def test_what_a_linear_classifier_gets_wrong_is_harder(score):
    """Against scikit-learn's logistic regression, cross-validated over all images."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_predict

    images, labels = model.labelled_images()
    guess = cross_val_predict(LogisticRegression(C=0.05, max_iter=500), images, labels, cv=5)
    config = model.Config(pool_size=model.POOL, score=score, num_steps=1, probes=4)

    def scored(key):
        sample = model.draw(config, key=key)
        data = model._Data(jnp.asarray(images), jnp.asarray(labels), sample.order)
        return model._score(config, data, sample)[0], sample.order

    hardness, order = jax.jit(scored)(jr.key(1))
    wrong = (guess != labels)[np.asarray(order)]
    assert 50 < wrong.sum() < 250
    ranks = scipy.stats.rankdata(hardness)
    # The Mann-Whitney statistic as a probability; 1/2 by chance, with this standard error.
    harder = (ranks[wrong].mean() - (wrong.sum() + 1) / 2) / (~wrong).sum()
    error = math.sqrt((len(wrong) + 1) / (12 * wrong.sum() * (~wrong).sum()))
    assert harder > 0.5 + 5 * error


def test_at_keep_fraction_one_both_students_are_the_same():
    config = dataclasses.replace(TINY, keep_fraction=1.0)
    found = lanes(config, 3)
    assert np.all(found["easy_minus_hard"] == 0)
    for name in ("test_loss", "train_error", "smallest_share", "class_entropy"):
        np.testing.assert_array_equal(found[f"{name}_easy"], found[f"{name}_hard"])
    np.testing.assert_allclose(found["smallest_share_easy"], 1, rtol=10 * EPS)


def test_sizes_are_no_static_fields_and_pools_are_nested():
    """One program for all n and f; every lane keeps round(f n) of its first n images."""
    images, labels = model.labelled_images()
    traces = []

    @jax.jit
    @jax.vmap
    def kept(config, key):
        traces.append(None)
        sample = model.draw(config, key=key)
        data = model._Data(jnp.asarray(images), jnp.asarray(labels), sample.order)
        return *model._select(config, data, sample.blind), sample.order

    for pool, fraction in ((60, 0.5), (333, 0.3), (1400, 0.7), (1400, 1.0)):
        config = dataclasses.replace(BLIND, pool_size=pool, keep_fraction=fraction)
        batched = jax.tree.map(lambda leaf: np.full(2, leaf), config)
        chosen, count, order = kept(batched, jr.split(jr.key(3), 2))
        assert np.all(np.asarray(chosen).sum(axis=1) == round(fraction * pool))
        assert np.all(np.asarray(count) == round(fraction * pool))
        assert not np.asarray(chosen)[:, pool:].any()
        classes = labels[np.asarray(order)]
        for mask, found in zip(np.asarray(chosen), classes, strict=True):
            members = np.bincount(found[:pool], minlength=10)
            promised = np.floor(0.5 * int(count[0]) / pool * members + 1e-9)
            assert np.all(np.bincount(found[mask], minlength=10) >= promised)
    assert len(traces) == 1


def test_probes_of_more_images_are_better_ones():
    """And None is the pool itself, to the last bit."""
    config = dataclasses.replace(TINY, probe_steps=300)
    own, given = lanes(config, 8), lanes(dataclasses.replace(config, probe_size=60), 8)
    for name, values in own.items():
        np.testing.assert_array_equal(values, given[name])
    more = lanes(dataclasses.replace(config, probe_size=model.POOL), 8)
    gain = own["probe_error"] - more["probe_error"]
    assert gain.mean() > 3.5 * gain.std(ddof=1) / math.sqrt(8)


def test_blind_halves_are_equally_good():
    """Their difference has mean zero exactly: 3.5 standard errors, once in 1000 by chance."""
    difference = lanes(dataclasses.replace(BLIND, num_steps=40), 48)["easy_minus_hard"]
    assert difference.std() > 0
    assert abs(difference.mean()) < 3.5 * difference.std(ddof=1) / math.sqrt(48)


def test_a_lane_that_diverges_says_so_and_spoils_no_neighbour():
    rates = jnp.asarray([2e-2, 1e200, 2e-2])

    def lane(rate, key):
        return model.simulate(eqx.tree_at(lambda c: c.learning_rate, BLIND, rate), key=key)

    found = jax.jit(jax.vmap(lane))(rates, jr.split(jr.key(0), 3))
    assert found["status"].tolist() == [Status.OK, Status.NOT_FINITE, Status.OK]
    for name, values in found.items():
        if name != "status":
            assert np.isnan(values).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("pool_size", 19, "in 20..1400"),
        ("pool_size", 1401, "in 20..1400"),
        ("pool_size", 60.0, "an integer"),
        ("probe_size", 3, "in 20..1400"),
        ("keep_fraction", 0.0, "above 0"),
        ("keep_fraction", 1.1, "at most 1"),
        ("keep_fraction", math.nan, "above 0"),
        ("keep_fraction", 0.005, "keeps none"),
        ("score", "loss", "el2n"),
        ("balance", -0.1, "from 0"),
        ("probes", 0, "at least 1"),
        ("probe_steps", 12, "multiple of 5"),
        ("hidden_layers", -1, "at least 0"),
        ("num_steps", True, "at least 1"),
        ("learning_rate", math.inf, "above 0"),
        ("dtype", "bfloat16", "float64"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_bad_fields_are_named(field, value, remedy):
    with pytest.raises(ValueError, match=rf"^{field}: .*{remedy}"):
        dataclasses.replace(TINY, **{field: value})


@pytest.mark.parametrize(("package", "extra"), [("sklearn", "data"), ("flax", "networks")])
def test_without_a_package_the_remedy_is_named(monkeypatch, package, extra):
    real = builtins.__import__

    def missing(name, *rest, **kwargs):
        if name.startswith(package):
            raise ImportError(name)
        return real(name, *rest, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    model.labelled_images.cache_clear()
    try:
        with pytest.raises(ValueError, match=rf"pip install scalinglab\[{extra}\]"):
            model.check_simulation(model.Config())
    finally:
        model.labelled_images.cache_clear()


def made_up(differences, seeds=20):
    """A dataset with these differences (pools, fractions), a hundredth of noise, exact shares."""
    pools, fractions = (100, 1400), (0.3, 0.5, 0.7)
    noise = np.random.default_rng(0).normal(size=(2, 3, seeds)) / 100
    noise -= noise.mean(axis=2, keepdims=True)
    shape = dict.fromkeys(model.MODEL.observables, 0.5 * np.ones((2, 3, seeds)))
    easy = 0.2 + np.asarray(differences)[:, :, None] + noise
    hard = np.full_like(easy, 0.2)
    values = {
        **shape,
        "test_error_easy": easy,
        "test_error_hard": hard,
        "easy_minus_hard": easy - hard,
    }
    dims = ("pool_size", "keep_fraction", "seed")
    return xr.Dataset(
        {name: (dims, array) for name, array in values.items() if name != "status"},
        coords={"pool_size": list(pools), "keep_fraction": list(fractions)},
    )


FLIPS = ((-0.05, 0.0, 0.05), (0.05, 0.05, -0.05))


def made_up_datasets():
    whole = made_up(np.zeros((2, 3))).isel(keep_fraction=[0])
    return {
        **{name: made_up(FLIPS) for name in experiment.SCORED},
        experiment.CONTROL: made_up(np.zeros((2, 3))),
        "whole": whole,
    }


def test_signs_are_claimed_where_they_are_shown():
    control, *claims = experiment.analyse(made_up_datasets())
    assert (control.kind, control.verdict) == ("exact", "agrees")
    assert len(claims) == len(experiment.SCORED) * 3 * 2
    assert {claim.kind for claim in claims} == {"heuristic"}
    assert len({(claim.quantity, claim.window) for claim in claims}) == len(claims)
    # Easy is better in small pools at f = 0.3, not shown at 0.5, and worse at 0.7.
    scarce = ["agrees", "inconclusive", "disagrees"]
    plenty = ["agrees", "agrees", "disagrees"]
    found = [claim.verdict for claim in claims[:6]]
    assert found == [verdict for pair in zip(scarce, plenty, strict=True) for verdict in pair]
    # The noise has a standard error of .01/sqrt(20); the 90 % interval decides.
    assert claims[0].measured == pytest.approx(-0.05, abs=1e-12)
    assert claims[0].standard_error == pytest.approx(0.01 / math.sqrt(20), rel=0.4)


def test_failed_lanes_are_not_averaged_away():
    dataset = made_up(FLIPS)
    dataset["easy_minus_hard"][0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="easy_minus_hard: 1 lanes failed"):
        experiment.measured(dataset, "easy_minus_hard")


def test_the_figure_is_drawn_from_its_datasets():
    datasets = made_up_datasets()
    drawing = draw_pruning_digits({"pruning-digits": datasets})
    assert len(drawing.table) == (len(experiment.SCORED) + 1) * 6 + 2
    assert len({tuple(row) for row in drawing.table}) == 1
    assert "nan" not in table_text(drawing.table)
    first = drawing.table[0]
    assert (first["sweep"], first["keep_fraction"], first["pool_size"]) == ("el2n", 0.3, 100)
    assert first["easy_minus_hard"] == pytest.approx(-0.05, abs=1e-12)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_experiment_runs_and_is_drawn():
    # A program is compiled a score.
    sweeps = experiment.EXPERIMENT.sweeps("smoke")
    datasets = {name: run_sweep(sweep) for name, sweep in sweeps.items()}
    for dataset in datasets.values():
        assert np.all(dataset["status"].values == Status.OK)
    claims = experiment.EXPERIMENT.analyse(datasets)
    assert len(claims) == 1 + 2 * len(experiment.SCORED)
    assert all(math.isfinite(claim.measured) for claim in claims)
    assert np.all(datasets["whole"]["easy_minus_hard"].values == 0)
    drawing = draw_pruning_digits({"pruning-digits": datasets})
    assert "nan" not in table_text(drawing.table)
