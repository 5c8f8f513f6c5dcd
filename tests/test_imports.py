"""Imports run one way, and what must start at once imports nothing heavy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "work" / "dehw"

# Lowest first; a module may import from its own layer and from those below.
LAYERS = [
    {"errors", "files", ""},  # "" is the package itself: its version
    {
        "tiling",
        "tta",
        "masks",
        "metrics",
        "scale",
        "pages",
        "documents",
        "progress",
        "config",
        "report",
        "parallel",
        "paper",
        "printed",
        "codes",
    },
    {"ink", "lines", "pictures"},
    {"confidence"},
    {"models", "data", "losses", "weights", "checkpoint", "engine", "export", "runtimes"},
    {"eraser", "submit", "batch", "sidefiles", "bench", "doctor", "synthesize", "reference", "growth"},
    {"train", "serve"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FREE_OF_PADDLE = "errors files tiling tta masks metrics scale pages documents progress config cli".split()


def modules():
    return sorted(PACKAGE.rglob("*.py"))


def room(path):
    """The part of the package that a file belongs to: its folder's or its own name."""
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imported(path):
    """Rooms of dehw that a file imports anywhere, functions and type checking included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; imports are written in full"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    parts = [name.split(".") for name in names]
    known = {room(module) for module in modules()}
    return {part[1] if len(part) > 1 and part[1] in known else "" for part in parts if part[0] == "dehw"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    own = room(path)
    if own == "":
        return  # the package's face passes on what is asked of it
    assert own in LEVEL, f"{own}: say in LAYERS where it belongs"
    upward = {name for name in imported(path) if LEVEL.get(name, len(LAYERS)) > LEVEL[own]}
    assert not upward, f"{path.name} imports {sorted(upward)} from above"


def test_starting_imports_no_paddle():
    names = ", ".join(f"dehw.{name}" for name in FREE_OF_PADDLE)
    heavy = "('paddle', 'paddleseg', 'torch')"
    code = f"import sys, dehw, {names}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["dehw", "dehw.cli"])
def test_the_package_and_the_command_line_import_no_opencv_either(module):
    code = f"import sys, {module}; print('cv2' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert done.stdout.strip() == "False False"
