"""Learning curves of students: the mean of the log loss, the window by rule, the exponent.

Every seed is one teacher, one pool and one start, of which only D differs, so that a seed gives a
slope of its own; the exponent is their mean, and its error their scatter.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from scalinglab.experiments.curves import mean_and_error

# A student that leaves more than a tenth of the teacher's variance has not resolved it.
RESOLVED = 0.1
_FEWEST = 3


class LearningCurve(NamedTuple):
    """Test losses of one setting: `sizes` (points,), `logs` and `kept` (points, seeds).

    `kept` is false where training, and not the data, limited the loss.
    """

    sizes: np.ndarray
    logs: np.ndarray
    kept: np.ndarray

    @property
    def left_out(self) -> int:
        """The lanes that optimisation limited."""
        return int(np.sum(~self.kept))

    def mean_log(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard error over all seeds of the log loss at each size."""
        return mean_and_error(self.logs)


class Slope(NamedTuple):
    """An exponent: `exponent`, its `error` over seeds, their number, the first and last size."""

    exponent: float
    error: float
    seeds: int
    window: tuple[float, float]

    def window_text(self, symbol: str) -> str:
        """The window in words, such as `D = 32..512`."""
        low, high = self.window
        return f"{symbol} = {low:g}..{high:g}"


def learning_curve(dataset: xr.Dataset, along: str = "num_samples") -> LearningCurve:
    """The curve along one field of a dataset with no other axes than that and the seeds.

    **Raises:** `ValueError` where a lane failed, so that no mean loses it silently.
    """
    found = dataset[["log_test_loss", "optimisation_limited"]].transpose(along, "seed")
    logs = found["log_test_loss"].values.astype(float)
    if not np.isfinite(logs).all():
        raise ValueError(f"log_test_loss: {int(np.sum(~np.isfinite(logs)))} lanes failed")
    sizes = found[along].values.astype(float)
    return LearningCurve(sizes, logs, found["optimisation_limited"].values == 0)


def window(curve: LearningCurve) -> np.ndarray:
    """Which sizes enter the fit, by rule.

    Those from the first whose mean loss is below a tenth of the teacher's variance to the last of
    which at least half of the lanes are not limited by optimisation; where these are fewer than
    three, the three largest that optimisation does not limit.
    """
    usable = curve.kept.mean(axis=1) >= 0.5
    resolved = curve.mean_log()[0] <= np.log(RESOLVED)
    inside = usable & np.logical_or.accumulate(resolved)
    if inside.sum() < _FEWEST:
        inside = np.zeros_like(usable)
        inside[np.flatnonzero(usable)[-_FEWEST:]] = True
    return inside


def seed_slopes(curve: LearningCurve, inside: np.ndarray) -> np.ndarray:
    """The slope of -log loss against log size of each seed, over its kept lanes of the window.

    NaN for a seed with fewer than two of them.
    """
    slopes = np.full(curve.logs.shape[1], np.nan)
    for seed in range(len(slopes)):
        chosen = inside & curve.kept[:, seed]
        if chosen.sum() >= 2:
            x, y = np.log(curve.sizes[chosen]), curve.logs[chosen, seed]
            slopes[seed] = -np.polyfit(x, y, 1)[0]
    return slopes


def fit_slope(curve: LearningCurve, inside: np.ndarray) -> Slope:
    """The mean over seeds of their slopes.

    **Raises:** `ValueError` where fewer than two seeds have two points to draw a line through.
    """
    slopes = seed_slopes(curve, inside)
    slopes = slopes[np.isfinite(slopes)]
    if len(slopes) < 2:
        raise ValueError(
            f"{len(slopes)} seeds have two sizes that optimisation does not limit; "
            "raise num_steps or the number of seeds"
        )
    exponent, error = mean_and_error(slopes)
    ends = curve.sizes[inside]
    return Slope(float(exponent), float(error), len(slopes), (float(ends[0]), float(ends[-1])))
