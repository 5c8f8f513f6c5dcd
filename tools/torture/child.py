"""`python -m tools.torture.child KIND FILE...`: reads each file, and prints a line for each read or refused."""

import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

from dehw.config import load_pipeline
from dehw.data.zips import unpack
from dehw.engine import weights
from dehw.errors import DehwError


def _unpacked(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "zips").mkdir()
        (Path(folder) / "zips" / path.name).write_bytes(path.read_bytes())
        try:
            unpack(Path(folder) / "zips", Path(folder) / "out")
        finally:
            left = [each.name for each in Path(folder, "out").glob(".*")]
            assert not left, f"left over: {left}"


def _weights(path: Path) -> None:
    if path.suffix != ".json":
        weights.read(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / weights.MANIFEST).write_bytes(path.read_bytes())
        weights.manifest(folder)


READERS: dict[str, Callable[[Path], object]] = {"zips": _unpacked, "configs": load_pipeline, "weights": _weights}


def main() -> None:
    for path in map(Path, sys.argv[2:]):
        try:
            READERS[sys.argv[1]](path)
            print(f"read {path.name}", flush=True)
        except DehwError:
            print(f"refused {path.name}", flush=True)
        except Exception:
            print(f"{path.name}:", file=sys.stderr)
            traceback.print_exc()


if __name__ == "__main__":
    main()
