"""Two fits in a row: from scale to a loss, and from the loss to what a benchmark measures."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from .bootstrap import Bootstrap
from .covariance import check_level
from .data import Data
from .fit import Fit
from .law import Law
from .loss import Loss
from .search import fit


class Chain(eqx.Module):
    r"""A law of scale and a link, composed: accuracy $= g(L(N, D))$.

    **Fields:** `scale`, the fit of the task loss; `link`, the fit of the outcome against that loss.

    **Source:** arXiv 2412.04403, steps 1 and 2 of the model ladder.
    """

    scale: Fit
    link: Fit

    def __check_init__(self) -> None:
        if len(self.link.law.inputs) != 1:
            raise ValueError(
                f"link: law {self.link.law.name} has inputs {self.link.law.inputs}; give a law of "
                "one input, which is the loss"
            )

    def predict(self, x: Mapping[str, Any]) -> Float64[np.ndarray, " points"]:
        """The outcome at inputs (points,) of the law of scale, in the units of the data."""
        return self.link.predict({self.link.law.inputs[0]: self.scale.predict(x)})

    def draws(
        self, x: Mapping[str, Any], scale: Bootstrap, link: Bootstrap
    ) -> Float64[np.ndarray, "points draws"]:
        """The outcome of every draw: draw j of the link at the losses of draw j of the scale.

        **Arguments:** `scale` and `link`, bootstraps of the two fits; the longer is cut. Where both
        fits have the same runs in the same order, take the same kind and the same key, so that
        draw j resamples the same runs in both; otherwise different keys.

        **Raises:** `ValueError` for a bootstrap of another fit.
        """
        for name, one, mine in (("scale", scale, self.scale), ("link", link, self.link)):
            if one.fit is not mine:
                raise ValueError(
                    f"{name}: a bootstrap of another fit of law {one.fit.law.name}; give one of "
                    "the fit in the chain"
                )
        count = min(scale.phi.shape[1], link.phi.shape[1])
        losses = self.scale.predict_draws(scale.phi[:, :count], x)
        theta = self.link.naturals(link.phi[:, :count])
        with jax.default_device(jax.local_devices(backend="cpu")[0]):
            return np.asarray(_linked(theta, losses, law=self.link.law))

    def band(
        self, x: Mapping[str, Any], scale: Bootstrap, link: Bootstrap, *, level: float = 0.95
    ) -> tuple[Float64[np.ndarray, " points"], Float64[np.ndarray, " points"]]:
        """Percentile band of the predicted outcome; arguments as `draws`."""
        check_level(level)
        found = self.draws(x, scale, link)
        low, high = np.quantile(found, [0.5 - level / 2.0, 0.5 + level / 2.0], axis=1)
        return low, high


def fit_chain(
    law: Law,
    link: Law,
    data: Data,
    outcome: Float64[np.ndarray, " points"] | Sequence[float],
    *,
    loss: Loss | None = None,
    link_loss: Loss | None = None,
) -> Chain:
    """Fits both steps on the same runs: the loss against scale, the outcome against the loss.

    The link is fitted to measured losses, so that an error of the first step does not enter it.

    **Arguments:**

    - `law`, `data`: of the task loss `data.y` against scale.
    - `link`: a law of one input, such as `sigmoid-link` or `downstream-exponential`.
    - `outcome`: of each run, such as its accuracy.
    - `loss`, `link_loss`: of either step; automatic Huber by default.

    **Returns:** a `Chain`.

    **Raises:** `ValueError` as `fit`, for a link of several inputs, and for an outcome whose
    length is not that of the data.
    """
    if len(link.inputs) != 1:
        raise ValueError(f"link: law {link.name} has inputs {link.inputs}; give a law of one input")
    outcome = np.asarray(outcome, np.float64)
    if outcome.shape != data.y.shape:
        raise ValueError(
            f"outcome: shape {outcome.shape}; give one for each of {len(data.y)} points"
        )
    linked = Data({link.inputs[0]: data.y}, outcome, weight=data.weight, group=data.group)
    return Chain(fit(law, data, loss=loss), fit(link, linked, loss=link_loss))


@partial(jax.jit, static_argnames="law")
def _linked(theta: Any, losses: Any, *, law: Law) -> Any:
    name = law.inputs[0]

    def at(one: Any, loss: Any) -> Any:
        return jnp.exp(law.log_predict(one, {name: loss, f"log {name}": jnp.log(loss)}))

    return jax.vmap(jax.vmap(at), in_axes=(None, 0))(theta, losses)
