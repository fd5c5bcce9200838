"""The compute-optimal size and data of a fitted law, with intervals."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from .output import columns, figure, indent

_BUDGETS = (1.0, 10.0, 100.0)  # times the largest run
_EXPONENTS = ("alpha_N", "alpha_D")  # of Kaplan's law; a tie leaves one out
Estimate = tuple[float, float, float]
Theta = Mapping[str, Any]


@dataclass(frozen=True)
class Optimum:
    """One budget. **Fields:** FLOPs C; estimates (value, low, high) of N, D, D/N and the loss."""

    compute: float
    size: Estimate
    data: Estimate
    ratio: Estimate
    loss: Estimate


@dataclass(frozen=True)
class ComputeOptimal:
    """The allocation. **Fields:** estimates of a in N* ∝ C^a and b in D* ∝ C^b; one row a budget.

    `output` is what the law predicts, and `method` how the intervals were made.
    """

    size_exponent: Estimate
    data_exponent: Estimate
    rows: tuple[Optimum, ...]
    output: str
    method: str

    @property
    def text(self) -> str:
        """A table of the budgets, and the exponents."""
        header = ["C", "N*", "", "D*", "", "D*/N*", "", f"{self.output}*", ""]
        rows = []
        for row in self.rows:
            cells = [f"{row.compute:.3g}"]
            for estimate in (row.size, row.data, row.ratio, row.loss):
                cells += [figure(estimate[0], 4), _interval(estimate, 3)]
            rows.append(cells)
        return (
            "compute-optimal at C = 6 N D, from the compute of the largest run upward; 95 % "
            f"intervals by {self.method}\n{indent(columns(rows, header=header, right=range(9)))}\n"
            f"  N* grows as C^{_told(self.size_exponent)}, D* as C^{_told(self.data_exponent)}"
        )

    @property
    def clause(self) -> str:
        """The answer, for the last sentence."""
        row = self.rows[0]
        return (
            f"N* grows as C^{_told(self.size_exponent)}, and at {row.compute:.2g} FLOPs "
            f"D*/N* is {figure(row.ratio[0], 3)} {_interval(row.ratio, 3)}"
        )

    def document(self) -> dict[str, Any]:
        """The same for JSON."""
        names = ("size", "data", "ratio", "loss")
        return {
            "size_exponent": _plain(self.size_exponent),
            "data_exponent": _plain(self.data_exponent),
            "method": self.method,
            "budgets": [
                {"compute": row.compute, **{name: _plain(getattr(row, name)) for name in names}}
                for row in self.rows
            ],
        }


def compute_optimal(fit: Any, draws: Any, level: float) -> ComputeOptimal | None:
    r"""Where the law is lowest at a given compute $C = 6 N D$; None for laws without such a place.

    For laws that increase with $A N^{-\alpha} + B D^{-\beta}$; their division is that of
    `allocation.compute_optimal`.

    **Arguments:** `draws`, a bootstrap of the fit, or None for the delta method.
    """
    terms = _terms(fit)
    if terms is None or not (fit.data.x["N"] > 0.0).all() or not (fit.data.x["D"] > 0.0).all():
        return None
    largest = float((6.0 * fit.data.x["N"] * fit.data.x["D"])[fit.data.weight > 0.0].max())
    of = _Estimator(fit, draws, level, terms)
    return ComputeOptimal(
        size_exponent=of.number(lambda t: t["beta"] / (t["alpha"] + t["beta"])),
        data_exponent=of.number(lambda t: t["alpha"] / (t["alpha"] + t["beta"])),
        rows=tuple(_row(of, fit, times * largest) for times in _BUDGETS),
        output=fit.law.output,
        method="delta method" if draws is None else f"{draws.kind} bootstrap",
    )


class _Estimator:
    """Estimates of functions of the two terms of a law."""

    def __init__(self, fit: Any, draws: Any, level: float, terms: Callable[[Theta], Theta]) -> None:
        self.fit, self.draws, self.level, self.terms = fit, draws, level, terms

    def number(self, function: Callable[[Theta], Any]) -> Estimate:
        """Value and interval of a number of any sign."""
        from scalinglab.theory.fitting.derive import derive

        def of(theta: Theta) -> Any:
            return function({**theta, **self.terms(theta)})

        found = derive(self.fit, of, level=self.level)
        if self.draws is None:
            return found.value, found.low, found.high
        return (found.value, *self.draws.interval(of, level=self.level))

    def positive(self, log: Callable[[Theta], Any]) -> Estimate:
        """The same of a positive number, by its logarithm."""
        import numpy as np

        value, low, high = np.exp(self.number(log))
        return float(value), float(low), float(high)


def _row(of: _Estimator, fit: Any, compute: float) -> Optimum:
    import jax.numpy as jnp

    from scalinglab.theory.fitting import allocation

    def best(t: Theta) -> Any:
        return allocation.compute_optimal(t, compute)

    def loss(t: Theta) -> Any:
        x = {"N": best(t).N, "D": best(t).D}
        return fit.law.log_predict(t, {**x, **{f"log {k}": jnp.log(v) for k, v in x.items()}})

    return Optimum(
        compute=compute,
        size=of.positive(lambda t: jnp.log(best(t).N)),
        data=of.positive(lambda t: jnp.log(best(t).D)),
        ratio=of.positive(lambda t: jnp.log(best(t).D) - jnp.log(best(t).N)),
        loss=of.positive(loss),
    )


def _terms(fit: Any) -> Callable[[Theta], Theta] | None:
    """From the parameters to A, B, alpha and beta of the two terms, and E."""
    from scalinglab.theory.fitting.allocation import separable

    if fit.law.name.split("[")[0] == "kaplan":
        return _kaplan
    try:
        separable(fit.law, fit.parameters)
    except ValueError:
        return None
    return partial(separable, fit.law)


def _kaplan(t: Theta) -> Theta:
    """L^(1/alpha_D) is the sum, with its minimum at the same place."""
    import jax.numpy as jnp

    size, data = (t.get(name, t.get(other)) for name, other in itertools.permutations(_EXPONENTS))
    power = size / data
    one = jnp.ones_like(power)
    return {"A": t["N_c"] ** power, "B": t["D_c"], "E": 0.0 * one, "alpha": power, "beta": one}


def _told(estimate: Estimate) -> str:
    value, low, high = estimate
    if high - low <= 1e-9 * abs(value):
        return f"{figure(value, 3)} (by the form of the law)"
    return f"{figure(estimate[0], 3)} {_interval(estimate, 3)}"


def _interval(estimate: Sequence[float], digits: int) -> str:
    return f"[{figure(estimate[1], digits)}, {figure(estimate[2], digits)}]"


def _plain(estimate: Estimate) -> dict[str, float]:
    return dict(zip(("value", "low", "high"), estimate, strict=True))
