"""What is recorded beside a result and is no part of its key: versions and the git revision."""

import functools
import importlib.metadata
import platform
import subprocess
from pathlib import Path

import jax


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
