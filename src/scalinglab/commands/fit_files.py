"""The files of `scalinglab fit --out`: each whole or not at all, and none replaced in silence."""

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import drawing
from .arguments import UsageError
from .fit_report import Report
from .output import note, plain


def write(report: Report, folder: Path, document: Mapping[str, Any], seed: int) -> list[str]:
    """Writes fit.json, residuals and extrapolation as PDF, PNG and CSV.

    **Returns:** one line a file, which says whether it replaced another.

    **Raises:** `UsageError` when the folder cannot be written.
    """
    from . import fit_picture

    note(f"figures: to {folder}")
    before = set(folder.iterdir()) if folder.is_dir() else set()
    makers: dict[str, Callable[[], Any]] = {"residuals": lambda: fit_picture.residuals(report)}
    if report.extrapolation is not None:
        makers["extrapolation"] = lambda: fit_picture.extrapolation(report, seed)
    paths = [_json(folder / "fit.json", document)]
    for stem, make in makers.items():
        paths += drawing.save(make(), folder, stem)
    return [f"{'replaced' if path in before else 'wrote'} {path}" for path in paths]


def _json(path: Path, document: Mapping[str, Any]) -> Path:
    text = json.dumps(plain(document), indent=2, allow_nan=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(
            f"out: {path.parent}: {reason}: give a folder that can be written"
        ) from None
    return path
