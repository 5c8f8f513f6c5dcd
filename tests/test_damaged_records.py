"""What trainings note for their next run: a damaged file is refused by its name, with its cause and what to do."""

import json
import os

import numpy as np
import pytest

from dehw.data import bank, mask_files
from dehw.data.pairs import Pair, find_pairs
from dehw.errors import InputError
from dehw.files.atomic import read_json
from dehw.files.images import write_image
from dehw.train import scales

CUT = '{"a": [1'


@pytest.fixture
def data(tmp_path):
    for name in ("images/a.png", "gts/a.png"):
        write_image(tmp_path / "set" / name, np.full((40, 40, 3), 250, np.uint8))
    return tmp_path / "set"


@pytest.mark.parametrize(
    ("content", "cause"),
    [(CUT, "JSONDecodeError"), ("[" * 100_000, "RecursionError"), ("9" * 5000, "Error"), ("[]", "AttributeError")],
)
def test_file_cause_and_remedy_are_named(tmp_path, content, cause):
    file = tmp_path / "kept.json"
    file.write_text(content)
    with pytest.raises(InputError, match=rf"kept\.json is damaged \(\w*{cause}.*\); remove it\.$"):
        read_json(file, lambda known: dict(known.items()), "remove it")


def test_bytes_that_are_no_text_and_a_folder_in_its_place(tmp_path):
    file = tmp_path / "kept.json"
    assert read_json(file, len, "") == 0
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="UnicodeDecodeError"):
        read_json(file, dict, "remove it")


@pytest.mark.parametrize("content", [CUT, '{"PAGE": 5}', '{"PAGE": [1, 2, 3]}', '{"PAGE": [1, "tall"]}'])
def test_heights_of_lines(tmp_path, content):
    page = tmp_path / "a.png"
    page.touch()
    file = tmp_path / scales.REMEMBERED
    file.write_text(content.replace('"PAGE"', json.dumps(str(page))))
    with pytest.raises(InputError, match=r"lines\.json is damaged .*; remove it to have the lines"):
        scales._heights([Pair("a", page, page)], None, file, "cpu", None)


def test_a_page_without_lines_stays_without_a_height(tmp_path):
    page, file = tmp_path / "a.png", tmp_path / scales.REMEMBERED
    page.touch()
    os.utime(page, ns=(1, 7))
    file.write_text(json.dumps({str(page): [7, None]}))
    assert scales._heights([Pair("a", page, page)], None, file, "cpu", None) == [None]


@pytest.mark.parametrize("content", [CUT, "[]", "7"])
def test_masks(data, tmp_path, content):
    mask_files.renew(mask_files.outdated([data], tmp_path / "masks"))
    (index,) = (tmp_path / "masks").rglob(mask_files.INDEX)
    index.write_text(content)
    with pytest.raises(InputError, match=r"index\.json is damaged .*; remove it to have these masks made again"):
        mask_files.outdated([data], tmp_path / "masks")
    index.unlink()
    (renewal,) = mask_files.outdated([data], tmp_path / "masks")
    assert [task.image.name for task in renewal.tasks] == ["a.png"]


@pytest.mark.parametrize("content", [CUT, "[]", '{"pages": {"set/a": {"files": []}}}', '{"pages": [1]}'])
def test_banks(data, tmp_path, content):
    (tmp_path / "bank").mkdir()
    (tmp_path / "bank" / bank.INDEX).write_text(content)
    with pytest.raises(InputError, match=r"index\.json is damaged .*; remove it to have all pieces cut again"):
        bank.handwriting(tmp_path / "bank", find_pairs(data))
