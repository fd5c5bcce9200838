"""JAX's persistent compilation cache in a folder that only the user can read."""

import os
from pathlib import Path

import jax


def enable_compilation_cache() -> Path | None:
    """Keep compiled programs between processes; the command line calls this, no library code.

    The folder is `scalinglab/jax-VERSION` under `$XDG_CACHE_HOME`, by default `~/.cache`. It has
    mode 0700, since whoever can write there can run code in the user's next process.

    **Returns:** the folder, or `None` when it could not be made private; there is then no cache.
    """
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    folder = Path(root) / "scalinglab" / f"jax-{jax.__version__}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
            return None
        folder.chmod(0o700)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder
