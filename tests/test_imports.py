"""Imports run one way, room by room, and what must start at once imports nothing heavy."""

import ast
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "work" / "dehw"

# The rooms, lowest first: a file imports from its own and from those before it.
ROOMS = ["errors", "page", "config", "files", "models", "data", "engine", "eraser", "train", "commands", "__main__"]


def room(path: Path) -> str:
    """The room that a file belongs to: its folder's or its own name."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Rooms that a file imports from anywhere, functions and type checking included."""
    modules = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; imports are written in full"
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    parts = [module.split(".") for module in modules]
    return {part[1] for part in parts if part[0] == "dehw" and len(part) > 1} - {"__version__"}


FILES = sorted(
    path for path in PACKAGE.rglob("*.py") if room(path) != "__init__"
)  # the package's face passes things on


def test_there_are_about_ten_rooms():
    assert {room(path) for path in FILES} == set(ROOMS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path):
    allowed = ROOMS[: ROOMS.index(room(path)) + 1]
    assert sorted(imported(path) - set(allowed)) == []


def started(code: str) -> str:
    """What a fresh interpreter prints."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, cwd=PACKAGE.parent, check=True).stdout.strip()


def test_page_files_config_and_eraser_import_no_paddle():
    modules = [path for path in FILES if room(path) in ("errors", "page", "config", "files", "eraser")]
    names = [f"dehw.{path.relative_to(PACKAGE).with_suffix('')}".replace("/", ".") for path in modules]
    heavy = "('paddle', 'paddleseg', 'torch')"
    code = f"import sys, {', '.join(names)}; print([name for name in {heavy} if name in sys.modules])"
    assert started(code.replace(".__init__", "")) == "[]"


@pytest.mark.parametrize("module", ["dehw", "dehw.commands.main"])
def test_the_package_and_the_command_line_import_no_opencv_either(module):
    assert started(f"import sys, {module}; print('cv2' in sys.modules, 'numpy' in sys.modules)") == "False False"


def module(path: Path) -> str:
    """The dotted name of a file's module."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_no_module_imports_what_imports_it():
    """Not within functions either; what only type checkers read does not count."""
    names = {module(path) for path in PACKAGE.rglob("*.py")}
    graph: dict[str, set[str]] = {}
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
                node.body.clear()
        wanted = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                each = {f"{node.module}.{alias.name}" for alias in node.names}
                wanted |= {full if full in names else node.module for full in each}
        graph[module(path)] = {name for name in wanted if name in names} - {"dehw"}
    assert list(graphlib.TopologicalSorter(graph).static_order())  # raises CycleError, which names the circle


def test_no_two_classes_of_one_name():
    found = [
        (node.name, module(path))
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    names = [name for name, _ in found]
    assert [each for each in found if names.count(each[0]) > 1] == []
