"""The sizes of two thread pools that a batch of factorisations meets on a CPU.

XLA runs independent operations of a program at once, and each batched LAPACK call among them waits
for threads of the one pool that they share. With as many threads as cores, two such calls on a
machine of two cores wait for each other for ever (JAX 0.10.2, one device, no sharding needed).
OpenBLAS, starting threads of its own inside each call, was measured 30 times slower than one thread
a call. XLA reads its setting when the first array is made; OpenBLAS takes it at any time.
"""

import os
from contextlib import AbstractContextManager

from threadpoolctl import threadpool_limits

_XLA_THREADS = 32


def widen_xla_pool() -> None:
    """Gives XLA's CPU client more threads than a program has LAPACK calls to run at once.

    Without effect once an array was made, or where the user has set `PJRT_NPROC`.
    """
    os.environ.setdefault("PJRT_NPROC", str(max(_XLA_THREADS, os.cpu_count() or 1)))


def single_threaded_blas() -> AbstractContextManager[object]:
    """A context in which BLAS libraries of this process use one thread a call."""
    return threadpool_limits(limits=1, user_api="blas")
