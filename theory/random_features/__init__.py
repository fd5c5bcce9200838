"""The theory of random-feature ridge regression.

`effective_ridge` solves the one self-consistent equation, `risk` turns it into test risk, train
risk and variances, `power_law` holds the closed forms of the continuum, `optimum` the optimal
ridge, `finite_size` what is exact at finite size, and `table` the predictions for a `Config`.
Every function takes real-valued sizes, so that they are swept by `vmap` and differentiated.
"""

from .effective_ridge import SelfConsistent as SelfConsistent
from .effective_ridge import degrees_of_freedom as degrees_of_freedom
from .effective_ridge import effective_ridge as effective_ridge
from .effective_ridge import squared_degrees_of_freedom as squared_degrees_of_freedom
from .exponents import local_exponents as local_exponents
from .finite_size import finite_size_factor as finite_size_factor
from .finite_size import mean_over_data as mean_over_data
from .optimum import optimal_ridge as optimal_ridge
from .power_law import Exponents as Exponents
from .power_law import additive_risk as additive_risk
from .power_law import asymptotic_exponents as asymptotic_exponents
from .power_law import joint_risk as joint_risk
from .power_law import optimal_freedom as optimal_freedom
from .power_law import optimal_joint_risk as optimal_joint_risk
from .power_law import ridgeless_kappa as ridgeless_kappa
from .power_law import spectral_constant as spectral_constant
from .risk import Risks as Risks
from .risk import risk_at_kappa as risk_at_kappa
from .risk import risks as risks
from .risk import test_risk as test_risk
from .risk import with_input_noise as with_input_noise
from .table import THEORIES as THEORIES
from .table import predict as predict
