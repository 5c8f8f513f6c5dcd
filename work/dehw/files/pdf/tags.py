"""What a PDF says in words of its content, by marks in it and by tags: left out where that content is erased."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from dehw.files.pdf.layers import PAINT, SHOW, named

if TYPE_CHECKING:
    import pikepdf

SAID = ("/ActualText", "/Alt", "/E")  # what a marked part of the content stands for, in words
WHOLE = -1  # in place of a mark's number: all of a picture or form

Number = tuple[int, int]
# A marked part of what is erased: the number of the form whose content it is, (0, 0) for the page's, and its own one.
Marked = tuple[Number, int]


def silenced(old: list, new: list, resources: pikepdf.Object, changed: Collection[Number]) -> tuple[list, set[int]]:
    """The instructions of `new`, which come from `old`, without what marks say of parts that differ, or that draw one
    of the pictures and forms `changed`; and the numbers of these marks. `new` itself where there are none.
    """
    pictures = {
        name
        for name, drawn in resources.get("/XObject", {}).items()
        if drawn.objgen in changed or not named(drawn.get("/Resources", {})).isdisjoint(changed)
    }
    kept, numbers = new, set[int]()
    for (_, before), (start, after) in zip(_parts(old), _parts(new)):
        if before == after and pictures.isdisjoint(after):
            continue
        about = _about(new[start], resources)
        numbers |= {int(about["/MCID"])} if "/MCID" in about else set()
        if not about.keys().isdisjoint(SAID):
            kept = list(new) if kept is new else kept
            kept[start] = _unsaid(new[start], about)
    return kept, numbers


def pruned(resources: pikepdf.Object, content: pikepdf.Object | pikepdf.Page) -> pikepdf.Object:
    """The resources of a content without what is known by name of marks in it, where it names that no more."""
    import pikepdf

    if "/Properties" not in resources:
        return resources
    used = {str(operands[-1]) for operands, _ in pikepdf.parse_content_stream(content, "BDC DP") if operands}
    mine = copy.copy(resources)
    mine.Properties = pikepdf.Dictionary({name: each for name, each in mine.Properties.items() if name in used})
    return mine


def has_xfa(pdf: pikepdf.Pdf) -> bool:
    """Whether a PDF tells of its form in XFA too: what is filled in, and pictures, once more."""
    import pikepdf

    form = pdf.Root.get("/AcroForm")
    return isinstance(form, pikepdf.Dictionary) and "/XFA" in form


def silence(pdf: pikepdf.Pdf, told: Mapping[Number, Collection[Marked] | None]) -> None:
    """Remove what the tags of a PDF say of erased parts, and those around them. told: these parts, by the numbers of
    their pages; None for all of a page. A tree of tags that is damaged goes as a whole, as XFA does.
    """
    if told and has_xfa(pdf):
        del pdf.Root.AcroForm.XFA
    if "/StructTreeRoot" not in pdf.Root:
        return
    try:
        for element in _telling(pdf.Root.StructTreeRoot, told):
            for key in {*SAID, "/T"} & set(element.keys()):
                del element[key]
    except MemoryError:
        raise
    except Exception:  # damaged ones raise nearly anything
        del pdf.Root.StructTreeRoot


def _telling(root: pikepdf.Object, told: Mapping[Number, Collection[Marked] | None]) -> Iterator[pikepdf.Object]:
    """The elements of a tree of tags that hold something of what is erased."""
    import pikepdf

    seen: set[Number] = set()
    nodes: list[tuple[Any, Number, tuple]] = [(root, (0, 0), ())]  # each with its page, and those around it
    while nodes:
        node, page, around = nodes.pop()
        is_dictionary = isinstance(node, pikepdf.Dictionary)
        if is_dictionary and "/Pg" in node:
            page = node.Pg.objgen
        if is_dictionary and node.get("/Type") not in ("/MCR", "/OBJR"):
            if node.is_indirect and node.objgen in seen:
                continue
            seen.add(node.objgen)
            kids = node.get("/K", [])
            nodes += [(kid, page, (node, around)) for kid in (kids if isinstance(kids, pikepdf.Array) else [kids])]
        elif page in told and _is_told(node, told[page]):
            while around:
                element, around = around
                yield element


def _is_told(content: Any, told: Collection[Marked] | None) -> bool:
    """Whether content that a tag names is erased."""
    import pikepdf

    if told is None:
        return True
    if not isinstance(content, pikepdf.Dictionary):
        return ((0, 0), int(content)) in told
    if "/Obj" in content:  # an annotation, which is emptied when it goes, or a picture
        return not content.Obj.keys() or (content.Obj.objgen, WHOLE) in told
    return (content.Stm.objgen if "/Stm" in content else (0, 0), int(content.MCID)) in told


def _parts(instructions: Iterable) -> list[tuple[int, list[Any]]]:
    """The marked parts of a content, in their order: where each begins, and what it shows."""
    import pikepdf

    found: list[tuple[int, list[Any]]] = []
    opened: list[list[Any]] = []
    for number, instruction in enumerate(instructions):
        operands, operator = instruction
        word = str(operator)
        if word in ("BMC", "BDC"):
            found.append((number, []))
            opened.append(found[-1][1])
        elif word == "EMC" and opened:
            opened.pop()
        elif opened and word in (*SHOW, *PAINT, "Do"):
            shown = str(operands[0]) if word == "Do" else pikepdf.unparse_content_stream([instruction])
            for part in opened:
                part.append(shown)
    return found


def _about(mark: Any, resources: pikepdf.Object) -> dict[str, Any]:
    """What is known of a marked part: written at its start, or by a name."""
    import pikepdf

    operands, _ = mark
    known = operands[-1] if len(operands) == 2 else None
    if isinstance(known, pikepdf.Name):
        known = resources.get("/Properties", {}).get(str(known))
    return dict(known.items()) if isinstance(known, pikepdf.Dictionary) else {}


def _unsaid(mark: Any, about: dict[str, Any]) -> Any:
    """What begins a marked part of the content, without what it says in words of that part."""
    import pikepdf

    operands, operator = mark
    left = pikepdf.Dictionary({key: value for key, value in about.items() if key not in SAID})
    return pikepdf.ContentStreamInstruction([operands[0], left], operator)
