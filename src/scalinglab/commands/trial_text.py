"""What `try` prints for people: the two sides in one table, exponents, and a sentence."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from scalinglab.models import Status

from .curves import Curve, Exponent
from .output import columns, config_text, count, figure, indent, value_text
from .trial import Point


def point_text(point: Point, seeds: int) -> str:
    """One configuration: the sides, the other theories, and the verdict in words."""
    parts = [config_text(point.config), "", _theory_line(point, seeds), "", _table(point)]
    if point.alternatives:
        parts += ["", "other theories", indent(_alternatives(point))]
    return "\n".join([*parts, "", _sentence(point, seeds)])


def _theory_line(point: Point, seeds: int) -> str:
    simulated = f"simulated: {count(seeds, 'seed')}" if seeds else "simulated: nothing"
    made = point.predicted
    if made is None:
        return f"predicted: no theory applies here\n{simulated}"
    error = f"stated error {float(made.relative_error):.2g}"
    doubt = "" if int(made.status) == 0 else f"\nbut {Status(int(made.status)).sentence}"
    return f"predicted: {made.theory} ({made.kind}, {error}), {made.source}{doubt}\n{simulated}"


def _table(point: Point) -> str:
    predicted = {} if point.predicted is None else point.predicted.observables
    rows = []
    for name in dict.fromkeys([*predicted, *point.simulated]):
        found = point.simulated.get(name)
        shared = name in predicted and found is not None
        rows.append(
            [
                name,
                _cell(predicted.get(name)),
                _cell(None if found is None else found.mean),
                _cell(None if found is None else found.stderr, 2),
                _z(point.z(name)) if shared else "",
                _within(point, name) if shared else "",
            ]
        )
    header = ["", "predicted", "simulated", "stderr", "z", "within"]
    if not point.simulated:
        rows, header = [row[:2] for row in rows], header[:2]
    return columns(rows, header=header, right=range(1, len(header)))


def _cell(value: Any, digits: int = 6) -> str:
    if value is None:
        return "-"
    size = getattr(value, "size", 1)
    return figure(float(value), digits) if size == 1 else f"[{size} values]"


def _z(value: Any) -> str:
    if value is None:
        return "-"
    import numpy as np

    worst = np.ravel(value)[np.argmax(np.abs(np.ravel(value)))]
    return f"{worst:+.2f}" if math.isfinite(worst) else "-"


def _within(point: Point, name: str) -> str:
    found = point.within(name)
    return "-" if found is None else "yes" if found else "no"


def _alternatives(point: Point) -> str:
    names = list(dict.fromkeys(n for made in point.alternatives.values() for n in made.observables))
    rows = [
        [theory, made.kind, *[_cell(made.observables.get(name)) for name in names]]
        for theory, made in point.alternatives.items()
    ]
    return columns(rows, header=["", "", *names], right=range(2, 2 + len(names)))


def _sentence(point: Point, seeds: int) -> str:
    failed = "".join(
        f" {count(number, 'seed')} failed and {'is' if number == 1 else 'are'} left out: {reason}."
        for reason, number in point.failed.items()
    )
    if not seeds:
        return "Predicted only; --seeds 32 simulates as well."
    judged = [name for name in point.both if point.within(name) is not None]
    if not point.both:
        return "There is no observable on both sides to compare." + failed
    if not judged:
        return "One seed has no standard error; give more --seeds to compare." + failed
    outside = [name for name in judged if not point.within(name)]
    rule = "3 standard errors and the stated error of the theory"
    if outside:
        return f"{', '.join(outside)}: simulation and theory differ by more than {rule}." + failed
    if len(judged) == 1:
        return f"Simulation and theory agree in {judged[0]} within {rule}." + failed
    return f"Simulation and theory agree in all {len(judged)} observables within {rule}." + failed


def sweep_table(points: Sequence[Point], varied: Mapping[str, Any], observable: str) -> str:
    """One row a configuration, for one observable."""
    rows = []
    for point in points:
        made = None if point.predicted is None else point.predicted.observables.get(observable)
        found = point.simulated.get(observable)
        shared = made is not None and found is not None
        rows.append(
            [
                *[value_text(point.config[name]) for name in varied],
                _cell(made),
                _cell(None if found is None else found.mean),
                _cell(None if found is None else found.stderr, 2),
                _z(point.z(observable)) if shared else "",
                _within(point, observable) if shared else "",
            ]
        )
    header = [*varied, "predicted", "simulated", "stderr", "z", "within"]
    if not any(point.simulated for point in points):
        rows, header = [row[: len(varied) + 1] for row in rows], header[: len(varied) + 1]
    return f"{observable}\n" + indent(columns(rows, header=header, right=range(len(header))))


def exponent_table(found: Sequence[tuple[Curve, Exponent]]) -> str:
    """Measured and predicted exponents of every curve and observable, with the verdict."""
    rows = []
    for curve, one in found:
        rows.append(
            [
                one.observable,
                config_text(curve.others),
                f"[{one.window[0]:g}, {one.window[1]:g}]",
                figure(one.measured, 4),
                figure(one.standard_error, 2),
                figure(one.predicted, 4),
                figure(one.margin, 2),
                one.reason or one.verdict or "-",
            ]
        )
    header = ["exponent of", "", "window", "measured", "stderr", "predicted", "margin", ""]
    kept = [i for i in range(len(header)) if i != 1 or any(row[1] for row in rows)]
    return columns(
        [[row[i] for i in kept] for row in rows],
        header=[header[i] for i in kept],
        right=[i for i, name in enumerate(kept) if 3 <= name <= 6],
    )


def sweep_sentence(found: Sequence[Exponent], points: Sequence[Point]) -> str:
    """How many exponents agree, and how many seeds failed."""
    verdicts = [one.verdict for one in found if one.verdict]
    failed = sum(sum(point.failed.values()) for point in points)
    told = f" {count(failed, 'seed')} failed and left out." if failed else ""
    if not verdicts:
        return "No exponent was compared." + told
    counts = ", ".join(
        f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)
    )
    open_ones = any(verdict in ("inconclusive", "not identifiable") for verdict in verdicts)
    more = " More --seeds would narrow the errors." if open_ones else ""
    return f"Exponents in the same window as the theory: {counts}.{more}{told}"
