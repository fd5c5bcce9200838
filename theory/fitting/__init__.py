"""The shared fitting module: exponents with errors, local slopes, and the agreement test."""

from .agreement import Agreement as Agreement
from .agreement import Verdict as Verdict
from .agreement import agree as agree
from .local_slope import LocalSlopes as LocalSlopes
from .local_slope import difference_slopes as difference_slopes
from .local_slope import local_slopes as local_slopes
from .power_law import PowerLawFit as PowerLawFit
from .power_law import fit_power_law as fit_power_law
from .power_law import regress_power_law as regress_power_law
