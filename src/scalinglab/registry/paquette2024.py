"""Rows of compute-optimal scaling, after arXiv:2405.15074."""

from .entry import Entry

_PAQUETTE = "arXiv:2405.15074"

MODELS: tuple[Entry, ...] = (
    Entry(
        "power-law-sgd",
        "scalinglab.models.power_law_sgd",
        "scalinglab.theory.power_law_sgd",
        "one-pass SGD on random features of power-law Gaussian data",
        _PAQUETTE,
    ),
)

EXPERIMENTS: tuple[Entry, ...] = (
    Entry(
        "phase-curves",
        "scalinglab.experiments.power_law_sgd.phase_curves",
        "",
        "loss curves of SGD in the seven phases, against exact means and components",
        "arXiv:2405.15074 Fig. 3",
        cost="2 min",
    ),
)

FIGURES: tuple[Entry, ...] = (
    Entry(
        "phase-curves",
        "scalinglab.paper_figs.paquette2024",
        "",
        "bands of SGD in each phase with exact means, the equivalent and its components",
        "arXiv:2405.15074 Fig. 3",
        experiments=("phase-curves",),
    ),
)
