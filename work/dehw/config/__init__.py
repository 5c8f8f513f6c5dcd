"""Strict YAML configurations: every key and every type is checked against a dataclass."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from dehw.errors import ConfigError

PIPELINES = Path(__file__).resolve().parents[3] / "configs" / "pipelines"

SIDES = {"erasenet": 32, "mtrnet": 4}  # px; the sides of tiles that a generator halves down to its middle are multiples

T = TypeVar("T")


@dataclass
class NetworkConfig:
    """One network: `type` is a key of `dehw.models.MODELS`, `args` go to its builder.

    `weights` is a file name inside a weights directory; `weight` is its share where networks are averaged;
    `train` is the configuration that trains it, as a path from the repository's root.
    """

    type: str
    weights: str
    args: dict[str, Any] = field(default_factory=dict)
    weight: float = 1.0
    train: str | None = None

    def __post_init__(self) -> None:
        _require(self.weight > 0, f"weight must be above 0, got {self.weight}")
        _require(Path(self.weights).name == self.weights, f"weights must be a bare file name, got {self.weights!r}")


@dataclass
class Segment:
    """Finding the handwriting: windows of `window` px, `stride` px apart, averaged over `views`.

    `average`: whether windows and views are averaged as probabilities, or as logits as PaddleSeg 2.8 does it.
    `blend`: the fewest windows that `stride` allows are spread evenly and fade into each other; without, they are laid
    as PaddleSeg does, and each counts the same everywhere.
    `scales`: how many times as large a page is looked at, one look after another. Each further look answers anew for
    the pixels that those before found likelier than `skip`; windows without any are left out.
    `codes`: whether the network is asked about QR codes too; where not, they are print, see codes.find.
    """

    network: NetworkConfig
    window: int = 512
    stride: int = 256
    views: list[str] = field(default_factory=lambda: ["identity"])
    average: Literal["probability", "logit"] = "probability"
    blend: bool = False
    scales: list[float] = field(default_factory=lambda: [1.0])
    skip: float = 0.0
    codes: bool = True
    batch: int = 4

    def __post_init__(self) -> None:
        wide = bool(self.scales) and min(self.scales) > 0
        _require(wide, f"scales must name at least one, each above 0, got {self.scales}")
        _require(0 <= self.skip < 1, f"skip must lie in 0..1, got {self.skip}")
        _require(
            1 <= self.stride <= self.window,
            f"stride must lie in 1..window ({self.window}), got {self.stride}",
        )
        _require(self.batch >= 1, f"batch must be at least 1, got {self.batch}")
        _check_views(self.views)


@dataclass
class Mask:
    """From probability to mask: handwriting where prob >= `threshold`, grown by a `dilate` px square.

    low: a lower threshold, which holds for whatever hangs together with such pixels (hysteresis); None for none.
    spare: letters that the mask reaches into leave it where prob is below this, see printed.spare; 0 for never.
    """

    threshold: float = 0.5
    dilate: int = 3
    low: float | None = None
    spare: float = 0.0

    def __post_init__(self) -> None:
        _require(0 <= self.threshold <= 1, f"threshold must lie in 0..1, got {self.threshold}")
        low = self.threshold if self.low is None else self.low
        _require(0 <= low <= self.threshold, f"low must lie in 0..threshold, got {self.low}")
        _require(self.dilate >= 0, f"dilate must not be negative, got {self.dilate}")
        _require(0 <= self.spare < 1, f"spare must lie in 0..1, got {self.spare}")


@dataclass
class Erase:
    """Removing the handwriting: tiles of `tile` px that answer for all but `margin` px on each side.

    `cmp` keeps the page's own pixels outside the mask. `paper`: what they paint nearly as the paper
    about it, over so many px at their scale, becomes that paper, see paper.settle; 0 for not at all.
    `printed`: print that the mask runs over is put back where the page shows it, see printed.restore.
    """

    networks: list[NetworkConfig]
    tile: int = 512
    margin: int = 106
    views: list[str] = field(default_factory=lambda: ["identity"])
    batch: int = 4
    cmp: bool = True
    paper: int = 0
    printed: bool = False

    def __post_init__(self) -> None:
        _require(bool(self.networks), "networks must name at least one generator")
        for network in self.networks:
            step = SIDES.get(network.type, 1)
            advice = f"tile must be a multiple of {step} px for {network.type}, such as {-(-self.tile // step) * step}"
            _require(self.tile % step == 0, f"{advice}, got {self.tile}")
        _require(0 <= self.margin < self.tile / 2, f"margin must lie in 0..tile/2 ({self.tile}), got {self.margin}")
        _require(self.batch >= 1, f"batch must be at least 1, got {self.batch}")
        _require(self.paper >= 0, f"paper must not be negative, got {self.paper}")
        _require(not self.printed or self.paper > 0, "printed needs paper, a number of px, to tell print by")
        _check_views(self.views)


@dataclass(kw_only=True)
class Pipeline:
    """A page's whole way. Print is brought to `print_height` px; `train` is the command that trains it."""

    name: str = ""  # the file's stem, unless the file says otherwise
    segment: Segment | None = None
    mask: Mask = field(default_factory=Mask)
    erase: Erase
    print_height: float | None = None
    train: str | None = None

    def __post_init__(self) -> None:
        _require(self.print_height is None or self.print_height > 0, "print_height must be above 0 or null")
        _require(not self.erase.printed or self.print_height is not None, "printed needs print_height; set both")
        asked = self.segment is None or self.segment.codes
        _require(asked or self.print_height is not None, "codes: false needs print_height; set both")

    @property
    def networks(self) -> list[NetworkConfig]:
        """All of them: the segmenter, if there is one, then the generators."""
        return [*([self.segment.network] if self.segment else []), *self.erase.networks]


def load(path: str | Path, schema: type[T], opts: Sequence[str] = ()) -> T:
    """Read a YAML file, with the files its `_base_` names under it, into an instance of `schema`.

    Mappings are merged over those of `_base_` (a path relative to the file), everything else replaces them.
    `opts` are overrides such as "erase.tile=256" or "erase.networks.0.weight=2", each value read as YAML.
    Raises ConfigError, which names the file and the key, for an unknown key, a wrong type or a missing value.
    """
    path = Path(path)
    tree = _read(path, ())
    source = f"{path} with --opts {' '.join(opts)}" if opts else str(path)
    for opt in opts:
        _override(tree, opt, source)
    return _instance(tree, schema, source, "")


def load_pipeline(name_or_path: str | Path, opts: Sequence[str] = ()) -> Pipeline:
    """Read a pipeline by the name it has in configs/pipelines, or from a file. Raises ConfigError."""
    path = Path(name_or_path)
    if path.suffix not in (".yml", ".yaml"):
        path = PIPELINES / f"{name_or_path}.yml"
        if not path.is_file():
            names = sorted(found.stem for found in PIPELINES.glob("*.yml"))
            raise ConfigError(
                f"there is no pipeline {str(name_or_path)!r}{nearest(str(name_or_path), names)}. "
                f"Known in {PIPELINES}: {', '.join(names) or 'none'}; a path ending in .yml works too."
            )
    pipeline = load(path, Pipeline, opts)
    return pipeline if pipeline.name else dataclasses.replace(pipeline, name=path.stem)


def nearest(word: str, known: Iterable[str]) -> str:
    """A ' (did you mean ...?)' for the known word most like this one, or nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


class _Loader(yaml.SafeLoader):
    """YAML that reads 1e-4 as a number, as people write it, and refuses a key given twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = [key for key in keys if keys.count(key) > 1]
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"key {twice[0]!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def _read(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """The file as a plain tree, merged over the tree of its `_base_`."""
    if path.resolve() in above:
        raise ConfigError(f"{path}: _base_ leads back to this file; break the circle.")
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: expected 'key: value' lines, got {_describe(tree)}.")
    base = tree.pop("_base_", None)
    if base is None:
        return tree
    if not isinstance(base, str):
        raise ConfigError(f"{path}: _base_ must be the path of one file, got {_describe(base)}.")
    return _merge(_read(path.parent / base, (*above, path.resolve())), tree)


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both else value
    return merged


def _override(tree: dict[str, Any], opt: str, source: str) -> None:
    """Set the one value that `opt`, 'a.b=v', names; a whole number steps into a list."""
    key, sign, text = opt.partition("=")
    if not sign or not key:
        raise ConfigError(f"{source}: {opt!r} is not an override; write key.key=value.")
    try:
        value = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: the value of {key} is not valid YAML: {error}") from error
    *parents, last = key.split(".")
    node: Any = tree
    for part in parents:
        if isinstance(node, dict) and node.get(part) is None:
            node[part] = {}
        node = _child(node, part, key, source)
    if isinstance(node, dict):
        node[last] = value
    else:
        _child(node, last, key, source)
        node[int(last)] = value


def _child(node: Any, part: str, key: str, source: str) -> Any:
    if isinstance(node, dict):
        return node[part]
    if isinstance(node, list) and part.isdecimal() and int(part) < len(node):
        return node[int(part)]
    raise ConfigError(f"{source}: {key} steps into {_describe(node)} at {part!r}; there is nothing of that name.")


def _instance(tree: Any, schema: type[T], source: str, key: str) -> T:
    """The dataclass `schema` filled from `tree`; `key` is where in the file `tree` stands."""
    if not isinstance(tree, dict):
        raise _wrong(source, key, f"a block with {', '.join(_names(schema))}", tree)
    hints = typing.get_type_hints(schema)
    dot = f"{key}." if key else ""
    for name in tree:
        if name not in _names(schema):
            raise ConfigError(
                f"{source}: unknown key '{dot}{name}'{nearest(str(name), _names(schema))}. "
                f"Known here: {', '.join(_names(schema))}."
            )
    for item in dataclasses.fields(schema):
        needed = item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING
        if needed and item.name not in tree:
            raise ConfigError(f"{source}: '{dot}{item.name}' is missing; give it a value.")
    values = {name: _value(value, hints[name], source, f"{dot}{name}") for name, value in tree.items()}
    try:
        return schema(**values)
    except ValueError as error:
        raise ConfigError(f"{source}: {dot}{error}.") from error


def _names(schema: type) -> list[str]:
    return [item.name for item in dataclasses.fields(schema)]


def _value(value: Any, hint: Any, source: str, key: str) -> Any:
    """`value` as the type `hint`, or a ConfigError; an int passes for a float, a bool for neither."""
    if dataclasses.is_dataclass(hint):
        return _instance(value, hint, source, key)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _optional(value, args, source, key)
    if origin is typing.Literal:
        return _literal(value, args, source, key)
    if origin is list and isinstance(value, list):
        return [_value(item, args[0], source, f"{key}.{place}") for place, item in enumerate(value)]
    if origin is dict and isinstance(value, dict):
        return {name: _value(item, args[1], source, f"{key}.{name}") for name, item in value.items()}
    if hint is Any or (isinstance(hint, type) and isinstance(value, hint) and _bool_alike(value, hint)):
        return value
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    raise _wrong(source, key, _IN_WORDS.get(origin or hint, str(hint)), value)


_IN_WORDS = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    list: "a list",
    dict: "a block of 'key: value' lines",
}


def _bool_alike(value: Any, hint: type) -> bool:
    return isinstance(value, bool) == (hint is bool)


def _optional(value: Any, args: tuple[Any, ...], source: str, key: str) -> Any:
    """The value of an `X | None`; unions of several types are not part of the grammar."""
    if value is None and type(None) in args:
        return None
    (inner,) = (arg for arg in args if arg is not type(None))
    return _value(value, inner, source, key)


def _literal(value: Any, choices: tuple[Any, ...], source: str, key: str) -> Any:
    if not any(value == choice and type(value) is type(choice) for choice in choices):
        names = [str(choice) for choice in choices]
        raise ConfigError(
            f"{source}: '{key}' must be one of {', '.join(names)}, got {value!r}{nearest(str(value), names)}."
        )
    return value


def _wrong(source: str, key: str, expected: str, value: Any) -> ConfigError:
    return ConfigError(f"{source}: '{key}' must be {expected}, got {_describe(value)}.")


def _describe(value: Any) -> str:
    return "nothing" if value is None else f"{value!r} ({type(value).__name__})"


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _check_views(views: list[str]) -> None:
    from dehw.page.views import VIEWS

    _require(bool(views), "views must name at least one view, such as identity")
    for view in views:
        _require(
            view in VIEWS,
            f"views: there is no view {view!r}{nearest(view, VIEWS)}; known: {', '.join(VIEWS)}",
        )
