"""The recipes: what each step may change of a crop, how often it happens, and that it can be had again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from dehw.commands import main
from dehw.config import load
from dehw.data import crops, recipes
from dehw.data.augment import Crop
from dehw.data.crops import BatchesFrom, CropDataset, CropSettings, CropStream, decode
from dehw.data.figures import threshold_panel
from dehw.data.pairs import Pair, find_pairs
from dehw.data.recipes import STEPS, Kit, Recipes, follow
from dehw.errors import ConfigError, InputError
from dehw.files.images import read_image, write_image
from dehw.page.masks import soft_mask
from dehw.train.erase import EraseTraining

ROOT = Path(__file__).parents[1]
SIZE = 96
WRITING = ("handwriting", "marks", "stains", "specks")  # what goes on the image alone
PLAIN = CropSettings(size=SIZE, hflip=0, rotate=0, crops_per_page=4, buffer=2)


@pytest.fixture
def bank(tmp_path) -> Path:
    """Two pieces of ink, a dark red and a pale blue one."""
    for number, colour in enumerate([(160, 20, 30), (150, 160, 220)]):
        piece = np.full((24, 40, 3), 255, np.uint8)
        piece[4:20, 4:36] = colour
        write_image(tmp_path / f"bank/{number}.png", piece)
    return tmp_path / "bank"


@pytest.fixture
def pairs(tmp_path) -> list[Pair]:
    """Lined pages, the upper half of some of them written on."""
    rng = np.random.default_rng(0)
    for number in range(5):
        gt = np.full((160, 170, 3), 250 - 5 * number, np.uint8)
        gt[::16] = 20
        image = gt.copy()
        image[5:60][rng.random((55, 170)) < 0.2 * (number > 1)] = (30, 40, 160)
        write_image(tmp_path / f"set/images/{number}.png", image)
        write_image(tmp_path / f"set/gts/{number}.png", gt)
    return find_pairs(tmp_path / "set")


def paper(level: int = 255) -> Crop:
    page = np.full((SIZE, SIZE, 3), level, np.uint8)
    return Crop(page, page.copy(), np.zeros((SIZE, SIZE), np.float32))


def noise(seed: int) -> Crop:
    """A crop of random print with random ink on it."""
    rng = np.random.default_rng(seed)
    gt = rng.choice(np.array([255, 0], np.uint8), (SIZE, SIZE, 1), p=[0.8, 0.2]).repeat(3, 2)
    image = np.minimum(gt, rng.integers(150, 256, gt.shape, np.uint8))
    return Crop(image, gt, soft_mask(image, gt))


def kit(bank: Path, other: Crop | None = None) -> Kit:
    return Kit(print_height=16, another=lambda rng: other or noise(99), pieces=sorted(bank.glob("*.png")))


def same(first: Crop, second: Crop) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("image", "gt", "mask"))


@pytest.mark.parametrize("name", STEPS)
@pytest.mark.parametrize("seed", range(5))
def test_every_step_gives_a_crop_and_leaves_the_one_it_was_given(bank, name, seed):
    crop, before = noise(1), noise(1)
    after = STEPS[name](crop, np.random.default_rng(seed), kit(bank))
    assert same(crop, before) and not same(after, before)
    for array, old in ((after.image, crop.image), (after.gt, crop.gt), (after.mask, crop.mask)):
        assert array.shape == old.shape and array.dtype == old.dtype
    assert 0 <= after.mask.min() and after.mask.max() <= 1
    assert name == "mixup" or (after.image <= crop.image).all()  # whatever is added, it darkens


@pytest.mark.parametrize("name", WRITING)
@pytest.mark.parametrize("seed", range(5))
def test_writing_and_dirt_go_on_the_image_alone_with_the_mask_of_their_difference(bank, name, seed):
    after = STEPS[name](paper(), np.random.default_rng(seed), kit(bank))
    assert (after.gt == 255).all() and (after.image < 255).any()
    seen = soft_mask(after.image, after.gt)
    assert (after.mask <= seen + 1e-6).all()  # where two patches cross, together they are darker than each alone
    assert ((after.mask > 0) == (seen > 0)).all()
    if name != "handwriting":  # whose places depend on the page
        grey = STEPS[name](paper(200), np.random.default_rng(seed), kit(bank))
        np.testing.assert_array_equal(grey.mask, after.mask)  # the mask is the stroke's, on any paper
    marked = STEPS[name](
        replace(paper(), mask=np.full((SIZE, SIZE), 0.7, np.float32)), np.random.default_rng(seed), kit(bank)
    )
    np.testing.assert_array_equal(marked.mask, np.maximum(after.mask, np.float32(0.7)))


@pytest.mark.parametrize("seed", range(8))
def test_distractors_are_printed_on_image_and_gt_alike_with_mask_0(bank, seed):
    inked = replace(paper(), mask=np.ones((SIZE, SIZE), np.float32))
    after = recipes.distractors(inked, np.random.default_rng(seed), kit(bank))
    np.testing.assert_array_equal(after.image, after.gt)
    black = after.gt.max(axis=2) < 200
    assert black.any() and not after.mask[black].any()
    assert (after.mask[after.gt.min(axis=2) == 255] == 1).all()
    print_only = recipes.distractors(paper(), np.random.default_rng(seed), kit(bank))
    assert not print_only.mask.any()


def test_distractors_are_what_the_segmenter_mistook_where_that_is_known(bank):
    mistakes = sorted(bank.glob("0.png"))  # a dark red block of 16 x 32 px
    known = replace(kit(bank), mistakes=mistakes)
    for seed in range(8):
        after = recipes.distractors(paper(), np.random.default_rng(seed), known)
        np.testing.assert_array_equal(after.image, after.gt)
        assert not after.mask.any()
        dark = after.gt[after.gt.max(axis=2) < 200]
        own = (np.abs(dark.astype(int) - (160, 20, 30)) <= 2).all(axis=1)
        assert own.sum() > 80 and own.mean() > 0.5  # but at edges, and where blocks cross


def test_distractors_of_every_kind_are_drawn_whole():
    rng = np.random.default_rng(0)
    shapes = set()
    for _ in range(60):
        patch = recipes.printed(rng, 20)
        assert patch.dtype == np.uint8 and patch.ndim == 3
        assert patch.min() < 90 and 0.02 < (patch.min(axis=2) < 128).mean() < 0.9
        shapes.add(patch.shape)
    assert len(shapes) > 20


def test_handwriting_is_the_bank_s_in_its_own_ink_or_another(bank):
    strokes = [recipes.handwriting(paper(), np.random.default_rng(seed), kit(bank)) for seed in range(40)]
    colours = np.array([s.image[s.image.sum(2).argmin() // SIZE, s.image.sum(2).argmin() % SIZE] for s in strokes])
    own = (np.abs(colours.astype(int) - (160, 20, 30)).max(1) < 4).sum()
    assert own >= 3  # the dark red lies uncrossed and undyed on top at times
    hues = {int(colour.argmin()) * 3 + int(colour.argmax()) for colour in colours}
    assert len(hues) > 2  # and there are other inks
    written = [(s.mask > 0.5).sum() for s in strokes]
    assert min(written) > 20 and max(written) > 3 * min(written)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
def test_pages_and_labels_are_blended_by_one_share(share):
    rng = np.random.default_rng(0)
    pages = rng.integers(0, 256, (4, SIZE, SIZE, 3)).astype(np.uint8)
    labels = rng.random((2, SIZE, SIZE)).astype(np.float32)
    blended = recipes.blend(Crop(pages[0], pages[1], labels[0]), Crop(pages[2], pages[3], labels[1]), share)
    for name, mine, its in (("image", 0, 2), ("gt", 1, 3)):
        expected = share * pages[mine].astype(float) + (1 - share) * pages[its].astype(float)
        np.testing.assert_allclose(getattr(blended, name), expected, atol=0.501)
    np.testing.assert_allclose(blended.mask, share * labels[0] + (1 - share) * labels[1], atol=1e-6)


def test_in_mixup_a_crop_keeps_the_larger_part_of_itself(bank):
    """Ink in each corner tells by its label which share its crop has, and pixels say the same."""
    crop, other = paper(), paper()
    for page, corner in ((crop, np.s_[:20, :20]), (other, np.s_[-20:, -20:])):
        page.image[corner], page.mask[corner] = 0, 1
    shares = []
    for seed in range(200):
        mixed = recipes.mixup(crop, np.random.default_rng(seed), kit(bank, other))
        shares.append(float(mixed.mask[0, 0]))
        assert mixed.mask[-1, -1] == pytest.approx(1 - shares[-1], abs=1e-6)
        assert abs(mixed.image[0, 0, 0] - 255 * (1 - shares[-1])) < 1 and (mixed.gt == 255).all()
    assert min(shares) >= 0.5 and max(shares) > 0.999
    folded = stats.beta(0.4, 0.4)
    assert stats.kstest(shares, lambda share: 2 * folded.cdf(share) - 1).pvalue > 0.01


@pytest.mark.parametrize("count", [1, 2])
def test_an_overlay_is_invert_add_clip_and_invert_back_on_white_paper(bank, count):
    crop, other = noise(1), noise(2)
    seed = next(s for s in range(20) if np.random.default_rng(s).integers(1, 3) == count)
    mixed = recipes.overlay(crop, np.random.default_rng(seed), kit(bank, other))
    for name in ("image", "gt"):
        darkness = 255 - getattr(crop, name).astype(int) + count * (255 - getattr(other, name).astype(int))
        np.testing.assert_array_equal(getattr(mixed, name), 255 - np.minimum(darkness, 255))
    expected = crop.mask
    for _ in range(count):
        expected = np.minimum(expected + other.mask, 1)
    np.testing.assert_allclose(mixed.mask, expected)


def test_an_overlay_of_grey_paper_stays_grey_and_its_mask_is_the_mixture_s(bank):
    crop, other = paper(180), paper(170)
    crop.image[:20] = 175  # 5 levels, a quarter of full
    other.image[10:30] = 162
    for page in (crop, other):
        page.mask[:] = soft_mask(page.image, page.gt)
    mixed = recipes.overlay(crop, np.random.default_rng(0), kit(bank, other))
    assert (mixed.gt == 180).all()
    np.testing.assert_allclose(mixed.mask, soft_mask(mixed.image, mixed.gt), atol=1e-6)
    assert mixed.image[15, 0, 0] < mixed.image[5, 0, 0] == 175


def test_patches_are_cut_by_the_crop_s_edge(bank):
    crop = paper()
    patch = np.zeros((10, 30, 3), np.uint8)
    recipes._write(crop, patch, (-4, SIZE - 8))
    assert not crop.image[:6, -8:].any() and crop.mask.sum() == 6 * 8
    assert (crop.image[6:] == 255).all() and (crop.image[:, :-8] == 255).all()
    big = recipes._overlap((SIZE, SIZE), (500, 10), (-100, 0))
    assert big == ((slice(0, SIZE), slice(0, 10)), (slice(100, 100 + SIZE), slice(0, 10)))


def test_free_spots_are_lighter_than_chance(bank):
    image = np.full((SIZE, SIZE, 3), 255, np.uint8)
    image[:, : SIZE // 2] = 0
    rng = np.random.default_rng(0)
    columns = [recipes.free_spot(image, (10, 10), rng)[1] for _ in range(50)]
    assert np.mean(np.array(columns) >= SIZE // 2) > 0.95


def test_steps_happen_with_their_probabilities(bank, monkeypatch):
    happened = []
    for name in STEPS:
        monkeypatch.setitem(recipes.STEPS, name, lambda crop, rng, kit, name=name: happened.append(name) or crop)
    settings = Recipes(mixup=0.1, marks=0.5, specks=1.0)
    for seed in range(1000):
        follow(paper(), np.random.default_rng(seed), settings, kit(bank))
    rates = {name: happened.count(name) / 1000 for name in STEPS}
    assert abs(rates["mixup"] - 0.1) < 0.03 and abs(rates["marks"] - 0.5) < 0.05 and rates["specks"] == 1
    assert rates["distractors"] == rates["handwriting"] == rates["stains"] == 0


def everything(bank: Path) -> CropSettings:
    steps = Recipes(materials=str(bank), redraw=3, print_size=16, **dict.fromkeys(STEPS, 0.7))
    return replace(PLAIN, hflip=0.5, rotate=0.5, recipes=steps)


def test_a_crop_depends_on_seed_lane_and_number_alone(pairs, bank):
    stream = CropStream(pairs, everything(bank), seed=1, lane=2)
    in_order = [stream[n] for n in range(12)]
    recipes.read_piece.cache_clear()
    again = CropStream(pairs, everything(bank), seed=1, lane=2)
    assert all(same(again[n], in_order[n]) for n in (11, 3, 0, 7))
    for other in (CropStream(pairs, everything(bank), 2, 2), CropStream(pairs, everything(bank), 1, 3)):
        assert sum(same(other[n], in_order[n]) for n in range(12)) == 0


def test_workers_give_the_very_same_crops(pairs, bank):
    import paddle

    crops.prepare_workers(2)
    dataset = CropDataset(pairs, everything(bank), batch=2, steps=5, seed=0, lanes=2)
    loader = paddle.io.DataLoader(dataset, batch_sampler=BatchesFrom(dataset, 1), num_workers=2)
    batches = [image.numpy() for image, _, _ in loader]
    expected = [np.stack([dataset[2 * step][0], dataset[2 * step + 1][0]]) for step in range(1, 5)]
    np.testing.assert_array_equal(batches, expected)


def test_the_segmenter_s_crops_follow_the_recipes_too(pairs, bank, tmp_path):
    pytest.importorskip("paddleseg")
    from dehw.train.segdata import DehwCrops

    keys = {"marks": 1.0, "handwriting": 1.0, "materials": str(bank), "print_size": 16}
    marked = DehwCrops(str(tmp_path / "set"), [], val_count=1, size=SIZE, recipes=keys)
    plain = DehwCrops(str(tmp_path / "set"), [], val_count=1, size=SIZE)
    pages = [(marked[0], plain[0]) for _ in range(4)]
    assert all((one["label"] >= two["label"]).all() for one, two in pages)
    assert sum((one["label"] > two["label"]).any() for one, two in pages) == 4
    with pytest.raises(InputError, match="dehw materials"):
        DehwCrops(str(tmp_path / "set"), [], val_count=1, recipes={"materials": str(tmp_path / "none")})


def test_mirroring_mirrors_what_was_added(pairs, bank):
    settings = everything(bank)
    upright = CropStream(pairs, replace(settings, hflip=0.0), seed=0)
    mirrored = CropStream(pairs, replace(settings, hflip=1.0), seed=0)
    settings.recipes.redraw = 0
    for n in range(4):
        assert same(upright[n].mirrored(), mirrored[n])
        np.testing.assert_array_equal(mirrored[n].image, upright[n].image[:, ::-1])


def test_crops_without_ink_are_drawn_again(pairs):
    rates = []
    for redraw in (0, 2, 10):
        stream = CropStream(pairs, replace(PLAIN, size=32, buffer=5, recipes=Recipes(redraw=redraw)), seed=0)
        rates.append(np.mean([(stream[n].mask >= 0.5).any() for n in range(60)]))
    assert rates[0] < 0.5 < rates[1] < rates[2] and rates[2] > 0.9
    bare = [pair for pair in pairs if pair.stem in "01"]
    assert not CropStream(bare, replace(PLAIN, recipes=Recipes(redraw=3)), seed=0)[0].mask.any()  # it ends all the same


def test_ground_truth_is_cleaned_before_crops_are_cut(tmp_path):
    rng = np.random.default_rng(0)
    gt = np.full((SIZE, SIZE, 3), 200, np.uint8)
    image = gt + rng.integers(0, 8, gt.shape, np.uint8)  # what compression does
    image[20:40, 20:40] = 60
    for name, page in (("images", image), ("gts", gt)):
        write_image(tmp_path / name / "0.png", page)
    pairs = find_pairs(tmp_path)
    crop = CropStream(pairs, replace(PLAIN, clean_gt=10.0), seed=0)[0]
    far = np.ones((SIZE, SIZE), bool)
    far[19:41, 19:41] = False  # the mask grows by a pixel
    np.testing.assert_array_equal(crop.gt[far], image[far])
    assert (crop.gt[20:40, 20:40] == 200).all() and not crop.mask[far].any() and crop.mask[30, 30] == 1
    np.testing.assert_array_equal(CropStream(pairs, PLAIN, seed=0)[0].gt, decode(pairs[0]).gt)


@pytest.mark.parametrize(
    "wrong", [{"marks": 1.5}, {"mixup": -0.1}, {"redraw": -1}, {"print_size": 0}, {"min_ink": 2}, {"ink": "folder"}]
)
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError):
        Recipes(**wrong)
    with pytest.raises(ValueError, match="clean_gt"):
        CropSettings(clean_gt=255)


def test_handwriting_from_nowhere_is_refused(pairs):
    with pytest.raises(InputError, match="handwriting needs recipes.materials"):
        CropStream(pairs, replace(PLAIN, recipes=Recipes(handwriting=0.3)), seed=0)


def test_recipes_are_off_unless_a_configuration_names_them():
    assert load(ROOT / "configs/erasenet.yml", EraseTraining).crops.recipes == Recipes()
    opts = ["crops.recipes.marks=0.3", "crops.clean_gt=10"]
    changed = load(ROOT / "configs/erasenet.yml", EraseTraining, opts).crops
    assert changed.recipes == Recipes(marks=0.3) and changed.clean_gt == 10
    with pytest.raises(ConfigError, match="crops.recipes.mark'.*did you mean 'marks'"):
        load(ROOT / "configs/erasenet.yml", EraseTraining, ["crops.recipes.mark=0.3"])


def test_what_the_first_seed_did_is_on_in_its_pipeline():
    pytest.importorskip("paddleseg")
    from dehw.train import seg

    crops = load(ROOT / "configs/mtrnet.yml", EraseTraining).crops
    config, _ = seg.read_config(str(ROOT / "configs/segformer_b2.yml"))
    for found in (crops.recipes, Recipes(**config.dic["train_dataset"]["recipes"])):
        assert min(found.mixup, found.distractors, found.handwriting) > 0
        assert found == Recipes(mixup=found.mixup, distractors=found.distractors, handwriting=found.handwriting)
    assert crops.clean_gt == 5
    config, _ = seg.read_config(str(ROOT / "configs/segformer_b2.yml"), ["train_dataset.recipes.marks=0.3"])
    assert config.dic["train_dataset"]["recipes"]["marks"] == 0.3


def test_the_sheet_has_a_row_for_every_step(pairs, bank, tmp_path, capsys):
    sheet = tmp_path / "sheet.png"
    arguments = ["recipes", str(tmp_path / "set"), "-o", str(sheet), "--size", str(SIZE), "--line-height", "26"]
    assert main.main([*arguments, "--materials", str(bank)]) == 0
    rows = len(STEPS) + 2  # and one for crops drawn again, and one for all of them
    row, column = SIZE + 40 + 12, SIZE + 12
    picture = read_image(sheet)
    assert picture.shape == (rows * row - 12, 4 * column - 12, 3)
    for at in range(rows):
        before, after = (picture[at * row + 40 : (at + 1) * row - 12, c : c + SIZE] for c in (0, column))
        assert not np.array_equal(before, after), at
    assert main.main(arguments) == 0  # without materials: a row less
    assert read_image(sheet).shape[0] == (rows - 1) * row - 12


def test_the_sheet_never_replaces_a_page(pairs, tmp_path, capsys):
    before = pairs[0].image.read_bytes()
    assert main.main(["recipes", str(tmp_path / "set"), "-o", str(pairs[0].image)]) == 2
    assert "choose another file" in capsys.readouterr().err and pairs[0].image.read_bytes() == before


def test_the_threshold_panel_shows_page_gt_and_what_exceeds_each_threshold():
    gt = np.full((40, 50, 3), 200, np.uint8)
    image = gt.copy()
    for row, level in enumerate((1, 2, 5, 6, 11, 16, 26)):
        image[row * 5 : row * 5 + 5] -= np.uint8(level)
    panel = threshold_panel(image, gt)
    row, column = 40 + 40 + 12, 50 + 12
    assert panel.shape == (2 * row - 12, 4 * column - 12, 3)
    tiles = [panel[r * row + 40 : r * row + 80, c * column : c * column + 50] for r in range(2) for c in range(4)]
    np.testing.assert_array_equal(tiles[0], image)
    np.testing.assert_array_equal(tiles[1], gt)
    for tile, above in zip(tiles[2:], (6, 4, 3, 2, 1)):  # stripes darker by more than 1, 5, 10, 15, 25
        white = (tile == 255).all(axis=2)
        assert white.sum() == above * 5 * 50 and ((tile == 0).all(axis=2) | white).all()


def test_crops_that_no_training_takes_are_refused_by_the_sheet(pairs, tmp_path, capsys):
    assert main.main(["recipes", str(tmp_path / "set"), "-o", str(tmp_path / "sheet.png"), "--size", "100000"]) == 2
    assert "'size' must be at most 4096" in capsys.readouterr().err
