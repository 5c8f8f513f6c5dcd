"""`dehw synth`: files that training reads, the same for the same seed, from whatever sources are given."""

import gzip
import json
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest

from dehw.commands.main import main
from dehw.data import materials
from dehw.data.pairs import find_pairs
from dehw.data.synth import sources
from dehw.data.synth.ink import pen
from dehw.data.synth.mix import PrintedMix
from dehw.data.synth.printed import fonts, sides
from dehw.data.synth.printed.kinds import KINDS
from dehw.errors import InputError
from dehw.files.images import read_image, read_mask, write_image
from dehw.page import masks

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
ROLES = {
    role: [str(FONTS / "DejaVuSans.ttf")]
    for role in ("cjk", "latin", "cjk bold", "latin bold", "italic", "math", "mono")
}


@pytest.fixture(autouse=True)
def printing_fonts(monkeypatch):
    monkeypatch.setattr(fonts, "system_fonts", lambda: ROLES)


def synth(folder: Path, *more: str) -> int:
    """Make two pages with ink on each."""
    mix = folder.with_suffix(".yml")
    mix.write_text("printed: {exam: 1}\nink: {working: 1, marks: 1}\ncamera: {photo: 1, bend: 0.5}")
    return main(["synth", "2", "-o", str(folder), "--print-height", "12", "--mix", str(mix), *more])


def test_pages_pair_up_and_a_seed_says_what_they_are(tmp_path):
    assert synth(tmp_path / "a") == 0 and synth(tmp_path / "b") == 0
    pairs = find_pairs(tmp_path / "a")
    assert [pair.image.name for pair in pairs] == ["000000.jpg", "000001.jpg"]
    for pair in pairs:
        image, gt, mask = read_image(pair.image), read_image(pair.gt), read_mask(pair.mask)
        assert image.shape == gt.shape and set(np.unique(mask)) == {0, 1}
        drop = masks.difference(image, gt)
        assert drop[mask > 0.5].mean() > 8 * drop[mask < 0.5].mean()
        assert np.array_equal(image, read_image(tmp_path / "b" / "images" / pair.image.name))


def test_pages_there_already_are_left_alone(tmp_path):
    assert synth(tmp_path) == 0
    (tmp_path / "images" / "000000.jpg").write_bytes(b"mine")
    (tmp_path / "masks" / "000001.png").unlink()
    (tmp_path / "images" / "000001.jpg").unlink()
    assert synth(tmp_path) == 0
    assert (tmp_path / "images" / "000000.jpg").read_bytes() == b"mine"
    assert read_image(tmp_path / "images" / "000001.jpg").ndim == 3


def test_ink_is_found_as_strokes_pieces_or_pairs(tmp_path):
    strokes = {"一": [[[100, 400], [900, 420]]]}
    (tmp_path / "strokes").mkdir()
    with gzip.open(tmp_path / "strokes" / "medians.json.gz", "wt", encoding="utf-8") as file:
        json.dump(strokes, file)
    assert len(sources.find_ink(tmp_path / "strokes").hanzi) == 1
    with gzip.open(tmp_path / "strokes" / "paths.json.gz", "wt", encoding="utf-8") as file:
        json.dump({"く": ["M109,0c0,54.5,0,54.5,-109,109"]}, file)
    curve = sources.find_ink(tmp_path / "strokes").hanzi[1][0]
    assert np.allclose(curve[[0, -1]], [[1, 0], [0, 1]]) and len(curve) == 4
    assert np.allclose(curve[1], [26 / 27, 10 / 27])  # the cubic of these points at t = 1/3, by hand
    piece = np.zeros((12, 20, 4), np.uint8)
    piece[3:9, 2:18] = (0, 0, 255, 255)
    write_image(tmp_path / "pieces" / "one.png", piece)
    (found,) = sources.find_ink(tmp_path / "pieces").pieces
    assert found[5, 5] == 1 and found[0, 0] == 0
    cv2.imwrite(str(tmp_path / "pieces" / "photo.png"), np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match="photo.png"):
        sources.find_ink(tmp_path / "pieces")
    assert synth(tmp_path / "pairs") == 0
    assert len(sources.find_ink(tmp_path / "pairs").pieces) > 3


def test_clean_images_are_printed_at_the_height_asked_for(tmp_path):
    sheet = KINDS["exam"].typeset(np.random.default_rng(1), 12, ROLES).page
    write_image(tmp_path / "clean.png", sheet)
    given = sources.find_sources([tmp_path], [], None)
    page = sides.printed_page(np.random.default_rng(0), 24, given, PrintedMix(clean=1.0)).page
    measured = sides.clean_height(tmp_path / "clean.png")
    assert np.allclose(page.shape[:2], [n * 24 / measured for n in sheet.shape[:2]], atol=1)


def test_a_folder_without_fonts_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["synth", "1", "-o", "out", "--fonts", ".", "--workers", "1"]) == 2
    assert capsys.readouterr().err.startswith("dehw: ")


def test_a_hand_keeps_to_its_room():
    fonts = materials.load_families(FONTS)
    rng = np.random.default_rng(0)
    for _ in range(40):
        hand = pen.Hand.random(rng, materials.InkBank(fonts=fonts), 20, 2)
        line = hand.write(rng, materials.InkBank(fonts=fonts), 150)
        assert line is None or (line.shape[1] <= 165 and 0 <= line.min() and line.max() < 1 + 1e-5)
