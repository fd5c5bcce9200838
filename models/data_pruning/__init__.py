"""A perceptron trained on examples that another perceptron, the probe, has selected.

    x ~ N(0, I_N),  y = sign(T.x),  |T| = |p| = 1,  T.p = cos(theta)
    pool of P_tot = alpha_tot N examples, of which a rule keeps P = f P_tot:
        random, or those of smallest (hard) or largest (easy) |p.x| (abs) or y p.x (signed)
    J = argmax over |J| = 1 of min_kept y J.x,   through the origin

The test error is arccos(J.T)/pi exactly: no test set is drawn. At theta = 0 the signed rules are
those in |p.x|; at larger angles they differ, so results name the rule.

| here | symbol | Sorscher et al. 2206.14486 |
|---|---|---|
| samples_per_dimension | alpha_tot = P_tot/N | alpha_tot |
| keep_fraction | f | f |
| keep_fraction * samples_per_dimension | alpha = P/N | alpha_prune |
| probe_angle_degrees | theta | theta |
| margin | kappa = min y J.x | kappa |
| teacher_overlap | R = J.T | R |
| probe_overlap | rho = J.p | rho |
| test_error | eps | epsilon |
"""

from .config import RULES as RULES
from .config import Config as Config
from .config import Rule as Rule
from .config import check_simulation as check_simulation
from .config import kept_size as kept_size
from .config import pool_size as pool_size
from .simulate import MODEL as MODEL
from .simulate import Draw as Draw
from .simulate import draw as draw
from .simulate import simulate as simulate
