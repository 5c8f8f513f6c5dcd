"""QR codes are found where they are, and nothing else is taken for one."""

import cv2
import numpy as np
import pytest

from dehw.config import Erase, Mask, NetworkConfig, Pipeline, Segment
from dehw.eraser import Eraser
from dehw.page import layout, qr

HEIGHT = 32  # px of its lines
TEXT = "https://example.org/page/17"
NETWORK = NetworkConfig(type="erasenet", weights="tiny.pdparams")


def page_with(picture: np.ndarray | None, top: int = 300, left: int = 200) -> np.ndarray:
    """A page of print, 400 x 600 px, with a picture, (h, w) uint8, on its free part."""
    page = np.full((600, 400), 235, np.uint8)
    for y in range(40, 260, 40):
        cv2.putText(page, "What is the area of it?", (20, y), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 20, 2, cv2.LINE_AA)
    if picture is not None:
        page[top : top + picture.shape[0], left : left + picture.shape[1]] = np.minimum(picture, 235)
    return cv2.cvtColor(page, cv2.COLOR_GRAY2RGB)


def code(side: int, turn: float = 0.0) -> np.ndarray:
    """A QR code of `side` px, turned by so many degrees, with room about it."""
    small = cv2.QRCodeEncoder_create().encode(TEXT)[2:-2, 2:-2]  # without the encoder's own margin
    picture = cv2.copyMakeBorder(cv2.resize(small, (side, side)), *[10] * 4, cv2.BORDER_CONSTANT, value=255)
    matrix = cv2.getRotationMatrix2D((side / 2 + 10, side / 2 + 10), turn, 1)
    return cv2.warpAffine(picture, matrix, (side + 20, side + 20), borderValue=255)


def find(page: np.ndarray) -> np.ndarray:
    return qr.find(page, layout.dark_pixels(page), HEIGHT)


@pytest.mark.parametrize(("side", "turn"), [(60, 0), (72, 0), (90, 3), (120, -4), (150, 2)])
def test_a_code_is_found_whole_and_alone(side, turn):
    found = find(page_with(code(side, turn)))
    inner = np.zeros_like(found)
    inner[310 : 310 + side, 210 : 210 + side] = True
    assert found[inner].all()
    assert not found[~cv2.dilate(inner.astype(np.uint8), np.ones((41, 41))).astype(bool)].any()


@pytest.mark.parametrize("kind", ["nothing", "black square", "chessboard", "scribble"])
def test_what_is_no_code_is_left_to_the_network(kind):
    rng = np.random.default_rng(0)
    picture = np.full((100, 100), 255, np.uint8)
    if kind == "black square":
        picture[10:90, 10:90] = 0
    elif kind == "chessboard":
        picture[10:90, 10:90] = np.kron(np.indices((10, 10)).sum(0) % 2, np.ones((8, 8))) * 255
    elif kind == "scribble":
        cv2.polylines(picture, [rng.integers(10, 90, (60, 1, 2)).astype(np.int32)], False, 30, 2)
    assert not find(page_with(None if kind == "nothing" else picture)).any()


def test_an_eraser_keeps_codes_though_its_network_sees_ink_everywhere():
    page = page_with(code(90))

    def eraser(asked: bool) -> Eraser:
        segment = Segment(NETWORK, window=256, stride=256, codes=asked)
        pipeline = Pipeline(segment=segment, mask=Mask(dilate=5), erase=Erase([NETWORK], tile=256), line_height=HEIGHT)
        white = (lambda tiles, mask: np.ones_like(tiles), 1.0)
        return Eraser(pipeline, lambda tiles: np.ones_like(tiles[:, :1]), [white])

    inside = np.s_[310:400, 210:300]
    kept, gone = (eraser(asked)(page).page for asked in (False, True))
    assert (kept[inside] == page[inside]).all()
    assert (gone[inside] == 255).all() and (kept[:280] == 255).all()


def test_a_pipeline_that_keeps_codes_says_how_high_lines_are():
    with pytest.raises(ValueError, match="codes: false needs line_height"):
        Pipeline(segment=Segment(NETWORK, codes=False), erase=Erase([NETWORK]))
