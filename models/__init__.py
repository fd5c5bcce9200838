"""What is simulated: one file a system, each ending with `MODEL`."""

from .interface import Model as Model
from .interface import Observable as Observable
from .interface import Stages as Stages
from .interface import Status as Status
from .interface import as_model as as_model
