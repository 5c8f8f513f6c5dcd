import json

import numpy as np
import pytest
from drawn import print_page
from erasers import constant, eraser_with, tiny
from files import files, page, report, run, save_tiff

from dehw.errors import ExitCode
from dehw.files.images import write_image
from dehw.page import confidence, layout
from dehw.page.confidence import Confidence, covered, doubts, measure

NO_PRINT = np.zeros((0, 4), np.float32)


def test_sure_and_possible_are_counted():
    prob = np.zeros((10, 10), np.float32)
    prob[0, :4], prob[1, :8] = (0.31, 0.5, 0.69, 0.29), 0.9
    figures = measure(prob, prob > 0.5, NO_PRINT)
    assert (figures.possible, figures.sure, figures.print) == (0.11, pytest.approx(8 / 11, abs=1e-4), 0)


def test_a_page_without_handwriting_is_sure():
    assert measure(np.zeros((5, 5), np.float32), np.zeros((5, 5), bool), NO_PRINT) == Confidence(0, 1, 0)


def test_print_in_the_mask_is_counted_from_a_word_on():
    letters = layout.measure(print_page()).letters
    prob = np.zeros((1400, 1000), np.float32)

    def taken(characters):
        mask = np.zeros(prob.shape, bool)
        for left, top, width, height in letters[:characters].astype(int):
            mask[top : top + height + 2, left : left + width + 2] = True
        return measure(prob, mask, letters).print

    assert taken(confidence.WORD - 1) == 0
    assert taken(50) == pytest.approx(50 / len(letters), rel=0.1)


@pytest.mark.parametrize(
    "share, figures, words",
    [
        (0.05, Confidence(0.05, 0.9, 0.0), []),
        (0.0, Confidence(0.0, 1.0, 0.0), []),
        (0.0, Confidence(0.0005, 0.0, 0.0), []),  # specks of a clean page
        (0.3, Confidence(0.3, 0.9, 0.0), ["30% of the page"]),
        (0.05, Confidence(0.05, 0.35, 0.0), ["only 35%"]),
        (0.05, Confidence(0.05, 0.9, 0.22), ["22% of the printed characters"]),
        (0.4, Confidence(0.2, 0.3, 0.5), ["40% of the page", "only 30%", "50% of the printed"]),
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
    assert clean["warnings"] == [] and clean["confidence"] == {"possible": 0.0, "sure": 1.0, "print": 0.0}
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


@pytest.mark.parametrize("turns", [0, 1])
def test_what_a_mask_takes_is_counted(turns):
    page = np.ascontiguousarray(np.rot90(print_page(), turns))
    letters = layout.measure(page).letters
    mask = np.zeros(page.shape[:2], bool)
    assert covered(letters, mask) == 0
    axis = turns  # half of the page along the lines
    half = [slice(None), slice(None)]
    half[1 - axis] = slice(0, page.shape[1 - axis] // 2)
    mask[tuple(half)] = True
    assert covered(letters, mask) == pytest.approx(len(letters) / 2, rel=0.1)
    mask[:] = True
    assert covered(letters, mask) == len(letters)
    thin = np.zeros_like(mask)
    thin[::3] = True  # a third of each box
    assert covered(letters, thin) == 0
