"""How a sweep runs: plan, devices, store, local executor. It knows no model."""

from .background import leave as leave
from .cache import enable_compilation_cache as enable_compilation_cache
from .canonical import config_fields as config_fields
from .canonical import config_from as config_from
from .devices import How as How
from .devices import over_devices as over_devices
from .local import Interrupted as Interrupted
from .local import Plan as Plan
from .local import Progress as Progress
from .local import execute as execute
from .local import plan_sweep as plan_sweep
from .local import run_sweep as run_sweep
from .plan import lane_key as lane_key
from .provenance import provenance as provenance
from .result import read_result as read_result
from .store import Store as Store
from .store import StoreError as StoreError
from .sweep import Sweep as Sweep
from .sweep import check_field as check_field
