"""Experiments: run, resumed, loaded, asked for their status; sweeps compared with a theory."""

import dataclasses
import importlib.util
import json
import types
from pathlib import Path

import engine_toy as toy
import example_model
import numpy as np
import pytest
import xarray as xr

from scalinglab.experiments import (
    Comparison,
    Experiment,
    Interrupted,
    Store,
    Sweep,
    claim,
    compare,
    failed_lanes,
    load,
    run_experiment,
    status,
    sweep,
)
from scalinglab.experiments.engine.provenance import stored_version
from scalinglab.registry import load_model
from scalinglab.theory import Prediction, Theory


def sweeps(size):
    sizes = {"smoke": [3], "default": [3, None], "paper": [3, 4, 5]}[size]
    base = toy.Config()
    return {
        "main": Sweep(toy.LIGHT, base, {"size": sizes}, seeds=4),
        "broken": Sweep(toy.MODEL, base, {"ridge": [1.0, 1e7]}, seeds=2),
    }


def analyse(datasets):
    offset = datasets["main"]["offset"].values.ravel()
    error = offset.std(ddof=1) / np.sqrt(len(offset))
    told = ("the offset is the ridge", "nowhere, equation 1", "offset")
    return (claim(*told, offset.mean(), error, 1.0, "exact", "all sizes", margin=5.0),)


TOY = Experiment("toy", "a toy", "nowhere", {"smoke": "a second"}, sweeps, analyse)


def prediction(config):
    return Prediction({"offset": config.ridge, "risk": np.nan}, "mean", "exact", 0.0, "here")


EXACT = Theory("mean", "exact", ("offset",), lambda config: config.ridge < 5, prediction, "here")
DRAWN = dataclasses.replace(EXACT, name="drawn", needs_key=True)


def test_an_experiment_runs_once_and_answers_from_the_store(tmp_path):
    seen = []
    first = run_experiment(TOY, size="smoke", store=tmp_path, progress=seen.append)
    assert first.claims[0].verdict == "agrees"
    assert first.failed == {"main": 0, "broken": 2}
    assert list(first.failures["broken"].values()) == [2]
    assert (first.recomputed, first.reused) == (2, 0)
    assert {p.sweep for p in seen} == {"main", "broken"}
    again = run_experiment(TOY, size="smoke", store=Store(tmp_path))
    assert (again.recomputed, again.reused) == (0, 2)
    assert again.claims == first.claims
    loaded = load("toy", "smoke", store=tmp_path)
    assert list(loaded) == ["broken", "main"]
    for name in loaded:
        xr.testing.assert_identical(loaded[name], first.datasets[name])
    record = json.loads((tmp_path / "experiments" / "toy" / "smoke.json").read_text())
    assert record["state"] == "done"
    assert record["claims"][0]["verdict"] == "agrees"
    assert set(record["provenance"]) == {"git", "jax", "python", "scalinglab"}


def test_status_names_what_failed_and_the_command_that_goes_on(tmp_path):
    assert status(tmp_path) == []

    def stop(progress):
        if progress.done and progress.sweep == "broken":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="interrupted after 12 of 12 lanes"):
        run_experiment(TOY, store=tmp_path, progress=stop)
    (row,) = status(tmp_path)
    assert (row.experiment, row.size, row.state) == ("toy", "default", "interrupted")
    assert (row.units_done, row.units_total) == (3, 3)
    assert list(row.failed.values()) == [2]
    assert row.command == f"scalinglab run toy --size default --store {tmp_path}"
    with pytest.raises(ValueError, match=r"'toy' at size 'default' is incomplete .* run `scalingl"):
        load("toy", store=tmp_path)
    run_experiment(TOY, store=tmp_path)
    assert [row.state for row in status(tmp_path, "toy")] == ["done"]
    assert status(tmp_path, "other") == []
    next((tmp_path / "units").glob("*/*.unit")).unlink()
    assert status(tmp_path)[0].state == "interrupted"


def test_a_run_whose_process_is_gone_is_interrupted(tmp_path):
    run_experiment(TOY, size="smoke", store=tmp_path)
    store, name = Store(tmp_path), "experiments/toy/smoke.json"
    record = store.read_json(name)
    assert record is not None
    store.write_json(name, {**record, "state": "running"})
    assert status(store)[0].state == "running"
    # Above the largest process number that any system gives out.
    store.write_json(name, {**record, "state": "running", "pid": 2**30})
    assert status(store)[0].state == "interrupted"


def test_loading_what_is_not_there_names_the_command(tmp_path):
    with pytest.raises(
        ValueError, match=r"run `scalinglab run four-regimes --size default --store"
    ):
        load("four-regimes", store=tmp_path)
    with pytest.raises(
        ValueError, match=r"'four-regime' is unknown: did you mean 'four-regimes'\?"
    ):
        load("four-regime", store=tmp_path)
    with pytest.raises(ValueError, match=r"size: 'huge' is unknown; there are smoke, default"):
        run_experiment(TOY, size="huge", store=tmp_path)


def test_a_sweep_takes_values_one_value_and_zipped_values():
    found = sweep(
        toy.LIGHT, {"ridge": [1.0, 2.0], "size": 3}, seeds=2, zipped={"scale": [1.0, 2.0]}
    )
    assert found["offset"].dims == ("ridge", "point", "seed")
    assert found["size"].item() == 3
    module = types.ModuleType("mine")
    module.MODEL = toy.LIGHT
    again = sweep(module, {"ridge": [1.0, 2.0]}, seeds=2, base=toy.Config(size=3, scale=2.0))
    np.testing.assert_array_equal(again["offset"], found["offset"].isel(point=1))
    with pytest.raises(ValueError, match=r"sise: no such field; did you mean 'size'\?"):
        sweep(toy.LIGHT, {"sise": 3}, seeds=2)


def test_a_sweep_is_compared_with_the_first_theory_that_applies():
    found = sweep(toy.LIGHT, {"ridge": [1.0, 2.0, 9.0], "size": [3, None]}, seeds=50)
    table = compare(found, [DRAWN, EXACT], model=toy.LIGHT)
    assert isinstance(table, Comparison)
    assert [row.point for row in table.rows][:2] == [
        {"ridge": 1.0, "size": 3.0},
        {"ridge": 1.0, "size": np.inf},
    ]
    assert table.unpredicted == 2
    row = table.rows[0]
    values = found["offset"].values[0, 0]
    assert (row.theory, row.kind, row.predicted, row.seeds) == ("mean", "exact", 1.0, 50)
    assert row.mean == values.mean()
    assert row.stderr == values.std(ddof=1) / np.sqrt(50)
    assert row.z == (row.mean - 1.0) / row.stderr
    assert all(row.within for row in table.rows)
    lines = str(table).splitlines()
    assert lines[0].split() == [
        *("ridge", "size", "observable", "predicted", "mean", "stderr", "z", "within", "kind")
    ]
    assert lines[-1] == "no theory applies at 2 configurations"


def test_failed_lanes_are_left_out_of_a_comparison_and_counted():
    found = sweep(toy.LIGHT, {"ridge": [1.0]}, seeds=10)
    found["status"][0, :3] = 4
    found["offset"][0, :3] = np.nan
    assert sum(failed_lanes(found).values()) == 3
    theory = types.ModuleType("theory_of_light")
    theory.THEORIES = (EXACT,)
    (row,) = compare(found, theory, model=toy.LIGHT).rows
    assert (row.seeds, row.failed) == (7, 3)
    assert row.mean == found["offset"].values[0, 3:].mean()


def test_a_comparison_needs_a_sweep_and_its_own_model():
    found = sweep(toy.LIGHT, {"ridge": [1.0]}, seeds=2)
    with pytest.raises(ValueError, match=r"model: the dataset is of 'light', not of 'toy'"):
        compare(found, [EXACT], model=toy.MODEL)
    with pytest.raises(ValueError, match=r"model: 'light' is unknown"):
        compare(found, [EXACT])
    with pytest.raises(ValueError, match=r"dataset: it holds no sweep"):
        compare(xr.Dataset(), [EXACT])


def test_an_edited_model_of_ones_own_is_computed_anew(tmp_path):
    """Outside the package the hash of the file is part of the key; inside, the version alone."""
    text = Path(example_model.__file__).read_text()
    keys = []
    for content in (text, text, text + "\n# edited\n"):
        path = tmp_path / "own_model.py"
        path.write_text(content)
        spec = importlib.util.spec_from_file_location("own_model", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        keys.append(stored_version(module.MODEL))
    assert keys[0] == keys[1] != keys[2]
    assert stored_version(load_model("random-features")[0]) == "1"
