"""The verdict table of an experiment, and what its claims mean for the exit status."""

from collections.abc import Mapping, Sequence
from typing import Any

from .output import columns, count, figure, with_error

STRICT = ("exact", "deterministic_equivalent")
_ORDER = ("agrees", "disagrees", "inconclusive", "not identifiable")


def verdict_table(claims: Sequence[Any]) -> str:
    """One row a claim, and its notes below."""
    rows = [
        [
            claim.verdict,
            claim.quantity,
            claim.window,
            with_error(claim.measured, claim.standard_error),
            figure(claim.predicted, 4),
            f"± {figure(claim.margin, 2)}",
            claim.kind.replace("_", " "),
            claim.source,
        ]
        for claim in claims
    ]
    header = ["verdict", "quantity", "window", "measured", "predicted", "margin", "kind", "source"]
    notes = dict.fromkeys(f"{c.quantity}: {c.note}" for c in claims if c.note)
    return "\n".join([columns(rows, header=header, right=(4,)), *notes])


def counts_text(claims: Sequence[Any], failures: Mapping[str, Mapping[str, int]]) -> str:
    """How many claims have which verdict, and which lanes failed and why."""
    found = [claim.verdict for claim in claims]
    told = ", ".join(f"{found.count(v)} {v}" for v in _ORDER if v in found) or "nothing claimed"
    lines = [f"{count(len(claims), 'claim')}: {told}"]
    for name, reasons in failures.items():
        for sentence, number in reasons.items():
            lines.append(f"sweep {name}: {count(number, 'simulation')} failed: {sentence}")
    return "\n".join(lines)


def exit_status(claims: Sequence[Any], failures: Mapping[str, Mapping[str, int]]) -> int:
    """1 for a disagreement with an exact theory or a deterministic equivalent, 3 for a failure.

    A published, asymptotic or heuristic claim that disagrees is a finding, not an error.
    """
    if any(claim.verdict == "disagrees" and claim.kind in STRICT for claim in claims):
        return 1
    return 3 if any(failures.values()) else 0
