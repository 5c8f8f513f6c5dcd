"""What `--scan` does to the pages of documents before they are erased and after."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dehw.eraser import Erased, Eraser
from dehw.files.sheet import Sheet
from dehw.page.scan import papers
from dehw.page.scan.straighten import Straightened
from dehw.page.scan.whiten import finish


class Scan:
    """paper: a key of papers.PAPERS; None leaves pages without further margins."""

    def __init__(self, eraser: Eraser, paper: str | None = None):
        self.eraser, self.paper = eraser, paper

    def straighten(self, sheet: Sheet) -> tuple[Sheet, Straightened]:
        """The page of a photo, as a sheet of its own. Raises InputError for one that does not go on the paper."""
        found = self.eraser.straighten(sheet.image)
        if self.paper:
            papers.size(found.page.shape, self.paper)
        about = replace(sheet.metadata, dpi=(papers.usual_dpi(found.page),) * 2, bilevel=False)
        losses = (*sheet.losses, "its page became a picture") if sheet.points else sheet.losses
        return Sheet(found.page, about, losses=losses), found

    def finish(self, sheet: Sheet, erased: Erased, found: Straightened, beside: bool) -> tuple[Sheet, Erased]:
        """Both white and sharp, in place; the page with its handwriting only where it is written `beside`."""
        if beside:
            finish(sheet.image)
        finish(np.asarray(erased.page))
        return sheet, replace(erased, straightened=found)

    def print(self, erased: Erased, sheet: Sheet) -> Sheet:
        """What is written of an erased page; sheet: the page with its handwriting."""
        page, about = np.asarray(erased.page), sheet.metadata
        if self.paper:
            page, dpi = papers.on_paper(page, self.paper)
            about = replace(about, dpi=(dpi, dpi))
        return Sheet(page, about, losses=sheet.losses)
