"""Figures after '4+3 phases of compute-optimal neural scaling laws' (arXiv 2405.15074)."""

from .figure import Figure
from .paquette2024_curves import draw_phase_curves

FIGURES = {
    "phase-curves": Figure("phase-curves", ("phase-curves",), draw_phase_curves),
}
