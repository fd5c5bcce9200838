"""What a result came from: the model's version, which keys it, and what is only recorded."""

import functools
import hashlib
import importlib.metadata
import inspect
import platform
import subprocess
from pathlib import Path
from typing import Any

import jax

_PACKAGE = __name__.partition(".")[0]


def stored_version(model: Any) -> str:
    """The version that results are kept under: the model's own, and outside this package its file.

    A built-in model's version is raised by hand and guarded by a golden test. A user edits theirs
    as they go, so the hash of the file that defines `simulate` is added, and results of an earlier
    text are not taken for those of the present one. A notebook cell has no file: raise `version`.
    """
    simulate = inspect.unwrap(model.simulate)
    if getattr(simulate, "__module__", "").partition(".")[0] == _PACKAGE:
        return str(model.version)
    try:
        content = Path(inspect.getsourcefile(simulate) or "").read_bytes()
    except (OSError, TypeError):
        return str(model.version)
    return f"{model.version}+{hashlib.sha256(content).hexdigest()[:16]}"


@functools.cache
def provenance() -> dict[str, str]:
    """Versions of Python, JAX and scalinglab, and the git revision or `'unknown'`."""
    return {
        "python": platform.python_version(),
        "jax": jax.__version__,
        "scalinglab": _package_version(),
        "git": _git_revision(),
    }


def _package_version() -> str:
    try:
        return importlib.metadata.version("scalinglab")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def _git_revision() -> str:
    here = Path(__file__).resolve()
    # An installed copy may lie inside some other repository, whose revision says nothing.
    tracked = _git(here.parent, "ls-files", "--error-unmatch", here.name)
    found = _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    return found if tracked and found else "unknown"


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
