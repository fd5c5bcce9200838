r"""Information criteria of a fit, with the scale of the residuals estimated.

A loss is the negative logarithm of a density of the residuals z, at a scale $\sigma$:

$$f_\sigma(z) = e^{-\rho(z)/\sigma^2} / Z(\sigma), \qquad
  Z(\sigma) = \int e^{-\rho(z)/\sigma^2} dz.$$

At every $\sigma$ the fit maximises the likelihood of the law's parameters; $\sigma$ then maximises
what is left, with $\bar\rho = \sum_i w_i \rho(z_i) / \sum_i w_i$:
$\log Z(\sigma) + \bar\rho/\sigma^2 \to \min$. For least squares this is the normal likelihood with
$\sigma^2 = \mathrm{RSS}/n$.
"""

import math

import equinox as eqx
import numpy as np
import scipy.optimize
import scipy.special

from .fit import Fit


class Information(eqx.Module):
    """The likelihood of a fit and what it costs in parameters.

    **Fields:** NaN for a fit that failed.

    - `log_likelihood`: of the outputs y themselves, so that fits in log and in linear space can
      be compared.
    - `scale`: of the residuals; for `l1` the mean absolute residual, otherwise sigma.
    - `num_parameters`: k, the fitted parameters and the scale. `num_points`: n.
    - `aicc`, `bic`: smaller is better, and only differences mean anything. `aicc` is infinite
      where n - k - 1 is not positive.
    """

    log_likelihood: float
    scale: float
    num_parameters: int
    num_points: int
    aicc: float
    bic: float


def information(fit: Fit) -> Information:
    r"""AICc and BIC of a fit, with k = fitted parameters + 1 for the scale.

    $$\mathrm{AICc} = -2 \log L + 2k + \frac{2k(k+1)}{n-k-1}, \qquad
      \mathrm{BIC} = -2 \log L + k \log n,$$

    $\log L = -n (\log Z(\hat\sigma) + \bar\rho / \hat\sigma^2) + \sum_i \log |dz_i / dy_i|$, where
    $|dz/dy|$ is 1/y in log space, 1 in linear space, and 1/sd with standard deviations. A common
    factor of the weights cancels: they are scaled to mean 1 over the n points that have one.

    **Arguments:** `fit`.

    **Returns:** an `Information`.

    **Source:** Hurvich and Tsai 1989, Biometrika 76, 297, for AICc; Schwarz 1978, Annals of
    Statistics 6, 461, for BIC. The correction of AICc is derived for normal residuals.

    **Limits:** an automatic scale of the loss is a number read from the data, which k does not
    count; compare laws under one given `delta` where that matters. A fit without residuals has an
    infinite likelihood.
    """
    data, count = fit.data, fit.num_points
    used = data.weight > 0.0
    weight = data.weight[used] * (count / data.weight[used].sum())
    mean_loss = float(fit.objective / data.weight[used].sum())
    if data.sd is not None:
        log_slope = -np.log(data.sd[used])
    elif fit.space == "log":
        log_slope = -np.log(data.y[used])
    else:
        log_slope = np.zeros(count)
    scale, entropy = _profiled(fit.loss.kind, mean_loss, fit.delta)
    log_likelihood = float(np.sum(weight * log_slope)) - count * entropy
    k = len(fit.free_names) + 1
    left = count - k - 1
    deviance = -2.0 * log_likelihood
    correction = 2.0 * k * (k + 1) / left if left > 0 else math.inf
    return Information(
        log_likelihood=log_likelihood,
        scale=scale,
        num_parameters=k,
        num_points=count,
        aicc=deviance + 2.0 * k + correction,
        bic=deviance + k * math.log(count),
    )


def _profiled(kind: str, mean_loss: float, delta: float) -> tuple[float, float]:
    r"""The best scale, and $\min_\sigma \log Z(\sigma) + \bar\rho/\sigma^2$."""
    if not math.isfinite(mean_loss):
        return math.nan, math.nan
    if mean_loss <= 0.0:
        return 0.0, -math.inf
    if kind == "l1":
        return mean_loss, math.log(2.0 * mean_loss) + 1.0
    if kind == "least_squares":
        return math.sqrt(2.0 * mean_loss), 0.5 * math.log(4.0 * math.pi * mean_loss) + 0.5
    return (_cauchy if kind == "cauchy" else _huber)(mean_loss, delta)


def _huber(mean_loss: float, delta: float) -> tuple[float, float]:
    r"""By parts $E[z \rho'] = \sigma^2$; as $\rho \le z\rho' \le 2\rho$, the best
    $\sigma^2$ lies between $\bar\rho$ and $2\bar\rho$."""

    def entropy(log_variance: float) -> float:
        sigma = math.exp(0.5 * log_variance)
        u = delta / sigma
        inside = math.sqrt(2.0 * math.pi) * math.erf(u / math.sqrt(2.0))
        outside = 2.0 / u * math.exp(-0.5 * u * u)
        return math.log(sigma * (inside + outside)) + mean_loss / sigma**2

    # A margin, since at either limit of the loss the best value is an end of the bracket.
    ends = math.log(mean_loss) - 0.01, math.log(2.0 * mean_loss) + 0.01
    found = scipy.optimize.minimize_scalar(
        entropy, bounds=ends, method="bounded", options={"xatol": 1e-10}
    )
    return math.exp(0.5 * found.x), float(found.fun)


def _cauchy(mean_loss: float, delta: float) -> tuple[float, float]:
    r"""With $m = \delta^2 / 2\sigma^2$, $Z = \delta \sqrt\pi\, \Gamma(m - 1/2) / \Gamma(m)$.

    $T = 2\bar\rho/\delta^2 = \psi(m) - \psi(m - 1/2)$ at the best m; the digamma function is
    concave, so that with $x = m - 1/2$ the right side lies between 1/2x and 1/x.
    """
    level = 2.0 * mean_loss / delta**2

    def slope(log_x: float) -> float:
        x = math.exp(log_x)
        return float(scipy.special.digamma(x + 0.5) - scipy.special.digamma(x)) - level

    low, high = -math.log(2.0 * level) - 0.01, 0.01 - math.log(level)
    x = math.exp(float(scipy.optimize.brentq(slope, low, high, xtol=1e-12)))
    m = x + 0.5
    ratio = float(scipy.special.gammaln(x) - scipy.special.gammaln(m))
    entropy = math.log(delta * math.sqrt(math.pi)) + ratio + m * level
    return delta / math.sqrt(2.0 * m), entropy
