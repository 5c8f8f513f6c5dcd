"""What the web page says, in both languages: nothing is missing, and no sentence of the program stays English."""

import ast
import re
from pathlib import Path

import pytest

from dehw.commands.serve.chinese import translated

SERVE = Path(__file__).resolve().parents[1] / "work" / "dehw" / "commands" / "serve"
PAGE = SERVE / "page"
DEHW = SERVE.parents[1]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# The modules whose errors can reach a visitor.
SPEAKERS = [
    DEHW / "files" / "images.py",
    DEHW / "files" / "pdf" / "document.py",
    DEHW / "commands" / "erase" / "batch.py",
]
SPEAKERS += SERVE.glob("*.py")
NOT_SHOWN = ("__init__.py",)  # what it raises ends the command
TRAINING = "is no label"  # of files that visitors do not send


def read(name):
    return (PAGE / name).read_text(encoding="utf-8")


def words(language):
    block = re.search(rf"^  {language}: {{\n(.*?)^  }},$", read("words.js"), re.DOTALL | re.MULTILINE)[1]
    return dict(re.findall(r'^    (\w+): "(.*)",$', block, re.MULTILINE))


def test_both_languages_have_the_same_words_and_places():
    english, chinese = words("en"), words("zh")
    assert len(english) > 30 and list(english) == list(chinese)
    places = [{name: set(re.findall(r"{\w+}", text)) for name, text in each.items()} for each in (english, chinese)]
    assert places[0] == places[1]
    assert [name for name, text in chinese.items() if name != "other" and not CHINESE.search(text)] == []


def test_every_word_is_used_and_every_used_one_known():
    script = read("page.js") + read("words.js")
    used = set(re.findall(r'data-(?:word|label)="(\w+)"', read("index.html")))
    used |= set(re.findall(r'say\("(\w+)"', script)) | set(re.findall(r'\? "(\w+)" : "(\w+)"\)', script)[0])
    used |= {"erased", "empty", "failed", "waiting"}  # what can become of a page
    assert used == set(words("en"))


def sentence(node):
    """What a string or an f-string says, with a 7 in each place; empty for anything else, and where it is all names."""
    parts = getattr(node, "values", [node]) if isinstance(node, (ast.Constant, ast.JoinedStr)) else []
    said = "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in parts)
    return said if re.search("[a-z]{3}", said) else ""


def raised(path):
    """The sentences of a module's own errors."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    errors = [call for call in calls if getattr(call.func, "id", "") in KINDS and call.args]
    said = [sentence(call.args[0]) for call in errors]
    return [each for each in said if each and TRAINING not in each]


KINDS = {"PageError", "InputError", "DehwError", "Busy", "Full", "Gone"}


@pytest.mark.parametrize("path", [path for path in SPEAKERS if path.name not in NOT_SHOWN], ids=lambda path: path.name)
def test_errors_have_their_chinese(path):
    left = [sentence for sentence in raised(path) if not CHINESE.search(translated(sentence, "zh"))]
    assert left == []


def test_the_search_for_errors_finds_some():
    assert len([sentence for path in SPEAKERS for sentence in raised(path)]) > 15


def test_doubts_have_their_chinese():
    tree = ast.parse((DEHW / "page" / "confidence.py").read_text(encoding="utf-8"))
    (function,) = [node for node in tree.body if getattr(node, "name", "") == "doubts"]
    tables = [node for node in ast.walk(function) if isinstance(node, ast.Dict)]
    told = [sentence(key) for table in tables for key in table.keys]
    told = [each.replace("7 of", "7% of") for each in told]
    assert len(told) > 2 and [each for each in told if not CHINESE.search(translated(each, "zh"))] == []


@pytest.mark.parametrize("name", ["documents.py", "pdf/write.py"])
def test_losses_have_their_chinese(name):
    tree = ast.parse((DEHW / "files" / name).read_text(encoding="utf-8"))
    keys = [key for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys]
    told = [said for key in keys if len((said := sentence(key)).split()) > 2]
    assert len(told) > 2 and [each for each in told if not CHINESE.search(translated(each, "zh"))] == []


@pytest.mark.parametrize(
    ("english", "chinese"),
    [
        (
            "exam.pdf, page 2 cannot be read: not an image, or damaged. Open it in a viewer and save it anew.",
            "无法读取 exam.pdf 第 2 页：不是图片，或文件已损坏。请用看图软件打开后另存一份再试。",
        ),
        (
            "a.png cannot be read: it has more than 178 megapixels, the most that is read (a side counts for 512 "
            "pixels or more). Scan it at a lower resolution, or cut it up.",
            "无法读取 a.png：超过 178 百万像素。请降低扫描分辨率，或裁成几张。",
        ),
        (
            "a.png: your files take all the room that is allowed here. Download them.",
            "a.png：您的文件已占满允许的空间。请先下载，再移除所有文件。",
        ),
        (
            "a.pdf, page 3 cannot be drawn: it takes more than 60 seconds. Set DEHW_SECONDS higher, or save it anew.",
            "a.pdf 第 3 页 处理超过 60 秒，已停止。请另存一份再试。",
        ),
        ("32 bits a channel became 8", "每通道 32 位变为 8 位"),
        ("nobody knows this", "nobody knows this"),
    ],
)
def test_sentences_are_translated_with_their_names(english, chinese):
    assert translated(english, "zh") == chinese
    assert translated(english, "en") == english
