"""Strict YAML configurations: files over their `_base_`, overrides, and pydantic to check each key and value."""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from dehw.config.plain import DEEPEST, LONGEST, is_file, parse, shortened
from dehw.errors import ConfigError

_CLONE = Path(__file__).resolve().parents[3] / "configs"
CONFIGS = _CLONE if (_CLONE / "pipelines").is_dir() else Path(__file__).resolve().parents[1] / "configs"  # in a wheel

STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)  # schemas are pydantic dataclasses of this config
Fraction = Annotated[float, Field(ge=0, le=1)]
BelowOne = Annotated[float, Field(ge=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1e6)]  # in relation to others
Rate = Annotated[float, Field(ge=0, le=10)]  # of learning
Count = Annotated[int, Field(gt=0, le=10**9)]
Side = Annotated[int, Field(ge=8, le=4096)]  # px of what a network sees at once
Batch = Annotated[int, Field(gt=0, le=1024)]
Workers = Annotated[int, Field(ge=0, le=1024)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
# One folder may stand without brackets, as people write it after --opts.
Folders = Annotated[list[str], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]

LARGEST = 256 * 1024  # bytes of a file
SHOWN = 20  # problems told of a file; the rest is counted

T = TypeVar("T")


def load(path: str | Path, schema: type[T], opts: Sequence[str] = ()) -> T:
    """Read a YAML file, with the files its `_base_` names under it, into an instance of `schema`.

    Mappings are merged over those of `_base_` (a path relative to the file), everything else replaces them.
    `opts` are overrides such as "erase.tile=256" or "erase.networks.0.weight=2", each value read as YAML.
    Raises ConfigError, which names the file and each key that is unknown, missing or has a wrong value.
    """
    tree, source = read(path, opts)
    return validate(tree, schema, source)


def find_config(name: str | Path) -> Path:
    """The file of this path, in the current folder or else, as in configs/erasenet.yml, among those of dehw."""
    path, known = Path(name), CONFIGS.parent / name
    return known if is_file(known) and not is_file(path) else path


def read(path: str | Path, opts: Sequence[str] = (), grow: bool = True) -> tuple[dict[str, Any], str]:
    """Read a file as a plain tree, unchecked, and what messages about it are to name as their source.

    grow: whether overrides may begin blocks that the file does not have. Raises ConfigError.
    """
    path = find_config(path)
    tree = _read(path, ())
    source = f"{path} with --opts {' '.join(opts)}" if opts else str(path)
    for opt in opts:
        _override(tree, opt, source, grow)
    return tree, source


def validate(tree: dict[str, Any], schema: type[T], source: str) -> T:
    """Make an instance of `schema` from a plain tree.

    schema: a pydantic dataclass with config=STRICT. An int passes for a float, a bool for neither. Raises ConfigError,
    which names `source` and lists all problems, each by its dotted key.
    """
    try:
        # By way of JSON, because pydantic's strict mode takes mappings for dataclasses only there.
        return TypeAdapter(schema).validate_json(json.dumps(tree))
    except ValidationError as error:
        count, problems = error.error_count(), [_problem(each, schema) for each in error.errors()[:SHOWN]]
    if count == 1:
        raise ConfigError(f"{source}: {problems[0]}.")
    more = [f"and {count - SHOWN} more"] if count > SHOWN else []
    raise ConfigError("\n  ".join([f"{source}: {count} problems:", *problems, *more]))


def nearest(word: str, known: Iterable[str]) -> str:
    """A ' (did you mean ...?)' for the known word most like this one, or nothing."""
    close = difflib.get_close_matches(word[:LONGEST], list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """The file as a plain tree, merged over the tree of its `_base_`."""
    try:
        real = path.resolve()
        if real in above or len(above) > DEEPEST:
            raise ConfigError(f"{path}: _base_ leads back to this file, or through too many; break the circle.")
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: not a file; name a .yml file.")
        if path.stat().st_size > LARGEST:
            raise ConfigError(f"{path}: larger than {LARGEST // 1024} KiB, as no configuration is; check the path.")
        tree = parse(path.read_text(encoding="utf-8"))
    except (OSError, RuntimeError) as error:  # the latter of links in a circle, before Python 3.13
        raise ConfigError(f"{path}: cannot be read ({getattr(error, 'strerror', error)}); check the path.") from error
    except ValueError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, got {_describe(tree)}.")
    base = tree.pop("_base_", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise ConfigError(f"{path}: _base_ must be the path of one file, got {_describe(base)}.")
    return _merge(_read(path.parent / base, (*above, real)), tree)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both else value
    return merged


def _override(tree: dict[str, Any], opt: str, source: str, grow: bool) -> None:
    """Set the one value that `opt`, 'a.b=v', names; a whole number steps into a list."""
    key, sign, text = opt.partition("=")
    if not sign or not key:
        raise ConfigError(f"{source}: {opt!r} is not an override; write key.key=value.")
    try:
        value = parse(text)
    except ValueError as error:
        raise ConfigError(f"{source}: the value of {key} is not valid YAML: {error}") from error
    *parents, last = key.split(".")
    if len(parents) > DEEPEST:
        raise ConfigError(f"{source}: {shortened(key)} steps into more than {DEEPEST} blocks; check the key.")
    node: Any = tree
    for part in parents:
        if grow and isinstance(node, dict) and node.get(part) is None:
            node[part] = {}
        node = node[_place(node, part, key, source)]
    node[last if isinstance(node, dict) else _place(node, last, key, source)] = value


def _place(node: Any, part: str, key: str, source: str) -> str | int:
    """The key or the index by which `part` of a dotted key stands in `node`. Raises ConfigError if it does not."""
    if isinstance(node, dict) and part in node:
        return part
    if isinstance(node, list) and part.isdecimal() and len(part) < 10 and int(part) < len(node):
        return int(part)
    known = list(node) if isinstance(node, dict) else []
    there = f"a block with {', '.join(known)}" if known else _describe(node)
    raise ConfigError(
        f"{source}: {key} steps into {there} at {part!r}; there is nothing of that name{nearest(part, known)}."
    )


_MUST = {  # pydantic's types of errors, in words for those who write configurations
    "int_type": "be a whole number",
    "float_type": "be a number",
    "finite_number": "be a finite number",
    "bool_type": "be true or false",
    "string_type": "be text",
    "list_type": "be a list",
    "dict_type": "be a block of 'key: value' lines",
    "literal_error": "be one of {expected}",
    "greater_than": "be above {gt:g}",
    "greater_than_equal": "be at least {ge:g}",
    "less_than": "be below {lt:g}",
    "less_than_equal": "be at most {le:g}",
    "too_short": "hold {min_length} or more values",
    "too_long": "hold no more than {max_length} values",
}


def _problem(error: ErrorDetails, schema: type) -> str:
    """What is wrong, without the file's name and the full stop."""
    place, kind, given, facts = error["loc"], error["type"], error["input"], error.get("ctx", {})
    key = ".".join(shortened(str(part)) for part in place)
    if kind == "value_error":  # raised by a schema's __post_init__, which names its own key
        return f"{key}.{facts['error']}" if key else str(facts["error"])
    if kind == "missing":
        return f"'{key}' is missing; give it a value"
    if kind == "unexpected_keyword_argument":
        known = _keys(schema, place[:-1])
        return f"unknown key '{key}'{nearest(str(place[-1]), known)}; known here: {', '.join(known)}"
    if kind == "dataclass_type":
        return f"'{key}' must be a block with {', '.join(_keys(schema, place))}, got {_describe(given)}"
    must = _MUST[kind].format(**facts) if kind in _MUST else f"be right: {error['msg']}"
    close = nearest(str(given), re.findall("'(.*?)'", facts["expected"])) if kind == "literal_error" else ""
    return f"'{key}' must {must}, got {_describe(given)}{close}"


def _keys(schema: Any, place: Sequence[str | int]) -> list[str]:
    """The keys of the dataclass that stands at `place` in `schema`."""
    for name in place:
        if isinstance(name, str):  # else an index: the hint of its list was taken apart with the list's name
            schema = _dataclass_in(typing.get_type_hints(schema)[name])
    return [field.name for field in dataclasses.fields(schema)]


def _dataclass_in(hint: Any) -> Any:
    """The one dataclass that a hint such as list[X] or X | None names."""
    if dataclasses.is_dataclass(hint):
        return hint
    return next(filter(None, map(_dataclass_in, typing.get_args(hint))), None)


def _describe(value: Any) -> str:
    return "nothing" if value is None else f"{shortened(repr(value))} ({type(value).__name__})"
