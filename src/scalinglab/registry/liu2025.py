"""Rows of superposition, after arXiv:2505.10465 and 'Toy Models of Superposition'."""

from .entry import Entry

MODELS: tuple[Entry, ...] = ()

EXPERIMENTS: tuple[Entry, ...] = ()

FIGURES: tuple[Entry, ...] = ()
