r"""One power law shared by several families, each with an irreducible loss of its own.

$$L_i = A\, m_i^{-\alpha} + B_{g(i)}$$

For a given exponent the rest is linear, and the offsets leave by centring within each family:
what remains is a search in one dimension, which finds the global least-squares optimum.
"""

from collections.abc import Hashable, Sequence

import equinox as eqx
import numpy as np
import scipy.optimize
import scipy.stats
from jaxtyping import Float64, Int

from scalinglab.models import Status

from .power_law import Values, checked_positive

_Column = Float64[np.ndarray, " points"]
# Below the first the law is a logarithm, above the last a step, to any realistic noise.
_EXPONENTS = np.geomspace(1e-2, 2e1, 80)


class FamilyOffsets(eqx.Module):
    r"""The shared exponent and amplitude, and the offset of each family.

    **Fields:**

    - `exponent`, `exponent_error`, `interval`: $\alpha$, its standard error and 95 % interval.
    - `amplitude`: $A$, in the unit of the loss at $m = 1$.
    - `offsets`: family to $B$.
    - `residual_sd`: root of the residual sum of squares over `dof`.
    - `num_points`, `dof`: points, and points less parameters.
    - `clusters`: groups of points with errors in common, or None where points are independent.
    - `status`: `OK`, or `NOT_CONVERGED` where the best exponent is an end of [0.01, 20] or the
      amplitude is not positive: the loss is then no falling power law, and errors are NaN.
    """

    exponent: float
    exponent_error: float
    interval: tuple[float, float]
    amplitude: float
    offsets: dict[Hashable, float]
    residual_sd: float
    num_points: int
    dof: int
    clusters: int | None
    status: Status


def fit_family_offsets(
    size: Values,
    loss: Values,
    family: Sequence[Hashable],
    *,
    cluster: Sequence[Hashable] | None = None,
) -> FamilyOffsets:
    r"""Least squares of $L_i = A m_i^{-\alpha} + B_{g(i)}$ over all families at once.

    Without `cluster` the errors are those of independent residuals of one variance,
    $s^2 (J^\top J)^{-1}$ with J the Jacobian at the optimum, and quantiles of Student's t with
    `dof`. With it they are the cluster-robust

    $$(J^\top J)^{-1} \Big[\sum_c J_c^\top r_c r_c^\top J_c\Big] (J^\top J)^{-1}
      \frac{C}{C-1}\frac{n-1}{n-p},$$

    with t quantiles of C - 1 degrees of freedom: for one model evaluated on several texts, say.

    **Arguments:**

    - `size`: $m_i > 0$, the width or any other size, one value a point.
    - `loss`: $L_i$, finite, in any unit; the offsets absorb a shift of any family.
    - `family`: label $g(i)$ of each point, e.g. (model family, text).
    - `cluster`: label of the points whose errors go together; at least 3 different ones.

    **Returns:** a `FamilyOffsets`.

    **Raises:** `ValueError` for shapes that differ, values that are not finite, fewer than 3
    different sizes inside families, or no degree of freedom left.

    **Source:** the joint fit of Fig. 8b of arXiv:2505.10465; the robust covariance of Liang and
    Zeger, Biometrika 73 (1986) 13.

    **Limits:** one family is the three-parameter law with a floor. A family with one size has
    an offset and says nothing of the exponent.
    """
    sizes, losses, groups, labels = _checked(size, loss, family)
    clusters = None if cluster is None else _codes("cluster", cluster, len(sizes))
    if clusters is not None and clusters.max() < 2:
        raise ValueError("cluster: fewer than 3 different labels; leave it out or give more")
    unit = float(np.exp(np.mean(np.log(sizes))))
    scaled = sizes / unit
    exponent, inside = _best_exponent(scaled, losses, groups)
    power = scaled**-exponent
    amplitude = _slope(power, losses, groups)
    offsets = _means(losses - amplitude * power, groups)
    residual = losses - amplitude * power - offsets[groups]
    dof = len(sizes) - len(offsets) - 2
    jacobian = np.column_stack(
        [-amplitude * np.log(scaled) * power, power, np.eye(len(offsets))[groups]]
    )
    good = inside and amplitude > 0
    error = _exponent_error(jacobian, residual, clusters, dof) if good else np.nan
    count = None if clusters is None else int(clusters.max()) + 1
    quantile = scipy.stats.t.ppf(0.975, dof if count is None else count - 1)
    return FamilyOffsets(
        exponent=float(exponent),
        exponent_error=float(error),
        interval=(float(exponent - quantile * error), float(exponent + quantile * error)),
        amplitude=float(amplitude * unit**exponent),
        offsets=dict(zip(labels, offsets.tolist(), strict=True)),
        residual_sd=float(np.sqrt(residual @ residual / dof)),
        num_points=len(sizes),
        dof=dof,
        clusters=count,
        status=Status.OK if good else Status.NOT_CONVERGED,
    )


def _checked(
    size: Values, loss: Values, family: Sequence[Hashable]
) -> tuple[_Column, _Column, Int[np.ndarray, " points"], list[Hashable]]:
    sizes = np.asarray(checked_positive("size", size))
    losses = np.asarray(loss, np.float64)
    if losses.shape != sizes.shape or not np.all(np.isfinite(losses)):
        raise ValueError(
            f"loss: shape {losses.shape} for {sizes.size} sizes, or not finite; "
            "give one finite loss a size"
        )
    groups = _codes("family", family, len(sizes))
    labels = list(dict.fromkeys(family))
    dof = len(sizes) - len(labels) - 2
    if dof < 1:
        raise ValueError(
            f"size: {len(sizes)} points for {len(labels)} families leave no degree of freedom; "
            f"give at least {len(labels) + 3}"
        )
    compared = {
        value
        for group in range(len(labels))
        if len(found := set(sizes[groups == group].tolist())) > 1
        for value in found
    }
    if len(compared) < 3:
        raise ValueError(
            f"size: {len(compared)} different sizes are compared within families; give at least 3"
        )
    return sizes, losses, groups, labels


def _codes(name: str, labels: Sequence[Hashable], points: int) -> Int[np.ndarray, " points"]:
    if len(labels) != points:
        raise ValueError(f"{name}: {len(labels)} labels for {points} points; give one a point")
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return np.asarray([numbers[label] for label in labels], np.int64)


def _means(values: _Column, groups: Int[np.ndarray, " points"]) -> Float64[np.ndarray, " groups"]:
    return np.bincount(groups, values) / np.bincount(groups)


def _centred(values: _Column, groups: Int[np.ndarray, " points"]) -> _Column:
    return values - _means(values, groups)[groups]


def _slope(power: _Column, losses: _Column, groups: Int[np.ndarray, " points"]) -> float:
    centred = _centred(power, groups)
    return float(centred @ losses / (centred @ centred))


def _best_exponent(
    scaled: _Column, losses: _Column, groups: Int[np.ndarray, " points"]
) -> tuple[float, bool]:
    """The global optimum over the grid, refined between its neighbours; whether it is inside."""
    centred = _centred(losses, groups)

    def unexplained(exponent: float) -> float:
        power = _centred(scaled**-exponent, groups)
        # The share of variance explained, so that a large exponent's tiny powers lose no digits.
        power = power / np.sqrt(power @ power)
        return float(np.sum((centred - (power @ centred) * power) ** 2))

    values = [unexplained(float(exponent)) for exponent in _EXPONENTS]
    best = int(np.argmin(values))
    if best in (0, len(_EXPONENTS) - 1):
        return float(_EXPONENTS[best]), False
    bounds = (float(_EXPONENTS[best - 1]), float(_EXPONENTS[best + 1]))
    found = scipy.optimize.minimize_scalar(
        unexplained, bounds=bounds, method="bounded", options={"xatol": 1e-10}
    )
    return float(found.x), True


def _exponent_error(
    jacobian: Float64[np.ndarray, "points parameters"],
    residual: _Column,
    clusters: Int[np.ndarray, " points"] | None,
    dof: int,
) -> float:
    # QR keeps the digits that the normal equations of nearly collinear columns would lose.
    triangle = np.linalg.qr(jacobian, mode="r")
    inverse = np.linalg.inv(triangle)
    row = inverse[0] @ inverse.T
    if clusters is None:
        return float(np.sqrt(row[0] * (residual @ residual) / dof))
    scores = np.zeros((clusters.max() + 1, jacobian.shape[1]))
    np.add.at(scores, clusters, jacobian * residual[:, None])
    count, points = len(scores), len(residual)
    factor = count / (count - 1) * (points - 1) / dof
    return float(np.sqrt(factor * np.sum((scores @ row) ** 2)))
