"""Models and experiments by registered name, or a user's own as `module:attribute`."""

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from scalinglab import registry

from .arguments import UsageError

_OWN_MODULES: set[str] = set()


def is_own_module(name: str) -> bool:
    """Whether the module is a user's, loaded here."""
    return name in _OWN_MODULES


def is_known(kind: registry.Kind, text: str) -> bool:
    """Whether `text` is a registered name, found without importing anything but the table.

    **Raises:** `ValueError` with the nearest name unless it is one, or has the form of a user's.
    """
    if _is_own(text):
        return False
    registry.find(kind, text)
    return True


def load_model(text: str) -> tuple[Any, tuple[Any, ...]]:
    """A model and its theories: a registered name, `module:attribute` or `file.py:attribute`.

    **Raises:** `UsageError` when there is none.
    """
    if is_known("model", text):
        return registry.load_model(text)
    from scalinglab.models import Model
    from scalinglab.theory import theories_of

    module, found = _attribute("model", text, "MODEL")
    model = getattr(found, "MODEL", found)
    if not isinstance(model, Model):
        raise UsageError(
            f"model: {text}: is {type(model).__name__}: give a scalinglab.models.Model"
        )
    return model, theories_of(getattr(module, "THEORIES", ()))


def load_experiment(text: str) -> Any:
    """An experiment: a registered name, `module:attribute` or `file.py:attribute`.

    **Raises:** `UsageError` when there is none.
    """
    if is_known("experiment", text):
        try:
            return registry.load_experiment(text)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.startswith("scalinglab"):
                raise
            remedy = "pip install 'scalinglab[data]'" if error.name == "sklearn" else "install it"
            raise UsageError(f"experiment: {text}: needs {error.name}: {remedy}") from None
    _, experiment = _attribute("experiment", text, "EXPERIMENT")
    return experiment


def _is_own(text: str) -> bool:
    return ":" in text or text.endswith(".py")


def _attribute(kind: str, text: str, default: str) -> tuple[ModuleType, Any]:
    place, _, name = text.rpartition(":") if ":" in text else (text, "", "")
    module = _import(kind, place)
    name = name or default
    if not hasattr(module, name):
        names = [key for key in vars(module) if not key.startswith("_")]
        raise UsageError(f"{kind}: {text}: {place} has no {name}: {registry.nearest(name, names)}")
    return module, getattr(module, name)


def _import(kind: str, place: str) -> ModuleType:
    """The module of that name or file, imported; a bug in it is reported in one line."""
    try:
        module = _from_file(kind, place) if place.endswith(".py") else _by_name(place)
    except UsageError:
        raise
    except ModuleNotFoundError as error:
        remedy = "run in the folder that holds it, or give path/to/file.py:attribute"
        raise UsageError(f"{kind}: {place}: no module named {error.name!r}: {remedy}") from None
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"{kind}: {place}: importing it fails in {frame.filename} line {frame.lineno}: {reason}"
        ) from None
    _OWN_MODULES.add(module.__name__)
    return module


def _by_name(name: str) -> ModuleType:
    _search_also(Path.cwd())
    return importlib.import_module(name)


def _from_file(kind: str, place: str) -> ModuleType:
    path = Path(place).resolve()
    if not path.is_file():
        raise UsageError(f"{kind}: {place}: no such file: check the path")
    _search_also(path.parent)
    name = f"scalinglab_own_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{kind}: {place}: is no Python file: give one")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and type hints look their module up by name
    spec.loader.exec_module(module)
    return module


def _search_also(folder: Path) -> None:
    # Last, so that a user's numbers.py does not take the place of a library's.
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
