"""A matrix from a .npy or .safetensors file, as a memory map: nothing is read before it is used."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from .arguments import UsageError

# As checkpoints name the unembedding, and the embedding that is tied to it.
_NAMES = (
    "lm_head.weight",
    "embed_out.weight",
    "model.embed_tokens.weight",
    "transformer.wte.weight",
    "wte.weight",
    "model.decoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "gpt_neox.embed_in.weight",
)
# What the reference implementation of the format reads at most.
_LONGEST_HEADER = 100_000_000


def read_matrix(path: str, tensor: str | None = None) -> tuple[np.ndarray, str]:
    """The matrix of a file, and its name.

    **Arguments:** `tensor`, its name in a safetensors file; by default the unembedding, or the one
    matrix that there is.

    **Raises:** `UsageError` for a file that cannot be read, another format, an unknown name.
    """
    file = Path(path)
    if not file.is_file():
        raise UsageError(f"FILE: {path}: no such file: check the path")
    if file.suffix == ".npy":
        if tensor is not None:
            raise UsageError(f"--tensor: {tensor}: a .npy file has one array: leave it out")
        return _npy(file), file.name
    if file.suffix == ".safetensors":
        return _safetensors(file, tensor)
    raise UsageError(f"FILE: {path}: is neither .npy nor .safetensors: save it as one of them")


def _npy(file: Path) -> np.ndarray:
    try:
        found = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError):
        raise UsageError(f"FILE: {file}: is no array that NumPy can map: save it again") from None
    if found.dtype.kind not in "fiu":
        raise UsageError(f"FILE: {file}: holds {found.dtype}: give real numbers")
    if found.size == 0:
        raise UsageError(f"FILE: {file}: has shape {found.shape}: give a matrix with entries")
    return found


def _safetensors(file: Path, tensor: str | None) -> tuple[np.ndarray, str]:
    """The format: the length of the header as 8 bytes, the header as JSON, the data, row-major."""
    start, entries = _header(file)
    matrices = [name for name, entry in entries.items() if len(entry["shape"]) == 2]
    name = _chosen(file, matrices, tensor)
    entry = entries[name]
    dtype = _dtype(file, name, entry["dtype"])
    shape = tuple(int(size) for size in entry["shape"])
    first, last = (int(offset) for offset in entry["data_offsets"])
    if 0 in shape:
        raise UsageError(f"FILE: {file}: {name} has shape {shape}: give a matrix with entries")
    long_enough = start + last <= file.stat().st_size
    if last - first != math.prod(shape) * dtype.itemsize or not long_enough:
        raise UsageError(f"FILE: {file}: {name} is cut off: download it again")
    return np.memmap(file, dtype, "r", start + first, shape), name


def _header(file: Path) -> tuple[int, dict[str, Any]]:
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > min(_LONGEST_HEADER, file.stat().st_size):
                raise ValueError
            header = json.loads(stream.read(length))
        header.pop("__metadata__", None)
        for entry in header.values():
            first, last = (int(offset) for offset in entry["data_offsets"])
            if not 0 <= first <= last or min(map(int, entry["shape"]), default=0) < 0:
                raise ValueError
            _ = entry["dtype"]
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        raise UsageError(f"FILE: {file}: is no safetensors file: download it again") from None
    return 8 + length, header


def _chosen(file: Path, matrices: list[str], tensor: str | None) -> str:
    if tensor is not None:
        if tensor in matrices:
            return tensor
        from scalinglab.registry import nearest

        raise UsageError(f"--tensor: {file} has no matrix {tensor!r}: {nearest(tensor, matrices)}")
    known = [name for name in _NAMES if name in matrices]
    if known or len(matrices) == 1:
        return (known or matrices)[0]
    told = ", ".join(matrices[:6]) or "none"
    raise UsageError(f"--tensor: missing: {file} has {len(matrices)} matrices, such as {told}")


def _dtype(file: Path, name: str, code: str) -> np.dtype:
    if code == "BF16":
        # NumPy has no bfloat16 of its own; JAX brings one.
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    codes = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
    if code not in codes:
        raise UsageError(f"FILE: {file}: {name} has dtype {code}: give F64, F32, F16 or BF16")
    return np.dtype(codes[code])
