"""What a PDF keeps when a page of it is erased, and that no handwriting stays in its file."""

from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pikepdf
import pypdfium2
import pytest
from pdfs import (
    BLUE,
    add_page,
    contents_of,
    erase,
    has_ink,
    is_blue,
    is_flat,
    mask_of,
    over,
    paper,
    picture,
    pictures_of,
)
from pikepdf import Array, Dictionary, Name, OutlineItem
from PIL import Image
from test_documents import read_all

from dehw.errors import PageError
from dehw.files.documents import new_document, open_document
from dehw.files.pdf.read import Source

INKED = paper(250, 167, (slice(120, 140), slice(40, 120)))


def texts_of(path):
    pdf = pypdfium2.PdfDocument(path)
    try:
        return [page.get_textpage().get_text_bounded().strip() for page in pdf]
    finally:
        pdf.close()


def first_of(turns, sheet):
    """A mask of the pages whose turn is True."""
    return mask_of(sheet) & next(turns)


def clean(tmp_path):
    return erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of)


# -- the file and its pages ----------------------------------------------------------------------------------


def test_size_boxes_outline_title_and_labels_stay(tmp_path):
    with pikepdf.new() as pdf:
        scan = picture(pdf, INKED)
        add_page(pdf, over(), pictures=[scan], UserUnit=2)
        add_page(pdf, over(), pictures=[scan], CropBox=Array([0, 45, 30, 90]), TrimBox=Array([2, 47, 28, 88]))
        add_page(pdf, over(), pictures=[scan], Rotate=90)
        add_page(pdf, "BT /F1 8 Tf 10 70 Td (Print) Tj ET")
        with pdf.open_outline() as outline:
            outline.root += [OutlineItem(f"Part {number}", number) for number in range(4)]
        pdf.docinfo["/Title"], pdf.docinfo["/Author"] = "Unit Test", "Maths"
        with pdf.open_metadata(update_docinfo=False) as xmp:
            xmp["dc:title"] = "Unit Test"
        pdf.Root.PageLabels = Dictionary(Nums=Array([0, Dictionary(S=Name.r)]))
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()] * 3
    with pikepdf.open(tmp_path / "in.pdf") as before, pikepdf.open(tmp_path / "out.pdf") as after:
        for old, new in zip(before.pages, after.pages):
            for key in ("/MediaBox", "/CropBox", "/TrimBox", "/Rotate", "/UserUnit"):
                assert old.get(key) == new.get(key)
        with after.open_outline() as outline:
            assert [item.title for item in outline.root] == ["Part 0", "Part 1", "Part 2", "Part 3"]
            assert outline.root[2].destination[0] == after.pages[2].obj
        assert (after.docinfo["/Title"], after.docinfo["/Author"]) == ("Unit Test", "Maths")
        assert after.open_metadata()["dc:title"] == "Unit Test"
        assert after.pages[2].label == "iii"
    assert texts_of(tmp_path / "out.pdf") == ["", "", "", "Print"]
    assert not has_ink(tmp_path / "out.pdf")


def test_a_form_on_another_page_still_works(tmp_path):
    with pikepdf.new() as pdf:
        add_page(pdf, over(), pictures=[picture(pdf, INKED)])
        page = add_page(pdf, "BT /F1 8 Tf 10 70 Td (Class) Tj ET")
        field = Dictionary(Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T="class", V="7b", F=4)
        field.Rect, field.DA, field.P = Array([10, 40, 50, 55]), "/F1 8 Tf 0 g", page.obj
        page.obj.Annots = Array([pdf.make_indirect(field)])
        pdf.Root.AcroForm = Dictionary(Fields=Array([page.obj.Annots[0]]), DA="/F1 8 Tf 0 g")
        pdf.save(tmp_path / "in.pdf")
    first = iter([True, False])
    erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask_of(sheet) & next(first))
    with pikepdf.open(tmp_path / "out.pdf") as after:
        [field] = after.Root.AcroForm.Fields
        assert (field.T, field.V) == ("class", "7b") and field.P == after.pages[1].obj
        assert after.pages[1].Annots[0] == field


# -- what changes of a page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", [0, 90])
def test_a_scan_is_replaced_in_its_own_place_and_its_words_stay(tmp_path, turn):
    """All but those that a reader of text found in the handwriting, which lies at 40 to 48 points from below."""
    words = "BT 3 Tr /F1 8 Tf 14 79 Td (Print) Tj 0 -38 Td (secret) Tj 0 -30 Td (below) Tj ET"
    with pikepdf.new() as pdf:
        add_page(pdf, over() + words, pictures=[picture(pdf, INKED)], Rotate=turn)
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert set(texts_of(tmp_path / "in.pdf")[0].split()) == {"Print", "secret", "below"}
    assert set(texts_of(tmp_path / "out.pdf")[0].split()) == {"Print", "below"}
    assert b"secret" not in contents_of(tmp_path / "out.pdf")
    assert not is_flat(tmp_path / "out.pdf") and not has_ink(tmp_path / "out.pdf")
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    np.testing.assert_allclose(after[~is_blue(before)].astype(int), before[~is_blue(before)], atol=12)


@pytest.mark.parametrize("bilevel", [False, True])
@pytest.mark.parametrize("how", ["straightened", "cropped", "moved"])
def test_a_scan_that_lies_askew_of_its_page_keeps_its_pixels(tmp_path, how, bilevel):
    """It is not blurred by being drawn and painted anew, and its page does not become a picture."""
    place = {"straightened": "60 0.5 -0.75 90 0.3 -0.2", "moved": "60 0 0 90 0.17 0.17"}.get(how, "60 0 0 90 0 0")
    crop = dict(CropBox=Array([4.3, 10.1, 58.2, 88]), UserUnit=3, Rotate=90) if how == "cropped" else {}
    with pikepdf.new() as pdf:
        scan = picture(pdf, INKED[..., 0] > 128 if bilevel else INKED)
        words = "BT 3 Tr /F1 8 Tf 14 79 Td (Print) Tj ET"
        add_page(pdf, f"q {place} cm /P0 Do Q {words}", pictures=[scan], **crop)
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    dark = (sheet.image < 128).any(2)
    mask = cv2.dilate(dark.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if how == "cropped":
        mask[:, 150:] = False  # the print
    else:
        mask[:80] = False
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask) == [()]
    assert texts_of(tmp_path / "out.pdf") == ["Print"] and not is_flat(tmp_path / "out.pdf")
    [after] = read_all(tmp_path / "out.pdf")
    assert after.image[mask].min() > 200 and after.image.min() < 90
    np.testing.assert_allclose(after.image[~mask].astype(int), sheet.image[~mask], atol=12)


def hidden(pdf, content, font=None, **inside):
    """A form of invisible text, as readers of text add it to a scan."""
    font = font or Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    resources = Dictionary(
        Font=Dictionary(F1=font), XObject=Dictionary({f"/{name}": form for name, form in inside.items()})
    )
    box = Array([0, 0, 120, 90])
    about = Dictionary(Type=Name.XObject, Subtype=Name.Form, BBox=box, Resources=resources)
    return pdf.make_stream(f"BT 3 Tr /F1 8 Tf {content}".encode(), about)


def test_words_of_a_scan_go_from_forms_too(tmp_path):
    """From one within another; a page that shows the same forms, but has no handwriting, keeps all words."""
    with pikepdf.new() as pdf:
        inner = hidden(pdf, "14 41 Td (secret) Tj 0 38 Td (Print) Tj ET")
        outer = hidden(pdf, "2 5 Td (first) Tj ET /X Do BT 35 5 Td (last) Tj ET", X=inner)
        own = "BT 3 Tr /F1 8 Tf 36 79 Td (own) Tj ET /P1 Do"
        add_page(pdf, over() + own, pictures=[picture(pdf, INKED), outer])
        add_page(pdf, own, pictures=[picture(pdf, INKED), outer])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    first, second = (text.split() for text in texts_of(tmp_path / "out.pdf"))
    assert first == ["own", "first", "Print", "last"] and "secret" in second
    assert not is_flat(tmp_path / "out.pdf")


def test_a_form_that_is_drawn_twice_is_not_changed(tmp_path):
    with pikepdf.new() as pdf:
        form = hidden(pdf, "14 41 Td (secret) Tj ET")
        content = over() + "/P1 Do q 1 0 0 1 0 30 cm /P1 Do Q"
        add_page(pdf, content, pictures=[picture(pdf, INKED), form])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [("its text can no longer be selected",)]
    assert is_flat(tmp_path / "out.pdf") and b"secret" not in contents_of(tmp_path / "out.pdf")


@pytest.mark.parametrize("shown", ["(Name: secret end) Tj", "[(Name: )-20(sec)10(ret end)] TJ"])
def test_of_a_line_of_text_only_words_in_the_handwriting_go(tmp_path, shown):
    """And the words behind them stay where they are."""
    image = paper(250, 334, (slice(118, 142), slice(82, 152)))
    with pikepdf.new() as pdf:
        words = f"BT 3 Tr /F1 8 Tf 5 42 Td {shown} ET"
        add_page(pdf, over((120, 90)) + words, (120, 90), [picture(pdf, image)])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert texts_of(tmp_path / "out.pdf") == ["Name: end"]
    ends = [last_letter(tmp_path / name) for name in ("in.pdf", "out.pdf")]
    assert ends[1] == pytest.approx(ends[0], abs=0.1)
    assert b"sec" not in contents_of(tmp_path / "out.pdf") and not is_flat(tmp_path / "out.pdf")


@pytest.mark.parametrize("how", ["under the scan", "see-through", "in a form"])
def test_words_that_are_hidden_by_other_means_go_like_invisible_ones(tmp_path, how):
    """The handwriting is loose, as handwriting is, so that no letter is covered."""
    image = paper(250, 334)
    for left in range(84, 150, 8):
        image[118:140, left : left + 3] = BLUE
    words = "BT /F1 8 Tf 5 42 Td (Name: secret end) Tj ET "
    with pikepdf.new() as pdf:
        form = hidden(pdf, "5 42 Td (Name: secret end) Tj ET")
        form.write(words.encode())
        scan, shown = over((120, 90)), {"see-through": "/G gs " + words, "in a form": "q 3 Tr /P1 Do Q"}
        content = scan + shown[how] if how in shown else words + scan
        page = add_page(pdf, content, (120, 90), [picture(pdf, image), form])
        page.Resources.ExtGState = Dictionary(G=Dictionary(ca=0))
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert texts_of(tmp_path / "out.pdf") == ["Name: end"]
    assert b"sec" not in contents_of(tmp_path / "out.pdf") and not is_flat(tmp_path / "out.pdf")


def test_what_marked_content_says_in_words_goes_with_these(tmp_path):
    said = "/Span <</ActualText (secret) /MCID 1>> BDC 0 -38 Td (secret) Tj EMC"
    with pikepdf.new() as pdf:
        words = f"BT 3 Tr /F1 8 Tf /Span <</ActualText (Title)>> BDC 14 79 Td (Print) Tj EMC {said} ET"
        add_page(pdf, over() + words, pictures=[picture(pdf, INKED)])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    content = contents_of(tmp_path / "out.pdf")
    assert b"secret" not in content and b"(Title)" in content and b"/MCID 1" in content


def tagged(pdf, page, *kids):
    """A tree of tags, with an element for each of `kids`, which name content; each tells by a letter which it is."""
    root = pdf.Root.StructTreeRoot = pdf.make_indirect(Dictionary(Type=Name.StructTreeRoot))
    about = pdf.make_indirect(Dictionary(Type=Name.StructElem, S=Name.Sect, Alt="around"))
    made = [Dictionary(S=Name.P, P=about, Pg=page, K=kid, Alt="tag " + "abcdef"[at]) for at, kid in enumerate(kids)]
    about.K, root.K = Array([pdf.make_indirect(each) for each in made]), about


def tags_of(path):
    with pikepdf.open(path) as pdf:
        about = pdf.Root.StructTreeRoot.K
        return [str(each.get("/Alt", "")).removeprefix("tag ") for each in (about, *about.K)]


def test_tags_of_erased_words_and_strokes_tell_them_no_more(tmp_path):
    """Nor do marks that are known by a name; what they say of other words stays."""
    marks = "/Span /A BDC 14 41 Td (secret) Tj EMC /Span /B BDC 0 38 Td (Print) Tj EMC"
    form_marks = "/P <</MCID 0>> BDC 14 41 Td (secret) Tj EMC /P <</MCID 1>> BDC 0 30 Td (in) Tj EMC ET"
    with pikepdf.new() as pdf:
        form = hidden(pdf, form_marks)
        content = over() + f"BT 3 Tr /F1 8 Tf {marks} ET /P1 Do"
        page = add_page(pdf, content, pictures=[picture(pdf, INKED), form])
        about = [Dictionary(ActualText=text, MCID=at) for at, text in enumerate(("said secret", "said Print"))]
        page.Resources.Properties = Dictionary(A=pdf.make_indirect(about[0]), B=pdf.make_indirect(about[1]))
        inner = [Dictionary(Type=Name.MCR, Stm=form, MCID=at) for at in range(2)]
        tagged(pdf, page.obj, 0, Array([1]), *inner, Dictionary(Type=Name.OBJR, Obj=page.Resources.XObject.P0))
        add_page(pdf, f"BT 3 Tr /F1 8 Tf {marks} ET").Resources.Properties = Dictionary(A=about[1])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()] and not is_flat(tmp_path / "out.pdf")
    assert tags_of(tmp_path / "in.pdf") == ["around", *"abcde"]
    assert tags_of(tmp_path / "out.pdf") == ["", "", "b", "", "d", ""]
    assert "Print" in texts_of(tmp_path / "out.pdf")[0]
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        everything = b"".join(each.unparse(resolved=True) for each in pdf.objects)
        assert b"said secret" not in everything and b"said Print" in everything


@pytest.mark.parametrize("how", ["strokes", "picture", "inks", "flat"])
def test_tags_of_other_handwriting_tell_it_no_more(tmp_path, how):
    written, words = {"strokes": WRITTEN, "picture": over(name="X")}.get(how, ""), "BT /F1 8 Tf 10 70 Td (Print) Tj ET"
    with pikepdf.new() as pdf:
        form = pdf.make_stream(over().encode(), Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 60, 90]))
        form.Resources = Dictionary(XObject=Dictionary(P0=picture(pdf, INKED)))
        form.BBox, form.Matrix = Array([0, 0, 60, 90]), Array([1 / 60, 0, 0, 1 / 90, 0, 0])
        content = f"/Figure <</MCID 0 /Alt (said secret)>> BDC {written} EMC /P <</MCID 1>> BDC {words} EMC"
        page = add_page(pdf, content)
        page.Resources.XObject.X = form
        mark = note(pdf, "Ink", WRITTEN) if how == "inks" else stamp(pdf)
        if how in ("inks", "flat"):
            page.obj.Annots = Array([mark])
        tagged(pdf, page.obj, 0, 1, Dictionary(Type=Name.OBJR, Obj=mark))
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    left = {"strokes": ["", "", "b", "c"], "picture": ["", "", "b", "c"], "inks": ["", "a", "b", ""], "flat": [""] * 4}
    assert tags_of(tmp_path / "out.pdf") == left[how]
    assert (b"said secret" in contents_of(tmp_path / "out.pdf")) == (how == "inks")


def test_a_ring_of_tags_ends_and_damaged_ones_go(tmp_path):
    for damage in (False, True):
        with pikepdf.new() as pdf:
            page = add_page(pdf, over(), pictures=[picture(pdf, INKED)])
            tagged(pdf, page.obj, Dictionary(Type=Name.OBJR, Obj=page.Resources.XObject.P0))
            root = pdf.Root.StructTreeRoot
            root.K.K.append(root if not damage else Dictionary(Type=Name.MCR, Pg=page.obj))
            pdf.save(tmp_path / "in.pdf")
        assert clean(tmp_path) == [()]
        with pikepdf.open(tmp_path / "out.pdf") as pdf:
            assert ("/StructTreeRoot" in pdf.Root) != damage
            assert not any(b"tag a" in each.unparse(resolved=True) for each in pdf.objects)


def test_what_a_form_tells_in_xfa_goes_and_that_is_said(tmp_path):
    with pikepdf.new() as pdf:
        add_field(pdf, Dictionary(FT=Name.Sig, T="signature"))
        pdf.Root.AcroForm.XFA = Array(["datasets", pdf.make_stream(b"<photo>14 46 l</photo>")])
        pdf.save(tmp_path / "in.pdf")
    [lost] = clean(tmp_path)
    assert any("XFA" in loss for loss in lost) and b"14 46 l" not in contents_of(tmp_path / "out.pdf")
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        assert [each.T for each in pdf.Root.AcroForm.Fields] == ["signature"]


def last_letter(path):
    pdf = pypdfium2.PdfDocument(path)
    try:
        reader = pdf[0].get_textpage()
        return reader.get_charbox(reader.count_chars() - 1)
    finally:
        pdf.close()


def test_of_a_line_of_ideographs_each_is_a_word(tmp_path):
    """In a font of two bytes a letter."""
    text = "姓名学校王小明"
    cmap = b"1 begincodespacerange <0000> <FFFF> endcodespacerange 1 beginbfrange <0000> <FFFF> <0000> endbfrange"
    with pikepdf.new() as pdf:
        about = Dictionary(Registry="Adobe", Ordering="Identity", Supplement=0)
        inner = Dictionary(Type=Name.Font, Subtype=Name.CIDFontType2, BaseFont=Name.X, CIDSystemInfo=about, DW=1000)
        font = Dictionary(Type=Name.Font, Subtype=Name.Type0, BaseFont=Name.X, Encoding=Name("/Identity-H"))
        font.DescendantFonts, font.ToUnicode = Array([pdf.make_indirect(inner)]), pdf.make_stream(cmap)
        form = hidden(pdf, f"5 40 Td <{text.encode('utf-16-be').hex()}> Tj ET", font)
        image = paper(250, 334, (slice(112, 142), slice(104, 180)))
        add_page(pdf, over((120, 90)) + "/P1 Do", (120, 90), [picture(pdf, image), form])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert texts_of(tmp_path / "in.pdf") == [text] and texts_of(tmp_path / "out.pdf") == ["姓名学校"]


def test_faint_pencil_goes_with_the_words_that_were_read_in_it(tmp_path):
    image = np.full((250, 167, 3), 240, np.uint8)
    image[120:140, 40:120] = 225
    with pikepdf.new() as pdf:
        words = "BT 3 Tr /F1 8 Tf 14 41 Td (secret) Tj ET"
        add_page(pdf, over() + words, pictures=[picture(pdf, image)])
        pdf.save(tmp_path / "in.pdf")
    erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: sheet.image[..., 0] < 230)
    [made] = pictures_of(tmp_path / "out.pdf")
    assert made.min() > 232 and texts_of(tmp_path / "out.pdf") == [""]


def strokes(*lines):
    """Content that draws lines of points in blue."""
    drawn = [" l ".join(f"{x} {y}" for x, y in line).replace(" l ", " m ", 1) + " l S" for line in lines]
    return "q 0.08 0.12 0.78 RG 1.5 w 1 J " + " ".join(drawn) + " Q "


WRITTEN = strokes([(10, 40), (14, 46), (18, 40), (22, 46)], [(26, 41), (32, 45), (38, 41)])
PRINTED = "BT /F1 8 Tf 10 70 Td (Print) Tj 0 -45 Td (below) Tj ET 0.5 w 10 38.5 m 50 38.5 l S "


def test_drawn_strokes_are_dropped_and_text_stays_text(tmp_path):
    with pikepdf.new() as pdf:
        for _ in range(20):
            add_page(pdf, PRINTED + WRITTEN)
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()] * 20
    assert texts_of(tmp_path / "out.pdf") == texts_of(tmp_path / "in.pdf")
    assert (tmp_path / "out.pdf").stat().st_size <= 2 * (tmp_path / "in.pdf").stat().st_size
    before, after = (read_all(tmp_path / name)[7].image for name in ("in.pdf", "out.pdf"))
    assert not is_blue(after).any() and b"14 46" not in contents_of(tmp_path / "out.pdf")
    np.testing.assert_array_equal(after[~is_blue(before)], before[~is_blue(before)])
    line = round((90 - 38.5) / 90 * 250)
    assert (after[line - 1 : line + 2, 40:130].min(0) < 120).all()  # the printed line under it is whole


def note(pdf, kind, content, rect=(8, 38, 42, 48)):
    about = Dictionary(Type=Name.XObject, Subtype=Name.Form, BBox=Array(rect))
    shown = Dictionary(N=pdf.make_stream(content.encode(), about))
    annotation = Dictionary(Type=Name.Annot, Subtype=Name(f"/{kind}"), Rect=Array(rect), F=4, AP=shown)
    if kind == "Ink":
        annotation.InkList = Array([Array([10, 40, 14, 46])])
    return pdf.make_indirect(annotation)


def nested(pdf):
    """A stamp whose strokes lie in a form within."""
    made = note(pdf, "Stamp", "/X Do")
    made.AP.N.Resources = Dictionary(XObject=Dictionary(X=note(pdf, "Stamp", WRITTEN).AP.N))
    return made


def stamp(pdf):
    """One that is written on, so that its page can only become a picture: nobody knows whether its word is print."""
    made = nested(pdf)
    made.AP.N.Resources.Font = Dictionary(F1=Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    made.AP.N.write(b"/X Do BT 0.08 0.12 0.78 rg /F1 4 Tf 20 44 Td (ok) Tj ET")
    return made


def test_ink_annotations_are_dropped_and_nothing_else(tmp_path):
    """Though another annotation answers to one, and a second page has none of them."""
    with pikepdf.new() as pdf:
        page = add_page(pdf, PRINTED)
        ink = note(pdf, "Ink", WRITTEN)
        answer = Dictionary(Type=Name.Annot, Subtype=Name.Link, Rect=Array([10, 70, 30, 78]), IRT=ink)
        page.obj.Annots = Array([ink, pdf.make_indirect(answer)])
        add_page(pdf, PRINTED)
        pdf.save(tmp_path / "in.pdf")
    with open_document(tmp_path / "in.pdf") as document:
        sheet, again = document.read(0), document.read(0)
    np.testing.assert_array_equal(sheet.inked, again.inked)
    assert is_blue(sheet.inked).any() and not is_blue(sheet.image).any()
    assert clean(tmp_path) == [()]
    with pikepdf.open(tmp_path / "in.pdf") as before, pikepdf.open(tmp_path / "out.pdf") as after:
        [left] = after.pages[0].Annots
        assert left.Subtype == "/Link"
        assert before.pages[0].Contents.read_bytes() == after.pages[0].Contents.read_bytes()
        assert not [each for each in after.objects if isinstance(each, Dictionary) and "/InkList" in each]
    assert b"14 46" not in contents_of(tmp_path / "out.pdf")


def test_a_page_that_can_only_become_a_picture_says_what_it_loses(tmp_path):
    """Its handwriting is a stamp with a word on it."""
    with pikepdf.new() as pdf:
        page = add_page(pdf, PRINTED, Rotate=90, CropBox=Array([0, 10, 60, 90]))
        page.obj.Annots = Array([stamp(pdf)])
        pdf.save(tmp_path / "in.pdf")
    [lost] = clean(tmp_path)
    assert lost == ("its text can no longer be selected", "its notes became part of its picture")
    assert is_flat(tmp_path / "out.pdf") and not has_ink(tmp_path / "out.pdf")
    assert b"14 46" not in contents_of(tmp_path / "out.pdf") and texts_of(tmp_path / "out.pdf") == [""]
    before, after = (read_all(tmp_path / name)[0] for name in ("in.pdf", "out.pdf"))
    assert before.points == after.points and before.image.shape == after.image.shape
    np.testing.assert_allclose(after.image[~mask_of(before)].astype(int), before.image[~mask_of(before)], atol=30)


PLAIN = {
    "PolyLine": Dictionary(Vertices=Array([10, 40, 14, 46, 20, 40, 24, 47]), C=Array([0, 0, 0.9])),
    "Polygon": Dictionary(Vertices=Array([10, 40, 14, 46, 20, 40]), C=Array([1, 0.8, 0, 0]), Border=Array([0, 0, 3])),
    "Line": Dictionary(L=Array([10, 40, 30, 46]), C=Array([0, 0, 1]), BS=Dictionary(W=2)),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_lines_of_which_the_file_says_but_where_they_are_are_seen_and_go(tmp_path, kind):
    """PDFium does not draw them; viewers do. One that is no handwriting stays, and so does a stamp without a look."""
    with pikepdf.new() as pdf:
        for _ in range(2):
            page = add_page(pdf, PRINTED)
            about = dict(Type=Name.Annot, F=4, Rect=Array([8, 36, 42, 50]))
            mark = Dictionary(**about, Subtype=Name(f"/{kind}"))
            for key, value in PLAIN[kind].items():
                mark[key] = value
            seal = Dictionary(**about, Subtype=Name.Stamp, Name=Name.Approved)
            bad = Dictionary(**about, Subtype=Name.Line, L="bad")
            page.obj.Annots = Array([pdf.make_indirect(each) for each in (bad, seal, mark)])
        pdf.save(tmp_path / "in.pdf")
    first = iter([True, False])
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask_of(sheet) & next(first)) == [()]
    before, after = (read_all(tmp_path / name) for name in ("in.pdf", "out.pdf"))
    assert is_blue(before[0].image)[:, 30:70].sum() > 200 and not is_blue(after[0].image).any()
    np.testing.assert_array_equal(after[1].image, before[1].image)
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        kinds = [[str(each.Subtype) for each in page.Annots] for page in pdf.pages]
        assert kinds == [["/Line", "/Stamp"], ["/Line", "/Stamp", f"/{kind}"]] and "/AP" not in pdf.pages[1].Annots[2]


@pytest.mark.parametrize("kind", ["strokes", "words", "turned", "pinned"])
def test_an_annotation_goes_where_all_of_it_is_handwriting(tmp_path, kind):
    """Its page stays as it is, and so do annotations that are something else, or beside it."""
    with pikepdf.new() as pdf:
        page = add_page(pdf, PRINTED)
        tick = note(pdf, "FileAttachment" if kind == "pinned" else "Stamp", WRITTEN)
        if kind == "words":
            tick.AP.N.Resources = page.Resources
            tick.AP.N.write((WRITTEN + "BT /F1 4 Tf 40 40 Td (Print) Tj ET").encode())
        if kind == "turned":
            tick.AP.N.Matrix, tick.Rect = Array([0, 1, -1, 0, 0, 0]), Array([10, 5, 20, 39])
        beside = note(pdf, "Stamp", "0.2 0.2 0.2 RG 44 60 m 52 76 l 54 62 l S", (42, 58, 56, 78))
        page.obj.Annots = Array([beside, tick])
        pdf.save(tmp_path / "in.pdf")
    lost = clean(tmp_path)
    kept = kind in ("strokes", "turned")
    assert (lost == [()]) == kept == (not is_flat(tmp_path / "out.pdf"))
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        left = [str(each.Subtype) for each in pdf.pages[0].Annots]
        assert left == (["/Stamp"] if kept else ["/FileAttachment"] if kind == "pinned" else [])
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    if kind != "pinned":
        assert not is_blue(after).any() and b"14 46" not in contents_of(tmp_path / "out.pdf")
    np.testing.assert_allclose(after[~is_blue(before)].astype(int), before[~is_blue(before)], atol=30)


@pytest.mark.parametrize("kind", ["nested", "signature", "photo"])
def test_a_stamp_goes_by_what_it_paints(tmp_path, kind):
    """Strokes in a form within, or a picture of ink alone; one with print too makes the page a picture."""
    with pikepdf.new() as pdf:
        made = nested(pdf)
        if kind != "nested":
            alpha = np.zeros((20, 60), np.uint8)
            alpha[5:15, 5:55:4] = 255
            scan = paper(100, 300, (slice(30, 70), slice(30, 270)))
            ink = picture(pdf, np.full((20, 60, 3), BLUE, np.uint8), SMask=picture(pdf, alpha))
            made.AP.N.write(b"q 34 0 0 10 8 38 cm /I Do Q")
            made.AP.N.Resources = Dictionary(XObject=Dictionary(I=ink if kind == "signature" else picture(pdf, scan)))
        add_page(pdf, PRINTED).obj.Annots = Array([made])
        pdf.save(tmp_path / "in.pdf")
    [lost] = clean(tmp_path)
    assert bool(lost) == is_flat(tmp_path / "out.pdf") == (kind == "photo")
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any() and not has_ink(tmp_path / "out.pdf")
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        assert not pdf.pages[0].get("/Annots") and b"14 46" not in contents_of(tmp_path / "out.pdf")


def written_in(image):
    """(H, W) bool: where an image shows blue strokes, not just the coloured edges of letters in fields."""
    blue = (image[..., 2].astype(int) - image[..., 0] > 50).astype(np.uint8)
    return cv2.dilate(cv2.erode(blue, np.ones((3, 3))), np.ones((7, 7))) > 0


SCRIBBLED = [[(x, y), (x + 4, y + 5), (x + 8, y)] for y in (20, 30, 40, 50) for x in (8, 18, 28, 38)]


@pytest.mark.parametrize("kind", ["content", "form", "PolyLine"])
@pytest.mark.parametrize("is_kept", [False, True])
def test_strokes_that_the_mask_misses_go_with_those_of_the_same_pen(tmp_path, kind, is_kept):
    """As networks see but most of them; not where a part of the page is to be kept, nor what another pen drew."""
    with pikepdf.new() as pdf:
        figure = "q 1.5 w 30 62 m 38 68 l 46 61 l S Q "
        form = hidden(pdf, "ET")
        form.write((strokes(*SCRIBBLED)).encode())
        page = add_page(pdf, PRINTED + figure + {"content": strokes(*SCRIBBLED), "form": "/P0 Do"}.get(kind, ""))
        page.Resources.XObject.P0 = form
        if kind == "PolyLine":
            about = dict(Type=Name.Annot, Subtype=Name.PolyLine, F=4, C=Array([0.1, 0.1, 0.8]), BS=Dictionary(W=1.5))
            lines = [dict(Vertices=Array([*map(float, np.ravel(line))])) for line in SCRIBBLED]
            boxes = [Array([*map(float, (*np.min(line, 0) - 1, *np.max(line, 0) + 1))]) for line in SCRIBBLED]
            page.obj.Annots = Array([Dictionary(**about, **line, Rect=box) for line, box in zip(lines, boxes)])
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    mask = is_blue(sheet.image)
    mask[110:150, 102:] = False  # one of 16
    spared = np.zeros_like(mask)
    spared[110:150, 102:] = is_kept
    with open_document(tmp_path / "in.pdf") as document, new_document(tmp_path / "out.pdf", "PDF", document) as writer:
        clean_page = np.where(mask[..., None], np.uint8(255), sheet.image)
        assert writer.add(replace(document.read(0), image=clean_page, mask=mask, spared=spared)) == ()
        writer.finish()
    [after] = read_all(tmp_path / "out.pdf")
    assert texts_of(tmp_path / "out.pdf") == texts_of(tmp_path / "in.pdf") and b"38 68 l" in contents_of(
        tmp_path / "out.pdf"
    )
    assert is_blue(after.image).any() == is_kept and not is_blue(after.image)[:100].any()


@pytest.mark.parametrize("kind", ["Widget", "FreeText"])
@pytest.mark.parametrize("flat", [False, True])
def test_text_that_was_typed_stays_where_ink_but_crosses_it(tmp_path, kind, flat):
    """In a field, or a note; in a field also where the page becomes a picture."""
    with pikepdf.new() as pdf:
        page = add_page(pdf, PRINTED + "q 30 0 0 6 12 41 cm /P0 Do Q", pictures=[picture(pdf, paper(6, 30))])
        typed = note(pdf, kind, "0.9 g 8 38 34 10 re f 0 g BT /F1 8 Tf 10 40 Td (Typed) Tj ET")
        typed.AP.N.Resources = Dictionary(Font=page.obj.Resources.Font)
        typed.FT, typed.T, typed.V, typed.DA = Name.Tx, "name", "Typed", "/F1 8 Tf 0 g"
        tick = note(pdf, "Stamp", strokes([(20, 34), (26, 46), (40, 35)]), (10, 30, 50, 50))
        page.obj.Annots = Array([typed, tick, stamp(pdf)] if flat else [typed, tick])
        page.obj.Annots[-1].Rect = Array([8, 10, 42, 20]) if flat else tick.Rect
        if kind == "Widget":
            pdf.Root.AcroForm = Dictionary(Fields=Array([typed]), DA=typed.DA)
        pdf.save(tmp_path / "in.pdf")
    [lost] = erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: written_in(sheet.image))
    assert is_flat(tmp_path / "out.pdf") == flat == bool(lost) and not any("filled" in loss for loss in lost)
    [after] = read_all(tmp_path / "out.pdf")
    assert not written_in(after.image).any() and (after.image[110:145, 25:70] < 100).any()
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        left = [(str(each.Subtype), each.V) for each in pdf.pages[0].get("/Annots", [])]
        assert left == ([(f"/{kind}", "Typed")] if kind == "Widget" or not flat else [])


def test_a_see_through_line_hides_no_print(tmp_path):
    """As of a marker over a word."""
    with pikepdf.new() as pdf:
        page = add_page(pdf, PRINTED)
        mark = Dictionary(Type=Name.Annot, Subtype=Name.PolyLine, Rect=Array([5, 65, 40, 80]), CA=0.4)
        mark.Vertices, mark.C, mark.Border = Array([8, 72, 36, 72]), Array([1, 0.9, 0]), Array([0, 0, 9])
        page.obj.Annots = Array([mark])
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    print_of = sheet.image[40:60, 25:100]
    assert (print_of < 130).all(2).sum() > 50 and (print_of[..., 2] < 180).all(1).any()


def test_the_look_of_a_dropped_annotation_is_empty_where_tags_name_it(tmp_path):
    """But not where another annotation shows it, nor its font."""
    with pikepdf.new() as pdf:
        page, other = add_page(pdf, PRINTED), add_page(pdf, PRINTED)
        inks = [note(pdf, "Ink", f"{number} 40 m 14 46 l 20 40 l S") for number in (10, 11)]
        font = page.Resources.Font.F1 = pdf.make_indirect(page.Resources.Font.F1)
        inks[0].AP.N.Resources = Dictionary(Font=Dictionary(F1=font))
        page.obj.Annots = Array(inks)
        other.obj.Annots = Array([note(pdf, "Stamp", "")])
        other.obj.Annots[0].AP.N = inks[1].AP.N
        tags = [Dictionary(Type=Name.MCR, Pg=page.obj, Stm=ink.AP.N, StmOwn=ink, MCID=0) for ink in inks]
        pdf.Root.StructTreeRoot = Dictionary(Type=Name.StructTreeRoot, K=Array(tags))
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    contents = contents_of(tmp_path / "out.pdf")
    assert b"10 40 m" not in contents and b"11 40 m" in contents
    assert texts_of(tmp_path / "out.pdf") == texts_of(tmp_path / "in.pdf")


def test_handwriting_that_is_a_letter_of_a_font_goes_with_the_font(tmp_path):
    """As scans whose shapes became fonts; print in such fonts costs a page nothing."""
    glyph = "1000 0 0 0 1000 1000 d1 0 0 m 1000 0 l 1000 1000 l 0 1000 l f"
    for show, flat in (("0 0 1 rg BT /T 10 Tf 10 40 Td (AA) Tj ET", True), (WRITTEN, False)):
        with pikepdf.new() as pdf:
            page = add_page(pdf, f"q BT /T 10 Tf 40 75 Td (A) Tj ET Q {PRINTED}{show}")
            font = Dictionary(Type=Name.Font, Subtype=Name.Type3, FirstChar=65, LastChar=65, Widths=Array([1000]))
            font.FontBBox, font.FontMatrix = Array([0, 0, 1000, 1000]), Array([0.001, 0, 0, 0.001, 0, 0])
            font.CharProcs = Dictionary(A=pdf.make_stream(glyph.encode()))
            font.Encoding = Dictionary(Type=Name.Encoding, Differences=Array([65, Name.A]))
            page.Resources.Font.T = font
            pdf.save(tmp_path / "in.pdf")
        clean(tmp_path)
        assert is_flat(tmp_path / "out.pdf") == flat == (b"1000 1000 l" not in contents_of(tmp_path / "out.pdf"))
        assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any()


def add_field(pdf, about):
    """A page whose form holds a field that is written on; returns the field."""
    page, field = add_page(pdf, PRINTED), note(pdf, "Widget", WRITTEN)
    for key, value in about.items():
        field[key] = value
    page.obj.Annots = Array([field])
    pdf.Root.AcroForm = Dictionary(Fields=Array([field]))
    return field


def test_a_signature_in_a_form_field_goes_and_the_field_stays(tmp_path):
    with pikepdf.new() as pdf:
        add_field(pdf, Dictionary(FT=Name.Sig, T="signature"))
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any()
    assert b"14 46" not in contents_of(tmp_path / "out.pdf")
    with pikepdf.open(tmp_path / "out.pdf") as after:
        assert [each.T for each in after.Root.AcroForm.Fields] == ["signature"]


@pytest.mark.parametrize("kind, has_look", [("Tx", True), ("Tx", False), ("Ch", True)])
def test_what_is_filled_into_a_field_goes_where_it_is_erased(tmp_path, kind, has_look):
    """Viewers would draw it anew. The same in another field, beside it, stays."""
    with pikepdf.new() as pdf:
        about = dict(FT=Name(f"/{kind}"), DA="/F1 8 Tf 0 g", F=4)
        field = add_field(pdf, Dictionary(**about, Rect=Array([10, 38, 50, 48])))
        field.AP.N.write(b"BT /F1 8 Tf 12 40 Td (secret) Tj ET")
        font = field.AP.N.Resources = Dictionary(Font=pdf.pages[0].Resources.Font)
        parent = pdf.make_indirect(Dictionary(FT=field.FT, T="name", V="secret", DV="secret", Kids=Array([field])))
        other = pdf.make_indirect(Dictionary(**about, T="other", V="stays", Type=Name.Annot, Subtype=Name.Widget))
        field.Parent, field.MK, other.Rect = parent, Dictionary(CA="secret"), Array([10, 5, 50, 15])
        field.Ff = {"Tx": 0, "Ch": 3 << 17}[kind]  # a line, or a list to write into
        if not has_look:
            del field.AP
        pdf.pages[0].obj.Annots.append(other)
        pdf.Root.AcroForm = Dictionary(Fields=Array([parent, other]), DR=font, NeedAppearances=not has_look)
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    mask = np.zeros(sheet.image.shape[:2], bool)
    mask[112:140, 24:142] = True
    assert (sheet.image[mask] < 100).any()
    [lost] = erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask)
    assert any("filled into" in loss for loss in lost) and not is_flat(tmp_path / "out.pdf")
    assert read_all(tmp_path / "out.pdf")[0].image[mask].min() > 200
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        fields = list(pdf.Root.AcroForm.Fields)
        assert [(each.T, each.get("/V")) for each in fields] == [("name", None), ("other", "stays")]
        assert not any(b"secret" in each.unparse(resolved=True) for each in pdf.objects)


def test_a_picture_in_a_button_of_a_form_goes(tmp_path):
    """The button names it once more, to be drawn anew."""
    with pikepdf.new() as pdf:
        field = add_field(pdf, Dictionary(FT=Name.Btn, Ff=1 << 16, T="photo"))
        field.MK = Dictionary(I=field.AP.N, TP=1)
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any()
    assert b"14 46" not in contents_of(tmp_path / "out.pdf")


def test_the_look_of_a_field_goes_with_a_page_that_cannot_be_looked_into(tmp_path, monkeypatch, in_process):
    def fail(*arguments):
        raise ValueError("damaged")

    with pikepdf.new() as pdf:
        add_field(pdf, Dictionary(FT=Name.Sig, T="signature"))
        pdf.save(tmp_path / "in.pdf")
    monkeypatch.setattr("dehw.files.pdf.write.change", fail)
    assert clean(tmp_path) == [("it became a picture, without text, links and fields",)]
    assert is_flat(tmp_path / "out.pdf") and b"14 46" not in contents_of(tmp_path / "out.pdf")


def test_an_annotation_with_a_damaged_look_costs_a_page_nothing(tmp_path):
    with pikepdf.new() as pdf:
        page = add_page(pdf, over() + "BT /F1 8 Tf 10 10 Td (Print) Tj ET", pictures=[picture(pdf, INKED)])
        bad = note(pdf, "Stamp", "")
        bad.AP.N.write(b"no JPEG", filter=Name.DCTDecode)
        page.obj.Annots = Array([bad])
        pdf.save(tmp_path / "in.pdf", compress_streams=False)
    assert clean(tmp_path) == [()] and not is_flat(tmp_path / "out.pdf") and not has_ink(tmp_path / "out.pdf")


@pytest.mark.parametrize("left", ["null", "[null]", "7"])
def test_annotations_that_are_not_there_cost_a_page_nothing(tmp_path, left):
    """Programs that remove one leave its number."""
    with pikepdf.new() as pdf:
        large = picture(pdf, INKED.repeat(2, 0).repeat(2, 1))
        page = add_page(pdf, over() + "BT /F1 8 Tf 10 10 Td (Print) Tj ET", pictures=[large])
        page.obj.Annots = pdf.make_indirect(pikepdf.String("number"))
        pdf.save(tmp_path / "in.pdf", object_stream_mode=pikepdf.ObjectStreamMode.disable)
    (tmp_path / "in.pdf").write_bytes((tmp_path / "in.pdf").read_bytes().replace(b"(number)", left.encode().ljust(8)))
    assert read_all(tmp_path / "in.pdf")[0].image.shape[0] == 500
    assert clean(tmp_path) == [()] and not has_ink(tmp_path / "out.pdf")
    assert texts_of(tmp_path / "out.pdf") == ["Print"]


@pytest.mark.parametrize("kind", ["Stamp", "Widget", "Circle"])
def test_a_small_note_beside_much_handwriting_in_a_scan_goes_too(tmp_path, kind):
    """A tick, a signature in a form's field, or a ring of which the file says but where it is."""
    size, tick = (300, 450), "q 0.08 0.12 0.78 RG 2 w 10 400 m 16 406 l 20 400 l S Q"
    with pikepdf.new() as pdf:
        scan = picture(pdf, paper(1250, 835, (slice(500, 1100), slice(100, 700))))
        page = add_page(pdf, over(size), size, [scan])
        mark = note(pdf, kind, tick, (8, 398, 42, 408))
        page.obj.Annots = Array([mark])
        if kind == "Circle":
            mark.C, mark.BS = Array([0, 0, 0.9]), Dictionary(W=2)
            del mark.AP
        if kind == "Widget":
            mark.FT, mark.T = Name.Sig, "signature"
            pdf.Root.AcroForm = Dictionary(Fields=Array([mark]))
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    assert is_blue(read_all(tmp_path / "in.pdf")[0].image)[:160].any()
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any()
    assert b"16 406 l" not in contents_of(tmp_path / "out.pdf")


def test_a_filled_in_field_beside_handwriting_keeps_the_page_s_text(tmp_path):
    size = (300, 450)
    with pikepdf.new() as pdf:
        scan = picture(pdf, paper(1250, 835, (slice(500, 700), slice(100, 700))))
        page = add_page(pdf, over(size) + "BT /F1 20 Tf 60 420 Td (Print) Tj ET", size, [scan])
        field = note(pdf, "Widget", "BT /F1 30 Tf 10 60 Td (Typed in here) Tj ET", (8, 50, 292, 90))
        field.FT, field.T, field.V, field.DA = Name.Tx, "name", "Typed in here", "/F1 30 Tf 0 g"
        field.AP.N.Resources = Dictionary(Font=page.obj.Resources.Font)
        page.obj.Annots = Array([field])
        pdf.Root.AcroForm = Dictionary(Fields=Array([field]), DA="/F1 30 Tf 0 g")
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert not is_flat(tmp_path / "out.pdf") and not has_ink(tmp_path / "out.pdf")
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    np.testing.assert_allclose(after[1000:].astype(int), before[1000:], atol=12)


def test_print_that_handwriting_crosses_stays_and_what_is_covered_goes(tmp_path):
    """As by a brush, over a word that is no handwriting at all."""
    with pikepdf.new() as pdf:
        add_page(pdf, "BT /F1 8 Tf 10 70 Td () Tj (Print) Tj 0 -30 Td [(cov) -10 (ered)] TJ [-20] TJ ET " + WRITTEN)
        pdf.save(tmp_path / "in.pdf")
    mask = np.zeros((250, 167), bool)
    mask[110:150, 20:130] = True  # 36 to 50 points from below
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask) == [()]
    assert texts_of(tmp_path / "out.pdf") == ["Print"] and not is_flat(tmp_path / "out.pdf")


def test_the_words_of_a_scan_that_cannot_be_told_apart_go_and_that_is_said(tmp_path, monkeypatch, in_process):
    monkeypatch.setattr("dehw.files.pdf.words._texts", lambda *arguments: ([], []))
    with pikepdf.new() as pdf:
        words = "BT 3 Tr /F1 8 Tf 14 79 Td (Print) Tj ET"
        add_page(pdf, over() + words, pictures=[picture(pdf, INKED)])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [("its text can no longer be selected",)]
    assert texts_of(tmp_path / "out.pdf") == [""] and not is_flat(tmp_path / "out.pdf")


def test_a_page_of_forms_without_end_is_drawn(tmp_path):
    """Each of them draws the next one ten times over."""
    with pikepdf.new() as pdf:
        box, deeper = Array([0, 0, 60, 90]), None
        for _ in range(9):
            inside = Dictionary(XObject=Dictionary(X=deeper)) if deeper is not None else Dictionary()
            about = Dictionary(Type=Name.XObject, Subtype=Name.Form, BBox=box, Resources=inside)
            deeper = pdf.make_stream(b"/X Do " * 10 if deeper is not None else b"0 0 1 1 re f", about)
        add_page(pdf, "/P0 Do", pictures=[deeper])
        pdf.save(tmp_path / "in.pdf")
    look = Source(tmp_path / "in.pdf").look(0)
    assert look.layers.text and look.size == (167, 250)


# -- nothing of the handwriting stays ------------------------------------------------------------------------


def test_no_older_revision_preview_or_list_of_pictures_holds_the_handwriting(tmp_path):
    """Pages share a list of all pictures, the one page has a preview, and an update was appended to the file."""
    with pikepdf.new() as pdf:
        shared = pdf.make_indirect(Dictionary(A=picture(pdf, INKED), B=picture(pdf, paper(250, 167, seed=1))))
        for name in "AB":
            add_page(pdf, over(name=name)).Resources.XObject = shared
        pdf.pages[0].obj.Thumb = picture(pdf, INKED[::4, ::4].copy())
        pdf.pages[0].obj.PieceInfo = Dictionary(Tool=Dictionary(Private=pdf.make_stream(b"14 46 l")))
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    assert len(pictures_of(tmp_path / "in.pdf")) == 3 and len(pictures_of(tmp_path / "out.pdf")) == 2
    assert not has_ink(tmp_path / "out.pdf") and b"14 46" not in contents_of(tmp_path / "out.pdf")
    content = (tmp_path / "out.pdf").read_bytes()
    assert content.count(b"%%EOF") == 1 and b"/Prev" not in content


def test_what_tags_or_the_list_of_a_damaged_page_still_name_is_empty(tmp_path):
    """But what another page or a note shows stays."""
    with pikepdf.new() as pdf:
        scan, other, stamp = picture(pdf, INKED), picture(pdf, paper(250, 167, seed=1)), picture(pdf, INKED)
        form = pdf.make_stream(over().encode(), Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 60, 90]))
        form.Resources = Dictionary(XObject=Dictionary(P0=scan))
        shared = pdf.make_indirect(Dictionary(A=scan, B=form, C=other, D=stamp))
        for content in (over(name="A"), "/B Do", over(name="D"), over(name="C") + "BT /Missing 8 Tf (x) Tj ET"):
            add_page(pdf, content).Resources.XObject = shared
        seal = note(pdf, "Stamp", over(name="D"), (0, 0, 60, 90))
        seal.AP.N.Resources = Dictionary(XObject=Dictionary(D=stamp))
        pdf.pages[3].obj.Annots = Array([seal])
        page = pdf.pages[1].obj
        tags = [Dictionary(Type=Name.OBJR, Pg=page, Obj=scan), Dictionary(Type=Name.MCR, Pg=page, Stm=form, MCID=0)]
        pdf.Root.StructTreeRoot = Dictionary(Type=Name.StructTreeRoot, K=Array(tags))
        pdf.save(tmp_path / "in.pdf")
    first = iter([True, True, True, False])
    lost = erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask_of(sheet) & next(first))
    assert lost == [()] * 3
    assert sum(is_blue(image).any() for image in pictures_of(tmp_path / "out.pdf")) == 1
    before, after = (read_all(tmp_path / name) for name in ("in.pdf", "out.pdf"))
    assert not any(is_blue(sheet.image).any() for sheet in after[:3])
    np.testing.assert_array_equal(after[3].image, before[3].image)


def test_no_preview_of_the_file_or_a_form_holds_the_handwriting(tmp_path):
    """As design programs keep them; the rest of the file's metadata stays."""
    with pikepdf.new() as pdf:
        form = pdf.make_stream(over().encode(), Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 60, 90]))
        form.Resources = Dictionary(XObject=Dictionary(P0=picture(pdf, INKED)))
        page = add_page(pdf, "/P0 Do", pictures=[form]).obj
        for holder in (pdf.Root, page, form):
            holder.PieceInfo = Dictionary(Tool=Dictionary(Private=pdf.make_stream(b"14 46 l")))
        with pdf.open_metadata() as xmp:
            xmp["dc:title"] = "Unit Test"
        preview = b"<xmp:Thumbnails xmlns:xmp='http://ns.adobe.com/xap/1.0/'>14 46 l</xmp:Thumbnails></rdf:Description>"
        about = pdf.Root.Metadata.read_bytes().replace(b"</rdf:Description>", preview, 1)
        for holder in (pdf.Root, page, form):
            holder.Metadata = pdf.make_stream(about, Type=Name.Metadata, Subtype=Name.XML)
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert contents_of(tmp_path / "in.pdf").count(b"14 46 l") == 6
    assert b"14 46 l" not in contents_of(tmp_path / "out.pdf") and not is_flat(tmp_path / "out.pdf")
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        assert pdf.open_metadata()["dc:title"] == "Unit Test"


@pytest.mark.parametrize("about", [dict(Filter=Name.DCTDecode), {}])
def test_damaged_metadata_cost_nothing_else(tmp_path, about):
    with pikepdf.new() as pdf:
        add_page(pdf, over(), pictures=[picture(pdf, INKED)])
        pdf.Root.Metadata = pdf.make_stream(b"<x:xmpmeta><Thumbnails", **about)
        pdf.save(tmp_path / "in.pdf", fix_metadata_version=False)
    assert clean(tmp_path) == [()] and not has_ink(tmp_path / "out.pdf")


def test_what_a_page_does_not_show_of_a_picture_goes_too(tmp_path):
    """A scan of two pages, of which the page shows one: the other one's handwriting is not left in the picture."""
    image = paper(250, 334, (slice(120, 140), slice(40, 120)))
    image[60:80, 200:300] = (20, 30, 200)
    with pikepdf.new() as pdf:
        add_page(pdf, "q 120 0 0 90 0 0 cm /P0 Do Q", pictures=[picture(pdf, image)])
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    assert not has_ink(tmp_path / "out.pdf") and not is_flat(tmp_path / "out.pdf")


@pytest.mark.parametrize("how", ["path", "form"])
def test_what_is_clipped_of_a_picture_goes_too(tmp_path, how):
    """It lies on the page, but outside what a path, or a form's box, leaves to see."""
    image = paper(250, 334, (slice(120, 140), slice(40, 120)))
    image[60:80, 200:300] = BLUE
    shown = "q 120 0 0 90 0 0 cm /P0 Do Q "
    with pikepdf.new() as pdf:
        scan = picture(pdf, image)
        inside = pdf.make_stream(shown.encode(), Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 60, 90]))
        inside.Resources = Dictionary(XObject=Dictionary(P0=scan))
        content = {"path": f"q 5 5 m 60 0 l 60 90 l 0 90 l h W n {shown}Q ", "form": "/P1 Do "}[how]
        add_page(pdf, content + "BT /F1 8 Tf 70 60 Td (Print) Tj ET", (120, 90), [scan, inside])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert not has_ink(tmp_path / "out.pdf") and not is_flat(tmp_path / "out.pdf")
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    np.testing.assert_allclose(after[~is_blue(before)].astype(int), before[~is_blue(before)], atol=12)


def test_a_picture_in_two_places_loses_what_is_written_on_in_either(tmp_path):
    """Each of them shows a half of it."""
    image = paper(250, 334, (slice(120, 140), slice(40, 120)))
    image[60:80, 200:300] = BLUE
    half = "q {} 0 60 90 re W n 120 0 0 90 {} 0 cm /P0 Do Q "
    with pikepdf.new() as pdf:
        content = half.format(60, 60) + half.format(0, -60) + "BT /F1 8 Tf 70 10 Td (Print) Tj ET"
        add_page(pdf, content, (120, 90), [picture(pdf, image)])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert not has_ink(tmp_path / "out.pdf") and not is_flat(tmp_path / "out.pdf")
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    np.testing.assert_allclose(after[~is_blue(before)].astype(int), before[~is_blue(before)], atol=12)


@pytest.mark.parametrize("flat", [False, True])
def test_a_page_that_shows_the_clean_half_of_a_shared_scan_holds_no_more_of_it(tmp_path, flat):
    """As programs split a booklet; pages that show all of a shared picture keep it as it was."""
    wide = np.concatenate([INKED, paper(250, 167, seed=1)], 1)
    with pikepdf.new() as pdf:
        scan, ground = picture(pdf, wide), picture(pdf, paper(250, 167, seed=2))
        stamps = Array([stamp(pdf)])
        for left in (0, 60):
            box = Array([left, 0, left + 60, 90])
            add_page(
                pdf,
                over((120, 90)),
                (120, 90),
                [scan],
                CropBox=box,
                **(dict(Annots=stamps) if flat and not left else {}),
            )
        for content in (over() + WRITTEN, over()):
            add_page(pdf, content, pictures=[ground])
        pdf.save(tmp_path / "in.pdf")
    assert len(clean(tmp_path)) == 2
    assert not has_ink(tmp_path / "out.pdf") and is_flat(tmp_path / "out.pdf") == flat
    before, after = (read_all(tmp_path / name) for name in ("in.pdf", "out.pdf"))
    np.testing.assert_allclose(after[1].image.astype(int), before[1].image, atol=12)
    np.testing.assert_array_equal(after[3].image, before[3].image)
    assert sum(np.array_equal(each, paper(250, 167, seed=2)) for each in pictures_of(tmp_path / "out.pdf")) == 1


def test_a_picture_under_another_is_painted_too(tmp_path):
    with pikepdf.new() as pdf:
        add_page(pdf, over() + over(name="P1"), pictures=[picture(pdf, INKED), picture(pdf, INKED)])
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    assert not has_ink(tmp_path / "out.pdf")


@pytest.mark.parametrize("place", ["page", "form"])
def test_a_picture_written_into_the_content_is_painted_in_its_place(tmp_path, place):
    """Beside strokes; on two pages that share their content, of which the other one stays."""
    pixels = paper(50, 34, (slice(24, 28), slice(8, 24)))
    head = f"q 60 0 0 90 0 0 cm BI /W 34 /H 50 /BPC 8 /CS /RGB /F /AHx ID {pixels.tobytes().hex()}> EI Q "
    with pikepdf.new() as pdf:
        form = hidden(pdf, "ET")
        form.write(head.encode())
        for _ in range(2):
            content = {"page": head, "form": "/P0 Do "}[place] + "BT /F1 8 Tf 10 70 Td (Print) Tj ET "
            add_page(pdf, content + strokes([(10, 20), (14, 26), (20, 19)]), pictures=[form])
        pdf.save(tmp_path / "in.pdf")
    first = iter([True, False])
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask_of(sheet) & next(first)) == [()]
    before, after = (read_all(tmp_path / name) for name in ("in.pdf", "out.pdf"))
    assert texts_of(tmp_path / "out.pdf") == ["Print", "Print"] and not is_flat(tmp_path / "out.pdf")
    assert not is_blue(after[0].image).any() and is_blue(after[1].image).any()
    np.testing.assert_array_equal(after[1].image, before[1].image)
    mask = is_blue(before[0].image)
    np.testing.assert_allclose(after[0].image[~mask].astype(int), before[0].image[~mask], atol=30)


def test_a_picture_written_into_the_content_beside_the_handwriting_stays(tmp_path):
    with pikepdf.new() as pdf:
        inline = "q 20 0 0 5 30 70 cm BI /W 2 /H 1 /BPC 8 /CS /G /F /AHx ID 3050> EI Q "
        add_page(pdf, over() + inline + "BT /F1 8 Tf 10 10 Td (Print) Tj ET", pictures=[picture(pdf, INKED)])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert not is_flat(tmp_path / "out.pdf") and not has_ink(tmp_path / "out.pdf")
    assert texts_of(tmp_path / "out.pdf") == ["Print"] and b"BI" in contents_of(tmp_path / "out.pdf")


def test_attached_files_stay(tmp_path):
    """Also one that hangs on a page which becomes a picture."""
    with pikepdf.new() as pdf:
        page = add_page(pdf, PRINTED)
        pdf.attachments["key.txt"] = pikepdf.AttachedFileSpec(pdf, b"the answers")
        pin = note(pdf, "FileAttachment", "", (2, 2, 6, 6))
        pin.FS = pikepdf.AttachedFileSpec(pdf, b"more of them", filename="more.txt").obj
        page.obj.Annots = Array([stamp(pdf), pin])
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    assert is_flat(tmp_path / "out.pdf")
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        assert pdf.attachments["key.txt"].get_file().read_bytes() == b"the answers"
        [left] = pdf.pages[0].Annots
        assert left.FS.EF.F.read_bytes() == b"more of them"


@pytest.mark.parametrize("is_signed", [True, False])
def test_a_digital_signature_that_is_broken_is_told_once(tmp_path, is_signed):
    with pikepdf.new() as pdf:
        for _ in range(2):
            add_page(pdf, PRINTED + WRITTEN)
        field = Dictionary(Type=Name.Annot, Subtype=Name.Widget, FT=Name.Sig, T="s", Rect=Array([0, 0, 0, 0]))
        if is_signed:
            field.V = Dictionary(Type=Name.Sig, Filter=Name("/Adobe.PPKLite"), ByteRange=Array([0, 1, 2, 3]))
        field = pdf.make_indirect(field)
        pdf.pages[1].obj.Annots = Array([field])
        pdf.Root.AcroForm = Dictionary(Fields=Array([Dictionary(T="group", Kids=Array([field]))]), SigFlags=3)
        pdf.save(tmp_path / "in.pdf")
    first, second = clean(tmp_path)
    assert any("digital signature no longer holds" in loss for loss in first) == is_signed and not second


@pytest.mark.parametrize("is_content", [True, False])
def test_layers_that_are_hidden_stay_so(tmp_path, is_content):
    """As answers to a test are: in the page's content, or a picture; the page's own picture stays in its layer."""
    with pikepdf.new() as pdf:
        shown, hidden = (pdf.make_indirect(Dictionary(Type=Name.OCG, Name=name)) for name in ("scan", "answers"))
        pdf.Root.OCProperties = Dictionary(OCGs=Array([shown, hidden]), D=Dictionary(OFF=Array([hidden])))
        answers = "/OC /A BDC 0 0 0 rg 5 5 50 20 re f EMC " if is_content else "q 40 0 0 10 10 38 cm /P1 Do Q "
        scans = [picture(pdf, INKED, OC=shown), picture(pdf, np.zeros((25, 100, 3), np.uint8), OC=hidden)]
        page = add_page(pdf, over() + answers + "BT /F1 8 Tf 10 70 Td (Print) Tj ET", pictures=scans)
        page.Resources.Properties = Dictionary(A=hidden)
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()] and not has_ink(tmp_path / "out.pdf")
    assert texts_of(tmp_path / "out.pdf") == ["Print"]
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        names = {each.OC.Name for each in pdf.pages[0].Resources.XObject.values()}
        assert names == ({"scan"} if is_content else {"scan", "answers"})
        assert [each.Name for each in pdf.Root.OCProperties.D.OFF] == ["answers"]
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    np.testing.assert_allclose(after[~is_blue(before)].astype(int), before[~is_blue(before)], atol=12)


@pytest.mark.parametrize("inside", ["", over()])
def test_strokes_in_a_form_go_from_it(tmp_path, inside):
    """Also where they are but a small part of what is erased, and the rest is in a picture. Another page that shows the
    form keeps it; where it is drawn twice, its page becomes a picture.
    """
    box, pen = Array([0, 0, 60, 90]), b"0.08 0.12 0.78 RG 0.6 w 10 20 m 14 24 l 18 19 l 22 25 l S"
    for shown, flat in (("/X Do", False), ("/X Do q 1 0 0 1 30 0 cm /X Do Q", True)):
        with pikepdf.new() as pdf:
            form = pdf.make_stream(pen, Type=Name.XObject, Subtype=Name.Form, BBox=box, Resources=Dictionary())
            scan = picture(pdf, paper(250, 167, (slice(40, 120), slice(20, 140))))
            page = add_page(pdf, f"{inside}{shown} BT /F1 8 Tf 10 70 Td (Print) Tj ET", pictures=[scan])
            page.Resources.XObject.X = form
            add_page(pdf, "/X Do").Resources.XObject.X = form
            pdf.save(tmp_path / "in.pdf")
        erase(tmp_path / "in.pdf", tmp_path / "out.pdf", partial(first_of, iter([True, False])))
        assert is_flat(tmp_path / "out.pdf") == flat and not has_ink(tmp_path / "out.pdf")
        after = read_all(tmp_path / "out.pdf")
        assert not is_blue(after[0].image).any() and is_blue(after[1].image).any()
        assert contents_of(tmp_path / "out.pdf").count(b"18 19 l") == 1


LINES = " ".join(f"{x} 30 m {x} 65 l S" for x in range(11, 40, 3))


@pytest.mark.parametrize("shown", [f"1 w {LINES}", "BT /F1 18 Tf 8 34 Td (2x + 4) Tj ET"])
def test_a_figure_or_formula_in_a_form_may_cross_strokes(tmp_path, shown):
    """As Word writes them: they are print, like words and lines of the page's own."""
    with pikepdf.new() as pdf:
        figure = hidden(pdf, "ET")
        figure.write(shown.encode())
        add_page(pdf, "/P0 Do BT /F1 8 Tf 10 70 Td (Print) Tj ET " + WRITTEN, pictures=[figure])
        pdf.save(tmp_path / "in.pdf")
    assert clean(tmp_path) == [()]
    assert texts_of(tmp_path / "out.pdf") == texts_of(tmp_path / "in.pdf")
    assert b"14 46" not in contents_of(tmp_path / "out.pdf")
    [after] = read_all(tmp_path / "out.pdf")
    assert not is_blue(after.image).any() and (after.image[120:140, 30:110] < 100).any()


@pytest.mark.parametrize("painted", ["10 40 30 6 re f", "q 30 0 0 8 10 40 cm /P0 Do Q"])
def test_what_is_clipped_to_handwriting_leaves_no_shape_of_it(tmp_path, painted):
    """As the strokes of a pen with grain are written."""
    with pikepdf.new() as pdf:
        clip = "q 0.08 0.12 0.78 rg 10 40 m 14 46 l 40 46 l 38 41 l h W n "
        grain = picture(pdf, np.full((20, 60, 3), BLUE, np.uint8))
        add_page(pdf, f"{PRINTED}q 5 65 50 15 re W n Q {clip}{painted} Q", pictures=[grain])
        pdf.save(tmp_path / "in.pdf")
    clean(tmp_path)
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any() and not has_ink(tmp_path / "out.pdf")
    assert b"14 46" not in contents_of(tmp_path / "out.pdf")


def test_a_brush_over_a_part_of_a_text_erases_that_part(tmp_path):
    """Beside strokes that can be left out."""
    with pikepdf.new() as pdf:
        add_page(pdf, "BT /F1 8 Tf 4 40 Td (Name: Robin) Tj 0 30 Td (Print) Tj ET 0 0 1 RG 10 14 m 18 22 l 40 12 l S")
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    mask = np.zeros(sheet.image.shape[:2], bool)
    mask[105:150, 85:] = True
    mask |= is_blue(sheet.image)
    assert (sheet.image[mask] < 128).any()
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask) == [
        ("its text can no longer be selected",)
    ]
    [after] = read_all(tmp_path / "out.pdf")
    assert after.image[mask].min() > 200 and "Robin" not in texts_of(tmp_path / "out.pdf")[0]
    np.testing.assert_allclose(after.image[~mask].astype(int), sheet.image[~mask], atol=30)


def test_a_pdf_that_only_a_password_opens_is_named_with_the_remedy(tmp_path):
    with pikepdf.new() as pdf:
        add_page(pdf, "")
        pdf.save(tmp_path / "in.pdf", encryption=pikepdf.Encryption(owner="secret", user="known"))
    message = "in.pdf cannot be read: it is locked by a password, and has to be saved without one. Open it in a viewer"
    with pytest.raises(PageError, match=message), open_document(tmp_path / "in.pdf"):
        pass


def test_a_locked_pdf_that_anyone_may_open_is_erased(tmp_path):
    with pikepdf.new() as pdf:
        add_page(pdf, over(), pictures=[picture(pdf, INKED)])
        pdf.save(tmp_path / "in.pdf", encryption=pikepdf.Encryption(owner="secret", user=""))
    assert clean(tmp_path) == [()] and not has_ink(tmp_path / "out.pdf")
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any()


# -- pages of two levels -------------------------------------------------------------------------------------


def test_a_page_of_two_levels_stays_one(tmp_path):
    """In G4, and hardly larger; what was erased becomes white, not grey."""
    scan = paper(250, 167, (slice(120, 140), slice(40, 120)))[..., 0] > 128
    with pikepdf.new() as pdf:
        add_page(pdf, over(), pictures=[picture(pdf, scan)])
        pdf.save(tmp_path / "in.pdf")
    mask = np.zeros(scan.shape, bool)
    mask[118:142, 38:122] = True
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask) == [()]
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        [made] = pdf.pages[0].Resources.XObject.values()
        assert (made.BitsPerComponent, made.Filter) == (1, "/CCITTFaxDecode")
    [sheet] = read_all(tmp_path / "out.pdf")
    np.testing.assert_array_equal(sheet.image[..., 0] > 128, scan | mask)
    assert sheet.metadata.bilevel and (tmp_path / "out.pdf").stat().st_size < 3 * (tmp_path / "in.pdf").stat().st_size


def test_pages_of_two_levels_become_a_pdf_of_two_levels(tmp_path):
    scan = paper(250, 167)[..., 0] > 128
    Image.fromarray(scan).save(tmp_path / "in.tif", compression="group4")
    with open_document(tmp_path / "in.tif") as document, new_document(tmp_path / "out.pdf", "PDF", document) as writer:
        writer.add(document.read(0))
        writer.finish()
    [made] = pictures_of(tmp_path / "out.pdf")
    np.testing.assert_array_equal(made[..., 0] > 128, scan)
    assert b"CCITTFax" in (tmp_path / "out.pdf").read_bytes()
