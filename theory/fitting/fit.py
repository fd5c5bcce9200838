"""A fitted law: what came out, and how far it can be trusted."""

from collections.abc import Mapping
from typing import Any, Literal

import equinox as eqx
import numpy as np
from jaxtyping import Float64

from scalinglab.models import Status

from . import evaluate
from .coordinates import bounds
from .data import Data
from .lanes import Table, tabulate
from .law import Law
from .loss import Loss

Space = Literal["log", "linear"]
Draws = Float64[np.ndarray, "parameters draws"]


class Fit(eqx.Module):
    r"""A fitted law.

    **Fields:** numbers are NaN where no start ended at a finite objective.

    - `law`, `data`, `loss`, `space`: what was fitted, to what, how. `delta`: the number that the
      scale of the loss came to. `fixed`: parameters that were held, by name.
    - `parameters`: name to value, in the units of the data.
    - `objective`: $\sum_i w_i \rho(z_i)$ at the optimum.
    - `status`: a `scalinglab.models.Status`.
    - `gradient`: predicted further decrease of the objective, relative to it: 0 at an optimum.
    - `iterations`; `num_starts`; `share_of_starts`, the fraction of starts that ended within 1e-4
      of the best objective.
    - `phi`: the optimum in the working coordinates of the centred problem.
    - `residuals` (points,): $z_i$, positive where the law lies above the data, in the order of the
      data: of $\log L$ or of $L$, in standard deviations where those were given.
    - `columns` (parameters, points): derivatives of the residuals in `phi`.
    """

    law: Law = eqx.field(static=True)
    data: Data
    loss: Loss = eqx.field(static=True)
    space: Space = eqx.field(static=True)
    delta: float
    fixed: dict[str, float]
    parameters: dict[str, float]
    objective: float
    status: Status = eqx.field(static=True)
    gradient: float
    iterations: int
    num_starts: int
    share_of_starts: float
    phi: Float64[np.ndarray, " parameters"]
    residuals: Float64[np.ndarray, " points"]
    columns: Float64[np.ndarray, "parameters points"]

    @property
    def free_names(self) -> tuple[str, ...]:
        """Names of the parameters that were fitted."""
        return tuple(name for name in self.law.names if name not in self.fixed)

    @property
    def free(self) -> Float64[np.ndarray, " parameters"]:
        """1 for a fitted parameter, 0 for a fixed one."""
        return np.array([float(name not in self.fixed) for name in self.law.names])

    @property
    def num_points(self) -> int:
        """Points with a weight."""
        return self.data.num_points

    @property
    def dof(self) -> int:
        """Points less fitted parameters."""
        return self.num_points - len(self.free_names)

    @property
    def variant_delta(self) -> float:
        """The scale of the loss at which variants of the fit are solved and compared.

        For L1 it is 1e-4 standard deviations of the residuals: at 1e-6, where the fit itself ends,
        the objective is a polyhedron, and thousands of variants would each hunt for a vertex.
        """
        return 100.0 * self.delta if self.loss.kind == "l1" else self.delta

    @property
    def table(self) -> Table:
        """The centred problem."""
        return tabulate(self.law, [self.data], linear=self.space == "linear")

    @property
    def hit_bound(self) -> tuple[str, ...]:
        """Fitted parameters that ended at a hard limit: the data do not hold them."""
        low, high = bounds(self.law)
        reached = (self.phi <= low + 1e-9) | (self.phi >= high - 1e-9)
        pairs = zip(self.law.names, reached, strict=True)
        return tuple(name for name, at in pairs if at and name not in self.fixed)

    def predict(self, x: Mapping[str, Any]) -> Float64[np.ndarray, " points"]:
        """The fitted law at inputs (points,) in the units of the data.

        **Raises:** `ValueError` for a missing input and columns that differ in length.
        """
        return self.predict_draws(self.phi[:, None], x)[:, 0]

    def predict_draws(
        self, phi: Draws, x: Mapping[str, Any]
    ) -> Float64[np.ndarray, "points draws"]:
        """The law at each of many working coordinates (parameters, draws), such as resamples."""
        return evaluate.predict(self.table, self.free, phi, x)

    def naturals(self, phi: Draws) -> dict[str, Float64[np.ndarray, " draws"]]:
        """Working coordinates (parameters, draws) as parameters in the units of the data."""
        return evaluate.naturals(self.table, self.free, phi)

    def card(self) -> str:
        """The reporting checklist of (Mis)fitting scaling laws (arXiv 2502.18969), filled in."""
        from .card import card

        return card(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the data included."""
        from .record import to_dict

        return to_dict(self)

    @staticmethod
    def from_dict(record: Mapping[str, Any], *, law: Law | None = None) -> "Fit":
        """The fit that `to_dict` recorded; `law` for one that is not in the catalogue.

        **Raises:** `ValueError` for a field that is missing, and a law that is unknown.
        """
        from .record import from_dict

        return from_dict(record, law=law)
