"""What is asked: one experiment a file, its sweeps at three sizes, its claims."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import xarray as xr

from .claims import Claim
from .engine import Sweep

Size = Literal["smoke", "default", "paper"]
SIZES: tuple[str, ...] = get_args(Size)


@dataclass(frozen=True)
class Experiment:
    """One question to a model.

    **Fields:** `name`, words joined by hyphens; `summary`, one line; `paper`; `cost`, size to
    the time it takes; `sweeps(size)`, to named sweeps; `analyse(datasets)`, from the datasets
    by the same names to claims.
    """

    name: str
    summary: str
    paper: str
    cost: Mapping[str, str]
    sweeps: Callable[[Size], Mapping[str, Sweep]]
    analyse: Callable[[Mapping[str, xr.Dataset]], tuple[Claim, ...]]
