"""What a perceptron trained on pruned data does in high dimension.

`saddle_point` and `saddle_path` are the max-margin student of every rule, keep fraction and angle
of the probe, `asymptotics` its limits, `best_keep_fraction` and `crossover` what to keep;
`gibbs_student` and `gibbs_path` the student drawn from the version space; and
`unpruned_reference` Gibbs' and Bayes' errors without pruning.
"""

from .asymptotics import MARGIN_CONSTANT as MARGIN_CONSTANT
from .asymptotics import MAX_MARGIN_CONSTANT as MAX_MARGIN_CONSTANT
from .asymptotics import envelope_error as envelope_error
from .asymptotics import many_examples_correction as many_examples_correction
from .asymptotics import many_examples_error as many_examples_error
from .asymptotics import many_examples_margin as many_examples_margin
from .asymptotics import transition_error as transition_error
from .asymptotics import unlimited_pool_slope as unlimited_pool_slope
from .gibbs import GibbsStudent as GibbsStudent
from .gibbs import free_entropy as free_entropy
from .gibbs import gibbs_path as gibbs_path
from .gibbs import gibbs_student as gibbs_student
from .optimal import BestFraction as BestFraction
from .optimal import best_keep_fraction as best_keep_fraction
from .optimal import crossover as crossover
from .predict import THEORIES as THEORIES
from .predict import predict as predict
from .references import UnprunedReference as UnprunedReference
from .references import unpruned_reference as unpruned_reference
from .saddle import SaddlePoint as SaddlePoint
from .saddle import saddle_path as saddle_path
from .saddle import saddle_point as saddle_point
