"""The material bank: handwriting cut out of pairs and scans into files, and found again."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.commands import main
from dehw.data.materials import cut_pieces, cut_scan, find_pieces
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


def test_mistakes_are_told_and_nothing_is_written(data, tmp_path, capsys):
    assert run("-o", tmp_path / "bank") == 2
    assert "name DATA" in capsys.readouterr().err
    write_image(tmp_path / "other/set/images/p0.png", pair()[0])
    write_image(tmp_path / "other/set/gts/p0.png", pair()[1])
    assert run(data, tmp_path / "other", "-o", tmp_path / "bank", "--val-count", "0") == 2
    assert "another page is set/p0 too" in capsys.readouterr().err
    assert not (tmp_path / "bank").exists()
    assert run(data, "-o", data) == 2
    assert "not empty" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(data, "-o", tmp_path / "bank", "--ink-scale", "0")
    assert "at least 0.01" in capsys.readouterr().err


def test_a_bank_without_pieces_is_refused(tmp_path):
    with pytest.raises(InputError, match="dehw materials"):
        find_pieces(tmp_path)


def test_ink_dropped_into_the_bank_by_hand_is_found_too(tmp_path):
    write_image(tmp_path / "mine/word.jpg", pair()[0])
    write_image(tmp_path / ".hidden.png", pair()[0])
    assert [path.name for path in find_pieces(tmp_path)] == ["word.jpg"]
