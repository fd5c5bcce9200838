"""Progress of a run on standard error: a bar on a terminal, a line every few seconds elsewhere."""

import sys
import time
from collections.abc import Callable
from typing import Any

from .output import duration, note

_SECONDS = 5.0


class Counter:
    """Adds up the simulations of all sweeps; those reused from the store do not count as speed."""

    def __init__(self, total: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self._clock = clock
        self._start = clock()
        self._sweeps: dict[str, tuple[int, int]] = {}
        self._partial = 0.0

    def take(self, progress: Any) -> None:
        """One report of the engine."""
        self._sweeps[progress.sweep] = (progress.done, progress.reused)
        self._partial = progress.partial

    @property
    def done(self) -> int:
        """Simulations done, the reused ones included."""
        return sum(done for done, _ in self._sweeps.values())

    @property
    def text(self) -> str:
        """'120 of 480 simulations, 14 per s, 26 s left'."""
        reused = sum(reused for _, reused in self._sweeps.values())
        told = f"{self.done} of {self.total} simulations"
        computed, seconds = self.done - reused + self._partial, self._clock() - self._start
        if computed <= 0 or seconds <= 0:
            return told
        rate = computed / seconds
        if self.done >= self.total:
            return f"{told}, {rate:.3g} per s"
        left = (self.total - self.done - self._partial) / rate
        return f"{told}, {rate:.3g} per s, {duration(left)} left"


class Lines:
    """Plain lines, at most one in a few seconds, and one at the end."""

    def __init__(self, name: str, counter: Counter, *, clock: Any = time.monotonic) -> None:
        self._name = name
        self._counter = counter
        self._clock = clock
        self._last = clock()

    def __enter__(self) -> "Lines":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, progress: Any) -> None:
        self._counter.take(progress)
        if progress.message and not progress.message.startswith("compiling"):
            note(f"{self._name}: {progress.message}")
        finished = self._counter.done >= self._counter.total
        if finished or self._clock() - self._last >= _SECONDS:
            self._last = self._clock()
            note(f"{self._name}: {self._counter.text}")


class Bar:
    """A bar on a terminal."""

    def __init__(self, name: str, counter: Counter) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._counter = counter
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[text]}"),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task(name, total=counter.total, text="planning")

    def __enter__(self) -> "Bar":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, progress: Any) -> None:
        self._counter.take(progress)
        if progress.message and not progress.message.startswith("compiling"):
            self._bar.console.print(progress.message, markup=False, highlight=False)
        waiting = f"  ({progress.message})" if progress.message.startswith("compiling") else ""
        self._bar.update(
            self._task, completed=self._counter.done, text=self._counter.text + waiting
        )


class Silent:
    """Nothing."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __call__(self, progress: Any) -> None:
        pass


def reporter(name: str, total: int, *, lines: bool = True) -> Lines | Bar | Silent:
    """What suits standard error; a context manager to call with each report of the engine.

    **Arguments:** `total`, the number of simulations; `lines`, whether to print plain lines
    where there is no terminal.
    """
    counter = Counter(total)
    if sys.stderr.isatty():
        return Bar(name, counter)
    return Lines(name, counter) if lines else Silent()
