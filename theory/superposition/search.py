"""The best split of the features: h private, K - h sharing the rest of the dimensions, others dead.

Every estimate of this folder with a core is minimised over the two integers h and K. Outside the
shared frame nothing is lost by the private features, which have a dimension each, and a dead one
costs 4/3 p - p^2.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from .weak import dead_loss

# Loss of the shared features and whatever else the estimate wants to report of them.
Shared = Callable[[int, int], tuple[float, Any]]


class Scan(NamedTuple):
    """The coarse grid: `private`, values of h/m, and the number of K, geometric in m + 1..n."""

    private: tuple[float, ...] = (0.0, 0.1, 0.2, 0.35, 0.5, 0.7)
    counts: int = 6


_SCAN = Scan()


class Split(NamedTuple):
    """The least `loss`, its `private` h and `count` K, and what the estimate reports (`detail`)."""

    loss: float
    private: int
    count: int
    detail: Any


def best_split(
    probabilities: Float[np.ndarray, " features"],
    width: int,
    shared: Shared,
    *,
    least_width: int,
    scan: Scan = _SCAN,
) -> Split:
    """min over 0 <= h < m < K <= n of the shared loss of ranks h+1..K in m - h dimensions.

    A coarse grid, then a compass search whose steps shrink to one in h and to 3% in K. K = h = m,
    weak superposition, is a candidate. For equal frequencies h is 0: a private feature would free
    nobody's dimension.

    **Arguments:** `probabilities` p_1 >= p_2 >= ...; `width` m; `shared(h, K)` to the loss and a
    detail; `least_width`, the fewest dimensions that may be shared; `scan`, the grid to start from.
    """
    total = len(probabilities)
    dead = np.append(np.cumsum(dead_loss(probabilities)[::-1])[::-1], 0.0)
    known: dict[tuple[int, int], Split] = {}
    is_flat = probabilities[0] == probabilities[-1]
    most = 0 if is_flat else max(width - least_width, 0)

    def at(private: int, count: int) -> Split:
        key = private, count
        if key not in known:
            loss, detail = shared(private, count)
            known[key] = Split(loss + float(dead[count]), private, count, detail)
        return known[key]

    weak = Split(float(dead[width]), width, width, None)
    if width >= total or width < least_width:
        return weak
    for private in sorted({min(most, round(width * share)) for share in scan.private}):
        for count in np.unique(np.geomspace(width + 1, total, scan.counts).round().astype(int)):
            at(private, int(count))
    best = min(known.values(), key=lambda split: split.loss)
    step, factor = max(1, round(width / 12)), (total / (width + 1)) ** (0.5 / (scan.counts - 1))
    while True:
        moves = [
            (best.private + shift, round(best.count * scale))
            for shift, scale in ((step, 1), (-step, 1), (0, factor), (0, 1 / factor))
        ]
        near = [at(min(max(h, 0), most), min(max(k, width + 1), total)) for h, k in moves]
        lowest = min(near, key=lambda split: split.loss)
        if lowest.loss < best.loss:
            best = lowest
        elif step == 1 and factor < 1.03:
            return min(best, weak, key=lambda split: split.loss)
        else:
            step, factor = max(1, step // 2), max(factor**0.5, 1.02)
