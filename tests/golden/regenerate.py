"""Writes the golden numbers of a model: `python tests/golden/regenerate.py NAME`.

They are the observables of two lanes of the model's smallest configuration. Changed numbers are
written only after the model's version was raised, since results in a store are kept under it.
"""

import json
import pathlib
import sys
from typing import Any

import jax
import numpy as np

from scalinglab import registry
from scalinglab.models import Model

KEYS = (0, 1)
RELATIVE = 1e-9


def path_of(model: Model) -> pathlib.Path:
    """The file of the model's golden numbers."""
    return pathlib.Path(__file__).parent / f"{model.name}.json"


def measure(model: Model) -> dict[str, Any]:
    """The model's numbers now, as they are written."""
    simulate = jax.jit(lambda key: dict(model.simulate(model.smallest, key=key)))
    lanes = [simulate(jax.random.key(seed, impl="threefry2x32")) for seed in KEYS]
    observables = {
        name: [np.asarray(lane[name]).tolist() for lane in lanes] for name in sorted(lanes[0])
    }
    return {
        "version": model.version,
        "config": repr(model.smallest),
        "keys": list(KEYS),
        "observables": observables,
    }


def differing(now: dict[str, Any], golden: dict[str, Any]) -> list[str]:
    """The observables that differ by more than 1e-9: 1e6 roundings, far above what another BLAS
    or another order of summation does at the condition number of a smallest configuration."""
    names = sorted({*now["observables"], *golden["observables"]})
    one, other = now["observables"], golden["observables"]
    return [n for n in names if n not in one or n not in other or not _close(one[n], other[n])]


def _close(one: Any, other: Any) -> bool:
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return a.shape == b.shape and np.allclose(a, b, rtol=RELATIVE, atol=0.0, equal_nan=True)


def main(names: list[str]) -> int:
    jax.config.update("jax_enable_x64", val=True)
    for name in names or [entry.name for entry in registry.MODELS]:
        model, _ = registry.load_model(name)
        now, path = measure(model), path_of(model)
        golden = json.loads(path.read_text()) if path.exists() else None
        if golden and differing(now, golden) and golden["version"] == now["version"]:
            print(f"{name}: the numbers changed; raise version above {now['version']} first")
            return 1
        path.write_text(json.dumps(now, indent=1) + "\n")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
