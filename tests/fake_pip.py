"""Stands in for pip in test_scripts.py: puts made-up modules into a folder, and notes what it was asked.

python fake_pip.py SITE LOG install|uninstall|list ARGUMENTS...
"""

import os
import re
import shutil
import sys
from pathlib import Path

PADDLE = """
import os
def set_device(name):
    trouble = os.environ.get("FAKE_GPU_TROUBLE")
    if name == "gpu" and trouble == "crash": os.abort()
    if name == "gpu" and trouble == "error": raise RuntimeError("no kernel image is available")
    global answer
    answer = 0.0 if name == "gpu" and trouble == "zeros" else 9.0
def ones(shape): return shape
class nn:
    class functional:
        @staticmethod
        def conv2d(x, w): return answer
"""
OPENCV = """
import os
if os.environ.get("FAKE_NO_LIBGL"):
    raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
"""
MODULES = {
    "paddlepaddle": ("paddle", PADDLE),
    "paddlepaddle-gpu": ("paddle", PADDLE),
    "opencv-python": ("cv2", OPENCV),
    "opencv-python-headless": ("cv2", ""),
    "opencv-contrib-python": ("cv2", ""),
}


def main(site: Path, log: Path, command: str, arguments: list[str]) -> int:
    """Carry out one pip command; returns the exit code."""
    if os.environ.get("FAKE_PIP_FAILS"):
        return 1
    site.mkdir(exist_ok=True)
    if command == "list":
        for info in sorted(site.glob("*.dist-info")):
            print("==".join(info.stem.rsplit("-", 1)))
        return 0
    with log.open("a") as notes:
        for requirement in requirements(arguments):
            notes.write(f"{command} {requirement}\n")
            install(site, requirement) if command == "install" else uninstall(site, requirement)
    return 0


def requirements(arguments: list[str]) -> list[str]:
    """What a command names: arguments, the lines of files after -r, folders after --editable."""
    named = []
    words = iter(arguments)
    for word in words:
        if word == "-r":
            lines = Path(next(words)).read_text().splitlines()
            named += [line for line in lines if line and not line.startswith("#")]
        elif not word.startswith("--"):
            named.append(word)
    return named


def install(site: Path, requirement: str) -> None:
    """Make a requirement's metadata, and its module if a test looks at it; of a folder, the package dehw."""
    if "/" in requirement:
        (site / "dehw").unlink(missing_ok=True)
        (site / "dehw").symlink_to(Path(requirement) / "work" / "dehw")
        return
    name = re.split("[<>=]", requirement)[0]
    info = site / f"{name}-{requirement.partition('==')[2] or '1.0'}.dist-info"
    info.mkdir(exist_ok=True)
    (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n")
    if name in MODULES:
        module, text = MODULES[name]
        (site / f"{module}.py").write_text(text)


def uninstall(site: Path, name: str) -> None:
    for info in site.glob(f"{name}-[0-9]*.dist-info"):
        shutil.rmtree(info)
    if name in MODULES:
        (site / f"{MODULES[name][0]}.py").unlink()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
