"""dehw: takes a photographed or scanned exam page and gives it back as it was printed.

    from dehw import Eraser
    eraser = Eraser.load()          # or dehw.load(), with the name of a pipeline
    erased = eraser(page)           # (H, W, 3) uint8 RGB or a Pillow picture -> erased.page, erased.mask, erased.share

docs/python.md goes on from there.

Importing the package imports neither Paddle nor OpenCV; `Eraser`, `Erased` and `load` arrive when first used.
"""

import zlib  # noqa: F401  before Paddle: 2.6 breaks the zlib of the process that imports it first
from typing import TYPE_CHECKING, Any

from dehw.errors import ConfigError, DehwError, DeviceError, InputError, PageError, WeightsError

if TYPE_CHECKING:
    from dehw.eraser import Erased, Eraser

    load = Eraser.load

__version__ = "1.0.0"
__all__ = [
    "ConfigError",
    "DehwError",
    "DeviceError",
    "Erased",
    "Eraser",
    "InputError",
    "PageError",
    "WeightsError",
    "load",
]


def __getattr__(name: str) -> Any:
    if name not in ("Eraser", "Erased", "load"):
        raise AttributeError(f"module 'dehw' has no attribute {name!r}")
    from dehw import eraser

    return eraser.Eraser.load if name == "load" else getattr(eraser, name)
