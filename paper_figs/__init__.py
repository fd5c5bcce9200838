"""What is drawn: one file a paper. Figures read stored results; none simulates."""

from .figure import Drawing as Drawing
from .figure import Figure as Figure
from .figure import save as save
