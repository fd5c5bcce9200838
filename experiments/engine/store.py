"""Where results stay: content-addressed files, each published whole or not at all.

    STORE/FORMAT                            the number of this layout
    STORE/units/ab/KEY.unit                 the numbers of one unit, with a checksum
    STORE/units/ab/KEY.running              the state of a unit in stages that is being computed
    STORE/plans/KEY.json                    the block size of one group
    STORE/results/KEY.nc, KEY.json          one sweep, and the checksum of its file
    STORE/experiments/NAME/SIZE.json        what a run of an experiment made
    STORE/figures/                          what was drawn from it
    STORE/damaged/                          files whose checksum failed, set aside
    STORE/tmp/                              files being written

A file is written under `tmp/`, flushed to the disk and renamed to its name, so that a process
killed at any moment leaves old content or new, and two processes can share a store.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .canonical import canonical_json
from .plan import FORMAT

_STALE_SECONDS = 86400.0


class StoreError(ValueError):
    """The store cannot be read or written; the message names its path and the remedy."""


class DamagedError(StoreError):
    """A stored file does not match its checksum."""


class Store:
    """The results under one folder, which is made by the first `prepare`.

    **Arguments:** `path`: the folder, which need not exist.

    **Raises:** `StoreError` for a store of a newer format.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self._explained():
            found = self._read("FORMAT")
        if found is not None and not found.strip() == str(FORMAT).encode():
            raise StoreError(
                f"store: {self.path} has format {found.decode('utf-8', 'replace').strip()!r} and "
                f"this scalinglab reads format {FORMAT}; update scalinglab or choose another "
                "folder with --store"
            )

    def prepare(self) -> None:
        """Make the folder, try to write in it, and remove what killed processes left in `tmp/`.

        **Raises:** `StoreError` when it cannot be written.
        """
        self.write_bytes("FORMAT", f"{FORMAT}\n".encode())
        with self._explained():
            for path in (self.path / "tmp").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                        path.unlink()

    def read_unit(self, key: str, *, running: bool = False) -> dict[str, np.ndarray] | None:
        """The arrays of a unit, or those of its state while it runs; `None` when not stored.

        **Raises:** `DamagedError` when its bytes do not match its checksum.
        """
        name = _unit_name(key, running=running)
        with self._explained():
            content = self._read(name)
        if content is None:
            return None
        line, _, payload = content.partition(b"\n")
        header = _parsed(line)
        if header is None or header.get("key") != key or not _verified(header, payload, line):
            raise DamagedError(f"store: {self.path / name} is damaged")
        with np.load(io.BytesIO(payload), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}

    def has_unit(self, key: str) -> bool:
        """Whether a unit is there; its checksum is not looked at."""
        with self._explained():
            return (self.path / _unit_name(key)).exists()

    def write_unit(
        self,
        key: str,
        arrays: Mapping[str, np.ndarray],
        provenance: Mapping[str, Any],
        *,
        running: bool = False,
    ) -> None:
        """Publish the arrays of a unit: a line of JSON with the checksum, then an npz file.

        A finished unit takes the place of its state.
        """
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **dict(arrays))
        payload = buffer.getvalue()
        header = _sealed({"format": FORMAT, "key": key, "provenance": dict(provenance)}, payload)
        name = _unit_name(key, running=running)
        self.write_bytes(name, canonical_json(header) + b"\n" + payload)
        if not running:
            with self._explained():
                (self.path / _unit_name(key, running=True)).unlink(missing_ok=True)

    def read_json(self, name: str) -> dict[str, Any] | None:
        """The document of that name, or `None` when it is absent or damaged."""
        with self._explained():
            content = self._read(name)
        document = None if content is None else _parsed(content)
        if document is None or not _verified(document, b""):
            return None
        return {field: document[field] for field in document if field != "sha256"}

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        """Publish a document, with its checksum in it."""
        text = json.dumps(_sealed(dict(document), b""), sort_keys=True, indent=1)
        self.write_bytes(name, text.encode("ascii") + b"\n")

    def write_bytes(self, name: str, content: bytes) -> None:
        """Publish a file under the store."""
        with self.publishing(name) as temporary, temporary.open("wb") as file:
            file.write(content)

    @contextlib.contextmanager
    def publishing(self, name: str) -> Iterator[Path]:
        """A temporary path to write; it takes its name when the block ends without an error.

        **Raises:** `StoreError` when the disk is full or the folder cannot be written.
        """
        target = self.path / name
        temporary = self.path / "tmp" / f"{uuid.uuid4().hex}.tmp"
        with self._explained():
            temporary.parent.mkdir(parents=True, exist_ok=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                yield temporary
                _flush(temporary)
                os.replace(temporary, target)
                _flush(target.parent)
            except BaseException:
                with contextlib.suppress(OSError):
                    temporary.unlink()
                raise

    def read_verified(self, name: str, sha256: str) -> bytes | None:
        """The bytes of a file, or `None` when it is absent or does not have that checksum."""
        with self._explained():
            content = self._read(name)
        if content is None or hashlib.sha256(content).hexdigest() != sha256:
            return None
        return content

    def set_aside(self, key: str) -> None:
        """Move a damaged unit out of the way, so that it can be looked at and computed again."""
        with self._explained(), contextlib.suppress(FileNotFoundError):
            (self.path / "damaged").mkdir(parents=True, exist_ok=True)
            os.replace(self.path / _unit_name(key), self.path / "damaged" / f"{key}.unit")

    def names(self, folder: str, suffix: str) -> list[str]:
        """The sorted names, relative to the store, of the files in a folder and those below."""
        with self._explained():
            found = (self.path / folder).rglob(f"*{suffix}")
            return sorted(path.relative_to(self.path).as_posix() for path in found)

    def _read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"store: {self.path}: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return "the disk is full; free space there or choose another folder with --store"
    said = error.strerror or str(error)
    return f"{said.lower()}; choose a folder that can be written with --store"


def _unit_name(key: str, *, running: bool = False) -> str:
    return f"units/{key[:2]}/{key}.{'running' if running else 'unit'}"


def _parsed(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except (ValueError, UnicodeDecodeError):
        return None
    return document if isinstance(document, dict) else None


def _sealed(document: dict[str, Any], payload: bytes) -> dict[str, Any]:
    return {**document, "sha256": _checksum(document, payload)}


def _verified(document: dict[str, Any], payload: bytes, line: bytes | None = None) -> bool:
    if line is not None and canonical_json(document) != line:
        return False
    body = {name: document[name] for name in document if name != "sha256"}
    return document.get("sha256") == _checksum(body, payload)


def _checksum(document: dict[str, Any], payload: bytes) -> str:
    return hashlib.sha256(canonical_json(document) + b"\n" + payload).hexdigest()


def _flush(path: Path) -> None:
    # Windows cannot open a folder, and there a rename is durable without it.
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
