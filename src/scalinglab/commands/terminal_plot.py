"""A log-log plot in characters: theory as dots, simulation as letters over them."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 64, 16
MARKERS = "ox+*#@%&"
_LEFT = 9


@dataclass(frozen=True)
class Series:
    """One curve: its label, its points, and the prediction at the same x."""

    label: str
    x: Sequence[float]
    simulated: Sequence[float] | None
    predicted: Sequence[float] | None


def draw(series: Sequence[Series], x_name: str, y_name: str) -> str:
    """The plot as text; empty when no point has positive coordinates."""
    everything = [
        point
        for one in series
        for values in (one.simulated, one.predicted)
        for point in _positive(one.x, values)
    ]
    if not everything:
        return ""
    x_range, y_range = (_range([point[i] for point in everything]) for i in (0, 1))
    grid = [[" "] * WIDTH for _ in range(HEIGHT)]
    for one in series:
        for x, y in _between(_positive(one.x, one.predicted)):
            _put(grid, x_range, y_range, (x, y), ".")
    for index, one in enumerate(series):
        for point in _positive(one.x, one.simulated):
            _put(grid, x_range, y_range, point, MARKERS[index % len(MARKERS)])
    lines = [f"{_label(y_range, row):>{_LEFT}} |{''.join(grid[row])}" for row in range(HEIGHT)]
    low, high = (f"{10**edge:.3g}" for edge in x_range)
    axis = [" " * _LEFT + " +" + "-" * WIDTH]
    axis.append(" " * (_LEFT + 2) + low + x_name.center(WIDTH - len(low) - len(high)) + high)
    return "\n".join(
        [f"{y_name}, both axes logarithmic", *map(str.rstrip, lines), *axis, _legend(series)]
    )


def _legend(series: Sequence[Series]) -> str:
    told = []
    if any(one.predicted is not None for one in series):
        told.append(". theory")
    for index, one in enumerate(series):
        if one.simulated is not None:
            told.append(f"{MARKERS[index % len(MARKERS)]} {one.label or 'simulation'}")
    return " " * (_LEFT + 2) + "   ".join(told)


def _positive(x: Sequence[float], y: Sequence[float] | None) -> list[tuple[float, float]]:
    pairs = [] if y is None else zip(x, y, strict=True)
    return [
        (math.log10(a), math.log10(b)) for a, b in pairs if a > 0 and b > 0 and math.isfinite(b)
    ]


def _between(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points, and as many on the lines between them as make dots a few columns apart."""
    found = list(points)
    if len(points) < 2:
        return found
    steps = max(1, round(WIDTH / 2 / (len(points) - 1)))
    for (x, y), (next_x, next_y) in itertools.pairwise(points):
        for step in range(1, steps):
            part = step / steps
            found.append((x + part * (next_x - x), y + part * (next_y - y)))
    return found


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _put(
    grid: list[list[str]],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    point: tuple[float, float],
    marker: str,
) -> None:
    column, row = (
        round((value - low) / (high - low) * (size - 1))
        for value, (low, high), size in zip(point, (x_range, y_range), (WIDTH, HEIGHT), strict=True)
    )
    grid[HEIGHT - 1 - row][column] = marker


def _label(y_range: tuple[float, float], row: int) -> str:
    low, high = y_range
    if row not in (0, HEIGHT // 2, HEIGHT - 1):
        return ""
    return f"{10 ** (high - (high - low) * row / (HEIGHT - 1)):.3g}"
