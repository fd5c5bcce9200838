"""Figures after 'Superposition yields robust neural scaling' (arXiv 2505.10465)."""

from .figure import Figure
from .liu2025_overlaps import draw_overlaps
from .liu2025_random import draw_random_frames
from .liu2025_scaling import draw_scaling

FIGURES = {
    "superposition-scaling": Figure(
        "superposition-scaling", ("superposition-scaling",), draw_scaling
    ),
    "random-frames": Figure("random-frames", ("random-frames",), draw_random_frames),
    "overlap-geometry": Figure("overlap-geometry", ("overlap-geometry",), draw_overlaps),
}
