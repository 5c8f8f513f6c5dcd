"""What the program may not call: readers that run what a file names, and OpenCV's decoders."""

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PICKLES = "pickles run what they name: read them by dehw.files.pickles"
DECODERS = "OpenCV 4.5.5 has a libwebp from before CVE-2023-4863: read images by dehw.files.images"
FORBIDDEN = {
    **dict.fromkeys(
        """pickle.load pickle.loads pickle.Unpickler paddle.load paddle.static.load joblib.load dill.load dill.loads
        cloudpickle.load cloudpickle.loads shelve.open marshal.load marshal.loads pandas.read_pickle
        yaml.unsafe_load yaml.full_load yaml.UnsafeLoader yaml.FullLoader yaml.Loader""".split(),
        PICKLES,
    ),
    **dict.fromkeys("cv2.imread cv2.imreadmulti cv2.imdecode cv2.imdecodemulti cv2.VideoCapture".split(), DECODERS),
}
# The one call that decodes what it has just encoded as a JPEG itself.
ADMITTED = {("work/dehw/data/synth/camera/photo.py", "cv2.imdecode")}


def sources() -> Iterator[tuple[str, str]]:
    """Each source file and notebook of the program, as its name and its text; the tests are none of it."""
    for path in sorted(ROOT.rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith(("tests/", ".", "build/", "output/")):
            yield name, path.read_text(encoding="utf-8")
    for path in sorted(ROOT.glob("work/*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        lines = [line for cell in code for line in cell.splitlines() if not line.lstrip().startswith(("!", "%"))]
        yield path.relative_to(ROOT).as_posix(), "\n".join(lines)


def violations(text: str) -> list[tuple[str, str]]:
    """What of a source may not be there: what it names, and why."""
    tree = ast.parse(text)
    known: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            known |= {each.asname or each.name.split(".")[0]: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            known |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}

    def full(node: ast.expr) -> str:
        if isinstance(node, ast.Attribute):
            return f"{full(node.value)}.{node.attr}"
        return known.get(node.id, node.id) if isinstance(node, ast.Name) else ""

    found = [(name, FORBIDDEN[name]) for name in known.values() if name in FORBIDDEN]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load) and full(node) in FORBIDDEN:
            found.append((full(node), FORBIDDEN[full(node)]))
        if not isinstance(node, ast.Call):
            continue
        name, given = full(node.func), {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name == "torch.load" and given.get("weights_only") != "True":
            found.append((name, "it needs weights_only=True"))
        if name == "numpy.load" and given.get("allow_pickle", "False") != "False":
            found.append((name, PICKLES))
    return found


@pytest.mark.parametrize(("name", "text"), [pytest.param(*each, id=each[0]) for each in sources()])
def test_no_source_reads_what_could_run_or_decodes_by_opencv(name, text):
    found = [(call, reason) for call, reason in violations(text) if (name, call) not in ADMITTED]
    if name == "work/dehw/train/backbone.py":  # puts another function in the place of Paddle's, and back
        found.remove(("paddle.load", PICKLES))
    assert found == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle\npickle.load(file)",
        "from pickle import loads as read\nread(b'')",
        "import paddle\npaddle.load('a')",
        "import torch\ntorch.load('a')",
        "import torch\ntorch.load('a', weights_only=False)",
        "import numpy as np\nnp.load('a', allow_pickle=True)",
        "import cv2 as cv\nread = cv.imread",
        "import yaml\nyaml.load(text, yaml.UnsafeLoader)",
    ],
)
def test_a_call_is_found_under_any_name(text):
    assert violations(text)


def test_calls_of_the_same_name_are_let_pass():
    assert not violations("from dehw.engine import paddle\npaddle.load(network, path)")
    assert not violations("import torch, numpy as np\ntorch.load('a', weights_only=True)\nnp.load('a', mmap_mode='r')")
