"""The snippets of docs/python.md run as they stand, with the weights that ship."""

import re
from pathlib import Path

import pytest

from dehw.files.images import read_image, write_image

ROOT = Path(__file__).resolve().parents[1]
GUIDE = ROOT / "docs" / "python.md"
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """All snippets, run one after the other beside page.jpg, part of a sample page; what they printed and wrote."""
    folder = tmp_path_factory.mktemp("guide")
    write_image(folder / "page.jpg", read_image(ROOT / "data/sample/images/dehw_sample_02.jpg")[100:350, 100:450])
    text, printed, names = GUIDE.read_text(encoding="utf-8"), [], {}
    names["print"] = lambda *words: printed.append(" ".join(map(str, words)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for snippet in SNIPPET.finditer(text):
            line = text.count("\n", 0, snippet.start(1))
            exec(compile("\n" * line + snippet[1], str(GUIDE), "exec"), names)  # errors name the guide's own line
    return folder, printed, names


def test_the_guide_erases_its_page(ran):
    folder, _, names = ran
    assert 0.005 < names["result"].share < 0.3
    written = {path.name for path in folder.iterdir()}
    assert written == {
        "page.jpg",
        "page.clean.jpg",
        "page.ink.png",
        "page.mask.png",
        "page.compare.png",
        "page.print.pdf",
    }


def test_the_guide_prints_what_it_promises(ran):
    _, printed, _ = ran
    assert re.fullmatch(r"\d+\.\d% erased in \d+\.\d s, \d+\.\d% of what is dark may be ink", printed[0])
    assert any(re.fullmatch(r"erase: 1 of \d+", line) for line in printed)
    assert "does not lie on the page, which is 350 px wide and 250 px high" in printed[-1]


def test_every_snippet_is_found():
    text = GUIDE.read_text(encoding="utf-8")
    assert len(SNIPPET.findall(text)) == text.count("```python") >= 8
