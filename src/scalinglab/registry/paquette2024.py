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
    Entry(
        "compute-optimal",
        "scalinglab.experiments.power_law_sgd.compute_optimal",
        "",
        "best size and risk at a given compute, in the window and in the limit",
        "arXiv:2405.15074 Fig. 4",
        cost="2 min",
    ),
    Entry(
        "phase-diagram",
        "scalinglab.experiments.power_law_sgd.phase_diagram",
        "",
        "exponents over the (alpha, beta) plane, measured on two cuts",
        "arXiv:2405.15074 Fig. 2, 5",
        cost="2 min",
    ),
    Entry(
        "approach-1-2-3",
        "scalinglab.experiments.power_law_sgd.approaches",
        "",
        "three recipes for the best size, on runs whose optimum is known",
        "arXiv:2203.15556",
        cost="2 min",
    ),
    Entry(
        "momentum",
        "scalinglab.experiments.power_law_sgd.momentum",
        "",
        "DANA momentum: where it changes the exponent of the risk and where not",
        "arXiv:2505.16098",
        cost="2 min",
    ),
    Entry(
        "schedules",
        "scalinglab.experiments.power_law_sgd.schedules",
        "",
        "schedules, the annealing law, batch sizes and the floor, against exact moments",
        "arXiv:2408.11029",
        cost="1 min",
    ),
    Entry(
        "heavy-tails",
        "scalinglab.experiments.power_law_sgd.heavy_tails",
        "",
        "typical against expected risk at large rates, and the index of the tail",
        "arXiv:2006.04740",
        cost="1 min",
    ),
    Entry(
        "quantized-weights",
        "scalinglab.experiments.power_law_sgd.quantized_weights",
        "",
        "rounded weights: the steps beyond which training does harm",
        "arXiv:2411.04330",
        cost="1 min",
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
    Entry(
        "compute-optimal",
        "scalinglab.paper_figs.paquette2024",
        "",
        "frontier, best size, isoFLOP slices, and how the exponents drift to their limits",
        "arXiv:2405.15074 Fig. 4",
        experiments=("compute-optimal",),
    ),
    Entry(
        "phase-diagram",
        "scalinglab.paper_figs.paquette2024",
        "",
        "maps of eta and xi with the phases, two measured cuts, and the jump of xi",
        "arXiv:2405.15074 Fig. 2, 5",
        experiments=("phase-diagram",),
    ),
    Entry(
        "approach-1-2-3",
        "scalinglab.paper_figs.paquette2024",
        "",
        "xi and eta by three recipes against the truth, and coverage of their intervals",
        "arXiv:2203.15556",
        experiments=("approach-1-2-3",),
    ),
    Entry(
        "momentum",
        "scalinglab.paper_figs.paquette2024",
        "",
        "risk and local slopes of three methods, and random features against exact means",
        "arXiv:2505.16098",
        experiments=("momentum",),
    ),
    Entry(
        "schedules",
        "scalinglab.paper_figs.paquette2024",
        "",
        "risk under four schedules, the error of the annealing law, and steps against batch size",
        "arXiv:2408.11029",
        experiments=("schedules",),
    ),
    Entry(
        "heavy-tails",
        "scalinglab.paper_figs.paquette2024",
        "",
        "typical and mean decay, the tail of the stationary error, medians over means",
        "arXiv:2006.04740",
        experiments=("heavy-tails",),
    ),
    Entry(
        "quantized-weights",
        "scalinglab.paper_figs.paquette2024",
        "",
        "rounded risk against steps, where it is least, and the control",
        "arXiv:2411.04330",
        experiments=("quantized-weights",),
    ),
)
