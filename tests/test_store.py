"""The store: killed, damaged, full, unwritable, newer, and shared by two processes."""

import dataclasses
import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import engine_toy as toy
import pytest
import xarray as xr

from scalinglab.experiments.engine import (
    Store,
    StoreError,
    Sweep,
    local,
    plan_sweep,
    read_result,
    run_sweep,
)
from scalinglab.experiments.engine import store as store_module

CHILD = Path(__file__).with_name("engine_child.py")
SWEEP = Sweep(toy.LIGHT, toy.Config(), {"size": [3, None], "ridge": [1.0]}, seeds=3)


def child(mode, path, **more):
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "PJRT_NPROC": "32",
        "OPENBLAS_NUM_THREADS": "1",
    }
    command = [sys.executable, str(CHILD), mode, str(path)]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, **more)


def finish(process):
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    return output


def wait_until(ready, process):
    end = time.monotonic() + 90
    while not ready() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)


def units(path):
    return sorted(path.glob("units/*/*.unit"))


def reached(path, count):
    return (path / "FORMAT").exists() and len(units(path)) >= count


def result(path):
    (found,) = path.glob("results/*.nc")
    return found.read_bytes()


def identities(path):
    return {unit.name: (unit.stat().st_ino, unit.stat().st_mtime_ns) for unit in units(path)}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed")
    finish(child("sweep", path))
    return path


@pytest.fixture
def stored(tmp_path):
    run_sweep(SWEEP, store=Store(tmp_path))
    return tmp_path


def test_a_killed_run_goes_on_where_it_was_and_ends_with_the_same_bytes(undisturbed, tmp_path):
    total = len(units(undisturbed))
    assert total == 160
    draw = random.Random(2)
    kept = {}
    for moment in (0, *sorted(draw.sample(range(1, total), 2))):
        process = child("sweep", tmp_path)
        wait_until(lambda n=moment: reached(tmp_path, n), process)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        now = identities(tmp_path)
        assert kept.items() <= now.items()
        kept = now
    assert 0 < len(kept) < total
    finish(child("sweep", tmp_path))
    assert kept.items() <= identities(tmp_path).items()
    assert result(tmp_path) == result(undisturbed)
    assert [unit.name for unit in units(tmp_path)] == [unit.name for unit in units(undisturbed)]


def test_two_processes_share_a_store(undisturbed, tmp_path):
    both = [child("sweep", tmp_path) for _ in range(2)]
    for process in both:
        finish(process)
    assert result(tmp_path) == result(undisturbed)
    assert not list((tmp_path / "tmp").iterdir())


def test_an_interrupt_ends_a_long_unit_and_says_how_far_it_came(tmp_path):
    process = child("slow", tmp_path, stderr=subprocess.STDOUT)
    assert process.stdout is not None
    # The unit runs once its program is compiled; whichever of the two is hit has to stop.
    for line in process.stdout:
        if line.startswith("compiling"):
            break
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    try:
        output, _ = process.communicate(timeout=30)
    finally:
        process.kill()
    assert output.strip() == "interrupted after 0 of 4 lanes"
    assert process.returncode == 130
    assert not units(tmp_path)


def test_a_second_run_traces_nothing_and_rewrites_nothing(stored):
    before = {path: path.stat().st_mtime_ns for path in stored.rglob("*.*")}
    toy.TRACES.clear()
    seen = []
    again = run_sweep(SWEEP, store=Store(stored), progress=seen.append)
    assert not toy.TRACES
    assert (seen[-1].done, seen[-1].reused) == (6, 6)
    assert before == {path: path.stat().st_mtime_ns for path in stored.rglob("*.*")}
    xr.testing.assert_identical(again, run_sweep(SWEEP))


def test_a_result_comes_back_as_it_was_and_has_no_clock_in_it(stored, tmp_path_factory):
    planned = plan_sweep(SWEEP, store=Store(stored))
    found = read_result(Store(stored), planned.key)
    xr.testing.assert_identical(found, run_sweep(SWEEP))
    assert found["status"].dtype == "int32"
    other = tmp_path_factory.mktemp("other")
    run_sweep(SWEEP, store=Store(other))
    assert result(other) == result(stored)


def test_a_resumed_run_keeps_the_blocks_of_its_plan(stored, monkeypatch):
    for unit in units(stored):
        unit.unlink()

    def never(group, device):
        raise AssertionError("the plan is in the store")

    monkeypatch.setattr(local, "draft", never)
    before = result(stored)
    run_sweep(SWEEP, store=Store(stored))
    assert result(stored) == before


@pytest.mark.parametrize("where", ["header", "payload", "last", "cut", "empty", "swapped"])
def test_a_damaged_unit_is_set_aside_and_computed_again(stored, where):
    first, second = units(stored)[:2]
    good = first.read_bytes()
    content = bytearray(good)
    position = {"header": good.index(b"provenance"), "payload": len(good) // 2, "last": -1}
    if where in position:
        content[position[where]] ^= 1
    bad = {"cut": good[:-20], "empty": b"", "swapped": second.read_bytes()}
    first.write_bytes(bad.get(where, bytes(content)))
    before = result(stored)
    seen = []
    again = run_sweep(SWEEP, store=Store(stored), progress=seen.append)
    assert any(first.name in p.message and "damaged" in p.message for p in seen)
    assert first.read_bytes() == good
    assert seen[-1].reused == 5
    assert (stored / "damaged" / first.name).exists()
    assert result(stored) == before
    xr.testing.assert_identical(again, run_sweep(SWEEP))


@pytest.mark.parametrize("suffix", ["nc", "json"])
def test_a_damaged_result_is_found_and_written_again(stored, suffix):
    key = plan_sweep(SWEEP, store=Store(stored)).key
    path = stored / "results" / f"{key}.{suffix}"
    good = path.read_bytes()
    path.write_bytes(good[:-9] + bytes([good[-9] ^ 1]) + good[-8:])
    with pytest.raises(StoreError, match=r"absent or damaged; run its sweep again"):
        read_result(Store(stored), key)
    run_sweep(SWEEP, store=Store(stored))
    assert path.read_bytes() == good


def test_a_damaged_plan_is_made_again(stored):
    plans = sorted(stored.glob("plans/*.json"))
    good = plans[0].read_bytes()
    document = json.loads(good)
    plans[0].write_text(json.dumps({**document, "block": 2 * document["block"]}))
    before = identities(stored)
    run_sweep(SWEEP, store=Store(stored))
    assert plans[0].read_bytes() == good
    assert identities(stored) == before


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("after", [0, 3, 9])
def test_a_full_disk_is_an_error_of_one_line_with_nothing_half_written(
    tmp_path, monkeypatch, call, after
):
    calls = []
    real = getattr(os, call)

    def full(*arguments):
        calls.append(arguments)
        if len(calls) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(store_module.os, call, full)
        with pytest.raises(StoreError, match=r"the disk is full; free space there") as caught:
            run_sweep(SWEEP, store=Store(tmp_path / "store"))
    assert str(tmp_path / "store") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "store" / "tmp").iterdir())
    for unit in units(tmp_path / "store"):
        assert Store(tmp_path / "store").read_unit(unit.stem) is not None
    found = run_sweep(SWEEP, store=Store(tmp_path / "store"))
    xr.testing.assert_identical(found, run_sweep(SWEEP))


def test_a_store_that_cannot_be_made_is_named_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    toy.TRACES.clear()
    with pytest.raises(StoreError, match=r"file/store: not a directory; choose a folder"):
        run_sweep(SWEEP, store=Store(tmp_path / "file" / "store"))
    assert not toy.TRACES


def test_a_store_of_a_newer_format_is_refused(stored):
    (stored / "FORMAT").write_text("2\n")
    before = sorted(stored.rglob("*"))
    with pytest.raises(StoreError, match=r"has format '2' and this .* reads format 1; update"):
        Store(stored)
    assert sorted(stored.rglob("*")) == before


def test_reading_makes_no_folder(tmp_path):
    store = Store(tmp_path / "none")
    assert store.read_unit("0" * 64) is None
    assert store.names("experiments", ".json") == []
    assert not (tmp_path / "none").exists()


def test_old_temporary_files_are_removed_and_young_ones_kept(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    old, young = tmp_path / "tmp" / "old.tmp", tmp_path / "tmp" / "young.tmp"
    for path in (old, young):
        path.write_text("half")
    two_days_ago = time.time() - 2 * 86400
    os.utime(old, (two_days_ago, two_days_ago))
    store.prepare()
    assert young.exists()
    assert not old.exists()


def test_what_changes_the_numbers_changes_the_keys():
    def keys(**fields):
        base = fields.pop("base", toy.Config())
        model = fields.pop("model", toy.LIGHT)
        planned = plan_sweep(Sweep(model, base, {"ridge": [0.5, 2.0]}, seeds=2, **fields))
        return {planned.key, *(unit.key for unit in planned.units)}

    newer = dataclasses.replace(toy.LIGHT, version=2)
    every = [
        keys(),
        keys(root_seed=1),
        keys(common_numbers=True),
        keys(base=toy.Config(size=5)),
        keys(base=toy.Config(scale=2.0)),
        keys(model=newer),
    ]
    assert keys() == every[0]
    assert len(set().union(*every)) == sum(len(found) for found in every)
