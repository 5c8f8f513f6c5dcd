import json

import cv2
import numpy as np
import pytest
from drawn import READER, print_page
from erasers import constant, eraser_with, tiny
from files import files, page, report, run, save_tiff

from dehw.errors import ExitCode
from dehw.files.images import write_image
from dehw.page import layout
from dehw.page.confidence import Confidence, doubts, measure
from dehw.page.layout import Reader

SIDE, BAR = 400, 40 * 100  # px; of a bar
LIKELY = (0.9, 0.6, 0.3, 0.1)  # that a bar is handwriting


def bars():
    """A page of four bars, and how likely each of them, with what is near, is handwriting."""
    page, prob = np.full((SIDE, SIDE, 3), 235, np.uint8), np.zeros((SIDE, SIDE), np.float32)
    for row, likely in enumerate(LIKELY):
        page[30 + 90 * row : 70 + 90 * row, 150:250] = 30
        prob[90 * row : 90 * (row + 1)] = likely
    return page, prob


def test_what_stays_and_goes_counts_by_its_probability():
    page, prob = bars()
    figures = measure(page, prob, prob > 0.5, layout.UNREAD)
    assert figures.ink == pytest.approx(sum(LIKELY) / 4, abs=1e-3)
    assert figures.left == pytest.approx((0.3 + 0.1) / 4, abs=1e-3)
    assert figures.taken == pytest.approx((0.1 + 0.4) / 4, abs=1e-3)
    assert figures.torn == 0 and not figures.guessed


@pytest.mark.parametrize(("share", "torn"), [(0.2, 0.2), (0.5, 0.5), (0.8, 0.2), (1, 0)])
def test_a_stroke_that_goes_in_part_is_torn(share, torn):
    page, prob = bars()
    mask = prob > 0.8
    mask[:, 150 + round(share * 100) :] = False
    assert measure(page, prob, mask, layout.UNREAD).torn == pytest.approx(torn / 4, abs=1e-3)


def test_sizes_of_page_and_mask_make_no_difference():
    page, prob = bars()
    page = cv2.resize(page, None, fx=5, fy=5, interpolation=cv2.INTER_NEAREST)
    mask = np.repeat(np.repeat(prob > 0.5, 2, 0), 2, 1)
    expected = measure(page[::5, ::5], prob, prob > 0.5, layout.UNREAD)
    assert vars(measure(page, prob, mask, layout.UNREAD)) == pytest.approx(vars(expected), abs=0.02)


def test_what_was_not_to_be_erased_does_not_count():
    page, prob = bars()
    allowed = np.zeros((SIDE, SIDE), bool)
    allowed[: 90 * 2] = True
    figures = measure(page, prob, prob > 0.5, layout.UNREAD, allowed)
    assert (figures.ink, figures.left) == (pytest.approx(0.75, abs=1e-3), 0)


def test_a_blank_page_says_nothing():
    page, prob = bars()
    none = layout.measure(page, Reader(lambda tiles: tiles[:, :1] * 0))
    assert none.guessed and measure(page, prob, prob > 0.5, none).guessed
    blank = np.full_like(page, 235)
    assert measure(blank, prob, prob > 0.5, none) == Confidence(0, 0, 0, 0)


@pytest.mark.parametrize(
    "share, figures, words",
    [
        (0.05, Confidence(0.2, 0.005, 0.04, 0.02), []),
        (0.0, Confidence(0.0, 0.0, 0.0, 0.0), []),
        (0.05, Confidence(0.2, 0.03, 0.04, 0.02), ["handwriting may be left"]),
        (0.05, Confidence(0.2, 0.005, 0.06, 0.02), ["print may have been erased"]),
        (0.35, Confidence(0.9, 0.005, 0.16, 0.02), []),  # a page written on throughout
        (0.0, Confidence(0.01, 0.006, 0.005, 0.0), []),  # specks of a page of print
        (0.05, Confidence(0.2, 0.005, 0.04, 0.12), ["12% of the print and writing was erased in part"]),
        (0.5, Confidence(0.2, 0.005, 0.04, 0.02), ["50% of the page"]),
        (0.05, Confidence(0.2, 0.005, 0.04, 0.02, guessed=True), ["the scale is a guess"]),
        (0.5, Confidence(0.2, 0.03, 0.06, 0.12), ["left", "print may", "in part", "50% of the page"]),
        (1.0, None, []),
    ],
)
def test_what_is_implausible_is_said(share, figures, words):
    said = doubts(share, figures)
    assert len(said) == len(words) and all(word in sentence for word, sentence in zip(words, said))
    assert all("look at this page" in sentence for sentence in said)


def half_sure(tiles):
    """Dark pixels are handwriting with a probability of 0.6."""
    return np.where(tiles.mean(1, keepdims=True) < 0.5, 0.6, 0.0).astype(np.float32)


def test_an_erased_page_carries_its_confidence():
    image = np.full((60, 80, 3), 230, np.uint8)
    image[10:20, 10:50] = 30
    eraser = eraser_with(constant(1.0), segmenter=half_sure)
    erased = eraser(image)
    assert erased.confidence == Confidence(0.6, 0, 0.4, 0)
    assert len(erased.warnings) == 1 and "print may have been erased" in erased.warnings[0]
    assert eraser(image, keep=[(0, 0, 80, 30)]).warnings == []
    pipeline = tiny()
    pipeline.segment = None  # then all of every page is erased, and nothing says how sure that is
    erased = eraser_with(constant(1.0), segmenter=None, pipeline=pipeline)(image)
    assert erased.share == 1 and erased.confidence is None and erased.warnings == []


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_page_is_trusted_as_much(turns):
    page = print_page(size=(700, 500), letters=True)
    eraser = eraser_with(constant(1.0), segmenter=half_sure, pipeline=tiny(line_height=24.0), reader=READER)
    upright = eraser(page).confidence
    turned = np.ascontiguousarray(np.rot90(page, -turns))
    assert vars(eraser(turned).confidence) == pytest.approx(vars(upright), abs=0.02)
    height, width = turned.shape[:2]
    kept = eraser(turned, keep=[(0, 0, width, height // 2)]).confidence
    assert kept.left == pytest.approx(upright.left, abs=0.02)  # what the box keeps was not to be erased


def test_warnings_stand_in_the_report_and_on_stderr(eraser, capsys):
    eraser.segmenter = half_sure
    blotted = page()
    blotted[:40] = 20
    save_tiff("in.tif", page(ink=False), blotted)
    assert run("in.tif", "--report", "report.json") == ExitCode.OK
    clean, doubtful = report()["pages"]
    assert clean["warnings"] == []
    assert clean["confidence"] == {"ink": 0.0, "left": 0.0, "taken": 0.0, "torn": 0.0, "guessed": False}
    assert doubtful["confidence"]["taken"] == 0.4 and doubtful["share"] == pytest.approx(40 / 60, abs=1e-4)
    assert [warning[:9] for warning in doubtful["warnings"]] == ["print may", "67% of th"]
    written = capsys.readouterr().err
    assert written.count("dehw: in.tif, page 2: ") == 2
    assert "dehw: in.tif, page 2: 67% of the page was erased" in written and "page 1" not in written


def test_doubts_of_a_page_that_is_copied_are_kept(eraser):
    """Unsure of what it leaves: nothing reaches the threshold."""
    eraser.segmenter = lambda tiles: half_sure(tiles) * 0.7
    write_image("a.png", page())
    assert run("a.png", "--report", "report.json") == ExitCode.OK
    assert report()["pages"][0]["status"] == "empty" and "may be left" in report()["pages"][0]["warnings"][0]


def test_warnings_are_messages_of_json_progress(eraser, capsys):
    eraser.segmenter = half_sure
    write_image("a.png", page())
    assert run("a.png", "--progress", "json") == ExitCode.OK
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    told = [line["message"][:12] for line in lines if line.get("message", "").startswith("a.png")]
    assert told == ["a.png: print"]
    assert files()[0] == "a.clean.png"


def test_a_page_without_lines_says_so():
    """Without handwriting too: it may have been missed at the wrong scale. A blank page has nothing to miss."""
    pipeline = tiny(line_height=20.0)
    grey = np.full((60, 80, 3), 230, np.uint8)
    grey[10:20, 10:50] = 180
    none = Reader(lambda tiles: tiles[:, :1] * 0)
    eraser = eraser_with(constant(1.0), segmenter=half_sure, pipeline=pipeline, reader=none)
    (warning,) = eraser(grey).warnings
    assert warning.startswith("no text lines were found, so the scale is a guess")
    assert eraser(np.full((60, 80, 3), 230, np.uint8)).warnings == []
    assert eraser_with(constant(1.0), segmenter=half_sure, pipeline=pipeline)(grey).warnings == []
