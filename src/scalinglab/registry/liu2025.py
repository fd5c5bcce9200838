"""Rows of superposition, after arXiv:2505.10465 and 'Toy Models of Superposition'."""

from .entry import Entry

_LIU = "arXiv:2505.10465"
_ELHAGE = "arXiv:2209.10652"

MODELS: tuple[Entry, ...] = (
    Entry(
        "superposition",
        "scalinglab.models.superposition",
        "scalinglab.theory.superposition",
        "an autoencoder that stores more sparse features than it has dimensions",
        _LIU,
    ),
    Entry(
        "random-frame",
        "scalinglab.models.random_frame",
        "scalinglab.theory.random_frame",
        "a superposition autoencoder with frozen random unit rows, one bias and one gain",
        _LIU,
    ),
)

EXPERIMENTS: tuple[Entry, ...] = (
    Entry(
        "superposition-scaling",
        "scalinglab.experiments.superposition.superposition_scaling",
        "",
        "loss against width in superposition, between two estimates of the best frame",
        f"{_LIU} Figs 3-6",
        cost="4 min",
    ),
    Entry(
        "random-frames",
        "scalinglab.experiments.superposition.random_frames",
        "",
        "the 1/m law of frozen random frames, with its constant",
        _LIU,
        cost="1 min",
    ),
    Entry(
        "overlap-geometry",
        "scalinglab.experiments.superposition.overlap_geometry",
        "",
        "squared overlaps of trained rows against Welch's bound, dead rows told apart",
        f"{_LIU} Fig. 6",
        cost="2 min",
    ),
    Entry(
        "activation-density",
        "scalinglab.experiments.superposition.activation_density",
        "",
        "denser data: the exponent, the constant, and the width from which 1/m holds",
        f"{_LIU} Fig. 7",
        cost="3 min",
    ),
    Entry(
        "bias-initialisation",
        "scalinglab.experiments.superposition.bias_initialisation",
        "",
        "dead rows and the apparent exponent, biases from zero against normal ones",
        _LIU,
        cost="3 min",
    ),
    Entry(
        "toy-geometry",
        "scalinglab.experiments.superposition.toy_geometry",
        "",
        "dimensions a feature against sparsity, the phase diagram, and W W^T",
        _ELHAGE,
        cost="2 min",
    ),
)

FIGURES: tuple[Entry, ...] = (
    Entry(
        "superposition-scaling",
        "scalinglab.paper_figs.liu2025",
        "",
        "trained losses against width with their bracket, local exponents, and weak superposition",
        f"{_LIU} Figs 3-6",
        experiments=("superposition-scaling",),
    ),
    Entry(
        "random-frames",
        "scalinglab.paper_figs.liu2025",
        "",
        "m times the loss of frozen frames against m, and many frames against the theory",
        _LIU,
        experiments=("random-frames",),
    ),
    Entry(
        "overlap-geometry",
        "scalinglab.paper_figs.liu2025",
        "",
        "mean squared overlaps of all and live rows, dead rows, and the bounds",
        f"{_LIU} Fig. 6",
        experiments=("overlap-geometry",),
    ),
    Entry(
        "activation-density",
        "scalinglab.paper_figs.liu2025",
        "",
        "loss against width at each density, and against the density at each width",
        f"{_LIU} Fig. 7",
        experiments=("activation-density",),
    ),
    Entry(
        "bias-initialisation",
        "scalinglab.paper_figs.liu2025",
        "",
        "live rows, losses and apparent exponents over the budget, for both starts",
        _LIU,
        experiments=("bias-initialisation",),
    ),
    Entry(
        "toy-geometry",
        "scalinglab.paper_figs.elhage2022",
        "",
        "dimensionality against sparsity, the phase diagram, five features in the plane",
        _ELHAGE,
        experiments=("toy-geometry",),
    ),
    Entry(
        "toy-gram",
        "scalinglab.paper_figs.elhage2022",
        "",
        "W W^T of 20 features of falling importance against sparsity",
        _ELHAGE,
        experiments=("toy-geometry",),
    ),
)
