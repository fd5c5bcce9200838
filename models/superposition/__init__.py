"""A toy autoencoder with more features than dimensions: y = ReLU(x W W^T + b).

    x_i = s_i v_i,  s_i ~ Bernoulli(p_i),  v_i ~ U(0, 2) or U(0, 1),  sum_i p_i = E
    loss = sum_i I_i E (x_i - y_i)^2,  W (n, m), b (n)

The loss is summed over the features. Weights have a decoupled decay gamma, and for gamma < 0 a
spring that pulls the norm of each row to 1.

| here | symbol | Liu 2505.10465 | Elhage 2022 |
|---|---|---|---|
| num_features | n | n | n |
| width | m | m | m |
| frequency_decay | alpha | alpha; the authors' code has alpha - 1 | 0 |
| activation_density | E | E | n (1 - S) |
| weight_decay | gamma | gamma | 0 |
| importance_decay | I_i^(1/(i-1)) | 1 | 0.7 to 1 |
| weight_init | W | unit_rows | xavier |
| bias_init | b | normal | zeros |
| value | v | uniform02 | uniform01 |
"""

from .config import Config as Config
from .config import frequencies as frequencies
from .data import largest_value as largest_value
from .simulate import MODEL as MODEL
from .simulate import STAGES as STAGES
from .train import Parameters as Parameters
