"""dehw: takes a photographed or scanned exam page and gives it back as it was printed.

    from dehw import Eraser
    eraser = Eraser.load()          # or dehw.load(), with the name of a pipeline
    erased = eraser(page)           # (H, W, 3) uint8 RGB or a Pillow picture -> erased.page, erased.mask, erased.share

docs/python.md goes on from there.

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
