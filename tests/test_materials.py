"""The material bank: handwriting cut out of pairs and scans into files, and found again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.commands import main
from dehw.data import bank
from dehw.data.materials import cut_mistakes, cut_pieces, cut_scan, find_pieces
from dehw.data.pairs import find_pairs
from dehw.errors import InputError
from dehw.files.images import read_image, write_image

RED = (220, 40, 50)
STROKES = np.s_[20:40, 10:40], np.s_[60:66, 70:110]  # two words, farther apart than strokes of one word are


def pair(paper: int = 255) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A page of red ink on paper of one level with a black line of print across the first word; gt; mask."""
    gt = np.full((90, 130, 3), paper, np.uint8)
    gt[30:32] = 0
    image, mask = gt.astype(np.float32), np.zeros((90, 130), bool)
    for stroke in STROKES:
        image[stroke] *= np.array(RED) / 255
        mask[stroke] = True
    return image.round().astype(np.uint8), gt, mask


@pytest.fixture
def data(tmp_path) -> Path:
    for number in range(4):
        image, gt, _ = pair(255 - number)
        write_image(tmp_path / f"set/images/p{number}.png", image)
        write_image(tmp_path / f"set/gts/p{number}.png", gt)
    return tmp_path / "set"


def test_pages_with_labels_and_no_ground_truth_give_pieces_too(data):
    """The print under a label stays in its piece; there is nothing to tell it by."""
    (data / "gts").rename(data / "Annotations")
    for path in list((data / "Annotations").iterdir()):
        write_image(path, pair()[2].astype(np.uint8))
    pieces = bank.handwriting(data.parent / "bank", find_pairs(data, labelled=True))
    assert pieces.renew() == [] and pieces.pieces == 8
    word = read_image(data.parent / "bank/set/p0_1.png")
    assert word.shape == (6, 40, 3) and np.abs(word.astype(int) - RED).max() <= 1


def run(*arguments) -> int:
    return main.main(["materials", *map(str, arguments)])


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))


@pytest.mark.parametrize("paper", [255, 180])
def test_pieces_are_the_ink_alone_whatever_paper_it_was_on(paper):
    pieces = cut_pieces(*pair(paper))
    assert [piece.shape for piece in pieces] == [(20, 30, 4), (6, 40, 4)]
    first = pieces[0]
    assert (first[..., 3] == 255).all()  # the stroke fills its box
    written = np.delete(first[..., :3], [10, 11], axis=0)  # but for the rows where print hides the ink
    assert np.abs(written.astype(int) - RED).max() <= 1


def test_what_is_no_stroke_is_white_and_transparent_in_a_piece():
    image, gt, mask = pair()
    mask[20:25, 10:20] = False
    first = cut_pieces(image, gt, mask)[0]
    assert (first[:5, :10, :3] == 255).all() and (first[:5, :10, 3] == 0).all()
    assert (first[..., 3] == 255).sum() == 20 * 30 - 50


def test_dust_is_no_piece_and_neighbours_stay_together():
    image, gt, mask = pair()
    image[80:84, 20:24], mask[80:84, 20:24] = 0, True  # 16 px, far from all else
    assert len(cut_pieces(image, gt, mask)) == 2
    assert len(cut_pieces(image, gt, mask, reach=61)) == 1


@pytest.mark.parametrize("inverted", [False, True])
def test_scans_of_bare_handwriting_are_cut_on_shaded_paper_and_on_black(inverted):
    shade = np.linspace(250, 190, 200)[:, None, None]
    page = np.broadcast_to(shade, (200, 300, 3)).copy()
    page[50:70, 40:120] *= 0.3
    page[140:150, 180:260] *= 0.3
    page = page.round().astype(np.uint8)
    pieces = cut_scan(255 - page if inverted else page)
    assert [piece.shape[:2] for piece in pieces] == [(20, 80), (10, 80)]
    assert all(abs(int(np.median(piece[..., :3])) - 0.3 * 255) < 8 for piece in pieces)
    assert [piece.shape[:2] for piece in cut_scan(page, scale=0.5)] == [(10, 40), (5, 40)]


def test_the_command_writes_a_piece_a_file_that_reads_as_ink_on_white(data, tmp_path, capsys):
    assert run(data, "-o", tmp_path / "bank", "--val-count", "1") == 0
    assert "6 pieces of 3 pages" in capsys.readouterr().err  # two words each; the page for validation is left out
    found = find_pieces(tmp_path / "bank")
    assert names(tmp_path / "bank") == [path.relative_to(tmp_path / "bank").as_posix() for path in found]
    assert all(name.startswith("set/p") and name[-6:] in ("_0.png", "_1.png") for name in names(tmp_path / "bank"))
    assert Image.open(found[0]).mode == "RGBA"
    piece = read_image(found[0])
    assert piece.shape == (20, 30, 3) and np.abs(piece[2, 2].astype(int) - RED).max() <= 1


def test_folders_of_ink_keep_their_places(tmp_path):
    image, _, _ = pair()
    cleared = np.full_like(image, 255)
    cleared[STROKES[1]] = image[STROKES[1]]
    for name in ("one/a.png", "two/a.png"):
        write_image(tmp_path / "hand" / name, cleared)
    assert run("--ink", tmp_path / "hand", "--ink-scale", "2", "-o", tmp_path / "bank") == 0
    assert names(tmp_path / "bank") == ["hand/one/a_0.png", "hand/two/a_0.png"]
    height, width = read_image(tmp_path / "bank/hand/one/a_0.png").shape[:2]
    assert abs(height - 12) <= 4 and abs(width - 80) <= 4


def test_pages_are_brought_to_the_line_height_first(data, tmp_path, monkeypatch):
    monkeypatch.setattr("dehw.page.layout.Layout.factor", lambda self, target: 0.5 if target == 16 else 1.0)
    assert run(data, "-o", tmp_path / "bank", "--line-height", "16") == 0
    height, width = read_image(find_pieces(tmp_path / "bank")[0]).shape[:2]
    assert abs(height - 10) <= 2 and abs(width - 15) <= 2  # half of a word, and the two words still apart


def test_a_page_that_cannot_be_read_is_named_and_the_others_are_cut(data, tmp_path, capsys):
    (data / "gts/p1.png").write_bytes(b"no image")
    assert run(data, "-o", tmp_path / "bank", "--val-count", "0") == 1
    assert "p1.png" in capsys.readouterr().err
    assert {name[4:6] for name in names(tmp_path / "bank")} == {"p0", "p2", "p3"}


def test_the_only_page_is_cut_where_none_is_left_out(data, tmp_path, capsys):
    for path in [*data.glob("*/p[1-9].*")]:
        path.unlink()
    assert run(data, "-o", tmp_path / "bank") == 2
    assert "Name a folder with more pairs." in capsys.readouterr().err
    assert run(data, "-o", tmp_path / "bank", "--val-count", "0") == 0
    assert {name[4:6] for name in names(tmp_path / "bank")} == {"p0"}


def test_mistakes_are_told_and_nothing_is_written(data, tmp_path, capsys):
    assert run("-o", tmp_path / "bank") == 2
    assert "name DATA" in capsys.readouterr().err
    for name in ("a.png", "a.jpg"):
        write_image(tmp_path / "hand" / name, pair()[0])
    assert run("--ink", tmp_path / "hand", "-o", tmp_path / "bank") == 2
    assert "another page is hand/a too" in capsys.readouterr().err
    assert not (tmp_path / "bank").exists()
    assert run(data, "-o", data) == 2
    assert "not empty" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(data, "-o", tmp_path / "bank", "--ink-scale", "0")
    assert "at least 0.01" in capsys.readouterr().err


def times(folder: Path) -> dict[str, int]:
    return {name: (folder / name).stat().st_mtime_ns for name in names(folder)}


def test_a_cut_command_goes_on_and_cuts_again_what_changed(data, tmp_path, capsys, monkeypatch):
    broken = data / "gts/p2.png"
    whole = broken.read_bytes()
    broken.write_bytes(b"no image")
    assert run(data, "-o", tmp_path / "bank", "--val-count", "0") == 1
    before = times(tmp_path / "bank")
    broken.write_bytes(whole)
    image, gt, mask = pair()
    image[STROKES[1]] = gt[STROKES[1]]  # one word less
    write_image(data / "images/p0.png", image)
    assert run(data, "-o", tmp_path / "bank", "--val-count", "0") == 0
    after = times(tmp_path / "bank")
    assert {name for name in before if before[name] == after.get(name)} == {
        f"set/p{page}_{piece}.png" for page in (1, 3) for piece in (0, 1)
    }
    assert sorted(after.keys() - before.keys()) == ["set/p2_0.png", "set/p2_1.png"]
    assert sorted(before.keys() - after.keys()) == ["set/p0_1.png"]
    assert "7 pieces of 4 pages" in capsys.readouterr().err
    (data / "images/p0.png").rename(data / "images/p9.png")
    (data / "gts/p0.png").rename(data / "gts/p9.png")
    assert run(data, "-o", tmp_path / "bank", "--val-count", "0") == 2  # whose pieces would p0's be?
    assert run(data, "-o", tmp_path / "bank", "--val-count", "0", "--line-height", "45") == 2
    assert times(tmp_path / "bank") == after


def test_pieces_of_pages_that_left_go_and_those_of_like_names_stay(tmp_path):
    image, gt, _ = pair()
    for stem in ("p", "p_1"):  # p_1_0.png is the first piece of p_1
        write_image(tmp_path / f"set/images/{stem}.png", image)
        write_image(tmp_path / f"set/gts/{stem}.png", gt)
    pairs = find_pairs(tmp_path / "set")
    bank.handwriting(tmp_path / "bank", pairs).complete()
    assert names(tmp_path / "bank") == ["set/p_0.png", "set/p_1.png", "set/p_1_0.png", "set/p_1_1.png"]
    fewer = bank.handwriting(tmp_path / "bank", pairs[1:])
    assert not fewer.is_current and fewer.gone == ["set/p"]
    fewer.complete()
    assert names(tmp_path / "bank") == ["set/p_1_0.png", "set/p_1_1.png"]
    assert bank.handwriting(tmp_path / "bank", pairs[1:]).is_current


def test_pages_of_two_datasets_of_one_name_are_kept_apart(tmp_path, data):
    image, gt, _ = pair()
    write_image(tmp_path / "other/set/images/p0.png", image)
    write_image(tmp_path / "other/set/gts/p0.png", gt)
    both = bank.handwriting(tmp_path / "bank", find_pairs([data, tmp_path / "other"]))
    both.complete()
    assert both.pieces == 10 and names(tmp_path / "bank")[0] == "set.2/p0_0.png"


def test_what_only_the_segmenter_found_is_cut_as_print():
    _, gt, mask = pair()
    gt[70:84, 20:32], gt[72:82, 22:30] = 40, 255  # a printed ring, far from the ink
    gt[5:15, 100:112] = 60
    found = mask.copy()
    found[68:86, 18:34] = True  # the ring, with a margin
    found[18:42, 8:42] = True  # the first word, generously, with some print in it
    missed = mask.copy()
    missed[62:64, 70:110] = False
    pieces = cut_mistakes(gt, found, missed)
    assert len(pieces) == 1
    ring = pieces[0]
    assert ring.shape == (18, 16, 4) and (ring[..., 3] == 255).all()
    np.testing.assert_array_equal(ring[..., :3], gt[68:86, 18:34])  # on white paper, print is as it is
    assert cut_mistakes(gt, mask, mask) == []
    grey = cut_mistakes((gt * 0.8).astype(np.uint8), found, mask)[0]
    assert np.abs(grey[..., :3].astype(int) - ring[..., :3]).max() <= 2  # and on grey paper too


def test_a_shadow_that_the_segmenter_found_is_no_bracket():
    gt = np.full((600, 700, 3), 250, np.uint8)
    gt[40:560, 40:80], gt[100:140, 400:440] = 90, 60
    found = gt[..., 0] < 200
    (bracket,) = cut_mistakes(gt, found, np.zeros_like(found))
    assert bracket.shape == (40, 40, 4)


def test_a_bank_without_pieces_is_refused(tmp_path):
    with pytest.raises(InputError, match="dehw materials"):
        find_pieces(tmp_path)


def test_ink_dropped_into_the_bank_by_hand_is_found_too(tmp_path):
    write_image(tmp_path / "mine/word.jpg", pair()[0])
    write_image(tmp_path / ".hidden.png", pair()[0])
    assert [path.name for path in find_pieces(tmp_path)] == ["word.jpg"]
