"""What is asked: experiments, one a file, and the functions that run them and read them back."""

from .claims import Claim as Claim
from .claims import claim as claim
from .comparison import Comparison as Comparison
from .comparison import compare as compare
from .engine import Interrupted as Interrupted
from .engine import Progress as Progress
from .engine import Store as Store
from .engine import StoreError as StoreError
from .engine import Sweep as Sweep
from .experiment import SIZES as SIZES
from .experiment import Experiment as Experiment
from .experiment import Size as Size
from .running import RunResult as RunResult
from .running import run_experiment as run_experiment
from .running import sweep as sweep
from .stored import StatusRow as StatusRow
from .stored import failed_lanes as failed_lanes
from .stored import load as load
from .stored import status as status
