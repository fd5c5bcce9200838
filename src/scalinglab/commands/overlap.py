"""`scalinglab overlap FILE`: the overlaps of the rows of an unembedding matrix against 1/m."""

from collections.abc import Sequence
from typing import Any

from . import runtime
from .arguments import Parser, UsageError
from .output import columns, count, figure, say, say_json, with_error

_COLUMNS = ("width", "loss", "family")


def run(arguments: Sequence[str]) -> int:
    """Prints the mean squared overlap of a matrix, or the joint fit of losses of families."""
    parser = Parser(
        "overlap",
        "The mean squared overlap of the normalised rows of an unembedding matrix, against that\n"
        "of random directions, 1/m, and the least possible (Welch). With --losses, the joint fit\n"
        "L = A m^-a + B, one B a family, to a CSV with the columns width, loss, family; rows of\n"
        "one model on several texts share a label in an optional column model.",
    )
    parser.add_argument(
        "file", nargs="*", metavar="FILE", help=".npy or .safetensors, a row for each token"
    )
    parser.add_argument("--tensor", metavar="NAME", help="which matrix of a safetensors file")
    parser.add_argument("--losses", metavar="CSV", help="losses of families of models, to fit")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.read(arguments)
    if not options.file and options.losses is None:
        raise UsageError("FILE: missing: give a .npy or .safetensors file, or --losses CSV")
    if options.tensor is not None and not options.file:
        raise UsageError(
            f"--tensor: {options.tensor}: there is no matrix to take it from: give a "
            ".safetensors FILE too"
        )
    runtime.start()
    document: dict[str, Any] = {}
    text = []
    if options.file:
        document["matrices"] = [_measured(path, options.tensor) for path in options.file]
        text.append(_table(document["matrices"]))
    if options.losses is not None:
        document["fit"] = _fitted(options.losses)
        text.append(_page(document["fit"]))
    if options.json:
        say_json(document)
    else:
        say("\n\n".join(text))
    return 0


def _measured(path: str, tensor: str | None) -> dict[str, Any]:
    from scalinglab.models.superposition.lm_head import row_overlaps

    from .matrix_file import read_matrix

    matrix, name = read_matrix(path, tensor)
    try:
        found = row_overlaps(matrix)
    except ValueError as error:
        raise UsageError(f"FILE: {path}: {error}") from None
    return {"file": path, "matrix": name, **found._asdict()}


def _table(matrices: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            found["matrix"],
            str(found["rows"]),
            str(found["width"]),
            figure(found["mean_squared_overlap"]),
            figure(found["mean_squared_overlap"] * found["width"], 4),
            figure(found["welch_bound"] * found["width"], 4),
            figure(found["mean_overlap"], 3),
        ]
        for found in matrices
    ]
    header = ["matrix", "rows", "m", "mean rho^2", "m rho^2", "Welch m", "mean rho"]
    lines = [columns(rows, header=header, right=range(1, 7))]
    zero = sum(found["zero_rows"] for found in matrices)
    if zero:
        lines.append(f"{count(zero, 'row')} of zeros left out")
    lines.append("m rho^2 is 1 for random directions and at least the bound in the next column")
    return "\n".join(lines)


def _fitted(path: str) -> dict[str, Any]:
    from scalinglab.theory.fitting.family_offsets import fit_family_offsets

    from .fit_csv import ANY, POSITIVE, read_table

    table = read_table(path)
    width = table.numbers("--losses", _COLUMNS[0], POSITIVE)
    loss = table.numbers("--losses", _COLUMNS[1], ANY)
    family = table.labels("--losses", _COLUMNS[2])
    model = table.labels("--losses", "model") if "model" in table.header else None
    try:
        found = fit_family_offsets(width, loss, family, cluster=model)
    except ValueError as error:
        raise UsageError(f"--losses: {path}: {error}") from None
    names = ("exponent", "exponent_error", "interval", "amplitude", "residual_sd", "num_points")
    return {
        **{name: getattr(found, name) for name in names},
        "offsets": {str(name): value for name, value in found.offsets.items()},
        "status": found.status.sentence,
    }


def _page(fit: dict[str, Any]) -> str:
    low, high = fit["interval"]
    rows = [[name, figure(value)] for name, value in fit["offsets"].items()]
    return "\n".join(
        [
            f"L = A m^-a + B, {count(fit['num_points'], 'point')}: {fit['status']}",
            f"a = {with_error(fit['exponent'], fit['exponent_error'])}, "
            f"95 % {figure(low, 3)} to {figure(high, 3)};  A = {figure(fit['amplitude'])};  "
            f"residual {figure(fit['residual_sd'], 3)}",
            columns(rows, header=["family", "B"], right=(1,)),
        ]
    )
