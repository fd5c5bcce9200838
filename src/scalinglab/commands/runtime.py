"""Starting JAX for a command: float64, and the persistent compilation cache."""


def start() -> None:
    """Enables float64 and the cache of compiled programs; before the first array is made."""
    import jax

    from scalinglab.experiments.engine.cache import enable_compilation_cache

    jax.config.update("jax_enable_x64", val=True)
    enable_compilation_cache()
