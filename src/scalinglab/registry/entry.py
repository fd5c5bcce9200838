"""What a row of the registry says."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["model", "experiment", "figure"]


@dataclass(frozen=True)
class Entry:
    """One row: the name on the command line and the module that holds it.

    **Fields:** `name`; `module`, which holds `MODEL`, `EXPERIMENT` or `FIGURES`; `theory`, the
    module of a model's `THEORIES`; `summary`, one line; `paper`; `cost`, of an experiment at
    size default; `experiments`, those whose results a figure draws.
    """

    name: str
    module: str
    theory: str
    summary: str
    paper: str
    cost: str = ""
    experiments: tuple[str, ...] = ()
