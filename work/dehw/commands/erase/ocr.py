"""What `--ocr` reads on erased pages, by RapidOCR: PaddleOCR's networks in ONNX, which come with that package."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np

from dehw.errors import InputError
from dehw.files.sheet import TextLine

PACKAGES = ("rapidocr", "onnxruntime")

Recognise = Callable[[np.ndarray], tuple[TextLine, ...]]


def check() -> None:
    """Raises InputError where the extra is not installed."""
    if missing := [name for name in PACKAGES if find_spec(name) is None]:
        raise InputError(f"--ocr needs the extra ocr: pip install 'dehw[ocr]' (there is no {', '.join(missing)})")


def recogniser() -> Recognise:
    """What finds and reads the lines of a page, (H, W, 3) uint8 RGB: Chinese, English and digits."""
    from rapidocr import RapidOCR

    read = RapidOCR(params={"Global.log_level": "error"})

    def recognise(page: np.ndarray) -> tuple[TextLine, ...]:
        found = read(np.ascontiguousarray(page[..., ::-1]))  # it takes BGR
        if not found.txts:
            return ()
        shares = np.asarray(found.boxes) / page.shape[1::-1]  # (N, 4, 2)
        lines = zip(found.txts, shares.tolist())
        return tuple(TextLine(text, tuple((x, y) for x, y in corners)) for text, corners in lines if text.strip())

    return recognise
