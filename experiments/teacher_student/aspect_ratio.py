"""The exponent of networks against their width and depth: after Fig. S5 of 2102.06701.

Command: scalinglab run aspect-ratio [--size smoke|default|paper]
Cost: smoke 1 min (compilation), default 3 minutes on two CPU cores, paper 20 minutes on a GPU.
Needs scalinglab[networks].

Expected at size default, d = 4, D = 64..1024, six teachers of width 96: the exponent is .61(6),
.75(4), .86(3), 1.00(2), 1.00(3) at widths 8, 16, 32, 64, 96 and two hidden layers, that is it grows
until the student can fit its data and stays at 4/d; at width 96 it is .79(2), 1.00(3), 1.01(3) with
one, two and three hidden layers.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.claims import Claim, claim
from scalinglab.experiments.curves import mean_and_error
from scalinglab.experiments.engine import Sweep
from scalinglab.experiments.experiment import Experiment, Size
from scalinglab.models import teacher_student as model
from scalinglab.theory import manifold

from .learning_curves import LearningCurve, learning_curve, seed_slopes

PAPER = "arXiv:2102.06701"


class _Scale(NamedTuple):
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    sizes: tuple[int, ...]
    seeds: int
    network: Mapping[str, Any]


_SIZES = {
    "smoke": _Scale(
        (8, 24),
        (1, 2),
        (8, 16, 32),
        3,
        {"num_steps": 500, "teacher_width": 8, "test_samples": 256},
    ),
    "default": _Scale((8, 16, 32, 64, 96), (1, 2, 3), (64, 128, 256, 512, 1024), 6, {}),
    "paper": _Scale(
        (8, 16, 32, 64, 128, 256),
        (1, 2, 3, 4),
        (64, 128, 256, 512, 1024, 2048, 4096),
        8,
        {"num_steps": 40_000, "test_samples": 8192},
    ),
}
DIMENSION = 4
DEPTH = 2


def sweeps(size: Size) -> Mapping[str, Sweep]:
    """Learning curves in four dimensions of students of all widths, and of all depths."""
    scale = _SIZES[size]
    shared = {
        "input_dimension": DIMENSION,
        "num_samples": scale.sizes[0],
        "pool_size": scale.sizes[-1],
        **scale.network,
    }

    def sweep(width: int, depth: int) -> Sweep:
        base = model.Config(student_width=width, depth=depth, **shared)
        sizes = {"num_samples": scale.sizes}
        return Sweep(model, base, sizes, seeds=scale.seeds, common_numbers=True)

    settings = [(width, DEPTH) for width in scale.widths]
    settings += [(scale.widths[-1], depth) for depth in scale.depths if depth != DEPTH]
    return {f"width={width}, depth={depth}": sweep(width, depth) for width, depth in settings}


class Shaped(NamedTuple):
    """A student's `width` and `depth`, its `curve`, and the slope of each seed over all sizes.

    No lane leaves these fits: a narrow student cannot fit its data, and that is the question.
    """

    width: int
    depth: int
    curve: LearningCurve
    slopes: np.ndarray


def shaped(datasets: Mapping[str, xr.Dataset]) -> tuple[Shaped, ...]:
    """The exponents of all shapes, by depth and width."""
    found = []
    for dataset in datasets.values():
        curve = learning_curve(dataset)
        everything = curve._replace(kept=np.ones_like(curve.kept))
        slopes = seed_slopes(everything, np.ones(len(curve.sizes), bool))
        config = json.loads(dataset.attrs["config"])
        found.append(Shaped(config["student_width"], config["depth"], curve, slopes))
    return tuple(sorted(found, key=lambda one: (one.depth, one.width)))


def analyse(datasets: Mapping[str, xr.Dataset]) -> tuple[Claim, ...]:
    """Qualitative: the exponent against the width, and against the depth.

    The shapes share their teachers, so that differences are taken seed by seed.
    """
    found = shaped(datasets)
    wide = [one for one in found if one.depth == DEPTH]
    deep = [one for one in found if one.width == wide[-1].width]
    limit = manifold.network_exponent(DIMENSION).exponent
    return (
        _difference_claim(
            "The exponent grows with the width until the student can fit its data.",
            f"alpha_D, width {wide[-1].width} less width {wide[0].width}; sign alone",
            wide[-1],
            wide[0],
            # The sign alone: anything from 0 to 4/d.
            (limit / 2, limit / 2),
        ),
        _difference_claim(
            "The exponent depends little on the depth.",
            f"alpha_D, depth {deep[-1].depth} less depth {deep[0].depth}",
            deep[-1],
            deep[0],
            # Little is a fifth of 4/d.
            (0.0, limit / 5),
        ),
    )


def _difference_claim(
    sentence: str, quantity: str, first: Shaped, second: Shaped, expected: tuple[float, float]
) -> Claim:
    mean, error = mean_and_error(first.slopes - second.slopes)
    low, high = first.curve.sizes[[0, -1]]
    return claim(
        sentence,
        f"{PAPER}, Fig. S5; qualitative, with other networks and data",
        quantity,
        mean,
        error,
        expected[0],
        "heuristic",
        f"D = {low:g}..{high:g}",
        margin=expected[1],
        note=f"optimisation limited {first.curve.left_out} and {second.curve.left_out} lanes",
        dof=len(first.slopes) - 1,
    )


EXPERIMENT = Experiment(
    name="aspect-ratio",
    summary="the exponent of networks against their width and depth",
    paper=f"{PAPER} Fig. S5",
    cost={"smoke": "1 min", "default": "3 min", "paper": "20 min on a GPU"},
    sweeps=sweeps,
    analyse=analyse,
)
