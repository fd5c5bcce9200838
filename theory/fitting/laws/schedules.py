r"""The loss under any learning-rate schedule: one power law of the area, one for each drop.

$$L(s) = L_0 + A S_1(s)^{-\alpha}
       - B \sum_{k \le s} (\eta_{k-1} - \eta_k)\, G\big(\eta_k^{-\gamma} S_k(s)\big), \qquad
  G(x) = 1 - (1 + C x)^{-\beta}, \qquad S_k(s) = \sum_{i=k}^{s} \eta_i$$

Only steps at which the rate changes enter the sum, so that a point of a run carries one array of
changes; `schedule_columns` makes them. A constant rate leaves $L_0 + A S_1^{-\alpha}$.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from scalinglab.theory.fitting.law import Law, Parameter


def schedule_columns(
    learning_rates: Float[np.ndarray, " steps"],
    recorded: Int[np.ndarray, " points"],
    *,
    warmup: int = 0,
    width: int | None = None,
) -> dict[str, np.ndarray]:
    r"""What the multi-power law reads of a schedule, at the recorded steps of one run.

    **Arguments:**

    - `learning_rates`: $\eta_i$ of every step, positive; steps at either end may have rate 0.
    - `recorded`: indices of steps, 0 for the first; the loss is that after the step.
    - `warmup`: steps before the rate reaches its peak. They count in `S1`, but changes up to step
      `warmup` are no drops. With 0, as in the paper's code, the rise is a negative drop, which
      soon adds the constant B times the peak to the loss: a published L0 is lower by that.
    - `width`: length of the arrays of drops: by default the number of changes. Runs that are
      fitted together need one width. A larger one is filled with drops of 0; a smaller one merges
      neighbouring changes of one sign at their mean place, an error that falls as 1/width^2.

    **Returns:** `S1` (points,), the sum of the rates; and (points, width) `drop`
    $\eta_{k-1} - \eta_k$, 0 until step k, `rate` $\eta_k$, and `area` $S_k$, 0 until step k.
    A drop to rate 0 is left out: it has no area.

    **Raises:** `ValueError` for a rate of 0 between positive ones, steps that are not in the
    schedule or come before its first positive rate, and a width below the number of rises and
    falls.

    **Source:** arXiv 2503.12811; github.com/thu-yao-01-luo/MultiPowerLaw, README: S1 holds the
    sum of the warm-up.
    """
    rates, steps = np.asarray(learning_rates, np.float64), np.asarray(recorded)
    _check(rates, steps)
    total = np.cumsum(rates)
    falls = rates[:-1] - rates[1:]
    at = np.flatnonzero(falls != 0.0) + 1
    at = at[(at > warmup) & (rates[at] > 0.0)]
    width = max(len(at), 1) if width is None else width
    place = _places(falls[at - 1], width)
    columns = {
        "drop": np.zeros((len(steps), width)),
        "rate": np.full((len(steps), width), rates[rates > 0.0][-1]),
        "area": np.zeros((len(steps), width)),
    }
    for index in np.unique(place):
        group = at[place == index]
        # Of merged changes the part that has happened, at its mean place.
        past = (group <= steps[:, None]) * np.abs(falls[group - 1])
        share = past / np.maximum(past.sum(axis=1), np.finfo(float).tiny)[:, None]
        begun = past.any(axis=1)
        area = total[steps][:, None] - total[group - 1]
        columns["drop"][:, index] = np.sign(past) @ falls[group - 1]
        columns["rate"][:, index] = np.where(begun, share @ rates[group], rates[group].mean())
        columns["area"][:, index] = np.sum(share * area, axis=1)
    return {"S1": total[steps], **columns}


def _places(falls: Float[np.ndarray, " changes"], width: int) -> Int[np.ndarray, " changes"]:
    """The array entry of each change: its own, or one shared with neighbours of its sign."""
    turns = np.concatenate([np.zeros(1, int), np.cumsum(np.diff(np.sign(falls)) != 0.0)])
    entries = width - (int(turns[-1]) if len(falls) else 0)
    if entries < 1:
        raise ValueError(
            f"width: {width} for {turns[-1] + 1} rises and falls; give at least as many"
        )
    if len(falls) <= width:
        return np.arange(len(falls))
    # Entries share the changes by size, which leaves a large drop alone, and by number.
    size = np.abs(falls) / np.abs(falls).sum() + 1.0 / len(falls)
    middle = 0.5 * (np.cumsum(size) - 0.5 * size)
    return np.minimum((middle * entries).astype(int), entries - 1) + turns


def _check(rates: Float[np.ndarray, " steps"], steps: Int[np.ndarray, " points"]) -> None:
    used = np.flatnonzero(rates > 0.0)
    bad = ~(np.isfinite(rates) & (rates >= 0.0))
    if len(used):
        bad[used[0] : used[-1]] |= rates[used[0] : used[-1]] == 0.0
    if bad.any() or not len(used):
        row = int(np.argmax(bad))
        raise ValueError(
            f"learning_rates: {rates[row] if len(rates) else rates} at step {row} is not positive; "
            "only steps at either end may have rate 0"
        )
    outside = (steps < used[0]) | (steps >= len(rates))
    if outside.any():
        raise ValueError(
            f"recorded: step {steps[np.argmax(outside)]} is not one of steps {used[0]} to "
            f"{len(rates) - 1}, by which something was learned; leave it out"
        )


def _annealed(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    """The sum over drops, B left out."""
    reach = t["C"] * jnp.exp(-t["gamma"] * jnp.log(x["rate"])) * x["area"]
    return jnp.sum(-x["drop"] * jnp.expm1(-t["beta"] * jnp.log1p(reach)))


def _example_columns() -> dict[str, np.ndarray]:
    """Twenty points of each of four schedules: with six, two, one and no drops."""
    steps = np.geomspace(999, 20, 20).astype(int)
    runs = []
    for drops, floor in ((6, 0.003), (2, 0.01), (1, 0.1), (0, 1.0)):
        rates = np.full(1000, 0.02)
        for k, start in enumerate(np.geomspace(80, 700, drops).astype(int)):
            rates[start:] = 0.02 * floor ** ((k + 1) / drops)
        runs.append(schedule_columns(rates, steps, width=6))
    return {name: np.concatenate([run[name] for run in runs]) for name in runs[0]}


# Two units: the area S1 counts rate times steps, a drop counts rate; they are independent as long
# as the length of a step is.
MULTI_POWER = Law(
    name="multi-power",
    parameters=(
        Parameter("L0", unit={"L": 1}, linear=True, meaning="irreducible loss"),
        Parameter("A", unit={"L": 1, "S1": "alpha"}, linear=True, meaning="amplitude of the area"),
        Parameter("B", unit={"L": 1, "rate": -1}, linear=True, meaning="amplitude of a drop"),
        Parameter("alpha", meaning="exponent of the area"),
        Parameter(
            "C",
            unit={"rate": "gamma", "S1": -1},
            start=(0.03, 300.0),
            meaning="how soon a drop pays",
        ),
        Parameter("beta", meaning="exponent of the approach to the whole gain"),
        Parameter("gamma", meaning="exponent of the rate after the drop"),
    ),
    inputs=("S1", "drop", "rate", "area"),
    same_unit={"area": "S1", "drop": "rate"},
    log_predict=lambda t, x: jnp.log(
        t["L0"] + t["A"] * jnp.exp(-t["alpha"] * x["log S1"]) - t["B"] * _annealed(t, x)
    ),
    columns=lambda t, x: (1.0, jnp.exp(-t["alpha"] * x["log S1"]), -_annealed(t, x)),
    formula="L = L0 + A S1^-alpha - B sum_k drop_k (1 - (1 + C rate_k^-gamma area_k)^-beta)",
    source="arXiv 2503.12811, the multi-power law, as in the README of "
    "github.com/thu-yao-01-luo/MultiPowerLaw; columns by schedule_columns",
    constant="L0",
    example={
        "L0": 1.0,
        "A": 3.0,
        "B": 60.0,
        "alpha": 0.5,
        "C": 0.3,
        "beta": 0.6,
        "gamma": 0.6,
        **_example_columns(),
    },
)

LAWS = (MULTI_POWER,)
