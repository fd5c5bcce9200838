"""The handwritten digits that come with scikit-learn, and their source."""

from typing import Any

import numpy as np
from jaxtyping import Float, Int

ALPAYDIN = """@misc{alpaydin1998,
  title  = {Optical recognition of handwritten digits},
  author = {Alpaydin, Ethem and Kaynak, Cenk},
  year   = {1998},
  note   = {UCI Machine Learning Repository, doi:10.24432/C50P49},
}"""


def raw_digits(
    model: str,
) -> tuple[Float[np.ndarray, "images side side"], Int[np.ndarray, " images"]]:
    """The 1797 images of 8 x 8 pixels with values 0..16, and their digits, in the file's order.

    **Arguments:** `model`, the name of the model that asks, for the error.

    **Raises:** `ValueError` when scikit-learn is not installed.

    **Source:** the UCI 'Optical Recognition of Handwritten Digits' test set, as bundled with
    scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError(
            f"{model}: the images come with scikit-learn, which is not installed; "
            "pip install scalinglab[data]"
        ) from None
    # The stubs of scikit-learn lack the fields of its Bunch.
    found: Any = load_digits()
    return np.asarray(found.images, np.float64), np.asarray(found.target, np.int32)
