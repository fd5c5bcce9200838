"""The theory of one-pass SGD on power-law random features.

Given the features, `moments` and `momentum` are exact and `given_features` holds them for a
`Config`. In the mean over features, `contour`, `equivalent` and `volterra` are the deterministic
equivalent at any d and time, `density` the same on the real axis, for schedules and momentum.
`components` and `phases` are its asymptotics, `finite_size` how far the mean over features is from
it, `frontier` what is compute-optimal, from any of these, `batch`, `rounding` and `tails` what
large batches, rounded weights and large rates do, and `predict` the table of predictions.
"""

from .batch import Isotropic as Isotropic
from .batch import isotropic_optimum as isotropic_optimum
from .batch import isotropic_steps as isotropic_steps
from .batch import steps_to_target as steps_to_target
from .components import Components as Components
from .components import component_exponents as component_exponents
from .components import component_risk as component_risk
from .components import components as components
from .contour import Shape as Shape
from .density import Density as Density
from .density import num_bands as num_bands
from .density import risk_by_density as risk_by_density
from .density import spectral_density as spectral_density
from .equivalent import Equivalent as Equivalent
from .equivalent import ExponentialSums as ExponentialSums
from .equivalent import Problem as Problem
from .equivalent import deterministic_equivalent as deterministic_equivalent
from .equivalent import forcing as forcing
from .equivalent import kernel as kernel
from .equivalent import power_law_problem as power_law_problem
from .finite_size import FINITE_SIZE as FINITE_SIZE
from .finite_size import least_risk_excess as least_risk_excess
from .finite_size import stated_error as stated_error
from .frontier import Frontier as Frontier
from .frontier import LocalExponents as LocalExponents
from .frontier import component_curves as component_curves
from .frontier import compute_optimal_frontier as compute_optimal_frontier
from .frontier import equivalent_curves as equivalent_curves
from .frontier import frontier_exponents as frontier_exponents
from .frontier import local_exponents as local_exponents
from .frontier import size_ladder as size_ladder
from .frontier import window as window
from .mode_sums import data_spectrum as data_spectrum
from .moments import risk_by_recursion as risk_by_recursion
from .moments import risk_in_closed_form as risk_in_closed_form
from .momentum import risk_with_momentum as risk_with_momentum
from .phases import PHASES as PHASES
from .phases import Optimum as Optimum
from .phases import compute_optimal_exponents as compute_optimal_exponents
from .phases import phase as phase
from .phases import phase_index as phase_index
from .predict import THEORIES as THEORIES
from .predict import predict as predict
from .rounding import critical_steps_exponent as critical_steps_exponent
from .rounding import mean_progress as mean_progress
from .rounding import rounding_penalty as rounding_penalty
from .tails import Multiplier as Multiplier
from .tails import kesten_index as kesten_index
from .volterra import solve as solve
from .volterra import sums_of_modes as sums_of_modes
from .volterra import time_grid as time_grid
