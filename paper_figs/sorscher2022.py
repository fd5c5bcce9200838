"""Figures after 'Beyond neural scaling laws' (arXiv 2206.14486) and its theory of perceptrons."""

from .figure import Figure
from .sorscher2022_digits import draw_pruning_digits
from .sorscher2022_frontier import draw_frontier
from .sorscher2022_information import draw_information
from .sorscher2022_map import draw_map
from .sorscher2022_probe import draw_probe

FIGURES = {
    "information-gain": Figure("information-gain", ("information-gain",), draw_information),
    "pruning-frontier": Figure("pruning-frontier", ("pruning-frontier",), draw_frontier),
    "imperfect-probe": Figure("imperfect-probe", ("imperfect-probe",), draw_probe),
    "easy-or-hard": Figure("easy-or-hard", ("easy-or-hard",), draw_map),
    "pruning-digits": Figure("pruning-digits", ("pruning-digits",), draw_pruning_digits),
}
