"""Figures after 'Superposition yields robust neural scaling' (arXiv 2505.10465)."""

from .figure import Figure
from .liu2025_density import draw_density
from .liu2025_overlaps import draw_overlaps
from .liu2025_random import draw_random_frames
from .liu2025_scaling import draw_scaling
from .liu2025_starts import draw_starts

FIGURES = {
    "superposition-scaling": Figure(
        "superposition-scaling", ("superposition-scaling",), draw_scaling
    ),
    "random-frames": Figure("random-frames", ("random-frames",), draw_random_frames),
    "activation-density": Figure("activation-density", ("activation-density",), draw_density),
    "bias-initialisation": Figure("bias-initialisation", ("bias-initialisation",), draw_starts),
    "overlap-geometry": Figure("overlap-geometry", ("overlap-geometry",), draw_overlaps),
}
