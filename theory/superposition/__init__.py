"""The theory of features in superposition: weak, strong and trained frames, and toy geometry.

`weak` is exact for represented and ignored features, `overlaps` what any set of vectors obeys,
`interference` and `strong` the loss under Gaussian interference and its 1/m constant, `core_frame`
the estimate over the whole range. `random_frame` is exact for frozen random frames;
`linear_programme`, `trained` and `graded` estimate trained ones; `toy_geometry` is exact for a
handful of features, and `predict` holds the table of theories. All of it runs on the host in
float64. Letters are explained at the head of each module and in docs/superposition.md.
"""

from .activity import Features as Features
from .activity import flat as flat
from .activity import grouped as grouped
from .activity import squared_activity as squared_activity
from .core_frame import CoreFrame as CoreFrame
from .core_frame import core_frame as core_frame
from .core_frame import published_exponent as published_exponent
from .frame_classes import FrameClasses as FrameClasses
from .graded import GradedFrame as GradedFrame
from .graded import graded_bracket as graded_bracket
from .graded import graded_programme as graded_programme
from .graded import graded_random_frame as graded_random_frame
from .interference import best_bias as best_bias
from .interference import interference_loss as interference_loss
from .interference import rectified_moments as rectified_moments
from .linear_programme import BestFrame as BestFrame
from .linear_programme import best_frame as best_frame
from .overlap_constraints import Effort as Effort
from .overlaps import OverlapLaw as OverlapLaw
from .overlaps import gegenbauer as gegenbauer
from .overlaps import gerzon_number as gerzon_number
from .overlaps import least_mean_overlap as least_mean_overlap
from .overlaps import least_skewness as least_skewness
from .overlaps import random_overlap as random_overlap
from .overlaps import random_overlap_density as random_overlap_density
from .overlaps import random_overlap_law as random_overlap_law
from .overlaps import welch_mean_square as welch_mean_square
from .predict import THEORIES as THEORIES
from .predict import predict as predict
from .random_frame import RandomFrame as RandomFrame
from .random_frame import random_frame as random_frame
from .random_frame import random_frame_bias as random_frame_bias
from .random_frame import random_frame_losses as random_frame_losses
from .strong import StrongConstant as StrongConstant
from .strong import strong_constant as strong_constant
from .toy_geometry import SPARSE_BOUNDARY as SPARSE_BOUNDARY
from .toy_geometry import ToyFrame as ToyFrame
from .toy_geometry import best_pair as best_pair
from .toy_geometry import best_polygon as best_polygon
from .toy_geometry import digons_loss as digons_loss
from .toy_geometry import fixed_form_boundary as fixed_form_boundary
from .toy_geometry import pentagon_crossover as pentagon_crossover
from .toy_geometry import phase_boundary as phase_boundary
from .toy_geometry import polygon_loss as polygon_loss
from .toy_geometry import toy_loss as toy_loss
from .trained import Bracket as Bracket
from .trained import ProgrammeFrame as ProgrammeFrame
from .trained import bracket as bracket
from .trained import interpolate as interpolate
from .trained import programme_frame as programme_frame
from .trained import random_share as random_share
from .weak import dead_loss as dead_loss
from .weak import weak_asymptote as weak_asymptote
from .weak import weak_exponent as weak_exponent
from .weak import weak_loss as weak_loss
from .weak import weak_loss_at_width as weak_loss_at_width
