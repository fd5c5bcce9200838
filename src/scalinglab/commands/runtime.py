"""Starting JAX for a command: float64, the persistent compilation cache, thread pools."""

import os


def start() -> None:
    """Enables float64 and the cache of compiled programs; before the first array is made."""
    # Before OpenBLAS is loaded, for what runs outside the engine; the engine limits it by itself.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    import jax

    from scalinglab.experiments.engine.cache import enable_compilation_cache
    from scalinglab.experiments.engine.threads import widen_xla_pool

    widen_xla_pool()
    jax.config.update("jax_enable_x64", val=True)
    enable_compilation_cache()
