"""Rows of superposition, after arXiv:2505.10465 and 'Toy Models of Superposition'."""

from .entry import Entry

_LIU = "arXiv:2505.10465"

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

EXPERIMENTS: tuple[Entry, ...] = ()

FIGURES: tuple[Entry, ...] = ()
