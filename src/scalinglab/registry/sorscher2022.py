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
    Entry(
        "version-space",
        "scalinglab.models.version_space",
        "scalinglab.theory.version_space",
        "the version space of a perceptron on pruned data, sampled uniformly",
        "arXiv:2206.14486",
    ),
    Entry(
        "pruned-network",
        "scalinglab.models.pruned_network",
        "",
        "networks trained on the easy and on the hard part of a pool of digits",
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
        cost="3 min",
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
    Entry(
        "information-gain",
        "scalinglab.experiments.data_pruning.information_gain",
        "",
        "bits an example at fixed keep fractions, and along paths to ever harder ones",
        "arXiv:2206.14486",
        cost="2 min",
    ),
    Entry(
        "pruning-digits",
        "scalinglab.experiments.pruned_network.pruning_digits",
        "",
        "networks on the easy and the hard part of a pool: does the sign flip with its size?",
        "arXiv:2206.14486 section 3",
        cost="3 min",
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
    Entry(
        "information-gain",
        "scalinglab.paper_figs.sorscher2022",
        "",
        "what kept examples tell, against their number, along a path, and what students believe",
        "arXiv:2206.14486",
        experiments=("information-gain",),
    ),
    Entry(
        "pruning-digits",
        "scalinglab.paper_figs.sorscher2022",
        "",
        "easy less hard on digits against the pool, errors and class balance",
        "arXiv:2206.14486 section 3",
        experiments=("pruning-digits",),
    ),
)
