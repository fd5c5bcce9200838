"""What a fit minimises: a robust loss of every residual.

With $z_i$ the residual of point i, in units of its standard deviation where that is given, and
$w_i$ its weight, the objective is $\\sum_i w_i \\rho(z_i)$.
"""

import math
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Kind = Literal["huber", "least_squares", "l1", "cauchy"]
KINDS: tuple[Kind, ...] = ("huber", "least_squares", "l1", "cauchy")
Values = Float[Array | np.ndarray, "..."]

# 95 % efficiency on normal errors, in standard deviations: Huber 1981, and Holland and Welsch 1977.
_EFFICIENT = {"huber": 1.345, "cauchy": 2.385}
# The median absolute deviation of a normal variable is 0.6745 standard deviations.
MAD_TO_SD = 1.482602218505602


@dataclass(frozen=True)
class Loss:
    r"""One of `huber`, `least_squares`, `l1`, `cauchy`, with its scale.

    $$\rho_{\mathrm{huber}}(z) = \tfrac12 z^2 \ (|z| \le \delta), \quad
      \delta |z| - \tfrac12 \delta^2 \ \text{beyond}; \qquad
      \rho_{\mathrm{cauchy}}(z) = \tfrac12 \delta^2 \log(1 + z^2/\delta^2)$$

    `least_squares` is $\tfrac12 z^2$ and `l1` is $|z|$.

    **Fields:**

    - `kind`.
    - `delta`: in the unit of the residuals: of log L, of L in linear space, or standard
      deviations where those are given. `"auto"`: 95 % efficiency at the scale (1.4826 times the
      median absolute residual) of a first least-squares fit. Ignored by `least_squares`, `l1`.
    """

    kind: Kind = "huber"
    delta: float | Literal["auto"] = "auto"

    def __post_init__(self) -> None:
        if self.delta != "auto" and not 0.0 < float(self.delta) < math.inf:
            raise ValueError(
                f"delta: {self.delta} is not positive and finite; give the residual beyond which "
                "a point counts less, or 'auto'"
            )

    @property
    def is_automatic(self) -> bool:
        """Whether the scale is set by the residuals of a first fit."""
        return self.kind in _EFFICIENT and self.delta == "auto"

    @property
    def shape(self) -> Literal["huber", "cauchy"]:
        """The family that the solver runs: least squares and L1 are limits of Huber's."""
        return "cauchy" if self.kind == "cauchy" else "huber"

    def deltas(self, scale: float) -> tuple[float, ...]:
        """The scales to solve at in turn; `scale` is the standard deviation of the residuals.

        Absolute values have no curvature, so L1 is the end of a sequence of Huber losses; at its
        last member a residual of one deviation is off its L1 value by less than 1e-6 of it.
        """
        if self.kind == "least_squares":
            return (math.inf,)
        if self.kind == "l1":
            return tuple(scale * 10.0**-power for power in range(7))
        if self.delta == "auto":
            return (_EFFICIENT[self.kind] * scale,)
        return (float(self.delta),)

    def __str__(self) -> str:
        return self.kind if self.kind in ("least_squares", "l1") else f"{self.kind}:{self.delta}"


def Huber(delta: float | Literal["auto"] = "auto") -> Loss:
    """Huber's loss, quadratic inside `delta` and linear beyond."""
    return Loss("huber", delta)


def Cauchy(delta: float | Literal["auto"] = "auto") -> Loss:
    """Cauchy's loss, whose influence falls off beyond `delta`."""
    return Loss("cauchy", delta)


LEAST_SQUARES = Loss("least_squares")
L1 = Loss("l1")


def parse_loss(text: str) -> Loss:
    """The loss that `str(loss)` spells: `huber:0.001`, `huber:auto`, `least_squares`, `l1`.

    **Raises:** `ValueError` for an unknown kind and a delta that is no number.
    """
    name, _, delta = text.partition(":")
    kinds = [kind for kind in KINDS if kind == name]
    if not kinds:
        raise ValueError(f"loss: {name!r} is no loss; give one of {', '.join(KINDS)}")
    if not delta or delta == "auto":
        return Loss(kinds[0])
    try:
        number = float(delta)
    except ValueError:
        raise ValueError(f"delta: {delta!r} is no number; give one, or 'auto'") from None
    return Loss(kinds[0], number)


def rho(shape: str, z: Values, delta: Values) -> Values:
    """The loss of each residual."""
    size = jnp.abs(z)
    if shape == "cauchy":
        return 0.5 * delta**2 * jnp.log1p((z / delta) ** 2)
    return jnp.where(size <= delta, 0.5 * z**2, delta * (size - 0.5 * delta))


def influence_weight(shape: str, z: Values, delta: Values) -> Values:
    r"""$\rho'(z) / z$, the weight of iteratively reweighted least squares."""
    if shape == "cauchy":
        return 1.0 / (1.0 + (z / delta) ** 2)
    return jnp.minimum(1.0, delta / jnp.abs(z))


def curvature(shape: str, z: Values, delta: Values) -> Values:
    r"""$\rho''(z)$, floored at 0 where the loss is concave."""
    if shape == "cauchy":
        square = (z / delta) ** 2
        return jnp.maximum(1.0 - square, 0.0) / (1.0 + square) ** 2
    return jnp.where(jnp.abs(z) <= delta, 1.0, 0.0)
