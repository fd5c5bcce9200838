"""Rows of compute-optimal scaling, after arXiv:2405.15074."""

from .entry import Entry

MODELS: tuple[Entry, ...] = ()

EXPERIMENTS: tuple[Entry, ...] = ()

FIGURES: tuple[Entry, ...] = ()
