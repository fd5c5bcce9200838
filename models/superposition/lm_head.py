"""The overlaps of the rows of a language model's unembedding matrix, against random directions."""

from typing import NamedTuple

import numpy as np

_BLOCK_ENTRIES = 2**24


class RowOverlaps(NamedTuple):
    """Of the rows of a matrix, each divided by its norm, over the pairs of two different rows.

    **Fields:** `rows`, those that are not zero; `zero_rows`, left out; `width`;
    `mean_squared_overlap`; `mean_overlap`, which a direction that all rows share makes positive;
    `random_mean_squared_overlap`, 1/m, the expectation for random directions; `welch_bound`,
    the least mean squared overlap that so many rows can have.
    """

    rows: int
    zero_rows: int
    width: int
    mean_squared_overlap: float
    mean_overlap: float
    random_mean_squared_overlap: float
    welch_bound: float


def row_overlaps(matrix: np.ndarray) -> RowOverlaps:
    """The mean squared overlap of the normalised rows of a matrix, such as an unembedding.

        mean_{i != j} (w_i.w_j)^2 = (|sum_i w_i w_i^T|_F^2 - n) / (n (n - 1)),  |w_i| = 1

    An m x m matrix is summed over blocks of rows, so that the matrix may be a memory map, and the
    n x n matrix of overlaps is never formed.

    **Arguments:** `matrix` (n, m), a row for each token; any real dtype. Blocks are taken in
    float32, or in float64 where the matrix is float64.

    **Raises:** `ValueError` for another shape, fewer than two rows that are not zero, or entries
    that are not finite.

    **Source:** Liu et al. 2505.10465, Fig. 8a; the bound is Welch's (1974), (n - m)/(m (n - 1)).
    """
    if matrix.ndim != 2:
        raise ValueError(f"matrix: shape {matrix.shape}; give two axes, a row for each token")
    count, width = matrix.shape
    dtype = np.float64 if matrix.dtype == np.float64 else np.float32
    moment = np.zeros((width, width))
    total = np.zeros(width)
    quartic = 0.0
    kept = 0
    step = max(1, _BLOCK_ENTRIES // width)
    for start in range(0, count, step):
        block = np.asarray(matrix[start : start + step], dtype)
        # By the largest entry first, so that no square overflows or vanishes.
        scale = np.max(np.abs(block), axis=1)
        if not np.isfinite(scale).all():
            row = start + int(np.argmin(np.isfinite(scale)))
            raise ValueError(f"matrix: row {row} has an entry that is not finite; remove it")
        block = block[scale > 0] / scale[scale > 0, None]
        block /= np.linalg.norm(block, axis=1)[:, None]
        moment += block.T @ block
        total += block.sum(axis=0, dtype=np.float64)
        # 1 up to rounding, which the same rounding in the sum of squares cancels.
        quartic += float(np.sum(np.sum(block**2, axis=1, dtype=np.float64) ** 2))
        kept += len(block)
    if kept < 2:
        raise ValueError(f"matrix: {kept} rows that are not zero; give at least two")
    pairs = kept * (kept - 1)
    return RowOverlaps(
        rows=kept,
        zero_rows=count - kept,
        width=width,
        mean_squared_overlap=float((np.sum(moment**2) - quartic) / pairs),
        mean_overlap=float((total @ total - kept) / pairs),
        random_mean_squared_overlap=1 / width,
        welch_bound=max(0.0, (kept - width) / (width * (kept - 1))),
    )
