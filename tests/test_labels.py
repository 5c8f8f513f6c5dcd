"""Real pages labelled by boxes. Without PyTorch, which is optional, they are skipped."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from erasers import dark, eraser_with, tiny

pytest.importorskip("torch")

from dehw.files.images import read_image, write_image  # noqa: E402
from dehw.page.layout import Layout  # noqa: E402
from pretrain import labels  # noqa: E402

WORD, ANSWER, RULE = np.s_[40:60, 40:120], np.s_[100:120, 60:90], np.s_[124:126, 20:260]


@pytest.fixture
def page():
    """A white page with a printed word, an answer and the rule below it, all black."""
    image = np.full((200, 300, 3), 255, np.uint8)
    for place in (WORD, ANSWER, RULE):
        image[place] = 0
    return image


def boxes_of(*places):
    return [[p[1].start - 4, p[0].start - 4, p[1].stop + 4, p[0].stop + 4] for p in places]


def inner(place):
    """A place less its edge, which is not learnt from where it borders on handwriting."""
    return np.s_[place[0].start + 2 : place[0].stop - 2, place[1].start + 2 : place[1].stop - 2]


def test_boxes_win_over_what_the_networks_believed(page):
    prob = np.zeros(page.shape[:2], np.float32)
    prob[WORD] = 0.9
    ink, valid = labels.label(page, prob, {"print": boxes_of(WORD), "ink": boxes_of(ANSWER)})
    assert not ink[WORD].any() and ink[inner(ANSWER)].all()
    assert valid[inner(WORD)].all() and valid[inner(ANSWER)].all()
    assert not ink[RULE].any() and not ink[150:].any()


def test_halos_and_pale_print_are_learnt_as_print_too(page):
    page[40:60, 150:200] = 235  # too pale to count as dark
    prob = np.zeros(page.shape[:2], np.float32)
    prob[36:64, 36:204] = 0.6
    ink, valid = labels.label(page, prob, {"print": [[20, 20, 220, 80]]})
    assert not ink[:80].any() and valid[20:80, 20:220].all()


def test_ink_boxes_lie_upon_print_boxes_and_leave_rules(page):
    prob = np.full(page.shape[:2], 0.4, np.float32)
    box = [10, 90, 280, 140]  # over the answer and its rule
    ink, valid = labels.label(page, prob, {"print": [[0, 0, 300, 200]], "ink": [box]})
    assert ink[inner(ANSWER)].all() and not ink[RULE].any() and not ink[WORD].any()
    assert valid[inner(ANSWER)].all() and valid[inner(WORD)].all()
    assert not valid[RULE].any()  # a hand-drawn bar looks no other
    prob[RULE] = 0.9
    ink, valid = labels.label(page, prob, {"print": [[0, 0, 300, 200]], "ink": [box]})
    assert ink[RULE].all() and valid[RULE].all()


def test_without_boxes_only_what_is_sure_is_learnt(page):
    prob = np.zeros(page.shape[:2], np.float32)
    prob[WORD], prob[ANSWER] = 0.6, 0.95
    ink, valid = labels.label(page, prob, {})
    assert ink[inner(ANSWER)].all() and valid[inner(ANSWER)].all()
    assert not valid[WORD].any() and valid[150:].all()


def test_a_stroke_that_leaves_its_box_counts_inside_where_the_networks_agree(page):
    prob = np.zeros(page.shape[:2], np.float32)
    prob[40:60, 40:70] = 0.9
    ink, valid = labels.label(page, prob, {"ink": [[30, 30, 80, 70]]})  # half of the word
    assert ink[42:58, 42:68].all() and not ink[40:60, 74:120].any()
    assert not valid[42:58, 74:78].any()


def test_nothing_is_learnt_where_boxes_say_so(page):
    _, valid = labels.label(page, np.zeros(page.shape[:2], np.float32), {"ignore": boxes_of(WORD)})
    assert not valid[WORD].any() and valid[ANSWER].all()


@pytest.mark.parametrize("boxes", [{"inc": []}, {"ink": [[9, 9, 3, 12]]}, {"print": [[1, 2, 3]]}])
def test_wrong_boxes_are_told(page, boxes):
    with pytest.raises(ValueError):
        labels.label(page, np.zeros(page.shape[:2], np.float32), boxes)


def test_sheets_show_what_was_found_and_tell_places(page):
    prob = np.zeros(page.shape[:2], np.float32)
    prob[150:180, 150:200] = 1
    (sheet,) = labels.sheets(page, prob)
    assert sheet.shape == (218, 340, 3)
    assert sheet[18 + 165, 40 + 175].tolist()[0] > 240 > 150 > sheet[18 + 165, 40 + 175].tolist()[1]
    assert sheet[18 + 100, 40 + 250].max() < 200  # a line of the grid
    assert (sheet[:18, 40 + 92 : 40 + 125] < 100).any()  # its number
    large = cv2.resize(page, (2500, 5000))
    strips = list(labels.sheets(large, np.zeros(large.shape[:2], np.float32)))
    assert len(strips) == 3 and all(strip.shape[1] == 1290 for strip in strips)


def test_settled_pages_are_read_as_the_others_are(page, tmp_path):
    from pretrain.pages import Pages

    folder, target = tmp_path / "labels", tmp_path / "pages"
    folder.mkdir()
    np.save(folder / "a.npy", np.dstack([page, np.zeros(page.shape[:2], np.uint8)]))
    np.save(folder / "unseen.npy", np.dstack([page, np.zeros(page.shape[:2], np.uint8)]))
    (folder / "a.json").write_text(json.dumps({"ink": boxes_of(ANSWER)}))
    labels.settle(SimpleNamespace(folder=folder, target=target))
    assert [path.name for path in target.iterdir()] == ["a.npy"]
    settled = np.load(target / "a.npy")
    assert settled.shape == (200, 300, 8) and (settled[..., 6][inner(ANSWER)] == 255).all()
    assert Pages([(target, 1.0)], 64, seed=0).batch(2).shape == (2, 8, 64, 64)
    (folder / "a.json").write_text('{"ink": [[5, 5, 1, 1]]}')
    with pytest.raises(SystemExit, match="a.json"):
        labels.settle(SimpleNamespace(folder=folder, target=target))


def test_mistakes_are_counted_where_labels_hold(page):
    ink, valid, mask = (np.zeros(page.shape[:2], bool) for _ in range(3))
    ink[ANSWER] = valid[:122] = True  # not the rule
    mask[40:60, 40:60] = mask[100:120, 60:80] = mask[RULE] = True
    settled = np.dstack([page, page, ink * np.uint8(255), valid * np.uint8(255)])
    assert labels.mistakes(settled, mask).tolist() == [20 * 20, 20 * 80, 20 * 10, 20 * 30]
    assert "print taken 0.2500  ink missed 0.3333" in labels.told("page", labels.shares(labels.mistakes(settled, mask)))


def test_judging_tells_pixels_and_pages_apart(page, tmp_path, monkeypatch, capsys):
    full, none = np.full(page.shape[:2], 255, np.uint8), np.zeros(page.shape[:2], np.uint8)
    np.save(tmp_path / "a.npy", np.dstack([page, page, none, full]))  # all print
    page[RULE] = page[ANSWER] = 255
    page[70:90, 40:120] = 0
    np.save(tmp_path / "b.npy", np.dstack([page, page, none, full]))
    taken = iter([np.zeros(page.shape[:2], bool), np.ones(page.shape[:2], bool)])
    eraser = SimpleNamespace(
        prepare=lambda page: None, segment=lambda prepared: None, mask=lambda prob, prepared: next(taken)
    )
    monkeypatch.setattr(labels.Eraser, "load", lambda **kinds: eraser)
    labels.judge(SimpleNamespace(pages=tmp_path, weights=None))
    print_of_a, print_of_b = 20 * 80 + 20 * 30 + 2 * 240, 2 * 20 * 80
    *_, pixels, mean = capsys.readouterr().out.splitlines()
    assert f"taken {print_of_b / (print_of_a + print_of_b):.4f}" in pixels and "taken 0.5000" in mean
    with pytest.raises(SystemExit, match="no .npy pages"):
        labels.judge(SimpleNamespace(pages=tmp_path / "none", weights=None))


def test_a_page_is_proposed_at_the_height_of_labels_whatever_the_pipelines_is(page, monkeypatch):
    monkeypatch.setattr(Layout, "factor", lambda self, target: target / 64)
    eraser = eraser_with(segmenter=dark, pipeline=tiny(line_height=48))
    scaled, prob = labels.look(page, eraser)
    assert scaled.shape == (100, 150, 3) and prob.shape == (100, 150)  # 32 of 64 px
    assert prob[22:28, 22:58].min() > 0.9 and prob[65:].max() < 0.1  # in the word, and below all that is drawn


def test_pages_are_proposed_once(page, tmp_path, monkeypatch):
    write_image(tmp_path / "pages" / "p.png", page)
    calls = []

    def look(image, eraser):
        calls.append(image.shape)
        return image, np.zeros(image.shape[:2], np.float32)

    monkeypatch.setattr(labels, "look", look)
    monkeypatch.setattr(labels.Eraser, "load", lambda **kinds: None)
    args = SimpleNamespace(pages=tmp_path / "pages", folder=tmp_path / "labels", only=None)
    labels.propose(args)
    labels.propose(args)
    assert calls == [page.shape]
    assert (read_image(tmp_path / "labels" / "p.1.png")[18:, 40:][ANSWER] == 0).any()
    assert np.load(tmp_path / "labels" / "p.npy").shape == (200, 300, 4)


def test_labels_are_mended_where_boxes_say_so(page, tmp_path):
    label = np.full(page.shape[:2], 128, np.uint8)
    label[WORD], label[:20] = 255, 0  # the word is print, and above it there is paper
    for folder, image in (("labels", label), ("pages", cv2.resize(page, (600, 400), interpolation=cv2.INTER_NEAREST))):
        write_image(tmp_path / folder / "a.png", image)
        write_image(tmp_path / folder / "untouched.png", image)
    (tmp_path / "boxes").mkdir()
    triangle = [[10, 114], [150, 114], [150, 134]]  # holds the rule's first part only from its slope on
    boxes = {"print": [[0, 20, 300, 140]], "ink": [*boxes_of(ANSWER), triangle], "ignore": [[200, 30, 300, 140]]}
    (tmp_path / "boxes" / "a.json").write_text(json.dumps(boxes))
    names = {name: tmp_path / name for name in ("labels", "boxes", "target", "pages")}
    labels.mend(SimpleNamespace(**names))
    mended, untouched = (
        cv2.imread(str(tmp_path / "target" / name), cv2.IMREAD_GRAYSCALE) for name in ("a.png", "untouched.png")
    )
    assert (untouched == label).all()
    assert (mended[WORD] == 0).all() and (mended[ANSWER] == 255).all() and (mended[:20] == 0).all()
    assert (mended[124, 100:150] == 255).all() and (mended[124:126, 20:60] == 0).all()
    assert mended[ANSWER[0].start - 1, 70] == 128 and mended[ANSWER[0].start - 3, 70] == 0  # its edge, and paper
    assert (mended[30:140, 200:] == 128).all() and (mended[140:] == 128).all()
    (tmp_path / "boxes" / "a.json").write_text('{"ink": [[[1, 1], [5, 5]]]}')
    with pytest.raises(SystemExit, match="a.json"):
        labels.mend(SimpleNamespace(**names))
