"""The command line: a function a command, or a module of its own. Imports libraries where used."""

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from dehw import __version__, errors
from dehw.commands import bench, data, doctor, erase, evaluate, models, serve, submit, synth, train, watch, weights
from dehw.commands.erase.progress import json_alone, tell_json


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dehw` with its arguments and return the exit code (dehw.errors.ExitCode)."""
    _replace_closed_streams()
    args = parser().parse_args(argv)
    warnings.filterwarnings("ignore", "No ccache found")  # Paddle looks for a compiler cache; nothing is compiled here
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")  # Pillow warns from half of what it reads on
    if getattr(args, "progress", None) != "json":
        return guarded(lambda: args.command(args))
    with json_alone():
        return guarded(lambda: args.command(args), tell_json)


def _replace_closed_streams() -> None:
    """Have streams lead nowhere that are closed, as by `2>&-`.

    Else the next files to be opened would get their numbers, and with them whatever libraries print.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def guarded(command: Callable[[], int], tell: Callable[[str], None] = errors.tell) -> int:
    """Run a command; an error that the user can act on ends in its message on stderr and its exit code."""
    remedy = "close other programs, or give pages of fewer pixels; `dehw doctor` says how much is free"
    with _stoppable():
        return errors.guarded(command, remedy, "the pages done so far are whole", tell)


@contextmanager
def _stoppable() -> Iterator[None]:
    """Have SIGTERM, and Ctrl-Break on Windows, end a command as Ctrl-C does."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():
        numbers = []  # which alone may set them
    owner = os.getpid()

    def stop(number: int, frame: FrameType | None) -> None:
        if os.getpid() == owner:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)  # a worker that was forked off: its pool ends it so
        os.kill(os.getpid(), number)

    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def parser() -> argparse.ArgumentParser:
    """All commands and their arguments."""
    whole = argparse.ArgumentParser(prog="dehw", description="Erase handwriting from exam pages.")
    whole.add_argument("--version", action="version", version=f"dehw {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    erase.add_arguments(commands.add_parser("erase", help="erase the handwriting of pages"))
    evaluate.add_arguments(commands.add_parser("evaluate", help="measure erased pages against the true ones"))
    models.add_models(commands.add_parser("models", help="list the networks, their parameters and GMACs"))
    train.add_arguments(commands.add_parser("train", help="train a pipeline's networks one after another"))
    submit.add_arguments(commands.add_parser("submit", help="write the contest's masks, pages and zip"))
    data.add_materials(
        commands.add_parser("materials", help="cut handwriting out of training pages, to paste elsewhere")
    )
    data.add_recipes(commands.add_parser("recipes", help="show on one picture what is done to training crops"))
    models.add_export(commands.add_parser("export", help="write a pipeline's networks as ONNX files"))
    weights.add_arguments(commands.add_parser("weights", help="import weights that the contest's winners released"))
    synth.add_arguments(commands.add_parser("synth", help="make up pages to train with"))
    bench.add_arguments(commands.add_parser("bench", help="measure how fast a pipeline erases pages"))
    doctor.add_arguments(commands.add_parser("doctor", help="say what erasing needs here, and what is missing"))
    serve.add_arguments(commands.add_parser("serve", help="serve a page in the browser that erases handwriting"))
    watch.add_arguments(commands.add_parser("watch", help="erase what comes into a folder, again and again"))
    return whole
