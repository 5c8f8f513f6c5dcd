"""Prints the lines of a requirement file whose package this interpreter lacks, but never Paddle's line.

Any version counts as present, and any build of OpenCV as all of them: a prepared environment keeps its own.
"""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path


def missing(lines: list[str], installed: set[str]) -> list[str]:
    """Requirement lines ("name>=1.0") whose name is not in `installed` (lower case, "-" for "_")."""
    if any(name.startswith("opencv-") for name in installed):
        installed = installed | {"opencv-python", "opencv-python-headless"}
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    names = [re.split(r"[<>=!~ ]", line)[0].lower() for line in wanted]
    return [line for line, name in zip(wanted, names) if name not in installed and not name.startswith("paddlepaddle")]


def main() -> None:
    installed = {d.metadata["Name"].lower().replace("_", "-") for d in distributions() if d.metadata["Name"]}
    for line in missing(Path(sys.argv[1]).read_text(encoding="utf-8").splitlines(), installed):
        print(line)


if __name__ == "__main__":
    main()
