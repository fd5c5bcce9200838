"""A student network that learns a random teacher from D samples in d dimensions.

    x ~ U[-1, 1]^d,  y(x) = a random ReLU network with two hidden layers, of mean 0 and variance 1
    student: minimise (1/D) sum_i L(f(x_i), y(x_i)) by Adam with a cosine rate
    test loss = least over training of E L(f(x), y(x))

| here | symbol | Bahri 2102.06701 | Sharma 2004.10802 |
|---|---|---|---|
| input_dimension | d | d | d |
| num_samples | D | D | D |
| student_width | w | w; P ~ w^2 | N ~ w^2 |
| test loss | L | L, with a factor 1/2 | L |
"""

from .config import Config as Config
from .data import draw as draw
from .simulate import LIMITED as LIMITED
from .simulate import MODEL as MODEL
from .simulate import model_of as model_of
from .train import perceptron as perceptron
