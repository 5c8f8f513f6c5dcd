"""Pickles of others, read without running anything that they name."""

import codecs
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np

from dehw.errors import WeightsError

_ARRAY = np.zeros(1, np.float32)
ADMITTED = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "tuple"): tuple,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _ARRAY.__reduce__()[0],
    ("numpy.core.multiarray", "scalar"): _ARRAY[0].__reduce__()[0],
    ("numpy.core.numeric", "_frombuffer"): _ARRAY.__reduce_ex__(5)[0],
    ("_codecs", "encode"): codecs.encode,  # bytes, as Python 2 can read them
}


class ArrayUnpickler(pickle.Unpickler):
    """Reads arrays, text, numbers and their containers, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        module = {"__builtin__": "builtins"}.get(module, module).replace("numpy._core", "numpy.core")  # NumPy 2's name
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no weights need")
        return ADMITTED[module, name]


def read_pickle(path: Path) -> Any:
    """What a weight file holds: arrays, text, numbers and containers of these.

    Raises WeightsError for a file that is damaged, or names anything else.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file; check the path.")
    try:
        with path.open("rb") as file:
            return ArrayUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise WeightsError(
            f"{path}: damaged, or no weights ({type(error).__name__}: {error}); get it from where it was released."
        ) from error
