"""The annealing law of learning-rate schedules, a fit: L = L0 + A S1^-a - C S2.

S1 is the sum of the rates so far, S2 what the rate has fallen with a memory of 1/(1 - m) steps:

    S1(s) = sum_{i <= s} eta_i
    S2(s) = sum_{i <= s} M_i,  M_i = m M_{i-1} + (eta_{i-1} - eta_i)

The mean of SGD's error is a product of (1 - eta_i l) in each mode, to first order a function of S1
alone; the noise of SGD depends on how the rate got there, and S2 stands for it. The law is no
theorem: `fit_annealing` fits it to the curves of some schedules, and what it says of another is to
be held against the exact recursion.

| here | symbol | Tissue 2408.11029 |
|---|---|---|
| floor | L0 | L_0 |
| amplitude, exponent | A, a | A, alpha |
| gain | C | C |
| memory | m | lambda |
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy import optimize, signal

Rates = Float64[np.ndarray, " steps"]
Values = Float64[np.ndarray, " points"]

MEMORIES = (0.9, 0.97, 0.99, 0.997, 0.999)
_EXPONENTS = (0.05, 3.0)


class Sums(NamedTuple):
    """S1 and S2 after each recorded step."""

    first: Values
    second: Values


class Annealing(NamedTuple):
    """A fitted law; `residual`, the root mean square of relative residuals."""

    floor: float
    amplitude: float
    exponent: float
    gain: float
    memory: float
    residual: float

    def at(self, rates: Rates, steps: Values) -> Values:
        """The law at recorded steps of a schedule."""
        sums = schedule_sums(rates, steps, self.memory)
        powers = self.amplitude * sums.first**-self.exponent
        return self.floor + powers - self.gain * sums.second


def schedule_sums(rates: Rates, steps: Values, memory: float) -> Sums:
    """S1 and S2 of a schedule.

    **Arguments:** `rates` eta_1..eta_T, positive; `steps`, whole numbers in 1..T; `memory` m in
    [0, 1).

    **Returns:** `Sums`; a constant rate has S2 = 0.
    """
    fall = np.concatenate([[0.0], -np.diff(rates)])
    momentum = signal.lfilter([1.0], [1.0, -memory], fall)
    index = np.asarray(steps, int) - 1
    return Sums(np.cumsum(rates)[index], np.cumsum(momentum)[index])


def fit_annealing(
    schedules: Sequence[Rates], steps: Sequence[Values], losses: Sequence[Values]
) -> Annealing:
    """The law fitted to the curves of some schedules, by least squares of relative errors.

    At a given exponent and memory it is linear, with coefficients that may not be negative; the
    exponent is found on [0.05, 3], the memory among `MEMORIES`.

    **Arguments:** for each schedule its `schedules` rates, recorded `steps`, and positive `losses`.

    **Source:** arXiv:2408.11029, equation 1, which fits with a Huber loss of log L.
    """
    loss = np.concatenate(losses)
    best: Annealing | None = None
    for memory in MEMORIES:
        pairs = [schedule_sums(*one, memory) for one in zip(schedules, steps, strict=True)]
        first = np.concatenate([one.first for one in pairs])
        second = np.concatenate([one.second for one in pairs])

        def solved(
            exponent: float, first: Values = first, second: Values = second
        ) -> tuple[np.ndarray, float]:
            columns = np.stack([np.ones_like(loss), first**-exponent, -second], axis=1)
            found, norm = optimize.nnls(columns / loss[:, None], np.ones_like(loss))
            return found, float(norm)

        search: Any = optimize.minimize_scalar(
            lambda x, solved=solved: solved(x)[1], bounds=_EXPONENTS, method="bounded"
        )
        exponent = float(search.x)
        (floor, amplitude, gain), norm = solved(exponent)
        residual = norm / np.sqrt(len(loss))
        if best is None or residual < best.residual:
            best = Annealing(
                float(floor), float(amplitude), exponent, float(gain), memory, float(residual)
            )
    assert best is not None
    return best
