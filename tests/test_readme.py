"""README.md and README.zh-CN.md: equal in content, and true about files, commands and options."""

import argparse
import importlib.util
import re
import sys
from pathlib import Path

import pytest

from dehw.commands import main

ROOT = Path(__file__).resolve().parents[1]
ENGLISH, CHINESE = "README.md", "README.zh-CN.md"
OWN_COMMANDS = 1  # the number of the section on dehw's own commands; what stands before the first heading is 0

FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(!?)\[[^\]]*\]\(([^)]+)\)")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NUMBER = re.compile(r"(?<![A-Za-z\d])\d+(?:[.,:]\d+)*")  # 3,451,490 and 4:4:4 are one; the 2 of B2 is a name's
COMMAND = re.compile(r"^(?:\S*/)?dehw ([a-z]\w*)(.*)$", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def sections(text: str) -> list[str]:
    """The text between headings of the second level; in code blocks no line begins with ##."""
    return re.split(r"^## ", text, flags=re.MULTILINE)


def commands(text: str) -> list[str]:
    """The lines of the fenced blocks, without comments."""
    lines = "".join(FENCED.findall(text)).splitlines()
    return [re.sub(r"(^|\s+)#.*", "", line) for line in lines]


def code(text: str) -> list[str]:
    """What stands as code: the fenced lines, and the spans between backticks."""
    return commands(text) + re.findall(r"`([^`\n]+)`", FENCED.sub("", text))


def cells(text: str) -> list[list[list[str]]]:
    """The code and the numbers of each cell of each row of the tables, sorted: word order is the language's own."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]
    return [[sorted(code(cell) + NUMBER.findall(cell)) for cell in row] for row in rows]


def heading_places(text: str) -> dict[str, str]:
    """The headings' anchors as GitHub names them, each with its place among them: equal in both languages."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    anchors = ["#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
    return {anchor: f"heading {number}" for number, anchor in enumerate(anchors)}


def targets(text: str) -> list[tuple[str, str]]:
    """("!" for images, target) of each link in order, the one to the other language left out."""
    places = heading_places(text)
    found = [(mark, places[target] if target.startswith("#") else target) for mark, target in LINK.findall(text)]
    return [(mark, target) for mark, target in found if target not in (ENGLISH, CHINESE)]


def parsers() -> dict[str, argparse.ArgumentParser]:
    """dehw's parsers by command."""
    return next(each for each in main.parser()._actions if isinstance(each, argparse._SubParsersAction)).choices


def script_parser() -> argparse.ArgumentParser:
    """The parser of compute_mask.py, the one script that the section on the commands names with options."""
    spec = importlib.util.spec_from_file_location("compute_mask_of_readme", ROOT / "compute_mask.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, spec.name, module)  # dataclasses look their module up
        spec.loader.exec_module(module)
    return module._parser()


@pytest.mark.parametrize("facts", [commands, targets, cells])
def test_both_languages_have_the_same(facts):
    english, chinese = facts(read(ENGLISH)), facts(read(CHINESE))
    assert len(english) > 5
    assert chinese == english


def test_both_languages_have_the_same_numbers_in_each_section():
    english, chinese = sections(read(ENGLISH)), sections(read(CHINESE))
    assert len(chinese) == len(english) > 5
    for ours, theirs in zip(english, chinese):
        assert sorted(NUMBER.findall(theirs)) == sorted(NUMBER.findall(ours)), ours.splitlines()[0]


@pytest.mark.parametrize(("name", "other"), [(ENGLISH, CHINESE), (CHINESE, ENGLISH)])
def test_each_begins_with_a_link_to_the_other(name, other):
    assert LINK.findall(read(name))[0] == ("", other)


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_links_and_folders_named_exist(name):
    text = read(name)
    linked = [target for _, target in targets(text) if not target.startswith(("https://", "heading "))]
    listed = re.findall(r"^ {4}(\S+)", FENCED.sub("", text), re.MULTILINE)  # "Where things are"
    assert linked and listed
    assert [path for path in linked + listed if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_commands_named_exist_and_take_their_options(name):
    known, named = parsers(), COMMAND.findall("\n".join(code(read(name))))
    assert len(named) > 10
    assert {command for command, _ in named} - set(known) == set()
    wrong = [(c, o) for c, rest in named for o in OPTION.findall(rest) if o not in known[c]._option_string_actions]
    assert wrong == []


@pytest.mark.parametrize("name", [ENGLISH, CHINESE])
def test_options_named_beside_the_commands_exist(name):
    known = {option for each in [*parsers().values(), script_parser()] for option in each._option_string_actions}
    named = set(OPTION.findall("\n".join(code(sections(read(name))[OWN_COMMANDS]))))
    assert len(named) > 10
    assert named - known == set()
