"""One-pass SGD on random features of power-law Gaussian data."""

from .config import Config as Config
from .config import check_simulation as check_simulation
from .config import record_steps as record_steps
from .direct import simulate_directly as simulate_directly
from .eigenbasis import Draw as Draw
from .eigenbasis import Modes as Modes
from .eigenbasis import draw as draw
from .eigenbasis import modes_of as modes_of
from .schedules import Update as Update
from .schedules import multiplier as multiplier
from .schedules import update_of as update_of
from .simulate import MODEL as MODEL
from .simulate import simulate as simulate
from .simulate import stability_of as stability_of
from .simulate import with_noise as with_noise
from .spectrum import data_trace as data_trace
from .spectrum import learning_rate as learning_rate
