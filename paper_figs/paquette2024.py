"""Figures after '4+3 phases of compute-optimal neural scaling laws' (arXiv 2405.15074)."""

from .figure import Figure
from .paquette2024_curves import draw_phase_curves
from .paquette2024_map import draw_phase_diagram
from .paquette2024_momentum import draw_momentum
from .paquette2024_optimum import draw_optimum
from .paquette2024_recipes import draw_recipes
from .paquette2024_rounded import draw_rounded
from .paquette2024_schedules import draw_schedules
from .paquette2024_tails import draw_tails

FIGURES = {
    "phase-curves": Figure("phase-curves", ("phase-curves",), draw_phase_curves),
    "compute-optimal": Figure("compute-optimal", ("compute-optimal",), draw_optimum),
    "phase-diagram": Figure("phase-diagram", ("phase-diagram",), draw_phase_diagram),
    "approach-1-2-3": Figure("approach-1-2-3", ("approach-1-2-3",), draw_recipes),
    "momentum": Figure("momentum", ("momentum",), draw_momentum),
    "schedules": Figure("schedules", ("schedules",), draw_schedules),
    "heavy-tails": Figure("heavy-tails", ("heavy-tails",), draw_tails),
    "quantized-weights": Figure("quantized-weights", ("quantized-weights",), draw_rounded),
}
