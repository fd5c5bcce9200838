"""What is predicted: the file named as its model, each ending with `THEORIES`."""

from .prediction import STRICT_KINDS as STRICT_KINDS
from .prediction import Kind as Kind
from .prediction import Prediction as Prediction
from .prediction import Theory as Theory
from .prediction import choose as choose
from .prediction import predict_from as predict_from
from .prediction import require_float64 as require_float64
from .prediction import theories_of as theories_of
