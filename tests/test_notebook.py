"""work/aistudio.ipynb: its form, its commands, and a run from top to bottom on made-up data in the contest's layout."""

import ast
import json
import re
import shlex
import shutil
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

import dehw.train
from dehw import config
from dehw.commands import main, submit
from dehw.files.find import find_pages
from dehw.files.images import write_image
from dehw.train import erase, folders, seg

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "work" / "aistudio.ipynb"
# The first three prepare and erase the visitor's pages; then the first seed's cells in its order, and the pictures.
CELLS = [
    "setup", "install", "try", "parameters",
    "unpack", "train-seg", "train", "predict-1", "predict-2", "zip", "picture",
]  # fmt: skip
SMOKE = """
PIPELINE = "smoke_mtrnet"
SEG_CONFIG = "configs/smoke/segformer.yml"
ERASE_CONFIG = "configs/smoke/mtrnet.yml"
OUTPUT = "runs"
DEVICE = "cpu"
"""
HEIGHT, WIDTH = 190, 260  # of the made-up pages; MS-SSIM needs 176
TEST_STEMS = ["dehw_testB_00000", "dehw_testB_00001"]


def notebook():
    return nbformat.read(NOTEBOOK, as_version=nbformat.NO_CONVERT)


def code(cell_id):
    return next(cell.source for cell in notebook().cells if cell.id == cell_id)


def command(cell_id):
    """The one command that a cell gives to run(), split as a shell does, the notebook's parameters put in."""
    parameters = {}
    exec(code("parameters"), parameters)
    calls = [node for node in ast.walk(ast.parse(code(cell_id))) if isinstance(node, ast.Call)]
    (call,) = (node for node in calls if getattr(node.func, "id", "") == "run")
    return shlex.split(eval(ast.unparse(call.args[0]), parameters))


def test_the_notebook_is_whole_and_carries_no_outputs():
    raw = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (raw["nbformat"], raw["nbformat_minor"]) == (4, 5)
    nbformat.validate(raw)  # cell ids: there, well formed, no two alike
    cells = [cell for cell in raw["cells"] if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in cells] == CELLS
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells)


def test_each_cell_is_introduced_in_chinese_with_an_english_line():
    cells = notebook().cells
    assert [cell.cell_type for cell in cells] == ["markdown"] + ["markdown", "code"] * len(CELLS)
    for cell in cells:
        if cell.cell_type == "markdown":
            *chinese, english = cell.source.splitlines()
            assert re.search(r"[\u4e00-\u9fff]{4}", "\n".join(chinese)), cell.source
            assert english.isascii() and re.fullmatch(r"\*[A-Z].*\.\*", english), cell.source


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("train-seg", "python work/train/train_seg.py"),
        ("train", "python work/train/train.py"),
        ("predict-1", "python work/pre_and_submit/1_predict_segformer.py"),
        ("predict-2", "python work/pre_and_submit/2_predictgan.py"),
        ("zip", "python -m zipfile -l submit/result.zip"),
    ],
)
def test_commands_are_the_seeds_and_their_scripts_exist(cell, words):
    words = words.split()
    assert command(cell)[: len(words)] == words
    assert words[1] == "-m" or (ROOT / words[1]).is_file()


def test_the_zips_come_from_where_ai_studio_mounts_them():
    calls = [ast.unparse(node) for node in ast.walk(ast.parse(code("unpack"))) if isinstance(node, ast.Call)]
    parameters = {"unpack": lambda *folders: folders}
    exec(code("parameters"), parameters)
    (call,) = (call for call in calls if call.startswith("unpack("))
    assert eval(call, parameters) == ("data/data126591", "data")
    assert parameters["PAGES"] == "data/dehw_testB_dataset"


def test_without_the_contests_zips_the_notebook_stops_and_says_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"Path": Path}  # of the setup
    exec(code("parameters"), names)
    for _ in ("no data at all", "training pages, but none to erase"):
        with pytest.raises(FileNotFoundError, match="zips are missing: put them into data/data126591/"):
            exec(code("unpack"), names)
        for folder in ("images", "gts"):
            write_image(tmp_path / f"data/dataset1/{folder}/1.png", np.zeros((5, 5, 3), np.uint8))
    (tmp_path / "data/dehw_testB_dataset").mkdir()
    exec(code("unpack"), names)


@pytest.mark.parametrize("given", ["uploads", "data/sample/images"])
def test_three_of_the_visitors_pages_are_erased_first_or_the_samples(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("10 a'b.png", "2.png", "3.png", "4.png"):
        for folder in {given, "data/sample/images"}:
            write_image(Path(folder, name), np.full((40, 30, 3), 250, np.uint8))
    Path("uploads").mkdir(exist_ok=True)
    (tmp_path / "uploads/.ipynb_checkpoints").mkdir()  # Jupyter makes it
    asked = []

    def run(command):
        words = shlex.split(command)
        asked.extend(words[words.index("tried") + 1 :])
        parsed = main.parser().parse_args(words[3:])
        for page in parsed.pages:
            write_image(parsed.output / page.name, np.full((40, 30, 3), 100, np.uint8))

    *statements, shown = ast.parse(code("try")).body
    names = {"run": run, "Path": Path}
    exec("\n".join(map(ast.unparse, statements)), names)
    assert asked == [f"{given}/{name}" for name in ("2.png", "3.png", "4.png")]
    picture = np.array(eval(ast.unparse(shown.value), names))
    assert picture[20, 300, 0] == 250 and picture[20, 900, 0] == 100


def test_the_training_commands_are_understood(monkeypatch):
    monkeypatch.chdir(ROOT)
    read = {}

    def train_seg(path, opts, data, *rest):
        read["segmenter"] = seg.read_config(path, opts)[1].pipeline, data, rest

    def train(path, opts, data, *rest):
        read["generator"] = config.load(path, erase.EraseTraining, opts).pipeline, data, rest

    monkeypatch.setattr(seg, "train", train_seg)
    monkeypatch.setattr(erase, "train", train)
    assert dehw.train.train_segmenter(command("train-seg")[2:]) == 0
    assert dehw.train.train_generator(command("train")[2:]) == 0
    assert read["segmenter"] == read["generator"] == ("seed000", ["data"], ("output", "auto", None, None, None))


@pytest.mark.parametrize(("cell", "step"), [("predict-1", submit.masks_command), ("predict-2", submit.pages_command)])
def test_the_prediction_commands_take_what_was_trained(monkeypatch, cell, step):
    class Parsed(Exception):
        pass

    def stop(args, *places, **more):
        raise Parsed(args)

    monkeypatch.setattr(submit, "_prepare", stop)
    with pytest.raises(Parsed) as parsed:
        step(command(cell)[2:])
    (args,) = parsed.value.args
    pipeline = config.load_pipeline(args.pipeline)
    assert args.pages == [Path("data/dehw_testB_dataset")] and args.device == "auto"
    assert args.weights == folders.weights_folder("output", pipeline)


@pytest.mark.parametrize("cell", ["train-seg", "train", "predict-1", "predict-2"])
def test_parameters_with_spaces_stay_one_word(monkeypatch, cell):
    parameters = {
        name: f"my {name}'s" for name in ("PIPELINE", "SEG_CONFIG", "ERASE_CONFIG", "DATA", "PAGES", "OUTPUT")
    }
    plain = code

    def spaced(cell_id):
        lines = [f"{name} = {value!r}" for name, value in parameters.items()]
        return "\n".join([plain(cell_id), *lines]) if cell_id == "parameters" else plain(cell_id)

    monkeypatch.setitem(globals(), "code", spaced)
    words = command(cell)
    own = {word for word in words if "my " in word}
    paths = {"my OUTPUT's/my PIPELINE's/weights", "pipeline=my PIPELINE's"}
    assert len(own) >= 3 and own <= {*parameters.values(), *paths}


def test_outside_the_repository_the_setup_says_so_and_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="from inside the repository"):
        exec(code("setup"), {})
    assert Path.cwd() == tmp_path


def test_a_kernel_without_paddle_is_refused(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="choose another"):
        exec(code("setup"), {})


def test_the_pictures_show_the_first_pages_before_on_the_left_and_after_on_the_right(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        write_image(Path(f"pages/{number}.jpg"), np.full((50, 90, 3), 10 * number, np.uint8))
        write_image(Path(f"submit/{number}.png"), np.full((50, 90, 3), 100 + 10 * number, np.uint8))
    *statements, shown = ast.parse(code("picture")).body
    names = {"PAGES": "pages"}
    exec("\n".join(map(ast.unparse, statements)), names)
    picture = np.array(eval(ast.unparse(shown.value), names))
    row = (len(picture) - 24) // 3 + 12  # three pages, two gaps
    for number in range(3):
        middle = picture[number * row + row // 3]
        assert abs(int(middle[300, 0]) - 10 * number) < 3 and abs(int(middle[900, 0]) - 100 - 10 * number) < 3


# --- in a kernel


def made_up_page(rng):
    """A page of printed dots and its handwriting: image and gt, (H, W, 3) uint8."""
    gt = np.full((HEIGHT, WIDTH, 3), 240, np.uint8)
    gt[20:-20:12, 15:-15:6] = 40
    image = gt.copy()
    for row in rng.integers(20, HEIGHT - 20, 4):
        image[row : row + 4, 30:-30] = (30, 40, 200)
    return image, gt


def write_zip(path, folder):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.*")):
            archive.write(file, file.relative_to(folder.parent))


def write_contest(data, scratch):
    """Fill data/data126591 with two training zips and the test set's, each wrapped in its folder."""
    rng = np.random.default_rng(0)
    for number in range(6):
        image, gt = made_up_page(rng)
        folder = scratch / ("dataset1" if number < 3 else "dataset2")
        write_image(folder / "images" / f"dehw_train_{number:05d}.jpg", image)
        write_image(folder / "gts" / f"dehw_train_{number:05d}.png", gt)
    for stem in TEST_STEMS:
        image, _ = made_up_page(rng)
        write_image(scratch / "dehw_testB_dataset" / "images" / f"{stem}.jpg", image)
    for folder in sorted(scratch.iterdir()):
        write_zip(data / "data126591" / f"{folder.name}.zip", folder)


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of what the notebook needs of the repository, and a Jupyter that leaves the user's alone."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(name, str(tmp_path / "jupyter"))
    monkeypatch.setenv("PIP_DRY_RUN", "1")  # the environment that runs the tests stays as it is
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    root = tmp_path / "repository"
    for folder in ("work", "configs", "scripts", "requirements"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "pretrain"))
    for file in (*ROOT.glob("requirements*.txt"), ROOT / "pyproject.toml"):
        shutil.copy(file, root)
    return root


def execute(cells, root):
    """Run the cells as if the notebook had been opened in its own folder; returns them with their outputs."""
    run = nbformat.v4.new_notebook(cells=cells)
    resources = {"metadata": {"path": str(root / "work")}}
    NotebookClient(run, timeout=900, kernel_name="python3", resources=resources).execute()
    return {cell.id: cell for cell in run.cells if cell.cell_type == "code"}


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


@pytest.mark.slow
def test_a_command_that_fails_stops_the_notebook(copy):
    setup = nbformat.v4.new_code_cell(code("setup"))
    failing = nbformat.v4.new_code_cell('run("echo the cause; exit 3")')
    after = nbformat.v4.new_code_cell(
        'run("touch reached; command -v python; python -c \\"import dehw; print(dehw)\\"")'
    )
    with pytest.raises(CellExecutionError, match="exit code 3"):
        execute([setup, failing, after], copy)
    assert printed(failing).strip() == "the cause"
    assert not (copy / "reached").exists()
    execute([setup, after], copy)
    assert (copy / "reached").exists()
    python, package = printed(after).splitlines()
    assert Path(python).parent == Path(sys.executable).parent
    assert str(copy / "work" / "dehw") in package


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(copy, tmp_path):
    write_contest(copy / "data", tmp_path / "pages")
    cells = notebook().cells
    place = [cell.id for cell in cells].index("parameters")
    cells.insert(place + 1, nbformat.v4.new_code_cell(SMOKE))
    page, _ = made_up_page(np.random.default_rng(1))
    write_image(copy / "uploads/mine.png", page)
    done = execute(cells, copy)

    assert Image.open(copy / "tried/mine.png").size == (WIDTH, HEIGHT)
    unpacked = ["data/dataset1", "data/dataset2", "data/dehw_testB_dataset"]
    assert sorted(printed(done["unpack"]).split()) == unpacked
    record = json.loads((copy / "runs/smoke_mtrnet/finished.json").read_text(encoding="utf-8"))
    assert record["pipeline"] == "smoke_mtrnet"
    check_submission(copy, printed(done["zip"]))
    assert [page.path.stem for page in find_pages([copy / "segoutput"])] == TEST_STEMS
    for cell in ("try", "picture"):
        assert any("image/png" in output.get("data", {}) for output in done[cell].outputs)


def check_submission(root, listing):
    """result.zip holds the readme and the test pages, erased, under their names and in their size."""
    names = {f"{stem}.png" for stem in TEST_STEMS} | {"readme.txt"}
    with zipfile.ZipFile(root / "submit/result.zip") as archive:
        assert set(archive.namelist()) == names
        assert archive.testzip() is None
        for stem in TEST_STEMS:
            assert Image.open(archive.open(f"{stem}.png")).size == (WIDTH, HEIGHT)
        readme = archive.read("readme.txt").decode()
    assert "pipeline: smoke_mtrnet" in readme and "runs/smoke_mtrnet" in readme
    assert all(name in listing for name in names)
