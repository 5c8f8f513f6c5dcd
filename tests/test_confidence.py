import json
from dataclasses import replace

import numpy as np
import pytest
from drawn import READER, print_page
from erasers import constant, eraser_with, tiny
from files import files, page, report, run, save_tiff

from dehw.errors import ExitCode
from dehw.files.images import write_image
from dehw.page import confidence, layout
from dehw.page.confidence import Confidence, doubts, erased, measure
from dehw.page.layout import Reader

WHITE = np.full((10, 10, 3), 255, np.uint8)


def test_sure_and_possible_are_counted():
    prob = np.zeros((10, 10), np.float32)
    prob[0, :4], prob[1, :8] = (0.31, 0.5, 0.69, 0.29), 0.9
    figures = measure(WHITE, prob, prob > 0.5, layout.UNREAD)
    assert (figures.possible, figures.sure, figures.lines) == (0.11, pytest.approx(8 / 11, abs=1e-4), 0)


def test_a_page_without_handwriting_is_sure():
    assert measure(WHITE, WHITE[..., 0] * np.float32(0), WHITE[..., 0] < 9, layout.UNREAD) == Confidence(0, 1, 0)


@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize(("height", "size"), [(30, (1400, 1000)), (60, (2800, 2000))])
def test_lines_in_the_mask_count_by_their_length(turns, height, size):
    page = np.ascontiguousarray(np.rot90(print_page(height, size=size), turns))
    found = layout.measure(page, READER)
    ink = page[..., 0] < 100
    upright = np.rot90(ink, -turns)  # the same pixels
    assert erased(page, ink & False, found.lines) == 0
    assert erased(page, ink, found.lines) == 1
    part = upright.copy()
    part[size[0] // 2 :] = False
    assert erased(page, np.ascontiguousarray(np.rot90(part, turns)), found.lines) == pytest.approx(0.5, abs=0.05)
    part = upright.copy()
    part[:, size[1] * 2 // 5 :] = False  # two fifths of each line
    assert erased(page, np.ascontiguousarray(np.rot90(part, turns)), found.lines) == 0


def test_a_few_lines_say_nothing():
    page = print_page()
    found, ink = layout.measure(page, READER), page[..., 0] < 100
    for count, share in ((confidence.ENOUGH - 1, 0), (confidence.ENOUGH, 1)):
        few = replace(found, lines=found.lines[:count])
        assert measure(page, ink.astype(np.float32), ink, few).lines == share


@pytest.mark.parametrize(
    "share, figures, words",
    [
        (0.05, Confidence(0.05, 0.9, 0.0), []),
        (0.0, Confidence(0.0, 1.0, 0.0), []),
        (0.0, Confidence(0.0005, 0.0, 0.0), []),  # specks of a clean page
        (0.3, Confidence(0.3, 0.9, 0.0), ["30% of the page"]),
        (0.05, Confidence(0.05, 0.35, 0.0), ["only 35%"]),
        (0.05, Confidence(0.05, 0.9, 0.73), []),
        (0.05, Confidence(0.05, 0.9, 0.97), ["97% of the lines of text"]),
        (0.05, Confidence(0.05, 0.9, 0.0, guessed=True), ["the scale is a guess"]),
        (0.4, Confidence(0.2, 0.3, 0.95), ["40% of the page", "only 30%", "95% of the lines"]),
        (1.0, None, []),
    ],
)
def test_what_is_implausible_is_said(share, figures, words):
    said = doubts(share, figures)
    assert len(said) == len(words) and all(word in sentence for word, sentence in zip(words, said))


def half_sure(tiles):
    """Dark pixels are handwriting with a probability of 0.6."""
    return np.where(tiles.mean(1, keepdims=True) < 0.5, 0.6, 0.0).astype(np.float32)


def test_an_erased_page_carries_its_confidence():
    image = np.full((60, 80, 3), 230, np.uint8)
    image[10:20, 10:50] = 30
    erased = eraser_with(constant(1.0), segmenter=half_sure)(image)
    assert erased.confidence == Confidence(round(400 / 4800, 6), 0, 0)
    assert len(erased.warnings) == 1 and "only 0%" in erased.warnings[0]
    pipeline = tiny()
    pipeline.segment = None  # then all of every page is erased, and nothing says how sure that is
    erased = eraser_with(constant(1.0), segmenter=None, pipeline=pipeline)(image)
    assert erased.share == 1 and erased.confidence is None and erased.warnings == []


def test_warnings_stand_in_the_report_and_on_stderr(eraser, capsys):
    eraser.segmenter = half_sure
    blotted = page()
    blotted[:40] = 20
    save_tiff("in.tif", page(ink=False), blotted)
    assert run("in.tif", "--report", "report.json") == ExitCode.OK
    clean, doubtful = report()["pages"]
    assert clean["warnings"] == []
    assert clean["confidence"] == {"possible": 0.0, "sure": 1.0, "lines": 0.0, "guessed": False}
    assert doubtful["confidence"]["sure"] == 0.0 and doubtful["share"] == pytest.approx(40 / 60, abs=1e-4)
    assert [warning[:8] for warning in doubtful["warnings"]] == ["67% of t", "only 0% "]
    written = capsys.readouterr().err
    assert (
        written.count("dehw: in.tif, page 2: ") == 2 and "dehw: in.tif, page 2: 67% of the page was erased" in written
    )
    assert "page 1" not in written


def test_doubts_of_a_page_that_is_copied_are_kept(eraser):
    """Unsure of what it leaves: nothing reaches the threshold."""
    eraser.segmenter = lambda tiles: half_sure(tiles) * 0.7
    write_image("a.png", page())
    assert run("a.png", "--report", "report.json") == ExitCode.OK
    assert report()["pages"][0]["status"] == "empty" and "some may be left" in report()["pages"][0]["warnings"][0]


def test_warnings_are_messages_of_json_progress(eraser, capsys):
    eraser.segmenter = half_sure
    write_image("a.png", page())
    assert run("a.png", "--progress", "json") == ExitCode.OK
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if line.startswith("{")]
    assert [line["message"][:11] for line in lines if "message" in line] == ["a.png: only"] and files()[
        0
    ] == "a.clean.png"


def test_a_page_without_lines_says_so():
    """Without handwriting too: it may have been missed at the wrong scale."""
    pipeline = tiny(line_height=20.0)
    blank = np.full((60, 80, 3), 230, np.uint8)
    none = Reader(lambda tiles: tiles[:, :1] * 0)
    erased = eraser_with(constant(1.0), segmenter=half_sure, pipeline=pipeline, reader=none)(blank)
    assert erased.warnings == ["no text lines were found, so the scale is a guess; look at this page"]
    assert eraser_with(constant(1.0), segmenter=half_sure, pipeline=pipeline)(blank).warnings == []
