"""Banks: folders of pieces that training crops are made with, which know what each piece was cut from.

Only what is new is cut, so a cut run goes on. `dehw materials` fills one, and so do trainings (train/banks.py).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import dehw
from dehw.data.crops import decode
from dehw.data.mask_files import NOTED_EVERY, in_threads, state
from dehw.data.materials import PRINT_HEIGHT, REACH, cut_pieces, cut_scan, paper_under
from dehw.data.pairs import Pair, mask_homes
from dehw.errors import InputError, PageError
from dehw.files.atomic import read_json, write_json
from dehw.files.find import find_pages
from dehw.files.images import read_image, write_image
from dehw.page import layout, masks

INDEX = "index.json"  # in a bank: how its pieces were cut, and of each page its files' state and number of pieces
PIECE = re.compile(r"(.+)_\d+\.png")  # a piece's name, after that of its source
Cut = Callable[[], list[np.ndarray]]


@dataclass(frozen=True)
class Origin:
    """What pieces are cut from. place: below the bank, the folder and the stem of their files; cut gives them."""

    place: Path
    files: tuple[Path, ...]
    cut: Cut


class Bank:
    """The pieces of these sources in a folder, as PLACE_NUMBER.png.

    how: whatever else the pieces depend on, as plain data; where it changes, all are cut again. Raises InputError where
    the folder's index is damaged.
    """

    def __init__(self, folder: Path, sources: Sequence[Origin], how: Mapping[str, Any]) -> None:
        self.folder, self.index = folder, folder / INDEX
        self.how = json.loads(json.dumps({"version": dehw.__version__, **how}))
        self.sources = {source.place.as_posix(): source for source in sources}
        how, pages = read_json(self.index, _noted, "remove it to have all pieces cut again")
        self.is_of_another_kind = how is not None and how != self.how
        self.gone = sorted(pages.keys() - self.sources.keys())
        same = {} if self.is_of_another_kind else pages
        self.pages = {
            name: same[name]
            for name, source in self.sources.items()
            if name in same and same[name]["files"] == state(*source.files)
        }
        self.stale = [name for name in self.sources if name not in self.pages]

    @property
    def is_current(self) -> bool:
        """Whether nothing is to be cut, or removed."""
        return self.index.is_file() and not self.stale and not self.gone

    @property
    def pieces(self) -> int:
        """How many pieces were cut."""
        return sum(page["pieces"] for page in self.pages.values())

    def complete(self, workers: int = 1) -> None:
        """Renew it if need be. Raises PageError that lists what could not be cut; the rest is done."""
        failures = [] if self.is_current else self.renew(workers)
        if failures:
            raise PageError("\n  ".join([f"{self.folder}: some pages could not be cut:", *failures]))

    def renew(self, workers: int = 1) -> list[str]:
        """Cut what is new or changed since and remove what is gone; returns what went wrong, a line each."""
        failures = []
        self._remove({*self.gone, *self.stale})
        self._note()
        results = in_threads(self._cut, self.stale, workers, "cutting")
        for number, (result, name) in enumerate(zip(results, self.stale), 1):  # results first: their bar ends whole
            if isinstance(result, str):
                failures.append(result)
            else:
                self.pages[name] = {"files": state(*self.sources[name].files), "pieces": result}
            if number % NOTED_EVERY == 0 or number == len(self.stale):
                self._note()
        return failures

    def _cut(self, name: str) -> int | str:
        """Write the pieces of one source; returns how many, or what went wrong."""
        source = self.sources[name]
        try:
            pieces = source.cut()
            for number, piece in enumerate(pieces):
                write_image(self.folder / source.place.with_name(f"{source.place.name}_{number}.png"), piece)
        except PageError as error:
            return str(error)
        except MemoryError:
            return f"{source.files[0]}: not enough memory for this page"
        return len(pieces)

    def _remove(self, names: set[str]) -> None:
        """Remove these sources' pieces, those of a cut run too."""
        for path in self.folder.rglob("*.png"):
            piece = PIECE.fullmatch(path.relative_to(self.folder).as_posix())
            if piece and piece[1] in names:
                path.unlink()

    def _note(self) -> None:
        write_json(self.index, {"how": self.how, "pages": self.pages})


def _noted(index: dict[str, Any]) -> tuple[Any, dict[str, dict[str, Any]]]:
    """What an index says of how pieces were cut, None if nothing, and of each page."""
    pages = index.get("pages", {}).items()
    return index.get("how"), {name: {"files": page["files"], "pieces": int(page["pieces"])} for name, page in pages}


def handwriting(
    folder: Path,
    pairs: Sequence[Pair],
    ink: Sequence[str | Path] = (),
    line_height: float | None = None,
    ink_scale: float = 1.0,
) -> Bank:
    """The bank of the handwriting of page pairs, and of folders of handwriting without print (`ink`).

    line_height: px that the pages' lines are brought to, as a training does; ink_scale: what the pictures of
    `ink` are resized by. Raises InputError where two pages would write the same files.
    """
    reach = REACH if line_height is None else max(1, round(REACH * line_height / layout.LEADING / PRINT_HEIGHT))
    scans = {Path(name): find_pages([name]) for name in ink}
    homes = page_homes(pairs, *scans)
    sources = [page_source(pair, homes, partial(_cut_pair, pair, reach)) for pair in pairs]
    for home, pages in scans.items():
        for page in pages:
            place = homes[home] / page.relative.with_suffix("")
            sources.append(Origin(place, (page.path,), partial(_cut_ink, page.path, ink_scale)))
    counts = Counter(source.place for source in sources)
    doubles = [
        f"{source.files[0]}: another page is {source.place} too" for source in sources if counts[source.place] > 1
    ]
    if doubles:
        raise InputError("rename one of each, or cut them to folders of their own:\n  " + "\n  ".join(doubles))
    return Bank(folder, sources, {"line_height": line_height, "ink_scale": ink_scale if scans else None})


def page_source(pair: Pair, homes: Mapping[Path, Path], cut: Cut) -> Origin:
    """A pair as source; homes: the folder below the bank of each dataset, see pairs.mask_homes."""
    return Origin(homes[_dataset(pair)] / pair.stem, tuple(pair.files), cut)


def page_homes(pairs: Sequence[Pair], *further: Path) -> dict[Path, Path]:
    """Where below a bank the pieces of these pairs' datasets lie, and those of further folders."""
    return mask_homes([*dict.fromkeys(_dataset(pair) for pair in pairs), *further], Path())


def _dataset(pair: Pair) -> Path:
    return pair.image.parents[1]


def _cut_pair(pair: Pair, reach: int) -> list[np.ndarray]:
    page = decode(pair)
    gt = page.gt if pair.gt != pair.image else paper_under(page.image)  # a dataset of labels alone has none
    return cut_pieces(page.image, gt, masks.threshold(page.soft_mask(), 0.5), reach)


def _cut_ink(path: Path, scale: float) -> list[np.ndarray]:
    return cut_scan(read_image(path), scale)
