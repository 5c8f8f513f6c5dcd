"""dehw: takes a photographed or scanned exam page and gives it back as it was printed.

    import dehw
    eraser = dehw.load("lite")
    erased = eraser(page)           # page: (H, W, 3) uint8 RGB -> erased.page, erased.mask

Importing the package imports neither Paddle nor OpenCV; `Eraser` and `load` arrive when first used.
"""

import zlib  # noqa: F401  before Paddle: 2.6 breaks the zlib of the process that imports it first

__version__ = "0.1.0"
__all__ = ["Eraser", "load", "__version__"]


def __getattr__(name: str):
    if name not in ("Eraser", "load"):
        raise AttributeError(f"module 'dehw' has no attribute {name!r}")
    from dehw.eraser import Eraser

    return Eraser if name == "Eraser" else Eraser.load
