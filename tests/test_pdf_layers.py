"""How dense a PDF's page is drawn: the finest of its pictures decides."""

import io
import zlib

import numpy as np
import pikepdf
import pytest
from pdfs import (
    A_PAGE,
    add_page,
    contents_of,
    erase,
    has_ink,
    is_blue,
    is_flat,
    jbig2,
    mask_of,
    over,
    paper,
    picture,
    pictures_of,
)
from pikepdf import Array, Dictionary, Name
from PIL import Image
from test_documents import read_all

from dehw.files import images
from dehw.files.pdf import layers

TEXT = "BT /F1 8 Tf 10 70 Td (Print) Tj ET "
AT_200 = (250, 167)  # (height, width) of A_PAGE at 200 dpi
AT_300 = (375, 250)


def shape_of(path):
    return read_all(path)[0].image.shape[:2]


@pytest.mark.parametrize("size", [(3, 2), (24, 16), (90, 60)])
@pytest.mark.parametrize("text", ["", TEXT, "0 0 m 60 90 l S "])
def test_a_coarse_background_is_no_scan(tmp_path, size, text):
    """As a picture of few pixels, or a logo, behind a page of text; where it is all there is, it loses nothing."""
    with pikepdf.new() as pdf:
        add_page(pdf, over() + text, pictures=[picture(pdf, paper(*size))])
        pdf.save(tmp_path / "in.pdf")
    assert shape_of(tmp_path / "in.pdf") == (AT_200 if text else size)


def test_handwriting_is_erased_over_a_background_of_one_pixel(tmp_path):
    with pikepdf.new() as pdf:
        ink = paper(100, 160, (slice(40, 60), slice(20, 120)))
        content = over() + TEXT + "q 60 0 0 37.5 0 20 cm /P1 Do Q"
        add_page(pdf, content, pictures=[picture(pdf, paper(1, 1)), picture(pdf, ink)])
        pdf.save(tmp_path / "in.pdf")
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()]
    assert has_ink(tmp_path / "in.pdf") and not has_ink(tmp_path / "out.pdf")
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any()


def test_the_stencil_of_a_copier_decides(tmp_path):
    """100 dpi of paper under 300 dpi of print, and handwriting on both."""
    with pikepdf.new() as pdf:
        back = paper(125, 83, (slice(60, 70), slice(20, 60)))
        back[12:16] = 240
        paint = np.ones(AT_300, bool)
        paint[30:50, 50:125] = False  # 0 is painted: print
        paint[185:200:3, 70:170] = False  # and handwriting
        stencil = picture(pdf, paint, ImageMask=True, ColorSpace=None)
        add_page(pdf, over() + "q 0.1 0.1 0.1 rg " + over(name="P1") + "Q", pictures=[picture(pdf, back), stencil])
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    assert sheet.image.shape[:2] == AT_300

    mask = np.zeros(AT_300, bool)
    mask[170:220, 50:190] = True
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask) == [()]
    [clean] = read_all(tmp_path / "out.pdf")
    assert clean.image.shape[:2] == AT_300 and clean.image[mask].min() > 200
    assert clean.image[32:48, 55:120].max() < 90
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        [made] = [each for each in pdf.pages[0].Resources.XObject.values() if each.get("/ImageMask")]
        bits = np.array(pikepdf.PdfImage(made).as_pil_image())
    assert bits[170:220, 50:190].all() and not bits[32:48, 55:120].any()
    assert not has_ink(tmp_path / "out.pdf")


def test_a_scan_in_strips_keeps_its_density(tmp_path):
    image = paper(*AT_300, (slice(180, 260), slice(60, 200)))
    with pikepdf.new() as pdf:
        strips = [picture(pdf, image[top : top + 75]) for top in range(0, 375, 75)]
        content = "".join(f"q 60 0 0 18 0 {72 - 18 * number} cm /P{number} Do Q " for number in range(5))
        add_page(pdf, content, pictures=strips)
        pdf.save(tmp_path / "in.pdf")
    assert shape_of(tmp_path / "in.pdf") == AT_300
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()]
    assert not has_ink(tmp_path / "out.pdf") and shape_of(tmp_path / "out.pdf") == AT_300


def form(pdf, content, **entries):
    inside = Dictionary(XObject=Dictionary(**entries))
    about = Dictionary(Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 1, 1]), Resources=inside)
    return pdf.make_stream(content.encode(), about)


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_a_picture_in_forms_is_found_and_painted(tmp_path, turn):
    """Two pages show the same form: the other one stays as it was."""
    image = paper(*AT_300, (slice(180, 200), slice(60, 200)))
    with pikepdf.new() as pdf:
        inner = form(pdf, "/I Do", I=picture(pdf, image))
        outer = form(pdf, "q 0.5 0 0 0.5 0 0 cm /J Do Q", J=inner)
        for _ in range(2):
            add_page(pdf, f"q {2 * A_PAGE[0]} 0 0 {2 * A_PAGE[1]} 0 0 cm /P0 Do Q", pictures=[outer], Rotate=turn)
        pdf.save(tmp_path / "in.pdf")
    sheets = read_all(tmp_path / "in.pdf")
    np.testing.assert_array_equal(sheets[0].image, np.rot90(image, -turn // 90))
    first = iter([True, False])
    lost = erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask_of(sheet) & next(first))
    after = read_all(tmp_path / "out.pdf")
    assert lost == [()] and not is_blue(after[0].image).any()
    assert np.abs(after[0].image.astype(int) - sheets[0].image)[~mask_of(sheets[0])].max() <= 12
    np.testing.assert_array_equal(after[1].image, sheets[1].image)


@pytest.mark.parametrize("box", [None, [1, 1, 0, 0]])
def test_a_picture_in_a_form_without_a_box_or_with_a_turned_one_is_painted(tmp_path, box):
    with pikepdf.new() as pdf:
        inner = form(pdf, "/I Do", I=picture(pdf, paper(*AT_300, (slice(180, 200), slice(60, 200)))))
        inner.BBox = Array(box or [])
        if not box:
            del inner.BBox
        add_page(pdf, over() + "BT /F1 8 Tf 10 5 Td (Print) Tj ET", pictures=[inner])
        pdf.save(tmp_path / "in.pdf")
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()]
    assert not is_flat(tmp_path / "out.pdf") and not has_ink(tmp_path / "out.pdf")


def test_a_soft_mask_counts_and_loses_the_shape_of_what_was_written(tmp_path):
    """Handwriting of a pen on glass: one colour, and a see-through mask of 300 dpi."""
    alpha = np.zeros(AT_300, np.uint8)
    alpha[180:200, 60:200] = 255
    alpha[185:195, 80:180:2] = 128
    with pikepdf.new() as pdf:
        soft = picture(pdf, alpha)
        add_page(pdf, TEXT + over(), pictures=[picture(pdf, np.full((2, 2, 3), (20, 30, 200), np.uint8), SMask=soft)])
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    assert sheet.image.shape[:2] == AT_300

    def white(sheet):
        return is_blue(sheet.image)

    lost = erase(tmp_path / "in.pdf", tmp_path / "out.pdf", white)
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any() and not has_ink(tmp_path / "out.pdf")
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        masks = [each.SMask for each in pdf.objects if isinstance(each, pikepdf.Stream) and "/SMask" in each]
        assert lost or not any(np.array(pikepdf.PdfImage(each).as_pil_image()).any() for each in masks)


@pytest.mark.parametrize("kind", ["pattern", "soft mask", "soft mask of a picture"])
def test_pictures_in_what_is_painted_with_count_and_do_not_stay(tmp_path, kind):
    """A browser writes a picture as a pattern, a drawing program a pen's shape as a soft mask."""
    shape = np.zeros(AT_300, np.uint8)
    shape[180:200, 60:200] = 255
    with pikepdf.new() as pdf:
        whole = over().replace("P0", "I")
        blue = picture(pdf, np.full((2, 2, 3), (20, 30, 200), np.uint8))
        page = add_page(pdf, TEXT, pictures=[blue])
        if kind == "pattern":
            tile = form(pdf, whole, I=picture(pdf, paper(*AT_300, (slice(180, 200), slice(60, 200)))))
            tile.Type, tile.PatternType, tile.PaintType, tile.TilingType = Name.Pattern, 1, 1, 1
            tile.XStep, tile.YStep = A_PAGE
            page.Resources.Pattern, content = Dictionary(T=tile), "/Pattern cs /T scn 0 0 60 90 re f "
        else:
            tile = form(pdf, whole, I=picture(pdf, shape))
            tile.Group = Dictionary(S=Name.Transparency, CS=Name.DeviceGray)
            soft = Dictionary(S=Name.Luminosity, G=tile)
            drawn = over() if "picture" in kind else "0.08 0.12 0.78 rg 0 0 60 90 re f"
            page.Resources.ExtGState, content = Dictionary(G=Dictionary(SMask=soft)), f"q /G gs {drawn} Q "
        tile.BBox = Array([0, 0, *A_PAGE])
        page.obj.Contents = pdf.make_stream((content + TEXT).encode())
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    assert sheet.image.shape[:2] == AT_300 and is_blue(sheet.image).any()
    erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of)
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any() and not has_ink(tmp_path / "out.pdf")
    assert len(pictures_of(tmp_path / "out.pdf")) == 1 and is_flat(tmp_path / "out.pdf")


@pytest.mark.parametrize("kind", ["pattern", "soft mask", "form in a pattern"])
def test_strokes_in_what_is_painted_with_do_not_stay(tmp_path, kind):
    """Beside much handwriting in a picture, of which they are but a small part."""
    pen = "0.08 0.12 0.78 RG 1 G 0.6 w 10 20 m 14 24 l 18 19 l 22 25 l S".replace(
        "1 G " if kind != "soft mask" else "", ""
    )
    with pikepdf.new() as pdf:
        scan = picture(pdf, paper(250, 167, (slice(40, 120), slice(20, 140))))
        page = add_page(pdf, "", pictures=[scan])
        tile = form(pdf, pen)
        tile.BBox = Array([0, 0, *A_PAGE])
        if kind == "soft mask":
            tile.Group = Dictionary(S=Name.Transparency, CS=Name.DeviceRGB)
            page.Resources.ExtGState = Dictionary(G=Dictionary(SMask=Dictionary(S=Name.Luminosity, G=tile)))
            drawn = "q /G gs 0 0 1 rg 0 0 60 90 re f Q"
        else:
            tile = form(pdf, "/X Do", X=tile) if "form" in kind else tile
            tile.Type, tile.PatternType, tile.PaintType, tile.TilingType = Name.Pattern, 1, 1, 1
            tile.BBox, (tile.XStep, tile.YStep) = Array([0, 0, *A_PAGE]), A_PAGE
            page.Resources.Pattern, drawn = Dictionary(T=tile), "/Pattern cs /T scn 0 0 60 90 re f"
        page.obj.Contents = pdf.make_stream((over() + drawn).encode())
        pdf.save(tmp_path / "in.pdf")
    assert is_blue(read_all(tmp_path / "in.pdf")[0].image)[170:].any()
    erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of)
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any() and not has_ink(tmp_path / "out.pdf")
    assert b"18 19 l" not in contents_of(tmp_path / "out.pdf")


@pytest.mark.parametrize("kind", ["Stamp", "Widget", "Ink", "hidden"])
def test_a_photo_in_an_annotation_counts(tmp_path, kind):
    """It lies turned in a part of the page; one that is not shown counts for nothing."""
    with pikepdf.new() as pdf:
        look = form(pdf, "/I Do", I=picture(pdf, paper(120, 160, (slice(40, 60), slice(20, 120)))))
        look.Matrix = Array([0, 1, -1, 0, 0, 0])
        about = dict(Type=Name.Annot, Subtype=Name.Stamp if kind == "hidden" else Name(f"/{kind}"))
        note = Dictionary(**about, Rect=Array([10, 10, 34, 42]), F=2 if kind == "hidden" else 4, AP=Dictionary(N=look))
        gone = Dictionary(**about, Rect=Array([0, 0, 0, 0]), F=4, AP=Dictionary(N=form(pdf, "")))
        gone.AP.N.BBox = Array([0, 0, 0, 0])
        page = add_page(pdf, TEXT)
        page.obj.Annots = Array([pdf.make_indirect(gone), pdf.make_indirect(note)])
        pdf.save(tmp_path / "in.pdf")
    fine = kind in ("Stamp", "Widget")
    assert shape_of(tmp_path / "in.pdf") == ((450, 300) if fine else AT_200)  # 160 pixels on 32 points
    erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of)
    assert not is_blue(read_all(tmp_path / "out.pdf")[0].image).any()


STENCIL = dict(ImageMask=True, ColorSpace=None)
INVERTED = dict(Decode=Array([1, 0]))


def on_ink(pdf):
    """A colour space of one ink, as printers have."""
    function = Dictionary(FunctionType=2, Domain=Array([0, 1]), C0=Array([1, 1, 1]), C1=Array([0, 0, 0]), N=1)
    return Array([Name.Separation, Name.Black, Name.DeviceRGB, function])


BILEVEL = {
    "JBIG2": lambda pdf, bits: jbig2(pdf, bits),
    "stencil of JBIG2": lambda pdf, bits: jbig2(pdf, bits, **STENCIL),
    "inverted": lambda pdf, bits: picture(pdf, ~bits, **INVERTED),
    "inverted stencil": lambda pdf, bits: picture(pdf, ~bits, **STENCIL, **INVERTED),
    "of one ink": lambda pdf, bits: picture(pdf, ~bits, ColorSpace=on_ink(pdf)),
    "two colours": lambda pdf, bits: picture(
        pdf, ~bits, ColorSpace=Array([Name.Indexed, Name.DeviceGray, 1, pikepdf.String(b"\xff\0")])
    ),
}


@pytest.mark.parametrize("kind", BILEVEL)
def test_a_picture_of_two_levels_is_painted_in_its_place_however_it_is_coded(tmp_path, kind):
    """Under a footer, whose letters stay such; and it stays of two levels."""
    bits = paper(*AT_300, (slice(180, 200), slice(60, 200)))[..., 0] > 128
    with pikepdf.new() as pdf:
        add_page(pdf, over() + "BT /F1 8 Tf 10 5 Td (Print) Tj ET", pictures=[BILEVEL[kind](pdf, bits)])
        pdf.save(tmp_path / "in.pdf")
    [before] = read_all(tmp_path / "in.pdf")
    mask = np.zeros(AT_300, bool)
    mask[178:202, 58:202] = True
    assert before.image[182:198, 62:198].max() == 0
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", lambda sheet: mask) == [()]
    [after] = read_all(tmp_path / "out.pdf")
    np.testing.assert_array_equal(after.image, np.where(mask[..., None], np.uint8(255), before.image))
    assert not is_flat(tmp_path / "out.pdf") and b"Print" in contents_of(tmp_path / "out.pdf")
    with pikepdf.open(tmp_path / "out.pdf") as pdf:
        [made] = pdf.pages[0].Resources.XObject.values()
        assert (made.BitsPerComponent, made.Filter) == (1, "/CCITTFaxDecode")


def test_a_picture_in_jpeg_2000_keeps_how_opaque_it_is(tmp_path):
    """Its data say that: it is painted in its place, and what lies behind it is still seen."""
    opaque = np.full((*AT_200, 1), 255, np.uint8)
    opaque[:20], opaque[20:40] = 0, 128
    ink = paper(*AT_200, (slice(120, 140), slice(40, 120)))
    file = io.BytesIO()
    Image.fromarray(np.concatenate([ink, opaque], 2)).save(file, "JPEG2000")
    with pikepdf.new() as pdf:
        made = picture(pdf, ink, ColorSpace=None, BitsPerComponent=None, SMaskInData=1)
        made.write(file.getvalue(), filter=Name.JPXDecode)
        add_page(pdf, "0.5 0.6 0.5 rg 0 0 60 90 re f " + over() + "BT /F1 8 Tf 10 5 Td (Print) Tj ET", pictures=[made])
        pdf.save(tmp_path / "in.pdf")
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()]
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    assert before[5, 5].tolist() == [128, 153, 128] and not is_flat(tmp_path / "out.pdf")
    mask = is_blue(before)
    np.testing.assert_allclose(after[~mask].astype(int), before[~mask], atol=12)
    assert after[mask].min() > 200 and not has_ink(tmp_path / "out.pdf")


@pytest.mark.parametrize("kind", ["SMask", "Mask"])
def test_a_picture_that_is_cut_out_stays_opaque_where_it_was(tmp_path, kind):
    """What lies behind it does not shine through where the handwriting was."""
    opaque = np.full(AT_200, True)
    opaque[:20] = False
    ink = paper(*AT_200, (slice(120, 140), slice(40, 120)))
    with pikepdf.new() as pdf:
        mask = picture(pdf, opaque) if kind == "SMask" else picture(pdf, ~opaque, **STENCIL)
        scan = picture(pdf, ink, **{kind: mask})
        add_page(pdf, "0.6 0.8 0.6 rg 0 0 60 90 re f " + over() + "BT /F1 8 Tf 10 5 Td (Print) Tj ET", pictures=[scan])
        pdf.save(tmp_path / "in.pdf")
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()] and not is_flat(tmp_path / "out.pdf")
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    assert after[is_blue(before)].min() > 225 and after[5, 5].tolist() == [153, 204, 153]
    np.testing.assert_allclose(after[~is_blue(before)].astype(int), before[~is_blue(before)], atol=12)


@pytest.mark.parametrize("kind", ["colours", "matte"])
def test_a_picture_that_is_cut_out_by_its_colours_is_painted_in_its_place(tmp_path, kind):
    """By a range of them, or by a soft mask that they are mixed with."""
    ink = paper(*AT_200, (slice(120, 140), slice(40, 120)))
    ink[40:80] = 255
    with pikepdf.new() as pdf:
        if kind == "colours":
            scan = picture(pdf, ink, Mask=Array([255, 255] * 3))
        else:
            alpha = np.where((ink == 255).all(2), np.uint8(0), np.uint8(128))
            mixed = (ink.astype(int) * alpha[..., None] // 255).astype(np.uint8)
            scan = picture(pdf, mixed, SMask=picture(pdf, alpha, Matte=Array([0, 0, 0])))
        add_page(pdf, "0.6 0.8 0.6 rg 0 0 60 90 re f " + over() + "BT /F1 8 Tf 10 5 Td (Print) Tj ET", pictures=[scan])
        pdf.save(tmp_path / "in.pdf")
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()] and not is_flat(tmp_path / "out.pdf")
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    assert not is_blue(after).any() and not has_ink(tmp_path / "out.pdf")
    assert after[60, 80].tolist() == before[60, 80].tolist() == [153, 204, 153]
    np.testing.assert_allclose(after[~is_blue(before)].astype(int), before[~is_blue(before)], atol=12)


def test_colours_under_a_copier_s_mask_keep_no_shape_of_the_handwriting(tmp_path):
    """Such programs spread the colour of ink far beyond it, where the mask does not paint it."""
    shape = np.zeros(AT_300, np.uint8)
    shape[180:200, 60:200], shape[20:30, 60:200] = 255, 255
    colours = np.full((125, 84, 3), 60, np.uint8)
    colours[48:80, 10:80] = 20, 30, 200
    with pikepdf.new() as pdf:
        add_page(pdf, over(), pictures=[picture(pdf, colours, SMask=picture(pdf, shape))])
        pdf.save(tmp_path / "in.pdf")
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()] and not has_ink(tmp_path / "out.pdf")
    before, after = (read_all(tmp_path / name)[0].image for name in ("in.pdf", "out.pdf"))
    np.testing.assert_allclose(after[~is_blue(before)].astype(int), before[~is_blue(before)], atol=12)


def test_a_scan_deep_in_forms_is_painted(tmp_path):
    with pikepdf.new() as pdf:
        deep = form(pdf, "/I Do", I=picture(pdf, paper(*AT_200, (slice(120, 140), slice(40, 120)))))
        for _ in range(15):
            deep = form(pdf, "/I Do", I=deep)
        add_page(pdf, over() + "BT /F1 8 Tf 10 5 Td (Print) Tj ET", pictures=[deep])
        pdf.save(tmp_path / "in.pdf")
    assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()]
    assert not is_flat(tmp_path / "out.pdf") and not has_ink(tmp_path / "out.pdf")


def test_a_picture_without_loss_stays_so_however_its_filters_are_named(tmp_path):
    flat = np.full((250, 167, 3), 240, np.uint8)
    flat[120:140, 40:120] = (20, 30, 200)
    for name, filters in (("one", Name.FlateDecode), ("list", Array([Name.FlateDecode])), ("none", None)):
        with pikepdf.new() as pdf:
            made = picture(pdf, flat)
            if filters is not None:
                made.write(zlib.compress(flat.tobytes()), filter=filters)
            add_page(pdf, over(), pictures=[made])
            pdf.save(tmp_path / "in.pdf", compress_streams=False)
        assert erase(tmp_path / "in.pdf", tmp_path / "out.pdf", mask_of) == [()]
        with pikepdf.open(tmp_path / "out.pdf") as pdf:
            assert pdf.pages[0].Resources.XObject.P0.Filter == "/FlateDecode", name


def test_text_on_a_coarse_scan_is_drawn_at_200_dpi_and_a_fine_one_at_600_at_most(tmp_path, monkeypatch, in_process):
    monkeypatch.setattr("dehw.files.pdf.layers.PHOTO", 100_000)
    for name, size, text, expected in (
        ("coarse", (125, 83), TEXT, AT_200),
        ("scan", (125, 83), "", (125, 83)),
        ("searched", (125, 83), "BT 3 Tr /F1 8 Tf 10 70 Td (Print) Tj ET", (125, 83)),
        ("fine", (1500, 1000), "", (750, 500)),
        ("part", (375, 250), "", AT_300),
    ):
        with pikepdf.new() as pdf:
            shown = over() if name != "part" else "q 30 0 0 45 0 0 cm /P0 Do Q"
            image = paper(*size) if name != "part" else paper(187, 125)
            add_page(pdf, shown + text, pictures=[picture(pdf, image)])
            pdf.save(tmp_path / f"{name}.pdf")
        height, width = shape_of(tmp_path / f"{name}.pdf")
        assert abs(height - expected[0]) <= 2 and abs(width - expected[1]) <= 2, name


@pytest.mark.parametrize("points", [(1, 1e9), (1e9, 1), (1e-3, 1e6)])
def test_a_page_like_a_thread_is_drawn_in_as_many_tiles_as_a_large_one(points):
    size, exact = layers.pixels(layers.Layers(), layers.Frame((0, 0, *points), 0, 1))
    assert not exact and min(size) == 1 and max(size) <= layers.MAX_SIDE and images.area(*size) <= layers.MAX_PIXELS


def test_a_larger_unit_is_a_larger_page(tmp_path):
    with pikepdf.new() as pdf:
        add_page(pdf, TEXT, UserUnit=2)
        pdf.save(tmp_path / "in.pdf")
    [sheet] = read_all(tmp_path / "in.pdf")
    assert sheet.points == (120, 180) and sheet.image.shape == (500, 334, 3)
