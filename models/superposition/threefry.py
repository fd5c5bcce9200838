"""The Threefry-2x32 block function in straight-line code, as a counter-based generator.

The same function as JAX's own generator, bit for bit. JAX keeps its twenty rounds in a loop on
CPUs, which costs some 10 ns a word inside a compiled loop; here they fuse with what uses them, at
about 1 ns a word.
"""

import jax.numpy as jnp
import jax.random as jr
from jaxtyping import Array, Float, PRNGKeyArray, UInt32

Key = tuple[UInt32[Array, ""], UInt32[Array, ""]]
Words = tuple[UInt32[Array, "*shape"], UInt32[Array, "*shape"]]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA


def words_of(key: PRNGKeyArray) -> Key:
    """Two words drawn from a key of any generator, to key `threefry` with."""
    first, second = jr.bits(key, (2,), jnp.uint32)
    return first, second


def threefry(
    key: Key, counter: UInt32[Array, "*shape"], stream: int | UInt32[Array, ""] = 0
) -> Words:
    """Two words of random bits for each counter of a stream.

    **Arguments:** `key`, two words; `counter` and `stream`, the block that is encrypted.

    **Source:** Salmon et al., Parallel random numbers: as easy as 1, 2, 3 (SC 2011), Threefry-2x32
    with 20 rounds.
    """
    schedule = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(_PARITY))
    left = counter + schedule[0]
    right = jnp.broadcast_to(jnp.asarray(stream, jnp.uint32) + schedule[1], counter.shape)
    for group in range(5):
        for distance in _ROTATIONS[group % 2]:
            left = left + right
            right = (right << distance) | (right >> (32 - distance))
            right = right ^ left
        left = left + schedule[(group + 1) % 3]
        right = right + schedule[(group + 2) % 3] + jnp.uint32(group + 1)
    return left, right


def open_uniform(words: UInt32[Array, "*shape"], dtype: str) -> Float[Array, "*shape"]:
    """Uniform numbers k + 1/2 over 2^23, strictly inside (0, 1) and exact in float32."""
    # As int32, since 23 bits have no sign: CPUs without AVX-512 convert that faster.
    steps = (words >> 9).astype(jnp.int32).astype(dtype)
    return (steps + 0.5) * 2.0**-23


def fine_uniform(words: Words, dtype: str) -> Float[Array, "*shape"]:
    """Uniform numbers in (0, 1] of 64 bits, with full relative precision towards 0."""
    high, low = (word.astype(dtype) for word in words)
    return high * 2.0**-32 + (low + 0.5) * 2.0**-64
