"""`POST /api/erase` for other programs."""

import base64
import io
import json
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_serve_http import pytestmark, serving  # noqa: F401
from visits import INK, Visitor, held, make_eraser, page

from dehw.commands.serve.limits import Limits

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def server():
    with serving() as started:
        yield started


@pytest.fixture
def program(server):
    return Visitor(server.url)


def png(picture=None):
    content = io.BytesIO()
    Image.fromarray(page() if picture is None else picture).save(content, "PNG")
    return content.getvalue()


def pixels(content):
    return np.array(Image.open(io.BytesIO(content)))


def is_empty(server):
    """Whether no file is left, soon: some go after the answer."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        left = [*server.sessions.folder.glob("session-*"), *server.sessions.open]
        if not left and server.sessions.incoming == 0:
            return True
        time.sleep(0.02)
    return False


def test_a_file_goes_in_and_comes_out_erased(program, server):
    status, headers, content = program.post_form("/api/erase", ("exam.png", png()))
    assert (status, headers["content-type"]) == (200, "image/png")
    assert headers["content-disposition"] == 'attachment; filename="exam.clean.png"'
    np.testing.assert_array_equal(pixels(content), make_eraser()(page()).page)
    assert is_empty(server), "nothing is kept"


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "bmp", "tiff"])
@pytest.mark.parametrize("name", ["exam", "exam.txt"])
def test_the_answer_has_the_type_of_its_content(kind, name, program):
    sent = io.BytesIO()
    Image.fromarray(page()).save(sent, kind)
    _, headers, content = program.post_form("/api/erase", (name, sent.getvalue()))
    assert headers["content-type"] == f"image/{kind}"
    assert Image.open(io.BytesIO(content)).format == kind.upper()


def test_json_tells_all_of_it(program, server):
    status, _, content = program.post_form("/api/erase", ("exam.png", png()), answer="json", sensitivity=0.7)
    told = json.loads(content)
    expected = make_eraser()(page(), 0.7)
    assert (status, told["name"]) == (200, "exam.clean.png")
    np.testing.assert_array_equal(pixels(base64.b64decode(told["file"])), expected.page)
    (shown,) = told["pages"]
    assert shown["status"] == "erased" and shown["share"] == pytest.approx(expected.share, abs=1e-6)
    np.testing.assert_array_equal(pixels(base64.b64decode(shown["mask"])) > 0, expected.mask)
    assert shown["warnings"] == expected.warnings and is_empty(server)


def test_warnings_are_told_in_the_language_that_is_asked_for(program):
    picture = page()
    picture[:36] = 30  # most of the page
    for language, word in (("en", "of the page was erased"), ("zh", "擦除了页面的")):
        program.headers["Accept-Language"] = language
        content = program.post_form("/api/erase", ("exam.png", png(picture)), answer="json")[2]
        assert word in " ".join(json.loads(content)["pages"][0]["warnings"])


def test_documents_come_back_as_they_were(program):
    pdf = io.BytesIO()
    Image.fromarray(page()).save(pdf, "PDF", save_all=True, append_images=[Image.fromarray(page(ink=False))])
    status, headers, content = program.post_form("/api/erase", ("exam.pdf", pdf.getvalue()))
    assert (status, headers["content-type"]) == (200, "application/pdf") and content.startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("name", "content", "fields", "status", "words"),
    [
        ("notes.txt", b"hello", {}, 422, "notes.txt cannot be read: not an image"),
        ("large.png", png(np.zeros((2000, 3000), bool)), {}, 422, "has a page of 6 megapixels; 1 are allowed"),
        ("exam.png", bytes(1_200_000), {}, 422, "has more than 1 megabytes"),
        ("exam.png", png(), {"sensitivity": 2}, 422, "less than or equal to 1"),
        ("exam.png", png(), {"answer": "xml"}, 422, "'file' or 'json'"),
    ],
)
def test_what_cannot_be_erased_is_explained(name, content, fields, status, words, program, server, capfd):
    answer = program.post_form("/api/erase", (name, content), **fields)
    assert answer[0] == status and words in answer[2].decode()
    assert is_empty(server) and capfd.readouterr().err == ""


def test_a_form_without_a_file_is_refused(program):
    assert program.post_form("/api/erase", sensitivity=0.5)[0] == 422


def test_every_refusal_has_its_error(program):
    status, _, content = program.post_form("/api/erase", ("exam.png", png()), sensitivity=2)
    assert status == 422 and json.loads(content)["error"] == "sensitivity: Input should be less than or equal to 1"
    status, _, content = program.ask("GET", "/nowhere")
    assert status == 404 and json.loads(content) == {"error": "Not Found"}


def test_the_queue_and_the_disk_have_the_same_limits():
    with serving(limits=Limits(queue=0)) as server:
        with held(server.sessions):
            assert Visitor(server.url).post_form("/api/erase", ("exam.png", png()))[0] == 503
    with serving(limits=Limits(all_megabytes=0)) as server:
        assert Visitor(server.url).post_form("/api/erase", ("exam.png", png()))[0] == 507


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_program_that_hangs_up_leaves_nothing(is_whole, program, server, capfd):
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n%s\r\n--b--\r\n' % png()
    head = b"Content-Type: multipart/form-data; boundary=b\r\n\r\n" + form
    with held(server.sessions):
        program.cut_short("/api/erase", head, length=len(form) if is_whole else 50_000)
        assert is_empty(server)
    assert "Traceback" not in capfd.readouterr().err


def test_it_is_documented_by_openapi(program):
    told = json.loads(program.ask("GET", "/openapi.json")[2])
    assert list(told["paths"]) == ["/api/erase"], "the page's own routes may change"
    route = told["paths"]["/api/erase"]["post"]
    table = (ROOT / "docs/serve.md").read_text(encoding="utf-8").split("| status | meaning |")[1].split("\n\n")[0]
    assert set(re.findall(r"\d{3}", table)) == set(route["responses"])
    assert {"application/json", "application/octet-stream"} <= set(route["responses"]["200"]["content"])
    form = told["components"]["schemas"][
        route["requestBody"]["content"]["multipart/form-data"]["schema"]["$ref"].rpartition("/")[2]
    ]
    assert set(form["properties"]) == {"file", "sensitivity", "scan", "answer"} and form["required"] == ["file"]


def test_ink_is_gone(program):
    content = program.post_form("/api/erase", ("exam.png", png()))[2]
    assert (pixels(content)[INK] == 255).all()
