"""Writes requirements/lock.txt and lock-base.txt: the releases that CI runs with, each file by its SHA-256.

    python scripts/lock.py [pip's options, such as --constraint FILE]

Run it with Python 3.11 on Linux for x86-64: the files are those that pip takes there.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXTRAS = ["dev.txt", "heic.txt", "onnxruntime.txt", "serve.txt"]
LOCKS = {
    "lock.txt": (
        "What CI runs with on Python 3.11 for Linux, x86-64; scripts/lock.py writes it.",
        ["requirements-cpu.txt", *(f"requirements/{name}" for name in EXTRAS)],
    ),
    "lock-base.txt": ("Of these, what the package needs to erase pages.", ["requirements/base.txt"]),
}


def chosen(files: list[str], options: list[str]) -> list[str]:
    """A line for each package that pip would install for these requirement files: its release and checksum."""
    wanted = [part for name in files for part in ("--requirement", str(ROOT / name))]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"]
    command += ["--only-binary", ":all:", "--report", "-", *wanted, *options]
    report = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    lines = []
    for package in report["install"]:
        about, digest = package["metadata"], package["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{about['name']}=={about['version']} --hash=sha256:{digest}")
    return sorted(lines, key=str.lower)


def main() -> None:
    for name, (header, files) in LOCKS.items():
        lines = chosen(files, sys.argv[1:])
        (ROOT / "requirements" / name).write_text("\n".join([f"# {header}", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
