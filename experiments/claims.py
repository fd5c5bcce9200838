"""A claim: a sentence from a paper, what was predicted, what was measured, and the verdict."""

from dataclasses import dataclass
from typing import Any

from scalinglab.theory import Kind
from scalinglab.theory.fitting import Verdict, agree


@dataclass(frozen=True)
class Claim:
    """One sentence of a paper held against a measurement.

    **Fields:** `sentence`; `source`, the paper with its figure or equation; `quantity`, what is
    compared; `predicted` and its `kind`; `measured` with its `standard_error`, over the named
    `window`, the same for both sides; `margin`, the largest difference that counts as
    agreement; `verdict`, of the equivalence test; `note`.
    """

    sentence: str
    source: str
    quantity: str
    predicted: float
    kind: Kind
    measured: float
    standard_error: float
    window: str
    margin: float
    verdict: Verdict
    note: str = ""


def claim(
    sentence: str,
    source: str,
    quantity: str,
    measured: Any,
    standard_error: Any,
    predicted: Any,
    kind: Kind,
    window: str,
    margin: Any = None,
    systematic: Any = 0.0,
    note: str = "",
    dof: Any = None,
) -> Claim:
    """The claim with the verdict of `scalinglab.theory.fitting.agree`.

    **Arguments:** as the fields of `Claim`, numbers being floats or arrays of no axes; `margin`,
    by default the one of `agree`; `systematic`, a stated error of measurement or theory that is
    no noise; `dof`, the degrees of freedom behind `standard_error`, by default infinite.
    """
    found = agree(
        measured, standard_error, predicted, margin=margin, systematic=systematic, dof=dof
    )
    return Claim(
        sentence=sentence,
        source=source,
        quantity=quantity,
        predicted=float(predicted),
        kind=kind,
        measured=float(measured),
        standard_error=float(standard_error),
        window=window,
        margin=float(found.margin),
        verdict=found.verdict,
        note=note,
    )
