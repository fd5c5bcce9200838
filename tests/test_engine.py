"""Sweeps and plans: points, keys, groups, blocks, one compilation a group, and the dataset."""

import dataclasses
import math

import engine_toy as toy
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from scalinglab.experiments.engine import (
    Sweep,
    canonical,
    execute,
    lane_key,
    memory,
    plan,
    plan_sweep,
    run_sweep,
)
from scalinglab.experiments.engine.local import Interrupted
from scalinglab.models import Observable


def lane_by_lane(sweep, name):
    lanes = [
        toy.simulate(config, key=lane_key(sweep, config, seed))[name]
        for config in sweep.points()
        for seed in range(sweep.seeds)
    ]
    return np.stack(lanes).reshape(*sweep.shape, sweep.seeds, *lanes[0].shape)


def tolerance(sweep):
    """The one of the worst size; sizes below 3 have no system of their own."""
    worst = 0.0
    for config in sweep.points():
        keys = [lane_key(sweep, config, seed) for seed in range(sweep.seeds)]
        systems = np.stack([toy.matrix(config, key=key) for key in keys])
        worst = max(worst, toy.solve_tolerance(systems))
    return worst


def test_a_sweep_is_a_loop_over_its_lanes():
    sweep = Sweep(
        toy.MODEL,
        toy.Config(),
        {"size": [3, None], "kind": ["plain", "twice"]},
        {"ridge": [0.5, 2.0], "scale": [1, 3]},
        seeds=3,
    )
    found = run_sweep(sweep)
    assert found["risk"].dims == ("size", "kind", "point", "seed")
    assert found["curve"].dims == ("size", "kind", "point", "seed", "time")
    np.testing.assert_array_equal(found["size"], [3.0, math.inf])
    assert list(found["kind"].values) == ["plain", "twice"]
    assert found["ridge"].dims == found["scale"].dims == ("point",)
    assert found["status"].dtype == np.int32
    assert found["curve"].attrs == {"units": "seconds", "description": "its first three entries"}
    assert not any(np.isnan(found[name]).any() for name in found)
    for name in ("risk", "curve"):
        np.testing.assert_allclose(found[name], lane_by_lane(sweep, name), rtol=tolerance(sweep))


def test_vmap_is_a_loop_and_jit_is_eager_on_the_lanes():
    sweep = Sweep(toy.MODEL, toy.Config(size=3), {"ridge": [0.5, 2.0]}, seeds=5)
    one = run_sweep(sweep, devices=jax.devices()[:1])
    np.testing.assert_allclose(one["risk"], lane_by_lane(sweep, "risk"), rtol=tolerance(sweep))


def test_a_lane_does_not_depend_on_the_other_lanes():
    many = Sweep(toy.MODEL, toy.Config(), {"ridge": [0.5, 1.0, 2.0], "size": [3, None]}, seeds=6)
    few = Sweep(toy.MODEL, toy.Config(size=3), {"ridge": [2.0]}, seeds=2)
    whole = run_sweep(many)["risk"].sel(ridge=2.0, size=3).isel(seed=slice(2))
    alone = run_sweep(few)["risk"].sel(ridge=2.0)
    np.testing.assert_allclose(alone, whole, rtol=tolerance(few))


def test_lanes_have_different_numbers_unless_common_ones_are_asked_for():
    fields = {"ridge": [0.5, 2.0]}
    own = run_sweep(Sweep(toy.LIGHT, toy.Config(), fields, seeds=4))
    noise = own["offset"] - own["ridge"]
    assert len(np.unique(noise)) == 8
    common = run_sweep(Sweep(toy.LIGHT, toy.Config(), fields, seeds=4, common_numbers=True))
    shared = common["offset"] - common["ridge"]
    # Adding the ridge and taking it off rounds twice, to half an ulp of at most 8 each time.
    np.testing.assert_allclose(shared[0], shared[1], atol=8 * np.finfo(np.float64).eps, rtol=0)
    assert common.attrs["common_numbers"] == 1
    other = run_sweep(Sweep(toy.LIGHT, toy.Config(), fields, seeds=4, root_seed=1))
    assert not np.isin(other["offset"], own["offset"]).any()


def test_a_failed_lane_has_a_status_and_spoils_no_other():
    found = run_sweep(Sweep(toy.MODEL, toy.Config(), {"ridge": [1.0, 1e7]}, seeds=3))
    np.testing.assert_array_equal(found["status"], [[0, 0, 0], [4, 4, 4]])
    np.testing.assert_array_equal(np.isnan(found["risk"]), found["status"] != 0)


def test_each_group_is_compiled_once_and_traced_once_more_for_more_devices():
    # 14 lanes a group are 7 blocks of 2, since 16, 8 and 4 would waste two lanes.
    sweep = Sweep(toy.LIGHT, toy.Config(), {"size": [4, 8], "ridge": [0.5, 2.0]}, seeds=7)
    for devices, traces in ((jax.devices()[:1], 1), (jax.devices(), 2)):
        jax.clear_caches()
        plan._batched.cache_clear()
        toy.TRACES.clear()
        planned = plan_sweep(sweep, devices=devices)
        assert (len(planned.groups), len(planned.units)) == (2, 14)
        execute(planned)
        assert len(toy.TRACES) == 2 * traces
        # The same shapes with other random numbers: nothing is traced, and nothing compiled.
        execute(plan_sweep(dataclasses.replace(sweep, root_seed=1), devices=devices))
        assert len(toy.TRACES) == 2 * traces


def test_units_do_not_depend_on_the_devices_and_resuming_keeps_them():
    sweep = Sweep(toy.LIGHT, toy.Config(), {"size": [4, 8], "ridge": [0.5, 2.0]}, seeds=5)
    one = plan_sweep(sweep, devices=jax.devices()[:1])
    two = plan_sweep(sweep, devices=jax.devices())
    assert [unit.key for unit in one.units] == [unit.key for unit in two.units]
    assert one.key == two.key


@pytest.mark.parametrize(
    ("lanes", "block"), [(48, 16), (64, 64), (1, 1), (100, 16), (15, 16), (7, 1), (1000, 1024)]
)
def test_a_block_wastes_at_most_an_eighth(lanes, block):
    sizes = list(plan.block_sizes(lanes))
    assert sizes[0] == block
    assert sizes[-1] == 1
    assert all(8 * (-lanes % size) <= lanes for size in sizes)


def test_blocks_shrink_to_the_memory_budget(monkeypatch):
    sweep = Sweep(toy.MODEL, toy.Config(size=32), {"ridge": [0.5, 2.0]}, seeds=32)
    group = plan.make_groups(sweep, "cpu")[0]
    for budget in (2**22, 2**18):
        monkeypatch.setattr(plan, "BUDGET", budget)
        drafted = plan.draft(group, jax.devices()[0])
        arguments = plan.units_of(group, drafted.block)[0].arguments
        compiled = jax.jit(group.f).lower(*arguments).compile()
        needed = compiled.memory_analysis().temp_size_in_bytes
        assert needed <= budget
        assert 1 <= drafted.block < 64 or budget == 2**22


def test_the_estimate_of_memory_counts_what_is_alive():
    def chain(x):
        for _ in range(5):
            x = jnp.cos(x)
        return x.sum()

    x = jnp.zeros((100,))
    # Two of the five arrays of 800 bytes are alive at a time: the one read and the one made.
    assert memory.peak_bytes(jax.make_jaxpr(chain)(x)) == 1600
    looped = jax.make_jaxpr(lambda x: jax.lax.fori_loop(0, 3, lambda _, y: jnp.cos(y), x))(x)
    assert 800 <= memory.peak_bytes(looped) <= 2400


def test_the_digest_is_of_the_values_and_not_of_their_spelling():
    def digest(**fields):
        return canonical.config_digest("toy", 1, toy.Config(**fields))

    assert digest(ridge=0.1 + 0.2) != digest(ridge=0.3)
    assert digest(size=8) == digest()
    assert digest(size=None) != digest(size=3)
    assert digest() != canonical.config_digest("toy", 2, toy.Config())
    assert canonical.normal_value(np.float64(-0.0), float).hex() == "0x0.0p+0"
    assert canonical.normal_value(1, float) == 1.0
    assert isinstance(canonical.normal_value(1, float), float)
    assert canonical.normal_value(1, int | None) == 1


def test_a_configuration_comes_back_from_its_coordinates():
    for config in (toy.Config(size=None), toy.Config(size=7, ridge=0.1, kind="twice")):
        fields = canonical.config_fields(config)
        fields["size"] = np.float64(math.inf if config.size is None else config.size)
        assert canonical.config_from(toy.Config, fields) == config


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crossed": {"rigde": [1.0]}}, r"rigde: no such field; did you mean 'ridge'\?"),
        ({"zipped": {"x": [1.0]}}, r"x: no such field; there are size, ridge"),
        ({"crossed": {"ridge": []}}, r"ridge: no values given"),
        ({"crossed": {"ridge": 1.0}}, r"ridge: 1.0 is not a sequence"),
        ({"crossed": {"kind": "plain"}}, r"kind: 'plain' is not a sequence"),
        ({"crossed": {"ridge": [1.0, 1]}}, r"ridge: 1.0 is given twice"),
        ({"crossed": {"ridge": [1.0]}, "zipped": {"ridge": [1.0]}}, r"ridge: both crossed"),
        ({"zipped": {"ridge": [1.0], "scale": [1.0, 2.0]}}, r"zipped fields differ in length"),
        ({"seeds": 0}, r"seeds: 0 is not a whole number"),
        ({"root_seed": -1}, r"root_seed: -1 is not a whole number"),
        ({"model": jax}, r"model: .* has no name, simulate, observables"),
    ],
)
def test_bad_sweeps_are_named(arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        Sweep(**{"model": toy.MODEL, "base": toy.Config(), **arguments})
    assert "\n" not in str(caught.value)


def test_a_bad_configuration_is_found_before_anything_runs():
    sweep = Sweep(toy.MODEL, toy.Config(), {"ridge": [1.0, -1.0]})
    toy.TRACES.clear()
    with pytest.raises(ValueError, match=r"ridge: -1.0 is not above 0"):
        run_sweep(sweep)
    assert not toy.TRACES


def test_observables_that_differ_from_their_declaration_are_named():
    def extra(config, *, key):
        return {**toy.simulate_lightly(config, key=key), "more": config.ridge}

    def uneven(config, *, key):
        found = toy.simulate_lightly(config, key=key)
        return found if config.kind == "plain" else {"offset": found["offset"]}

    def sized(config, *, key):
        offset = jax.random.normal(key)
        return {"curve": offset + jnp.zeros(2 if config.kind == "plain" else 3)}

    flat = {**toy.MODEL.observables, "curve": Observable("no axes")}
    cases = [
        ({"simulate": extra}, r"more: simulate returned it and the model does not declare it"),
        ({"simulate": uneven}, r"curve: returned at some configurations and absent at others"),
        ({"simulate": sized}, r"curve: has shape \(2,\) at some configurations and \(3,\)"),
        ({"observables": flat}, r"curve: simulate returned 1 axes and the model declares 0"),
    ]
    for fields, message in cases:
        model = dataclasses.replace(toy.LIGHT, **fields)
        with pytest.raises(ValueError, match=message):
            run_sweep(Sweep(model, toy.Config(), {"kind": ["plain", "twice"]}))


def test_a_field_that_is_no_number_must_be_static():
    class Loose(eqx.Module):
        name: str = "x"

    sweep = Sweep(toy.LIGHT, Loose(), {"name": ["x", "y"]})
    with pytest.raises(ValueError, match=r"declare its field with equinox.field\(static=True\)"):
        run_sweep(sweep)


def test_progress_counts_lanes_and_an_interrupt_says_how_far_it_came():
    sweep = Sweep(toy.LIGHT, toy.Config(), {"size": [3, 4, 5]}, seeds=4)
    seen = []
    run_sweep(sweep, progress=seen.append, name="main")
    assert [p.done for p in seen if not p.message] == [0, 4, 8, 12]
    assert {(p.sweep, p.total, p.reused) for p in seen} == {("main", 12, 0)}

    def stop(progress):
        if progress.done == 8:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="interrupted after 8 of 12 lanes") as caught:
        run_sweep(sweep, progress=stop)
    assert (caught.value.done, caught.value.total) == (8, 12)


def test_the_dataset_records_what_was_fixed():
    found = run_sweep(Sweep(toy.LIGHT, toy.Config(scale=2), {"ridge": np.array([1.0])}, seeds=1))
    assert found.attrs["config"] == '{"kind": "plain", "scale": 2.0, "size": 8, "steps": 0}'
    assert found.attrs["model"] == "light"
    assert found.attrs["backend"] == "cpu"
    assert isinstance(found, xr.Dataset)
