"""The points of a fit, checked once."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float64, Int

Column = Any


class Data(eqx.Module):
    r"""Measured points $(x_i, y_i)$, with weights or standard deviations.

    Weights and standard deviations are different things and are never converted silently: a
    weight w counts a point w times, up to a common factor that cancels; a standard deviation s is
    the known absolute error of y, whose residual counts in units of s.

    **Arguments:**

    - `x`: name to column (points,), finite; a column may have axes of its own after the first,
      as a learning-rate schedule has.
    - `y`: (points,), finite, of the output.
    - `weight`: (points,), at least 0; 1 by default.
    - `sd`: (points,), positive: the standard deviation of y, in the unit of y.
    - `group`: (points,) labels (run, seed) that are resampled together.

    **Raises:** `ValueError` that names the column, the first bad row and the remedy.
    """

    x: dict[str, np.ndarray]
    y: Float64[np.ndarray, " points"]
    weight: Float64[np.ndarray, " points"]
    sd: Float64[np.ndarray, " points"] | None
    group: Int[np.ndarray, " points"] | None

    def __init__(
        self,
        x: Mapping[str, Column],
        y: Column,
        *,
        weight: Column = None,
        sd: Column = None,
        group: Column = None,
    ) -> None:
        self.y = _column("y", y)
        size = self.y.shape[0]
        if size == 0:
            raise ValueError("y: no points; give at least as many as parameters")
        _check("y", self.y, np.isfinite(self.y), "finite")
        self.x = {str(name): _input(str(name), column, size) for name, column in x.items()}
        if not self.x:
            raise ValueError("x: no inputs; give a mapping from name to column")
        self.weight = np.ones(size) if weight is None else _column("weight", weight, size)
        _check("weight", self.weight, np.isfinite(self.weight) & (self.weight >= 0), "at least 0")
        self.sd = None if sd is None else _column("sd", sd, size)
        if self.sd is not None:
            _check("sd", self.sd, np.isfinite(self.sd) & (self.sd > 0), "positive and finite")
        self.group = None if group is None else _labels(group, size)

    @property
    def num_points(self) -> int:
        """How many points have a weight."""
        return int(np.count_nonzero(self.weight))

    def take(self, rows: Any) -> "Data":
        """The points of these rows: indices, or a mask (points,)."""
        rows = np.asarray(rows)
        return Data(
            {name: column[rows] for name, column in self.x.items()},
            self.y[rows],
            weight=self.weight[rows],
            sd=None if self.sd is None else self.sd[rows],
            group=None if self.group is None else self.group[rows],
        )

    def without_duplicates(self) -> tuple["Data", int]:
        """The points without exact repetitions (same inputs and output), and how many went.

        A repeated row is most often a row exported twice, and counts twice in a fit.
        """
        table = np.column_stack([*(c.reshape(len(self.y), -1) for c in self.x.values()), self.y])
        _, first = np.unique(table, axis=0, return_index=True)
        return self.take(np.sort(first)), len(self.y) - len(first)


def _input(name: str, values: Column, size: int) -> np.ndarray:
    column = _numbers(name, values)
    if column.ndim == 0 or column.shape[0] != size:
        raise ValueError(f"{name}: shape {column.shape}; give one entry for each of {size} points")
    if column.ndim == 1:
        _check(name, column, np.isfinite(column), "finite")
    elif not np.isfinite(column).all():
        raise ValueError(f"{name}: not every entry is finite; leave those points out")
    return column


def _column(name: str, values: Column, size: int | None = None) -> np.ndarray:
    column = _numbers(name, values)
    if column.ndim != 1 or (size is not None and column.shape[0] != size):
        expected = "one-dimensional" if size is None else f"({size},)"
        raise ValueError(
            f"{name}: shape {column.shape} is not {expected}; give one value a point, "
            "or fit_many for many data sets"
        )
    return column


def _numbers(name: str, values: Column) -> np.ndarray:
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: holds something that is no number; convert it first") from None


def _check(name: str, column: np.ndarray, good: np.ndarray, what: str) -> None:
    if not good.all():
        row = int(np.argmin(good))
        raise ValueError(
            f"{name}: {column[row]} at row {row} is not {what}; correct it or leave the row out"
        )


def _labels(group: Column, size: int) -> np.ndarray:
    labels = np.asarray(group)
    if labels.shape != (size,):
        raise ValueError(f"group: shape {labels.shape} is not ({size},); give one label a point")
    try:
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)
    except TypeError:
        raise ValueError("group: mixes kinds of labels; give numbers only, or text only") from None
