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

    - `learning_rates`: $\eta_i$ of every step, positive; steps at the end may have rate 0.
    - `recorded`: indices of steps, 0 for the first; the loss is that after the step.
    - `warmup`: steps before the rate reaches its peak. They count in `S1`, and changes up to step
      `warmup` are no drops.
    - `width`: length of the arrays of drops: by default the number of changes. Runs that are
      fitted together need one width. A larger one is filled with drops of 0; a smaller one merges
      neighbouring changes, each replaced by its mean place, an error that falls as 1/width^2.

    **Returns:** `S1` (points,), the sum of the rates; and (points, width) `drop`
    $\eta_{k-1} - \eta_k$, 0 until step k, `rate` $\eta_k$, and `area` $S_k$, 0 until step k.
    A drop to rate 0 is left out: it has no area.

    **Raises:** `ValueError` for a rate that is not positive before the end, steps that are not in
    the schedule, and a width below 1.

    **Source:** arXiv 2503.12811: S1 with the warm-up's sum, and the sums S_k from the step on.
    """
    rates, steps = np.asarray(learning_rates, np.float64), np.asarray(recorded)
    _check(rates, steps, width)
    total = np.cumsum(rates)
    falls = rates[:-1] - rates[1:]
    at = np.flatnonzero(falls != 0.0) + 1
    at = at[(at > warmup) & (rates[at] > 0.0)]
    width = max(len(at), 1) if width is None else width
    shape = (len(steps), width)
    columns = {
        "drop": np.zeros(shape),
        "rate": np.full(shape, rates[rates > 0.0][-1]),
        "area": np.zeros(shape),
    }
    for index, group in enumerate(np.array_split(at, min(width, len(at))) if len(at) else []):
        # The part of a merged group that has happened, at its mean place.
        past = (group <= steps[:, None]) * np.abs(falls[group - 1])
        share = past / np.maximum(past.sum(axis=1), np.finfo(float).tiny)[:, None]
        begun = past.any(axis=1)
        area = total[steps][:, None] - total[group - 1]
        columns["drop"][:, index] = np.sign(past) @ falls[group - 1]
        columns["rate"][:, index] = np.where(begun, share @ rates[group], rates[group].mean())
        columns["area"][:, index] = np.where(begun, np.sum(share * area, axis=1), 0.0)
    return {"S1": total[steps], **columns}


def _check(
    rates: Float[np.ndarray, " steps"], steps: Int[np.ndarray, " points"], width: int | None
) -> None:
    last = int(np.flatnonzero(rates > 0.0)[-1]) if (rates > 0.0).any() else -1
    bad = ~(np.isfinite(rates) & (rates >= 0.0))
    bad[: max(last, 1)] |= rates[: max(last, 1)] == 0.0
    if last < 0 or bad.any():
        row = int(np.argmax(bad))
        raise ValueError(
            f"learning_rates: {rates[row] if len(rates) else rates} at step {row} is not positive; "
            "only steps at the end may have rate 0"
        )
    outside = (steps < 0) | (steps >= len(rates))
    if outside.any():
        raise ValueError(
            f"recorded: step {steps[np.argmax(outside)]} is not one of {len(rates)} steps, which "
            "count from 0; leave it out"
        )
    if width is not None and width < 1:
        raise ValueError(f"width: {width}; give at least 1, or leave it out")


def _annealed(t: Mapping[str, Any], x: Mapping[str, Any]) -> Any:
    """The sum over drops, B left out."""
    reach = t["C"] * jnp.exp(-t["gamma"] * jnp.log(x["rate"])) * x["area"]
    return jnp.sum(-x["drop"] * jnp.expm1(-t["beta"] * jnp.log1p(reach)))


def _example_columns() -> dict[str, np.ndarray]:
    """Twenty points of each of four schedules: constant, and with one, two and six drops."""
    steps = np.geomspace(20, 999, 20).astype(int)
    runs = []
    for drops, floor in ((0, 1.0), (1, 0.1), (2, 0.01), (6, 0.003)):
        rates = np.full(1000, 0.02)
        for k, start in enumerate(np.geomspace(80, 700, drops).astype(int) if drops else []):
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
    source="arXiv 2503.12811, the multi-power law, as in a summary of the paper and the README of "
    "its code; columns by schedule_columns",
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
