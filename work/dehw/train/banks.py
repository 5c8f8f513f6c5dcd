"""What a training cuts from its own pages for its crops: handwriting, and print that its segmenter takes for it.

OUTPUT/PIPELINE/materials/DATASETS and mistakes hold the pieces. They are cut where a recipe wants them and names no
folder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from dehw.config import Pipeline
from dehw.data import bank
from dehw.data.bank import Bank
from dehw.data.crops import decode
from dehw.data.mask_files import state, workers
from dehw.data.materials import cut_mistakes, find_pieces, resized
from dehw.data.pairs import Pair, find_pairs, split
from dehw.data.recipes import Recipes
from dehw.eraser import Eraser
from dehw.files.atomic import sha256
from dehw.files.find import find_pages
from dehw.page import masks
from dehw.train import ranks, scales
from dehw.train.folders import pipeline_folder, weights_folder
from dehw.train.status import StatusLine
from dehw.train.validate import segmenter

MATERIALS, MISTAKES = "materials", "mistakes"


@dataclass(frozen=True)
class Wants:
    """What the recipes of one training want cut, and what from.

    roots: the datasets as find_pairs takes them, with such masks alone as they bring, so that both ways to train cut
    the same; val_count of their pages are left out. is_generator: whether a segmenter was trained before, whose
    mistakes can be known.
    """

    recipes: Recipes
    pipeline: Pipeline
    roots: Sequence[Path]
    output: Path
    val_count: int
    is_generator: bool

    @property
    def materials(self) -> bool:
        """Whether handwriting is to be cut."""
        return self.recipes.handwriting > 0 and self.recipes.materials is None

    @property
    def mistakes(self) -> bool:
        """Whether the segmenter's mistakes are to be looked for."""
        wanted = self.recipes.distractors > 0 and self.recipes.mistakes is None
        return wanted and self.is_generator and self.pipeline.segment is not None

    @property
    def materials_folder(self) -> Path:
        """Where the handwriting of these datasets goes; other networks may learn from others."""
        names = "+".join(dict.fromkeys(Path(root).name for root in self.roots))
        readable = re.sub(r"[^\w.+-]", "_", names)[:100]  # settings hold it, which cannot hold garbled names
        return pipeline_folder(self.output, self.pipeline) / MATERIALS / readable

    def materials_bank(self) -> Bank:
        """The handwriting of the training pages, and of the recipes' folders `ink`. Raises InputError, PageError."""
        home, status = pipeline_folder(self.output, self.pipeline), StatusLine(MATERIALS, ranks.is_first())
        pairs = scales.scaled(self._pairs(), self.pipeline, home, "cpu", status)
        return bank.handwriting(self.materials_folder, pairs, self.recipes.ink, self.pipeline.line_height)

    def mistakes_bank(self, device: str = "cpu") -> Bank | None:
        """What the pipeline's segmenter takes for handwriting on training pages; None where it is not trained.

        device: what it will run on, as paddle.set_device takes it.
        """
        segment = self.pipeline.segment
        path = weights_folder(self.output, self.pipeline) / segment.network.weights if segment else None
        if segment is None or path is None or not path.is_file():
            return None
        looks, network = asdict(segment), segment.network
        how = {
            "weights": sha256(path),
            "segment": {**looks, "network": {"type": network.type, "args": network.args}},
            "mask": asdict(self.pipeline.mask),
            "line_height": self.pipeline.line_height,
        }

        @lru_cache(maxsize=1)
        def eraser() -> Eraser:
            finder, reads = segmenter(self.pipeline, path.parent, device), scales.reader(self.pipeline, device)
            return Eraser(self.pipeline, finder, [], device, reader=reads)

        pairs = self._pairs()
        homes = bank.page_homes(pairs)
        sources = [bank.page_source(pair, homes, partial(_mistakes_of, pair, eraser)) for pair in pairs]
        return Bank(pipeline_folder(self.output, self.pipeline) / MISTAKES, sources, how)

    def met(self, device: str) -> Recipes:
        """The recipes with the folders of these banks, which are cut now where they are not whole.

        A bank that came out empty is done without: handwriting is left out, and distractors are drawn. Raises
        PageError.
        """
        found: dict[str, Any] = {}
        if self.materials:
            pieces = self.materials_bank()
            pieces.complete(workers())
            found |= {MATERIALS: str(pieces.folder)} if pieces.pieces else {"handwriting": 0.0}
        mistakes = self.mistakes_bank(device) if self.mistakes else None
        if mistakes:
            mistakes.complete()
            found |= {MISTAKES: str(mistakes.folder)} if mistakes.pieces else {}
        return replace(self.recipes, **found)

    def _pairs(self) -> list[Pair]:
        return split(find_pairs(self.roots, labelled=not self.is_generator), self.val_count)[0]


def recorded(recipes: Mapping[str, Any]) -> dict[str, Any]:
    """A training's recipes as its record has them: folders by what is in them. Raises InputError for empty ones."""
    found = dict(recipes)
    for name in (MATERIALS, MISTAKES):
        if found.get(name):
            found[name] = _digest(find_pieces(found[name]))
    if found.get("ink"):
        found["ink"] = _digest([page.path for page in find_pages(found["ink"])])
    return found


def _digest(paths: Sequence[Path]) -> str:
    return hashlib.sha256(repr(state(*paths)).encode(errors="surrogateescape")).hexdigest()


def _mistakes_of(pair: Pair, eraser: Callable[[], Eraser]) -> list[np.ndarray]:
    """What the segmenter takes for handwriting on a page and is not, at the size that the crops have."""
    page, look = decode(pair), eraser()
    prepared = look.prepare(page.image)
    found = look.mask(look.segment(prepared), prepared)
    pieces = cut_mistakes(page.gt, found, masks.threshold(page.soft_mask(), 0.5))
    factor = prepared.layout.factor(look.pipeline.line_height)
    return [resized(piece, factor) for piece in pieces]
