"""Ridge regression on random features of Gaussian data with a power-law spectrum.

    x ~ N(0, diag(lambda)),  lambda_i = i^-a,  i = 1..M
    y = w.x + noise_std * eps,  lambda_i w_i^2 = i^-b
    phi(x) = F x / sqrt(N),  F_ni ~ N(0, 1)
    theta = argmin (1/D) |y - Phi theta|^2 + ridge |theta|^2     (minimum norm at ridge 0)

In x-space the predictor is beta = F^T theta / sqrt(N), so the population risk
sum_i lambda_i (w_i - beta_i)^2 + noise_variance is exact: no test set is drawn. All risks are mean
squared errors that include the label noise and carry no factor 1/2.

| here | symbol | Bahri 2102.06701 | Maloney 2210.16859 | Simon 2311.14646 |
|---|---|---|---|---|
| num_samples | D | D | T | n |
| num_features | N | P | N | k |
| dimension | M | S | M | M |
| eigenvalue_decay | a | 1 + alpha_K | 1 + alpha | alpha |
| target_decay | b | a | a | beta |
| ridge | rho | - | gamma / D | delta / D |
| noise_variance | sigma^2 | 0 | sigma^2 | sigma^2 |
"""

from .config import Config as Config
from .config import check_simulation as check_simulation
from .config import infinite_mean as infinite_mean
from .simulate import MODEL as MODEL
from .simulate import Draw as Draw
from .simulate import draw as draw
from .simulate import simulate as simulate
