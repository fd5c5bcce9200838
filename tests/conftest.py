"""Two fake CPU devices, float64, strict promotion: set before JAX starts."""

import os
import signal

# A shell that starts a job with & makes it ignore interrupts, and its children with it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A sharded program with batched LAPACK calls needs one pool thread a device and one more a call;
# on a machine with fewer cores than devices it waits for ever. PJRT_NPROC sizes that pool.
os.environ.setdefault("PJRT_NPROC", "32")
# XLA already spreads a batch of factorisations over its threads; OpenBLAS starting its own inside
# each of them was measured 30 times slower on two cores.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = (
        os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
    ).strip()
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from pathlib import Path

import jax
import jaxtyping
import pytest

jax.config.update("jax_enable_x64", val=True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(scope="module", autouse=True)
def room_for_programs():
    """Drops the compiled programs of a worker before they exhaust its memory maps.

    Each takes a few maps, of which Linux gives a process 65530: a worker that had run 1600 tests
    was killed inside its compiler.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()


@pytest.fixture
def unchecked(monkeypatch):
    """Calls as a user makes them, without the type checker of the tests."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def store(monkeypatch, tmp_path):
    """A store of the test's own for the command line, which here finds JAX configured already."""
    from scalinglab.commands import runtime

    folder = tmp_path / "store"
    monkeypatch.setattr(runtime, "start", lambda: None)
    monkeypatch.setenv("SCALINGLAB_STORE", str(folder))
    return folder


@pytest.fixture
def refusal(capsys, store):
    """Runs a command that must be refused with exit status 2 and one line; returns the line."""
    from scalinglab.__main__ import main

    def refused(*arguments):
        assert main(arguments) == 2
        found = capsys.readouterr()
        assert found.out == ""
        assert found.err.count("\n") == 1
        assert found.err.startswith("scalinglab: ")
        return found.err.strip()

    return refused
