"""The READMEs are equal in content, and what they and docs/ say of files, commands and options is true."""

import argparse
import re
from pathlib import Path

import pytest

from dehw.commands.main import parser

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, CHINESE, CLI = "README.md", "README.zh-CN.md", "docs/cli.md"
CARD = "work/dehw/engine/shipped/README.md"
PROSE = [ENGLISH, CHINESE, "CONTRIBUTING.md", "CHANGELOG.md", "data/sample/README.md", CARD]
PROSE += [f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")]

FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])(?:--[a-z][a-z-]*|-[a-z])(?![\w-])")
NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?:[.,:]\d+)*")  # 3,451,490 and 4:4:4 are one; the 2 of B2 is a name's
COMMAND = re.compile(r"^dehw ([a-z]\w*)(.*)$", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    """The lines of the fenced blocks, without comments."""
    return [re.sub(r"(^|\s+)#.*", "", line) for line in "".join(FENCED.findall(text)).splitlines()]


def code(text: str) -> list[str]:
    """What stands as code: the fenced lines, and the spans between backticks."""
    return blocks(text) + SPAN.findall(FENCED.sub("", text))


def links(text: str) -> list[tuple[str, str]]:
    """("!" for images, target) of each link but the one to the other language, sorted; pictures in either alike."""
    found = [(kind, target) for kind, target in LINK.findall(FENCED.sub("", text)) if target not in (ENGLISH, CHINESE)]
    return sorted((kind, target.replace(".zh-CN.jpg", ".jpg")) for kind, target in found)


def cells(text: str) -> list[list[list[str]]]:
    """The code and the numbers of each cell of each row of the tables, sorted."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    return [[sorted(code(cell) + NUMBER.findall(cell)) for cell in row] for row in rows]


def numbers(text: str) -> list[list[str]]:
    """The numbers and the code of each section, sorted."""
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    return [sorted(NUMBER.findall(section) + SPAN.findall(FENCED.sub("", section))) for section in sections]


def anchors(text: str) -> set[str]:
    """The headings' anchors, as GitHub names them."""
    headings = HEADING.findall(FENCED.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def options() -> dict[str, set[str]]:
    """The options of each of dehw's commands, help and hidden ones aside."""
    actions = next(each for each in parser()._actions if isinstance(each, argparse._SubParsersAction))
    shown = {
        name: [action for action in each._actions if action.help != argparse.SUPPRESS]
        for name, each in actions.choices.items()
    }
    known = {name: {word for action in each for word in action.option_strings} for name, each in shown.items()}
    return {name: each - {"-h", "--help"} for name, each in known.items()}


@pytest.mark.parametrize("facts", [blocks, links, cells, numbers])
def test_both_readmes_have_the_same(facts):
    english, chinese = facts(read(ENGLISH)), facts(read(CHINESE))
    assert len(english) > 5
    assert chinese == english


@pytest.mark.parametrize("name", PROSE)
def test_links_lead_somewhere(name):
    wrong = []
    for _, target in LINK.findall(FENCED.sub("", read(name))):
        if not target.startswith("https://"):
            file, _, anchor = target.partition("#")
            path = (ROOT / name).parent / file if file else ROOT / name
            if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
                wrong.append(target)
    assert wrong == []


@pytest.mark.parametrize("name", [name for name in PROSE if name != "CHANGELOG.md"])
def test_commands_named_exist_and_take_their_options(name):
    known, named = options(), COMMAND.findall("\n".join(code(read(name))))
    wrong = [(command, rest) for command, rest in named if set(OPTION.findall(rest)) - known.get(command, set())]
    assert wrong == []
    assert {command for command, _ in named} <= set(known)


def test_cli_lists_every_command_and_every_option():
    sections = dict(re.findall(r"^## dehw (\w+)\n(.*?)(?=^## |\Z)", read(CLI), re.DOTALL | re.MULTILINE))
    named = {command: set(OPTION.findall("\n".join(code(text)))) for command, text in sections.items()}
    assert named == options()


@pytest.mark.parametrize(("name", "most"), [(ENGLISH, 1200), (CARD, 800)])
def test_short_enough_to_be_read(name, most):
    assert len(read(name).split()) <= most
