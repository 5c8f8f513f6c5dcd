"""What a training is made of, as its folder records it."""

import os
from pathlib import Path

import pytest

from dehw.config import NetworkConfig
from dehw.data.pairs import Pair
from dehw.errors import ConfigError
from dehw.train import steps

NETWORK = NetworkConfig("erasenet", "a.pdparams", {"width": 0.5})


@pytest.fixture
def pairs(tmp_path) -> list[Pair]:
    found = []
    for stem in ("a", "b"):
        files = [tmp_path / "set" / kind / f"{stem}.png" for kind in ("images", "gts")]
        for path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(stem.encode())
            os.utime(path, ns=(0, 1000))
        found.append(Pair(stem, *files))
    return found


def made_of(pairs, config=None, pace=None, weights=None):
    return steps.made_of(NETWORK, pairs, config or {}, pace or {}, weights or {})


def test_data_is_told_by_names_sizes_and_times(pairs, tmp_path):
    first = made_of(pairs)["data"]
    assert made_of(pairs)["data"] == first and first["pages"] == 2
    os.utime(pairs[0].gt, ns=(0, 2000))
    second = made_of(pairs)["data"]
    pairs[0].gt.write_bytes(b"longer")
    os.utime(pairs[0].gt, ns=(0, 2000))
    third = made_of(pairs)["data"]
    assert first != second != third != first
    moved = [Pair(p.stem, *(tmp_path / "new" / path.relative_to(tmp_path) for path in (p.image, p.gt))) for p in pairs]
    (tmp_path / "new").mkdir()
    (tmp_path / "set").rename(tmp_path / "new/set")
    assert made_of(moved)["data"] == third  # the folder may move as a whole


def test_changes_are_told_by_what_forbids_to_go_on_and_then_the_pace(pairs, tmp_path):
    file = tmp_path / "w.pdparams"
    file.write_bytes(b"1")
    then = made_of(pairs, {"crops": {"size": 32}, "seed": 1}, {"steps": 4}, {"w.pdparams": file})
    file.write_bytes(b"2")
    now = made_of(pairs[:1], {"crops": {"size": 64}, "seed": 1}, {"steps": 5}, {"w.pdparams": file})
    assert steps.changes(then, now) == [
        "data changed since",
        "crops.size was 32 and is 64",
        "w.pdparams changed since",
        "steps was 4 and is 5",
    ]
    assert not steps.may_go_on(then, now)
    assert steps.may_go_on(then, {**then, "pace": {"steps": 9}}) and steps.changes(then, then) == []


def test_a_folder_of_other_data_is_refused_and_a_cut_record_is_none(pairs, tmp_path):
    folder = tmp_path / "step"
    assert steps.read(folder) is None
    steps.begin(folder, made_of(pairs, {"seed": 1}))
    assert steps.read(folder) == {"made_of": made_of(pairs, {"seed": 1}), "finished": False}
    steps.begin(folder, made_of(pairs, {"seed": 2}))  # checkpoints tell of other configurations themselves
    with pytest.raises(ConfigError, match="on other data; rename that folder"):
        steps.begin(folder, made_of(pairs[:1]))
    steps.finish(folder, made_of(pairs))
    assert steps.read(folder)["finished"]
    (folder / steps.RECORD).write_text("{")
    assert steps.read(folder) is None


def test_folders_are_set_aside_by_the_next_free_number(tmp_path):
    for number in (1, 2):
        for path in (tmp_path / "seg/iter_1", tmp_path / "seg.pdparams"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(str(number))
        aside = steps.set_aside(tmp_path / "seg", tmp_path / "seg.pdparams", tmp_path / "none")
        assert aside == tmp_path / f"seg.{number}" and sorted(os.listdir(aside)) == ["iter_1", "seg.pdparams"]
    assert Path(tmp_path / "seg.1/iter_1").read_text() == "1" and not (tmp_path / "seg").exists()
