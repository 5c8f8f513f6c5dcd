"""What a PDF's page is made of: its pictures, where they lie, and whether there is text; and how dense to draw it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dehw.files.sheet import DPI, INCH

if TYPE_CHECKING:
    import pikepdf

MAX_PIXELS = 80_000_000  # of a page, 240 MB: what asks for more is shown smaller
MAX_SIDE = 65_500  # pixels, of a JPEG
MAX_DPI = 600  # finer pictures gain nothing; a page that is one picture of up to PHOTO pixels keeps all of them
PHOTO = 24_000_000
COVERS = 0.01  # share of the page that pictures of a density cover, to count
NESTED, FORMS = 24, 10_000  # forms within forms, and of a page, that are looked into: a hostile page multiplies them
INVISIBLE = 3  # PDF's text rendering mode of text that is only searched
Box = tuple[float, float, float, float]  # (x0, y0, x1, y1)
ALL: Box = (-math.inf, -math.inf, math.inf, math.inf)
PATH = ("m", "l", "c", "v", "y", "h", "re")
CLIP = ("W", "W*")
SHOW = ("Tj", "TJ", "'", '"')
PAINT = ("S", "s", "f", "F", "f*", "B", "B*", "b", "b*", "sh")


@dataclass
class Picture:
    """A picture where it is drawn.

    holder: the dictionary that names it; None for one written into the page's own content. matrix: (3, 3), from the
    unit square to the page's space, for rows (x, y, 1). size: (width, height) in pixels of the picture, or of its
    mask where that is finer. clip: about what is seen of it, in the page's space.
    """

    holder: pikepdf.Object | None
    name: str
    stream: pikepdf.Object
    matrix: np.ndarray
    size: tuple[int, int]
    clip: Box

    @property
    def is_stencil(self) -> bool:
        """Whether its pixels say only where to paint."""
        return self.holder is not None and bool(self.stream.get("/ImageMask", False))


@dataclass
class Layers:
    """pictures: in the order they are drawn. text, hidden: whether there is text to see, or only to search. drawn:
    whether there are lines, areas or notes, beside one area behind all pictures, such as white paper. forms: each
    with its matrix, (3, 3), to the page's space. means: pictures in what is painted with, soft masks and patterns.
    noted: those in annotations, each with the place of its annotation. tiles: the contents of soft masks and patterns,
    like forms.
    """

    pictures: list[Picture] = field(default_factory=list)
    text: bool = False
    hidden: bool = False
    drawn: bool = False
    forms: list[tuple[pikepdf.Object, np.ndarray]] = field(default_factory=list)
    means: list[Picture] = field(default_factory=list)
    noted: list[tuple[int, Picture]] = field(default_factory=list)
    tiles: list[tuple[pikepdf.Object, np.ndarray]] = field(default_factory=list)
    seen: set[tuple] = field(default_factory=set)  # numbers and places of soft masks and patterns, to look through once


@dataclass(frozen=True)
class Frame:
    """Where a page lies in its own space, and how it is shown.

    box: (x0, y0, x1, y1) of what is seen of it. turn: degrees clockwise. unit: points in one of its units.
    """

    box: tuple[float, float, float, float]
    turn: int
    unit: float

    @property
    def size(self) -> tuple[float, float]:
        """(width, height) in its units, as shown."""
        x0, y0, x1, y1 = self.box
        return (y1 - y0, x1 - x0) if self.turn % 180 else (x1 - x0, y1 - y0)

    @property
    def points(self) -> tuple[float, float]:
        """(width, height) in points, as shown."""
        width, height = self.size
        return width * self.unit, height * self.unit

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3): from the unit square of the page as shown to its space, for rows (x, y, 1)."""
        x0, y0, x1, y1 = self.box
        wide, high = x1 - x0, y1 - y0
        rows = {
            0: (wide, 0, 0, high, x0, y0),
            90: (0, high, -wide, 0, x1, y0),
            180: (-wide, 0, 0, -high, x1, y1),
            270: (0, -high, wide, 0, x0, y1),
        }
        return matrix(rows[self.turn])


def matrix(six: tuple) -> np.ndarray:
    """PDF's six numbers of a matrix as (3, 3) float64."""
    a, b, c, d, e, f = map(float, six)
    return np.array([[a, b, 0], [c, d, 0], [e, f, 1]])


def frame(page: pikepdf.Page) -> Frame:
    """How a page is shown."""
    media, crop = ([float(side) for side in box] for box in (page.mediabox, page.cropbox))
    media, crop = ([*map(min, box[:2], box[2:]), *map(max, box[:2], box[2:])] for box in (media, crop))
    x0, y0 = map(max, media[:2], crop[:2])
    x1, y1 = map(min, media[2:], crop[2:])
    if x0 >= x1 or y0 >= y1:
        x0, y0, x1, y1 = media
    turn = int(_inherited(page.obj, "/Rotate", 0)) % 360 // 90 * 90
    return Frame((x0, y0, x1, y1), turn, float(page.obj.get("/UserUnit", 1)))


def layers(page: pikepdf.Page) -> Layers:
    """Look through a page's content. Raises what pikepdf raises for damaged ones."""
    found = Layers()
    _walk(page, page.resources, np.eye(3), ALL, 0, found)
    return found


def inside(form: pikepdf.Object, ctm: np.ndarray) -> Layers:
    """Look through a form with a matrix, (3, 3), to the page's space. Raises as `layers` does."""
    import pikepdf

    found = Layers()
    _walk(form, form.get("/Resources", pikepdf.Dictionary()), ctm, ALL, 0, found)
    return found


def filling(form: pikepdf.Object, box: Sequence[float]) -> np.ndarray:
    """(3, 3): from the space of a form to that of a page, of which it fills a box (x0, y0, x1, y1), as the looks of
    annotations do.
    """
    own = _to_outer(form)
    left, bottom, right, top = (float(side) for side in form.BBox)
    x0, y0, x1, y1 = _around(matrix((right - left, 0, 0, top - bottom, left, bottom)) @ own)
    across, down = (box[2] - box[0]) / (x1 - x0 or 1), (box[3] - box[1]) / (y1 - y0 or 1)
    return own @ matrix((across, 0, 0, down, box[0] - x0 * across, box[1] - y0 * down))


def streams(page: pikepdf.Page) -> dict[tuple[int, int], pikepdf.Object]:
    """The pictures, masks and forms that a page draws, by their numbers in the file. Raises as `layers` does."""
    found = layers(page)
    named = (each.stream for each in found.pictures + found.means if each.holder is not None)
    drawn = [*(each for picture in named for each in _with_masks(picture)), *(form for form, _ in found.forms)]
    return {each.objgen: each for each in drawn}


def named(resources: pikepdf.Object) -> set[tuple[int, int]]:
    """The numbers of the pictures and forms that a page can draw by a name, and of those in these forms."""
    found: set[tuple[int, int]] = set()
    nodes = [resources]
    while nodes:
        for drawn in nodes.pop().get("/XObject", {}).values():
            if drawn.objgen not in found:
                found.add(drawn.objgen)
                nodes += [drawn.Resources] if "/Resources" in drawn else []
    return found


def pixels(page: Layers, at: Frame) -> tuple[tuple[int, int], bool]:
    """(width, height) to draw a page with, and whether these are its picture's own pixels.

    The finest pictures that cover part of it decide: at least 200 dpi for what is no scan, at most 600.
    """
    (across, down), share = _finest(page, at)
    width, height = at.size
    inch = INCH / at.unit
    least = 0 if share > 0.9 and not (page.text or page.drawn) else DPI
    most = math.inf if share > 0.9 and width * across * height * down <= PHOTO else MAX_DPI
    density = max(across, down) * inch
    if density < least * 0.98:  # 1653 pixels on A4 are 200 dpi too
        across = down = DPI / inch
    elif density > most:
        across = down = MAX_DPI / inch
    elif not math.isclose(across, down, rel_tol=0.02):
        across = down = max(across, down)
    else:
        size = round(width * across), round(height * down)
        if math.prod(size) <= MAX_PIXELS and max(size) <= MAX_SIDE:
            return size, True
    scale = min(across, math.sqrt(MAX_PIXELS / (width * height)), MAX_SIDE / max(width, height))
    return (math.ceil(width * scale - 1e-6), math.ceil(height * scale - 1e-6)), False


def show_optional(trial: pikepdf.Pdf, source: pikepdf.Pdf) -> None:
    """Have optional layers of the pages of a PDF shown or hidden as in the one that these were taken from."""
    if "/OCProperties" in source.Root:
        trial.Root.OCProperties = trial.copy_foreign(source.make_indirect(source.Root.OCProperties))


def _finest(page: Layers, at: Frame) -> tuple[tuple[float, float], float]:
    """Pixels a unit, across and down as shown, of the finest pictures that cover enough; the share that all cover."""
    pictures = page.pictures + page.means + [picture for _, picture in page.noted]
    known = sorted((_density(picture, at) for picture in pictures), key=lambda each: -max(each[0]))
    covered, finest = 0.0, (0.0, 0.0)
    for density, share in known:
        covered += share
        if finest == (0.0, 0.0) and covered >= COVERS:
            finest = density
    return finest, covered


def _density(picture: Picture, at: Frame) -> tuple[tuple[float, float], float]:
    """Pixels a unit, across and down as shown, and the share of the page that is covered."""
    (a, b, _), (c, d, _), _ = picture.matrix
    sides = math.hypot(a, b), math.hypot(c, d)
    across, down = (count / side if side else 0.0 for count, side in zip(picture.size, sides))
    if (abs(b) > abs(a)) != bool(at.turn % 180):
        across, down = down, across
    x0, y0, x1, y1 = shared(shared(bounds(picture), picture.clip), at.box)
    return (across, down), max(0.0, x1 - x0) * max(0.0, y1 - y0) / math.prod(at.size)


def bounds(picture: Picture) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) of a picture in the page's space."""
    return _around(picture.matrix)


def _around(place: np.ndarray) -> tuple[float, float, float, float]:
    """(x0, y0, x1, y1) about the unit square, moved by a matrix, (3, 3)."""
    corners = np.array([(0, 0, 1), (1, 0, 1), (0, 1, 1), (1, 1, 1)]) @ place
    return (*corners[:, :2].min(0), *corners[:, :2].max(0))


def _walk(
    content: pikepdf.Object, resources: pikepdf.Object, ctm: np.ndarray, clip: Box, depth: int, found: Layers
) -> None:
    import pikepdf

    saved: list[tuple[np.ndarray, int, Box]] = []
    path: list[tuple[str, Any]] = []
    mode, painted, base = 0, False, ctm
    for operands, operator in pikepdf.parse_content_stream(content):
        word = str(operator)
        if word == "q":
            saved.append((ctm, mode, clip))
        elif word == "Q" and saved:
            ctm, mode, clip = saved.pop()
        elif word == "cm":
            ctm = matrix(operands) @ ctm
        elif word == "Tr":
            mode = int(operands[0])
        elif word in SHOW:
            found.hidden |= mode == INVISIBLE
            found.text |= mode != INVISIBLE
        elif word in PATH and operands:
            path.append((word, operands))
        elif word in CLIP and path:
            parts = [_reach(*part, ctm) for part in path]
            clip = shared(clip, (*np.min(parts, 0)[:2], *np.max(parts, 0)[2:]))
        elif word in PAINT:
            found.drawn |= bool(found.pictures) or painted
            painted = True
            path = []
        elif word == "n":
            path = []
        elif word == "INLINE IMAGE":
            inline = operands[0]
            found.pictures.append(Picture(None, "", inline, ctm, (inline.width, inline.height), clip))
        elif word == "Do" and depth < NESTED:
            _draw(resources.get("/XObject", {}), str(operands[0]), ctm, clip, depth, found, resources)
        elif word == "gs" and depth < NESTED:
            state = resources.get("/ExtGState", {}).get(str(operands[0]))
            soft = state.get("/SMask") if isinstance(state, pikepdf.Dictionary) else None
            if isinstance(soft, pikepdf.Dictionary):  # not /None
                _look_into(soft.get("/G"), resources, ctm, depth, found)
        elif word in ("scn", "SCN") and operands and isinstance(operands[-1], pikepdf.Name) and depth < NESTED:
            _look_into(resources.get("/Pattern", {}).get(str(operands[-1])), resources, base, depth, found)


def _look_into(means: Any, outer: pikepdf.Object, ctm: np.ndarray, depth: int, found: Layers) -> None:
    """Find the pictures and forms in a soft mask, or in a pattern's tile."""
    import pikepdf

    if not isinstance(means, pikepdf.Stream):
        return
    to_page = _to_outer(means) @ ctm
    place = means.objgen, to_page.round(3).tobytes()
    if place in found.seen:
        return
    found.seen.add(place)
    if len(found.seen) > FORMS:
        raise ValueError(f"it has more than {FORMS} soft masks and patterns")
    inner = Layers(seen=found.seen)
    _walk(means, means.get("/Resources", outer), to_page, ALL, depth + 1, inner)
    found.means += inner.pictures + inner.means
    found.tiles += [(means, to_page), *inner.forms, *inner.tiles]


def _to_outer(form: pikepdf.Object) -> np.ndarray:
    """(3, 3): from the space of a form, or the like, to that of what it is drawn in."""
    return matrix(tuple(form.get("/Matrix", (1, 0, 0, 1, 0, 0))))


def _draw(
    holder: pikepdf.Object,
    name: str,
    ctm: np.ndarray,
    clip: Box,
    depth: int,
    found: Layers,
    outer: pikepdf.Object,
) -> None:
    """Follow what a page draws by name: a picture, or a form, which has content of its own."""
    drawn = holder.get(name)
    if drawn is None:
        return
    if drawn.get("/Subtype") == "/Image":
        sizes = [(int(each.Width), int(each.Height)) for each in _with_masks(drawn)]
        found.pictures.append(Picture(holder, name, drawn, ctm, max(sizes, key=math.prod), clip))
    elif drawn.get("/Subtype") == "/Form":
        if len(found.forms) == FORMS:
            raise ValueError(f"it has more than {FORMS} forms")
        inner = _to_outer(drawn) @ ctm
        found.forms.append((drawn, inner))
        if "/BBox" in drawn:
            left, bottom, right, top = (float(side) for side in drawn.BBox)
            clip = shared(clip, _reach("re", (left, bottom, right - left, top - bottom), inner))
        _walk(drawn, drawn.get("/Resources", outer), inner, clip, depth + 1, found)


def _reach(word: str, operands: Any, ctm: np.ndarray) -> Box:
    """What a part of a path reaches, in the page's space."""
    numbers = [float(each) for each in operands]
    if word == "re":
        x, y, wide, high = numbers
        return _around(matrix((wide, 0, 0, high, x, y)) @ ctm)
    points = np.column_stack([numbers[::2], numbers[1::2], np.ones(len(numbers) // 2)]) @ ctm
    return (*points[:, :2].min(0), *points[:, :2].max(0))


def shared(one: Box, other: Box) -> Box:
    """What two boxes share."""
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _with_masks(picture: pikepdf.Object) -> Iterator[pikepdf.Object]:
    import pikepdf

    yield picture
    for key in ("/SMask", "/Mask"):
        if isinstance(picture.get(key), pikepdf.Stream):
            yield picture[key]


def _inherited(node: pikepdf.Object, key: str, default: Any) -> Any:
    """An entry of a page, or of what it belongs to."""
    for _ in range(100):  # a damaged tree may be a ring
        if key in node:
            return node[key]
        if "/Parent" not in node:
            break
        node = node.Parent
    return default


def on_page(box: Sequence[float], at: Frame, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels of a page drawn at (width, height), of a box in the page's space."""
    corners = np.array([(box[0], box[1], 1), (box[2], box[3], 1)]) @ np.linalg.inv(at.matrix)
    across, down = corners[:, 0] * size[0], (1 - corners[:, 1]) * size[1]
    edges = (np.floor(across.min()), np.floor(down.min()), np.ceil(across.max()), np.ceil(down.max()))
    limits = (*size, *size)
    left, top, right, bottom = (int(min(max(edge, 0), limit)) for edge, limit in zip(edges, limits))
    return left, top, right, bottom
