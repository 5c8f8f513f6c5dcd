"""What a step of training is made of: recorded in its folder, so that it is done again when that changes, never mixed.

A step is the training of one network. Its record, made_of.json, holds {"made_of": {"version", "network", "data",
"config", "weights", "pace"}, "finished": bool}. All but `pace` (how long, how often) must stay for a training to go on
from its checkpoints.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dehw
from dehw.config import NetworkConfig
from dehw.data.pairs import Pair
from dehw.errors import ConfigError
from dehw.files.atomic import sha256, write_json

RECORD = "made_of.json"
PACE = "pace"


def made_of(
    network: NetworkConfig,
    pairs: Sequence[Pair],
    config: Mapping[str, Any],
    pace: Mapping[str, Any],
    weights: Mapping[str, str | Path],
) -> dict[str, Any]:
    """What a step is made of, as plain JSON.

    pairs: all pages, with such masks alone as their datasets bring. config: what shapes the result; pace: how long it
    is worked on and how often what is done. weights: files that it depends on, by what they are for.
    """
    return json.loads(
        json.dumps(
            {
                "version": dehw.__version__,
                "network": {"type": network.type, "args": network.args},
                "data": {"pages": len(pairs), "digest": _digest(pairs)},
                "config": config,
                "weights": {name: sha256(path) if Path(path).is_file() else None for name, path in weights.items()},
                PACE: pace,
            }
        )
    )


def read(folder: Path) -> dict[str, Any] | None:
    """The record in a step's folder; None if there is none that can be read."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        return {"made_of": dict(record["made_of"]), "finished": bool(record["finished"])}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def begin(folder: Path, made_of: Mapping[str, Any]) -> None:
    """Record that a step is under way. Raises ConfigError where the folder holds the checkpoints of other data."""
    record = read(folder)
    if record and record["made_of"].get("data") != made_of["data"]:
        raise ConfigError(f"{folder} holds a training on other data; rename that folder, or choose another --output.")
    write_json(folder / RECORD, {"made_of": made_of, "finished": False})


def finish(folder: Path, made_of: Mapping[str, Any]) -> None:
    """Record that a step is done."""
    write_json(folder / RECORD, {"made_of": made_of, "finished": True})


def changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two such records' contents, in words: what forbids to go on first, then the pace."""
    old, new = _flat(then), _flat(now)
    differing = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    told = ["data changed since"] if any(key.startswith("data.") for key in differing) else []
    for key in sorted(differing, key=lambda key: key.startswith(PACE)):
        place, _, rest = key.partition(".")
        if place == "weights":
            told.append(f"{rest} changed since")
        elif place != "data":
            told.append(f"{rest if place in ('config', PACE) else key} was {old.get(key)} and is {new.get(key)}")
    return told


def may_go_on(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether a training of the one may go on as the other: only its pace differs."""
    return {**then, PACE: None} == {**now, PACE: None}


def set_aside(folder: Path, *results: Path) -> Path:
    """Rename a step's folder by the next free number, its results inside it; returns where it is now."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.{number}")).exists():
        number += 1
    folder.rename(aside)
    for path in results:
        if path.exists():
            path.rename(aside / path.name)
    return aside


def _digest(pairs: Sequence[Pair]) -> str:
    """Of the files' places in their datasets, sizes and times: neither read nor tied to where the folder lies."""
    digest = hashlib.sha256()
    for pair in pairs:
        for path in pair.files:
            facts = path.stat()
            name = "/".join(path.parts[-3:])
            digest.update(f"{name} {facts.st_size} {facts.st_mtime_ns}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A tree of dicts as {"a.b": value}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat
