"""Values as bytes, for a pipe between two processes that need not trust each other.

A message is its length, 4 bytes, JSON, and then the data of its arrays and bytes. It can hold nothing but numbers,
text, tuples, paths, bytes, arrays of uint8 and bool, and dataclasses that are `sent`: what is read runs no code.
"""

import dataclasses
import json
import math
import struct
from pathlib import Path
from typing import IO, Any, TypeVar

import numpy as np

T = TypeVar("T")

CLASSES: dict[str, Any] = {}
DTYPES = ("uint8", "bool")
TEXT = 1 << 24  # bytes of a message's JSON, at most
DATA = 1 << 30  # bytes of an array: twelve of a pixel, at most
LENGTH = struct.Struct(">I")


def sent(kind: type[T]) -> type[T]:
    """Let messages hold a dataclass, by its name; a decorator."""
    CLASSES[kind.__name__] = kind
    return kind


def write(stream: IO[bytes], value: object) -> None:
    """Write a message. Raises TypeError for what it cannot hold."""
    data: list[memoryview | bytes] = []
    text = json.dumps(_packed(value, data)).encode()
    stream.write(LENGTH.pack(len(text)) + text)
    for each in data:
        stream.write(each)
    stream.flush()


def read(stream: IO[bytes]) -> Any:
    """Read a message. Raises EOFError where the stream ends, and ValueError for what is none."""
    (size,) = LENGTH.unpack(_exactly(stream, LENGTH.size))
    if size > TEXT:
        raise ValueError("a message that is too long")
    try:
        return _unpacked(json.loads(_exactly(stream, size)), stream)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"a message of another form ({error})") from error


def _packed(value: Any, data: list) -> Any:
    """A value for JSON; the data of its arrays and bytes goes to a list."""
    if isinstance(value, np.ndarray) and str(value.dtype) in DTYPES:
        data.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        return {"array": [str(value.dtype), *value.shape]}
    if isinstance(value, bytes):
        data.append(value)
        return {"bytes": len(value)}
    if isinstance(value, Path):
        return {"path": str(value)}
    if type(value).__name__ in CLASSES:
        fields = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        return {type(value).__name__: {name: _packed(each, data) for name, each in fields.items()}}
    if isinstance(value, (list, tuple)):
        return [_packed(each, data) for each in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(f"a {type(value).__name__} cannot be sent")


def _unpacked(value: Any, stream: IO[bytes]) -> Any:
    """The value again; its data follows in the stream."""
    if isinstance(value, list):
        return tuple(_unpacked(each, stream) for each in value)
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "array":
        return _array(*content, stream=stream)
    if kind == "bytes":
        return _array("uint8", content, stream=stream).tobytes()
    if kind == "path":
        return Path(content)
    return CLASSES[kind](**{name: _unpacked(each, stream) for name, each in content.items()})


def _array(dtype: str, *shape: int, stream: IO[bytes]) -> np.ndarray:
    """An array whose data comes next; its memory is taken as it comes."""
    if dtype not in DTYPES or min(shape, default=0) < 0 or math.prod(shape) > DATA:
        raise ValueError(f"an array of {dtype} {shape}")
    array = np.empty(shape, dtype)
    left = array.reshape(-1).view(np.uint8).data
    while left:
        count = stream.readinto(left)  # type: ignore[attr-defined]  # of all binary streams
        if not count:
            raise EOFError("the data ends early")
        left = left[count:]
    return array


def _exactly(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError("the message ends early")
    return content
