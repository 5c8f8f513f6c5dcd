"""Pickles of others, read without running anything that they name.

A pickle is a program for a machine with a stack. This machine knows the instructions that build numbers, text, arrays,
lists and dicts, and no others; the few Python names that arrays are written with are carried out here.
"""

import pickletools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import getsizeof
from typing import Any

import numpy as np

from dehw.errors import WeightsError

MOST = 1_000_000  # instructions; a checkpoint has about 20,000
DEEPEST = 50  # containers within each other
WIDER, SLACK = 8, 1 << 20  # of what calls make to the file's size, and bytes beside: Python's objects are larger
WIDEST = 256  # bits of a number; the states of random generators have 128
SLICES = "UnpackBigParamInfor@@"  # under it paddle.save says which arrays it cut into slices
NAMES = "StructuredToParameterName@@"  # and here what a process called its parameters


class Refused(Exception):
    """What a pickle asks for that no weights need."""


@dataclass
class _Name:
    """A Python name that a pickle may use."""

    text: str


@dataclass
class _Dtype:
    """The type of an array's numbers: what NumPy calls it, and the order of its bytes."""

    code: str
    order: str = "="

    def build(self, state: tuple) -> None:
        self.order = state[1]

    @property
    def made(self) -> np.dtype:
        if not re.fullmatch("[<>|=][biuf][1248]", self.order + self.code):
            raise Refused(f"holds an array of {self.code!r}, not of numbers")
        return np.dtype(self.order + self.code)


@dataclass
class _Built:
    """An array, or the state of one of Paddle's generators: nothing until its content comes."""

    make: Callable[[tuple], Any]
    made: Any = None

    def build(self, state: tuple) -> None:
        self.made = self.make(state)


@dataclass
class _Machine:
    room: int  # bytes that calls may still make: each array is made of what only it has in the file
    stack: list = field(default_factory=list)
    marks: list[int] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def run(self, program: Iterable[tuple[pickletools.OpcodeInfo, Any, int | None]]) -> Any:
        """Carry out a pickle, and return what it leaves. Raises Refused, and nearly anything for a damaged one."""
        for count, (opcode, argument, _) in enumerate(program):
            if count > MOST:
                raise Refused(f"has more than {MOST} instructions")
            if opcode.name in CONSTANTS:
                self.stack.append(CONSTANTS[opcode.name]())
            elif opcode.name in LITERALS:
                self.stack.append(argument)
            elif opcode.name in INSTRUCTIONS:
                INSTRUCTIONS[opcode.name](self, argument)
            elif opcode.name not in IGNORED:
                raise Refused(f"uses the instruction {opcode.name}")
        return _plain(self.stack.pop())

    def since_mark(self) -> list:
        start = self.marks.pop()
        items, self.stack[start:] = self.stack[start:], []
        return items

    def pop(self, count: int) -> tuple:
        if count > len(self.stack):
            raise IndexError("the stack is empty")
        items, self.stack[len(self.stack) - count :] = tuple(self.stack[len(self.stack) - count :]), []
        return items

    def name(self, module: str, name: str) -> None:
        """Push a name. Those of Python 2 and NumPy 2 are known too."""
        module = {"__builtin__": "builtins"}.get(module, module).replace("numpy._core", "numpy.core")
        text = f"{module}.{name}"
        if text not in CALLS and text not in NOT_CALLED:
            raise Refused(f"asks for {text}, which no weights need")
        self.stack.append(_Name(text))

    def call(self) -> None:
        called, arguments = self.pop(2)
        if not isinstance(called, _Name) or called.text not in CALLS:
            raise Refused("calls what is no function")
        self.stack.append(self._counted(CALLS[called.text](*arguments)))

    def _counted(self, made: Any) -> Any:
        self.room -= getsizeof(made)
        if self.room < 0:
            raise Refused("makes the same again and again, until no memory is left")
        return made

    def build(self) -> None:
        built, state = self.pop(2)
        if not isinstance(built, (_Built, _Dtype)):
            raise Refused(f"gives a state to a {type(built).__name__}")
        built.build(state)
        if isinstance(built, _Built):
            self._counted(built.made)
        self.stack.append(built)


def _pairs(items: Sequence[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2]))


def _array(state: tuple) -> np.ndarray:
    """An array by NumPy's own account: version, shape, dtype, whether columns come first, bytes."""
    _, shape, dtype, fortran, data = state
    return _from_bytes(data, dtype, shape, "F" if fortran else "C")


def _from_bytes(data: bytes | str, dtype: _Dtype, shape: tuple[int, ...], order: Any) -> np.ndarray:
    data = data.encode("latin1") if isinstance(data, str) else data  # as Python 2 wrote it
    return np.frombuffer(data, dtype.made).reshape(shape, order=order).copy(order=order)


def _scalar(dtype: _Dtype, data: bytes | str) -> Any:
    return _from_bytes(data, dtype, (), "C")[()]


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise Refused(f"asks for the codec {encoding!r}")
    return text.encode("latin1")


# What the admitted names do when a pickle calls them.
CALLS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": lambda pairs=(): dict(pairs),
    "builtins.tuple": tuple,
    "builtins.bytes": lambda: b"",
    "_codecs.encode": _encoded,
    "numpy.dtype": lambda code, *_: _Dtype(code),
    "numpy.core.multiarray._reconstruct": lambda *_: _Built(_array),
    "numpy.core.multiarray.scalar": _scalar,
    "numpy.core.numeric._frombuffer": _from_bytes,
    "paddle.base.libpaddle.GeneratorState": lambda: _Built(tuple),
}
NOT_CALLED = {"numpy.ndarray"}  # it is handed to _reconstruct
CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
LITERALS = set(
    """INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE
    SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8 BYTEARRAY8""".split()
)
IGNORED = {"PROTO", "FRAME", "STOP"}
INSTRUCTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    "MARK": lambda machine, _: machine.marks.append(len(machine.stack)),
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "LIST": lambda machine, _: machine.stack.append(machine.since_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.stack.append(machine.pop(1)),
    "TUPLE2": lambda machine, _: machine.stack.append(machine.pop(2)),
    "TUPLE3": lambda machine, _: machine.stack.append(machine.pop(3)),
    "DICT": lambda machine, _: machine.stack.append(_pairs(machine.since_mark())),
    "APPEND": lambda machine, _: (item := machine.stack.pop(), machine.stack[-1].append(item)),
    "APPENDS": lambda machine, _: (items := machine.since_mark(), machine.stack[-1].extend(items)),
    "SETITEM": lambda machine, _: (items := machine.pop(2), machine.stack[-1].update(_pairs(items))),
    "SETITEMS": lambda machine, _: (items := machine.since_mark(), machine.stack[-1].update(_pairs(items))),
    "PUT": lambda machine, key: machine.memo.update({key: machine.stack[-1]}),
    "MEMOIZE": lambda machine, _: machine.memo.update({len(machine.memo): machine.stack[-1]}),
    "GET": lambda machine, key: machine.stack.append(machine.memo[key]),
    "GLOBAL": lambda machine, names: machine.name(*names.split(" ", 1)),
    "STACK_GLOBAL": lambda machine, _: machine.name(*machine.pop(2)),
    "REDUCE": lambda machine, _: machine.call(),
    "NEWOBJ": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
}
INSTRUCTIONS |= {f"{size}BIN{name}": INSTRUCTIONS[name] for size in ("", "LONG_") for name in ("PUT", "GET")}


def read_pickle(path: Path) -> Any:
    """What a file written by paddle.save or pickle holds: arrays, text, numbers and containers of these.

    Tensors are arrays, and those that were cut into slices are whole again. Raises WeightsError for a file that is
    damaged, or asks for anything else.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file; check the path.")
    try:
        with path.open("rb") as file:
            room = WIDER * path.stat().st_size + SLACK
            return _joined(_Machine(room).run(pickletools.genops(file)))
    except Refused as error:
        raise WeightsError(f"{path}: {error}; it was not read. Get weights from where they were released.") from error
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise WeightsError(
            f"{path}: damaged, or no weights ({type(error).__name__}: {error}); get it from where it was released."
        ) from error


def read_state(path: Path) -> dict[str, Any]:
    """The same of a file that holds named arrays, or dicts of them beside other values.

    Raises WeightsError, also where a number of an array is not finite.
    """
    state = read_pickle(path)
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise WeightsError(f"{path}: holds a {type(state).__name__}, not named arrays; is it a weight file?")
    refuse_nonfinite(state, path)
    return state


def refuse_nonfinite(state: dict[str, Any], source: str | Path) -> None:
    """Raise WeightsError naming `source` where an array, here or in a dict within, has NaN or infinities."""
    if broken := next(_nonfinite(state, set()), None):
        raise WeightsError(
            f"{source}: {broken} holds numbers that are not finite; the training that wrote them had diverged. "
            "Take the weights of an earlier step."
        )


def _nonfinite(state: dict[str, Any], known: set[int]) -> Iterator[str]:
    """The arrays by name; of a dict that stands in many places, which can make 2**50 of it, each is looked at once."""
    known.add(id(state))
    for key, value in state.items():
        if isinstance(value, dict) and id(value) not in known:
            yield from (f"{key}.{inner}" for inner in _nonfinite(value, known))
        elif isinstance(value, np.ndarray) and not np.isfinite(value).all():
            yield str(key)


def _plain(value: Any, depth: int = 0, known: dict[int, tuple[Any, Any]] | None = None) -> Any:
    """What was read without the machine's own stand-ins; each object is looked at once."""
    known = {} if known is None else known  # each beside what it became, or its id might be given to another
    if depth > DEEPEST:
        raise Refused(f"holds more than {DEEPEST} containers within each other")
    if id(value) not in known:
        known[id(value)] = (value, _converted(value, depth, known))
    return known[id(value)][1]


def _converted(value: Any, depth: int, known: dict[int, tuple[Any, Any]]) -> Any:
    if isinstance(value, _Built):
        if value.made is None:
            raise Refused("holds an array without numbers")
        return _plain(value.made, depth + 1, known)
    if isinstance(value, (_Name, _Dtype)):
        raise Refused("holds a Python name in place of a value")
    if isinstance(value, int) and value.bit_length() > WIDEST:
        raise Refused(f"holds a number of {value.bit_length()} bits")
    if isinstance(value, dict):
        return {_plain(key, depth + 1, known): _plain(each, depth + 1, known) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(each, depth + 1, known) for each in value]
        if isinstance(value, list):
            return items
        is_tensor = len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], np.ndarray)
        return items[1] if is_tensor else tuple(items)  # a tensor is written as its name and its array
    return value


def _joined(content: Any) -> Any:
    """What paddle.save was given: without its table of names, arrays in one piece."""
    if not isinstance(content, dict):
        return content
    content.pop(NAMES, None)
    for key, cut in content.pop(SLICES, {}).items():
        content[key] = np.concatenate([content.pop(name) for name in cut["slices"]]).reshape(cut["OriginShape"])
    return content
