"""Work in daemon threads, so that the calling thread sees an interrupt at once.

A compiled program cannot be stopped once it runs: the thread that waits for it goes on after an
interrupt or an error elsewhere, until the program ends or the process does.
"""

import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, NoReturn

import jax

_WAIT_SECONDS = 0.1
_NAME = "scalinglab"


def in_background(f: Callable[..., Any], *arguments: Any) -> Future[Any]:
    """`f(*arguments)` in a daemon thread, with the caller's float64 setting."""
    future: Future[Any] = Future()
    float64 = bool(jax.config.read("jax_enable_x64"))

    def work() -> None:
        try:
            with jax.enable_x64(float64):
                future.set_result(f(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True, name=_NAME).start()
    return future


def wait_for(future: Future[Any]) -> Any:
    """The result of a future, waiting in steps short enough for an interrupt to be seen."""
    while not future.done():
        wait_a_little(future)
    return future.result()


def wait_a_little(future: Future[Any]) -> None:
    """Wait for a future, but no longer than an interrupt may."""
    with contextlib.suppress(FutureTimeoutError):
        future.exception(timeout=_WAIT_SECONDS)


def leave(code: int) -> NoReturn:
    """Ends the process with this exit status, at once if a compiled program is still running.

    The interpreter's own exit would abort the process when such a program returns into it. The
    command line ends with this function.
    """
    if _running():
        _end(code)
    sys.exit(code)


def _running() -> bool:
    return any(thread.name == _NAME for thread in threading.enumerate())


def _end(code: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_if_running() -> None:
    if _running():
        _end(130)


# For a program that does not call `leave`: without this it would end with an abort.
atexit.register(_end_if_running)
