"""YAML as plain values: numbers, text, true and false, lists, blocks; what else it can say is refused by its key."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NoReturn

import yaml

DEEPEST = 40  # blocks within each other
MOST = 20_000  # values, those of an alias counted wherever it stands
LONGEST = 80  # characters of a number, and of a value that a message shows
PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str")}
FULL = {"tag:yaml.org,2002:seq": yaml.SequenceNode, "tag:yaml.org,2002:map": yaml.MappingNode}
UNSEEN = re.compile("[\\0-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f\\ud800-\\udfff]")  # control characters, halves of characters


class NotPlain(ValueError):
    """A text that is not YAML, or holds more than plain values."""


def parse(text: str) -> Any:
    """What a YAML text holds. Raises NotPlain, which names the key and the line."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        raise NotPlain(str(error)) from error


def is_file(path: str | Path) -> bool:
    """Whether there is a file of this path; a path that cannot be is none."""
    try:
        return Path(path).is_file()
    except (OSError, ValueError):  # too long a name
        return False


def shortened(text: str) -> str:
    """A text as a message shows it."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


class _Loader(yaml.SafeLoader):
    """YAML that reads 1e-4 as a number and 2026-01-31 as text, as people write them, and plain values alone."""

    deep = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Make a node and those within; ends where they lie too deep, before the stack does."""
        if self.deep > DEEPEST:
            _refuse(self.peek_event(), "", f"blocks within more than {DEEPEST} others")
        self.deep += 1
        node = super().compose_node(parent, index)
        self.deep -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        """The nodes of a text, looked at before any value is made of them."""
        node = super().get_single_node()
        if node is not None:
            self._look(node, "", {})
        return node

    def _look(self, node: yaml.Node, key: str, known: dict[yaml.Node, int]) -> int:
        """Count the values of a node, and refuse what is not plain. known: the counts of nodes; 0 while it is open."""
        if node in known:  # by way of an alias
            return known[node] or _refuse(node, key, "a value that holds itself")
        known[node] = 0
        if isinstance(node, yaml.ScalarNode):
            count = self._look_at_scalar(node, key)
        elif FULL.get(node.tag) is not type(node):
            _refuse(node, key, f"a value of the type {node.tag}")
        elif isinstance(node, yaml.MappingNode):
            names = self._names(node, key)
            count = 1 + sum(self._look(each, f"{key}.{name}", known) for name, (_, each) in zip(names, node.value))
        else:
            count = 1 + sum(self._look(each, f"{key}.{n}", known) for n, each in enumerate(node.value))
        if count > MOST:
            _refuse(node, key, f"more than {MOST} values")
        known[node] = count
        return count

    def _look_at_scalar(self, node: yaml.ScalarNode, key: str) -> int:
        if node.tag not in PLAIN:
            _refuse(node, key, f"a value of the type {node.tag}")
        if node.tag.endswith(("int", "float")) and len(node.value) > LONGEST:
            _refuse(node, key, f"a number of {len(node.value)} characters")
        if UNSEEN.search(node.value):
            _refuse(node, key, "text with control characters")
        try:
            self.construct_object(node)
        except (ValueError, LookupError, OverflowError):
            _refuse(node, key, f"{shortened(node.value)!r}, which is no {node.tag.rpartition(':')[2]}")
        return 1

    def _names(self, node: yaml.MappingNode, key: str) -> list[str]:
        """A block's keys, each text and given once."""
        names: dict[str, None] = {}
        for each, _ in node.value:
            if not isinstance(each, yaml.ScalarNode):
                _refuse(each, key, "a key that is not text")
            self._look_at_scalar(each, key)
            name = self.construct_object(each)
            if not isinstance(name, str):
                _refuse(each, key, f"key {name!r} is not text")
            if name in names:
                _refuse(each, key, f"key {shortened(repr(name))} is given twice")
            names[name] = None
        return list(names)


def _refuse(node: yaml.Node | yaml.Event, key: str, what: str) -> NoReturn:
    where = f"{shortened(key.removeprefix('.'))}: " if key else ""
    mark: Any = node.start_mark
    raise yaml.constructor.ConstructorError(None, None, f"{where}{what}; write plain values", mark)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(("timestamp", "merge", "value"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
