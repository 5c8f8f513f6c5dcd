"""What a training cuts for its crops: the chain's steps, what they are made of, and what the crops then show."""

import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("paddleseg")
import paddle  # noqa: E402
from test_train_pipeline import stand_in, write_pipeline  # noqa: E402

from dehw import models  # noqa: E402
from dehw.commands import main  # noqa: E402
from dehw.config import NetworkConfig  # noqa: E402
from dehw.data import crops  # noqa: E402
from dehw.engine import weights  # noqa: E402
from dehw.errors import ExitCode, PageError  # noqa: E402
from dehw.files.images import read_image, write_image  # noqa: E402
from dehw.train import erase, pipeline, seg  # noqa: E402

PAPER, INK, RING = 250, (30, 30, 160), (40, 40, 40)


class DarkPixels(paddle.nn.Layer):
    """In the place of a segmenter: it takes for handwriting what is darker than its limit, print included."""

    def __init__(self, limit: float = 200.0):
        super().__init__()
        self.limit = self.create_parameter([1], default_initializer=paddle.nn.initializer.Constant(limit))

    def infer(self, tile):
        return (tile[:, :1] * 255 < self.limit).astype("float32")


def write_pairs(folder: Path, count: int = 4) -> Path:
    """Pages with a printed ring below, and a stroke of ink above, longer from page to page."""
    for number in range(count):
        gt = np.full((100, 90, 3), PAPER, np.uint8)
        cv2.circle(gt, (60, 75), 12, RING, 3)
        image = cv2.line(gt.copy(), (8, 20), (40 + 10 * number, 20), INK, 6)
        write_image(folder / f"images/{number}.png", image)
        write_image(folder / f"gts/{number}.png", gt)
    return folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder with a pipeline and the dataset `a`, current. Its segmenter looks, its generators learn nothing."""
    monkeypatch.setitem(models.MODELS, "dark_pixels", DarkPixels)
    monkeypatch.chdir(tmp_path)
    write_pipeline(tmp_path, recipes=True)
    write_pairs(tmp_path / "a")
    return tmp_path


def train_dark_pixels(limit: float = 200.0) -> NetworkConfig:
    network = NetworkConfig("dark_pixels", "seg.pdparams")
    weights.save(DarkPixels(limit), Path("output/tiny/weights/seg.pdparams"), type=network.type, args={})
    return network


def as_dark_pixels() -> None:
    """Make the pipeline's segmenter the stand-in."""
    path = Path("tiny.yml")
    path.write_text(
        re.sub(r"type: segformer_b0, (.*?), args: .*?, train", r"type: dark_pixels, \1, train", path.read_text())
    )


def wants(*opts: str):
    given = ["pipeline=tiny.yml", "network=one.pdparams", "crops.size=64", *opts]
    return erase.wants("tiny_mtrnet.yml", given, [Path("a")], "output")


def names(kind: str) -> list[str]:
    return sorted(
        path.relative_to(f"output/tiny/{kind}").as_posix() for path in Path(f"output/tiny/{kind}").rglob("*.png")
    )


def test_the_segmenter_s_mistakes_become_print_on_the_crops(home):
    as_dark_pixels()
    train_dark_pixels()
    recipes = wants("crops.recipes.mixup=0", "crops.recipes.handwriting=0", "crops.recipes.distractors=1").met("cpu")
    assert len(names("mistakes")) == 3 and all(
        name.endswith("_0.png") for name in names("mistakes")
    )  # one page is kept out
    ring = read_image(Path("output/tiny/mistakes") / names("mistakes")[0])
    assert 27 <= ring.shape[0] <= 31 and 27 <= ring.shape[1] <= 31  # of radius 12, 3 px thick, dilated by 3
    assert (np.abs(ring.astype(int) - RING).max(axis=2) < 4).sum() > 150 and (
        ring[len(ring) // 2, len(ring) // 2] == 255
    ).all()
    settings = crops.CropSettings(size=64, hflip=0, rotate=0, recipes=recipes)
    pairs = erase.find_pairs("a")
    crop = crops.CropStream(pairs, settings, seed=0)[0]
    plain = crops.CropStream(pairs, crops.CropSettings(size=64, hflip=0, rotate=0), seed=0)[0]
    added = (crop.gt.astype(int) - plain.gt).min(axis=2) < -50
    assert added.sum() > 100 and not crop.mask[added].any()


def test_mistakes_are_looked_for_again_by_another_segmenter_and_on_changed_pages_alone(home, capsys):
    as_dark_pixels()
    train_dark_pixels()
    first = wants().mistakes_bank()
    assert len(first.stale) == 3
    first.complete()
    assert wants().mistakes_bank().is_current
    assert "3/3" in capsys.readouterr().err.splitlines()[-1].split("\r")[-1]  # the bar ends whole
    page = first.stale[0].split("/")[1]
    image = read_image(f"a/images/{page}.png")
    write_image(f"a/images/{page}.png", np.ascontiguousarray(image[::-1]))
    write_image(f"a/gts/{page}.png", np.ascontiguousarray(read_image(f"a/gts/{page}.png")[::-1]))
    assert wants().mistakes_bank().stale == [f"a/{page}"]
    train_dark_pixels(limit=10)
    again = wants().mistakes_bank()
    assert len(again.stale) == 3
    again.complete()
    assert names("mistakes") == [] and again.pieces == 0
    assert (
        wants("crops.recipes.handwriting=0").met("cpu").mistakes is None
    )  # so rings are drawn, as in a first training
    assert wants("pipeline=tiny.yml", "crops.recipes.distractors=0").mistakes is False


def test_a_bank_knows_which_pages_and_ink_it_is_made_of(home):
    bank = wants().materials_bank()
    bank.complete()
    assert bank.pieces == 3 and wants().materials_bank().is_current
    widths = sorted(read_image(Path("output/tiny/materials/a") / name).shape[1] for name in names("materials/a"))
    assert widths[0] >= 34 and widths[-1] - widths[0] in (10, 20, 30)  # strokes of several pages
    write_image(home / "public/word.png", read_image("a/images/3.png")[:40])
    with_ink = wants("crops.recipes.ink=[public]")
    assert with_ink.materials_bank().stale == [*sorted(bank.sources), "public/word"]  # ink_scale counts from now on
    assert with_ink.met("cpu").materials == "output/tiny/materials/a" and "public/word_0.png" in names("materials/a")
    assert wants().materials_bank().gone == ["public/word"]


def test_what_a_training_is_made_of_tells_banks_by_their_contents(home):
    as_dark_pixels()

    def made_of(*opts):
        given = ["pipeline=tiny.yml", "network=one.pdparams", *opts]
        return erase.made_of("tiny_mtrnet.yml", given, [Path("a")], "output")

    assert made_of()["weights"] == {"seg.pdparams": None}  # whose mistakes are pasted, though validation takes the gt
    assert made_of("crops.recipes.distractors=0")["weights"] == {}
    train_dark_pixels()
    assert made_of()["weights"]["seg.pdparams"]
    write_image(home / "mine/word.png", np.zeros((9, 9, 3), np.uint8))
    for key in ("materials=mine", "ink=[mine]", "mistakes=mine"):
        before = made_of(f"crops.recipes.{key}")
        write_image(home / "mine/word.png", np.zeros((9, 9 + len(key), 3), np.uint8))
        after = made_of(f"crops.recipes.{key}")
        assert before["config"] != after["config"], key


@pytest.mark.parametrize("key", ["materials", "mistakes"])
def test_the_segmenter_s_record_tells_them_so_too(home, key):
    def recorded(folder):
        given = ["pipeline=tiny.yml", f"train_dataset.recipes.{key}={folder}"]
        return seg.made_of("tiny_seg.yml", given, [Path("a")], "output")["config"]

    write_image(home / "mine/word.png", np.zeros((9, 9, 3), np.uint8))
    shutil.copytree(home / "mine", home / "same")
    before = recorded("mine")
    assert before == recorded("same")
    write_image(home / "mine/word.png", np.zeros((9, 30, 3), np.uint8))
    assert recorded("mine") != before


def test_pages_without_ink_train_without_pasted_handwriting(home):
    for path in Path("a/gts").iterdir():
        write_image(Path("a/images") / path.name, read_image(path))
    found = wants().met("cpu")
    assert found.handwriting == 0 and found.materials is None and found.mixup > 0


def test_a_page_that_cannot_be_cut_is_named(home):
    wanted = wants()
    page = wanted.materials_bank().stale[0]
    Path(f"{page.replace('a/', 'a/gts/')}.png").write_bytes(b"no image")
    with pytest.raises(PageError, match=f"some pages could not be cut:\n .*gts/{page[2:]}.png"):
        wants().met("cpu")


def test_the_chain_cuts_before_the_networks_that_want_it_and_once(home, capsys, monkeypatch):
    as_dark_pixels()
    asked = []

    def look(chain, part, label, step, program, device):
        asked.append((part, label))
        train_dark_pixels()  # what the stand-in left are no weights
        config, opts, folders, output = chain._configured(step)
        erase.find_mistakes(config, opts, folders, output, device)

    monkeypatch.setattr(pipeline.Chain, "_train", stand_in)
    monkeypatch.setattr(pipeline.Chain, "_start", look)

    def train(*opts) -> dict[str, str]:
        assert main.main(["train", "--pipeline", "tiny.yml", "--device", "cpu", "--data", "a", *opts]) == ExitCode.OK
        return dict(re.findall(r"^train: (\d)/7 (.*)$", capsys.readouterr().err, re.MULTILINE))

    told = train()
    assert told["3"] == "materials: output/tiny/materials/a: 3 pages" and len(names("materials/a")) == 3
    assert told["5"] == "mistakes: output/tiny/mistakes: 3 pages" and len(names("mistakes")) == 3
    weights_of = {number: told[number].split(":")[0] for number in "467"}
    assert weights_of == {n: f"output/tiny/weights/{name}.pdparams" for n, name in zip("467", ("seg", "one", "two"))}
    assert wants().materials_bank().is_current and wants().mistakes_bank().is_current  # for train.py
    told = train()
    assert all("done before" in told[number] for number in "234567") and asked == [("mistakes", "5/7 mistakes")]
    (home / f"a/gts/{names('materials/a')[0][2:3]}.png").touch()
    told = train()
    assert told["3"].endswith("1 pages") and told["5"].endswith("3 pages") and "data changed" in told["6"]


def test_without_a_segmenter_trained_here_brackets_and_circles_are_drawn(home, capsys, monkeypatch):
    monkeypatch.setattr(pipeline.Chain, "_train", lambda *arguments: None)
    monkeypatch.setattr(pipeline.Chain, "_start", None)
    assert main.main(["train", "--pipeline", "tiny.yml", "--device", "cpu", "--data", "a"]) == ExitCode.OK
    assert "5/7 mistakes: the segmenter was not trained here; brackets" in capsys.readouterr().err
    assert wants().met("cpu").mistakes is None
