"""Rows of data pruning, after arXiv:2206.14486."""

from .entry import Entry

MODELS: tuple[Entry, ...] = (
    Entry(
        "data-pruning",
        "scalinglab.models.data_pruning",
        "scalinglab.theory.data_pruning",
        "max-margin perceptron on the examples that a probe has selected",
        "arXiv:2206.14486",
    ),
)

EXPERIMENTS: tuple[Entry, ...] = (
    Entry(
        "pruning-frontier",
        "scalinglab.experiments.data_pruning.pruning_frontier",
        "",
        "test error against kept examples, and what its frontier over f is",
        "arXiv:2206.14486 Fig. 1",
        cost="2 min",
    ),
    Entry(
        "imperfect-probe",
        "scalinglab.experiments.data_pruning.imperfect_probe",
        "",
        "an imperfect probe brings the power law back, and over-pruning ruins it",
        "arXiv:2206.14486 Fig. 2",
        cost="2 min",
    ),
    Entry(
        "easy-or-hard",
        "scalinglab.experiments.data_pruning.easy_or_hard",
        "",
        "whether to keep easy or hard examples, and where that changes",
        "arXiv:2206.14486 Fig. 3",
        cost="2 min",
    ),
)

FIGURES: tuple[Entry, ...] = (
    Entry(
        "pruning-frontier",
        "scalinglab.paper_figs.sorscher2022",
        "",
        "the ladder of keep fractions, and two frontiers with the laws fitted to them",
        "arXiv:2206.14486 Fig. 1",
        experiments=("pruning-frontier",),
    ),
    Entry(
        "imperfect-probe",
        "scalinglab.paper_figs.sorscher2022",
        "",
        "frontiers at five angles, over-pruning, and four rules side by side",
        "arXiv:2206.14486 Fig. 2",
        experiments=("imperfect-probe",),
    ),
    Entry(
        "easy-or-hard",
        "scalinglab.paper_figs.sorscher2022",
        "",
        "the better rule over pool and keep fraction, with simulated signs",
        "arXiv:2206.14486 Fig. 3",
        experiments=("easy-or-hard",),
    ),
)
