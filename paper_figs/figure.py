"""What a figure is, and how it is saved: PDF, PNG and the numbers behind it as CSV."""

import csv
import io
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import matplotlib.figure
import matplotlib.style
import xarray as xr

Datasets = Mapping[str, Mapping[str, xr.Dataset]]

# One colour, marker and dash pattern a series: the colours are Okabe and Ito's, in an order whose
# lightness differs too, so that grey and the colour-blind tell the series apart.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (3, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), "-")


@dataclass(frozen=True)
class Drawing:
    """A matplotlib figure and its numbers: one mapping a row, with the same keys in each."""

    figure: matplotlib.figure.Figure
    table: list[dict[str, Any]]


@dataclass(frozen=True)
class Figure:
    """One figure of a paper.

    **Fields:** `name`; `experiments`, whose datasets it reads; `draw`, from experiment name ->
    sweep name -> dataset to a `Drawing`. It draws what was stored and simulates nothing.
    """

    name: str
    experiments: tuple[str, ...]
    draw: Callable[[Datasets], Drawing]


@contextmanager
def house_style() -> Iterator[None]:
    """The committed style, on top of matplotlib's defaults and whatever the user's file says."""
    style = resources.files("scalinglab.paper_figs") / "scalinglab.mplstyle"
    with resources.as_file(style) as path, matplotlib.style.context(["default", path]):
        yield


@contextmanager
def canvas(rows: int, columns: int, size: tuple[float, float]) -> Iterator[tuple[Any, Any]]:
    """A figure and its array of axes in the house style, without touching pyplot's state."""
    with house_style():
        figure = matplotlib.figure.Figure(figsize=size, layout="constrained")
        yield figure, figure.subplots(rows, columns, squeeze=False)


def plain_ticks(axis: Any, values: Iterable[Any]) -> None:
    """Marks and numbers at the given places of a logarithmic x axis, and nowhere else."""
    places = list(values)
    axis.set_xticks(places, [f"{place:g}" for place in places])
    axis.set_xticks([], minor=True)


def save(drawing: Drawing, folder: Path | str, stem: str) -> tuple[Path, Path, Path]:
    """Writes STEM.pdf, STEM.png and STEM.csv, byte for byte the same for the same numbers.

    **Returns:** the three paths. **Raises:** `OSError` when the folder cannot be written; each
    file is replaced whole or not at all.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "png": {"Software": None},
    }
    paths = []
    for ending, metadata in pictures.items():
        buffer = io.BytesIO()
        with house_style():
            drawing.figure.savefig(buffer, format=ending, metadata=metadata)
        paths.append(_replace(folder / f"{stem}.{ending}", buffer.getvalue()))
    paths.append(_replace(folder / f"{stem}.csv", table_text(drawing.table).encode()))
    return paths[0], paths[1], paths[2]


def table_text(table: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, numbers with twelve significant digits."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(table[0]) if table else [], lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return buffer.getvalue()


def _cell(value: Any) -> str:
    return f"{float(value):.12g}" if hasattr(value, "__float__") else str(value)


def _replace(path: Path, content: bytes) -> Path:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path
