r"""Which law to believe: the one that predicts beyond the points it was fitted to.

A law is used to extrapolate, so it is scored by extrapolating: fitted to the points with
$x \le x_{cut}$, it predicts those beyond, and its score is the root mean square logarithmic error

$$\mathrm{RMSLE} = \Big[ \sum_i w_i (\log \hat L_i - \log L_i)^2 / \sum_i w_i \Big]^{1/2},$$

averaged over several cuts. AICc and BIC come second: they judge the points inside the range. The
$R^2$ of the fitted points is not reported: it is near 1 for every law, right or wrong.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float64, Int

from . import checks
from .data import Data
from .fit import Fit
from .information import Information, information
from .law import Law, tied
from .search import fit, fit_many

CUTS = (0.25, 0.5, 0.75)
# Products of inputs that are equal in exact arithmetic, as at one compute budget, differ in double
# precision by a few roundings; real scales differ by far more.
_SAME_SCALE = 1e-9


class Extrapolation(eqx.Module):
    """How a law predicts beyond the points it was fitted to.

    **Fields:**

    - `law`: its name. `along`: the input by which points are ordered, or several, whose product
      it is. `order` (points,): its values.
    - `cuts`: fractions asked for. `x_cut` (cuts,): the largest value of `order` that was fitted.
    - `trained` (cuts, points): which points were fitted; `num_train`, `num_test` (cuts,), how
      many with a weight on each side.
    - `rmsle` (cuts,): the score, NaN where the fit failed or predicts nothing positive.
    - `log_ratio` (cuts, points): log of prediction over measurement, fitted points included.
    - `fits`: one a cut.
    """

    law: str = eqx.field(static=True)
    along: tuple[str, ...] = eqx.field(static=True)
    order: Float64[np.ndarray, " points"]
    cuts: tuple[float, ...]
    x_cut: Float64[np.ndarray, " cuts"]
    trained: Bool[np.ndarray, "cuts points"]
    num_train: Int[np.ndarray, " cuts"]
    num_test: Int[np.ndarray, " cuts"]
    rmsle: Float64[np.ndarray, " cuts"]
    log_ratio: Float64[np.ndarray, "cuts points"]
    fits: tuple[Fit, ...]

    @property
    def score(self) -> float:
        """The mean RMSLE over the cuts."""
        return float(np.mean(self.rmsle))


class Compared(eqx.Module):
    """One law of a comparison. **Fields:** `fit`, of all points; `extrapolation`; `information`."""

    fit: Fit
    extrapolation: Extrapolation
    information: Information


class Comparison(eqx.Module):
    """Laws from best to worst. **Fields:** `rows`, by mean RMSLE; laws without a score come last.

    Where the criteria name another law than the score, the score is the one to go by.
    """

    rows: tuple[Compared, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the laws, the best first."""
        return tuple(row.fit.law.name for row in self.rows)

    @property
    def text(self) -> str:
        """A table: mean RMSLE and that of every cut, AICc and BIC less their smallest values."""
        cuts = self.rows[0].extrapolation.cuts
        header = ["law", "k", "RMSLE", *(f"at {cut:g}" for cut in cuts), "dAICc", "dBIC"]
        aicc = np.array([row.information.aicc for row in self.rows])
        bic = np.array([row.information.bic for row in self.rows])
        lines = [header]
        for row, d_aicc, d_bic in zip(self.rows, _less(aicc), _less(bic), strict=True):
            scores = [row.extrapolation.score, *row.extrapolation.rmsle]
            lines.append(
                [
                    row.fit.law.name,
                    str(row.information.num_parameters),
                    *(f"{score:.3g}" for score in scores),
                    f"{d_aicc:.4g}",
                    f"{d_bic:.4g}",
                ]
            )
        widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if i else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            )
            for line in lines
        )


def extrapolate(
    law: Law,
    data: Data,
    *,
    along: str | Sequence[str] | None = None,
    cuts: Sequence[float] = CUTS,
    **options: Any,
) -> Extrapolation:
    r"""Fits the points up to each cut, and scores the prediction of those beyond.

    **Arguments:**

    - `law`, `data`: outputs positive, and the inputs of `along` where they are several.
    - `along`: the input that orders the points, or several, whose product does; all inputs of the
      law by default, so that for sizes N and tokens D it is the compute but for a factor.
    - `cuts`: fractions in (0, 1) of the points with a weight. Points of one scale stay together:
      a cut goes to the nearest border between scales, the lower of two.
    - `options`: of `fit`: `loss`, `starts`, `fix`, `tie`, `start`, `space`.

    **Returns:** an `Extrapolation`.

    **Raises:** `ValueError` for an unknown input, values that are not positive, a single scale, a
    cut outside (0, 1), and one that leaves too few points, or a single scale, to fit.

    **Source:** arXiv 2209.06640, section 5, and arXiv 2210.14891 for the score.
    """
    law = tied(law, options.pop("tie")) if options.get("tie") else law
    options.pop("tie", None)
    names = _along(law.inputs, data, along)
    order = _order(data, names)
    if not (data.y > 0.0).all():
        row = int(np.argmin(data.y > 0.0))
        raise ValueError(
            f"y: {data.y[row]} at row {row} is not positive; the RMSLE takes its logarithm"
        )
    trained = np.stack([_trained(order, data.weight > 0.0, cut, names) for cut in cuts])
    parts = [data.take(mask) for mask in trained]
    _check(law, data, parts, cuts, options)
    fits = fit_many(law, parts, **options)
    ratio = np.stack([_log_ratio(one, data) for one in fits])
    weight = np.where(trained, 0.0, data.weight)
    return Extrapolation(
        law=law.name,
        along=names,
        order=order,
        cuts=tuple(float(cut) for cut in cuts),
        x_cut=np.array([order[mask].max() for mask in trained]),
        trained=trained,
        num_train=np.sum(trained & (data.weight > 0.0), axis=1),
        num_test=np.sum(weight > 0.0, axis=1),
        rmsle=np.array([_rmsle(*pair) for pair in zip(ratio, weight, strict=True)]),
        log_ratio=ratio,
        fits=fits,
    )


def compare(
    laws: Sequence[Law],
    data: Data,
    *,
    along: str | Sequence[str] | None = None,
    cuts: Sequence[float] = CUTS,
    **options: Any,
) -> Comparison:
    """Laws ordered by how they extrapolate, with AICc and BIC of the fit of all points beside.

    **Arguments:** as `extrapolate`; the points are cut in the same way for every law, along the
    product of all inputs that any of them reads by default. `options` go to every law, so tie
    parameters of one law beforehand: `compare([law, tied(law, {"alpha": "beta"})], data)`.

    **Returns:** a `Comparison`.

    **Raises:** `ValueError` without a law, for laws of one name, and as `extrapolate`.
    """
    if not laws:
        raise ValueError("laws: none; give at least one")
    names = [law.name for law in laws]
    if len(set(names)) < len(names):
        raise ValueError(f"laws: {', '.join(names)} repeat a name; give each law once")
    read = tuple(dict.fromkeys(name for law in laws for name in law.inputs))
    along = _along(read, data, along)
    rows = []
    for law in laws:
        beyond = extrapolate(law, data, along=along, cuts=cuts, **options)
        whole = fit(law, data, **options)
        rows.append(Compared(whole, beyond, information(whole)))
    return Comparison(tuple(sorted(rows, key=_rank)))


def _rank(row: Compared) -> tuple[bool, float, float]:
    score, aicc = row.extrapolation.score, row.information.aicc
    return bool(np.isnan(score)), score, aicc


def _less(values: Float64[np.ndarray, " laws"]) -> Float64[np.ndarray, " laws"]:
    finite = values[np.isfinite(values)]
    return values - finite.min() if finite.size else values


def _along(inputs: Sequence[str], data: Data, along: str | Sequence[str] | None) -> tuple[str, ...]:
    """Names of the inputs whose product orders the points."""
    known = [name for name in inputs if name in data.x and data.x[name].ndim == 1]
    if along is None:
        if not known:
            raise ValueError(f"along: no input of {list(inputs)} is one number a point; name one")
        return tuple(known)
    names = (along,) if isinstance(along, str) else tuple(along)
    columns = [name for name, column in data.x.items() if column.ndim == 1]
    for name in names:
        if name not in columns:
            raise ValueError(f"along: {name!r} is no column; give one of {', '.join(columns)}")
    return names


def _order(data: Data, names: Sequence[str]) -> Float64[np.ndarray, " points"]:
    """The input, or the product of several, equal scales made exactly equal."""
    values = data.x[names[0]]
    if len(names) > 1:
        for name in names:
            _check_positive(name, data.x[name])
        values = np.exp(np.sum([np.log(data.x[name]) for name in names], axis=0))
    by_size = np.argsort(values, kind="stable")
    ordered = values[by_size]
    new = np.r_[True, np.diff(ordered) > _SAME_SCALE * np.abs(ordered[1:])]
    equal = np.empty_like(values)
    equal[by_size] = ordered[new][np.cumsum(new) - 1]
    return equal


def _check_positive(name: str, column: Float64[np.ndarray, " points"]) -> None:
    if not (column > 0.0).all():
        row = int(np.argmin(column > 0.0))
        raise ValueError(
            f"along: {name} is {column[row]} at row {row}, and points are ordered by a product; "
            "order along one input"
        )


def _trained(
    order: Float64[np.ndarray, " points"],
    used: Bool[np.ndarray, " points"],
    cut: float,
    names: Sequence[str],
) -> Bool[np.ndarray, " points"]:
    """The points up to the border between scales that is nearest to the cut."""
    if not 0.0 < cut < 1.0:
        raise ValueError(f"cuts: {cut}; give a fraction of the points between 0 and 1")
    scales, counts = np.unique(order[used], return_counts=True)
    if len(scales) < 2:
        raise ValueError(
            f"along: every point has the same {' '.join(names)}, a single scale; nothing is left "
            "to extrapolate to: order along another input, or add scales"
        )
    below = np.cumsum(counts)[:-1]
    return order <= scales[int(np.argmin(np.abs(below - cut * used.sum())))]


def _check(
    law: Law,
    data: Data,
    parts: Sequence[Data],
    cuts: Sequence[float],
    options: Mapping[str, Any],
) -> None:
    """**Raises:** what a fit would; where that is due to a cut, it says which."""
    how = {
        "fixed": {name: float(value) for name, value in (options.get("fix") or {}).items()},
        "start": options.get("start"),
        "space": options.get("space") or law.space,
        "starts": options.get("starts", 32),
    }
    checks.check(law, [data], **how)
    for cut, part in zip(cuts, parts, strict=True):
        try:
            checks.check(law, [part], **how)
        except ValueError as error:
            raise ValueError(f"cuts: the fit up to the cut at {cut:g} fails: {error}") from None


def _log_ratio(one: Fit, data: Data) -> Float64[np.ndarray, " points"]:
    predicted = one.predict({name: data.x[name] for name in one.law.inputs})
    positive = predicted > 0.0
    return np.where(positive, np.log(np.where(positive, predicted, 1.0) / data.y), np.nan)


def _rmsle(ratio: Float64[np.ndarray, " points"], weight: Float64[np.ndarray, " points"]) -> float:
    used = weight > 0.0
    return float(np.sqrt(np.average(ratio[used] ** 2, weights=weight[used])))
